"""What may be done to a channel: plain records, applied to one fitted world, stored, named and compared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Demote:
    """A channel loses a share of its prominence from one day on; a closure is the whole of it.

    Attributes
    ----------
    channel
        The entry.
    on
        Day 1.
    severity
        Share of its prominence taken away, 0..1.
    market
        One market, or None for all.
    """

    channel: str
    on: date
    severity: float
    market: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.severity <= 1.0:
            raise ValueError(f"severity {self.severity} is not within 0..1")


def close(channel: str, on: date, market: str | None = None) -> Demote:
    """The channel is closed: a demotion of severity 1.

    >>> close("app", date(2025, 9, 30)).severity
    1.0
    """
    return Demote(channel, on, 1.0, market)
