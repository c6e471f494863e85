"""The kinds of made market, the ranges their knobs are drawn from, and the entries a made shop may have: data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

Draw = Literal["linear", "log", "whole", "low"]


@dataclass(frozen=True, slots=True)
class Range:
    """Ends of a knob; `log` is even in logarithms, `whole` gives whole numbers, `low` favours the low end."""

    low: float
    high: float
    draw: Draw = "linear"

    def at(self, uniform: float) -> float:
        """The value at a uniform number in [0, 1)."""
        if self.draw == "log":
            return float(np.exp(np.log(self.low) + uniform * (np.log(self.high) - np.log(self.low))))
        if self.draw == "whole":
            return float(int(self.low + uniform * (self.high - self.low + 1)))
        share = uniform**2 if self.draw == "low" else uniform
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a made market is like; every field is drawn from its row of `RANGES` or of the kind.

    Attributes
    ----------
    visits_per_day, history_days, entries, share, markets
        Size of the shop on an average day, days before D, number of entries, the closing entry's share of visits,
        number of markets.
    severity
        Share of the entry's prominence taken away on D; 0 = nothing happens.
    notice_days, notice_reach, steer
        Days between announcement and D (0 = none), share of customers who hear of it, share of their visits moved
        early.
    outages_own, outages_other, outage_days, logged
        Past faults of the closing entry and of others, their length, and whether `events` tells of them (0 or 1).
    created, created_others
        Share of the entry's visits that exist only because somebody saw it.
    attention, created_yield
        Share of freed attention that goes to the host's other entries; visits per glance at the closing entry relative
        to them (below 1 a closure can raise visits).
    find, find_gain, learn_days
        Chance that a blocked customer finds another way at once; share of the rest that can learn to; days it takes.
    multihoming, solo, host_loyalty, taste
        Chance of knowing an entry beyond the favourite one; share of the entry's own users who know nothing else; pull
        of the home host and spread of taste, in logarithms of popularity.
    habit, habit_days
        Share of visits made out of habit; days in which a habit forms.
    postpone, rival_pull, stray
        Of the visits not found again: share put off, share of the others that goes to rivals, and how much tie to the
        shop such a visit costs.
    assist, push
        Visits of the next day that a visit causes elsewhere; growth of occasions with a growing habit of entries that
        push.
    conversion, created_conversion, selection, basket, refund, prospect
        Orders per needed visit; conversion of created visits relative to it; how far an entry's conversion is that of
        the people who use it and goes with them (0 = all the entry's doing); order value; refunded share of GMV; share
        of the reachable people who have never ordered.
    demand_noise, demand_memory, demand_walk, channel_noise, channel_memory, common, white
        Sd and AR(1) of the firm's daily demand shock, sd of its daily random walk, sd and AR(1) of each entry's shock,
        share of that shock common to all entries, sd of uncorrelated daily noise beyond counting.
    trend, season, weekend, promo_lift, holiday_lift, rival_promo
        Growth per year, yearly swing, weekend effect, lift of needs by own promotion, by holiday, loss by a rival's.
    paid_share, spend_feedback, spend_elasticity
        Share of visits on paid entries, how spend follows demand, how visits follow spend.
    break_size, break_before
        Sd of an unlogged jump of demand and of the closing entry, and how many days before D it happens.
    tracking
        Largest relative shift of counted visits by a broken or changed measurement.
    rival_size
        Visits of all rivals together relative to the shop's.
    twin_entry, weekday_entry, test_days
        1 = a near-copy in the same host; 1 = the entry lives on certain weekdays; days of a geo test (0 = none).
    """

    visits_per_day: float
    history_days: float
    entries: float
    share: float
    markets: float
    severity: float
    notice_days: float
    notice_reach: float
    steer: float
    outages_own: float
    outages_other: float
    outage_days: float
    logged: float
    created: float
    created_others: float
    attention: float
    created_yield: float
    find: float
    find_gain: float
    learn_days: float
    multihoming: float
    solo: float
    host_loyalty: float
    taste: float
    habit: float
    habit_days: float
    postpone: float
    rival_pull: float
    stray: float
    assist: float
    push: float
    conversion: float
    created_conversion: float
    selection: float
    basket: float
    refund: float
    prospect: float
    demand_noise: float
    demand_memory: float
    demand_walk: float
    channel_noise: float
    channel_memory: float
    common: float
    white: float
    trend: float
    season: float
    weekend: float
    promo_lift: float
    holiday_lift: float
    rival_promo: float
    paid_share: float
    spend_feedback: float
    spend_elasticity: float
    break_size: float
    break_before: float
    tracking: float
    rival_size: float
    twin_entry: float
    weekday_entry: float
    test_days: float


KNOBS: tuple[str, ...] = tuple(knob.name for knob in fields(Knobs))

RANGES: Mapping[str, Range] = {
    "visits_per_day": Range(200, 200_000, "log"),
    "history_days": Range(420, 1000, "whole"),
    "entries": Range(4, 10, "whole"),
    "share": Range(0.04, 0.35, "log"),
    "markets": Range(1, 1, "whole"),
    "severity": Range(1, 1),
    "notice_days": Range(0, 30, "whole"),
    "notice_reach": Range(0.05, 0.8),
    "steer": Range(0.0, 0.7),
    "outages_own": Range(0, 2, "whole"),
    "outages_other": Range(1, 3, "whole"),
    "outage_days": Range(3, 10, "whole"),
    "logged": Range(1, 1),
    "created": Range(0.0, 0.7, "low"),
    "created_others": Range(0.03, 0.3),
    "attention": Range(0.0, 0.6),
    "created_yield": Range(0.5, 1.6),
    "find": Range(0.0, 1.0),
    "find_gain": Range(0.0, 1.0),
    "learn_days": Range(4, 60, "log"),
    "multihoming": Range(0.35, 1.0),
    "solo": Range(0.0, 0.4, "low"),
    "host_loyalty": Range(0.0, 3.0),
    "taste": Range(0.2, 1.5),
    "habit": Range(0.1, 0.8),
    "habit_days": Range(10, 60),
    "postpone": Range(0.05, 0.5),
    "rival_pull": Range(0.05, 0.9),
    "stray": Range(0.0, 0.25),
    "assist": Range(0.0, 0.12),
    "push": Range(0.0, 0.6),
    "conversion": Range(0.012, 0.09, "log"),
    "created_conversion": Range(0.2, 1.0),
    "selection": Range(0.0, 1.0),
    "basket": Range(60, 600, "log"),
    "refund": Range(0.02, 0.2),
    "prospect": Range(0.1, 0.6),
    "demand_noise": Range(0.015, 0.06),
    "demand_memory": Range(0.3, 0.9),
    "demand_walk": Range(0.0005, 0.005, "log"),
    "channel_noise": Range(0.015, 0.07),
    "channel_memory": Range(0.2, 0.9),
    "common": Range(0.0, 0.5),
    "white": Range(0.008, 0.04),
    "trend": Range(-0.2, 0.4),
    "season": Range(0.0, 0.15),
    "weekend": Range(-0.2, 0.35),
    "promo_lift": Range(0.15, 1.0),
    "holiday_lift": Range(-0.3, 0.25),
    "rival_promo": Range(0.0, 0.15),
    "paid_share": Range(0.05, 0.3),
    "spend_feedback": Range(-0.3, 0.9),
    "spend_elasticity": Range(0.2, 0.7),
    "break_size": Range(0.0, 0.0),
    "break_before": Range(20, 200, "whole"),
    "tracking": Range(0.0, 0.0),
    "rival_size": Range(1.0, 8.0, "log"),
    "twin_entry": Range(0, 0),
    "weekday_entry": Range(0, 0),
    "test_days": Range(0, 0),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of made market: its name, what is special about it, and the ranges that differ from `RANGES`."""

    name: str
    note: str
    ranges: Mapping[str, Range] = field(default_factory=dict)


KINDS: tuple[Kind, ...] = (
    Kind("plain", "nothing special; every knob at its usual range"),
    Kind(
        "no_past_outage", "no fault of any entry before D", {"outages_own": Range(0, 0), "outages_other": Range(0, 0)}
    ),
    Kind(
        "many_outages",
        "several faults of the entry and of others",
        {"outages_own": Range(2, 4, "whole"), "outages_other": Range(4, 8, "whole"), "history_days": Range(700, 1000)},
    ),
    Kind("trend_break", "demand and the entry jump without a note", {"break_size": Range(0.1, 0.3)}),
    Kind("paid_heavy", "paid entries whose spend follows demand", {"paid_share": Range(0.35, 0.65)}),
    Kind(
        "generates_demand",
        "most visits exist only because somebody saw the entry",
        {"created": Range(0.6, 0.95), "attention": Range(0.0, 0.2)},
    ),
    Kind(
        "twin_entry",
        "a second entry in the same host that most users know",
        {"twin_entry": Range(1, 1), "find": Range(0.5, 1.0), "created": Range(0.0, 0.2), "solo": Range(0.0, 0.1)},
    ),
    Kind("tiny_channel", "an entry of half to two per cent of visits", {"share": Range(0.005, 0.02, "log")}),
    Kind("placebo", "nothing happens on D", {"severity": Range(0, 0), "notice_days": Range(0, 0)}),
    Kind(
        "collinear",
        "all entries rise and fall together",
        {"common": Range(0.93, 0.99), "channel_noise": Range(0.04, 0.09), "demand_noise": Range(0.04, 0.08)},
    ),
    Kind("short_history", "two to six months before D", {"history_days": Range(60, 180, "whole")}),
    Kind(
        "geo_test",
        "the entry was switched off on purpose in some markets",
        {"markets": Range(8, 20, "whole"), "test_days": Range(14, 35, "whole"), "outages_own": Range(0, 0)},
    ),
    Kind("demotion", "the entry moves down but stays", {"severity": Range(0.25, 0.85)}),
    Kind(
        "loyal_users",
        "users who know several ways and belong to the shop",
        {
            "find": Range(0.85, 1.0),
            "find_gain": Range(0.6, 1.0),
            "multihoming": Range(0.85, 1.0),
            "solo": Range(0.0, 0.03),
            "created": Range(0.0, 0.08),
            "rival_pull": Range(0.0, 0.15),
            "host_loyalty": Range(0.0, 0.8),
        },
    ),
    Kind(
        "unlogged_outages",
        "faults that no event row tells of",
        {"logged": Range(0, 0), "outages_own": Range(1, 3, "whole"), "outages_other": Range(1, 4, "whole")},
    ),
    Kind(
        "strong_rival",
        "what is not found again goes to a large rival and stays there",
        {"rival_pull": Range(0.75, 1.0), "rival_size": Range(6, 12), "stray": Range(0.2, 0.6), "find": Range(0.0, 0.5)},
    ),
    Kind(
        "attention_competition",
        "entries of one host compete for glances; closing one can raise visits",
        {
            "created": Range(0.5, 0.9),
            "created_others": Range(0.3, 0.6),
            "attention": Range(0.7, 1.0),
            "created_yield": Range(0.25, 0.9),
            "twin_entry": Range(1, 1),
            "find": Range(0.4, 1.0),
        },
    ),
    Kind("weekday_channel", "the entry lives on certain weekdays", {"weekday_entry": Range(1, 1)}),
    Kind(
        "habit_shift",
        "strong habits that take months to move, and ties that are lost with them",
        {"habit": Range(0.7, 0.95), "habit_days": Range(40, 120), "stray": Range(0.1, 0.5)},
    ),
    Kind("assists", "visits of the entry cause visits elsewhere", {"assist": Range(0.2, 0.5)}),
    Kind("broken_tracking", "counted visits shift without a change of behaviour", {"tracking": Range(0.08, 0.35)}),
    Kind(
        "steered",
        "a long notice that moves most aware users early",
        {"notice_days": Range(14, 45, "whole"), "notice_reach": Range(0.5, 0.9), "steer": Range(0.4, 0.9)},
    ),
    Kind(
        "nothing_comes_back",
        "dead end: users know no other way and learn none",
        {"find": Range(0.0, 0.08), "find_gain": Range(0.0, 0.1), "notice_reach": Range(0.0, 0.1)},
    ),
)


def kind_named(name: str) -> Kind:
    """The row of `KINDS` called `name`, or ValueError naming all."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise ValueError(f"kind {name!r} is not one of {', '.join(kind.name for kind in KINDS)}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a made shop.

    Attributes
    ----------
    name, host, kind
        As in the tables of a case; host `own` is the shop itself.
    paid
        Whether visits are bought.
    created
        How much its visits are created by being seen, relative to the knob (0 = only needs).
    pushes
        Whether it reaches people who use it (push notices, subscriptions).
    conversion, new
        Conversion and share of first orders relative to the shop's.
    weekdays
        Factor by weekday, Monday first.
    holiday
        Holiday reaction relative to the shop's.
    """

    name: str
    host: str
    kind: str
    paid: bool = False
    created: float = 1.0
    pushes: bool = False
    conversion: float = 1.0
    new: float = 1.0
    weekdays: tuple[float, ...] = (1.0,) * 7
    holiday: float = 1.0


_OFFICE = (1.08, 1.1, 1.08, 1.06, 1.0, 0.84, 0.84)
_EVENING = (0.93, 0.93, 0.94, 0.96, 1.02, 1.12, 1.1)
_TWICE_A_WEEK = (0.75, 1.5, 0.8, 1.55, 0.85, 0.8, 0.75)
WEEKDAY_ENTRY = (0.05, 0.05, 1.6, 0.1, 0.2, 2.6, 2.4)
"""An entry that is on the screen on three days of the week (a live room, a weekly column)."""

ENTRIES: tuple[Entry, ...] = (
    Entry("wechat_discover", "wechat", "first_level_entry", created=1.0, conversion=0.8, new=1.5),
    Entry("wechat_services", "wechat", "services_page", created=0.5, conversion=0.95, new=1.2),
    Entry("mini_program", "wechat", "mini_program", created=0.5, pushes=True, conversion=1.0),
    Entry("app", "own", "app", created=0.5, pushes=True, conversion=1.4, new=0.5),
    Entry("search_ads", "search", "search_ad", paid=True, created=0.5, conversion=1.1, new=1.4, weekdays=_OFFICE),
    Entry("feed_ads", "short_video", "feed_ad", paid=True, created=2.0, conversion=0.5, new=1.7, weekdays=_EVENING),
    Entry("official_account", "wechat", "official_account", created=1.6, pushes=True, weekdays=_TWICE_A_WEEK),
    Entry("group_share", "wechat", "share_group", created=1.6, conversion=1.2, weekdays=_EVENING),
    Entry("web", "own", "web", created=0.2, conversion=0.9, new=0.9, weekdays=_OFFICE, holiday=2.0),
    Entry("live_room", "short_video", "live", created=1.8, conversion=0.9, new=1.3, weekdays=_EVENING),
    Entry("affiliates", "partners", "affiliate", paid=True, created=1.2, conversion=1.1, new=1.1),
    Entry("qq_entry", "qq", "first_level_entry", created=1.0, conversion=0.7, new=1.4),
)


def entry_named(name: str) -> Entry:
    """The row of `ENTRIES` called `name`."""
    return next(entry for entry in ENTRIES if entry.name == name)
