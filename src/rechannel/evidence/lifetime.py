"""What new customers order after their first order, by its channel: ages that were seen, a model for those beyond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rechannel.evidence.repeat import BgNbd, fit_bg_nbd, orders_of_new_customers
from rechannel.tables.histories import AGE_DAYS, Cohorts, OrderLog
from rechannel.tables.journeyrules import MOST_AGES
from rechannel.vocabulary.estimate import FloatArray, Refusal

WARM_UP, MOST_WARM_UP = 1 / 3, 180
"""Share of the log, and most days, in which a first order is not taken for a new customer's."""
ALL_NEW = 0.9
"""Share of new customers among the first orders of the whole log from which there is no warm-up: it began with the
shop."""
NewPerOrder = Callable[[int, int], float]
"""New customers per order in the shop's own count, on the days [since, until) counted from 1970."""
FEWEST_DAYS = 180
"""Days that must be left after the warm-up."""
FEWEST_REPEATS = 60.0
"""Least order days, counted as if customers ordered independently."""
CUTS = (1 / 2, 3 / 4)
"""Where the days after the warm-up are cut, to forecast the rest from the part before."""
USUAL_ERROR, USUAL_WEIGHT = 0.15, 4.0
"""Standard deviation of the log of what came over what was forecast where nothing is measured (measured on made shops
of two generators, `docs/benchmarks.md`), and for how many cuts it counts."""
LARGEST_ERROR = 0.4
"""Standard deviation of that log from which a forecast is refused."""
MODEL_SPREAD, CHANNEL_SPREAD, SHAPE_SPREAD = 0.1, 0.1, 0.05
"""Least relative spread of ages around the model, of channels around the shop, of a channel's ages around its level."""
OLD_ORDER_LESS = (0.7, 0.2)
"""Mean and standard deviation of how often a customer from before the log orders, relative to a new one: a long silence
selects the slow (measured as above)."""
VALUE_SPREAD = 0.2
"""Relative spread of channels' order values around the shop's; the noise of one order is taken to be its own value."""
_EDGES = np.append(AGE_DAYS * np.arange(MOST_AGES + 1), 10**7).astype(np.float64)


@dataclass(frozen=True, slots=True)
class ShopCurve:
    """Order days per customer day by age, all channels together.

    Attributes
    ----------
    rate
        Shape [age]: what was seen, shrunk to the model by how much was seen; the model where nothing was.
    model
        Shape [age]: of the fit alone.
    shape
        Shape [age]: of the gamma distribution of `rate`, whose mean `rate` is.
    dispersion
        Variance of a customer's order days over their mean, >= 1, in the days that were seen.
    unevenness
        Relative variance of what customers are expected to order: their dispersion is 1 + `unevenness` x mean.
    fit
        BG/NBD model in weeks.
    """

    rate: FloatArray
    model: FloatArray
    shape: FloatArray
    dispersion: float
    unevenness: float
    fit: BgNbd


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A forecast from the part of the log before a cut, held against the part after it.

    Attributes
    ----------
    days
        From the cut to the end of the log.
    forecast, came
        Order days in them, of the customers who entered before the cut.
    chance
        Variance of the log of their ratio by chance alone.
    """

    days: int
    forecast: float
    came: float
    chance: float

    @property
    def error(self) -> float:
        """Log of what came over what was forecast."""
        return float(np.log(max(self.came, 0.5) / self.forecast))


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What a customer orders after the first order, by the channel of that order.

    Attributes
    ----------
    cohorts
        Customers after the warm-up.
    curve
        Of all channels.
    channel_spread, shape_spread
        Relative variance of channels around the shop, and of a channel's ages around its level.
    held_out
        Forecasts from parts of the log.
    error
        Standard deviation of the log of what comes over what is forecast.
    has_value
        Whether the log states order values.
    """

    cohorts: Cohorts
    curve: ShopCurve
    channel_spread: float
    shape_spread: float
    held_out: tuple[HeldOut, ...]
    error: float
    has_value: bool

    def new_share(self, new_per_order: NewPerOrder) -> float:
        """Share of the first orders after the warm-up that are a new customer's."""
        cohorts = self.cohorts
        counted = new_per_order(cohorts.entered_from, cohorts.until) * cohorts.all_orders
        return float(np.clip(counted / max(cohorts.first_orders, 1), 0.05, 1.0))

    def rates(self, channel: str, new_share: float, draws: int, seed: int) -> FloatArray:
        """Orders a day of a new customer by age, shape [draw, age]; the last age is all that are older.

        A channel's level is drawn given its own order days and the spread of channels, its shape likewise: one with few
        customers follows the shop, one with many itself. All share the error that the held-out parts show.

        Parameters
        ----------
        channel
            Of the first order; one that the log does not know follows the shop.
        new_share
            Of `new_share`: the rest came before the log and order less (`OLD_ORDER_LESS`).
        """
        shop = self.shop_rates(draws, seed)
        rng, curve = np.random.default_rng([seed, 41]), self.curve
        seen, at_risk = np.zeros(MOST_AGES + 1), np.zeros(MOST_AGES + 1)
        if channel in self.cohorts.channels:
            place = self.cohorts.channels.index(channel)
            seen, at_risk = self.cohorts.order_days[place].astype(np.float64), self.cohorts.days_at_risk[place]
        expected = curve.rate * at_risk
        level = _posterior(seen.sum(), expected.sum(), self.channel_spread, curve.dispersion, draws, rng)
        around = float(level.mean()) * expected
        shape = _posterior(seen, around, self.shape_spread, curve.dispersion, shop.shape, rng)
        less = np.clip(OLD_ORDER_LESS[0] + OLD_ORDER_LESS[1] * rng.standard_normal(draws), 0.05, 1.2)
        mixed = new_share + (1 - new_share) * less
        return np.asarray(shop * shape * (level / mixed)[:, None])

    def shop_rates(self, draws: int, seed: int) -> FloatArray:
        """Orders a day by age of the log's customers, all channels together, shape [draw, age]."""
        rng, curve = np.random.default_rng([seed, 37]), self.curve
        shop = curve.rate * rng.gamma(curve.shape, 1 / curve.shape, (draws, MOST_AGES + 1))
        off = np.exp(self.error * rng.standard_normal(draws))
        orders = self.cohorts.orders.sum() / max(self.cohorts.order_days.sum(), 1)
        return np.asarray(shop * (off * orders)[:, None])

    def value_factor(self, channel: str, draws: int, seed: int) -> FloatArray:
        """Value of a repeat order over that of an average order, shape [draw]; 1 where the log states no values."""
        if not self.has_value or not self.cohorts.all_value > 0:
            return np.ones(draws)
        orders, value = self.cohorts.orders.sum(axis=1), self.cohorts.value.sum(axis=1)
        shop = value.sum() / max(orders.sum(), 1)
        factor = shop / (self.cohorts.all_value / self.cohorts.all_orders)
        count = 0
        if channel in self.cohorts.channels and shop > 0:
            place = self.cohorts.channels.index(channel)
            count = int(orders[place])
        kept = count / (count + 1 / VALUE_SPREAD**2)
        own = value[place] / count / shop if count else 1.0
        spread = VALUE_SPREAD * np.sqrt(1 - kept)
        normal = np.random.default_rng([seed, 43]).standard_normal(draws)
        return np.asarray(factor * (kept * own + 1 - kept) * np.exp(spread * normal - spread**2 / 2))


def lifetime_of(log: OrderLog, new_per_order: NewPerOrder | None = None) -> Lifetime | Refusal:
    """Fit what new customers order later; see `Lifetime`.

    Parameters
    ----------
    log
        Its orders.
    new_per_order
        The shop's own count, if it has one: it tells a log that began with the shop, whose first orders are all new.

    Returns
    -------
    The fit, or `short_touches`, `few_repeats`, `repeats_unforeseen`: then give a longer log.

    Notes
    -----
    Assumes that customers to come behave by age like those who came, up to the error seen when a part of the log
    forecasts the rest, and that the customers of the log are a fair sample of the shop's.
    """
    days = log.end - log.first
    start = log.first + (0 if _is_all_new(log, new_per_order) else min(int(WARM_UP * days), MOST_WARM_UP))
    left = log.end - start
    more = ("longer_touches",)
    if left < FEWEST_DAYS:
        wanted = str(int(np.ceil(FEWEST_DAYS / (1 - WARM_UP))))
        return Refusal("short_touches", {"days": str(days), "wanted": wanted}, more)
    cohorts = log.cohorts(start, log.end)
    curve = shop_curve(cohorts)
    held_out = [hold_out(log.cohorts(start, start + int(cut * left))) for cut in CUTS] if curve else []
    known = [one for one in held_out if one is not None]
    if curve is None or not known:
        return Refusal("few_repeats", {"count": str(int(cohorts.order_days.sum()))}, more)
    excess = sum(max(one.error**2 - one.chance, 0.0) for one in known) / len(known)
    error = float(np.sqrt((USUAL_WEIGHT * USUAL_ERROR**2 + excess) / (USUAL_WEIGHT + 1)))
    if error > LARGEST_ERROR:
        worst = max(known, key=lambda one: abs(one.error))
        parts = {"days": str(worst.days), "forecast": f"{worst.forecast:.0f}", "came": f"{worst.came:.0f}"}
        return Refusal("repeats_unforeseen", parts, more)
    seen, expected = cohorts.order_days.astype(np.float64), curve.rate * cohorts.days_at_risk
    level = seen.sum(axis=1, keepdims=True) / np.maximum(expected.sum(axis=1, keepdims=True), 1e-12)
    return Lifetime(
        cohorts=cohorts,
        curve=curve,
        channel_spread=_spread(seen.sum(axis=1), expected.sum(axis=1), curve.dispersion, CHANNEL_SPREAD),
        shape_spread=_spread(seen, level * expected, curve.dispersion, SHAPE_SPREAD),
        held_out=tuple(known),
        error=error,
        has_value=log.has_value,
    )


def _is_all_new(log: OrderLog, new_per_order: NewPerOrder | None) -> bool:
    """Whether the shop counts about as many new customers as the log has first orders."""
    if new_per_order is None:
        return False
    orders, first, _ = log.totals(log.first, log.end)
    return new_per_order(log.first, log.end) * orders >= ALL_NEW * max(first, 1)


def shop_curve(cohorts: Cohorts) -> ShopCurve | None:
    """The curve of all channels together; None with fewer than `FEWEST_REPEATS` independent order days."""
    seen, at_risk = cohorts.order_days.sum(axis=0).astype(np.float64), cohorts.days_at_risk.sum(axis=0)
    if seen.sum() < FEWEST_REPEATS:
        return None
    fit = _fit(cohorts)
    model = np.maximum(np.diff(orders_of_new_customers(fit, np.append(_EDGES[:-1], AGE_DAYS * (MOST_AGES + 1)) / 7)), 0)
    model = np.maximum(model / AGE_DAYS, 1e-9)
    dispersion = _dispersion(cohorts, model)
    if seen.sum() / dispersion < FEWEST_REPEATS:
        return None
    misfit = _spread(seen, model * at_risk, dispersion, MODEL_SPREAD)
    shape = 1 / misfit + seen / dispersion
    rate = shape / (1 / (misfit * model) + at_risk / dispersion)
    unevenness = (dispersion - 1) / (seen.sum() / float(cohorts.customers.sum()))
    return ShopCurve(rate, model, shape, dispersion, float(unevenness), fit)


def hold_out(cohorts: Cohorts) -> HeldOut | None:
    """What the log before `cohorts.until` forecasts for the days after it; None when it is too short of orders."""
    curve = shop_curve(cohorts)
    if curve is None:
        return None
    days = cohorts.end - cohorts.until
    ages, place = np.unique(cohorts.age, return_inverse=True)
    weight = np.bincount(place.reshape(-1), cohorts.customers)
    forecast = float(weight @ (days_in_ages(ages.astype(np.float64), days) @ curve.rate))
    later = 1 + curve.unevenness * forecast / float(cohorts.customers.sum())
    chance = later / forecast + curve.dispersion / float(cohorts.order_days.sum())
    return HeldOut(days, forecast, float(cohorts.later.sum()), chance)


def days_in_ages(age: FloatArray, days: FloatArray | float) -> FloatArray:
    """Of the `days` after customers are `age` days old, those that fall into each age, shape [row, age]."""

    def upto(reached: FloatArray) -> FloatArray:
        return np.asarray(np.clip(reached[:, None] - _EDGES[:-1], 0, np.diff(_EDGES)))

    return upto(age + days) - upto(age)


def _fit(cohorts: Cohorts) -> BgNbd:
    """The BG/NBD model of all channels, in weeks."""
    rows, place = np.unique(np.stack([cohorts.frequency, cohorts.recency, cohorts.age]), axis=1, return_inverse=True)
    x, t, age = rows.astype(np.float64)
    customers = np.bincount(place.reshape(-1), cohorts.customers).astype(np.float64)
    return fit_bg_nbd(x, t / 7, age / 7, customers)


def _dispersion(cohorts: Cohorts, rate: FloatArray) -> float:
    """Variance of a customer's order days around their expectation, over it."""
    ages, place = np.unique(cohorts.age, return_inverse=True)
    expected = days_in_ages(np.zeros(len(ages)), ages.astype(np.float64)) @ rate
    each = expected[place.reshape(-1)]
    squares = float((cohorts.customers * (cohorts.frequency - each) ** 2).sum())
    return max(1.0, squares / max(float((cohorts.customers * each).sum()), 1e-12))


def _spread(seen: FloatArray, expected: FloatArray, dispersion: float, least: float) -> float:
    """Variance of seen over expected beyond chance, by moments."""
    beyond = ((seen - expected) ** 2 - dispersion * expected).sum()
    return max(float(beyond) / max(float((expected**2).sum()), 1e-12), least**2)


def _posterior(
    seen: FloatArray | float,
    expected: FloatArray | float,
    spread: float,
    dispersion: float,
    size: int | tuple[int, ...],
    rng: np.random.Generator,
) -> FloatArray:
    """Draws of seen over expected, given that it varies around 1 by `spread` and counts scatter by `dispersion`."""
    shape = 1 / spread + np.asarray(seen) / dispersion
    rate = 1 / spread + np.asarray(expected) / dispersion
    return np.asarray(rng.gamma(shape, 1 / rate, size))
