"""Dated events: what is known to have happened, or to be going to happen, to channels and markets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

import holidays
import pyarrow as pa

from rechannel.vocabulary.channel import ALL_MARKETS, EVENT_KINDS, EventKind

LONGEST_NOTICE = 90
"""Days between an announcement and what it announces, at most."""
EXITS = ("closure", "demotion")
HOLIDAYS_OF = {
    "Asia/Shanghai": "CN",
    "Asia/Hong_Kong": "HK",
    "Asia/Macau": "MO",
    "Asia/Taipei": "TW",
    "Asia/Singapore": "SG",
    "Asia/Tokyo": "JP",
    "Europe/London": "GB",
    "Europe/Berlin": "DE",
    "Europe/Paris": "FR",
    "America/New_York": "US",
    "America/Chicago": "US",
    "America/Los_Angeles": "US",
}
"""Time zone -> country whose public holidays are used when `events` has no holiday of its own."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of `events`.

    Attributes
    ----------
    kind
        What happened.
    start, end
        First and last day, end inclusive.
    channel, market
        None = all.
    severity
        Share of the entry's prominence taken away, 0..1 (1 = closed); None when the row does not say.
    note
        The user's words; promotions and holidays of one name are one kind of event over the years.
    """

    kind: EventKind
    start: date
    end: date
    channel: str | None = None
    market: str | None = None
    severity: float | None = None
    note: str = ""

    @property
    def days(self) -> int:
        """Length in days, both ends included."""
        return (self.end - self.start).days + 1

    def touches(self, channel: str) -> bool:
        """Whether the event is about this channel or about all of them."""
        return self.channel is None or self.channel == channel


def read_events(relation: pa.Table) -> tuple[Event, ...]:
    """The canonical `events` relation as records, by first day; empty or `all` channels and markets become None.

    Raises
    ------
    ValueError
        A kind outside the contract: the relation did not pass the door.
    """
    events: list[Event] = []
    for row in relation.to_pylist():
        if row["kind"] not in EVENT_KINDS:
            raise ValueError(f"event kind {row['kind']!r}")
        events.append(
            Event(
                kind=cast(EventKind, row["kind"]),
                start=row["start"],
                end=row["end"],
                channel=_or_all(row.get("channel")),
                market=_or_all(row.get("market")),
                severity=row.get("severity"),
                note=row.get("note") or "",
            )
        )
    return tuple(sorted(events, key=lambda event: (event.start, event.end, event.kind, event.channel or "")))


def events_relation(events: Sequence[Event]) -> pa.Table:
    """The records as canonical rows; the reverse of `read_events`."""
    return pa.table(
        {
            "start": pa.array([event.start for event in events], pa.date32()),
            "end": pa.array([event.end for event in events], pa.date32()),
            "kind": pa.array([event.kind for event in events], pa.string()),
            "channel": pa.array([event.channel for event in events], pa.string()),
            "market": pa.array([event.market for event in events], pa.string()),
            "severity": pa.array([event.severity for event in events], pa.float64()),
            "note": pa.array([event.note for event in events], pa.string()),
        }
    )


def _or_all(name: str | None) -> str | None:
    return None if name in (None, "", ALL_MARKETS) else name


def announced(events: Sequence[Event], channel: str, on: date, *, within: int = LONGEST_NOTICE) -> date | None:
    """Day on which something about a channel on day `on` became known: the latest announcement of the days before."""
    days = [
        event.start
        for event in events
        if event.kind == "announcement" and event.channel == channel and on - timedelta(days=within) <= event.start < on
    ]
    return max(days, default=None)


def exits(events: Sequence[Event]) -> tuple[Event, ...]:
    """Closures and demotions of one channel, by day."""
    found = [event for event in events if event.kind in EXITS and event.channel is not None]
    return tuple(sorted(found, key=lambda event: (event.start, event.channel or "")))


def with_holidays(events: tuple[Event, ...], timezone: str, first: date, last: date) -> tuple[Event, ...]:
    """The events, and the public holidays of the time zone's country when they have none of their own."""
    country = HOLIDAYS_OF.get(timezone)
    if country is None or any(event.kind == "holiday" for event in events):
        return events
    return (*events, *holiday_events(country, first, last))


def holiday_events(country: str, first: date, last: date) -> tuple[Event, ...]:
    """Public holidays as blocks of days off, one event each, from the `holidays` package.

    A block is a run of days off that holds at least one statutory day; weekends that touch it belong to it, weekend
    days worked in exchange do not. Its note is the name most of its days have, so that the same holiday has the same
    note every year.

    Parameters
    ----------
    country
        ISO 3166 code, such as CN.
    first, last
        Blocks that touch [first, last] are given, whole.

    Raises
    ------
    NotImplementedError
        The package does not know the country.

    Examples
    --------
    >>> [(e.note, str(e.start), str(e.end)) for e in holiday_events("CN", date(2025, 10, 1), date(2025, 10, 31))]
    [('National Day', '2025-10-01', '2025-10-08')]
    """
    years = range(first.year - 1, last.year + 2)
    days_off = holidays.country_holidays(country, years=years, language="en_US" if country == "CN" else None)
    events: list[Event] = []
    day = first - timedelta(days=20)
    while day <= last:
        end = day
        names: Counter[str] = Counter()
        while end in days_off or not days_off.is_working_day(end):
            for name in days_off.get_list(end):
                if "substituted" not in name:
                    names[_plain_name(name)] += 1
            end += timedelta(days=1)
        block_end = end - timedelta(days=1)
        if names and block_end >= first and day <= last:
            note = max(names, key=lambda name: (names[name], name))
            events.append(Event("holiday", day, block_end, note=note))
        day = max(end, day + timedelta(days=1))
    return tuple(events)


def _plain_name(name: str) -> str:
    """A holiday's name without what differs from year to year."""
    bare = name.split(" (observed)")[0].split(" (estimated)")[0]
    return "Spring Festival" if bare.startswith("Chinese New Year") else bare
