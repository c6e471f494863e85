"""The ledger: every past outage, closure, demotion and test in `events`, measured from both sides and banked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import DISTURBING, LONGEST_TEMPORARY, REBOUND_DAYS, build_design
from rechannel.evidence.finding import Finding
from rechannel.evidence.joint import ChannelSeries, fit_channel, innovation_guess, shock_correlation
from rechannel.evidence.series import fit_series, trimmed
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.vocabulary.grade import Grade

LONGEST_MEASURED = 28
"""Days of a long event that are measured from both sides; later days drift too far from the open world."""
SHORTEST_FOR_B = 3
CLEAR_SD = 3.0
FLAT_PRIOR = 1e-8


@dataclass(frozen=True, slots=True)
class Baseline:
    """Every series of the case fitted on its open days, with the correlation of their shocks.

    Attributes
    ----------
    series
        Metric -> fitted channels (only channels with enough history).
    correlation
        Of visits series, shape [channel, channel].
    before
        First day number that the fits do not use.
    """

    series: Mapping[Metric, tuple[ChannelSeries, ...]]
    correlation: FloatArray
    before: int


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of the open path over the days of one event and over its rebound days, one series."""

    open_sum: FloatArray
    covariance: FloatArray


def fit_baseline(
    panel: Panel,
    events: Sequence[Event],
    before: int,
    *,
    market: str | None = None,
    subject: tuple[str, date] | None = None,
    metrics: Sequence[Metric] = COUNTED,
) -> Baseline:
    """Fit every channel and metric up to day number `before`; days of past events are masked."""
    fitted: dict[Metric, tuple[ChannelSeries, ...]] = {}
    designs = {
        channel: build_design(panel.dates, events, channel, market=market, cadence=panel.cadence, subject=subject)
        for channel in panel.channels
    }
    for metric in metrics:
        if metric not in panel.values:
            continue
        values = panel.over_markets(metric, market)
        group = []
        for index, channel in enumerate(panel.channels):
            design = designs[channel]
            measured = np.isfinite(values[:before, index]) & design.usable[:before]
            if measured.sum() >= 21 and np.nan_to_num(values[:before, index]).any():
                group.append(fit_channel(metric, channel, values[:, index], design, before))
        if group:
            fitted[metric] = tuple(group)
    return Baseline(fitted, shock_correlation(fitted["visits"]) if "visits" in fitted else np.eye(0), before)


def bank(
    panel: Panel, events: Sequence[Event], baseline: Baseline, *, market: str | None = None
) -> tuple[Finding, ...]:
    """Measure every past event of a channel that took traffic away.

    The open path of the event's days is what the series say from both sides of it; the event's own days and the
    rebound after it are masked in the series that they enter.
    """
    findings = []
    announcements = [event for event in events if event.kind == "announcement"]
    for event in events:
        if event.kind not in DISTURBING or event.channel is None or event.channel not in panel.channels:
            continue
        if event.market is not None and market is not None and event.market != market:
            continue
        first = panel.index_of(event.start)
        if first < 14 or first >= baseline.before:
            continue
        finding = _measure(panel, event, first, baseline, _notice(event, announcements))
        if finding is not None:
            findings.append(finding)
    return tuple(findings)


def _notice(event: Event, announcements: Sequence[Event]) -> int:
    """Days of notice: the latest announcement about this channel in the 90 days before the event."""
    days = [
        (event.start - told.start).days
        for told in announcements
        if told.touches(event.channel or "") and 0 < (event.start - told.start).days <= 90
    ]
    return min(days) if days else 0


def _measure(panel: Panel, event: Event, first: int, baseline: Baseline, notice: int) -> Finding | None:
    """One event, or None when its days cannot be measured."""
    lasting = event.kind in ("closure", "demotion") and (event.days == 1 or event.days > LONGEST_TEMPORARY)
    last = baseline.before - 1 if lasting else panel.index_of(event.end)
    last = min(last, first + LONGEST_MEASURED - 1, baseline.before - 1)
    days = np.arange(first, last + 1)
    rebound = np.empty(0, dtype=np.int64)
    if not lasting and panel.index_of(event.end) == last:
        rebound = np.arange(last + 1, min(last + 1 + REBOUND_DAYS, baseline.before))
    if rebound.size < REBOUND_DAYS:
        rebound = np.empty(0, dtype=np.int64)
    from_announcement = max(0, first - notice) if notice else first
    masked = np.arange(from_announcement, (rebound[-1] if rebound.size else last) + 1)

    visits = baseline.series["visits"]
    names = tuple(str(one.channel) for one in visits)
    if event.channel not in names:
        return None
    sums = [_both_sides(one, days, rebound, masked, baseline.before) for one in visits]
    observed = np.array([np.nansum(one.values[days]) for one in visits])
    if not np.isfinite(visits[names.index(event.channel)].values[days]).any():
        observed[names.index(event.channel)] = 0.0
    open_sum = np.array([item.open_sum[0] for item in sums])
    sd = np.sqrt(np.array([item.covariance[0, 0] for item in sums]))
    gains = observed - open_sum
    covariance = baseline.correlation * np.outer(sd, sd)
    closed = names.index(event.channel)
    removed = -float(gains[closed])
    rebound_sum, rebound_variance = 0.0, float("inf")
    rebound_covariance = np.zeros(len(names))
    if rebound.size:
        late = np.array(
            [np.nansum(one.values[rebound]) - item.open_sum[1] for one, item in zip(visits, sums, strict=True)]
        )
        late_sd = np.sqrt(np.array([item.covariance[1, 1] for item in sums]))
        cross = np.array([item.covariance[0, 1] for item in sums])
        coupling = np.divide(cross, sd * late_sd, out=np.zeros_like(cross), where=sd * late_sd > 0)
        rebound_sum = float(late.sum())
        rebound_variance = float((baseline.correlation * np.outer(late_sd, late_sd)).sum())
        pair = np.sqrt(np.abs(np.outer(coupling, coupling))) * np.sign(coupling)[:, None]
        rebound_covariance = (baseline.correlation * pair * np.outer(sd, late_sd)).sum(axis=1)
    severity = event.severity if event.severity is not None else 1.0
    clear = removed > CLEAR_SD * sd[closed] and removed > 0
    metric_gains, metric_variance, metric_removed = _other_metrics(event.channel, days, rebound, masked, baseline)
    strong = (event.kind == "test" or event.days >= SHORTEST_FOR_B or lasting) and clear
    cap = (Grade.A if event.kind == "test" else Grade.B) if strong else Grade.C
    return Finding(
        channel=event.channel,
        kind=event.kind,
        start=event.start,
        end=event.start + timedelta(days=int(days.size) - 1),
        severity=severity,
        notice_days=notice,
        channels=names,
        gains=gains,
        gains_covariance=covariance,
        rebound=rebound_sum,
        rebound_variance=rebound_variance,
        rebound_covariance=rebound_covariance,
        removed=removed,
        metric_gains=metric_gains,
        metric_variance=metric_variance,
        metric_removed=metric_removed,
        grade_cap=cap,
        clear=bool(clear),
    )


def _other_metrics(
    channel: str, days: NDArray[np.int64], rebound: NDArray[np.int64], masked: NDArray[np.int64], baseline: Baseline
) -> tuple[dict[Metric, float], dict[Metric, float], dict[Metric, float]]:
    """Gains of all other channels together in orders, gmv and new customers, and the closed channel's own loss."""
    gains: dict[Metric, float] = {}
    variance: dict[Metric, float] = {}
    removed: dict[Metric, float] = {}
    for metric, group in baseline.series.items():
        if metric == "visits":
            continue
        others = [one for one in group if one.channel != channel]
        own = [one for one in group if one.channel == channel]
        if not others or not own:
            continue
        position = {one.channel: index for index, one in enumerate(baseline.series["visits"])}
        if any(one.channel not in position for one in group):
            continue
        sums = [_both_sides(one, days, rebound, masked, baseline.before) for one in others]
        came = np.array([np.nansum(one.values[days]) for one in others])
        sd = np.sqrt(np.array([item.covariance[0, 0] for item in sums]))
        order = [position[one.channel] for one in others]
        correlation = baseline.correlation[np.ix_(order, order)]
        gains[metric] = float((came - np.array([item.open_sum[0] for item in sums])).sum())
        variance[metric] = float((correlation * np.outer(sd, sd)).sum())
        own_sum = _both_sides(own[0], days, rebound, masked, baseline.before)
        removed[metric] = float(own_sum.open_sum[0] - np.nansum(own[0].values[days]))
    return gains, variance, removed


def _both_sides(
    series: ChannelSeries, days: NDArray[np.int64], rebound: NDArray[np.int64], masked: NDArray[np.int64], before: int
) -> _Sums:
    """Open sums over the event's days and the rebound days, from the days before and after them.

    Each of the days gets a coefficient of its own with a flat prior: what it says about the open path is only its
    neighbours' word. The placeholder value of such a day cancels.
    """
    wanted = np.concatenate([days, rebound])
    training = series.training.copy()
    training[masked] = False
    training[wanted] = True
    training[before:] = False
    used = np.flatnonzero(training).astype(np.int64)
    raw = series.values
    known = series.training & np.isfinite(raw)
    near = np.flatnonzero(known)
    level = float(np.nanmean(raw[near[np.argsort(np.abs(near - int(days[0])))[:28]]]))
    y = np.where(np.isin(used, wanted), max(level, 1e-9), raw[used])
    scaled = np.log(np.maximum(y, 1e-9)) if series.is_log else y
    own_day = (used[:, None] == wanted[None, :]).astype(float)
    columns = np.concatenate([series.design.columns[used], own_day], axis=1)
    unit = 1.0 if series.is_log else max(float(np.abs(raw[near]).mean()), 1e-12)
    open_values = raw[near]
    guess = innovation_guess(np.log(open_values) if series.is_log else open_values)
    precision = np.concatenate([(guess / (series.design.prior_sd * unit)) ** 2, np.full(wanted.size, FLAT_PRIOR)])
    fit = fit_series(scaled, columns, used, precision, grid=trimmed(series.fit), scale_guess=guess)
    k = series.design.columns.shape[1]
    placeholder = scaled[np.isin(used, wanted)]
    location = placeholder[None, :] - fit.coefficients[:, k:]
    factor = fit.factor[:, k:, :]
    mean = fit.weight @ location
    offset = location - mean
    spread = fit.rate * fit.df / (fit.df - 2)
    covariance = np.einsum("p,pik,pjk->ij", fit.weight * spread, factor, factor)
    covariance += np.einsum("p,pi,pj->ij", fit.weight, offset, offset)
    windows = np.zeros((2 if rebound.size else 1, wanted.size))
    measured = np.isfinite(raw[wanted])
    windows[0, : days.size] = 1.0
    if rebound.size:
        windows[1, days.size :] = measured[days.size :]
    if measured[: days.size].any():
        windows[0, : days.size] = measured[: days.size]
    if not series.is_log:
        return _Sums(windows @ mean, windows @ covariance @ windows.T)
    daily = np.exp(mean + 0.5 * np.diag(covariance))
    return _Sums(windows @ daily, (windows * daily) @ covariance @ (windows * daily).T)
