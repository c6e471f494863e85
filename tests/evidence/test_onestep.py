"""The one-step forecasts: closed forms of the filter, the answer to a step, odd days, noise and tails found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit
from tests.evidence.made_panels import ar

from rechannel.evidence.onestep import Noise, fit_noise, fit_tail, in_full, one_step, step_response

STEPS = 400


def noise(memory: float, mood: float, walk: float, white: float, series: int = 1) -> Noise:
    return Noise(*(np.full((1, series), value) for value in (memory, mood, walk, white)))


def test_gain_of_a_local_level_is_the_closed_form() -> None:
    """P = q/2 + sqrt(q^2/4 + q r), gain P / (P + r): Durbin and Koopman (2012), section 2.11."""
    q, r = 0.01, 0.04
    passed = one_step(np.zeros((STEPS, 1, 1)), np.zeros((STEPS, 1, 1)), noise(0.0, 0.0, q, r))
    p = q / 2 + np.sqrt(q**2 / 4 + q * r)
    assert passed.gain_level[-1, 0, 0] == pytest.approx(p / (p + r), rel=1e-9)
    assert passed.variance[-1, 0, 0] == pytest.approx(p + r, rel=1e-9)


def test_step_response_is_what_a_small_step_adds_to_the_errors() -> None:
    """While errors are small the pass is linear, so two passes differ by the response exactly."""
    rng = np.random.default_rng(1)
    x = 0.01 * rng.standard_normal((STEPS, 1, 1))
    x[50:60] = np.nan
    made = noise(0.7, 0.02, 0.001, 0.03)
    passed = one_step(x, np.zeros_like(x), made)
    for first in (20, 55, 200):
        moved = x.copy()
        moved[first:] += 1e-3
        other = one_step(moved, np.zeros_like(x), made)
        answer = step_response(passed, 0.7, 0, 0, 60)[first]
        difference = (other.error - passed.error)[first : first + 60, 0, 0] / 1e-3
        there = np.isfinite(difference)
        assert np.allclose(difference[there], answer[there], atol=1e-9)


def test_an_outage_hardly_moves_the_level() -> None:
    rng = np.random.default_rng(2)
    x = 0.05 * rng.standard_normal((STEPS, 1, 1))
    x[200:210] -= 3.0
    passed = one_step(x, np.zeros_like(x), noise(0.0, 0.0, 1e-4, 0.0025))
    assert (passed.standard[200:210] < -30).all()
    assert abs(passed.standard[210:240]).max() < 5


def test_common_moves_are_taken_out_and_one_channels_fall_is_not_common() -> None:
    rng = np.random.default_rng(3)
    x = 0.03 * rng.standard_normal((STEPS, 1, 6))
    x[100:103] += 0.5
    x[300:305, :, 0] -= 2.0
    made = noise(0.0, 0.0, 1e-5, 0.0009, 6)
    passed = one_step(x, np.zeros_like(x), made, beside=in_full(np.ones((1, 6), dtype=bool)))
    assert passed.common[100, 0].mean() == pytest.approx(0.5, abs=0.08)
    assert abs(passed.error[100:103]).max() < 0.2
    assert abs(passed.common[300:305, 0, 1:]).max() < 0.06
    assert passed.error[300:305, 0, 0].max() < -1.8


@pytest.mark.parametrize(("memory", "mood_sd", "white_sd"), [(0.9, 0.03, 0.02), (0.0, 0.0, 0.05), (0.5, 0.06, 0.01)])
def test_fitted_noise_forecasts_as_well_as_the_true_one(memory: float, mood_sd: float, white_sd: float) -> None:
    """Errors of the fitted noise have at most 4 % more spread than those of the noise that made the series (the grid's
    steps are a third apart), and with the fitted tail their 90 % intervals hold 90 % of them (4 sd: .027).
    """
    rng = np.random.default_rng([4, int(10 * memory)])
    steps = 2000
    walk = np.cumsum(0.002 * rng.standard_normal(steps))[:, None]
    x = (walk + ar(rng, steps, 1, memory, mood_sd, False) + white_sd * rng.standard_normal((steps, 1)))[:, None, :]
    extra = np.zeros_like(x)
    true = noise(memory, mood_sd**2 * (1 - memory**2), 4e-6, white_sd**2)
    guess = np.full((1, 1), float(np.diff(x[:, 0, 0]).std() / np.sqrt(2)))
    found = one_step(x, extra, fit_noise(x, extra, guess))
    best = one_step(x, extra, true)
    assert found.error.std() < 1.04 * best.error.std()
    tail = fit_tail(found.standard)
    inside = np.abs(found.standard[100:]) < tail.scale * stdtrit(tail.df, 0.95)
    assert inside.mean() == pytest.approx(0.9, abs=0.027)


@pytest.mark.parametrize("df", [3.0, 5.0, 20.0])
def test_the_tail_is_found_again(df: float) -> None:
    rng = np.random.default_rng(int(df))
    errors = 0.85 * rng.standard_t(df, 4000)
    errors[::50] = np.nan
    tail = fit_tail(errors)
    assert abs(np.log(tail.df / df)) < 0.4
    assert tail.scale == pytest.approx(0.85, abs=0.11)
