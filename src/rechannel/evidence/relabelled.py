"""Split, merged and renamed channels: one name falls, another rises that day, and their sum goes on as before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import expit

from rechannel.evidence.cause import Books
from rechannel.evidence.contrast import BASE_STEPS, Contrast, contrast
from rechannel.evidence.shifts import Shift
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
DIVERTED_TO_ONE = np.linspace(0.02, 0.98, 25)
DIVERSION_WEIGHT = (1 - DIVERTED_TO_ONE) / (1 - DIVERTED_TO_ONE).sum()
"""Share of a fallen channel's visits that one other channel wins: most often little, all of it hardly ever."""
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


def find_relabelled(books: Books, shifts: Sequence[Shift]) -> tuple[Relabelling, ...]:
    """Find them among channels that appear, that end, and that shift on the same day.

    Parameters
    ----------
    books
        Visits of every channel with their calendar.
    shifts
        Lasting shifts of single channels.

    Notes
    -----
    A channel that appears is weighed against every channel that was there: the sum of both must go on as the other
    one did alone (a t of the errors that the same sum had elsewhere), and that must be likelier than the other going
    on unchanged beside a new one. A rise of an old channel is weighed against diversion, of which one channel seldom
    wins nearly all.
    """
    appear = _appearances(books.visits)
    end = ended_on(books.visits)
    found: list[Relabelling] = []
    for on in sorted(set(appear.values())):
        born = tuple(channel for channel, step in appear.items() if step == on)
        best = _of_birth(books, on, born, tuple(c for c, step in end.items() if abs(step - on) <= EDGE))
        if best is not None and best.probability >= RELABELLED:
            found.append(best)
    falls = {(one.series, one.first) for one in shifts if one.last is None and one.lost > 0} | set(end.items())
    rises = {(one.series, one.first) for one in shifts if one.last is None and one.lost < 0}
    for fallen, first in sorted(falls):
        if any(fallen in one.old and abs(one.on - first) <= 2 * EDGE for one in found):
            continue
        beside = [risen for risen, step in sorted(rises) if abs(step - first) <= EDGE and risen != fallen]
        prior = ONLY_ONE_PRIOR if len(beside) == 1 else MOVE_PRIOR
        moved = [one for one in (_moved(books, first, fallen, risen, prior) for risen in beside) if one is not None]
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


def _of_birth(books: Books, on: int, born: tuple[int, ...], ended: tuple[int, ...]) -> Relabelling | None:
    """The likeliest origin of channels that appear on one step, if it beats their being new."""
    older = [c for c in range(books.visits.shape[1]) if c not in born and _measured_before(books, c, on)]
    origins: list[tuple[int, ...]] = [(channel,) for channel in older]
    for size in range(2, min(len(ended), MOST_TOGETHER) + 1):
        origins += list(combinations(ended, size))
    readings = []
    for old in origins:
        for new in _parts(born):
            weighed = _weigh_birth(books, on, old, new)
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


def _sums(books: Books, on: int, old: tuple[int, ...], new: tuple[int, ...]) -> tuple[Contrast, Contrast] | None:
    """The old names alone, and with the new ones, against the weeks before."""
    first, length = _after(books, on)
    if length < FEWEST_STEPS:
        return None
    visits = np.nan_to_num(books.visits)
    before, calendar = visits[:, list(old)], books.calendar[:, list(old)]
    alone = contrast(before, calendar, first, length, gap=2 * EDGE)
    joint = before.copy()
    joint[on - EDGE :, 0] += visits[on - EDGE :, list(new)].sum(axis=1)
    together = contrast(joint, calendar, first, length, gap=2 * EDGE)
    return None if alone is None or together is None else (alone, together)


def _weigh_birth(books: Books, on: int, old: tuple[int, ...], new: tuple[int, ...]) -> tuple[float, float] | None:
    """Log likelihood of one origin over that of a new channel, and the share that moved."""
    found = _sums(books, on, old, new)
    if found is None:
        return None
    alone, together = found
    if together.came <= 0 or together.expected <= 0:
        return None
    moved = (together.came - alone.came) / together.came
    # the size of a new channel is spread evenly over its logarithm; the share of a split evenly over 0 to 1
    size = np.log(SIZES_OF_NEW) + np.log(max(moved * (1 - moved), 1e-3)) + np.log(1 - RENAMED)
    if alone.came <= 0.02 * alone.expected:
        size = np.log(SIZES_OF_NEW) + np.log(RENAMED)
    return float(together.log_density(0.0) - alone.log_density(0.0) + size), float(moved)


def _moved(books: Books, on: int, fallen: int, risen: int, prior: float) -> Relabelling | None:
    """Whether an old channel that rises took the name of one that falls, against diversion."""
    first, length = _after(books, on)
    if length < FEWEST_STEPS:
        return None
    pair = [fallen, risen]
    visits, calendar = np.nan_to_num(books.visits)[:, pair], books.calendar[:, pair]
    fall = contrast(visits[:, 0], calendar[:, 0], first, length, gap=2 * EDGE)
    together = contrast(visits, calendar, first, length, gap=2 * EDGE)
    if fall is None or together is None or together.expected <= 0 or fall.came >= fall.expected:
        return None
    missing = (fall.expected - fall.came) / together.expected
    diverted = together.log_density(np.log1p(-np.minimum((1 - DIVERTED_TO_ONE) * missing, 0.99)))
    against = float(np.log(np.sum(DIVERSION_WEIGHT * np.exp(diverted))))
    odds = float(together.log_density(0.0)) - against + float(np.log(prior / (1 - prior)))
    share = 1 - fall.came / fall.expected
    change: Change = "renamed" if share > 0.98 else "split"
    return Relabelling(change, on, (fallen,), (risen,), float(share), float(expit(odds)))
