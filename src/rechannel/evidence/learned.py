"""What is learned of many series before they are searched: the noise of each, and the moves that a group shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.onestep import Noise, Shared, fit_noise, fit_shared, in_full, one_step
from rechannel.evidence.watched import BUSY, Watched
from rechannel.vocabulary.estimate import FloatArray

SOME = 0.5
"""Visits of a step below which there were none."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Noise of the series, and what their groups share."""

    noise: Noise
    noise_alone: Noise
    shared: Shared
    common: FloatArray
    common_variance: FloatArray

    def beside(self, watched: Watched) -> Watched:
        """The series without the common moves of their groups."""
        return replace(watched, left=watched.left - self.common, extra=watched.extra + self.common_variance)


def learn(
    watched: Watched, beside: Sequence[bool], before: Learned | None = None, shifted: Sequence[tuple[int, int]] = ()
) -> Learned:
    """Noise of every series, and what those of a group share.

    Parameters
    ----------
    watched
        Series without their calendar.
    beside
        For each group, whether its series share common moves.
    before, shifted
        What was learned with shifts that were found since, and the series, as (group, series), that they are of: only
        these are learned again.
    """
    again = np.full(watched.guess.shape, before is None)
    for group, series in shifted:
        again[group, series] = True
    left, extra, reset = watched.left, watched.extra, watched.reset
    shut = np.where(_are_shut(watched), np.nan, 0.0)
    alone_noise = _fitted(
        left + shut, extra, watched.guess, reset, again, None if before is None else before.noise_alone
    )
    together = np.broadcast_to(np.array(beside)[:, None], watched.guess.shape)
    if not together.any() or watched.guess.shape[1] < 2:
        none = np.zeros_like(left)
        return Learned(alone_noise, alone_noise, in_full(np.zeros_like(together)), none, none)
    alone = one_step(left, extra, alone_noise, reset=reset)
    full = one_step(left, extra, alone_noise, reset=reset, beside=in_full(together))
    shared = fit_shared(alone, full, together)
    passed = one_step(left, extra, alone_noise, reset=reset, beside=shared)
    own, more = left - passed.together, extra + passed.common_variance
    guess = 2.0 * _typical(passed.error)
    noise = _fitted(own + shut, more, guess, reset, again, None if before is None else before.noise)
    return Learned(noise, alone_noise, shared, passed.together, passed.common_variance)


def _are_shut(watched: Watched) -> NDArray[np.bool_]:
    """Steps without a visit of a channel that has some on most: no noise, whatever else they are."""
    size = np.where(watched.counts, np.exp(watched.left + watched.calendar) - 0.5, np.nan)
    usual = np.zeros(watched.guess.shape)
    for place in np.ndindex(*usual.shape):
        there = size[(slice(None), *place)]
        there = there[there > SOME]
        usual[place] = np.median(there) if there.size else 0.0
    return np.asarray((size < SOME) & (usual >= BUSY))


def _fitted(
    left: FloatArray,
    extra: FloatArray,
    guess: FloatArray,
    reset: NDArray[np.bool_],
    again: NDArray[np.bool_],
    before: Noise | None,
) -> Noise:
    """Noise of the series marked `again`, that of `before` for the others."""
    if before is None:
        return fit_noise(left, extra, guess, reset)
    new = fit_noise(left[:, again], extra[:, again], guess[again], reset[:, again])
    parts = []
    for old, part in (
        (before.memory, new.memory),
        (before.mood, new.mood),
        (before.walk, new.walk),
        (before.white, new.white),
    ):
        merged = old.copy()
        merged[again] = part
        parts.append(merged)
    return Noise(*parts)


def _typical(error: FloatArray) -> FloatArray:
    """Median size of the measured errors of each series, shape [group, series]; 1 where nothing is measured."""
    out = np.ones(error.shape[1:])
    for place in np.ndindex(*out.shape):
        there = error[(slice(None), *place)]
        there = there[np.isfinite(there)]
        if there.size:
            out[place] = max(float(np.median(np.abs(there))), 1e-6)
    return out
