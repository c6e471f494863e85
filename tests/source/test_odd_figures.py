"""Figures that would be wrong without a word: sums given as channels, foreign money, rounded ids, huge counts."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from rechannel.source.admit import admit
from rechannel.source.assemble import assemble
from rechannel.source.checks import Rules
from rechannel.source.contract import TABLES, TableName
from rechannel.source.engine import locked_engine
from rechannel.source.faultlist import FaultList
from rechannel.source.products import shipped_products
from rechannel.source.read import load_raw
from rechannel.source.store import create_case, open_case_folder
from rechannel.vocabulary.errors import FileRefused

RULES = Rules(date(2025, 12, 31))
HEADER = "date,channel,visits\n"
MONEY = "date,channel,visits,gmv\n"
TOUCHES = "customer,time,channel,event\n"


@pytest.mark.parametrize("name", ["合计", "全部", "Grand Total", "TOTAL", "全站合计", "總計", "汇总"])
def test_the_sum_of_the_channels_is_no_channel(door: Any, panel: Callable[..., str], name: str) -> None:
    path = door.put(HEADER + panel() + panel(name))
    assert door.loud(path) == {("RC187", 32, "channel")}


def test_what_the_whole_shop_states_may_be_called_total(door: Any, panel: Callable[..., str]) -> None:
    assert not door.loud(door.put(HEADER + panel() + panel("total")))
    assert not door.loud(door.put(HEADER + panel() + panel("总计划") + panel("Total Wine")))


def test_a_channel_that_equals_all_others_is_said(door: Any, panel: Callable[..., str]) -> None:
    parts = [panel(), panel("entry", visits="1{}")]
    sums = "".join(
        f"{first.split(',')[0]},平台,{int(first.split(',')[2]) + int(second.split(',')[2])}\n"
        for first, second in zip(*(part.splitlines() for part in parts), strict=True)
    )
    path = door.put(HEADER + "".join(parts) + sums)
    assert door.loud(path) == {("RC188", 62, "channel")}
    off = sums.replace("\n", "9\n", 1)
    assert ("RC188", 62, "channel") not in door.loud(door.put(HEADER + "".join(parts) + off))
    assert not door.loud(door.put(HEADER + panel() + panel("twin"))), "two alike are no sum"


@pytest.mark.parametrize(
    ("cell", "currency", "code"),
    [
        ("$12.50", "CNY", "RC740"),
        ("12.50 USD", "CNY", "RC740"),
        ("€12.50", "CNY", "RC740"),
        ("$1.2万", "CNY", "RC740"),
        ("¥12.50", "USD", "RC740"),
        ("US$12.50", "HKD", "RC740"),
        ("$12.50", "HKD", "RC152"),
        ("12.50元", "TWD", "RC152"),
        ("¥12.50", "JPY", "RC152"),
        ("￥12.50", "CNY", "RC152"),
        ("RMB 12.50", "CNY", "RC152"),
        ("€12.50", "", "RC152"),
    ],
)
def test_a_sign_of_another_currency(
    tmp_path: Path, panel: Callable[..., str], cell: str, currency: str, code: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(MONEY + panel().replace("\n", f",{cell}\n"), encoding="utf-8")
    try:
        found = admit(path, "daily", replace(RULES, currency=currency)).faults
    except FileRefused as refused:
        found = refused.faults
        assert code == "RC740"
    told = {fault.code: fault for fault in found if fault.code in ("RC152", "RC740")}
    assert list(told) == [code]
    assert (told[code].line, told[code].column) == (2, "gmv")


def test_ids_that_a_spreadsheet_rounded(door: Any) -> None:
    rows = "".join(f"1.38E+10,2025-01-01 10:0{turn}:00,app,visit\n" for turn in range(3))
    path = door.put(TOUCHES + rows)
    assert door.loud(path, "touches") == {("RC186", line, "customer") for line in (2, 3, 4)}
    assert not door.loud(door.put(TOUCHES + "138E10,2025-01-01 10:00:00,1.5E+3,visit\n"), "touches")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("9007199254740991", ""),
        ("9007199254740992", "RC123"),
        ("9007199254740993", "RC123"),
        ("12％", "RC124"),
        ("１２００", "RC182"),
        ("1200－", "RC121"),
    ],
)
def test_counts_that_are_no_plain_counts(door: Any, panel: Callable[..., str], cell: str, code: str) -> None:
    path = door.put(HEADER + panel().replace(",100\n", f",{cell}\n"))
    assert {found for found, line, _ in door.loud(path) if line == 2} - {"RC161", "RC182"} == {code} - {"", "RC182"}
    assert (code == "RC182") <= (("RC182", 2, "visits") in door.loud(path))


def test_full_width_commas_group_thousands(door: Any, panel: Callable[..., str]) -> None:
    path = door.put(HEADER + panel(visits="1，{}"))
    assert door.loud(path) == {("RC182", 2, "visits")}
    assert door.rows(path)[0][-1] == 1100


@pytest.mark.parametrize("cell", ["-", "--", "–", "/", "N/A", "n.a.", "不适用", "暫無", "#N/A", "\\N"])
def test_marks_of_what_is_not_measured(door: Any, panel: Callable[..., str], cell: str) -> None:
    path = door.put(MONEY + panel().replace("\n", ",5\n").replace(",100,5\n", f",100,{cell}\n"))
    assert door.loud(path) == {("RC151", 2, "gmv")}
    assert door.loud(door.put(HEADER + panel().replace(",100\n", f",{cell}\n"))) == {("RC120", 2, "visits")}


@pytest.mark.parametrize("label", ["合计", "合计：", "合 计", "Grand Total", "平均值", "总计:"])
def test_rows_of_totals_and_averages(door: Any, panel: Callable[..., str], label: str) -> None:
    assert door.loud(door.put(HEADER + panel() + f"{label},,4000\n")) == {("RC115", 32, "")}


def test_an_archive_holds_what_systems_leave_in_it(tmp_path: Path, panel: Callable[..., str]) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    rows = panel().splitlines(keepends=True)
    with zipfile.ZipFile(folder / "reports.zip", "w") as book:
        book.writestr("报表/三月/a.csv", HEADER + "".join(rows[:15]))
        book.writestr("报表/四月/b.csv", HEADER + "".join(rows[15:]))
        for litter in ("__MACOSX/报表/._a.csv", "报表/.DS_Store", "报表/Thumbs.db", "报表/~$a.xlsx"):
            book.writestr(litter, b"\0\5\x16\7")
    made = assemble([folder], RULES, products=shipped_products())
    assert made.tables["daily"].relation.num_rows == 30
    assert [file.unplaced for file in made.files] == ["", ""]


def test_one_line_of_json_lines_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "visit", "params": [{"key": "a"}, {"key": "b"}]}\n', encoding="utf-8")
    with locked_engine([path]) as engine:
        header = load_raw(engine, path, FaultList(path.name))
        assert header is not None
        assert (header.names, len(engine.execute("SELECT * FROM raw").fetchall())) == (("event", "params"), 1)


@pytest.mark.parametrize("cell", ["null", "NULL", "None", "nan", "undefined", "\\N", "(not set)", "-"])
def test_no_customer_is_not_a_customer(door: Any, cell: str) -> None:
    path = door.put(TOUCHES + f"u1,2025-01-01 10:00:00,app,visit\n{cell},2025-01-01 10:01:00,app,visit\n")
    assert door.loud(path, "touches") == {("RC120", 3, "customer")}
    assert not door.loud(door.put(HEADER + panel_of("未知") + panel_of("null")))


def panel_of(channel: str) -> str:
    return "".join(f"{date(2025, 1, 1) + timedelta(days=day)},{channel},{100 + day}\n" for day in range(30))


def test_a_channel_has_one_name_in_every_table(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(HEADER + panel_of("App") + panel_of("入口"), encoding="utf-8")
    rows = "start,end,kind,channel\n2025-01-03,2025-01-04,outage,app\n2025-01-05,2025-01-05,promo,全部\n"
    (tmp_path / "e.csv").write_text(rows, encoding="utf-8")
    given: dict[TableName, Path] = {"daily": tmp_path / "d.csv", "events": tmp_path / "e.csv"}
    made = create_case(tmp_path / "case", given, today=RULES.today)
    relation = open_case_folder(made.folder).relation("events")
    assert relation is not None
    assert relation["channel"].to_pylist() == ["App", "all"]
    assert {fault.args["channel"] for fault in made.faults if fault.code == "RC702"} == {"App", "all"}
    assert "RC174" not in {fault.code for fault in made.faults}


def test_kinds_of_events_in_chinese(door: Any) -> None:
    words = {"故障": "outage", "大促": "promo", "關閉": "closure", "口径变化": "measurement_break", "Outage": "outage"}
    rows = "".join(f"2025-01-0{n},2025-01-0{n},{word}\n" for n, word in enumerate(words, start=1))
    path = door.put("开始,结束,类型\n" + rows, "t.csv")
    assert [row[2] for row in door.rows(path, "events")] == list(words.values())
    assert door.loud(door.put("start,end,kind\n2025-01-01,2025-01-01,停电\n"), "events") == {("RC129", 2, "kind")}


def test_every_other_word_means_an_allowed_one() -> None:
    for table in TABLES.values():
        for column in table.columns:
            assert set(column.words.values()) <= set(column.allowed)
            assert not set(column.words) & set(column.allowed)
