"""DuckDB files behind a process of their own, and queries that can only read; drivers are stood in for by fakes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from rechannel.source import database
from rechannel.vocabulary.errors import MissingPart

MADE = """CREATE TABLE daily AS SELECT DATE '2025-01-01' + CAST(range AS INTEGER) AS date, 'app' AS channel,
    100 + range AS visits, {'x': 1} AS nested, 'nan'::DOUBLE AS cost FROM range(30)"""


@pytest.fixture
def made(door: Any) -> Callable[..., Path]:
    def make(*statements: str) -> Path:
        path: Path = door.folder / "t.duckdb"
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return make


def test_one_table(door: Any, made: Callable[..., Path]) -> None:
    path = made(MADE)
    assert door.loud(path) == {("RC119", 0, "nested"), ("RC151", 1, "cost")}
    header, rows, _ = door.raw(path)
    assert header.names == ("date", "channel", "visits", "nested", "cost")
    assert rows[0] == ("2025-01-01", "app", "100", '{"x":1}', "nan", 1)


@pytest.mark.slow
def test_several_tables_and_views(door: Any, made: Callable[..., Path]) -> None:
    outside = door.put("secret\n1\n", "t.txt")
    path = made(
        MADE,
        "CREATE SCHEMA other",
        "CREATE TABLE other.daily AS SELECT * REPLACE (7 AS visits) FROM daily",
        f"CREATE VIEW peek AS SELECT * FROM read_csv('{outside}')",
    )
    (fault,) = door.faults(path)
    assert (fault.code, fault.args) == ("RC145", {"names": "daily, peek, other.daily"})
    assert door.rows(Path(f"{path}#daily"))[0][2] == 100
    assert door.rows(Path(f"{path}#other.daily"))[0][2] == 7
    assert {code for code, *_ in door.loud(Path(f"{path}#peek"))} == {"RC114"}
    assert {code for code, *_ in door.loud(Path(f"{path}#nothing"))} == {"RC145"}


def test_a_broken_file_is_refused(door: Any, made: Callable[..., Path]) -> None:
    whole = made(MADE).read_bytes()
    assert {code for code, *_ in door.loud(door.put(whole[:5000], "t.duckdb"))} == {"RC114"}
    assert {code for code, *_ in door.loud(door.put(whole[:8] + b"DUCK" + b"\xff" * 20_000, "t.duckdb"))} == {"RC114"}


CONNECTIONS = {
    "shop": {"kind": "postgres", "url": "postgresql://db.example/sales"},
    "maria": {"kind": "mysql", "url": "mysql://db.example:3307/sales"},
    "click": {"kind": "clickhouse", "url": "https://db.example/sales"},
    "open": {"kind": "postgres", "url": "postgresql://me:hush@db.example/sales"},
    "asked": {"kind": "postgres", "url": "postgresql://db.example/sales?password=hush"},
    "oracle": {"kind": "oracle", "url": "oracle://db.example/sales"},
    "nowhere": {"kind": "mysql", "url": "mysql:///sales"},
}
QUERY = "SELECT date, channel, visits, gmv FROM visits"
ROWS = [(date(2025, 1, 1), "渠道", 100, Decimal("5.25")), (date(2025, 1, 2), None, 101, None)]


def query(door: Any, name: str, text: str = QUERY) -> Path:
    path: Path = door.put(f"-- connection: {name}\n{text}", "t.sql")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM visits",
        "SELECT 1; DELETE FROM visits",
        "SELECT * INTO other FROM visits",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "/* SELECT */ DROP TABLE visits",
        "CALL something()",
        "",
    ],
)
def test_what_is_not_one_select_is_never_sent(door: Any, text: str) -> None:
    assert door.loud(query(door, "shop", text), connections=CONNECTIONS) == {("RC114", 1, "")}


@pytest.mark.parametrize("name", ["open", "asked", "oracle", "nowhere", "unknown"])
def test_connections_that_are_refused(door: Any, name: str) -> None:
    faults = door.faults(query(door, name), connections=CONNECTIONS)
    assert [(fault.code, fault.line) for fault in faults] == [("RC114", 1)]
    assert "hush" not in faults[0].message("en")


class FakeCursor:
    """What the readers use of a cursor, with every statement it was given."""

    description = (("date",), ("channel",), ("visits",), ("gmv",))

    def __init__(self, error: str = "") -> None:
        self.sent: list[str] = []
        self.error = error
        self.left = list(ROWS)

    def execute(self, statement: str) -> None:
        self.sent.append(statement)
        if self.error and "SELECT date" in statement:
            raise RuntimeError(self.error)

    def fetchmany(self, count: int) -> list[tuple[object, ...]]:
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def fetch_record_batch(self) -> pa.RecordBatchReader:
        columns = [pa.array(values) for values in zip(*ROWS, strict=True)]
        return pa.table(columns, names=[name for (name,) in self.description]).to_reader()

    def close(self) -> None:
        self.sent.append("closed")


def fake(monkeypatch: pytest.MonkeyPatch, cursor: FakeCursor) -> dict[str, Any]:
    """Drivers in place of the real ones; what they were called with."""
    called: dict[str, Any] = {}

    def connect(*places: str, **options: Any) -> Any:
        called.update(options, uri=places[0] if places else "")
        return SimpleNamespace(cursor=lambda *_: cursor, close=lambda: None)

    @contextmanager
    def blocks(statement: str) -> Any:
        cursor.sent.append(statement)
        source = SimpleNamespace(column_names=[name for (name,) in cursor.description])
        stream = iter([ROWS[:1], ROWS[1:]])
        yield type("Stream", (), {"source": source, "__iter__": lambda _: stream})()

    def get_client(**options: Any) -> Any:
        called.update(options)
        return SimpleNamespace(query_row_block_stream=blocks, close=lambda: None)

    for name, driver in {
        "adbc_driver_postgresql": SimpleNamespace(),
        "adbc_driver_postgresql.dbapi": SimpleNamespace(connect=connect),
        "pymysql": SimpleNamespace(connect=connect),
        "pymysql.cursors": SimpleNamespace(SSCursor=object),
        "clickhouse_connect": SimpleNamespace(get_client=get_client),
    }.items():
        monkeypatch.setitem(sys.modules, name, driver)
    return called


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("shop", ["SET TRANSACTION READ ONLY", f"-- connection: shop\n{QUERY} \n", "closed"]),
        ("maria", ["START TRANSACTION READ ONLY", f"-- connection: maria\n{QUERY} \n", "closed"]),
        ("click", [f"-- connection: click\n{QUERY} \n"]),
    ],
)
def test_rows_of_a_query(door: Any, monkeypatch: pytest.MonkeyPatch, name: str, sent: list[str]) -> None:
    monkeypatch.setenv(f"RECHANNEL_{name.upper()}_USER", "re@der")
    monkeypatch.setenv(f"RECHANNEL_{name.upper()}_PASSWORD", "p:ss/w?")
    cursor = FakeCursor()
    called = fake(monkeypatch, cursor)
    header, rows, faults = door.raw(query(door, name, f"{QUERY} ; -- all"), connections=CONNECTIONS)
    assert not faults.ordered()
    assert header.names == ("date", "channel", "visits", "gmv")
    assert rows == [("2025-01-01", "渠道", "100", "5.25", 1), ("2025-01-02", None, "101", None, 2)]
    assert cursor.sent == sent
    if name == "shop":
        assert called["uri"] == (
            "postgresql://re%40der:p%3Ass%2Fw%3F@db.example:5432/sales?options=-c%20default_transaction_read_only%3Don"
        )
    elif name == "maria":
        assert {called[key] for key in ("host", "port", "user", "password", "database")} == {
            "db.example", 3307, "re@der", "p:ss/w?", "sales",
        }  # fmt: skip
        assert called["local_infile"] is False
    else:
        assert (called["port"], called["secure"], called["settings"]) == (8443, True, {"readonly": "2"})


def test_an_error_of_the_server_is_a_fault_without_the_password(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECHANNEL_MARIA_PASSWORD", "hush")
    fake(monkeypatch, FakeCursor(error="no access with hush Query was: SELECT"))
    (fault,) = door.faults(query(door, "maria"), connections=CONNECTIONS)
    assert fault.args == {"kind": "mysql (maria)", "reason": "no access with ***"}


def test_connections_beside_the_query(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = door.folder / database.CONNECTIONS_FILE
    beside.write_text('[connections.here]\nkind = "mysql"\nurl = "mysql://db.example/sales"\n')
    fake(monkeypatch, FakeCursor())
    assert door.raw(query(door, "here"))[0] is not None
    beside.write_text("[connections.here\n")
    assert door.loud(query(door, "here")) == {("RC114", 1, "")}


def test_a_missing_driver_names_the_extra(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pymysql", "adbc_driver_postgresql.dbapi", "clickhouse_connect"):
        monkeypatch.setitem(sys.modules, module, None)
    for name, extra in (("shop", "postgres"), ("maria", "mysql"), ("click", "clickhouse")):
        with pytest.raises(MissingPart, match=rf"rechannel\[{extra}\]"):
            door.raw(query(door, name), connections=CONNECTIONS)


def test_values_of_drivers_as_text() -> None:
    values = (
        None,
        True,
        12,
        0.1,
        Decimal("1E+3"),
        date(2025, 9, 3),
        datetime.fromisoformat("2025-09-03 14:05"),
        b"ab",
        "渠道",
    )
    texts = ["", "true", "12", "0.1", "1000", "2025-09-03", "2025-09-03 14:05:00", "ab", "渠道"]
    assert [database.cell_text(value) for value in values] == texts
