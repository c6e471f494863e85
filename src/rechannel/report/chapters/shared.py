"""Who else the customers of an entry use: by journeys, beside their shares of visits."""

from __future__ import annotations

from rechannel.answers.answer import Answer
from rechannel.answers.pictures import SharedCustomers
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chart, Key, Reader, Row, Table
from rechannel.report.chapters.parts import head
from rechannel.report.colours import OWN
from rechannel.report.dots import Dot, dot_figure
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import text


def shared_chart(answer: Answer, reader: Reader) -> list[Block]:
    """Shares of the other entries in what the channel's customers do elsewhere; none without journeys."""
    told = answer.shared
    if told is None or not told.others:
        return []
    language, facts = reader.language, reader.facts
    channel = facts.display(told.channel, language)
    names = sorted(told.others, key=lambda name: -told.others[name].median)
    dots, lines = [], []
    for name in names:
        spread = told.others[name]
        words = phrases.with_interval(spread, "share", facts, language)
        shown = facts.display(name, language)
        dots.append(Dot(shown, spread.values, words, OWN, (told.shares[name],) * len(LEVELS)))
        beside = Cell(numbers.percent(told.shares[name]), numeric=True)
        lines.append(Row((Cell(shown), Cell(words, numeric=True), beside)))
    axis, aloud = text("report.shared.axis", language, channel=channel), text("chart.shared_aloud", language)
    figure = dot_figure("shared", axis, aloud, dots, language, share=True)
    title = text(
        "report.shared.title",
        language,
        channel=channel,
        other=facts.display(names[0], language),
        share=phrases.with_interval(told.others[names[0]], "share", facts, language),
    )
    lead = text(
        "report.shared.lead",
        language,
        customers=numbers.number(told.customers, language),
        first=numbers.day(told.first, language),
        last=numbers.day(told.last, language),
    )
    note = _alone(told, channel, reader)
    headers = head(reader, "destination", "used_beside", "by_visits")
    twin = Table(text("report.table_twin", language), headers, tuple(lines), folded=True)
    keys = (
        Key(text("chart.key.used_beside", language), "dot", "own"),
        Key(text("chart.key.by_visits", language), "tick", "counterfactual"),
    )
    gap = " " if language == "en" else ""
    role = text(f"report.shared.{'used' if told.is_used else 'unused'}", language)
    reading = gap.join((note, text("report.shared.reading", language, channel=channel), role))
    return [Chart(phrases.heading(title), (figure,), reading, twin, keys, lead, Grade.C if told.is_used else None)]


def _alone(told: SharedCustomers, channel: str, reader: Reader) -> str:
    """How much of the channel's traffic knows no other way, and how much is new, in words."""
    key, words = "solo", {"channel": channel, "solo": numbers.percent(told.solo.median)}
    if told.new is not None:
        key, words["new"] = "solo_and_new", numbers.percent(told.new.median)
    return text(f"report.shared.{key}", reader.language, **words)
