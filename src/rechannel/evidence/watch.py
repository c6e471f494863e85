"""Which channel is dying: how likely a lasting drop is, since when, tracking fault or real, and what is at stake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal  # JSON of the record

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from rechannel.evidence.baseline import padded, with_coming
from rechannel.evidence.cause import SURE, Books, cause_of, cause_of_all, open_books, whole_shop
from rechannel.evidence.channel import FEWEST_TRAINING_DAYS, fit_channel
from rechannel.evidence.contrast import BASE_STEPS, CONTRAST_DF, contrast
from rechannel.evidence.design import build_design
from rechannel.evidence.joint import window_sums
from rechannel.evidence.monitor import Monitored, alarm_level, monitor
from rechannel.evidence.oddity import SAID, explained
from rechannel.evidence.shifts import LASTING_PER_YEAR, REACHES
from rechannel.evidence.watched import Span, watch_counts
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date
from rechannel.vocabulary.channel import ALL_MARKETS
from rechannel.vocabulary.estimate import FloatArray

HORIZON_DAYS = 90
LIKELY = 0.5
"""Probability from which a drop is described."""
STAKE_DRAWS = 2000
FEWEST_STEPS = {"daily": 56, "weekly": 26}

Verdict = Literal["tracking", "real", "cannot_tell"]
State = Literal["watched", "known", "not_measured"]


@dataclass(frozen=True, slots=True)
class Stake:
    """Visits that a drop costs over the coming 90 days if it lasts: median and 90 % interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop that is at least as likely as not.

    Attributes
    ----------
    since
        Its likeliest first day.
    lost
        Share of the usual visits that is missing.
    verdict
        tracking = only the count fell, real = visits fell, cannot_tell.
    counting
        Probability that only the count fell.
    reasons
        Keys of `watch.reason_<key>`: what spoke for the verdict.
    stake
        What it costs; None when there is too little history for a forecast.
    """

    since: date
    lost: float
    verdict: Verdict
    counting: float
    reasons: tuple[str, ...]
    stake: Stake | None


@dataclass(frozen=True, slots=True)
class WatchedChannel:
    """One channel on the last day.

    Attributes
    ----------
    channel
        None = all channels at once.
    state
        known = `events` tells of it on the last day; not_measured = it has no row on the last day.
    probability
        Of a drop that is still on.
    flagged
        Whether the alarm level is passed.
    last_measured
        Its last day with a row; None when it never had one.
    drop
        None while a drop is less likely than not.
    """

    channel: str | None
    state: State
    probability: float
    flagged: bool
    last_measured: date | None
    drop: Drop | None


@dataclass(frozen=True, slots=True)
class Watching:
    """The verdict of one day over all channels.

    Attributes
    ----------
    last, start
        The day, and the first day that was watched; calendar and noise are learned from the days before.
    alarm_level
        Statistic from which a channel is flagged.
    hazard
        Prior lasting drops of one channel in a year.
    channels
        Channels by visits, then all at once.
    """

    last: date
    start: date
    alarm_level: float
    hazard: float
    channels: tuple[WatchedChannel, ...]

    @property
    def flagged(self) -> bool:
        """Whether any channel is."""
        return any(one.flagged for one in self.channels)


def long_enough(panel: Panel) -> bool:
    """Whether the panel has the days without which nothing can be watched."""
    return len(panel.dates) >= FEWEST_STEPS[panel.cadence]


def watch(panel: Panel, events: Sequence[Event], seed: int = 0) -> Watching:
    """Judge every channel by the last day of a panel.

    Parameters
    ----------
    panel
        At least 56 days, or 26 weeks.
    events
        The calendar; drops that it tells of are not flagged.
    seed
        Of the interval of what is at stake.

    Returns
    -------
    Watching
        The probability rests on a prior of one lasting drop in two years of a channel - entries are closed or demoted
        every few years, tags break about as often - and on forecast errors with the tail that the channel's history
        shows. A channel is flagged when the sequential statistic passes the level that all channels together pass
        falsely in at most one year of ten. The whole shop is judged without the channels that are flagged, or logged,
        themselves: what they lost is told of them.
    """
    steps = len(panel.dates)
    reach = REACHES[panel.cadence]
    start = steps - min(reach.stays, steps // 3)
    visits, total = panel.over_markets("visits"), whole_shop(panel, "visits")
    assert total is not None
    watched = Span(panel.dates, panel.cadence, events, start)
    seen = monitor(visits, total, panel.channels, watched)
    level = alarm_level(len(panel.channels) + 1, reach.per_year)
    span = Span(panel.dates, panel.cadence, events)
    calendar = watch_counts(visits[:, None, :], panel.channels, (ALL_MARKETS,), span).calendar[:, 0]
    books = open_books(panel, calendar, span)
    rows = []
    for series, channel in enumerate(panel.channels):
        rows.append(_judge(panel, events, books, seen, series, channel, visits[:, series], level, seed))
    apart = [one.flagged or _is_logged(events, one.channel, to_date(panel.dates[start])) for one in rows]
    shop = _judge(panel, events, books, seen, len(rows), None, total, level, seed)
    if shop.drop is not None and any(apart) and not all(apart):
        rest = _rest(visits, total, np.array(apart))
        others = monitor(np.empty((steps, 0)), rest, (), watched)
        again = _judge(panel, events, books, others, 0, None, total, level, seed)
        shop = again if again.drop is None else replace(shop, flagged=again.flagged)
    rows.append(shop)
    return Watching(panel.last, to_date(panel.dates[start]), float(np.exp(level)), LASTING_PER_YEAR, tuple(rows))


def _is_logged(events: Sequence[Event], channel: str | None, since: date) -> bool:
    """Whether `events` tells of a shift of this one channel that reaches into the watched days."""
    named = [event for event in events if event.channel is not None and event.channel == channel]
    return any(event.kind in SAID and event.end >= since for event in named)


def _rest(visits: FloatArray, total: FloatArray, apart: NDArray[np.bool_]) -> FloatArray:
    """Visits of the shop without those of some channels, shape [step]; nan where these are all that is measured."""
    rest = np.maximum(total - np.nan_to_num(visits[:, apart]).sum(axis=1), 0.0)
    return np.where(np.isfinite(visits[:, ~apart]).any(axis=1), rest, np.nan)


def _judge(
    panel: Panel,
    events: Sequence[Event],
    books: Books,
    seen: Monitored,
    series: int,
    channel: str | None,
    values: FloatArray,
    level: float,
    seed: int,
) -> WatchedChannel:
    """One series on the last day."""
    ratio = float(seen.log_ratio[-1, series])
    odds = ratio + float(np.log(LASTING_PER_YEAR / REACHES[panel.cadence].per_year))
    probability = float(expit(odds))
    there = np.flatnonzero(np.isfinite(values))
    last_measured = to_date(panel.dates[there[-1]]) if there.size else None
    state: State = "watched" if seen.measured[-1, series] else "not_measured"
    if explained(events, channel, None, panel.last, panel.last):
        state = "known"
    if state != "watched" or probability < LIKELY:
        return WatchedChannel(channel, state, probability if state == "watched" else 0.0, False, last_measured, None)
    drop = _drop(panel, events, books, int(seen.since[-1, series]), series, channel, values, seed)
    return WatchedChannel(channel, state, probability, ratio >= level, last_measured, drop)


def _drop(
    panel: Panel,
    events: Sequence[Event],
    books: Books,
    first: int,
    series: int,
    channel: str | None,
    values: FloatArray,
    seed: int,
) -> Drop:
    """Size, cause and stake of a drop since step `first`."""
    calendar = books.visits_calendar if channel is None else books.calendar[:, series]
    length = min(BASE_STEPS, len(panel.dates) - first)
    seen = contrast(values, calendar, first, length)
    if seen is not None:
        share = -float(np.expm1(min(seen.log_ratio, 0.0)))
    else:  # too few other windows for an error, enough days for a share
        before = float(np.nanmean(values[max(first - BASE_STEPS, 0) : first]))
        share = 1 - min(float(np.nanmean(values[first:])) / max(before, 1e-9), 1.0)
    cause = cause_of_all(books, first, None, share) if channel is None else cause_of(books, series, first, None, share)
    verdict: Verdict = "cannot_tell"
    if cause.only_counted or cause.counting <= 1 - SURE:
        verdict = "tracking" if cause.only_counted else "real"
    stake = None
    if seen is not None:
        stake = _stake(panel, events, channel, values, first, (seen.log_ratio, seen.sd), seed)
    return Drop(to_date(panel.dates[first]), share, verdict, cause.counting, cause.reasons, stake)


def _stake(
    panel: Panel,
    events: Sequence[Event],
    channel: str | None,
    values: FloatArray,
    first: int,
    change: tuple[float, float],
    seed: int,
) -> Stake | None:
    """Visits of the coming 90 days on the path before the drop, times the share lost."""
    coming = HORIZON_DAYS // panel.step
    dates = with_coming(panel, coming)
    design = build_design(dates, events, channel, cadence=panel.cadence)
    usable = design.usable[:first] & np.isfinite(values[:first])
    if usable.sum() < FEWEST_TRAINING_DAYS:
        return None
    fitted = fit_channel("visits", channel, padded(values, dates.size), design, first)
    days = np.arange(first, dates.size, dtype=np.int64)
    window = (days >= len(panel.dates)).astype(np.float64)[None, :]
    rng = np.random.default_rng(seed)
    usual = window_sums(fitted, days, window).at_normal(rng.standard_normal((STAKE_DRAWS, 1)), np.ones(1))[:, 0]
    moved = change[0] + change[1] * stdtrit(CONTRAST_DF, rng.random(STAKE_DRAWS))
    low, median, high = np.quantile(np.maximum(usual, 0.0) * -np.expm1(np.minimum(moved, 0.0)), (0.05, 0.5, 0.95))
    return Stake(float(median), float(low), float(high))


def watching_json(watching: Watching) -> dict[str, Any]:
    """The record as `watch --json` gives it, without its sentences."""
    return {
        "last": watching.last.isoformat(),
        "watched_from": watching.start.isoformat(),
        "alarm_level": round(watching.alarm_level, 1),
        "lasting_drops_per_channel_year": watching.hazard,
        "flagged": watching.flagged,
        "channels": [_channel_json(one) for one in watching.channels],
    }


def _channel_json(one: WatchedChannel) -> dict[str, Any]:
    drop = one.drop
    stake = None if drop is None else drop.stake
    return {
        "channel": one.channel,
        "state": one.state,
        "flagged": one.flagged,
        "probability": round(one.probability, 4),
        "last_measured": one.last_measured.isoformat() if one.last_measured else None,
        "since": drop.since.isoformat() if drop else None,
        "lost": round(drop.lost, 4) if drop else None,
        "cause": drop.verdict if drop else None,
        "p_tracking": round(drop.counting, 4) if drop else None,
        "reasons": list(drop.reasons) if drop else [],
        "visits_at_stake": None
        if stake is None
        else {"days": HORIZON_DAYS, "median": round(stake.median), "p05": round(stake.low), "p95": round(stake.high)},
    }
