"""Ranks of a model's own prior draws: a right posterior stays inside the band, a narrow or shifted one leaves it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rechannel.lab.ranks import calibration, rank_test

DRAWS, RUNS = 99, 300


def normal_model(width: float = 1.0, shift: float = 0.0) -> Callable[[int], dict[str, int]]:
    """Normal mean with a normal prior and one observation: the posterior is known, here scaled and shifted."""

    def run(seed: int) -> dict[str, int]:
        rng = np.random.default_rng([seed, 17])
        truth = rng.standard_normal()
        seen = truth + rng.standard_normal()
        posterior = seen / 2 + shift + width * np.sqrt(0.5) * rng.standard_normal(DRAWS)
        return {"mean": int((posterior < truth).sum())}

    return run


@pytest.mark.parametrize(("width", "shift", "passed"), [(1.0, 0.0, True), (0.7, 0.0, False), (1.0, 0.25, False)])
def test_a_wrong_posterior_is_seen(width: float, shift: float, passed: bool) -> None:
    (found,) = calibration(normal_model(width, shift), RUNS, DRAWS, seed=3)
    assert found.passed is passed
    assert (found.p_value > 0.05) is passed
    assert bool(((found.low <= found.ecdf) & (found.ecdf <= found.high)).all()) is passed


@pytest.mark.slow
def test_the_band_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    inside = [rank_test("x", rng.integers(0, 20, 100), 19, seed=s, coverage=0.9).passed for s in range(200)]
    assert 0.84 <= np.mean(inside) <= 0.96


def test_ranks_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.9"):
        rank_test("x", np.array([10]), 9)
