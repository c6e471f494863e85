"""Worth: what an entry brought per quarter that would not have come otherwise, beside last-touch credit."""

from __future__ import annotations

from collections.abc import Sequence

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Chapter, Chart, Reader, Refused, Table
from rechannel.report.chapters import credit, later
from rechannel.report.chapters.estimates import channel_table, estimates_table, metric_rows
from rechannel.report.chapters.parts import HEADLINES, anchor, asked, checks, head, headline, is_total
from rechannel.report.dots import period_figure
from rechannel.vocabulary.estimate import Estimate, Quantity
from rechannel.vocabulary.wording import text

EFFICIENCY = ("incremental_margin", "incremental_cac", "cost_per_incremental_visit", "payback_days", *later.METRICS)
SHOWN_PERIODS = 4
"""Periods of the efficiency table; the others stand in the table of all estimates."""


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per worth answer."""
    return tuple(_chapter(i, answer, reader) for i, answer in enumerate(answers) if answer.question == "worth")


def _chapter(position: int, answer: Answer, reader: Reader) -> Chapter:
    language = reader.language
    channel = reader.facts.display(answer.asked["channel"], language)
    kicker = text("report.worth.kicker", language, channel=channel)
    blocks: list[Block] = []
    if answer.refusal:
        title = text("report.worth.refused", language, channel=channel)
        blocks.append(Refused(answer.refusal))
    else:
        title = finding(answer, reader)
        blocks += period_chart(answer, reader)
        blocks += efficiency(answer, reader)
        blocks += later.chart(answer, reader)
        blocks.append(estimates_table(answer, reader, folded=True))
        blocks += channel_table(answer, reader)
    blocks += checks(answer, reader)
    blocks.append(asked(answer, reader))
    return Chapter(anchor(position, answer), kicker, title, tuple(blocks), lead=answer.text[language])


def finding(answer: Answer, reader: Reader) -> str:
    """The chapter's title: what the last whole quarter allows to say, and what last touch would say."""
    language, facts = reader.language, reader.facts
    channel = facts.display(answer.asked["channel"], language)
    row = headline(answer)
    if row is None or not isinstance(row.value, Quantity):
        return text("report.worth.plain", language, channel=channel)
    words = {"channel": channel, "metric": text(f"metric.{row.metric.removeprefix('incremental_')}", language)}
    words["period"] = phrases.period_name(row.period, language) if row.period else text("report.worth.ever", language)
    low, high = row.value.quantiles.interval(0.9)
    if low <= 0 <= high:
        span = phrases.median_and_interval(row.value.quantiles, row.unit, facts, language)[1]
        words["interval"] = f"{row.unit} {span}" if row.unit == facts.currency else span
        key = "unclear"
    else:
        amount = phrases.spoken_span(row.value.quantiles, row.unit, facts, language)
        if row.unit == facts.currency:
            amount = text("report.worth.of_money", language, amount=amount, metric=words["metric"])
        words["amount"] = amount
        key = "brings" if low > 0 else "takes"
    return credit.with_last_touch(text(f"report.worth.{key}", language, **words), row, answer, reader)


def measured(answer: Answer) -> list[Estimate]:
    """Incremental rows per period, in the order of the headline's metrics."""
    wanted = HEADLINES["worth"]
    rows = [row for row in answer.estimates if row.period and is_total(row, answer)]
    return [row for metric in wanted for row in rows if row.metric == metric]


def period_chart(answer: Answer, reader: Reader) -> list[Block]:
    """Intervals per period with last touch as a tick, one panel per metric; none when no period is answered."""
    language, facts = reader.language, reader.facts
    rows = measured(answer)
    numbered = [row for row in rows if isinstance(row.value, Quantity)]
    if not numbered:
        return []
    panels = []
    for metric in dict.fromkeys(row.metric for row in numbered):
        members = [row for row in numbered if row.metric == metric]
        dots = [credit.dot(row, answer, reader, _short(row.period or "")) for row in members]
        name = phrases.metric_name(metric, language)
        unit = f" ({facts.currency})" if members[0].unit == facts.currency else ""
        aloud = text("chart.periods_aloud", language, metric=name)
        panels.append(period_figure(metric.replace("_", "-"), f"{name}{unit}", aloud, dots, language))
    first = [row for row in numbered if row.metric == numbered[0].metric]
    twin = credit.credit_table(rows, answer, reader, folded=True)
    reading = text("report.worth.reading", language)
    row = headline(answer)
    grade = row.value.grade if row is not None and isinstance(row.value, Quantity) else None
    title = _gap_title(first, answer, reader)
    return [Chart(title, tuple(panels), reading, twin, credit.keys(numbered, reader, "level"), "", grade)]


def _short(period: str) -> str:
    """A quarter under its mark, the year apart: 2025 Q3*."""
    year, _, quarter = period.partition("Q")
    return f"{year} Q{quarter}" if quarter and year.isdigit() else period


def _gap_title(rows: Sequence[Estimate], answer: Answer, reader: Reader) -> str:
    """In how many periods last touch lies clearly above or below what the entry brings."""
    language = reader.language
    channel = reader.facts.display(answer.asked["channel"], language)
    found = credit.standings(rows, answer)
    over, under = found.count("over"), found.count("under")
    key = ("more_and_less" if under else "more") if over else "less" if under else "unclear"
    counts = {"over": str(over), "under": str(under), "periods": str(len(found))}
    if not found:
        return text("report.worth.gap_unsaid", language, channel=channel)
    return text(f"report.worth.gap_{key}", language, channel=channel, **counts)


def efficiency(answer: Answer, reader: Reader) -> list[Block]:
    """Margin and cost per extra visit and customer in the newest periods; none when nothing of it was asked."""
    rows = [row for row in answer.estimates if row.metric in EFFICIENCY and is_total(row, answer)]
    if not rows:
        return []
    held = {row.period for row in measured(answer) if isinstance(row.value, Quantity)}
    newest = sorted({row.period for row in rows if row.period and (row.period in held or not held)})[-SHOWN_PERIODS:]
    chosen = [row for row in rows if not row.period or row.period in newest]
    caption, note = (text(f"report.worth.{key}", reader.language) for key in ("efficiency", "efficiency_note"))
    return [Table(caption, head(reader, "period", "value", "grade"), metric_rows(chosen, reader), note=note)]
