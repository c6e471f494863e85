"""Workbooks: true rows, full values, one sheet, and nothing that unpacks, points out or calls home.

python-calamine is the other program: it must find the same values in the same rows of every workbook both read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from benchmarks.made_files import Raw, write_workbook

FIRST = date(2025, 1, 1)
HEADER = ["date", "channel", "visits"]
SHEET = "xl/worksheets/sheet1.xml"


def rows(change: Callable[[int, list[Any]], list[Any]] = lambda _, row: row) -> list[list[Any]]:
    return [HEADER, *(change(day, [FIRST + timedelta(days=day), "app", 100 + day]) for day in range(30))]


def one(place: int, value: object, at: int = 3) -> list[list[Any]]:
    """The panel with one cell replaced, on row `at + 2`."""
    return rows(lambda day, row: [*row[:place], value, *row[place + 1 :]] if day == at else row)


def write(door: Any, sheets: dict[str, Any], **options: Any) -> Path:
    return write_workbook(door.folder / "t.xlsx", sheets, **options)


def test_rows_columns_and_values(door: Any) -> None:
    path = write(door, {"S": [["", "报表"], [], *(["", "", *row] for row in rows())]}, first_row=4)
    assert door.loud(path) == {("RC149", 6, "")}
    header, found, _ = door.raw(path)
    assert (header.names, header.line, header.left) == (("date", "channel", "visits"), 6, 2)
    assert found[0] == ("2025-01-01", "app", "100", 7)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (12345678, "12345678"),
        (0.1, "0.1"),
        (10_000_000.0, "10000000"),
        (Raw("", "<v>0.10000000000000001</v>"), "0.1"),
        (Raw("", "<v>1.0E7</v>"), "10000000"),
        (Raw("", "<v>12345678901234567</v>"), "12345678901234567"),
        (Raw("", "<f>A1+1</f><v>7</v>"), "7"),
        (Raw('t="str"', "<f>A1</f><v>七</v>"), "七"),
        (Raw('t="e"', "<v>#DIV/0!</v>"), "#DIV/0!"),
        (Raw('t="inlineStr"', "<is><r><t>a</t></r><r><t>pp</t></r><rPh><t>x</t></rPh></is>"), "app"),
        (Raw('s="2"', "<v>0.07</v>"), "7%"),
        (Raw('s="3"', "<v>45658.75</v>"), "2025-01-01 18:00:00"),
        (Raw('s="3"', "<v>45658</v>"), "2025-01-01 00:00:00"),
        (Raw('s="4"', "<v>0.75</v>"), "18:00:00"),
        (Raw('s="5"', "<v>1234.5</v>"), "1234.5"),
        (Raw('t="d"', "<v>2025-01-01T00:00:00</v>"), "2025-01-01"),
        (True, "TRUE"),
        ("  多余的空格 ", "多余的空格"),
        ("1e5", "1e5"),
    ],
)
def test_a_cell_keeps_its_full_value(door: Any, cell: object, text: str) -> None:
    _, found, faults = door.raw(write(door, {"S": [["a", "b"], ["x", cell], ["y", 1]]}))
    assert not faults.ordered()
    assert found[0][1] == text


@pytest.mark.parametrize(
    ("sheets", "options", "expected"),
    [
        ({"S": one(2, Raw('s="2"', "<v>0.12</v>"))}, {}, ("RC124", 5, "visits")),
        ({"S": one(2, Raw("", "<f>A1+1</f>"))}, {}, ("RC147", 5, "visits")),
        ({"S": one(2, Raw('t="e"', "<v>#REF!</v>"))}, {}, ("RC121", 5, "visits")),
        ({"S": one(1, Raw('t="e"', "<v>#N/A</v>"))}, {}, ("RC120", 5, "channel")),
        ({"S": one(0, "", 4)}, {"merged": ("A5:A6",)}, ("RC147", 5, "date")),
        ({"S": rows(lambda day, row: [*row, "", "备注"] if day == 7 else row)}, {}, ("RC107", 9, "")),
        ({"S": [*rows(), ["合计", "", 3000]]}, {}, ("RC115", 32, "")),
        ({"S": [*rows(), [], ["渠道", "合计"], ["app", 3000]]}, {}, ("RC148", 33, "")),
        ({"A": rows(), "B": rows()}, {}, ("RC145", 0, "")),
        ({"A": []}, {}, ("RC101", 0, "")),
        ({"A": [HEADER]}, {}, ("RC102", 1, "")),
    ],
)
def test_refused_with_its_row(door: Any, sheets: Any, options: Any, expected: tuple[str, int, str]) -> None:
    assert door.loud(write(door, sheets, **options)) == {expected}


def test_sheets(door: Any) -> None:
    assert not door.loud(write(door, {"A": [], "S": rows()}))
    assert door.loud(write(door, {"说明": [["只有文字"]], "S": rows()})) == {("RC146", 0, "")}
    assert door.loud(write(door, {"H": rows(), "S": rows()}, hidden=("H",))) == {("RC146", 0, "")}
    path = write(door, {"A/1": one(2, 7, 0), "B": rows()})
    assert door.rows(Path(f"{path}#A/1"))[0][2] == 7
    assert door.rows(Path(f"{path}#B"))[0][2] == 100
    assert door.loud(Path(f"{path}#C")) == {("RC145", 0, "")}
    assert not door.loud(write(door, {"S": [["渠道日报"], *rows()]}, merged=("A1:C1",))) - {("RC149", 2, "")}


def test_the_calendar_of_1904(door: Any) -> None:
    path = write(door, {"S": rows()}, starts_1904=True)
    assert not door.loud(path)
    assert door.rows(path)[0][0] == FIRST


def repacked(path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Path:
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, body in change(parts).items():
            package.writestr(name, body)
    return path


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("[$$-409]#,##0.00", "$1234.5"),
        ("&quot;$&quot;#,##0.00;-&quot;$&quot;#,##0.00", "$1234.5"),
        ("[$€-2] #,##0.00", "€1234.5"),
        ("[$HKD] #,##0.00", "HKD1234.5"),
        ("&quot;¥&quot;#,##0.00", "1234.5"),
        ("[$¥-804]#,##0.00", "1234.5"),
        ("[$-804]#,##0.00", "1234.5"),
        ("[$-409]d/m/yyyy", "1903-05-18 12:00:00"),
    ],
)
def test_a_format_that_names_foreign_money(door: Any, code: str, text: str) -> None:
    path = write(door, {"S": [["a", "b"], ["x", Raw('s="5"', "<v>1234.5</v>")], ["y", 1]]})
    styles = "xl/styles.xml"

    def changed(parts: dict[str, bytes]) -> dict[str, bytes]:
        body = re.sub(r"""(numFmtId="168" formatCode=)("[^"]*"|'[^']*')""", rf'\1"{code}"', parts[styles].decode())
        assert code in body
        return {**parts, styles: body.encode()}

    assert door.raw(repacked(path, changed))[1][0][1] == text


def end(extra: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda parts: {**parts, SHEET: parts[SHEET].replace(b"</sheetData>", extra + b"</sheetData>")}


def long_strings(parts: dict[str, bytes]) -> dict[str, bytes]:
    """One string of 30,000 letters in two thousand cells."""
    cells = b"".join(b'<row r="%d"><c r="B%d" t="s"><v>3</v></c></row>' % (row, row) for row in range(32, 2032))
    strings = parts["xl/sharedStrings.xml"].replace(b">app<", b">" + b"x" * 30_000 + b"<")
    return {**end(cells)(parts), "xl/sharedStrings.xml": strings}


DTD = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda parts: {**parts, "../evil.xml": b"x"}, "RC114"),
        (lambda parts: {**parts, "/etc/evil.xml": b"x"}, "RC114"),
        (lambda parts: {**parts, "xl\\..\\..\\evil.xml": b"x"}, "RC114"),
        (lambda parts: {**parts, SHEET.upper(): b"x"}, "RC114"),
        (lambda parts: {**parts, "docProps/any.xml": DTD.encode()}, "RC143"),
        (lambda parts: {**parts, SHEET: (DTD + parts[SHEET].decode()).encode("utf-16")}, "RC143"),
        (lambda parts: {**parts, SHEET: parts[SHEET][:-9]}, "RC114"),
        (lambda parts: {name: body for name, body in parts.items() if name != SHEET}, "RC114"),
        (lambda parts: {name: body for name, body in parts.items() if name != "xl/workbook.xml"}, "RC114"),
        (lambda parts: {**parts, "xl/media/big.bin": b"\0" * 60_000_000}, "RC142"),
        (long_strings, "RC142"),
        (end(b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "RC148"),
        (end(b'<row r="1048577"><c r="A1048577"><v>1</v></c></row>'), "RC114"),
        (end(b'<row r="40"><c r="B41"><v>1</v></c></row>'), "RC114"),
        (end(b'<row r="40"><c r="B40" t="s"><v>99</v></c></row>'), "RC114"),
        (end(b'<row r="40"><c r="B40"><v>1_0</v></c></row>'), "RC114"),
        (end(b'<row r="40"><c r="B40"><v>nan</v></c></row>'), "RC114"),
    ],
)
def test_crafted_workbooks(door: Any, change: Any, code: str) -> None:
    path = repacked(write(door, {"S": rows()}), change)
    assert {found for found, *_ in door.loud(path)} == {code}


def test_damaged_and_protected(door: Any) -> None:
    path = write(door, {"S": rows()})
    whole = path.read_bytes()
    assert {code for code, *_ in door.loud(door.put(whole[:-200], "t.xlsx"))} == {"RC114"}
    middle = len(whole) // 3
    broken = whole[:middle] + bytes([whole[middle] ^ 16]) + whole[middle + 1 :]
    assert {code for code, *_ in door.loud(door.put(broken, "t.xlsx"))} == {"RC114"}
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = whole.index(mark) + offset
        whole = whole[:place] + bytes([whole[place] | 1]) + whole[place + 1 :]
    assert door.loud(door.put(whole, "t.xlsx")) == {("RC144", 0, "")}


def test_formatted_but_empty_cells_cost_nothing(door: Any) -> None:
    empty = b"".join(
        b'<row r="%d" s="1"><c r="A%d" s="1"/><c r="B%d" s="1"/></row>' % (n, n, n) for n in range(32, 9000)
    )
    path = repacked(write(door, {"S": rows()}), end(empty))
    assert not door.loud(path)
    assert len(door.rows(path)) == 30


def as_text(value: object) -> str | None:
    """A value of calamine as `raw` would hold it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return (value.isoformat() if isinstance(value, date) else str(value)) or None


def test_calamine_finds_the_same(door: Any) -> None:
    calamine = pytest.importorskip("python_calamine", reason="the oracle of workbooks is in the extra `test`")
    table = [
        ["date", "b", "c", "d"],
        *([FIRST + timedelta(days=n), f"渠道{n % 7}", n * 1.1, n % 2 == 0] for n in range(200)),
    ]
    path = write(door, {"S": [[], *table]})
    sheet = calamine.load_workbook(str(path)).get_sheet_by_index(0)
    theirs = [[as_text(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
    header, found, _ = door.raw(path)
    assert list(header.names) == theirs[1]
    assert [list(row[:4]) for row in found] == theirs[2:]
    assert [row[4] for row in found] == list(range(3, 203))
