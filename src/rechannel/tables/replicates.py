"""Poisson(1) weights of customers: hashed, so that they depend on the seed and the customer and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rechannel.tables.journeyrules import REPLICATE_TABLES, Bootstrap, IntArray, Layout, ReplicateTable
from rechannel.tables.sessions import mix

HASHED_AT_ONCE = 1 << 10
WEIGHED_AT_ONCE = 1 << 14
"""Customers at a time: small enough for the processor's caches."""
LARGEST_WEIGHT = 7
"""Poisson(1) is larger once in 98,000; such a weight is cut to 7 and the rest keeps the mean at exactly 1."""
_EXACT_IN_SINGLE = 1 << 24
Weights: TypeAlias = NDArray[np.float32]
Table: TypeAlias = Any  # scipy's stubs know no sparse array of either precision


@dataclass(frozen=True, slots=True)
class Lines:
    """What customers add to the entries of one table.

    Attributes
    ----------
    customer
        Shape [line], ascending.
    entry
        Shape [line]: index into the flattened table.
    amount
        Shape [line], or None where every line adds 1.
    """

    customer: IntArray
    entry: IntArray
    amount: IntArray | None = None


def _thresholds() -> NDArray[np.uint32]:
    """The weight is how many of these a uniform 32-bit number reaches: Poisson(1), its mean exactly 1."""
    cells = [round((1 << 32) * math.exp(-1) / math.factorial(count)) for count in range(LARGEST_WEIGHT + 1)]
    cells[1] += (1 << 32) - sum(count * cell for count, cell in enumerate(cells))
    cells[0] = (1 << 32) - sum(cells[1:])
    return np.cumsum(cells[:-1]).astype(np.uint32)


_REACHED = _thresholds()


class Weigher:
    """`size` weights of every customer.

    Parameters
    ----------
    seed
        Another bootstrap for another number.
    size
        Replicates; weights of one customer in two of them are independent, and more replicates leave the first ones
        as they are.
    """

    def __init__(self, seed: int, size: int) -> None:
        base = mix(np.array([seed % (1 << 64)], np.uint64))
        self.size = size
        self._salt = mix(base)[0]
        places: NDArray[np.uint64] = np.arange(size, dtype=np.uint64)
        self._factors = (mix(base + places) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        self._uniform = np.empty((HASHED_AT_ONCE, size), np.uint32)
        self._reached = np.empty((HASHED_AT_ONCE, size), bool)
        self._count = np.empty((HASHED_AT_ONCE, size), np.uint8)

    def weights(self, keys: NDArray[np.uint64]) -> Weights:
        """Weights of customers by their keys, shape [customer, replicate]."""
        hashed = (mix(keys ^ self._salt) >> np.uint64(32)).astype(np.uint32)
        found = np.empty((len(keys), self.size), np.float32)
        for begin in range(0, len(keys), HASHED_AT_ONCE):
            some = hashed[begin : begin + HASHED_AT_ONCE, None]
            uniform, reached, count = (part[: len(some)] for part in (self._uniform, self._reached, self._count))
            np.multiply(some, self._factors, out=uniform)
            np.greater_equal(uniform, _REACHED[0], out=count.view(bool))
            for threshold in _REACHED[1:]:
                np.greater_equal(uniform, threshold, out=reached)
                count += reached.view(np.uint8)
            found[begin : begin + HASHED_AT_ONCE] = count
        return found


_SMALL: tuple[ReplicateTable, ...] = ("transitions", "alone", "retention")
"""Tables whose amounts are counts; those of the others are in small units."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """The sums of a fold under Poisson(1) weights of customers, one column per replicate.

    Attributes
    ----------
    layout, asked
        Shapes of the tables; how many replicates, their seed, and of which kinds credit was weighed.
    small, large
        Shape [entry, replicate]: the tables one under another; `table` gives one of them.
    """

    layout: Layout
    asked: Bootstrap
    small: IntArray
    large: IntArray

    @classmethod
    def empty(cls, layout: Layout, asked: Bootstrap) -> Replicates:
        sizes = {name: math.prod(_shape(layout, name)) for name in REPLICATE_TABLES}
        small = sum(size for name, size in sizes.items() if name in _SMALL)
        shapes = ((small, asked.replicates), (sum(sizes.values()) - small, asked.replicates))
        return cls(layout, asked, *(np.zeros(shape, np.int64) for shape in shapes))

    def table(self, name: ReplicateTable) -> IntArray:
        """Sums of one table, shape [replicate, *table].

        `transitions` and `alone` as in `JourneyTables`; `retention` without its value; of `overlap` only `shared`;
        `credit` has the shape `Layout.credit`, orders and new in `DECAY_UNIT`, value in its unit.
        """
        begin, shape = _begin(self.layout, name), _shape(self.layout, name)
        book = self.small if name in _SMALL else self.large
        return np.moveaxis(book[begin : begin + math.prod(shape)], 0, -1).reshape(-1, *shape)

    def enter(
        self, weigher: Weigher, keys: NDArray[np.uint64], lines: Mapping[ReplicateTable, Sequence[Lines]]
    ) -> None:
        """Add the lines of some customers, whose keys have shape [customer], under their weights.

        All sums are of whole numbers and exact: single precision is used only where they fit into it.
        """
        small = _stacked(self.layout, {name: lines[name] for name in _SMALL}, len(self.small), len(keys))
        rest = {name: lines[name] for name in REPLICATE_TABLES if name not in _SMALL}
        large = _stacked(self.layout, rest, len(self.large), len(keys))
        for begin in range(0, len(keys), WEIGHED_AT_ONCE):
            end = min(begin + WEIGHED_AT_ONCE, len(keys))
            weights = weigher.weights(keys[begin:end])
            for total, table in ((self.small, small), (self.large, large)):
                sums = _part(table, begin, end, weights)
                if sums is not None:
                    np.add(total, sums.astype(np.int64), out=total)

    def draw(self, tables: Mapping[ReplicateTable, IntArray], draws: IntArray) -> None:
        """Add sums of shards, shape [shard, *table] each, drawn as often as `draws`, shape [replicate, shard], says."""
        for name, table in tables.items():
            begin = _begin(self.layout, name)
            book = self.small if name in _SMALL else self.large
            flat = table.reshape(len(table), -1)
            book[begin : begin + flat.shape[1]] += (draws @ flat).T

    def __add__(self, other: Replicates) -> Replicates:
        if (self.layout, self.asked) != (other.layout, other.asked):
            raise ValueError("replicates of other shapes or seeds do not add")
        return Replicates(self.layout, self.asked, self.small + other.small, self.large + other.large)


def _shape(layout: Layout, name: ReplicateTable) -> tuple[int, ...]:
    shapes: dict[ReplicateTable, tuple[int, ...]] = {
        "transitions": layout.transitions,
        "alone": layout.alone,
        "retention": (layout.retention[0] - 1, *layout.retention[1:]),
        "credit": layout.credit,
        "overlap": layout.overlap[1:],
    }
    return shapes[name]


def _begin(layout: Layout, name: ReplicateTable) -> int:
    """Where a table begins in its book."""
    before = [
        other for other in REPLICATE_TABLES[: REPLICATE_TABLES.index(name)] if (other in _SMALL) == (name in _SMALL)
    ]
    return sum(math.prod(_shape(layout, other)) for other in before)


def _stacked(layout: Layout, lines: Mapping[ReplicateTable, Sequence[Lines]], entries: int, customers: int) -> Table:
    """Lines of several tables as one, shape [entry, customer]; single precision when all sums will fit into it."""
    flat = [(line, _begin(layout, name)) for name, some in lines.items() for line in some]
    largest = sum(len(line.entry) if line.amount is None else float(np.abs(line.amount).sum()) for line, _ in flat)
    precision = np.float32 if largest * LARGEST_WEIGHT < _EXACT_IN_SINGLE else np.float64
    size = sum(len(line.entry) for line, _ in flat)
    customer, entry = np.empty(size, np.int32), np.empty(size, np.int32)
    amount = np.ones(size, precision)
    end = 0
    for line, begin in flat:
        place = slice(end, end + len(line.entry))
        customer[place], end = line.customer, place.stop
        np.add(line.entry, begin, out=entry[place], casting="unsafe")
        if line.amount is not None:
            amount[place] = line.amount
    order = np.argsort(customer, kind="stable")  # runs that ascend already: merged, not sorted
    starts = np.zeros(customers + 1, np.int32)
    np.cumsum(np.bincount(customer, minlength=customers), out=starts[1:])
    return sparse.csc_array((amount[order], entry[order], starts), shape=(entries, customers))


def _part(table: Table, begin: int, end: int, weights: Weights) -> NDArray[np.float32 | np.float64] | None:
    """Weighed sums over the columns `begin` to `end` - 1 of a table; None when they are empty."""
    low, high = int(table.indptr[begin]), int(table.indptr[end])
    if low == high:
        return None
    starts = table.indptr[begin : end + 1] - low
    who = np.flatnonzero(np.diff(starts))
    if 2 * len(who) < len(weights):
        starts, weights = np.append(starts[who], high - low), weights[who]
    shape = (table.shape[0], len(weights))
    part = sparse.csc_array((table.data[low:high], table.indices[low:high], starts), shape=shape)
    sums: NDArray[np.float32 | np.float64] = part @ weights.astype(table.dtype, copy=False)
    return sums
