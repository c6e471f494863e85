"""The shape of a doubt about the data: what was seen, how sure, what it would mislead, and a row for `events`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any  # JSON of the record

from rechannel.tables.calendar import EXITS, Event
from rechannel.vocabulary.channel import Channel, name_of
from rechannel.vocabulary.numbers import RANGE, day, percent
from rechannel.vocabulary.wording import LANGUAGES, Language, text

AROUND = 3
"""Days by which a logged date may be off and still explain a finding."""
SETTLES = 14
"""Days after a logged lasting event in which its channel may still shift."""
SAID = ("outage", "closure", "demotion", "test", "opening", "move", "measurement_break")
"""Kinds that explain a shift of every channel when they name none."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something in the data that an answer would take for something else.

    Attributes
    ----------
    code
        RC6xx; `audit.<code>` is its sentence, `audit.mislead_<code>` what it would mislead.
    channel, market
        None = all.
    first, last
        Days, ends included.
    size
        Share of the usual amount: lost above 0, gained below 0; nan when it has none.
    probability
        That this is what happened, 0..1.
    others
        Further channels it names.
    rows
        Rows for `events` that would tell of it; empty when none makes sense.
    hours
        For clocks: by how much.
    """

    code: str
    channel: str | None
    first: date
    last: date
    size: float
    probability: float
    rows: tuple[Event, ...] = ()
    market: str | None = None
    others: tuple[str, ...] = field(default=())
    hours: float = 0.0

    @property
    def key(self) -> str:
        """Six letters and digits that stay the same as long as code, channel, market and first day do."""
        name = "\n".join((self.code, self.channel or "", self.market or "", self.first.isoformat()))
        return hashlib.sha256(name.encode()).hexdigest()[:6]

    def message(self, language: Language, channels: Sequence[Channel] = ()) -> str:
        """What was seen, as one sentence."""
        return text(f"audit.{self.code}", language, **self._parts(language, channels))

    def misleads(self, language: Language) -> str:
        """Which question it would mislead, and how."""
        return text(f"audit.mislead_{self.code}", language)

    def label(self, language: Language) -> str:
        """Two or three words for a table."""
        return text(f"audit.label_{self.code}", language)

    def where(self, language: Language, channels: Sequence[Channel] = ()) -> str:
        """The channel it is about, or all of them."""
        name = (
            text("audit.all_channels", language) if self.channel is None else name_of(self.channel, channels, language)
        )
        return name if self.market is None else text("audit.in_market", language, channel=name, market=self.market)

    def _parts(self, language: Language, channels: Sequence[Channel]) -> dict[str, str]:
        joiner = ", " if language == "en" else "、"
        others = joiner.join(name_of(name, channels, language) for name in self.others)
        ends = (day(self.first, language), day(self.last, language))
        return {
            "channel": self.where(language, channels),
            "others": others,
            "names": others or self.where(language, channels),
            "first": ends[0],
            "last": ends[1],
            "span": ends[0] if self.first == self.last else f"{ends[0]} {RANGE} {ends[1]}",
            "days": str((self.last - self.first).days + 1),
            "size": percent(abs(self.size)) if self.size == self.size else "",
            "turn": text("audit.down" if self.size > 0 else "audit.up", language),
            "hours": f"{abs(self.hours):g}",
            "clock": text("audit.later" if self.hours > 0 else "audit.earlier", language),
        }

    def to_json(self, channels: Sequence[Channel] = ()) -> dict[str, Any]:
        """The record as `check --json` gives it under `audit`."""
        return {
            "id": self.key,
            "code": self.code,
            "channel": self.channel,
            "market": self.market,
            "others": list(self.others),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "size": None if self.size != self.size else round(self.size, 4),
            "hours": self.hours or None,
            "probability": round(self.probability, 4),
            "rows": [row_json(row) for row in self.rows],
            "message": {language: self.message(language, channels) for language in LANGUAGES},
            "misleads": {language: self.misleads(language) for language in LANGUAGES},
        }


def row_json(row: Event) -> dict[str, Any]:
    """A row of `events` in its own column names."""
    return {
        "start": row.start.isoformat(),
        "end": row.end.isoformat(),
        "kind": row.kind,
        "channel": row.channel,
        "market": row.market,
        "severity": row.severity,
        "note": row.note,
    }


def explained(events: Sequence[Event], channel: str | None, market: str | None, first: date, last: date) -> bool:
    """Whether `events` already tells of a shift of this channel in these days.

    A row that names the channel explains it whatever its kind; one that names none does when its kind shuts, opens or
    recounts. A lasting row explains the two weeks after its start, and an announcement the days until then.
    """
    told = {event.channel: event.start for event in events if event.kind == "announcement"}
    for event in events:
        if event.kind == "announcement" or event.channel not in (None, channel):
            continue
        if event.market is not None and market is not None and event.market != market:
            continue
        if event.channel is None and event.kind not in SAID:
            continue
        start, end = event.start - timedelta(days=AROUND), event.end + timedelta(days=AROUND)
        lasting = event.kind in (*EXITS, "opening", "move", "measurement_break") or event.days > 2 * SETTLES
        if lasting:
            end = event.start + timedelta(days=SETTLES)
            known = told.get(event.channel)
            start = min(start, known) if known is not None and known < event.start else start
            if event.kind in EXITS and 1 < event.days <= 2 * SETTLES:
                end = event.end + timedelta(days=AROUND)
        if first <= end and last >= start:
            return True
    return False
