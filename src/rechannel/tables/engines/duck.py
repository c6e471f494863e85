"""The SQL of journeys on DuckDB: the twin that the default pass and the company's engines are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb

from rechannel.tables.engines.sql import Step


class DuckDialect:
    """DuckDB's way of writing."""

    def micros(self, time: str) -> str:
        return f"epoch_us({time})"

    def whole(self, value: str) -> str:
        return f"CAST({value} AS BIGINT)"

    def real(self, value: str) -> str:
        return f"CAST({value} AS DOUBLE)"

    def total(self, value: str) -> str:
        return f"sum({value})"

    def half(self, value: str, times: str) -> str:
        return f"({value} >> CAST({times} AS BIGINT))"

    def bit(self, place: str) -> str:
        return f"(CAST(1 AS BIGINT) << {place})"

    def shard(self, customer: str, of: int) -> str:
        return f"CAST(hash({customer}) % {of} AS BIGINT)"

    def moved(self, step: Step, value: str, default: str, over: str) -> str:
        return f"{step}({value}, 1, {default}) OVER ({over})"

    def path(self, place: str, channel: str) -> str:
        return f"string_agg(CAST({channel} AS VARCHAR), '>' ORDER BY {place})"


@dataclass(frozen=True, slots=True)
class DuckEngine:
    """A table of touches in a DuckDB connection.

    Attributes
    ----------
    connection
        Open; only read.
    table
        The table or file as DuckDB names it, quoted.
    """

    connection: duckdb.DuckDBPyConnection
    table: str
    dialect: DuckDialect = field(default_factory=DuckDialect)

    def columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        return tuple(str(row[0]) for row in self.connection.execute(f"DESCRIBE SELECT * FROM {self.table}").fetchall())

    def rows(self, query: str) -> Sequence[tuple[object, ...]]:
        """All rows of a small result."""
        return self.connection.execute(query).fetchall()
