"""One recognised export becomes canonical rows: its columns are placed, its own totals dropped, its parts added up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

import duckdb
import pyarrow as pa

from rechannel.source.cells import TYPED, type_cells
from rechannel.source.channelrules import rule_sql
from rechannel.source.checks import Rules, check_rows
from rechannel.source.contract import TABLES, Table, TableName
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.logs import EVENT_SHEET, ORDER_SHEET, events_per_day, orders_per_day
from rechannel.source.mapping import HeaderMapping
from rechannel.source.products import ADDITIVE, SOURCE_FIELDS, Export, Headers, Reason
from rechannel.source.read import RAW, Header
from rechannel.vocabulary.channel import METRICS, Channel, folded

LOADED = "rows_of_file"
"""DuckDB view: the rows of the file as read, kept while groups of columns are placed."""
_SUMS = ", ".join(quoted(word) for word in ("全部", "汇总", "合计", "总计", "整体", "-", "all", "total"))
"""What a finer level of a source tree says on the row that is the sum of a branch."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """What one file gives.

    Attributes
    ----------
    export
        How it was read.
    relations
        Canonical table -> its rows, with the columns that the export knows; customers are hashed.
    read
        Canonical column -> names of the headers it was read from.
    left
        Header -> why it was not read, of those that look like a metric and are none.
    """

    export: Export
    relations: Mapping[TableName, pa.Table]
    read: Mapping[str, str]
    left: Mapping[str, Reason]


def shape(
    connection: duckdb.DuckDBPyConnection,
    header: Header,
    export: Export,
    channels: Sequence[Channel],
    rules: Rules,
    faults: FaultList,
    salt: str = "",
) -> Shaped | None:
    """Make canonical rows of `raw`; None when the file is refused, with the reasons in `faults`.

    Parameters
    ----------
    channels
        Names under which exports mention one entry; an alias is joined to its channel unless both stand under one key.
    salt
        Salt of the customer hash; empty leaves ids as they are.
    """
    connection.execute(f"DROP VIEW IF EXISTS {LOADED}; ALTER VIEW {RAW} RENAME TO {LOADED}")
    return _Shaper(connection, header, Headers(header.names), export, channels, rules, faults).shaped(salt)


def day_of_name(name: str) -> tuple[date, ...]:
    """The days that a file name states, in order.

    Examples
    --------
    >>> day_of_name("流量来源_20250930.xlsx")
    (datetime.date(2025, 9, 30),)
    >>> len(day_of_name("shop 2025-09-01~2025-09-30 (1).csv"))
    2
    """
    found = []
    for match in re.finditer(r"(?<!\d)(20\d{2})(?:([-_.年/])(\d{1,2})[-_.月/](\d{1,2})|(\d{2})(\d{2}))(?!\d)", name):
        year, _, month, day, short_month, short_day = match.groups()
        try:
            found.append(date(int(year), int(month or short_month), int(day or short_day)))
        except ValueError:
            continue
    return tuple(found)


@dataclass(slots=True)
class _Shaper:
    """The steps from loaded rows to canonical ones."""

    connection: duckdb.DuckDBPyConnection
    header: Header
    headers: Headers
    export: Export
    channels: Sequence[Channel]
    rules: Rules
    faults: FaultList
    kept: str = "true"
    day: str = ""
    read: dict[str, str] = field(default_factory=dict)
    left: dict[str, Reason] = field(default_factory=dict)

    def shaped(self, salt: str) -> Shaped | None:
        self._day()
        self._drop()
        if self.faults.refused():
            return None
        self._say_columns()
        export = self.export
        if export.grain == "rows":
            relation = self._rows()
            return Shaped(export, {export.table: relation}, self.read, self.left) if relation is not None else None
        sheet = EVENT_SHEET if export.grain == "events" else ORDER_SHEET
        placed = self._place(export.columns, {}, sheet)
        type_cells(self.connection, sheet, placed, self.rules.timezone, self.faults)
        if self.faults.refused():
            return None
        if "channel" in placed.positions:
            self._join_aliases(())
        if export.grain == "orders":
            return Shaped(export, {"daily": orders_per_day(self.connection, export)}, self.read, self.left)
        relations = events_per_day(self.connection, export, salt, self.faults)
        return Shaped(export, relations, self.read, self.left) if relations else None

    def _day(self) -> None:
        """The one day that the file's name states, where the export says it nowhere else."""
        if self.export.date_from == "column":
            return
        days = sorted(set(day_of_name(self.faults.file)))
        if not days:
            self.faults.add("RC717", "refuse")
        elif len(days) > 1:
            self.faults.add("RC718", "refuse", first=str(days[0]), last=str(days[-1]))
        else:
            self.day = days[0].isoformat()

    def _drop(self) -> None:
        """Leave out rows that the product itself adds: totals, and the sums of branches of a source tree."""
        dropped = []
        for told, without in ((self.export.drop, "false"), (self.export.keep, "true")):
            for one in told:
                place = self.headers.place(one.column)
                if place is not None:
                    words = ", ".join(quoted(value) for value in one.values)
                    dropped.append(f"(coalesce(c{place} IN ({words}), false) <> {without})")
        dates = self.headers.first(self.export.columns.get("date", ()))
        for upper, lower in pairwise(self._levels()):
            same = " AND ".join(
                f"p.c{place} IS NOT DISTINCT FROM {LOADED}.c{place}" for place in (dates, upper) if place is not None
            )
            bare = f"(c{lower} IS NULL OR lower(c{lower}) IN ({_SUMS}))"
            part = f"(p.c{lower} IS NOT NULL AND lower(p.c{lower}) NOT IN ({_SUMS}))"
            dropped.append(f"({bare} AND EXISTS (SELECT 1 FROM {LOADED} p WHERE {same} AND {part}))")
        if not dropped:
            return
        where = " OR ".join(dropped)
        count, first, rows = self.connection.execute(
            f"SELECT count(*) FILTER ({where}), min(line) FILTER ({where}), count(*) FROM {LOADED}"
        ).fetchall()[0]
        if count and not self.export.keep:
            self.faults.add("RC719", "note", line=int(first), count=f"{count:,}")
        if count == rows:
            self.faults.add("RC102", "refuse", line=self.header.line)
        self.kept = f"NOT ({where})"

    def _levels(self) -> list[int]:
        return [place for names in self.export.levels if (place := self.headers.first(names)) is not None]

    def _say_columns(self) -> None:
        """Tell columns that could be mistaken, those that nobody described, and those never seen in public."""
        export, headers = self.export, self.headers
        described = {place for name in export.spellings if (place := headers.first([name])) is not None}
        for name, reason in export.ignored.items():
            place = headers.place(name)
            if place is not None:
                described.add(place)
                self.left[headers.names[place]] = reason
        strange = [name for place, name in enumerate(headers.names) if place not in described and name]
        if strange:
            shown, count = ", ".join(strange[:20]), str(len(strange))
            self.faults.add("RC730", "note", line=self.header.line, names=shown, count=count)
        unsure = [name for name in export.unverified if headers.place(name) is not None]
        if unsure:
            self.faults.add("RC734", "note", line=self.header.line, names=", ".join(unsure))

    def _text(self, spellings: Sequence[str]) -> tuple[str, str] | None:
        """SQL of the text of the first spelling that is there, and the header's name."""
        for spelling in spellings:
            place = self.headers.place(spelling)
            if place is not None:
                return f"c{place}", self.headers.names[place]
            outer, *inner = re.split(r"\.|(?=\[)", spelling)
            place = self.headers.place(outer)
            if place is not None and inner:
                return _inside(f"c{place}", inner), spelling
        return None

    def _place(self, columns: Mapping[str, Sequence[str]], constants: Mapping[str, str], table: Table) -> HeaderMapping:
        """Make `raw` anew with one text column per canonical column that the file has."""
        texts: dict[str, tuple[str, str]] = {}
        for column in table.columns:
            if column.name in constants:
                texts[column.name] = (quoted(constants[column.name]), column.name)
            elif column.name == "date" and self.day:
                texts["date"] = (quoted(self.day), "date")
            elif column.name == "channel" and (told := self._channel()):
                texts["channel"] = told
            elif column.name in columns and (found := self._text(columns[column.name])):
                texts[column.name] = found
        chosen = ", ".join(f"nullif(trim({sql}), '') AS c{place}" for place, (sql, _) in enumerate(texts.values()))
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {RAW} AS SELECT {chosen}, line FROM {LOADED} WHERE {self.kept}"
        )
        names = {name: printed for name, (_, printed) in texts.items()}
        for name, printed in names.items():
            if name not in constants:
                before = [part for part in self.read.get(name, "").split(", ") if part]
                self.read[name] = ", ".join(dict.fromkeys([*before, printed]))
        return HeaderMapping({name: place for place, name in enumerate(texts)}, names)

    def _channel(self) -> tuple[str, str] | None:
        """How the channel of a row is told: by the finest level of a tree, by a rule, or by a column."""
        levels = self._levels()
        if levels:
            return self._finest(levels), self.headers.names[levels[-1]]
        if self.export.rule:
            columns = self.export.columns
            given = {name: sql for name in SOURCE_FIELDS if (sql := self._text(columns.get(name, ())))}
            if given:
                printed = ", ".join(dict.fromkeys(name for _, name in given.values()))
                return rule_sql(self.export.rule, {name: sql for name, (sql, _) in given.items()}), printed
        return self._text(self.export.columns.get("channel", ()))

    def _finest(self, levels: Sequence[int]) -> str:
        """The finest level that says something; where two branches share that word, the whole path."""
        told = [f"CASE WHEN lower(c{place}) NOT IN ({_SUMS}) THEN c{place} END" for place in levels]
        finest = f"coalesce({', '.join(reversed(told))})"
        path = f"concat_ws(' / ', {', '.join(told)})"
        shared = self.connection.execute(
            f"""SELECT {finest} AS f FROM {LOADED} WHERE {self.kept} AND f IS NOT NULL GROUP BY f
            HAVING count(DISTINCT {path}) > 1"""
        ).fetchall()
        if not shared:
            return finest
        listed = ", ".join(quoted(str(row[0])) for row in sorted(shared))
        return f"CASE WHEN {finest} IN ({listed}) THEN {path} ELSE {finest} END"

    def _rows(self) -> pa.Table | None:
        """Rows of a table, one group per set of columns."""
        export, table = self.export, TABLES[self.export.table]
        groups: list[tuple[Mapping[str, Sequence[str]], Mapping[str, str]]] = [(export.columns, export.constants)]
        shared = {name: export.columns[name] for name in ("date", "market") if name in export.columns}
        for also in export.also:
            present = {name: names for name, names in also.columns.items() if self.headers.first(names) is not None}
            if present:
                groups.append(({**shared, **present}, {"channel": also.channel}))
        parts = []
        for columns, constants in groups:
            mapping = self._place(columns, constants, table)
            lacking = [c.name for c in table.columns if c.key and c.required and c.name not in mapping.positions]
            for name in lacking:
                self.faults.add("RC110", "refuse", column=name, header=", ".join(self.headers.names[:20]))
            measured = [name for name in mapping.positions if name in METRICS]
            if not lacking and (measured or table.name != "daily"):
                self._typed(table, mapping, measured)
                ordered = ", ".join(named(name) for name in table.names if name in mapping.positions)
                parts.append(f"SELECT {ordered} FROM {TYPED} ORDER BY line")
            if self.faults.refused():
                return None
            parts[-1:] = [self.connection.sql(parts[-1]).to_arrow_table()] if parts else []
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else _added(parts)

    def _typed(self, table: Table, mapping: HeaderMapping, measured: Sequence[str]) -> None:
        """Read the cells, join names, add parts, and check what is left."""
        type_cells(self.connection, table, mapping, self.rules.timezone, self.faults)
        if self.faults.refused():
            return
        if table.name == "daily":
            keys = [name for name in table.key if name in mapping.positions]
            self._join_aliases(() if self.export.sums else keys)
            if self.export.sums:
                self._add_up(keys, measured)
        check_rows(self.connection, table.name, self.rules, self.faults, whole=False)

    def _join_aliases(self, keys: Sequence[str]) -> None:
        """Write the channel's name for each of its aliases, unless both stand under one of `keys` on one day."""
        known = {folded(alias): channel.channel_id for channel in self.channels for alias in channel.aliases}
        rows = self.connection.execute(f"SELECT DISTINCT channel FROM {TYPED} WHERE channel IS NOT NULL").fetchall()
        groups: dict[str, list[str]] = {}
        for (name,) in sorted(rows):
            groups.setdefault(known.get(folded(str(name)), str(name)), []).append(str(name))
        rest = ", ".join(named(key) for key in keys if key != "channel")
        for channel_id, names in groups.items():
            if names == [channel_id]:
                continue
            listed, shown = ", ".join(quoted(name) for name in names), ", ".join(names)
            clash = (
                rest
                and self.connection.execute(
                    f"""SELECT 1 FROM {TYPED} WHERE channel IN ({listed}) GROUP BY {rest}
                HAVING count(DISTINCT channel) > 1 LIMIT 1"""
                ).fetchall()
            )
            if clash:
                self.faults.add("RC701", "warning", column="channel", names=shown, channel=channel_id)
            else:
                self.connection.execute(f"UPDATE {TYPED} SET channel = ? WHERE channel IN ({listed})", [channel_id])
                self.faults.add("RC702", "note", column="channel", names=shown, channel=channel_id)

    def _add_up(self, keys: Sequence[str], measured: Sequence[str]) -> None:
        """Add the rows of one key; daily visitors, which do not add, are given up where a key has several rows."""
        parts = ", ".join(named(key) for key in keys)
        sums = []
        for name in measured:
            whole = f"sum({named(name)})"
            if name == "visits" and self.export.counts not in ADDITIVE:
                whole = f"CASE WHEN count(*) = 1 THEN {whole} END"
                lost, line = self.connection.execute(
                    f"""SELECT count(*), min(line) FROM (SELECT min(line) AS line FROM {TYPED}
                    WHERE visits IS NOT NULL GROUP BY {parts} HAVING count(*) > 1)"""
                ).fetchall()[0]
                if lost:
                    self.faults.add("RC703", "warning", line=int(line), column="visits", count=f"{lost:,}")
            sums.append(f"{whole} AS {named(name)}")
        self.connection.execute(
            f"""CREATE OR REPLACE TABLE {TYPED} AS SELECT {parts}, {", ".join(sums)}, min(line) AS line FROM {TYPED}
            GROUP BY {parts}"""
        )


def _added(parts: Sequence[pa.Table]) -> pa.Table:
    """Groups of columns as one relation; what two groups say of one day and channel is added."""
    whole = pa.concat_tables(parts, promote_options="default")
    keys = [name for name in TABLES["daily"].key if name in whole.column_names]
    metrics = [name for name in whole.column_names if name not in keys]
    added = whole.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in metrics])
    return added.rename_columns([name.removesuffix("_sum") for name in added.column_names]).select([*keys, *metrics])


def _inside(text: str, path: Sequence[str]) -> str:
    """A value inside nested JSON text: `.name` of an object, `[key]` of a list of {key, value} pairs."""
    for step in path:
        if step.startswith("["):
            kinds = [f"{kind}_value" for kind in ("string", "int", "float", "double")]
            value = ", ".join(f'"{kind}": "VARCHAR"' for kind in kinds)
            pairs = f"""from_json({text}, '[{{"key": "VARCHAR", "value": {{{value}}}}}]')"""
            found = f"list_filter({pairs}, lambda pair: pair.key = {quoted(step[1:-1])})[1].value"
            text = f"coalesce({', '.join(f'{found}.{kind}' for kind in kinds)})"
        else:
            text = f"json_extract_string({text}, {quoted('$.' + step)})"
    return text
