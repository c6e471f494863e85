"""Impact: what happened after a day, for the entry itself and for all own channels together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Chapter, Reader, Refused
from rechannel.report.chapters.diversion import diversion_chart
from rechannel.report.chapters.estimates import channel_table, estimates_table
from rechannel.report.chapters.parts import anchor, asked, checks, headline, path_chart
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Quantity
from rechannel.vocabulary.wording import text


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per impact answer."""
    return tuple(_chapter(i, answer, reader) for i, answer in enumerate(answers) if answer.question == "impact")


def _chapter(position: int, answer: Answer, reader: Reader) -> Chapter:
    language, facts = reader.language, reader.facts
    day = numbers.day(date.fromisoformat(answer.asked["on"]), language)
    channel = facts.display(answer.asked["channel"], language)
    kicker = text("report.impact.kicker", language, channel=channel, day=day)
    blocks: list[Block] = []
    if answer.refusal:
        title = text("report.impact.refused", language, day=day)
        blocks.append(Refused(answer.refusal))
    else:
        title = finding(answer, reader, day)
        reading = text("report.impact.reading", language)
        blocks += [path_chart(path, answer, reader, reading=reading) for path in answer.paths[:1]]
        blocks += [path_chart(path, answer, reader, reading="") for path in answer.paths[1:]]
        blocks += diversion_chart(answer, reader)
        blocks.append(estimates_table(answer, reader))
        blocks += channel_table(answer, reader)
    blocks += checks(answer, reader)
    blocks.append(asked(answer, reader))
    return Chapter(anchor(position, answer), kicker, title, tuple(blocks), lead=answer.text[language])


def finding(answer: Answer, reader: Reader, day: str) -> str:
    """The chapter's title: one sentence per verdict."""
    language = reader.language
    row = headline(answer)
    if answer.verdict == "cannot_tell":
        return text("report.impact.cannot_tell", language, day=day)
    if row is None or not isinstance(row.value, Quantity) or answer.verdict is None:
        return text("report.impact.plain", language, day=day)
    days = str(row.horizon_days)
    if answer.verdict == "practically_none":
        return text("report.impact.practically_none", language, day=day, days=days)
    key = "loss" if row.value.quantiles.median > 0 else "gain"
    amount = phrases.spoken(row.value.quantiles, row.unit, reader.facts, language)
    return text(f"report.impact.{key}", language, day=day, days=days, amount=amount)
