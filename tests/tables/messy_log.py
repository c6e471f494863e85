"""A log with what makes journeys go wrong: ties, repeats, exact gaps and lookbacks, orders without touches."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from journey_reference import BOUGHT, LOST, START, Reference, Row

from rechannel.tables.journeyrules import ALONE, DAY, MICROSECONDS, OVERLAP, RETENTION, Layout
from rechannel.tables.journeys import JourneyTables, length_parts, members_of

CHANNELS = ("app", "小程序", "entry", 'it\'s "odd" \\ one', "search; --", "Zeta")
BEGIN = 1_735_689_600 * MICROSECONDS
MINUTE = 60 * MICROSECONDS


def messy_log(seed: int, customers: int = 120) -> list[Row]:
    """Rows in no order; every customer has a few of the odd situations."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for number in range(customers):
        who, time = f"c{number:05d}", BEGIN + rng.randrange(70 * DAY)
        mine: list[Row] = []
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8, 13, 30))):
            step = rng.choice((0, 1, 29 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1, DAY, 3 * DAY, 7 * DAY, 30 * DAY))
            time += step + rng.choice((0, 0, rng.randrange(DAY)))
            mine.append((who, time, rng.choice(CHANNELS[: rng.choice((1, 3, 6))]), "visit", None))
            if rng.random() < 0.1:
                mine.append((who, time, rng.choice(CHANNELS), "visit", None))
        for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 4))):
            anchor = rng.choice(mine)[1]
            at = anchor + rng.choice((0, 0, 1, 30 * DAY, 30 * DAY + 1, rng.randrange(40 * DAY), -DAY))
            value = rng.choice((None, 0.0, 12.5, 0.1, 1e-5, 99999.99995, rng.random() * 300, -20.0))
            mine.append((who, at, rng.choice(CHANNELS), "order", value))
            if rng.random() < 0.3:
                mine.append((who, at, mine[-1][2], "order", rng.choice((None, 12.5, 80.0))))
        if rng.random() < 0.05:
            mine = [row for row in mine if row[3] == "order"] or mine
        mine += [rng.choice(mine) for _ in range(rng.choice((0, 0, 1, 3))) if mine]
        rows += mine
    rng.shuffle(rows)
    return rows


def as_table(rows: list[Row]) -> pa.Table:
    """Rows as the canonical table of touches."""
    who, time, channel, event, value = zip(*rows, strict=True)
    return pa.table(
        {
            "customer": pa.array(who, pa.string()),
            "time": pa.array(time, pa.int64()).cast(pa.timestamp("us")),
            "channel": pa.array(channel, pa.string()),
            "event": pa.array(event, pa.string()),
            "value": pa.array(value, pa.float64()),
        }
    )


def write_log(rows: list[Row], path: Path) -> Path:
    pq.write_table(as_table(rows), path)
    return path


def by_name(tables: JourneyTables) -> Reference:
    """Tables with names in place of codes, to be compared with the reference entry by entry."""
    found, layout, names = Reference(), tables.layout, tables.log.channels
    assert layout.order == 2
    found.counts.update(tables.counts)
    before, to = (*names, START), (*names, BOUGHT, LOST)
    for (period, a, b, c), count in _entries(tables.transitions):
        found.transitions[period, before[a], names[b], to[c]] = count
    periods, inside = members_of(tables.channel_sets.keys, layout.channels)
    for period, members, sums in zip(periods, inside, tables.channel_sets.sums, strict=True):
        held = frozenset(name for name, is_in in zip(names, members, strict=True) if is_in)
        found.sets[int(period), held] = [int(value) for value in sums]
    for period, channel, length, sums in zip(*length_parts(tables.by_length.keys), tables.by_length.sums, strict=True):
        found.lengths[int(period), names[channel], int(length)] = [int(value) for value in sums]
    for (part, one, other), count in _entries(tables.overlap):
        found.overlap[OVERLAP[part], names[one], names[other]] = count
    for (part, channel), count in _entries(tables.alone):
        found.alone[ALONE[part], names[channel]] = count
    for (part, channel, age), count in _entries(tables.retention):
        found.retention[RETENTION[part], names[channel], age] = count
    return found


def _entries(table: object) -> list[tuple[tuple[int, ...], int]]:
    import numpy as np

    assert isinstance(table, np.ndarray)
    return [(tuple(int(i) for i in at), int(table[tuple(at)])) for at in np.argwhere(table)]


def same(found: Reference, wanted: Reference) -> None:
    """Assert that two references agree in every entry that is not zero."""
    for name in ("counts", "transitions", "sets", "lengths", "overlap", "alone", "retention"):
        one, other = (
            {key: value for key, value in getattr(side, name).items() if _counts(value)} for side in (found, wanted)
        )
        assert one == other, name


def _counts(value: object) -> bool:
    return any(value) if isinstance(value, list) else bool(value)


def order_one(layout: Layout, wanted: Reference, names: tuple[str, ...]) -> dict[tuple[int, int, int], int]:
    """Transitions of order 1 by code, from the triples of the reference."""
    code = {name: index for index, name in enumerate(names)}
    sums: dict[tuple[int, int, int], int] = {}
    for (period, before, at, to), count in wanted.transitions.items():
        end = {BOUGHT: layout.bought, LOST: layout.lost}.get(to)
        if before == START:
            key = (period, layout.start, code[at])
            sums[key] = sums.get(key, 0) + count
        key = (period, code[at], code[to] if end is None else end)
        sums[key] = sums.get(key, 0) + count
    return sums
