"""Dated events: what is known to have happened, or to be going to happen, to channels and markets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rechannel.vocabulary.channel import EventKind


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
