"""The SQL of journeys on Spark (extra `spark`): a session in this process, or a cluster by Spark Connect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any  # pyspark is optional: what it gives goes through `rows` and `columns` only

from rechannel.tables.engines.sql import Step
from rechannel.vocabulary.errors import CallError, MissingPart


class SparkDialect:
    """Spark's way of writing; the session's time zone is UTC.

    Parameters
    ----------
    timezone
        Zone whose wall clock days and times are in; empty = as stored.
    """

    def __init__(self, timezone: str = "") -> None:
        self.timezone = timezone

    def micros(self, time: str) -> str:
        moved = f"from_utc_timestamp({time}, '{self.timezone}')" if self.timezone else f"CAST({time} AS TIMESTAMP)"
        return f"unix_micros({moved})"

    def whole(self, value: str) -> str:
        return f"CAST({value} AS BIGINT)"

    def real(self, value: str) -> str:
        return f"CAST({value} AS DOUBLE)"

    def total(self, value: str) -> str:
        return f"sum(CAST({value} AS DECIMAL(38, 0)))"

    def half(self, value: str, times: str) -> str:
        return f"shiftright({value}, CAST({times} AS INT))"

    def bit(self, place: str) -> str:
        return f"shiftleft(CAST(1 AS BIGINT), CAST({place} AS INT))"

    def shard(self, customer: str, of: int) -> str:
        return f"pmod(xxhash64({customer}), {of})"

    def moved(self, step: Step, value: str, default: str, over: str) -> str:
        return f"coalesce({step}({value}, 1) OVER ({over}), {default})"

    def path(self, place: str, channel: str) -> str:
        listed = f"array_sort(collect_list(struct({place}, {channel})))"
        return f"array_join(transform({listed}, step -> CAST(step.{channel} AS STRING)), '>')"


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """A table of touches in a Spark session.

    Attributes
    ----------
    session
        `pyspark.sql.SparkSession`, its time zone UTC.
    table
        The table as Spark names it, quoted.
    dialect
        With the zone of the case.
    """

    session: Any
    table: str
    dialect: SparkDialect

    def columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        return tuple(_asked(lambda: self.session.sql(f"SELECT * FROM {self.table} LIMIT 0").columns))

    def rows(self, query: str) -> Sequence[tuple[object, ...]]:
        """All rows of a small result (CallError RC362 when Spark fails)."""
        return [tuple(row) for row in _asked(lambda: self.session.sql(query).collect())]


def _asked(ask: Callable[[], Any]) -> Any:
    """What Spark answers; its failures as ours."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        return ask()
    except (PySparkException, Py4JError) as error:
        raise CallError("RC362", engine="spark", reason=(str(error).splitlines() or [""])[0][:200]) from error


def spark_engine(url: str, table: str, timezone: str = "") -> SparkEngine:
    """Connect to Spark.

    Parameters
    ----------
    url
        `sc://host:port` of Spark Connect, or a master such as `local[2]` or `spark://host:7077`.
    table
        Name with dots: catalog.schema.table.
    timezone
        See `SparkDialect`.

    Raises
    ------
    MissingPart
        RC361: pyspark is not installed.
    CallError
        RC362: the session cannot be made.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingPart("RC361", engine="spark", extra="spark") from None
    builder = SparkSession.builder.appName("rechannel").config("spark.sql.session.timeZone", "UTC")
    try:
        if url.startswith("sc://"):
            session = builder.remote(url).getOrCreate()
        else:
            quiet = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
            session = quiet.master(url or "local[2]").getOrCreate()
            session.sparkContext.setLogLevel("ERROR")
        session.conf.set("spark.sql.session.timeZone", "UTC")
    except (PySparkException, RuntimeError, OSError) as error:
        raise CallError("RC362", engine="spark", reason=(str(error).splitlines() or [""])[0][:200]) from error
    quoted = ".".join("`" + part.replace("`", "``") + "`" for part in table.split("."))
    return SparkEngine(session, quoted, SparkDialect(timezone))
