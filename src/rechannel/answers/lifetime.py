"""What new customers bring after the period they came in: orders and margin of the next year, by channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rechannel.answers.answer import Check
from rechannel.answers.money import Money
from rechannel.answers.pictures import RepeatCurve
from rechannel.answers.rows import Coordinates, answered, missing_column, refused
from rechannel.evidence.baseline import sum_of
from rechannel.evidence.lifetime import Lifetime, days_in_ages, lifetime_of
from rechannel.scenario.do import BASKET_SPREAD, Outcome
from rechannel.source.store import CaseFolder
from rechannel.tables.engines.choose import has_touches, orders_of_case
from rechannel.tables.histories import AGE_DAYS
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade, worst
from rechannel.world.fitted import DRAWS

LATER_DAYS = 365
"""How far after the end of the period the later orders are counted: an assumption, stated with the figures."""
FEWEST_NEW = 0.5
"""Least share of the log's first orders that are new customers'; below it the grade is D."""
LARGEST_MISS = 0.3
"""Log error of a held-out forecast, beyond chance, from which its check fails."""
MARGIN_SEED = 31
"""Of the margin share inside the period and after it: one draw has one margin."""
SHOWN_AGES = 16
LEAST_SEEN, SEEN_SHARE = 20.0, 0.15
"""Customers in an age, as if each for all of it, from which the chart shows what they ordered: so many, and so large a
part of those in the first age."""
_NEEDED: tuple[Metric, ...] = ("new_customers", "orders")


@dataclass(frozen=True, slots=True)
class CustomerValue:
    """What the log says about later orders, beside the shop's own count.

    Attributes
    ----------
    lifetime
        The fit.
    new_share
        Share of the log's first orders that are a new customer's.
    seed
        Of the draws.
    """

    lifetime: Lifetime
    new_share: float
    seed: int

    def of(self, channel: str) -> LaterOrders:
        """The draws of one channel."""
        fitted, seed = self.lifetime, self.seed
        rates = fitted.rates(channel, self.new_share, DRAWS, seed)
        factor = fitted.value_factor(channel, DRAWS, seed)
        normal = np.random.default_rng([seed, 47]).standard_normal(DRAWS)
        return LaterOrders(channel, rates, factor, fitted.curve.unevenness, normal, *self.grade)

    @property
    def grade(self) -> tuple[Grade, tuple[str, ...]]:
        """Best grade of a number made of it: touches say how customers who came behave, not who comes only so."""
        failed = tuple(check.key for check in self.checks if not check.passed)
        return (Grade.D if failed else Grade.C), ("later_by_touches", *failed)

    @property
    def checks(self) -> tuple[Check, ...]:
        """How far off the forecast was, and how many first orders in the log are first ever."""
        made = []
        for one in self.lifetime.held_out:
            figures: dict[str, float | str] = {
                "days": str(one.days),
                "forecast": round(one.forecast, 1),
                "came": round(one.came, 1),
            }
            passed = abs(one.error) <= LARGEST_MISS + 1.6449 * np.sqrt(one.chance)
            made.append(Check("later_orders", bool(passed), figures))
        share: dict[str, float | str] = {"share": round(self.new_share, 3)}
        return (*made, Check("new_in_touches", self.new_share >= FEWEST_NEW, share))


@dataclass(frozen=True, slots=True)
class LaterOrders:
    """What customers whose first order came through a channel order later.

    Attributes
    ----------
    channel
        Of the first order.
    rates
        Orders a day by age, shape [draw, age].
    value_factor
        Value of such an order over that of an average order, shape [draw].
    unevenness
        Relative variance of what customers are expected to order.
    normal
        Of the noise of a number of customers, shape [draw].
    grade, reasons
        Best grade, and why it is not higher.
    """

    channel: str
    rates: FloatArray
    value_factor: FloatArray
    unevenness: float
    normal: FloatArray
    grade: Grade
    reasons: tuple[str, ...]


def customer_value(case: CaseFolder, panel: Panel, seed: int) -> CustomerValue | Refusal:
    """Count the later orders of a case's touches and fit them, once for all channels.

    Returns
    -------
    The fit, with the shop's new customers per order over the days of the log that the panel has (else over all); or
    `no_journeys`, `not_folded`, `no_column` (the shop does not count new customers and orders), and the
    refusals of `evidence.lifetime.lifetime_of`.

    Raises
    ------
    MissingPart
        RC361: the client of the engine that `case.toml` names is not installed.
    """
    if not has_touches(case):
        return Refusal("no_journeys", {}, ("export_touches",))
    for column in _NEEDED:
        if column not in panel.values:
            return missing_column(column)
    dates = panel.dates.astype("datetime64[D]").astype(np.int64)
    counts = np.stack([sum_of(panel, name, None) for name in _NEEDED])
    counts[:, ~np.isfinite(counts).all(axis=0)] = 0.0

    def new_per_order(since: int, until: int) -> float:
        inside = (dates >= since) & (dates < until)
        inside = inside if counts[1, inside].any() else np.ones(len(dates), bool)
        new, orders = counts[:, inside].sum(axis=(1, 2))
        return float(new / orders) if orders > 0 else 1.0

    try:
        with orders_of_case(case) as log:
            fitted = lifetime_of(log, new_per_order)
    except CallError as error:
        return Refusal("not_folded", {"code": error.code}, ())
    return fitted if isinstance(fitted, Refusal) else CustomerValue(fitted, fitted.new_share(new_per_order), seed)


@dataclass(frozen=True, slots=True)
class Window:
    """The period whose own orders and margin are already counted.

    Attributes
    ----------
    at
        Where its rows stand.
    days_left
        Days from each day of it to its end, shape [day].
    new_customers
        Of the channel on each day, shape [day].
    value_per_order
        Of the whole shop in it, case currency; None when the shop does not count value.
    """

    at: Coordinates
    days_left: FloatArray
    new_customers: FloatArray
    value_per_order: float | None


def window_of(panel: Panel, channel: str, rows: Sequence[int], at: Coordinates) -> Window:
    """The window of the period at `at`: `rows` of the panel, all markets."""
    step = panel.step
    days = panel.dates.astype("datetime64[D]").astype(np.int64)[np.asarray(rows)]
    left = (days[-1] + step - 1) - (days + (step - 1) / 2)
    found = {name: sum_of(panel, name, None)[np.asarray(rows)] for name in (*_NEEDED, "gmv") if name in panel.values}
    new = np.zeros(len(days))
    if "new_customers" in found:
        new = np.nan_to_num(found["new_customers"][:, panel.channel_index(channel)])
    value = None
    if "gmv" in found and "orders" in found and np.nansum(found["orders"]) > 0:
        value = float(np.nansum(found["gmv"]) / np.nansum(found["orders"]))
    at = replace(at, horizon_days=LATER_DAYS)
    return Window(at, np.asarray(left, np.float64), np.asarray(np.maximum(new, 0), np.float64), value)


def later_orders(rates: FloatArray, window: Window, days: int = LATER_DAYS) -> FloatArray:
    """Orders of the window's average new customer in the `days` after its end, shape [draw].

    What the same customers order before its end is the window's own and is not in it.
    """
    weights = window.new_customers @ days_in_ages(window.days_left, days) / window.new_customers.sum()
    return np.asarray(rates @ weights)


def later_names(currency: str) -> list[tuple[str, str]]:
    """Metric and unit of the rows, in their order."""
    return [
        ("later_orders_per_customer", "orders"),
        ("ltv_per_customer", currency),
        ("incremental_ltv", currency),
        ("incremental_value", currency),
    ]


def later_rows(
    later: LaterOrders | Refusal,
    window: Window,
    outcome: Outcome,
    money: Money,
    grades: Mapping[Metric, tuple[float, Grade, tuple[str, ...]]],
    margin: FloatArray | Refusal,
) -> list[Estimate]:
    """What the period's new customers bring in the 365 days after it, each and all that would not have come.

    Question answered: beyond the margin of the period, what do the customers bring that the channel won for good?

    Parameters
    ----------
    later
        Of the channel, or why they are not known.
    window
        Of the period.
    outcome
        Both paths over it; `never_acquired` are the customers lost for good: who only comes later brings the same
        orders later.
    money
        Margin share.
    grades
        Metric -> contraction, grade and reasons of its net loss.
    margin
        Margin lost inside the window, shape [draw], in draws that belong to those of `outcome`; or why it is not known.

    Returns
    -------
    `later_orders_per_customer`, `ltv_per_customer`, `incremental_ltv`, and `incremental_value` = margin inside the
    window + `incremental_ltv`. The next period's `incremental_*` rows hold orders of these customers too: a sum over
    periods counts them twice.

    Notes
    -----
    Assumes that customers who come only through the channel behave like all whose first order came through it.
    Refusals: those of `later`, `no_column`, `no_margin`, `no_new_customers`.
    """
    names, at = later_names(money.currency), window.at
    if isinstance(later, LaterOrders):
        if outcome.never_acquired is None:
            later = missing_column("new_customers")
        elif not window.new_customers.sum() > 0:
            later = Refusal("no_new_customers", {"channel": later.channel}, ())
    if isinstance(later, Refusal):
        return [refused(name, unit, later, at) for name, unit in names]
    grade, reasons = later.grade, later.reasons
    orders = later_orders(later.rates, window)
    rows = [answered(*names[0], orders, grade, at, reasons=reasons)]
    if window.value_per_order is None or money.margin is None:
        no_value = window.value_per_order is None
        why = missing_column("gmv") if no_value else Refusal("no_margin", {}, ("give_margin",))
        return rows + [refused(name, unit, why, at) for name, unit in names[1:]]
    per_customer = orders * later.value_factor * window.value_per_order * money.margin_draws(DRAWS, MARGIN_SEED)
    rows.append(answered(*names[1], per_customer, grade, at, reasons=reasons))
    lost = outcome.never_acquired
    assert lost is not None
    narrowed, of_loss, why_loss = grades["new_customers"]
    chance = (BASKET_SPREAD + later.unevenness * orders) / np.maximum(np.abs(lost) * orders, 1.0)
    ltv = lost * per_customer * (1 + np.sqrt(chance) * later.normal)
    both = worst(grade, of_loss)
    why_both = (*why_loss, *reasons)
    rows.append(answered(*names[2], ltv, both, at, narrowed=narrowed, reasons=why_both))
    if isinstance(margin, Refusal):
        return [*rows, refused(*names[3], margin, at)]
    _, of_margin, why_margin = grades["gmv"]
    rows.append(answered(*names[3], margin + ltv, worst(both, of_margin), at, reasons=(*why_margin, *why_both)))
    return rows


def curves_of(value: CustomerValue, channel: str) -> tuple[RepeatCurve, ...]:
    """The channel's customers, then all customers: orders by age as seen, and as expected beyond."""
    cohorts, curve = value.lifetime.cohorts, value.lifetime.curve
    per_day = cohorts.orders.sum() / max(int(cohorts.order_days.sum()), 1)
    rng, year = np.random.default_rng([value.seed, 53]), days_in_ages(np.zeros(1), 365)[0]
    made = []
    for name in (channel, None):
        if name is not None and name not in cohorts.channels:
            continue
        places = slice(None) if name is None else [cohorts.channels.index(name)]
        at_risk = cohorts.days_at_risk[places].sum(axis=0)[:SHOWN_AGES]
        days = cohorts.order_days[places].sum(axis=0)[:SHOWN_AGES]
        customers = at_risk / AGE_DAYS
        shape = days / curve.dispersion + 0.5
        drawn = rng.gamma(shape, curve.dispersion / np.maximum(at_risk, 1), (DRAWS, len(days)))
        levels = np.quantile(drawn, LEVELS, axis=0).T * AGE_DAYS * per_day
        levels[customers < max(LEAST_SEEN, SEEN_SHARE * customers[0])] = np.nan
        fitted, seed = value.lifetime, value.seed
        rates = fitted.shop_rates(DRAWS, seed) if name is None else fitted.rates(name, 1.0, DRAWS, seed)
        expected = AGE_DAYS * np.median(rates[:, :SHOWN_AGES], axis=0)
        made.append(RepeatCurve(name, AGE_DAYS, customers, levels, expected, Quantiles.of(rates @ year)))
    return tuple(made)


def later_check(value: CustomerValue | Refusal, rows: Sequence[Estimate]) -> tuple[Check, ...]:
    """The checks behind the later orders when one of the rows rests on them."""
    if isinstance(value, Refusal):
        return ()
    told = any(row.metric == "later_orders_per_customer" and isinstance(row.value, Quantity) for row in rows)
    return value.checks if told else ()
