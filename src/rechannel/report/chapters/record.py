"""Public record: what public data can say and what they cannot, the timeline, and the agreements field by field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from rechannel.answers.answer import Answer, EvidenceItem
from rechannel.answers.pictures import Timeline
from rechannel.answers.record import UNNAMED
from rechannel.report.blocks import Block, Cell, Chapter, Chart, Key, Reader, Refused, Row, Said, SaidLine, Table
from rechannel.report.chapters.parts import anchor
from rechannel.report.timeline import event_words, timeline_figures
from rechannel.tables.calendar import Event
from rechannel.tables.deals import Deal
from rechannel.tables.figures import Figure, as_money
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Quantity, Refusal
from rechannel.vocabulary.wording import Language, text

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
COMBINED = "proportional"
"""Method of the rows that hold every source together."""
PER_YEAR = " a year"
"""Ending of a unit of `claims` that is an amount per year."""


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """One chapter per record answer; the report opens with it."""
    return tuple(_chapter(i, answer, reader) for i, answer in enumerate(answers) if answer.question == "record")


def said_lines(answer: Answer, kind: str, reader: Reader) -> tuple[SaidLine, ...]:
    """The lines of a record answer.

    Parameters
    ----------
    kind
        `can` or `cannot`.
    """
    return tuple(_line(item, answer, reader) for item in answer.evidence if item.kind == kind)


def _line(item: EvidenceItem, answer: Answer, reader: Reader) -> SaidLine:
    language = reader.language
    sentence = text(f"record.{item.kind}.{item.label}", language, **_parts(item, language))
    source = str(item.figures.get("source", "")) or (text("record.own_events", language) if item.kind == "can" else "")
    if item.kind == "can":
        return SaidLine(sentence, source, item.grade)
    wanted = str(item.figures["estimates"]).split(";")
    refusal = next(
        row.value for row in answer.estimates if row.estimate_id in wanted and isinstance(row.value, Refusal)
    )
    beside = tuple(
        text("record.claimed", language, **_claim_parts(claims, language))
        for claims in ([c for c in answer.evidence if c.kind == "claim"],)
        if claims and item.label == "fee"
    )
    return SaidLine(sentence, source, None, refusal, beside)


def _claim_parts(claims: Sequence[EvidenceItem], language: Language) -> dict[str, str]:
    """Values and speakers of the claims about one thing, together; claims in one unit become one range."""
    by_unit: dict[str, list[float]] = {}
    for claim in claims:
        by_unit.setdefault(str(claim.figures["unit"]), []).append(float(claim.figures["value"]))
    values = "; ".join(_claimed(unit, amounts, language) for unit, amounts in by_unit.items())
    speakers = "; ".join(dict.fromkeys(str(claim.figures.get("who") or claim.figures["source"]) for claim in claims))
    return {"value": values, "who": speakers}


def _claimed(unit: str, amounts: Sequence[float], language: Language) -> str:
    """Amounts of one unit: CNY 8B-10B a year when the unit is money a year, else the figures with the unit as given."""
    low, high = min(amounts), max(amounts)
    ends = [as_money(Figure("", "", value, unit=unit.removesuffix(PER_YEAR))) for value in (low, high)]
    if not unit.endswith(PER_YEAR) or ends[0] is None or ends[1] is None:
        return f"{low:,.10g} {unit}" if low == high else f"{low:,.10g}{numbers.RANGE}{high:,.10g} {unit}"
    currency, bottom = ends[0]
    amount = numbers.number(bottom, language) if low == high else numbers.span(bottom, ends[1][1], language)
    return text("record.per_year", language, amount=f"{currency} {amount}")


def _parts(item: EvidenceItem, language: Language) -> dict[str, str]:
    """Figures of a statement, ready to print: dates in words, shares in percent, whole numbers plain."""
    made = {}
    for key, value in item.figures.items():
        if isinstance(value, str):
            made[key] = numbers.day(date.fromisoformat(value), language) if _DAY.match(value) else value
        else:
            made[key] = numbers.percent(value, width=1.0) if key == "share" else f"{value:g}"
    return made


def _chapter(position: int, answer: Answer, reader: Reader) -> Chapter:
    language = reader.language
    can, cannot = (said_lines(answer, kind, reader) for kind in ("can", "cannot"))
    counts = {"can": str(len(can)), "cannot": str(len(cannot))}
    key = "title_none" if not can else "title" if cannot else "title_all"
    blocks: list[Block] = []
    if answer.refusal:
        blocks.append(Refused(answer.refusal))
    if can:
        blocks.append(Said(text("record.can_title", language), can, text("record.can_note", language)))
    if cannot:
        blocks.append(Said(text("record.cannot_title", language), cannot))
    if answer.timeline is not None:
        blocks += _timeline(answer.timeline, reader)
        if answer.timeline.deals:
            blocks.append(deals_table(answer.timeline.deals, reader))
    blocks += _simulation(answer, reader)
    lead = answer.text[language]
    kicker = text("record.kicker", language)
    return Chapter(
        anchor(position, answer), kicker, text(f"record.{key}", language, **counts), tuple(blocks), lead=lead
    )


def _timeline(timeline: Timeline, reader: Reader) -> list[Block]:
    """The chart with its table; none when nothing has a day."""
    language = reader.language
    figures = timeline_figures(timeline, language)
    if not figures:
        return []
    keys = []
    if timeline.deals:
        keys.append(Key(text("record.key_deal", language), "block", "own"))
    if timeline.events:
        keys.append(Key(text("record.key_event", language), "dot", "counterfactual"))
    if timeline.threats:
        keys.append(Key(text("record.key_threat", language), "block", "rival"))
    if timeline.on is not None:
        keys.append(Key(text("record.key_exit", language), "rule", "rule"))
    rows = [*(_deal_row(deal, language) for deal in timeline.deals)]
    rows += [_event_row(event, timeline, reader) for event in timeline.events]
    rows.sort(key=lambda row: row.cells[0].text)
    headers = tuple(text(f"report.table.{key}", language) for key in ("days", "what", "kind"))
    twin = Table(text("report.table_twin", language), headers, tuple(rows), folded=True)
    title, reading = text("record.timeline", language), text("record.reading", language)
    return [Chart(title, figures, reading, twin, tuple(keys))]


def _deal_row(deal: Deal, language: Language) -> Row:
    first = _field(deal, "start", language) or _field(deal, "signed", language)
    last = _field(deal, "end", language)
    span = f"{first} {numbers.RANGE} {last}" if last else first
    what = f"{deal.deal_id}: {deal.host} → {deal.tenant}"
    return Row((Cell(span), Cell(what), Cell(text("record.deal", language))))


def _event_row(event: Event, timeline: Timeline, reader: Reader) -> Row:
    language = reader.language
    span = str(event.start) if event.start == event.end else f"{event.start} {numbers.RANGE} {event.end}"
    channel = reader.facts.display(event.channel, language) if event.channel else ""
    kind = text(f"event.{event.kind}", language)
    threat = text("record.key_threat", language) if event in timeline.threats else ""
    return Row((Cell(span), Cell(event_words(event, language), note=channel), Cell(kind, note=threat)))


def deals_table(deals: Sequence[Deal], reader: Reader) -> Table:
    """One line per agreement; a field that was not seen at its source prints as not verified, the others stay."""
    language = reader.language
    rows = []
    for deal in deals:
        parties = text("record.parties", language, host=deal.host, tenant=deal.tenant)
        signed = _field(deal, "signed", language)
        dates = [_field(deal, name, language) for name in ("start", "end")]
        span = f"{dates[0]} {numbers.RANGE} {dates[1]}" if any(dates) else ""
        note = text("record.signed", language, day=signed) if signed else ""
        rest = [Cell(_field(deal, name, language)) for name in ("access", "equity_terms", "cash_terms", "form")]
        rows.append(Row((Cell(deal.deal_id, note=parties), Cell(span, note=note, numeric=True), *rest)))
    headers = tuple(text(f"record.{key}", language) for key in ("deal", "term", "access", "equity", "cash", "form"))
    caption, note = text("record.deals_title", language), text("record.deals_note", language)
    return Table(caption, headers, tuple(rows), note=note, broad=True)


def _field(deal: Deal, name: str, language: Language) -> str:
    """One field as text: empty when not stated, `not verified` when it was not seen at its source."""
    value = getattr(deal, name)
    if value is None:
        return ""
    return str(value) if deal.is_verified(name) else text("record.not_verified", language)


def _simulation(answer: Answer, reader: Reader) -> list[Block]:
    """Where orders would go in proportion to share: a line per firm, a column per source, and the range."""
    language, facts = reader.language, reader.facts
    rows = [row for row in answer.estimates if row.metric in ("diversion", UNNAMED) and isinstance(row.value, Quantity)]
    sources = list(dict.fromkeys((row.method, row.period) for row in rows if row.method != COMBINED))
    combined = [row for row in rows if row.method == COMBINED]
    if not combined:
        return []
    values = {
        (row.channel, row.method, row.period): numbers.percent(row.value.quantiles.median, width=0.01)
        for row in rows
        if isinstance(row.value, Quantity)
    }
    lines = []
    for row in combined:
        cells = [Cell(values.get((row.channel, *source), ""), numeric=True) for source in sources]
        known = sorted((cell.text for cell in cells if cell.text), key=lambda shown: float(shown.rstrip("%")))
        span = known[0] if known[0] == known[-1] else f"{known[0]}{numbers.RANGE}{known[-1]}"
        lines.append(Row((Cell(facts.display(row.channel or "", language)), *cells, Cell(span, numeric=True))))
    if any(row.metric == UNNAMED for row in rows):
        cells = [Cell(values.get((None, *source), ""), numeric=True) for source in sources]
        lines.append(Row((Cell(text("record.unnamed", language)), *cells, Cell("", numeric=True))))
    named = tuple(f"{method} {period}" for method, period in sources)
    headers = (text("record.firm", language), *named, text("record.range", language))
    caption, note = text("record.simulation_title", language), text("record.simulation_note", language)
    return [Table(caption, headers, tuple(lines), note=note)]
