"""What a channel is, and the closed lists of words that the tables use."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

Metric = Literal["visits", "new_customers", "orders", "gmv", "refunds", "cost", "volume", "exposure"]
METRICS: tuple[Metric, ...] = get_args(Metric)
COUNTED: tuple[Metric, ...] = ("visits", "orders", "gmv", "new_customers")
"""What visitors do: the metrics whose loss is measured."""

EventKind = Literal[
    "holiday",
    "promo",
    "outage",
    "closure",
    "demotion",
    "opening",
    "move",
    "announcement",
    "measurement_break",
    "test",
    "price",
    "other",
]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

Cadence = Literal["daily", "weekly"]
Verdict = Literal["effect", "practically_none", "cannot_tell"]

ALL_MARKETS = "all"
"""The sum of the case's markets."""

WHOLE_SHOP = "total"
"""The channel name under which a shop states what it only knows for all channels together."""


@dataclass(frozen=True, slots=True)
class Channel:
    """An entry with its own switch, as `case.toml` describes it.

    Attributes
    ----------
    channel_id
        The name in the canonical tables.
    names
        Display names by language; a missing language shows `channel_id`.
    host
        Who owns the surface the entry stands on; empty when it is the shop's own.
    kind, placement, shop
        Free words of the user: kind of entry (app, mini_program, search_ad, ...), level of placement, shop.
    aliases
        Other names under which exports mention the same entry.
    """

    channel_id: str
    names: dict[str, str] = field(default_factory=dict)
    host: str = ""
    kind: str = ""
    placement: str = ""
    shop: str = ""
    aliases: tuple[str, ...] = ()

    def display(self, language: str) -> str:
        """The name to show in `language`."""
        return self.names.get(language, self.channel_id)


def folded(name: str) -> str:
    """A name without case, width, spaces and underscores: 'Ｎew Customers' is 'newcustomers'."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in plain if not letter.isspace() and letter not in "_\ufeff")


def id_of(name: str, channels: Sequence[Channel]) -> str:
    """The id of the one channel that is called `name` (id, display name or alias, case and width aside), else `name`.

    Examples
    --------
    >>> id_of("直通车", [Channel("关键词推广", aliases=("直通车",)), Channel("app")])
    '关键词推广'
    """
    if any(name == channel.channel_id for channel in channels):
        return name
    wanted = folded(name)
    called = {
        channel.channel_id
        for channel in channels
        if wanted in map(folded, (channel.channel_id, *channel.names.values(), *channel.aliases))
    }
    return called.pop() if len(called) == 1 else name


def name_of(channel_id: str, channels: Sequence[Channel], language: str) -> str:
    """The name of a channel in `language`; its id when no description gives one."""
    return next((one.display(language) for one in channels if one.channel_id == channel_id), channel_id)
