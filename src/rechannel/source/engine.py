"""DuckDB in a locked box: it reads the files named and nothing else, and nobody can unlock it again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

MEMORY_MB = 1024
"""Memory limit of the embedded engine."""


@contextmanager
def locked_engine(
    files: Sequence[Path] = (), memory_mb: int = MEMORY_MB, spill: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that may read `files` only.

    No extension is fetched or loaded, no other file, socket or database can be opened, and the configuration cannot
    be changed any more. Single files are allowed instead of folders: a neighbour of the user's export is not ours.

    Parameters
    ----------
    files
        The files that may be read.
    memory_mb
        Memory limit, MB.
    spill
        A private folder for what does not fit into memory; None = nothing is spilled, and too large a query fails.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": f"{memory_mb}MB",
            "threads": str(max(1, min(4, os.cpu_count() or 1))),
        },
    )
    try:
        # The order matters: what is allowed cannot be set once external access is off.
        connection.execute(f"SET temp_directory = {quoted('' if spill is None else str(spill))}")
        connection.execute(f"SET allowed_paths = [{', '.join(quoted(str(file.resolve())) for file in files)}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def quoted(value: str) -> str:
    """`value` as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def named(identifier: str) -> str:
    """`identifier` as an SQL name."""
    return '"' + identifier.replace('"', '""') + '"'
