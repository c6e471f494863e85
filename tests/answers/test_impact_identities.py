"""Identities of `answer_impact` over generated shops: what must not matter does not, and the parts never disagree."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

from rechannel.answers.answer import Answer, Provenance, dumps, schema
from rechannel.answers.closure import Surrounds
from rechannel.answers.impact import ImpactQuestion, answer_impact, verdict_of
from rechannel.answers.measured_checks import p_value
from rechannel.answers.money import Money
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantiles, Quantity, Refusal

FIRST = date(2023, 3, 6)
HORIZONS = (7, 30)
MONEY = Money("CNY", margin=(0.1, 0.2), fee_per_year=1e5)
STAMP = Provenance("test", 11, "0" * 64, "2025-01-01T00:00:00Z")
MONTE_CARLO = 0.08
"""Two sets of 4,096 draws move a quantile by less than this share of the 95 % width."""
EXAMPLES = settings(max_examples=8, deadline=None, derandomize=True)


@dataclass(frozen=True, repr=False)
class Shop:
    """A generated shop and the question asked of it."""

    panel: Panel
    events: tuple[Event, ...]
    question: ImpactQuestion
    money: Money = MONEY

    def __repr__(self) -> str:
        return f"Shop({self.panel.dates.size} days, {len(self.panel.channels)} channels, {self.question.channel})"

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        printer.text(repr(self))

    def ask(self) -> Answer:
        return answer_impact(self.panel, Surrounds(self.events), self.question, self.money, STAMP)


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    """3-4 channels, 150-260 days, visits, orders and GMV, an outage and a promotion, a cut of 0-100 % on a day."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    channels = draw(st.integers(3, 4))
    n = draw(st.integers(150, 260))
    on = draw(st.integers(90, n - 30))
    cut = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    size = draw(st.sampled_from([30.0, 1000.0, 50000.0]))
    demand = np.zeros(n)
    for day in range(1, n):
        demand[day] = 0.6 * demand[day - 1] + 0.05 * rng.standard_normal()
    weekly = rng.normal(0, 0.15, 7)[np.arange(n) % 7]
    share = rng.dirichlet(np.full(channels, 2.0))
    rate = channels * size * share * np.exp(demand + weekly)[:, None] * np.exp(rng.normal(0, 0.05, (n, channels)))
    closed = int(rng.integers(0, channels))
    rate[on:, closed] *= 1 - cut
    visits = rng.poisson(rate).astype(float)
    orders = rng.binomial(visits.astype(int), 0.04).astype(float)
    gmv = orders * rng.lognormal(5, 0.2, (n, channels))
    names = tuple(f"ch{k}" for k in range(channels))
    values = {"visits": visits, "orders": orders, "gmv": gmv}
    panel = Panel(
        np.datetime64(FIRST, "D") + np.arange(n), ("all",), names, {k: v[:, None] for k, v in values.items()}, {}
    )
    past = FIRST + timedelta(days=40)
    events = (
        Event("outage", past, past + timedelta(days=2), names[0]),
        Event("promo", past + timedelta(days=20), past + timedelta(days=24), note="spring sale"),
    )
    return Shop(panel, events, ImpactQuestion(names[closed], FIRST + timedelta(days=on), HORIZONS))


def quantiles(answer: Answer, metric: str, horizon: int, channel: str | None = None) -> FloatArray:
    value = answer.find(metric, horizon=horizon, channel=channel).value
    return np.array(value.quantiles.values) if isinstance(value, Quantity) else np.full(len(LEVELS), np.nan)


def coordinates(row: Estimate) -> tuple[str, str | None, int | None]:
    return row.metric, row.channel, row.horizon_days


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.slow
@EXAMPLES
@given(shops())
def test_schema_bytes_and_agreement(shop: Shop) -> None:
    answer = shop.ask()
    assert dumps(answer) == dumps(shop.ask())
    validator().validate(json.loads(dumps(answer)))
    metrics = [coordinates(row) for row in answer.estimates]
    assert len(metrics) == len(set(metrics))
    for horizon in HORIZONS:
        removed, net = (quantiles(answer, name, horizon) for name in ("visits_removed", "net_loss_visits"))
        assert np.isfinite(removed).all()
        assert np.isfinite(net).all()
        assert isinstance(answer.find("to_rivals", horizon=horizon).value, Refusal)
    first = quantiles(answer, "net_loss_visits", HORIZONS[0])
    excludes = first[1] > 0 or first[7] < 0
    shock = next(check for check in answer.checks if check.key == "coincident_shock")
    p = float(shock.figures["p_value"])
    assert (p < 0.1) == excludes or abs(p - 0.1) < 1e-4
    for cloud in answer.placebos:
        assert cloud.days in HORIZONS
        assert list(cloud.starts) == sorted(cloud.starts)
        assert cloud.starts[-1] + timedelta(days=cloud.days) <= shop.question.on
        assert min(*cloud.missed, cloud.at_event) >= -1
    if answer.verdict == "effect":
        assert excludes
    if answer.verdict == "cannot_tell":
        assert not excludes


@pytest.mark.slow
@EXAMPLES
@given(shops(), st.sampled_from([100.0, 0.01]))
def test_currency_unit_changes_money_and_nothing_else(shop: Shop, factor: float) -> None:
    values = {**shop.panel.values, "gmv": shop.panel.values["gmv"] * factor}
    other_money = replace(MONEY, fee_per_year=1e5 * factor)
    before, after = shop.ask(), replace(shop, panel=replace(shop.panel, values=values), money=other_money).ask()
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
@EXAMPLES
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
            assert type(row.value) is type(again.value)
            continue
        if row.value.mean is None:
            continue  # ratios near a removed sum of zero have no finite spread to compare on
        a, b = np.array(row.value.quantiles.values), np.array(again.value.quantiles.values)
        assert b == pytest.approx(a, abs=MONTE_CARLO * max(a[-1] - a[0], 1e-9)), coordinates(row)


@pytest.mark.slow
@EXAMPLES
@given(shops())
def test_days_shifted_by_52_weeks_give_the_same_numbers(shop: Shop) -> None:
    by = timedelta(days=364)
    moved = Shop(
        replace(shop.panel, dates=shop.panel.dates + np.timedelta64(364, "D")),
        tuple(replace(event, start=event.start + by, end=event.end + by) for event in shop.events),
        replace(shop.question, on=shop.question.on + by),
    )
    before, after = shop.ask(), moved.ask()
    assert [row.to_json() for row in before.estimates] == [row.to_json() for row in after.estimates]
    assert before.verdict == after.verdict


@pytest.mark.slow
@EXAMPLES
@given(shops())
def test_a_market_without_visits_changes_nothing(shop: Shop) -> None:
    split = replace(
        shop.panel,
        markets=("north", "south"),
        values={k: np.concatenate([v, np.zeros_like(v)], axis=1) for k, v in shop.panel.values.items()},
    )
    whole = shop.ask()
    both = replace(shop, panel=split).ask()
    north = replace(shop, panel=split, question=replace(shop.question, market="north")).ask()
    assert [row.to_json() for row in whole.estimates] == [row.to_json() for row in both.estimates]
    for row, again in zip(whole.estimates, north.estimates, strict=True):
        assert again.market == "north"
        if isinstance(row.value, Quantity):
            assert isinstance(again.value, Quantity)
            assert again.value.quantiles == row.value.quantiles
    south = replace(shop, panel=split, question=replace(shop.question, market="south")).ask()
    assert south.refusal is not None
    assert south.refusal.code == "channel_zero"


def test_p_value_interval_and_verdict_never_disagree() -> None:
    """3,000 random sets of draws, some with ties and many with zero near the end of the interval."""
    rng = np.random.default_rng(5)
    seen = {"effect": 0, "practically_none": 0, "cannot_tell": 0}
    for case in range(3000):
        draws = rng.standard_t(4, int(rng.integers(50, 400)))
        draws -= np.quantile(draws, rng.choice([0.05, 0.95])) + rng.normal(0, 0.003 if case % 2 else 1.0)
        if case % 5 == 0:
            draws = np.round(draws, 1)
        net = Quantiles.of(draws)
        low, high = net.interval(0.9)
        excludes = low > 0 or high < 0
        assert (p_value(draws) < 0.1 - 1e-12) == excludes or abs(p_value(draws) - 0.1) < 1e-9
        verdict = verdict_of(net, 10.0, float(rng.uniform(0, 0.5)))
        seen[verdict] += 1
        assert verdict != "effect" or excludes
        assert verdict != "cannot_tell" or not excludes
    assert min(seen.values()) > 100
    assert p_value(np.zeros(50)) == 1.0
    assert p_value(np.linspace(1, 2, 50)) == 0.0
    assert p_value(-draws) == pytest.approx(p_value(draws))
