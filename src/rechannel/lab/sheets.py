"""The scoreboard as tables a person reads: on a screen, in Markdown, on a page of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width

from rechannel.lab.baselines import OPPONENTS
from rechannel.lab.scoreboard import Bar, Scoreboard, Slice, Span
from rechannel.lab.scores import COVERAGES
from rechannel.vocabulary.wording import Language, has_text
from rechannel.vocabulary.wording import text as sentence

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of printed cells; the first column is words, the others are figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(board: Scoreboard, language: Language = "en") -> list[Table]:
    """The tables of a scoreboard: bars, scores by every split, grades, false alarms, refusals, failures."""

    def word(key: str, **args: str) -> str:
        return sentence(f"lab.{key}", language, **args)

    title = word("title", question=board.question, markets=str(board.markets))
    out = [
        Table(
            title,
            (word("head_bar"), word("head_figure"), word("head_range"), word("head_passed")),
            tuple(
                (word(f"bar_{bar.name}"), _figure(bar.figure), _range(bar), word(f"passed_{_outcome(bar)}"))
                for bar in board.bars
            ),
        )
    ]
    header = (
        word("head_targets"),
        word("head_markets"),
        word("head_answered"),
        *(f"{coverage:.0%}" for coverage in COVERAGES),
        word("head_wis"),
        word("head_width"),
        word("head_over"),
        word("head_under"),
        *(word(f"opponent_{opponent}") for opponent in OPPONENTS),
    )
    rows = tuple(_slice_row(row, _name(row, language)) for row in board.slices)
    out.append(Table(word("scores"), header, rows))
    names = ("grade", "answered", "identified", "wis", "prior", "cover90", "cover95")
    out.append(
        Table(
            word("grades"),
            tuple(word(f"head_{name}") for name in names),
            tuple(
                (
                    line.grade,
                    str(line.targets),
                    str(line.identified),
                    *(_figure(value) for value in (line.wis, line.relative, line.coverage_90, line.coverage_95)),
                )
                for line in board.grades
            ),
        )
    )
    if board.alarms:
        out.append(
            Table(
                word("alarms"),
                (word("head_days"), word("head_dates"), word("head_alarms"), word("head_share")),
                tuple(
                    (str(line.horizon), str(line.dates), str(line.alarms), _figure(line.alarms / line.dates))
                    for line in board.alarms
                ),
            )
        )
    if board.noise:
        out.append(_noise_table(board, language))
    if board.refusals:
        counted = tuple((code, str(count)) for code, count in board.refusals.items())
        out.append(Table(word("refusals"), (word("head_code"), word("head_count")), counted))
    if board.failures:
        failed = tuple((f"{row.kind} {row.seed}", row.message) for row in board.failures)
        out.append(Table(word("failures"), (word("head_market"), word("head_error")), failed))
    return out


def _noise_table(board: Scoreboard, language: Language) -> Table:
    """Truth noise: metrics down, horizons across, the typical one and the root mean square."""
    days = sorted({line.horizon for line in board.noise})
    metrics = dict.fromkeys(line.metric for line in board.noise)
    found = {(line.metric, line.horizon): f"{line.typical:.4f} / {line.root_mean_square:.4f}" for line in board.noise}
    return Table(
        sentence("lab.noise", language),
        (sentence("lab.head_targets", language), *(sentence("lab.group_horizon", language, name=str(d)) for d in days)),
        tuple(
            (sentence(f"metric.{metric}", language), *(found.get((metric, horizon), NOTHING) for horizon in days))
            for metric in metrics
        ),
    )


def _name(row: Slice, language: Language) -> str:
    if row.group == "metric":
        return sentence(f"metric.{row.name}", language)
    known = f"lab.{row.group.rpartition('_')[2]}_{row.name}"
    name = sentence(known, language) if has_text(known) else row.name
    around = f"lab.group_{row.group}"
    return sentence(around, language, name=name) if has_text(around) else name


def _slice_row(row: Slice, name: str) -> tuple[str, ...]:
    return (
        name,
        str(row.markets),
        f"{row.answered}/{row.targets}",
        *(_figure(row.coverage[coverage].value) for coverage in COVERAGES),
        _figure(row.wis.value),
        _figure(row.dispersion),
        _figure(row.over),
        _figure(row.under),
        *(_spanned(row.relative[opponent]) for opponent in OPPONENTS),
    )


def _figure(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _spanned(span: Span) -> str:
    if math.isnan(span.value):
        return NOTHING
    return f"{span.value:.2f} ({span.low:.2f}-{span.high:.2f})"


def _range(bar: Bar) -> str:
    return f"{bar.low:g}-{bar.high:g}"


def _outcome(bar: Bar) -> str:
    return {True: "yes", False: "no", None: "unread"}[bar.passed]


def as_text(many: Sequence[Table]) -> str:
    """Tables in columns of equal width."""
    blocks = []
    for table in many:
        cells = [table.header, *table.rows]
        widths = [max(_width(row[at]) for row in cells) for at in range(len(table.header))]
        lines = []
        for row in cells:
            parts = [
                cell + " " * (size - _width(cell)) if at == 0 else " " * (size - _width(cell)) + cell
                for at, (cell, size) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(parts).rstrip())
        blocks.append("\n".join([table.title, "", *lines]))
    return "\n\n".join(blocks) + "\n"


def _width(cell: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in cell)


def as_markdown(many: Sequence[Table]) -> str:
    """Tables with a third-level heading each."""
    blocks = []
    for table in many:
        ruler = ("---", *("---:" for _ in table.header[1:]))
        lines = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (table.header, ruler, *table.rows)
        ]
        blocks.append(f"### {table.title}\n\n" + "\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def as_page(many: Sequence[Table], notes: Sequence[str], language: Language) -> str:
    """One self-contained HTML page without scripts and outside addresses."""
    title = escape(many[0].title)
    parts = []
    for table in many:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
        parts.append(
            f"<h2>{escape(table.title)}</h2>\n<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
        )
    said = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{said}" + "\n".join(parts) + "\n</body></html>\n"
    )


def text(board: Scoreboard, language: Language = "en") -> str:
    """The scoreboard as plain text."""
    return as_text(tables(board, language))


_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#1d2433}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.2rem .6rem;border-bottom:1px solid #d9dee8;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}h2{font-size:1.1rem;margin-top:2rem}"
)
