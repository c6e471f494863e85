"""What an event in some markets did there: measured against the other markets, jointly over channels and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rechannel.evidence.design import DISTURBING, REBOUND_DAYS, build_design, is_lasting
from rechannel.evidence.donors import MarketSeries
from rechannel.evidence.impact import MetricSums
from rechannel.evidence.joint import joint_scores, shock_correlation
from rechannel.evidence.marketplacebo import (
    FEWEST_DONORS,
    MarketValues,
    Scores,
    Spread,
    Windows,
    fit_with_placebos,
    placebo_sets,
    pool_scores,
    score_placebos,
)
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, EventKind, Metric, Verdict
from rechannel.vocabulary.estimate import FloatArray, Refusal
from rechannel.vocabulary.grade import Grade

LONGEST_HISTORY = 400
"""Days before the event from which weights and noise are learned."""
FEWEST_DAYS = 28
MOST_MISSING = 0.2
"""Share of missing days up to which a donor's holes are filled from the other donors; above, it is no donor."""
TOUCHED_LEVEL = 0.01
"""Chance that any untouched donor is taken for a touched one."""
NEAREST = 3
"""Donors whose path is most like the treated markets': where their visitors would go, if anywhere."""
SPILL_SD = 2.5
ENOUGH_FOLDS = 10.0


@dataclass(frozen=True, slots=True)
class MarketTest:
    """An event in some markets.

    Attributes
    ----------
    channel
        Whose entry it is about.
    starts
        Market -> its day 1. Markets with different days are measured each from its own day and summed by the days
        since.
    horizons
        In days from day 1; all inside the data.
    announced
        Day on which it became known; None when never.
    kind
        test, or what happened by itself (outage, closure, demotion, ...).
    name
        Of the cell, where several tests run at once.
    """

    channel: str
    starts: Mapping[str, date]
    horizons: tuple[int, ...]
    announced: date | None = None
    kind: EventKind = "test"
    name: str = ""

    def cohorts(self) -> dict[date, tuple[str, ...]]:
        """Markets by day 1, the earliest first."""
        days = sorted(set(self.starts.values()))
        return {day: tuple(sorted(name for name, own in self.starts.items() if own == day)) for day in days}


@dataclass(frozen=True, slots=True)
class MarketEffect:
    """A measured event in some markets.

    Attributes
    ----------
    test
        What was measured.
    visits
        Per channel, summed over its markets: open draws [draw, channel, horizon] and what came [channel, horizon].
    totals
        orders, gmv and new_customers of the whole shop in those markets; `channels` is `(None,)`.
    donors, touched
        Markets that served as controls, and those dropped because something happened to them in those days.
    left_out
        Channels that too few other markets have.
    factor
        What placebos put on the intervals of visits, shape [horizon].
    folds
        Independent placebos behind it.
    held_out
        Share of placebos in the test's own days whose 90 % interval held.
    rank
        Share of placebo sets (this one among them) whose total visits moved at least as much, in their own sd.
    skill
        1 - error of the counterfactual over that of last week's same weekday, at earlier dates; nan without one.
    spill
        Mean move of the donors most like the treated markets, in sd; large means that they were touched too.
    direct_total
        Quantiles (.025, .5, .975) of open total visits by a fit of the total, shape [horizon, 3]: a check only.
    training_days
        Days the counterfactual was learned from.
    """

    test: MarketTest
    visits: MetricSums
    totals: Mapping[Metric, MetricSums]
    donors: tuple[str, ...]
    touched: tuple[str, ...]
    left_out: tuple[str, ...]
    factor: FloatArray
    folds: float
    held_out: float
    rank: float
    skill: float
    spill: float
    direct_total: FloatArray
    training_days: int

    def removed(self) -> FloatArray:
        """Open minus observed visits of the channel itself, shape [draw, horizon]."""
        own = self.visits.channels.index(self.test.channel)
        return np.asarray(self.visits.open_draws[:, own] - self.visits.observed[own])

    def gains(self) -> FloatArray:
        """Observed minus open visits of every channel, shape [draw, channel, horizon]."""
        return np.asarray(self.visits.observed - self.visits.open_draws)

    def net_loss(self, metric: Metric) -> FloatArray:
        """Open minus observed over the whole shop in those markets, shape [draw, horizon]; KeyError when not known."""
        sums = self.visits if metric == "visits" else self.totals[metric]
        return np.asarray((sums.open_draws - sums.observed).sum(axis=1))

    def grade_cap(self) -> Grade:
        """A for a test, B for a natural experiment in some markets; C when a check fails."""
        failed = self.folds < ENOUGH_FOLDS or abs(self.spill) > SPILL_SD
        best = Grade.A if self.test.kind == "test" else Grade.B
        return Grade.C if failed else best


def p_value(draws: FloatArray) -> float:
    """Two-sided tail probability of no effect: twice the level of the quantile that stands at zero.

    `interval` takes the same interpolated quantiles, so p < .1 exactly when the 90 % interval excludes zero.
    """
    ordered = np.sort(draws)
    levels = np.linspace(0.0, 1.0, ordered.size)
    below, above = np.interp(0.0, ordered, levels), np.interp(0.0, -ordered[::-1], levels)
    return min(1.0, 2 * float(min(below, above)))


def interval(draws: FloatArray, coverage: float = 0.9) -> tuple[float, float]:
    """The central interval of draws, shape [draw]."""
    low, high = np.quantile(draws, ((1 - coverage) / 2, (1 + coverage) / 2))
    return float(low), float(high)


def verdict(draws: FloatArray, smallest: float, coverage: float = 0.9) -> Verdict:
    """Inside the range that does not matter, clear of zero, or neither, from the same interval."""
    low, high = interval(draws, coverage)
    if -smallest <= low and high <= smallest:
        return "practically_none"
    return "effect" if low > 0 or high < 0 else "cannot_tell"


def measure_in_markets(panel: Panel, events: Sequence[Event], test: MarketTest, *, seed: int) -> MarketEffect | Refusal:
    """Measure an event in some markets against the markets where it did not happen.

    The causal reading assumes that what the other markets tell about those markets did not change on that day for any
    other reason, and that they were not touched themselves: donors that broke in those days are dropped, and the move
    of the nearest ones is shown.

    Parameters
    ----------
    panel, events
        The case. Days of other events that took traffic from the treated markets are masked; donors lose the days of
        their own, and one with a lasting event is no donor.
    test
        Channel, markets with their days, horizons.
    seed
        Of draws and placebo sets.

    Returns
    -------
    MarketEffect
        Joint draws per channel and horizon, at least 4,096.
    Refusal
        `few_donors`, `short_history`, `window_not_over`, `not_in_markets` (the channel had no visit there) or
        `weak_donors` (the counterfactual is no better than last week's same weekday).
    """
    (found,) = measure_cells(panel, events, (test,), seed=seed)
    return found


def measure_cells(
    panel: Panel, events: Sequence[Event], tests: Sequence[MarketTest], *, seed: int
) -> tuple[MarketEffect | Refusal, ...]:
    """Measure several tests that run at once in different markets; no treated market serves as a donor of any.

    Draws of all of them are joint, so that cells can be compared. Parameters and refusals as in `measure_in_markets`.
    """
    taken = {name for test in tests for name in test.starts}
    prepared = [_prepare(panel, events, test, taken, seed) for test in tests]
    alive = [one for one in prepared if isinstance(one, _Prepared)]
    series = [one.series.series for test in alive for cohort in test.cohorts for one in cohort.measured]
    scores = joint_scores(shock_correlation(series), seed) if series else np.empty((0, 0))
    results: list[MarketEffect | Refusal] = []
    column = 0
    for one in prepared:
        if isinstance(one, Refusal):
            results.append(one)
            continue
        width = sum(len(cohort.measured) for cohort in one.cohorts)
        results.append(_effect(one, scores[:, column : column + width], seed))
        column += width
    return tuple(results)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One series of a cohort with its placebos."""

    values: MarketValues
    series: MarketSeries
    scores: Scores


@dataclass(frozen=True, slots=True)
class _Cohort:
    """Markets that share day 1: their series and windows; the shop's total beside them is a check."""

    windows: Windows
    measured: tuple[_Measured, ...]
    total: _Measured
    donors: tuple[str, ...]
    touched: tuple[str, ...]
    spill: float


@dataclass(frozen=True, slots=True)
class _Prepared:
    test: MarketTest
    cohorts: tuple[_Cohort, ...]
    left_out: tuple[str, ...]


def _prepare(
    panel: Panel, events: Sequence[Event], test: MarketTest, taken: set[str], seed: int
) -> _Prepared | Refusal:
    """Every cohort fitted and scored, or why the test cannot be measured."""
    step = 7 if panel.cadence == "weekly" else 1
    lengths = tuple(max(1, horizon // step) for horizon in test.horizons)
    cohorts: list[_Cohort] = []
    missing: set[str] = set()
    for start, markets in test.cohorts().items():
        first = panel.index_of(start)
        before = panel.index_of(min(test.announced or start, start))
        if first + max(lengths) > len(panel.dates):
            last = (start + timedelta(days=max(test.horizons) - 1)).isoformat()
            figures = {"horizon": str(max(test.horizons)), "needed": last, "last": panel.last.isoformat()}
            return Refusal("window_not_over", figures, ("wait_for_data",))
        windows = Windows(before, first - before, lengths)
        found = _cohort(panel, events, test, markets, start, windows, taken, seed)
        if isinstance(found, Refusal):
            return found
        cohort, left_out = found
        cohorts.append(cohort)
        missing |= left_out
    keep = tuple(name for name in panel.channels if name not in missing)
    trimmed = tuple(
        _Cohort(
            one.windows,
            tuple(item for item in one.measured if item.values.channel is None or item.values.channel in keep),
            one.total,
            one.donors,
            one.touched,
            one.spill,
        )
        for one in cohorts
    )
    return _Prepared(test, trimmed, tuple(name for name in panel.channels if name in missing))


def _cohort(
    panel: Panel,
    events: Sequence[Event],
    test: MarketTest,
    markets: tuple[str, ...],
    start: date,
    windows: Windows,
    taken: set[str],
    seed: int,
) -> tuple[_Cohort, set[str]] | Refusal:
    """One cohort, and the channels that too few other markets have."""
    candidates, holes = _candidates(panel, events, start, windows, taken)
    if len(candidates) < FEWEST_DONORS:
        figures = {"donors": str(len(candidates)), "wanted": str(FEWEST_DONORS)}
        return Refusal("few_donors", figures, ("more_markets", "ask_impact"))
    made: dict[tuple[Metric, str | None], MarketValues | None] = {
        key: _values(panel, events, key, markets, candidates, holes, start, test.channel, windows)
        for key in _keys(panel)
    }
    own, total = made["visits", test.channel], made["visits", None]
    if own is None or total is None:
        return Refusal("not_in_markets", {"channel": test.channel, "wanted": str(FEWEST_DONORS)}, ("more_markets",))
    days = int(own.training(windows.before, LONGEST_HISTORY).sum())
    if days < FEWEST_DAYS:
        return Refusal("short_history", {"days": str(days), "wanted": str(FEWEST_DAYS)}, ("more_history",))
    touched, spill = _touched((own, total) if len(panel.channels) > 1 else (own,), windows)
    measured: list[_Measured] = []
    left_out: set[str] = set()
    direct: _Measured | None = None
    for key, values in made.items():
        fewer = None if values is None else values.without(touched)
        if fewer is None or len(fewer.names) < FEWEST_DONORS:
            if key[1] is not None:
                left_out.add(key[1])
            continue
        one = _measure(fewer, len(markets), windows, seed)
        if one is None:
            if key[1] is not None:
                left_out.add(key[1])
        elif key == ("visits", None):
            direct = one
        else:
            measured.append(one)
    if test.channel in left_out or direct is None:
        figures = {"donors": str(len(own.without(touched).names)), "wanted": str(FEWEST_DONORS)}
        return Refusal("few_donors", figures, ("more_markets", "ask_impact"))
    if direct.scores.error > direct.scores.naive:
        ratio = f"{direct.scores.error / direct.scores.naive:.2f}"
        return Refusal("weak_donors", {"ratio": ratio}, ("more_markets", "ask_impact"))
    cohort = _Cohort(windows, tuple(measured), direct, direct.values.names, touched, spill)
    return cohort, left_out


def _keys(panel: Panel) -> list[tuple[Metric, str | None]]:
    """Every series that is measured: channels' visits, their total, and the shop's other metrics."""
    keys: list[tuple[Metric, str | None]] = [("visits", channel) for channel in panel.channels]
    keys.append(("visits", None))
    return keys + [
        (metric, None)
        for metric in COUNTED
        if metric != "visits" and (metric in panel.values or metric in panel.totals)
    ]


def _candidates(
    panel: Panel, events: Sequence[Event], start: date, windows: Windows, taken: set[str]
) -> tuple[tuple[str, ...], dict[str, NDArray[np.bool_]]]:
    """Markets that nothing happened to in those days, and the days of each that are not days of the open world."""
    step = 7 if panel.cadence == "weekly" else 1
    first = start - timedelta(days=windows.lead * step)
    last = start + timedelta(days=max(windows.lengths) * step - 1)
    earliest = panel.first + timedelta(days=max(0, windows.before - LONGEST_HISTORY) * step)
    holes = {name: np.zeros(len(panel.dates), dtype=bool) for name in panel.markets}
    out = set(taken)
    for event in events:
        if event.market not in holes or event.kind not in (*DISTURBING, "measurement_break", "opening", "move"):
            continue
        ends = event.end + timedelta(days=REBOUND_DAYS)
        lasting = is_lasting(event) or event.kind not in DISTURBING
        if event.start <= last and (ends >= first or (lasting and event.start >= earliest)):
            out.add(event.market)
        if not lasting:
            a, b = panel.index_of(event.start), panel.index_of(ends)
            holes[event.market][max(a, 0) : max(b + 1, 0)] = True
    return tuple(name for name in panel.markets if name not in out), holes


def _values(
    panel: Panel,
    events: Sequence[Event],
    key: tuple[Metric, str | None],
    markets: tuple[str, ...],
    candidates: tuple[str, ...],
    holes: Mapping[str, NDArray[np.bool_]],
    start: date,
    subject: str,
    windows: Windows,
) -> MarketValues | None:
    """One metric of one channel in the treated markets and the donors; None when the markets or donors lack it."""
    metric, channel = key
    treated = _raw(panel, metric, channel, markets)
    first = windows.before + windows.lead
    if channel == subject and not np.isfinite(treated[first:]).any():
        treated[first:] = 0.0  # a channel without any row while it is out had no visit
    ends = first + max(windows.lengths)
    near = slice(max(0, windows.before - LONGEST_HISTORY), ends)
    if not (np.nan_to_num(treated[near.start : windows.before]) > 0).any():
        return None
    columns, names = [], []
    for name in candidates:
        own = _raw(panel, metric, channel, (name,))
        own[holes[name]] = np.nan
        here, late = own[near], own[first:ends]
        if np.isnan(here).mean() <= MOST_MISSING and np.isnan(late).mean() <= MOST_MISSING and np.nansum(here) > 0:
            columns.append(own)
            names.append(name)
    if len(names) < FEWEST_DONORS:
        return None
    mine = [event for event in events if event.market is None or event.market in markets]
    market = markets[0] if len(markets) == 1 else None
    design = build_design(panel.dates, mine, channel, market=market, cadence=panel.cadence, subject=(subject, start))
    donors = np.column_stack(columns)
    donors[near] = _filled(donors[near])
    known = treated[near][np.isfinite(treated[near])]
    before = treated[near.start : windows.before]
    positive = bool((before[np.isfinite(before)] > 0).all() and (donors[near] > 0).all() and known.size)
    return MarketValues(metric, channel, treated, donors, tuple(names), design, positive)


def _raw(panel: Panel, metric: Metric, channel: str | None, markets: Sequence[str]) -> FloatArray:
    """Sum over some markets, and over all channels when none is named, shape [day]; nan where not measured."""
    if metric not in panel.values:
        places = [panel.markets.index(name) for name in markets]
        return np.array(panel.totals[metric][:, places].sum(axis=1))
    summed = panel.sum_of(metric, markets)
    if channel is not None:
        return np.array(summed[:, panel.channel_index(channel)])
    there = np.isfinite(summed).any(axis=0)
    return np.array(summed[:, there].sum(axis=1)) if there.any() else np.full(len(panel.dates), np.nan)


def _filled(donors: FloatArray) -> FloatArray:
    """Donors with holes filled by their own mean times what the measured donors did that day, shape [day, donor]."""
    mean = np.nanmean(donors, axis=0)
    relative = donors / mean
    day = np.nanmean(relative, axis=1, keepdims=True) if np.isfinite(relative).any(axis=1).all() else np.ones((1, 1))
    return np.where(np.isfinite(donors), donors, mean * day)


def _touched(values: Sequence[MarketValues], windows: Windows) -> tuple[tuple[str, ...], float]:
    """Donors that broke in the test's days against the other donors, and the move of the nearest ones that stay."""
    moves: dict[str, float] = {}
    spill = 0.0
    for one in values:
        singles = tuple((at,) for at in range(len(one.names)))
        fitted = fit_with_placebos(one, singles, windows.before, LONGEST_HISTORY)
        if fitted is None:
            continue
        scores = score_placebos(one, fitted, singles, windows, LONGEST_HISTORY, earlier=False)
        factor = float(pool_scores((scores,), 1.0).widen(np.array([float(max(windows.lengths))]))[0])
        own = scores.own / factor
        for name, move in zip(one.names, own.tolist(), strict=True):
            moves[name] = max(moves.get(name, 0.0), abs(move))
        near = _nearest(one, windows.before)
        limit = float(ndtri(1 - TOUCHED_LEVEL / (2 * len(one.names))))
        near = [at for at in near if abs(own[at]) <= limit][:NEAREST]
        mean = float(own[near].sum() / np.sqrt(len(near))) if near else 0.0
        spill = mean if abs(mean) > abs(spill) else spill
    limit = float(ndtri(1 - TOUCHED_LEVEL / (2 * max(1, len(moves)))))
    return tuple(sorted(name for name, move in moves.items() if move > limit)), spill


def _nearest(values: MarketValues, before: int) -> list[int]:
    """Donors by how closely their daily changes go with those of the treated markets beyond the common ones."""
    days = values.training(before, LONGEST_HISTORY)
    raw = np.column_stack([values.treated, values.donors])[days]
    relative = raw / raw.mean(axis=0)
    own = np.diff(relative - relative[:, 1:].mean(axis=1, keepdims=True), axis=0)
    spread = own.std(axis=0)
    correlation = (own[:, :1] * own[:, 1:]).mean(axis=0) / np.maximum(spread[0] * spread[1:], 1e-300)
    return [int(at) for at in np.argsort(-correlation, kind="stable")]


def _measure(values: MarketValues, size: int, windows: Windows, seed: int) -> _Measured | None:
    """The treated sum's series, and its placebos."""
    sets = placebo_sets(len(values.names), size, seed)
    fitted = fit_with_placebos(values, sets, windows.before, LONGEST_HISTORY)
    if fitted is None:
        return None
    return _Measured(values, fitted.treated, score_placebos(values, fitted, sets, windows, LONGEST_HISTORY))


def _effect(prepared: _Prepared, scores: FloatArray, seed: int) -> MarketEffect:
    """Joint draws of every channel and total, summed over cohorts by the days since day 1."""
    test, cohorts = prepared.test, prepared.cohorts
    spreads = _spreads(cohorts)
    lengths = np.array(cohorts[0].windows.lengths, dtype=float)
    draws: dict[tuple[Metric, str | None], FloatArray] = {}
    came: dict[tuple[Metric, str | None], FloatArray] = {}
    widen = {metric: spread.draws(lengths, scores.shape[0], seed) for metric, spread in spreads.items()}
    column = 0
    for cohort in cohorts:
        for one in cohort.measured:
            key = (one.values.metric, one.values.channel)
            opened, observed = _sums(one, cohort.windows, scores[:, column : column + 1], widen[key[0]])
            draws[key] = draws[key] + opened if key in draws else opened
            came[key] = came[key] + observed if key in came else observed
            column += 1
    channels = tuple(channel for metric, channel in draws if metric == "visits" and channel is not None)
    visits = MetricSums(
        channels,
        np.stack([draws["visits", channel] for channel in channels], axis=1),
        np.stack([came["visits", channel] for channel in channels]),
    )
    totals = {
        metric: MetricSums((None,), found[:, None, :], came[metric, None][None, :])
        for (metric, channel), found in draws.items()
        if channel is None
    }
    factor = spreads["visits"].widen(lengths)
    direct = np.zeros((lengths.size, 3))
    for cohort in cohorts:
        direct += _sums(cohort.total, cohort.windows, np.array([[-1.96], [0.0], [1.96]]), factor)[0].T
    total = [cohort.total.scores for cohort in cohorts]
    return MarketEffect(
        test=test,
        visits=visits,
        totals=totals,
        donors=tuple(sorted({name for cohort in cohorts for name in cohort.donors})),
        touched=tuple(sorted({name for cohort in cohorts for name in cohort.touched})),
        left_out=prepared.left_out,
        factor=factor,
        folds=spreads["visits"].folds,
        held_out=spreads["visits"].held_out,
        rank=_rank(visits, total, float(factor[-1])),
        skill=1.0 - float(np.mean([one.error for one in total]) / np.mean([one.naive for one in total])),
        spill=max((cohort.spill for cohort in cohorts), key=abs),
        direct_total=direct,
        training_days=min(
            int(cohort.total.values.training(cohort.windows.before, LONGEST_HISTORY).sum()) for cohort in cohorts
        ),
    )


def _spreads(cohorts: Sequence[_Cohort]) -> dict[Metric, Spread]:
    """One factor per metric, pooled over channels and cohorts as far as they are independent."""
    found: dict[Metric, Spread] = {}
    for metric in dict.fromkeys(one.values.metric for cohort in cohorts for one in cohort.measured):
        group = [one for cohort in cohorts for one in cohort.measured if one.values.metric == metric]
        correlation = shock_correlation([one.series.series for one in group])
        independent = len(group) ** 2 / float((correlation**2).sum())
        found[metric] = pool_scores([one.scores for one in group], independent)
    return found


def _sums(one: _Measured, windows: Windows, z: FloatArray, widen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Open sums at normal scores, [draw, horizon], and what came on the measured days, [horizon]."""
    days, weights = windows.at(windows.before)
    values = one.values.treated[days]
    seen = weights * np.isfinite(values)
    return one.series.sums(days, seen).at_normal(z, widen), np.asarray(seen @ np.nan_to_num(values))


def _rank(visits: MetricSums, scores: Sequence[Scores], factor: float) -> float:
    """Share of placebo sets, the treated one among them, that moved at least as much in their own sd."""
    net = visits.observed[:, -1].sum() - visits.open_draws[:, :, -1].sum(axis=1)
    own = abs(float(net.mean())) / max(float(net.std()), 1e-300) * factor
    others = np.concatenate([np.abs(one.own) for one in scores])
    return float((1 + (others >= own).sum()) / (1 + others.size))
