"""Exposure: every channel closed in turn, the largest loss first, with who owns it and where its visits would go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Chart, Prose, Reader, Refused, Row, Table
from rechannel.report.chapters import credit
from rechannel.report.chapters.estimates import channel_table
from rechannel.report.chapters.parts import anchor, asked, checks, head, headline
from rechannel.report.dots import dot_figure
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Estimate, Quantity
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import text

LOSS = "net_loss_visits"
SHARES = ("share_of_visits", "share_of_orders", "share_of_new_customers")


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per exposure answer."""
    return tuple(_chapter(i, answer, reader) for i, answer in enumerate(answers) if answer.question == "exposure")


def _chapter(position: int, answer: Answer, reader: Reader) -> Chapter:
    language = reader.language
    blocks: list[Block] = []
    if answer.refusal:
        title = text("report.exposure.refused", language)
        blocks.append(Refused(answer.refusal))
    else:
        title = finding(answer, reader)
        blocks += _picture_and_table(answer, reader)
        blocks += channel_table(answer, reader)
    blocks += checks(answer, reader)
    blocks.append(asked(answer, reader))
    kicker = text("report.exposure.kicker", language)
    return Chapter(anchor(position, answer), kicker, title, tuple(blocks), lead=answer.text[language])


def losses(answer: Answer) -> list[Estimate]:
    """The rows of the loss in visits, one per channel, in the order of the answer."""
    return [row for row in answer.estimates if row.metric == LOSS and row.channel is not None]


def finding(answer: Answer, reader: Reader) -> str:
    """The chapter's title: the most exposed channel, as surely as the intervals allow."""
    language, facts = reader.language, reader.facts
    row = headline(answer)
    if row is None or not isinstance(row.value, Quantity):
        return text("report.exposure.plain", language)
    intervals = {
        other.channel: other.value.quantiles.interval(0.9)
        for other in losses(answer)
        if isinstance(other.value, Quantity)
    }
    days = str(row.horizon_days)
    if all(low <= 0 for low, _ in intervals.values()):
        return text("report.exposure.none", language, days=days)
    words = {"channel": facts.display(row.channel or "", language), "days": days}
    words["amount"] = phrases.spoken_span(row.value.quantiles, row.unit, facts, language)
    highest = max((high for channel, (_, high) in intervals.items() if channel != row.channel), default=0.0)
    clear = intervals[row.channel][0] > max(highest, 0.0)
    key = ("assumed" if row.value.grade is Grade.D else "clear") if clear else "overlap"
    return credit.with_last_touch(text(f"report.exposure.{key}", language, **words), row, answer, reader)


def _picture_and_table(answer: Answer, reader: Reader) -> list[Block]:
    """The chart with the table of the question as its twin; the table alone when no loss is answered."""
    language = reader.language
    rows = losses(answer)
    table = exposure_table(rows, answer, reader)
    numbered = [row for row in rows if isinstance(row.value, Quantity)]
    if not rows:
        return [Prose((text("report.exposure.empty", language),))]
    if not numbered:
        return [table]
    dots = [credit.dot(row, answer, reader, reader.facts.display(row.channel or "", language)) for row in numbered]
    axis = phrases.metric_name(LOSS, language)
    aloud = text("chart.exposure_aloud", language, days=str(numbered[0].horizon_days))
    figure = dot_figure("losses", axis, aloud, dots, language, share=False)
    found = credit.standings(numbered, answer)
    over, under = found.count("over"), found.count("under")
    key = ("more_and_less" if under else "more") if over else "less" if under else "unclear"
    counts = {"over": str(over), "under": str(under), "channels": str(len(found))}
    title = text(f"report.exposure.gap_{key}" if found else "report.exposure.gap_unsaid", language, **counts)
    lead = text("report.exposure.gap_lead", language, days=str(numbered[0].horizon_days))
    reading = text("report.exposure.reading", language)
    return [Chart(title, (figure,), reading, table, credit.keys(numbered, reader), lead)]


@dataclass(frozen=True, slots=True)
class Standing:
    """What an answer tells about a channel besides its loss."""

    rows: Mapping[str, Estimate]
    figures: Mapping[str, float | str]

    def share(self, metric: str) -> str:
        """A share in percent; empty when it is not answered."""
        row = self.rows.get(metric)
        return numbers.percent(row.value.quantiles.median) if row and isinstance(row.value, Quantity) else ""

    def word(self, name: str) -> str:
        """A figure as it is; empty when there is none."""
        return str(self.figures.get(name, ""))

    def number(self, name: str) -> float | None:
        """A figure as a number; None when there is none."""
        value = self.figures.get(name, "")
        return None if value == "" else float(value)


def _standing(channel: str | None, answer: Answer) -> Standing:
    rows = {row.metric: row for row in answer.estimates if row.channel == channel}
    found = (item.figures for item in answer.evidence if item.kind == "exposure" and item.label == channel)
    return Standing(rows, next(found, {}))


def exposure_table(rows: Sequence[Estimate], answer: Answer, reader: Reader) -> Table:
    """One line per channel; greyed when the loss rests on an assumption."""
    language = reader.language
    lines = []
    for row in rows:
        known = _standing(row.channel, answer)
        first = (_name(row, known, reader), _shares(known, reader), credit.credit_cell(row, answer, reader))
        if not isinstance(row.value, Quantity):
            lines.append(Row(first, refusal=row.value))
            continue
        number, span = phrases.median_and_interval(row.value.quantiles, row.unit, reader.facts, language)
        cells = (
            *first,
            Cell(number, note=span, numeric=True),
            _goes_to(known, reader),
            _contract(known, answer, reader),
            _evidence(known, reader),
            Cell("", grade=row.value.grade),
        )
        lines.append(Row(cells, dim=row.value.grade is Grade.D))
    names = ("channel_owner", "shares", "last_touch", "loss", "goes_to", "contract_end", "last_evidence", "grade")
    caption = text("report.exposure.table", language)
    note = text("report.exposure.table_note", language)
    return Table(caption, head(reader, *names), tuple(lines), note=note, compact=True)


def _name(row: Estimate, known: Standing, reader: Reader) -> Cell:
    host = phrases.host_name(known.word("host"), reader.language)
    host = host or text("report.exposure.own_host", reader.language)
    return Cell(reader.facts.display(row.channel or "", reader.language), note=host)


def _shares(known: Standing, reader: Reader) -> Cell:
    """Share of visits, and below it of orders and new customers."""
    visits, *others = (known.share(metric) for metric in SHARES)
    names = (text(f"metric.{metric.removeprefix('share_of_')}", reader.language) for metric in SHARES[1:])
    note = " · ".join(f"{name} {share}" for name, share in zip(names, others, strict=True) if share)
    return Cell(visits, note=note)


def _goes_to(known: Standing, reader: Reader) -> Cell:
    """The largest destination with its share, and what own channels take up together."""
    language = reader.language
    to, share = known.word("goes_to"), known.number("goes_to_share")
    name = reader.facts.display(to, language) if to else ""
    part = f" {numbers.percent(share)}" if name and share is not None else ""
    kept = known.rows.get("retained_own")
    note = ""
    if kept is not None and isinstance(kept.value, Quantity):
        words = phrases.with_interval(kept.value.quantiles, "share", reader.facts, language)
        note = text("report.exposure.kept", language, share=words)
    return Cell(f"{name}{part}", note=note)


def _contract(known: Standing, answer: Answer, reader: Reader) -> Cell:
    """The day the contract ends, and how far it is."""
    language = reader.language
    if not known.word("contract_end"):
        return Cell(text("report.exposure.no_contract", language))
    end = date.fromisoformat(known.word("contract_end"))
    start = date.fromisoformat(answer.asked["on"])
    days = (end - start).days
    note = text("report.exposure.ends_in", language, days=f"{days:,}") if days >= 0 else ""
    return Cell(numbers.day(end, language), note=note or text("report.exposure.ended", language))


def _evidence(known: Standing, reader: Reader) -> Cell:
    days = known.number("days_since_evidence")
    if days is None:
        return Cell(text("report.exposure.never", reader.language))
    return Cell(text("report.exposure.ago", reader.language, days=f"{round(days):,}"))
