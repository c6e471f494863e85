"""One answer as one picture that stands alone: the first thing a reader of the project page sees."""

from __future__ import annotations

from datetime import date
from html import escape

from rechannel.answers.answer import Answer
from rechannel.answers.pictures import Path
from rechannel.report import phrases, render
from rechannel.report.blocks import Reader
from rechannel.report.chapters.impact import finding
from rechannel.report.chapters.parts import headline
from rechannel.report.colours import COUNTERFACTUAL, OWN, PAPER, TEXT
from rechannel.report.figures import WIDE, path_figures
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Quantity
from rechannel.vocabulary.wording import text

_MARGIN = 28
_FONTS = "system-ui, -apple-system, 'Segoe UI', 'PingFang SC', 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif"


def impact_picture(answer: Answer, reader: Reader) -> str:
    """The finding as a sentence, the entry with its counterfactual, and the whole shop's cumulative gap, as one SVG.

    Parameters
    ----------
    answer
        An impact answer with a headline number and its paths.
    reader
        Facts and language.

    Raises
    ------
    ValueError
        The answer has no number or no path of the total.
    """
    language, facts = reader.language, reader.facts
    row = headline(answer)
    if row is None or not isinstance(row.value, Quantity):
        raise ValueError("a picture needs an answer with a number")
    title = finding(answer, reader, numbers.day(date.fromisoformat(answer.asked["on"]), language))
    spread = phrases.with_interval(row.value.quantiles, row.unit, facts, language)
    grade = row.value.grade.value
    under = (
        facts.name,
        f"{phrases.metric_name(row.metric, language)} {spread}, {text('report.interval_90', language)}",
        f"{text('report.table.grade', language)} {grade}: {text(f'grade.{grade}', language)}",
    )
    lines = _wrapped(title, 74)
    parts = [_text(line, 21, 40 + 28 * i, COUNTERFACTUAL, weight=650) for i, line in enumerate(lines)]
    top = 40 + 28 * len(lines)
    parts.append(_text(" · ".join(under), 14, top, TEXT))
    top += 24
    for path, name in ((answer.paths[0], "levels"), (_total(answer), "sum")):
        who = facts.display(path.channel, language) if path.channel else text("report.total", language)
        panels = path_figures(path, language, phrases.unit_word(row.unit, facts, language), who)
        panel = next(panel for panel in panels if panel.name == name)
        parts.append(_text(f"{who} · {panel.axis}", 13, top + 14, TEXT, weight=600))
        drawn = render.svg(panel.wide, prefix=f"p-{name}", title=panel.axis, description=panel.description, roles=False)
        place = f'<svg x="{_MARGIN}" y="{top + 20}" width="{WIDE}" height="{panel.wide.height}"'
        parts.append(drawn.replace("<svg", place, 1))
        top += panel.wide.height + 34
    parts.append(_keys(reader, top + 14))
    width, height = WIDE + 2 * _MARGIN, top + 34
    back = f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{_FONTS}">'
    return f"{opening}<title>{escape(render.visible(title))}</title>{back}{''.join(parts)}</svg>\n"


def _total(answer: Answer) -> Path:
    """The path of all own channels."""
    for path in answer.paths:
        if path.channel is None:
            return path
    raise ValueError("a picture needs the path of the total")


def _wrapped(words: str, most: int) -> list[str]:
    """Lines of at most `most` half-width columns, cut between words or, without spaces, between characters."""
    lines, line, used = [], "", 0
    for piece in words.split(" ") if " " in words.strip() else list(words):
        size = sum(2 if ord(character) > 0x2E7F else 1 for character in piece)
        joiner = " " if " " in words and line else ""
        if line and used + size > most:
            lines.append(line)
            line, used, joiner = "", 0, ""
        line, used = line + joiner + piece, used + size + len(joiner)
    return [*lines, line]


def _text(words: str, size: int, y: int, colour: str, *, weight: int = 400) -> str:
    shown = escape(render.visible(words))
    return f'<text x="{_MARGIN}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}">{shown}</text>'


def _keys(reader: Reader, y: int) -> str:
    """The three marks with their words, evenly spaced."""
    marks = (
        ("observed", f'<path d="M0 0h24" stroke="{OWN}" stroke-width="2.5"/>'),
        ("counterfactual", f'<path d="M0 0h24" stroke="{COUNTERFACTUAL}" stroke-width="2" stroke-dasharray="5 4"/>'),
        ("bands", f'<path d="M0 0h24" stroke="{COUNTERFACTUAL}" stroke-width="12" opacity=".22"/>'),
    )
    parts = []
    for i, (key, mark) in enumerate(marks):
        words = escape(text(f"chart.key.{key}", reader.language))
        place = f'transform="translate({_MARGIN + 62 + (0, 140, 390)[i]} {y})"'
        parts.append(f'<g {place}>{mark}<text x="32" y="4.5" font-size="13" fill="{TEXT}">{words}</text></g>')
    return "".join(parts)
