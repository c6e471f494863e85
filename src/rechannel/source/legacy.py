"""Excel 97-2003 workbooks (.xls), which back offices still write, become rows of text in a process of its own.

The format has no checksums, and one wrong byte makes its readers ask for any amount of memory.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import duckdb

from rechannel.source.apart import read_apart
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import BLANKS, Header, take_records
from rechannel.source.layout import Record

_MARK = "\x1f"


def load_legacy(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    part: str,
    block: int | None,
    preferred: Collection[str] = (),
) -> Header | None:
    """Read one sheet of an .xls file into `raw`.

    `part` names the sheet; empty = the only one that holds a table, or the only one of those among `preferred`. Error
    cells cannot be told from blank ones in this format's reader; an .xlsx keeps them apart.
    """

    def take(stream: IO[bytes]) -> Header | None:
        first = stream.readline()
        if not first:  # the other process says why on its way out
            return None
        rows = _records(chain([first], stream))
        header = take_records(connection, rows, faults, exact=False, block=block)
        for _ in rows:  # the other end must be able to finish
            pass
        return header

    wanted = part or _MARK.join(("", *preferred))
    return read_apart("rechannel.source.xlsrows", path, wanted, "XLS", faults, take)


def _records(stream: Iterable[bytes]) -> Iterator[Record]:
    for row in stream:
        line, cells = json.loads(row)
        yield Record(line, line, tuple(cell.strip(BLANKS) for cell in cells))
