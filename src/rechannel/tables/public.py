"""The public record of a case: figures, agreements, claims, events and rivals, read together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from rechannel.source.contract import TableName
from rechannel.tables.calendar import EXITS, Event, read_events
from rechannel.tables.claims import Claim, read_claims
from rechannel.tables.deals import Deal, read_deals
from rechannel.tables.figures import Figure, read_figures
from rechannel.tables.rivals import RivalFigure, read_rivals
from rechannel.vocabulary.channel import Channel

NOT_SHOCKS = (*EXITS, "announcement", "opening")
"""Kinds of events that are not a shock of their own: the exit itself, what is said, and what began long ago."""


@dataclass(frozen=True, slots=True)
class PublicRecord:
    """What is public; each part is empty when the case does not have its table."""

    figures: tuple[Figure, ...] = ()
    deals: tuple[Deal, ...] = ()
    claims: tuple[Claim, ...] = ()
    events: tuple[Event, ...] = ()
    rivals: tuple[RivalFigure, ...] = ()

    def channels(self, described: Sequence[Channel]) -> tuple[str, ...]:
        """Channels that case.toml, an agreement or an event names."""
        named = (*(deal.channel for deal in self.deals), *(event.channel for event in self.events))
        known = (*(one.channel_id for one in described), *(name for name in named if name))
        return tuple(dict.fromkeys(known))

    def deals_of(self, channel: str) -> tuple[Deal, ...]:
        """Agreements about one channel, by day of signature or start."""
        found = [deal for deal in self.deals if deal.channel == channel]
        return tuple(sorted(found, key=lambda deal: (deal.signed or deal.start or date.max, deal.deal_id)))

    def own_firm(self, channel: str) -> str | None:
        """The tenant under which the case's own figures stand: of the latest agreement about the channel, else of most.

        None when no agreement is known.
        """
        about = self.deals_of(channel)
        if about:
            return about[-1].tenant
        tenants = Counter(deal.tenant for deal in self.deals)
        return min(tenants, key=lambda name: (-tenants[name], name)) if tenants else None

    def host_of(self, channel: str) -> str | None:
        """The host of the latest agreement about the channel."""
        about = self.deals_of(channel)
        return about[-1].host if about else None

    def shocks(self, on: date, *, within: int) -> tuple[Event, ...]:
        """Events that move the same numbers in the same weeks: of any other kind, within so many days of `on`."""
        near = timedelta(days=within)
        found = [
            event
            for event in self.events
            if event.kind not in NOT_SHOCKS and event.start <= on + near and event.end >= on - near
        ]
        return tuple(sorted(found, key=lambda event: (event.start, event.end, event.kind, event.note)))


def read_public(relation: Callable[[TableName], pa.Table | None]) -> PublicRecord:
    """The public record of a case, from the function that gives its relations."""
    figures, deals, claims = relation("figures"), relation("deals"), relation("claims")
    events, rivals = relation("events"), relation("rivals")
    return PublicRecord(
        () if figures is None else read_figures(figures),
        () if deals is None else read_deals(deals),
        () if claims is None else read_claims(claims),
        () if events is None else read_events(events),
        () if rivals is None else read_rivals(rivals),
    )
