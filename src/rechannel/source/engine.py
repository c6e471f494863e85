"""DuckDB in a locked box: it reads the files named and nothing else, and nobody can unlock it again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from rechannel.vocabulary.errors import CaseError

MEMORY_MB = 512
"""Memory limit of the embedded engine; what does not fit goes to the engine's own folder."""


@contextmanager
def locked_engine(files: Sequence[Path] = (), memory_mb: int = MEMORY_MB) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that may read `files` and a private folder of its own, and nothing else.

    No extension is fetched or loaded, no other file, socket or database can be opened, and the configuration cannot
    be changed any more. Single files are allowed instead of folders: a neighbour of the user's export is not ours.
    The private folder (`scratch_folder`) takes decoded copies and what exceeds the memory limit; it is removed with
    the engine.

    Parameters
    ----------
    files
        The files that may be read.
    memory_mb
        Memory limit, MB.

    Raises
    ------
    CaseError
        RC216: the private folder cannot be made, or has no room for what exceeds the memory limit.
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix="rechannel-")).resolve()
    except OSError as error:
        raise CaseError("RC216", reason=error.strerror or str(error)) from error
    try:
        connection = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "memory_limit": f"{memory_mb}MB",
                "threads": str(max(1, min(4, os.cpu_count() or 1))),
                "temp_directory": str(scratch),
            },
        )
        try:
            connection.execute("SET enable_progress_bar = true")  # counted, never printed
            connection.execute("SET enable_progress_bar_print = false")
            # The order matters: what is allowed cannot be set once external access is off.
            connection.execute(f"SET allowed_paths = [{', '.join(quoted(str(file.resolve())) for file in files)}]")
            connection.execute(f"SET allowed_directories = [{quoted(str(scratch))}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield connection
        finally:
            connection.close()
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise CaseError("RC216", reason=str(error).splitlines()[0][:200]) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def scratch_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """The private folder of a locked engine, which it may read."""
    return Path(str(connection.execute("SELECT current_setting('temp_directory')").fetchall()[0][0]))


def quoted(value: str) -> str:
    """`value` as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def named(identifier: str) -> str:
    """`identifier` as an SQL name."""
    return '"' + identifier.replace('"', '""') + '"'
