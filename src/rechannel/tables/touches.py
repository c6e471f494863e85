"""A log of touches on disk, read by DuckDB in order of customer and time, some megabytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rechannel.source.engine import locked_engine, quoted
from rechannel.tables.fold import Touches, fold
from rechannel.tables.journeyrules import (
    BLANK,
    LARGEST_VALUE,
    Bootstrap,
    Days,
    JourneyRules,
    Log,
    Shard,
)
from rechannel.tables.journeys import JourneyTables
from rechannel.tables.sessions import CODE_BITS, ORDER_BIT
from rechannel.vocabulary.errors import CallError, CaseError, RechannelError

ROWS_AT_ONCE = 1 << 18
MEMORY_MB = 1024
"""Memory of the sort."""
COLUMNS = ("customer", "time", "channel", "event")
Told = Callable[[int, int], None]
"""Called with rows done and rows of the log."""


@dataclass(frozen=True, slots=True)
class TouchFiles:
    """Parquet files that are one log of touches: customer, time, channel, event and, if known, value.

    Other columns are not read.

    Attributes
    ----------
    files
        The files.
    days
        The days that are read; None = all. Rows outside are as if they were not there.
    """

    files: tuple[Path, ...]
    days: Days | None = None

    @property
    def relation(self) -> str:
        """The log as SQL."""
        listed = ", ".join(quoted(str(file.resolve())) for file in self.files)
        table = f"read_parquet([{listed}])"
        if self.days is None:
            return table
        # as timestamps, not as microseconds: row groups of other days are then not read at all
        first, end = (f"TIMESTAMP '{day.isoformat()} 00:00:00'" for day in (self.days.first, self.days.end))
        return f"(SELECT * FROM {table} WHERE time >= {first} AND time < {end})"


def fold_touches(
    touches: TouchFiles,
    rules: JourneyRules | None = None,
    bootstrap: Bootstrap | None = None,
    *,
    shard: Shard | None = None,
    enough: int | None = None,
    memory_mb: int = MEMORY_MB,
    tell: Told | None = None,
) -> JourneyTables:
    """The five tables of a log on disk: one external sort, one pass.

    Parameters
    ----------
    touches
        The log; it may be larger than memory.
    rules, bootstrap
        The contract, and the replicates wanted (none when left out).
    shard
        Fold only this part of the customers.
    enough
        Rows that are enough: of a longer log a part of the customers is folded that holds about as many.
    memory_mb
        Memory of the sort; what does not fit goes to a private folder that is removed at the end. The process needs
        about 250 MB on top of it.
    tell
        Told how far the pass is.

    Raises
    ------
    CallError
        RC355-RC358 (rules, too many channels); RC359: rows that are no touches; RC360: the log is empty.
    CaseError
        RC207: the files cannot be read, or lack a column.

    Examples
    --------
    >>> tables = fold_touches(TouchFiles((Path("touches.parquet"),)))  # doctest: +SKIP
    >>> tables.counts["sessions"], tables.distinct_paths  # doctest: +SKIP
    """
    wanted, chosen = rules or JourneyRules(), bootstrap or Bootstrap()
    with locked_engine(touches.files, memory_mb) as connection:
        log, has_value = read_log(connection, touches, wanted)
        log.fits(wanted)
        if tell:
            tell(0, log.rows)
        part = shard or Shard(0, max(1, -(-log.rows // (enough or log.rows))))
        query = _ordered(touches, log, wanted, has_value, part)
        return fold(_whole_customers(_batches(connection, query), log, wanted, tell), log, wanted, chosen)


def read_log(connection: duckdb.DuckDBPyConnection, touches: TouchFiles, rules: JourneyRules) -> tuple[Log, bool]:
    """Channels, days and rows of a log, and whether it has order values.

    Raises
    ------
    CallError
        RC359: no row has both a time and a channel; RC360: no rows.
    CaseError
        RC207: the files cannot be read, or lack a column.
    """
    names = ", ".join(file.name for file in touches.files)
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {touches.relation}").fetchall()
    except duckdb.Error as error:
        raise CaseError("RC207", file=names, reason=str(error).splitlines()[0][:200]) from error
    columns = {str(row[0]) for row in described}
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise CaseError("RC207", file=names, reason=f"no column {', '.join(lacking)}")
    rows = connection.execute(
        f"SELECT channel, count(*), min(time), max(time) FROM {touches.relation} GROUP BY channel"
    ).fetchall()
    if not rows:
        raise CallError("RC360")
    known = [row for row in rows if None not in row]
    if not known:
        raise CallError("RC359", count=f"{sum(int(row[1]) for row in rows):,}", largest=_largest(rules))
    first, last = min(row[2] for row in known), max(row[3] for row in known)
    return Log(
        tuple(sorted(str(row[0]) for row in known)), _moment(first), _moment(last), sum(int(row[1]) for row in rows)
    ), "value" in columns


def _moment(time: datetime) -> int:
    """A time of the engine in microseconds since 1970: wall clock, or UTC when it states a zone."""
    plain = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    return int(np.datetime64(plain, "us").astype(np.int64))


def _largest(rules: JourneyRules) -> str:
    return f"{LARGEST_VALUE / 10**rules.decimals:g}"


def _ordered(touches: TouchFiles, log: Log, rules: JourneyRules, has_value: bool, shard: Shard) -> str:
    """The log as three numbers a row, in the order of the contract.

    The customer is a 64-bit hash: among a hundred million customers any two share one with a chance of 1 in 3,700.
    """
    key = "CASE WHEN customer IS NOT NULL THEN hash(customer) END"
    names = ", ".join(quoted(name) for name in log.channels)
    packed = f"""((epoch_us(time) - {log.first}) << {CODE_BITS})
        + CASE event WHEN 'order' THEN {ORDER_BIT} WHEN 'visit' THEN 0 END + enum_code(channel::ENUM({names}))"""
    scaled = f"floor(value * {10**rules.decimals}::DOUBLE + 0.5)"
    amount = f"CASE WHEN value IS NULL THEN {BLANK} WHEN abs({scaled}) < {int(LARGEST_VALUE)} THEN {scaled}::BIGINT END"
    part = f"WHERE {key} % {shard.of} = {shard.number}" if shard.of > 1 else ""
    return f"""SELECT {key} AS k, ({packed})::BIGINT AS p, {amount if has_value else BLANK}::BIGINT AS v
        FROM {touches.relation} {part} ORDER BY k, p, v"""


def _batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The rows of an ordered query as they come.

    A relation (`sql`), not a statement: with `execute` the whole result is copied first.
    """
    relation = connection.sql(query)
    reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    yield from reader(ROWS_AT_ONCE)


def _whole_customers(
    batches: Iterator[pa.RecordBatch], log: Log, rules: JourneyRules, tell: Told | None
) -> Iterator[Touches]:
    """Batches cut between customers.

    Raises
    ------
    CallError
        RC359: a row with an empty cell, another event than visit or order, or a value that is no number of the size of
        an order.
    RechannelError
        RC001: the engine broke the order.
    """
    held: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]] = []
    last, done = -1, 0
    for batch in batches:
        odd = max(column.null_count for column in batch.columns)
        if odd:
            raise CallError("RC359", count=f"{odd:,}", largest=_largest(rules))
        key, packed, value = (column.to_numpy() for column in batch.columns)
        if not len(key):
            continue
        if int(key[0]) < last or np.any(key[1:] < key[:-1]):
            raise RechannelError("RC001", kind="order", detail="the engine returned an ordered query out of order")
        last, done = int(key[-1]), done + len(key)
        split = int(np.searchsorted(key, key[-1]))
        if split:
            held.append((key[:split], packed[:split], value[:split]))
            yield _joined(held, log)
            held = []
        held.append((key[split:], packed[split:], value[split:]))
        if tell:
            tell(done, log.rows)
    if held:
        yield _joined(held, log)


def _joined(parts: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]], log: Log) -> Touches:
    key, packed, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Touches(key, packed + (log.first << CODE_BITS), value)
