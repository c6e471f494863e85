"""Figures that keep the wrong time: weekly values given as days, days cut at another hour, clocks that moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from rechannel.vocabulary.estimate import FloatArray

FEWEST_WEEKS = 3
SMALLEST_DAY = 10.0
"""Mean of a day from which seven equal days in a row are no chance."""
ONE_DAY_WEEKS = 4
HOURS = 24
FEWEST_TOUCHES = 30
"""Touches of a week whose hours say something."""
MOST_MOVES = 4
EXPLAINED = 0.7
"""Share of the change of the hours, or of the week, that a move must explain."""
CLOCK_MOVES_PER_YEAR = 0.2
SEASON_WEEKS = 26
"""Weeks on either side whose weekly pattern is compared; further ones belong to another season."""
FEWEST_PATTERN_WEEKS = 12
SMALLEST_MOVE = 0.1
"""Least part of a day by which the cut moves."""


@dataclass(frozen=True, slots=True)
class WeeklyRun:
    """Days of one channel that hold weekly figures.

    Attributes
    ----------
    first, last
        Steps, ends included.
    spread
        True = each week's figure stands on its seven days in equal parts; False = on one day, zeros on the others.
    probability
        That these are weekly figures.
    """

    first: int
    last: int
    spread: bool
    probability: float


@dataclass(frozen=True, slots=True)
class ClockMove:
    """A day from which on time is told otherwise.

    Attributes
    ----------
    first, last
        Steps, ends included, on which it holds.
    hours
        By how much later the clock is than before.
    probability
        That the clock moved.
    """

    first: int
    last: int
    hours: float
    probability: float


def weekly_runs(visits: FloatArray) -> tuple[WeeklyRun, ...]:
    """Weeks of one channel whose seven days are equal, or whose figure stands on one day; shape [step], daily."""
    found = []
    best: tuple[int, int] | None = None
    for offset in range(7):
        weeks = (visits.size - offset) // 7
        blocks = visits[offset : offset + 7 * weeks].reshape(weeks, 7)
        level = blocks.mean(axis=1)
        with np.errstate(invalid="ignore"):
            equal = (np.ptp(blocks, axis=1) <= np.maximum(1.0, 1e-3 * level)) & (level >= SMALLEST_DAY)
        for start, end in _runs(equal):
            run = (offset + 7 * start, offset + 7 * end - 1)
            differing = np.ptp(np.round(level[start:end])) > 1
            if differing and end - start >= FEWEST_WEEKS and (best is None or run[1] - run[0] > best[1] - best[0]):
                best = run
    if best is not None:
        found.append(WeeklyRun(*best, True, 1.0))
    found += _one_day_a_week(visits)
    return tuple(found)


def _one_day_a_week(visits: FloatArray) -> list[WeeklyRun]:
    """Weeks with all their visits on the same weekday, and none on the six others."""
    there = np.nan_to_num(visits) > 0
    days = np.flatnonzero(there)
    if days.size < ONE_DAY_WEEKS:
        return []
    out = []
    for start, end in _runs(np.diff(days) == 7):
        if end - start + 1 < ONE_DAY_WEEKS:
            continue
        first, last = int(days[start]), int(days[end])
        # a channel that has other days elsewhere changed its rhythm; one that never had them may live once a week
        elsewhere = there.copy()
        elsewhere[max(first - 6, 0) : last + 7] = False
        out.append(WeeklyRun(max(first - 6, 0), last, False, 0.95 if elsewhere.sum() >= 14 else 0.7))
    return out


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of True as (start, end), end excluded."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def overlap(visits: FloatArray, total: FloatArray) -> float | None:
    """By how much the sum of channels exceeds the shop's total, as a share, if it does on nearly all steps.

    Parameters
    ----------
    visits, total
        Shapes [step, channel] and [step].
    """
    summed = visits.sum(axis=1)
    good = np.isfinite(summed) & np.isfinite(total) & (total > 0)
    if good.sum() < 14:
        return None
    excess = summed[good] / total[good] - 1
    if (excess > 0).mean() < 0.95 or np.median(excess) < 0.01:
        return None
    return float(np.median(excess))


def clock_moves(hours: NDArray[np.int64]) -> tuple[ClockMove, ...]:
    """Steps on which the daily round of hours moved by whole hours.

    Parameters
    ----------
    hours
        Visits by step and hour of the day, shape [step, 24]; steps before the first and after the last visit are cut
        off by the caller.

    Returns
    -------
    tuple of ClockMove
        Each holds until the next one; a move back ends the one before. Empty where a week has too few visits.
    """
    weeks = len(hours) // 7
    table = hours[: 7 * weeks].reshape(weeks, 7, HOURS).sum(axis=1).astype(np.float64)
    if weeks < 2 * FEWEST_WEEKS or np.median(table.sum(axis=1)) < FEWEST_TOUCHES:
        return ()
    moves = _moves(table, 0, MOST_MOVES)
    edges = [0, *(week for week, _, _ in moves), weeks]
    out: list[ClockMove] = []
    offset, firsts, shifts = 0, [], []
    for since, week, until in zip(edges, edges[1:], edges[2:], strict=False):
        # a wide window may have held several moves: between its neighbours each is measured again
        left = _unexplained(table[since : week - 1].sum(axis=0), table[week + 1 : until].sum(axis=0))
        shifts.append((int(left.argmin()) + 11) % HOURS - 11)
        firsts.append(_sharpen(hours, since, week, until, shift=shifts[-1]))
    for (_, _, probability), shift, first, end in zip(moves, shifts, firsts, [*firsts, len(hours)][1:], strict=True):
        offset = (offset + shift + 11) % HOURS - 11
        if offset:
            out.append(ClockMove(first, end - 1, float(offset), probability))
    return tuple(out)


def _moves(table: FloatArray, base: int, most: int) -> list[tuple[int, int, float]]:
    """Weeks of a move, hours and probability, by time; each side is searched again."""
    found = _best_move(table)
    if found is None or most == 0:
        return []
    week, shift, probability = found
    # the week of the move, and the one before, may hold both clocks
    early = _moves(table[: week - 1], base, most - 1)
    late = _moves(table[week + 1 :], base + week + 1, most - 1)
    return [*early, (base + week, shift, probability), *late]


def _best_move(table: FloatArray) -> tuple[int, int, float] | None:
    """The likeliest move, by windows of several widths: a wide one may hold the move back as well.

    Source: Fryzlewicz (2014), Annals of Statistics 42:2243, for the windows; the likelihood is that of counts whose
    hours share one profile before and, moved, after.
    """
    weeks = len(table)
    if weeks < 2 * FEWEST_WEEKS:
        return None
    total = np.concatenate([np.zeros((1, HOURS)), np.cumsum(table, axis=0)])
    halves = [half for half in (FEWEST_WEEKS * 2**k for k in range(8)) if half < weeks] + [weeks]
    best: tuple[float, int, int, slice] | None = None
    for half in halves:
        for week in range(FEWEST_WEEKS, weeks - FEWEST_WEEKS + 1):
            window = slice(max(week - half, 0), min(week + half, weeks))
            left = _unexplained(total[week] - total[window.start], total[window.stop] - total[week])
            gain = left[0] - left
            shift = int(gain.argmax())
            if shift and gain[shift] > EXPLAINED * left[0] and (best is None or gain[shift] > best[0]):
                best = (float(gain[shift]), week, shift, window)
    if best is None:
        return None
    gained, week, shift, window = best
    over = _overdispersion(table[window], week - window.start, shift)
    probability = float(expit(gained / over + np.log(CLOCK_MOVES_PER_YEAR / 52 / HOURS)))
    return (week, (shift + 11) % HOURS - 11, probability) if probability >= 0.9 else None


def _unexplained(early: FloatArray, late: FloatArray) -> FloatArray:
    """Log likelihood that one profile, moved by each number of hours, lacks against two profiles, shape [hour]."""
    hour = np.arange(HOURS)
    back = late[(hour[None, :] + hour[:, None]) % HOURS]

    def log_likelihood(counts: FloatArray) -> FloatArray:
        whole = counts.sum(axis=-1, keepdims=True)
        return np.asarray((counts * np.log((counts + 1e-12) / (whole + 1e-12))).sum(axis=-1))

    return np.asarray(log_likelihood(early) + log_likelihood(late) - log_likelihood(early + back))


def _overdispersion(table: FloatArray, week: int, shift: int) -> float:
    """How much more the hours of single weeks differ than counting would make them, once the move is taken back."""
    aligned = table.copy()
    aligned[week:] = np.roll(aligned[week:], -shift, axis=1)
    share = aligned.sum(axis=0) / aligned.sum()
    expected = aligned.sum(axis=1, keepdims=True) * share
    terms = np.where(expected > 0, (aligned - expected) ** 2 / np.where(expected > 0, expected, 1.0), 0.0)
    return max(float(terms.sum()) / max((len(table) - 1) * (HOURS - 1), 1), 1.0)


def _sharpen(hours: NDArray[np.int64], since: int, week: int, until: int, *, shift: int) -> int:
    """The step within two weeks of a move that parts the hours best, between the move before it and the next."""
    low, high = 7 * (week - 1), min(7 * (week + 1), len(hours))
    early, late = hours[7 * since : low].sum(axis=0), hours[high : 7 * until].sum(axis=0)
    usual = np.log(early + np.roll(late, -shift) + 0.5)
    gain = hours @ (np.roll(usual, shift) - usual)
    value = [float(gain[step:high].sum() - gain[low:step].sum()) for step in range(low, high)]
    return low + int(np.argmax(value))


def day_move(total: FloatArray) -> ClockMove | None:
    """A day from which on days are cut at another hour, by the weekly pattern alone.

    A cut that moves by a share f of a day mixes each weekday with its neighbour: after = (1 - f) before + f neighbour.
    Only that direction counts; a week that changed otherwise does not. Dates that moved by a whole day are f = 1. How
    much weekly patterns wander without a move is not known: the part of the change that no move explains tells it, so
    that a flat week, or a move by a few hours of the night, is passed over.

    Parameters
    ----------
    total
        Visits of the shop, shape [step], daily; nan = not measured.
    """
    weeks = total.size // 7
    if weeks < 2 * FEWEST_PATTERN_WEEKS:
        return None
    blocks = total[: 7 * weeks].reshape(weeks, 7)
    mean = blocks.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        pattern = np.where(mean >= SMALLEST_DAY, blocks / np.where(mean > 0, mean, 1.0), np.nan)
    best = (-np.inf, 0, 0.0)
    for week in range(FEWEST_PATTERN_WEEKS, weeks - FEWEST_PATTERN_WEEKS + 1):
        sides = [pattern[max(week - SEASON_WEEKS, 0) : week], pattern[week : week + SEASON_WEEKS]]
        sides = [side[np.isfinite(side).all(axis=1)] for side in sides]
        if min(len(side) for side in sides) >= FEWEST_PATTERN_WEEKS:
            for direction in (-1, 1):
                odds, part = _mixed(sides[0], sides[1], direction)
                best = max(best, (odds, week, direction * part))
    odds = best[0] + float(np.log(CLOCK_MOVES_PER_YEAR / 52))
    if expit(odds) < 0.9:
        return None
    first = _first_mixed(total, pattern, best[1])
    return ClockMove(first, total.size - 1, float(np.round(HOURS * best[2])), float(expit(odds)))


def _first_mixed(total: FloatArray, pattern: FloatArray, week: int) -> int:
    """The day within a month of the likeliest week that parts the weekly patterns best, by least squares (Bai 1997)."""
    sides = pattern[max(week - SEASON_WEEKS, 0) : week], pattern[week : week + SEASON_WEEKS]
    before, after = (np.nanmedian(side, axis=0) for side in sides)
    low, high = max(7 * (week - ONE_DAY_WEEKS), 3), min(7 * (week + ONE_DAY_WEEKS), total.size - 3)
    days = np.arange(low, high)
    around = np.lib.stride_tricks.sliding_window_view(total, 7)[days - 3].mean(axis=1)
    share = total[days] / np.where(around > 0, around, np.nan)
    gain = np.nan_to_num((share - before[days % 7]) ** 2 - (share - after[days % 7]) ** 2)
    value = [float(gain[at:].sum() - gain[:at].sum()) for at in range(days.size)]
    return low + int(np.argmax(value))


def _mixed(early: FloatArray, late: FloatArray, direction: int) -> tuple[float, float]:
    """Log likelihood ratio and part of a mixing of weekdays with one neighbour; the scale of wandering integrated out.

    Six contrasts of a week are compared, one of them taken by the move: (6 / 2) log(whole / left), with what is left
    no less than the noise of the medians makes it.
    """
    before, after = np.median(early, axis=0), np.median(late, axis=0)
    variance = _median_variance(early) + _median_variance(late)
    towards, change = np.roll(before, direction) - before, after - before
    size = float((towards**2).sum())
    part = float((towards * change).sum()) / size if size > 0 else 0.0
    if not SMALLEST_MOVE < part < 1.3:
        return -np.inf, 0.0
    whole = float((change**2).sum()) / variance
    left = float(((change - part * towards) ** 2).sum()) / variance
    return 3.0 * float(np.log(max(whole, 5.0) / max(left, 5.0))), part


def _median_variance(pattern: FloatArray) -> float:
    """Variance of a weekday's median over weeks: by the median deviation, pooled over the weekdays."""
    deviation = np.median(np.abs(pattern - np.median(pattern, axis=0)), axis=0)
    return float(np.pi / 2 * np.mean((1.4826 * deviation) ** 2) / len(pattern) + 1e-9)
