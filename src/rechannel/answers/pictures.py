"""What an answer holds for pictures and the report alone; the JSON of the answer does not have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from rechannel.tables.calendar import Event
from rechannel.tables.deals import Deal
from rechannel.tables.panel import DateArray
from rechannel.vocabulary.estimate import FloatArray, Quantiles


@dataclass(frozen=True, slots=True)
class Path:
    """Days of one series on both paths, for pictures; quantiles stand at the nine `LEVELS`.

    Attributes
    ----------
    channel
        Channel, or None for the total over own channels.
    metric
        In whose unit everything below is, per day.
    on, announced
        Day of the intervention; day it became known, None when never.
    dates
        datetime64[D], shape [date]: some history, then the window.
    observed
        Shape [date]; nan = not measured, or still to come.
    open_path, closed_path
        Shape [date, level]; nan where the path is not estimated. Ex post the closed path is what was observed.
    cumulative
        Shape [date, level]: open - closed summed from `on`; nan before it.
    """

    channel: str | None
    metric: str
    on: date
    announced: date | None
    dates: DateArray
    observed: FloatArray
    open_path: FloatArray
    closed_path: FloatArray
    cumulative: FloatArray


@dataclass(frozen=True, slots=True)
class PlaceboCloud:
    """How far forecasts of past days missed where nothing is known to have happened, and how far the one of D did.

    Attributes
    ----------
    channel
        Channel, or None for the total over own channels.
    days
        Length of every window.
    starts
        First days of the past windows, shape [window].
    missed
        What came in them over what was forecast, less 1, shape [window].
    at_event
        The same from D on.
    """

    channel: str | None
    days: int
    starts: tuple[date, ...]
    missed: tuple[float, ...]
    at_event: float

    @property
    def farther(self) -> int:
        """Past windows whose forecast missed at least as far as the one of D."""
        return sum(abs(one) >= abs(self.at_event) for one in self.missed)


@dataclass(frozen=True, slots=True)
class RepeatCurve:
    """What customers order by age after their first order, for pictures.

    Attributes
    ----------
    channel
        Channel of the first order; None for all customers.
    age_days
        Width of an age; the first age begins on the day after the first order.
    customers
        Shape [age]: customers who were observed in it, as if each for all of it.
    seen
        Shape [age, level]: orders per customer in it, at the nine `LEVELS`; nan where too few were observed.
    expected
        Shape [age]: orders per customer, in ages that were seen and in those beyond.
    year
        Orders per customer in the 365 days after the first one.
    """

    channel: str | None
    age_days: int
    customers: FloatArray
    seen: FloatArray
    expected: FloatArray
    year: Quantiles


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a channel and under which agreements, for pictures.

    Attributes
    ----------
    on, channel
        Day of the exit and its channel; None when there was none.
    deals, events
        Every agreement and event of the case.
    threats
        Those of the events that move the same numbers in the same weeks as the exit.
    """

    on: date | None
    channel: str | None
    deals: tuple[Deal, ...]
    events: tuple[Event, ...]
    threats: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class SharedCustomers:
    """What a channel's customers use beside it, by journeys, for pictures.

    Attributes
    ----------
    channel, customers
        The channel, and how many of its customers were seen.
    first, last
        First and last day of the journeys.
    others
        Own channel -> share of what these customers do elsewhere.
    shares
        Own channel -> its share of all visits but the channel's: what would stand in their place without journeys.
    solo, new
        Share of its sessions by customers who use no other channel; of first sessions, None when it cannot be told.
    is_used
        Whether the answer starts from `others`; where hosts or kinds are stated it starts from them and from `shares`.
    """

    channel: str
    customers: int
    first: date
    last: date
    others: Mapping[str, Quantiles]
    shares: Mapping[str, float]
    solo: Quantiles
    new: Quantiles | None
    is_used: bool = True
