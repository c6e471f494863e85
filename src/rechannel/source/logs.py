"""Logs of single events and orders become visits and orders of customers, and their sums per day and channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from rechannel.source.cells import TYPED
from rechannel.source.channelrules import TEST, UNTOLD
from rechannel.source.contract import Column, Table, TableName
from rechannel.source.engine import locked_engine, named, quoted
from rechannel.source.export import Export
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import MOST_FAULTS

UNKNOWN = "(unknown)"
"""Channel of a visit or an order whose source the export does not tell."""
_NO_ORDER = ", ".join(quoted(word) for word in ("(not set)", "null", "undefined", "none", "0"))
"""SQL list of what trackers write where there is no order id."""
EVENT_SHEET = Table(
    "touches",
    "one event of an event export",
    (
        Column("customer", "text", "user or device id"),
        Column("time", "time", "moment", required=True),
        Column("event", "text", "name of the event", required=True),
        Column("session", "text", "session id"),
        Column("channel", "text", "channel of the session"),
        Column("market", "text", "market"),
        Column("order_id", "text", "order id"),
        Column("orders", "count", "orders of this visit, where a row is a visit", nonnegative=True),
        Column("value", "amount", "order value"),
    ),
    may_be_future=False,
)
ORDER_SHEET = Table(
    "touches",
    "one order, or one line of it",
    (
        Column("order_id", "text", "order id", required=True),
        Column("time", "time", "moment of the order"),
        Column("channel", "text", "channel of the order"),
        Column("market", "text", "market"),
        Column("customer", "text", "customer id"),
        Column("value", "amount", "order value"),
        Column("refunded", "amount", "refunded value"),
    ),
    may_be_future=False,
)


@dataclass(frozen=True, slots=True)
class Log:
    """Visits and orders of one file.

    Attributes
    ----------
    visits
        session (null = a visit of its own), n (place among equal visits without a session), customer, time, channel
        (null = not told), told (moment of the event that told it), market. None for a log of orders.
    orders
        order_id (null = an order of its own), n, customer, session, time, channel, orders, value, refunded, market.
    """

    visits: pa.Table | None
    orders: pa.Table

    @property
    def rows(self) -> int:
        """Visits and orders."""
        tables = [table for table in (self.visits, self.orders) if table is not None]
        return sum(len(table) for table in tables)


def order_log(connection: duckdb.DuckDBPyConnection, export: Export) -> Log:
    """The orders of `typed`, an order sheet; lines that repeat an order's id are parts of it, first amounts count."""
    _fill(connection, ORDER_SHEET)
    whole = quoted(export.constants.get("channel", WHOLE_SHOP))
    orders = connection.sql(
        f"""SELECT order_id, 1 AS n, any_value(customer) AS customer, CAST(NULL AS VARCHAR) AS session,
            min(time) AS time, coalesce(any_value(channel), {whole}) AS channel, 1.0 AS orders,
            arg_min(value, line) AS value, arg_min(refunded, line) AS refunded, any_value(market) AS market
        FROM {TYPED} GROUP BY order_id HAVING min(time) IS NOT NULL ORDER BY order_id"""
    ).to_arrow_table()
    return Log(None, orders)


def event_log(connection: duckdb.DuckDBPyConnection, export: Export, salt: str, faults: FaultList) -> Log | None:
    """The visits and orders of `typed`, an event sheet; None when no event is a visit, with the reason in `faults`.

    A visit is a session where the export has session ids (its channel: the first one any of its events tells), else an
    event named in `visit_events`. An order is one order id, or one event where there are no ids. Events without a
    customer cannot be told apart: they are counted nowhere, and said. Crawlers and tests are left out. Customers are
    hashed with `salt` (empty = left as they are).
    """
    _fill(connection, EVENT_SHEET)
    _say_left_out(connection, export, faults)
    sessions = connection.execute(f"SELECT count(session) > 0 FROM {TYPED}").fetchall()[0][0]
    visit = ", ".join(quoted(name.lower()) for name in export.visit_events) or "''"
    order = ", ".join(quoted(name.lower()) for name in export.order_events) or "''"
    who = f"sha256({quoted(salt)} || customer)[1:32]" if salt else "customer"
    # Ids are often counted per device.
    session = "customer || chr(31) || session" if sessions else "CAST(NULL AS VARCHAR)"
    connection.execute(
        f"""CREATE OR REPLACE TABLE seen AS SELECT {who} AS customer, time, lower(event) AS event,
            {session} AS session, channel, order_id, orders, value, line, market
        FROM {TYPED} WHERE customer IS NOT NULL AND channel IS DISTINCT FROM {quoted(TEST)}"""
    )
    if sessions:
        query = """SELECT session, CAST(1 AS BIGINT) AS n, any_value(customer) AS customer, min(time) AS time,
            arg_min(channel, time) FILTER (channel IS NOT NULL) AS channel,
            min(time) FILTER (channel IS NOT NULL) AS told, any_value(market) AS market
            FROM seen WHERE session IS NOT NULL GROUP BY session ORDER BY time, session"""
    else:
        query = f"""SELECT session, row_number() OVER (PARTITION BY customer, time, channel ORDER BY line) AS n,
            customer, time, channel, time AS told, market FROM seen WHERE event IN ({visit}) ORDER BY line"""
    visits = connection.sql(query).to_arrow_table()
    orders = connection.sql(
        f"""SELECT order_id, row_number() OVER (PARTITION BY order_id, customer, time, value ORDER BY line) AS n,
            customer, session, time, channel, orders, value, CAST(NULL AS DOUBLE) AS refunded, market
        FROM (SELECT * EXCLUDE (orders, order_id), coalesce(orders, 1.0) AS orders,
                CASE WHEN lower(order_id) NOT IN ({_NO_ORDER}) THEN order_id END AS order_id
            FROM seen WHERE event IN ({order}) OR orders > 0)
        QUALIFY order_id IS NULL OR row_number() OVER (PARTITION BY order_id ORDER BY line) = 1 ORDER BY line"""
    ).to_arrow_table()
    if not visits.num_rows:
        faults.add("RC731", "refuse", events=", ".join(export.visit_events) or "-")
        return None
    return Log(visits, orders)


def _say_left_out(connection: duckdb.DuckDBPyConnection, export: Export, faults: FaultList) -> None:
    """Events that are no visits of anybody (without an id, of crawlers and tests), and events that may be orders."""
    for code, condition in (("RC704", "customer IS NULL"), ("RC735", f"channel = {quoted(TEST)}")):
        count, line = connection.execute(f"SELECT count(*), min(line) FROM {TYPED} WHERE {condition}").fetchall()[0]
        if count:
            faults.add(code, "warning", line=int(line), count=f"{count:,}")
    if export.order_events or "orders" in export.columns or "event" in export.constants:
        return
    known = ", ".join(quoted(name.lower()) for name in export.visit_events) or "''"
    rows = connection.execute(
        f"""SELECT event, count(*) FROM {TYPED} WHERE lower(event) NOT IN ({known}) AND NOT starts_with(event, '$')
        GROUP BY event ORDER BY 2 DESC, 1 LIMIT 8"""
    ).fetchall()
    if rows:
        faults.add("RC745", "note", events=", ".join(f"{event} ({count:,})" for event, count in rows))


def log_tables(export: Export, logs: Sequence[tuple[str, Log]], faults: FaultList) -> dict[TableName, pa.Table]:
    """The logs of all files of one export as `daily`, and `touches` when they hold visits.

    Parameters
    ----------
    logs
        File and log, in order. A session that goes on in the next file is one visit, on the day it started; a visit or
        an order that stands in two files is counted once.

    Notes
    -----
    Orders without a channel have that of their session. A log says of every channel how much came through it on the
    days it covers, be it nothing: days with a visit, or, in a log of orders, from the first to the last order of a
    file. Orders of days that it does not cover are left out. Where no order tells its channel, orders are known for the
    whole shop only.
    """
    with locked_engine() as connection:
        for part in ("visits", "orders"):
            tables = [(n, table) for n, (_, log) in enumerate(logs) if (table := getattr(log, part)) is not None]
            if tables:
                whole = pa.concat_tables(
                    table.append_column("file", pa.array([n] * table.num_rows, pa.int64())) for n, table in tables
                )
                connection.register(f"given_{part}", whole)
        if logs[0][1].visits is None:
            return {"daily": _orders_per_day(connection, [file for file, _ in logs], faults)}
        return _visits_per_day(connection, export, faults)


def _orders_per_day(connection: duckdb.DuckDBPyConnection, files: Sequence[str], faults: FaultList) -> pa.Table:
    """Orders, value and refunds per day; refunds stand on the day of the order."""
    same = "struct_pack(time := time, channel := channel, value := value, refunded := refunded)"
    differing = connection.execute(
        f"""SELECT order_id, file, first, count(*) OVER (PARTITION BY file, first) FROM (
            SELECT order_id, file, first_value(file) OVER key AS first, {same} AS content,
                first_value({same}) OVER key AS before FROM given_orders
            WINDOW key AS (PARTITION BY order_id ORDER BY file))
        WHERE content IS DISTINCT FROM before
        QUALIFY row_number() OVER (PARTITION BY file, first ORDER BY order_id) = 1 ORDER BY 2 LIMIT {MOST_FAULTS}"""
    ).fetchall()
    for order_id, file, first, count in differing:
        here, other = files[int(file)], files[int(first)]
        faults.add("RC732", "refuse", file=here, other=other, key=str(order_id), count=f"{count:,}")
    market = _market(connection, "given_orders")
    has_value, has_refunds = connection.execute(
        "SELECT count(value) > 0, count(refunded) > 0 FROM given_orders"
    ).fetchall()[0]
    gmv = f", {_sum('value')} AS gmv" if has_value else ""
    refunds = f", {_sum('refunded')} AS refunds" if has_refunds else ""
    return connection.sql(
        f"""WITH bought AS (SELECT * EXCLUDE (file), CAST(time AS DATE) AS date FROM given_orders
            QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY file) = 1),
        days AS (SELECT DISTINCT CAST(unnest(generate_series(first, last, INTERVAL 1 DAY)) AS DATE) AS date FROM (
            SELECT min(CAST(time AS DATE)) AS first, max(CAST(time AS DATE)) AS last FROM given_orders GROUP BY file))
        SELECT date{market}, channel, CAST(count(order_id) AS DOUBLE) AS orders{gmv}{refunds}
        FROM days CROSS JOIN (SELECT DISTINCT channel{market} FROM bought)
        LEFT JOIN bought USING (date, channel{market}) GROUP BY ALL ORDER BY date, channel{market}"""
    ).to_arrow_table()


def _visits_per_day(
    connection: duckdb.DuckDBPyConnection, export: Export, faults: FaultList
) -> dict[TableName, pa.Table]:
    market = _market(connection, "given_visits")
    untold = quoted(UNTOLD.get(export.rule, UNKNOWN))
    sessions = connection.execute("SELECT count(session) > 0 FROM given_visits").fetchall()[0][0]
    if sessions:
        visits = f"""SELECT session, any_value(customer) AS customer, min(time) AS time{_any(market)},
            coalesce(arg_min(channel, told), {untold}) AS channel FROM given_visits GROUP BY session"""
    else:
        visits = f"""SELECT DISTINCT session, n, customer, time{market}, coalesce(channel, {untold}) AS channel
            FROM given_visits"""
    connection.execute(f"CREATE TABLE visits AS {visits}")
    connection.execute(
        """CREATE TABLE orders AS SELECT o.* EXCLUDE (channel), coalesce(v.channel, o.channel) AS channel FROM (
            SELECT * FROM given_orders QUALIFY CASE WHEN order_id IS NULL
                THEN row_number() OVER (PARTITION BY order_id, customer, time, value, n ORDER BY file)
                ELSE row_number() OVER (PARTITION BY order_id ORDER BY time, file) END = 1) o
        LEFT JOIN visits v ON v.session = o.session
        WHERE CAST(o.time AS DATE) IN (SELECT CAST(time AS DATE) FROM visits)"""
    )
    given, bought, told, valued = connection.execute(
        """SELECT (SELECT count(DISTINCT coalesce(order_id, CAST(n AS VARCHAR) || customer || time)) FROM given_orders),
            count(*), count(channel), count(value) FROM orders"""
    ).fetchall()[0]
    if given > bought:
        faults.add("RC748", "note", count=f"{given - bought:,}")
    touches = connection.sql(
        f"""SELECT customer, time, channel, event, value FROM (
            SELECT customer, time, channel, 'visit' AS event, CAST(NULL AS DOUBLE) AS value FROM visits
            UNION ALL SELECT customer, time, coalesce(channel, {quoted(UNKNOWN)}), 'order', value FROM orders)
        ORDER BY time, customer, event DESC, channel"""
    ).to_arrow_table()
    sums = {"orders": bought, "gmv": valued}
    names = [name for name, known in sums.items() if known]
    columns = {"orders": "orders", "gmv": "value"}
    whole = ""
    figures = "".join(f", {_sum(columns[name])} AS {name}" for name in names)
    if bought and not told:
        whole = f"""UNION ALL SELECT date{market}, {quoted(WHOLE_SHOP)}, NULL{figures}
            FROM (SELECT DISTINCT date{market} FROM happened)
            LEFT JOIN (SELECT * FROM happened WHERE event = 'order') USING (date{market}) GROUP BY ALL"""
        figures = "".join(f", CAST(NULL AS DOUBLE) AS {name}" for name in names)
    daily = connection.sql(
        f"""WITH happened AS (
            SELECT CAST(time AS DATE) AS date, channel{market}, 'visit' AS event, 0.0 AS orders,
                CAST(NULL AS DOUBLE) AS value FROM visits
            UNION ALL SELECT CAST(time AS DATE), coalesce(channel, {quoted(UNKNOWN)}){market}, 'order', orders, value
            FROM orders),
        channels AS (SELECT DISTINCT channel{market} FROM happened WHERE {"true" if told else "event = 'visit'"})
        SELECT date{market}, channel, CAST(count(*) FILTER (event = 'visit') AS DOUBLE) AS visits{figures}
        FROM (SELECT DISTINCT date FROM happened) CROSS JOIN channels
        LEFT JOIN happened USING (date, channel{market}) GROUP BY ALL
        {whole} ORDER BY date, channel{market}"""
    ).to_arrow_table()
    return {"daily": daily, "touches": touches}


def _sum(column: str) -> str:
    """SQL of a sum that is the same in any order of its parts."""
    return f"round(coalesce(sum({column}), 0), 6)"


def _fill(connection: duckdb.DuckDBPyConnection, sheet: Table) -> None:
    """Give `typed` every column of a sheet."""
    present = {str(row[0]) for row in connection.execute(f"DESCRIBE {TYPED}").fetchall()}
    kinds = {"amount": "DOUBLE", "count": "DOUBLE", "time": "TIMESTAMP"}
    for column in sheet.columns:
        if column.name not in present:
            kind = kinds.get(column.type, "VARCHAR")
            connection.execute(f"ALTER TABLE {TYPED} ADD COLUMN {named(column.name)} {kind}")


def _market(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """`, market` when every row has one."""
    filled = connection.execute(f"SELECT count(market) = count(*) AND count(*) > 0 FROM {table}").fetchall()[0][0]
    return ", market" if filled else ""


def _any(market: str) -> str:
    """The market of a group of rows."""
    return ", any_value(market) AS market" if market else ""
