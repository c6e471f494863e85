"""What must hold between the rows of one table: keys, order of dates, history, and figures that look wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import duckdb

from rechannel.source.cells import TYPED
from rechannel.source.contract import FEWEST_DAYS, FEWEST_WEEKS, TABLES, Table, TableName
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import ALL_MARKETS, WHOLE_SHOP, Cadence, Channel, folded
from rechannel.vocabulary.errors import MOST_FAULTS

SLIP = 100
"""A count this many times both of its neighbours is taken for a slip of the unit."""
SMALLEST_SLIP_BASE = 10
BOT_SHARE = 0.2
BOT_ROWS = 100
GAPS_NAMED = 20
FEWEST_SUMMED = 3
"""A sum and at least two parts."""
_SUM_WORDS = re.compile("[合总小]计(?![算划])|[合總小]計(?![算劃])")
_SUM_NAMES = frozenset(
    (
        *("total", "totals", "grandtotal", "subtotal", "allchannels", "全店", "全部", "全渠道", "全部渠道", "所有渠道"),
        *("汇总", "整体", "总体", "彙總", "整體", "總體"),
    )
)
"""What the sum of all channels is called, folded."""
_NAME_COLUMNS = ("channel", "market", "firm", "slot", "occupant", "host", "tenant", "lever", "entity")
_HOSTILE = r"^[=+\-@\t\r]|[<>]|[\x00-\x1f\x7f]"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a case declares and its files are held to.

    Attributes
    ----------
    today
        Days after it are the future.
    cadence
        daily or weekly.
    timezone
        IANA name; naive times are in it.
    currency
        Currency of the case; files that state another are refused. Empty = not compared.
    channels
        Channels with other names under which files mention them.
    """

    today: date
    cadence: Cadence = "daily"
    timezone: str = "Asia/Shanghai"
    currency: str = ""
    channels: tuple[Channel, ...] = ()


def check_rows(
    connection: duckdb.DuckDBPyConnection, name: TableName, rules: Rules, faults: FaultList, *, whole: bool
) -> int:
    """Check `typed` and clean it: names joined, exact duplicates dropped.

    Parameters
    ----------
    whole
        Whether the rows are the whole table (history and gaps are judged) or an addition to it.

    Returns
    -------
    How many exact duplicate rows were dropped.
    """
    table = TABLES[name]
    present = [str(row[0]) for row in connection.execute(f"DESCRIBE {TYPED}").fetchall() if row[0] != "line"]
    for column in _NAME_COLUMNS:
        if column in present:
            _names(connection, table, present, column, faults)
    if not table.may_be_future:
        _future(connection, table, present, rules, faults)
    _periods(connection, present, faults)
    dropped = _duplicates(connection, table, present, faults)
    check = _BY_TABLE.get(name)
    if check is not None:
        check(connection, present, faults)
    if name == "daily" and whole:
        check_history(connection, present, rules, faults)
    return dropped


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()


def _line(value: object) -> int:
    assert isinstance(value, int)
    return value


def _names(
    connection: duckdb.DuckDBPyConnection, table: Table, present: list[str], column: str, faults: FaultList
) -> None:
    """Join spellings that differ in case, width or spaces; keep them apart where both stand under one key."""
    place = named(column)
    rows = _rows(
        connection,
        f"SELECT {place}, count(*), min(line) FROM {TYPED} WHERE {place} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 3",
    )
    if len(rows) > 5000:
        return
    groups: dict[str, list[tuple[str, int]]] = {}
    for value, _, line in rows:
        groups.setdefault(folded(str(value)), []).append((str(value), _line(line)))
    others = [named(key) for key in table.key if key != column and key in present]
    for spellings in groups.values():
        if len(spellings) < 2:
            continue
        listed = ", ".join(quoted(value) for value, _ in spellings)
        shown = ", ".join(repr(value) for value, _ in spellings)
        line = max(line for _, line in spellings)
        together = others and _rows(
            connection,
            f"""SELECT 1 FROM {TYPED} WHERE {place} IN ({listed}) GROUP BY {", ".join(others)}
            HAVING count(DISTINCT {place}) > 1 LIMIT 1""",
        )
        if together:
            faults.add("RC163", "warning", line=line, column=column, names=shown)
        else:
            keep = spellings[0][0]
            connection.execute(f"UPDATE {TYPED} SET {place} = ? WHERE {place} IN ({listed})", [keep])
            faults.add("RC162", "warning", line=line, column=column, names=shown, kept=keep)
    for value, line in _rows(
        connection,
        f"""SELECT {place}, min(line) FROM {TYPED} WHERE regexp_matches({place}, {quoted(_HOSTILE)})
        GROUP BY 1 ORDER BY 2 LIMIT 20""",
    ):
        faults.add("RC164", "warning", line=_line(line), column=column, name=str(value)[:60])


def _future(
    connection: duckdb.DuckDBPyConnection, table: Table, present: list[str], rules: Rules, faults: FaultList
) -> None:
    for column in table.columns:
        if column.key and column.type in ("date", "time") and column.name in present:
            # A clock in another zone may be ahead by a day.
            last = rules.today + timedelta(days=column.type == "time")
            place = named(column.name)
            for line, value in _rows(
                connection,
                f"""SELECT line, {place} FROM {TYPED} WHERE CAST({place} AS DATE) > DATE '{last}'
                ORDER BY line LIMIT {MOST_FAULTS}""",
            ):
                faults.add(
                    "RC127", "refuse", line=_line(line), column=column.name, value=str(value), today=str(rules.today)
                )


def _periods(connection: duckdb.DuckDBPyConnection, present: list[str], faults: FaultList) -> None:
    for start, end in (("start", "end"), ("period_start", "period_end")):
        if start in present and end in present:
            for line, first, last in _rows(
                connection,
                f"""SELECT line, {named(start)}, {named(end)} FROM {TYPED} WHERE {named(end)} < {named(start)}
                ORDER BY line LIMIT {MOST_FAULTS}""",
            ):
                faults.add("RC133", "refuse", line=_line(line), column=end, start=str(first), end=str(last))


def _duplicates(connection: duckdb.DuckDBPyConnection, table: Table, present: list[str], faults: FaultList) -> int:
    """Refuse one key with two contents; drop and name exact repeats. Ties of a log are two rows, and said."""
    keys = [named(key) for key in table.key if key in present]
    if not keys:
        return 0
    parts = ", ".join(keys)
    ties = [named(name) for name in table.ties if name in present]
    row = ", ".join([*keys, *ties])
    unread = [f"{named(c.name)} IS NOT NULL" for c in table.columns if c.key and c.required and c.name in present]
    judged = " AND ".join(unread) or "true"
    content = f"struct_pack({', '.join(f'{named(name)} := {named(name)}' for name in present)})"
    connection.execute(
        f"""CREATE OR REPLACE TABLE repeated AS
        SELECT line, min(line) OVER row AS first, content IS NOT DISTINCT FROM first_value(content) OVER row AS same,
            hash({parts}) AS key
        FROM (SELECT *, {content} AS content FROM {TYPED} WHERE {judged} AND hash({parts}) IN (
            SELECT hash({parts}) FROM {TYPED} GROUP BY 1 HAVING count(*) > 1))
        WINDOW row AS (PARTITION BY {row} ORDER BY line)"""
    )
    repeats = "FROM repeated WHERE line > first"
    for line, first in _rows(
        connection, f"SELECT line, first {repeats} AND NOT same ORDER BY line LIMIT {MOST_FAULTS}"
    ):
        faults.add("RC136", "refuse", line=_line(line), first=str(first), key=", ".join(table.key))
    lines = [_line(row[0]) for row in _rows(connection, f"SELECT line {repeats} AND same ORDER BY line")]
    if lines:
        first = _line(_rows(connection, f"SELECT first FROM repeated WHERE line = {lines[0]}")[0][0])
        shown = ", ".join(str(line) for line in lines[:20]) + (" ..." if len(lines) > 20 else "")
        faults.add("RC150", "warning", line=lines[0], first=str(first), count=f"{len(lines):,}", lines=shown)
        connection.execute(f"DELETE FROM {TYPED} WHERE line IN (SELECT line {repeats} AND same)")
    if ties:
        tied = (
            "SELECT count(*) AS n, min(line) AS line FROM repeated WHERE line = first GROUP BY key HAVING count(*) > 1"
        )
        count, at = connection.execute(f"SELECT sum(n), min(line) FROM ({tied})").fetchall()[0]
        if count:
            faults.add("RC185", "note", line=int(at), column="value", count=f"{count:,}")
    connection.execute("DROP TABLE repeated")
    return len(lines)


def _odd(
    connection: duckdb.DuckDBPyConnection, condition: str, code: str, column: str, faults: FaultList, shown: str
) -> None:
    """One warning for all rows that meet `condition`, at the first of them."""
    count, line, value = connection.execute(
        f"SELECT count(*), min(line), arg_min({shown}, line) FROM {TYPED} WHERE {condition}"
    ).fetchall()[0]
    if count:
        faults.add(code, "warning", line=int(line), column=column, count=f"{count:,}", value=_shown(value))


def _shown(value: object) -> str:
    return f"{value:,g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def check_markets(connection: duckdb.DuckDBPyConnection, present: list[str], faults: FaultList) -> None:
    """The sum of the markets (a row without a market) never stands beside named ones, on one date of one channel."""
    if "market" not in present:
        return
    market = f"lower(coalesce(market, {quoted(ALL_MARKETS)}))"
    for day, channel, line in _rows(
        connection,
        f"""SELECT date, channel, min(line) FILTER ({market} = {quoted(ALL_MARKETS)}) FROM {TYPED}
        GROUP BY date, channel HAVING count(DISTINCT {market}) > 1
        AND bool_or({market} = {quoted(ALL_MARKETS)}) ORDER BY 3 LIMIT {MOST_FAULTS}""",
    ):
        faults.add("RC135", "refuse", line=_line(line), column="market", date=str(day), channel=str(channel))


def _sums(connection: duckdb.DuckDBPyConnection, present: list[str], faults: FaultList) -> None:
    """The sum of the channels is no channel: refused by its name, warned of by its figures."""
    if "channel" not in present:
        return
    rows = _rows(connection, f"SELECT channel, min(line), count(*) FROM {TYPED} GROUP BY channel ORDER BY 2")
    named_so = [(str(name), _line(line), count) for name, line, count in rows if _is_sum(str(name))]
    for name, line, count in named_so:
        faults.add("RC187", "refuse", line=line, column="channel", name=name, count=f"{count:,}")
    if named_so or "visits" not in present or len(rows) < FEWEST_SUMMED:
        return
    place = "date, market" if "market" in present else "date"
    for label, at in _rows(
        connection,
        f"""SELECT channel, min(line) FROM (SELECT channel, line, visits,
                sum(visits) OVER day AS whole, count(visits) OVER day AS parts
            FROM {TYPED} WHERE channel <> {quoted(WHOLE_SHOP)} WINDOW day AS (PARTITION BY {place}))
        GROUP BY channel HAVING min(parts) >= {FEWEST_SUMMED} AND max(visits) > 0
            AND bool_and(abs(2 * visits - whole) < 0.5) AND count(*) >= {FEWEST_DAYS} ORDER BY 2""",
    ):
        faults.add("RC188", "warning", line=_line(at), column="channel", name=str(label))


def _is_sum(name: str) -> bool:
    """Whether a channel is called a sum; `total` itself is what a shop knows for all channels together."""
    return name != WHOLE_SHOP and (folded(name) in _SUM_NAMES or _SUM_WORDS.search(name) is not None)


def _check_daily(connection: duckdb.DuckDBPyConnection, present: list[str], faults: FaultList) -> None:
    check_markets(connection, present, faults)
    _sums(connection, present, faults)
    for column in ("visits", "new_customers", "orders", "volume"):
        if column in present:
            _odd(connection, f"{column} <> round({column})", "RC155", column, faults, column)
    if "gmv" in present:
        _odd(connection, "gmv < 0", "RC156", "gmv", faults, "gmv")
    if "orders" in present and "visits" in present:
        _odd(connection, "orders > visits", "RC157", "orders", faults, "orders")
    if "orders" in present and "new_customers" in present:
        _odd(connection, "new_customers > orders", "RC158", "new_customers", faults, "new_customers")


def check_history(connection: duckdb.DuckDBPyConnection, present: list[str], rules: Rules, faults: FaultList) -> None:
    """Length, rhythm and gaps of a daily panel in `typed`."""
    days = [row[0] for row in _rows(connection, f"SELECT DISTINCT date FROM {TYPED} WHERE date IS NOT NULL ORDER BY 1")]
    dates = [day for day in days if isinstance(day, date)]
    steps = Counter((after - before).days for before, after in pairwise(dates))
    usual = steps.most_common(1)[0][0] if steps else 1
    if rules.cadence == "daily" and usual >= 7:
        faults.add("RC137", "refuse", column="date", step=str(usual), rows=str(len(dates)))
        return
    if rules.cadence == "weekly" and any(step % 7 for step in steps):
        odd = next(step for step in steps if step % 7)
        faults.add("RC139", "refuse", column="date", step=str(odd))
        return
    fewest = FEWEST_DAYS if rules.cadence == "daily" else FEWEST_WEEKS
    if len(dates) < fewest:
        code = "RC138" if rules.cadence == "daily" else "RC141"
        faults.add(code, "refuse", column="date", found=str(len(dates)), fewest=str(fewest))
        return
    if (dates[-1] - dates[0]).days < 365:
        faults.add("RC173", "note", column="date", first=str(dates[0]), last=str(dates[-1]), days=str(len(dates)))
    _flat(connection, faults)
    _neighbours(connection, present, 7 if rules.cadence == "weekly" else 1, faults)


def _series(present: list[str]) -> str:
    return "market, channel" if "market" in present else "channel"


def _neighbours(connection: duckdb.DuckDBPyConnection, present: list[str], step: int, faults: FaultList) -> None:
    """Days of a channel that are absent between two rows, and single values a hundred times both neighbours.

    Every series is put in order once, and only the rows that stand out leave the pass.
    """
    columns = [column for column in ("visits", "orders", "new_customers", "gmv") if column in present]
    beside = ", ".join(
        f"lag({column}) OVER series AS {column}_before, lead({column}) OVER series AS {column}_after"
        for column in columns
    )
    slipped = {column: _slip_sql(column) for column in columns}
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE neighbours AS SELECT * FROM (
            SELECT line, channel, date, {", ".join(columns)}, lead(date) OVER series AS later,
                lead(line) OVER series AS later_line, {beside}
            FROM {TYPED} WINDOW series AS (PARTITION BY {_series(present)} ORDER BY date))
        WHERE later - date > {step} OR {" OR ".join(slipped.values())}"""
    )
    _gaps(connection, step, faults)
    for column, condition in slipped.items():
        for line, value, before, after in _rows(
            connection,
            f"""SELECT line, {column}, {column}_before, {column}_after FROM neighbours WHERE {condition}
            ORDER BY line LIMIT 20""",
        ):
            faults.add(
                "RC161",
                "warning",
                line=_line(line),
                column=column,
                value=f"{value:,.0f}",
                before=f"{before:,.0f}",
                after=f"{after:,.0f}",
            )
    connection.execute("DROP TABLE neighbours")


def _slip_sql(column: str) -> str:
    """Whether a value is a hundred times both of its neighbours."""
    largest = f"greatest({column}_before, {column}_after)"
    known = f"{column}_before IS NOT NULL AND {column}_after IS NOT NULL"
    return f"({largest} >= {SMALLEST_SLIP_BASE} AND {column} >= {SLIP} * {largest} AND {known})"


def _gaps(connection: duckdb.DuckDBPyConnection, step: int, faults: FaultList) -> None:
    """Days of a channel that are absent between its first and its last row."""
    rows = _rows(
        connection,
        f"""SELECT channel, later_line, CAST(date + {step} AS DATE), CAST(later - {step} AS DATE), later - date
        FROM neighbours WHERE later - date > {step} ORDER BY 3, 1""",
    )
    for channel, line, first, last, width in rows[:GAPS_NAMED]:
        days = str(_line(width) // step - 1)
        faults.add(
            "RC159", "warning", line=_line(line), channel=str(channel), first=str(first), last=str(last), days=days
        )
    if len(rows) > GAPS_NAMED:
        faults.add("RC176", "warning", count=f"{len(rows) - GAPS_NAMED:,}")


def _flat(connection: duckdb.DuckDBPyConnection, faults: FaultList) -> None:
    """Channels whose visits never move."""
    for channel, level, line in _rows(
        connection,
        f"""SELECT channel, max(visits), min(line) FROM {TYPED} WHERE channel <> {quoted(WHOLE_SHOP)}
        GROUP BY channel HAVING min(visits) = max(visits) AND count(*) >= 14 ORDER BY 3""",
    ):
        code = "RC160" if level == 0 else "RC177"
        faults.add(code, "warning", line=_line(line), column="visits", channel=str(channel), value=f"{level:g}")


def _check_touches(connection: duckdb.DuckDBPyConnection, present: list[str], faults: FaultList) -> None:
    personal = r"^(\+?86)?1[3-9][0-9]{9}$|^[^@\s]+@[^@\s]+\.[^@\s]+$"
    matched = f"regexp_matches(customer, {quoted(personal)})"
    count, line = connection.execute(f"SELECT count(*), min(line) FROM {TYPED} WHERE {matched}").fetchall()[0]
    if count:
        faults.add("RC166", "warning", line=int(line), column="customer", count=f"{count:,}")
    total = _line(_rows(connection, f"SELECT count(*) FROM {TYPED}")[0][0])
    if total >= BOT_ROWS:
        for customer, rows, first in _rows(
            connection,
            f"""SELECT customer, count(*), min(line) FROM {TYPED} GROUP BY customer
            HAVING count(*) > {BOT_SHARE * total} ORDER BY 2 DESC""",
        ):
            share = f"{100 * _line(rows) / total:.0f}%"
            faults.add(
                "RC167", "warning", line=_line(first), column="customer", customer=str(customer)[:40], share=share
            )
    bare = "event = 'order'" + (" AND value IS NULL" if "value" in present else "")
    _odd(connection, bare, "RC168", "value", faults, "event")


def _check_rivals(connection: duckdb.DuckDBPyConnection, _: list[str], faults: FaultList) -> None:
    for line, value in _rows(
        connection,
        f"SELECT line, value FROM {TYPED} WHERE metric = 'share' AND value > 1 ORDER BY line LIMIT {MOST_FAULTS}",
    ):
        faults.add("RC131", "refuse", line=_line(line), column="value", value=str(value), nearest="")


def _check_events(connection: duckdb.DuckDBPyConnection, present: list[str], faults: FaultList) -> None:
    """An event on the sum of the channels is one on all of them."""
    if "channel" not in present:
        return
    rows = _rows(connection, f"SELECT DISTINCT channel FROM {TYPED} WHERE channel IS NOT NULL ORDER BY 1")
    sums = [str(name) for (name,) in rows if _is_sum(str(name))]
    if sums:
        listed = ", ".join(map(quoted, sums))
        connection.execute(f"UPDATE {TYPED} SET channel = {quoted(ALL_MARKETS)} WHERE channel IN ({listed})")
        faults.add("RC702", "note", column="channel", names=", ".join(sums), channel=ALL_MARKETS)


_BY_TABLE: Mapping[TableName, Callable[[duckdb.DuckDBPyConnection, list[str], FaultList], None]] = {
    "daily": _check_daily,
    "touches": _check_touches,
    "events": _check_events,
    "rivals": _check_rivals,
}
