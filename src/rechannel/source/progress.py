"""How far a long read has come, told to whoever wants to show it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import duckdb

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a step (`read`, `type`, `check`, `keep`), the part done and the whole of it; from any thread."""
Bars: TypeAlias = Callable[[str, int, int], Progress]
"""Called with the name of a file, its place and the number of files; gives whom to tell about it."""
STEPS = ("read", "type", "check", "keep")
_EVERY_SECONDS = 0.2
_WHOLE = 1000


@contextmanager
def told(connection: duckdb.DuckDBPyConnection, step: str, progress: Progress | None) -> Iterator[None]:
    """Tell how far the engine is while the block runs, in thousandths of the running statement."""
    if progress is None:
        yield
        return
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(_EVERY_SECONDS):
            share = connection.query_progress() / 100
            if share >= 0:
                progress(step, min(_WHOLE, int(share * _WHOLE)), _WHOLE)

    asking = threading.Thread(target=ask, daemon=True)
    progress(step, 0, _WHOLE)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()
    progress(step, _WHOLE, _WHOLE)


def counted(pieces: Iterable[bytes], total: int, progress: Progress | None) -> Iterator[bytes]:
    """The pieces of a file, telling of each how much of the whole is read."""
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if progress is not None:
            progress("read", min(done, total), total)
