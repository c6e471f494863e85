"""Impact: what happened after a day, for the entry itself and for all own channels together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Chart, Key, Reader, Refused, Row, Table
from rechannel.report.chapters.diversion import diversion_chart
from rechannel.report.chapters.estimates import channel_table, estimates_table
from rechannel.report.chapters.parts import anchor, asked, checks, head, headline, path_chart
from rechannel.report.colours import COUNTERFACTUAL, OWN
from rechannel.report.dots import Cloud, cloud_figure
from rechannel.report.figures import Figure
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
        blocks += placebo_chart(answer, reader)
        blocks += diversion_chart(answer, reader)
        blocks.append(estimates_table(answer, reader))
        blocks += channel_table(answer, reader)
    blocks += checks(answer, reader)
    blocks.append(asked(answer, reader))
    return Chapter(anchor(position, answer), kicker, title, tuple(blocks), lead=answer.text[language])


def placebo_chart(answer: Answer, reader: Reader) -> list[Block]:
    """What forecasts of past days missed, beside what the one of D missed; none without enough past windows."""
    if not answer.placebos:
        return []
    language, own = reader.language, answer.placebos[0]
    day = numbers.day(date.fromisoformat(answer.asked["on"]), language)
    said = {"count": str(len(own.missed)), "farther": str(own.farther), "days": str(own.days), "day": day}
    axis, aloud = (text(f"report.placebo.{name}", language, **said) for name in ("axis", "aloud"))
    panels, lines = list[Figure](), list[Row]()
    for placebo in answer.placebos:
        who = reader.facts.display(placebo.channel, language) if placebo.channel else text("report.total", language)
        words, colour = numbers.percent(placebo.at_event), OWN if placebo.channel else COUNTERFACTUAL
        cloud = Cloud(who, placebo.missed, placebo.at_event, words, colour)
        name = "own" if placebo.channel else "total"
        panels.append(cloud_figure(f"placebos-{name}", "" if panels else axis, aloud, (cloud,), language))
        came = (
            *zip(placebo.starts, placebo.missed, strict=True),
            (date.fromisoformat(answer.asked["on"]), placebo.at_event),
        )
        lines += [Row((Cell(who), Cell(str(start)), Cell(numbers.percent(off), numeric=True))) for start, off in came]
    title = text(f"report.placebo.title_{'some' if own.farther else 'none'}", language, **said)
    twin = Table(text("report.table_twin", language), head(reader, "series", "from", "missed"), tuple(lines), True)
    keys = (
        Key(text("report.placebo.key_past", language), "faint", "counterfactual"),
        Key(text("report.placebo.key_event", language, day=day), "diamond", "own"),
    )
    within = phrases.heading(text("report.within", language, days=str(own.days)))
    return [Chart(title, tuple(panels), text("report.placebo.reading", language, **said), twin, keys, within)]


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
