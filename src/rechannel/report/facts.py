"""What a report tells about its case besides the answers: name, span, channels, tables, remarks of the reading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import Fault
from rechannel.vocabulary.wording import Language


@dataclass(frozen=True, slots=True)
class ChannelShare:
    """One own channel and its share (0..1) of all visits in the case's span; None without `daily`."""

    channel: Channel
    visits_share: float | None = None


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table that is present: canonical name, the file it came from (no folder), rows, and days when it has any."""

    name: str
    file: str
    rows: int
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """The case a report is about.

    Attributes
    ----------
    name, currency, timezone
        As `case.toml` has them.
    first, last
        First and last day of `daily`, or without it of all tables; the report is as of `last`. None without dates.
    channels
        Own channels, most visited first.
    tables
        Tables present.
    notes
        Warnings and notes of the reading; they are printed with file, line and column.
    """

    name: str
    currency: str
    timezone: str
    first: date | None
    last: date | None
    channels: tuple[ChannelShare, ...] = ()
    tables: tuple[TableFacts, ...] = ()
    notes: tuple[Fault, ...] = ()

    def owns(self, channel: str) -> bool:
        """Whether `channel` is an own channel of the case."""
        return any(share.channel.channel_id == channel for share in self.channels)

    def display(self, channel: str, language: Language) -> str:
        """The name of a channel or rival in `language`; its id when the case gives no name."""
        for share in self.channels:
            if share.channel.channel_id == channel:
                return share.channel.display(language)
        return channel
