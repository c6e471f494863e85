"""Excel 97-2003 workbooks (.xls), which back offices still write, become rows of text."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
from python_calamine import CalamineError, CalamineWorkbook

from rechannel.source.faultlist import FaultList
from rechannel.source.intake import BLANKS, Header, take_records
from rechannel.source.layout import Record


def load_legacy(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    part: str,
    block: int | None,
    preferred: Collection[str] = (),
) -> Header | None:
    """Read one sheet of an .xls file into `raw`.

    `part` names the sheet; empty = the only one that holds a table, or the only one of those among `preferred`.
    """
    try:
        book = CalamineWorkbook.from_path(str(path))
        filled: dict[str, Sequence[Sequence[object]]] = {}
        for name in [part] if part in book.sheet_names else book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            if part or any(cell != "" for row in rows for cell in row):
                filled[name] = rows
    except (CalamineError, OSError, ValueError) as error:
        faults.add("RC114", "refuse", kind="XLS", reason=str(error)[:200])
        return None
    if len(filled) > 1:
        filled = {name: rows for name, rows in filled.items() if name in preferred} or filled
    if len(filled) != 1:
        if filled:
            faults.add("RC145", "refuse", names=", ".join(filled)[:200])
        else:
            faults.add("RC101", "refuse")
        return None
    return take_records(connection, _records(next(iter(filled.values()))), faults, exact=False, block=block)


def _records(rows: Sequence[Sequence[object]]) -> Iterator[Record]:
    for line, row in enumerate(rows, start=1):
        cells = tuple(_as_text(cell) for cell in row)
        if any(cells):
            yield Record(line, line, cells)


def _as_text(cell: object) -> str:
    """A cell as the sheet shows it: dates in ISO form, whole numbers without a fraction."""
    if isinstance(cell, str):
        return cell.strip(BLANKS)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta | int) else ""
