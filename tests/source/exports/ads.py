"""Spend of Google Ads and Meta Ads by day and campaign."""

from __future__ import annotations

from pathlib import Path

from exports.shop import Known, MadeShop
from exports.writing import Cell, csv_text, header, number, put

CAMPAIGNS = {"ads_search": "Brand - Search", "ads_feed": "Prospecting"}
GOOGLE_HEADER = header("ads.google")
META_HEADER = header("ads.meta")


def google(folder: Path, shop: MadeShop, encoding: str = "utf-8") -> list[Path]:
    """Campaign report.csv: a title, the span in words, the header, totals at the end; UTF-16 with tabs for Excel."""
    rows: list[list[Cell]] = []
    for day, moment in enumerate(shop.days):
        cost, shown, clicks = (shop.at(metric, "ads_search", day) for metric in ("cost", "volume", "visits"))
        who: list[Cell] = [moment.isoformat(), CAMPAIGNS["ads_search"], "12345678901", "CNY"]
        orders, gmv = shop.at("orders", "ads_search", day), shop.at("gmv", "ads_search", day)
        rows.append([*who, number(cost, 2), number(shown), number(clicks), number(orders, 2), number(gmv, 2)])
    sums = [sum(shop.of(metric, "ads_search")) for metric in ("cost", "volume", "visits", "orders", "gmv")]
    figures: list[Cell] = [number(sums[0], 2), number(sums[1]), number(sums[2]), number(sums[3], 2), number(sums[4], 2)]
    totals: list[list[Cell]] = [[f"Total: {what}", "--", "--", "CNY", *figures] for what in ("Campaigns", "Account")]
    title: list[list[Cell]] = [["Campaign report"], [f"{shop.days[0]:%B %-d, %Y} - {shop.days[-1]:%B %-d, %Y}"]]
    separator = "\t" if encoding == "utf-16" else ","
    text = csv_text([*title, GOOGLE_HEADER, *rows, *totals], separator, "\n")
    return [put(folder / "Campaign report.csv", text, encoding)]


def meta(folder: Path, shop: MadeShop, currency: str = "CNY") -> list[Path]:
    """<account>-Campaigns-<first>-<last>.csv with a byte order mark: broken down by Day, a row of sums first.

    The currency stands in the name of the column.
    """
    columns = [name.replace("(USD)", f"({currency})") for name in META_HEADER]
    rows: list[list[Cell]] = []
    span: list[Cell] = [shop.days[0].isoformat(), shop.days[-1].isoformat()]
    for day, moment in enumerate(shop.days):
        who: list[Cell] = [CAMPAIGNS["ads_feed"], moment.isoformat(), "active", "7-day click or 1-day view"]
        rows.append([*who, *_meta_figures(shop, [day]), moment.isoformat(), moment.isoformat()])
    sums: list[Cell] = ["", "", "", "", *_meta_figures(shop, range(len(shop.days))), *span]
    name = f"Rechannel-Campaigns-{shop.days[0]:%b-%-d-%Y}-{shop.days[-1]:%b-%-d-%Y}.csv"
    return [put(folder / name, csv_text([columns, sums, *rows], end="\n"), "utf-8-sig")]


def _meta_figures(shop: MadeShop, days: range | list[int]) -> list[Cell]:
    shown, clicks, orders = (
        sum(shop.at(metric, "ads_feed", day) for day in days) for metric in ("volume", "visits", "orders")
    )
    cost = round(sum(shop.at("cost", "ads_feed", day) for day in days), 2)
    gmv = round(sum(shop.at("gmv", "ads_feed", day) for day in days), 2)
    reach = round(shown * 0.6)
    return [orders, "actions:offsite_conversion.fb_pixel_purchase", reach, shown, cost, clicks, orders, gmv]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """Both reports."""
    return [*google(folder, shop), *meta(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Cost and impressions by campaign; clicks are no visits, conversions are the platforms' own count."""
    return Known(
        "clicks",
        {
            "cost": {CAMPAIGNS[channel]: shop.of("cost", channel) for channel in CAMPAIGNS},
            "volume": {CAMPAIGNS[channel]: shop.of("volume", channel) for channel in CAMPAIGNS},
        },
        tempting={
            "Clicks": "visits",
            "Link clicks": "visits",
            "Conversions": "orders",
            "Purchases": "orders",
            "Conv. value": "gmv",
            "Reach": "volume",
        },
    )
