"""Touches of whole customers, in order, become sessions, and the paths of their orders."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.tables.journeyrules import BLANK, DECAY_UNIT, IntArray, JourneyRules
from rechannel.vocabulary.estimate import FloatArray

CHANNEL_BITS = 6
ORDER_BIT = 1 << CHANNEL_BITS
CODE_BITS = CHANNEL_BITS + 1
"""A packed touch is (time << CODE_BITS) | (order ? ORDER_BIT : 0) | channel: sorted, it is in the contract's order."""
PAIRS_AT_ONCE = 1 << 20

HALVING = tuple(round((1 << 40) * (-math.log(2)) ** k / math.factorial(k)) for k in range(15))
"""2^40 x 2^-f = sum of HALVING[k] f^k for f in [0, 1), to 3e-12. Whole coefficients and Horner's rule in doubles
give the same bits on every engine; exp() does not."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions of the customers of a batch, in order of customer and time.

    Attributes
    ----------
    customers
        How many customers the batch holds; they are numbered from 0 in its order.
    first
        Shape [customer + 1]: where a customer's sessions begin.
    customer, time, channel
        Shape [session]; time in microseconds.
    opens
        Shape [session]: whether it is its customer's first.
    repeats
        Exact repeats dropped; visits and orders left after that.
    """

    customers: int
    first: IntArray
    customer: IntArray
    time: IntArray
    channel: IntArray
    opens: NDArray[np.bool_]
    repeats: int
    visits: int


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of a batch, each with its path: the sessions `low` to `high` - 1, none when they are equal.

    Attributes
    ----------
    customer, time, value, low, high
        Shape [order]; value in units of the last decimal, 0 where it was empty.
    is_first
        Shape [order]: the customer's first in the log.
    """

    customer: IntArray
    time: IntArray
    value: IntArray
    is_first: NDArray[np.bool_]
    low: IntArray
    high: IntArray


@dataclass(frozen=True, slots=True)
class Steps:
    """The sessions of some paths, path after path.

    Attributes
    ----------
    path
        Shape [path]: which order.
    start
        Shape [path]: where its steps begin.
    of
        Shape [step]: which of the paths.
    session
        Shape [step].
    length
        Shape [path]: sessions in it.
    """

    path: IntArray
    start: IntArray
    of: IntArray
    session: IntArray
    length: IntArray


def cut(key: NDArray[np.uint64], packed: IntArray, value: IntArray, rules: JourneyRules) -> tuple[Sessions, Orders]:
    """Sessions and orders of whole customers.

    Parameters
    ----------
    key
        Customers, ascending; shape [row].
    packed
        Time, event and channel as one number, ascending within a customer; shape [row].
    value
        Units of the last decimal, `BLANK` when empty; ascending within equal `packed`; shape [row].
    rules
        Gap and lookback.
    """
    same = key[1:] == key[:-1]
    repeat = same & (packed[1:] == packed[:-1])
    repeat &= value[1:] == value[:-1]
    repeats = int(np.count_nonzero(repeat))
    if repeats:
        keep = np.concatenate([[True], ~repeat])
        packed, value = packed[keep], value[keep]
        same = same[keep[1:]]
    who = np.zeros(len(packed), np.int64)
    np.cumsum(~same, out=who[1:])
    time = packed >> CODE_BITS
    is_order = (packed & ORDER_BIT) != 0
    rows = np.flatnonzero(~is_order)
    customer, when = who[rows], time[rows]
    begins = np.ones(len(rows), bool)
    np.not_equal(customer[1:], customer[:-1], out=begins[1:])
    opens = begins.copy()
    begins[1:] |= (when[1:] - when[:-1]) > rules.gap
    starts = np.flatnonzero(begins)
    customer, when, start_row = customer[starts], when[starts], rows[starts]
    customers = int(who[-1]) + 1 if len(who) else 0
    first = np.zeros(customers + 1, np.int64)
    np.cumsum(np.bincount(customer, minlength=customers), out=first[1:])
    channel = packed[start_row] & (ORDER_BIT - 1)
    sessions = Sessions(customers, first, customer, when, channel, opens[starts], repeats, len(rows))
    return sessions, _orders(np.flatnonzero(is_order), who, time, value, start_row, sessions, rules)


def _orders(
    rows: IntArray,
    who: IntArray,
    time: IntArray,
    value: IntArray,
    start_row: IntArray,
    sessions: Sessions,
    rules: JourneyRules,
) -> Orders:
    """The orders at `rows`, each with the range of its sessions."""
    customer, when = who[rows], time[rows]
    is_first = np.ones(len(rows), bool)
    np.not_equal(customer[1:], customer[:-1], out=is_first[1:])
    high = np.searchsorted(start_row, rows).astype(np.int64)
    low, top = sessions.first[customer], high.copy()
    np.minimum(low, high, out=low)
    since = when - rules.lookback
    # Bisection of all orders at once: the first session that is not too old.
    while True:
        open_ = np.flatnonzero(low < top)
        if not len(open_):
            break
        middle = (low[open_] + top[open_]) >> 1
        old = sessions.time[middle] < since[open_]
        low[open_[old]] = middle[old] + 1
        top[open_[~old]] = middle[~old]
    amount = value[rows]
    return Orders(customer, when, np.where(amount == BLANK, 0, amount), is_first, low, high)


def steps(orders: Orders) -> Iterator[Steps]:
    """The sessions of every path that is not empty, some paths at a time."""
    length = orders.high - orders.low
    found = np.flatnonzero(length)
    ends = np.cumsum(length[found])
    done = 0
    while done < len(found):
        before = int(ends[done - 1]) if done else 0
        upto = max(done + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        path = found[done:upto]
        size = length[path]
        start = np.zeros(len(path), np.int64)
        np.cumsum(size[:-1], out=start[1:])
        of = np.repeat(np.arange(len(path)), size)
        session = np.arange(int(size.sum())) - np.repeat(start - orders.low[path], size)
        yield Steps(path, start, of, session, size)
        done = upto


def decay_shares(age: IntArray, some: Steps, half_life: float) -> FloatArray:
    """Shares of time decay, shape [step]; every path sums to 1 up to rounding.

    Parameters
    ----------
    age
        Microseconds from the step's session to the last one of its path: what all steps have in common cancels.
    some
        The paths.
    half_life
        Microseconds.
    """
    halvings = age / half_life
    whole = np.floor(halvings)
    part = halvings - whole
    weight = np.full(len(age), float(HALVING[-1]))
    for coefficient in HALVING[-2::-1]:
        weight *= part
        weight += float(coefficient)
    kept = np.floor(weight).astype(np.int64) >> np.minimum(whole, 62).astype(np.int64)
    return np.asarray(kept / np.add.reduceat(kept, some.start)[some.of], np.float64)


def shared_out(amount: IntArray, share: FloatArray, some: Steps) -> IntArray:
    """Whole amounts of paths by shares, shape [step]: rounded down, the last step takes the rest.

    Parameters
    ----------
    amount
        Shape [path]; |amount| < 2^52.
    share
        Shape [step].
    """
    part = np.floor(share * amount[some.of].astype(np.float64)).astype(np.int64)
    last = some.start + some.length - 1
    part[last] = 0
    part[last] = amount - np.add.reduceat(part, some.start)
    return part


def decay_of_orders(share: FloatArray, some: Steps) -> IntArray:
    """Time-decay credit of one order per path in `DECAY_UNIT`, shape [step]."""
    return shared_out(np.full(len(some.path), DECAY_UNIT, np.int64), share, some)


def path_keys(channel: IntArray, some: Steps) -> NDArray[np.uint64]:
    """A 64-bit key per path, shape [path]: equal for equal sequences of channels, else different but for 2^-64."""
    position = np.arange(len(channel)) - some.start[some.of]
    mixed = mix((position.astype(np.uint64) << np.uint64(CHANNEL_BITS)) | channel.astype(np.uint64))
    return np.add.reduceat(mixed, some.start)


def mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser (Steele, Lea and Flood 2014): every bit of the input reaches every bit of the output."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
