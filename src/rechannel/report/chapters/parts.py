"""Parts that chapters share: an answer's headline, path charts, estimate tables, diversion, checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rechannel.answers.answer import Answer, Path
from rechannel.report import phrases
from rechannel.report.blocks import (
    Block,
    Cell,
    Chart,
    Key,
    Listed,
    ListedLine,
    Pair,
    Pairs,
    Reader,
    Row,
    Table,
)
from rechannel.report.colours import OUTSIDE, OWN, RIVAL
from rechannel.report.dots import Dot, dot_figure
from rechannel.report.figures import gap_of, is_forecast, path_figures
from rechannel.tables.panel import to_date
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.wording import text

PATH_UNITS = {"visits": "visits", "orders": "orders", "new_customers": "customers"}
"""Metric of a path -> unit word; money metrics are in the case's currency."""

REMAINDERS = ("to_rivals", "lost_outside")


HEADLINES: dict[str, tuple[str, ...]] = {
    "impact": ("net_loss_visits", "visits_removed"),
    "closure": ("net_loss_visits", "net_loss_new_customers", "visits_removed"),
}
"""Question -> metrics for the card's number; the first answered one at its first answered horizon wins."""


def anchor(position: int, answer: Answer) -> str:
    """The id of an answer's chapter on the page."""
    return f"{answer.question}-{position + 1}"


def headline(answer: Answer) -> Estimate | None:
    """The number on an answer's card: a total at the first answered horizon; None when there is none."""
    for metric in HEADLINES.get(answer.question, ()):
        for row in answer.estimates:
            if (row.metric, row.channel, row.market) == (metric, None, None) and isinstance(row.value, Quantity):
                return row
    return None


def path_chart(path: Path, answer: Answer, reader: Reader, *, reading: str) -> Chart:
    """Observed and counterfactual, daily gap and cumulative gap of one series, with their table."""
    language, facts = reader.language, reader.facts
    unit = PATH_UNITS.get(path.metric, facts.currency)
    who = facts.display(path.channel, language) if path.channel else text("report.total_inline", language)
    panels = path_figures(path, language, phrases.unit_word(unit, facts, language), who)
    row = _row_of(path, answer)
    lead, grade = "", None
    if path.channel is None:
        title = text("report.parts.total_plain", language)
    else:
        title = text("report.parts.channel_plain", language, channel=who)
    if row is not None and isinstance(row.value, Quantity):
        quantiles, grade = row.value.quantiles, row.value.grade
        spread = phrases.with_interval(quantiles, row.unit, facts, language)
        within = text("report.within", language, days=str(row.horizon_days))
        lead = f"{phrases.metric_name(row.metric, language)} · {within}{': ' if language == 'en' else '：'}{spread}"
        low, high = quantiles.interval(0.9)
        if path.channel is not None and not low <= 0 <= high:
            key = "channel_loss" if low > 0 else "channel_gain"
            size = phrases.median_and_interval(quantiles, row.unit, facts, language)[0].lstrip(numbers.MINUS)
            amount = phrases.spoken(quantiles, row.unit, facts, language)
            words = {"channel": who, "days": str(row.horizon_days), "number": size, "amount": amount}
            title = text(f"report.parts.{key}", language, **words)
    keys = [
        Key(text("chart.key.closed" if is_forecast(path) else "chart.key.observed", language), "solid", "own"),
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
    return Chart(title, panels, reading, path_table(path, reader, who), tuple(keys), lead, grade, source)


def _row_of(path: Path, answer: Answer) -> Estimate | None:
    """The total a path adds up to, at its longest answered horizon."""
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
    forecast = is_forecast(path)
    named = ("date", "observed", "counterfactual", "closed" if forecast else "gap", "sum")
    headers = tuple(text(f"report.table.{key}", language) for key in named)
    third = path.closed_path if forecast else gap_of(path)
    rows = []
    for i, day in enumerate(path.dates):
        cells = [Cell(str(day)), Cell(_plain(path.observed[i]), numeric=True), _spread(path.open_path[i])]
        cells.append(_spread(third[i]) if third is not None else Cell("", numeric=True))
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
    note = text("report.parts.estimates_note", language)
    return Table(text("report.parts.estimates", language), headers, tuple(rows), note=note)


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
    return [Table(text("report.parts.by_channel", language), headers, tuple(rows), folded=True)]


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
    title, grade = text("report.parts.diversion", language), None
    kept = next((row.value for row in rows if row.metric == "retained_own" and row.channel is None), None)
    if isinstance(kept, Quantity):
        words = phrases.with_interval(kept.quantiles, "share", facts, language)
        title, grade = text("report.parts.diversion_finding", language, share=words), kept.grade
    headers = tuple(text(f"report.table.{key}", language) for key in ("destination", "value", "grade"))
    twin = Table(text("report.table_twin", language), headers, tuple(lines), folded=True)
    keys = tuple(Key(text(f"chart.key.{role}", language), "dot", role) for role in dict.fromkeys(roles))
    lead = text("report.parts.diversion_days", language, days=str(horizon)) if horizon else ""
    return [Chart(title, (figure,), text("report.parts.diversion_reading", language), twin, keys, lead, grade)]


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
    return [Listed(text("report.parts.checks", language), lines)] if lines else []


def asked(answer: Answer, reader: Reader) -> Block:
    """The call as it was made."""
    parts = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in answer.asked.items())
    return Pairs("", (Pair(text("report.provenance.asked", reader.language), f"{answer.question} {parts}", code=True),))
