"""抖音电商罗盘: sources of the live room per day, live sessions with spend, and goods with refunds."""

from __future__ import annotations

from pathlib import Path

from exports.shop import CHANNELS, PAID, Known, MadeShop
from exports.writing import Cell, csv_text, header, percent, put, write_xlsx

NAMES = {
    "search": "搜索",
    "feed": "推荐feed",
    "own": "关注",
    "live": "短视频引流",
    "affiliate": "商城",
    "ads_search": "千川PC版",
    "ads_feed": "小店随心推",
}
CHANNEL_HEADER = header("douyin.channel")
LIVE_HEADER = header("douyin.live")
GOODS_HEADER = header("douyin.goods")


def channels(folder: Path, shop: MadeShop) -> list[Path]:
    """流量来源: one row per day and source, with a sum 整体 per day."""
    rows: list[list[Cell]] = [CHANNEL_HEADER]
    for day, moment in enumerate(shop.days):
        parts: list[list[Cell]] = []
        for channel in CHANNELS:
            viewers, orders = shop.at("visits", channel, day), shop.at("orders", channel, day)
            first = "付费流量" if channel in PAID else "自然流量"
            figures: list[Cell] = [viewers, round(viewers * 1.4), round(orders * 0.98), orders]
            parts.append([f"{moment:%Y/%m/%d}", first, NAMES[channel], *figures, shop.at("gmv", channel, day)])
        sums: list[Cell] = [round(sum(float(part[at] or 0) for part in parts), 2) for at in range(3, 8)]
        rows += [[f"{moment:%Y/%m/%d}", "整体", "-", *sums], *parts]
    return [write_xlsx(folder / f"流量来源_{shop.days[0]:%Y%m%d}-{shop.days[-1]:%Y%m%d}.xlsx", rows)]


def live_sessions(folder: Path, shop: MadeShop) -> list[Path]:
    """直播场次明细: two sessions a day, the second runs over midnight; spend stands here, `--` where missing."""
    rows: list[list[Cell]] = [LIVE_HEADER]
    gmv, visits, orders = shop.total("gmv"), shop.total("visits"), shop.total("orders")
    cost = shop.total("cost", PAID)
    for day, moment in enumerate(shop.days):
        for turn, share in enumerate((0.4, 0.6)):
            start, end = (("10:00:00", "14:30:00"), ("19:30:00", "00:45:00"))[turn]
            paid, spent = _part(gmv[day], share, turn), _part(cost[day], share, turn)
            viewers = round(visits[day] * share)
            title: list[Cell] = [f"春上新第{day + 1}天", "改道小店", f"{moment} {start}", f"{moment} {end}"]
            people: list[Cell] = [270, viewers * 6, viewers, round(viewers * 0.1), round(viewers * 0.05), 31]
            sold: list[Cell] = [round(viewers * 0.2), round(orders[day] * share), paid, "18.20%", spent]
            rows.append([*title, *people, *sold, round(paid / spent, 2) if spent else "--"])
    return [write_xlsx(folder / f"直播场次明细_{shop.days[-1]:%Y%m%d}.xlsx", rows)]


def _part(total: float, share: float, turn: int) -> float:
    """The first part, or what it leaves of the total, in cents."""
    first = round(total * (share if not turn else 1 - share), 2)
    return first if not turn else round(total - first, 2)


def goods(folder: Path, shop: MadeShop) -> list[Path]:
    """商品数据 as CSV with a byte order mark; an item number is kept from rounding by a tab."""
    rows: list[list[Cell]] = [GOODS_HEADER]
    refunds, orders, visits = shop.total("refunds"), shop.total("orders"), shop.total("visits")
    for day, moment in enumerate(shop.days):
        for turn, share in enumerate((0.7, 0.3)):
            seen, bought = round(visits[day] * share), round(orders[day] * share)
            item: list[Cell] = [moment.isoformat(), f"36100123456789012{turn}\t", f"商品{turn + 1}", seen]
            back = _part(refunds[day], share, turn)
            rows.append([*item, round(seen * 0.2), bought, percent(bought, seen * 0.2), back, "9.80%", "97.20%"])
    return [put(folder / f"商品数据_{shop.days[-1]:%Y%m%d}.csv", csv_text(rows), "utf-8-sig")]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """All three tables."""
    return [*channels(folder, shop), *live_sessions(folder, shop), *goods(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Viewers, orders and money by source; spend and refunds for the whole room only."""
    return Known(
        "viewers",
        {
            "visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS},
            "orders": {NAMES[channel]: shop.of("orders", channel) for channel in CHANNELS},
            "gmv": {NAMES[channel]: shop.of("gmv", channel) for channel in CHANNELS},
        },
        {"cost": shop.total("cost", PAID), "refunds": shop.total("refunds")},
        {"新增粉丝数": "new_customers", "直播间曝光人数": "visits", "成交人数": "orders"},
    )
