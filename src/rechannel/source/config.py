"""`case.toml`: what a case declares about itself, written with comments and read back with line and column."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item
from tomlkit.toml_document import TOMLDocument

from rechannel.source.contract import TABLE_NAMES, TableName
from rechannel.vocabulary.channel import Cadence, Channel
from rechannel.vocabulary.errors import CallError, CaseError, StoreError, nearest
from rechannel.vocabulary.wording import LANGUAGES

STORE_VERSION = 2
"""2: data files with their SHA-256, runs with a manifest, writers under a lock. 1 is read, and becomes 2 by `add`."""
DEFAULT_SEED = 20250930
FILE_NAME = "case.toml"

EngineKind = Literal["duckdb", "spark", "clickhouse"]
ENGINE_KINDS: tuple[EngineKind, ...] = get_args(EngineKind)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table of the case came from.

    Attributes
    ----------
    original, sha256
        Names without folder, and SHA-256, of the files it was read from, oldest first.
    rows, duplicates
        Rows stored; exact repeats dropped on the way.
    file
        Its Parquet file in `data/`.
    file_sha256, file_bytes
        SHA-256 and size of that file; empty and 0 in a case of store version 1.
    """

    original: tuple[str, ...]
    sha256: tuple[str, ...]
    rows: int
    duplicates: int
    file: str
    file_sha256: str = ""
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Assumption:
    """A 90 % range somebody states, and where it comes from."""

    low: float
    high: float
    source: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class EngineSource:
    """Where the touches of the case are, when they stay on an engine of the company.

    Attributes
    ----------
    kind
        duckdb = the touches stored in the case.
    url
        Of the server or cluster, without user and password.
    table
        Its table or view, with dots between catalog, schema and name.
    timezone
        Zone into whose wall clock stored times are moved; empty = as stored.
    """

    kind: EngineKind = "duckdb"
    url: str = ""
    table: str = ""
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class CaseConfig:
    """What `case.toml` says.

    Attributes
    ----------
    assumptions
        Name -> 90 % range; every use is grade D and named in the answer.
    margin
        Contribution margin as share of GMV, after variable channel cost; None until stated.
    host
        Uses of the slot that the host has -> value per year, case currency.
    salt
        Salt of the customer hash.
    engine
        Where the touches are.
    counts
        What `visits` counts: visitors, sessions, opens, clicks; empty = not stated.
    mappings
        Mapping files the tables were read with: `product/export@version`.
    connections
        Databases by name, as written; the reader of a query checks the one it needs.
    """

    name: str
    currency: str
    timezone: str
    cadence: Cadence
    tables: Mapping[TableName, TableSource]
    channels: tuple[Channel, ...] = ()
    assumptions: Mapping[str, Assumption] = field(default_factory=dict)
    margin: Assumption | None = None
    host: Mapping[str, Assumption] = field(default_factory=dict)
    seed: int = DEFAULT_SEED
    salt: str = ""
    counts: str = ""
    mappings: tuple[str, ...] = ()
    connections: Mapping[str, object] = field(default_factory=dict)
    store_version: int = STORE_VERSION
    engine: EngineSource = EngineSource()


def check_timezone(name: str) -> str:
    """`name` when it is an IANA time zone; CallError RC306 otherwise."""
    if not _is_timezone(name):
        raise CallError("RC306", value=name, nearest=nearest(name, sorted(available_timezones())))
    return name


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def check_currency(code: str) -> str:
    """`code` when it has the form of an ISO 4217 code; CallError RC307 otherwise."""
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise CallError("RC307", value=code)
    return code


def write_config(config: CaseConfig, first: date | None, last: date | None) -> str:
    """The text of a new `case.toml`, with comments that say what may be filled in.

    Raises
    ------
    CaseError
        RC204, RC214: `config` holds what `case.toml` could not say.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment("A case of rechannel. Edit freely; `rechannel check` tells what is wrong and where."))
    document.add("name", tomlkit.item(config.name))
    document.add("currency", tomlkit.item(config.currency))
    document.add("timezone", tomlkit.item(config.timezone))
    document.add("cadence", _commented(config.cadence, "daily or weekly"))
    document.add("seed", _commented(config.seed, "same data, seed and version: same bytes"))
    document.add("store_version", tomlkit.item(config.store_version))
    if config.salt:
        document.add("salt", _commented(config.salt, "customer ids were hashed with it before they were stored"))
    if config.counts:
        document.add("visits_are", _commented(config.counts, "daily visitors do not add over channels or days"))
    if config.mappings:
        document.add("mappings", tomlkit.item(list(config.mappings)))
    if first is not None and last is not None:
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(f"daily data: {first} to {last}"))
    tables = tomlkit.table(is_super_table=True)
    for name, source in config.tables.items():
        tables.add(name, _source_item(source))
    document.add("tables", tables)
    _add_channels(document, config)
    _add_ranges(document, config)
    return _read_back(tomlkit.dumps(document), config)


def _read_back(text: str, wanted: CaseConfig) -> str:
    """`text` when it says what is wanted: nothing is stored that could not be opened again."""
    found = parse_config(text)
    for part in fields(CaseConfig):
        if getattr(found, part.name) != getattr(wanted, part.name):
            raise CaseError("RC214", detail=part.name)
    return text


def _commented(value: object, comment: str) -> Item:
    item = tomlkit.item(value)
    item.comment(comment)
    return item


def _source_item(source: TableSource) -> Item:
    table = tomlkit.table()
    table.add("file", source.file)
    table.add("rows", source.rows)
    table.add("duplicates", source.duplicates)
    table.add("original", list(source.original))
    table.add("sha256", list(source.sha256))
    if source.file_sha256:
        table.add("file_sha256", source.file_sha256)
        table.add("file_bytes", source.file_bytes)
    return table


def _add_channels(document: TOMLDocument, config: CaseConfig) -> None:
    if not config.channels:
        return
    channels = tomlkit.aot()
    for channel in config.channels:
        table = tomlkit.table()
        table.add("id", channel.channel_id)
        table.add("host", _commented(channel.host, "who owns the surface; empty = your own"))
        table.add("kind", _commented(channel.kind, "app, mini_program, first_level_entry, search_ad, live, ..."))
        names = tomlkit.inline_table()
        names.update(channel.names)
        table.add("names", names)
        for key in ("placement", "shop"):
            if getattr(channel, key):
                table.add(key, getattr(channel, key))
        if channel.aliases:
            table.add("aliases", list(channel.aliases))
        channels.append(table)
    document.add("channels", channels)


def _add_ranges(document: TOMLDocument, config: CaseConfig) -> None:
    document.add(tomlkit.nl())
    document.add(tomlkit.comment("Ranges you believe in at 90 %. Every answer that uses one says so and has grade D."))
    if config.margin is None:
        sample = ("[margin]  # contribution margin as share of GMV", "low = 0.10", "high = 0.20", 'source = "finance"')
        for line in sample:
            document.add(tomlkit.comment(line))
    else:
        document.add("margin", _range_item(config.margin, "contribution margin as share of GMV"))
    for section, ranges in (("assumptions", config.assumptions), ("host", config.host)):
        if ranges:
            table = tomlkit.table(is_super_table=True)
            for name, stated in ranges.items():
                table.add(name, _range_item(stated))
            document.add(section, table)


def _range_item(stated: Assumption, comment: str = "") -> Item:
    table = tomlkit.table()
    if comment:
        table.comment(comment)
    table.add("low", stated.low)
    table.add("high", stated.high)
    if stated.unit:
        table.add("unit", stated.unit)
    table.add("source", stated.source)
    return table


def with_sources(text: str, changed: CaseConfig) -> str:
    """`case.toml` with the tables, the salt and the store version of `changed`; all else keeps its form and comments.

    Raises
    ------
    CaseError
        RC214: the file is laid out in a way that cannot take the change.
    """
    try:
        document = tomlkit.parse(text)
        tables = document.setdefault("tables", tomlkit.table(is_super_table=True))
        for name, source in changed.tables.items():
            tables[name] = _source_item(source)
        added = []
        for key, value in (("store_version", changed.store_version), ("salt", changed.salt)):
            if key in document:
                document[key] = value
            elif value:
                added.append(f"{key} = {json.dumps(value)}\n")
        result = "".join([*added, tomlkit.dumps(document)])
    except (TOMLKitError, ValueError, TypeError) as error:  # tomlkit says so of a layout it cannot extend
        raise CaseError("RC214", detail=str(error).splitlines()[0][:200]) from error
    return _read_back(result, changed)


def read_text(folder: Path) -> str:
    """The text of `case.toml`.

    Raises
    ------
    CaseError
        RC202: no case.toml; RC203: not UTF-8, or empty; RC215: it may not be read.
    """
    try:
        text = (folder / FILE_NAME).read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise CaseError("RC202", path=str(folder)) from None
    except OSError as error:
        raise CaseError("RC215", path=str(folder), reason=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CaseError("RC203", line=str(line), column="1", detail="not UTF-8") from None
    if not text.strip(" \t\r\n\0"):  # what a crash of the machine can leave of a file
        raise CaseError("RC203", line="1", column="1", detail="the file is empty")
    return text


def read_config(folder: Path) -> CaseConfig:
    """Read and validate `case.toml` of a case folder.

    Raises
    ------
    CaseError
        RC202: no case.toml; RC203: not TOML; RC204: a value of the wrong kind, with line and column; RC215: it may not
        be read.
    StoreError
        RC401: written by a newer version.
    """
    return parse_config(read_text(folder))


def parse_config(text: str) -> CaseConfig:
    """The text of a `case.toml`, validated; the same errors as `read_config`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+), column (\d+)", str(error))
        line_text, column_text = place.groups() if place else (str(text.count("\n") + 1), "1")
        detail = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise CaseError("RC203", line=line_text, column=column_text, detail=detail) from None
    return _ConfigReader(text, values).config()


@dataclass(slots=True)
class _ConfigReader:
    """Typed look-ups in the parsed file; every failure names the line of the key."""

    text: str
    values: Mapping[str, object]

    def config(self) -> CaseConfig:
        version = self._get(self.values, "store_version", int, "a whole number", 1)
        if version > STORE_VERSION:
            raise StoreError("RC401", found=str(version), known=str(STORE_VERSION))
        cadence = self._get(self.values, "cadence", str, "daily or weekly", "daily")
        if cadence not in ("daily", "weekly"):
            raise self._wrong("cadence", cadence, "daily or weekly")
        timezone = self._get(self.values, "timezone", str, "a time zone", "Asia/Shanghai")
        if not _is_timezone(timezone):
            raise self._wrong("timezone", timezone, "an IANA time zone such as Asia/Shanghai")
        currency = self._get(self.values, "currency", str, "a currency code", "CNY")
        if not re.fullmatch(r"[A-Z]{3}", currency):
            raise self._wrong("currency", currency, "three capital letters such as CNY")
        margin = self._table(self.values, "margin")
        return CaseConfig(
            name=self._get(self.values, "name", str, "text", "case"),
            currency=currency,
            timezone=timezone,
            cadence=cast(Cadence, cadence),
            tables=self._tables(),
            channels=self._channels(),
            assumptions=self._ranges("assumptions"),
            margin=self._range(margin, "margin") if margin else None,
            host=self._ranges("host"),
            seed=self._get(self.values, "seed", int, "a whole number", DEFAULT_SEED),
            salt=self._get(self.values, "salt", str, "text", ""),
            counts=self._get(self.values, "visits_are", str, "text", ""),
            mappings=self._texts(self.values, "mappings", ""),
            connections=self._table(self.values, "connections"),
            store_version=version,
            engine=self._engine(),
        )

    def _engine(self) -> EngineSource:
        table = self._table(self.values, "engine")
        if not table:
            return EngineSource()
        kind = self._get(table, "kind", str, "text", "duckdb", "engine")
        if kind not in ENGINE_KINDS:
            raise self._wrong("engine.kind", kind, f"one of {', '.join(ENGINE_KINDS)}")
        url, name, zone = (self._get(table, key, str, "text", "", "engine") for key in ("url", "table", "timezone"))
        parts = urlsplit(url)
        if parts.username or parts.password or "password" in parts.query.lower():
            raise self._wrong("engine.url", "a URL with a user or password", "the URL alone; see docs/cli.md")
        if kind != "duckdb" and not name:
            raise self._wrong("engine.table", name, "the name of a table or view of touches")
        if zone and zone not in available_timezones():
            raise self._wrong("engine.timezone", zone, "an IANA time zone such as Asia/Shanghai")
        return EngineSource(kind, url, name, zone)

    def _wrong(self, key: str, found: object, expected: str) -> CaseError:
        line, column = self._place(key)
        return CaseError("RC204", line=str(line), column=str(column), key=key, found=repr(found), expected=expected)

    def _place(self, path: str) -> tuple[int, int]:
        """Line and column of a dotted key, or of its section when the key is missing."""
        section, _, key = path.rpartition(".")
        current = ""
        fallback = (1, 1)
        for number, row in enumerate(self.text.splitlines(), start=1):
            header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", row)
            if header:
                current = header.group(1).replace('"', "").replace(" ", "")
                if path in (current, f"{current}[]"):
                    return number, row.index("[") + 1
                if current == section:
                    fallback = (number, row.index("[") + 1)
            else:
                assigned = re.match(r"\s*\"?([^\"=\s]+)\"?\s*=\s*", row)
                if assigned and current == section and assigned.group(1) == key:
                    return number, assigned.end() + 1
        return fallback

    def _get(
        self, table: Mapping[str, object], key: str, kind: type[_T], expected: str, default: _T, section: str = ""
    ) -> _T:
        value = table.get(key, default)
        if isinstance(value, bool) and kind is not bool:
            raise self._wrong(f"{section}.{key}" if section else key, value, expected)
        if not isinstance(value, kind):
            raise self._wrong(f"{section}.{key}" if section else key, value, expected)
        return value

    def _table(self, parent: Mapping[str, object], key: str, section: str = "") -> Mapping[str, object]:
        value = parent.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(f"{section}.{key}" if section else key, value, "a table")
        return value

    def _tables(self) -> dict[TableName, TableSource]:
        tables: dict[TableName, TableSource] = {}
        listed = self._table(self.values, "tables")
        for name in listed:
            if name not in TABLE_NAMES:
                raise self._wrong(f"tables.{name}", name, f"one of {', '.join(TABLE_NAMES)}")
        for known in TABLE_NAMES:
            if known not in listed:
                continue
            section = f"tables.{known}"
            table = self._table(listed, known, "tables")
            file = self._get(table, "file", str, "a file name in data/", f"{known}.parquet", section)
            if Path(file).name != file or not file.endswith(".parquet"):
                raise self._wrong(f"{section}.file", file, "a file name in data/, without a folder")
            tables[known] = TableSource(
                original=self._texts(table, "original", section),
                sha256=self._texts(table, "sha256", section),
                rows=self._get(table, "rows", int, "a whole number", 0, section),
                duplicates=self._get(table, "duplicates", int, "a whole number", 0, section),
                file=file,
                file_sha256=self._get(table, "file_sha256", str, "text", "", section),
                file_bytes=self._get(table, "file_bytes", int, "a whole number", 0, section),
            )
        return tables

    def _texts(self, table: Mapping[str, object], key: str, section: str) -> tuple[str, ...]:
        value = table.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise self._wrong(f"{section}.{key}", value, "a list of texts")
        return tuple(str(entry) for entry in listed)

    def _channels(self) -> tuple[Channel, ...]:
        listed = self.values.get("channels", [])
        if not isinstance(listed, list):
            raise self._wrong("channels", listed, "[[channels]] tables")
        channels: list[Channel] = []
        for entry in listed:
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
                raise self._wrong("channels", entry, "a table with the text `id`")
            names = self._table(entry, "names", "channels")
            for language in names:
                if language not in LANGUAGES:
                    raise self._wrong("channels.names", language, f"one of {', '.join(LANGUAGES)}")
            channel = Channel(
                channel_id=entry["id"],
                names={language: str(name) for language, name in names.items()},
                aliases=self._texts(entry, "aliases", "channels"),
                **{
                    key: self._get(entry, key, str, "text", "", "channels")
                    for key in ("host", "kind", "placement", "shop")
                },
            )
            if any(channel.channel_id == other.channel_id for other in channels):
                raise self._wrong("channels", channel.channel_id, "every id once")
            channels.append(channel)
        return tuple(channels)

    def _ranges(self, section: str) -> dict[str, Assumption]:
        table = self._table(self.values, section)
        return {name: self._range(self._table(table, name, section), f"{section}.{name}") for name in table}

    def _range(self, table: Mapping[str, object], section: str) -> Assumption:
        ends: list[float] = []
        for key in ("low", "high"):
            value = table.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
                raise self._wrong(f"{section}.{key}", value, "a number")
            ends.append(float(value))
        if ends[0] > ends[1]:
            raise self._wrong(f"{section}.low", ends[0], f"at most high ({ends[1]:g})")
        source = self._get(table, "source", str, "text: where the range comes from", "", section)
        if not source:
            raise self._wrong(f"{section}.source", source, "text: where the range comes from")
        return Assumption(ends[0], ends[1], source, self._get(table, "unit", str, "text", "", section))
