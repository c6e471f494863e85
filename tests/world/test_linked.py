"""Uncertain vectors: their algebra against sampling, and conditioning against the dense normal formula."""

from __future__ import annotations

import numpy as np
import pytest

from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.linked import Linked, covariance_of, given, stacked

pytestmark = pytest.mark.slow

DRAWS = 200_000
"""A mean of so many draws is within .01 sd, a covariance within 1 %."""


def part(rng: np.random.Generator, name: str, mean: FloatArray, covariance: FloatArray) -> Linked:
    draws = rng.multivariate_normal(mean, covariance, DRAWS, method="cholesky")
    return Linked(draws, {name: np.eye(mean.size)})


def made(seed: int) -> tuple[Linked, Linked, dict[str, FloatArray]]:
    """Two independent vectors of three values, far from zero beside their spread."""
    rng = np.random.default_rng(seed)
    parts = {}
    vectors = []
    for name in ("a", "b"):
        root = rng.standard_normal((3, 3))
        parts[name] = 0.02 * (root @ root.T + np.eye(3))
        vectors.append(part(rng, name, rng.uniform(3, 6, 3), parts[name]))
    return vectors[0], vectors[1], parts


@pytest.mark.parametrize("seed", [1, 2])
def test_covariances_are_those_of_the_draws(seed: int) -> None:
    a, b, parts = made(seed)
    rows = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, -1.0]])
    for made_up in (a + b, a - b, a * b, (a * b) - a.times(3.0), a.summed(rows), b.less(np.ones(3)), stacked([a, b])):
        seen = np.cov(made_up.draws.T)
        told = covariance_of(made_up, made_up, parts)
        assert told == pytest.approx(seen, rel=0.05, abs=0.03 * np.abs(seen).max())
    assert covariance_of(a, b, parts) == pytest.approx(np.zeros((3, 3)))


def test_conditioning_is_the_dense_normal_formula() -> None:
    """A sum of both vectors is seen: posterior mean and covariance of the first, exact to sampling."""
    a, b, parts = made(3)
    seen, came = a + b, np.array([9.0, 10.0, 8.0])
    draws = given(a, seen, came, parts)
    total = parts["a"] + parts["b"]
    gain = parts["a"] @ np.linalg.inv(total)
    assert draws.mean(axis=0) == pytest.approx(a.mean + gain @ (came - seen.mean), abs=0.01)
    assert np.cov(draws.T) == pytest.approx(parts["a"] - gain @ parts["a"], abs=0.003)
    assert given(seen, seen, came, parts) == pytest.approx(np.broadcast_to(came, draws.shape), abs=1e-5)


def test_strong_data_leave_nothing_of_the_start_and_no_data_all_of_it() -> None:
    rng = np.random.default_rng(5)
    prior = part(rng, "row", np.array([0.4]), np.array([[0.05]]))
    for noise, kept in ((1e-6, 0.0), (1e6, 1.0)):
        error = part(rng, "error", np.zeros(1), np.array([[noise]]))
        parts = {"row": np.array([[0.05]]), "error": np.array([[noise]])}
        draws = given(prior, prior + error, np.array([1.5]), parts)
        assert draws.mean() == pytest.approx(kept * 0.4 + (1 - kept) * 1.5, abs=0.01)
        assert draws.std() == pytest.approx(kept * np.sqrt(0.05), abs=0.005)


def test_a_value_without_spread_teaches_nothing() -> None:
    a, b, parts = made(7)
    known = Linked(np.full((DRAWS, 1), 4.0), {})
    assert given(a, known, np.array([9.0]), parts) == pytest.approx(a.draws)
    both = stacked([known, a + b])
    alone = given(a, a + b, np.array([9.0, 10.0, 8.0]), parts)
    assert given(a, both, np.array([4.0, 9.0, 10.0, 8.0]), parts) == pytest.approx(alone)
