"""Split, merged and renamed channels: one name falls, another rises that day, and their sum goes on as before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import expit, logsumexp

from rechannel.evidence.cause import Books
from rechannel.evidence.contrast import BASE_STEPS, contrast
from rechannel.evidence.onward import over_going_on, sum_from
from rechannel.evidence.shifts import Searched, Shift
from rechannel.evidence.watched import Span
from rechannel.vocabulary.estimate import FloatArray

BIRTH_PRIOR = 0.7
"""Prior chance that a channel which appears is a part of another one under a new name: exports are renamed more often
than entries are opened."""
MOVE_PRIOR = 0.1
"""The same when one channel falls and another, that was there before, rises on the same day: most often diversion."""
ONLY_ONE_PRIOR = 0.5
"""The same when no third channel rises: diverted visits seldom all know one way, and find it on the first day."""
RENAMED = 0.3
"""Prior chance that such a channel takes over the whole of the other."""
SIZES_OF_NEW = 9.0
"""Width of the log size of a channel that is new indeed: from a ten-thousandth of the other to its own size."""
DIVERTED_TO_ONE = np.linspace(0.0, 0.98, 25)
DIVERSION_WEIGHT = (1 - DIVERTED_TO_ONE) / (1 - DIVERTED_TO_ONE).sum()
"""Share of a fallen channel's visits that one other channel wins: most often little, all of it hardly ever."""
TAKEN_WEIGHT = (1 - DIVERTED_TO_ONE) ** 3 / ((1 - DIVERTED_TO_ONE) ** 3).sum()
"""Share of a new channel's visits that it takes from one other: they come from new demand and several channels, as an
even Dirichlet over four sources has it."""
LOST_TO_NEW = 0.3
"""Least part of a new channel's visits that another must have lost that week to be looked at as its origin."""
RELABELLED, MOVED = 0.5, 0.8
"""Least probability that is told: of a channel that appears, and of one that rises."""
FEWEST_STEPS = 5
MOST_TOGETHER = 3
EDGE = 1
"""Steps on either side of the change that may belong to both."""

Change = Literal["split", "renamed", "merged"]


@dataclass(frozen=True, slots=True)
class Relabelling:
    """Visits that changed their name.

    Attributes
    ----------
    change
        split = a part goes on under other names; renamed = all of one channel does; merged = several become one.
    on
        First step under the new name.
    old, new
        Channel numbers.
    share
        Part of the old channels' visits that moved.
    probability
        Of this against every other reading of the day.
    """

    change: Change
    on: int
    old: tuple[int, ...]
    new: tuple[int, ...]
    share: float
    probability: float


def find_relabelled(books: Books, shifts: Sequence[Shift], searched: Searched, span: Span) -> tuple[Relabelling, ...]:
    """Find them among channels that appear, that end, and that shift on the same day.

    Parameters
    ----------
    books
        Visits of every channel with their calendar.
    shifts
        Lasting shifts of single channels.
    searched
        The search that found them, channels in group 0.
    span
        The time axis.

    Notes
    -----
    A channel that appears is weighed against every channel that was there: the sum of both must go on as the other
    one did alone, step by step as forecast from the steps before, and that must be likelier than a new channel that
    takes nothing, or some part, from it. A rise of an old channel is weighed against diversion, of which one channel
    seldom wins nearly all.
    """
    appear = _appearances(books.visits)
    end = ended_on(books.visits)
    found: list[Relabelling] = []
    for on in sorted(set(appear.values())):
        born = tuple(channel for channel, step in appear.items() if step == on)
        best = _of_birth(books, searched, span, on, born, tuple(c for c, step in end.items() if abs(step - on) <= EDGE))
        if best is not None and best.probability >= RELABELLED:
            found.append(best)
    falls = {(one.series, one.first) for one in shifts if one.last is None and one.lost > 0} | set(end.items())
    rises = {(one.series, one.first) for one in shifts if one.last is None and one.lost < 0}
    for fallen, first in sorted(falls):
        if any(fallen in one.old and abs(one.on - first) <= 2 * EDGE for one in found):
            continue
        beside = [risen for risen, step in sorted(rises) if abs(step - first) <= EDGE and risen != fallen]
        prior = ONLY_ONE_PRIOR if len(beside) == 1 else MOVE_PRIOR
        moved = [
            one
            for one in (_moved(books, searched, span, first, fallen, risen, prior) for risen in beside)
            if one is not None
        ]
        found += [one for one in moved if one.probability >= max(MOVED, *(other.probability for other in moved))]
    return tuple(found)


def _appearances(visits: FloatArray) -> dict[int, int]:
    """Channels whose first visit comes later than the data begin, with its step."""
    out = {}
    for channel in range(visits.shape[1]):
        there = np.flatnonzero(np.nan_to_num(visits[:, channel]) > 0)
        if there.size >= FEWEST_STEPS and BASE_STEPS // 2 <= there[0] < len(visits) - FEWEST_STEPS:
            out[channel] = int(there[0])
    return out


def ended_on(visits: FloatArray) -> dict[int, int]:
    """Channels without a visit from some step on to the end, with that step."""
    out = {}
    for channel in range(visits.shape[1]):
        there = np.flatnonzero(np.nan_to_num(visits[:, channel]) > 0)
        if there.size >= BASE_STEPS // 2 and there[-1] + 1 < len(visits) - FEWEST_STEPS:
            out[channel] = int(there[-1]) + 1
    return out


def _of_birth(
    books: Books, searched: Searched, span: Span, on: int, born: tuple[int, ...], ended: tuple[int, ...]
) -> Relabelling | None:
    """The likeliest origin of channels that appear on one step, if it beats their being new."""
    older = [c for c in range(books.visits.shape[1]) if c not in born and _measured_before(books, c, on)]
    origins: list[tuple[int, ...]] = [(channel,) for channel in older]
    for size in range(2, min(len(ended), MOST_TOGETHER) + 1):
        origins += list(combinations(ended, size))
    readings = []
    for old in origins:
        for new in _parts(born):
            weighed = _weigh_birth(books, searched, span, on, old, new)
            if weighed is not None:
                readings.append((*weighed, old, new))
    if not readings:
        return None
    prior = np.log(BIRTH_PRIOR / (1 - BIRTH_PRIOR)) - np.log(len(origins))
    odds = np.array([one[0] for one in readings]) + prior
    best = int(odds.argmax())
    against = np.logaddexp.reduce(np.append(np.delete(odds, best), 0.0))
    _, share, old, new = readings[best]
    change: Change = "merged" if len(old) > 1 else "renamed" if old[0] in ended else "split"
    return Relabelling(change, on, old, new, share, float(expit(odds[best] - against)))


def _parts(born: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
    """All channels born on one step together, and each by itself."""
    return [born, *((channel,) for channel in born)] if len(born) > 1 else [born]


def _measured_before(books: Books, channel: int, on: int) -> bool:
    before = books.visits[max(on - BASE_STEPS - EDGE, 0) : max(on - EDGE, 0), channel]
    return bool((np.nan_to_num(before) > 0).sum() >= FEWEST_STEPS)


def _after(books: Books, on: int) -> tuple[int, int]:
    """First step and length of the weeks after a change, its edge left out."""
    first = on + EDGE
    return first, min(BASE_STEPS, len(books.visits) - first)


def _weigh_birth(
    books: Books, searched: Searched, span: Span, on: int, old: tuple[int, ...], new: tuple[int, ...]
) -> tuple[float, float] | None:
    """Log likelihood of one origin over that of a new channel, and the share that moved."""
    first, length = _after(books, on)
    if length < FEWEST_STEPS or not _lost_enough(books, on, old, new):
        return None
    visits = np.nan_to_num(books.visits[first : first + length])
    stays, goes = float(visits[:, list(old)].sum()), float(visits[:, list(new)].sum())
    seen = sum_from(searched, books.visits, span, old, new, on, EDGE)
    if seen is None:
        return None
    # beside a new channel that takes the part d of its visits from the old ones, the sum rises by the rest
    rise = (1 - DIVERTED_TO_ONE) * goes
    beside_new = over_going_on(seen, on, -rise / np.maximum(stays + goes - rise, 0.5))
    moved = goes / (stays + goes)
    # the size of a new channel is spread evenly over its logarithm; the share of a split evenly over 0 to 1
    size = np.log(SIZES_OF_NEW) + np.log(max(moved * (1 - moved), 1e-3)) + np.log(1 - RENAMED)
    if moved >= 0.98:
        size = np.log(SIZES_OF_NEW) + np.log(RENAMED)
    return float(size - logsumexp(beside_new, b=TAKEN_WEIGHT)), moved


def _lost_enough(books: Books, on: int, old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether the old names lost a good part of what the new ones have, a week against the week before."""
    week = max(BASE_STEPS // 4, FEWEST_STEPS)
    days = slice(on + EDGE, on + EDGE + week), slice(max(on - EDGE - week, 0), on - EDGE)
    visits, usual = np.nan_to_num(books.visits), np.exp(books.calendar)
    after, before = (float(visits[part, list(old)].sum() / usual[part, list(old)].sum()) for part in days)
    gained = float(visits[days[0], list(new)].sum() / usual[days[0], list(old)].sum())
    return gained > 0 and before - after >= LOST_TO_NEW * gained


def _moved(
    books: Books, searched: Searched, span: Span, on: int, fallen: int, risen: int, prior: float
) -> Relabelling | None:
    """Whether an old channel that rises took the name of one that falls, against diversion."""
    first, length = _after(books, on)
    if length < FEWEST_STEPS:
        return None
    pair = [fallen, risen]
    visits, calendar = np.nan_to_num(books.visits)[:, pair], books.calendar[:, pair]
    fall = contrast(visits[:, 0], calendar[:, 0], first, length, gap=2 * EDGE)
    together = contrast(visits, calendar, first, length, gap=2 * EDGE)
    seen = sum_from(searched, books.visits, span, (fallen, risen), (), on, EDGE)
    if seen is None or fall is None or together is None or together.expected <= 0 or fall.came >= fall.expected:
        return None
    missing = (fall.expected - fall.came) / together.expected
    diverted = over_going_on(seen, on, np.minimum((1 - DIVERTED_TO_ONE) * missing, 0.99))
    odds = float(np.log(prior / (1 - prior)) - logsumexp(diverted, b=DIVERSION_WEIGHT))
    share = 1 - fall.came / fall.expected
    change: Change = "renamed" if share > 0.98 else "split"
    return Relabelling(change, on, (fallen,), (risen,), float(share), float(expit(odds)))
