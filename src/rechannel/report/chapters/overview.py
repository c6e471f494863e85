"""Overview: one card per answer, and the state of the data in one strip."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Card, Cards, Chapter, Pair, Pairs, Prose, Reader
from rechannel.report.chapters import credit
from rechannel.report.chapters.parts import anchor, headline
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Estimate, Quantity
from rechannel.vocabulary.wording import text


def card(position: int, answer: Answer, reader: Reader) -> Card:
    """The short form of one answer."""
    language = reader.language
    about = []
    if channel := answer.asked.get("channel"):
        about.append(reader.facts.display(channel, language))
    if on := answer.asked.get("on"):
        about.append(numbers.day(date.fromisoformat(on), language))
    question = text(f"report.question.{answer.question}", language)
    label = f"{question} · {' · '.join(about)}" if about else question
    claim, link = answer.text[language], anchor(position, answer)
    if answer.refusal:
        return Card(label, claim, link, refusal=answer.refusal)
    verdict = text(f"report.verdict.{answer.verdict}", language) if answer.verdict else ""
    row = headline(answer)
    if row is None or not isinstance(row.value, Quantity):
        return Card(label, claim, link, grade=answer.grade, verdict=verdict)
    median, interval = phrases.median_and_interval(row.value.quantiles, row.unit, reader.facts, language)
    who = reader.facts.display(row.channel, language) if row.channel and row.channel != channel else ""
    name = phrases.metric_name(row.metric, language)
    within = text("report.within", language, days=str(row.horizon_days)) if row.horizon_days else ""
    period = phrases.period_name(row.period, language) if row.period else ""
    return Card(
        label,
        claim,
        link,
        number=median,
        unit=" · ".join(part for part in (who, name, within, period) if part),
        interval=interval,
        beside=credit.said(row, answer, reader),
        likelihood=phrases.likelihood(row.value.quantiles, language) if _may_be_gain(row) else "",
        grade=row.value.grade,
        verdict=verdict,
        changes=phrases.changes(row, language),
    )


def _may_be_gain(row: Estimate) -> bool:
    """Whether its sign is an open question; a declared share of customers is a loss by construction."""
    return row.metric.startswith("net_loss") and row.unit != "share"


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """The overview; it stands in every report."""
    language, facts = reader.language, reader.facts

    def say(key: str) -> str:
        return text(f"report.overview.{key}", language)

    warnings = sum(note.severity == "warning" for note in facts.notes)
    strip = Pairs(
        "",
        (
            *([Pair(say("data_until"), numbers.day(facts.last, language))] if facts.last else []),
            *([Pair(say("period"), f"{(facts.last - facts.first).days + 1:,}")] if facts.first and facts.last else []),
            Pair(say("channels"), str(len(facts.channels))),
            Pair(say("tables"), str(len(facts.tables))),
            *([Pair(say("warnings"), str(warnings))] if warnings else []),
        ),
        strip=True,
    )
    blocks: list[Block] = [strip]
    if answers:
        blocks.append(Cards(tuple(card(i, answer, reader) for i, answer in enumerate(answers))))
    else:
        blocks.append(Prose((say("empty"),)))
    return (Chapter("overview", say("kicker"), say("title"), tuple(blocks), lead=say("lead")),)
