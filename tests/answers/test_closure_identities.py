"""Identities of `answer_closure` over generated shops: what must not matter does not, and the parts never disagree."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from functools import cache

import jsonschema
import numpy as np
import pytest
from closure_shops import HORIZONS, STAMP, Shop, coordinates, made_shop, quantiles, shops
from hypothesis import given, settings
from hypothesis import strategies as st

from rechannel.answers.answer import Answer, dumps, schema
from rechannel.answers.closure import Surrounds, answer_closure
from rechannel.tables.calendar import Event
from rechannel.tables.rivals import RivalFigure
from rechannel.vocabulary.estimate import Quantity, Refusal
from rechannel.vocabulary.wording import LANGUAGES, catalogue

MONTE_CARLO = 0.1
"""Two sets of 4,096 draws move a quantile by less than this share of the 95 % width; resampled ones a little more."""
MARKETS_APART = 0.25
"""Sum of the markets' medians against the whole, of its 95 % width: each part has its own ledger and forecast."""
EXAMPLES = settings(max_examples=3, deadline=None, derandomize=True)
MORE = settings(EXAMPLES, max_examples=8)
CONTRACT = (
    "visits_removed",
    "net_loss_visits",
    "net_loss_orders",
    "net_loss_gmv",
    "net_loss_new_customers",
    "net_loss_active_customers",
    "net_loss_margin",
    "never_acquired",
    "fee_saved",
    "net_profit_effect",
    "conversion_rate_open",
    "conversion_rate_closed",
    "offset_conversion_uplift",
    "retained_own",
    "to_rivals",
    "lost_outside",
)


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def matches(template: str, sentence: str) -> bool:
    """Whether a sentence could have been made from a template."""
    parts = [re.escape(part) for part in re.split(r"\{\w+\}", template)]
    return re.match(".+?".join(parts), sentence) is not None


def check_sentences(answer: Answer) -> None:
    """The first sentence says loss, gain or neither exactly as the 90 % interval of the first horizon does."""
    net, retained = quantiles(answer, "net_loss_visits"), answer.find("retained_own", horizon=HORIZONS[0]).value
    said = "closure_loss" if net[1] > 0 else "closure_gain" if net[-2] < 0 else "closure_cannot_tell"
    said = "closure_none" if not net.any() else said
    rest = "closure_retained" if isinstance(retained, Quantity) else "closure_nothing"
    for language in LANGUAGES:
        templates, sentence = catalogue("answer", language), answer.text[language]
        found = [
            key
            for key in ("closure_none", "closure_loss", "closure_gain", "closure_cannot_tell")
            if matches(templates[key], sentence)
        ]
        assert found == [said], (language, sentence)
        last = templates[rest].split("{")[0]
        assert last in sentence
        assert "{" not in sentence
        assert answer.asked["channel"] in sentence
        assert f"{answer.grade}" in sentence
    verdicts = {"closure_none": "practically_none", "closure_cannot_tell": "cannot_tell"}
    assert answer.verdict == verdicts.get(said, "effect")


@pytest.mark.slow
@EXAMPLES
@given(shops())
def test_contract_schema_bytes_and_sentences(shop: Shop) -> None:
    answer = shop.ask()
    assert dumps(answer) == dumps(shop.ask())
    validator().validate(json.loads(dumps(answer)))
    rows = [coordinates(row) for row in answer.estimates]
    assert len(rows) == len(set(rows))
    assert len({row.estimate_id for row in answer.estimates}) == len(rows)
    others = [name for name in shop.panel.channels if name != shop.question.channel]
    for horizon in HORIZONS:
        for metric in CONTRACT:
            answer.find(metric, horizon=horizon)
        for name in others:
            answer.find("diversion", horizon=horizon, channel=name)
        for metric in ("visits_removed", *(f"net_loss_{name}" for name in ("visits", "orders", "gmv"))):
            assert np.isfinite(quantiles(answer, metric, horizon)).all(), metric
        for metric in ("to_rivals", "lost_outside"):
            value = answer.find(metric, horizon=horizon).value
            assert isinstance(value, Refusal)
            assert value.code == "no_rivals"
    check_sentences(answer)
    # the last day's path ends where the window sums do
    total = next(path for path in answer.paths if path.channel is None)
    net = quantiles(answer, "net_loss_visits", HORIZONS[-1])
    width = net[-1] - net[0]
    assert total.cumulative[-1] == pytest.approx(net, abs=0.1 * width)


def test_rows_of_shares_add_up_with_rivals() -> None:
    shop = made_shop(3)
    day = shop.panel.first
    rivals = tuple(
        RivalFigure(day, "all", firm, "visits", value) for firm, value in (("self", 10.0), ("r1", 20.0), ("r2", 5.0))
    )
    answer = answer_closure(shop.panel, Surrounds(shop.events, (), rivals), shop.question, shop.money, STAMP)
    validator().validate(json.loads(dumps(answer)))
    for horizon in HORIZONS:
        medians = [float(quantiles(answer, name, horizon)[4]) for name in ("retained_own", "to_rivals", "lost_outside")]
        # medians of parts that add to one in every draw; their skewness is what is left
        assert sum(medians) == pytest.approx(1.0, abs=0.1)
        own = [quantiles(answer, "diversion", horizon, name)[4] for name in ("ch0", "ch2", "ch3")]
        firms = [quantiles(answer, "diversion", horizon, name)[4] for name in ("r1", "r2")]
        assert sum(own) == pytest.approx(medians[0], abs=0.1)
        assert sum(firms) == pytest.approx(medians[1], abs=0.1)
        assert firms[0] > firms[1]


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_rivals_are_those_of_the_market_that_is_asked_about(named: bool) -> None:
    """`first` is large in the north, `second` in the south and altogether; rows of later days are not used."""
    shop = made_shop(3, 130, 3, markets=("north", "south"))
    day, values = shop.panel.first, {"north": (9.0, 1.0), "south": (1.0, 20.0)}
    if named:
        values["all"] = (10.0, 21.0)
    rivals = [
        RivalFigure(when, market, firm, "visits", value if when < shop.question.on else 1000 - value)
        for when in (day, shop.question.on)
        for market, pair in values.items()
        for firm, value in zip(("first", "second"), pair, strict=True)
    ]
    for market, largest in ((None, "second"), ("north", "first")):
        asked = replace(shop.question, market=market, horizons=(30,))
        answer = answer_closure(shop.panel, Surrounds(shop.events, (), rivals), asked, shop.money, STAMP)
        first, second = (float(quantiles(answer, "diversion", 30, firm)[4]) for firm in ("first", "second"))
        assert (first > second) == (largest == "first"), market


@pytest.mark.slow
@EXAMPLES
@given(shops())
def test_a_severity_of_zero_is_nothing(shop: Shop) -> None:
    answer = shop.asking(severity=0.0).ask()
    validator().validate(json.loads(dumps(answer)))
    for horizon in HORIZONS:
        for metric in ("visits_removed", "never_acquired", *CONTRACT[1:5]):
            assert (quantiles(answer, metric, horizon) == 0).all(), metric
        for row in answer.estimates:
            if row.unit == "share" and row.metric in ("retained_own", "to_rivals", "lost_outside", "diversion"):
                assert isinstance(row.value, Refusal)
                assert row.value.code == "nothing_removed"
        before, after = (quantiles(answer, f"conversion_rate_{path}", horizon) for path in ("open", "closed"))
        assert after == pytest.approx(before)
    check_sentences(answer)


@pytest.mark.slow
@MORE
@given(shops())
def test_more_severity_removes_and_loses_more(shop: Shop) -> None:
    answers = [shop.asking(severity=severity, horizons=(30,)).ask() for severity in (0.2, 0.6, 1.0)]
    for metric in ("visits_removed", "net_loss_visits", "net_loss_orders", "credited_visits"):
        medians = [float(quantiles(answer, metric)[4]) for answer in answers]
        if medians[-1] > 0:
            assert medians == sorted(medians), metric
            assert medians[0] < medians[-1]


@pytest.mark.slow
@EXAMPLES
@given(shops(), st.sampled_from([2.0, 0.01]))
def test_currency_unit_changes_money_and_nothing_else(shop: Shop, factor: float) -> None:
    values = {**shop.panel.values, "gmv": shop.panel.values["gmv"] * factor}
    other_money = replace(shop.money, fee_per_year=1e5 * factor)
    before, after = shop.ask(), replace(shop, panel=replace(shop.panel, values=values), money=other_money).ask()
    assert before.text == after.text
    assert before.verdict == after.verdict
    for row, again in zip(before.estimates, after.estimates, strict=True):
        assert coordinates(row) == coordinates(again)
        if not isinstance(row.value, Quantity):
            assert row.value == again.value
            continue
        assert isinstance(again.value, Quantity)
        times = factor if row.unit == "CNY" else 1.0
        a, b = np.array(row.value.quantiles.values) * times, np.array(again.value.quantiles.values)
        assert b == pytest.approx(a, rel=1e-6, abs=1e-4 * max(a[-1] - a[0], 1e-9)), coordinates(row)
        assert row.value.grade == again.value.grade


@pytest.mark.slow
@MORE
@given(shops())
def test_channel_order_only_permutes_the_answer(shop: Shop) -> None:
    order = list(range(len(shop.panel.channels)))
    order = order[1:] + order[:1]
    panel = replace(
        shop.panel,
        channels=tuple(shop.panel.channels[k] for k in order),
        values={name: values[:, :, order] for name, values in shop.panel.values.items()},
    )
    before, after = shop.ask(), replace(shop, panel=panel).ask()
    assert {coordinates(row) for row in before.estimates} == {coordinates(row) for row in after.estimates}
    for row in before.estimates:
        again = after.find(row.metric, horizon=row.horizon_days, channel=row.channel)
        if not isinstance(row.value, Quantity) or not isinstance(again.value, Quantity):
            codes = {value.code for value in (row.value, again.value) if isinstance(value, Refusal)}
            # the most extreme draw decides whether anything is left: another set of draws may see it otherwise
            assert row.value == again.value or codes <= {"no_remaining_margin", "nothing_left"}
            continue
        a, b = np.array(row.value.quantiles.values)[1:-1], np.array(again.value.quantiles.values)[1:-1]
        assert b == pytest.approx(a, abs=MONTE_CARLO * max(a[-1] - a[0], 1e-9)), coordinates(row)


@pytest.mark.slow
@MORE
@given(shops(markets=("north", "south")))
def test_markets_add_up(shop: Shop) -> None:
    whole = shop.asking(horizons=(30,)).ask()
    parts = [shop.asking(horizons=(30,), market=name).ask() for name in shop.panel.markets]
    for answer, name in zip(parts, shop.panel.markets, strict=True):
        assert {row.market for row in answer.estimates} == {name}
        assert answer.asked["market"] == name
    for metric in ("visits_removed", "net_loss_visits", "net_loss_orders", "credited_visits"):
        together = quantiles(whole, metric)
        apart = sum(float(quantiles(answer, metric)[4]) for answer in parts)
        assert apart == pytest.approx(together[4], abs=MARKETS_APART * (together[-1] - together[0])), metric


@pytest.mark.slow
def test_a_market_without_visits_changes_nothing() -> None:
    shop = made_shop(8)
    split = replace(
        shop.panel,
        markets=("north", "south"),
        values={k: np.concatenate([v, np.zeros_like(v)], axis=1) for k, v in shop.panel.values.items()},
    )
    both = replace(shop, panel=split)
    whole = [row.to_json() for row in shop.ask().estimates]
    assert whole == [row.to_json() for row in both.ask().estimates]
    assert whole == [
        {**row.to_json(), "market": None, "id": row.estimate_id.replace(".north", "")}
        for row in both.asking(market="north").ask().estimates
    ]
    south = both.asking(market="south").ask()
    assert south.refusal is not None
    assert south.refusal.code == "channel_zero"


def test_a_channel_nobody_uses() -> None:
    """All zero: refused; a visit every ten days: nothing to speak of is lost."""
    rng, shop = np.random.default_rng(2), made_shop(4)
    for rare in (False, True):
        values = {name: array.copy() for name, array in shop.panel.values.items()}
        for name in values:
            values[name][:, :, 2] = rng.binomial(1, 0.1, values[name].shape[:2]) if rare and name == "visits" else 0.0
        answer = replace(shop, panel=replace(shop.panel, values=values)).asking(channel="ch2").ask()
        validator().validate(json.loads(dumps(answer)))
        if not rare:
            assert answer.refusal is not None
            assert answer.refusal.code == "channel_zero"
            assert all(isinstance(row.value, Refusal) for row in answer.estimates)
            assert {row.metric for row in answer.estimates} >= set(CONTRACT)
            continue
        total = values["visits"].sum() / values["visits"].shape[0]
        removed, net = quantiles(answer, "visits_removed"), quantiles(answer, "net_loss_visits")
        assert removed[0] >= 0
        assert removed[-1] < 15
        assert max(abs(net[0]), abs(net[-1])) < 0.001 * 30 * total
        value = answer.find("net_loss_orders", horizon=30).value
        assert isinstance(value, Refusal)
        assert value.code == "no_yield"
        check_sentences(answer)


def test_nothing_from_the_announcement_on_is_used() -> None:
    shop = made_shop(6, 220, on=190)
    asked = shop.asking(announced=shop.panel.dates[170].item())
    values = {name: array.copy() for name, array in shop.panel.values.items()}
    for array in values.values():
        array[170:] = np.nan
    cut = replace(asked, panel=replace(shop.panel, values=values))
    assert [row.to_json() for row in asked.ask().estimates] == [row.to_json() for row in cut.ask().estimates]


@pytest.mark.slow
def test_the_row_of_the_closure_asked_about_is_not_a_known_shock() -> None:
    shop = made_shop(6, 220, on=190).asking(announced=None)
    question = shop.question
    closure = Event("closure", question.on, question.on + timedelta(days=200), question.channel)
    logged = replace(shop, events=(*shop.events, closure))
    assert [row.to_json() for row in logged.ask().estimates] == [row.to_json() for row in shop.ask().estimates]


@pytest.mark.parametrize("name", ["入口 <b>", "x" * 300, "{channel}"])
def test_hostile_names_stay_names(name: str) -> None:
    shop = made_shop(5, 120, 3)
    panel = replace(shop.panel, channels=("ch0", name, "ch2"))
    events = tuple(replace(event, channel=name) if event.channel else event for event in shop.events)
    answer = replace(shop, panel=panel, events=events).asking(channel=name, horizons=(30,)).ask()
    validator().validate(json.loads(dumps(answer)))
    assert all(name in answer.text[language] for language in LANGUAGES)


def test_a_shop_of_one_channel_loses_what_the_channel_loses() -> None:
    shop = made_shop(9, 150, 3)
    panel = replace(
        shop.panel, channels=("ch1",), values={name: array[:, :, 1:2] for name, array in shop.panel.values.items()}
    )
    answer = replace(shop, panel=panel).ask()
    validator().validate(json.loads(dumps(answer)))
    for horizon in HORIZONS:
        assert quantiles(answer, "net_loss_visits", horizon) == pytest.approx(
            quantiles(answer, "visits_removed", horizon)
        )
        assert (quantiles(answer, "retained_own", horizon) == 0).all()
        value = answer.find("conversion_rate_closed", horizon=horizon).value
        assert isinstance(value, Refusal)
        assert value.code == "nothing_left"
