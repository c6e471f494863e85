"""Text with separators (CSV, TSV and their kin), already in UTF-8, becomes the table `raw`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb

from rechannel.source.engine import quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import BLANK, BLANKS, RAW, Header, is_too_wide, say_layout, take_records, titles
from rechannel.source.layout import SAMPLE_ROWS, Record, find_layout

_CHUNK = 1 << 20
_SEPARATORS = {";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over the bytes saw: physical lines without blank ones at the end, and their ends."""

    lines: int
    only_newlines: bool


def load_delimited(
    connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList, block: int | None
) -> Header | None:
    """Read a UTF-8 file, which the engine may read, into `raw`.

    A well-formed file goes through DuckDB alone. Only when its record count does not equal the line count (quoted line
    breaks, blank lines, ragged rows, open quotes, several tables) is it read record by record.
    """
    scan = _scan(path, faults)
    if scan is None:
        return None
    with path.open(encoding="utf-8-sig", newline="") as stream:
        separator = _separator(stream)
    if separator != ",":
        faults.add("RC117", "warning", line=1, separator=separator.replace("\t", "TAB"), name=_SEPARATORS[separator])
    records = _records(path, separator)
    try:
        layout = find_layout(list(islice(records, SAMPLE_ROWS)))
        if layout is not None and not layout.split and scan.only_newlines and not block:
            header = Header(layout.header.cells, layout.header.last, above=titles(layout))
            if is_too_wide(len(header.names), header.line, faults):
                return None
            if _fast(connection, path, header, separator, scan.lines):
                say_layout(layout, faults)
                return header
        return take_records(connection, _records(path, separator), faults, exact=True, block=block)
    except _BrokenRecordError as broken:
        faults.add("RC108", "refuse", line=broken.line)
        return None


class _BrokenRecordError(Exception):
    """A quote that is not closed, or closed in the wrong place."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _scan(path: Path, faults: FaultList) -> _Scan | None:
    """One pass over the bytes: NUL and line ends."""
    lines, blank = 0, 0
    last = b"\n"
    only_newlines = True
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if b"\0" in chunk:
                faults.add("RC103", "refuse", line=lines + chunk[: chunk.index(b"\0")].count(b"\n") + 1)
                return None
            lines += chunk.count(b"\n")
            # A pair split by the chunk border looks lone; the careful path then reads the file, rightly but slower.
            only_newlines = only_newlines and chunk.count(b"\r") == chunk.count(b"\r\n")
            filled = chunk.rstrip(b"\r\n")
            tail = chunk[len(filled) :].count(b"\n")
            blank = tail - (filled[-1:] != b"") if filled else blank + tail
            last = chunk[-1:]
    return _Scan(lines + (last != b"\n") - max(0, blank), only_newlines)


def _separator(stream: io.TextIOBase) -> str:
    """Comma, unless most of the first lines that say something have none and have another separator."""
    votes = dict.fromkeys((",", *_SEPARATORS), 0)
    for line in islice((line for line in stream if line.strip() and not line.startswith("#")), 20):
        counts = {mark: line.count(mark) for mark in _SEPARATORS}
        best = max(counts, key=lambda mark: counts[mark])
        votes[best if "," not in line and counts[best] else ","] += 1
    return max(votes, key=lambda mark: votes[mark])


def _records(path: Path, separator: str) -> Iterator[Record]:
    """Records of a file with their physical lines."""
    last = 0
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        try:
            for cells in reader:
                yield Record(last + 1, reader.line_num, tuple(cell.strip(BLANKS) for cell in cells))
                last = reader.line_num
        except csv.Error:
            raise _BrokenRecordError(last + 1) from None


def _fast(connection: duckdb.DuckDBPyConnection, path: Path, header: Header, separator: str, lines: int) -> bool:
    """Load through DuckDB; False unless every physical line below the header became one record."""
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(header.names)))
    clean = ", ".join(f"nullif(trim(c{index}, {BLANK}), '') AS c{index}" for index in range(len(header.names)))
    try:
        connection.execute(
            f"""CREATE OR REPLACE TABLE loaded AS SELECT {clean} FROM read_csv({quoted(str(path.resolve()))},
            header = false, skip = {header.line}, auto_detect = false, columns = {{{columns}}},
            delim = {quoted(separator)}, quote = '"', escape = '"', strict_mode = true, null_padding = false,
            ignore_errors = false)"""
        )
    except duckdb.InvalidInputException:
        return False
    if connection.execute("SELECT count(*) FROM loaded").fetchall()[0][0] != lines - header.line:
        return False
    # preserve_insertion_order is on by default and locked, so rowid is the record number.
    connection.execute(
        f"CREATE OR REPLACE TABLE {RAW} AS SELECT *, rowid + {header.line + 1} AS line FROM loaded ORDER BY rowid"
    )
    connection.execute("DROP TABLE loaded")
    return True
