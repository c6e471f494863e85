"""What the tables of a case say side by side: their spans, and notes on what is missing or does not meet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from rechannel.source.contract import TABLES, TableName
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import Fault


def date_span(relation: pa.Table, column: str) -> tuple[date, date] | None:
    """First and last day of a column; None when it is not there, empty, or no date."""
    if column not in relation.column_names or relation.num_rows == 0:
        return None
    ends = pc.min_max(relation[column]).as_py()
    first, last = ends["min"], ends["max"]
    if isinstance(first, datetime) and isinstance(last, datetime):
        return first.date(), last.date()
    return (first, last) if isinstance(first, date) and isinstance(last, date) else None


def table_span(table: TableName, relation: pa.Table) -> tuple[date, date] | None:
    """First and last day of a table, by its key date or, for events and deals, from first start to last end."""
    for first, last in (("date", "date"), ("time", "time"), ("start", "end"), ("period_start", "period_end")):
        begin, end = date_span(relation, first), date_span(relation, last)
        if first in TABLES[table].names and begin and end:
            return begin[0], end[1]
    return None


def between_tables(relations: Mapping[TableName, pa.Table], files: Mapping[TableName, str]) -> list[Fault]:
    """Notes about missing tables, spans that differ, and names that `daily` does not know."""
    notes: list[Fault] = []
    daily = relations.get("daily")
    if daily is None:
        return notes
    absent: tuple[TableName, ...] = ("touches", "events", "rivals")
    notes += [Fault("RC171", "note", files["daily"], args={"table": name}) for name in absent if name not in relations]
    span = date_span(daily, "date")
    dated: tuple[tuple[TableName, str], ...] = (("touches", "time"), ("rivals", "date"), ("slots", "date"))
    for table, column in dated:
        relation = relations.get(table)
        other = date_span(relation, column) if relation is not None else None
        if span and other and other != span:
            first, last, daily_first, daily_last = (str(day) for day in (*other, *span))
            args = {"first": first, "last": last, "daily_first": daily_first, "daily_last": daily_last}
            notes.append(Fault("RC172", "note", files[table], args=args))
    naming: tuple[TableName, ...] = ("touches", "events", "tests", "deals")
    for table in naming:
        relation = relations.get(table)
        for column in ("channel", "market"):
            if relation is None or column not in relation.column_names or column not in daily.column_names:
                continue
            strange = set(pc.unique(relation[column]).to_pylist()) - set(pc.unique(daily[column]).to_pylist())
            strange -= {None, "all", WHOLE_SHOP}
            if strange:
                shown = ", ".join(sorted(str(value) for value in strange)[:10])
                notes.append(Fault("RC174", "note", files[table], column=column, args={"names": shown}))
    return notes
