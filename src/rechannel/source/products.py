"""Mapping files: what the exports of a product look like, as data; one TOML file per product, the user's own win."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import get_args

from rechannel.source.channelrules import LISTS, RULES, code_breaks, listed_channels
from rechannel.source.contract import TABLE_NAMES, TABLES
from rechannel.source.export import (
    DATE_FIELDS,
    EVENT_FIELDS,
    ORDER_FIELDS,
    SOURCE_FIELDS,
    Also,
    Counts,
    DateFrom,
    Export,
    Grain,
    Reason,
    Role,
    Words,
)
from rechannel.source.headers import Product
from rechannel.source.mapping import bare
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.wording import LANGUAGES

CURRENCY = "currency"
"""Field for the column that states the currency of a row."""
_NAMED_ELSEWHERE = {"product", "export_id", "version", "own"}


@cache
def shipped_products() -> tuple[Product, ...]:
    """The mapping files of the package, by name."""
    return tuple(_Reader(file).product(values) for file, values in _shipped_values().items())


@cache
def _shipped_values() -> Mapping[str, Mapping[str, object]]:
    """File -> what it says."""
    folder = files("rechannel.source").joinpath("mappings", "products")
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return {entry.name: _parsed(entry.read_text(encoding="utf-8"), entry.name) for entry in found}


def products_with(own: Sequence[Path]) -> tuple[Product, ...]:
    """The user's mapping files, then the shipped ones; an export of the user's stands in place of one of its name.

    An export of the user's that asks for no header (`needs`) changes the shipped one of its name: what it states is
    put in the place of, or in a table beside, what is there.

    Raises
    ------
    CallError
        RC310: no such file; RC700: it is not a mapping file, with the key at fault.
    """
    read: list[Product] = []
    for path in own:
        if not path.is_file():
            raise CallError("RC310", path=str(path))
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise CallError("RC700", file=path.name, key="", detail="not UTF-8") from None
        read.append(parse_product(text, path.name))
    taken = {(export.product, export.export_id) for product in read for export in product.exports}
    for product in shipped_products():
        kept = tuple(export for export in product.exports if (export.product, export.export_id) not in taken)
        read.append(replace(product, exports=kept))
    return tuple(read)


def parse_product(text: str, file: str) -> Product:
    """One mapping file of a user's; CallError RC700 names the key that is wrong."""
    values = dict(_parsed(text, file))
    shipped = next((one for one in _shipped_values().values() if one["product"] == values.get("product")), {})
    for key in ("version", "names", "host"):
        if key in shipped:
            values.setdefault(key, shipped[key])
    rows, known = values.get("export"), shipped.get("export")
    if isinstance(rows, list) and isinstance(known, list):
        by_id = {row["id"]: row for row in known}
        values["export"] = [_changed(by_id, row) if isinstance(row, dict) else row for row in rows]
    return _Reader(file, own=file).product(values)


def _changed(known: Mapping[str, Mapping[str, object]], row: Mapping[str, object]) -> Mapping[str, object]:
    """A shipped export with what a user's export of its name says instead; one with `needs` stands for itself."""
    shipped = known.get(str(row.get("id")))
    if shipped is None or "needs" in row:
        return row
    tables = {
        key: {**before, **value}
        for key, value in row.items()
        if isinstance(value, dict) and isinstance(before := shipped.get(key), dict)
    }
    return {**shipped, **row, **tables}


def _parsed(text: str, file: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError("RC700", file=file, key="", detail=str(error)) from None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed look-ups; every failure names the key."""

    file: str
    own: str = ""

    def product(self, values: Mapping[str, object]) -> Product:
        self.only(values, {"product", "version", "names", "host", "export", "channel", "channel_list"}, "")
        name = self.text(values, "product", "")
        version = values.get("version", 1)
        if not isinstance(version, int) or isinstance(version, bool):
            raise self.wrong("version", version)
        names = self.names(values, "", name)
        exports = tuple(
            self.export(row, name, version, f"export[{place}]") for place, row in self.rows(values, "export", "")
        )
        host = self.text(values, "host", "", default="")
        channels = tuple(
            self.channel(row, host, f"channel[{place}]") for place, row in self.rows(values, "channel", "")
        )
        listed = self.text(values, "channel_list", "", default="")
        if listed:
            self.word(values, "channel_list", "", LISTS, "")
            channels += listed_channels(listed, host)
        claimed = [bare(name) for one in channels for name in {one.channel_id, *one.aliases}]
        twice = next((name for name in claimed if claimed.count(name) > 1), None)
        if twice is not None:
            raise self.wrong("channel.aliases", twice)
        return Product(name, version, names, host, exports, channels)

    def export(self, row: Mapping[str, object], product: str, version: int, place: str) -> Export:
        self.only(row, {"id", *(one.name for one in fields(Export))} - _NAMED_ELSEWHERE, place)
        made = Export(
            product=product,
            export_id=self.text(row, "id", place),
            version=version,
            own=self.own,
            names=self.names(row, place, self.text(row, "id", place)),
            table=self.word(row, "table", place, TABLE_NAMES, "daily"),  # type: ignore[arg-type]
            grain=self.word(row, "grain", place, get_args(Grain), "rows"),  # type: ignore[arg-type]
            role=self.word(row, "role", place, get_args(Role), "traffic"),  # type: ignore[arg-type]
            needs=self.spellings(row.get("needs", []), f"{place}.needs"),
            sheets=self.texts(row.get("sheets", []), f"{place}.sheets"),
            columns=self.columns(row.get("columns", {}), f"{place}.columns"),
            constants={key: str(value) for key, value in self.table(row, "constants", place).items()},
            levels=self.spellings(row.get("levels", []), f"{place}.levels"),
            also=tuple(self.also(one, f"{place}.also[{n}]") for n, one in self.rows(row, "also", place)),
            counts=self.word(row, "counts", place, get_args(Counts), ""),  # type: ignore[arg-type]
            sums=self.flag(row, "sums", place),
            adds_files=self.flag(row, "adds_files", place),
            drop=self.words(row, "drop", place),
            keep=self.words(row, "keep", place),
            rule=self.word(row, "rule", place, ("", *RULES), ""),
            breaks=self.word(row, "breaks", place, ("", *{one["system"] for one in code_breaks()}), ""),
            date_from=self.word(row, "date_from", place, get_args(DateFrom), "column"),  # type: ignore[arg-type]
            timezone=self.word(row, "timezone", place, ("", "UTC"), ""),
            name_pattern=self.pattern(row, place),
            rest=self.texts(row.get("rest", []), f"{place}.rest"),
            withholds=self.flag(row, "withholds", place),
            ignored={
                key: self.word({key: value}, key, f"{place}.ignored", get_args(Reason), "")  # type: ignore[misc]
                for key, value in self.table(row, "ignored", place).items()
            },
            known=self.texts(row.get("known", []), f"{place}.known"),
            visit_events=self.texts(row.get("visit_events", []), f"{place}.visit_events"),
            order_events=self.texts(row.get("order_events", []), f"{place}.order_events"),
            unverified=self.texts(row.get("unverified", []), f"{place}.unverified"),
            source=self.text(row, "source", place, ""),
        )
        if not made.needs:
            raise self.wrong(f"{place}.needs", [])
        allowed = {
            "rows": (*TABLES[made.table].names, *SOURCE_FIELDS, *DATE_FIELDS),
            "orders": (*ORDER_FIELDS, *SOURCE_FIELDS, "channel", "market"),
            "events": (*EVENT_FIELDS, *SOURCE_FIELDS, "channel", "market"),
        }[made.grain]
        for name in (*made.columns, *made.constants):
            if name not in (*allowed, CURRENCY):
                raise self.wrong(f"{place}.columns.{name}", name, ", ".join((*allowed, CURRENCY)))
        return made

    def pattern(self, row: Mapping[str, object], place: str) -> str:
        """A regular expression whose groups say what the name of a file tells."""
        text = self.text(row, "name_pattern", place, default="")
        try:
            groups = set(re.compile(text).groupindex)
        except re.error as error:
            raise self.wrong(f"{place}.name_pattern", text, str(error)) from None
        if text and (not groups or groups - {"channel", "market"}):
            raise self.wrong(f"{place}.name_pattern", text, "(?P<channel>...), (?P<market>...)")
        return text

    def also(self, row: Mapping[str, object], place: str) -> Also:
        columns = {key: value for key, value in row.items() if key != "channel"}
        return Also(self.text(row, "channel", place), self.columns(columns, place))

    def words(self, row: Mapping[str, object], key: str, place: str) -> tuple[Words, ...]:
        return tuple(
            Words(self.text(one, "column", f"{place}.{key}"), self.texts(one.get("values"), f"{place}.{key}.values"))
            for _, one in self.rows(row, key, place)
        )

    def channel(self, row: Mapping[str, object], host: str, place: str) -> Channel:
        self.only(row, {"id", "names", "kind", "host", "placement", "aliases"}, place)
        return Channel(
            self.text(row, "id", place),
            names={key: str(value) for key, value in self.table(row, "names", place).items()},
            host=self.text(row, "host", place, default=host),
            kind=self.text(row, "kind", place, default=""),
            placement=self.text(row, "placement", place, default=""),
            aliases=self.texts(row.get("aliases", []), f"{place}.aliases"),
        )

    def wrong(self, key: str, found: object, expected: str = "") -> CallError:
        detail = f"{found!r}" + (f" ({expected})" if expected else "")
        return CallError("RC700", file=self.file, key=key, detail=detail)

    def only(self, row: Mapping[str, object], known: Iterable[str], place: str) -> None:
        for key in row:
            if key not in known:
                raise self.wrong(f"{place}.{key}".lstrip("."), row[key], nearest(key, sorted(known)))

    def text(self, row: Mapping[str, object], key: str, place: str, default: str | None = None) -> str:
        value = row.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(f"{place}.{key}".lstrip("."), value)
        return value

    def flag(self, row: Mapping[str, object], key: str, place: str) -> bool:
        value = row.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{place}.{key}", value, "true, false")
        return value

    def word(self, row: Mapping[str, object], key: str, place: str, known: Sequence[str], default: str) -> str:
        value = self.text(row, key, place, default)
        if value not in known:
            raise self.wrong(f"{place}.{key}".lstrip("."), value, nearest(value, sorted(known)))
        return value

    def texts(self, value: object, place: str) -> tuple[str, ...]:
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise self.wrong(place, value)
        return tuple(str(one) for one in listed)

    def spellings(self, value: object, place: str) -> tuple[tuple[str, ...], ...]:
        if not isinstance(value, list):
            raise self.wrong(place, value)
        return tuple(self.texts(one, place) for one in value)

    def columns(self, value: object, place: str) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, dict):
            raise self.wrong(place, value)
        return {str(key): self.texts(one, f"{place}.{key}") for key, one in value.items()}

    def table(self, row: Mapping[str, object], key: str, place: str) -> Mapping[str, object]:
        value = row.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(f"{place}.{key}", value)
        return value

    def rows(self, row: Mapping[str, object], key: str, place: str) -> list[tuple[int, Mapping[str, object]]]:
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(f"{place}.{key}".lstrip("."), value)
        return list(enumerate(value, start=1))

    def names(self, row: Mapping[str, object], place: str, default: str) -> dict[str, str]:
        """What a reader calls it, in every language: a user may name it in one, or not at all."""
        found = {key: str(value) for key, value in self.table(row, "names", place).items()}
        self.only(found, LANGUAGES, f"{place}.names".lstrip("."))
        missing = [language for language in LANGUAGES if language not in found]
        if missing and not self.own:
            raise self.wrong(f"{place}.names".lstrip("."), found, ", ".join(LANGUAGES))
        return found | dict.fromkeys(missing, next(iter(found.values()), default))
