"""What a journey is: the rules, what must be known of a log, and the shapes of the five tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rechannel.vocabulary.errors import CallError

IntArray: TypeAlias = NDArray[np.int64]

Kind = Literal["orders", "value", "new"]
KINDS: tuple[Kind, ...] = ("orders", "value", "new")
"""What credit is given of: orders, order value, first orders of their customer in the log."""
ReplicateTable = Literal["transitions", "alone", "retention", "credit", "overlap"]
REPLICATE_TABLES: tuple[ReplicateTable, ...] = get_args(ReplicateTable)
HEURISTICS = ("first", "last", "linear", "time_decay", "position", "shapley")
"""Credit that every order shares out by itself; markov alone needs all journeys together."""
PARTS = ("touches", "firsts", "lasts", "decay")
COUNTS = ("rows", "duplicates", "visits", "sessions", "orders", "attributed", "customers", "buyers", "lost")
"""Rows read and exact repeats among them; `buyers` = customers with an order, `lost` = those with sessions only."""

MOST_CHANNELS = 50
MOST_CHANNELS_ORDER_2 = 20
MOST_PERIODS = 200
DECAY_UNIT = 1 << 30
"""Time-decay credit is a whole number of this part of an order."""
OVERLAP_UNIT = 1 << 20
"""1 / (other sessions + 1) is a whole number of this part."""
MOST_AGES = 36
MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
BLANK = -(1 << 62)
"""Stands for an empty order value: exact repeats tell it from 0."""
LARGEST_VALUE = float(1 << 52)
"""Largest order value in units of its last decimal: arithmetic on it is exact on every engine."""


@dataclass(frozen=True, slots=True)
class JourneyRules:
    """The contract of journeys; every default can be set.

    Rows that repeat another one exactly are dropped and counted. A customer's rows stand in the order of time, visit
    before order, channel name, value (an empty one first). A new session starts when the gap to the visit before is
    strictly longer than `gap_minutes`; its channel is its first visit's. The path of an order is the channels of the
    sessions that started in the `lookback_days` before it, both ends inclusive; a session may serve several orders; an
    order with an empty path is unattributed. A customer without any order gives one path of all its sessions that ends
    without one. A path belongs to the period in which it ends.

    Attributes
    ----------
    gap_minutes, lookback_days, half_life_days
        In their units, > 0 (`gap_minutes` may be 0); resolution one microsecond.
    first_share, last_share
        Position-based credit: 40 / 20 / 40, the middle in equal parts. One session takes all; of two the first takes
        first_share / (first_share + last_share), the last the rest.
    order
        Memory of the Markov chain: 1, or 2 for pairs of channels (at most `MOST_CHANNELS_ORDER_2` channels).
    age_days
        Width of an age in the retention table.
    decimals
        Order values are rounded to this many decimals (half up); sums are then exact.
    breaks
        First moments of the second, third, ... period, in the wall clock of the log (a zone on them is not looked at);
        empty = one period.

    Raises
    ------
    CallError
        RC355: a setting outside its range; RC356: more than `MOST_PERIODS` periods, or breaks out of order.
    """

    gap_minutes: float = 30.0
    lookback_days: float = 30.0
    half_life_days: float = 7.0
    first_share: float = 0.4
    last_share: float = 0.4
    order: Literal[1, 2] = 1
    age_days: int = 30
    decimals: int = 4
    breaks: tuple[datetime, ...] = ()

    def __post_init__(self) -> None:
        ranges: Mapping[str, tuple[float, float, float]] = {
            "gap_minutes": (self.gap_minutes, 0, 100_000),
            "lookback_days": (self.lookback_days, 1 / DAY, 3_650),
            "half_life_days": (self.half_life_days, 1 / 1440, 36_500),
            "first_share": (self.first_share, 0, 1),
            "last_share": (self.last_share, 0, 1),
            "first_share + last_share": (self.first_share + self.last_share, 1e-9, 1),
            "order": (self.order, 1, 2),
            "age_days": (self.age_days, 1, 366),
            "decimals": (self.decimals, 0, 9),
        }
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise CallError("RC355", name=name, value=f"{value:g}", low=f"{low:g}", high=f"{high:g}")
        if len(self.breaks) >= MOST_PERIODS or any(a >= b for a, b in zip(self.breaks, self.breaks[1:], strict=False)):
            raise CallError("RC356", most=str(MOST_PERIODS))

    @property
    def gap(self) -> int:
        """Longest gap inside a session, microseconds."""
        return round(self.gap_minutes * 60 * MICROSECONDS)

    @property
    def lookback(self) -> int:
        """Lookback of an order, microseconds."""
        return round(self.lookback_days * DAY)

    @property
    def half_life(self) -> float:
        """Half-life of time decay, microseconds."""
        return self.half_life_days * DAY

    @property
    def periods(self) -> int:
        return len(self.breaks) + 1

    @property
    def break_times(self) -> tuple[int, ...]:
        """`breaks` in microseconds since 1970, as wall-clock time."""
        return tuple(int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64)) for moment in self.breaks)


@dataclass(frozen=True, slots=True)
class Log:
    """What must be known of a whole log before any part of it is folded.

    Attributes
    ----------
    channels
        Names, sorted by code point; every table is indexed in this order.
    first, last
        Time of the first and the last row, microseconds since 1970 (wall clock).
    rows
        Rows of the log.
    """

    channels: tuple[str, ...]
    first: int
    last: int
    rows: int = 0

    def known_from(self, rules: JourneyRules) -> int:
        """From when on a customer's first session is taken for its first ever: one lookback, at most half the log."""
        return self.first + min(rules.lookback, (self.last - self.first) // 2)

    def fits(self, rules: JourneyRules) -> None:
        """CallError RC357 when the log names more channels than a table holds (RC358: than order 2 holds)."""
        if len(self.channels) > MOST_CHANNELS:
            raise CallError("RC357", count=str(len(self.channels)), most=str(MOST_CHANNELS))
        if rules.order == 2 and len(self.channels) > MOST_CHANNELS_ORDER_2:
            raise CallError("RC358", count=str(len(self.channels)), most=str(MOST_CHANNELS_ORDER_2))


@dataclass(frozen=True, slots=True)
class Layout:
    """Shapes and codes of the tables of one log under one set of rules."""

    channels: int
    periods: int
    order: int

    @property
    def start(self) -> int:
        """Code of the state before the first session (as `from` or `before`)."""
        return self.channels

    @property
    def bought(self) -> int:
        """Code of the end with an order (as `to`)."""
        return self.channels

    @property
    def lost(self) -> int:
        """Code of the end without an order (as `to`)."""
        return self.channels + 1

    @property
    def transitions(self) -> tuple[int, ...]:
        """Order 1: [period, from, to]; order 2: [period, before, at, to]."""
        size = self.channels
        if self.order == 1:
            return (self.periods, size + 1, size + 2)
        return (self.periods, size + 1, size, size + 2)

    @property
    def overlap(self) -> tuple[int, int, int]:
        """[part, channel, channel]: sessions and customers in common (`OVERLAP`)."""
        return (3, self.channels, self.channels)

    @property
    def alone(self) -> tuple[int, int]:
        """[part, channel] (`ALONE`)."""
        return (4, self.channels)

    @property
    def retention(self) -> tuple[int, int, int]:
        """[part, channel, age] (`RETENTION`); the ages end with one for all that are older."""
        return (4, self.channels, MOST_AGES + 1)

    @property
    def credit(self) -> tuple[int, int, int, int]:
        """[kind, heuristic, period, channel]."""
        return (len(KINDS), len(HEURISTICS), self.periods, self.channels)


OVERLAP = ("customers", "next", "shared")
"""Customers of both channels (diagonal: of the channel); sessions through the second right after one through the first;
sum over customers with other channels of n_c n_j / (other sessions + 1) in `OVERLAP_UNIT` (diagonal: of n_c / (other
sessions + 1))."""
ALONE = ("sessions", "solo_sessions", "early_sessions", "new_sessions")
"""Sessions; those of customers who know no other channel; those before `Log.known_from`; first ones of their customer
from then on."""
RETENTION = ("observed", "active", "orders", "value")
"""By the channel of the first session (since `Log.known_from`): customers by the ages observed in full; those active in
an age; their orders; the value of these. All but the first only where the customer's age is observed in full."""


@dataclass(frozen=True, slots=True)
class Days:
    """Part of a log: from the start of `first` up to, and without, the start of `end`, in its wall clock."""

    first: date
    end: date

    @property
    def moments(self) -> tuple[int, int]:
        """Both in microseconds since 1970."""
        first, end = (int(np.datetime64(day, "us").astype(np.int64)) for day in (self.first, self.end))
        return first, end


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts of the customers."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ValueError(f"there is no shard {self.number} of {self.of}")


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Which replicates are wanted.

    Attributes
    ----------
    replicates, seed
        How many; another seed gives other weights.
    kinds
        Of which credit.
    of
        Tables whose sums are weighed; what is left out stays zero and costs nothing.
    """

    replicates: int = 0
    seed: int = 0
    kinds: tuple[Kind, ...] = ("orders",)
    of: tuple[ReplicateTable, ...] = ("transitions", "credit")

    def weighs(self, name: ReplicateTable) -> bool:
        """Whether a table has replicates."""
        return self.replicates > 0 and name in self.of
