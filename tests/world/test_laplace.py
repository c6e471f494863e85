"""The sampler: exact where the posterior is Gaussian, the prior where nothing was read, a gate where it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.laplace import LARGEST_DRIFT, LARGEST_K, Posterior, sample_posterior, smoothed_weights

SIZE, DRAWS = 5, 4096
MONTE_CARLO = 0.08
"""A mean of 4,096 resampled and moved draws lies within this many standard deviations of the truth."""
SPREAD = 0.06
"""Relative error of a standard deviation, and error of a correlation, from as many draws."""


@dataclass(frozen=True)
class Linear:
    """values = matrix theta + noise of a covariance."""

    matrix: FloatArray
    values: FloatArray
    covariance: FloatArray


@dataclass(frozen=True)
class Curved:
    """One number seen through a function of the first parameter."""

    values: FloatArray
    through: Callable[[FloatArray], FloatArray]
    sd: float


def linear_readings(seed: int, count: int = 3) -> list[Linear]:
    rng = np.random.default_rng(seed)
    theta, readings = rng.standard_normal(SIZE), []
    for _ in range(count):
        rows = int(rng.integers(1, 4))
        matrix, root = rng.standard_normal((rows, SIZE)), 0.5 * rng.standard_normal((rows, rows))
        covariance = root @ root.T + 0.05 * np.eye(rows)
        noise = np.linalg.cholesky(covariance) @ rng.standard_normal(rows)
        readings.append(Linear(matrix, matrix @ theta + noise, covariance))
    return readings


def sample_linear(readings: Sequence[Linear], seed: int = 1, draws: int = DRAWS) -> Posterior:
    return sample_posterior(
        SIZE,
        readings,
        lambda reading, theta: theta @ reading.matrix.T,
        lambda reading, theta: np.asarray(np.linalg.inv(np.linalg.cholesky(reading.covariance))),
        draws=draws,
        seed=seed,
    )


def sample_curved(reading: Curved) -> Posterior:
    return sample_posterior(
        1,
        [reading],
        lambda one, theta: one.through(theta[:, :1]),
        lambda one, theta: np.array([[1 / one.sd]]),
        draws=DRAWS,
        seed=2,
    )


def closed_form(readings: Sequence[Linear]) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of theta under a standard normal prior and linear readings."""
    precision, weighted = np.eye(SIZE), np.zeros(SIZE)
    for one in readings:
        inverse = np.linalg.inv(one.covariance)
        precision += one.matrix.T @ inverse @ one.matrix
        weighted += one.matrix.T @ inverse @ one.values
    covariance = np.linalg.inv(precision)
    return covariance @ weighted, covariance


@pytest.mark.parametrize("seed", range(4))
def test_linear_readings_give_the_closed_form(seed: int) -> None:
    readings = linear_readings(seed)
    mean, covariance = closed_form(readings)
    found = sample_linear(readings)
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((found.draws.mean(axis=0) - mean) / sd).max() < MONTE_CARLO
    assert found.draws.std(axis=0) == pytest.approx(sd, rel=SPREAD)
    wanted = covariance / np.outer(sd, sd)
    assert np.abs(np.corrcoef(found.draws.T) - wanted).max() < SPREAD
    assert found.pareto_k < LARGEST_K
    assert found.drift < LARGEST_DRIFT


def test_without_readings_the_prior_comes_back() -> None:
    found = sample_linear([])
    assert found.draws.shape == (DRAWS, SIZE)
    assert np.abs(found.draws.mean(axis=0)).max() < 1e-12  # antithetic
    assert found.draws.std(axis=0) == pytest.approx(np.ones(SIZE), rel=SPREAD)
    assert (found.pareto_k, found.drift, found.left_out) == (float("-inf"), 0.0, ())


def test_a_reading_without_information_leaves_the_prior() -> None:
    nothing = Linear(np.zeros((2, SIZE)), np.zeros(2), np.eye(2))
    found = sample_linear([nothing])
    assert np.abs(found.draws.mean(axis=0)).max() < MONTE_CARLO
    assert found.draws.std(axis=0) == pytest.approx(np.ones(SIZE), rel=SPREAD)


@pytest.mark.parametrize(
    ("through", "value", "sd"),
    [
        pytest.param(lambda theta: (theta + 0.3) ** 2, 0.3, 0.2, id="two-modes-near"),
        pytest.param(lambda theta: (theta + 0.3) ** 2, 1.0, 0.5, id="two-modes"),
        pytest.param(lambda theta: theta**3 - theta, 1.0, 0.2, id="cubic"),
        pytest.param(lambda theta: np.tanh(6 * theta), 0.3, 0.5, id="saturating"),
        pytest.param(lambda theta: np.tanh(6 * theta), 1.0, 0.05, id="saturated"),
        pytest.param(lambda theta: np.sin(4 * theta + 0.5), 0.3, 0.5, id="waves"),
    ],
)
def test_what_a_gaussian_cannot_follow_is_flagged(
    through: Callable[[FloatArray], FloatArray], value: float, sd: float
) -> None:
    """Modes further apart than the Gaussian reaches are out of its sight: no index of the draws can tell."""
    found = sample_curved(Curved(np.array([value]), through, sd))
    assert max(found.pareto_k / LARGEST_K, found.drift / LARGEST_DRIFT) > 1


def test_two_equal_modes_are_both_sampled() -> None:
    """The search starts and stays between them, so that the Gaussian is as wide as the prior."""
    found = sample_curved(Curved(np.array([1.0]), lambda theta: theta**2, 0.05))
    assert abs(found.draws.mean()) < MONTE_CARLO
    assert found.draws.std() == pytest.approx(1.0, rel=SPREAD)


def test_moves_recover_a_skewed_posterior() -> None:
    """A reading through exp: mean and spread after the moves are those of numerical integration."""
    reading = Curved(np.array([1.5]), np.exp, 0.6)
    grid = np.linspace(-5, 4, 20001)
    density = np.exp(-0.5 * grid**2 - 0.5 * ((1.5 - np.exp(grid)) / 0.6) ** 2)
    density /= density.sum()
    mean = float(density @ grid)
    sd = float(np.sqrt(density @ (grid - mean) ** 2))
    found = sample_curved(reading)
    assert found.drift < LARGEST_DRIFT
    assert abs(found.draws.mean() - mean) < MONTE_CARLO * sd
    assert found.draws.std() == pytest.approx(sd, rel=SPREAD)


@pytest.mark.parametrize("k", [-0.2, 0.2, 0.5, 0.9])
def test_tail_index_of_a_generalised_pareto_sample(k: float) -> None:
    """Weights whose tail is generalised Pareto with index k; the fit shrinks a little towards one half."""
    n = 20_000
    uniform = (np.arange(n) + 0.5) / n
    weights = 1 + np.expm1(-k * np.log1p(-uniform)) / k
    smoothed, found = smoothed_weights(np.log(np.random.default_rng(0).permutation(weights)))
    assert found == pytest.approx(k, abs=0.1)
    assert smoothed.sum() == pytest.approx(1.0)
    assert (smoothed >= 0).all()


def test_equal_weights_stay_equal() -> None:
    weights, k = smoothed_weights(np.full(500, -3.0))
    assert weights == pytest.approx(np.full(500, 1 / 500))
    assert k == float("-inf")


def test_left_out_scores_equal_a_refit_without_the_reading() -> None:
    readings = linear_readings(7, count=4)
    found = sample_linear(readings, draws=256)
    for index, one in enumerate(readings):
        mean, covariance = closed_form([other for other in readings if other is not one])
        direction = np.arange(1.0, one.values.size + 1)
        gap = direction @ (one.values - one.matrix @ mean)
        spread = direction @ (one.covariance + one.matrix @ covariance @ one.matrix.T) @ direction
        assert found.left_out[index].score(direction) == pytest.approx(gap / np.sqrt(spread), rel=1e-3)


def test_the_seed_decides_every_byte() -> None:
    readings = linear_readings(3)
    first, again, other = (sample_linear(readings, seed).draws.tobytes() for seed in (5, 5, 6))
    assert first == again
    assert first != other
