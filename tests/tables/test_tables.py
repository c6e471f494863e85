"""Canonical relations become arrays and records."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rechannel.tables.calendar import holiday_events, read_events
from rechannel.tables.claims import read_claims
from rechannel.tables.deals import read_deal_items, read_deals
from rechannel.tables.figures import find_figures, read_figures
from rechannel.tables.panel import build_panel
from rechannel.tables.rivals import RivalFigure, firms, read_rivals, relative_to_self, sizes

DAY = date(2025, 1, 1)


def test_panel_has_no_gaps_and_knows_what_was_not_measured() -> None:
    relation = pa.table(
        {
            "date": pa.array([DAY, DAY, DAY, DAY + timedelta(days=2), DAY + timedelta(days=2)], pa.date32()),
            "market": ["S", "N", "N", "N", "N"],
            "channel": ["app", "app", "entry", "entry", "total"],
            "visits": [1.0, 2.0, 30.0, None, None],
            "new_customers": pa.array([None, None, None, None, 9.0], pa.float64()),
        }
    )
    panel = build_panel(relation)
    assert panel.channels == ("entry", "app")
    assert panel.markets == ("N", "S")
    assert (panel.first, panel.last, len(panel.dates)) == (DAY, DAY + timedelta(days=2), 3)
    assert panel.values["visits"].shape == (3, 2, 2)
    assert panel.values["visits"][0].tolist()[0] == [30.0, 2.0]
    assert np.isnan(panel.values["visits"][1:]).all()
    assert set(panel.values) == {"visits", "new_customers"}
    assert set(panel.totals) == {"new_customers"}
    assert panel.totals["new_customers"][2].tolist()[0] == 9.0
    assert panel.index_of(DAY - timedelta(days=3)) == -3


def test_panel_of_weeks_without_markets() -> None:
    relation = pa.table(
        {
            "date": pa.array([DAY + timedelta(days=7 * week) for week in (2, 0)], pa.date32()),
            "channel": ["app", "app"],
            "visits": [3.0, 1.0],
        }
    )
    panel = build_panel(relation, "weekly")
    assert panel.markets == ("all",)
    assert np.array_equal(panel.over_markets("visits")[:, 0], [1.0, np.nan, 3.0], equal_nan=True)
    with pytest.raises(ValueError, match="no own channel"):
        build_panel(relation.set_column(1, "channel", pa.array(["total", "total"])))


def test_a_market_without_a_channel_adds_nothing_to_its_sum() -> None:
    """No row of visits ever: the channel is not there; a missing day or a missing column is not measured."""
    rows = [("north", "app"), ("south", "app"), ("north", "entry")]
    relation = pa.table(
        {
            "date": pa.array([DAY + timedelta(days=day) for day in range(2) for _ in rows], pa.date32()),
            "market": [market for _ in range(2) for market, _ in rows],
            "channel": [channel for _ in range(2) for _, channel in rows],
            "visits": [1.0, 2.0, 4.0, 1.0, None, 4.0],
            "orders": [1.0, None, 3.0, 1.0, None, 3.0],
        }
    )
    panel = build_panel(relation)
    app, entry = panel.channel_index("app"), panel.channel_index("entry")
    assert np.array_equal(panel.over_markets("visits")[:, app], [3.0, np.nan], equal_nan=True)
    assert panel.over_markets("visits")[:, entry].tolist() == [4.0, 4.0]
    assert np.isnan(panel.over_markets("orders")[:, app]).all()
    assert panel.over_markets("orders")[:, entry].tolist() == [3.0, 3.0]
    assert np.isnan(panel.over_markets("visits", "south")[:, entry]).all()
    assert np.isnan(panel.sum_of("visits", ("south",))[:, entry]).all()


@given(st.permutations(range(12)), st.integers(-400, 400))
def test_panel_ignores_row_order_and_follows_the_day(order: list[int], shift: int) -> None:
    days = [DAY + timedelta(days=shift + row // 3) for row in order]
    relation = pa.table(
        {
            "date": pa.array(days, pa.date32()),
            "channel": [f"c{row % 3}" for row in order],
            "visits": [float(100 * (row % 3) + row) for row in order],
        }
    )
    panel = build_panel(relation)
    assert panel.first == DAY + timedelta(days=shift)
    assert panel.channels == ("c2", "c1", "c0")
    assert panel.values["visits"][:, 0, 2].tolist() == [0.0, 3.0, 6.0, 9.0]


def test_events() -> None:
    relation = pa.table(
        {
            "start": pa.array([date(2025, 6, 18), DAY], pa.date32()),
            "end": pa.array([date(2025, 6, 20), DAY], pa.date32()),
            "kind": ["promo", "outage"],
            "channel": [None, "app"],
            "market": ["all", None],
            "severity": pa.array([None, 0.5], pa.float64()),
        }
    )
    outage, promo = read_events(relation)
    assert (outage.channel, outage.market, outage.severity, outage.days) == ("app", None, 0.5, 1)
    assert (promo.channel, promo.market, promo.severity, promo.days, promo.note) == (None, None, None, 3, "")
    with pytest.raises(ValueError, match="sale"):
        read_events(relation.set_column(2, "kind", pa.array(["sale", "sale"])))


@pytest.mark.parametrize(
    ("note", "start", "end"),
    [
        ("Spring Festival", date(2024, 2, 10), date(2024, 2, 17)),
        ("Labor Day", date(2024, 5, 1), date(2024, 5, 5)),
        ("National Day", date(2024, 10, 1), date(2024, 10, 7)),
        ("New Year's Day", date(2025, 1, 1), date(2025, 1, 1)),
        ("Spring Festival", date(2025, 1, 28), date(2025, 2, 4)),
        ("Tomb-Sweeping Day", date(2025, 4, 4), date(2025, 4, 6)),
        ("Dragon Boat Festival", date(2025, 5, 31), date(2025, 6, 2)),
        ("National Day", date(2025, 10, 1), date(2025, 10, 8)),
    ],
)
def test_chinese_holidays_are_the_official_blocks(note: str, start: date, end: date) -> None:
    """Blocks as announced by the State Council for 2024 and 2025."""
    blocks = holiday_events("CN", date(2024, 1, 1), date(2025, 12, 31))
    assert (note, start, end) in {(block.note, block.start, block.end) for block in blocks}
    worked = (date(2024, 2, 4), date(2024, 2, 18), date(2025, 1, 26), date(2025, 9, 28), date(2025, 10, 11))
    assert not any(block.start <= day <= block.end for day in worked for block in blocks)
    assert [block.note for block in holiday_events("CN", date(2025, 10, 3), date(2025, 10, 4))] == ["National Day"]


def test_verification_is_per_field() -> None:
    rows = pa.table(
        {
            "deal_id": ["a", "b", "c", "d"],
            "host": ["h"] * 4,
            "tenant": ["t"] * 4,
            "signed": pa.array([DAY, None, None, None], pa.date32()),
            "verified": ["y", "n", "signed; start", None],
        }
    )
    deals = read_deals(rows)
    assert [deal.is_verified("signed") for deal in deals] == [True, False, True, False]
    assert [deal.is_verified("cash_terms") for deal in deals] == [True, False, False, False]
    assert deals[0].signed == DAY
    assert deals[0].fixed_fee is None
    items = read_deal_items(pa.table({"deal_id": ["a"], "field": ["traffic"], "giver": ["h"], "amount": [3.0]}))
    assert (items[0].amount, items[0].receiver) == (3.0, None)


def test_figures_claims_and_rivals() -> None:
    figures = read_figures(
        pa.table({"entity": ["f", "f"], "metric": ["m", "n"], "value": [1.0, 2.0], "verified": ["y", None]})
    )
    assert [figure.verified for figure in figures] == [True, False]
    assert find_figures(figures, entity="f", verified_only=True) == figures[:1]
    claims = read_claims(pa.table({"claim_id": ["c"], "claim": ["it fell"], "value": pa.array([None], pa.float64())}))
    assert (claims[0].claim, claims[0].value, claims[0].who) == ("it fell", None, "")
    rivals = read_rivals(
        pa.table(
            {
                "date": pa.array([DAY] * 3 + [DAY + timedelta(days=31)], pa.date32()),
                "market": [None, "all", "all", "all"],
                "firm": ["self", "x", "y", "x"],
                "metric": ["share"] * 4,
                "value": [0.2, 0.1, 0.3, 0.5],
            }
        )
    )
    assert firms(rivals) == ("x", "y")
    assert relative_to_self(rivals, "share") == {DAY: {"x": 0.5, "y": pytest.approx(1.5)}}


def test_rivals_known_in_different_metrics_stand_on_one_scale() -> None:
    def row(firm: str, metric: str, value: float, day: int = 1) -> RivalFigure:
        return RivalFigure(date(2025, day, 1), "north", firm, metric, value)  # type: ignore[arg-type]

    own = [row("self", "visits", 100.0), row("self", "gmv", 8.0), row("self", "visits", 200.0, 2)]
    told = [row("x", "visits", 300.0), row("x", "visits", 400.0, 2), row("y", "gmv", 4.0)]
    assert sizes([*own, *told]) == {"x": 2.0, "y": 0.5}
    # without `self` only the metric that most are known in is a scale
    assert sizes([*told, row("z", "visits", 10.0)]) == {"x": 400.0, "z": 10.0}
    assert sizes([]) == {}
