"""Heavy-tailed days and breaks of a level: found where they are, not found where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from rechannel.evidence.channel import Scale, fit_channel, refit
from rechannel.evidence.design import Design, build_design
from rechannel.evidence.grid import scout_grid
from rechannel.evidence.joint import window_sums
from rechannel.evidence.series import trimmed
from rechannel.evidence.settle import settle, spread_of_days
from rechannel.vocabulary.estimate import FloatArray

DAYS, AHEAD = 300, 30
DATES = np.datetime64("2024-01-01") + np.arange(DAYS + AHEAD)


def ar(rng: np.random.Generator, n: int, phi: float, sd: float) -> FloatArray:
    path = np.zeros(n)
    for day in range(1, n):
        path[day] = phi * path[day - 1] + sd * rng.standard_normal()
    return path


def design() -> Design:
    return build_design(DATES, (), "c")


def visits(seed: int, *, size: float = 0.0, at: int = 200) -> FloatArray:
    rng = np.random.default_rng(seed)
    logs = 7 + ar(rng, DAYS + AHEAD, 0.5, 0.04)
    logs[at:] += size
    return np.exp(logs)


@pytest.mark.parametrize("size", [-0.4, 0.25])
def test_a_break_is_found_and_the_forecast_goes_on_from_it(size: float) -> None:
    found = [fit_channel("visits", "c", visits(seed, size=size), design(), DAYS) for seed in range(10)]
    assert sum(len(one.breaks) == 1 and abs(one.breaks[0] - 200) <= 2 for one in found) >= 9
    window = np.ones((1, AHEAD))
    days = np.arange(DAYS, DAYS + AHEAD, dtype=np.int64)
    plain = fit_channel("visits", "c", visits(0, size=size), design(), DAYS, most_breaks=0)
    assert window_sums(found[0], days, window).sd(np.ones(1))[0] < window_sums(plain, days, window).sd(np.ones(1))[0]


def test_where_nothing_broke_hardly_any_break_is_found() -> None:
    """60 series, a third of them with a level that drifts: at most three (a prior of .41 breaks in 300 days)."""
    count = 0
    for seed in range(60):
        values = visits(seed)
        if seed % 3 == 0:
            values = values * np.exp(np.cumsum(np.random.default_rng([seed, 1]).normal(0, 0.01, values.size)))
        count += len(fit_channel("visits", "c", values, design(), DAYS).breaks)
    assert count <= 3


def test_a_refit_before_the_break_does_not_know_of_it() -> None:
    one = fit_channel("visits", "c", visits(1, size=-0.4), design(), DAYS)
    assert len(one.breaks) == 1
    early, late = (refit(one, origin, trimmed(one.fit)) for origin in (150, 260))
    assert early.breaks == ()
    assert late.breaks == one.breaks
    assert early.design.columns.shape[1] == one.design.columns.shape[1] - 1
    days, window = np.arange(260, 290, dtype=np.int64), np.ones((1, 30))
    path = np.log(window_sums(late, days, window).centre[0] / 30)
    assert path == pytest.approx(np.log(one.values[260:290].mean()), abs=0.1)


def test_heavy_tails_are_seen_and_normal_days_are_let_be() -> None:
    rng = np.random.default_rng(0)
    assert sum(spread_of_days(rng.standard_normal(400)) is not None for _ in range(40)) <= 1
    assert sum(spread_of_days(rng.standard_t(2.5, 400)) is not None for _ in range(40)) >= 38
    shocks = rng.standard_normal(400)
    shocks[[50, 200]] = 12.0
    spread = spread_of_days(shocks)
    assert spread is not None
    assert spread[[50, 200]].min() > 10
    assert np.median(spread) < 1.2
    assert spread_of_days(np.zeros(50)) is None
    shocks[[60, 90, 120, 210, 300]] = 9.0
    assert spread_of_days(shocks) is None, "days on one side are no tail: their like will come again"


def test_a_wild_day_before_the_forecast_moves_it_less() -> None:
    """The last day but one is ten sd out, as three days before were, either way: the level after it hardly moves."""
    rng = np.random.default_rng(2)
    y = ar(rng, 200, 0.0, 1.0)
    y[[40, 90, 150, 198]] += [-10.0, 10.0, -10.0, 10.0]
    days, none = np.arange(200, dtype=np.int64), np.zeros((200, 0))
    spread = spread_of_days(y - np.median(y))
    plain, robust = (
        settle(y, none, days, np.zeros(0), scale_guess=1.0, break_precision=0.01, spread=one) for one in (None, spread)
    )
    means = [float(one.fit.weight @ (one.fit.level_at)) for one in (plain, robust)]
    assert abs(means[1] - np.median(y)) < abs(means[0] - np.median(y))


def test_scale_states_priors_in_the_unit_of_the_series() -> None:
    y = 500 + 20 * np.random.default_rng(0).standard_normal(200)
    level, logs = Scale.of(y, False), Scale.of(np.log(y), True)
    assert level.precision(np.array([0.5]))[0] == pytest.approx(logs.precision(np.array([0.5]))[0], rel=0.05)
    assert level.calm(7) == pytest.approx(level.calm(1) / np.sqrt(7))
    assert scout_grid().phi.size < 20
