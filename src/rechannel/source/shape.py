"""One recognised export becomes canonical rows: its columns are placed, its own totals dropped, its parts added up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from rechannel.source.aliases import join_aliases
from rechannel.source.cells import TYPED, type_cells
from rechannel.source.checks import Rules, check_rows
from rechannel.source.contract import TABLES, Column, Table, TableName
from rechannel.source.engine import named, quoted
from rechannel.source.export import ADDITIVE, Export, Reason, Words
from rechannel.source.faultlist import FaultList
from rechannel.source.filedays import days_in, stated_day, title_days
from rechannel.source.headers import Headers, described
from rechannel.source.logs import EVENT_SHEET, ORDER_SHEET, Log, event_log, order_log
from rechannel.source.mapping import HeaderMapping
from rechannel.source.placement import LOADED, SUMS, Placement
from rechannel.source.read import RAW, Header
from rechannel.source.values import offset_sql
from rechannel.vocabulary.channel import METRICS, Channel

DROPPED = "lines_dropped"
"""DuckDB table: lines of the rows that are left out."""
_CLOCK = r"\d:\d{2}(:\d{2}(\.\d+)?)?$"
"""The end of a moment that states no zone."""
_UTC = re.compile(r"Z|[+-]00:?00")
_YUAN = ("RMB", "CNH", "人民币", "人民幣", "元")


@dataclass(frozen=True, slots=True)
class Shaped:
    """What one file gives.

    Attributes
    ----------
    export
        How it was read.
    relations
        Canonical table -> its rows, with the columns that the export knows.
    log
        Visits and orders of an export of events or orders, which become rows together with those of other files.
    read
        Canonical column -> names of the headers it was read from.
    left
        Header -> why it was not read, of those that look like a metric and are none.
    branches
        Words that stand in several branches of its tree of sources.
    """

    export: Export
    relations: Mapping[TableName, pa.Table]
    log: Log | None
    read: Mapping[str, str]
    left: Mapping[str, Reason]
    branches: frozenset[str]


def shape(
    connection: duckdb.DuckDBPyConnection,
    header: Header,
    export: Export,
    channels: Sequence[Channel],
    rules: Rules,
    faults: FaultList,
    *,
    salt: str = "",
    branches: frozenset[str] = frozenset(),
) -> Shaped | None:
    """Make canonical rows of `raw`; None when the file is refused, with the reasons in `faults`.

    Parameters
    ----------
    channels
        Names under which exports mention one entry; an alias is joined to its channel unless both stand under one key.
    salt
        Salt of the customer hash; empty leaves ids as they are.
    branches
        Words that several branches of the tree share in another file of the export.
    """
    connection.execute(f"DROP VIEW IF EXISTS {LOADED}; ALTER VIEW {RAW} RENAME TO {LOADED}")
    headers = Headers(header.names)
    placement = Placement(connection, headers, export, faults)
    return _Shaper(connection, header, headers, placement, export, channels, rules, faults, branches, salt).shaped()


@dataclass(slots=True)
class _Shaper:
    """The steps from loaded rows to canonical ones."""

    connection: duckdb.DuckDBPyConnection
    header: Header
    headers: Headers
    placement: Placement
    export: Export
    channels: Sequence[Channel]
    rules: Rules
    faults: FaultList
    branches: frozenset[str]
    salt: str
    kept: str = "true"
    constants: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    left: dict[str, Reason] = field(default_factory=dict)

    def shaped(self) -> Shaped | None:
        self._say_columns()
        self._constants()
        self._drop()
        self._check_spans()
        self._check_currency()
        if self.faults.refused():
            return None
        shared = self.placement.shared(self.kept)
        self.branches |= shared
        relations: dict[TableName, pa.Table] = {}
        log: Log | None = None
        if self.export.grain == "rows":
            relation = self._rows()
            if relation is None:
                return None
            relations[self.export.table] = relation
        else:
            log = self._log()
            if log is None:
                return None
        return Shaped(self.export, relations, log, self.read, self.left, shared)

    def _say_columns(self) -> None:
        """Tell columns that could be mistaken, those that nobody described, and those never seen in public."""
        export, headers = self.export, self.headers
        for name, reason in export.ignored.items():
            for place in headers.places(name):
                self.left[headers.names[place]] = reason
        known = described(headers, (*export.spellings, *export.ignored))
        strange = [name for place, name in enumerate(headers.names) if place not in known and name]
        if strange:
            shown, count = ", ".join(strange[:20]), str(len(strange))
            self.faults.add("RC730", "note", line=self.header.line, names=shown, count=count)
        unsure = [name for name in export.unverified if headers.place(name) is not None]
        if unsure:
            self.faults.add("RC734", "note", line=self.header.line, names=", ".join(unsure))

    def _constants(self) -> None:
        """What is the same on every row: what the mapping file says, the day and the words of the file's name."""
        self.constants = dict(self.export.constants)
        needs_day = self.export.grain == "rows" and self.export.table == "daily"
        if needs_day and self.export.date_from in ("file_name", "title") and not self._has("date"):
            day = stated_day(self.export.date_from, self.header.above, self.rules.cadence, self.faults)
            self.constants["date"] = day.isoformat() if day else ""
        asked = [group for group in re.compile(self.export.name_pattern).groupindex if not self._has(group)]
        found = re.search(self.export.name_pattern, self.faults.file.rpartition("/")[2]) if asked else None
        for group in asked:
            if found is None or not found.group(group):
                self.faults.add("RC739", "refuse", columns=group)
            else:
                self.constants[group] = found.group(group).strip()

    def _has(self, column: str) -> bool:
        return self.headers.first(self.export.columns.get(column, ())) is not None

    def _drop(self) -> None:
        """Leave out rows that the product itself adds: totals, and the sums of branches of a source tree."""
        totals = [one for words in self.export.drop if (one := self._told(words))]
        kept = [f"NOT coalesce({one}, false)" for words in self.export.keep if (one := self._told(words))]
        dropped = [*totals, *kept, *self._sums_of_branches()]
        if not dropped:
            return
        where = " OR ".join(f"coalesce({one}, false)" for one in dropped)
        if self.export.grain == "orders" and (order := self.placement.text(self.export.columns["order_id"])):
            where = f"coalesce({order[0]} IN (SELECT {order[0]} FROM {LOADED} WHERE {where}), false)"
        self.connection.execute(f"CREATE OR REPLACE TABLE {DROPPED} AS SELECT line FROM {LOADED} WHERE {where}")
        count, first, rows = self.connection.execute(
            f"SELECT count(*), min(line), (SELECT count(*) FROM {LOADED}) FROM {DROPPED}"
        ).fetchall()[0]
        if not count:
            return
        if not self.export.keep:
            self.faults.add("RC719", "note", line=int(first), count=f"{count:,}")
        if count == rows:
            self.faults.add("RC102", "refuse", line=self.header.line)
        self.kept = f"line NOT IN (SELECT line FROM {DROPPED})"
        if totals and self.export.grain == "rows":
            self._check_total(" OR ".join(f"coalesce({one}, false)" for one in totals))

    def _told(self, words: Words) -> str:
        """SQL of the rows whose column holds one of the words; empty when the file lacks the column."""
        place = self.headers.place(words.column)
        if place is None:
            return ""
        exact = ", ".join(quoted(value) for value in words.values if value and not value.endswith("*"))
        parts = [f"c{place} IN ({exact})"] if exact else []
        parts += [f"starts_with(c{place}, {quoted(value[:-1])})" for value in words.values if value.endswith("*")]
        parts += [f"c{place} IS NULL"] if "" in words.values else []
        return f"({' OR '.join(parts)})"

    def _sums_of_branches(self) -> list[str]:
        """SQL of the rows that are the sum of finer rows of the same day and branch."""
        dates = self.headers.first(self.export.columns.get("date", ()))
        found = []
        levels = self.placement.levels() if self.export.grain == "rows" else []
        for depth, lower in enumerate(levels):
            branch = [place for place in (dates, *levels[:depth]) if place is not None]
            same = " AND ".join(f"p.c{place} IS NOT DISTINCT FROM {LOADED}.c{place}" for place in branch)
            bare = f"(c{lower} IS NULL OR lower(c{lower}) IN ({SUMS}))"
            part = f"(p.c{lower} IS NOT NULL AND lower(p.c{lower}) NOT IN ({SUMS}))"
            found.append(f"({bare} AND EXISTS (SELECT 1 FROM {LOADED} p WHERE {same or 'true'} AND {part}))")
        return found

    def _check_total(self, totals: str) -> None:
        """Warn when the rows are less than the one total that the file itself states: it was cut."""
        lines = self.connection.execute(f"SELECT line FROM {LOADED} WHERE {totals}").fetchall()
        if len(lines) != 1:
            return
        for name in METRICS:
            found = self.placement.text(self.export.columns.get(name, ()))
            if found is None or (name == "visits" and self.export.counts not in ADDITIVE):
                continue
            figure = f"TRY_CAST(replace({found[0]}, ',', '') AS DOUBLE)"
            (rows,), (total,) = (
                self.connection.execute(f"SELECT sum({figure}) FROM {LOADED} WHERE {where}").fetchall()[0]
                for where in (self.kept, totals)
            )
            if rows is not None and total is not None and rows < total - max(0.5, 0.001 * total):
                line = int(lines[0][0])
                self.faults.add("RC741", "warning", line=line, column=found[1], rows=f"{rows:,g}", total=f"{total:,g}")

    def _check_spans(self) -> None:
        """Refuse rows that cover several days in one figure."""
        first = self.placement.text(self.export.columns.get("date", ()))
        last = self.placement.text(self.export.columns.get("last_day", ()))
        if first is None or last is None:
            return
        rows = self.connection.execute(
            f"""SELECT line, {first[0]}, {last[0]} FROM {LOADED} WHERE {self.kept} AND {first[0]} <> {last[0]}
            ORDER BY line LIMIT 1"""
        ).fetchall()
        for line, begin, end in rows:
            self.faults.add("RC718", "refuse", line=int(line), column=first[1], first=str(begin), last=str(end))

    def _check_currency(self) -> None:
        """Refuse money in another currency than the case's, where a column or a header states one."""
        if not self.rules.currency:
            return
        stated: list[tuple[str, str, int]] = []
        for names in self.export.columns.values():
            for name in names:
                place, code = self.headers.place(name), self.headers.currency(name)
                if place is not None and code:
                    stated.append((code, self.headers.names[place], self.header.line))
        found = self.placement.text(self.export.columns.get("currency", ()))
        if found:
            rows = self.connection.execute(
                f"""SELECT upper({found[0]}) AS code, min(line) FROM {LOADED} WHERE {self.kept} AND code IS NOT NULL
                GROUP BY code ORDER BY 2"""
            ).fetchall()
            stated += [(str(code), found[1], int(line)) for code, line in rows if str(code) not in ("-", "--")]
        for code, column, line in stated:
            seen = "CNY" if code in _YUAN else code
            if seen != self.rules.currency:
                self.faults.add("RC740", "refuse", line=line, column=column, found=seen, wanted=self.rules.currency)

    def _check_zone(self, placed: HeaderMapping) -> None:
        """Warn when moments state a local time of another zone than the case's: its days are not those of the shop."""
        place = placed.positions.get("time")
        if place is None or self.export.timezone:
            return
        rows = self.connection.execute(
            f"SELECT {offset_sql(f'c{place}')} AS zone, min(line), arg_min(c{place}, line) FROM {RAW} GROUP BY zone"
        ).fetchall()
        stated = [(str(zone), int(line), str(text)) for zone, line, text in rows if zone]
        local = [one for one in stated if not _UTC.fullmatch(one[0])]
        if local and all(_offset_of(text, self.rules.timezone) != _minutes(zone) for zone, _, text in local):
            zone, line, _ = min(local, key=lambda one: one[1])
            self.faults.add(
                "RC751", "warning", line=line, column=placed.names["time"], zone=zone, wanted=self.rules.timezone
            )

    def _log(self) -> Log | None:
        """Visits and orders of single customers."""
        export = self.export
        sheet = EVENT_SHEET if export.grain == "events" else ORDER_SHEET
        placed = self._place(export.columns, self.constants, sheet)
        if self.faults.refused():
            return None
        self._check_zone(placed)
        self._type(sheet, placed)
        if self.faults.refused():
            return None
        if "channel" in placed.positions:
            join_aliases(self.connection, self.channels, (), self.faults)
        if export.grain == "orders":
            return order_log(self.connection, export)
        return event_log(self.connection, export, self.salt, self.faults)

    def _type(self, table: Table, placed: HeaderMapping) -> None:
        """Make `typed` of the placed columns."""
        separator, rules = self.header.separator, self.rules
        type_cells(
            self.connection,
            table,
            placed,
            rules.timezone,
            self.faults,
            separator=separator,
            currency=rules.currency,
        )

    def _place(self, columns: Mapping[str, Sequence[str]], constants: Mapping[str, str], table: Table) -> HeaderMapping:
        """Make `raw` anew with one text column per canonical column that the file has."""
        texts: dict[str, tuple[str, str]] = {}
        for column in table.columns:
            if column.name in constants:
                texts[column.name] = (quoted(constants[column.name]), column.name)
                continue
            found: tuple[str, str] | None
            if column.name == "channel":
                found = self.placement.channel(self.branches)
            elif column.name == "date" and not self._has("date") and "day_number" in columns:
                found = self._numbered_day(columns["day_number"])
            else:
                found = self.placement.text(columns.get(column.name, ()))
            if found is None:
                continue
            sql, printed = found
            if column.type == "time" and self.export.timezone:
                sql = f"CASE WHEN regexp_matches({sql}, {quoted(_CLOCK)}) THEN {sql} || 'Z' ELSE {sql} END"
            texts[column.name] = (sql, printed)
            before = [part for part in self.read.get(column.name, "").split(", ") if part]
            self.read[column.name] = ", ".join(dict.fromkeys([*before, printed]))
        chosen = ", ".join(f"nullif(trim({sql}), '') AS c{place}" for place, (sql, _) in enumerate(texts.values()))
        self.connection.execute(
            f"""CREATE OR REPLACE TABLE {RAW} AS WITH counted AS MATERIALIZED ({self.placement.rows(self.kept)})
            SELECT {chosen}, line FROM counted"""
        )
        names = {name: printed for name, (_, printed) in texts.items()}
        return HeaderMapping({name: place for place, name in enumerate(texts)}, names)

    def _numbered_day(self, spellings: Sequence[str]) -> tuple[str, str] | None:
        """SQL of the day whose number a column counts from the first day that the title states."""
        found = self.placement.text(spellings)
        days = title_days(self.header.above)
        if found is None:
            return None
        if not 1 <= len(days) <= 2:
            self.faults.add("RC747", "refuse", line=self.header.line, column=found[1])
            return None
        first: date = days[0]
        return f"CAST(DATE '{first}' + TRY_CAST({found[0]} AS INTEGER) AS VARCHAR)", found[1]

    def _rows(self) -> pa.Table | None:
        """Rows of a table, one group per set of columns."""
        export, table = self.export, TABLES[self.export.table]
        groups: list[tuple[Mapping[str, Sequence[str]], Mapping[str, str]]] = [(export.columns, self.constants)]
        shared = {name: export.columns[name] for name in ("date", "day_number", "market") if name in export.columns}
        for also in export.also:
            present = {name: names for name, names in also.columns.items() if self.headers.first(names) is not None}
            if present:
                groups.append(({**shared, **present}, {**self.constants, "channel": also.channel}))
        parts: list[pa.Table] = []
        for columns, constants in groups:
            mapping = self._place(columns, constants, _as_exported(table, export))
            lacking = [c.name for c in table.columns if c.key and c.required and c.name not in mapping.positions]
            for name in lacking:
                self.faults.add("RC110", "refuse", column=name, header=", ".join(self.headers.names[:20]))
            measured = [name for name in mapping.positions if name in METRICS]
            if not lacking and (measured or table.name != "daily"):
                self._typed(table, mapping, measured)
            if self.faults.refused():
                return None
            if measured or table.name != "daily":
                ordered = ", ".join(self._told_to(name) for name in table.names if name in mapping.positions)
                parts.append(self.connection.sql(f"SELECT {ordered} FROM {TYPED} ORDER BY line").to_arrow_table())
        if not parts:
            self.faults.add("RC110", "refuse", column="visits", header=", ".join(self.headers.names[:20]))
            return None
        return parts[0] if len(parts) == 1 else _added(parts)

    def _told_to(self, column: str) -> str:
        """A column as it leaves the file: customers are hashed."""
        if column == "customer" and self.salt:
            return f"sha256({quoted(self.salt)} || customer)[1:32] AS customer"
        return named(column)

    def _typed(self, table: Table, mapping: HeaderMapping, measured: Sequence[str]) -> None:
        """Read the cells, join names, add parts, and check what is left."""
        self._type(_as_exported(table, self.export), mapping)
        if self.faults.refused():
            return
        if self.export.date_from == "moment":
            self.connection.execute(f"ALTER TABLE {TYPED} ALTER date TYPE DATE")
        if table.name == "daily":
            keys = [name for name in table.key if name in mapping.positions]
            join_aliases(self.connection, self.channels, () if self.export.sums else keys, self.faults)
            if self.export.sums:
                self._add_up(keys, measured)
        check_rows(self.connection, table.name, self.rules, self.faults, whole=False)

    def _add_up(self, keys: Sequence[str], measured: Sequence[str]) -> None:
        """Add the rows of one key; daily visitors, which do not add, are given up where a key has several rows."""
        parts = ", ".join(named(key) for key in keys)
        sums = []
        for name in measured:
            # Parts in another order must give the same sum, or a second download would seem to differ.
            whole = f"round(sum({named(name)}), 6)"
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


def _minutes(offset: str) -> int:
    """An offset such as +08:00 in minutes."""
    digits = offset.replace(":", "")
    return (-1 if digits[0] == "-" else 1) * (60 * int(digits[1:3]) + int(digits[3:5]))


def _offset_of(moment: str, zone: str) -> int | None:
    """The offset of a zone on the day of a moment, minutes; None when the moment is none."""
    days = days_in(moment[:10])
    if not days:
        return None
    offset = datetime.combine(days[0], time(12), ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds() // 60) if offset is not None else None


def _as_exported(table: Table, export: Export) -> Table:
    """The table as an export may fill it: moments for days where it states those, and visits that may be missing."""

    def changed(column: Column) -> Column:
        if column.name == "date" and export.date_from == "moment":
            return replace(column, type="time")
        return replace(column, required=False) if column.name == "visits" else column

    return replace(table, columns=tuple(map(changed, table.columns))) if table.name == "daily" else table


def _added(parts: Sequence[pa.Table]) -> pa.Table:
    """Groups of columns as one relation; what two groups say of one day and channel is added."""
    whole = pa.concat_tables(parts, promote_options="default")
    keys = [name for name in TABLES["daily"].key if name in whole.column_names]
    metrics = [name for name in whole.column_names if name not in keys]
    added = whole.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in metrics])
    return added.rename_columns([name.removesuffix("_sum") for name in added.column_names]).select([*keys, *metrics])
