"""What one export of a product is: its columns, what they mean, and what they must not be taken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from rechannel.source.contract import TableName
from rechannel.vocabulary.channel import WHOLE_SHOP

Grain = Literal["rows", "orders", "events"]
"""rows = a row is a day and a channel; orders = an order or one of its lines; events = one visit, click or order."""
Role = Literal["traffic", "shop", "ads", "orders", "events", "table"]
"""What the export is a record of; it decides which file is believed for a metric. table = one canonical table."""
Counts = Literal["visitors", "viewers", "sessions", "opens", "clicks", "page_views", "additions", ""]
"""What `visits` of the export counts; panels never mix them. Empty = as the user declares."""
ADDITIVE: frozenset[str] = frozenset({"sessions", "opens", "clicks", "page_views", "additions", ""})
"""Counts that may be added over rows; daily visitors may not."""
DateFrom = Literal["column", "moment", "file_name", "title"]
"""Where the day stands: a column of days, a column of moments, the name of the file, the rows above the header."""
Reason = Literal[
    "buyers",
    "devices",
    "people",
    "part",
    "goals",
    "attributed",
    "clicks",
    "items",
    "contacts",
    "first_in_file",
    "ratio",
    "page_views",
    "unpaid",
    "unsettled",
    "totals",
    "other_period",
]
"""Why a column that looks like a metric is not taken as one."""

ORDER_FIELDS = ("order_id", "time", "value", "refunded", "customer")
EVENT_FIELDS = ("customer", "time", "event", "session", "order_id", "value", "orders")
SOURCE_FIELDS = ("source", "medium", "campaign", "click_id", "referrer", "referrer_medium", "scene", "key", "group")
"""What a rule of channels reads."""
DATE_FIELDS = ("day_number", "last_day")
"""Number of the day, counted from 0 at the first day that the title states; last day that a row covers."""


def as_counts(word: str) -> Counts:
    """A word of `case.toml` as a kind of count; empty when it is none."""
    return cast(Counts, word) if word in get_args(Counts) else ""


@dataclass(frozen=True, slots=True)
class Words:
    """Rows told by what one column says: those whose `column` holds one of `values`.

    A value that ends in `*` is the beginning of a text; an empty value is a blank cell.
    """

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Also:
    """A metric that stands in a column of its own for one channel, such as the spend on one kind of advertising."""

    channel: str
    columns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a product.

    Attributes
    ----------
    product, export_id, version, own
        `product/export_id@version` names it in `case.toml`; `own` is the file of the user who describes it.
    names
        What a reader calls it, by language.
    table
        Canonical table it becomes (`daily` for orders and events; events give `touches` too).
    needs
        Header names that must be there, each with its other spellings.
    sheets
        Names of the sheet that is meant, in a workbook of several.
    columns
        Canonical column, or field of an order or event -> header names. The first that is there is read; for the
        channel and what it is made of, the first that the row fills. A path such as `event_params[ga_session_id]` or
        `geo.country` reads inside a nested column. `(¤)` in a header stands for a currency in brackets.
    constants
        Canonical column -> value for every row, such as channel `total`.
    levels
        Headers of the levels of a source tree, coarse to fine; sums of a branch are dropped.
    also
        Further channels that stand in columns of their own.
    counts
        What its `visits` counts.
    sums
        Whether rows with one key are parts to be added (campaigns, items).
    adds_files
        Whether one key in several files is parts to be added (members), not one figure downloaded twice.
    drop, keep
        Rows that the product itself adds and that are no data; the only rows that are meant. An order is dropped with
        any of its lines.
    rule
        How source, medium, campaign or scene become a channel; empty = `channel` is named.
    breaks
        List of `code_breaks.csv` that tells when its channels were split, renamed or counted otherwise.
    date_from, timezone
        Where the day stands when no column of days is there, and the zone of moments that state none (empty = the
        case's).
    name_pattern
        Regular expression over the file name; its groups `channel` and `market` say what no column does.
    rest
        Channels that are the rest behind a limit of rows.
    withholds
        Whether the product leaves out rows of few visitors.
    ignored
        Header -> why it is not taken, for columns that could be mistaken.
    known
        Headers that are known and not needed; `*` stands for any letters.
    visit_events, order_events
        Names of events that are a visit and an order.
    unverified
        Headers that were not seen in a public copy of the export.
    source
        Where its header is shown or described.
    """

    product: str
    export_id: str
    version: int
    names: Mapping[str, str]
    table: TableName = "daily"
    grain: Grain = "rows"
    role: Role = "traffic"
    needs: tuple[tuple[str, ...], ...] = ()
    sheets: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[tuple[str, ...], ...] = ()
    also: tuple[Also, ...] = ()
    counts: Counts = ""
    sums: bool = False
    adds_files: bool = False
    drop: tuple[Words, ...] = ()
    keep: tuple[Words, ...] = ()
    rule: str = ""
    breaks: str = ""
    date_from: DateFrom = "column"
    timezone: str = ""
    name_pattern: str = ""
    rest: tuple[str, ...] = ()
    withholds: bool = False
    ignored: Mapping[str, Reason] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    visit_events: tuple[str, ...] = ()
    order_events: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    source: str = ""
    own: str = ""

    @property
    def label(self) -> str:
        """`product/export@version`, with the user's file when it is theirs."""
        return f"{self.product}/{self.export_id}@{self.version}" + (f" ({self.own})" if self.own else "")

    @property
    def gives(self) -> frozenset[str]:
        """Canonical columns it can fill."""
        found = {*self.columns, *self.constants, *(name for also in self.also for name in also.columns)}
        if self.grain == "orders":
            found |= {"orders", "gmv"} | ({"refunds"} if "refunded" in self.columns else set())
        if self.grain == "events":
            found |= {"visits"} | ({"orders", "gmv"} if self.order_events or "orders" in self.columns else set())
        return frozenset(found)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every header name that the mapping file knows, those aside that it warns of."""
        columns = [self.columns, *(also.columns for also in self.also)]
        listed = [name for one in columns for names in one.values() for name in names]
        return (
            *listed,
            *(name for names in self.needs for name in names),
            *self.known,
            *(n for names in self.levels for n in names),
            *(w.column for w in (*self.drop, *self.keep)),
        )

    @property
    def by_channel(self) -> bool:
        """Whether it tells channels apart, or knows the whole shop only."""
        return self.constants.get("channel") != WHOLE_SHOP
