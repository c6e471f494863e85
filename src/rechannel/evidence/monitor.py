"""A sequential test of every channel's one-step forecast errors: since when has it been lower, and is that noise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.onestep import one_step
from rechannel.evidence.shifts import REACHES, Evidence, Searched, both_views, evidence_of, find_shifts, scores
from rechannel.evidence.watched import Span, Watched, stacked, watch_counts
from rechannel.vocabulary.channel import ALL_MARKETS
from rechannel.vocabulary.estimate import FloatArray

FALSE_ALARMS_PER_YEAR = 0.1
"""False alarms of a whole case in a year of daily watching, at most, if the noise is as its history says."""
SLIPS = np.array([0.05, 0.1])
DROPS = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995, 1.0])
"""Share of visits lost: up to a tenth it is a slip, which rivals with the drop for the explanation of the errors."""
SLIPS_PER_YEAR = 2.0
SHORTEST = 2
"""Steps below the forecast before a channel is flagged: one odd day is no lasting drop."""
LEVEL_STEPS = 56
LIKELY_START = -1.5


@dataclass(frozen=True, slots=True)
class Monitored:
    """Every step's verdict by what was known on it; arrays of shape [step, series], from `start` on.

    The series are the channels and, last, the whole shop.

    Attributes
    ----------
    start
        Step number of the first row.
    log_ratio
        Log of the Shiryaev-Roberts statistic of a drop that is still on, over that of a slip or of nothing; -inf
        where nothing speaks for one.
    since
        Likeliest first step of the drop.
    measured
        Whether the series was measured, and to be judged, on the step.
    """

    start: int
    log_ratio: FloatArray
    since: NDArray[np.int64]
    measured: NDArray[np.bool_]


def alarm_level(series: int, steps_per_year: float) -> float:
    """Log of the statistic from which a series is flagged.

    Under no change the statistic grows by 1 a step on average (it is a martingale plus the number of steps), so the
    chance to pass A within a year is at most steps / A: Pollak (1985), Annals of Statistics 13:206. With A = steps x
    series / .1, all series of a case together give a false alarm in at most one year of ten.
    """
    return float(np.log(steps_per_year * series / FALSE_ALARMS_PER_YEAR))


def monitor(visits: FloatArray, total: FloatArray, channels: Sequence[str], span: Span) -> Monitored:
    """Watch every channel from `span.fitted_before` on, with calendar, noise and levels learned from the steps before.

    Parameters
    ----------
    visits, total
        Of the channels, shape [step, channel], and of the shop, shape [step]; nan = not measured.
    channels
        Their names.
    span
        The time axis; `fitted_before` is the first step that is watched.

    Returns
    -------
    Monitored
        Row k uses no value after step `start` + k.
    """
    assert span.fitted_before is not None
    own = watch_counts(visits[:, None, :], channels, (ALL_MARKETS,), span)
    shop = watch_counts(total[:, None, None], [None], (ALL_MARKETS,), span)
    whole, start = stacked([own, shop]), span.fitted_before
    searched = find_shifts(_until(whole, start), (True, False))
    return follow(whole, searched, start, len(channels))


def _until(watched: Watched, end: int) -> Watched:
    left, calendar, extra = watched.left[:end], watched.calendar[:end], watched.extra[:end]
    return replace(watched, left=left, calendar=calendar, extra=extra, reset=watched.reset[:end])


def follow(watched: Watched, searched: Searched, start: int, channels: int) -> Monitored:
    """The test itself on series whose past, up to `start`, was searched for shifts."""
    left, reset = watched.left.copy(), watched.reset.copy()
    left[:start], reset[:start] = searched.watched.left, searched.watched.reset
    watched = replace(watched, left=left, reset=reset)
    passed = one_step(left, watched.extra, searched.noise_alone, reset=reset, beside=searched.shared)
    own = replace(watched, left=left - passed.together, extra=watched.extra + passed.common_variance)
    beside, alone = both_views(own, searched.noise, watched, searched.noise_alone)
    places = [(0, channel) for channel in range(channels)] + [(1, 0)]
    log_ratio, since = [], []
    for group, series in places:
        seen = evidence_of(beside, own, searched.noise, group, series, fitted_before=start)
        single = evidence_of(alone, watched, searched.noise_alone, group, series, fitted_before=start)
        levels = own.left[:, group, series], left[:, group, series]
        ratio, first = _follow_one(seen, single, levels, watched, start)
        log_ratio.append(ratio[start:])
        since.append(first[start:])
    measured = np.stack([np.isfinite(left[start:, group, series]) for group, series in places], axis=1)
    return Monitored(start, np.stack(log_ratio, axis=1), np.stack(since, axis=1), measured)


def _follow_one(
    seen: Evidence, single: Evidence, levels: tuple[FloatArray, FloatArray], watched: Watched, start: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Statistic and likeliest start of one series, step by step."""
    reach = REACHES[watched.cadence]
    steps = seen.steps
    drops, slips, best = (np.full(steps, -np.inf) for _ in range(3))
    since = np.zeros(steps, dtype=np.int64)
    earliest = max(start - reach.stays + 1, 0)
    for first in (np.flatnonzero(scores(seen, reach)[earliest:] < LIKELY_START) + earliest).tolist():
        span = min(reach.stays, steps - first)
        days = slice(first, first + span)
        on = _drop_since(seen, single, levels, first, span)
        slip = np.logaddexp.reduce(seen.while_on(first, SLIPS, span), axis=1) - np.log(SLIPS.size)
        drops[days] = np.logaddexp(drops[days], on)
        slips[days] = np.logaddexp(slips[days], slip)
        since[days] = np.where(on > best[days], first, since[days])
        best[days] = np.maximum(on, best[days])
    return drops - np.logaddexp(0.0, slips + np.log(SLIPS_PER_YEAR / reach.per_year)), since


def _drop_since(
    seen: Evidence, single: Evidence, levels: tuple[FloatArray, FloatArray], first: int, span: int
) -> FloatArray:
    """Log likelihood ratio of a drop on `first` that is still on, step by step, over all sizes.

    -inf where the series by itself does not fall, or does not lie below its own last eight weeks by half the drop: then
    it is the others that rose, or a rise of its own that is over.
    """
    each = seen.while_on(first, DROPS, span) - np.log(DROPS.size)
    size = each.argmax(axis=1)
    good = single.while_on(first, DROPS, span)[np.arange(span), size] > 0
    for level in levels:
        good &= _lower(level, first, span, DROPS[size])
    return np.where(good, np.logaddexp.reduce(each, axis=1), -np.inf)


def _lower(level: FloatArray, first: int, span: int, lost: FloatArray) -> NDArray[np.bool_]:
    """Steps whose mean level since `first` lies below that of the eight weeks before by half the drop at least."""
    since = level[first : first + span]
    there = np.isfinite(since)
    count = np.cumsum(there)
    mean = np.cumsum(np.where(there, since, 0.0)) / np.maximum(count, 1)
    before = level[max(first - LEVEL_STEPS, 0) : first]
    if not np.isfinite(before).any():
        return np.zeros(span, dtype=bool)
    half = 0.5 * np.log1p(-np.minimum(lost, DROPS[-2]))
    return np.asarray((mean - np.nanmedian(before) <= half) & (count >= SHORTEST) & there)
