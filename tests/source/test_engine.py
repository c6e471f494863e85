"""The locked engine: Ctrl-C in a query is Ctrl-C, at once, and the engine's folder goes with it."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from rechannel.source.engine import locked_engine
from rechannel.vocabulary.errors import CallError

ENDLESS = "SELECT count(*) FROM range(100000000000) r(i) WHERE hash(i) % 7 = 3"
PATIENCE_SECONDS = 5.0
"""Far above what stopping takes, on a machine that does many things; far below what the query takes."""


@pytest.mark.skipif(os.name == "nt", reason="no process sends itself SIGINT there")
@pytest.mark.parametrize(
    "ask", [lambda engine: engine.execute(ENDLESS).fetchall(), lambda engine: engine.sql(ENDLESS).to_arrow_table()]
)
def test_ctrl_c_in_a_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[duckdb.DuckDBPyConnection], object]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGINT)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), locked_engine() as engine:
        _interrupted_soon(ask, engine)
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert signal.getsignal(signal.SIGINT) is before
    assert list(tmp_path.iterdir()) == []


def _interrupted_soon(ask: Callable[[duckdb.DuckDBPyConnection], object], engine: duckdb.DuckDBPyConnection) -> None:
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    ask(engine)


@pytest.mark.skipif(os.name == "nt", reason="no process sends itself SIGINT there")
def test_a_stopped_query_is_not_a_bad_file() -> None:
    """Whatever a reader makes of the engine's error, the user pressed Ctrl-C."""

    def read(engine: duckdb.DuckDBPyConnection, *, blamed: bool) -> None:
        try:
            _interrupted_soon(lambda one: one.execute(ENDLESS).fetchall(), engine)
        except (KeyboardInterrupt, RuntimeError, duckdb.Error) as error:
            if blamed:
                raise CallError("RC313", path="t.csv", reason="Interrupted!") from error

    for blamed in (True, False):
        with pytest.raises(KeyboardInterrupt), locked_engine() as engine:
            read(engine, blamed=blamed)
