"""Excel 97-2003 workbooks (.xls), which back offices still write, become rows of text in a process of its own.

The format has no checksums, and one wrong byte makes its readers ask for any amount of memory.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from rechannel.source.apart import give, give_up, limit_memory, read_apart
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import BLANKS, Header, take_records
from rechannel.source.layout import Record

_ADDRESS_SPACE = 4 << 30
_BATCH = 5000
_MARK = "\x1f"
"""Parts names of sheets that are preferred, where none is named."""
_SCHEMA = pa.schema([("line", pa.int64()), ("cells", pa.list_(pa.string()))])


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

    Error cells cannot be told from blank ones in this format's reader; an .xlsx keeps them apart.
    """

    def take(stream: pa.RecordBatchReader) -> Header | None:
        rows = (
            Record(line, line, tuple(cells))
            for batch in stream
            for line, cells in zip(batch["line"].to_pylist(), batch["cells"].to_pylist(), strict=True)
        )
        header = take_records(connection, rows, faults, exact=False, block=block)
        for _ in rows:  # the other end must be able to finish
            pass
        return header

    wanted = part or _MARK.join(("", *preferred))
    return read_apart("rechannel.source.legacy", path, wanted, "XLS", faults, take)


def _sheet(path: str, part: str) -> Sequence[Sequence[object]]:
    """The rows of the sheet that is meant; ends the process with the names of all when none or several are."""
    book = CalamineWorkbook.from_path(path)
    part, *preferred = part.split(_MARK)
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


def _batches(rows: Sequence[Sequence[object]]) -> Iterator[pa.RecordBatch]:
    numbered = ((line, [_as_text(cell) for cell in row]) for line, row in enumerate(rows, start=1))
    filled = ((line, cells) for line, cells in numbered if any(cells))
    while some := list(islice(filled, _BATCH)):
        lines, cells = zip(*some, strict=True)
        yield pa.record_batch([pa.array(lines, pa.int64()), pa.array(cells, pa.list_(pa.string()))], schema=_SCHEMA)


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


def main() -> None:
    """Give the rows of a sheet to `load_legacy` at the other end."""
    limit_memory(_ADDRESS_SPACE)
    _, path, part = sys.argv
    try:
        give(_SCHEMA, _batches(_sheet(path, part)))
    except (CalamineError, OSError, ValueError, OverflowError, MemoryError) as error:
        give_up(reason=f"{type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    main()
