"""Logs of single events and orders become visits and orders of customers, and their sums per day and channel."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from rechannel.source.cells import TYPED
from rechannel.source.channelrules import TEST
from rechannel.source.contract import Column, Table, TableName
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.products import Export
from rechannel.vocabulary.channel import WHOLE_SHOP

UNKNOWN = "(unknown)"
"""Channel of a visit or an order whose source the export does not tell."""
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


def orders_per_day(connection: duckdb.DuckDBPyConnection, export: Export) -> pa.Table:
    """Orders, value and refunds per day of `typed`, an order sheet.

    A line that repeats an order's id belongs to that order, whose first amounts count; refunds stand on the day of the
    order. A log covers every day between its first and its last order: a day without one has none.
    """
    _fill(connection, ORDER_SHEET)
    market = _market(connection)
    whole = quoted(export.constants.get("channel", WHOLE_SHOP))
    has_value, has_refunds = connection.execute(
        f"SELECT count(value) > 0, count(refunded) > 0 FROM {TYPED}"
    ).fetchall()[0]
    gmv = ", coalesce(sum(value), 0) AS gmv" if has_value else ""
    refunds = ", coalesce(sum(refunded), 0) AS refunds" if has_refunds else ""
    return connection.sql(
        f"""WITH bought AS (
            SELECT order_id, CAST(min(time) AS DATE) AS date{_any(market)},
                coalesce(any_value(channel), {whole}) AS channel,
                arg_min(value, line) AS value, arg_min(refunded, line) AS refunded
            FROM {TYPED} GROUP BY order_id HAVING min(time) IS NOT NULL),
        days AS (SELECT CAST(unnest(generate_series(min(date), max(date), INTERVAL 1 DAY)) AS DATE) AS date FROM bought)
        SELECT date{market}, channel, CAST(count(order_id) AS DOUBLE) AS orders{gmv}{refunds}
        FROM days CROSS JOIN (SELECT DISTINCT channel{market} FROM bought)
        LEFT JOIN bought USING (date, channel{market}) GROUP BY ALL ORDER BY date, channel{market}"""
    ).to_arrow_table()


def events_per_day(
    connection: duckdb.DuckDBPyConnection, export: Export, salt: str, faults: FaultList
) -> dict[TableName, pa.Table]:
    """Visits and orders of single customers of `typed`, an event sheet, and their sums per day and channel.

    A visit is a session where the export has session ids (its channel: the first one any of its events tells), else an
    event named in `visit_events`. An order is one order id, or one event where there are no ids; its channel is that of
    its session, else its own. Events without a customer cannot be told apart: they are counted nowhere, and said.
    Crawlers and tests are left out. A log that covers a day says of every channel how much came through it, be it
    nothing.

    Returns
    -------
    `daily` and `touches`; nothing when there is no visit, with the reason in `faults`.
    """
    _fill(connection, EVENT_SHEET)
    market = _market(connection)
    _say_left_out(connection, faults)
    sessions = connection.execute(f"SELECT count(session) > 0 FROM {TYPED}").fetchall()[0][0]
    visit = ", ".join(quoted(name.lower()) for name in export.visit_events) or "''"
    order = ", ".join(quoted(name.lower()) for name in export.order_events) or "''"
    who = f"sha256({quoted(salt)} || customer)[1:32]" if salt else "customer"
    session = "customer || chr(31) || session" if sessions else "NULL"
    connection.execute(
        f"""CREATE OR REPLACE TABLE seen AS SELECT {who} AS customer, time, lower(event) AS event,
            {session} AS session, channel, order_id, value, line{market}
        FROM {TYPED} WHERE customer IS NOT NULL AND channel IS DISTINCT FROM {quoted(TEST)}"""
    )
    if sessions:
        visits = f"""SELECT session, any_value(customer) AS customer, min(time) AS time{_any(market)},
            coalesce(arg_min(channel, time) FILTER (channel IS NOT NULL), {quoted(UNKNOWN)}) AS channel
            FROM seen WHERE session IS NOT NULL GROUP BY session"""
    else:
        visits = f"""SELECT NULL AS session, customer, time{market}, coalesce(channel, {quoted(UNKNOWN)}) AS channel
            FROM seen WHERE event IN ({visit})"""
    connection.execute(f"CREATE OR REPLACE TABLE visits AS {visits}")
    connection.execute(
        f"""CREATE OR REPLACE TABLE orders AS SELECT any_value(o.customer) AS customer, min(o.time) AS time,
            coalesce(any_value(v.channel), any_value(o.channel), {quoted(UNKNOWN)}) AS channel,
            arg_min(o.value, o.line) AS value{_any(market, "o.")}
        FROM seen o LEFT JOIN visits v ON v.session = o.session WHERE o.event IN ({order})
        GROUP BY coalesce(o.order_id, CAST(o.line AS VARCHAR))"""
    )
    came, bought = connection.execute("SELECT (SELECT count(*) FROM visits), (SELECT count(*) FROM orders)").fetchall()[
        0
    ]
    if not came:
        faults.add("RC731", "refuse", events=", ".join(export.visit_events) or "-")
        return {}
    touches = connection.sql(
        """SELECT customer, time, channel, event, value FROM (
            SELECT customer, time, channel, 'visit' AS event, CAST(NULL AS DOUBLE) AS value FROM visits
            UNION ALL SELECT customer, time, channel, 'order', value FROM orders)
        ORDER BY time, customer, event DESC, channel"""
    ).to_arrow_table()
    figures = ""
    if bought:
        figures = ", CAST(count(*) FILTER (event = 'order') AS DOUBLE) AS orders, coalesce(sum(value), 0) AS gmv"
    daily = connection.sql(
        f"""WITH happened AS (
            SELECT CAST(time AS DATE) AS date, channel{market}, 'visit' AS event, CAST(NULL AS DOUBLE) AS value
            FROM visits UNION ALL SELECT CAST(time AS DATE), channel{market}, 'order', value FROM orders)
        SELECT date{market}, channel, CAST(count(*) FILTER (event = 'visit') AS DOUBLE) AS visits{figures}
        FROM (SELECT DISTINCT date FROM happened) CROSS JOIN (SELECT DISTINCT channel{market} FROM happened)
        LEFT JOIN happened USING (date, channel{market}) GROUP BY ALL ORDER BY date, channel{market}"""
    ).to_arrow_table()
    return {"daily": daily, "touches": touches}


def _say_left_out(connection: duckdb.DuckDBPyConnection, faults: FaultList) -> None:
    """Events that are no visits of anybody: without an id, or of crawlers and tests."""
    for code, condition in (("RC704", "customer IS NULL"), ("RC735", f"channel = {quoted(TEST)}")):
        count, line = connection.execute(f"SELECT count(*), min(line) FROM {TYPED} WHERE {condition}").fetchall()[0]
        if count:
            faults.add(code, "warning", line=int(line), count=f"{count:,}")


def _fill(connection: duckdb.DuckDBPyConnection, sheet: Table) -> None:
    """Give `typed` every column of a sheet."""
    present = {str(row[0]) for row in connection.execute(f"DESCRIBE {TYPED}").fetchall()}
    kinds = {"amount": "DOUBLE", "time": "TIMESTAMP"}
    for column in sheet.columns:
        if column.name not in present:
            kind = kinds.get(column.type, "VARCHAR")
            connection.execute(f"ALTER TABLE {TYPED} ADD COLUMN {named(column.name)} {kind}")


def _market(connection: duckdb.DuckDBPyConnection) -> str:
    """`, market` when every row of the sheet has one."""
    filled = connection.execute(f"SELECT count(market) = count(*) AND count(*) > 0 FROM {TYPED}").fetchall()[0][0]
    return ", market" if filled else ""


def _any(market: str, prefix: str = "") -> str:
    """The market of a group of rows."""
    return f", any_value({prefix}market) AS market" if market else ""
