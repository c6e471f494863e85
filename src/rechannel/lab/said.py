"""What was answered about a made market, cut down to what is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rechannel.answers.answer import Answer
from rechannel.lab.targets import HORIZONS, Facts, Key, Question, facts_of
from rechannel.lab.worlds import MadeWorld
from rechannel.vocabulary.estimate import Quantity


@dataclass(frozen=True, slots=True)
class Said:
    """One row of an answer: nine quantiles and a grade, or the code of a refusal (then both are None)."""

    quantiles: tuple[float, ...] | None
    grade: str | None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One market and what was said about it.

    Attributes
    ----------
    facts
        What is true of the market.
    said
        Rows of the answer by metric, channel and horizon.
    seconds
        Time of the answer, from the opened case to the last number.
    failure
        The error that came instead of an answer; empty when one came.
    """

    facts: Facts
    said: Mapping[Key, Said]
    seconds: float = 0.0
    failure: str = ""


def rows_of(answer: Answer) -> dict[Key, Said]:
    """Rows of an answer by metric, channel and horizon; rows without a horizon are left out."""
    rows: dict[Key, Said] = {}
    for row in answer.estimates:
        if row.horizon_days is not None and row.period is None and row.method is None:
            key = (row.metric, row.channel, row.horizon_days)
            if isinstance(row.value, Quantity):
                rows[key] = Said(row.value.quantiles.values, row.value.grade.value)
            else:
                rows[key] = Said(None, None, row.value.code)
    return rows


def record_of(
    world: MadeWorld,
    answer: Answer,
    question: Question = "closure",
    horizons: tuple[int, ...] = HORIZONS,
    seconds: float = 0.0,
) -> Record:
    """A made market and the answer about it, ready for `scoreboard.score`."""
    return Record(facts_of(world, question, horizons), rows_of(answer), seconds)
