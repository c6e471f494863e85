"""The five tables in plain Python, one customer and one order at a time: what every engine must say too."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from rechannel.tables.journeyrules import DAY, DECAY_UNIT, MOST_AGES, OVERLAP_UNIT, JourneyRules

Row = tuple[str, int, str, str, float | None]
"""Customer, microseconds since 1970, channel, event, order value."""
START, BOUGHT, LOST = "(start)", "(bought)", "(lost)"


@dataclass
class Reference:
    """Tables by name, not by code.

    transitions: (period, before, at, to). sets: (period, channels) -> orders, value, new. lengths: (period, channel,
    length) -> twelve columns. overlap: (part, channel, channel). alone: (part, channel). retention: (part, channel,
    age). daily: (day, channel) -> visits, new customers, orders, value.
    """

    counts: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[int, str, str, str]] = field(default_factory=Counter)
    sets: dict[tuple[int, frozenset[str]], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 3))
    lengths: dict[tuple[int, str, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 12))
    overlap: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    alone: Counter[tuple[str, str]] = field(default_factory=Counter)
    retention: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    paths: set[tuple[str, ...]] = field(default_factory=set)
    daily: dict[tuple[int, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 4))


def reference(rows: list[Row], rules: JourneyRules, ends: tuple[int, int] | None = None) -> Reference:
    """Fold rows in any order; `ends` of the log, when the rows are a part of it."""
    found = Reference()
    first, last = ends or (min(row[1] for row in rows), max(row[1] for row in rows))
    known_from = first + min(rules.lookback, (last - first) // 2)
    found.counts["rows"] = len(rows)
    distinct = {(who, time, event == "order", name, units(value, rules)) for who, time, name, event, value in rows}
    found.counts["duplicates"] = len(rows) - len(distinct)
    people: dict[str, list[tuple[int, bool, str, tuple[bool, int]]]] = defaultdict(list)
    for who, time, is_order, name, value in distinct:
        people[who].append((time, is_order, name, value))
    for touches in people.values():
        customer(sorted(touches), found, rules, known_from, last)
    return found


def units(value: float | None, rules: JourneyRules) -> tuple[bool, int]:
    """An order value as a whole number; an empty one comes first and is not 0."""
    return (False, 0) if value is None else (True, math.floor(value * 10**rules.decimals + 0.5))


def customer(
    touches: list[tuple[int, bool, str, tuple[bool, int]]], found: Reference, rules: JourneyRules, known: int, last: int
) -> None:
    """Everything about one customer."""
    found.counts["customers"] += 1
    sessions: list[tuple[int, str]] = []
    orders: list[tuple[int, int, int]] = []
    before: int | None = None
    for time, is_order, name, (_, value) in touches:
        if is_order:
            found.daily[time // DAY, name][2] += 1
            found.daily[time // DAY, name][3] += value
            found.daily[time // DAY, name][1] += not orders
            orders.append((time, value, len(sessions)))
        else:
            found.counts["visits"] += 1
            if before is None or time - before > rules.gap:
                sessions.append((time, name))
                found.daily[time // DAY, name][0] += 1
            before = time
    found.counts["sessions"] += len(sessions)
    found.counts["orders"] += len(orders)
    found.counts["buyers"] += bool(orders)
    if not orders and sessions:
        found.counts["lost"] += 1
        walk([name for _, name in sessions], LOST, period(sessions[-1][0], rules), found)
    for number, (time, value, upto) in enumerate(orders):
        path = [(start, name) for start, name in sessions[:upto] if time - rules.lookback <= start <= time]
        if path:
            order(path, time, value, number == 0, found, rules)
    crossings(sessions, found, known)
    if sessions and known <= sessions[0][0]:
        returns(sessions, orders, found, rules, last)


def period(time: int, rules: JourneyRules) -> int:
    return sum(time >= moment for moment in rules.break_times)


def walk(path: list[str], end: str, when: int, found: Reference) -> None:
    names = [START, *path, end]
    for before, at, to in zip(names, names[1:], names[2:], strict=False):
        found.transitions[when, before, at, to] += 1


def order(
    path: list[tuple[int, str]], time: int, value: int, is_first: bool, found: Reference, rules: JourneyRules
) -> None:
    """One order with its path."""
    names, when, length = [name for _, name in path], period(time, rules), len(path)
    found.counts["attributed"] += 1
    found.paths.add(tuple(names))
    walk(names, BOUGHT, when, found)
    carried = (1, value, int(is_first))
    for column, amount in enumerate(carried):
        found.sets[when, frozenset(names)][column] += amount
    weights = [halved(path[-1][0] - start, rules.half_life) for start, _ in path]
    for kind, amount in enumerate(carried):
        rest = whole = amount if kind == 1 else amount * DECAY_UNIT
        for place, name in enumerate(names):
            cell = found.lengths[when, name, length]
            share = math.floor(weights[place] / sum(weights) * whole)
            decayed = rest if place == length - 1 else share
            rest -= decayed
            cell[4 * kind] += amount
            cell[4 * kind + 1] += amount * (place == 0)
            cell[4 * kind + 2] += amount * (place == length - 1)
            cell[4 * kind + 3] += decayed


def halved(age: int, half_life: float) -> int:
    """2^40 x 2^-(age / half-life), in whole numbers."""
    halvings = age / half_life
    part, weight = halvings - math.floor(halvings), 0.0
    for power in range(14, -1, -1):
        weight = weight * part + float(round(2**40 * (-math.log(2)) ** power / math.factorial(power)))
    return math.floor(weight) >> min(math.floor(halvings), 62)


def crossings(sessions: list[tuple[int, str]], found: Reference, known: int) -> None:
    """Which channels a customer uses, and in which order."""
    used = Counter(name for _, name in sessions)
    for (_, one), (_, other) in pairwise(sessions):
        found.overlap["next", one, other] += 1
    for place, (time, name) in enumerate(sessions):
        found.alone["sessions", name] += 1
        found.alone["solo_sessions", name] += len(used) == 1
        found.alone["early_sessions", name] += time < known
        found.alone["new_sessions", name] += place == 0 and time >= known
    for one in used:
        others = len(sessions) - used[one]
        part = OVERLAP_UNIT // (others + 1) if others else 0
        for other in used:
            found.overlap["customers", one, other] += 1
            found.overlap["shared", one, other] += used[one] * part * (1 if one == other else used[other])


def returns(
    sessions: list[tuple[int, str]],
    orders: list[tuple[int, int, int]],
    found: Reference,
    rules: JourneyRules,
    last: int,
) -> None:
    """One customer whose first session is known to be one."""
    begin, name = sessions[0]
    width = rules.age_days * DAY
    whole = min((last - begin) // width, MOST_AGES)
    found.retention["observed", name, whole] += 1
    for age in {(time - begin) // width for time, _ in sessions}:
        found.retention["active", name, age] += age < whole
    for time, value, _ in orders:
        age = (time - begin) // width
        if time >= begin and age < whole:
            found.retention["orders", name, age] += 1
            found.retention["value", name, age] += value


@dataclass
class LaterOrders:
    """Later orders by name: histories by channel, order days, days to the last and to the eve; sums by channel, age."""

    histories: Counter[tuple[str, int, int, int]] = field(default_factory=Counter)
    ages: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 3))
    later: Counter[str] = field(default_factory=Counter)
    first_orders: int = 0
    all_orders: int = 0
    all_value: int = 0


def later_orders(rows: list[Row], since: int, until: int, end: int, width: int, most: int) -> LaterOrders:
    """What customers who first ordered on the days [since, until) ordered after that day, one customer at a time."""
    rules, found = JourneyRules(), LaterOrders()
    people: dict[str, list[tuple[int, str, tuple[bool, int]]]] = defaultdict(list)
    for who, time, name, value in {(r[0], r[1], r[2], units(r[4], rules)) for r in rows if r[3] == "order"}:
        people[who].append((time, name, value))
    for orders in people.values():
        orders.sort()
        begin, entered = orders[0][0] // DAY, orders[0][1]
        inside = [value for time, _, (_, value) in orders if since <= time // DAY < until]
        found.all_orders += len(inside)
        found.all_value += sum(inside)
        if not since <= begin < until:
            continue
        found.first_orders += 1
        days: dict[int, list[int]] = defaultdict(list)
        for time, _, (_, value) in orders:
            days[time // DAY].append(value)
        known = [day for day in days if day < until]
        found.histories[entered, len(known) - 1, max(known) - begin, until - 1 - begin] += 1
        for day, values in days.items():
            if begin < day < until:
                sums = found.ages[entered, min((day - begin - 1) // width, most)]
                for place, amount in enumerate((1, len(values), sum(values))):
                    sums[place] += amount
            found.later[entered] += until <= day < end
    return found
