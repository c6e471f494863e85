"""Many made markets, each asked one question through the front door as its shop would ask it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import cast

import pyarrow.parquet as pq

from rechannel.answers.answer import Answer
from rechannel.case import Case, new_case, open_case
from rechannel.lab.kinds import KINDS
from rechannel.lab.said import Record, rows_of
from rechannel.lab.specs import WorldSpec, draw_spec
from rechannel.lab.targets import HORIZONS, Question, facts_of
from rechannel.lab.worlds import MadeWorld, make_world
from rechannel.source.contract import TableName
from rechannel.vocabulary.channel import Channel

TABLES: tuple[TableName, ...] = ("daily", "events", "rivals", "deals", "touches")
"""What a made shop hands over; `slots` is the host's and stays with it."""
PLACEBO = "placebo"
MARKETS_PER_SEED = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Which markets are asked what.

    Attributes
    ----------
    question
        closure (tables before D) or impact (tables up to the last horizon).
    markets
        How many.
    seed
        Market number i is of kind i modulo the kinds, with seed `10,000 seed + i // kinds`.
    kinds
        Names; empty = all, without the placebo for closure, which has no closure to foresee.
    horizons
        Days from D on.
    touches
        About how many visits to hand over customer by customer; 0 = no table.
    customers
        Customer classes to sample; 0 = as the kind has it.
    """

    question: Question = "closure"
    markets: int = 24
    seed: int = 0
    kinds: tuple[str, ...] = ()
    horizons: tuple[int, ...] = HORIZONS
    touches: int = 0
    customers: int = 0

    def specs(self) -> list[WorldSpec]:
        """The markets in order; ValueError names the kinds when one is unknown."""
        names = self.kinds or tuple(kind.name for kind in KINDS if self.question == "impact" or kind.name != PLACEBO)
        first = self.seed * MARKETS_PER_SEED
        specs = [draw_spec(names[i % len(names)], first + i // len(names)) for i in range(self.markets)]
        return [replace(spec, customers=self.customers) for spec in specs] if self.customers else specs


def play(
    plan: Plan, *, workers: int | None = None, progress: Callable[[int, int, Record], None] | None = None
) -> list[Record]:
    """Make the markets, ask each one, and keep what was said beside what is true.

    Parameters
    ----------
    plan
        Which markets, which question.
    workers
        Processes; None = one per core; 1 = in this process.
    progress
        Called with markets done, markets in all and the newest record, in order of completion.

    Returns
    -------
    list of Record
        In the order of the plan: equal plans give equal records, times aside. An error instead of an answer is a
        record with `failure`, and all its targets count as refused.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, after all processes and files of the run are gone.
    """
    specs = plan.specs()
    workers = min(workers or os.cpu_count() or 1, max(len(specs), 1))
    with TemporaryDirectory(prefix="rechannel-lab-") as waiting:
        folders = [Path(waiting) / str(index) for index in range(len(specs))]
        if workers == 1:
            records = []
            for spec, folder in zip(specs, folders, strict=True):
                records.append(ask_market(spec, plan, folder))
                if progress:
                    progress(len(records), len(specs), records[-1])
            return records
        return _in_processes(specs, plan, folders, workers, progress)


def _in_processes(
    specs: Sequence[WorldSpec],
    plan: Plan,
    folders: Sequence[Path],
    workers: int,
    progress: Callable[[int, int, Record], None] | None,
) -> list[Record]:
    """The same in several processes; an interruption ends them before it goes on."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_the_parent)
    try:
        waiting: dict[Future[Record], int] = {
            pool.submit(ask_market, spec, plan, folder): index
            for index, (spec, folder) in enumerate(zip(specs, folders, strict=True))
        }
        found: dict[int, Record] = {}
        for future in as_completed(waiting):
            found[waiting[future]] = future.result()
            if progress:
                progress(len(found), len(specs), future.result())
        return [found[index] for index in range(len(specs))]
    finally:
        children = set(multiprocessing.active_children()) - before
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
        for child in children:
            child.join()


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def ask_market(spec: WorldSpec, plan: Plan, folder: Path) -> Record:
    """One market: make it and another future of it, hand over its tables, ask, and keep what is scored.

    Parameters
    ----------
    folder
        Made for the case and left to the caller to remove.
    """
    world = make_world(spec, touches=plan.touches)
    other = make_world(replace(spec, future=spec.future + 1)).truth
    facts = facts_of(world, plan.question, plan.horizons, other)
    started = perf_counter()
    try:
        case = case_of(world, plan, folder)
        started = perf_counter()
        answer = ask(case, world, plan)
    except Exception as error:  # noqa: BLE001 (a market without an answer is a result, and is printed as a failure)
        line = (str(error).splitlines() or [""])[0]
        return Record(facts, {}, perf_counter() - started, f"{type(error).__name__}: {line}"[:300])
    return Record(facts, rows_of(answer), perf_counter() - started)


def case_of(world: MadeWorld, plan: Plan, folder: Path) -> Case:
    """The case its shop would have: tables up to the eve of D, or for impact up to the end of the last horizon."""
    seen = world.before() if plan.question == "closure" else world.after(max(plan.horizons))
    folder.mkdir(parents=True)
    files = {name: folder / f"{name}.parquet" for name in TABLES if name in seen}
    for name, path in files.items():
        pq.write_table(seen[name], path)
    channels = tuple(
        Channel(entry.name, host="" if entry.host == "own" else entry.host, kind=entry.kind)
        for entry in world.spec.entries
    )
    last = world.spec.on + timedelta(days=world.spec.after_days)
    new_case(folder / "case", files, currency=world.spec.currency, today=last, channels=channels)
    return open_case(folder / "case")


def ask(case: Case, world: MadeWorld, plan: Plan) -> Answer:
    """The plan's question about day D, as a user of the front door would put it."""
    spec = world.spec
    if plan.question == "impact":
        return case.impact(spec.closing, spec.on, plan.horizons)
    notice = (spec.on - spec.announced).days if spec.announced else None
    # by the name of the question
    verb = cast(Callable[..., Answer], getattr(case, plan.question))
    return verb(spec.closing, spec.on, plan.horizons, severity=spec.knobs.severity, notice=notice)
