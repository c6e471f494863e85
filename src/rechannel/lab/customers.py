"""What customers do day by day: the same loop runs the open and the closed market on the same shocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rechannel.lab.people import SURELY, Array32, People, walk
from rechannel.lab.specs import WorldSpec
from rechannel.lab.weather import Weather
from rechannel.vocabulary.estimate import FloatArray

RELEASE = 0.22
"""Share of put-off occasions that come back on a day."""
FORGET = 0.06
"""Share of put-off occasions that are dropped on a day."""
WORD_OF_MOUTH = 0.25
"""Speed of learning without a blocked visit of one's own, relative to with one a day."""
TIE_BACK = 0.004
"""Daily return of a tie to the shop."""


@dataclass(slots=True)
class State:
    """What customers carry from one day to the next; arrays [class] or [channel, class], changed in place.

    habit: distribution over entries; backlog: put-off occasions; find: chance to find another way; shown: how far
    unknown entries became known; tie: share of needs brought to the shop; prospect: share that never ordered; before:
    visits of the day before; recent, usual: fast and slow mean of the shop's visits that spend looks at; shut_days:
    days since the closing entry was first found shut.
    """

    habit: Array32
    backlog: Array32
    find: Array32
    shown: Array32
    tie: Array32
    prospect: Array32
    before: Array32
    recent: float
    usual: float
    shut_days: float

    def copy(self) -> State:
        """An independent copy, from which another run can go on."""
        return replace(
            self,
            habit=self.habit.copy(),
            backlog=self.backlog.copy(),
            find=self.find.copy(),
            shown=self.shown.copy(),
            tie=self.tie.copy(),
            prospect=self.prospect.copy(),
            before=self.before.copy(),
        )


@dataclass(frozen=True, slots=True)
class Flows:
    """Expected amounts of a run.

    Attributes
    ----------
    visits, new_customers, orders, gmv
        Shape [date, market, channel].
    cost
        Paid spend, shape [date, channel].
    rivals
        Visits that blocked customers take to each rival, shape [date, rival].
    """

    visits: FloatArray
    new_customers: FloatArray
    orders: FloatArray
    gmv: FloatArray
    cost: FloatArray
    rivals: FloatArray

    @classmethod
    def empty(cls, spec: WorldSpec) -> Flows:
        days, markets, channels = spec.days, len(spec.markets), len(spec.entries)
        shape = (days, markets, channels)
        return cls(
            np.zeros(shape),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros((days, channels)),
            np.zeros((days, len(spec.rivals))),
        )

    def copy(self) -> Flows:
        return Flows(*(getattr(self, name).copy() for name in self.__slots__))


@dataclass(slots=True)
class Sample:
    """Visits and orders of sampled people, as they come; filled by the loop when touches are wanted.

    A person is a place in a class: somebody who never ordered, or a customer, who orders three times as often. Once in
    a while a customer leaves and somebody who never ordered takes the place, so that first orders among the sampled are
    the same part of all orders as in `daily`.

    classes: class of each place; first, last: days on which they are watched; fresh, names: whether somebody who never
    ordered is in the place, and the customer's number; days, places, customers, channels, ordered: one row per visit;
    came: customers who ordered for the first time ever.
    """

    classes: NDArray[np.int64]
    first: int
    last: int
    rng: np.random.Generator
    lives: np.random.Generator
    fresh: NDArray[np.bool_]
    names: NDArray[np.int64]
    days: list[NDArray[np.int64]]
    places: list[NDArray[np.int64]]
    customers: list[NDArray[np.int64]]
    channels: list[NDArray[np.int64]]
    ordered: list[NDArray[np.bool_]]
    came: list[NDArray[np.int64]]

    @classmethod
    def of(
        cls,
        classes: NDArray[np.int64],
        days: tuple[int, int],
        people: People,
        rng: np.random.Generator,
        lives: np.random.Generator,
    ) -> Sample:
        """Nobody watched yet; `lives` decides who orders, leaves and comes."""
        fresh = lives.random(len(classes)) < people.prospect_start[classes]
        return cls(classes, *days, rng, lives, fresh, np.arange(len(classes)), [], [], [], [], [], [])

    def watch(
        self, day: int, visits: Array32, orders: Array32, first: Array32, prospect: Array32, people: People
    ) -> None:
        """Draw this day's visits of the sampled people, and who of them orders."""
        leaves = ~self.fresh & (self.lives.random(len(self.classes)) < people.renewal[self.classes])
        self.names[leaves] = self.names.max() + 1 + np.arange(int(leaves.sum()))
        self.fresh |= leaves
        counts = self.rng.poisson((visits / people.weight)[:, self.classes])
        channel, place = np.nonzero(counts)
        times = counts[channel, place]
        channel, place = np.repeat(channel, times), np.repeat(place, times)
        cls = self.classes[place]
        bought, new = (amount[channel, cls].astype(np.float64) for amount in (orders, first))
        share = prospect[cls].astype(np.float64)
        mine = np.where(self.fresh[place], new / share, (bought - new) / (1 - share))
        chance = mine / np.maximum(visits[channel, cls], 1e-12).astype(np.float64)
        ordered = self.lives.random(len(place)) < chance
        self.days.append(np.full(len(place), day, dtype=np.int64))
        self.places.append(place)
        self.customers.append(self.names[place])
        self.channels.append(channel)
        self.ordered.append(ordered)
        self.came.append(self.names[place[ordered & self.fresh[place]]])
        self.fresh[place[ordered]] = False


class Shop:
    """One market ready to run: people, weather and the constants of the loop.

    Parameters
    ----------
    spec
        The market.
    people
        Its customers.
    weather
        Its days.
    """

    def __init__(self, spec: WorldSpec, people: People, weather: Weather) -> None:
        self.spec, self.people, self.weather = spec, people, weather
        entries, knobs = spec.entries, spec.knobs
        self.paid = np.array([entry.paid for entry in entries])
        self.pushes = [index for index, entry in enumerate(entries) if entry.pushes]
        hosts = sorted({entry.host for entry in entries if entry.host != "own"})
        groups = [[index for index, entry in enumerate(entries) if entry.host == host] for host in hosts]
        self.hosts = [group for group in groups if len(group) > 1]
        closing = spec.closing_index
        self.glances = people.created.copy()
        self.glances[closing] /= np.float32(knobs.created_yield)
        helped = [i for i, entry in enumerate(entries) if i != closing and entry.host in (entries[closing].host, "own")]
        self.helped = helped[0] if helped else -1
        self.market_of = np.searchsorted(people.starts, np.arange(len(people.needs)), side="right") - 1
        self.usual_spend = np.where(self.paid, np.array(spec.shares) * spec.visits_per_day * _price(spec), 0.0)

    def begin(self) -> State:
        """Everybody as on an average day."""
        people = self.people
        nobody = np.zeros(len(people.needs), dtype=np.float32)
        return State(
            habit=people.habit_start.copy(),
            backlog=nobody.copy(),
            find=people.find.copy(),
            shown=nobody.copy(),
            tie=np.ones_like(nobody),
            prospect=people.prospect_start.copy(),
            before=people.created.copy(),
            recent=self.spec.visits_per_day,
            usual=self.spec.visits_per_day,
            shut_days=0.0,
        )

    def run(
        self, state: State, flows: Flows, first: int, last: int, *, closing: bool, sample: Sample | None = None
    ) -> None:
        """Live through days [first, last), writing into `flows`.

        Parameters
        ----------
        state
            As left by the day before `first`; changed in place.
        flows
            Filled for these days.
        closing
            Whether the announcement and the closure happen.
        sample
            People whose visits are written down.
        """
        for day in range(first, last):
            self._day(day, state, flows, closing, sample)

    def _day(self, day: int, state: State, flows: Flows, closing: bool, sample: Sample | None) -> None:
        people, knobs, weather = self.people, self.spec.knobs, self.weather
        spend = self._spend(day, state)
        pull = (weather.pull[day] * np.where(self.paid, spend, 1.0)).astype(np.float32)[:, None]
        loud = weather.loudness[day].astype(np.float32)[:, None]
        occasions = self._occasions(day, state)
        at_hand = people.reach * pull
        np.minimum(at_hand, SURELY, out=at_hand)
        by_habit = state.habit * np.minimum(pull, 1.0) * people.habit_share
        attempts = by_habit + (1 - by_habit.sum(axis=0)) * walk(at_hand, people.places)
        attempts *= occasions * loud
        tried = attempts.sum(axis=0)
        created = people.created * (pull * loud * np.float32(weather.need[day] ** 0.7))
        created *= np.float32(1 + 0.4 * max(weather.promo[day], 0.0))
        for index in self.pushes:
            created[index] *= 1 + np.float32(knobs.push) * (state.habit[index] - people.habit_start[index])
        if knobs.assist and self.helped >= 0:
            created[self.helped] += np.float32(knobs.assist) * state.before[self.spec.closing_index]
        shut = self._shut(day, closing)
        if shut is not None:
            attempts = self._meet_shut(shut, attempts, at_hand, occasions, state, day, flows, closing)
            created = self._attention(created, shut if shut.shape[1] > 1 else np.broadcast_to(shut, created.shape))
        elif closing:
            attempts = self._steer(day, attempts, at_hand, state)
        self._settle(day, attempts, created, tried, state, flows, sample)
        flows.cost[day] = self.usual_spend * np.where(self.paid, self._budget(state), 0.0) * weather.loudness[day]

    def _occasions(self, day: int, state: State) -> Array32:
        """Needs of every class today, put-off ones included."""
        people, weather = self.people, self.weather
        fresh = people.needs * state.tie * np.float32(weather.need[day])
        if weather.weekend[day]:
            fresh *= np.maximum(1 + np.float32(self.spec.knobs.weekend) * people.weekend_sense, 0.1)
        if weather.promo[day]:
            fresh *= np.maximum(1 + np.float32(weather.promo[day]) * people.promo_sense, 0.3)
        if weather.holiday[day]:
            fresh *= np.maximum(1 + np.float32(weather.holiday[day]) * people.holiday_sense, 0.2)
        fresh *= (1 - np.float32(0.6) * state.prospect) / (1 - np.float32(0.6) * people.prospect_start)
        back = np.float32(RELEASE) * state.backlog
        state.backlog *= np.float32(1 - RELEASE - FORGET)
        return np.asarray(fresh + back, dtype=np.float32)

    def _budget(self, state: State) -> float:
        """Paid spend relative to usual: it follows the shop's recent visits."""
        return float((state.recent / state.usual) ** self.spec.knobs.spend_feedback)

    def _spend(self, day: int, state: State) -> float:
        """How far today's spend carries paid entries, with diminishing returns."""
        promo = 1 + 0.8 * max(self.weather.promo[day], 0.0)
        return float((self._budget(state) * promo) ** self.spec.knobs.spend_elasticity)

    def _shut(self, day: int, closing: bool) -> Array32 | None:
        """Share of each entry that is blocked today by class, [channel, class or 1]; None on a day without."""
        blocked = self.weather.blocked[day]
        gone = closing and day >= self.spec.history and self.spec.knobs.severity > 0
        if not gone and not blocked.any():
            return None
        shut = blocked.astype(np.float32).T
        shut = shut[:, self.market_of] if shut.shape[1] > 1 else shut.copy()
        if gone:
            index = self.spec.closing_index
            shut[index] = np.maximum(shut[index], np.float32(self.spec.knobs.severity))
        return np.asarray(shut)

    def _meet_shut(
        self,
        shut: Array32,
        attempts: Array32,
        at_hand: Array32,
        occasions: Array32,
        state: State,
        day: int,
        flows: Flows,
        closing: bool,
    ) -> Array32:
        """Blocked customers find another way, put it off, go to a rival or drop it; returns visits made for needs."""
        people, knobs = self.people, self.spec.knobs
        partial = (shut > 0) & (shut < 1)
        felt = shut * (1 - partial * people.dig * state.habit) if partial.any() else shut
        blocked = attempts * felt
        stuck = blocked.sum(axis=0)
        other_way = walk(np.minimum(at_hand + people.hidden * state.shown, SURELY) * (1 - felt), people.places)
        made = attempts - blocked + other_way * (stuck * state.find)
        lost = stuck * (1 - state.find * other_way.sum(axis=0))
        permanent = closing and day >= self.spec.history
        state.shut_days = state.shut_days + 1 if permanent else 0.0
        known_dead = np.exp(-state.shut_days / 6.0) if permanent else 1.6
        put_off = lost * np.minimum(people.postpone * np.float32(known_dead), 0.9)
        state.backlog += put_off
        away = (lost - put_off) * people.leave
        flows.rivals[day] = (people.rival_taste * away).sum(axis=1, dtype=np.float64)
        missed = stuck / np.maximum(occasions, 1e-9)
        pace = np.float32(1 / knobs.learn_days)
        felt_share = np.minimum(1.0, missed + np.float32(WORD_OF_MOUTH) * (missed > 0.01))
        state.find += pace * felt_share * np.maximum(people.find_most - state.find, 0)
        state.shown += pace * felt_share * people.find_most * (1 - state.shown)
        state.tie -= np.float32(knobs.stray) * (away / np.maximum(people.needs, 1e-9)) * np.float32(0.05) * state.tie
        np.clip(state.tie, 0.05, 1.2, out=state.tie)
        return np.asarray(made, dtype=np.float32)

    def _steer(self, day: int, attempts: Array32, at_hand: Array32, state: State) -> Array32:
        """Between announcement and D, who heard of it moves part of the visits early and learns other ways."""
        spec = self.spec
        if spec.announced is None or spec.knobs.severity == 0 or day < spec.index_of(spec.announced):
            return attempts
        people, index = self.people, spec.closing_index
        since = day - spec.index_of(spec.announced) + 1
        heard = people.notice * np.float32(1 - np.exp(-since / 7.0))
        state.find = np.maximum(state.find, heard * np.float32(spec.knobs.steer) * np.maximum(people.find_most, 0.5))
        state.shown = np.maximum(state.shown, heard * np.float32(spec.knobs.steer))
        elsewhere = np.minimum(at_hand + people.hidden * state.shown, SURELY)
        elsewhere[index] = 0
        other_way = walk(elsewhere, people.places)
        willing = attempts[index] * heard * np.float32(spec.knobs.steer * 0.6)
        made = attempts + other_way * willing
        made[index] -= willing * other_way.sum(axis=0)
        return np.asarray(made, dtype=np.float32)

    def _attention(self, created: Array32, shut: Array32) -> Array32:
        """Created visits with shut entries off the screen; freed glances go to the host's other entries."""
        out = np.asarray(created * (1 - shut), dtype=np.float32)
        for group in self.hosts:
            total = self.glances[group].sum(axis=0)
            freed = (self.glances[group] * shut[group]).sum(axis=0) / np.maximum(total, 1e-9)
            left = np.maximum(1 - freed, 0.05)
            out[group] *= 1 + np.float32(self.spec.knobs.attention) * (1 / left - 1)
        return out

    def _settle(
        self,
        day: int,
        needed: Array32,
        created: Array32,
        tried: Array32,
        state: State,
        flows: Flows,
        sample: Sample | None,
    ) -> None:
        """Orders and first orders of today's visits; habits, ties and prospects move on."""
        people, knobs = self.people, self.spec.knobs
        visits = needed + created
        orders = (needed + np.float32(knobs.created_conversion) * created) * people.conversion
        orders *= np.float32(self.weather.sales[day])
        share = state.prospect / (state.prospect + np.float32(3.0) * (1 - state.prospect))
        first = orders * np.minimum(people.new_pull * share, np.float32(0.98))
        if sample is not None and sample.first <= day < sample.last:
            sample.watch(day, visits, orders, first, state.prospect, people)
        value = orders * people.basket
        for target, amount in (
            (flows.visits, visits),
            (flows.orders, orders),
            (flows.new_customers, first),
            (flows.gmv, value),
        ):
            target[day] = self._by_market(amount)
        state.prospect += people.renewal * (1 - state.prospect) - first.sum(axis=0) / people.weight
        np.clip(state.prospect, 0.005, 0.98, out=state.prospect)
        pace = np.float32(1 / knobs.habit_days)
        busy = np.minimum(tried / np.maximum(people.needs, 1e-9), 2.0)
        state.habit += pace * busy * (needed / np.maximum(tried, 1e-12) - state.habit)
        state.tie += np.float32(TIE_BACK) * (1 - state.tie)
        total = float(flows.visits[day].sum())
        state.recent += (total - state.recent) / 7
        state.usual += (total - state.usual) / 90
        state.before = visits

    def _by_market(self, amount: Array32) -> FloatArray:
        if len(self.people.starts) == 1:
            return np.asarray(amount.sum(axis=1, dtype=np.float64))[None, :]
        return np.asarray(np.add.reduceat(amount, self.people.starts, axis=1), dtype=np.float64).T


def _price(spec: WorldSpec) -> float:
    """Price of a bought visit: a fifth of the margin-free value of an average one."""
    return 0.2 * spec.knobs.conversion * spec.knobs.basket
