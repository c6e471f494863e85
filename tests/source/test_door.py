"""The door: what is read, what is refused, and with which line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rechannel.source.admit import Admitted, admit
from rechannel.source.checks import Rules
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.engine import locked_engine, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.read import load_raw
from rechannel.vocabulary.errors import CallError, Fault, FileRefused

RULES = Rules(date(2025, 12, 31))
FIRST = date(2025, 1, 1)


def daily_csv(days: int = 40, channels: tuple[str, ...] = ("app", "entry"), step: int = 1) -> str:
    lines = ["date,channel,visits,new_customers,orders,gmv,cost"]
    for day in range(days):
        lines += [
            f"{FIRST + timedelta(days=day * step)},{channel},{100 + day},{2},{5},{500.25 + day},0"
            for channel in channels
        ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str | bytes, name: str = "daily.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def faults_of(path: Path, table: TableName = "daily", rules: Rules = RULES) -> tuple[Fault, ...]:
    try:
        return admit(path, table, rules).faults
    except FileRefused as refusal:
        return refusal.faults


def loud(faults: tuple[Fault, ...]) -> set[tuple[str, int, str]]:
    return {(fault.code, fault.line, fault.column) for fault in faults if fault.severity != "note"}


def swap_line(text: str, line: int, new: str) -> str:
    lines = text.splitlines()
    lines[line - 1] = new
    return "\n".join(lines) + "\n"


def test_clean_file_is_read_without_a_word(put: Callable[..., Path]) -> None:
    admitted = admit(put(daily_csv()), "daily", RULES)
    assert not loud(admitted.faults)
    assert admitted.relation.num_rows == 80
    assert admitted.relation.schema.field("date").type == pa.date32()
    assert admitted.relation.schema.field("visits").type == pa.float64()
    assert admitted.relation["gmv"][2].as_py() == 501.25


@pytest.mark.parametrize(
    ("line", "new", "expected"),
    [
        (9, "2025-01-04,entry,100,2,5", ("RC107", 9, "")),
        (9, '"2025-01-04,entry,100,2,5,500,0', ("RC108", 9, "")),
        (9, '2025-01-04,"ent"ry,100,2,5,500,0', ("RC108", 9, "")),
        (9, "2025-01-04,entry,-1,2,5,500,0", ("RC130", 9, "visits")),
        (9, "2025-01-04,entry,100,2,5,500,-3", ("RC130", 9, "cost")),
        (9, "2025-01-04,entry,100,2,5,-500,0", ("RC156", 9, "gmv")),
        (9, "2025-01-04,entry,1.2.3,2,5,500,0", ("RC121", 9, "visits")),
        (9, '2025-01-04,entry,"1,23",2,5,500,0', ("RC121", 9, "visits")),
        (9, "2025-01-04,entry,100,2,5,1e999,0", ("RC123", 9, "gmv")),
        (9, "2025-01-04,entry,100,2,5,Infinity,0", ("RC122", 9, "gmv")),
        (9, "2025-01-04,entry,,2,5,500,0", ("RC120", 9, "visits")),
        (9, "2025-01-04,,100,2,5,500,0", ("RC120", 9, "channel")),
        (9, "2025-02-29,entry,100,2,5,500,0", ("RC125", 9, "date")),
        (9, "2026-01-04,entry,100,2,5,500,0", ("RC127", 9, "date")),
        (9, "1970-01-01,entry,100,2,5,500,0", ("RC128", 9, "date")),
        (9, "03/04/2025,entry,100,2,5,500,0", ("RC126", 9, "date")),
        (9, "总计,,800,16,40,500,0", ("RC115", 9, "")),
        (9, "2025-01-03,entry,7,2,5,502.25,0", ("RC136", 9, "")),
    ],
)
def test_one_bad_line(put: Callable[..., Path], line: int, new: str, expected: tuple[str, int, str]) -> None:
    assert expected in loud(faults_of(put(swap_line(daily_csv(), line, new))))


def test_every_fault_is_listed_to_a_hundred(put: Callable[..., Path]) -> None:
    some = swap_line(swap_line(daily_csv(), 5, "2025-01-02,entry,x,2,5,500,0"), 20, "2025-01-10,app,1,y,-5,500,0")
    found = loud(faults_of(put(some)))
    assert {("RC121", 5, "visits"), ("RC121", 20, "new_customers"), ("RC130", 20, "orders")} <= found
    assert len(faults_of(put(daily_csv(300).replace(",5,", ",five,")))) == 100


def test_lines_are_physical_behind_quoted_breaks_and_blank_lines(put: Callable[..., Path]) -> None:
    text = (
        "start,end,kind,note\n" + '2025-01-01,2025-01-02,promo,"two\nlines"\n' + "\n" + "2025-02-01,2025-01-02,sale,x\n"
    )
    assert loud(faults_of(put(text, "events.csv"), "events")) == {("RC129", 5, "kind"), ("RC133", 5, "end")}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark(put: Callable[..., Path], end: str, mark: str) -> None:
    text = mark + daily_csv().replace("\n", end) + end + ",,,,,," + end
    admitted = admit(put(text), "daily", RULES)
    assert not loud(admitted.faults)
    assert admitted.relation.equals(admit(put(daily_csv(), "plain.csv"), "daily", RULES).relation)


def test_history(put: Callable[..., Path]) -> None:
    weekly = Rules(date(2025, 12, 31), "weekly")
    assert "RC138" in {code for code, *_ in loud(faults_of(put(daily_csv(27))))}
    assert not loud(faults_of(put(daily_csv(28))))
    assert "RC137" in {code for code, *_ in loud(faults_of(put(daily_csv(40, step=7))))}
    assert "RC141" in {code for code, *_ in loud(faults_of(put(daily_csv(25, step=7)), rules=weekly))}
    assert "RC139" in {code for code, *_ in loud(faults_of(put(daily_csv(40)), rules=weekly))}
    assert not loud(faults_of(put(daily_csv(26, step=7)), rules=weekly))


def test_market_column(put: Callable[..., Path]) -> None:
    def with_market(name: Callable[[int], str]) -> Path:
        lines = daily_csv().splitlines()
        body = [f"{line},{name(number)}" for number, line in enumerate(lines[1:], start=2)]
        return put("\n".join([lines[0] + ",market", *body]) + "\n")

    assert not loud(faults_of(with_market(lambda _: "CN")))
    assert ("RC134", 7, "market") in loud(faults_of(with_market(lambda line: "" if line == 7 else "CN")))
    text = "date,market,channel,visits,new_customers,orders,gmv,cost\n"
    for day in range(40):
        text += f"{FIRST + timedelta(days=day)},CN,app,10{day % 3},1,1,1,1\n"
    both = text + "2025-01-05,all,app,30,1,1,1,1\n"
    assert ("RC135", 42, "market") in loud(faults_of(put(both)))


def test_whole_shop_rows_need_no_visits(put: Callable[..., Path]) -> None:
    text = daily_csv() + "2025-01-04,total,,9,20,,\n"
    assert not loud(faults_of(put(text)))


def test_missing_and_unknown_columns(put: Callable[..., Path]) -> None:
    text = "\n".join(",".join(line.split(",")[:3]) + ",x" for line in daily_csv().splitlines()).replace(
        "visits,x", "visits,odd"
    )
    faults = faults_of(put(text))
    assert loud(faults) == {("RC119", 1, "odd")} | {
        ("RC169", 0, name) for name in ("new_customers", "orders", "gmv", "cost")
    }
    notes = {fault.column for fault in faults if fault.code == "RC170"}
    assert notes == {"market", "refunds", "volume", "exposure"}
    wide = ",".join(["date,channel,visits", *(f"c{n}" for n in range(998))])
    assert loud(faults_of(put(wide + "\n1\n"))) == {("RC109", 1, "")}
    two = daily_csv().replace("visits", "访客数", 1).replace("cost", "UV", 1)
    assert ("RC111", 1, "visits") in loud(faults_of(put(two)))


def test_events_may_lie_ahead_and_touches_may_not(put: Callable[..., Path]) -> None:
    assert not loud(faults_of(put("start,end,kind\n2027-11-11,2027-11-11,promo\n"), "events"))
    touches = "customer,time,channel,event,value\nu1,2027-01-01 00:00:00,app,visit,\n"
    assert loud(faults_of(put(touches), "touches")) == {("RC127", 2, "time")}


def test_times_with_offsets_move_into_the_zone(put: Callable[..., Path]) -> None:
    text = "customer,time,channel,event,value\nu1,2025-01-01T16:30:00Z,app,visit,\n"
    text += "u1,2025-01-02 09:00:00-05:30,app,visit,\n"
    admitted = admit(put(text), "touches", RULES)
    local = ["2025-01-02T00:30:00", "2025-01-02T22:30:00"]
    assert admitted.relation["time"].to_pylist() == [datetime.fromisoformat(moment) for moment in local]
    assert {fault.code for fault in admitted.faults} == {"RC165"}


def test_customers_are_hashed_with_the_salt(put: Callable[..., Path]) -> None:
    path = put(
        "customer,time,channel,event,value\nu1,2025-01-01 10:00:00,app,visit,\nu1,2025-01-01 11:00:00,app,order,5\n"
    )
    one, other = (admit(path, "touches", RULES, salt=salt).relation["customer"].to_pylist() for salt in ("a", "b"))
    assert one[0] == one[1] != other[0]
    assert "u1" not in one


def test_names_in_two_spellings(put: Callable[..., Path]) -> None:
    joined = swap_line(daily_csv(), 9, "2025-01-04, ENTRY,103,2,5,503.25,0")
    admitted = admit(put(joined), "daily", RULES)
    assert {fault.code for fault in admitted.faults if fault.severity == "warning"} == {"RC162"}
    assert set(admitted.relation["channel"].to_pylist()) == {"app", "entry"}
    apart = daily_csv() + "2025-01-04,ENTRY,103,2,5,503.25,0\n"
    admitted = admit(put(apart), "daily", RULES)
    assert "RC163" in {fault.code for fault in admitted.faults}
    assert set(admitted.relation["channel"].to_pylist()) == {"app", "entry", "ENTRY"}


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (b"", "RC101"),
        (b"\n\n", "RC101"),
        (b"date,channel,visits\n", "RC102"),
        (b"date,channel,visits\n2025-01-01,\xff\xfe,3\n", "RC104"),
        (b"\xff\xfed\0a\0", "RC102"),
        (b"\xff\xfed\0a", "RC104"),
        (b"\x1f\x8b\x08rest", "RC105"),
        (b"PK\x03\x04rest", "RC105"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "RC105"),
        (b"<!DOCTYPE html><table>", "RC106"),
        (b"date,channel,visits\n2025-01-01,a\0,3\n", "RC103"),
        (b"PAR1garbage", "RC114"),
    ],
)
def test_what_is_not_a_table(put: Callable[..., Path], start: bytes, code: str) -> None:
    assert {fault.code for fault in faults_of(put(start))} == {code}


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="RC310"):
        admit(tmp_path / "none.csv", "daily", RULES)


@pytest.mark.parametrize("name", ["we[i]rd*.csv", "quo'te\".csv", "日 报;--.csv", "$(x).csv"])
def test_hostile_file_names(put: Callable[..., Path], name: str) -> None:
    assert not loud(faults_of(put(daily_csv(), name)))


def test_parquet_says_what_csv_says(put: Callable[..., Path], tmp_path: Path) -> None:
    relation = admit(put(daily_csv()), "daily", RULES).relation
    path = tmp_path / "daily.parquet"
    pq.write_table(relation, path)
    again = admit(path, "daily", RULES)
    assert again.relation.equals(relation)
    assert not loud(again.faults)
    pq.write_table(relation.set_column(2, "visits", pa.array([-1.0] + [5.0] * 79)), path)
    assert ("RC130", 1, "visits") in loud(faults_of(path))


def test_the_engine_is_locked(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in.csv", tmp_path / "out.csv"
    for path in (inside, outside):
        path.write_text("a\n1\n")
    (tmp_path / "link.csv").symlink_to(outside)
    with locked_engine([inside]) as connection:
        assert connection.execute(f"SELECT count(*) FROM read_csv({quoted(str(inside))})").fetchall() == [(1,)]
        for statement in (
            f"SELECT * FROM read_csv({quoted(str(outside))})",
            f"SELECT * FROM read_csv({quoted(str(tmp_path / 'link.csv'))})",
            f"SELECT * FROM read_text({quoted(str(outside))})",
            f"SELECT * FROM sniff_csv({quoted(str(outside))})",
            f"SELECT * FROM glob({quoted(str(tmp_path / '*'))})",
            f"COPY (SELECT 1) TO {quoted(str(tmp_path / 'new.csv'))}",
            f"ATTACH {quoted(str(tmp_path / 'new.db'))}",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SELECT * FROM read_csv('https://example.invalid/x.csv')",
            "SET enable_external_access = true",
            "SET memory_limit = '64GB'",
            "RESET lock_configuration",
            "SET lock_configuration = false",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert not (tmp_path / "new.csv").exists()


def test_contract_is_whole() -> None:
    assert tuple(TABLES) == TABLE_NAMES
    for table in TABLES.values():
        assert table.key
        assert len(set(table.names)) == len(table.names)
        assert all(column.doc for column in table.columns)
        assert all(column.allowed for column in table.columns if column.type == "enum")


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cf")), min_size=1, max_size=8
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.lists(names, min_size=1, max_size=3, unique_by=lambda name: name.casefold()),
    counts=st.lists(st.integers(0, 10**9), min_size=28, max_size=28),
    money=st.lists(st.floats(-1e9, 1e9), min_size=28, max_size=28),
)
def test_round_trip_or_refusal(tmp_path: Path, channels: list[str], counts: list[int], money: list[float]) -> None:
    def quote(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    rows = [
        (FIRST + timedelta(days=day), channel, float(counts[day]), money[day])
        for day in range(28)
        for channel in channels
    ]
    body = "".join(f"{day},{quote(channel)},{visits:.0f},{gmv!r}\n" for day, channel, visits, gmv in rows)
    path = tmp_path / "daily.csv"
    path.write_text("date,channel,visits,gmv\n" + body, encoding="utf-8", newline="")
    try:
        admitted: Admitted = admit(path, "daily", RULES)
    except FileRefused:
        return
    spellings = {fault.code for fault in admitted.faults} & {"RC162", "RC163"}
    read = admitted.relation
    assert read["visits"].to_pylist() == [row[2] for row in rows]
    assert read["gmv"].to_pylist() == [row[3] for row in rows]
    assert read["date"].to_pylist() == [row[0] for row in rows]
    assert spellings or read["channel"].to_pylist() == [row[1] for row in rows]


def test_text_without_its_mark_in_parquet(put: Callable[..., Path], tmp_path: Path) -> None:
    """Old writers leave strings as bytes: UTF-8 is read, anything else is refused."""
    events = {"start": [FIRST], "end": [FIRST], "kind": ["promo"]}
    path = tmp_path / "events.parquet"
    for codec, codes in (("utf-8", set()), ("gb18030", {"RC114"})):
        pq.write_table(pa.table({**events, "note": pa.array(["年货节".encode(codec)], pa.binary())}), path)
        assert {code for code, *_ in loud(faults_of(path, "events"))} == codes


def test_types_of_parquet(tmp_path: Path) -> None:
    """Decimals, small numbers, dictionaries, zoned times and nested values come out as a CSV would hold them."""
    moments = pa.array([datetime.fromisoformat("2025-01-02T09:05:00+08:00")], pa.timestamp("ms", "Asia/Shanghai"))
    columns = {
        "customer": pa.array([7], pa.int8()),
        "time": moments,
        "channel": pa.array(["app"]).dictionary_encode(),
        "event": pa.array(["order"]),
        "value": pa.array([Decimal("12.50")]),
        "more": pa.array([{"a": [1, None]}]),
        "share": pa.array([0.1], pa.float32()),
    }
    path = tmp_path / "touches.parquet"
    pq.write_table(pa.table(columns), path)
    admitted = admit(path, "touches", RULES)
    assert admitted.relation.to_pylist() == [
        {
            "customer": "7",
            "time": datetime.fromisoformat("2025-01-02T09:05:00"),
            "channel": "app",
            "event": "order",
            "value": 12.5,
        }
    ]
    with locked_engine([path]) as engine:
        load_raw(engine, path, FaultList(path.name))
        assert engine.execute("SELECT c5, c6 FROM raw").fetchall() == [('{"a":[1,null]}', "0.1")]
