"""Text with separators (CSV, TSV and their kin), already in UTF-8, becomes the table `raw`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import duckdb

from rechannel.source.engine import quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import (
    BLANKS,
    LOADED,
    RAW,
    Header,
    drop_raw,
    is_too_wide,
    say_layout,
    take_records,
    trimmed_sql,
)
from rechannel.source.layout import SAMPLE_ROWS, Record, find_layout

_CHUNK = 1 << 20
_SEPARATORS = {";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over the bytes saw.

    Attributes
    ----------
    lines
        Physical lines, without blank ones at the end.
    only_newlines
        Whether every line ends with a line feed, alone or behind a carriage return.
    bare
        Whether no cell begins or ends with a blank, so that none needs trimming.
    """

    lines: int
    only_newlines: bool
    bare: bool


def load_delimited(
    connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList, block: int | None
) -> Header | None:
    """Read a UTF-8 file, which the engine may read, into `raw`.

    A well-formed file goes through DuckDB alone. Only when its record count does not equal the line count (quoted line
    breaks, blank lines, ragged rows, open quotes, several tables) is it read record by record.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        separator = _separator(stream)
    scan = _scan(path, separator, faults)
    if scan is None:
        return None
    if separator != ",":
        faults.add("RC117", "warning", line=1, separator=separator.replace("\t", "TAB"), name=_SEPARATORS[separator])
    records = _records(path, separator)
    try:
        layout = find_layout(list(islice(records, SAMPLE_ROWS)))
        if layout is not None and not layout.split and scan.only_newlines and not block:
            header = Header(layout.header.cells, layout.header.last, separator=separator)
            if is_too_wide(len(header.names), header.line, faults):
                return None
            if _fast(connection, path, header, separator, scan):
                say_layout(layout, faults)
                return header
        found = take_records(connection, _records(path, separator), faults, exact=True, block=block)
    except _BrokenRecordError as broken:
        faults.add("RC108", "refuse", line=broken.line)
        return None
    return replace(found, separator=separator) if found is not None else None


class _BrokenRecordError(Exception):
    """A quote that is not closed, or closed in the wrong place."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _scan(path: Path, separator: str, faults: FaultList) -> _Scan | None:
    """One pass over the bytes: NUL, line ends, blanks beside a separator, a quote or a line end."""
    lines, blank = 0, 0
    last = b"\n"
    only_newlines = bare = True
    ends = (separator.encode(), b"\n", b"\r", b'"')
    blanks = [letter.encode() for letter in BLANKS if letter not in "\r\n" + separator]
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if b"\0" in chunk:
                faults.add("RC103", "refuse", line=lines + chunk[: chunk.index(b"\0")].count(b"\n") + 1)
                return None
            lines += chunk.count(b"\n")
            # A pair split by the chunk border looks lone; the careful path then reads the file, rightly but slower.
            only_newlines = only_newlines and chunk.count(b"\r") == chunk.count(b"\r\n")
            if bare:
                seen = [letter for letter in blanks if letter in chunk]
                bare = not any(
                    letter + end in chunk or end + letter in chunk or chunk.startswith(letter) or chunk.endswith(letter)
                    for letter in seen
                    for end in ends
                )
            filled = chunk.rstrip(b"\r\n")
            tail = chunk[len(filled) :].count(b"\n")
            blank = tail - (filled[-1:] != b"") if filled else blank + tail
            last = chunk[-1:]
    return _Scan(lines + (last != b"\n") - max(0, blank), only_newlines, bare)


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


def _fast(connection: duckdb.DuckDBPyConnection, path: Path, header: Header, separator: str, scan: _Scan) -> bool:
    """Load through DuckDB; False unless every physical line below the header became one record."""
    names = [f"c{index}" for index in range(len(header.names))]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    clean = "*" if scan.bare else ", ".join(f"{trimmed_sql(name)} AS {name}" for name in names)
    drop_raw(connection)
    try:
        connection.execute(
            f"""CREATE TABLE {LOADED} AS SELECT {clean} FROM read_csv({quoted(str(path.resolve()))},
            header = false, skip = {header.line}, auto_detect = false, columns = {{{columns}}},
            delim = {quoted(separator)}, quote = '"', escape = '"', strict_mode = true, null_padding = false,
            ignore_errors = false)"""
        )
    except duckdb.InvalidInputException:
        return False
    filled = " OR ".join(f"{name} IS NOT NULL" for name in names)
    found, rows = connection.execute(f"SELECT count(*), count(*) FILTER ({filled}) FROM {LOADED}").fetchall()[0]
    if found != scan.lines - header.line:
        drop_raw(connection)
        return False
    # preserve_insertion_order is on by default and locked, so rowid is the record number.
    some = "" if rows == found else f" WHERE {filled}"
    connection.execute(f"CREATE VIEW {RAW} AS SELECT *, rowid + {header.line + 1} AS line FROM {LOADED}{some}")
    return True
