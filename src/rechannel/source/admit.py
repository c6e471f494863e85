"""One file becomes one canonical relation, or is refused with every fault it has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from rechannel.source.aliases import join_aliases
from rechannel.source.cells import TYPED, type_cells
from rechannel.source.checks import Rules, check_history, check_markets, check_rows
from rechannel.source.contract import TABLES, TableName
from rechannel.source.engine import locked_engine, named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import drop_raw
from rechannel.source.mapping import map_header
from rechannel.source.progress import Progress, told
from rechannel.source.read import Header, file_sha256, load_raw, split_part
from rechannel.vocabulary.errors import CallError, Fault, FileRefused

_BATCH = 100_000


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


def admit(
    path: Path,
    table: TableName,
    rules: Rules,
    *,
    whole: bool = True,
    salt: str = "",
    block: int | None = None,
    connections: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    engine: duckdb.DuckDBPyConnection | None = None,
) -> Admitted:
    """Read one file as one canonical table.

    Parameters
    ----------
    path
        CSV or its kin, XLSX, Parquet, a DuckDB file, or a `.sql` file; a sheet or table may be named behind `#`.
    table
        Which canonical table it is.
    rules
        What the case declares.
    whole
        False for an addition to a table, whose history is judged together with what is there.
    salt
        Salt of the customer hash; empty leaves ids as they are (for checks that store nothing).
    block
        Which of several tables below each other, from 0; None refuses a file with several.
    connections
        The parsed `[connections]` of case.toml, for a `.sql` file.
    progress
        Told how far each step has come.
    engine
        A locked engine that may read the file, to read many files with one; None opens one for this file.

    Raises
    ------
    FileRefused
        The file breaks the contract; holds every fault to a hundred.
    CallError
        RC310: there is no such file; RC313: it may not be read, or memory and temporary space do not suffice.
    MissingPart
        RC184: the driver of a database is not installed.
    """
    file, part = split_part(path)
    if not file.is_file():
        raise CallError("RC310", path=str(path))
    try:
        sha256 = file_sha256(file)
        faults = FaultList(path.name)
        with nullcontext(engine) if engine is not None else locked_engine([file]) as connection:
            header = load_raw(
                connection, file, faults, part=part, block=block, connections=connections, progress=progress
            )
            made = (
                canonical_rows(connection, header, table, rules, faults, whole=whole, salt=salt, progress=progress)
                if header is not None
                else None
            )
            if made is None:
                raise FileRefused(faults.refused())
            relation, dropped, _ = made
    except OSError as error:
        raise CallError("RC313", path=str(path), reason=error.strerror or str(error)) from error
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise CallError("RC313", path=str(path), reason=str(error).splitlines()[0][:200]) from error
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
    progress: Progress | None = None,
) -> tuple[pa.Table, int, Mapping[str, str]] | None:
    """The rows in `raw` as one canonical table: relation, exact repeats dropped, canonical column -> header.

    None when the file is refused; the reasons are in `faults`.
    """
    mapping = map_header(header.names, table, header.line, faults)
    if faults.refusals:
        return None
    with told(connection, "type", progress):
        type_cells(
            connection,
            TABLES[table],
            mapping,
            rules.timezone,
            faults,
            separator=header.separator,
            currency=rules.currency,
        )
        drop_raw(connection)
    if rules.channels and not faults.refusals and "channel" in mapping.positions:
        keys = TABLES[table].key if table == "daily" else ()
        join_aliases(connection, rules.channels, [key for key in keys if key in mapping.positions], faults)
    with told(connection, "check", progress):
        dropped = check_rows(connection, table, rules, faults, whole=whole and not faults.refusals)
    if faults.refused():
        return None
    with told(connection, "keep", progress):
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
    # Rows leave a plain selection as they came in; sorting ten million of them would cost more than the rest.
    reader = connection.sql(f"SELECT {', '.join(selected)}, line FROM {TYPED}").to_arrow_reader(_BATCH)
    batches, last = [], -1
    for batch in reader:
        lines = batch.column(batch.num_columns - 1).to_numpy()
        if len(lines) and (lines[0] <= last or (np.diff(lines) <= 0).any()):
            raise RuntimeError("the engine returned rows out of order")
        last = int(lines[-1]) if len(lines) else last
        batches.append(batch.drop_columns(["line"]))
    schema = pa.schema([field for field in reader.schema if field.name != "line"])
    return pa.Table.from_batches(batches, schema)


def history_faults(relation: pa.Table, rules: Rules, file: str) -> tuple[Fault, ...]:
    """History, gaps and markets of a canonical `daily` relation, as if it came from one file."""
    faults = FaultList(file)
    with locked_engine() as connection:
        connection.register("given", relation)
        connection.execute(f"CREATE TABLE {TYPED} AS SELECT *, 0 AS line FROM given")
        check_history(connection, relation.column_names, rules, faults)
        check_markets(connection, relation.column_names, faults)
    return faults.ordered()
