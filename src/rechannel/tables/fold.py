"""The pass over a log in order of customer and time that makes the five tables of journeys."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.tables.journeyrules import (
    COUNTS,
    DAY,
    DECAY_UNIT,
    HEURISTICS,
    KINDS,
    PARTS,
    REPLICATE_TABLES,
    Bootstrap,
    IntArray,
    JourneyRules,
    Kind,
    Layout,
    Log,
    ReplicateTable,
)
from rechannel.tables.journeys import JourneyTables, KeyedSums, length_key, set_key
from rechannel.tables.overlaps import overlaps_of, retention_of
from rechannel.tables.replicates import Lines, Replicates, Weigher
from rechannel.tables.sessions import (
    Orders,
    Sessions,
    Steps,
    cut,
    decay_of_orders,
    decay_shares,
    path_keys,
    shared_out,
    steps,
)


@dataclass(frozen=True, slots=True)
class Touches:
    """Rows of whole customers in order: what `sessions.cut` takes."""

    key: NDArray[np.uint64]
    packed: IntArray
    value: IntArray


def fold(
    batches: Iterable[Touches], log: Log, rules: JourneyRules, bootstrap: Bootstrap | None = None
) -> JourneyTables:
    """Fold a log, or one shard of its customers, into the five tables.

    Parameters
    ----------
    batches
        All rows of a customer in one batch, in the contract's order; see `touches.ordered_touches`.
    log
        Channels and days of the whole log.
    rules
        The contract.
    bootstrap
        Replicates wanted; None = none.

    Returns
    -------
    JourneyTables
        Integers; the tables of two shards add up to those of both, replicates included.

    Raises
    ------
    CallError
        RC357, RC358: more channels than the tables hold.
    """
    log.fits(rules)
    work = _Fold(log, rules, bootstrap or Bootstrap())
    for batch in batches:
        work.add(batch)
    return work.tables()


class _Fold:
    """Running sums of one pass."""

    def __init__(self, log: Log, rules: JourneyRules, bootstrap: Bootstrap) -> None:
        self.log, self.rules, self.bootstrap = log, rules, bootstrap
        self.layout = Layout(len(log.channels), rules.periods, rules.order)
        self.breaks = np.array(rules.break_times, np.int64)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.transitions = np.zeros(self.layout.transitions, np.int64)
        self.sets = KeyedSums.empty(len(KINDS))
        self.lengths = KeyedSums.empty(len(KINDS) * len(PARTS))
        self.overlap = np.zeros(self.layout.overlap, np.int64)
        self.alone = np.zeros(self.layout.alone, np.int64)
        self.retention = np.zeros(self.layout.retention, np.int64)
        self.keys: list[NDArray[np.uint64]] = []
        self.keys_kept = 0
        self.replicates = Replicates.empty(self.layout, bootstrap)
        self.weigher = Weigher(bootstrap.seed, bootstrap.replicates)
        self.lines: dict[ReplicateTable, list[Lines]] = {}

    def add(self, batch: Touches) -> None:
        """Add whole customers."""
        if not len(batch.key):
            return
        sessions, orders = cut(batch.key, batch.packed, batch.value, self.rules)
        buys = np.bincount(orders.customer, minlength=sessions.customers) > 0
        comes = np.diff(sessions.first) > 0
        attributed = int(np.count_nonzero(orders.high > orders.low))
        for name, count in (
            ("rows", len(batch.key)),
            ("duplicates", sessions.repeats),
            ("visits", sessions.visits),
            ("sessions", len(sessions.time)),
            ("orders", len(orders.time)),
            ("attributed", attributed),
            ("customers", sessions.customers),
            ("buyers", int(np.count_nonzero(buys))),
            ("lost", int(np.count_nonzero(comes & ~buys))),
        ):
            self.counts[name] += count
        self.lines = {name: [] for name in REPLICATE_TABLES}
        before, after = self._neighbours(sessions)
        self._lost_paths(sessions, before, after, comes & ~buys)
        for some in steps(orders):
            self._paths(sessions, orders, some, before, after)
        self._overlaps(sessions, before)
        self._retention(sessions, orders)
        if self.bootstrap.replicates:
            bounds = np.ones(len(batch.key), bool)
            np.not_equal(batch.key[1:], batch.key[:-1], out=bounds[1:])
            self.replicates.enter(self.weigher, batch.key[bounds], self.lines)

    def tables(self) -> JourneyTables:
        """What was summed up."""
        paths = np.unique(np.concatenate(self.keys)) if self.keys else np.zeros(0, np.uint64)
        return JourneyTables(
            rules=self.rules,
            log=self.log,
            counts=dict(self.counts),
            transitions=self.transitions,
            channel_sets=self.sets,
            by_length=self.lengths,
            overlap=self.overlap,
            alone=self.alone,
            retention=self.retention,
            distinct_paths=len(paths),
            path_keys=paths,
            replicates=self.replicates,
        )

    def _weigh(self, name: ReplicateTable, lines: Lines) -> None:
        """Let the bootstrap weigh some lines with the batch."""
        if self.bootstrap.weighs(name) and len(lines.customer):
            self.lines[name].append(lines)

    def _count(self, lines: Lines) -> None:
        """Count transitions, and let the bootstrap do the same."""
        self.transitions += np.bincount(lines.entry, minlength=self.transitions.size).reshape(self.transitions.shape)
        self._weigh("transitions", lines)

    def _period(self, time: IntArray) -> IntArray:
        if not len(self.breaks):
            return np.zeros(len(time), np.int64)
        return np.searchsorted(self.breaks, time, side="right").astype(np.int64)

    def _neighbours(self, sessions: Sessions) -> tuple[IntArray, IntArray]:
        """Channel of the customer's session before and after each one; `start` and `lost` of the layout at the ends."""
        before = np.full(len(sessions.channel), self.layout.start, np.int64)
        before[1:] = np.where(sessions.opens[1:], self.layout.start, sessions.channel[:-1])
        after = np.full(len(sessions.channel), self.layout.lost, np.int64)
        after[:-1] = np.where(sessions.opens[1:], self.layout.lost, sessions.channel[1:])
        return before, after

    def _lost_paths(self, sessions: Sessions, before: IntArray, after: IntArray, lost: NDArray[np.bool_]) -> None:
        """Transitions of customers without any order: one path of all their sessions."""
        at = np.flatnonzero(lost[sessions.customer])
        if not len(at):
            return
        customer = sessions.customer[at]
        period = self._period(sessions.time[sessions.first[customer + 1] - 1])
        self._transitions(customer, before[at], sessions.channel[at], after[at], period)

    def _transitions(
        self, customer: IntArray, before: IntArray, channel: IntArray, after: IntArray, period: IntArray
    ) -> None:
        """Count the steps around each session of some paths: into it and out of the path, or both at once for pairs."""
        size = self.layout.channels
        base = period * math.prod(self.layout.transitions[1:])
        if self.layout.order == 2:
            self._count(Lines(customer, (before * size + channel) * (size + 2) + after + base))
            return
        # A step between two sessions is counted at the second one, the end of a path at its last session.
        self._count(Lines(customer, before * (size + 2) + channel + base))
        last = np.flatnonzero(after >= size)
        self._count(Lines(customer[last], channel[last] * (size + 2) + after[last] + base[last]))

    def _paths(self, sessions: Sessions, orders: Orders, some: Steps, before: IntArray, after: IntArray) -> None:
        """Everything about the paths of some orders."""
        channel = sessions.channel[some.session]
        customer = orders.customer[some.path]
        first, last = some.start, some.start + some.length - 1
        period = self._period(orders.time[some.path])
        into, out = before[some.session], after[some.session]
        into[first], out[last] = self.layout.start, self.layout.bought
        self._transitions(customer[some.of], into, channel, out, period[some.of])
        self._remember(path_keys(channel, some))
        value, is_first = orders.value[some.path], orders.is_first[some.path].astype(np.int64)
        members = np.bitwise_or.reduceat(np.int64(1) << channel, first)
        ones = np.ones(len(some.path), np.int64)
        self.sets.add(*_summed(set_key(period, members), np.stack([ones, value, is_first], axis=1)))
        age = sessions.time[some.session[last]][some.of] - sessions.time[some.session]
        share = decay_shares(age, some, self.rules.half_life)
        decay = decay_of_orders(share, some)
        columns = []
        ends = np.zeros((2, len(channel)), np.int64)
        ends[0, first], ends[1, last] = 1, 1
        parts = {"orders": (ones, decay), "value": (value, shared_out(value, share, some))}
        parts["new"] = (is_first, decay * is_first[some.of])
        for amount, decayed in parts.values():
            each = amount[some.of]
            columns += [each, each * ends[0], each * ends[1], decayed]
        lengths = length_key(period[some.of], channel, some.length[some.of])
        self.lengths.add(*_summed(lengths, np.stack(columns, axis=1)))
        if self.bootstrap.weighs("credit"):
            for kind in self.bootstrap.kinds:
                self._credit(kind, parts[kind], some, channel, customer, period)

    def _remember(self, keys: NDArray[np.uint64]) -> None:
        """Keep the distinct keys of paths; join what was kept whenever it has doubled."""
        self.keys.append(np.unique(keys))
        if sum(len(part) for part in self.keys) > 2 * self.keys_kept + (1 << 18):
            self.keys = [np.unique(np.concatenate(self.keys))]
            self.keys_kept = len(self.keys[0])

    def _credit(
        self,
        kind: Kind,
        part: tuple[IntArray, IntArray],
        some: Steps,
        channel: IntArray,
        customer: IntArray,
        period: IntArray,
    ) -> None:
        """Let the bootstrap weigh the credit that every heuristic gives."""
        shape = self.layout.credit
        for name, at, credited in credit_lines(kind, part, some, channel, self.rules):
            row = (KINDS.index(kind) * shape[1] + HEURISTICS.index(name)) * shape[2] + period[some.of[at]]
            self._weigh("credit", Lines(customer[some.of[at]], row * shape[3] + channel[at], credited))

    def _overlaps(self, sessions: Sessions, before: IntArray) -> None:
        """Which channels a customer's sessions share, and which come next."""
        size = self.layout.channels
        later = np.flatnonzero(~sessions.opens)
        steps_between = np.bincount(before[later] * size + sessions.channel[later], minlength=size * size)
        with_lines = self.bootstrap.weighs("alone") or self.bootstrap.weighs("overlap")
        found = overlaps_of(sessions, size, self.log.known_from(self.rules), with_lines)
        self.overlap[0] += found.customers
        self.overlap[1] += steps_between.reshape(size, size)
        self.overlap[2] += found.shared
        self.alone += found.alone
        for lines in found.alone_lines:
            self._weigh("alone", lines)
        for lines in found.shared_lines:
            self._weigh("overlap", lines)

    def _retention(self, sessions: Sessions, orders: Orders) -> None:
        """Who comes back and buys at which age."""
        since, width = self.log.known_from(self.rules), self.rules.age_days * DAY
        found = retention_of(sessions, orders, self.layout.channels, since, self.log.last, width)
        self.retention += found.sums
        for lines in found.lines:
            self._weigh("retention", lines)


def credit_lines(
    kind: Kind, part: tuple[IntArray, IntArray], some: Steps, channel: IntArray, rules: JourneyRules
) -> Iterator[tuple[str, IntArray, IntArray]]:
    """Credit of some paths by heuristic: its name, the steps that receive any, and how much in whole units.

    Parameters
    ----------
    kind
        orders and new in `DECAY_UNIT`, value in its own unit.
    part
        What each path carries, shape [path], and its time-decay credit, shape [step].
    some
        The paths.
    channel
        Shape [step].
    rules
        Shares of position-based credit.
    """
    amount, decayed = part
    carried = amount * (1 if kind == "value" else DECAY_UNIT)
    first, last, length = some.start, some.start + some.length - 1, some.length
    each, every = carried[some.of].astype(np.float64), np.arange(len(channel))
    ends = rules.first_share + rules.last_share
    position = each * (1 - ends) / np.maximum(length - 2, 1)[some.of]
    scale = np.where(length == 2, 1 / ends, 1.0)
    position[first] = carried * rules.first_share * scale
    position[last] = np.where(length == 1, carried, carried * rules.last_share * scale)
    newcomer = first_mentions(channel, some)
    size = np.bincount(some.of[newcomer], minlength=len(length))
    yield "first", first, carried
    yield "last", last, carried
    yield "linear", every, np.rint(each / length[some.of]).astype(np.int64)
    yield "time_decay", every, decayed
    yield "position", every, np.rint(position).astype(np.int64)
    yield "shapley", newcomer, np.rint((each / size[some.of])[newcomer]).astype(np.int64)


def first_mentions(channel: IntArray, some: Steps) -> IntArray:
    """Steps at which a path names a channel for the first time, ascending."""
    order = np.lexsort((channel, some.of))
    same = (channel[order][1:] == channel[order][:-1]) & (some.of[order][1:] == some.of[order][:-1])
    return np.sort(order[np.concatenate([[True], ~same])])


def _summed(keys: IntArray, columns: IntArray) -> tuple[IntArray, IntArray]:
    """Rows with one key added up."""
    found, place = np.unique(keys, return_inverse=True)
    sums = np.zeros((len(found), columns.shape[1]), np.int64)
    np.add.at(sums, place, columns)
    return found, sums
