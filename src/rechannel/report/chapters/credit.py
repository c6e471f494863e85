"""What last touch would say beside what Rechannel says: the pairs, whether they differ clearly, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Cell, Key, Reader, Row, Table
from rechannel.report.chapters.parts import coordinate, head
from rechannel.report.colours import OUTSIDE, OWN
from rechannel.report.dots import Dot
from rechannel.vocabulary.estimate import Estimate, Quantity
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import text

LAST_TOUCH = "last_touch"
MEASURES = ("net_loss_", "incremental_")
Standing = Literal["over", "under", "unclear"]
"""Last touch lies above the measured interval, below it, or the two intervals meet."""


def credited(row: Estimate, answer: Answer) -> Estimate | None:
    """What last touch says about the same metric, channel, period and horizon; None when it says nothing."""
    subject = row.metric
    for measure in MEASURES:
        subject = subject.removeprefix(measure)
    place = (f"credited_{subject}", row.channel, row.market, row.period, row.horizon_days, LAST_TOUCH)
    for other in answer.estimates:
        found = (other.metric, other.channel, other.market, other.period, other.horizon_days, other.method)
        if found == place and isinstance(other.value, Quantity):
            return other
    return None


def standing(row: Estimate, beside: Estimate) -> Standing:
    """Whether the 90 % intervals of both leave no doubt about which is larger."""
    assert isinstance(row.value, Quantity)
    assert isinstance(beside.value, Quantity)
    low, high = row.value.quantiles.interval(0.9)
    credit_low, credit_high = beside.value.quantiles.interval(0.9)
    if credit_low > high:
        return "over"
    return "under" if credit_high < low else "unclear"


def standings(rows: Sequence[Estimate], answer: Answer) -> list[Standing]:
    """One standing per row that last touch says something about."""
    pairs = [(row, credited(row, answer)) for row in rows if isinstance(row.value, Quantity)]
    return [standing(row, beside) for row, beside in pairs if beside is not None]


def with_last_touch(finding: str, row: Estimate, answer: Answer, reader: Reader) -> str:
    """The finding, and what last touch would say instead."""
    beside = credited(row, answer)
    if beside is None or not isinstance(beside.value, Quantity):
        return finding
    amount = phrases.spoken(beside.value.quantiles, beside.unit, reader.facts, reader.language)
    return text("report.credit.beside", reader.language, finding=finding, amount=amount)


def said(row: Estimate, answer: Answer, reader: Reader) -> str:
    """What last touch would say, alone: for a card."""
    beside = credited(row, answer)
    if beside is None or not isinstance(beside.value, Quantity):
        return ""
    amount = phrases.spoken(beside.value.quantiles, beside.unit, reader.facts, reader.language)
    return text("report.credit.alone", reader.language, amount=amount)


def dot(row: Estimate, answer: Answer, reader: Reader, label: str) -> Dot:
    """The measured interval with last touch as its tick; grey when it rests on an assumption."""
    assert isinstance(row.value, Quantity)
    words = phrases.with_interval(row.value.quantiles, row.unit, reader.facts, reader.language)
    beside = credited(row, answer)
    ticks = beside.value.quantiles.values if beside and isinstance(beside.value, Quantity) else ()
    colour = OUTSIDE if row.value.grade is Grade.D else OWN
    return Dot(label, row.value.quantiles.values, words, colour, ticks)


def keys(rows: Sequence[Estimate], reader: Reader, tick: str = "tick") -> tuple[Key, ...]:
    """The marks of a chart of such dots, in words; the tick is `level` where bars stand upright."""
    grades = [row.value.grade for row in rows if isinstance(row.value, Quantity)]
    made = []
    if any(grade is not Grade.D for grade in grades):
        made.append(Key(text("chart.key.says", reader.language), "dot", "own"))
    if Grade.D in grades:
        made.append(Key(text("chart.key.says_assumed", reader.language), "dot", "outside"))
    made.append(Key(text("chart.key.last_touch", reader.language), tick, "counterfactual"))
    return tuple(made)


def told(rows: Sequence[Estimate], answer: Answer) -> list[Estimate]:
    """Rows of the metrics about which Rechannel or last touch says something."""
    metrics = {row.metric for row in rows if isinstance(row.value, Quantity) or credited(row, answer)}
    return [row for row in rows if row.metric in metrics]


def credit_cell(row: Estimate, answer: Answer, reader: Reader) -> Cell:
    """What last touch says; its interval below when it has one."""
    beside = credited(row, answer)
    if beside is None or not isinstance(beside.value, Quantity):
        return Cell("", numeric=True)
    quantiles = beside.value.quantiles
    number, span = phrases.median_and_interval(quantiles, beside.unit, reader.facts, reader.language)
    return Cell(number, note="" if quantiles.is_known else span, numeric=True)


def credit_table(rows: Sequence[Estimate], answer: Answer, reader: Reader, *, folded: bool) -> Table:
    """Last touch would say, Rechannel says, per metric and horizon or period; with the ratio where one is answered.

    Parameters
    ----------
    rows
        Measured rows; a metric about which neither says anything is left out.
    """
    language = reader.language
    rows = told(rows, answer)
    ratios = {
        (row.method, row.period): row.value
        for row in answer.estimates
        if row.metric == "incrementality" and isinstance(row.value, Quantity)
    }
    lines: list[Row] = []
    for metric in dict.fromkeys(row.metric for row in rows):
        members = [row for row in rows if row.metric == metric]
        lines.append(Row((Cell(phrases.metric_name(metric, language)),), group=True))
        for row in members:
            first = (Cell(coordinate(row, reader)), credit_cell(row, answer, reader))
            if not isinstance(row.value, Quantity):
                lines.append(Row(first, refusal=row.value))
                continue
            words = phrases.with_interval(row.value.quantiles, row.unit, reader.facts, language)
            ratio = ratios.get((metric.removeprefix("incremental_"), row.period))
            spread = phrases.with_interval(ratio.quantiles, "share", reader.facts, language) if ratio else ""
            middle = (Cell(words, numeric=True), *((Cell(spread, numeric=True),) if ratios else ()))
            lines.append(Row((*first, *middle, Cell("", grade=row.value.grade)), dim=row.value.grade is Grade.D))
    names = ["period" if any(row.period for row in rows) else "horizon", "last_touch", "says"]
    headers = head(reader, *names, *(["incrementality"] if ratios else []), "grade")
    caption = text("report.table_twin" if folded else "report.credit.table", language)
    return Table(caption, headers, tuple(lines), folded, text("report.credit.note", language))
