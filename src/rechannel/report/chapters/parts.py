"""Parts that chapters share: an answer's headline, its path charts, its checks and the call as it was made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from rechannel.answers.answer import Answer
from rechannel.answers.pictures import Path
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chart, Key, Listed, ListedLine, Pair, Pairs, Reader, Row, Table
from rechannel.report.figures import CHANGE, CLOSURE, DEMOTION, gap_of, is_forecast, path_figures
from rechannel.tables.panel import to_date
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantity
from rechannel.vocabulary.wording import text

PATH_UNITS = {"visits": "visits", "orders": "orders", "new_customers": "customers"}
"""Metric of a path -> unit word; money metrics are in the case's currency."""

HEADLINES: dict[str, tuple[str, ...]] = {
    "impact": ("net_loss_visits", "visits_removed"),
    "closure": ("net_loss_visits", "net_loss_new_customers", "visits_removed"),
    "worth": ("incremental_visits", "incremental_orders", "incremental_gmv", "incremental_new_customers"),
    "exposure": ("net_loss_visits",),
}
"""Question -> metrics for the card's number; the first answered one wins."""

_WHOLE_QUARTER = re.compile(r"\d{4}Q[1-4]")


def anchor(position: int, answer: Answer) -> str:
    """The id of an answer's chapter on the page."""
    return f"{answer.question}-{position + 1}"


def is_total(row: Estimate, answer: Answer) -> bool:
    """Whether a row is about what was asked as a whole, not about one channel or market of it."""
    asked_channel = answer.asked.get("channel") if answer.question == "worth" else None
    return row.channel in (None, asked_channel) and row.market in (None, answer.asked.get("market"))


def headline(answer: Answer) -> Estimate | None:
    """The number on an answer's card; None when there is none.

    A total at the first answered horizon; of worth the last whole quarter; of exposure the largest median loss.
    """
    for metric in HEADLINES.get(answer.question, ()):
        rows = [row for row in answer.estimates if row.metric == metric and isinstance(row.value, Quantity)]
        if answer.question == "exposure":
            rows = [row for row in rows if row.channel is not None]
            if rows:
                return max(rows, key=median)
        else:
            rows = [row for row in rows if is_total(row, answer)]
        if answer.question == "worth":
            rows = [row for row in rows if row.period] or rows
            rows.sort(
                key=lambda row: (bool(_WHOLE_QUARTER.fullmatch(row.period or "")), row.period or ""), reverse=True
            )
        if rows:
            return rows[0]
    return None


def median(row: Estimate) -> float:
    """The median of an answered row."""
    assert isinstance(row.value, Quantity)
    return row.value.quantiles.median


def coordinate(row: Estimate, reader: Reader) -> str:
    """Where a row stands in time: its period, or its horizon."""
    if row.period:
        return phrases.period_name(row.period, reader.language)
    return text("report.horizon", reader.language, days=str(row.horizon_days)) if row.horizon_days else ""


def act_of(answer: Answer) -> str:
    """What the paths of an answer show: a change that happened, a closure or a demotion that may come."""
    if answer.question != "closure":
        return CHANGE
    return DEMOTION if float(answer.asked.get("severity", "1")) < 1 else CLOSURE


def spoken_key(answer: Answer, name: str) -> str:
    """The message key of a sentence that differs between what happened and what may come."""
    return f"report.parts.{name}" if act_of(answer) == CHANGE else f"report.parts.planned.{name}"


def path_chart(path: Path, answer: Answer, reader: Reader, *, reading: str) -> Chart:
    """Observed and counterfactual, daily gap and cumulative gap of one series, with their table."""
    language, facts = reader.language, reader.facts
    unit = PATH_UNITS.get(path.metric, facts.currency)
    who = facts.display(path.channel, language) if path.channel else text("report.total_inline", language)
    panels = path_figures(path, language, phrases.unit_word(unit, facts, language), who, act_of(answer))
    row = _row_of(path, answer)
    lead, grade = "", None
    if path.channel is None:
        title = text(spoken_key(answer, "total_plain"), language)
    else:
        title = text("report.parts.channel_plain", language, channel=who)
    if row is not None and isinstance(row.value, Quantity):
        quantiles, grade = row.value.quantiles, row.value.grade
        spread = phrases.with_interval(quantiles, row.unit, facts, language)
        within = text("report.within", language, days=str(row.horizon_days))
        lead = f"{phrases.metric_name(row.metric, language)} · {within}{': ' if language == 'en' else '：'}{spread}"
        low, high = quantiles.interval(0.9)
        if path.channel is None and act_of(answer) != CHANGE:
            key = "total_loss" if low > 0 else "total_gain" if high < 0 else "total_unclear"
            title = text(spoken_key(answer, key), language)
        elif path.channel is not None and not low <= 0 <= high:
            key = "channel_loss" if low > 0 else "channel_gain"
            size = phrases.median_and_interval(quantiles, row.unit, facts, language)[0].lstrip(numbers.MINUS)
            amount = phrases.spoken(quantiles, row.unit, facts, language)
            words = {"channel": who, "days": str(row.horizon_days), "number": size, "amount": amount}
            title = text(spoken_key(answer, key), language, **words)
    first, last = (numbers.day(to_date(path.dates[at]), language) for at in (0, -1))
    if is_forecast(path):
        eve = (path.announced or path.on) - timedelta(days=1)
        until = numbers.day(min(facts.last or eve, eve), language)
        source = text("report.source_forecast", language, tables="daily", first=first, until=until, last=last)
    else:
        source = text("report.source_line", language, tables="daily", first=first, last=last)
    return Chart(
        title, panels, reading, path_table(path, answer, reader, who), _keys(path, answer, reader), lead, grade, source
    )


def _keys(path: Path, answer: Answer, reader: Reader) -> tuple[Key, ...]:
    """The marks of a path chart with their words."""
    act = act_of(answer)

    def word(name: str) -> str:
        return text(f"chart.key.{name}" if act == CHANGE else f"chart.{act}.key_{name}", reader.language)

    bands = text("chart.key.bands", reader.language)
    if is_forecast(path):
        keys = [
            Key(text("chart.key.observed", reader.language), "solid", "counterfactual"),
            Key(word("counterfactual"), "dashed", "counterfactual"),
            Key(word("closed"), "solid", "own"),
            Key(bands, "bands", "own"),
        ]
    else:
        keys = [
            Key(text("chart.key.observed", reader.language), "solid", "own"),
            Key(word("counterfactual"), "dashed", "counterfactual"),
            Key(bands, "bands", "counterfactual"),
        ]
    keys.append(Key(word("rule"), "rule", "rule"))
    if path.announced:
        keys.append(Key(text("chart.key.announced", reader.language), "rule-dotted", "rule"))
    return tuple(keys)


def _row_of(path: Path, answer: Answer) -> Estimate | None:
    """The total a path adds up to, at its longest answered horizon."""
    wanted = "visits_removed" if path.channel else f"net_loss_{path.metric}"
    if path.channel and (path.metric != "visits" or path.channel != answer.asked["channel"]):
        return None
    rows = [
        row
        for row in answer.estimates
        if row.metric == wanted and is_total(row, answer) and isinstance(row.value, Quantity)
    ]
    return max(rows, key=lambda row: row.horizon_days or 0, default=None)


def path_table(path: Path, answer: Answer, reader: Reader, who: str) -> Table:
    """The twin of a path chart: one line per day, 90 % intervals."""
    language = reader.language
    forecast = is_forecast(path)
    act = act_of(answer)
    named = ("date", "observed", "counterfactual", "closed" if forecast else "gap", "sum")
    headers = tuple(text(f"report.table.{key}", language) for key in named)
    if act != CHANGE:
        headers = (*headers[:2], *(text(f"report.table.{act}.{key}", language) for key in named[2:]))
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


def checks(answer: Answer, reader: Reader) -> list[Block]:
    """The checks of an answer with their figures; none when it has none."""
    language = reader.language
    lines = []
    for check in answer.checks:
        figures = phrases.figures_line(dict(check.figures), language)
        if "channel" in figures:
            figures["channel"] = reader.facts.display(figures["channel"], language)
        state = "passed" if check.passed else "failed"
        lines.append(ListedLine(state, text(f"check.{check.key}", language, **figures)))
    return [Listed(text("report.parts.checks", language), tuple(dict.fromkeys(lines)))] if lines else []


def asked(answer: Answer, reader: Reader) -> Block:
    """The call as it was made."""
    given: list[str] = []
    for key, value in answer.asked.items():
        if key == "horizons":
            given += [f"--horizon {days}" for days in value.split(",")]
        elif answer.question != "exposure":  # it takes no options: its day and horizon follow from the data
            given.append(f"--{key.replace('_', '-')} {value}")
    call = " ".join([answer.question, *given])
    return Pairs("", (Pair(text("report.provenance.asked", reader.language), call, code=True),))


def head(reader: Reader, *names: str) -> tuple[str, ...]:
    """Headers of a table by their names."""
    return tuple(text(f"report.table.{name}", reader.language) for name in names)


def joined(words: Sequence[str], reader: Reader) -> str:
    """Words in a row."""
    return (", " if reader.language == "en" else "、").join(words)
