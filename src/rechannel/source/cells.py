"""Every cell of a loaded file against its column: typed values, and what is wrong with which line."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from rechannel.source.contract import Column, Table
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import TOTALS, bare_word
from rechannel.source.mapping import HeaderMapping
from rechannel.source.read import RAW
from rechannel.source.values import (
    COMMA_SHOWN,
    COMMA_UNSURE,
    DAY_FIRST,
    EPOCH,
    MONEY_SIGN,
    POINT_SHOWN,
    POINT_UNSURE,
    REFUSED_CELLS,
    WIDE_DIGIT,
    CellSql,
    ColumnForms,
    cell_sql,
    date_form_sql,
    epoch_sql,
    offset_sql,
    zoned_sql,
)
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import MOST_FAULTS, nearest

TYPED = "typed"
"""DuckDB table: canonical columns with their types, and `line`."""

_PLAIN_FORMS = ColumnForms()
_YUAN = frozenset(("CNY", "TWD", "HKD", "MOP", "SGD"))
_DOLLAR = frozenset(("USD", "HKD", "TWD", "SGD", "MOP", "AUD", "CAD", "NZD", "MXN", "CLP"))
_CURRENCIES: Mapping[str, frozenset[str]] = {
    **{code: frozenset({code}) for code in ("CNY", "USD", "HKD", "TWD", "EUR", "GBP", "JPY")},
    **dict.fromkeys(("元", "圆", "圓"), _YUAN),
    **dict.fromkeys("¥￥", _YUAN | {"JPY"}),
    "RMB": frozenset({"CNY"}),
    "$": _DOLLAR,
    "US$": frozenset({"USD"}),
    "HK$": frozenset({"HKD"}),
    "NT$": frozenset({"TWD"}),
    "€": frozenset({"EUR"}),
    "£": frozenset({"GBP"}),
}
"""Which currencies a sign or word may mean."""
_ONE_CURRENCY = {
    "￥": "¥",
    "元": "¥",
    "圆": "¥",
    "圓": "¥",
    "RMB": "¥",
    "CNY": "¥",
    "USD": "$",
    "US$": "$",
    "EUR": "€",
    "GBP": "£",
}
"""Signs and words of one currency."""


def type_cells(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    mapping: HeaderMapping,
    timezone: str,
    faults: FaultList,
    *,
    separator: str = ",",
    currency: str = "",
) -> None:
    """Make `typed` from `raw`; every cell that cannot be read is a fault with its line.

    One pass counts the cells of each column that are not in the plain form; only columns that have some are read by
    the full rules.

    Parameters
    ----------
    separator
        What separated the fields of the file; beside `;` a number such as 1,234 may be a decimal.
    currency
        Currency of the case; signs of another one are refused. Empty = not compared.
    """
    present = [column for column in table.columns if column.name in mapping.positions]
    stray = _stray_rows(connection, table, present, mapping, faults)
    odd, blank = _counts(connection, present, mapping, stray, timezone, separator)
    selected = ["line"]
    for column in present:
        text, printed = f"c{mapping.positions[column.name]}", mapping.names[column.name]
        forms = _PLAIN_FORMS
        if column.name in odd:
            forms = _column_forms(connection, column, text, timezone, separator)
            if forms.wide:
                _say_wide(connection, text, printed, faults)
        cell = cell_sql(column, text, timezone, forms)
        if column.name in odd:
            _cell_faults(connection, column, printed, text, cell, stray, currency, faults)
        selected.append(f"{cell.value if column.name in odd else cell.quick} AS {named(column.name)}")
        if column.name in blank and (column.required or (table.name == "daily" and column.name == "market")):
            excused = _whole_shop_rows(table, column, mapping)
            _blanks(connection, column, printed, text, f"line NOT IN ({stray}){excused}", faults)
        if column.type == "date" and column.name in odd:
            _date_forms(connection, printed, text, faults)
        elif column.type == "time" and column.name in odd:
            _offsets(connection, printed, text, timezone, faults)
    connection.execute(f"CREATE OR REPLACE TABLE {TYPED} AS SELECT {', '.join(selected)} FROM {RAW}")


def _counts(
    connection: duckdb.DuckDBPyConnection,
    present: list[Column],
    mapping: HeaderMapping,
    stray: str,
    timezone: str,
    separator: str,
) -> tuple[set[str], set[str]]:
    """Columns with cells that are not in the plain form, and columns with blank cells, beside the stray rows."""
    counted = []
    forms = ColumnForms(pointed=separator != ";")
    for column in present:
        text = f"c{mapping.positions[column.name]}"
        plain = cell_sql(column, text, timezone, forms).plain
        counted += [f"bool_or({text} IS NOT NULL AND NOT ({plain}))", f"bool_or({text} IS NULL)"]
    found = connection.execute(f"SELECT {', '.join(counted)} FROM {RAW} WHERE line NOT IN ({stray})").fetchall()[0]
    names = [column.name for column in present]
    return (
        {name for name, some in zip(names, found[0::2], strict=True) if some},
        {name for name, some in zip(names, found[1::2], strict=True) if some},
    )


def _word_sql(text: str) -> str:
    """`bare_word` as SQL."""
    return f"regexp_replace(lower({text}), '[\\s\\x{{3000}}:：]', '', 'g')"


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
        found = " OR ".join(f"{_word_sql(key)} IN ({words})" for key in keys)
        no_date = f"({dates[0]} IS NULL OR NOT regexp_matches({dates[0]}, '[0-9]'))"
        listed = ", ".join(["line", *keys])
        # Few rows have no date: only those are compared with words.
        for line, *cells in connection.execute(
            f"""WITH undated AS MATERIALIZED (SELECT {listed} FROM {RAW} WHERE {no_date})
            SELECT {listed} FROM undated WHERE {found} ORDER BY line LIMIT {MOST_FAULTS}"""
        ).fetchall():
            word = next(str(cell) for cell in cells if cell is not None and bare_word(str(cell)) in TOTALS)
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


def _column_forms(
    connection: duckdb.DuckDBPyConnection, column: Column, text: str, timezone: str, separator: str
) -> ColumnForms:
    """What the cells of a column tell together: the order of day and month, the zone of epoch days, digits, marks."""
    if column.type in ("text", "enum"):
        return _PLAIN_FORMS
    wide = f"bool_or(regexp_matches({text}, {quoted(WIDE_DIGIT)}))"
    if column.type == "time":
        (found,) = connection.execute(f"SELECT {wide} FROM {RAW}").fetchall()[0]
        return ColumnForms(wide=bool(found))
    if column.type == "date":
        ends = ", ".join(
            f"max(TRY_CAST(regexp_extract({text}, {quoted(DAY_FIRST)}, {part}) AS INTEGER))" for part in (1, 3)
        )
        epoch = f"regexp_full_match({text}, {quoted(EPOCH)})"
        midnights = ", ".join(
            f"bool_and(CAST({zoned_sql(epoch_sql(text), zone)} AS TIME) = TIME '00:00') FILTER ({epoch})"
            for zone in ("UTC", timezone)
        )
        first, second, utc, local, found = connection.execute(
            f"SELECT {ends}, {midnights}, {wide} FROM {RAW}"
        ).fetchall()[0]
        order = "dmy" if (first or 0) > 12 >= (second or 13) else "mdy" if (second or 0) > 12 >= (first or 13) else ""
        return ColumnForms(order, "UTC" if utc else timezone if local else "", bool(found))
    if separator != ";":
        (found,) = connection.execute(f"SELECT {wide} FROM {RAW}").fetchall()[0]
        return ColumnForms(wide=bool(found))
    # Beside `;`, 1,234 or 1.234 is a decimal in one country and thousands in another, unless another cell shows which.
    some = ", ".join(
        f"bool_or(regexp_full_match({text}, {quoted(pattern)}))"
        for pattern in (COMMA_UNSURE, COMMA_SHOWN, POINT_UNSURE, POINT_SHOWN)
    )
    comma, comma_shown, point, point_shown, found = connection.execute(f"SELECT {some}, {wide} FROM {RAW}").fetchall()[
        0
    ]
    return ColumnForms(
        wide=bool(found),
        grouped=bool(not comma or comma_shown),
        pointed=bool(not point or point_shown or comma_shown),
    )


def _say_wide(connection: duckdb.DuckDBPyConnection, text: str, printed: str, faults: FaultList) -> None:
    """Warn once when a column has full-width digits."""
    count, line, cell = connection.execute(
        f"""SELECT count(*), min(line), arg_min({text}, line) FROM {RAW}
        WHERE regexp_matches({text}, {quoted(WIDE_DIGIT)})"""
    ).fetchall()[0]
    faults.add("RC182", "warning", line=int(line), column=printed, value=_shown(cell), count=f"{count:,}")


def _cell_faults(
    connection: duckdb.DuckDBPyConnection,
    column: Column,
    printed: str,
    text: str,
    cell: CellSql,
    stray: str,
    currency: str,
    faults: FaultList,
) -> None:
    """One fault per refused cell (to a hundred); one per kind of odd but readable cell."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE odd_cells AS SELECT line, cell, v, {cell.code} AS code FROM (
        SELECT line, {text} AS cell, {cell.value} AS v FROM {RAW}
        WHERE {text} IS NOT NULL AND NOT ({cell.plain}) AND line NOT IN ({stray})) WHERE code IS NOT NULL"""
    )
    summary = connection.execute(
        """SELECT code, count(*), min(line), arg_min(cell, line), CAST(arg_min(v, line) AS VARCHAR)
        FROM odd_cells GROUP BY code ORDER BY code"""
    ).fetchall()
    money = {"RC152", "RC153"} & {str(row[0]) for row in summary}
    mixed = bool(money) and _other_currency(connection, printed, text, currency, faults)
    for found, count, first_line, first_cell, read in summary:
        if found == "RC152" and mixed:
            continue
        code = "RC120" if found == "RC151" and column.required else str(found)
        if code == "RC126":
            faults.add(
                "RC126", "refuse", line=int(first_line), column=printed, value=_shown(first_cell), count=f"{count:,}"
            )
        elif code in REFUSED_CELLS:
            rows = connection.execute(
                f"SELECT line, cell FROM odd_cells WHERE code = ? ORDER BY line LIMIT {MOST_FAULTS}", [found]
            ).fetchall()
            for line, shown in rows:
                near = nearest(str(shown).lower(), column.allowed) if column.allowed else ""
                faults.add(code, "refuse", line=int(line), column=printed, value=_shown(shown), nearest=near)
        else:
            faults.add(
                code,
                "warning",
                line=int(first_line),
                column=printed,
                value=_shown(first_cell),
                read=str(read),
                count=f"{count:,}",
            )
    connection.execute("DROP TABLE odd_cells")


def _shown(cell: object) -> str:
    """A cell as a message shows it: one line, at most 60 characters, no control characters."""
    text = "".join(letter if letter.isprintable() else "·" for letter in str(cell))
    return text if len(text) <= 60 else text[:57] + "..."


def _other_currency(
    connection: duckdb.DuckDBPyConnection, printed: str, text: str, currency: str, faults: FaultList
) -> bool:
    """Refuse a column with two currencies (￥ and ¥ and 元 are one), or with another one than the case's."""
    rows = connection.execute(
        f"""SELECT upper(regexp_extract({text}, {quoted(MONEY_SIGN)}, 1)) AS sign, min(line) FROM {RAW}
        WHERE sign <> '' GROUP BY sign ORDER BY 2"""
    ).fetchall()
    signs: dict[str, int] = {}
    for sign, line in rows:
        signs.setdefault(_ONE_CURRENCY.get(str(sign), str(sign)), int(line))
    if len(signs) > 1:
        faults.add("RC132", "refuse", line=list(signs.values())[1], column=printed, signs=" ".join(signs))
        return True
    others = [(str(sign), int(line)) for sign, line in rows if currency not in {"", *_CURRENCIES[str(sign)]}]
    for sign, line in others[:1]:
        faults.add("RC740", "refuse", line=line, column=printed, found=sign, wanted=currency)
    return bool(others)


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
