"""Matomo: Acquisition > All channels by day as TSV in UTF-16 (its form for Excel), and the visits log as CSV."""

from __future__ import annotations

from pathlib import Path

from exports.people import CHINA, sessions
from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, csv_text, header, put

NAMES = {
    "search": "Google",
    "feed": "Facebook",
    "own": "Direct Entry",
    "live": "youtube.com",
    "affiliate": "awin_spring",
    "ads_search": "brand_search",
    "ads_feed": "prospecting",
}
_TYPES: dict[str, tuple[int, str, str]] = {
    "search": (2, "search", "Search Engines"),
    "feed": (7, "social", "Social Networks"),
    "own": (1, "direct", "Direct Entry"),
    "live": (3, "website", "Websites"),
    "affiliate": (6, "campaign", "Campaigns"),
    "ads_search": (6, "campaign", "Campaigns"),
    "ads_feed": (6, "campaign", "Campaigns"),
}
"""Number, word and name of the referrer type."""
REFERRERS_HEADER = header("matomo.referrers")
VISITS_HEADER = header("matomo.visits")


def referrers(folder: Path, shop: MadeShop, separator: str = "\t") -> list[Path]:
    """Referrers.getAll with period=day and a range: the column `date` in front, a byte order mark, no line end last."""
    rows: list[list[Cell]] = [REFERRERS_HEADER]
    for day, moment in enumerate(shop.days):
        for channel in sorted(CHANNELS, key=lambda name: -shop.at("visits", name, day)):
            visits, orders = shop.at("visits", channel, day), shop.at("orders", channel, day)
            gmv, pages = shop.at("gmv", channel, day), round(visits * 3.2)
            seen: list[Cell] = [round(visits * 0.9), visits, pages, 40, visits * 95, round(visits * 0.4), orders + 2]
            sold: list[Cell] = [orders, orders, gmv, orders + 7, gmv, _TYPES[channel][0], 100 + day]
            rows.append([moment.isoformat(), NAMES[channel], *seen, *sold])
    ending = "tsv" if separator == "\t" else "csv"
    span = f"{shop.days[0]}_{shop.days[-1]}"
    text = "\ufeff" + csv_text(rows, separator, "\n").rstrip("\n")
    return [put(folder / f"Export _ All Channels _ {span}.{ending}", text, "utf-16-le")]


def visits_log(folder: Path, shop: MadeShop) -> list[Path]:
    """Live.getLastVisitsDetails: one row per visit, newest first; serverDate in the site's zone, the stamp in UTC."""
    rows: list[list[Cell]] = []
    for session in sessions(shop):
        kind, word, name = _TYPES[session.channel]
        local = session.start + CHINA
        who: list[Cell] = [1, session.number, session.person, "returning", 3, int(session.start.timestamp())]
        referrer: list[Cell] = [word, name, NAMES[session.channel] if kind != 1 else "", "", ""]
        length = 700 if session.late else 95
        end: list[Cell] = [4, length, int(session.value > 0), "ordered" if session.value else "none"]
        dates: list[Cell] = [f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}"]
        rows.append([*who, *dates, *referrer, *end, int(session.value > 0), session.value])
    text = "\ufeff" + csv_text([VISITS_HEADER, *reversed(rows)], ",", "\n").rstrip("\n")
    return [put(folder / f"Export _ Visits Log _ {shop.days[-1]}.csv", text, "utf-16-le")]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """The report by day."""
    return referrers(folder, shop)


def known(shop: MadeShop) -> Known:
    """Visits, e-commerce orders and their money by referrer; goals are no orders, visitors no visits."""
    return Known(
        "sessions",
        {
            "visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS},
            "orders": {NAMES[channel]: shop.of("orders", channel) for channel in CHANNELS},
            "gmv": {NAMES[channel]: shop.of("gmv", channel) for channel in CHANNELS},
        },
        tempting={"nb_uniq_visitors": "visits", "nb_conversions": "orders", "nb_visits_converted": "orders"},
    )
