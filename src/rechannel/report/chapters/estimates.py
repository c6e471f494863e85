"""Tables of estimates: totals by metric, rows by channel, and refusals that share a reason on one line."""

from __future__ import annotations

from collections.abc import Sequence

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Reader, Row, Table
from rechannel.report.chapters.parts import coordinate, head, is_total, joined
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import text

_MOST_NAMED = 3


def estimates_table(answer: Answer, reader: Reader, *, folded: bool = False, shown: Sequence[Estimate] = ()) -> Table:
    """Every total of an answer; metrics without any number stand at the end, those with one reason on one line.

    Parameters
    ----------
    shown
        Rows that stand in another table of the chapter and are left out here.
    """
    language = reader.language
    totals = [
        row for row in answer.estimates if is_total(row, answer) and row.metric != "diversion" and row not in shown
    ]
    periods = any(row.period for row in totals)
    headers = head(reader, "period" if periods else "horizon", "value", "grade")
    note = text(f"report.{answer.question}.estimates_note", language)
    caption = text("report.parts.other_estimates" if shown else "report.parts.estimates", language)
    return Table(caption, headers, metric_rows(totals, reader), folded, note)


def metric_rows(rows: Sequence[Estimate], reader: Reader) -> tuple[Row, ...]:
    """Lines of some rows in groups per metric and method."""
    groups: dict[str, list[Estimate]] = {}
    for row in rows:
        groups.setdefault(phrases.row_name(row, reader.language), []).append(row)
    lines: list[Row] = []
    silent: list[Estimate] = []
    for name, members in groups.items():
        if not any(isinstance(row.value, Quantity) for row in members):
            silent += members
            continue
        lines.append(Row((Cell(name),), group=True))
        lines += [answered_line(row, reader) for row in members if isinstance(row.value, Quantity)]
        lines += _by_reason(members, reader, named=False)
    if silent:
        lines.append(Row((Cell(text("report.refused_word", reader.language)),), group=True))
        lines += _by_reason(silent, reader, named=True)
    return tuple(lines)


def answered_line(row: Estimate, reader: Reader) -> Row:
    """Where a number stands, the number with its interval, and its grade."""
    assert isinstance(row.value, Quantity)
    words = phrases.with_interval(row.value.quantiles, row.unit, reader.facts, reader.language)
    return Row((Cell(coordinate(row, reader)), Cell(words, numeric=True), Cell("", grade=shown_grade(row.value))))


def shown_grade(value: Quantity) -> Grade | None:
    """The grade of an estimate; none for what is observed or agreed, unless it is not verified."""
    return None if value.quantiles.is_known and value.grade is not Grade.D else value.grade


def _by_reason(rows: Sequence[Estimate], reader: Reader, *, named: bool) -> list[Row]:
    """One line per reason; `named` lines say which metrics they are about."""
    lines: dict[str, tuple[Refusal, list[Estimate]]] = {}
    for row in rows:
        if isinstance(row.value, Refusal):
            lines.setdefault(row.value.message(reader.language), (row.value, []))[1].append(row)
    made = []
    for refusal, members in lines.values():
        where = where_words(members, reader)
        names = dict.fromkeys(phrases.row_name(row, reader.language) for row in members)
        first = Cell(listed(list(names), reader), note=where) if named else Cell(where)
        made.append(Row((first,), refusal=refusal))
    return made


def listed(names: Sequence[str], reader: Reader) -> str:
    """Names that may hold commas, in a row."""
    return ("; " if reader.language == "en" else "；").join(names)


def where_words(rows: Sequence[Estimate], reader: Reader) -> str:
    """The horizons of some rows (30, 90 days), or their periods from the first to the last when there are many."""
    days = dict.fromkeys(str(row.horizon_days) for row in rows if row.horizon_days)
    if days:
        return text("report.horizon", reader.language, days=", ".join(days))
    periods = list(dict.fromkeys(coordinate(row, reader) for row in rows if row.period))
    if len(periods) > _MOST_NAMED:
        return f"{periods[0]} {numbers.RANGE} {periods[-1]}"
    return joined(periods, reader)


def channel_table(answer: Answer, reader: Reader) -> list[Block]:
    """Extra rows per channel, folded; none when the answer has none."""
    language = reader.language
    extra = [row for row in answer.estimates if not is_total(row, answer) and row.metric != "diversion"]
    if not any(row.channel for row in extra):
        return []
    rows = []
    for row in extra:
        name = Cell(reader.facts.display(row.channel or "", language), note=phrases.row_name(row, language))
        if isinstance(row.value, Refusal):
            rows.append(Row((name, Cell(coordinate(row, reader))), refusal=row.value))
        else:
            rows.append(Row((name, *answered_line(row, reader).cells)))
    headers = head(reader, "channel", "horizon", "value", "grade")
    return [Table(text("report.parts.by_channel", language), headers, tuple(rows), folded=True)]
