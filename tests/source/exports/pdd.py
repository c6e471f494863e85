"""拼多多: the board of the whole shop, and spend per kind of promotion; no export tells visits by source."""

from __future__ import annotations

from pathlib import Path

from exports.shop import PAID, Known, MadeShop
from exports.writing import Cell, header, number, percent, write_xlsx

NAMES = {"ads_search": "商品推广", "ads_feed": "明星店铺"}
TRAFFIC_HEADER = header("pdd.traffic")
PROMOTION_HEADER = header("pdd.promotion")


def traffic(folder: Path, shop: MadeShop) -> list[Path]:
    """流量看板 as XLSX under a merged title row."""
    rows: list[list[Cell]] = [[f"流量看板 {shop.days[0]}至{shop.days[-1]}"], TRAFFIC_HEADER]
    visitors, orders, gmv = shop.visitors(), shop.total("orders"), shop.total("gmv")
    for day, moment in enumerate(shop.days):
        buyers = round(orders[day] * 0.97)
        row: list[Cell] = [moment.isoformat(), number(visitors[day]), number(visitors[day] * 2)]
        row += [number(round(visitors[day] * 0.9)), number(visitors[day] * 2), number(buyers), number(orders[day])]
        row += [number(gmv[day], 2), percent(buyers, visitors[day]), number(gmv[day] / max(buyers, 1), 2)]
        rows.append([*row, number(gmv[day] / visitors[day], 2)])
    name = f"流量看板_{shop.days[0]:%Y%m%d}_{shop.days[-1]:%Y%m%d}.xlsx"
    return [write_xlsx(folder / name, rows, merged=["A1:K1"])]


def promotions(folder: Path, shop: MadeShop) -> list[Path]:
    """<kind>_数据汇总_分天_<first>_<last>.xlsx: the kind stands in the name only, a total row at the end."""
    made = []
    for channel in PAID:
        rows: list[list[Cell]] = [PROMOTION_HEADER]
        for day, moment in enumerate(shop.days):
            rows.append([moment.isoformat(), *_figures(shop, channel, [day])])
        rows.append(["总计", *_figures(shop, channel, range(len(shop.days)))])
        span = f"{shop.days[0]:%Y%m%d}_{shop.days[-1]:%Y%m%d}"
        made.append(write_xlsx(folder / f"{NAMES[channel]}_数据汇总_分天_{span}.xlsx", rows))
    return made


def _figures(shop: MadeShop, channel: str, days: range | list[int]) -> list[Cell]:
    """One row behind its date; money credited to ads is the platform's own count."""
    clicks, shown = (sum(shop.at(metric, channel, day) for day in days) for metric in ("visits", "volume"))
    cost = round(sum(shop.at("cost", channel, day) for day in days), 2)
    gmv = round(sum(shop.at("gmv", channel, day) for day in days) * 1.2, 2)
    orders = sum(shop.at("orders", channel, day) for day in days) + 1
    row: list[Cell] = [cost, gmv, round(gmv / cost, 2) if cost else "-", orders, 8]
    row += [round(1000 * cost / shown, 2) if shown else "-", shown, clicks]
    return [*row, round(cost / orders, 2), round(gmv / orders, 2), 12]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """The board and the promotions."""
    return [*traffic(folder, shop), *promotions(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Visits, orders and money exist for the whole shop only; ads have cost and impressions."""
    return Known(
        "daily visitors",
        {
            "cost": {NAMES[channel]: shop.of("cost", channel) for channel in PAID},
            "volume": {NAMES[channel]: shop.of("volume", channel) for channel in PAID},
        },
        {"visits": shop.visitors(), "orders": shop.total("orders"), "gmv": shop.total("gmv")},
        {"点击量": "visits", "交易额(元)": "gmv", "成交笔数": "orders", "成交买家数": "orders", "店铺浏览量": "visits"},
    )
