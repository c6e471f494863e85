"""From expected amounts to counts: both runs share every visit that the closure does not touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rechannel.lab.chance import stream
from rechannel.lab.customers import Flows
from rechannel.lab.specs import WorldSpec
from rechannel.lab.weather import Weather
from rechannel.vocabulary.estimate import FloatArray

CountArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Whole-number days of one run, shape [date, market, channel]; money in the market's currency."""

    visits: CountArray
    new_customers: CountArray
    orders: CountArray
    gmv: FloatArray
    refunds: FloatArray
    cost: FloatArray
    volume: CountArray


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts of the open and the closed run, and visits that each rival gains by the closure, [date, rival]."""

    open: Counts
    closed: Counts
    rival_gain: CountArray


def coupled(
    rng: np.random.Generator, later: np.random.Generator, fork: int, open_mean: FloatArray, closed_mean: FloatArray
) -> tuple[CountArray, CountArray]:
    """Poisson counts of two runs that differ only where their means differ.

    The common part min(open, closed) is drawn once. What the closure takes away is drawn for the open run only; what it
    adds elsewhere is, as far as it goes, a random part of exactly those visits, and the rest is drawn anew.

    Parameters
    ----------
    rng, later
        Streams for days before and from `fork` on.
    fork
        First day that may differ by chance from another future.
    open_mean, closed_mean
        Expected counts, shape [date, ..., channel].

    Returns
    -------
    open, closed
        Counts of the same shape; each alone is Poisson with its own mean, or less noisy by the tie between entries.
    """
    parts = []
    for chance, days in ((rng, slice(0, fork)), (later, slice(fork, None))):
        opened, closed = open_mean[days], closed_mean[days]
        common = chance.poisson(np.minimum(opened, closed))
        less, more = np.maximum(opened - closed, 0), np.maximum(closed - opened, 0)
        taken = chance.poisson(less)
        total_less, total_more = less.sum(axis=-1), more.sum(axis=-1)
        most = np.maximum(total_less, total_more)
        share = np.divide(more, most[..., None], out=np.zeros_like(more), where=most[..., None] > 0)
        rest = np.maximum(1 - share.sum(axis=-1, keepdims=True), 0.0)
        split = np.concatenate([share, rest], axis=-1)
        split /= split.sum(axis=-1, keepdims=True)
        moved = chance.multinomial(taken.sum(axis=-1), split)[..., :-1]
        fresh_mean = np.maximum(total_more - total_less, 0)[..., None] * np.divide(
            more, total_more[..., None], out=np.zeros_like(more), where=total_more[..., None] > 0
        )
        parts.append((common + taken, common + moved + chance.poisson(fresh_mean)))
    return np.concatenate([parts[0][0], parts[1][0]]), np.concatenate([parts[0][1], parts[1][1]])


def count(spec: WorldSpec, weather: Weather, opened: Flows, closed: Flows) -> Pair:
    """Counts of both runs as the shop's books show them.

    Parameters
    ----------
    spec, weather
        The market and its days.
    opened, closed
        Expected amounts of the two runs.

    Returns
    -------
    Pair
        First orders, other orders and visits without an order are counted apart, so new customers never exceed orders
        and orders never exceed visits.
    """
    white = weather.white[:, None, :]
    counted = weather.counted[:, None, :]

    def draw(purpose: str, one: FloatArray, other: FloatArray) -> tuple[CountArray, CountArray]:
        rng = stream(spec.seed, "count", purpose)
        later = stream(spec.seed, "count", purpose, "future", str(spec.future))
        return coupled(rng, later, spec.history, one * white, other * white)

    first = draw("first", opened.new_customers, closed.new_customers)
    again = draw("again", opened.orders - opened.new_customers, closed.orders - closed.new_customers)
    browse = draw(
        "browse",
        np.maximum(opened.visits * counted - opened.orders, 0),
        np.maximum(closed.visits * counted - closed.orders, 0),
    )
    books = []
    for flows, new, old, idle in ((opened, first[0], again[0], browse[0]), (closed, first[1], again[1], browse[1])):
        orders = new + old
        books.append(_with_money(spec, flows, idle + orders, new, orders))
    lost = np.maximum(books[0].visits.sum(axis=(1, 2)) - books[1].visits.sum(axis=(1, 2)), 0)
    return Pair(books[0], books[1], _rival_gain(spec, opened, closed, lost))


def _with_money(spec: WorldSpec, flows: Flows, visits: CountArray, new: CountArray, orders: CountArray) -> Counts:
    """Order values, refunds and cost; each day and entry has one luck of baskets, the same in both runs."""
    shape = visits.shape
    mean_value = np.divide(flows.gmv, flows.orders, out=np.zeros(shape), where=flows.orders > 0)
    luck = stream(spec.seed, "baskets").standard_normal(shape)
    later = stream(spec.seed, "baskets", "future", str(spec.future)).standard_normal(shape)
    luck[spec.history :] = later[spec.history :]
    spread = np.maximum(1 + 0.9 * luck / np.sqrt(np.maximum(orders, 1)), 0.15)
    gmv: FloatArray = np.round(orders * mean_value * spread, 2)
    back = spec.knobs.refund * np.exp(0.1 * stream(spec.seed, "refunds").standard_normal(shape))
    lagged: FloatArray = np.concatenate([gmv[:1].repeat(5, axis=0), gmv[:-5]])
    paid = np.array([entry.paid for entry in spec.entries])
    share = np.divide(visits, visits.sum(axis=1, keepdims=True), out=np.zeros(shape), where=visits > 0)
    return Counts(
        visits=visits,
        new_customers=new,
        orders=orders,
        gmv=gmv,
        refunds=np.round(lagged * back, 2),
        cost=np.round(flows.cost[:, None, :] * share, 2),
        volume=np.where(paid, visits + visits // 12, 0),
    )


def _rival_gain(spec: WorldSpec, opened: Flows, closed: Flows, lost: CountArray) -> CountArray:
    """Visits that rivals win: a random part of the visits the shop loses, as expected on that day."""
    gain = np.maximum(closed.rivals - opened.rivals, 0)
    expected_loss = opened.visits.sum(axis=(1, 2)) - closed.visits.sum(axis=(1, 2))
    base = np.maximum(np.maximum(expected_loss, gain.sum(axis=1)), 1e-12)
    share = gain / base[:, None]
    split = np.concatenate([share, np.maximum(1 - share.sum(axis=1, keepdims=True), 0)], axis=1)
    split /= split.sum(axis=1, keepdims=True)
    rng = stream(spec.seed, "count", "rivals", str(spec.future))
    won = rng.multinomial(lost, split)[:, :-1]
    unexplained = np.where(expected_loss[:, None] < gain.sum(axis=1, keepdims=True), gain, 0.0)
    return np.where(unexplained > 0, rng.poisson(gain), won)
