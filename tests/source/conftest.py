"""One engine and one folder for the many small files that the readers are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rechannel.source.admit import admit
from rechannel.source.checks import Rules
from rechannel.source.engine import locked_engine
from rechannel.source.faultlist import FaultList
from rechannel.source.read import load_raw
from rechannel.vocabulary.errors import Fault, FileRefused

RULES = Rules(date(2025, 12, 31))
NAMES = ("t.csv", "t.tsv", "t.txt", "t.xlsx", "t.xls", "t.parquet", "t.sql", "t.duckdb", "t.csv.gz")


class Door:
    """A folder whose files go through one engine."""

    def __init__(self, folder: Path, engine: Any) -> None:
        self.folder = folder
        self.engine = engine

    def put(self, content: str | bytes, name: str = "t.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def loud(self, path: Path, table: str = "daily", **options: Any) -> set[tuple[str, int, str]]:
        """Code, line and column of every refusal and warning, but for missing columns."""
        return {(f.code, f.line, f.column) for f in self.faults(path, table, **options) if f.code != "RC169"}

    def faults(self, path: Path, table: str = "daily", **options: Any) -> tuple[Fault, ...]:
        try:
            found = admit(path, table, RULES, engine=self.engine, **options).faults  # type: ignore[arg-type]
        except FileRefused as refusal:
            found = refusal.faults
        return tuple(fault for fault in found if fault.severity != "note")

    def rows(self, path: Path, table: str = "daily", **options: Any) -> list[tuple[object, ...]]:
        relation = admit(path, table, RULES, engine=self.engine, **options).relation  # type: ignore[arg-type]
        return list(zip(*(column.to_pylist() for column in relation.columns), strict=True))

    def raw(self, path: Path, **options: Any) -> tuple[Any, list[tuple[Any, ...]], FaultList]:
        """Header, rows of `raw` with their line last, and what was found."""
        faults = FaultList(path.name)
        header = load_raw(self.engine, path, faults, **options)
        rows = self.engine.execute("SELECT * FROM raw ORDER BY line").fetchall() if header is not None else []
        return header, rows, faults


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    with locked_engine([folder / name for name in NAMES]) as engine:
        yield Door(folder, engine)


@pytest.fixture
def panel() -> Callable[..., str]:
    """Rows of 30 days and one channel, without a header."""

    def rows(channel: str = "app", date_text: Callable[[date], str] = date.isoformat, visits: str = "{}") -> str:
        days = [date.fromordinal(date(2025, 1, 1).toordinal() + day) for day in range(30)]
        return "".join(f"{date_text(day)},{channel},{visits.format(100 + place)}\n" for place, day in enumerate(days))

    return rows
