"""Ad reports of 阿里妈妈: scenes of 万相台 as zipped CSV, and commissions of 淘宝联盟."""

from __future__ import annotations

from pathlib import Path

from exports.shop import PAID, Known, MadeShop
from exports.writing import Cell, csv_text, header, put, write_zip

SCENES = {"ads_search": ("371", "关键词推广"), "ads_feed": ("372", "人群推广")}
SCENE_HEADER = header("alimama.scene")
LONGEST_DAYS = 90
"""A download spans at most 90 days, so a longer shop comes as several files."""

COMMISSION_HEADER = header("alimama.commission")


def scenes(folder: Path, shop: MadeShop, encoding: str = "utf-8-sig") -> list[Path]:
    """营销场景报表_<date>_<time>.zip, each with one CSV; undefined ratios are `\\N`."""
    made = []
    for start in range(0, len(shop.days), LONGEST_DAYS):
        span = range(start, min(start + LONGEST_DAYS, len(shop.days)))
        rows = [_scene_row(shop, channel, day) for day in span for channel in PAID]
        name = f"营销场景报表_20250701_{101500 + start}"
        content = csv_text([SCENE_HEADER, *rows]).encode(encoding)
        made.append(write_zip(folder / f"{name}.zip", {f"{name}.csv": content}))
    return made


def _scene_row(shop: MadeShop, channel: str, day: int) -> list[Cell]:
    """One scene on one day; the ad report credits 1.3 times the money that the source report shows."""
    number, name = SCENES[channel]
    clicks = round(shop.at("visits", channel, day) * 1.08)
    shown, cost = shop.at("volume", channel, day), shop.at("cost", channel, day)
    orders, gmv = shop.at("orders", channel, day) + 3, round(shop.at("gmv", channel, day) * 1.3 + 90, 2)
    new = shop.at("new_customers", channel, day) + 1
    filled: dict[str, Cell] = {
        "日期": shop.days[day].isoformat(),
        "场景ID": number,
        "场景名字": name,
        "原二级场景ID": number,
        "原二级场景名字": name,
        "展现量": shown,
        "点击量": clicks,
        "花费": cost,
        "点击率": round(clicks / shown, 5) if shown else "\\N",
        "平均点击花费": round(cost / clicks, 2) if clicks else "\\N",
        "千次展现花费": round(1000 * cost / shown, 2) if shown else "\\N",
        "直接成交金额": round(gmv * 0.7, 2),
        "间接成交金额": round(gmv - round(gmv * 0.7, 2), 2),
        "总成交金额": gmv,
        "总成交笔数": orders,
        "投入产出比": round(gmv / cost, 2) if cost else "\\N",
        "店铺收藏成本": "\\N",
        "成交新客数": new,
        "成交新客占比": round(new / orders, 5),
        "成交人数": orders,
        "自然流量转化金额": round(gmv * 0.2, 2),
        "自然流量曝光量": round(shown * 0.1),
    }
    return [filled.get(column, 0) for column in SCENE_HEADER]


def commissions(folder: Path, shop: MadeShop) -> list[Path]:
    """分天数据-计划_活动类型-推广概览-数据汇总.csv: GB18030, every date followed by a tab, one total row per day."""
    rows: list[list[Cell]] = [COMMISSION_HEADER]
    for day, moment in enumerate(shop.days):
        clicks, orders = shop.at("visits", "affiliate", day), shop.at("orders", "affiliate", day)
        gmv, fee = shop.at("gmv", "affiliate", day), shop.at("cost", "affiliate", day)
        service = round(fee * 0.1, 2)
        rate = f"{100 * orders / clicks:.2f}%"
        row: list[Cell] = [f"{moment.isoformat()}\t", "汇总", clicks, round(clicks * 0.9), rate, orders, gmv, orders]
        rows.append([*row, round(fee - service, 2), service, round(gmv * 0.8, 2), round(gmv * 0.7, 2)])
    return [put(folder / "分天数据-计划_活动类型-推广概览-数据汇总.csv", csv_text(rows), "gb18030")]


def commissions_known(shop: MadeShop) -> Known:
    """淘宝联盟 alone: clicks, paid orders and money of one channel; commission and service fee are its cost."""
    return Known(
        "clicks",
        {
            "visits": {"淘宝客": shop.of("visits", "affiliate")},
            "orders": {"淘宝客": shop.of("orders", "affiliate")},
            "gmv": {"淘宝客": shop.of("gmv", "affiliate")},
            "cost": {"淘宝客": shop.of("cost", "affiliate")},
        },
        tempting={"付款人数": "new_customers", "结算金额": "gmv", "确认收货金额": "gmv"},
    )
