"""Mapping files: what the exports of a product look like, as data; one TOML file per product, the user's own win."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from rechannel.source.channelrules import table_rows
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.mapping import bare
from rechannel.vocabulary.channel import Channel, folded
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.wording import LANGUAGES

Grain = Literal["rows", "orders", "events"]
"""rows = a row is a day and a channel; orders = an order or one of its lines; events = one visit, click or order."""
Role = Literal["traffic", "shop", "ads", "orders", "events", "table"]
"""What the export is a record of; it decides which file is believed for a metric. table = one canonical table."""
Counts = Literal["visitors", "sessions", "opens", "clicks", "page_views", ""]
"""What `visits` of the export counts; panels never mix them. Empty = as the user declares."""
ADDITIVE: frozenset[str] = frozenset({"sessions", "opens", "clicks", "page_views", ""})
"""Counts that may be added over rows; daily visitors may not."""
Reason = Literal[
    "buyers", "devices", "people", "part", "goals", "attributed", "ratio", "page_views", "unsettled", "totals"
]
"""Why a column that looks like a metric is not taken as one."""

ORDER_FIELDS = ("order_id", "time", "value", "refunded", "customer")
EVENT_FIELDS = ("customer", "time", "event", "session", "order_id", "value")
SOURCE_FIELDS = ("source", "medium", "campaign", "platform", "scene", "key", "group")
"""What a rule of channels reads."""
LISTS = ("wechat_sources.csv",)
"""Lists of the package whose rows are channels."""
RULES = ("", "ga4", "wechat_scene", "wechat_source")


@dataclass(frozen=True, slots=True)
class Words:
    """Rows told by what one column says: those whose `column` holds one of `values`."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Also:
    """A metric that stands in a column of its own for one channel, such as the spend on one kind of advertising."""

    channel: str
    columns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a product.

    Attributes
    ----------
    product, export_id, version
        `product/export_id@version` names it in `case.toml`.
    names
        What a reader calls it, by language.
    table
        Canonical table it becomes (`daily` for orders and events, which give `touches` too).
    needs
        Header names that must be there, each with its other spellings.
    columns
        Canonical column, or field of an order or event -> header names, the first one present is read. A path such as
        `event_params[ga_session_id]` or `geo.country` reads inside a nested column.
    constants
        Canonical column -> value for every row, such as channel `total`.
    levels
        Headers of the levels of a source tree, coarse to fine; sums of a branch are dropped.
    also
        Further channels that stand in columns of their own.
    counts
        What its `visits` counts.
    sums
        Whether rows with one key are parts to be added (campaigns, items).
    drop, keep
        Rows that the product itself adds and that are no data; the only rows that are meant.
    rule
        How source, medium, campaign or scene become a channel; empty = `channel` is named.
    date_from
        column, or file_name for exports that state their day only there.
    ignored
        Header -> why it is not taken, for columns that could be mistaken.
    known
        Headers that are known and not needed.
    visit_events, order_events
        Names of events that are a visit and an order.
    unverified
        Headers that were not seen in a public copy of the export.
    """

    product: str
    export_id: str
    version: int
    names: Mapping[str, str]
    table: TableName = "daily"
    grain: Grain = "rows"
    role: Role = "traffic"
    needs: tuple[tuple[str, ...], ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[tuple[str, ...], ...] = ()
    also: tuple[Also, ...] = ()
    counts: Counts = ""
    sums: bool = False
    drop: tuple[Words, ...] = ()
    keep: tuple[Words, ...] = ()
    rule: str = ""
    date_from: Literal["column", "file_name"] = "column"
    ignored: Mapping[str, Reason] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    visit_events: tuple[str, ...] = ()
    order_events: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`product/export@version`."""
        return f"{self.product}/{self.export_id}@{self.version}"

    @property
    def gives(self) -> frozenset[str]:
        """Canonical columns it can fill."""
        found = {*self.columns, *self.constants, *(name for also in self.also for name in also.columns)}
        if self.grain == "orders":
            found |= {"orders", "gmv"} | ({"refunds"} if "refunded" in self.columns else set())
        if self.grain == "events":
            found |= {"visits"} | ({"orders", "gmv"} if self.order_events else set())
        return frozenset(found)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every header name that the mapping file knows, those aside that it warns of."""
        columns = [self.columns, *(also.columns for also in self.also)]
        listed = [name for one in columns for names in one.values() for name in names]
        return (
            *listed,
            *self.known,
            *(n for names in self.levels for n in names),
            *(w.column for w in (*self.drop, *self.keep)),
        )

    @property
    def by_channel(self) -> bool:
        """Whether it tells channels apart, or knows the whole shop only."""
        return self.constants.get("channel") != "total"


@dataclass(frozen=True, slots=True)
class Product:
    """A product with its exports and the channels it names."""

    name: str
    version: int
    names: Mapping[str, str]
    exports: tuple[Export, ...]
    channels: tuple[Channel, ...]


@cache
def shipped_products() -> tuple[Product, ...]:
    """The mapping files of the package, by name."""
    folder = files("rechannel.source").joinpath("mappings", "products")
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return tuple(parse_product(entry.read_text(encoding="utf-8"), entry.name) for entry in found)


def products_with(own: Sequence[Path]) -> tuple[Product, ...]:
    """The user's mapping files, then the shipped ones; an export of the user's replaces a shipped one of its name.

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
        read.append(Product(product.name, product.version, product.names, kept, product.channels))
    return tuple(read)


def parse_product(text: str, file: str) -> Product:
    """One mapping file; CallError RC700 names the key that is wrong."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError("RC700", file=file, key="", detail=str(error)) from None
    return _Reader(file).product(values)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed look-ups; every failure names the key."""

    file: str

    def product(self, values: Mapping[str, object]) -> Product:
        self.only(values, {"product", "version", "names", "host", "export", "channel", "channel_list"}, "")
        name = self.text(values, "product", "")
        version = values.get("version", 1)
        if not isinstance(version, int) or isinstance(version, bool):
            raise self.wrong("version", version)
        names = self.names(values, "")
        exports = tuple(
            self.export(row, name, version, f"export[{place}]") for place, row in self.rows(values, "export", "")
        )
        host = self.text(values, "host", "", default="")
        channels = tuple(
            self.channel(row, host, f"channel[{place}]") for place, row in self.rows(values, "channel", "")
        )
        listed = self.text(values, "channel_list", "", default="")
        if listed and listed not in LISTS:
            raise self.wrong("channel_list", listed, ", ".join(LISTS))
        if listed:
            rows = table_rows(listed)
            channels += tuple(Channel(row["zh"], {"en": row["en"]}, host, row["kind"]) for row in rows)
        return Product(name, version, names, exports, channels)

    def export(self, row: Mapping[str, object], product: str, version: int, place: str) -> Export:
        self.only(row, {"id", *(one.name for one in fields(Export))} - {"product", "export_id", "version"}, place)
        made = Export(
            product=product,
            export_id=self.text(row, "id", place),
            version=version,
            names=self.names(row, place),
            table=self.word(row, "table", place, TABLE_NAMES, "daily"),  # type: ignore[arg-type]
            grain=self.word(row, "grain", place, get_args(Grain), "rows"),  # type: ignore[arg-type]
            role=self.word(row, "role", place, get_args(Role), "traffic"),  # type: ignore[arg-type]
            needs=self.spellings(row.get("needs", []), f"{place}.needs"),
            columns=self.columns(row.get("columns", {}), f"{place}.columns"),
            constants={key: str(value) for key, value in self.table(row, "constants", place).items()},
            levels=self.spellings(row.get("levels", []), f"{place}.levels"),
            also=tuple(self.also(one, f"{place}.also[{n}]") for n, one in self.rows(row, "also", place)),
            counts=self.word(row, "counts", place, get_args(Counts), ""),  # type: ignore[arg-type]
            sums=row.get("sums", False) is True,
            drop=self.words(row, "drop", place),
            keep=self.words(row, "keep", place),
            rule=self.word(row, "rule", place, RULES, ""),
            date_from=self.word(row, "date_from", place, ("column", "file_name"), "column"),  # type: ignore[arg-type]
            ignored={
                key: self.word({key: value}, key, f"{place}.ignored", get_args(Reason), "")  # type: ignore[misc]
                for key, value in self.table(row, "ignored", place).items()
            },
            known=self.texts(row.get("known", []), f"{place}.known"),
            visit_events=self.texts(row.get("visit_events", []), f"{place}.visit_events"),
            order_events=self.texts(row.get("order_events", []), f"{place}.order_events"),
            unverified=self.texts(row.get("unverified", []), f"{place}.unverified"),
        )
        if not made.needs:
            raise self.wrong(f"{place}.needs", [])
        allowed = {
            "rows": (*TABLES[made.table].names, *SOURCE_FIELDS),
            "orders": (*ORDER_FIELDS, *SOURCE_FIELDS, "channel", "market"),
            "events": (*EVENT_FIELDS, *SOURCE_FIELDS, "channel", "market"),
        }[made.grain]
        for name in (*made.columns, *made.constants):
            if name not in allowed:
                raise self.wrong(f"{place}.columns.{name}", name, ", ".join(allowed))
        return made

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
                raise self.wrong(f"{place}.{key}".lstrip("."), row[key], ", ".join(sorted(known)))

    def text(self, row: Mapping[str, object], key: str, place: str, default: str | None = None) -> str:
        value = row.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(f"{place}.{key}".lstrip("."), value)
        return value

    def word(self, row: Mapping[str, object], key: str, place: str, known: Sequence[str], default: str) -> str:
        value = self.text(row, key, place, default)
        if value not in known:
            raise self.wrong(f"{place}.{key}", value, ", ".join(known))
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

    def names(self, row: Mapping[str, object], place: str) -> dict[str, str]:
        found = {key: str(value) for key, value in self.table(row, "names", place).items()}
        for language in LANGUAGES:
            if language not in found:
                raise self.wrong(f"{place}.names".lstrip("."), found, ", ".join(LANGUAGES))
        return found


@dataclass(frozen=True, slots=True)
class Headers:
    """The header of a file, looked up by any spelling."""

    names: tuple[str, ...]

    def place(self, spelling: str) -> int | None:
        """Position of a header; None when there is none of that name."""
        wanted = bare(spelling)
        return next((place for place, name in enumerate(self.names) if bare(name) == wanted), None)

    def first(self, spellings: Sequence[str]) -> int | None:
        """Position of the first spelling that is there; of a path, that of its outer column."""
        for spelling in spellings:
            place = self.place(spelling)
            if place is None:
                place = self.place(re.split(r"[.\[]", spelling, maxsplit=1)[0]) if _is_path(spelling) else None
            if place is not None:
                return place
        return None


def _is_path(spelling: str) -> bool:
    return bool(re.fullmatch(r"\w+(\.\w+|\[\w+\])+", spelling))


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
    One export when it is clear, several when they fit equally well, none when none fits. The more names a mapping file
    asks for and knows, the better it fits.
    """
    headers = Headers(tuple(header))
    scored: list[tuple[tuple[int, int, int], Export]] = []
    for product in products:
        for export in product.exports:
            if all(headers.first(spellings) is not None for spellings in export.needs):
                named = (*export.spellings, *export.ignored)
                known = {place for name in named if (place := headers.first([name])) is not None}
                hinted = any(folded(word) in folded(name) for word in product.names.values())
                scored.append(((len(known), int(hinted), len(export.needs)), export))
    best = max((score for score, _ in scored), default=(0, 0, 0))
    return tuple(export for score, export in scored if score == best)
