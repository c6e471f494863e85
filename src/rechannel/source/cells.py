"""Every cell of a loaded file against its column: typed values, and what is wrong with which line."""

from __future__ import annotations

import duckdb

from rechannel.source.contract import Column, Table
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import TOTALS
from rechannel.source.mapping import HeaderMapping
from rechannel.source.read import RAW
from rechannel.source.values import REFUSED_CELLS, SIGNS, cell_sql, date_form_sql, offset_sql
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import MOST_FAULTS, nearest

TYPED = "typed"
"""DuckDB table: canonical columns with their types, and `line`."""


def type_cells(
    connection: duckdb.DuckDBPyConnection, table: Table, mapping: HeaderMapping, timezone: str, faults: FaultList
) -> None:
    """Make `typed` from `raw`; every cell that cannot be read is a fault with its line."""
    present = [column for column in table.columns if column.name in mapping.positions]
    selected = ["line"]
    codes = []
    for column in present:
        text = f"c{mapping.positions[column.name]}"
        cell = cell_sql(column, text, timezone)
        selected.append(f"{cell.value} AS {named(column.name)}")
        if cell.code != "NULL":
            codes.append((column, text, cell.code))
    stray = _stray_rows(connection, table, present, mapping, faults)
    connection.execute(f"CREATE OR REPLACE TABLE {TYPED} AS SELECT {', '.join(selected)} FROM {RAW} ORDER BY line")
    for column, text, code in codes:
        _cell_faults(connection, column, mapping.names[column.name], text, code, stray, faults)
    for column in present:
        text = f"c{mapping.positions[column.name]}"
        printed = mapping.names[column.name]
        if column.required or (table.name == "daily" and column.name == "market"):
            excused = _whole_shop_rows(table, column, mapping)
            _blanks(connection, column, printed, text, f"line NOT IN ({stray}){excused}", faults)
        if column.type == "date":
            _date_forms(connection, printed, text, faults)
        elif column.type == "time":
            _offsets(connection, printed, text, timezone, faults)


def _stray_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    present: list[Column],
    mapping: HeaderMapping,
    faults: FaultList,
) -> str:
    """Refuse a second header row and total rows; SQL list of their lines, so that their cells are not named too."""
    lines = [0]
    keys = [f"c{mapping.positions[column.name]}" for column in present if column.key]
    words = ", ".join(quoted(word) for word in TOTALS)
    dates = [
        f"c{mapping.positions[column.name]}" for column in present if column.type in ("date", "time") and column.key
    ]
    if table.name in ("daily", "touches", "slots") and dates:
        found = " OR ".join(f"lower({key}) IN ({words})" for key in keys)
        no_date = f"({dates[0]} IS NULL OR NOT regexp_matches({dates[0]}, '[0-9]'))"
        for line, *cells in connection.execute(
            f"SELECT line, {', '.join(keys)} FROM {RAW} WHERE {no_date} AND ({found}) ORDER BY line LIMIT {MOST_FAULTS}"
        ).fetchall():
            word = next(str(cell) for cell in cells if cell is not None and str(cell).lower() in TOTALS)
            faults.add("RC115", "refuse", line=int(line), word=word)
            lines.append(int(line))
    numbers = [f"c{mapping.positions[c.name]}" for c in present if c.type in ("count", "amount", "number", "share")]
    others = [f"c{mapping.positions[column.name]}" for column in present if column.type in ("date", "time")]
    if numbers and others:
        bare = " AND ".join(f"coalesce(NOT regexp_matches({cell}, '[0-9]'), true)" for cell in [*numbers, *others])
        some = " OR ".join(f"{cell} IS NOT NULL" for cell in numbers)
        first = connection.execute(
            f"SELECT line FROM {RAW} WHERE line = (SELECT min(line) FROM {RAW}) AND {bare} AND ({some})"
        ).fetchall()
        for (line,) in first:
            if int(line) not in lines:
                faults.add("RC116", "refuse", line=int(line))
                lines.append(int(line))
    return ", ".join(str(line) for line in lines)


def _cell_faults(
    connection: duckdb.DuckDBPyConnection,
    column: Column,
    printed: str,
    text: str,
    code: str,
    stray: str,
    faults: FaultList,
) -> None:
    """One fault per refused cell (to a hundred); one per kind of odd but readable cell."""
    summary = connection.execute(
        f"""SELECT code, count(*), min(line), arg_min(cell, line) FROM (
        SELECT {code} AS code, line, {text} AS cell FROM {RAW} WHERE line NOT IN ({stray}))
        WHERE code IS NOT NULL GROUP BY code ORDER BY code"""
    ).fetchall()
    for found, count, first_line, first_cell in summary:
        if found == "RC152" and _mixed_currency(connection, printed, text, faults):
            continue
        if found == "RC151" and column.required:
            found = "RC120"
        if found == "RC126":
            faults.add(
                "RC126", "refuse", line=int(first_line), column=printed, value=_shown(first_cell), count=f"{count:,}"
            )
        elif found in REFUSED_CELLS or found == "RC120":
            rows = connection.execute(
                f"""SELECT line, {text} FROM {RAW} WHERE ({code}) = ? AND line NOT IN ({stray})
                ORDER BY line LIMIT {MOST_FAULTS}""",
                ["RC151" if found == "RC120" else found],
            ).fetchall()
            for line, cell in rows:
                near = nearest(str(cell).lower(), column.allowed) if column.allowed else ""
                faults.add(found, "refuse", line=int(line), column=printed, value=_shown(cell), nearest=near)
        else:
            faults.add(
                found, "warning", line=int(first_line), column=printed, value=_shown(first_cell), count=f"{count:,}"
            )


def _shown(cell: object) -> str:
    """A cell as a message shows it: one line, at most 60 characters, no control characters."""
    text = "".join(letter if letter.isprintable() else "·" for letter in str(cell))
    return text if len(text) <= 60 else text[:57] + "..."


def _mixed_currency(connection: duckdb.DuckDBPyConnection, printed: str, text: str, faults: FaultList) -> bool:
    """Refuse a column with two currencies (￥ and ¥ and 元 are one)."""
    sign = f"replace(replace(regexp_extract({text}, '[{SIGNS}元]'), '￥', '¥'), '元', '¥')"
    rows = connection.execute(
        f"SELECT {sign} AS sign, min(line) FROM {RAW} WHERE {sign} <> '' GROUP BY sign ORDER BY 2"
    ).fetchall()
    if len(rows) < 2:
        return False
    faults.add("RC132", "refuse", line=int(rows[1][1]), column=printed, signs=" ".join(str(row[0]) for row in rows))
    return True


def _whole_shop_rows(table: Table, column: Column, mapping: HeaderMapping) -> str:
    """Rows of channel `total` may lack visits: they state what is only known for the whole shop."""
    if table.name != "daily" or column.name != "visits" or "channel" not in mapping.positions:
        return ""
    channel = f"c{mapping.positions['channel']}"
    return f" AND {channel} IS DISTINCT FROM {quoted(WHOLE_SHOP)}"


def _blanks(
    connection: duckdb.DuckDBPyConnection, column: Column, printed: str, text: str, judged: str, faults: FaultList
) -> None:
    code = "RC134" if column.name == "market" else "RC120"
    rows = connection.execute(
        f"SELECT line FROM {RAW} WHERE {text} IS NULL AND {judged} ORDER BY line LIMIT {MOST_FAULTS}"
    ).fetchall()
    for (line,) in rows:
        faults.add(code, "refuse", line=int(line), column=printed, value="", nearest="")


def _date_forms(connection: duckdb.DuckDBPyConnection, printed: str, text: str, faults: FaultList) -> None:
    """Warn when one column writes its dates in two ways."""
    rows = connection.execute(
        f"SELECT {date_form_sql(text)} AS form, min(line) FROM {RAW} WHERE form IS NOT NULL GROUP BY form ORDER BY 2"
    ).fetchall()
    if len(rows) > 1:
        forms = ", ".join(str(row[0]) for row in rows)
        faults.add("RC154", "warning", line=int(rows[1][1]), column=printed, forms=forms)


def _offsets(connection: duckdb.DuckDBPyConnection, printed: str, text: str, timezone: str, faults: FaultList) -> None:
    """Warn when one column mixes offsets; note when all times state the same one."""
    rows = connection.execute(
        f"SELECT {offset_sql(text)} AS zone, min(line) FROM {RAW} WHERE {text} IS NOT NULL GROUP BY zone ORDER BY 2"
    ).fetchall()
    if len(rows) > 1:
        shown = ", ".join(str(row[0]) or "—" for row in rows)
        faults.add("RC165", "warning", line=int(rows[1][1]), column=printed, offsets=shown, timezone=timezone)
    elif rows and rows[0][0]:
        faults.add("RC175", "note", column=printed, offset=str(rows[0][0]), timezone=timezone)
