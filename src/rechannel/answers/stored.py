"""Answers of a finished run, read back from their JSON: what was asked, and every row with its quantiles and grade."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON; every use below names the part it reads

from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import LEVELS, Estimate, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One answer of a run.

    Attributes
    ----------
    question, asked
        The call.
    estimates
        Its rows; a refusal keeps its code alone.
    grade, verdict
        Of its headline; None where it has none.
    """

    question: str
    asked: Mapping[str, str]
    estimates: tuple[Estimate, ...]
    grade: str | None
    verdict: str | None


def find_run(runs: Sequence[Path], name: str) -> Path:
    """The run called `name`: its number, its folder's name, or `last`.

    Raises
    ------
    CallError
        RC370: there is no such run; RC371: the case has no run at all.
    """
    if not runs:
        raise CallError("RC371")
    if name == "last":
        return runs[-1]
    for run in runs:
        if name in (run.name, run.name.partition("-")[0]):
            return run
    raise CallError("RC370", run=name, known=", ".join(run.name for run in runs[-5:]))


def read_answers(run: Path) -> tuple[StoredAnswer, ...]:
    """The answers of one run, in the order in which they were given.

    Raises
    ------
    CallError
        RC372: a file is not an answer that can be read.
    """
    folder = run / "answers"
    files = sorted(folder.glob("*.json"), key=lambda file: (_position(file), file.name)) if folder.is_dir() else []
    return tuple(_read(file) for file in files)


def _position(file: Path) -> int:
    last = file.stem.rpartition("-")[2]
    return int(last) if last.isdigit() else 0


def _read(file: Path) -> StoredAnswer:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        rows = tuple(_estimate(row) for row in found["estimates"])
        asked = {str(key): str(value) for key, value in found["asked"].items()}
        return StoredAnswer(str(found["question"]), asked, rows, found["grade"], found["verdict"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CallError("RC372", file=f"{file.parent.parent.name}/answers/{file.name}") from error


def _estimate(row: Mapping[str, Any]) -> Estimate:
    value: Quantity | Refusal
    if row["status"] == "answered":
        quantiles = Quantiles(tuple(float(row["quantiles"][f"{level:g}"]) for level in LEVELS))
        value = Quantity(quantiles, Grade(row["grade"]), row["mean"], row["contraction"])
    else:
        value = Refusal(str(row["refusal"]["code"]))
    return Estimate(
        metric=row["metric"],
        unit=row["unit"],
        value=value,
        channel=row["channel"],
        market=row["market"],
        period=row["period"],
        method=row["method"],
        horizon_days=row["horizon_days"],
    )
