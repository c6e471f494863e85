"""A file on disk becomes rows of text with their physical lines, or is refused before anything is parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from rechannel.source.database import load_query
from rechannel.source.delimited import load_delimited
from rechannel.source.duckfile import is_duckdb_file, load_duckdb
from rechannel.source.encoding import decoded, find_encoding
from rechannel.source.engine import quoted, scratch_folder
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import RAW, Header, is_too_wide, load_arrow
from rechannel.source.jsonfile import load_json
from rechannel.source.legacy import load_legacy
from rechannel.source.progress import Progress, told
from rechannel.source.workbook import load_workbook

__all__ = ["RAW", "Header", "file_sha256", "load_raw", "split_part"]

_CHUNK = 1 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BINARY = {
    b"\x1f\x8b": "gzip",
    b"SQLite format 3": "SQLite",
    b"Rar!\x1a\x07": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh91AY": "bzip2",
    b"\xfd7zXZ": "xz",
    b"ARROW1": "Arrow / Feather",
    b"Obj\x01": "Avro",
    b"%PDF": "PDF",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
"""First bytes of what is no text."""
_JSON = (".json", ".jsonl", ".ndjson")
_PARQUET_BATCH = 1 << 16
_WORKBOOKS = (".xlsx", ".xlsm", ".xltx")


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, hex; a sheet or table named behind `#` is not part of the name."""
    digest = hashlib.sha256()
    with split_part(path)[0].open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def split_part(path: Path) -> tuple[Path, str]:
    """A file, and the sheet or table of it that is named behind `#`: `book.xlsx#Sheet1`, `shop.duckdb#daily`.

    A file whose own name holds the `#` wins.
    """
    if path.is_file():
        return path, ""
    file, mark, part = str(path).partition("#")
    while mark and not Path(file).is_file():
        more, mark, part = part.partition("#")
        file = f"{file}#{more}"
    return (Path(file), part) if mark else (path, "")


def load_raw(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    *,
    part: str = "",
    block: int | None = None,
    preferred: Collection[str] = (),
    connections: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Header | None:
    """Put the rows of one file into the table `raw`, as text.

    Parameters
    ----------
    connection
        A locked engine that may read `path`.
    path
        CSV or its kin, XLSX, Parquet, a DuckDB file, or a `.sql` file with one SELECT.
    part
        Sheet of a workbook or table of a DuckDB file; empty = the only one that holds a table.
    block
        Which of several tables below each other, from 0; None refuses a file with several.
    preferred
        Names of sheets that are meant where several hold a table.
    connections
        The parsed `[connections]` of case.toml, for a `.sql` file.
    progress
        Told how far the reading has come.

    Returns
    -------
    The header, or None when the file is refused; the reasons are in `faults`.

    Raises
    ------
    MissingPart
        RC184: the driver of a database is not installed.
    """
    with path.open("rb") as stream:
        start = stream.read(4096)
    if not start:
        faults.add("RC101", "refuse")
        return None
    suffix = path.suffix.lower()
    with told(connection, "read", progress):
        if suffix in (".parquet", ".pq") or start[:4] == b"PAR1":
            header = _load_parquet(connection, path, faults)
        elif is_duckdb_file(start):
            header = load_duckdb(connection, path, faults, part)
        elif suffix == ".sql":
            header = load_query(connection, path, faults, connections)
        elif start[:4] == b"PK\x03\x04" and suffix in _WORKBOOKS:
            header = load_workbook(connection, path, faults, part, block, preferred, progress)
        elif start[:8] == _OLE and suffix == ".xls" and not _is_encrypted(path):
            header = load_legacy(connection, path, faults, part, block, preferred)
        elif suffix in _JSON:
            header = load_json(connection, path, faults)
        elif _is_something_else(start, path, faults):
            header = None
        else:
            usual = "\t" if suffix in (".tsv", ".tab") else ","
            with _in_utf8(connection, path, faults) as text:
                header = load_delimited(connection, text, faults, block, usual, progress) if text else None
        return _with_rows(connection, header, faults)


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
    elif kind := next((kind for mark, kind in _BINARY.items() if start.startswith(mark)), ""):
        faults.add("RC105", "refuse", kind=kind)
    elif page.startswith((b"{", b"[{")):
        faults.add("RC105", "refuse", kind="JSON")
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
    """Every column as text, batch by batch; checksums of pages are verified where the writer left them."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            if is_too_wide(len(schema.names), 0, faults):
                return None
            load_arrow(connection, schema, file.iter_batches(_PARQUET_BATCH))
    except (pa.ArrowException, duckdb.Error, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0].replace(str(path.resolve()), path.name)
        faults.add("RC114", "refuse", kind="Parquet", reason=reason[:200])
        return None
    return Header(tuple(schema.names), 0)


def _with_rows(connection: duckdb.DuckDBPyConnection, header: Header | None, faults: FaultList) -> Header | None:
    """Refuse a file without rows, and a header that stands there twice; drop empty columns without a name."""
    if header is None:
        return None
    names = header.names
    while names and not names[-1] and _is_blank(connection, len(names) - 1):
        names = names[:-1]
    header = replace(header, names=names)
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
    return None if again else replace(header, names=tuple(" ".join(name.split()) for name in names))


def _is_blank(connection: duckdb.DuckDBPyConnection, place: int) -> bool:
    """Whether a column has no value at all: separators at the end of every line make such columns."""
    return not connection.execute(f"SELECT 1 FROM {RAW} WHERE c{place} IS NOT NULL LIMIT 1").fetchall()
