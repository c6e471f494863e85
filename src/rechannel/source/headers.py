"""Header names looked up by any spelling, and the export that a header belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from rechannel.source.export import Export
from rechannel.source.mapping import bare
from rechannel.vocabulary.channel import Channel, folded

ANY_CURRENCY = "¤"
"""Stands for a code of three letters in the spelling of a header: `Amount spent (¤)`."""
_LARGE_UNIT = re.compile(r"\(([万亿])元?\)$")


@dataclass(frozen=True, slots=True)
class Product:
    """A product with its exports and the channels it names.

    Attributes
    ----------
    host
        Who owns the surface; products of one host mention the same channels.
    """

    name: str
    version: int
    names: dict[str, str]
    host: str
    exports: tuple[Export, ...]
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Headers:
    """The header of a file, looked up by any spelling."""

    names: tuple[str, ...]

    def places(self, spelling: str) -> tuple[int, ...]:
        """Positions of the headers of that name; `*` stands for any letters."""
        if "*" in spelling or ANY_CURRENCY in spelling:
            pattern = _pattern(spelling)
            return tuple(place for place, name in enumerate(self.names) if pattern.fullmatch(folded(name)))
        return _index(self.names).get(_bare(spelling), ())

    def place(self, spelling: str) -> int | None:
        """Position of a header; None when there is none of that name."""
        return next(iter(self.places(spelling)), None)

    def first(self, spellings: Sequence[str]) -> int | None:
        """Position of the first spelling that is there; of a path, that of its outer column."""
        for spelling in spellings:
            place = self.place(spelling)
            if place is None:
                outer, steps = steps_of(spelling)
                place = self.place(outer) if steps else None
            if place is not None:
                return place
        return None

    def unit(self, place: int) -> str:
        """`万` or `亿` when the header states such a unit, else an empty text."""
        found = _LARGE_UNIT.search(folded(self.names[place]))
        return found.group(1) if found else ""

    def currency(self, spelling: str) -> str:
        """The currency that a header names where its spelling holds `(¤)`, else an empty text."""
        place = self.place(spelling) if ANY_CURRENCY in spelling else None
        found = _pattern(spelling).fullmatch(folded(self.names[place])) if place is not None else None
        return found.group(1).upper() if found else ""


_bare = lru_cache(maxsize=1 << 14)(bare)
"""Folding letters is slow, and every mapping file asks for its names of every file."""


@lru_cache(maxsize=64)
def _index(names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Name without any unit -> its positions."""
    found: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(names):
        plain = _bare(_LARGE_UNIT.sub("", folded(name)))
        found[plain] = (*found.get(plain, ()), place)
    return found


@cache
def _pattern(spelling: str) -> re.Pattern[str]:
    text = re.escape(folded(spelling)).replace(r"\*", ".*").replace(ANY_CURRENCY, "([a-z]{3})")
    return re.compile(text, re.DOTALL)


def steps_of(spelling: str) -> tuple[str, tuple[str, ...]]:
    """A path as its outer column and the steps inside it; no steps when it is a plain name.

    Examples
    --------
    >>> steps_of("event_params[ga_session_id]")
    ('event_params', ('[ga_session_id]',))
    >>> steps_of("Conv. value")
    ('Conv. value', ())
    """
    if not re.fullmatch(r"[\w$]+(\.[\w$]+|\[[\w$]+\])+", spelling):
        return spelling, ()
    outer, *steps = re.split(r"\.|(?=\[)", spelling)
    return outer, tuple(steps)


def recognised(header: Sequence[str], products: Sequence[Product], name: str = "") -> tuple[Export, ...]:
    """The exports that this header can be, the best ones only.

    Parameters
    ----------
    header
        Names of the columns.
    products
        Those of the user first.
    name
        Name of the file; one that names the product decides between equals.

    Returns
    -------
    One export when it is clear, several when they fit equally well, none when none fits. Those of the user win; the
    more names a mapping file asks for and knows, the better it fits.
    """
    headers = Headers(tuple(header))
    scored: list[tuple[tuple[int, int, int], Export]] = []
    for product in products:
        for export in product.exports:
            if all(headers.first(spellings) is not None for spellings in export.needs):
                known = described(headers, (*export.spellings, *export.ignored))
                hinted = any(folded(word) in folded(name) for word in product.names.values())
                scored.append(((len(known), int(hinted), len(export.needs)), export))
    scored = [(score, export) for score, export in scored if export.own] or scored
    best = max((score for score, _ in scored), default=(0, 0, 0))
    return tuple(export for score, export in scored if score == best)


def described(headers: Headers, spellings: Sequence[str]) -> set[int]:
    """Positions of the headers that some spelling names."""
    found = {place for spelling in spellings for place in headers.places(spelling)}
    return found | {place for spelling in spellings if (place := headers.first([spelling])) is not None}
