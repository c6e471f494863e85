"""The canonical tables: every column with its type, unit and rule, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from rechannel.vocabulary.channel import EVENT_KINDS

ColumnType = Literal["date", "time", "count", "number", "amount", "share", "text", "enum"]
"""count = non-negative, whole unless modelled; amount = case currency; share = 0..1; time = date and clock."""

TableName: TypeAlias = Literal[
    "daily",
    "touches",
    "events",
    "rivals",
    "tests",
    "deals",
    "deal_items",
    "slots",
    "levers",
    "figures",
    "claims",
]
TABLE_NAMES: tuple[TableName, ...] = get_args(TableName)

MOST_COLUMNS = 1000
FEWEST_DAYS = 28
FEWEST_WEEKS = 26


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a canonical table.

    Attributes
    ----------
    name, type
        Canonical name and type.
    doc
        What it holds, with its unit.
    required
        Column and every cell must be there.
    key
        Part of the key: one row per key.
    allowed
        The words of an enum.
    nonnegative
        A negative value is refused.
    absent
        What is said when the column is missing.
    words
        Other words that mean an allowed one.
    """

    name: str
    type: ColumnType
    doc: str
    required: bool = False
    key: bool = False
    allowed: tuple[str, ...] = ()
    nonnegative: bool = False
    absent: Literal["", "note", "warning"] = ""
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """One canonical table.

    Attributes
    ----------
    name, doc, columns
        What it is called, what it holds, and its columns in canonical order.
    may_be_future
        Whether its dates may lie in the future.
    ties
        Columns that tell apart rows of one key; empty = one row per key.
    """

    name: TableName
    doc: str
    columns: tuple[Column, ...]
    may_be_future: bool = True
    ties: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, canonical order."""
        return tuple(column.name for column in self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return tuple(column.name for column in self.columns if column.key)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the table has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _key(
    name: str, kind: ColumnType, doc: str, allowed: tuple[str, ...] = (), words: Mapping[str, str] | None = None
) -> Column:
    return Column(name, kind, doc, required=True, key=True, allowed=allowed, words=words or {})


def _optional_key(name: str, doc: str, kind: ColumnType = "text") -> Column:
    return Column(name, kind, doc, key=True)


def _text(name: str, doc: str, *, required: bool = False) -> Column:
    return Column(name, "text", doc, required=required)


TOUCH_WORDS = {"访问": "visit", "訪問": "visit", "订单": "order", "訂單": "order", "下单": "order", "支付": "order"}
EVENT_WORDS = {
    **dict.fromkeys(("节假日", "节日", "假期", "節假日", "節日"), "holiday"),
    **dict.fromkeys(("大促", "促销", "促銷"), "promo"),
    **dict.fromkeys(("故障", "宕机", "當機"), "outage"),
    **dict.fromkeys(("关闭", "下线", "關閉", "下線"), "closure"),
    **dict.fromkeys(("降权", "降级", "降權", "降級"), "demotion"),
    **dict.fromkeys(("上线", "开通", "上線", "開通"), "opening"),
    **dict.fromkeys(("迁移", "遷移"), "move"),
    "公告": "announcement",
    **dict.fromkeys(("口径变化", "口徑變化"), "measurement_break"),
    **dict.fromkeys(("测试", "实验", "測試", "實驗"), "test"),
    **dict.fromkeys(("调价", "調價"), "price"),
    "其他": "other",
}
RIVAL_METRICS = ("share", "visits", "gmv", "active_customers")
LEVER_KINDS = ("conversion", "retention", "content")
DEAL_FIELDS = ("traffic", "ads", "membership", "data", "cloud", "supply_chain", "content")

TABLES: Mapping[TableName, Table] = {
    table.name: table
    for table in (
        Table(
            "daily",
            "what the shop knows per day, market and channel",
            (
                _key("date", "date", "calendar day of the case's time zone"),
                Column("market", "text", "market; absent, or filled on every line", key=True, absent="note"),
                _key("channel", "text", "own channel; `total` = known only for the whole shop"),
                Column(
                    "visits", "count", "visits (sessions, or declared daily visitors)", required=True, nonnegative=True
                ),
                Column("new_customers", "count", "first-time buyers", nonnegative=True, absent="warning"),
                Column("orders", "count", "orders", nonnegative=True, absent="warning"),
                Column("gmv", "amount", "order value, case currency", absent="warning"),
                Column("refunds", "amount", "refunded value, case currency", nonnegative=True, absent="note"),
                Column(
                    "cost", "amount", "money spent on the channel, case currency", nonnegative=True, absent="warning"
                ),
                Column("volume", "count", "impressions or clicks bought", nonnegative=True, absent="note"),
                Column("exposure", "share", "prominence of the entry, 0..1", absent="note"),
            ),
            may_be_future=False,
        ),
        Table(
            "touches",
            "visits and orders of single customers",
            (
                _key("customer", "text", "customer id; hashed when stored"),
                _key("time", "time", "moment of the touch"),
                _key("channel", "text", "channel of the touch"),
                _key("event", "enum", "visit or order", ("visit", "order"), TOUCH_WORDS),
                Column("value", "amount", "order value, case currency"),
            ),
            may_be_future=False,
            ties=("value",),
        ),
        Table(
            "events",
            "what is known to have happened, or to be going to happen",
            (
                _key("start", "date", "first day"),
                _key("end", "date", "last day, inclusive"),
                _key("kind", "enum", "what happened", EVENT_KINDS, EVENT_WORDS),
                _optional_key("channel", "channel; empty = all"),
                _optional_key("market", "market; empty = all"),
                Column("severity", "share", "share of prominence taken away, 0..1"),
                _text("note", "name of the promotion or holiday, or a remark"),
            ),
        ),
        Table(
            "rivals",
            "what is known of other firms",
            (
                _key("date", "date", "first day of the period"),
                _optional_key("market", "market; empty or `all` = sum of the case's markets"),
                _key("firm", "text", "firm; `self` = the case's own"),
                _key("metric", "enum", "what is measured", RIVAL_METRICS),
                Column("value", "number", "share 0..1, or a count, or case currency", required=True, nonnegative=True),
            ),
        ),
        Table(
            "tests",
            "results measured elsewhere",
            (
                _key("test_id", "text", "name of the test"),
                _text("channel", "channel tested", required=True),
                _text("market", "market; empty = all"),
                Column("start", "date", "first day", required=True),
                Column("end", "date", "last day", required=True),
                _text("metric", "metric of the effect", required=True),
                Column("effect", "number", "effect over the test, in the metric's unit", required=True),
                Column("standard_error", "number", "its standard error", required=True, nonnegative=True),
                _text("design", "how it was measured"),
            ),
        ),
        Table(
            "deals",
            "agreements between hosts and tenants",
            (
                _key("deal_id", "text", "name of the agreement"),
                _text("host", "who owns the surface", required=True),
                _text("tenant", "who receives the traffic", required=True),
                _text("channel", "channel of the case it is about"),
                Column("signed", "date", "day of signature"),
                Column("start", "date", "first day of access"),
                Column("end", "date", "last day of access"),
                _text("access", "which entries"),
                _text("exclusive", "whether only this tenant has them"),
                Column("fixed_fee", "amount", "fixed fee per year, case currency", nonnegative=True),
                Column("revenue_share", "share", "share of attributed GMV paid, 0..1"),
                _text("equity_terms", "shares given"),
                _text("cash_terms", "cash given"),
                _text("form", "legal form"),
                _text("source", "where it is written"),
                _text("verified", "y, n, or the verified fields separated by `;`"),
                _text("note", "remark"),
            ),
        ),
        Table(
            "deal_items",
            "what each side gives under an agreement",
            (
                _key("deal_id", "text", "agreement"),
                _key("field", "enum", "what is given", DEAL_FIELDS),
                _key("giver", "text", "who gives"),
                _text("receiver", "who receives"),
                Column("amount", "number", "how much"),
                _text("unit", "unit of the amount"),
                Column("start", "date", "first day"),
                Column("end", "date", "last day"),
                _text("disclosed", "whether the amount was published"),
            ),
        ),
        Table(
            "slots",
            "the host's own record of a slot",
            (
                _key("date", "date", "calendar day"),
                _optional_key("market", "market; empty = all"),
                _key("slot", "text", "the entry"),
                _text("occupant", "who stands there"),
                Column("impressions", "count", "impressions", nonnegative=True),
                Column("clicks", "count", "clicks", nonnegative=True),
                Column("revenue", "amount", "host's revenue from the slot", nonnegative=True),
                Column("host_gmv", "amount", "host's own GMV", nonnegative=True),
                Column("host_active_users", "count", "host's active users", nonnegative=True),
            ),
            may_be_future=False,
        ),
        Table(
            "levers",
            "projects that compete for the same money",
            (
                _key("lever", "text", "name of the project"),
                Column("kind", "enum", "what it works on", required=True, allowed=LEVER_KINDS),
                Column("cost", "amount", "cost, case currency", nonnegative=True),
                Column("low", "number", "low end of the effect (90 % range)"),
                Column("high", "number", "high end of the effect"),
                Column("ramp_days", "count", "days until it works in full", nonnegative=True),
                Column("reach", "share", "share of visits or customers it reaches"),
                _text("source", "where the range comes from"),
            ),
        ),
        Table(
            "figures",
            "public facts",
            (
                _key("entity", "text", "firm or market"),
                _key("metric", "text", "what is measured"),
                _optional_key("period_start", "first day of the period", "date"),
                _optional_key("period_end", "last day of the period", "date"),
                Column("value", "number", "value in `unit`", required=True),
                _text("unit", "unit of the value"),
                _text("source", "where it was published"),
                Column("verified", "enum", "y = seen at the source", allowed=("y", "n")),
                _text("note", "remark"),
            ),
        ),
        Table(
            "claims",
            "what people assert",
            (
                _key("claim_id", "text", "name of the claim"),
                _text("who", "who says so"),
                Column("date", "date", "when"),
                _text("claim", "what is said", required=True),
                _text("metric", "metric it is about"),
                Column("value", "number", "value asserted"),
                _text("unit", "unit of the value"),
                _text("source", "where it was said"),
            ),
        ),
    )
}
