"""Yields week by week: a level is found, sparse orders keep a logarithm, weeks are whole, noise shrinks with counts."""

from __future__ import annotations

import numpy as np
import pytest

from rechannel.evidence.design import Design, build_design
from rechannel.evidence.yields import YieldSeries, fit_yield
from rechannel.vocabulary.estimate import FloatArray

DAYS, AHEAD, RATE = 200, 60, 0.04
DATES = np.datetime64("2024-01-01") + np.arange(DAYS + AHEAD)
Z = np.array([[-1.6449], [0.0], [1.6449]])


def design() -> Design:
    return build_design(DATES, (), None)


def padded(values: FloatArray) -> FloatArray:
    return np.concatenate([values, np.full(AHEAD, np.nan)])


def made(level: float, seed: int = 0, rate: FloatArray | float = RATE) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    visits = rng.poisson(level, DAYS)
    return padded(rng.binomial(visits, rate).astype(float)), padded(visits.astype(float))


def fitted(
    amounts: FloatArray, visits: FloatArray, *, block: int = 7, spare: float = 12.5, before: int = DAYS
) -> YieldSeries:
    found = fit_yield("orders", "entry", amounts, visits, design(), before, block=block, spare=spare)
    assert found is not None
    return found


def ahead(series: YieldSeries, length: int = 30, start: int | None = None) -> FloatArray:
    """5 %, 50 % and 95 % of the mean yield of the next `length` days."""
    first = series.before if start is None else start
    days = np.arange(series.before, first + length)
    weights = (days >= first).astype(float)[None, :]
    return np.asarray(series.over(days, weights).at_normal(Z, np.ones(1))[:, 0])


@pytest.mark.parametrize("level", [60.0, 500.0, 20_000.0])
def test_a_level_yield_is_found_and_more_orders_know_it_better(level: float) -> None:
    low, middle, high = ahead(fitted(*made(level)))
    assert low < RATE < high
    assert (high - low) / middle < 6 / np.sqrt(level * RATE)


def test_weeks_end_on_the_eve_and_are_whole() -> None:
    series = fitted(*made(500.0))
    assert (series.before - series.offset) % 7 == 0
    assert -7 < series.offset <= 0
    assert ahead(series, 1) == pytest.approx(ahead(series, 7), rel=0.05)
    weekly = fitted(*made(3500.0), block=1)
    assert weekly.offset == 0


def test_few_orders_a_week_are_fitted_over_longer_blocks() -> None:
    amounts, visits = made(60.0, rate=0.012)  # five orders a week
    series = fitted(amounts, visits, spare=40.0)
    assert series.block == 14
    assert series.series.is_log
    assert (series.before - series.offset) % series.block == 0
    low, _, high = ahead(series)
    assert 0 < low < 0.012 < high


def test_rare_orders_are_fitted_without_a_logarithm() -> None:
    amounts, visits = made(20.0, rate=0.005)  # an order in ten days
    series = fitted(amounts, visits, spare=100.0)
    assert not series.series.is_log
    low, middle, high = ahead(series)
    assert -0.005 < low < 0.005 < high < 0.02
    assert middle == pytest.approx(float(np.nansum(amounts) / np.nansum(visits)), rel=0.5)


def test_a_step_is_followed() -> None:
    rate = np.where(np.arange(DAYS) < 120, 0.03, 0.06)
    low, _, high = ahead(fitted(*made(2000.0, rate=rate)))
    assert low < 0.06 < high
    assert low > 0.03


def test_unmeasured_days_are_left_out() -> None:
    amounts, visits = made(500.0)
    visits[50:60] = np.nan
    amounts[70:73] = np.nan
    low, middle, high = ahead(fitted(amounts, visits))
    assert low < RATE < high
    assert middle == pytest.approx(RATE, rel=0.1)


def test_what_cannot_be_said() -> None:
    amounts, visits = made(500.0)

    def ask(got: FloatArray, came: FloatArray, before: int = DAYS) -> YieldSeries | None:
        return fit_yield("orders", "entry", got, came, design(), before, block=7, spare=10.0)

    assert ask(amounts * 0, visits) is None
    assert ask(amounts, visits * 0) is None
    assert ask(amounts * np.nan, visits) is None
    assert ask(amounts, visits, before=21) is None  # three weeks
    assert ask(amounts, visits, before=28) is not None


def test_a_window_further_ahead_is_wider() -> None:
    series = fitted(*made(500.0))
    near, far = ahead(series, 14), ahead(series, 14, start=DAYS + 40)
    assert far[2] - far[0] > near[2] - near[0]
