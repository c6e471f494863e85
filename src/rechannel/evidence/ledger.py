"""The ledger: every past outage, closure, demotion and test in `events`, measured from both sides and banked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.baseline import Baseline, all_others, fit_baseline, padded, sum_of, untouched_markets
from rechannel.evidence.channel import ChannelSeries, Scale, scout_channel
from rechannel.evidence.design import DISTURBING, REBOUND_DAYS, is_lasting
from rechannel.evidence.finding import Finding
from rechannel.evidence.geotest import MarketTest, measure_in_markets
from rechannel.evidence.joint import gap_correlation
from rechannel.evidence.marketvalues import between
from rechannel.evidence.series import fit_series, trimmed
from rechannel.tables.calendar import Event, announced
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, Metric
from rechannel.vocabulary.estimate import FloatArray, Refusal
from rechannel.vocabulary.grade import Grade

LONGEST_MEASURED = 28
"""Days of a long event that are measured from both sides; later days drift too far from the open world."""
SHORTEST_FOR_B = 3
CLEAR_SD = 3.0
FLAT_PRIOR = 1e-8
WIDE_SD = 10.0
"""Prior sd of the log change of yields: flat for every purpose."""
EARLIEST = 14
"""Days of history before an event without which it is not measured."""
YIELD_DAYS = 56
"""Open days before an event from which usual yields are read."""
LEVEL_DAYS, MOST_RECOUNTED = 28, 20.0
"""Days whose mean is the level before a measurement break, and how little of it may be left after one."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Rows of `events` that are one event: the same channel, kind and days in one or several markets.

    Attributes
    ----------
    event
        The first of the rows.
    markets
        Where it was; empty = everywhere.
    notice
        Days between announcement and start; 0 without one.
    """

    event: Event
    markets: tuple[str, ...]
    notice: int


@dataclass(frozen=True, slots=True)
class EventDays:
    """Day numbers of one incident: measured days, rebound days, days hidden from the open path."""

    measured: NDArray[np.int64]
    rebound: NDArray[np.int64]
    hidden: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OpenSums:
    """Sums of the open path over the days of one event and over its rebound days, one series."""

    open_sum: FloatArray
    covariance: FloatArray

    def times(self, factor: float) -> OpenSums:
        """The same sums in another unit."""
        return OpenSums(self.open_sum * factor, self.covariance * factor**2)


@dataclass(frozen=True, slots=True)
class Recount:
    """How the visits of an event would be counted by the rules of today, over how they were counted.

    Attributes
    ----------
    factor, variance
        Of every channel, and the variance of its log, shape [channel].
    """

    factor: FloatArray
    variance: FloatArray

    @classmethod
    def of(cls, baseline: Baseline, names: Sequence[str], last: int) -> Recount:
        """From the measurement breaks that the series met after day number `last`."""
        by_name = {str(one.channel): one for one in baseline.series}
        told = [_recounted(by_name[name], last) if name in by_name else (0.0, 0.0) for name in names]
        return cls(np.exp([mean for mean, _ in told]), np.array([variance for _, variance in told]))

    def of_own(self, closed: int, visits: FloatArray) -> float:
        """Of one channel over that of all others together, given their visits counted anew, shape [channel]."""
        others = np.arange(visits.size) != closed
        now, once = float(visits[others].sum()), float((visits / self.factor)[others].sum())
        return float(self.factor[closed]) / (now / once if once > 0 and now > 0 else 1.0)


def _recounted(one: ChannelSeries, last: int) -> tuple[float, float]:
    """Mean and variance of the log factor between the counting of day number `last` and today's."""
    days, fit, mean, variance = one.days, one.fit, 0.0, 0.0
    for day, column in one.design.recounts:
        known = (days < day) & (days >= day - LEVEL_DAYS // one.design.step)
        if not last < day <= days[-1] or not known.any():
            continue
        step = fit.coefficients[:, column]
        spread = fit.rate * fit.df / (fit.df - 2) * (fit.factor[:, column, :] ** 2).sum(axis=1)
        size = float(fit.weight @ step)
        error = float(fit.weight @ (spread + (step - size) ** 2))
        if not one.is_log:
            level = float(one.y[known].mean())
            after = max(level + size, level / MOST_RECOUNTED)
            if level <= 0:
                continue
            size, error = float(np.log(after / level)), error / after**2
        mean, variance = mean + size, variance + error
    return mean, variance


def incidents(panel: Panel, events: Sequence[Event], before: int, market: str | None = None) -> tuple[Incident, ...]:
    """Past events that took traffic from one channel, by first day; rows of several markets are joined."""
    groups: dict[tuple[object, ...], list[Event]] = {}
    for event in events:
        if event.kind not in DISTURBING or event.channel not in panel.channels:
            continue
        if event.market is not None and (event.market not in panel.markets or market not in (None, event.market)):
            continue
        if EARLIEST <= panel.index_of(event.start) < before:
            groups.setdefault((event.start, event.kind, event.channel, event.end), []).append(event)
    found = []
    for rows in groups.values():
        everywhere = any(row.market is None for row in rows) or market is not None
        named = () if everywhere else tuple(sorted({row.market for row in rows if row.market is not None}))
        markets = () if set(named) == set(panel.markets) else named
        found.append(Incident(rows[0], markets, _notice(rows[0], events)))
    return tuple(found)


def bank(
    panel: Panel, events: Sequence[Event], baseline: Baseline, *, market: str | None = None
) -> tuple[Finding, ...]:
    """Measure every past event of a channel that took traffic away.

    The open path of the event's days is what the series say from both sides of it; the event's own days and the
    rebound after it are masked in the series that they enter. An event that does not end has no other side: what comes
    after it is not the open world, and the days before it speak alone. An event confined to some markets is measured
    there, with the same channel in the other markets as control.

    Parameters
    ----------
    panel, events
        The case.
    baseline
        Visits of every channel (of one market, when `market` is given), fitted up to the day before which events count.
    market
        One market, or None for all.
    """
    findings = []
    confined: dict[tuple[str, ...], Baseline] = {}
    for incident in incidents(panel, events, baseline.before, market):
        finding = _against_markets(panel, events, incident, baseline) if incident.markets else None
        if finding is not None:
            findings.append(finding)
            continue
        series = baseline
        where: tuple[str, ...] | None = None if market is None else (market,)
        controls: tuple[str, ...] = ()
        if incident.markets:
            where = incident.markets
            controls = untouched_markets(panel, events, incident.event.start, incident.event.end)
        if is_lasting(incident.event):
            series = _only_before(panel, events, incident, where, controls)
        elif incident.markets:
            if incident.markets not in confined:
                confined[incident.markets] = fit_baseline(
                    panel, events, baseline.before, markets=where, controls=controls
                )
            series = confined[incident.markets]
        finding = _measure(panel, incident, series, where, baseline)
        if finding is not None:
            findings.append(finding)
    return tuple(findings)


def _against_markets(panel: Panel, events: Sequence[Event], incident: Incident, baseline: Baseline) -> Finding | None:
    """An event confined to some markets, measured against the others; None when these cannot tell."""
    event, before = incident.event, baseline.before
    assert event.channel is not None
    step = panel.step
    days = _days_of(panel, incident, before)
    length = int(days.measured.size) * step
    told = event.start - timedelta(days=incident.notice) if incident.notice else None
    lasts = is_lasting(event) or panel.index_of(event.end) >= before
    starts = dict.fromkeys(incident.markets, event.start)
    test = MarketTest(event.channel, starts, (length,), None if lasts else event.days, told, event.kind)
    effect = measure_in_markets(between(panel, 0, before), events, test, seed=0, metrics=("visits",))
    if isinstance(effect, Refusal):
        return None
    names = tuple(str(channel) for channel in effect.visits.channels)
    closed = names.index(event.channel)
    draws = effect.gains()[:, :, 0]
    anew = Recount.of(baseline, names, int(days.measured[-1]))
    draws = draws * anew.factor
    gains = draws.mean(axis=0)
    covariance = np.cov(draws.T).reshape(len(names), len(names)) + np.diag(gains**2 * anew.variance)
    rebound, variance, together = 0.0, float("inf"), np.zeros(len(names))
    if effect.rebound is not None:
        late = (effect.rebound.observed - effect.rebound.open_draws)[:, :, 0] @ anew.factor
        rebound, variance = float(late.mean()), float(late.var())
        together = ((draws - gains) * (late - late.mean())[:, None]).mean(axis=0)
    removed = -float(gains[closed])
    clear = removed > CLEAR_SD * float(np.sqrt(covariance[closed, closed])) and removed > 0
    middle = np.median(effect.visits.open_draws[:, :, 0], axis=0) * anew.factor
    own = anew.of_own(closed, middle)
    change, spread, usual = _yields(panel, event, days, baseline, incident.markets, before, own)
    return _finding(
        panel,
        incident,
        days,
        names,
        gains=gains,
        covariance=covariance,
        rebound=(rebound, variance, together),
        open_sum=middle,
        yields=(change, spread, usual),
        best=effect.grade_cap(),
        clear=bool(clear),
    )


def _only_before(
    panel: Panel,
    events: Sequence[Event],
    incident: Incident,
    markets: tuple[str, ...] | None,
    controls: tuple[str, ...],
) -> Baseline:
    """The open world as seen on the eve of a lasting event, or of its announcement, without the step it left behind."""
    event = incident.event
    assert event.channel is not None
    eve = max(0, panel.index_of(event.start - timedelta(days=incident.notice)))
    subject = (event.channel, event.start)
    return fit_baseline(panel, events, eve, markets=markets, controls=controls, subject=subject)


def _notice(event: Event, events: Sequence[Event]) -> int:
    """Days of notice; 0 without an announcement."""
    told = announced(events, event.channel or "", event.start)
    return 0 if told is None else (event.start - told).days


def _days_of(panel: Panel, incident: Incident, before: int) -> EventDays:
    event = incident.event
    first = panel.index_of(event.start)
    lasting = is_lasting(event)
    last = before - 1 if lasting else panel.index_of(event.end)
    step = panel.step
    last = min(last, first + LONGEST_MEASURED // step - 1, before - 1)
    after = REBOUND_DAYS if panel.cadence == "daily" else 1
    rebound = np.empty(0, dtype=np.int64)
    if not lasting and panel.index_of(event.end) == last and last + after < before:
        rebound = np.arange(last + 1, last + 1 + after)
    shown = before if lasting else (int(rebound[-1]) if rebound.size else last) + 1
    told = panel.index_of(event.start - timedelta(days=incident.notice))
    hidden = np.arange(max(0, told), shown)
    return EventDays(np.arange(first, last + 1), rebound, hidden)


def _measure(
    panel: Panel,
    incident: Incident,
    baseline: Baseline,
    markets: tuple[str, ...] | None,
    today: Baseline,
) -> Finding | None:
    """One event, or None when its days cannot be measured, in visits as `today` counts them.

    Nothing from the day on at which `today` stands is used.
    """
    event, days = incident.event, _days_of(panel, incident, today.before)
    if event.channel is None or event.channel not in baseline.channels:
        return None
    # a channel that was not there yet, or not any more, gained nothing and lost nothing
    there = [
        at
        for at, one in enumerate(baseline.series)
        if one.channel == event.channel or np.isfinite(one.values[days.measured]).any()
    ]
    series = [baseline.series[at] for at in there]
    names = tuple(str(one.channel) for one in series)
    closed = names.index(event.channel)
    anew = Recount.of(today, names, int(days.measured[-1]))
    sums = [
        both_sides(one, days, today.before).times(factor)
        for one, factor in zip(series, anew.factor.tolist(), strict=True)
    ]
    observed = np.array([np.nansum(one.values[days.measured]) for one in series]) * anew.factor
    open_sum = np.array([item.open_sum[0] for item in sums])
    sd = np.sqrt(np.array([item.covariance[0, 0] for item in sums]))
    gains = observed - open_sum
    removed = -float(gains[closed])
    rebound, rebound_variance, rebound_covariance = 0.0, float("inf"), np.zeros(len(names))
    correlation = baseline.correlation[np.ix_(there, there)]
    if days.rebound.size:
        hidden, first = days.hidden.size, int(days.measured[0] - days.hidden[0])
        correlation = gap_correlation(series, hidden, slice(first, first + days.measured.size))
        late_correlation = gap_correlation(series, hidden, slice(hidden - days.rebound.size, hidden))
        late = np.array([np.nansum(one.values[days.rebound]) for one in series]) * anew.factor
        late = late - np.array([item.open_sum[1] for item in sums])
        late_sd = np.sqrt(np.array([item.covariance[1, 1] for item in sums]))
        cross = np.array([item.covariance[0, 1] for item in sums])
        coupling = np.divide(cross, sd * late_sd, out=np.zeros_like(cross), where=sd * late_sd > 0)
        rebound = float(late.sum())
        rebound_variance = float((late_correlation * np.outer(late_sd, late_sd)).sum())
        pair = np.sqrt(np.abs(np.outer(coupling, coupling))) * np.sign(coupling)[:, None]
        rebound_covariance = (correlation * pair * np.outer(sd, late_sd)).sum(axis=1)
    clear = removed > CLEAR_SD * sd[closed] and removed > 0
    change, variance, usual = _yields(
        panel, event, days, baseline, markets, today.before, anew.of_own(closed, open_sum)
    )
    return _finding(
        panel,
        incident,
        days,
        names,
        gains=gains,
        covariance=correlation * np.outer(sd, sd) + np.diag(gains**2 * anew.variance),
        rebound=(rebound, rebound_variance, rebound_covariance),
        open_sum=open_sum,
        yields=(change, variance, usual),
        best=Grade.A if event.kind == "test" else Grade.B,
        clear=bool(clear),
    )


def _finding(
    panel: Panel,
    incident: Incident,
    days: EventDays,
    names: tuple[str, ...],
    *,
    gains: FloatArray,
    covariance: FloatArray,
    rebound: tuple[float, float, FloatArray],
    open_sum: FloatArray,
    yields: tuple[dict[Metric, float], dict[Metric, float], dict[Metric, float]],
    best: Grade,
    clear: bool,
) -> Finding:
    """One measured event as the ledger keeps it; `best` is its grade where it was clear and long enough."""
    event = incident.event
    assert event.channel is not None
    closed = names.index(event.channel)
    step = panel.step
    strong = clear and (event.kind == "test" or event.days >= SHORTEST_FOR_B or is_lasting(event))
    change, variance, usual = yields
    return Finding(
        channel=event.channel,
        kind=event.kind,
        start=event.start,
        end=event.start + timedelta(days=(int(days.measured.size) - 1) * step),
        severity=event.severity if event.severity is not None else 1.0,
        notice_days=incident.notice,
        channels=names,
        gains=gains,
        gains_covariance=covariance,
        rebound=rebound[0],
        rebound_variance=rebound[1],
        rebound_covariance=rebound[2],
        removed=-float(gains[closed]),
        open_own=float(open_sum[closed]),
        open_rest=float(open_sum.sum() - open_sum[closed]),
        yield_change=change,
        yield_variance=variance,
        yield_of_rest=usual,
        grade_cap=best if strong else Grade.C,
        clear=clear,
        markets=incident.markets,
    )


def _yields(
    panel: Panel,
    event: Event,
    days: EventDays,
    baseline: Baseline,
    markets: tuple[str, ...] | None,
    before: int,
    recounted: float,
) -> tuple[dict[Metric, float], dict[Metric, float], dict[Metric, float]]:
    """What a visit to all other channels together yielded in the event's days: log change, variance, usual ratio.

    The series is the log yield of the others; the event's days share one coefficient with a flat prior. `recounted` is
    how the channel's visits are counted since, over how those of the others are.
    """
    change: dict[Metric, float] = {}
    variance: dict[Metric, float] = {}
    usual: dict[Metric, float] = {}
    channel = event.channel or ""
    own = panel.channel_index(channel)
    visits = sum_of(panel, "visits", markets)
    rest = all_others(visits, visits, own, before, panel.cadence)
    if rest is None:
        return change, variance, usual
    window = np.zeros(baseline.dates.size, dtype=bool)
    window[days.measured] = True
    usable = (baseline.shop.usable & ~np.isin(np.arange(window.size), days.hidden)) | window
    design = baseline.shop.with_column(window.astype(float), WIDE_SD, usable)
    for metric in COUNTED:
        if metric == "visits" or metric not in panel.values:
            continue
        amounts = sum_of(panel, metric, markets)
        others = all_others(amounts, visits, own, before, panel.cadence)
        if others is None:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where((rest > 0) & (others > 0), np.log(others / rest), np.nan)
        values = padded(ratio, window.size)
        near = usable & ~window & (np.arange(window.size) < days.measured[0])
        near[: max(0, int(days.measured[0]) - 2 * YIELD_DAYS // baseline.shop.step)] = False
        base = near[: rest.size]
        both = (amounts[base][:, own].sum(), visits[base][:, own].sum(), others[base].sum(), rest[base].sum())
        known = np.isfinite(values[:before]) & usable[:before]
        if (
            known.sum() < 4 * EARLIEST
            or not known[days.measured].any()
            or not np.isfinite(both).all()
            or min(both) <= 0
        ):
            continue
        fit = scout_channel(metric, None, np.exp(values), design, before, is_log=True).quick().fit
        shift = fit.coefficients[:, -1]
        spread = fit.rate * fit.df / (fit.df - 2) * (fit.factor[:, -1, :] ** 2).sum(axis=1)
        mean = float(fit.weight @ shift)
        change[metric] = mean
        variance[metric] = float(fit.weight @ (spread + (shift - mean) ** 2))
        usual[metric] = float(both[2] / both[3] / (both[0] / both[1])) * recounted
    return change, variance, usual


def both_sides(series: ChannelSeries, days: EventDays, before: int) -> OpenSums:
    """Open sums over the event's days and the rebound days, from the days before and after them.

    Each of the days gets a coefficient of its own with a flat prior: what it says about the open path is only its
    neighbours' word. The placeholder value of such a day cancels.
    """
    wanted = np.concatenate([days.measured, days.rebound])
    training = series.training.copy()
    training[days.hidden] = False
    training[wanted] = True
    training[before:] = False
    used = np.flatnonzero(training).astype(np.int64)
    raw = series.values
    known = series.training & np.isfinite(raw)
    near = np.flatnonzero(known)
    level = float(np.nanmean(raw[near[np.argsort(np.abs(near - int(wanted[0])))[:28]]]))
    y = np.where(np.isin(used, wanted), max(level, 1e-9), raw[used])
    scaled = np.log(np.maximum(y, 1e-9)) if series.is_log else y
    own_day = (used[:, None] == wanted[None, :]).astype(float)
    columns = np.concatenate([series.design.columns[used], own_day], axis=1)
    open_values = raw[near]
    scale = Scale.of(np.log(open_values) if series.is_log else open_values, series.is_log)
    precision = np.concatenate([scale.precision(series.design.prior_sd), np.full(wanted.size, FLAT_PRIOR)])
    mean = scale.mean(series.design)
    fit = fit_series(
        scaled,
        columns,
        used,
        precision,
        grid=trimmed(series.fit),
        scale_guess=scale.guess,
        spread=None if series.spread is None else series.spread[used],
        prior_mean=None if mean is None else np.concatenate([mean, np.zeros(wanted.size)]),
    )
    k = series.design.columns.shape[1]
    placeholder = scaled[np.isin(used, wanted)]
    location = placeholder[None, :] - fit.coefficients[:, k:]
    factor = fit.factor[:, k:, :]
    mean = fit.weight @ location
    offset = location - mean
    spread = fit.rate * fit.df / (fit.df - 2)
    covariance = np.einsum("p,pik,pjk->ij", fit.weight * spread, factor, factor)
    covariance += np.einsum("p,pi,pj->ij", fit.weight, offset, offset)
    n = days.measured.size
    windows = np.zeros((2 if days.rebound.size else 1, wanted.size))
    measured = np.isfinite(raw[wanted])
    # a channel without any row while it is out had no visit: its open path counts on every day
    windows[0, :n] = measured[:n] if measured[:n].any() else 1.0
    if days.rebound.size:
        windows[1, n:] = measured[n:]
    if not series.is_log:
        return OpenSums(windows @ mean, windows @ covariance @ windows.T)
    daily = np.exp(mean + 0.5 * np.diag(covariance))
    return OpenSums(windows @ daily, (windows * daily) @ covariance @ (windows * daily).T)
