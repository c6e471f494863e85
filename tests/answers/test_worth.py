"""Worth: incremental and retained make up the credit, quarters are marked, what cannot be said is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import jsonschema
import numpy as np
import pytest
from closure_shops import MONEY, STAMP, Shop, made_shop

from rechannel.answers.answer import Answer, dumps, schema
from rechannel.answers.money import Money
from rechannel.answers.worth import WorthQuestion, answer_worth, quarters
from rechannel.tables.deals import Deal
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.wording import LANGUAGES, catalogue
from rechannel.world.fitted import World, fit_world

METRICS = ("visits", "orders", "gmv", "new_customers")
WHOLE = "2023Q2"
"""The one quarter that the shop's 200 days from 6 March cover whole."""


@pytest.fixture(scope="module")
def shop() -> Shop:
    return made_shop(2, 200, 4)


@pytest.fixture(scope="module")
def world(shop: Shop) -> World:
    return fit_world(shop.panel, shop.events, len(shop.panel.dates), coming=90, seed=STAMP.seed)


def ask(panel: Panel, world: World, channel: str = "ch1", money: Money = MONEY, deals: tuple[Deal, ...] = ()) -> Answer:
    answer = answer_worth(panel, world, WorthQuestion(channel), money, deals, STAMP)
    jsonschema.validate(json.loads(dumps(answer)), schema())
    assert len({row.estimate_id for row in answer.estimates}) == len(answer.estimates)
    return answer


def row(answer: Answer, metric: str, period: str = WHOLE, method: str | None = None) -> Estimate:
    return next(one for one in answer.estimates if (one.metric, one.period, one.method) == (metric, period, method))


def quantiles(answer: Answer, metric: str, period: str = WHOLE, method: str | None = None) -> FloatArray:
    value = row(answer, metric, period, method).value
    return np.array(value.quantiles.values) if isinstance(value, Quantity) else np.full(len(LEVELS), np.nan)


def code(answer: Answer, metric: str, period: str = WHOLE, method: str | None = None) -> str:
    value = row(answer, metric, period, method).value
    return value.code if isinstance(value, Refusal) else ""


def test_incremental_and_retained_make_up_the_credit(shop: Shop, world: World) -> None:
    """Incremental / credited = incrementality = 1 - retained; half of an outage of this channel was retained."""
    answer = ask(shop.panel, world)
    days = next(period.rows for period in quarters(shop.panel) if period.name == WHOLE)
    for metric in METRICS:
        credited = quantiles(answer, f"credited_{metric}", method="last_touch")
        assert credited == pytest.approx(np.full(9, shop.panel.values[metric][days, :, 1].sum()))
        incremental, share = (
            quantiles(answer, f"incremental_{metric}"),
            quantiles(answer, "incrementality", method=metric),
        )
        assert share == pytest.approx(incremental / credited)
    low, high = quantiles(answer, "incrementality", method="visits")[[1, -2]]
    assert low < 0.5 < high
    kept = world.diversion.own(1, 91.0).sum(axis=1)
    assert 1 - np.median(kept) == pytest.approx(quantiles(answer, "incrementality", method="visits")[4], abs=0.01)
    margin, gmv = quantiles(answer, "incremental_margin"), quantiles(answer, "incremental_gmv")
    assert margin[4] == pytest.approx(0.15 * gmv[4], rel=0.1)


def test_quarters_and_their_marks(shop: Shop) -> None:
    found = quarters(shop.panel)
    assert [period.name for period in found] == ["2023Q1*", WHOLE, "2023Q3*"]
    assert sum(period.days for period in found) == 200
    assert found[1].days == 91
    assert found[1].first == date(2023, 4, 1)
    weeks = np.datetime64("2022-12-28") + 7 * np.arange(30)
    weekly = quarters(replace(shop.panel, dates=weeks, cadence="weekly"))
    assert [period.name for period in weekly] == ["2022Q4*", "2023Q1", "2023Q2", "2023Q3*"]
    year = quarters(replace(shop.panel, dates=np.datetime64("2023-01-01") + np.arange(365)))
    assert [period.name for period in year] == ["2023Q1", "2023Q2", "2023Q3", "2023Q4"]
    assert [period.days for period in year] == [90, 91, 92, 92]


def test_what_is_not_known_is_refused(shop: Shop, world: World) -> None:
    answer = ask(shop.panel, world, money=Money("CNY"))
    assert code(answer, "incremental_margin") == "no_margin"
    assert code(answer, "payback_days") == "no_margin"
    assert code(answer, "incremental_cac") == "no_spend"
    for method in ("shapley", "removal"):
        assert code(answer, "credited_visits", method=method) == "no_journeys"
    visits = replace(shop.panel, values={"visits": shop.panel.values["visits"]})
    bare = ask(visits, world)
    for metric in METRICS[1:]:
        assert code(bare, f"incremental_{metric}") == "no_column"
        assert code(bare, "incrementality", method=metric) == "no_column"
    assert np.isfinite(quantiles(bare, "incremental_visits")).all()
    assert code(bare, "incremental_margin") == "no_column"


def test_a_quarter_before_the_channel_opened_is_refused(shop: Shop, world: World) -> None:
    values = {name: array.copy() for name, array in shop.panel.values.items()}
    for array in values.values():
        array[:60, :, 1] = np.nan
    values["orders"][:120, :, 1] = np.nan
    answer = ask(replace(shop.panel, values=values), world)
    assert {
        one.value.code for one in answer.estimates if one.period == "2023Q1*" and isinstance(one.value, Refusal)
    } == {"not_in_period"}
    assert np.isfinite(quantiles(answer, "incremental_visits")).all()
    assert code(answer, "incremental_orders") == "not_in_period"
    assert np.isfinite(quantiles(answer, "incremental_orders", "2023Q3*")).all()


def test_a_channel_that_nothing_came_through_is_refused(shop: Shop, world: World) -> None:
    values = {name: array.copy() for name, array in shop.panel.values.items()}
    for array in values.values():
        array[:, :, 1] = 0.0
    answer = ask(replace(shop.panel, values=values), world)
    assert answer.refusal is not None
    assert answer.refusal.code == "channel_zero"


def test_cost_and_fees_are_the_spend(shop: Shop, world: World) -> None:
    cost = np.full(shop.panel.values["visits"].shape, 100.0)
    panel = replace(shop.panel, values={**shop.panel.values, "cost": cost})
    deal = Deal("D1", "host", "us", "ch1", start=date(2023, 1, 1), end=date(2023, 4, 30), fixed_fee=36_500.0)
    plain, dear = ask(panel, world), ask(panel, world, deals=(deal, replace(deal, channel="ch0")))
    spend, fee = 91 * 100.0, 30 * 100.0
    a, b = (quantiles(answer, "cost_per_incremental_visit") for answer in (plain, dear))
    if np.isfinite(a).all():
        assert b == pytest.approx(a * (spend + fee) / spend)
        visits = quantiles(plain, "incremental_visits")
        assert a[4] == pytest.approx(spend / visits[4], rel=1e-6)
    assert code(plain, "cost_per_incremental_visit") in ("", "no_incremental")


def test_the_sentence_follows_the_interval(shop: Shop, world: World) -> None:
    for channel in shop.panel.channels:
        answer = ask(shop.panel, world, channel)
        low = quantiles(answer, "incremental_visits")[1]
        for language in LANGUAGES:
            unclear = catalogue("answer", language)["worth_unclear"].split("{")
            said = answer.text[language]
            assert channel in said
            assert "{" not in said
            tail = unclear[-2].split("}")[1]
            assert (tail in said) == (low <= 0)


def test_same_bytes_and_a_partial_shop(shop: Shop, world: World) -> None:
    assert dumps(ask(shop.panel, world)) == dumps(ask(shop.panel, world))
    short = made_shop(3, 60, 3)
    day = short.panel.first + timedelta(days=60)
    fitted = fit_world(short.panel, (), 60, coming=90, seed=1)
    answer = ask(short.panel, fitted)
    assert short.panel.last < day
    assert [period.name for period in quarters(short.panel)] == ["2023Q1*", "2023Q2*"]
    assert answer.answered
    assert answer.grade is not None
