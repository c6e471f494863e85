"""Sessions of people behind the counts of a made shop, for the exports that list events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from exports.shop import CHANNELS, MadeShop

CHINA = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Session:
    """One visit.

    Attributes
    ----------
    number
        Counts from 1.
    person
        Device or user; some come several times.
    channel
        Channel of the shop.
    start
        UTC; its day in China is the day on which the shop counts the visit.
    late
        Starts in the last minutes of that day, so that what follows carries the next day's date.
    value
        Value of its order, 0 when it has none; the values of a day and channel sum to the shop's money.
    """

    number: int
    person: str
    channel: str
    start: datetime
    late: bool
    value: float


def sessions(shop: MadeShop) -> Iterator[Session]:
    """Every visit of the shop, day by day; each tenth of a channel is late."""
    draw = np.random.default_rng(7)
    number = 0
    for day, moment in enumerate(shop.days):
        midnight = datetime(moment.year, moment.month, moment.day, tzinfo=UTC) - CHINA
        taken: set[tuple[str, int]] = set()
        for channel in CHANNELS:
            count, orders = int(shop.at("visits", channel, day)), int(shop.at("orders", channel, day))
            values = split(shop.at("gmv", channel, day), orders)
            for turn in range(count):
                number += 1
                late = turn % 10 == 9
                seconds = 86_100 if late else int(draw.integers(60, 85_000))
                person = f"u{draw.integers(1, max(2, number)):07d}"
                while (person, seconds) in taken:  # nobody starts two visits in one second
                    seconds += 1
                taken.add((person, seconds))
                value = values[turn] if turn < orders else 0.0
                yield Session(number, person, channel, midnight + timedelta(seconds=seconds), late, value)


def split(total: float, parts: int) -> list[float]:
    """Money in cents that sums to the total, no part 0 as long as the cents suffice."""
    cents = round(total * 100)
    return [(cents // parts + (part < cents % parts)) / 100 for part in range(parts)]
