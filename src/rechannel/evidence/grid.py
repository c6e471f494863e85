"""The grid of (phi, q) on which a series is integrated: a coarse lattice, a fine one, and where a walk begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rechannel.vocabulary.estimate import FloatArray

LEVEL_RATIOS = (1e-6, 1e-4, 6e-4, 2.5e-3, 1e-2, 4e-2, 0.16, 0.64, 2.56, 10.24)
"""Coarse values of q: level innovation variance over AR innovation variance, a step."""
AR_COEFFICIENTS = (0.0, 0.25, 0.45, 0.62, 0.77, 0.88, 0.95)
"""Coarse values of phi."""
RATIO_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.25)
"""Prior weight of every coarse q: even in its logarithm, less where the level is all there is."""
SCOUT_STEPS = (2, 3)
"""Every how many coarse values of phi and q a scout stands."""
EDGE = 5e-3
"""A lattice point with at least this share of the best one's density has all its neighbours looked at."""
FEW_POINTS = 3.0
"""With fewer points than that sharing the mass, the fine lattice is used."""

Place = tuple[int, int]
"""A point of the fine lattice: place of phi, place of q; even places are coarse."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Grid points with prior weights.

    Attributes
    ----------
    phi, q, log_prior
        Shape [point]; points of one phi stand together.
    """

    phi: FloatArray
    q: FloatArray
    log_prior: FloatArray

    def only(self, keep: NDArray[np.intp]) -> Grid:
        """The grid restricted to some points."""
        return Grid(self.phi[keep], self.q[keep], self.log_prior[keep])

    def calmed(self, calm: float) -> Grid:
        """The grid with the prior of q times exp(-(calm^2) q / 2)."""
        return Grid(self.phi, self.q, self.log_prior - 0.5 * calm**2 * self.q)


@cache
def _axes() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fine values of phi and q, and their prior weights: phi uniform over its cells, q by `RATIO_WEIGHTS`."""
    coarse = np.array(AR_COEFFICIENTS)
    phi = np.empty(2 * coarse.size - 1)
    phi[::2], phi[1::2] = coarse, (coarse[1:] + coarse[:-1]) / 2
    edges = np.concatenate([[0.0], (phi[1:] + phi[:-1]) / 2, [1.0]])
    ratios = np.array(LEVEL_RATIOS)
    q = np.empty(2 * ratios.size - 1)
    q[::2], q[1::2] = ratios, np.sqrt(ratios[1:] * ratios[:-1])
    weights = np.array(RATIO_WEIGHTS)
    q_weights = np.empty(q.size)
    q_weights[::2], q_weights[1::2] = weights / 2, (weights[1:] + weights[:-1]) / 4
    return phi, q, np.diff(edges), q_weights / q_weights.sum()


@cache
def _coarse_weights() -> tuple[FloatArray, FloatArray]:
    phi = np.array(AR_COEFFICIENTS)
    edges = np.concatenate([[0.0], (phi[1:] + phi[:-1]) / 2, [1.0]])
    weights = np.array(RATIO_WEIGHTS)
    return np.diff(edges), weights / weights.sum()


def grid_of(places: Iterable[Place], *, fine: bool) -> Grid:
    """Lattice points as a grid; the prior of each is that of its cell in the lattice chosen."""
    ordered = sorted(places)
    at = np.array(ordered, dtype=int).reshape(-1, 2)
    phi, q, phi_weight, q_weight = _axes()
    if fine:
        log_prior = np.log(phi_weight[at[:, 0]]) + np.log(q_weight[at[:, 1]])
    else:
        phi_coarse, q_coarse = _coarse_weights()
        log_prior = np.log(phi_coarse[at[:, 0] // 2]) + np.log(q_coarse[at[:, 1] // 2])
    return Grid(phi[at[:, 0]], q[at[:, 1]], log_prior)


def neighbours(place: Place, *, fine: bool) -> list[Place]:
    """The four points around one."""
    step = 1 if fine else 2
    phi, q, _, _ = _axes()
    around = [(place[0] + a * step, place[1] + b * step) for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    return [(a, b) for a, b in around if 0 <= a < phi.size and 0 <= b < q.size]


@cache
def scouts() -> tuple[Place, ...]:
    """A few points far apart, from which the walk begins; alone they are enough to compare scales, not to answer."""
    first = range(1, len(AR_COEFFICIENTS), SCOUT_STEPS[0])
    second = range(1, len(LEVEL_RATIOS), SCOUT_STEPS[1])
    return tuple((2 * a, 2 * b) for a in first for b in second)


@cache
def scout_grid() -> Grid:
    """The scouts as a grid."""
    return grid_of(scouts(), fine=False)


@cache
def default_grid() -> Grid:
    """The whole coarse lattice.

    In growth of the forecast width: the mean of the next 90 days has, beside the AR noise, a level error of sqrt(30 q)
    innovation sd: .05 at q = 1e-4, .9 at .027, 4.4 at .64.
    """
    whole = [(2 * a, 2 * b) for a in range(len(AR_COEFFICIENTS)) for b in range(len(LEVEL_RATIOS))]
    return grid_of(whole, fine=False)
