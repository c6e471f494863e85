"""Where the visits of an entry go: own channels, rivals and no visit, then every destination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chart, Key, Reader, Row, Table
from rechannel.report.chapters.parts import head, is_total, median, spoken_key
from rechannel.report.colours import OUTSIDE, OWN, RIVAL
from rechannel.report.dots import Dot, dot_figure
from rechannel.report.figures import Figure
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import text

SUMS = {"retained_own": "own", "to_rivals": "rival", "lost_outside": "outside"}
"""Metrics that split the removed visits into three, and their roles."""

COLOURS = {"own": OWN, "rival": RIVAL, "outside": OUTSIDE}


@dataclass(frozen=True, slots=True)
class Place:
    """Where visits go: its name, its role and its share."""

    name: str
    role: str
    row: Estimate


def diversion_chart(answer: Answer, reader: Reader) -> list[Block]:
    """The split of the removed visits at the longest answered horizon; none when no share is answered."""
    language = reader.language
    shares = [
        row for row in answer.estimates if row.metric == "diversion" or (row.metric in SUMS and is_total(row, answer))
    ]
    horizon = max((row.horizon_days or 0 for row in shares if isinstance(row.value, Quantity)), default=None)
    if horizon is None:
        return []
    rows = [row for row in shares if (row.horizon_days or 0) == horizon]
    sums, each = _sums(rows, reader), _each(rows, reader)
    panels = [
        _panel(name, places, beside, reader)
        for name, places, beside in (("sums", sums, each), ("each", each, sums))
        if places
    ]
    lines = [_line(place, reader) for place in (*sums, *each)]
    lines += [Row((Cell(_name(row, reader)),), refusal=row.value) for row in rows if isinstance(row.value, Refusal)]
    title, grade = _title(answer, rows, reader)
    twin = Table(text("report.table_twin", language), head(reader, "destination", "value", "grade"), tuple(lines), True)
    roles = dict.fromkeys(place.role for place in (*sums, *each))
    keys = tuple(Key(text(f"chart.key.{role}", language), "dot", role) for role in roles)
    lead = text("report.within", language, days=str(horizon)) if horizon else ""
    reading = text("report.parts.diversion_reading", language)
    return [Chart(title, tuple(panels), reading, twin, keys, phrases.heading(lead), grade)]


def _name(row: Estimate, reader: Reader) -> str:
    if row.metric in SUMS:
        return phrases.metric_name(row.metric, reader.language)
    return reader.facts.display(row.channel or "", reader.language)


def _sums(rows: Sequence[Estimate], reader: Reader) -> list[Place]:
    """The three parts; without rivals data, what own channels do not take up is one part, their exact remainder."""
    places = [
        Place(_name(row, reader), SUMS[row.metric], row)
        for metric in SUMS
        for row in rows
        if row.metric == metric and isinstance(row.value, Quantity)
    ]
    if [place.role for place in places] == ["own"]:
        kept = places[0].row
        assert isinstance(kept.value, Quantity)
        rest = replace(kept, value=replace(kept.value, quantiles=kept.value.quantiles.mirrored(1.0)))
        places.append(Place(text("report.parts.not_retained", reader.language), "outside", rest))
    return places


def _each(rows: Sequence[Estimate], reader: Reader) -> list[Place]:
    """Own channels, then rivals, the largest first."""
    places = [
        Place(_name(row, reader), "own" if reader.facts.owns(row.channel or "") else "rival", row)
        for row in rows
        if row.metric == "diversion" and isinstance(row.value, Quantity)
    ]
    return sorted(places, key=lambda place: (place.role != "own", -median(place.row)))


def _panel(name: str, places: Sequence[Place], beside: Sequence[Place], reader: Reader) -> Figure:
    language = reader.language
    dots, among = ([_dot(place, reader) for place in some] for some in (places, beside))
    axis, aloud = text(f"chart.diversion_{name}", language), text("chart.diversion_aloud", language)
    return dot_figure(name, axis, aloud, dots, language, share=True, among=among)


def _dot(place: Place, reader: Reader) -> Dot:
    assert isinstance(place.row.value, Quantity)
    quantiles = place.row.value.quantiles
    words = phrases.with_interval(quantiles, place.row.unit, reader.facts, reader.language)
    return Dot(place.name, quantiles.values, words, COLOURS[place.role])


def _line(place: Place, reader: Reader) -> Row:
    assert isinstance(place.row.value, Quantity)
    words = phrases.with_interval(place.row.value.quantiles, place.row.unit, reader.facts, reader.language)
    return Row((Cell(place.name), Cell(words, numeric=True), Cell("", grade=place.row.value.grade)))


def _title(answer: Answer, rows: Sequence[Estimate], reader: Reader) -> tuple[str, Grade | None]:
    """How much own channels take up, as surely as its interval allows."""
    language = reader.language
    kept = next((row.value for row in rows if row.metric == "retained_own"), None)
    if not isinstance(kept, Quantity):
        return text(spoken_key(answer, "diversion"), language), None
    key = "diversion_finding" if kept.quantiles.interval(0.9)[0] > 0 else "diversion_unclear"
    words = phrases.with_interval(kept.quantiles, "share", reader.facts, language)
    return text(spoken_key(answer, key), language, share=words), kept.grade
