"""Hindsight: what was forecast on the eve of a closure, and what came; one chapter per closure that has both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.answers.foreseen import Foreseen, foreseen, pairs
from rechannel.report import phrases
from rechannel.report.blocks import Cell, Chapter, Prose, Reader, Row, Table
from rechannel.report.chapters.parts import head
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Quantiles
from rechannel.vocabulary.wording import text


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per closure that was forecast and measured."""
    chapters: list[Chapter] = []
    for forecast, measured in pairs(answers, answers):
        rows = foreseen(answers[forecast], answers[measured])
        if rows:
            chapters.append(_chapter(len(chapters) + 1, answers[measured], rows, reader))
    return tuple(chapters)


def _chapter(number: int, impact: Answer, rows: Sequence[Foreseen], reader: Reader) -> Chapter:
    language = reader.language

    def say(key: str, **args: str) -> str:
        return text(f"report.hindsight.{key}", language, **args)

    channel = reader.facts.display(impact.asked["channel"], language)
    day = numbers.day(date.fromisoformat(impact.asked["on"]), language)
    inside = sum(row.standing == "inside" for row in rows)
    title = say(
        "all" if inside == len(rows) else "some" if inside else "none", inside=str(inside), count=str(len(rows))
    )
    headers = (*head(reader, "horizon"), say("forecast"), say("came"), say("standing"))
    table = Table(say("caption"), headers, _lines(rows, reader), note=say("note"))
    return Chapter(
        f"hindsight-{number}",
        say("kicker", channel=channel, day=day),
        title,
        (Prose((say("lead"),)), table),
        lead=say("summary", channel=channel, day=day, inside=str(inside), count=str(len(rows))),
    )


def _lines(rows: Sequence[Foreseen], reader: Reader) -> tuple[Row, ...]:
    """The numbers by metric, each with both intervals and where it came."""
    language = reader.language
    lines: list[Row] = []
    named = ""
    for row in rows:
        if row.metric != named:
            named = row.metric
            lines.append(Row((Cell(phrases.metric_name(row.metric, language)),), group=True))
        cells = (
            Cell(text("report.horizon", language, days=str(row.horizon_days))),
            _spread(row.forecast, row.unit, reader),
            _spread(row.measured, row.unit, reader),
            Cell(text(f"report.hindsight.{row.standing}", language)),
        )
        lines.append(Row(cells, dim=row.standing == "apart"))
    return tuple(lines)


def _spread(quantiles: Quantiles, unit: str, reader: Reader) -> Cell:
    median, span = phrases.median_and_interval(quantiles, unit, reader.facts, reader.language)
    return Cell(median, note=span, numeric=True)
