"""What new customers order later: the repeat curve of a channel beside that of all customers, with its table."""

from __future__ import annotations

import numpy as np

from rechannel.answers.answer import Answer
from rechannel.answers.pictures import RepeatCurve
from rechannel.report import phrases
from rechannel.report.ages import age_figure, age_words
from rechannel.report.blocks import Block, Cell, Chart, Key, Reader, Row, Table
from rechannel.report.chapters.parts import head
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, Quantity
from rechannel.vocabulary.wording import text

METRICS = ("later_orders_per_customer", "ltv_per_customer", "incremental_ltv", "incremental_value")


def chart(answer: Answer, reader: Reader) -> list[Block]:
    """The curves of an answer; none when it has none."""
    if not answer.curves:
        return []
    language = reader.language
    who = [_who(curve, reader) for curve in answer.curves]
    days = answer.curves[0].age_days
    axis = text("chart.repeat_axis", language, days=str(days))
    aloud = text("chart.repeat_aloud", language, channel=who[0], days=str(days))
    grades = [
        row.value.grade for row in answer.estimates if row.metric == METRICS[0] and isinstance(row.value, Quantity)
    ]
    panel = age_figure("repeat", axis, aloud, answer.curves, language)
    keys = [
        Key(name, "solid", "counterfactual" if curve.channel is None else "own")
        for name, curve in zip(who, answer.curves, strict=True)
    ]
    keys.append(Key(text("chart.key.expected", language), "dashed", "counterfactual"))
    keys.append(Key(text("chart.key.bands", language), "bands", "own" if len(who) > 1 else "counterfactual"))
    reading = text("report.later.reading", language)
    title = _title(answer.curves, who, reader)
    return [
        Chart(title, (panel,), reading, _table(answer.curves, who, reader), tuple(keys), "", max(grades, default=None))
    ]


def _who(curve: RepeatCurve, reader: Reader) -> str:
    if curve.channel is None:
        return text("report.later.all", reader.language)
    return reader.facts.display(curve.channel, reader.language)


def _title(curves: tuple[RepeatCurve, ...], who: list[str], reader: Reader) -> str:
    """Orders of the first year per customer with their interval, of the channel beside all."""
    spans = [phrases.with_interval(curve.year, "orders", reader.facts, reader.language) for curve in curves]
    if len(curves) == 1:
        return text("report.later.title_all", reader.language, all=spans[-1])
    return text("report.later.title", reader.language, channel=who[0], orders=spans[0], all=spans[-1])


def _table(curves: tuple[RepeatCurve, ...], who: list[str], reader: Reader) -> Table:
    """The twin of the chart: one line per age, in groups per curve."""
    rows = []
    for curve, name in zip(curves, who, strict=True):
        rows.append(Row((Cell(name),), group=True))
        for at, expected in enumerate(curve.expected):
            low, middle, high = (float(curve.seen[at, LEVELS.index(level)]) for level in (0.05, 0.5, 0.95))
            seen = Cell("", numeric=True)
            if np.isfinite(middle):
                seen = Cell(_figure(middle), note=f"{_figure(low)} {numbers.RANGE} {_figure(high)}", numeric=True)
            many = Cell(f"{curve.customers[at]:,.0f}", numeric=True)
            rows.append(Row((Cell(age_words(curve, at)), many, seen, Cell(_figure(float(expected)), numeric=True))))
    headers = head(reader, "age", "customers", "seen", "expected")
    return Table(text("report.table_twin", reader.language), headers, tuple(rows), folded=True)


def _figure(value: float) -> str:
    """Orders per customer with two decimals, more below a tenth."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
