"""One-step forecasts of many series at once: a level that wanders, a mood that fades, and days that may be odd.

Each series is ``x = level + mood + noise`` after its calendar is taken out: the level a random walk, the mood an AR(1),
the noise white. Its forecast of the next step uses nothing later. An error far out counts less than its size (the
weight of a t distribution), so that odd days and outages do not drag the level along: what has fallen stays visibly
below its forecast. `evidence.series` answers how much; this module answers since when, for which every day must be
judged by what was known on its eve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from rechannel.vocabulary.estimate import FloatArray

WEIGHT_DF = 5.0
"""Degrees of freedom of the weights: an error of 5 sd moves the level a fifth as far as a regular one would."""
COMMON_SD = 0.15
"""Prior sd of what a shop's channels share on one day beyond their levels, log units."""
COMMON_FADE = 0.05
"""Share of a common move that the levels take over each step: what stays for a month is where the channels now are."""
PART_FADE = 0.02
"""The same for how fully a series takes part: slower than the move is taken over, so that all of it is."""
OWN_REACTION = 0.5
"""Sd of a channel's own reaction to a common move, relative to it."""
CLEARLY_COMMON = 3.0
"""A common move of this many usual ones is half as certain to be everybody's as one that is much larger."""
START_VARIANCE = 0.25
RESET_VARIANCE = 25.0
"""Variance of the level at the start of a series, and added where it is known to have shifted: to nothing at worst."""
_MOODS = ((0.0, 0.0), (0.5, 0.4), (0.5, 0.9), (0.8, 0.4), (0.8, 0.9), (0.93, 0.4), (0.93, 0.9))
_WALKS = (1e-5, 3e-4, 3e-3, 3e-2)
_SCALES = (0.12, 0.25, 0.4, 0.6, 0.85, 1.2)
_TAIL_DF = (3.0, 4.0, 5.0, 7.0, 10.0, 20.0)
_TAIL_SCALES = (0.55, 0.65, 0.75, 0.85, 1.0, 1.15, 1.3)
SERIES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Noise:
    """What moves a series from one step to the next; every field of shape [series ...].

    Attributes
    ----------
    memory
        AR coefficient of the mood.
    mood, walk, white
        Variance of its innovation, of the level's, and of the noise.
    """

    memory: FloatArray
    mood: FloatArray
    walk: FloatArray
    white: FloatArray


@dataclass(frozen=True, slots=True)
class Shared:
    """How a series takes part in the common moves of its group; fields of shape [group, series].

    Attributes
    ----------
    part
        How much of an everyday common move is the series' own, too; others' noise makes it less than 1.
    usual
        Sd of everyday common moves. One that is much larger is no noise of the others: the series takes part in full.
    """

    part: FloatArray
    usual: FloatArray

    def in_move(self, moved: FloatArray) -> FloatArray:
        """The part of a common move of this size; 0 where the series takes no part at all."""
        size = (moved / self.usual) ** 2
        whole = self.part + (1 - self.part) * size / (size + CLEARLY_COMMON**2)
        return np.where(self.part > 0, whole, 0.0)


@dataclass(frozen=True, slots=True)
class OneStep:
    """One pass over all series; every field of shape [step, group, series].

    Attributes
    ----------
    error
        Value minus its forecast; nan where not measured.
    variance
        Of the forecast, noise included.
    gain_level, gain_mood
        How far an error of 1 moves level and mood; 0 where not measured.
    common, common_variance
        What the other series of the group say that all moved by, already taken out of `error`, and its variance; 0 in
        a pass that looks at each series alone.
    settled
        Common moves of earlier steps that the level has taken over; 0 in a pass that looks at each series alone.
    """

    error: FloatArray
    variance: FloatArray
    gain_level: FloatArray
    gain_mood: FloatArray
    common: FloatArray
    common_variance: FloatArray
    settled: FloatArray

    @property
    def together(self) -> FloatArray:
        """Where the common moves have taken each series since it began, this step's included."""
        return self.settled + self.common

    @property
    def standard(self) -> FloatArray:
        """Errors in units of their forecast sd."""
        return np.asarray(self.error / np.sqrt(self.variance))


@dataclass(frozen=True, slots=True)
class Tail:
    """How standardised errors are spread: a t distribution with `df` degrees of freedom and scale `scale`."""

    df: float
    scale: float


def one_step(
    values: FloatArray,
    extra: FloatArray,
    noise: Noise,
    *,
    reset: NDArray[np.bool_] | None = None,
    beside: Shared | None = None,
) -> OneStep:
    """Forecast every step of every series from the steps before it.

    Parameters
    ----------
    values
        Shape [step, group, series]; nan = not measured.
    extra
        Variance known beforehand (counting noise, days of events), same shape.
    noise
        Fields of shape [group, series].
    reset
        Steps on which the level is known to have shifted, same shape as `values`.
    beside
        How the series share the common moves of their groups; None = each alone.

    Notes
    -----
    Kalman filter of the three-part model with the gain multiplied by the weight of a t distribution (Meinhold and
    Singpurwalla 1989, JASA 84:479). The common move of a step is the precision-weighted mean of the other series'
    errors, each clipped to 3 sd around their median, so that one channel's fall is not taken for everybody's.
    """
    shape = values.shape
    kept = OneStep(*(np.zeros(shape) for _ in range(7)))
    _walk_through(values, extra, noise, reset, beside, kept)
    return kept


def fit_noise(
    values: FloatArray, extra: FloatArray, guess: FloatArray, reset: NDArray[np.bool_] | None = None
) -> Noise:
    """The noise of each series with the highest likelihood of its one-step errors, on a fixed grid.

    Parameters
    ----------
    values, extra, reset
        As in `one_step`.
    guess
        A rough sd of one step's change, shape [group, series]; the grid reaches from an eighth to 1.2 of it.
    """
    points = np.array([(phi, part, q, s) for phi, part in _MOODS for q in _WALKS for s in _SCALES])
    memory, part, ratio, scale = points.T
    flat, more = values.reshape(len(values), -1), extra.reshape(len(values), -1)
    total = (guess.reshape(-1, 1) * scale) ** 2
    anew = np.zeros(flat.shape, dtype=bool) if reset is None else reset.reshape(flat.shape)
    best = np.empty(flat.shape[1], dtype=np.intp)
    for at in range(0, flat.shape[1], SERIES_AT_ONCE):
        some = slice(at, at + SERIES_AT_ONCE)
        tried = Noise(
            np.broadcast_to(memory, total[some].shape),
            total[some] * part,
            total[some] * ratio,
            total[some] * (1 - part),
        )
        here = flat[:, some, None], more[:, some, None]
        best[some] = _walk_through(*here, tried, anew[:, some, None], None, None).argmax(axis=1)
    rows = np.arange(flat.shape[1])

    def chosen(field: FloatArray) -> FloatArray:
        return np.asarray(field.reshape(guess.shape))

    size = total[rows, best]
    return Noise(
        chosen(memory[best]),
        chosen(size * part[best]),
        chosen(size * ratio[best]),
        chosen(size * (1 - part[best])),
    )


def _walk_through(
    values: FloatArray,
    extra: FloatArray,
    noise: Noise,
    reset: NDArray[np.bool_] | None,
    beside: Shared | None,
    kept: OneStep | None,
) -> FloatArray:
    """The pass itself; log likelihood of each series under t errors, and all steps in `kept` when it is given."""
    shape = np.broadcast_shapes(values.shape[1:], noise.memory.shape)
    measured = np.isfinite(values)
    filled = np.where(measured, values, 0.0)
    level = np.broadcast_to(_first_level(values), shape).copy()
    mood = np.zeros(shape)
    level_variance = np.full(shape, START_VARIANCE)
    mood_variance = np.broadcast_to(noise.mood / (1 - noise.memory**2), shape).copy()
    covariance = np.zeros(shape)
    settled, begun = np.zeros(shape), np.zeros(shape, dtype=bool)
    part, held = (np.zeros(shape) if beside is None else beside.part), np.zeros(shape)
    likelihood = np.zeros(shape)
    squared = noise.memory**2
    for step in range(len(values)):
        here = measured[step]
        mood = noise.memory * mood
        mood_variance = squared * mood_variance + noise.mood
        covariance = noise.memory * covariance
        level_variance = level_variance + noise.walk
        if reset is not None:
            level_variance = level_variance + RESET_VARIANCE * reset[step]
        error = filled[step] - level - mood
        variance = level_variance + 2 * covariance + mood_variance + noise.white + extra[step]
        if beside is not None:
            moved, spread = _common(error, variance, here, held)
            part = np.maximum(beside.in_move(moved), part + PART_FADE * (beside.part - part))
            common = part * moved
            common_variance = part**2 * spread + (OWN_REACTION * common) ** 2
            error, variance = error - common, variance + common_variance
        squares = error * error / variance
        weight = np.minimum((WEIGHT_DF + 1) / (WEIGHT_DF + squares), 1.0) * here
        to_level, to_mood = level_variance + covariance, covariance + mood_variance
        gain_level, gain_mood = weight * to_level / variance, weight * to_mood / variance
        level, mood = level + gain_level * error, mood + gain_mood * error
        level_variance = level_variance - gain_level * to_level
        covariance = covariance - gain_level * to_mood
        mood_variance = mood_variance - gain_mood * to_mood
        if kept is None:
            terms = (WEIGHT_DF + 1) * np.log1p(squares / WEIGHT_DF) + np.log(variance)
            likelihood -= 0.5 * terms * here
            continue
        kept.error[step] = np.where(here, error, np.nan)
        kept.variance[step] = variance
        kept.gain_level[step] = gain_level
        kept.gain_mood[step] = gain_mood
        if beside is not None:
            kept.common[step] = common
            kept.common_variance[step] = common_variance
            kept.settled[step] = settled
            begun |= here
            taken_over = COMMON_FADE * common * begun
            level, settled, held = level + taken_over, settled + taken_over, (1 - COMMON_FADE) * moved
    return likelihood


def _first_level(values: FloatArray) -> FloatArray:
    """Median of the first seven measured values of each series, shape [group, series]; 0 when there is none."""
    flat = values.reshape(len(values), -1)
    out = np.zeros(flat.shape[1])
    for series in range(flat.shape[1]):
        early = np.flatnonzero(np.isfinite(flat[:, series]))[:7]
        if early.size:
            out[series] = np.median(flat[early, series])
    return out.reshape(values.shape[1:])


def _common(
    error: FloatArray, variance: FloatArray, here: NDArray[np.bool_], held: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What the other series of each group moved by on one step, and its variance, shapes [group, series].

    `held` is what is left of the move of the step before: a move most often lasts longer than a step.
    """
    count = here.sum(axis=-1, keepdims=True)
    order = np.sort(np.where(here, error, np.inf), axis=-1)
    middle = np.take_along_axis(order, np.maximum(count - 1, 0) // 2, axis=-1)
    middle = np.where(count >= 3, middle, 0.0)
    reach = 3 * np.sqrt(variance)
    near = middle + np.clip(error - middle, -reach, reach)
    precision = np.where(here, 1 / variance, 0.0)
    weighted = np.where(here, near * precision, 0.0)
    others = precision.sum(axis=-1, keepdims=True) - precision
    more = weighted.sum(axis=-1, keepdims=True) - weighted - held * others
    return held + more / (others + 1 / COMMON_SD**2), 1 / (others + 1 / COMMON_SD**2)


def fit_shared(alone: OneStep, full: OneStep, together: NDArray[np.bool_]) -> Shared:
    """How each series shares common moves: least squares of its own errors on them, within 0.05 and 1.

    Parameters
    ----------
    alone
        A pass of each series alone.
    full
        A pass in which each takes part in full, whose common moves are used.
    together
        Which series share anything at all, shape [group, series].
    """
    moved = np.where(np.isfinite(alone.error), full.common, 0.0)
    own = np.clip(np.nan_to_num(alone.error), -2 * COMMON_SD, 2 * COMMON_SD)
    part = np.clip((own * moved).sum(axis=0) / ((moved**2).sum(axis=0) + 1e-9), 0.05, 1.0)
    usual = 1.4826 * np.median(np.abs(full.common), axis=0) + 1e-3
    return Shared(np.where(together, part, 0.0), usual)


def in_full(together: NDArray[np.bool_]) -> Shared:
    """Every series that shares takes part in full."""
    return Shared(together.astype(np.float64), np.ones(together.shape))


def fit_tail(standard: FloatArray) -> Tail:
    """The t distribution of standardised errors with the highest likelihood, on a fixed grid; nan is left out."""
    errors = standard[np.isfinite(standard)]
    best = (-np.inf, Tail(WEIGHT_DF, 1.0))
    for df in _TAIL_DF:
        norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi)
        for scale in _TAIL_SCALES:
            terms = norm - np.log(scale) - (df + 1) / 2 * np.log1p((errors / scale) ** 2 / df)
            best = max(best, (float(terms.sum()), Tail(df, scale)), key=lambda row: row[0])
    return best[1]


def step_response(passed: OneStep, memory: float, group: int, series: int, reach: int) -> FloatArray:
    """What is still missing in the errors `k` steps after the level shifted by 1 on step `a`, shape [step, reach].

    1 on the first step; it falls as the level learns. With it every shift is judged from one pass that knew of none.

    Source: Willsky and Jones (1976), IEEE Transactions on Automatic Control 21:108, section III.
    """
    steps = len(passed.error)
    onto_level = np.concatenate([passed.gain_level[:, group, series], np.zeros(reach)])
    onto_mood = np.concatenate([passed.gain_mood[:, group, series], np.zeros(reach)])
    out = np.empty((steps, reach))
    level, mood, at = np.zeros(steps), np.zeros(steps), np.arange(steps)
    for k in range(reach):
        left = 1 - level - mood
        out[:, k] = left
        level = level + onto_level[at + k] * left
        mood = memory * (mood + onto_mood[at + k] * left)
    return out
