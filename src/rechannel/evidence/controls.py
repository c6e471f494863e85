"""Which controls explain a series: spike and slab on the whitened Gram, over every set of them or a walk over sets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.series import Collapsed, collapse, fit_series
from rechannel.vocabulary.estimate import FloatArray

MOST_ENUMERATED = 12
"""Controls up to which every set is looked at."""
SWEEPS, BURNED = 60, 10
"""Sweeps of the walk over sets when there are more, and how many of them are not counted."""
WALKED_POINTS = 6
"""Grid points that the walk integrates over."""
CHOSEN = 0.5
"""Inclusion probability from which a control is used: the median probability model."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What a series says about its controls.

    Attributes
    ----------
    inclusion
        Posterior probability that each control belongs in the regression, shape [control].
    """

    inclusion: FloatArray

    @property
    def chosen(self) -> NDArray[np.intp]:
        """Places of the controls used.

        Source: Barbieri and Berger (2004), Annals of Statistics 32(3): the single model that predicts best holds the
        columns whose inclusion probability is at least one half.
        """
        return np.flatnonzero(self.inclusion >= CHOSEN)


def choose_controls(
    y: FloatArray,
    design: FloatArray,
    controls: FloatArray,
    days: NDArray[np.int64],
    prior_precision: FloatArray,
    control_precision: FloatArray,
    *,
    scale_guess: float,
    seed: int,
) -> Controls:
    """Which of some candidate series explain the response before the event.

    Parameters
    ----------
    y, design, days, prior_precision, scale_guess
        As in `series.fit_series`; the design's columns are in every model.
    controls
        Candidates on the same days, shape [day, control].
    control_precision
        Prior precision of each candidate's coefficient when it is in, in units of 1 / s2, shape [control].
    seed
        Of the walk over sets, when there are more than 12 candidates.

    Returns
    -------
    Controls

    Notes
    -----
    Level, AR noise, coefficients and scale are integrated out, (phi, q) summed over the grid points that carry the mass
    with all controls in. Every size of set is equally likely before the data, and every set of one size. Up to 12
    candidates all sets are enumerated; above, Gibbs sampling flips one at a time (George and McCulloch, 1997,
    Statistica Sinica 7, section 3), integrating over the heaviest grid points.
    """
    count = controls.shape[1]
    if not count:
        return Controls(np.empty(0))
    columns = np.column_stack([design, controls])
    precision = np.concatenate([prior_precision, control_precision])
    found = fit_series(y, columns, days, precision, scale_guess=scale_guess)
    order = np.argsort(found.weight)[::-1]
    if count > MOST_ENUMERATED:
        order = order[:WALKED_POINTS]
    points = collapse(y, columns, days, found.grid.only(np.sort(order)))
    sets = _Sets(points, prior_precision, control_precision, scale_guess)
    return Controls(_enumerated(sets) if count <= MOST_ENUMERATED else _walked(sets, seed))


class _Sets:
    """Log marginal likelihood of any set of controls, always-in columns partialled out at every grid point."""

    def __init__(
        self, points: Collapsed, prior_precision: FloatArray, control_precision: FloatArray, scale_guess: float
    ) -> None:
        k = prior_precision.size
        gram = points.gram
        inside = gram[:, :k, :k] + np.diag(prior_precision)
        rest = gram[:, k:, k:] - gram[:, k:, :k] @ np.linalg.solve(inside, gram[:, :k, k:])
        self.count = control_precision.size
        self.cross, self.score = rest[:, :-1, :-1], rest[:, :-1, -1]
        self.square = rest[:, -1, -1] + scale_guess**2
        self.df = points.count
        self.precision = control_precision
        self.base = points.grid.log_prior - 0.5 * points.log_det - 0.5 * np.linalg.slogdet(inside)[1]

    def evidence(self, sets: NDArray[np.intp]) -> FloatArray:
        """Of several sets of one size, shape [set, member] -> [set]; prior of the set included."""
        size = sets.shape[1]
        log_prior = -np.log(self.count + 1) - np.log(comb(self.count, size))
        squares, volume = np.broadcast_to(self.square[:, None], (self.square.size, sets.shape[0])), 0.0
        if size:
            inner = self.cross[:, sets[:, :, None], sets[:, None, :]]
            inner = inner + self.precision[sets][None, :, :, None] * np.eye(size)
            chol = np.linalg.cholesky(inner)
            white = np.linalg.solve(chol, self.score[:, sets][..., None])[..., 0]
            squares = squares - (white**2).sum(axis=2)
            volume = np.log(np.einsum("psii->psi", chol)).sum(axis=2) - 0.5 * np.log(self.precision[sets]).sum(axis=1)
        told = self.base[:, None] - volume - 0.5 * self.df * np.log(np.maximum(squares, 1e-300))
        top = told.max(axis=0)
        return np.asarray(log_prior + top + np.log(np.exp(told - top).sum(axis=0)))


def _enumerated(sets: _Sets) -> FloatArray:
    """Inclusion probabilities from every set."""
    told: list[FloatArray] = []
    members: list[FloatArray] = []
    for size in range(sets.count + 1):
        group = np.array(list(combinations(range(sets.count), size)), dtype=np.intp)
        told.append(sets.evidence(group))
        inside = np.zeros((group.shape[0], sets.count))
        np.put_along_axis(inside, group, 1.0, axis=1)
        members.append(inside)
    evidence = np.concatenate(told)
    weight = np.exp(evidence - evidence.max())
    return np.asarray(weight @ np.concatenate(members) / weight.sum())


def _walked(sets: _Sets, seed: int) -> FloatArray:
    """Inclusion probabilities from a Gibbs walk; the flip probabilities themselves are averaged."""
    rng = np.random.default_rng([seed, 47])
    inside = np.zeros(sets.count, dtype=bool)
    known: dict[bytes, float] = {}

    def told(members: NDArray[np.bool_]) -> float:
        key = members.tobytes()
        if key not in known:
            known[key] = float(sets.evidence(np.flatnonzero(members)[None, :])[0])
        return known[key]

    total = np.zeros(sets.count)
    for sweep in range(SWEEPS):
        for control in rng.permutation(sets.count).tolist():
            with_it, without = inside.copy(), inside.copy()
            with_it[control], without[control] = True, False
            odds = told(with_it) - told(without)
            share = 1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500)))
            inside[control] = rng.random() < share
            if sweep >= BURNED:
                total[control] += share
    return total / (SWEEPS - BURNED)
