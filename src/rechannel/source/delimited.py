"""Text with separators (CSV, TSV and their kin), already in UTF-8, becomes the table `raw`."""

from __future__ import annotations

import csv
import io
from collections import Counter
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
    titles,
    trimmed_sql,
)
from rechannel.source.layout import SAMPLE_ROWS, Record, find_layout
from rechannel.source.progress import Progress

_CHUNK = 1 << 20
_SEPARATOR_LINES = 50
_TELL_LINES = 50_000
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


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
    separators
        How many separators stand below the header.
    quotes
        Whether a quote stands below the header.
    open_ends
        Whether a line may end with a separator.
    """

    lines: int
    only_newlines: bool
    bare: bool
    separators: int
    quotes: bool
    open_ends: bool

    def is_even(self, width: int, rows: int) -> bool:
        """Whether no line below the header can have an empty cell too many, which DuckDB lets pass."""
        return not self.open_ends if self.quotes else self.separators == (width - 1) * rows


def load_delimited(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    block: int | None,
    usual: str = ",",
    progress: Progress | None = None,
) -> Header | None:
    """Read a UTF-8 file, which the engine may read, into `raw`; a separator that is not the usual one is a warning.

    A well-formed file goes through DuckDB alone. Only when its record count does not equal the line count (quoted line
    breaks, blank lines, ragged rows, open quotes, several tables) is it read record by record.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        separator = _separator(stream)
    if separator != usual:
        faults.add("RC117", "warning", line=1, separator=separator.replace("\t", "TAB"), name=_SEPARATORS[separator])
    try:
        layout = find_layout(list(islice(_records(path, separator), SAMPLE_ROWS)))
        above = layout.header.last if layout is not None else 0
        scan = _scan(path, separator, above, faults)
        if scan is None:
            return None
        if layout is not None and not layout.split and scan.only_newlines and not block:
            header = Header(layout.header.cells, layout.header.last, separator=separator, above=titles(layout))
            if is_too_wide(len(header.names), header.line, faults):
                return None
            if _fast(connection, path, header, scan):
                say_layout(layout, faults)
                return header
        found = take_records(connection, _records(path, separator, progress), faults, exact=True, block=block)
    except _BrokenRecordError as broken:
        if broken.is_long:
            faults.add("RC114", "refuse", line=broken.line, kind="CSV", reason=f"> {csv.field_size_limit():,}")
        else:
            faults.add("RC108", "refuse", line=broken.line)
        return None
    return replace(found, separator=separator) if found is not None else None


class _BrokenRecordError(Exception):
    """A quote that is not closed or closed in the wrong place, or a cell longer than any cell is."""

    def __init__(self, line: int, *, is_long: bool) -> None:
        super().__init__(line)
        self.line = line
        self.is_long = is_long


def _scan(path: Path, separator: str, above: int, faults: FaultList) -> _Scan | None:
    """One pass over the bytes; the first `above` lines hold the header and count as lines only."""
    lines, blank, separators = 0, 0, 0
    last = b"\n"
    only_newlines = bare = True
    quotes = open_ends = False
    mark = separator.encode()
    ends = (mark, b"\n", b"\r", b'"')
    blanks = [letter.encode() for letter in BLANKS if letter not in "\r\n" + separator]
    with path.open("rb") as stream:
        for _ in range(above):
            line = stream.readline(_CHUNK)
            if b"\0" in line:
                faults.add("RC103", "refuse", line=lines + 1)
                return None
            lines += line.endswith(b"\n")
            only_newlines = only_newlines and line.count(b"\r") == line.count(b"\r\n")
            last = line[-1:]
        while chunk := stream.read(_CHUNK):
            if b"\0" in chunk:
                faults.add("RC103", "refuse", line=lines + chunk[: chunk.index(b"\0")].count(b"\n") + 1)
                return None
            lines += chunk.count(b"\n")
            # A pair split by the chunk border looks lone; the careful path then reads the file, rightly but slower.
            only_newlines = only_newlines and chunk.count(b"\r") == chunk.count(b"\r\n")
            separators += chunk.count(mark)
            quotes = quotes or b'"' in chunk
            open_ends = open_ends or any(mark + end in chunk for end in ends[1:3]) or chunk.endswith(mark)
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
    lines += (last != b"\n") - max(0, blank)
    return _Scan(lines, only_newlines, bare, separators, quotes, open_ends)


def _separator(stream: io.TextIOBase) -> str:
    """The separator that cuts most of the first lines into the same number of cells; a comma in doubt."""
    lines = list(islice((line for line in stream if line.strip() and not line.startswith("#")), _SEPARATOR_LINES))
    best, most = ",", 0
    for separator in _SEPARATORS:
        if not any(separator in line for line in lines):
            continue
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=separator))
        except csv.Error:
            continue
        alike = max((count for width, count in widths.items() if width > 1), default=0)
        if alike > most:
            best, most = separator, alike
    return best


def _records(path: Path, separator: str, progress: Progress | None = None) -> Iterator[Record]:
    """Records of a file with their physical lines."""
    last, size = 0, path.stat().st_size
    with path.open("rb") as whole, io.TextIOWrapper(whole, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
        try:
            for cells in reader:
                yield Record(last + 1, reader.line_num, tuple(cell.strip(BLANKS) for cell in cells))
                last = reader.line_num
                if progress is not None and not last % _TELL_LINES:
                    progress("read", whole.tell(), size)
        except csv.Error as error:
            # A cell that swallows lines was opened by a quote; one that is long on its own line was not.
            is_long = "limit" in str(error) and reader.line_num == last + 1
            raise _BrokenRecordError(last + 1, is_long=is_long) from None


def _fast(connection: duckdb.DuckDBPyConnection, path: Path, header: Header, scan: _Scan) -> bool:
    """Load through DuckDB; False unless every physical line below the header became one record."""
    names = [f"c{index}" for index in range(len(header.names))]
    if not scan.is_even(len(names), scan.lines - header.line):
        return False
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    clean = "*" if scan.bare else ", ".join(f"{trimmed_sql(name)} AS {name}" for name in names)
    drop_raw(connection)
    try:
        connection.execute(
            f"""CREATE TABLE {LOADED} AS SELECT {clean} FROM read_csv({quoted(str(path.resolve()))},
            header = false, skip = {header.line}, auto_detect = false, columns = {{{columns}}},
            delim = {quoted(header.separator)}, quote = '"', escape = '"', strict_mode = true, null_padding = false,
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
