"""Tables of a DuckDB file, read by a process of its own: a crafted file may crash or hang it, never us."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import duckdb
import pyarrow as pa

from rechannel.source.apart import read_apart
from rechannel.source.childend import give_up, limit_memory
from rechannel.source.engine import named
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import Header, is_too_wide, load_arrow

MEMORY_MB = 512
_BATCH = 1 << 16
_ADDRESS_SPACE = 8 << 30
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": f"{MEMORY_MB}MB",
    "threads": "2",
    "lock_configuration": "true",
}


def is_duckdb_file(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a DuckDB database."""
    return start[8:12] == b"DUCK"


def load_duckdb(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList, part: str) -> Header | None:
    """Put one table or view of a DuckDB file into `raw`.

    The file is opened read-only in another process, with external access off, extensions off and the configuration
    locked, so that neither a view nor a broken page reaches the engine that holds the case.

    Parameters
    ----------
    part
        Name of the table or view, `schema.table` outside the schema `main`; empty = the only one.
    """

    def take(stream: IO[bytes]) -> Header | None:
        with pa.ipc.open_stream(stream) as batches:
            names = tuple(batches.schema.names)
            if is_too_wide(len(names), 0, faults):
                return None
            load_arrow(connection, batches.schema, batches)
        return Header(names, 0)

    return read_apart("rechannel.source.duckfile", path, part, "DuckDB", faults, take)


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Name as a reader writes it -> SQL name, of the tables and views of the file."""
    rows = connection.execute(
        """SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary
        UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary
        ORDER BY 1, 2"""
    ).fetchall()
    return {
        table if schema == "main" else f"{schema}.{table}": f"{named(schema)}.{named(table)}" for schema, table in rows
    }


def main() -> None:
    """Give the rows of a table to `load_duckdb` at the other end."""
    limit_memory(_ADDRESS_SPACE)
    _, path, part = sys.argv
    try:
        with duckdb.connect(path, read_only=True, config=_CONFIG) as connection:
            tables = _tables(connection)
            chosen = tables.get(part) if part else next(iter(tables.values())) if len(tables) == 1 else None
            if chosen is None:
                give_up(tables=list(tables))
            reader = connection.sql(f"SELECT * FROM {chosen}").to_arrow_reader(_BATCH)
            with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as stream:
                for batch in reader:
                    stream.write_batch(batch)
    except (duckdb.Error, MemoryError) as error:
        give_up(reason=str(error).splitlines()[0])


if __name__ == "__main__":
    main()
