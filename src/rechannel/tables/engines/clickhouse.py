"""The SQL of journeys on ClickHouse (extra `clickhouse`): a server by its URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rechannel.tables.engines.sql import Step
from rechannel.vocabulary.errors import CallError, MissingPart

USER, PASSWORD = "RECHANNEL_ENGINE_USER", "RECHANNEL_ENGINE_PASSWORD"
Query = Callable[[str], Sequence[Sequence[object]]]


class ClickHouseDialect:
    """ClickHouse's way of writing.

    Parameters
    ----------
    timezone
        Zone whose wall clock days and times are in; empty = as stored.
    """

    def __init__(self, timezone: str = "") -> None:
        self.timezone = timezone

    def micros(self, time: str) -> str:
        stored = f"toUnixTimestamp64Micro(toDateTime64({time}, 6, 'UTC'))"
        if not self.timezone:
            return stored
        return f"({stored} + 1000000 * toInt64(timeZoneOffset(toTimeZone({time}, '{self.timezone}'))))"

    def whole(self, value: str) -> str:
        return f"toInt64({value})"

    def real(self, value: str) -> str:
        return f"toFloat64({value})"

    def total(self, value: str) -> str:
        return f"sum(toInt128({value}))"

    def half(self, value: str, times: str) -> str:
        return f"bitShiftRight({value}, toUInt8({times}))"

    def bit(self, place: str) -> str:
        return f"bitShiftLeft(toInt64(1), toUInt8({place}))"

    def shard(self, customer: str, of: int) -> str:
        return f"toInt64(cityHash64({customer}) % {of})"

    def moved(self, step: Step, value: str, default: str, over: str) -> str:
        # lag and lead of the frame: the frame must be the whole partition.
        whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
        return f"{step}InFrame({value}, 1, {default}) OVER ({over} {whole})"

    def path(self, place: str, channel: str) -> str:
        listed = f"arraySort(step -> step.1, groupArray(({place}, {channel})))"
        return f"arrayStringConcat(arrayMap(step -> toString(step.2), {listed}), '>')"


@dataclass(frozen=True, slots=True)
class ClickHouseEngine:
    """A table of touches on a ClickHouse server.

    Attributes
    ----------
    query
        Runs a query and gives its rows.
    table
        The table as ClickHouse names it, quoted.
    dialect
        With the zone of the case.
    """

    query: Query
    table: str
    dialect: ClickHouseDialect

    def columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        return tuple(str(row[0]) for row in self.query(f"DESCRIBE (SELECT * FROM {self.table})"))

    def rows(self, query: str) -> Sequence[tuple[object, ...]]:
        """All rows of a small result."""
        return [tuple(row) for row in self.query(query)]


def quoted_table(table: str) -> str:
    """database.table with each part quoted."""
    parts = (part.replace("\\", "\\\\").replace("`", "\\`") for part in table.split("."))
    return ".".join(f"`{part}`" for part in parts)


def clickhouse_engine(url: str, table: str, timezone: str = "") -> ClickHouseEngine:
    """Connect to a server.

    Parameters
    ----------
    url
        `http://host:8123/database` or `https://...`; user and password come from `RECHANNEL_ENGINE_USER` and
        `RECHANNEL_ENGINE_PASSWORD`.
    table
        Name, with its database when it is another one.
    timezone
        See `ClickHouseDialect`.

    Raises
    ------
    MissingPart
        RC361: clickhouse-connect is not installed.
    CallError
        RC362: the server cannot be reached or refuses.
    """
    try:
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import ClickHouseError
    except ImportError:
        raise MissingPart("RC361", engine="clickhouse", extra="clickhouse") from None
    try:
        client = clickhouse_connect.get_client(
            dsn=url, username=os.environ.get(USER, "default"), password=os.environ.get(PASSWORD, "")
        )
    except (ClickHouseError, OSError) as error:
        raise CallError("RC362", engine="clickhouse", reason=(str(error).splitlines() or [""])[0][:200]) from error

    def query(text: str) -> Sequence[Sequence[object]]:
        try:
            found: Sequence[Sequence[object]] = client.query(text).result_rows
            return found
        except (ClickHouseError, OSError) as error:
            raise CallError("RC362", engine="clickhouse", reason=(str(error).splitlines() or [""])[0][:200]) from error

    return ClickHouseEngine(query, quoted_table(table), ClickHouseDialect(timezone))
