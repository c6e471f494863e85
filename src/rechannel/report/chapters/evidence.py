"""Evidence: what each answer rests on, and the two word scales of the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer, EvidenceItem
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Reader, Row, Table
from rechannel.vocabulary import numbers
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import has_text, text

STATED = ("prior", "assumption")
"""Kinds whose label names a quantity, not a channel."""

OWN_TABLE = ("record", "exposure")
"""Questions whose chapter holds their evidence in a table of its own."""

PICTURED = "overlap"
"""Kind whose items stand in the table of a picture of `closure`."""

DAYS = ("on", "start", "contract_end", "first", "last")
SHARES = ("share", "retained", "retained_sd", "goes_to_share", "severity", "solo", "new")
SHARED = ("retained_own", "to_rivals", "lost_outside", "retained", "margin", "severity", "diversion")
"""Figures that are shares, and quantities all of whose figures are."""


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """Evidence of every answer that lists some, then the scales."""
    listed = [answer for answer in answers if answer.evidence and answer.question not in OWN_TABLE]
    blocks: list[Block] = [_items(answer, reader) for answer in listed]
    blocks += [_grades(reader), _likelihoods(reader)]
    kicker, title, lead = (text(f"report.evidence.{key}", reader.language) for key in ("kicker", "title", "lead"))
    return (Chapter("evidence", kicker, title, tuple(blocks), lead=lead),)


def _items(answer: Answer, reader: Reader) -> Table:
    language = reader.language
    rows = []
    for item in answer.evidence:
        if item.kind == PICTURED:
            continue
        kind = text(f"report.evidence_kind.{item.kind}", language)
        figures = [
            (key, _shown(item, key, value, reader))
            for key, value in item.figures.items()
            if value != "" and key != "unit"
        ]
        note = " · ".join(
            value if key == "own" else f"{text(f'report.figure.{key}', language)} {value}" for key, value in figures
        )
        rows.append(Row((Cell(kind), Cell(_label(item, reader), note=note), Cell("", grade=item.grade))))
    question = text(f"report.question.{answer.question}", language)
    headers = tuple(text(f"report.table.{key}", language) for key in ("kind", "what", "grade"))
    return Table(text("report.evidence.items", language, question=question), headers, tuple(rows))


def _label(item: EvidenceItem, reader: Reader) -> str:
    """The channel, or the name of what is assumed."""
    if item.kind in STATED:
        for key in (f"report.assumption.{item.label}", f"assumption.{item.label}", f"metric.{item.label}"):
            if has_text(key):
                return phrases.heading(text(key, reader.language))
    return reader.facts.display(item.label, reader.language)


def _shown(item: EvidenceItem, key: str, value: float | str, reader: Reader) -> str:
    """A figure ready to print: days as days, shares as percents, channels by name, the user's words as they are."""
    language = reader.language
    if isinstance(value, str):
        if key in DAYS:
            return numbers.day(date.fromisoformat(value), language)
        if key == "own":
            return text(f"report.figure.own_{'yes' if value == 'yes' else 'no'}", language)
        if key == "host":
            return phrases.host_name(value, language)
        return reader.facts.display(value, language) if key == "goes_to" else value
    if key in SHARES or item.figures.get("unit") == "share" or (item.kind in STATED and item.label in SHARED):
        return numbers.percent(value)
    return numbers.number(value, language)


def _grades(reader: Reader) -> Table:
    language = reader.language
    rows = tuple(
        Row((Cell("", grade=grade), Cell(text(f"report.grade_means.{grade.value}", language)))) for grade in Grade
    )
    headers = tuple(text(f"report.table.{key}", language) for key in ("grade", "what"))
    return Table(text("report.evidence.grades", language), headers, rows, folded=True)


def _likelihoods(reader: Reader) -> Table:
    language = reader.language
    rows = []
    above = 1.0
    for smallest, key in phrases.LIKELIHOODS:
        words = text(f"report.likelihood.{key}", language)
        rows.append(Row((Cell(numbers.percent_span(smallest, above), numeric=False), Cell(words))))
        above = smallest
    headers = tuple(text(f"report.evidence.{key}", language) for key in ("probability", "word"))
    return Table(text("report.evidence.likelihoods", language), headers, tuple(rows), folded=True)
