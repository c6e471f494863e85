"""Which channels customers have in common (O) and how long they come back (R), from sessions of whole customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rechannel.tables.journeyrules import MOST_AGES, OVERLAP_UNIT, IntArray
from rechannel.tables.replicates import Lines
from rechannel.tables.sessions import Orders, Sessions
from rechannel.vocabulary.estimate import FloatArray

CUSTOMERS_AT_ONCE = 1 << 13


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Sums over customers.

    Attributes
    ----------
    customers, shared
        Shape [channel, channel], see `journeys.OVERLAP`.
    alone
        Shape [part, channel], see `journeys.ALONE`.
    alone_lines, shared_lines
        What each customer adds to `alone` (flattened) and to `shared` (flattened); empty unless asked for.
    """

    customers: IntArray
    shared: IntArray
    alone: IntArray
    alone_lines: tuple[Lines, ...]
    shared_lines: tuple[Lines, ...]


def overlaps_of(sessions: Sessions, size: int, known_from: int, with_lines: bool) -> Overlaps:
    """Channels in common of the customers of a batch.

    Parameters
    ----------
    sessions
        Of whole customers.
    size
        Channels of the log.
    known_from
        From when on a first session counts as the customer's first ever.
    with_lines
        Whether the bootstrap needs what each customer adds.
    """
    shared = np.zeros((size, size), np.int64)
    customers = np.zeros((size, size), np.int64)
    alone = np.zeros((4, size), np.int64)
    early = np.flatnonzero(sessions.time < known_from)
    fresh = np.flatnonzero(sessions.opens & (sessions.time >= known_from))
    alone[0] = np.bincount(sessions.channel, minlength=size)
    alone[2] = np.bincount(sessions.channel[early], minlength=size)
    alone[3] = np.bincount(sessions.channel[fresh], minlength=size)
    held = np.diff(sessions.first)
    alone_lines, shared_lines = list[Lines](), list[Lines]()
    for begin in range(0, sessions.customers, CUSTOMERS_AT_ONCE):
        end = min(begin + CUSTOMERS_AT_ONCE, sessions.customers)
        span = slice(int(sessions.first[begin]), int(sessions.first[end]))
        place = (sessions.customer[span] - begin) * size + sessions.channel[span]
        counts = np.bincount(place, minlength=(end - begin) * size).astype(np.float64).reshape(-1, size)
        others = held[begin:end, None] - counts
        scaled = counts * np.where(others > 0, np.floor(OVERLAP_UNIT / (others + 1)), 0)
        solo = counts * (others == 0)
        owns = (counts > 0).astype(np.float64)
        each = np.ones(len(counts))
        common = scaled.T @ counts
        np.fill_diagonal(common, each @ scaled)
        # Sums of whole numbers below 2^53: exact in double precision.
        customers += (owns.T @ owns).astype(np.int64)
        shared += common.astype(np.int64)
        alone[1] += (each @ solo).astype(np.int64)
        if with_lines:
            one, pairs = _lines(counts, scaled, others, begin)
            alone_lines += one
            shared_lines.append(pairs)
    if with_lines:
        alone_lines.append(Lines(sessions.customer[early], 2 * size + sessions.channel[early]))
        alone_lines.append(Lines(sessions.customer[fresh], 3 * size + sessions.channel[fresh]))
    return Overlaps(customers, shared, alone, tuple(alone_lines), tuple(shared_lines))


def _lines(counts: FloatArray, scaled: FloatArray, others: FloatArray, begin: int) -> tuple[list[Lines], Lines]:
    """What each of some customers, numbered from `begin`, adds to `alone` and to `shared`."""
    size = counts.shape[1]
    customer, channel = np.nonzero(counts)
    amount = counts[customer, channel].astype(np.int64)
    solo = np.flatnonzero(others[customer, channel] == 0)
    one = [Lines(begin + customer, channel, amount), Lines(begin + customer[solo], size + channel[solo], amount[solo])]
    several = np.flatnonzero(others[customer, channel])
    customer, channel, amount = customer[several], channel[several], amount[several]
    held = np.bincount(customer, minlength=len(counts))
    start = np.cumsum(held) - held
    width = held[customer]
    left = np.repeat(np.arange(len(customer)), width)
    right = np.arange(len(left)) - np.repeat(np.cumsum(width) - width - start[customer], width)
    weight = scaled[customer, channel].astype(np.int64)[left] * np.where(left == right, 1, amount[right])
    return one, Lines(begin + customer[left], channel[left] * size + channel[right], weight)


@dataclass(frozen=True, slots=True)
class Retention:
    """Sums by the channel of a customer's first session and age.

    Attributes
    ----------
    sums
        Shape [part, channel, age], see `journeys.RETENTION`.
    lines
        What each customer adds to the first three parts (flattened).
    """

    sums: IntArray
    lines: tuple[Lines, ...]


def retention_of(sessions: Sessions, orders: Orders, size: int, known_from: int, last: int, width: int) -> Retention:
    """How long the customers of a batch come back and buy.

    Parameters
    ----------
    sessions, orders
        Of whole customers.
    size
        Channels of the log.
    known_from
        Customers whose first session is older are left out: it need not be their first ever.
    last
        End of the log, microseconds.
    width
        Width of an age, microseconds.
    """
    ages = MOST_AGES + 1
    sums = np.zeros((4, size, ages), np.int64)
    opening = np.flatnonzero(sessions.opens)
    begins = np.full(sessions.customers, np.iinfo(np.int64).max, np.int64)
    entered, whole = np.zeros(sessions.customers, np.int64), np.zeros(sessions.customers, np.int64)
    who = sessions.customer[opening]
    begins[who], entered[who] = sessions.time[opening], sessions.channel[opening]
    whole[who] = np.minimum((last - sessions.time[opening]) // width, MOST_AGES)
    cohort = np.flatnonzero((begins >= known_from) & (begins <= last))
    observed = Lines(cohort, entered[cohort] * ages + whole[cohort])
    active = _aged(sessions.customer, sessions.time, begins, entered, whole, known_from, width)
    seen = active.keep
    again = np.flatnonzero((active.entry[1:] == active.entry[:-1]) & (seen[1:] == seen[:-1])) + 1
    once = np.delete(np.arange(len(seen)), again)
    bought = _aged(orders.customer, orders.time, begins, entered, whole, known_from, width)
    cells = size * ages
    lines = (
        observed,
        Lines(seen[once], cells + active.entry[once]),
        Lines(bought.keep, 2 * cells + bought.entry),
    )
    for line in lines:
        sums += np.bincount(line.entry, minlength=sums.size).reshape(sums.shape)
    np.add.at(sums[3].reshape(-1), bought.entry, orders.value[bought.row])
    return Retention(sums, lines)


@dataclass(frozen=True, slots=True)
class _Aged:
    """Moments inside a fully observed age: their customers, entries of [channel, age], and which rows they are."""

    keep: IntArray
    entry: IntArray
    row: IntArray


def _aged(
    customer: IntArray,
    time: IntArray,
    begins: IntArray,
    entered: IntArray,
    whole: IntArray,
    known_from: int,
    width: int,
) -> _Aged:
    start = begins[customer]
    row = np.flatnonzero((start >= known_from) & (time >= start))
    who = customer[row]
    age = (time[row] - start[row]) // width
    inside = age < whole[who]
    row, who, age = row[inside], who[inside], age[inside]
    return _Aged(who, entered[who] * (MOST_AGES + 1) + age, row)
