"""Single cells and whole columns: what is read silently, what with a word, what not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest

HEADER = "date,channel,visits\n"
DAYS = [date(2025, 1, 1) + timedelta(days=day) for day in range(30)]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("{0.year}-{0.month}-{0.day}", ""),
        ("{0.year}/{0.month}/{0.day}", ""),
        ("{0.year}.{0.month}.{0.day}", ""),
        ("{0:%Y%m%d}", ""),
        ("{0.year}年{0.month}月{0.day}日", ""),
        ("{0} 00:00:00", ""),
        ("{0}T00:00", ""),
        ("{0:%d/%m/%Y}", "RC181"),
        ("{0:%m-%d-%Y}", "RC181"),
        ("{0:%d.%m.%Y}", "RC181"),
    ],
)
def test_forms_of_dates(door: Any, panel: Callable[..., str], form: str, code: str) -> None:
    path = door.put(HEADER + panel(date_text=form.format))
    assert door.loud(path) == ({(code, 2, "date")} if code else set())
    assert [row[0] for row in door.rows(path)] == DAYS


@pytest.mark.parametrize(
    ("start", "step", "code"),
    [
        (45658, 1, "RC179"),
        (1735660800, 86400, "RC180"),
        (1735689600, 86400, "RC180"),
        (1735660800_000, 86400_000, "RC180"),
        (1735660800_000_000, 86400_000_000, "RC180"),
    ],
)
def test_numbers_that_are_dates(door: Any, start: int, step: int, code: str) -> None:
    """45658 is 2025-01-01 in Excel; 1735660800 is its midnight in Shanghai, 1735689600 in Greenwich (`date -u`)."""
    path = door.put(HEADER + "".join(f"{start + day * step},app,{100 + day}\n" for day in range(30)))
    assert door.loud(path) == {(code, 2, "date")}
    assert [row[0] for row in door.rows(path)] == DAYS


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["05/06/2025"], ("RC126", "date")),
        (["13/14/2025"], ("RC126", "date")),
        (["31/01/2025", "01/31/2025"], ("RC126", "date")),
        (["31/02/2025"], ("RC125", "date")),
        (["1735664400"], ("RC125", "date")),
        (["45658.5"], ("RC125", "date")),
        (["12345"], ("RC125", "date")),
        (["99999"], ("RC125", "date")),
        (["2025-02-30"], ("RC125", "date")),
        (["２０２５-02-30"], ("RC125", "date")),
        (["2025-01-01T16:00:00Z"], ("RC125", "date")),
        (["2025-01-01 10:00:00"], ("RC125", "date")),
        (["٢٠٢٥-٠١-٠١"], ("RC125", "date")),
    ],
)
def test_what_is_no_date(door: Any, cells: list[str], expected: tuple[str, str]) -> None:
    found = door.loud(door.put(HEADER + "".join(f"{cell},app,{place}\n" for place, cell in enumerate(cells))))
    assert expected in {(code, column) for code, _, column in found}


AMOUNTS = [
    ("1234", 1234.0, ""),
    ("+7", 7.0, ""),
    (".5", 0.5, ""),
    ("5.", 5.0, ""),
    ("1e3", 1000.0, ""),
    ("-0", 0.0, ""),
    ("-12.5", -12.5, "RC156"),
    ("1,234", 1234.0, ""),
    ("1,234,567.89", 1234567.89, ""),
    (" 12 ", 12.0, ""),
    ("\u300012\xa0", 12.0, ""),
    ("１２３４", 1234.0, "RC182"),
    ("１，２３４．５", 1234.5, "RC182"),
    ("¥1,234.5", 1234.5, "RC152"),
    ("￥ 12", 12.0, "RC152"),
    ("-¥12", -12.0, "RC152"),
    ("12元", 12.0, "RC152"),
    ("CNY 12", 12.0, "RC152"),
    ("12 usd", 12.0, "RC152"),
    ("1.23万", 12300.0, "RC153"),
    ("¥1.23万元", 12300.0, "RC153"),
    ("0.0807亿", 8070000.0, "RC153"),
    ("1,234萬", 12340000.0, "RC153"),
    ("N/A", None, "RC151"),
    ("--", None, "RC151"),
    ("#N/A", None, "RC151"),
]


def test_forms_of_amounts(door: Any) -> None:
    """Each form stands once in a column of plain amounts; ¥ and $ need files of their own."""
    for dollars in (False, True):
        forms = [form for form in AMOUNTS if ("usd" in form[0]) == dollars]
        lines = [
            f'{day},app,{500 + place},"{form[0]}"' for place, (day, form) in enumerate(zip(DAYS, forms, strict=False))
        ]
        lines += [f"{day},app,{500 + place},50" for place, day in enumerate(DAYS) if place >= len(forms)]
        path = door.put("date,channel,visits,gmv\n" + "\n".join(lines))
        found = {code: line for code, line, column in door.loud(path) if column == "gmv"}
        first = {code: place for place, (_, _, code) in reversed(list(enumerate(forms, start=2))) if code}
        assert {code: line for code, line in found.items() if code != "RC161"} == first
        read = [row[3] for row in door.rows(path)][: len(forms)]
        assert read == [value for _, value, _ in forms]
        assert "-0.0" not in map(str, read)


NO_COUNTS = [
    ("1.234,56", "RC121"),
    ("1,23", "RC121"),
    ("1 234", "RC121"),
    ("1'234", "RC121"),
    ("1_000", "RC121"),
    ("0x10", "RC121"),
    ("(12)", "RC121"),
    ("12-", "RC121"),
    ("1.2w", "RC121"),
    ("١٢٣", "RC121"),
    ("TRUE", "RC121"),
    ("--5", "RC121"),
    ("12%", "RC124"),
    ("１２％", "RC124"),
    ("inf", "RC122"),
    ("-Infinity", "RC122"),
    ("1e999", "RC123"),
    ("1e300", "RC123"),
    ("9007199254740994", "RC123"),
    ("-3", "RC130"),
    ("-1e-9", "RC130"),
    ("#DIV/0!", "RC121"),
    ("nan", "RC120"),
    ("无", "RC120"),
]


def test_what_is_no_count(door: Any) -> None:
    """Every wrong cell is named with its line."""
    lines = [f'2025-01-{place:02},app,"{cell}"' for place, (cell, _) in enumerate(NO_COUNTS, start=1)]
    found = door.loud(door.put(HEADER + "\n".join(lines)))
    expected = {(code, line, "visits") for line, (_, code) in enumerate(NO_COUNTS, start=2)}
    assert {fault for fault in found if fault[2] == "visits"} == expected


def test_two_currencies(door: Any) -> None:
    def mixed(one: str, other: str) -> set[str]:
        lines = [f"{day},app,{500 + place},{other if place == 3 else one}" for place, day in enumerate(DAYS)]
        return {code for code, *_ in door.loud(door.put("date,channel,visits,gmv\n" + "\n".join(lines)))}

    assert mixed("¥5", "$5") == mixed("5元", "USD 5") == mixed("¥1万", "$5") == {"RC132"}
    assert mixed("¥5", "￥5") == mixed("5元", "CNY 5") == {"RC152"}


@pytest.mark.parametrize(("cell", "value", "code"), [("0.12", 0.12, ""), ("1", 1.0, ""), ("12%", 0.12, "RC183")])
def test_shares(door: Any, cell: str, value: float, code: str) -> None:
    path = door.put(f"start,end,kind,severity\n2025-01-01,2025-01-02,demotion,{cell}\n", "t.csv")
    assert door.loud(path, "events") == ({(code, 2, "severity")} if code else set())
    assert door.rows(path, "events")[0][-1] == value
    for wrong in ("1.01", "101%", "-0.1"):
        path = door.put(f"start,end,kind,severity\n2025-01-01,2025-01-02,demotion,{wrong}\n")
        assert {code for code, *_ in door.loud(path, "events")} <= {"RC130", "RC131"}


@pytest.mark.parametrize(
    ("cell", "moment", "code"),
    [
        ("2025-01-02 09:05:00", "2025-01-02 09:05:00", ""),
        ("2025-01-02T09:05", "2025-01-02 09:05:00", ""),
        ("2025/1/2 9:05", "2025-01-02 09:05:00", ""),
        ("45659.378472222", "2025-01-02 09:05:00", "RC179"),
        ("1735779900", "2025-01-02 09:05:00", "RC180"),
        ("1735779900250", "2025-01-02 09:05:00.250", "RC180"),
        ("２０２５-01-02 09:05:00", "2025-01-02 09:05:00", "RC182"),
    ],
)
def test_forms_of_times(door: Any, cell: str, moment: str, code: str) -> None:
    """Shanghai is eight hours ahead of the epoch's clock; 45659.378472222 is 09:05 to the millisecond."""
    path = door.put(f"customer,time,channel,event\nu1,{cell},app,visit\n")
    assert door.loud(path, "touches") == ({(code, 2, "time")} if code else set())
    assert door.rows(path, "touches")[0][1] == datetime.fromisoformat(moment)


def test_words_of_errors_are_no_names(door: Any, panel: Callable[..., str]) -> None:
    path = door.put(HEADER + panel() + "2025-01-31,#REF!,5\n")
    assert door.loud(path) == {("RC120", 32, "channel")}
    path = door.put(HEADER + panel("#summer"))
    assert not door.loud(path)
    assert door.rows(path)[0][1] == "#summer"
