"""The customers of a made market: needs, ranked lists of entries they know, habits, ties, and how each reacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rechannel.lab.chance import stream
from rechannel.lab.specs import WorldSpec

Array32: TypeAlias = NDArray[np.float32]
IndexArray: TypeAlias = NDArray[np.int64]

SURELY = 0.97
"""Most that an entry can be at hand."""
ROUNDS = 14
"""Rounds in which popularity is fitted to the wanted shares of visits."""


@dataclass(frozen=True, slots=True)
class People:
    """Customer classes, each standing for `weight` people; arrays [class] or [channel, class].

    Attributes
    ----------
    weight
        People of a class.
    needs
        Occasions of the whole class on an average day.
    starts
        First class of each market, for sums over a market; classes are ordered by market.
    places
        Flat positions that bring a [channel, class] array into the order of each class's list (first = favourite).
    reach
        Chance that an entry on the list is at hand when an occasion comes; 0 = not known.
    hidden
        The same for entries not known yet, once somebody has shown or looked for them.
    created
        Visits of the class that exist only because it saw the entry.
    habit_start, habit_share
        What habit holds on an average day, [channel, class]; share of occasions that habit decides, [class].
    conversion, basket, prospect_start, renewal, new_pull
        Orders per needed visit [channel, class]; order value; share that never ordered; daily renewal of that share;
        share of first orders by entry relative to the class, [channel, class].
    find, find_most, notice, postpone, leave, dig
        Chance to find another way at once and after learning; 1 = hears announcements; share put off; share of the rest
        that goes to rivals; how far a habit digs out a demoted entry.
    promo_sense, holiday_sense, weekend_sense
        Reaction to the day.
    rival_taste
        Shares of rivals, [rival, class].
    """

    weight: Array32
    needs: Array32
    starts: IndexArray
    places: IndexArray
    reach: Array32
    hidden: Array32
    created: Array32
    habit_start: Array32
    habit_share: Array32
    conversion: Array32
    basket: Array32
    prospect_start: Array32
    renewal: Array32
    new_pull: Array32
    find: Array32
    find_most: Array32
    notice: Array32
    postpone: Array32
    leave: Array32
    dig: Array32
    promo_sense: Array32
    holiday_sense: Array32
    weekend_sense: Array32
    rival_taste: Array32


def walk(at_hand: Array32, places: IndexArray) -> Array32:
    """Each class goes down its list and takes the first entry that is at hand.

    Parameters
    ----------
    at_hand
        Chance that an entry is at hand, [channel, class].
    places
        Flat positions in list order, [channel, class].

    Returns
    -------
    array [channel, class]
        Chance that the entry is the one taken; sums to at most 1 over channels.
    """
    listed = at_hand.ravel().take(places)
    left = np.ones(listed.shape[1], dtype=np.float32)
    for rank in range(len(listed)):
        taken = left * listed[rank]
        left -= taken
        listed[rank] = taken
    out = np.empty_like(listed)
    out.ravel()[places.ravel()] = listed.ravel()
    return out


def make_people(spec: WorldSpec) -> People:
    """Draw the customers of a market and fit popularity to the wanted share of every entry.

    Parameters
    ----------
    spec
        The market.

    Returns
    -------
    People
        Classes whose visits on an average day add to `spec.visits_per_day`, with `spec.shares` up to what lists allow.
    """
    knobs, count, entries = spec.knobs, spec.customers, len(spec.entries)
    rng = stream(spec.seed, "people")
    shares = np.array(spec.shares)
    closing = spec.closing_index
    created_share = np.array([min(0.9, knobs.created_others * entry.created) for entry in spec.entries])
    created_share[closing] = knobs.created
    market_sizes = rng.dirichlet(np.full(len(spec.markets), 6.0))
    market = np.sort(np.searchsorted(np.cumsum(market_sizes)[:-1], rng.random(count)))
    market[: len(spec.markets)] = np.arange(len(spec.markets))
    market = np.sort(market)

    need = rng.gamma(1.2, 1.0, count) + 0.05
    need /= need.sum()
    lists = _Lists.draw(spec, rng, shares * (1 - created_share))
    habit_share = np.clip(knobs.habit * rng.uniform(0.5, 1.3, count), 0, 0.97)
    wanted = shares * (1 - created_share)
    popularity = wanted.copy()
    for _ in range(ROUNDS):
        reach, places = lists.ranked(popularity)
        taken = walk(reach, places)
        habit = taken / np.maximum(taken.sum(axis=0), 1e-6)
        chosen = habit_share * habit + (1 - habit_share) * taken
        got = (chosen * need).sum(axis=1)
        popularity *= np.clip(wanted / wanted.sum() / np.maximum(got / got.sum(), 1e-9), 0.2, 5.0) ** 0.9
        popularity /= popularity.sum()
    needed_visits = spec.visits_per_day * wanted.sum()
    needs = need * needed_visits / got.sum()

    glimpses = rng.lognormal(0, 0.8, (entries, count)) * (0.15 + need * count) ** 0.5
    created = glimpses / glimpses.sum(axis=1, keepdims=True) * (shares * created_share * spec.visits_per_day)[:, None]
    per_person = 0.12 * rng.lognormal(0, 0.3, count)
    weight = np.maximum(needs, 1e-9) / per_person / (need * count) ** 0.6

    wealth = rng.standard_normal(count)
    factor = np.array([entry.conversion for entry in spec.entries])[:, None]
    pulls_new = np.array([entry.new for entry in spec.entries])[:, None]
    of_entry, of_people = 1 - knobs.selection, knobs.selection
    able = factor**of_entry * (habit * factor).sum(axis=0) ** of_people
    fresh = (habit * pulls_new).sum(axis=0) ** of_people
    match = np.exp(0.2 * rng.standard_normal((entries, count)))
    conversion = np.clip(knobs.conversion * able * match * rng.lognormal(-0.08, 0.4, count), 0.0005, 0.5)
    prospect = np.clip(knobs.prospect * fresh * rng.uniform(0.3, 1.7, count), 0.02, 0.95)
    new_pull = pulls_new**of_entry * np.ones(count)
    visits = chosen * needs + knobs.created_conversion * created
    orders = visits * conversion
    first_orders = (orders * np.minimum(1.0, new_pull * first_share(prospect))).sum(axis=0)
    found = np.clip(knobs.find + 0.25 * rng.standard_normal(count) * np.sqrt(knobs.find * (1 - knobs.find)), 0, 1)
    rivals = len(spec.rivals)
    taste = rng.dirichlet(8.0 * np.array(spec.rival_sizes) / sum(spec.rival_sizes), count).T if rivals > 1 else None

    def narrow(values: NDArray[np.float64] | NDArray[np.bool_]) -> Array32:
        return np.ascontiguousarray(values, dtype=np.float32)

    return People(
        weight=narrow(weight),
        needs=narrow(needs),
        starts=np.searchsorted(market, np.arange(len(spec.markets))),
        places=places,
        reach=reach,
        hidden=lists.hidden(closing),
        created=narrow(created),
        habit_start=narrow(habit),
        habit_share=narrow(habit_share),
        conversion=narrow(conversion),
        basket=narrow(knobs.basket * np.exp(0.35 * wealth - 0.06)),
        prospect_start=narrow(prospect),
        renewal=narrow(first_orders / weight / (1 - prospect)),
        new_pull=narrow(new_pull),
        find=narrow(found),
        find_most=narrow(found + (1 - found) * np.clip(knobs.find_gain * rng.uniform(0.6, 1.4, count), 0, 1)),
        notice=narrow(rng.random(count) < knobs.notice_reach),
        postpone=narrow(np.clip(knobs.postpone * rng.uniform(0.4, 1.6, count), 0, 0.9)),
        leave=narrow(np.clip(knobs.rival_pull * rng.uniform(0.6, 1.4, count), 0, 1)),
        dig=narrow(rng.uniform(0.1, 0.9, count)),
        promo_sense=narrow(rng.lognormal(-0.125, 0.5, count)),
        holiday_sense=narrow(rng.uniform(0.2, 1.8, count)),
        weekend_sense=narrow(1 + 0.6 * rng.standard_normal(count)),
        rival_taste=narrow(taste if taste is not None else np.ones((1, count))),
    )


def first_share(prospect: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a class's orders that are first orders; who never ordered buys a third as often."""
    return prospect / (prospect + 3.0 * (1 - prospect))


@dataclass(frozen=True, slots=True)
class _Lists:
    """What makes a class's list: races for attention between entries, and what it knows."""

    clocks: NDArray[np.float64]
    warmth: NDArray[np.float64]
    known: NDArray[np.bool_]
    reach: Array32
    solo: NDArray[np.bool_]
    closing: int
    twin: int

    @classmethod
    def draw(cls, spec: WorldSpec, rng: np.random.Generator, wanted: NDArray[np.float64]) -> _Lists:
        knobs, count, entries = spec.knobs, spec.customers, len(spec.entries)
        hosts = sorted({entry.host for entry in spec.entries})
        of_host = np.array([hosts.index(entry.host) for entry in spec.entries])
        host_size = np.bincount(of_host, weights=wanted, minlength=len(hosts))
        home = np.searchsorted(np.cumsum(host_size / host_size.sum())[:-1], rng.random(count))
        pull = knobs.host_loyalty * rng.uniform(0.2, 1.8, count)
        warmth = np.exp(pull * (of_host[:, None] == home)) * rng.lognormal(0, max(knobs.taste, 1e-9), (entries, count))
        width = np.clip(knobs.multihoming + 0.2 * rng.standard_normal(count) * (knobs.multihoming < 1), 0.02, 1)
        level = rng.beta(6, 4, (entries, count)) if knobs.taste > 0 else np.full((entries, count), 0.6)
        twin = spec.channels.index(f"{spec.closing}_twin") if knobs.twin_entry else -1
        return cls(
            clocks=rng.standard_exponential((entries, count)),
            warmth=warmth,
            known=rng.random((entries, count)) < width,
            reach=level.astype(np.float32),
            solo=rng.random(count) < knobs.solo,
            closing=spec.closing_index,
            twin=twin,
        )

    def ranked(self, popularity: NDArray[np.float64]) -> tuple[Array32, IndexArray]:
        """Reach of what each class knows, and its list: the entry whose clock rings first is the favourite."""
        count = self.clocks.shape[1]
        rings = self.clocks / np.maximum(self.warmth * popularity[:, None], 1e-250)
        if self.twin >= 0:
            rings[self.twin] = np.where(
                self.warmth[self.twin] > self.warmth[self.closing],
                rings[self.twin],
                rings[self.closing]
                * (1 + 0.3 * self.clocks[self.twin])
                * popularity[self.closing]
                / popularity[self.twin],
            )
        order = np.argsort(rings, axis=0, kind="stable")
        favourite = order[0]
        known = self.known & (popularity > 0)[:, None]
        known[favourite, np.arange(count)] = True
        alone = self.solo & (favourite == self.closing)
        known[:, alone] = False
        known[self.closing, alone] = True
        reach = np.where(known, self.reach, np.float32(0))
        return reach.astype(np.float32), (order * count + np.arange(count)).astype(np.int64)

    def hidden(self, closing: int) -> Array32:
        """At-hand chance of entries a class does not know, once it does."""
        out = np.where(self.known, np.float32(0), self.reach)
        out[closing] = 0
        return np.ascontiguousarray(out, dtype=np.float32)
