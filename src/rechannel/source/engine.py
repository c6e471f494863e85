"""DuckDB in a locked box: it reads the files named and nothing else, and nobody can unlock it again."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import duckdb

from rechannel.vocabulary.errors import CaseError

_INTERRUPTED = "Query interrupted"
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
    KeyboardInterrupt
        Ctrl-C while the engine was in use; DuckDB makes other errors of it.
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
            with _stopped_by_ctrl_c(connection) as heard:
                try:
                    yield connection
                except Exception as error:
                    if heard.is_set():
                        raise KeyboardInterrupt from error
                    raise
                if heard.is_set():  # somebody took the stopped query for a file that cannot be read
                    raise KeyboardInterrupt
        finally:
            connection.close()
    except RuntimeError as error:
        if str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from error
        raise
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise CaseError("RC216", reason=str(error).splitlines()[0][:200]) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _stopped_by_ctrl_c(connection: duckdb.DuckDBPyConnection) -> Iterator[threading.Event]:
    """Ctrl-C stops a running query at once; left alone, the engine first ends what its threads have begun.

    The event is set once Ctrl-C was heard.
    """
    heard = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield heard  # only the main thread hears of Ctrl-C, and a process that ignores it goes on ignoring it
        return

    def stop(number: int, frame: FrameType | None) -> None:
        heard.set()
        connection.interrupt()
        before(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


def scratch_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """The private folder of a locked engine, which it may read."""
    return Path(str(connection.execute("SELECT current_setting('temp_directory')").fetchall()[0][0]))


def quoted(value: str) -> str:
    """`value` as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def named(identifier: str) -> str:
    """`identifier` as an SQL name."""
    return '"' + identifier.replace('"', '""') + '"'
