"""Weekly figures, overlapping visitors and moved clocks: found where planted, not where nothing moved."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.evidence.made_panels import WEEK, made_panel

from rechannel.evidence.rhythm import clock_moves, day_move, overlap, weekly_runs
from rechannel.tables.clock import daily_round
from rechannel.vocabulary.estimate import FloatArray

ROUND = np.concatenate([np.full(7, 0.3), np.linspace(0.6, 2.0, 14), np.full(3, 1.0)])


def hours(days: int, per_day: float, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Visits by day and hour, the round of each day a little its own."""
    rng = np.random.default_rng(seed)
    mood = np.exp(0.1 * rng.standard_normal((days, 24)))
    rate = per_day * ROUND / ROUND.sum() * mood
    return rng.poisson(rate).astype(np.int64)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_clock_that_never_moved(seed: int) -> None:
    assert clock_moves(hours(400, 300, seed)) == ()
    assert clock_moves(hours(400, 2, seed)) == ()


@pytest.mark.parametrize(("shift", "on"), [(-8, 200), (1, 150), (5, 61)])
def test_a_clock_that_moved_for_good(shift: int, on: int) -> None:
    table = hours(400, 200, 3)
    flat = table.ravel()
    moved = np.zeros_like(flat)
    at = np.arange(flat.size)
    to = np.where(at >= 24 * on, at + shift, at)
    np.add.at(moved, np.clip(to, 0, flat.size - 1), flat)
    (one,) = clock_moves(moved.reshape(-1, 24))
    assert one.hours == shift
    assert abs(one.first - on) <= 1
    assert one.last == 399
    assert one.probability > 0.95


def test_summer_time_in_the_export_moves_and_moves_back() -> None:
    table = hours(420, 200, 4)
    table[140:280] = np.roll(table[140:280], 1, axis=1)
    (one,) = clock_moves(table)
    assert one.hours == 1
    assert (abs(one.first - 140) <= 1, abs(one.last - 279) <= 1) == (True, True)


def test_a_clock_that_moves_twice_for_good() -> None:
    table = hours(500, 300, 7)
    table[150:] = np.roll(table[150:], 8, axis=1)
    table[330:] = np.roll(table[330:], 1, axis=1)
    early, late = clock_moves(table)
    assert (early.hours, late.hours) == (8, 9)
    for at, day in ((early.first, 150), (early.last + 1, 330), (late.first, 330)):
        assert abs(at - day) <= 2
    assert late.last == 499


def mixed(total: FloatArray, on: int, part: float) -> FloatArray:
    """Days from `on` hold a part of the day after."""
    out = total.copy()
    out[on:-1] = (1 - part) * total[on:-1] + part * total[on + 1 :]
    return out[:-1]


def test_days_cut_at_another_hour_by_the_week_alone() -> None:
    """A strong week tells a move of a third of a day; the same week without a move, and a week that changes, do not."""
    rng = np.random.default_rng(5)
    week = np.array([1.0, 1.0, 1.0, 1.0, 1.1, 1.7, 1.5])
    total = 20_000 * week[np.arange(500) % 7] * np.exp(0.02 * rng.standard_normal(500))
    assert day_move(total) is None
    for part, hour in ((1.0, -24), (1 / 3, -8)):
        one = day_move(mixed(total, 250, part))
        assert one is not None
        assert abs(one.hours - hour) <= 2
        assert abs(one.first - 250) <= 10
    other = total.copy()
    other[250:] *= np.array([1.3, 1.0, 0.8, 1.0, 1.1, 0.9, 0.9])[np.arange(250) % 7]
    assert day_move(other) is None


def test_weekly_runs_need_equal_days_that_chance_does_not_make() -> None:
    rng = np.random.default_rng(6)
    assert weekly_runs(rng.poisson(1.5, 400).astype(float)) == ()
    assert weekly_runs(np.full(400, 50.0)) == ()
    assert weekly_runs(rng.poisson(900 * WEEK[np.arange(400) % 7]).astype(float)) == ()
    flat = rng.poisson(900, 400).astype(float)
    for week in range(4):
        days = slice(100 + 7 * week, 107 + 7 * week)
        flat[days] = np.round(flat[days].mean() * (1 + 0.1 * week))
    (run,) = weekly_runs(flat)
    assert (run.first, run.last, run.spread) == (100, 127, True)


def test_overlap_needs_nearly_every_day() -> None:
    visits = made_panel(60).values["visits"][:, 0]
    assert overlap(visits, visits.sum(axis=1)) is None
    assert overlap(visits, visits.sum(axis=1) * 1.2) is None
    assert overlap(visits, visits.sum(axis=1) / 1.3) == pytest.approx(0.3)
    some = visits.sum(axis=1)
    some[::3] *= 0.8
    assert overlap(visits, some) is None


def test_the_daily_round_counts_visits_by_day_and_hour() -> None:
    times = np.array(["2025-01-01T00:30", "2025-01-01T23:59", "2025-01-03T05:00", "2025-01-02T05:00"], "datetime64[us]")
    table = pa.table({"time": times, "event": ["visit", "visit", "visit", "order"]})
    found = daily_round(table)
    assert found is not None
    assert found.dates.astype(str).tolist() == ["2025-01-01", "2025-01-02", "2025-01-03"]
    assert (found.visits.sum(), found.visits[0, 0], found.visits[0, 23], found.visits[2, 5]) == (3, 1, 1, 1)
    assert daily_round(table.slice(3)) is None
