"""Where a table begins in rows of text: titles and comments above the header, other tables below."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLE_ROWS = 200
"""So many rows from the top decide where the header stands."""
MOST_TITLE_CELLS = 2
"""A title row states a name, or a name and a value; a row with more cells is a title only beside a wider header."""
_DIGIT = re.compile(r"[0-9０-９]")
_VALUE = re.compile(r"[-+()]?[\d\s,.:/年月日时分秒T+%％¥￥$€£万亿萬億元eEZ()-]*")


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file: first and last physical line, and its cells without outer blanks."""

    first: int
    last: int
    cells: tuple[str, ...]

    @property
    def filled(self) -> int:
        """How many cells say something."""
        return sum(map(bool, self.cells))

    @property
    def extent(self) -> int:
        """Position after the last cell that says something."""
        return max((place for place, cell in enumerate(self.cells, start=1) if cell), default=0)

    @property
    def is_comment(self) -> bool:
        """A line of words behind `#`, as some exports put above their tables."""
        return bool(self.cells) and self.cells[0].startswith("#") and self.filled == 1

    @property
    def is_label(self) -> bool:
        """Whether no cell is a number, a date or a time."""
        return not any(is_value(cell) for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the first table stands.

    Attributes
    ----------
    header
        The row that names the columns.
    skipped
        Title and comment rows above it.
    split
        Whether the names stand on two rows, so that neither is the header.
    """

    header: Record
    skipped: tuple[Record, ...]
    split: bool


def is_value(cell: str) -> bool:
    """Whether a cell is a number, an amount, a date or a time and not a name.

    Examples
    --------
    >>> [is_value(cell) for cell in ("1,234", "2025年9月3日", "12%", "visits", "7日均值", "")]
    [True, True, True, False, False, False]
    """
    return _DIGIT.search(cell) is not None and _VALUE.fullmatch(cell) is not None


def find_layout(rows: Sequence[Record]) -> Layout | None:
    """Find the header among the first rows of a file; None when no row says anything.

    The first row is the header unless it is a comment or too narrow for the rows below and a later row of names fits
    them. A row of names fits when it reaches as far as most rows with values do. Rows above it must be titles: one or
    two cells, or at most half as many as the header has.
    """
    told = [row for row in rows if row.filled]
    comments = [row for row in told if row.is_comment]
    candidates = [row for row in told if not row.is_comment]
    if not candidates:
        return Layout(comments[0], (), False) if comments else None
    reach = _usual_extent(candidates)
    for place, row in enumerate(candidates):
        if not row.is_label or row.extent < reach or (row.filled == 1 and reach > 1):
            continue
        above = candidates[:place]
        if all(title.filled <= max(MOST_TITLE_CELLS, row.filled // 2) and title.filled < row.filled for title in above):
            skipped = tuple(other for other in told if other.first < row.first)
            return Layout(row, skipped, _is_split(above, row, candidates[place + 1 :]))
        break
    first = candidates[0]
    skipped = tuple(row for row in comments if row.first < first.first)
    return Layout(first, skipped, _is_split((), first, candidates[1:]))


def _usual_extent(rows: Sequence[Record]) -> int:
    """How far most rows with values reach; without such rows, how far most rows reach."""
    counted = Counter(row.extent for row in rows if not row.is_label and row.filled > MOST_TITLE_CELLS)
    counted = counted or Counter(row.extent for row in rows)
    most = max(counted.values())
    return min(extent for extent, count in counted.items() if count == most)


def _is_split(above: Sequence[Record], header: Record, below: Sequence[Record]) -> bool:
    """Whether the names stand on two rows, each leaving blank what the other names."""
    pairs = []
    if above and above[-1].last == header.first - 1:
        pairs.append((above[-1], header, below))
    if len(below) > 1 and below[0].first == header.last + 1 and below[0].is_label:
        pairs.append((header, below[0], below[1:]))
    return any(_complete(upper, lower, rows) for upper, lower, rows in pairs)


def _complete(upper: Record, lower: Record, rows: Sequence[Record]) -> bool:
    """Whether two rows of names complete each other above columns that hold values."""
    width = min(len(upper.cells), len(lower.cells))
    valued = {place for row in rows for place, cell in enumerate(row.cells[:width]) if is_value(cell)}
    over = any(upper.cells[place] and not lower.cells[place] for place in valued)
    under = any(lower.cells[place] and not upper.cells[place] for place in range(width))
    return over and under


@dataclass(slots=True)
class Boundary:
    """Tells where one table ends and another begins, row by row below a header."""

    width: int
    exact: bool
    valued: frozenset[int] = frozenset()
    last: int = 0

    def starts_another(self, row: Record) -> bool:
        """Whether `row`, below at least one blank line, is no row of this table.

        A row of another width is none (`exact`: width counts blank cells, as in a CSV), nor is a row of names under
        columns that hold values.
        """
        gap = self.last and row.first > self.last + 1
        self.last = row.last
        if gap:
            strange = len(row.cells) != self.width if self.exact else row.extent > self.width
            named = row.is_label and any(row.cells[place] for place in self.valued if place < len(row.cells))
            if strange or named:
                return True
        if not self.valued:
            self.valued = frozenset(place for place, cell in enumerate(row.cells) if is_value(cell))
        return False
