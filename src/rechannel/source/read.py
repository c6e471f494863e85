"""A file on disk becomes rows of text with their physical lines, or is refused before anything is parsed."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from rechannel.source.contract import MOST_COLUMNS
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList

_CHUNK = 1 << 20
_BLANK = "' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(12288) || chr(65279)"
_SEPARATORS = {";": "semicolon", "\t": "tab", "|": "bar"}
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
RAW = "raw"
"""Name of the DuckDB table: text columns c0, c1, ... and `line`, the physical line (Parquet: the row, from 1)."""


@dataclass(frozen=True, slots=True)
class Header:
    """Names of the columns of `raw`, in file order, and the line they stand on."""

    names: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over the bytes saw."""

    lines: int
    only_newlines: bool


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def load_raw(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList) -> Header | None:
    """Put the rows of one file into the table `raw`, as text.

    A well-formed CSV goes through DuckDB alone. Only when its record count does not equal the line count (quoted line
    breaks, blank lines, ragged rows, open quotes) is it read again record by record, which gives physical lines.

    Returns
    -------
    The header, or None when the file is refused; the reasons are in `faults`.
    """
    with path.open("rb") as stream:
        start = stream.read(4096)
    if not start:
        faults.add("RC101", "refuse")
        return None
    if path.suffix.lower() in (".parquet", ".pq") or start[:4] == b"PAR1":
        return _load_parquet(connection, path, faults)
    if _is_something_else(start, faults):
        return None
    scan = _scan(path, faults)
    if scan is None:
        return None
    return _load_csv(connection, path, scan, faults)


def _is_something_else(start: bytes, faults: FaultList) -> bool:
    """Refuse what is not text: workbooks, web pages, other encodings with a mark."""
    if start[:2] == b"PK":
        faults.add("RC105", "refuse", kind="XLSX / zip")
    elif start[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        faults.add("RC105", "refuse", kind="XLS")
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith((b"<!doctype", b"<html", b"<table", b"<?xml")):
        faults.add("RC106", "refuse", line=1)
    else:
        for mark, name in _ENCODINGS:
            if start.startswith(mark):
                faults.add("RC104", "refuse", line=1, encoding=name)
                return True
        return False
    return True


def _scan(path: Path, faults: FaultList) -> _Scan | None:
    """One pass over the bytes: NUL, UTF-8, line ends."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 0
    last = b"\n"
    only_newlines = True
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if b"\0" in chunk:
                faults.add("RC103", "refuse", line=lines + chunk[: chunk.index(b"\0")].count(b"\n") + 1)
                return None
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                faults.add("RC104", "refuse", line=lines + error.object[: error.start].count(b"\n") + 1, encoding="?")
                return None
            lines += chunk.count(b"\n")
            # A pair split by the chunk border looks lone; the careful path then reads the file, rightly but slower.
            only_newlines = only_newlines and chunk.count(b"\r") == chunk.count(b"\r\n")
            last = chunk[-1:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        faults.add("RC104", "refuse", line=lines + 1, encoding="?")
        return None
    return _Scan(lines + (last != b"\n"), only_newlines)


def _load_csv(connection: duckdb.DuckDBPyConnection, path: Path, scan: _Scan, faults: FaultList) -> Header | None:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        separator = _separator(stream)
        if separator != ",":
            faults.add(
                "RC117", "warning", line=1, separator=separator.replace("\t", "TAB"), name=_SEPARATORS[separator]
            )
    header = _header(path, separator, faults)
    if header is None or _is_too_wide(header, faults):
        return None
    plain = header.line == 1 and scan.only_newlines and _fast(connection, path, header, separator, scan.lines)
    if not plain and not _careful(connection, path, header, separator, faults):
        return None
    return _trimmed(connection, header, faults)


def _separator(stream: io.TextIOBase) -> str:
    """Comma, unless the first line that says something has none and has another separator."""
    for line in stream:
        if line.strip():
            counts = {mark: line.count(mark) for mark in _SEPARATORS}
            best = max(counts, key=lambda mark: counts[mark])
            return best if "," not in line and counts[best] else ","
    return ","


def _records(path: Path, separator: str) -> Iterator[tuple[int, int, list[str]]]:
    """Records of a CSV with their first and last physical line; csv.Error on a broken quote."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        first = 1
        for fields in reader:
            yield first, reader.line_num, fields
            first = reader.line_num + 1


def _header(path: Path, separator: str, faults: FaultList) -> Header | None:
    """The first record that is not blank."""
    last = 0
    try:
        for first, last, fields in _records(path, separator):
            if any(field.strip() for field in fields):
                return Header(tuple(field.strip() for field in fields), first if first == last else last)
    except csv.Error:
        faults.add("RC108", "refuse", line=last + 1)
        return None
    faults.add("RC101", "refuse")
    return None


def _is_too_wide(header: Header, faults: FaultList) -> bool:
    """Refuse a file with more columns than a table can have, before its rows are read."""
    found = len(header.names)
    if found > MOST_COLUMNS:
        faults.add("RC109", "refuse", line=header.line, found=f"{found:,}", most=f"{MOST_COLUMNS:,}")
    return found > MOST_COLUMNS


def _fast(connection: duckdb.DuckDBPyConnection, path: Path, header: Header, separator: str, lines: int) -> bool:
    """Load through DuckDB; False unless every physical line below the header became one record."""
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(header.names)))
    clean = ", ".join(f"nullif(trim(c{index}, {_BLANK}), '') AS c{index}" for index in range(len(header.names)))
    try:
        connection.execute(
            f"""CREATE OR REPLACE TABLE loaded AS SELECT {clean} FROM read_csv({quoted(str(path.resolve()))},
            header = false, skip = 1, auto_detect = false, columns = {{{columns}}}, delim = {quoted(separator)},
            quote = '"', escape = '"', strict_mode = true, null_padding = false, ignore_errors = false)"""
        )
    except duckdb.InvalidInputException:
        return False
    if connection.execute("SELECT count(*) FROM loaded").fetchall()[0][0] != lines - 1:
        return False
    # preserve_insertion_order is on by default and locked, so rowid is the record number.
    connection.execute(f"CREATE OR REPLACE TABLE {RAW} AS SELECT *, rowid + 2 AS line FROM loaded ORDER BY rowid")
    connection.execute("DROP TABLE loaded")
    return True


def _careful(
    connection: duckdb.DuckDBPyConnection, path: Path, header: Header, separator: str, faults: FaultList
) -> bool:
    """Load record by record; False when a row is ragged or a quote is not closed."""
    width = len(header.names)
    columns: list[list[str]] = [[] for _ in range(width)]
    lines: list[int] = []
    ragged: list[tuple[int, int]] = []
    start = header.line
    before = faults.refusals
    try:
        for first, last, fields in _records(path, separator):
            start = last
            if first <= header.line or not fields:
                continue
            if len(fields) != width:
                if not any(field.strip() for field in fields):
                    continue
                ragged.append((first, len(fields)))
                continue
            lines.append(first)
            for values, field in zip(columns, fields, strict=True):
                values.append(field)
    except csv.Error:
        faults.add("RC108", "refuse", line=start + 1)
    for line, found in ragged:
        faults.add("RC107", "refuse", line=line, found=str(found), wanted=str(width))
    if faults.refusals > before:
        return False
    arrays = [pa.array(values, pa.string()) for values in columns] + [pa.array(lines, pa.int64())]
    table = pa.table(arrays, names=[*(f"c{index}" for index in range(width)), "line"])
    _store(connection, table, width)
    return True


def _store(connection: duckdb.DuckDBPyConnection, table: pa.Table, width: int) -> None:
    clean = ", ".join(f"nullif(trim(c{index}, {_BLANK}), '') AS c{index}" for index in range(width))
    connection.register("given", table)
    connection.execute(f"CREATE OR REPLACE TABLE {RAW} AS SELECT {clean}, line FROM given")
    connection.unregister("given")


def _load_parquet(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList) -> Header | None:
    place = quoted(str(path.resolve()))
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({place})").fetchall()
        names = tuple(str(row[0]) for row in described)
        if _is_too_wide(Header(names, 0), faults):
            return None
        text = ", ".join(
            f"nullif(trim(CAST({named(name)} AS VARCHAR), {_BLANK}), '') AS c{index}"
            for index, name in enumerate(names)
        )
        connection.execute(f"CREATE OR REPLACE TABLE loaded AS SELECT {text} FROM read_parquet({place})")
    except duckdb.Error as error:
        faults.add("RC114", "refuse", reason=str(error).splitlines()[0][:200].replace(str(path.resolve()), path.name))
        return None
    connection.execute(f"CREATE OR REPLACE TABLE {RAW} AS SELECT *, rowid + 1 AS line FROM loaded ORDER BY rowid")
    connection.execute("DROP TABLE loaded")
    return _trimmed(connection, Header(names, 0), faults)


def _trimmed(connection: duckdb.DuckDBPyConnection, header: Header, faults: FaultList) -> Header | None:
    """Drop blank rows at the end; refuse a file without rows."""
    filled = " OR ".join(f"c{index} IS NOT NULL" for index in range(len(header.names)))
    connection.execute(f"DELETE FROM {RAW} WHERE line > coalesce((SELECT max(line) FROM {RAW} WHERE {filled}), 0)")
    if connection.execute(f"SELECT count(*) FROM {RAW}").fetchall()[0][0] == 0:
        faults.add("RC102", "refuse", line=header.line)
        return None
    return header
