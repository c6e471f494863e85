"""Conformance: DuckDB, Spark and ClickHouse say the same integers as plain Python and as the pass, under any sharding.

Spark needs pyspark and Java 17, ClickHouse needs chdb (`make conformance`); what is not installed is skipped by name.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from journey_reference import Reference, later_orders, reference
from messy_log import by_name, messy_log, same, write_log

from rechannel.tables.engines.clickhouse import ClickHouseDialect, ClickHouseEngine
from rechannel.tables.engines.duck import DuckEngine
from rechannel.tables.engines.remote import Engine, daily_on, fold_on, overlap_on
from rechannel.tables.engines.spark import SparkEngine, spark_engine
from rechannel.tables.histories import AGE_DAYS, order_log
from rechannel.tables.journeyrules import DAY, MOST_AGES, REPLICATE_TABLES, Bootstrap, Days, JourneyRules
from rechannel.tables.journeys import JourneyTables
from rechannel.tables.touches import TouchFiles, fold_touches
from rechannel.vocabulary.errors import CallError

BREAKS = (datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))
RULES = JourneyRules(order=2, breaks=BREAKS)
ENGINES = ("duckdb", "spark", "clickhouse")
ALL_MUST_RUN = "RECHANNEL_CONFORMANCE"
"""Set by `make conformance`: an engine that is missing then fails instead of being skipped."""

pytestmark = pytest.mark.filterwarnings(  # py4j leaves sockets to the collector
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference]:
    rows = messy_log(17, 150)
    path = write_log(rows, tmp_path_factory.mktemp("log") / "touches.parquet")
    return path, reference(rows, RULES)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, log: tuple[Path, Reference]) -> Iterator[Engine]:
    wanted = {"spark": "pyspark", "clickhouse": "chdb"}.get(request.param)
    if wanted and importlib.util.find_spec(wanted) is None:
        if os.environ.get(ALL_MUST_RUN):
            pytest.fail(f"{wanted} is not installed")
        pytest.skip(f"{wanted} is not installed; `make conformance` brings it")
    path = log[0]
    if request.param == "duckdb":
        with duckdb.connect(":memory:") as connection:
            yield DuckEngine(connection, f"read_parquet('{path}')")
    elif request.param == "spark":
        yield from spark(path)
    else:
        yield clickhouse(path)


def spark(path: Path) -> Iterator[Engine]:
    made = spark_engine("local[2]", "touches")
    for name, value in (("shuffle.partitions", "1"), ("codegen.wholeStage", "false"), ("adaptive.enabled", "false")):
        made.session.conf.set(f"spark.sql.{name}", value)  # small data: planning is all the time there is
    made.session.read.parquet(str(path)).createOrReplaceTempView("touches")
    yield SparkEngine(made.session, made.table, made.dialect)
    made.session.stop()


def clickhouse(path: Path) -> Engine:
    import chdb

    def query(text: str) -> Sequence[Sequence[object]]:
        lines = str(chdb.query(text, "TabSeparatedRaw")).splitlines()
        return [line.split("\t") for line in lines]

    return ClickHouseEngine(query, f"file('{path}', Parquet)", ClickHouseDialect())


@pytest.mark.parametrize("shards", [1, 7, 64])
def test_identical_integers(engine: Engine, log: tuple[Path, Reference], shards: int) -> None:
    tables = fold_on(engine, RULES, shards=shards)
    same(by_name(tables), log[1])
    assert tables.distinct_paths == len(log[1].paths)
    if shards == 1:
        passed = fold_touches(TouchFiles((log[0],)), JourneyRules(breaks=BREAKS))
        agree(fold_on(engine, JourneyRules(breaks=BREAKS)), passed)


def test_some_days_of_shared_customers(engine: Engine, log: tuple[Path, Reference]) -> None:
    """Two queries, and the same integers as the pass over the same days; the other tables are empty."""
    days = Days(date(2025, 1, 20), date(2025, 3, 1))
    found = overlap_on(engine, days, Bootstrap())
    passed = fold_touches(TouchFiles((log[0],), days))
    assert found.log.channels == passed.log.channels
    assert (found.log.first, found.log.last) == (passed.log.first, passed.log.last)
    assert np.array_equal(found.overlap, passed.overlap)
    assert np.array_equal(found.alone, passed.alone)
    assert found.alone.sum() > 0
    assert not found.transitions.any()
    with pytest.raises(CallError, match="RC360"):
        overlap_on(engine, Days(date(2031, 1, 1), date(2032, 1, 1)), Bootstrap())


def agree(one: JourneyTables, other: JourneyTables) -> None:
    assert one.counts == other.counts
    for name in ("transitions", "overlap", "alone", "retention"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.channel_sets == other.channel_sets
    assert one.by_length == other.by_length


def test_the_daily_panel(engine: Engine, log: tuple[Path, Reference]) -> None:
    panel = daily_on(engine, RULES).to_pylist()
    wanted = {key: cell for key, cell in log[1].daily.items() if any(cell)}
    assert len(panel) == len(wanted)
    for row in panel:
        day = int(np.datetime64(row["date"], "D").astype(int))
        visits, new, orders, value = wanted[day, row["channel"]]
        assert (row["visits"], row["new_customers"], row["orders"]) == (visits, new, orders)
        assert row["gmv"] == value / 10_000


@pytest.mark.parametrize("part", [(0, 1), (0.3, 1), (0.2, 0.6)])
def test_later_orders(engine: Engine, log: tuple[Path, Reference], part: tuple[float, float]) -> None:
    """Histories of new customers and what they ordered later, against plain Python: all, and as of a day in the log."""
    rows = messy_log(17, 150)
    found = order_log(engine)
    begin, end = min(row[1] for row in rows) // DAY, max(row[1] for row in rows) // DAY + 1
    assert (found.first, found.end) == (begin, end)
    since, until = (begin + round(share * (end - begin)) for share in part)
    cohorts, wanted = found.cohorts(since, until), later_orders(rows, since, until, end, AGE_DAYS, MOST_AGES)
    names = cohorts.channels
    assert sum(wanted.histories.values()) > 10
    columns = (cohorts.channel, cohorts.frequency, cohorts.recency, cohorts.age, cohorts.customers)
    told = {(names[c], *map(int, rest[:3])): int(rest[3]) for c, *rest in zip(*columns, strict=True)}
    assert told == dict(wanted.histories)
    for c, name in enumerate(names):
        for age in range(MOST_AGES + 1):
            sums = cohorts.order_days[c, age], cohorts.orders[c, age], round(10_000 * cohorts.value[c, age])
            assert tuple(map(int, sums)) == tuple(wanted.ages[name, age]), (name, age)
        assert cohorts.later[c] == wanted.later[name]
    assert (cohorts.first_orders, cohorts.all_orders) == (wanted.first_orders, wanted.all_orders)
    assert round(10_000 * cohorts.all_value) == wanted.all_value
    at_risk = sum(count * age for (_, _, _, age), count in wanted.histories.items())
    assert cohorts.days_at_risk.sum() == at_risk


def test_replicates_of_an_engine_spread_like_those_of_the_pass(tmp_path: Path) -> None:
    """Both estimate the variance of a sum over customers; 400 replicates and 200 shards know a spread to 1 in 10."""
    path = write_log(messy_log(5, 1500), tmp_path / "t.parquet")
    asked = Bootstrap(400, 3, ("orders", "value"), REPLICATE_TABLES)
    passed = fold_touches(TouchFiles((path,)), None, asked)
    with duckdb.connect(":memory:") as connection:
        drawn = fold_on(DuckEngine(connection, f"read_parquet('{path}')"), None, asked)
    agree(passed, drawn)
    for name in ("transitions", "credit", "overlap"):
        one, other = (tables.replicates.table(name).reshape(400, -1).astype(float) for tables in (passed, drawn))
        large = one.mean(axis=0) > 0.3 * one.mean(axis=0).max()
        assert large.any()
        assert np.allclose(one.mean(axis=0)[large], other.mean(axis=0)[large], rtol=0.05)
        ratio = one.std(axis=0)[large] / other.std(axis=0)[large]
        assert 0.75 < np.median(ratio) < 1.33
    spread = drawn.replicates.table("credit")[:, 0, 0].sum(axis=(1, 2)).std()
    assert spread > 0


def test_a_table_that_is_no_log_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(":memory:") as connection:

        def code(query: str) -> str:
            connection.execute(f"CREATE OR REPLACE TABLE t AS {query}")
            with pytest.raises(CallError) as caught:
                fold_on(DuckEngine(connection, "t"))
            assert caught.value.message("zh-Hant")
            return caught.value.code

        one = "SELECT 'u' AS customer, TIMESTAMP '2025-01-01' AS time, 'app' AS channel, 'visit' AS event"
        assert code(f"{one} LIMIT 0") == "RC360"
        assert code("SELECT 1 AS customer, 2 AS time") == "RC363"
        assert code(one.replace("'visit'", "'click'")) == "RC359"
        assert code(f"{one}, 'nan'::DOUBLE AS value") == "RC359"
        connection.execute(f"CREATE OR REPLACE TABLE t AS {one}")
        assert fold_on(DuckEngine(connection, "t")).counts["lost"] == 1
        assert daily_on(DuckEngine(connection, "t")).column_names == [
            "date",
            "channel",
            "visits",
            "new_customers",
            "orders",
        ]


def test_what_an_engine_refuses_is_said(engine: Engine) -> None:
    """A table that is not there ends in a message, not in a trace; DuckDB here is ours and stays as it is."""
    if isinstance(engine, SparkEngine):
        with pytest.raises(CallError, match="RC362"):
            SparkEngine(engine.session, "`nowhere`", engine.dialect).columns()
    else:
        assert "customer" in engine.columns()
