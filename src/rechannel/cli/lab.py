"""`rechannel lab`: how often the product's intervals held on made markets whose truth is known."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from typing import cast

import click

from rechannel import __version__
from rechannel.cli.terminal import language, put, put_json, put_text, say
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.lab.kinds import KINDS
from rechannel.lab.play import PLACEBO, Plan, play
from rechannel.lab.said import Record
from rechannel.lab.scoreboard import Scoreboard, score
from rechannel.lab.sheets import as_page, as_text, tables
from rechannel.lab.targets import Question

SCHEMA = "rechannel.scoreboard/1"


def lab(
    task: str,
    worlds: int,
    seed: int,
    kind: tuple[str, ...],
    question: str,
    touches: int,
    workers: int | None,
    json_file: str | None,
    html_file: str | None,
) -> int:
    """Score the answers to one question about made markets; what is written goes to the screen, F and the page."""
    assert task == "score"
    if question == "closure" and PLACEBO in kind:
        raise click.UsageError(words("lab_no_closure", kind=PLACEBO))
    plan = Plan(cast(Question, question), worlds, seed, kind, touches=touches)
    records = play(plan, workers=workers, progress=_progress)
    board = score(records)
    spoken = language()
    pages = tables(board, spoken)
    if json_file:
        put_json(as_json(plan, records, board), json_file)
    if html_file:
        put_text(
            as_page(pages, [words("lab_made_by", version=__version__, command=command_of(plan))], spoken), html_file
        )
    if json_file != "-":
        for line in as_text(pages).splitlines():
            put(line)
    return 0


def as_json(plan: Plan, records: list[Record], board: Scoreboard) -> dict[str, object]:
    """The scoreboard as data; figures that nothing tells are null."""
    markets = [
        {
            "kind": record.facts.kind,
            "seed": record.facts.seed,
            "identified": record.facts.is_identified,
            "expected_error": record.facts.expected_error,
            "seconds": round(record.seconds, 3),
            "failure": record.failure or None,
        }
        for record in records
    ]
    head = {"schema": SCHEMA, "version": __version__, "command": command_of(plan), "plan": asdict(plan)}
    return cast(dict[str, object], _finite({**head, "scoreboard": asdict(board), "each": markets}))


def _finite(value: object) -> object:
    """The same with null for what is no number."""
    if isinstance(value, dict):
        return {f"{key:g}" if isinstance(key, float) else str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def command_of(plan: Plan) -> str:
    """The call that repeats the run."""
    parts = [f"rechannel lab score --worlds {plan.markets} --seed {plan.seed} --question {plan.question}"]
    parts += [f"--kind {kind}" for kind in plan.kinds]
    parts += [f"--touches {plan.touches}"] if plan.touches else []
    return " ".join(parts)


def _progress(done: int, total: int, record: Record) -> None:
    """One line on a terminal, written over; one line per market elsewhere."""
    line = words(
        "lab_progress",
        done=str(done),
        total=str(total),
        kind=record.facts.kind,
        seconds=f"{record.seconds:.1f}",
        failure=record.failure,
    ).rstrip()
    if sys.stderr.isatty() and not record.failure:
        print(f"\r\x1b[2K{line}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    else:
        say(line)


command = Verb(
    "lab",
    lab,
    [
        argument("task", type=click.Choice(["score"])),
        option("--worlds", type=click.IntRange(1, 10_000), default=24, show_default=True, metavar="N"),
        option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help=words("option_lab_seed")
        ),
        option("--kind", multiple=True, type=click.Choice([kind.name for kind in KINDS]), metavar="K"),
        option("--question", type=click.Choice(["closure", "impact"]), default="closure", show_default=True),
        option(
            "--touches",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            metavar="N",
            help=words("option_lab_touches"),
        ),
        option("--workers", type=click.IntRange(1), metavar="N"),
        option("--json", "json_file", metavar="F"),
        option("--html", "html_file", metavar="F"),
    ],
)
