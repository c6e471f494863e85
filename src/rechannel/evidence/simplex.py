"""Least squares over weights that are not negative and sum to one, exact, with a certificate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rechannel.vocabulary.estimate import FloatArray

TOLERANCE = 1e-10
"""A weight enters when its gradient is below that of the others by more than this share of the gradients' size."""
TINY_RIDGE = 1e-13
"""Share of the Gram's trace added where columns in use are collinear to rounding."""


@dataclass(frozen=True, slots=True)
class SimplexFit:
    """Weights on the simplex.

    Attributes
    ----------
    weights
        Shape [column]; >= 0, sum 1.
    gap
        Upper bound of the objective's distance from its minimum, in the objective's unit.
    objective
        Half the squared length of `columns @ weights - target`, penalty included.
    """

    weights: FloatArray
    gap: float
    objective: float


def simplex_least_squares(columns: FloatArray, target: FloatArray, *, penalty: float = 0.0) -> SimplexFit:
    """Minimise ``|columns w - target|^2 / 2 + penalty |w|^2 / 2`` over w >= 0, sum w = 1.

    Parameters
    ----------
    columns
        Shape [row, column]; any number of columns, also more than rows.
    target
        Shape [row].
    penalty
        Weight of the squared length of w; 0 for none.

    Returns
    -------
    SimplexFit

    Notes
    -----
    Active sets: a column enters when its gradient is below the common gradient of those in use, and the equality
    problem of those in use is solved exactly; one that would turn negative leaves. Columns that enter are affinely
    independent of those in use, so the small systems are regular. `gap` is the Frank-Wolfe bound ``g'w - min g``.
    Source: Wolfe (1976), Finding the nearest point in a polytope, Mathematical Programming 11.

    Examples
    --------
    >>> fit = simplex_least_squares(np.eye(3), np.array([0.7, 0.5, -1.0]))
    >>> fit.weights.round(3).tolist(), fit.gap < 1e-12
    ([0.6, 0.4, 0.0], True)
    """
    linear = columns.T @ target
    n = linear.size
    whole = columns.T @ columns + penalty * np.eye(n)
    size = float(np.abs(whole).max() + np.abs(linear).max())
    weights = np.zeros(n)
    first = int(np.argmin(0.5 * np.diag(whole) - linear))
    weights[first] = 1.0
    used = [first]
    gradient = whole[:, first] - linear
    for _ in range(50 * n + 100):
        common = float(gradient @ weights)
        outside = np.ones(n, dtype=bool)
        outside[used] = False
        candidate = int(np.argmin(np.where(outside, gradient, np.inf)))
        if not outside.any() or gradient[candidate] >= common - TOLERANCE * size:
            break
        used.append(candidate)
        used = _descend(whole, linear, weights, used)
        gradient = whole @ weights - linear
    gradient = whole @ weights - linear
    gap = max(0.0, float(gradient @ weights - gradient.min()))
    objective = 0.5 * float(weights @ whole @ weights) - float(linear @ weights) + 0.5 * float(target @ target)
    return SimplexFit(weights, gap, objective)


def _descend(whole: FloatArray, linear: FloatArray, weights: FloatArray, used: list[int]) -> list[int]:
    """Move `weights` to the minimum over the columns in use, dropping those that reach zero on the way."""
    while True:
        best = _equality(whole[np.ix_(used, used)], linear[used])
        now = weights[used]
        if (best > 0).all():
            weights[used] = best
            return used
        falling = best <= 0
        ratio = np.where(falling, now / np.maximum(now - best, 1e-300), np.inf)
        step = float(ratio.min())
        weights[used] = np.maximum(now + min(1.0, step) * (best - now), 0.0)
        leaving = falling & (ratio <= step * (1 + 1e-12))
        for column in np.array(used)[leaving].tolist():
            weights[column] = 0.0
        used = [column for column, goes in zip(used, leaving.tolist(), strict=True) if not goes]
        weights /= weights.sum()


def _equality(gram: FloatArray, linear: FloatArray) -> FloatArray:
    """Minimum over weights that sum to one and may have any sign, shape [column]."""
    n = linear.size
    if n == 1:
        return np.ones(1)
    system = np.zeros((n + 1, n + 1))
    scale = float(np.trace(gram)) / n or 1.0
    system[:n, :n] = gram / scale + TINY_RIDGE * np.eye(n)
    system[:n, n] = system[n, :n] = 1.0
    right = np.append(linear / scale, 1.0)
    return np.asarray(np.linalg.solve(system, right)[:n])
