"""Closure: what happens if an entry closes or is demoted, beside what last touch would say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.answers.declared import is_declared
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Chart, Reader, Refused, Row, Table
from rechannel.report.chapters import credit
from rechannel.report.chapters.diversion import diversion_chart
from rechannel.report.chapters.estimates import channel_table, estimates_table, shown_grade
from rechannel.report.chapters.parts import (
    act_of,
    anchor,
    asked,
    checks,
    coordinate,
    head,
    headline,
    is_total,
    path_chart,
)
from rechannel.report.chapters.shared import shared_chart
from rechannel.report.colours import OWN
from rechannel.report.dots import Dot, dot_figure
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import COUNTED
from rechannel.vocabulary.estimate import Estimate, Quantiles, Quantity
from rechannel.vocabulary.wording import text

MONEY = ("net_loss_margin", "fee_saved", "net_profit_effect")


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per closure answer."""
    return tuple(_chapter(i, answer, reader) for i, answer in enumerate(answers) if _is_forecast(answer))


def _is_forecast(answer: Answer) -> bool:
    """A closure answered from the panel; declared ranges have a chapter of their own."""
    return answer.question == "closure" and not is_declared(answer)


def _chapter(position: int, answer: Answer, reader: Reader) -> Chapter:
    language, facts = reader.language, reader.facts
    day = numbers.day(date.fromisoformat(answer.asked["on"]), language)
    channel = facts.display(answer.asked["channel"], language)
    kicker = text(f"report.closure.kicker_{act_of(answer)}", language, channel=channel, day=day)
    blocks: list[Block] = []
    if answer.refusal:
        title = text("report.closure.refused", language, act=act_words(answer, reader))
        blocks.append(Refused(answer.refusal))
    else:
        title = finding(answer, reader)
        pictured = credit_chart(answer, reader)
        blocks += pictured
        reading = text(f"report.closure.reading_{act_of(answer)}", language)
        blocks += [path_chart(path, answer, reader, reading=reading) for path in answer.paths[:1]]
        blocks += [path_chart(path, answer, reader, reading="") for path in answer.paths[1:]]
        blocks += diversion_chart(answer, reader)
        blocks += shared_chart(answer, reader)
        blocks += money_chart(answer, reader)
        blocks.append(estimates_table(answer, reader, shown=_shown(answer) if pictured else ()))
        blocks += channel_table(answer, reader)
    blocks += checks(answer, reader)
    blocks.append(asked(answer, reader))
    return Chapter(anchor(position, answer), kicker, phrases.heading(title), tuple(blocks), lead=answer.text[language])


def act_words(answer: Answer, reader: Reader) -> str:
    """The intervention in words: closing the Discover entry on 30 Sep 2025."""
    language = reader.language
    channel = reader.facts.display(answer.asked["channel"], language)
    day = numbers.day(date.fromisoformat(answer.asked["on"]), language)
    severity = numbers.percent(float(answer.asked.get("severity", "1")))
    return text(f"report.closure.{act_of(answer)}", language, channel=channel, day=day, severity=severity)


def finding(answer: Answer, reader: Reader) -> str:
    """The chapter's title: what its interval allows to say, and what last touch would say."""
    language = reader.language
    row = headline(answer)
    words = {"act": act_words(answer, reader)}
    if row is None or not isinstance(row.value, Quantity) or not row.metric.startswith("net_loss"):
        return text("report.closure.plain", language, **words)
    words["days"] = str(row.horizon_days)
    quantiles = row.value.quantiles
    low, high = quantiles.interval(0.9)
    if answer.verdict == "practically_none":
        words["interval"] = phrases.median_and_interval(quantiles, row.unit, reader.facts, language)[1]
        key = "practically_none"
    elif answer.verdict == "cannot_tell" or low <= 0 <= high:
        words["interval"] = phrases.median_and_interval(quantiles, row.unit, reader.facts, language)[1]
        key = "cannot_tell"
    else:
        words["amount"] = phrases.spoken_span(quantiles, row.unit, reader.facts, language)
        key = "loss" if low > 0 else "gain"
    return credit.with_last_touch(text(f"report.closure.{key}", language, **words), row, answer, reader)


def _shown(answer: Answer) -> list[Estimate]:
    """Rows of the table under the first chart."""
    rows = credit.told(losses(answer), answer)
    return [*rows, *(beside for row in rows if (beside := credit.credited(row, answer)) is not None)]


def losses(answer: Answer) -> list[Estimate]:
    """Net losses of what is counted, metric by metric."""
    rows = [row for row in answer.estimates if is_total(row, answer)]
    return [row for metric in COUNTED for row in rows if row.metric == f"net_loss_{metric}"]


def credit_chart(answer: Answer, reader: Reader) -> list[Block]:
    """Net loss per horizon with last touch as a tick, one panel per metric; none without a loss."""
    language, facts = reader.language, reader.facts
    rows = losses(answer)
    numbered = [row for row in rows if isinstance(row.value, Quantity)]
    if not numbered:
        return []
    panels = []
    for metric in dict.fromkeys(row.metric for row in numbered):
        members = [row for row in numbered if row.metric == metric]
        dots = [credit.dot(row, answer, reader, coordinate(row, reader)) for row in members]
        name = phrases.metric_name(metric, language)
        axis = f"{name} ({facts.currency})" if members[0].unit == facts.currency else name
        aloud = text("chart.credit_aloud", language, metric=name)
        panels.append(dot_figure(metric.replace("_", "-"), axis, aloud, dots, language, share=False))
    row = headline(answer)
    chosen = row if row in numbered and row is not None else numbered[0]
    assert isinstance(chosen.value, Quantity)
    twin = credit.credit_table(rows, answer, reader, folded=False)
    reading = text("report.credit.reading", language)
    keys = credit.keys(numbered, reader)
    return [Chart(_gap_title(chosen, answer, reader), tuple(panels), reading, twin, keys, "", chosen.value.grade)]


def _gap_title(row: Estimate, answer: Answer, reader: Reader) -> str:
    """Whether last touch would over- or understate the loss."""
    language, facts = reader.language, reader.facts
    beside = credit.credited(row, answer)
    if beside is None:
        return text("report.credit.unsaid", language, days=str(row.horizon_days))
    assert isinstance(row.value, Quantity)
    assert isinstance(beside.value, Quantity)
    said = phrases.spoken(beside.value.quantiles, beside.unit, facts, language)
    words = {"days": str(row.horizon_days), "credited": said}
    if row.value.quantiles.interval(0.9)[1] < 0 < beside.value.quantiles.interval(0.9)[0]:
        words["loss"] = phrases.spoken_span(row.value.quantiles, row.unit, facts, language)
        return text("report.credit.opposite", language, **words)
    words["loss"] = phrases.with_interval(row.value.quantiles, row.unit, facts, language)
    return text(f"report.credit.{credit.standing(row, beside)}", language, **words)


def money_chart(answer: Answer, reader: Reader) -> list[Block]:
    """Margin, fee and profit at the longest horizon for which profit is answered; none when it never is."""
    language, facts = reader.language, reader.facts
    rows = [row for row in answer.estimates if row.metric in MONEY and is_total(row, answer)]
    profits = [row for row in rows if row.metric == "net_profit_effect" and isinstance(row.value, Quantity)]
    if not profits:
        return []
    profit = max(profits, key=lambda row: row.horizon_days or 0)
    days = str(profit.horizon_days)
    dots, lines = [], []
    for metric in MONEY:
        for row in rows:
            if row.metric != metric or row.horizon_days != profit.horizon_days or not isinstance(row.value, Quantity):
                continue
            signed = row.value.quantiles.mirrored() if metric == "net_loss_margin" else row.value.quantiles
            name = text(f"report.closure.money_{metric}", language)
            words = phrases.with_interval(signed, row.unit, facts, language)
            dots.append(Dot(name, signed.values, words, OWN))
            lines.append(Row((Cell(name), Cell(words, numeric=True), Cell("", grade=shown_grade(row.value)))))
    assert isinstance(profit.value, Quantity)
    axis = text("report.closure.money_axis", language, currency=facts.currency)
    figure = dot_figure("money", axis, text("chart.money_aloud", language), dots, language, share=False)
    twin = Table(text("report.table_twin", language), head(reader, "what", "value", "grade"), tuple(lines), folded=True)
    reading = text("report.closure.money_reading", language)
    title = _profit_title(profit.value.quantiles, profit.unit, days, reader)
    return [Chart(title, (figure,), reading, twin, (), "", profit.value.grade)]


def _profit_title(quantiles: Quantiles, unit: str, days: str, reader: Reader) -> str:
    """Whether profit rises or falls, as surely as its interval allows."""
    language, facts = reader.language, reader.facts
    low, high = quantiles.interval(0.9)
    if low <= 0 <= high:
        interval = phrases.median_and_interval(quantiles, unit, facts, language)[1]
        return text("report.closure.profit_unclear", language, days=days, interval=f"{unit} {interval}")
    amount = phrases.spoken_span(quantiles, unit, facts, language)
    return text(f"report.closure.{'profit_up' if low > 0 else 'profit_down'}", language, days=days, amount=amount)
