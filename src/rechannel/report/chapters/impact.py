"""Impact: what happened after a day, for the entry itself and for all own channels together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from rechannel.answers.answer import Answer, Path
from rechannel.report import phrases
from rechannel.report.blocks import (
    Block,
    Cell,
    Chapter,
    Chart,
    Key,
    Listed,
    ListedLine,
    Pair,
    Pairs,
    Reader,
    Refused,
    Row,
    Table,
)
from rechannel.report.chapters.overview import anchor, headline
from rechannel.report.colours import OUTSIDE, OWN, RIVAL
from rechannel.report.figures import Dot, dot_figure, gap_of, path_figures
from rechannel.tables.panel import to_date
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.wording import text

PATH_UNITS = {"visits": "visits", "orders": "orders", "new_customers": "customers"}
"""Metric of a path -> unit word; money metrics are in the case's currency."""

REMAINDERS = ("to_rivals", "lost_outside")


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
        blocks += [path_chart(path, answer, reader, first=i == 0) for i, path in enumerate(answer.paths)]
        blocks += diversion_chart(answer, reader)
        blocks.append(estimates_table(answer.estimates, reader))
        blocks += channel_table(answer.estimates, reader)
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


def path_chart(path: Path, answer: Answer, reader: Reader, *, first: bool) -> Chart:
    """Observed and counterfactual, daily gap and cumulative gap of one series, with their table."""
    language, facts = reader.language, reader.facts
    unit = PATH_UNITS.get(path.metric, facts.currency)
    who = facts.display(path.channel, language) if path.channel else text("report.total_inline", language)
    panels = path_figures(path, language, phrases.unit_word(unit, facts, language), who)
    row = _row_of(path, answer)
    lead, grade = "", None
    if path.channel is None:
        title = text("report.impact.total_plain", language)
    else:
        title = text("report.impact.channel_plain", language, channel=who)
    if row is not None and isinstance(row.value, Quantity):
        quantiles, grade = row.value.quantiles, row.value.grade
        words = phrases.with_interval(quantiles, row.unit, facts, language)
        within = text("report.within", language, days=str(row.horizon_days))
        lead = f"{phrases.metric_name(row.metric, language)} · {within}{':' if language == 'en' else '：'} {words}"
        low, high = quantiles.interval(0.9)
        if path.channel is not None and not low <= 0 <= high:
            key = "channel_loss" if low > 0 else "channel_gain"
            number = phrases.median_and_interval(quantiles, row.unit, facts, language)[0].lstrip(numbers.MINUS)
            title = text(f"report.impact.{key}", language, channel=who, days=str(row.horizon_days), number=number)
    keys = [
        Key(text("chart.key.observed", language), "solid", "own"),
        Key(text("chart.key.counterfactual", language), "dashed", "counterfactual"),
        Key(text("chart.key.bands", language), "bands", "counterfactual"),
        Key(text("chart.key.rule", language), "rule", "rule"),
    ]
    if path.announced:
        keys.append(Key(text("chart.key.announced", language), "rule-dotted", "rule"))
    span = {
        "first": numbers.day(to_date(path.dates[0]), language),
        "last": numbers.day(to_date(path.dates[-1]), language),
    }
    source = text("report.source_line", language, tables="daily", **span)
    reading = text("report.impact.reading", language) if first else ""
    return Chart(title, panels, reading, path_table(path, reader, who), tuple(keys), lead, grade, source)


def _row_of(path: Path, answer: Answer) -> Estimate | None:
    """The longest answered total that a path adds up to."""
    wanted = "visits_removed" if path.channel else f"net_loss_{path.metric}"
    if path.channel and (path.metric != "visits" or path.channel != answer.asked["channel"]):
        return None
    rows = [
        row
        for row in answer.estimates
        if row.metric == wanted and row.channel is None and row.market is None and isinstance(row.value, Quantity)
    ]
    return max(rows, key=lambda row: row.horizon_days or 0, default=None)


def path_table(path: Path, reader: Reader, who: str) -> Table:
    """The twin of a path chart: one line per day, 90 % intervals."""
    language = reader.language
    headers = tuple(
        text(f"report.table.{key}", language) for key in ("date", "observed", "counterfactual", "gap", "sum")
    )
    gap = gap_of(path)
    rows = []
    for i, day in enumerate(path.dates):
        cells = [Cell(str(day)), Cell(_plain(path.observed[i]), numeric=True), _spread(path.open_path[i])]
        cells.append(_spread(gap[i]) if gap is not None else Cell("", numeric=True))
        cells.append(_spread(path.cumulative[i]))
        rows.append(Row(tuple(cells)))
    return Table(f"{text('report.table_twin', language)} · {who}", headers, tuple(rows), folded=True)


def _plain(value: float) -> str:
    """A whole figure with thousands signs; empty when there is none."""
    if not np.isfinite(value):
        return ""
    sign = numbers.MINUS if round(value) < 0 else ""
    return f"{sign}{abs(round(value)):,}"


def _spread(levels: FloatArray) -> Cell:
    if not np.isfinite(levels).all():
        return Cell("", numeric=True)
    low, middle, high = (_plain(levels[LEVELS.index(level)]) for level in (0.05, 0.5, 0.95))
    return Cell(middle, note=f"{low} {numbers.RANGE} {high}", numeric=True)


def estimates_table(estimates: Sequence[Estimate], reader: Reader) -> Table:
    """Every total of an answer per horizon; refusals of one metric for one reason share a line."""
    language = reader.language
    rows: list[Row] = []
    totals = [row for row in estimates if row.channel is None and row.market is None]
    for metric in dict.fromkeys(row.metric for row in totals):
        members = [row for row in totals if row.metric == metric]
        rows.append(Row((Cell(phrases.metric_name(metric, language)),), group=True))
        rows += [_answered(row, reader) for row in members if isinstance(row.value, Quantity)]
        rows += _refused(members, reader)
    headers = tuple(text(f"report.table.{key}", language) for key in ("horizon", "value", "grade"))
    note = text("report.impact.estimates_note", language)
    return Table(text("report.impact.estimates", language), headers, tuple(rows), note=note)


def _answered(row: Estimate, reader: Reader, first: str = "") -> Row:
    assert isinstance(row.value, Quantity)
    words = phrases.with_interval(row.value.quantiles, row.unit, reader.facts, reader.language)
    cell = Cell(first or horizon_word([row], reader))
    return Row((cell, Cell(words, numeric=True), Cell("", grade=row.value.grade)))


def horizon_word(rows: Sequence[Estimate], reader: Reader) -> str:
    """The horizons of some rows: 30, 90 days."""
    days = ", ".join(str(row.horizon_days) for row in rows if row.horizon_days)
    return text("report.horizon", reader.language, days=days) if days else ""


def _refused(rows: Sequence[Estimate], reader: Reader) -> list[Row]:
    """One line per reason."""
    lines: dict[str, tuple[Refusal, list[Estimate]]] = {}
    for row in rows:
        if isinstance(row.value, Refusal):
            lines.setdefault(row.value.message(reader.language), (row.value, []))[1].append(row)
    return [Row((Cell(horizon_word(members, reader)),), refusal=refusal) for refusal, members in lines.values()]


def channel_table(estimates: Sequence[Estimate], reader: Reader) -> list[Block]:
    """Extra rows per channel, folded; none when the answer has none."""
    language = reader.language
    extra = [row for row in estimates if row.channel is not None and row.metric != "diversion"]
    if not extra:
        return []
    rows = []
    for row in extra:
        assert row.channel is not None
        name = Cell(reader.facts.display(row.channel, language), note=phrases.metric_name(row.metric, language))
        if isinstance(row.value, Refusal):
            rows.append(Row((name, Cell(horizon_word([row], reader))), refusal=row.value))
        else:
            rows.append(Row((name, *_answered(row, reader).cells)))
    headers = tuple(text(f"report.table.{key}", language) for key in ("channel", "horizon", "value", "grade"))
    return [Table(text("report.impact.by_channel", language), headers, tuple(rows), folded=True)]


def diversion_chart(answer: Answer, reader: Reader) -> list[Block]:
    """Where the removed visits went, at the longest answered horizon; none when no share is answered."""
    language, facts = reader.language, reader.facts
    shares = [row for row in answer.estimates if row.metric == "diversion" and isinstance(row.value, Quantity)]
    if not shares:
        return []
    horizon = max(row.horizon_days or 0 for row in shares)
    rows = [row for row in answer.estimates if (row.horizon_days or 0) == horizon]
    chosen = [row for row in shares if (row.horizon_days or 0) == horizon]
    chosen.sort(key=lambda row: (not facts.owns(row.channel or ""), -_median(row)))
    chosen += [row for row in rows if row.metric in REMAINDERS and isinstance(row.value, Quantity)]
    dots, lines, roles = [], [], []
    for row in chosen:
        assert isinstance(row.value, Quantity)
        name = facts.display(row.channel, language) if row.channel else phrases.metric_name(row.metric, language)
        words = phrases.with_interval(row.value.quantiles, row.unit, facts, language)
        role = "outside" if row.metric == "lost_outside" else "own" if facts.owns(row.channel or "") else "rival"
        roles.append(role)
        dots.append(
            Dot(name, row.value.quantiles.values, words, {"own": OWN, "rival": RIVAL, "outside": OUTSIDE}[role])
        )
        lines.append(Row((Cell(name), Cell(words, numeric=True), Cell("", grade=row.value.grade))))
    lines += [
        Row(
            (Cell(facts.display(row.channel, language) if row.channel else phrases.metric_name(row.metric, language)),),
            refusal=row.value,
        )
        for row in rows
        if row.metric in ("diversion", *REMAINDERS) and isinstance(row.value, Refusal)
    ]
    figure = dot_figure(
        "dots",
        text("chart.diversion", language),
        text("chart.diversion_aloud", language),
        dots,
        language,
        share=True,
    )
    title, grade = text("report.impact.diversion", language), None
    kept = next((row.value for row in rows if row.metric == "retained_own" and row.channel is None), None)
    if isinstance(kept, Quantity):
        words = phrases.with_interval(kept.quantiles, "share", facts, language)
        title, grade = text("report.impact.diversion_finding", language, share=words), kept.grade
    headers = tuple(text(f"report.table.{key}", language) for key in ("destination", "value", "grade"))
    twin = Table(text("report.table_twin", language), headers, tuple(lines), folded=True)
    keys = tuple(Key(text(f"chart.key.{role}", language), "dot", role) for role in dict.fromkeys(roles))
    lead = text("report.impact.diversion_days", language, days=str(horizon)) if horizon else ""
    return [Chart(title, (figure,), text("report.impact.diversion_reading", language), twin, keys, lead, grade)]


def _median(row: Estimate) -> float:
    assert isinstance(row.value, Quantity)
    return row.value.quantiles.median


def checks(answer: Answer, reader: Reader) -> list[Block]:
    """The checks of an answer with their figures; none when it has none."""
    language = reader.language
    lines = tuple(
        ListedLine(
            "passed" if check.passed else "failed",
            text(f"check.{check.key}", language, **phrases.figures_line(dict(check.figures), language)),
        )
        for check in answer.checks
    )
    return [Listed(text("report.impact.checks", language), lines)] if lines else []


def asked(answer: Answer, reader: Reader) -> Block:
    """The call as it was made."""
    parts = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in answer.asked.items())
    return Pairs("", (Pair(text("report.provenance.asked", reader.language), f"{answer.question} {parts}", code=True),))
