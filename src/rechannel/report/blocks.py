"""The few kinds of block a chapter is made of; each kind is one macro of `templates/blocks.html`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from rechannel.answers.answer import Answer
from rechannel.report.facts import CaseFacts
from rechannel.report.figures import Figure
from rechannel.vocabulary.estimate import Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import Language


class Block(Protocol):
    """Anything with the name of the macro that prints it."""

    @property
    def macro(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Cell:
    """One table cell.

    Attributes
    ----------
    text, note
        What stands in it, and a smaller second line.
    grade
        Shown as a badge.
    numeric
        Aligned right with even digits.
    bar
        Share 0..1 drawn behind the text; None for no bar.
    """

    text: str
    note: str = ""
    grade: Grade | None = None
    numeric: bool = False
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    cells
        What stands in it; a refused line has its first cells only.
    refusal
        Spans the rest of the line.
    group
        A heading over the lines below it.
    dim
        Greyed: the line rests on an assumption.
    """

    cells: tuple[Cell, ...]
    refusal: Refusal | None = None
    group: bool = False
    dim: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption.

    Attributes
    ----------
    folded
        Hidden under its caption until asked for.
    compact
        Grades as letters only.
    broad
        Scrolled on a phone instead of squeezed.
    """

    caption: str
    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False
    note: str = ""
    compact: bool = False
    broad: bool = False
    macro: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a chart key: the word, the mark and its role.

    Marks: solid, dashed, rule, rule-dotted, bands, dot, faint (a pale dot), diamond, tick (upright), level (one that
    lies).
    """

    word: str
    mark: str
    role: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A titled finding: panels under each other, how to read them, and the same numbers as a table."""

    title: str
    panels: tuple[Figure, ...]
    reading: str
    twin: Table
    keys: tuple[Key, ...] = ()
    lead: str = ""
    grade: Grade | None = None
    source: str = ""
    macro: ClassVar[str] = "chart"


@dataclass(frozen=True, slots=True)
class Card:
    """The short form of an answer; a refused one has `refusal` and no number; `beside` is what last touch would say."""

    label: str
    claim: str
    link: str
    number: str = ""
    unit: str = ""
    interval: str = ""
    beside: str = ""
    likelihood: str = ""
    grade: Grade | None = None
    verdict: str = ""
    changes: tuple[str, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards side by side where there is room."""

    cards: tuple[Card, ...]
    macro: ClassVar[str] = "cards"


@dataclass(frozen=True, slots=True)
class Refused:
    """A whole question without an answer: the reason and the cheapest next test."""

    refusal: Refusal
    macro: ClassVar[str] = "refused"


@dataclass(frozen=True, slots=True)
class Prose:
    """Plain paragraphs."""

    paragraphs: tuple[str, ...]
    macro: ClassVar[str] = "prose"


@dataclass(frozen=True, slots=True)
class ListedLine:
    """A line with its state: passed, failed, warning or note."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Lines with a state in front: checks, warnings, notes."""

    title: str
    lines: tuple[ListedLine, ...]
    macro: ClassVar[str] = "listed"


@dataclass(frozen=True, slots=True)
class SaidLine:
    """A statement with its source and grade, or with the reason why it cannot be made.

    Attributes
    ----------
    text, source
        The statement, and where it comes from.
    grade
        Shown as a badge; None when refused.
    refusal
        Why it cannot be said.
    beside
        Smaller lines under it: what others assert.
    """

    text: str
    source: str = ""
    grade: Grade | None = None
    refusal: Refusal | None = None
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """Statements under each other: what can be said, or what cannot."""

    title: str
    lines: tuple[SaidLine, ...]
    note: str = ""
    macro: ClassVar[str] = "said"


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and what stands beside it."""

    name: str
    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names with values: provenance, what was asked, the data strip."""

    title: str
    pairs: tuple[Pair, ...]
    strip: bool = False
    macro: ClassVar[str] = "pairs"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter of a report.

    Attributes
    ----------
    anchor
        Its id on the page; unique, ASCII.
    kicker, title
        The question, and the finding as a sentence.
    blocks
        What stands in it, in order.
    """

    anchor: str
    kicker: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a chapter is written: the case's facts and the language."""

    facts: CaseFacts
    language: Language


Build = Callable[[Sequence[Answer], Reader], Sequence[Chapter]]
"""A kind of chapter: from all answers of a report to its chapters, none when nothing was asked."""
