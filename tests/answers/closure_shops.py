"""Generated shops for the forecasts: closure, worth, exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

from rechannel.answers.answer import Answer, Provenance
from rechannel.answers.closure import ClosureQuestion, Surrounds, answer_closure
from rechannel.answers.money import Money
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantity

FIRST = date(2023, 3, 6)
HORIZONS = (30, 90)
MONEY = Money("CNY", margin=(0.1, 0.2), fee_per_year=1e5)
STAMP = Provenance("test", 11, "0" * 64, "2025-01-01T00:00:00Z")


@dataclass(frozen=True, repr=False)
class Shop:
    """A generated shop and the closure asked about."""

    panel: Panel
    events: tuple[Event, ...]
    question: ClosureQuestion
    money: Money = MONEY

    def __repr__(self) -> str:
        panel, question = self.panel, self.question
        return f"Shop({panel.dates.size} days, {len(panel.channels)} channels, {question}, {self.events})"

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        printer.text(repr(self))

    def ask(self) -> Answer:
        return answer_closure(self.panel, Surrounds(self.events), self.question, self.money, STAMP)

    def asking(self, **changes: object) -> Shop:
        """The same shop asked something else."""
        return replace(self, question=replace(self.question, **changes))  # type: ignore[arg-type]


def made_shop(
    seed: int,
    days: int = 200,
    channels: int = 4,
    *,
    size: float = 1000.0,
    outage: bool = True,
    on: int | None = None,
    markets: tuple[str, ...] = ("all",),
) -> Shop:
    """Poisson visits around a common demand; half of what an outage of the second channel removes goes to the first."""
    rng = np.random.default_rng(seed)
    count = len(markets)
    demand = np.zeros(days)
    for day in range(1, days):
        demand[day] = 0.6 * demand[day - 1] + 0.03 * rng.standard_normal()
    weekly = rng.normal(0, 0.15, 7)[np.arange(days) % 7]
    share = rng.dirichlet(np.full(channels, 3.0))
    part = rng.dirichlet(np.full(count, 5.0))[:, None]
    rate = channels * size * share * part * np.exp(demand + weekly)[:, None, None]
    rate = rate * np.exp(rng.normal(0, 0.03, (days, count, channels)))
    past = FIRST + timedelta(days=60)
    events = [Event("promo", past + timedelta(days=20), past + timedelta(days=24), note="spring sale")]
    if outage:
        rate[60:64, :, 0] += 0.5 * rate[60:64, :, 1]
        rate[60:64, :, 1] = 0.0
        events.append(Event("outage", past, past + timedelta(days=3), "ch1"))
    visits = rng.poisson(rate).astype(float)
    orders = rng.binomial(visits.astype(int), 0.04).astype(float)
    values: dict[Metric, FloatArray] = {
        "visits": visits,
        "orders": orders,
        "gmv": orders * rng.lognormal(5, 0.2, visits.shape),
        "new_customers": rng.binomial(orders.astype(int), 0.3).astype(float),
    }
    names = tuple(f"ch{k}" for k in range(channels))
    panel = Panel(np.datetime64(FIRST, "D") + np.arange(days), markets, names, values, {})
    day = FIRST + timedelta(days=days if on is None else on)
    return Shop(panel, tuple(events), ClosureQuestion(names[1], day, HORIZONS))


@st.composite
def shops(draw: st.DrawFn, markets: tuple[str, ...] = ("all",)) -> Shop:
    """3-4 channels, 120-260 days; D in the data, on the day after them or later; with and without evidence."""
    days = draw(st.integers(120, 260))
    shop = made_shop(
        draw(st.integers(0, 10**6)),
        days,
        draw(st.integers(3, 4)),
        size=draw(st.sampled_from([30.0, 1000.0, 50_000.0])),
        outage=draw(st.booleans()),
        on=days + draw(st.sampled_from([-30, 0, 0, 20])),
        markets=markets,
    )
    channel = draw(st.sampled_from(shop.panel.channels))
    severity = draw(st.sampled_from([1.0, 1.0, 0.4]))
    told = draw(st.sampled_from([None, None, shop.question.on - timedelta(days=14)]))
    return shop.asking(channel=channel, severity=severity, announced=told)


def quantiles(answer: Answer, metric: str, horizon: int = 30, channel: str | None = None) -> FloatArray:
    """Shape [level]; nan when refused."""
    value = answer.find(metric, horizon=horizon, channel=channel).value
    return np.array(value.quantiles.values) if isinstance(value, Quantity) else np.full(len(LEVELS), np.nan)


def coordinates(row: Estimate) -> tuple[str, str | None, int | None, str | None, str | None]:
    return row.metric, row.channel, row.horizon_days, row.period, row.method
