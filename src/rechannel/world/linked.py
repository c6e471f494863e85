"""Uncertain vectors that know what they share: draws beside slopes, so that what came corrects all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rechannel.vocabulary.estimate import FloatArray

JITTER = 1e-9


@dataclass(frozen=True, slots=True)
class Linked:
    """An uncertain vector.

    Attributes
    ----------
    draws
        Shape [draw, size].
    slopes
        Part -> derivative with respect to that part around the mean, shape [size, part size].
    """

    draws: FloatArray
    slopes: Mapping[str, FloatArray]

    @property
    def mean(self) -> FloatArray:
        """Mean of the draws, shape [size]."""
        return np.asarray(self.draws.mean(axis=0))

    def __add__(self, other: Linked) -> Linked:
        both = {**self.slopes, **other.slopes}
        for name, slope in self.slopes.items():
            if name in other.slopes:
                both[name] = slope + other.slopes[name]
        return Linked(self.draws + other.draws, both)

    def __sub__(self, other: Linked) -> Linked:
        return self + other.times(-1.0)

    def __mul__(self, other: Linked) -> Linked:
        """Elementwise product; the slopes are those of the first order."""
        mine, theirs = self.mean[:, None], other.mean[:, None]
        first = Linked(self.draws * other.draws, {name: theirs * slope for name, slope in self.slopes.items()})
        second = {name: mine * slope for name, slope in other.slopes.items()}
        return first + Linked(np.zeros((1, 1)), second)

    def times(self, factor: float) -> Linked:
        """Every value times a known number."""
        return Linked(self.draws * factor, {name: slope * factor for name, slope in self.slopes.items()})

    def less(self, known: FloatArray) -> Linked:
        """Less a known vector, shape [size]."""
        return Linked(self.draws - known, self.slopes)

    def summed(self, rows: FloatArray) -> Linked:
        """Linear combinations `rows` [row, size] of the values."""
        return Linked(self.draws @ rows.T, {name: rows @ slope for name, slope in self.slopes.items()})


def stacked(vectors: Sequence[Linked]) -> Linked:
    """Several vectors end to end."""
    sizes = [vector.draws.shape[1] for vector in vectors]
    names = {name: slope.shape[1] for vector in vectors for name, slope in vector.slopes.items()}
    slopes = {
        name: np.concatenate(
            [vector.slopes.get(name, np.zeros((size, width))) for vector, size in zip(vectors, sizes, strict=True)]
        )
        for name, width in names.items()
    }
    return Linked(np.concatenate([vector.draws for vector in vectors], axis=1), slopes)


def covariance_of(a: Linked, b: Linked, parts: Mapping[str, FloatArray]) -> FloatArray:
    """Covariance of two vectors to the first order, given that of every part, shape [size of a, size of b]."""
    total = np.zeros((a.draws.shape[1], b.draws.shape[1]))
    for name, slope in a.slopes.items():  # in their order: a set of names has another one in every process
        if name in b.slopes:
            total += slope @ parts[name] @ b.slopes[name].T
    return total


def given(wanted: Linked, seen: Linked, came: FloatArray, parts: Mapping[str, FloatArray]) -> FloatArray:
    """Draws of `wanted` once `seen` is known to be `came`, shape [draw, size].

    Every draw is moved by what its own `seen` misses, times the regression of wanted on seen: exact where all is normal
    and linear, and strong data leave nothing of the start. A value without spread cannot be learned from.

    Source: Journel and Huijbregts (1978), Mining Geostatistics, VII.A (conditioning by kriging); Evensen (2009), The
    ensemble Kalman filter for combined state and parameter estimation, IEEE Control Systems 29(3), equation 22.
    """
    own = covariance_of(seen, seen, parts)
    sd = np.sqrt(np.maximum(np.diag(own), 0.0))
    tells = sd > JITTER * max(float(np.abs(came).max(initial=0.0)), 1.0)
    if not tells.any():
        return wanted.draws
    scale = sd[tells]
    correlation = own[np.ix_(tells, tells)] / np.outer(scale, scale)
    correlation[np.diag_indices_from(correlation)] += JITTER
    cross = covariance_of(wanted, seen, parts)[:, tells] / scale
    gain = np.linalg.solve(correlation, cross.T)
    return np.asarray(wanted.draws + ((came - seen.draws)[:, tells] / scale) @ gain)
