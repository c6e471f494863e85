"""Writes the report of a case: one offline page per language, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rechannel import __version__
from rechannel.answers.answer import Answer
from rechannel.report import render
from rechannel.report.blocks import Chapter, Reader
from rechannel.report.chapters import CHAPTERS
from rechannel.report.facts import CaseFacts, ChannelShare, TableFacts
from rechannel.report.figures import Figure
from rechannel.vocabulary import numbers
from rechannel.vocabulary.wording import Language, text

__all__ = ["CaseFacts", "ChannelShare", "TableFacts", "page", "write_report"]

LANGUAGE_NAMES: dict[Language, str] = {"zh-Hans": "简体中文", "zh-Hant": "繁體中文", "en": "English"}


def write_report(
    answers: Sequence[Answer], facts: CaseFacts, languages: Sequence[Language], folder: Path
) -> list[Path]:
    """Publish the answers of a case as pages that anybody can open, keep and send on.

    Parameters
    ----------
    answers
        In the order of their cards and chapters.
    facts
        The case.
    languages
        One page each; they link to each other by file name.
    folder
        Where `report.<language>.html` go; it must exist. Pages of an earlier report are replaced.

    Returns
    -------
    list of Path
        The pages, in the order of `languages`. All are made before the first is put in place, so that a report that
        cannot be made leaves the folder as it was.

    Raises
    ------
    MissingPart
        RC500: ECharts is not there; `make` brings it.
    """
    made = pages(answers, facts, languages)
    with TemporaryDirectory(dir=folder, prefix=".report-") as waiting:
        for name, markup in made.items():
            with Path(waiting, name).open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(markup)
                stream.flush()
                os.fsync(stream.fileno())
        for name in made:
            os.replace(Path(waiting, name), folder / name)
    return [folder / name for name in made]


def pages(answers: Sequence[Answer], facts: CaseFacts, languages: Sequence[Language]) -> dict[str, str]:
    """File name -> page, in the order of `languages`; see `write_report`."""
    return {file_name(language): page(answers, facts, language, languages) for language in languages}


def file_name(language: Language) -> str:
    """report.<language>.html."""
    return f"report.{language}.html"


def page(answers: Sequence[Answer], facts: CaseFacts, language: Language, languages: Sequence[Language]) -> str:
    """One report as one HTML document that loads nothing.

    Parameters
    ----------
    languages
        The languages that exist beside this one, for the links in its head.
    """
    reader = Reader(facts, language)
    chapters: list[Chapter] = [chapter for build in CHAPTERS for chapter in build(answers, reader)]
    return (
        _environment()
        .get_template("page.html")
        .render(
            chapters=chapters,
            facts=facts,
            language=language,
            links=[(LANGUAGE_NAMES[other], other, file_name(other)) for other in languages],
            say=lambda key, **args: text(key, language, **args),
            named=lambda refusal: refusal.named(lambda channel: facts.display(channel, language)),
            day=lambda value: numbers.day(value, language),
            version=__version__,
            style=Markup(_style()),  # noqa: S704  our own file
            draw=_draw,
        )
    )


def _draw(figure: Figure, prefix: str) -> Markup:
    """Both widths of a panel; the style sheet shows one."""
    parts = []
    for width, drawing in (("wide", figure.wide), ("narrow", figure.narrow)):
        picture = render.svg(
            drawing, prefix=f"{prefix}-{figure.name}-{width[0]}", title=figure.axis, description=figure.description
        )
        parts.append(f'<div class="{width}">{picture}</div>')
    return Markup("".join(parts))  # noqa: S704  render.svg lets known tags and attributes through only


@cache
def _style() -> str:
    return files("rechannel.report").joinpath("style.css").read_text(encoding="utf-8")


def _finalize(value: object) -> object:
    """Whatever a template prints shows its hidden characters; markup of ours passes."""
    return render.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("rechannel.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
