"""Small cases whose every step of writing can be failed, interrupted or killed, and what must hold afterwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, TypeVar

import pyarrow as pa

from rechannel.source.addition import add_relations
from rechannel.source.admit import Admitted
from rechannel.source.config import CaseConfig
from rechannel.source.contract import TableName
from rechannel.source.runs import complete_runs, verify_run
from rechannel.source.store import open_case_folder, store_case

T = TypeVar("T")
TODAY = date(2025, 12, 31)
FIRST = date(2025, 1, 1)
DECLARED = CaseConfig("made", "CNY", "Asia/Shanghai", "daily", {}, salt="salt")
How = Literal["fails", "fails from there on", "interrupted", "interrupted after"]
HOWS: tuple[How, ...] = ("fails", "fails from there on", "interrupted", "interrupted after")


def daily(path: Path, days: int = 40, visits: int = 100) -> Path:
    """A CSV of two channels."""
    rows = [f"{FIRST + timedelta(days=day)},{name},{visits + day}" for day in range(days) for name in ("app", "entry")]
    path.write_text("date,channel,visits\n" + "\n".join(rows) + "\n")
    return path


def touches(path: Path) -> Path:
    """A CSV of one customer."""
    path.write_text(
        "customer,time,channel,event,value\nu1,2025-01-01 10:00:00,app,visit,\nu1,2025-01-01 11:00:00,app,order,5\n"
    )
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def admitted(table: TableName, columns: Mapping[str, list[object]]) -> Admitted:
    """Rows as `admit` would hand them on."""
    dated = {name: pa.array(rows, pa.date32()) for name, rows in columns.items() if isinstance(rows[0], date)}
    relation = pa.table({name: dated.get(name, rows) for name, rows in columns.items()})
    return Admitted(table, relation, (), (f"{table}.csv",), ("0" * 64,), 0)


def events(day: int, note: str = "") -> Admitted:
    """One promotion on day `day` of the year."""
    on = FIRST + timedelta(days=day)
    return admitted("events", {"start": [on], "end": [on], "kind": ["promo"], "note": [note]})


def rivals(day: int) -> Admitted:
    """One figure of one rival on day `day` of the year."""
    on = FIRST + timedelta(days=day)
    return admitted("rivals", {"date": [on], "firm": ["x"], "metric": ["share"], "value": [0.5]})


def make(folder: Path) -> Path:
    """A case with one event."""
    return store_case(folder, {"events": events(0)}, DECLARED).folder


def add(folder: Path) -> None:
    """A revised event and a new one come into a table that is there, a rival into one that is not."""
    both = pa.concat_tables([events(0, "revised").relation, events(1).relation])
    rows = Admitted("events", both, (), ("more.csv",), ("1" * 64,), 0)
    add_relations(open_case_folder(folder), {"events": rows, "rivals": rivals(0)}, today=TODAY)


def run(folder: Path) -> None:
    """A run of an answer, a table and a page."""
    with open_case_folder(folder).new_run() as pending:
        pending.write("answers/closure-1.json", "{}\n")
        pending.write("answers.parquet", events(0).relation)
        pending.write("report.en.html", "<!doctype html>")


class Stand:
    """Stands in the place of `durable.act`; at step number `at` (from 0) something happens, in the way of `how`.

    What reaches the disk is not waited for: no test here pulls the plug, and a real sync costs most of the time.
    """

    def __init__(self, at: int | None = None, how: How = "fails", code: int = errno.ENOSPC) -> None:
        self.at, self.how, self.code = at, how, code
        self.steps: list[str] = []

    def __call__(self, step: str, do: Callable[[], T]) -> T | None:
        place = len(self.steps)
        self.steps.append(step)
        here = place == self.at
        if self.how == "fails from there on" and self.at is not None and place >= self.at:
            here = True
        if here and self.how.startswith("fails"):
            raise OSError(self.code, os.strerror(self.code))
        if here and self.how == "interrupted":
            raise KeyboardInterrupt
        done = None if step.endswith(": synced") else do()
        if here:
            raise KeyboardInterrupt
        return done

    @property
    def reached(self) -> bool:
        return self.at is not None and len(self.steps) > self.at


def stored(folder: Path) -> dict[str, bytes]:
    """The bytes a reader of the case relies on: case.toml, the data files it names, complete runs. All are proven."""
    case = open_case_folder(folder)
    found = {"case.toml": (folder / "case.toml").read_bytes()}
    for table, source in case.config.tables.items():
        assert case.relation(table) is not None
        found[source.file] = (folder / "data" / source.file).read_bytes()
    for place in complete_runs(folder):
        verify_run(place)
        found |= {f"{place.name}/{name}": body for name, body in snapshot(place).items()}
    return found


def said(folder: Path) -> tuple[dict[TableName, list[dict[str, object]]], int]:
    """What the case says, whatever its files are called: rows by table, and how many runs."""
    case = open_case_folder(folder)
    relations = {table: case.relation(table) for table in case.config.tables}
    rows = {table: relation.to_pylist() for table, relation in relations.items() if relation is not None}
    numbers = [verify_run(place).number for place in complete_runs(folder)]
    assert numbers == sorted(set(numbers))
    return rows, len(numbers)


def litter(folder: Path) -> list[str]:
    """Files and folders that belong to nothing, beside the case and in it."""
    known = {folder / name for name in ("case.toml", ".lock", "data", "runs")}
    config = open_case_folder(folder).config
    known |= {folder / "data" / source.file for source in config.tables.values()}
    for place in complete_runs(folder):
        known |= {place, *place.rglob("*")}
    strange = [path for path in folder.rglob("*") if path not in known]
    return [str(path.relative_to(folder.parent)) for path in strange] + [
        path.name for path in folder.parent.iterdir() if path != folder
    ]
