"""kill -9 at random instants and at every named step of writing: nothing acknowledged is lost, no case is unreadable.

A process that has imported everything forks one writer after the other, kills it, and forks a reader that looks at what
is left. It never touches a case itself, so that what it forks has no threads and starts at once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.dataset  # reading Parquet imports it: here once, not in every child

from rechannel.case import new_case, open_case
from rechannel.source import durable
from rechannel.source.addition import add_relations
from rechannel.source.admit import Admitted
from rechannel.source.config import CaseConfig, read_config
from rechannel.source.contract import TableName
from rechannel.source.examples import example_folder, example_tables
from rechannel.source.runs import complete_runs, interrupted_runs, verify_run
from rechannel.source.store import open_case_folder, store_case

FIRST = date(2025, 1, 1)
TODAY = date(2025, 12, 31)
KILLS_PER_CASE = 50
TURNS = {"writes": 3.0, "makes": 3.0, "runs": 1.5}
"""A writer is killed at an instant that is uniform over so many of its turns, as they last on this machine."""
SHARES = {"writes": 0.84, "makes": 0.1, "runs": 0.06}
DECLARED = CaseConfig("kills", "CNY", "Asia/Shanghai", "daily", {}, salt="salt")

Acknowledge = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Look:
    """What is found after a kill: what was acknowledged and is not there, what cannot be read, whether anything is left
    of the dead.
    """

    lost: list[str]
    unreadable: list[str]
    left_something: bool


@dataclass(slots=True)
class Tally:
    """What the kills did."""

    kills: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    left_something: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, acknowledged: Sequence[str], look: Look) -> None:
        """One more kill."""
        self.kills += 1
        self.acknowledged += len(acknowledged)
        self.lost += look.lost
        self.unreadable += look.unreadable
        self.left_something += look.left_something
        self.by_kind[kind] += 1


def rows(number: int) -> dict[TableName, Admitted]:
    """One row of two tables, named by a number."""
    on, note = pa.array([FIRST + timedelta(days=number)], pa.date32()), str(number)
    events = pa.table({"start": on, "end": on, "kind": ["promo"], "note": [note]})
    rivals = pa.table({"date": on, "firm": ["x"], "metric": ["share"], "value": [float(number)]})
    made: dict[TableName, pa.Table] = {"events": events, "rivals": rivals}
    return {table: Admitted(table, made[table], (), (f"{note}.csv",), ("0" * 64,), 0) for table in made}


WARM = rows(0)


def add_one(folder: Path, number: int) -> str:
    """Both rows come into the case."""
    add_relations(open_case_folder(folder), rows(number), today=TODAY)
    return f"add {number}"


def run_one(folder: Path, _: int = 0) -> str:
    """A small run is stored."""
    with open_case_folder(folder).new_run() as run:
        run.write("answers/closure-1.json", '{"figure": 1}\n' * 200)
        run.write("answers.parquet", rows(0)["events"].relation)
        run.write("report.en.html", "<!doctype html>\n" * 500)
    return f"run {run.final.name}"


def make_one(folder: Path, number: int) -> str:
    """A case is made beside this one."""
    store_case(folder.with_name(f"made-{number}"), rows(number), DECLARED)
    return f"made made-{number}"


def real_run(folder: Path, _: int = 0) -> str:
    """The public case is run through the front door."""
    return f"run {open_case(folder).run().folder.name}"


def writes(folder: Path, number: int, acknowledge: Acknowledge) -> None:
    """One turn of a writer: an addition, then a run."""
    acknowledge(add_one(folder, number))
    acknowledge(run_one(folder))


def makes(folder: Path, number: int, acknowledge: Acknowledge) -> None:
    """One turn of a maker of cases."""
    acknowledge(make_one(folder, number))


def runs(folder: Path, _: int, acknowledge: Acknowledge) -> None:
    """One turn of somebody who runs the case."""
    acknowledge(real_run(folder))


KINDS: Mapping[str, Callable[[Path, int, Acknowledge], None]] = {"writes": writes, "makes": makes, "runs": runs}


def until_killed(kind: str, folder: Path, first: int, acknowledge: Acknowledge) -> NoReturn:
    """Turns of one kind without an end."""
    number = first
    while True:
        KINDS[kind](folder, number, acknowledge)
        number += 1


def forked(work: Callable[[Acknowledge], object]) -> tuple[int, int]:
    """A child that does `work`; its process id, and where to read what it acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    code = 1
    try:
        os.close(reader)
        work(lambda line: _put(writer, line))
        code = 0
    finally:
        os._exit(
            code
        )  # what an error is follows from what is found afterwards; the parent's clean-up is not the child's


def _put(writer: int, line: str) -> None:
    os.write(writer, f"{line}\n".encode())


def heard(reader: int) -> list[str]:
    """Every whole line of a pipe whose writer is gone."""
    with os.fdopen(reader, "rb") as stream:
        body = stream.read()
    return body[: body.rfind(b"\n") + 1].decode().splitlines()


def done(work: Callable[[Acknowledge], object]) -> list[str]:
    """What a child says that is left alone."""
    child, reader = forked(work)
    said = heard(reader)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise RuntimeError(f"a child that nobody killed ended with {code}")
    return said


def killed(work: Callable[[Acknowledge], object], after_seconds: float) -> list[str]:
    """What a child acknowledged before it was killed."""
    child, reader = forked(work)
    time.sleep(after_seconds)
    os.kill(child, signal.SIGKILL)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        raise RuntimeError("a writer ended by itself")
    return heard(reader)


def looked_at(folder: Path, acknowledged: Sequence[str]) -> Look:
    """What a reader finds who opens the case after a kill."""
    return _look_of(done(lambda say: [say(line) for line in _findings(folder, acknowledged)]))


def _look_of(said: Sequence[str]) -> Look:
    lost, unreadable = (
        [line.removeprefix(word) for line in said if line.startswith(word)] for word in ("lost ", "unreadable ")
    )
    return Look(lost, unreadable, "left" in said)


def _findings(folder: Path, acknowledged: Sequence[str]) -> list[str]:
    """Lines `lost X`, `unreadable X` and `left`."""
    found: list[str] = []
    try:
        case = open_case_folder(folder)
        relations = {table: case.relation(table) for table in case.config.tables}
        there = {path.name: path for path in complete_runs(folder)}
    except Exception as error:  # noqa: BLE001 (whatever it is, a reader could not read)
        return [f"unreadable {error!r}"]
    events, rivals = relations.get("events"), relations.get("rivals")
    numbers = set() if events is None else set(events["note"].to_pylist())
    ours = case.config.name == DECLARED.name and rivals is not None
    if ours and {str(int(value)) for value in rivals["value"].to_pylist()} != numbers:
        found.append("unreadable two tables of one addition differ")
    for line in acknowledged:
        kind, name = line.split()
        if (kind == "add" and name not in numbers) or (kind == "run" and name not in there):
            found.append(f"lost {line}")
        elif kind == "made":
            found += _made(folder.with_name(name), line)
    for name in [name.split()[1] for name in acknowledged if name.startswith("run ")] or list(there)[-1:]:
        try:
            verify_run(there[name])
        except Exception as error:  # noqa: BLE001
            found.append(f"unreadable {name}: {error!r}")
    named = {source.file for source in case.config.tables.values()}
    unnamed = [path for path in (folder / "data").iterdir() if path.name not in named]
    if unnamed or interrupted_runs(folder) or list(folder.parent.glob(".*.new-*")):
        found.append("left")
    return found


def _made(folder: Path, line: str) -> list[str]:
    try:
        case = open_case_folder(folder)
        whole = all(case.relation(table) is not None for table in ("events", "rivals"))
    except Exception as error:  # noqa: BLE001
        return [f"lost {line}: {error!r}"]
    return [] if whole else [f"unreadable {line}"]


@contextmanager
def own_place() -> Iterator[Path]:
    """A folder for cases, and one for what the engine of a dead process leaves; both go."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as scratch:
        before, tempfile.tempdir = tempfile.tempdir, scratch
        try:
            yield Path(place)
        finally:
            tempfile.tempdir = before


def fresh(place: Path, kind: str) -> Path:
    """A case to be written to: small, or the public one for real runs."""
    folder = place / "case"

    def make(_: Acknowledge) -> None:
        if kind != "runs":
            store_case(folder, rows(0), DECLARED)
            return
        source = example_folder("jd_wechat")
        said = read_config(source)
        declared = {"channels": said.channels, "assumptions": said.assumptions}
        new_case(folder, example_tables(source), name=said.name, timezone=said.timezone, **declared)

    done(make)
    return folder


def seconds_of_a_turn(kind: str, folder: Path) -> float:
    """How long a turn of a fresh writer lasts here and now."""
    started = time.perf_counter()
    done(lambda say: KINDS[kind](folder, 0, say))
    return time.perf_counter() - started


def at_random(kills: int, seed: int) -> Tally:
    """Kill writers at random instants; what one leaves is where the next one starts."""
    draw, tally = random.Random(seed), Tally()
    for kind, share in SHARES.items():
        left = max(1, round(share * kills))
        while left:
            with own_place() as place:
                folder, acknowledged, first = fresh(place, kind), list[str](), 1
                longest = TURNS[kind] * seconds_of_a_turn(kind, folder)
                for _ in range(min(left, KILLS_PER_CASE)):
                    work = partial(until_killed, kind, folder, first)
                    new = killed(work, draw.uniform(0, longest))
                    first += 1 + sum(not line.startswith("run") for line in new)
                    acknowledged += new
                    # Runs are proven byte by byte: those of this writer now, all of them at the end.
                    told = [line for line in acknowledged if not line.startswith("run ")] + new
                    tally.add(kind, new, looked_at(folder, told))
                    left -= 1
                tally.lost += looked_at(folder, acknowledged).lost
                tally.unreadable += _last_word(folder, kind, first)
    return tally


def _last_word(folder: Path, kind: str, number: int) -> list[str]:
    """After all the kills the case is written to once more, and nothing that a dead process left is there any more."""

    def once(_: Acknowledge) -> None:
        if kind != "runs":
            add_one(folder, number)
        run_one(folder)
        if kind == "makes":  # the same names again, so that what their makers left is met
            for left in {path.name.split(".new-")[0].removeprefix(".") for path in folder.parent.glob(".made-*.new-*")}:
                make_one(folder, int(left.removeprefix("made-")))

    done(once)
    return [f"{kind}: something is still there"] if looked_at(folder, ()).left_something else []


class AtStep:
    """Stands in the place of `durable.act`: kills its own process where step number `at` would begin."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.steps: list[str] = []

    def __call__(self, step: str, do: Callable[[], object]) -> object:
        if len(self.steps) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps.append(step)
        return do()


Operation = Callable[[Path, int], str]
OPERATIONS: Mapping[str, Operation] = {"add": add_one, "run": run_one, "make": make_one}


def at_every_step() -> tuple[Tally, dict[str, int]]:
    """Kill an addition, a run and the making of a case before each of their steps and after the last; kills by step.

    Each kill is followed by a look, the same call left alone, and another look.
    """
    tally, names = Tally(), Counter[str]()
    for operation, call in OPERATIONS.items():
        with own_place() as place:
            folder = fresh(place, "writes")
            steps, acknowledged = done(partial(_steps_of, call, folder)), done(lambda say, f=folder: say(add_one(f, 1)))
            for number, step in enumerate([*steps, f"end of {operation}"], start=2):
                child, reader = forked(partial(_killed_at, number - 2, call, folder, number))
                status = os.waitpid(child, 0)[1]
                if not os.WIFSIGNALED(status):
                    raise RuntimeError(f"{step} was not reached")
                names[step] += 1
                said = heard(reader)
                acknowledged += said
                look = _look_of(done(partial(_look_repeat_look, folder, operation, number, acknowledged)))
                unreadable = [f"{operation}, {step}: {what}" for what in look.unreadable]
                tally.add(operation, said, Look(look.lost, unreadable, look.left_something))
    return tally, dict(sorted(names.items()))


def _steps_of(call: Operation, folder: Path, say: Acknowledge) -> None:
    stand = AtStep(None)
    durable.act = stand  # type: ignore[assignment]
    call(folder, 1)
    for step in stand.steps:
        say(step)


def _killed_at(at: int, call: Operation, folder: Path, number: int, say: Acknowledge) -> None:
    durable.act = AtStep(at)  # type: ignore[assignment]
    say(call(folder, number))
    os.kill(os.getpid(), signal.SIGKILL)


def _look_repeat_look(folder: Path, operation: str, number: int, acknowledged: Sequence[str], say: Acknowledge) -> None:
    for line in _findings(folder, acknowledged):
        say(line)
    if operation != "make" or not folder.with_name(f"made-{number}").exists():
        acknowledged = [*acknowledged, OPERATIONS[operation](folder, number)]
    for line in _findings(folder, acknowledged):
        say(line if line != "left" else "unreadable something is left after the next call")


def record(kills: int, seed: int) -> dict[str, object]:
    """Both series, as JSON holds them."""
    told: dict[str, object] = {}
    steps, names = at_every_step()
    for name, tally in (("random", at_random(kills, seed)), ("steps", steps)):
        told[name] = {
            "kills": tally.kills,
            "acknowledged": tally.acknowledged,
            "lost": tally.lost,
            "unreadable": tally.unreadable,
            "left_something": tally.left_something,
            "by_kind": dict(tally.by_kind),
        }
    return {**told, "names": names, "seed": seed}


def run(kills: int, seed: int = 1) -> dict[str, object]:
    """The same in a process of its own, which has no threads and can be forked."""
    command = [sys.executable, "-m", "benchmarks.kills", str(kills), str(seed)]
    root = Path(__file__).resolve().parent.parent
    # One thread in the linear algebra: what is forked must have no others.
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root, env=alone)
    found = json.loads(ended.stdout)
    assert isinstance(found, dict)
    return found


if __name__ == "__main__":
    print(json.dumps(record(int(sys.argv[1]), int(sys.argv[2]))))
