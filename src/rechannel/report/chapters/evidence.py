"""Evidence: what each answer rests on, and the two word scales of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Reader, Row, Table
from rechannel.vocabulary import numbers
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import has_text, text


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """Evidence of every answer that lists some, then the scales."""
    listed = [answer for answer in answers if answer.evidence and answer.question != "record"]  # it has its own chapter
    blocks: list[Block] = [_items(answer, reader) for answer in listed]
    blocks += [_grades(reader), _likelihoods(reader)]
    kicker, title, lead = (text(f"report.evidence.{key}", reader.language) for key in ("kicker", "title", "lead"))
    return (Chapter("evidence", kicker, title, tuple(blocks), lead=lead),)


def _items(answer: Answer, reader: Reader) -> Table:
    language = reader.language
    rows = []
    for item in answer.evidence:
        kind = text(f"report.evidence_kind.{item.kind}", language)
        figures = phrases.figures_line(_in_shares(item.figures), language)
        note = " · ".join(f"{text(f'report.figure.{key}', language)} {value}" for key, value in figures.items())
        known = item.kind == "assumption" and has_text(f"assumption.{item.label}")
        label = text(f"assumption.{item.label}", language) if known else reader.facts.display(item.label, language)
        rows.append(Row((Cell(kind), Cell(label, note=note), Cell("", grade=item.grade))))
    question = text(f"report.question.{answer.question}", language)
    headers = tuple(text(f"report.table.{key}", language) for key in ("kind", "what", "grade"))
    return Table(text("report.evidence.items", language, question=question), headers, tuple(rows))


def _in_shares(figures: Mapping[str, float | str]) -> dict[str, float | str]:
    """Figures in shares as percent: a range with unit `share` as one range, and `share` itself."""
    made = dict(figures)
    low, high, share = made.get("low"), made.get("high"), made.get("share")
    if made.get("unit") == "share" and isinstance(low, float) and isinstance(high, float):
        rest = {key: value for key, value in made.items() if key not in ("low", "high", "unit")}
        made = {"range": numbers.percent_span(low, high), **rest}
    if isinstance(share, float):
        made["share"] = numbers.percent(share, width=1.0)
    return made


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
