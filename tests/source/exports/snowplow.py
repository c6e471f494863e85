"""Snowplow: atomic events as tab separated text, and sessions derived from them as CSV; every time is UTC."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from exports.ga4 import GROUPS, TAGS
from exports.people import sessions
from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, csv_text, header, put

EVENTS_HEADER = header("snowplow.events")
SESSIONS_HEADER = header("snowplow.sessions")
_REFERRERS = {"search": ("search", "Google"), "feed": ("social", "Facebook"), "live": ("social", "YouTube")}
_TAGGED = ("affiliate", "ads_search", "ads_feed")


def events(folder: Path, shop: MadeShop) -> list[Path]:
    """atomic_events.tsv: page views and transactions; campaign and referrer stand on the first event only."""
    rows: list[list[Cell]] = [EVENTS_HEADER]
    for session in sessions(shop):
        source, medium, campaign = TAGS[session.channel] if session.channel in _TAGGED else ("", "", "")
        kinds = ["page_view", "page_view", *(["transaction"] if session.value else [])]
        for step, kind in enumerate(kinds):
            at = session.start + timedelta(seconds=60 * step)
            refers = _REFERRERS.get(session.channel, ("", "")) if not step else ("internal", "")
            tags = (medium, source, campaign) if not step else ("", "", "")
            stamp = f"{at:%Y-%m-%d %H:%M:%S.000}"
            who: list[Cell] = [str(UUID(int=session.number * 10 + step)), kind, "", session.person, 1]
            order: list[Cell] = ["", "", ""]
            if kind == "transaction":
                order = [f"S{session.number:07d}", session.value, "CNY"]
            start: list[Cell] = ["shop", "web", stamp, stamp, "pv" if kind == "page_view" else "tr"]
            rows.append([*start, *who, str(UUID(int=session.number)), *refers, *tags, *order])
    return [put(folder / "atomic_events.tsv", csv_text(rows, "\t", "\n"))]


def derived_sessions(folder: Path, shop: MadeShop) -> list[Path]:
    """snowplow_unified_sessions.csv: one row per session with its default channel group."""
    rows: list[list[Cell]] = [SESSIONS_HEADER]
    for session in sessions(shop):
        source, medium, campaign = TAGS[session.channel] if session.channel in _TAGGED else ("", "", "")
        end = session.start + timedelta(seconds=700 if session.late else 95)
        times: list[Cell] = [f"{session.start:%Y-%m-%d %H:%M:%S}", f"{end:%Y-%m-%d %H:%M:%S}"]
        who: list[Cell] = ["shop", "web", str(UUID(int=session.number)), *times, session.person, 1, 4]
        rows.append(
            [*who, GROUPS[session.channel], medium, source, campaign, *_REFERRERS.get(session.channel, ("", ""))]
        )
    return [put(folder / "snowplow_unified_sessions.csv", csv_text(rows, end="\n"))]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """The derived sessions."""
    return derived_sessions(folder, shop)


def known(shop: MadeShop) -> Known:
    """Sessions by channel group, on days of China: a day cut in UTC moves a third of them."""
    return Known("sessions", {"visits": {GROUPS[channel]: shop.of("visits", channel) for channel in CHANNELS}})


def events_known(shop: MadeShop) -> Known:
    """The events: sessions by the rules of GA4 on tags and referrer, orders and money by the session they fall in.

    The referrer of a video site is of the medium social, which the rules meet before the list of video sites.
    """
    by_group: dict[str, list[str]] = {}
    for channel in CHANNELS:
        group = "Organic Social" if channel == "live" else GROUPS[channel]
        by_group.setdefault(group, []).append(channel)
    return Known(
        "sessions",
        {
            metric: {group: shop.total(metric, channels) for group, channels in by_group.items()}
            for metric in ("visits", "orders", "gmv")
        },
    )
