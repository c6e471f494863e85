"""The other end of `legacy`: a sheet of an .xls file as lines of JSON on stdout; it imports little, once per file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineError, CalamineWorkbook

from rechannel.source.childend import give_up, limit_memory

MARK = "\x1f"
"""Parts names of sheets that are preferred, where none is named."""
_ADDRESS_SPACE = 4 << 30


def sheet(path: str, part: str) -> Sequence[Sequence[object]]:
    """The rows of the sheet that is meant; ends the process with the names of all when none or several are."""
    book = CalamineWorkbook.from_path(path)
    part, *preferred = part.split(MARK)
    filled: dict[str, Sequence[Sequence[object]]] = {}
    for name in [part] if part in book.sheet_names else book.sheet_names:
        rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        if name == part or any(cell != "" for row in rows for cell in row):
            filled[name] = rows
    if len(filled) > 1:
        filled = {name: rows for name, rows in filled.items() if name in preferred} or filled
    if len(filled) != 1 or (part and part not in filled):
        give_up(tables=list(filled))
    return next(iter(filled.values()))


def lines(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Line number and cells of every row that says something."""
    for line, row in enumerate(rows, start=1):
        cells = [as_text(cell) for cell in row]
        if any(cells):
            yield json.dumps([line, cells], ensure_ascii=True)


def as_text(cell: object) -> str:
    """A cell as the sheet shows it: dates in ISO form, whole numbers without a fraction."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta | int) else ""


def main() -> None:
    """Write the rows of a sheet for `load_legacy`."""
    limit_memory(_ADDRESS_SPACE)
    _, path, part = sys.argv
    try:
        for line in lines(sheet(path, part)):
            print(line)
    except (CalamineError, OSError, ValueError, OverflowError, MemoryError) as error:
        give_up(reason=f"{type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    main()
