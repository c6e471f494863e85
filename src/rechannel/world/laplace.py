"""A Gaussian posterior around its mode, corrected by weights and moves, with a gate that says when not to trust it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from rechannel.vocabulary.estimate import FloatArray

STEPS, ROUNDS_OF_WHITENING = 40, 2
TOLERANCE = 1e-3
DIFFERENCE = 1e-4
LARGEST_K = 0.7
"""Tail index up to which importance weights alone would do."""
ROUNDS, MOVES, REACH = 5, 6, 0.8
"""Looks at the draws, moves between two of them, and how far a move goes, in standard deviations of the Gaussian."""
SHRUNK = 0.2
"""Weight of the first Gaussian in the one whose shape the draws have: resampled draws repeat."""
LARGEST_DRIFT = 0.25
"""Most that the last round may move a mean or a spread, in standard deviations (4,096 draws of 100 parameters: .07)."""


class Reading(Protocol):
    """Something measured, as a vector."""

    @property
    def values(self) -> FloatArray: ...


R = TypeVar("R", bound=Reading)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How one reading looks from the others, near the mode.

    Attributes
    ----------
    whitener
        Matrix W of the reading, [value, value].
    residual
        W (reading - prediction of the others), shape [value].
    covariance
        Its covariance under the others, [value, value].
    """

    whitener: FloatArray
    residual: FloatArray
    covariance: FloatArray

    def score(self, direction: FloatArray) -> float:
        """Standardised error of one linear reading, `direction` @ values."""
        along = np.linalg.solve(self.whitener.T, direction)
        return float(along @ self.residual / np.sqrt(along @ self.covariance @ along))


@dataclass(frozen=True, slots=True)
class Posterior:
    """What `sample_posterior` found.

    Attributes
    ----------
    draws
        Equally weighted draws of the parameters, shape [draw, parameter].
    pareto_k
        Tail index of the first importance weights.
    drift
        How far the last round of moves shifted a mean or spread, in standard deviations.
    left_out
        Every reading as the others predict it, in the order of the readings.
    """

    draws: FloatArray
    pareto_k: float
    drift: float
    left_out: tuple[LeftOut, ...]


def sample_posterior(
    size: int,
    readings: Sequence[R],
    predict: Callable[[R, FloatArray], FloatArray],
    whitener: Callable[[R, FloatArray], FloatArray],
    *,
    draws: int,
    seed: int,
) -> Posterior:
    """Draw from ``exp(-|theta|^2/2) x product of normal likelihoods``.

    Parameters
    ----------
    size
        Number of parameters; each has a standard normal prior.
    readings
        What was measured.
    predict
        (reading, theta [draw, parameter]) -> what it would show, shape [draw, value].
    whitener
        (reading, theta [parameter]) -> matrix W with W cov W' = 1, [value, value]; taken at the mode.
    draws, seed
        How many draws (even), and the seed.

    Returns
    -------
    Posterior
        Draws resampled by importance weights; without readings, the prior and a tail index of -inf.

    Notes
    -----
    Gauss-Newton with Levenberg damping to the mode; the whitener is renewed there. Weights are smoothed by a
    generalised Pareto tail (Vehtari et al., 2024, JMLR 25, section 2). In a hundred parameters the tail index is often
    above .7, so resampled draws are moved by Metropolis steps around a Gaussian of their own shape (Gilks and Berzuini,
    2001, JRSS B 63; Cotter et al., 2013, Statistical Science 28, for the proposal).
    """
    rng = np.random.default_rng([seed, 3])
    half = rng.standard_normal((draws // 2, size))
    normal = np.concatenate([half, -half])
    if not readings:
        return Posterior(normal, float("-inf"), 0.0, ())
    mode, matrices = posterior_mode(size, readings, predict, whitener)
    jacobian = _jacobian(mode, readings, matrices, predict)
    precision = np.eye(size) + jacobian.T @ jacobian
    factor = np.linalg.inv(np.linalg.cholesky(precision))

    def log_target(theta: FloatArray) -> FloatArray:
        residual = _residual(theta, readings, matrices, predict)
        return np.asarray(-0.5 * ((theta**2).sum(axis=1) + (residual**2).sum(axis=1)))

    theta = mode + normal @ factor
    target = log_target(theta)
    weights, k = smoothed_weights(target + 0.5 * (normal**2).sum(axis=1))
    place = (np.arange(draws) + rng.random()) / draws
    chosen = np.minimum(np.searchsorted(np.cumsum(weights), place), draws - 1)
    chosen = chosen[rng.permutation(draws)]
    theta, target = theta[chosen], target[chosen]
    drift = 0.0
    for _ in range(ROUNDS):
        before = theta.mean(axis=0), theta.std(axis=0)
        root = np.linalg.cholesky((1 - SHRUNK) * np.cov(theta.T) + SHRUNK * (factor.T @ factor) + 1e-9 * np.eye(size))
        scores = np.linalg.solve(root, (theta - before[0]).T).T
        ratio = target + 0.5 * (scores**2).sum(axis=1)
        for _ in range(MOVES):
            # a move that leaves this Gaussian as it is: accepted by the ratio of target and Gaussian alone
            tried = np.sqrt(1 - REACH**2) * scores + REACH * rng.standard_normal(scores.shape)
            new_theta = before[0] + tried @ root.T
            new_target = log_target(new_theta)
            new_ratio = new_target + 0.5 * (tried**2).sum(axis=1)
            accepted = np.log(rng.random(draws)) < new_ratio - ratio
            scores[accepted], ratio[accepted] = tried[accepted], new_ratio[accepted]
            theta[accepted], target[accepted] = new_theta[accepted], new_target[accepted]
        moved = np.abs(theta.mean(axis=0) - before[0]) / before[1], np.abs(theta.std(axis=0) / before[1] - 1)
        drift = float(max(moved[0].max(), moved[1].max()))
    return Posterior(theta, k, drift, _left_out(mode, readings, matrices, predict, jacobian, factor))


def posterior_mode(
    size: int,
    readings: Sequence[R],
    predict: Callable[[R, FloatArray], FloatArray],
    whitener: Callable[[R, FloatArray], FloatArray],
) -> tuple[FloatArray, list[FloatArray]]:
    """The most probable parameters, shape [parameter], and every reading's whitener there; arguments as above."""
    mode = np.zeros(size)
    if not readings:
        return mode, []
    for _ in range(ROUNDS_OF_WHITENING):
        matrices = [whitener(reading, mode) for reading in readings]
        mode = _mode(mode, readings, matrices, predict)
    return mode, [whitener(reading, mode) for reading in readings]


def _left_out(
    mode: FloatArray,
    readings: Sequence[R],
    matrices: Sequence[FloatArray],
    predict: Callable[[R, FloatArray], FloatArray],
    jacobian: FloatArray,
    factor: FloatArray,
) -> tuple[LeftOut, ...]:
    """Leave-one-out residuals by the leverage of each reading: (1 - H)^-1 r, with covariance (1 - H)^-1."""
    found, first = [], 0
    for reading, matrix in zip(readings, matrices, strict=True):
        residual = matrix @ (reading.values - predict(reading, mode[None, :])[0])
        spread = jacobian[first : first + residual.size] @ factor.T
        covariance: FloatArray = np.asarray(np.linalg.inv(np.eye(residual.size) - spread @ spread.T))
        found.append(LeftOut(matrix, covariance @ residual, covariance))
        first += residual.size
    return tuple(found)


def _residual(
    theta: FloatArray,
    readings: Sequence[R],
    matrices: Sequence[FloatArray],
    predict: Callable[[R, FloatArray], FloatArray],
) -> FloatArray:
    """Whitened residuals of all readings, shape [draw, value]."""
    parts = [
        (reading.values - predict(reading, theta)) @ matrix.T
        for reading, matrix in zip(readings, matrices, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def _jacobian(
    at: FloatArray,
    readings: Sequence[R],
    matrices: Sequence[FloatArray],
    predict: Callable[[R, FloatArray], FloatArray],
) -> FloatArray:
    """Derivative of the whitened predictions, shape [value, parameter], by central differences."""
    step = DIFFERENCE * np.eye(at.size)
    both = _residual(np.concatenate([at + step, at - step]), readings, matrices, predict)
    return np.asarray(-(both[: at.size] - both[at.size :]).T / (2 * DIFFERENCE))


def _mode(
    start: FloatArray,
    readings: Sequence[R],
    matrices: Sequence[FloatArray],
    predict: Callable[[R, FloatArray], FloatArray],
) -> FloatArray:
    """The most probable parameters, from `start`."""
    theta, damping = start, 1e-3
    residual = _residual(theta[None, :], readings, matrices, predict)[0]
    loss = float(residual @ residual + theta @ theta)
    for _ in range(STEPS):
        jacobian = _jacobian(theta, readings, matrices, predict)
        gradient = jacobian.T @ residual - theta
        precision = np.eye(theta.size) + jacobian.T @ jacobian
        for _ in range(12):
            move = np.linalg.solve(precision + damping * np.diag(np.diag(precision)), gradient)
            tried = theta + move
            new_residual = _residual(tried[None, :], readings, matrices, predict)[0]
            new_loss = float(new_residual @ new_residual + tried @ tried)
            if new_loss <= loss:
                break
            damping *= 6
        else:
            return theta
        gained = loss - new_loss
        theta, residual, loss, damping = tried, new_residual, new_loss, max(damping / 6, 1e-9)
        if gained < TOLERANCE * (1 + loss):
            break
    return theta


def smoothed_weights(log_ratio: FloatArray) -> tuple[FloatArray, float]:
    """Importance weights with their largest fifth (or 3 sqrt n) smoothed by a generalised Pareto tail, and its index k.

    Source: Vehtari et al. (2024), JMLR 25; the tail fit is Zhang and Stephens (2009), Technometrics 51(3).
    """
    n = log_ratio.size
    weights = np.exp(log_ratio - log_ratio.max())
    if weights.min() == weights.max():
        return np.full(n, 1 / n), float("-inf")
    tail = int(min(np.ceil(0.2 * n), np.ceil(3 * np.sqrt(n))))
    order = np.argsort(weights)
    cut = weights[order[-tail - 1]]
    excess = weights[order[-tail:]] - cut
    if excess[-1] <= 1e-12 * max(cut, 1e-300) or excess[0] <= 0:
        return weights / weights.sum(), float("-inf")
    k, scale = _tail_index(excess)
    place = (np.arange(tail) + 0.5) / tail
    quantile = scale * (np.expm1(-k * np.log1p(-place)) / k if abs(k) > 1e-9 else -np.log1p(-place))
    weights[order[-tail:]] = np.minimum(cut + quantile, 1.0)
    return weights / weights.sum(), float(k)


def _tail_index(excess: FloatArray) -> tuple[float, float]:
    """Index and scale of a generalised Pareto distribution, from sorted positive excesses."""
    n = excess.size
    points = 30 + int(np.sqrt(n))
    quarter = excess[int(n / 4 + 0.5) - 1]
    candidates = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    candidates = candidates / (3 * quarter) + 1 / excess[-1]
    index = np.log1p(-candidates[:, None] * excess[None, :]).mean(axis=1)
    profile = n * (np.log(-candidates / index) - index - 1)
    weight = np.exp(profile - profile.max())
    best = float((candidates * weight).sum() / weight.sum())
    k = float(np.log1p(-best * excess).mean())
    scale = -k / best
    shrunk = (n * k + 10 * 0.5) / (n + 10)
    return shrunk, scale
