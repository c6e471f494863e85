"""京东商智: 交易概况 with a row per day, and 店铺来源 as one XLSX per day."""

from __future__ import annotations

from pathlib import Path

from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, header, number, percent, write_xlsx

NAMES = {
    "search": "搜索",
    "feed": "推荐",
    "own": "购物车",
    "live": "微信小程序",
    "affiliate": "京东联盟",
    "ads_search": "京东快车",
    "ads_feed": "购物触点",
}
_LEVELS = {
    "search": ("站内免费", "搜索"),
    "feed": ("站内免费", "推荐"),
    "own": ("站内免费", "自主访问"),
    "live": ("站外", "微信"),
    "affiliate": ("付费", "联盟广告"),
    "ads_search": ("付费", "京准通"),
    "ads_feed": ("付费", "京准通"),
}
TRADE_HEADER = header("jd.trade")
SOURCE_HEADER = header("jd.source")


def trade(folder: Path, shop: MadeShop) -> list[Path]:
    """…交易概况…分天下载_<first>_<last>.xlsx: the days of the data stand in the name and in 时间."""
    rows: list[list[Cell]] = [TRADE_HEADER]
    visitors, orders, gmv, refunds = shop.visitors(), shop.total("orders"), shop.total("gmv"), shop.total("refunds")
    for day, moment in enumerate(shop.days):
        buyers = round(orders[day] * 0.95)
        row: list[Cell] = [moment.isoformat(), number(visitors[day] * 3), number(visitors[day]), number(gmv[day], 2)]
        row += [number(round(orders[day] * 1.3)), number(orders[day]), number(buyers), percent(buyers, visitors[day])]
        rows.append([*row, number(gmv[day] / max(buyers, 1), 2), number(refunds[day], 2)])
    name = f"改道京东自营-交易概况_不包括对比时间_离线_分天下载_{shop.days[0]}_{shop.days[-1]}.xlsx"
    return [write_xlsx(folder / name, rows)]


def sources(folder: Path, shop: MadeShop) -> list[Path]:
    """店铺来源_流量来源_按天__<day>_<day>.xlsx: the day only in the name, a column of last year, `-` where missing."""
    made = []
    for day, moment in enumerate(shop.days):
        rows: list[list[Cell]] = [SOURCE_HEADER]
        for channel in CHANNELS:
            visits, gmv = shop.at("visits", channel, day), shop.at("gmv", channel, day)
            buyers = round(shop.at("orders", channel, day) * 0.95)
            row: list[Cell] = [*_LEVELS[channel], NAMES[channel], visits, "3.10%", round(visits * 0.8), visits * 3]
            rows.append([*row, buyers, gmv, "-", percent(buyers, visits)])
        made.append(write_xlsx(folder / f"店铺来源_流量来源_按天__{moment:%Y%m%d}_{moment:%Y%m%d}.xlsx", rows))
    return made


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """Both tables of 商智."""
    return [*trade(folder, shop), *sources(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Last-source visitors and money by source; orders and refunds of the whole shop."""
    return Known(
        "daily visitors",
        {
            "visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS},
            "gmv": {NAMES[channel]: shop.of("gmv", channel) for channel in CHANNELS},
        },
        {"orders": shop.total("orders"), "refunds": shop.total("refunds")},
        {"成交客户数": "orders", "20240303访客数": "visits", "浏览量": "visits", "成交商品件数": "orders"},
    )
