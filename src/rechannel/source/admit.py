"""One file becomes one canonical relation, or is refused with every fault it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from rechannel.source.cells import TYPED, type_cells
from rechannel.source.checks import Rules, check_history, check_markets, check_rows
from rechannel.source.contract import TABLES, TableName
from rechannel.source.engine import locked_engine, named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.mapping import map_header
from rechannel.source.read import Header, file_sha256, load_raw
from rechannel.vocabulary.errors import CallError, Fault, FileRefused


@dataclass(frozen=True, slots=True)
class Admitted:
    """A table that may be stored.

    Attributes
    ----------
    table
        Canonical table it holds.
    relation
        Canonical columns the file has, canonical order, rows in file order; date32, timestamp[us] (case zone),
        float64 (null = not measured), string. Customers are hashed when a salt was given.
    faults
        Warnings and notes.
    original, sha256
        Names without folder, and SHA-256 of the bytes, of the files it came from.
    duplicates
        Exact repeats dropped.
    """

    table: TableName
    relation: pa.Table
    faults: tuple[Fault, ...]
    original: tuple[str, ...]
    sha256: tuple[str, ...]
    duplicates: int


def admit(path: Path, table: TableName, rules: Rules, *, whole: bool = True, salt: str = "") -> Admitted:
    """Read one file as one canonical table.

    Parameters
    ----------
    path
        CSV or Parquet.
    table
        Which canonical table it is.
    rules
        What the case declares.
    whole
        False for an addition to a table, whose history is judged together with what is there.
    salt
        Salt of the customer hash; empty leaves ids as they are (for checks that store nothing).

    Raises
    ------
    FileRefused
        The file breaks the contract; holds every fault to a hundred.
    CallError
        RC310: there is no such file; RC313: it may not be read.
    """
    if not path.is_file():
        raise CallError("RC310", path=str(path))
    try:
        sha256 = file_sha256(path)
    except OSError as error:
        raise CallError("RC313", path=str(path), reason=error.strerror or str(error)) from error
    faults = FaultList(path.name)
    with locked_engine([path]) as connection:
        header = load_raw(connection, path, faults)
        made = canonical_rows(connection, header, table, rules, faults, whole=whole, salt=salt) if header else None
        if made is None:
            raise FileRefused(faults.refused())
    relation, dropped, _ = made
    return Admitted(table, relation, faults.ordered(), (path.name,), (sha256,), dropped)


def canonical_rows(
    connection: duckdb.DuckDBPyConnection,
    header: Header,
    table: TableName,
    rules: Rules,
    faults: FaultList,
    *,
    whole: bool,
    salt: str = "",
) -> tuple[pa.Table, int, Mapping[str, str]] | None:
    """The loaded rows of one file as one canonical table: relation, repeats dropped, canonical column -> header.

    None when the file is refused; the reasons are in `faults`.
    """
    mapping = map_header(header.names, table, header.line, faults)
    if faults.refusals:
        return None
    type_cells(connection, TABLES[table], mapping, rules.timezone, faults)
    dropped = check_rows(connection, table, rules, faults, whole=whole and not faults.refusals)
    if faults.refused():
        return None
    return _canonical(connection, table, salt), dropped, mapping.names


def _canonical(connection: duckdb.DuckDBPyConnection, table: TableName, salt: str) -> pa.Table:
    """`typed` in canonical column order, rows by line."""
    present = {str(row[0]) for row in connection.execute(f"DESCRIBE {TYPED}").fetchall()}
    selected = []
    for column in TABLES[table].columns:
        if column.name not in present:
            continue
        place = named(column.name)
        if column.name == "customer" and salt:
            selected.append(f"sha256({quoted(salt)} || {place})[1:32] AS {place}")
        elif column.type in ("text", "enum"):
            selected.append(f"CAST({place} AS VARCHAR) AS {place}")
        else:
            selected.append(place)
    return connection.sql(f"SELECT {', '.join(selected)} FROM {TYPED} ORDER BY line").to_arrow_table()


def history_faults(relation: pa.Table, rules: Rules, file: str) -> tuple[Fault, ...]:
    """History, gaps and markets of a canonical `daily` relation, as if it came from one file."""
    faults = FaultList(file)
    with locked_engine() as connection:
        connection.register("given", relation)
        connection.execute(f"CREATE TABLE {TYPED} AS SELECT *, 0 AS line FROM given")
        check_history(connection, relation.column_names, rules, faults)
        check_markets(connection, relation.column_names, faults)
    return faults.ordered()
