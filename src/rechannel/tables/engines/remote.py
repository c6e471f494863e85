"""Journeys of a table on an engine: the queries are run one after another, their small results become the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
import pyarrow as pa

from rechannel.tables.engines.sql import COUNTED, Dialect, Script, survey
from rechannel.tables.journeyrules import (
    COUNTS,
    DECAY_UNIT,
    HEURISTICS,
    KINDS,
    PARTS,
    Bootstrap,
    Days,
    IntArray,
    JourneyRules,
    Layout,
    Log,
)
from rechannel.tables.journeys import JourneyTables, KeyedSums, length_key, members_of, set_key
from rechannel.tables.lengths import heuristic_sums
from rechannel.tables.replicates import Replicates
from rechannel.tables.touches import COLUMNS, Told
from rechannel.vocabulary.errors import CallError

SHARDS = 200
"""Customers are dealt into this many parts when intervals are wanted."""
Row = Sequence[object]
_COLUMNS_OF = {
    "counts": 1 + len(COUNTED),
    "transitions": 6,
    "channel_sets": 6,
    "by_length": 16,
    "overlap": 5,
    "alone": 6,
    "retention": 5,
    "distinct_paths": 1,
}
"""Queries in the order in which they are run, and columns of their results."""


class Engine(Protocol):
    """Where a table of touches lives."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def table(self) -> str:
        """The table as the engine names it, quoted."""
        ...

    def columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        ...

    def rows(self, query: str) -> Sequence[Row]:
        """All rows of a small result."""
        ...


def fold_on(
    engine: Engine,
    rules: JourneyRules | None = None,
    bootstrap: Bootstrap | None = None,
    *,
    shards: int = 1,
    tell: Told | None = None,
) -> JourneyTables:
    """The five tables of a table of touches, made by the engine that holds it.

    Parameters
    ----------
    engine
        Columns customer, time, channel, event and, if known, value.
    rules
        The contract.
    bootstrap
        Replicates wanted. The engine deals the customers into `SHARDS` parts by a hash; a replicate draws as many parts
        with replacement. Its variance is that of a bootstrap over customers, itself known to 1 in 10.
    shards
        Parts of the customers when no replicates are wanted; the sums are the same under any number.
    tell
        Told how many queries are done, and of how many.

    Returns
    -------
    JourneyTables
        The same integers as `touches.fold_touches` gives; paths are counted by the engine.

    Raises
    ------
    CallError
        RC355-RC360 as `fold_touches`; RC363: a column is missing.
    """
    chosen, asked = rules or JourneyRules(), bootstrap or Bootstrap()
    script = script_on(engine, chosen, SHARDS if asked.replicates else shards)
    found: dict[str, IntArray] = {}
    for done, name in enumerate(_COLUMNS_OF, start=1):
        found[name] = integers(engine.rows(getattr(script, name)()))
        if tell:
            tell(done, len(_COLUMNS_OF))
    return _Assembly(script, found, asked).tables()


def overlap_on(engine: Engine, days: Days, bootstrap: Bootstrap) -> JourneyTables:
    """The tables of shared customers from some days of a table of touches; the other tables are empty.

    Parameters
    ----------
    engine
        As for `fold_on`.
    days
        Rows outside are not looked at.
    bootstrap
        Of `alone` and `overlap`; replicates as in `fold_on`.

    Raises
    ------
    CallError
        As `fold_on`; RC360: there are no touches in those days.
    """
    script = script_on(_Within(engine, days), JourneyRules(), SHARDS if bootstrap.replicates else 1)
    found = {name: np.zeros((0, columns), np.int64) for name, columns in _COLUMNS_OF.items()}
    for name in ("overlap", "alone"):
        found[name] = integers(engine.rows(getattr(script, name)()))
    found["distinct_paths"] = np.zeros((1, 1), np.int64)
    return _Assembly(script, found, bootstrap).tables()


@dataclass(frozen=True, slots=True)
class _Within:
    """Some days of the table of an engine."""

    engine: Engine
    days: Days

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @property
    def table(self) -> str:
        first, end = self.days.moments
        time = self.dialect.micros("time")
        return f"(SELECT * FROM {self.engine.table} WHERE {time} >= {first} AND {time} < {end})"

    def columns(self) -> tuple[str, ...]:
        return self.engine.columns()

    def rows(self, query: str) -> Sequence[Row]:
        return self.engine.rows(query)


def daily_on(engine: Engine, rules: JourneyRules | None = None) -> pa.Table:
    """The daily panel of a table of touches: date, channel, visits, new_customers, orders, gmv.

    A visit is a session, on the day it starts, through its first channel. Orders, their value and first orders in the
    log stand on their own day and under their own channel, as the table states it.

    Raises
    ------
    CallError
        As `fold_on`.
    """
    chosen = rules or JourneyRules()
    script = script_on(engine, chosen, 1)
    rows = integers(engine.rows(script.daily()))
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))] if len(rows) else rows.reshape(0, 6)
    columns: dict[str, pa.Array] = {
        "date": pa.array(rows[:, 0].astype("datetime64[D]")),
        "channel": pa.array([script.log.channels[place] for place in rows[:, 1]], pa.string()),
        "visits": pa.array(rows[:, 2].astype(np.float64)),
        "new_customers": pa.array(rows[:, 3].astype(np.float64)),
        "orders": pa.array(rows[:, 4].astype(np.float64)),
    }
    if script.has_value:
        columns["gmv"] = pa.array(rows[:, 5] / 10**chosen.decimals)
    return pa.table(columns)


def script_on(engine: Engine, rules: JourneyRules, shards: int = 1) -> Script:
    """Look at the log, and plan the queries on it (errors as `fold_on`)."""
    present = engine.columns()
    lacking = [name for name in COLUMNS if name not in present]
    if lacking:
        raise CallError("RC363", columns=", ".join(lacking), table=engine.table)
    has_value = "value" in present
    rows = engine.rows(survey(engine.dialect, engine.table, has_value, rules))
    if not rows:
        raise CallError("RC360")
    odd = sum(int(cast(int, row[4])) for row in rows)
    if odd:
        largest = (1 << 52) / 10**rules.decimals
        raise CallError("RC359", count=f"{odd:,}", largest=f"{largest:g}")
    first, last = min(int(cast(int, row[2])) for row in rows), max(int(cast(int, row[3])) for row in rows)
    log = Log(tuple(sorted(str(row[0]) for row in rows)), first, last, sum(int(cast(int, row[1])) for row in rows))
    log.fits(rules)
    return Script(engine.dialect, engine.table, rules, log, shards, has_value)


def integers(rows: Sequence[Row]) -> IntArray:
    """Rows of whole numbers, however the engine wraps them; shape [row, column]."""
    return np.array([[int(cast(int, value)) for value in row] for row in rows], dtype=np.int64)


class _Assembly:
    """Results of the queries, shard by shard, on their way to the tables."""

    def __init__(self, script: Script, found: dict[str, IntArray], asked: Bootstrap) -> None:
        self.script, self.found, self.asked = script, found, asked
        self.rules, self.pairs = script.rules, script.layout
        self.layout = replace(self.pairs, order=self.rules.order)
        self.shards = script.shards

    def tables(self) -> JourneyTables:
        """Sums over the shards, and replicates that draw shards."""
        layout, pairs = self.layout, self.pairs
        counted = self.found["counts"].sum(axis=0)[1:]
        counts = {name: int(count) for name, count in zip(COUNTED, counted, strict=True)}
        counts["duplicates"] = counts["rows"] - counts.pop("distinct")
        triples = self._dense("transitions", (self.shards, *pairs.transitions), (0, 1, 2, 3, 4), 5)
        moves = triples if layout.order == 2 else np.stack([_order_one(one, layout) for one in triples])
        overlap = self._dense("overlap", (self.shards, *layout.overlap), (1, 0, 2, 3), 4)
        alone = np.zeros((self.shards, *layout.alone), np.int64)
        rows = self.found["alone"].reshape(-1, 6)
        alone[rows[:, 0], :, rows[:, 1]] = rows[:, 2:]
        retention = self._dense("retention", (self.shards, *layout.retention), (1, 0, 2, 3), 4)
        sets, lengths = KeyedSums.empty(len(KINDS)), KeyedSums.empty(len(KINDS) * len(PARTS))
        set_rows = self.found["channel_sets"].reshape(-1, 6)
        sets.add(set_key(set_rows[:, 1], set_rows[:, 2]), set_rows[:, 3:])
        length_rows = self.found["by_length"].reshape(-1, 16)
        lengths.add(length_key(length_rows[:, 1], length_rows[:, 2], length_rows[:, 3]), length_rows[:, 4:])
        replicates = Replicates.empty(layout, self.asked)
        if self.asked.replicates:
            by_shard = {
                "transitions": moves,
                "alone": alone,
                "retention": retention[:, :3],
                "overlap": overlap[:, 2],
                "credit": self._credit(set_rows, length_rows),
            }
            draws = np.random.default_rng(self.asked.seed % (1 << 64)).multinomial(
                self.shards, np.full(self.shards, 1 / self.shards), self.asked.replicates
            )
            replicates.draw({name: by_shard[name] for name in self.asked.of}, draws.astype(np.int64))
        return JourneyTables(
            rules=self.rules,
            log=self.script.log,
            counts={name: counts[name] for name in COUNTS},
            transitions=moves.sum(axis=0),
            channel_sets=sets,
            by_length=lengths,
            overlap=overlap.sum(axis=0),
            alone=alone.sum(axis=0),
            retention=retention.sum(axis=0),
            distinct_paths=int(self.found["distinct_paths"][0, 0]),
            path_keys=np.zeros(0, np.uint64),
            replicates=replicates,
        )

    def _dense(self, name: str, shape: tuple[int, ...], places: tuple[int, ...], value: int) -> IntArray:
        """Rows of a query as an array: `places` are its columns in the order of the axes."""
        table = np.zeros(shape, np.int64)
        rows = self.found[name]
        if len(rows):
            table[tuple(rows[:, place] for place in places)] = rows[:, value]
        return table

    def _credit(self, set_rows: IntArray, length_rows: IntArray) -> IntArray:
        """Credit of every heuristic in whole units, shape [shard, *Layout.credit]."""
        table = np.zeros((self.shards, *self.layout.credit), np.float64)
        size = self.layout.channels
        shard, period, channel, length = length_rows[:, :4].T
        heuristics = heuristic_sums(length_rows[:, 4:].reshape(-1, len(KINDS), len(PARTS)), length, self.rules)
        keys = set_key(set_rows[:, 1], set_rows[:, 2])
        when, inside = members_of(keys, size)
        for place, kind in enumerate(KINDS):
            if kind not in self.asked.kinds:
                continue
            unit = 1 if kind == "value" else DECAY_UNIT
            for name, sums in heuristics.items():
                scaled = sums[:, place] * (1 if name == "time_decay" else unit)
                np.add.at(table[:, place, HEURISTICS.index(name)], (shard, period, channel), scaled)
            each = unit * set_rows[:, 3 + place] / np.maximum(inside.sum(axis=1), 1)
            row, member = np.nonzero(inside)
            shares = table[:, place, HEURISTICS.index("shapley")]
            np.add.at(shares, (set_rows[row, 0], when[row], member.astype(np.int64)), each[row])
        return np.rint(table).astype(np.int64)


def _order_one(triples: IntArray, layout: Layout) -> IntArray:
    """Transitions of order 1 from those of order 2."""
    table = np.zeros(layout.transitions, np.int64)
    table[:, : layout.channels] = triples.sum(axis=1)
    table[:, layout.start, : layout.channels] = triples[:, layout.start].sum(axis=2)
    return table
