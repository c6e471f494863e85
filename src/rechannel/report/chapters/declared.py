"""Closure without daily data: what published shares and declared ranges imply, and what would replace them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.answers.declared import is_declared
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Chart, Reader, Refused, Row, Table
from rechannel.report.chapters.estimates import where_words
from rechannel.report.chapters.parts import anchor, asked, headline
from rechannel.report.colours import OUTSIDE, OWN
from rechannel.report.dots import Dot, dot_figure
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import text

SHOWN = {"net_loss_new_customers": OWN, "net_loss_active_customers": OUTSIDE}


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per declared closure."""
    return tuple(_chapter(i, answer, reader) for i, answer in enumerate(answers) if is_declared(answer))


def _chapter(position: int, answer: Answer, reader: Reader) -> Chapter:
    language = reader.language
    day = numbers.day(date.fromisoformat(answer.asked["on"]), language)
    channel = reader.facts.display(answer.asked["channel"], language)
    kicker = text("report.declared.kicker", language, channel=channel, day=day)
    blocks: list[Block] = []
    row = headline(answer)
    if answer.refusal:
        title = text("report.declared.refused", language)
        blocks.append(Refused(answer.refusal))
    else:
        key = "title" if row is not None else "title_active"
        shown = row if row is not None else next(r for r in answer.estimates if isinstance(r.value, Quantity))
        assert isinstance(shown.value, Quantity)
        interval = numbers.percent_span(*shown.value.quantiles.interval())
        title = text(f"report.declared.{key}", language, interval=interval)
        blocks.append(_chart(answer, reader))
    blocks += [_without(answer, reader), asked(answer, reader)]
    return Chapter(anchor(position, answer), kicker, title, tuple(blocks), lead=answer.text[language])


def _without(answer: Answer, reader: Reader) -> Table:
    """The metrics without a number: those that lack the same thing share a line, with all that would help."""
    language = reader.language
    lacking: dict[str, list[Estimate]] = {}
    for row in answer.estimates:
        if isinstance(row.value, Refusal):
            lacking.setdefault(row.value.message(language), []).append(row)
    rows = []
    for members in lacking.values():
        whys = [row.value for row in members if isinstance(row.value, Refusal)]
        helps = tuple(dict.fromkeys(key for why in whys for key in why.would_help))
        names = dict.fromkeys(phrases.metric_name(row.metric, language) for row in members)
        joined = ", ".join(names) if language == "en" else "、".join(names)
        rows.append(Row((Cell(joined),), refusal=replace(whys[0], would_help=helps)))
    headers = (text("report.table.metric", language), text("report.refused_help", language))
    return Table(text("report.declared.without", language), headers, tuple(rows))


def _chart(answer: Answer, reader: Reader) -> Chart:
    """Both shares as dots, with their table; horizons at which they are alike share a line."""
    language, facts = reader.language, reader.facts
    dots, lines = [], []
    alike: dict[tuple[str, tuple[float, ...]], list[Estimate]] = {}
    for row in answer.estimates:
        if row.metric in SHOWN and isinstance(row.value, Quantity):
            alike.setdefault((row.metric, row.value.quantiles.values), []).append(row)
    for rows in alike.values():
        row = rows[0]
        if isinstance(row.value, Quantity):
            name = text(f"report.declared.{row.metric}", language)
            words = phrases.with_interval(row.value.quantiles, row.unit, facts, language)
            dots.append(Dot(name, row.value.quantiles.values, words, SHOWN[row.metric]))
            lines.append(
                Row(
                    (
                        Cell(name, note=where_words(rows, reader)),
                        Cell(words, numeric=True),
                        Cell("", grade=row.value.grade),
                    )
                )
            )
    axis, aloud = text("report.declared.axis", language), text("report.declared.axis_aloud", language)
    figure = dot_figure("declared", axis, aloud, dots, language, share=True)
    headers = tuple(text(f"report.table.{key}", language) for key in ("metric", "value", "grade"))
    twin = Table(text("report.table_twin", language), headers, tuple(lines), folded=True)
    title, reading = text("report.declared.chart", language), text("report.declared.reading", language)
    return Chart(title, (figure,), reading, twin, grade=Grade.D)
