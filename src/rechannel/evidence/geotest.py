"""What an event in some markets did there: measured against the other markets, jointly over channels and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from scipy.special import ndtri

from rechannel.evidence.donors import MarketSeries
from rechannel.evidence.joint import joint_scores, weekly_correlation
from rechannel.evidence.marketplacebo import (
    Scores,
    Spread,
    fit_with_placebos,
    placebo_sets,
    pool_scores,
    score_placebos,
)
from rechannel.evidence.marketvalues import (
    FEWEST_DONORS,
    LONGEST_HISTORY,
    MarketValues,
    Windows,
    between,
    candidates,
    keys_of,
    values_of,
    windows_of,
)
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, EventKind, Metric, Verdict
from rechannel.vocabulary.estimate import FloatArray, Refusal
from rechannel.vocabulary.grade import Grade

FEWEST_DAYS = 28
TOUCHED_LEVEL = 0.01
"""Chance that any untouched donor is taken for a touched one."""
NEAREST = 3
"""Donors whose path is most like the treated markets': where their visitors would go, if anywhere."""
SPILL_SD = 2.5
ENOUGH_FOLDS = 10.0
CLEARLY_WORSE = 1.2
"""The counterfactual is refused when its error is that many times last week's; few earlier dates compare them."""
SEED_STEP = 7919


@dataclass(frozen=True, slots=True)
class MetricSums:
    """Window sums of one metric over channels.

    Attributes
    ----------
    channels
        Channels that have the metric; `(None,)` when only the whole shop is known.
    open_draws
        Sum on the open path, shape [draw, channel, horizon].
    observed
        Sum that came, over the same days, shape [channel, horizon].
    """

    channels: tuple[str | None, ...]
    open_draws: FloatArray
    observed: FloatArray


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
        In days from day 1; all inside the data and inside the event.
    days
        How long it lasted in every market; None while it lasts. The open path of an event that is over is also learned
        from the days after it.
    announced
        Day on which it became known; None when never.
    kind
        test, or what happened by itself (outage, closure, demotion, ...).
    """

    channel: str
    starts: Mapping[str, date]
    horizons: tuple[int, ...]
    days: int | None = None
    announced: date | None = None
    kind: EventKind = "test"

    def cohorts(self) -> dict[date, tuple[str, ...]]:
        """Markets by day 1, the earliest first."""
        first = sorted(set(self.starts.values()))
        return {day: tuple(sorted(name for name, own in self.starts.items() if own == day)) for day in first}


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
    rebound
        The same as `visits` over the 7 days after the event, one horizon; None while it lasts or when they are missing.
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
    rebound: MetricSums | None
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


def measure_in_markets(
    panel: Panel, events: Sequence[Event], test: MarketTest, *, seed: int, metrics: Sequence[Metric] = COUNTED
) -> MarketEffect | Refusal:
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
    metrics
        What is measured beside visits.

    Returns
    -------
    MarketEffect
        Joint draws per channel and horizon, at least 4,096.
    Refusal
        `few_donors`, `short_history`, `window_not_over`, `not_in_markets` (the channel had no visit there) or
        `weak_donors` (the counterfactual is no better than last week's same weekday).
    """
    (found,) = measure_cells(panel, events, (test,), seed=seed, metrics=metrics)
    return found


def measure_cells(
    panel: Panel,
    events: Sequence[Event],
    tests: Sequence[MarketTest],
    *,
    seed: int,
    metrics: Sequence[Metric] = COUNTED,
) -> tuple[MarketEffect | Refusal, ...]:
    """Measure several tests that run at once in different markets; no treated market serves as a donor of any.

    Draws of all of them are joint, so that cells can be compared. Parameters and refusals as in `measure_in_markets`.
    """
    step = panel.step
    days = [panel.index_of(min(day, test.announced or day)) for test in tests for day in test.starts.values()]
    shown = between(panel, max(0, min(days, default=0) - LONGEST_HISTORY // step), len(panel.dates))
    taken = {name for test in tests for name in test.starts}
    prepared = [_prepare(shown, events, test, taken, seed, metrics) for test in tests]
    alive = [found for found in prepared if isinstance(found, _Prepared)]
    series = [(one, cohort.windows) for found in alive for cohort in found.cohorts for one in cohort.measured]
    scores = _scores(series, seed)
    results: list[MarketEffect | Refusal] = []
    column = 0
    for found in prepared:
        if isinstance(found, Refusal):
            results.append(found)
            continue
        width = sum(len(cohort.measured) for cohort in found.cohorts)
        results.append(_effect(found, scores[column : column + width], seed))
        column += width
    return tuple(results)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One series of a cohort with its placebos."""

    values: MarketValues
    series: MarketSeries
    shocks: FloatArray
    scores: Scores


@dataclass(frozen=True, slots=True)
class _Cohort:
    """Markets that share day 1: their series and windows; the shop's total beside them is a check."""

    windows: Windows
    measured: tuple[_Measured, ...]
    total: _Measured
    touched: tuple[str, ...]
    spill: float


@dataclass(frozen=True, slots=True)
class _Prepared:
    test: MarketTest
    cohorts: tuple[_Cohort, ...]
    left_out: tuple[str, ...]


def _prepare(
    panel: Panel,
    events: Sequence[Event],
    test: MarketTest,
    taken: set[str],
    seed: int,
    metrics: Sequence[Metric],
) -> _Prepared | Refusal:
    """Every cohort fitted and scored, or why the test cannot be measured."""
    cohorts: list[_Cohort] = []
    for start, markets in test.cohorts().items():
        end = None if test.days is None else start + timedelta(days=test.days - 1)
        windows = windows_of(panel, start, test.announced, end, test.horizons)
        if windows.before + windows.hidden > len(panel.dates):
            last = (start + timedelta(days=max(test.horizons) - 1)).isoformat()
            figures = {"horizon": str(max(test.horizons)), "needed": last, "last": panel.last.isoformat()}
            return Refusal("window_not_over", figures, ("wait_for_data",))
        found = _cohort(panel, events, test, markets, start, windows, taken, seed, metrics)
        if isinstance(found, Refusal):
            return found
        cohorts.append(found)
    common = set.intersection(*({one.values.key for one in cohort.measured} for cohort in cohorts))
    kept = []
    for cohort in cohorts:
        measured = tuple(one for one in cohort.measured if one.values.key in common)
        kept.append(replace(cohort, measured=measured))
    return _Prepared(test, tuple(kept), tuple(name for name in panel.channels if ("visits", name) not in common))


def _cohort(
    panel: Panel,
    events: Sequence[Event],
    test: MarketTest,
    markets: tuple[str, ...],
    start: date,
    windows: Windows,
    taken: set[str],
    seed: int,
    metrics: Sequence[Metric],
) -> _Cohort | Refusal:
    """One cohort with every series that enough other markets have."""
    donors, holes = candidates(panel, events, windows, taken)
    if len(donors) < FEWEST_DONORS:
        return _few(len(donors))
    subject = (test.channel, start)
    keys = keys_of(panel, metrics)
    made = {key: values_of(panel, events, key, markets, donors, holes, subject, windows) for key in keys}
    own, total = made["visits", test.channel], made["visits", None]
    if own is None or total is None:
        return Refusal("not_in_markets", {"channel": test.channel, "wanted": str(FEWEST_DONORS)}, ("more_markets",))
    days = int(own.training(windows.before, windows, windows.before).sum())
    if days < FEWEST_DAYS:
        return Refusal("short_history", {"days": str(days), "wanted": str(FEWEST_DAYS)}, ("more_history",))
    touched, spill = _touched((own, total) if len(panel.channels) > 1 else (own,), windows)
    measured: dict[tuple[Metric, str | None], _Measured] = {}
    for key, values in made.items():
        if key == ("visits", None) and len(panel.channels) == 1 and measured:
            measured[key] = measured["visits", test.channel]  # one channel is the whole shop
            continue
        one = None if values is None else _measure(values.without(touched), len(markets), windows, seed)
        if one is not None:
            measured[key] = one
    if ("visits", test.channel) not in measured or ("visits", None) not in measured:
        return _few(len(own.without(touched).names))
    direct = measured.pop(("visits", None))
    if direct.scores.error > CLEARLY_WORSE * direct.scores.naive:
        ratio = f"{direct.scores.error / direct.scores.naive:.2f}"
        return Refusal("weak_donors", {"ratio": ratio}, ("more_markets", "ask_impact"))
    return _Cohort(windows, tuple(measured.values()), direct, touched, spill)


def _few(donors: int) -> Refusal:
    return Refusal("few_donors", {"donors": str(donors), "wanted": str(FEWEST_DONORS)}, ("more_markets", "ask_impact"))


def _touched(values: Sequence[MarketValues], windows: Windows) -> tuple[tuple[str, ...], float]:
    """Donors that broke in the test's days against the other donors, and the move of the nearest ones that stay."""
    moves: dict[str, float] = {}
    spill = 0.0
    longest = np.array([float(max(windows.lengths))])
    for one in values:
        singles = placebo_sets(len(one.names), 1, 0, len(one.names))
        fitted = fit_with_placebos(one, singles, windows, windows.before, one.treated.size)
        if fitted is None or not singles:
            continue
        scores = score_placebos(one, fitted, singles, windows, earlier=False)
        own = np.empty(len(one.names))
        own[[at for (at,) in singles]] = scores.own / pool_scores((scores,), 1.0).widen(longest)
        for name, move in zip(one.names, own.tolist(), strict=True):
            moves[name] = max(moves.get(name, 0.0), abs(move))
        limit = float(ndtri(1 - TOUCHED_LEVEL / (2 * len(one.names))))
        near = [at for at in _nearest(one, windows) if abs(own[at]) <= limit][:NEAREST]
        mean = float(own[near].sum() / np.sqrt(len(near))) if near else 0.0
        spill = max(spill, mean, key=abs)
    limit = float(ndtri(1 - TOUCHED_LEVEL / (2 * max(1, len(moves)))))
    return tuple(sorted(name for name, move in moves.items() if move > limit)), spill


def _nearest(values: MarketValues, windows: Windows) -> list[int]:
    """Donors by how closely their daily changes go with those of the treated markets beyond the common ones."""
    days = values.training(windows.before, windows, windows.before)
    raw = np.column_stack([values.treated, values.donors])[days]
    relative = raw / raw.mean(axis=0)
    own = np.diff(relative - relative[:, 1:].mean(axis=1, keepdims=True), axis=0)
    spread = own.std(axis=0)
    correlation = (own[:, :1] * own[:, 1:]).mean(axis=0) / np.maximum(spread[0] * spread[1:], 1e-300)
    return [int(at) for at in np.argsort(-correlation, kind="stable")]


def _measure(values: MarketValues, size: int, windows: Windows, seed: int) -> _Measured | None:
    """The treated sum's series and its placebos; None with too few donors or days."""
    if len(values.names) < FEWEST_DONORS:
        return None
    sets = placebo_sets(len(values.names), size, seed)
    fitted = fit_with_placebos(values, sets, windows, windows.before, values.treated.size)
    if fitted is None:
        return None
    return _Measured(values, fitted.treated, fitted.shocks, score_placebos(values, fitted, sets, windows))


def _scores(series: Sequence[tuple[_Measured, Windows]], seed: int) -> list[FloatArray]:
    """Joint normal scores, one array [draw, window] per series: series as their shocks go together, windows as days."""
    if not series:
        return []
    correlation = weekly_correlation(np.array([one.shocks for one, _ in series]))
    count = max(len(windows.rows) for _, windows in series)
    free = np.stack([joint_scores(correlation, seed + SEED_STEP * window) for window in range(count)], axis=2)
    mixed = []
    for column, (one, windows) in enumerate(series):
        seen = windows.rows * np.isfinite(one.values.treated[windows.at(windows.before)])
        root = np.linalg.cholesky(one.series.correlation(seen) + 1e-9 * np.eye(len(seen)))
        mixed.append(free[:, column, : len(seen)] @ root.T)
    return mixed


def _effect(prepared: _Prepared, scores: Sequence[FloatArray], seed: int) -> MarketEffect:
    """Joint draws of every channel and total, summed over cohorts by the days since day 1."""
    test, cohorts = prepared.test, prepared.cohorts
    spreads = _spreads(cohorts)
    rows = min(len(cohort.windows.rows) for cohort in cohorts)  # the rebound counts when every cohort has it
    lengths = np.array([*cohorts[0].windows.lengths, cohorts[0].windows.week], dtype=float)[:rows]
    draws: dict[tuple[Metric, str | None], FloatArray] = {}
    came: dict[tuple[Metric, str | None], FloatArray] = {}
    widen = {metric: spread.draws(lengths, scores[0].shape[0], seed) for metric, spread in spreads.items()}
    measured = [(cohort.windows, one) for cohort in cohorts for one in cohort.measured]
    for column, (windows, one) in enumerate(measured):
        key = (one.values.metric, one.values.channel)
        opened, observed = _sums(one, windows, scores[column][:, :rows], widen[key[0]])
        draws[key] = draws[key] + opened if key in draws else opened
        came[key] = came[key] + observed if key in came else observed
    asked = len(test.horizons)
    channels = tuple(channel for metric, channel in draws if metric == "visits" and channel is not None)
    opened = np.stack([draws["visits", channel] for channel in channels], axis=1)
    observed = np.stack([came["visits", channel] for channel in channels])
    factor = spreads["visits"].widen(lengths[:asked])
    direct = np.zeros((asked, 3))
    for cohort in cohorts:
        at = np.array([[-1.96], [0.0], [1.96]])
        direct += _sums(cohort.total, cohort.windows, at, spreads["visits"].widen(lengths))[0].T[:asked]
    totals = [cohort.total.scores for cohort in cohorts]
    visits = MetricSums(channels, opened[:, :, :asked], observed[:, :asked])
    return MarketEffect(
        test=test,
        visits=visits,
        totals={
            metric: MetricSums((None,), found[:, None, :asked], came[metric, None][None, :asked])
            for (metric, channel), found in draws.items()
            if channel is None
        },
        rebound=MetricSums(channels, opened[:, :, asked:], observed[:, asked:]) if lengths.size > asked else None,
        donors=tuple(sorted({name for cohort in cohorts for name in cohort.total.values.names})),
        touched=tuple(sorted({name for cohort in cohorts for name in cohort.touched})),
        left_out=prepared.left_out,
        factor=factor,
        folds=spreads["visits"].folds,
        held_out=spreads["visits"].held_out,
        rank=_rank(visits, totals, float(factor[-1])),
        skill=1.0 - float(np.mean([one.error for one in totals]) / np.mean([one.naive for one in totals])),
        spill=max((cohort.spill for cohort in cohorts), key=abs),
        direct_total=direct,
        training_days=min(int(np.isfinite(cohort.total.shocks).sum()) for cohort in cohorts),
    )


def _spreads(cohorts: Sequence[_Cohort]) -> dict[Metric, Spread]:
    """One factor per metric, pooled over channels and cohorts as far as they are independent."""
    found: dict[Metric, Spread] = {}
    for metric in dict.fromkeys(one.values.metric for cohort in cohorts for one in cohort.measured):
        group = [one for cohort in cohorts for one in cohort.measured if one.values.metric == metric]
        correlation = weekly_correlation(np.array([one.shocks for one in group]))
        independent = len(group) ** 2 / float((correlation**2).sum())
        found[metric] = pool_scores([one.scores for one in group], independent)
    return found


def _sums(one: _Measured, windows: Windows, z: FloatArray, widen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Open sums at normal scores, [draw, window], and what came on the measured days, [window]."""
    values = one.values.treated[windows.at(windows.before)]
    seen = windows.rows[: widen.shape[-1]] * np.isfinite(values)
    return one.series.sums(seen).at_normal(z, widen), np.asarray(seen @ np.nan_to_num(values))


def _rank(visits: MetricSums, scores: Sequence[Scores], factor: float) -> float:
    """Share of placebo sets, the treated one among them, that moved at least as much in their own sd."""
    net = visits.observed[:, -1].sum() - visits.open_draws[:, :, -1].sum(axis=1)
    own = abs(float(net.mean())) / max(float(net.std()), 1e-300) * factor
    others = np.concatenate([np.abs(one.own) for one in scores])
    return float((1 + (others >= own).sum()) / (1 + others.size))
