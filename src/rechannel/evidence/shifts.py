"""Shifts of level that nobody logged: every start, length and size is weighed against a forecast that knew of none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from rechannel.evidence.learned import Learned, learn
from rechannel.evidence.onestep import (
    Noise,
    OneStep,
    Shared,
    Tail,
    fit_tail,
    one_step,
    step_response,
)
from rechannel.evidence.watched import Watched
from rechannel.vocabulary.channel import Cadence
from rechannel.vocabulary.estimate import FloatArray

LOST = np.array([0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.995, 1.0])
GAINED = -np.array([0.15, 0.3, 0.5, 1.0, 2.0, 4.0, 9.0])
"""Sizes weighed: share of visits lost; a gain is a loss below zero. 1 = no visit at all."""
NOTHING_LEFT = 4.0
"""Prior weight of losing everything, relative to each other size: most faults shut an entry altogether."""
TEMPORARY_PER_YEAR, LASTING_PER_YEAR = 6.0, 0.5
"""Unlogged incidents of one channel that are expected in a year: one every two months that ends, one in two years that
stays. A shop that logs everything has fewer; ten times fewer costs an incident 2.3 of the 10 or more that it earns."""
PROPOSED = 0.8
"""Least probability of a shift that is told to the user."""
SMALLEST_SCORE = 3.0
"""Starts are weighed in full only where the errors that follow are this many sd from zero over some span."""
WORTH_WEIGHING = 3.0
"""Log likelihood ratio of the best span and size below which no prior lets a start pass."""
NEIGHBOURS = 3
"""Starts weighed in full among those of two weeks."""
FEWEST_BEFORE = 14
"""Measured steps before a shift; without them there is no level to fall from."""
APART = 45
ALIKE = 0.4
"""A fall beside another that takes less than this part of it is one of its own."""
ROUNDS = 6
NO_COUNTS = 1e12
"""Size of a series that is not a count: its noise does not grow when it falls."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How many steps are looked at: of a shift that stays, of one that ends, and after its end."""

    stays: int
    ends: int
    after: int
    per_year: float


REACHES: dict[Cadence, Reach] = {"daily": Reach(90, 60, 28, 365.25), "weekly": Reach(26, 9, 8, 52.18)}


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift of one series.

    Attributes
    ----------
    group, series
        Which.
    first, last
        Steps, ends included; last None = it did not end within the data, or not for three months.
    lost
        Share of the usual amount that is missing; below 0 = gained.
    log_odds
        That there is a shift around these steps.
    alone
        Log likelihood ratio of the same shift without a look at the other series; a fall of everybody else's rise is
        below 0 here.
    """

    group: int
    series: int
    first: int
    last: int | None
    lost: float
    log_odds: float
    alone: float

    @property
    def probability(self) -> float:
        """Of a shift around these steps."""
        return float(expit(self.log_odds))


@dataclass(frozen=True, slots=True)
class Searched:
    """What the search leaves behind.

    Attributes
    ----------
    shifts
        Found, likely ones first within each series.
    watched
        The series without the steps of shifts that ended, and with a reset where one stays.
    noise, shared
        Noise of each series beside the others, and how it shares their common moves.
    noise_alone
        Noise of each series alone.
    together, together_variance
        Where the common moves have taken each series, log units, and how uncertain that is, shape [step, group,
        series].
    """

    shifts: tuple[Shift, ...]
    watched: Watched
    noise: Noise
    shared: Shared
    noise_alone: Noise
    together: FloatArray
    together_variance: FloatArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """One series as its forecasts saw it, padded so that every span can be read.

    Attributes
    ----------
    error, variance
        Of the forecasts, scale of the tail included, shape [step + pad].
    response
        See `step_response`, shape [step + pad, reach].
    size
        Forecast amount, shape [step + pad]; `NO_COUNTS` for a series that is not a count.
    tail
        Of the standardised errors.
    steps
        Steps without the pad.
    """

    error: FloatArray
    variance: FloatArray
    response: FloatArray
    size: FloatArray
    tail: Tail
    steps: int

    def ratio(self, days: NDArray[np.intp], left: FloatArray, lost: FloatArray, growing: bool) -> FloatArray:
        """Log likelihood of each step under each size over that of no shift; `left` of the shift is still unlearned."""
        size = self.size[days][..., None]
        remains = (1 - lost) * size + 0.5
        moved = np.log(remains / (size + 0.5)) * left[..., None]
        variance = self.variance[days][..., None]
        wider = variance + (np.maximum(1 / remains - 1 / (size + 0.5), 0.0) if growing else 0.0)
        error = self.error[days][..., None]
        df = self.tail.df
        terms = np.log1p((error - moved) ** 2 / wider / df) - np.log1p(error**2 / variance / df)
        value = -(df + 1) / 2 * terms - 0.5 * np.log(wider / variance)
        return np.where(np.isfinite(value), value, 0.0)

    def while_on(self, first: int, lost: FloatArray, reach: int) -> FloatArray:
        """Cumulated over the steps of a shift that starts at `first`, shape [step, size]."""
        days = first + np.arange(reach)
        return np.cumsum(self.ratio(days, self.response[first, :reach], lost, True), axis=0)

    def once_over(self, first: int, lost: FloatArray, reach: Reach) -> FloatArray:
        """Summed over the steps that follow the end after 1, 2, ... steps, shape [length, size]."""
        length, after = np.arange(1, reach.ends + 1)[:, None], np.arange(reach.after)[None, :]
        days = first + length + after
        left = self.response[first, length + after] - self.response[np.minimum(first + length, self.steps), after]
        return np.asarray(self.ratio(days, left, lost, False).sum(axis=1))


def evidence_of(
    passed: OneStep, watched: Watched, noise: Noise, group: int, series: int, *, fitted_before: int | None = None
) -> Evidence:
    """What a pass says about one series; its tail is read from the steps before `fitted_before`, if given."""
    reach = REACHES[watched.cadence]
    pad = reach.stays + reach.after
    # where the level starts anew nothing was expected, so nothing can be judged
    error = np.where(watched.reset[:, group, series], np.nan, passed.error[:, group, series])
    variance = passed.variance[:, group, series]
    tail = fit_tail((error / np.sqrt(variance))[:fitted_before])
    response = step_response(passed, float(noise.memory[group, series]), group, series, pad)
    size = np.full(error.size, NO_COUNTS)
    if watched.counts[group, series]:
        forecast = watched.calendar[:, group, series] + watched.left[:, group, series] - error
        size = np.maximum(np.exp(np.where(np.isfinite(forecast), forecast, 0.0)) - 0.5, 0.1)
    return Evidence(
        error=np.concatenate([error, np.full(pad, np.nan)]),
        variance=np.concatenate([variance * tail.scale**2, np.ones(pad)]),
        response=np.concatenate([response, np.ones((pad, pad))]),
        size=np.concatenate([size, np.ones(pad)]),
        tail=tail,
        steps=error.size,
    )


def scores(evidence: Evidence, reach: Reach) -> FloatArray:
    """For each start the strongest standardised sum of the errors that follow, over several spans, shape [step]."""
    steps = evidence.steps
    standard = evidence.error / np.sqrt(evidence.variance)
    measured = np.isfinite(standard)
    clipped = np.where(measured, np.clip(standard, -4, 4), 0.0)
    best = np.zeros(steps)
    for span in (1, 3, 7, 14, reach.after, reach.ends):
        left = evidence.response[:steps, :span]
        there = np.lib.stride_tricks.sliding_window_view(measured, span)[:steps]
        value = (np.lib.stride_tricks.sliding_window_view(clipped, span)[:steps] * left).sum(axis=1)
        value = value / np.sqrt((left**2 * there).sum(axis=1) + 1e-9)
        best = np.where(np.abs(value) > np.abs(best), value, best)
    return np.where(measured[:steps], best, 0.0)


def size_prior(lost: FloatArray) -> FloatArray:
    """Log prior of the sizes."""
    weight = np.where(lost == 1.0, NOTHING_LEFT, 1.0)
    return np.asarray(np.log(weight / weight.sum()))


def length_prior(reach: Reach) -> FloatArray:
    """Log prior of the lengths of a shift that ends: short ones are more common, long ones not rare."""
    weight = (np.arange(1, reach.ends + 1) + 2.0) ** -1.5
    return np.asarray(np.log(weight / weight.sum()))


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The best shift that starts on one step."""

    first: int
    length: int | None
    lost: float
    log_odds: float


def _weigh(evidence: Evidence, first: int, sign: float, reach: Reach) -> _Weighed:
    """Every length and size of a shift that starts on one step; the odds are those of all of them together."""
    lost = LOST if sign < 0 else GAINED
    ends, stays = np.log(TEMPORARY_PER_YEAR / reach.per_year), np.log(LASTING_PER_YEAR / reach.per_year)
    span = min(evidence.steps - first, reach.stays)
    on = evidence.while_on(first, lost, reach.stays) + size_prior(lost)
    lengths = length_prior(reach)
    over = on[: reach.ends] + evidence.once_over(first, lost, reach) + lengths[:, None] + ends
    over[span - 1 if span <= reach.ends else reach.ends :] = -np.inf
    still = np.logaddexp.reduce(lengths[span - 1 :]) + ends if span <= reach.ends else -np.inf
    lasting = on[span - 1] + np.logaddexp(stays, still)
    total = float(np.logaddexp.reduce(np.concatenate([over.ravel(), lasting])))
    at, size = np.unravel_index(int(np.argmax(over)), over.shape)
    if lasting.max() >= over[at, size]:
        return _Weighed(first, None, float(lost[int(lasting.argmax())]), total)
    return _Weighed(first, int(at) + 1, float(lost[size]), total)


def _likely(evidence: Evidence, reach: Reach) -> list[_Weighed]:
    """The best shifts of one series, far enough from each other to be judged in one round."""
    found = scores(evidence, reach)
    before = np.cumsum(np.isfinite(evidence.error[: evidence.steps])) - 1
    starts = np.flatnonzero((np.abs(found) > SMALLEST_SCORE) & (before >= FEWEST_BEFORE))
    rough = {}
    for first in starts.tolist():
        lost = LOST if found[first] < 0 else GAINED
        span = min(evidence.steps - first, reach.stays)
        rough[first] = float(evidence.while_on(first, lost, span).max())
    worth: list[int] = []
    for first in sorted((one for one in rough if rough[one] > WORTH_WEIGHING), key=lambda one: -rough[one]):
        if sum(abs(first - other) <= 2 * NEIGHBOURS for other in worth) < NEIGHBOURS:
            worth.append(first)
    weighed = [_weigh(evidence, first, float(found[first]), reach) for first in worth]
    least = float(np.log(PROPOSED / (1 - PROPOSED)))
    left = sorted((one for one in weighed if one.log_odds >= least), key=lambda one: -one.log_odds)
    kept: list[_Weighed] = []
    while left:
        best = _since(evidence, left[0], left, reach)
        if all(_apart(best, other, reach) for other in kept):
            kept.append(best)
        left = [one for one in left if one not in (best, left[0]) and _apart(one, best, reach)]
    return kept


def _since(evidence: Evidence, best: _Weighed, others: Sequence[_Weighed], reach: Reach) -> _Weighed:
    """The likeliest start of a shift that stays, among those weighed and all near the best of them.

    Starts were weighed over windows of one length, which favour none while the level stays low for longer than that,
    and by sizes on a grid, which a wrong start may fit better; here all are held against the same steps, each by the
    size that fits it.
    """
    if best.length is not None:
        return best
    rivals = [one for one in others if one.length is None and one.lost * best.lost > 0]
    rivals = [one for one in rivals if abs(one.first - best.first) < reach.stays]
    lead = max(rivals, key=lambda one: _spoken_for(evidence, one.first, one.lost, rivals, reach))
    near = range(max(lead.first - 2 * NEIGHBOURS, 1), min(lead.first + 2 * NEIGHBOURS + 1, evidence.steps))
    tried = [replace(lead, first=first) for first in near if np.isfinite(evidence.error[first])]
    first = max(tried, key=lambda one: _spoken_for(evidence, one.first, one.lost, tried, reach)).first
    if first == lead.first:
        return lead
    sharper = _weigh(evidence, first, -lead.lost, reach)
    return sharper if sharper.length is None and sharper.lost * lead.lost > 0 else lead


def _spoken_for(evidence: Evidence, first: int, lost: float, rivals: Sequence[_Weighed], reach: Reach) -> float:
    """Log likelihood ratio of a shift that stays, on the steps since the earliest rival, at the size that fits best."""
    end = min(min(one.first for one in rivals) + reach.stays, evidence.steps)
    if first >= end:
        return 0.0
    days, span = slice(first, end), end - first
    left = evidence.response[first, :span]
    precision = np.where(np.isfinite(evidence.error[days]), 1 / evidence.variance[days], 0.0)
    weight = left * precision
    moved = float((np.nan_to_num(evidence.error[days]) * weight).sum() / ((left * weight).sum() + 1e-12))
    fitted = -np.expm1(np.clip(moved, -6.0, 2.5))
    return float(evidence.while_on(first, np.array([lost, fitted]), span)[-1].max())


def _apart(one: _Weighed, other: _Weighed, reach: Reach) -> bool:
    """Whether the steps by which the earlier shift was weighed end before the later one begins."""
    early, late = sorted((one, other), key=lambda row: row.first)
    return early.length is not None and late.first - early.first >= max(early.length + reach.after, APART)


def find_shifts(watched: Watched, beside: Sequence[bool] = (True,)) -> Searched:
    """Find the shifts of level of every series, the likeliest first, each time without those found before.

    Parameters
    ----------
    watched
        Series with their calendar taken out.
    beside
        For each group, whether its series share common moves, which are then taken out; False = each is judged alone.

    Returns
    -------
    Searched
        Shifts of a probability of at least `PROPOSED`, in both directions. The probability is that of a shift against
        none under the noise of the series itself, heavy tails included; nothing is tuned to a false alarm rate.
    """
    learned = learn(watched, beside)
    everything = [(g, s) for g in range(len(beside)) for s in range(watched.guess.shape[1])]
    everything = [(g, s) for g, s in everything if np.isfinite(watched.left[:, g, s]).sum() > FEWEST_BEFORE]
    rough = _round(watched, learned, everything)
    if rough:  # a shift makes the noise look larger than it is: it is learned again without, and the search begins anew
        learned = learn(_without(watched, rough), beside, learned, [(one.group, one.series) for one in rough])
    found: list[Shift] = []
    changed = everything
    for turn in range(ROUNDS):
        new = _round(watched, learned, changed)
        if not new and turn > 0:
            break
        watched = _without(watched, new)
        found += new
        # the second round judges every series again, by a tail that no longer holds what was found
        changed = everything if turn == 0 else sorted({(one.group, one.series) for one in new})
    return Searched(
        tuple(found),
        watched,
        learned.noise,
        learned.shared,
        learned.noise_alone,
        learned.common,
        learned.common_variance,
    )


def _round(watched: Watched, learned: Learned, places: Sequence[tuple[int, int]]) -> list[Shift]:
    """The best shifts of some series, given as (group, series), by one pass."""
    reach = REACHES[watched.cadence]
    own = learned.beside(watched)
    passed = both_views(own, learned.noise, watched, learned.noise_alone)
    found: list[Shift] = []
    for group, series in places:
        likely = _likely(evidence_of(passed[0], own, learned.noise, group, series), reach)
        if likely:
            alone = evidence_of(passed[1], watched, learned.noise_alone, group, series)
            found += [_shift(one, alone, group, series, reach) for one in likely]
    return found


def both_views(one: Watched, noise: Noise, other: Watched, other_noise: Noise) -> tuple[OneStep, OneStep]:
    """The passes of two views of the same series, in one walk through the steps."""
    groups = one.left.shape[1]
    both = Noise(
        np.concatenate([noise.memory, other_noise.memory]),
        np.concatenate([noise.mood, other_noise.mood]),
        np.concatenate([noise.walk, other_noise.walk]),
        np.concatenate([noise.white, other_noise.white]),
    )
    left, extra = np.concatenate([one.left, other.left], axis=1), np.concatenate([one.extra, other.extra], axis=1)
    passed = one_step(left, extra, both, reset=np.concatenate([one.reset, other.reset], axis=1))

    def part(groups_of: slice) -> OneStep:
        return OneStep(
            passed.error[:, groups_of],
            passed.variance[:, groups_of],
            passed.gain_level[:, groups_of],
            passed.gain_mood[:, groups_of],
            passed.common[:, groups_of],
            passed.common_variance[:, groups_of],
            passed.settled[:, groups_of],
        )

    return part(slice(0, groups)), part(slice(groups, None))


def _shift(one: _Weighed, single: Evidence, group: int, series: int, reach: Reach) -> Shift:
    length = one.length or min(single.steps - one.first, reach.stays)
    alone = float(single.while_on(one.first, np.array([one.lost]), length)[-1, 0])
    last = None if one.length is None else one.first + one.length - 1
    return Shift(group, series, one.first, last, one.lost, one.log_odds, alone)


def _without(watched: Watched, shifts: Sequence[Shift]) -> Watched:
    """The series without the steps of shifts that ended, and with a reset where one stays."""
    left, reset = watched.left.copy(), watched.reset.copy()
    for one in shifts:
        steps = len(left) - one.first if one.last is None else one.last + 1 - one.first
        if one.last is None and steps >= REACHES[watched.cadence].after:
            reset[one.first, one.group, one.series] = True
        else:
            left[one.first : one.first + steps, one.group, one.series] = np.nan
    return replace(watched, left=left, reset=reset)


def joined(shifts: Sequence[Shift]) -> Iterator[Shift]:
    """Falls of one series that touch each other as one: a fault often begins or ends within a day.

    Yields
    ------
    Shift
        From the first step to the last, with the loss weighted by steps and the odds of the likeliest.
    """
    ordered = sorted(shifts, key=lambda one: (one.group, one.series, one.first))
    at = 0
    while at < len(ordered):
        one = ordered[at]
        at += 1
        while at < len(ordered) and _touches(one, ordered[at]):
            other = ordered[at]
            at += 1
            assert one.last is not None
            last, first_steps = one.last, one.last - one.first + 1
            if other.last is None:
                one = replace(other, first=one.first)
                continue
            steps = other.last - other.first + 1
            lost = (one.lost * first_steps + other.lost * steps) / (first_steps + steps)
            odds, alone = max(one.log_odds, other.log_odds), max(one.alone, other.alone)
            one = replace(one, last=max(last, other.last), lost=lost, log_odds=odds, alone=alone)
        yield one


def _touches(one: Shift, other: Shift) -> bool:
    same = (one.group, one.series) == (other.group, other.series) and one.lost * other.lost > 0
    alike = min(abs(one.lost), abs(other.lost)) >= ALIKE * max(abs(one.lost), abs(other.lost))
    return same and alike and one.last is not None and other.first <= one.last + 2
