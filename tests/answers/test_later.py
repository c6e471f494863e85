"""What new customers bring after their quarter: rows of worth on a made shop with touches, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rechannel.answers.answer import Answer, Provenance, dumps
from rechannel.answers.lifetime import (
    LATER_DAYS,
    CustomerValue,
    Window,
    curves_of,
    customer_value,
    later_orders,
    window_of,
)
from rechannel.answers.money import Money
from rechannel.answers.rows import Coordinates
from rechannel.answers.worth import NO_TOUCHES, WorthQuestion, answer_worth, quarters
from rechannel.case import Case, new_case, open_case
from rechannel.evidence.lifetime import days_in_ages
from rechannel.lab.specs import draw_spec
from rechannel.lab.worlds import make_world
from rechannel.source.contract import TableName
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.wording import LANGUAGES

MONEY = Money("CNY", margin=(0.1, 0.2))
STAMP = Provenance("test", 7, "0" * 64, "2025-01-01T00:00:00Z")
ROWS = ("later_orders_per_customer", "ltv_per_customer", "incremental_ltv", "incremental_value")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Made:
    """A made shop as a case folder, and what its touches say."""

    case: Case
    later: CustomerValue
    channel: str

    def ask(
        self, panel: Panel | None = None, money: Money = MONEY, later: CustomerValue | Refusal | None = None
    ) -> Answer:
        value, question = self.later if later is None else later, WorthQuestion(self.channel)
        return answer_worth(panel or self.case.panel, self.case.world, question, money, (), STAMP, later=value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("later")
    spec = draw_spec("many_outages", 4)
    world = make_world(replace(spec, customers=400, after_days=30), touches=120_000)
    files: dict[TableName, Path] = {}
    tables = world.before()
    days = tables["daily"]["date"].to_numpy()
    tables["daily"] = tables["daily"].filter(pa.array(days >= days.max() - 300))
    for name in ("daily", "events", "touches"):
        files[name] = folder / f"{name}.parquet"
        pq.write_table(tables[name], files[name])
    new_case(folder / "case", files)
    case = open_case(folder / "case")
    later = customer_value(case.folder, case.panel, 7)
    assert isinstance(later, CustomerValue)
    return Made(case, later, world.closed_channel)


def rows_of(answer: Answer, metric: str) -> list[Estimate]:
    return [row for row in answer.estimates if row.metric == metric]


def codes(answer: Answer, metric: str) -> set[str]:
    return {row.value.code for row in rows_of(answer, metric) if isinstance(row.value, Refusal)}


def values(rows: Sequence[Estimate]) -> list[Quantity]:
    found = [row.value for row in rows]
    assert all(isinstance(value, Quantity) for value in found)
    return [value for value in found if isinstance(value, Quantity)]


def test_margin_after_the_quarter_is_its_own_row_and_adds_up_draw_by_draw(made: Made) -> None:
    answer = made.ask()
    (orders, each, ltv, both), margin = (rows_of(answer, name) for name in ROWS), rows_of(answer, "incremental_margin")
    assert {row.horizon_days for row in (*orders, *each, *ltv, *both)} == {LATER_DAYS}
    for one, later, whole in zip(values(margin), values(ltv), values(both), strict=True):
        assert one.mean is not None
        assert later.mean is not None
        assert whole.mean == pytest.approx(one.mean + later.mean, rel=1e-9)
        assert whole.grade >= max(one.grade, later.grade)
        assert later.grade >= "C"
    for few, paid in zip(values(orders), values(each), strict=True):
        assert 0 < few.quantiles.values[0] < few.quantiles.values[-1]
        assert paid.mean is not None
        assert few.mean is not None
        assert paid.mean / few.mean < 0.3 * float(np.nanmax(made.case.panel.values["gmv"]))
    assert {check.key for check in answer.checks} >= {"later_orders", "new_in_touches"}
    assert [curve.channel for curve in answer.curves] == [made.channel, None]


def test_the_window_and_what_is_later_make_the_whole(made: Made) -> None:
    """Of any rates, also those that differ by age: orders inside the quarter + later = orders of the first stretch."""
    rng = np.random.default_rng(1)
    rates = made.later.of(made.channel).rates
    left, new = np.arange(90.0)[::-1], rng.poisson(20, 90).astype(float)
    window = Window(Coordinates(LATER_DAYS), left, new, None)
    inside = rates @ (new @ days_in_ages(np.zeros(90), left) / new.sum())
    whole = rates @ (new @ days_in_ages(np.zeros(90), left + LATER_DAYS) / new.sum())
    assert inside + later_orders(rates, window) == pytest.approx(whole)
    assert later_orders(np.ones_like(rates), window) == pytest.approx(np.full(len(rates), LATER_DAYS))


def test_days_left_reach_to_the_end_of_the_period(made: Made) -> None:
    panel = made.case.panel
    period, at_all = quarters(panel)[1], Coordinates(None)
    window = window_of(panel, made.channel, period.rows.tolist(), at_all)
    assert window.days_left[[0, -1]].tolist() == [period.days - 1, 0]
    at = panel.channel_index(made.channel)
    assert window.new_customers.sum() == panel.values["new_customers"][period.rows, :, at].sum()
    weeks = replace(panel, dates=panel.dates[0] + 7 * np.arange(len(panel.dates)), cadence="weekly")
    assert window_of(weeks, made.channel, [0, 1], at_all).days_left.tolist() == [10.0, 3.0]


def test_twice_the_prices_double_the_margin_and_leave_the_orders(made: Made) -> None:
    panel = made.case.panel
    dear = replace(panel, values={**panel.values, "gmv": 2 * panel.values["gmv"]})
    plain, double = made.ask(), made.ask(dear)
    for metric, factor in zip(ROWS[:3], (1, 2, 2), strict=True):
        for one, other in zip(values(rows_of(plain, metric)), values(rows_of(double, metric)), strict=True):
            assert other.quantiles.values == pytest.approx(factor * np.array(one.quantiles.values))


def test_what_cannot_be_said_is_refused_row_by_row(made: Made) -> None:
    panel = made.case.panel
    for metric in ROWS:
        assert codes(made.ask(later=NO_TOUCHES), metric) == {"no_journeys"}
        assert codes(made.ask(later=Refusal("short_touches", {"days": "9", "wanted": "270"}, ())), metric) == {
            "short_touches"
        }
    one = WorthQuestion(made.channel, panel.markets[0])
    of_one = answer_worth(panel, made.case.world, one, MONEY, (), STAMP, later=made.later)
    assert codes(of_one, "incremental_ltv") == {"no_later_of_markets"}
    poor = made.ask(money=Money("CNY"))
    assert [codes(poor, metric) for metric in ROWS] == [set(), *({"no_margin"},) * 3]
    no_value = made.ask(replace(panel, values={name: v for name, v in panel.values.items() if name != "gmv"}))
    assert [codes(no_value, metric) for metric in ROWS] == [set(), *({"no_column"},) * 3]
    nobody = {**panel.values, "new_customers": np.zeros_like(panel.values["new_customers"])}
    assert codes(made.ask(replace(panel, values=nobody)), "incremental_ltv") == {"no_new_customers"}
    unknown = replace(panel, values={name: v for name, v in panel.values.items() if name != "new_customers"})
    assert codes(made.ask(unknown), "incremental_ltv") == {"no_column"}
    assert customer_value(made.case.folder, unknown, 7) == Refusal(
        "no_column", {"column": "new_customers"}, ("add_column",)
    )
    for code in ("short_touches", "few_repeats", "repeats_unforeseen", "no_new_customers", "no_later_of_markets"):
        words = dict.fromkeys(("days", "wanted", "count", "forecast", "came", "channel"), "7")
        assert all("{" not in Refusal(code, words).message(language) for language in LANGUAGES)


def test_few_new_customers_among_the_first_orders_make_it_an_assumption(made: Made) -> None:
    doubtful = replace(made.later, new_share=0.2)
    assert not doubtful.checks[-1].passed
    for value in values(rows_of(made.ask(later=doubtful), "later_orders_per_customer")):
        assert value.grade == "D"
        assert "new_in_touches" in value.grade_reasons


def test_same_bytes_again_and_one_answer_through_the_case(made: Made) -> None:
    assert dumps(made.ask()) == dumps(made.ask())
    again = customer_value(made.case.folder, made.case.panel, 7)
    assert isinstance(again, CustomerValue)
    assert dumps(made.ask(later=again)) == dumps(made.ask())
    asked = made.case.worth(made.channel)
    assert codes(asked, "incremental_ltv") == {"no_margin"}
    assert asked.curves


def test_the_curve_of_a_channel_that_the_log_does_not_know_is_left_out(made: Made) -> None:
    assert [curve.channel for curve in curves_of(made.later, "'; DROP --")] == [None]
    for curve in curves_of(made.later, made.channel):
        seen = np.isfinite(curve.seen).all(axis=1)
        assert seen[0]
        assert not seen[-1]
        assert (np.diff(curve.seen[seen], axis=1) >= 0).all()
        assert np.isfinite(curve.expected).all()
