"""What a report tells about its case besides the answers: name, span, channels, tables, remarks of the reading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.source.remarks import table_span
from rechannel.source.store import CaseFolder, case_faults
from rechannel.tables.panel import Panel
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


def facts_of(folder: CaseFolder, panel: Panel | None) -> CaseFacts:
    """The facts of a case folder; `panel` is None when the case has no `daily`."""
    config = folder.config
    tables = []
    for name, source in config.tables.items():
        relation = folder.relation(name)
        span = None if relation is None else table_span(name, relation)
        first, last = span if span is not None else (None, None)
        tables.append(TableFacts(name, ", ".join(source.original), source.rows, first, last))
    if panel is None:
        first = min((table.first for table in tables if table.first), default=None)
        last = max((table.last for table in tables if table.last), default=None)
        shares = tuple(ChannelShare(channel) for channel in config.channels)
    else:
        first, last = panel.first, panel.last
        visits = np.nansum(panel.values["visits"], axis=(0, 1))
        whole = max(float(visits.sum()), 1.0)
        described = {channel.channel_id: channel for channel in config.channels}
        shares = tuple(
            ChannelShare(described.get(name, Channel(name)), float(visits[index]) / whole)
            for index, name in enumerate(panel.channels)
        )
    return CaseFacts(
        config.name, config.currency, config.timezone, first, last, shares, tuple(tables), case_faults(folder)
    )
