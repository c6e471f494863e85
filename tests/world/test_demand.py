"""The open world ahead: own and rest add up, sparse and missing data do not break it, distance widens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from rechannel.evidence.baseline import Baseline, fit_baseline
from rechannel.evidence.placebo import Calibration
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import Cadence, Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.demand import REST, Demand, forecast_demand

DRAWS, SEED, DAYS = 2048, 3, 210
LEVELS = np.array([4000.0, 2500.0, 1500.0, 300.0])
RATE = 0.04
PLAIN = Calibration(
    0.0, 0.0, np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.intp), np.empty(0), {}, 0.0, float("nan")
)
"""A placebo scale of 1."""
NEAR = 0.05
"""Median of a forecast of a level series against its level: five standard deviations of a monthly sum."""


def made_panel(
    days: int = DAYS, *, step: int = 1, metrics: Sequence[Metric] = ("orders",), levels: FloatArray = LEVELS
) -> Panel:
    rng = np.random.default_rng(1)
    week = np.ones(days) if step == 7 else 1 + 0.1 * np.sin(2 * np.pi * np.arange(days) / 7)
    visits = rng.poisson(levels * step * week[:, None] * np.exp(0.03 * rng.standard_normal((days, levels.size))))
    values: dict[Metric, FloatArray] = {"visits": visits.astype(float)[:, None]}
    for metric in metrics:
        values[metric] = rng.binomial(visits, RATE).astype(float)[:, None]
    cadence: Cadence = "weekly" if step == 7 else "daily"
    dates = np.datetime64("2024-01-01") + step * np.arange(days)
    return Panel(dates, ("all",), tuple(f"c{k}" for k in range(levels.size)), values, {}, cadence)


def without(panel: Panel, metric: Metric, channel: int, days: slice | list[int]) -> Panel:
    """The panel with cells that are not measured."""
    array = panel.values[metric].copy()
    array[days, :, channel] = np.nan
    return replace(panel, values={**panel.values, metric: array})


def ahead(
    panel: Panel, channel: str = "c1", *, start: int | None = None, coming: int = 120, events: Sequence[Event] = ()
) -> Demand:
    before = len(panel.dates)
    baseline: Baseline = fit_baseline(panel, events, before, coming=coming)
    day = before if start is None else start
    found = forecast_demand(panel, baseline, PLAIN, channel, day, draws=DRAWS, seed=SEED)
    assert found is not None
    return found


def width(draws: FloatArray) -> FloatArray:
    """90 % interval over the median, shape [window]."""
    low, middle, high = np.quantile(draws, (0.05, 0.5, 0.95), axis=0)
    return np.asarray((high - low) / middle)


def test_own_and_rest_are_the_total_and_windows_add_up() -> None:
    demand = ahead(made_panel())
    visits = demand.windows("visits", [0, 0, 30], [60, 30, 30])
    assert (visits.total >= visits.own).all()
    assert np.median(visits.own[:, 0]) == pytest.approx(60 * LEVELS[1], rel=NEAR)
    assert np.median(visits.total[:, 0]) == pytest.approx(60 * LEVELS.sum(), rel=NEAR)
    for part in (visits.own, visits.total):
        medians = np.median(part, axis=0)
        assert medians[1] + medians[2] == pytest.approx(medians[0], rel=0.01)
    orders = demand.windows("orders", [0], [60])
    assert np.median(orders.own) == pytest.approx(60 * LEVELS[1] * RATE, rel=NEAR)
    assert np.median(orders.total) == pytest.approx(60 * LEVELS.sum() * RATE, rel=NEAR)
    # the yield is a draw of its own, the visits are the same draws
    assert np.corrcoef(orders.own[:, 0], visits.own[:, 0])[0, 1] > 0.3


def test_the_sum_over_channels_asked_in_turn_is_the_total() -> None:
    panel = made_panel()
    totals, own = [], 0.0
    for channel in panel.channels:
        pair = ahead(panel, channel).windows("visits", [0], [30])
        totals.append(float(np.median(pair.total)))
        own += float(np.median(pair.own))
    assert own == pytest.approx(np.mean(totals), rel=0.02)
    assert max(totals) - min(totals) < 0.02 * min(totals)


def test_a_metric_of_the_whole_shop_is_given_to_channels_by_their_visits() -> None:
    panel = made_panel(metrics=("orders",))
    whole = panel.values["orders"].sum(axis=2)
    split = replace(panel, values={"visits": panel.values["visits"]}, totals={"orders": whole})
    demand = ahead(split)
    assert demand.metrics == ("visits",)
    assert set(demand.shop_yields) == {"orders"}
    orders, visits = (demand.windows(metric, [0], [30]) for metric in ("orders", "visits"))
    assert orders.own / orders.total == pytest.approx(visits.own / visits.total)
    assert np.median(orders.total) == pytest.approx(30 * LEVELS.sum() * RATE, rel=NEAR)


def test_weeks() -> None:
    demand = ahead(made_panel(80, step=7))
    pair = demand.windows("visits", [0], [4])
    assert np.median(pair.own) == pytest.approx(28 * LEVELS[1], rel=NEAR)
    assert np.median(demand.windows("orders", [0], [4]).own) == pytest.approx(28 * LEVELS[1] * RATE, rel=NEAR)


def test_a_channel_without_orders_yields_none_and_others_keep_theirs() -> None:
    panel = made_panel()
    orders = panel.values["orders"].copy()
    orders[:, :, 1] = 0.0
    panel = replace(panel, values={**panel.values, "orders": orders})
    assert "orders" not in ahead(panel, "c1").metrics
    demand = ahead(panel, "c0")
    pair = demand.windows("orders", [0], [30])
    others = LEVELS.sum() - LEVELS[1]
    assert np.median(pair.own) == pytest.approx(30 * LEVELS[0] * RATE, rel=NEAR)
    assert np.median(pair.total) == pytest.approx(30 * others * RATE, rel=NEAR)


def test_a_rare_order_is_not_lost() -> None:
    """An order a week through a small channel: most days have none, and the forecast still holds the mean."""
    panel = made_panel(levels=np.array([4000.0, 60.0, 1500.0]))
    orders = panel.values["orders"].copy()
    orders[:, :, 1] = np.random.default_rng(4).binomial(1, 1 / 7, (DAYS, 1))
    panel = replace(panel, values={**panel.values, "orders": orders})
    own = ahead(panel).windows("orders", [0], [70]).own
    low, high = np.quantile(own, (0.05, 0.95))
    assert low < 10 < high
    assert low > 0


def test_missing_days_of_one_channel_do_not_lower_anything() -> None:
    whole = made_panel()
    gaps = without(whole, "visits", 1, [40, 41, 42, 99, 150])
    gaps = without(gaps, "visits", 2, slice(170, 175))
    gaps = without(gaps, "orders", 0, slice(60, 80))
    late = without(whole, "visits", 3, slice(0, 100))  # a channel that opened later
    for panel in (gaps, late):
        demand = ahead(panel)
        pair = demand.windows("visits", [0], [30])
        assert np.median(pair.own) == pytest.approx(30 * LEVELS[1], rel=NEAR)
        assert np.median(pair.total) == pytest.approx(30 * LEVELS.sum(), rel=NEAR)
        assert np.median(demand.windows("orders", [0], [30]).own) == pytest.approx(30 * LEVELS[1] * RATE, rel=NEAR)


@pytest.mark.parametrize("channels", [(0, 1, 2, 3), (2,)])
def test_orders_counted_only_lately_are_not_a_jump(channels: tuple[int, ...]) -> None:
    """Visits without an orders cell are visits whose orders are unknown, not visits without an order."""
    panel = made_panel()
    for channel in channels:
        panel = without(panel, "orders", channel, slice(0, 100))
    total = ahead(panel).windows("orders", [0], [30]).total
    assert np.median(total) == pytest.approx(30 * LEVELS.sum() * RATE, rel=NEAR)
    assert width(total)[0] < 0.15


def test_a_channel_that_ended_is_not_there_any_more() -> None:
    """Rows that stop four months ago are an end; rows that stop last week are late."""
    others = LEVELS.sum() - LEVELS[2]
    for last, total in ((DAYS - 120, others), (DAYS - 7, LEVELS.sum())):
        panel = without(without(made_panel(), "visits", 2, slice(last, None)), "orders", 2, slice(last, None))
        demand = ahead(panel)
        pair, orders = demand.windows("visits", [0], [30]), demand.windows("orders", [0], [30])
        assert np.median(pair.total) == pytest.approx(30 * total, rel=NEAR)
        assert np.median(orders.total) == pytest.approx(30 * total * RATE, rel=NEAR)
    assert demand.rest is not None
    assert np.isnan(demand.rest.values[DAYS - 7 : DAYS]).all()


def test_a_later_day_is_wider() -> None:
    panel = made_panel()
    spreads = [width(ahead(panel, start=DAYS + lead).windows("visits", [0], [30]).own)[0] for lead in (0, 30, 90)]
    assert spreads == sorted(spreads)
    assert spreads[-1] > 1.1 * spreads[0]


def test_a_shop_of_one_channel_has_no_rest() -> None:
    panel = made_panel(levels=LEVELS[:1])
    demand = ahead(panel, "c0")
    assert demand.rest is None
    pair = demand.windows("visits", [0], [30])
    assert (pair.own == pair.total).all()
    orders = demand.windows("orders", [0], [30])
    assert (orders.own == orders.total).all()
    assert REST not in panel.channels


def test_a_channel_with_too_little_history_has_no_forecast() -> None:
    panel = without(made_panel(), "visits", 3, slice(0, DAYS - 10))
    baseline = fit_baseline(panel, (), DAYS, coming=60)
    assert forecast_demand(panel, baseline, PLAIN, "c3", DAYS, draws=DRAWS, seed=SEED) is None


@pytest.mark.parametrize("level", [1.0, 100.0, 1e6])
def test_a_channel_that_never_varies_is_forecast(level: float) -> None:
    """Every day the same, and a step logged before the first row, which is the level itself."""
    panel = made_panel()
    visits = panel.values["visits"].copy()
    visits[:, :, 1] = level
    visits[:20, :, 1] = np.nan
    panel = replace(panel, values={**panel.values, "visits": visits})
    days = [panel.first + timedelta(days=day) for day in (-30, 10)]
    opened = [Event("opening", day, day) for day in days]
    pair = ahead(panel, events=opened).windows("visits", [0, 0], [1, 60])
    assert np.median(pair.own, axis=0) == pytest.approx([level, 60 * level], rel=0.001)
