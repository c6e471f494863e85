"""A file on disk becomes rows of text with their physical lines, or is refused before anything is parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from rechannel.source.delimited import load_delimited
from rechannel.source.encoding import decoded, find_encoding
from rechannel.source.engine import named, quoted, scratch_folder
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import BLANK, RAW, Header, is_too_wide
from rechannel.source.jsonfile import load_json
from rechannel.source.legacy import load_legacy
from rechannel.source.workbook import load_workbook

__all__ = ["RAW", "Header", "file_sha256", "load_raw"]

_CHUNK = 1 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_JSON = (".json", ".jsonl", ".ndjson")
_WORKBOOKS = (".xlsx", ".xlsm", ".xltx")


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def load_raw(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    *,
    part: str = "",
    block: int | None = None,
    preferred: Collection[str] = (),
) -> Header | None:
    """Put the rows of one file into the table `raw`, as text.

    Parameters
    ----------
    connection
        A locked engine that may read `path`.
    path
        CSV or its kin, XLSX or Parquet.
    part
        Sheet of a workbook; empty = the only one that holds a table.
    preferred
        Names of sheets that are meant where several hold a table.
    block
        Which of several tables below each other, from 0; None refuses a file with several.

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
    if start[:4] == b"PK\x03\x04" and path.suffix.lower() in _WORKBOOKS:
        return _trimmed(connection, load_workbook(connection, path, faults, part, block, preferred), faults)
    if start[:8] == _OLE and path.suffix.lower() == ".xls" and not _is_encrypted(path):
        return _trimmed(connection, load_legacy(connection, path, faults, part, block, preferred), faults)
    if path.suffix.lower() in _JSON:
        return _trimmed(connection, load_json(connection, path, faults), faults)
    if _is_something_else(start, path, faults):
        return None
    with _in_utf8(connection, path, faults) as text:
        return _trimmed(connection, load_delimited(connection, text, faults, block), faults) if text else None


def _is_something_else(start: bytes, path: Path, faults: FaultList) -> bool:
    """Refuse what is not text, whatever its name says: workbooks, archives, web pages."""
    page = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower()
    if start[:2] == b"PK":
        faults.add("RC105", "refuse", kind="XLSX / zip")
    elif start[:8] == _OLE:
        if _is_encrypted(path):
            faults.add("RC144", "refuse")
        else:
            faults.add("RC105", "refuse", kind="XLS (Excel 97-2003)")
    elif start[:2] == b"\x1f\x8b":
        faults.add("RC105", "refuse", kind="gzip")
    elif start.startswith(b"SQLite format 3"):
        faults.add("RC105", "refuse", kind="SQLite")
    elif page.startswith((b"<!doctype", b"<html", b"<table", b"<?xml")):
        faults.add("RC106", "refuse", line=1)
    else:
        return False
    return True


def _is_encrypted(path: Path) -> bool:
    """Whether an OLE file is a workbook behind a password."""
    with path.open("rb") as stream:
        return "EncryptedPackage".encode("utf-16-le") in stream.read(1 << 24)


@contextmanager
def _in_utf8(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList) -> Iterator[Path | None]:
    """The file itself when it is UTF-8, else a decoded copy in the engine's private folder; None when refused."""
    encoding = find_encoding(path, faults)
    if encoding is None:
        yield None
    elif not encoding.name:
        yield path
    else:
        faults.add("RC112", "warning", encoding=encoding.name)
        copy = scratch_folder(connection) / "decoded.csv"
        try:
            with copy.open("w", encoding="utf-8", newline="") as stream:
                stream.writelines(decoded(path, encoding.codec, encoding.mark))
            yield copy
        finally:
            copy.unlink(missing_ok=True)


def _load_parquet(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList) -> Header | None:
    place = quoted(str(path.resolve()))
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({place})").fetchall()
        names = tuple(str(row[0]) for row in described)
        if is_too_wide(len(names), 0, faults):
            return None
        text = ", ".join(
            f"nullif(trim(CAST({named(name)} AS VARCHAR), {BLANK}), '') AS c{index}" for index, name in enumerate(names)
        )
        connection.execute(f"CREATE OR REPLACE TABLE loaded AS SELECT {text} FROM read_parquet({place})")
    except duckdb.Error as error:
        reason = str(error).splitlines()[0][:200].replace(str(path.resolve()), path.name)
        faults.add("RC114", "refuse", kind="Parquet", reason=reason)
        return None
    connection.execute(f"CREATE OR REPLACE TABLE {RAW} AS SELECT *, rowid + 1 AS line FROM loaded ORDER BY rowid")
    connection.execute("DROP TABLE loaded")
    return _trimmed(connection, Header(names, 0), faults)


def _trimmed(connection: duckdb.DuckDBPyConnection, header: Header | None, faults: FaultList) -> Header | None:
    """Drop blank rows at the end; refuse a file without rows, and a header that stands there twice."""
    if header is None:
        return None
    filled = " OR ".join(f"c{index} IS NOT NULL" for index in range(len(header.names)))
    connection.execute(f"DELETE FROM {RAW} WHERE line > coalesce((SELECT max(line) FROM {RAW} WHERE {filled}), 0)")
    if connection.execute(f"SELECT count(*) FROM {RAW}").fetchall()[0][0] == 0:
        faults.add("RC102", "refuse", line=header.line)
        return None
    same = " AND ".join(
        f"c{index} IS NOT DISTINCT FROM {quoted(name) if name else 'NULL'}" for index, name in enumerate(header.names)
    )
    again = connection.execute(f"SELECT line FROM {RAW} WHERE {same} ORDER BY line LIMIT 20").fetchall()
    for (line,) in again:
        seen = ", ".join(header.names)[:120]
        faults.add("RC148", "refuse", line=int(line), seen=seen, first=str(header.line))
    return None if again else header
