"""Where a table begins: titles, comments, other tables below, separators, rows that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HEADER = "date,channel,visits\n"


@pytest.mark.parametrize(
    ("above", "header", "line"),
    [
        ("渠道日报\n", "日期,渠道,访客数\n", 2),
        ("店铺,某旗舰店\n统计时间,2025-01-01 ~ 2025-01-30\n\n", "日期,渠道,访客数\n", 4),
        ("# ----\n# Traffic acquisition\n# 20250101-20250130\n# ----\n\n", HEADER, 6),
        ("报表,,\n,,\n", HEADER, 3),
        ('"two\nlines"\n', HEADER, 3),
        ("访客数,1234\n", HEADER, 2),
    ],
)
def test_titles_are_skipped_with_a_warning(
    door: Any, panel: Callable[..., str], above: str, header: str, line: int
) -> None:
    path = door.put(above + header + panel())
    assert ("RC149", line, "") in door.loud(path)
    assert len(door.rows(path)) == 30
    assert door.raw(path)[1][0][-1] == line + 1


@pytest.mark.parametrize(
    "text",
    [
        "claim_id,who,claim\na,Anna,it closes\nb,Bo,it stays\n",
        "claim_id,claim\na,it closes\n",
        "claim_id,2024,claim\na,x,it closes\nb,y,it stays\n",
        "claim_id\tclaim\na\tit, too, closes\n",
    ],
)
def test_a_header_on_top_is_never_taken_for_a_title(door: Any, text: str) -> None:
    header, rows, faults = door.raw(door.put(text))
    assert header.line == 1
    assert header.names[0] == "claim_id"
    assert len(rows) == text.count("\n") - 1
    assert "RC149" not in {fault.code for fault in faults.ordered()}


@pytest.mark.parametrize(
    "names", ["日期,,流量\n,渠道,访客数\n", ",流量,\n日期,渠道,访客数\n", "日期,流量,\n,渠道,访客数\n"]
)
def test_names_on_two_rows(door: Any, panel: Callable[..., str], names: str) -> None:
    found = door.loud(door.put(names + panel()))
    whole = names.startswith(",")
    assert {code for code, *_ in found} == ({"RC149", "RC118"} if whole else {"RC116"})


SECOND = "Session source,Total users,Sessions\napp,5,6\n,11,12,Grand total\n"


def test_a_second_table_is_refused_with_its_line_or_chosen(door: Any, panel: Callable[..., str]) -> None:
    path = door.put("# GA4\n\n" + HEADER + panel() + "\n# other\n" + SECOND.replace(",Grand total", ""))
    assert door.loud(path) == {("RC149", 3, ""), ("RC148", 36, "")} - {("RC149", 3, "")}
    first, rows, _ = door.raw(path, block=0)
    assert first.names == ("date", "channel", "visits")
    assert [other.names[0] for other in first.others] == ["Session source"]
    assert len(rows) == 30
    second, rows, _ = door.raw(path, block=1)
    assert (second.line, [row[:3] for row in rows]) == (36, [("app", "5", "6"), (None, "11", "12")])


def test_a_file_of_many_tables_ends(door: Any) -> None:
    path = door.put("a,b,c\n1,2,3\n\nd,e,f,g\n1,2,3,4\n\n" * 5000)
    assert sorted(door.loud(path)) == [("RC148", line, "") for line in range(4, 60, 3)]
    assert door.raw(path, block=3)[0].names == ("d", "e", "f", "g")
    header, _, faults = door.raw(path, block=25)
    assert header is None
    assert [fault.code for fault in faults.ordered()] == ["RC145"]


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("\n" + HEADER + "2025-02-01,app,3\n", ("RC148", 33, "")),
        (HEADER + "2025-02-01,app,3\n", ("RC148", 32, "")),
        ("\nsource,total\napp,5\n", ("RC148", 33, "")),
        ("\n数据来源：后台\n", ("RC148", 33, "")),
        ("\n合计,,3000\n", ("RC115", 33, "")),
        ("2025-02-01,app\n", ("RC107", 32, "")),
        ("2025-02-01,app,3,\n", ("RC107", 32, "")),
        ('"2025-02-01","app","3",\n', ("RC107", 32, "")),
    ],
)
def test_what_stands_below(door: Any, panel: Callable[..., str], below: str, expected: tuple[str, int, str]) -> None:
    assert door.loud(door.put(HEADER + panel() + below)) == {expected}


def test_blank_lines_between_rows_are_no_border(door: Any, panel: Callable[..., str]) -> None:
    whole = panel().splitlines(keepends=True)
    path = door.put(HEADER + "".join(whole[:7]) + "\n,,\n" + "".join(whole[7:]) + "\n,,\n")
    assert not door.loud(path)
    assert [row[-1] for row in door.raw(path)[1]] == [*range(2, 9), *range(11, 34)]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_are_told_by_how_evenly_they_cut(door: Any, panel: Callable[..., str], separator: str) -> None:
    rows = panel(visits="1,{}").splitlines()
    lines = [separator.join((*row.split(",", 2)[:2], '"' + row.split(",", 2)[2] + '"')) for row in rows]
    path = door.put(HEADER.replace(",", separator) + "\n".join(lines))
    assert {code for code, *_ in door.loud(path)} == {"RC121" if separator == ";" else "RC117"}


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        (["1,234", "2,345"], {"RC121"}),
        (["1.234", "2.345"], {"RC121"}),
        (["1.234,5", "2.345"], {"RC121"}),
        (["1,234", "2,345,678"], set()),
        (["1,234", "2,345.5"], set()),
        (["1.234", "2.5"], set()),
        (["1.234", "1,234.5"], set()),
        (["1234", "12.50"], set()),
    ],
)
def test_marks_beside_semicolons(door: Any, panel: Callable[..., str], cells: list[str], codes: set[str]) -> None:
    """A comma or a point before three digits is read only where another cell of the column shows what it is."""
    rows = [f"{row};{cells[place % 2]}" for place, row in enumerate(panel().replace(",", ";").splitlines())]
    path = door.put(HEADER.replace(",", ";").replace("\n", ";gmv\n") + "\n".join(rows))
    found = {code for code, *_ in door.loud(path)} - {"RC117", "RC161"}
    assert found == codes


def test_long_cells_and_wide_rows(door: Any, panel: Callable[..., str]) -> None:
    assert door.rows(door.put(HEADER + panel(channel="x" * 100_000)))[0][1] == "x" * 100_000
    assert door.loud(door.put(HEADER + panel() + "2025-02-01," + "x" * 3_000_000 + ",3\n")) == {("RC114", 32, "")}
    assert door.loud(door.put(HEADER + panel() + '2025-02-01,"' + "x\n" * 300_000)) == {("RC108", 32, "")}
    wide = ",".join(["date,channel,visits", *(f"c{n}" for n in range(998))])
    assert door.loud(door.put(wide + "\n" + "1," * 1000 + "1\n")) == {("RC109", 1, "")}
    assert not door.loud(door.put(HEADER.replace("\n", ",,\n") + panel().replace("\n", ",,\n")))


@pytest.mark.parametrize(
    ("name", "start", "code"),
    [
        ("t.csv.gz", b"\x1f\x8b\x08rest", "RC105"),
        ("t.csv", b"SQLite format 3\0rest", "RC105"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "RC144"),
        ("t.csv", b'[{"date": "2025-01-01"}]', "RC105"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\0\0", "RC105"),
        ("t.rar", b"Rar!\x1a\x07\x01\0", "RC105"),
        ("t.csv", b"\x7fELF\x02\0\0", "RC103"),
    ],
)
def test_what_is_no_text(door: Any, name: str, start: bytes, code: str) -> None:
    assert {found for found, *_ in door.loud(door.put(start, name))} == {code}
