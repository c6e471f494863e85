"""生意参谋: sources of the shop as one XLS per day, the shop per day as XLSX; with 万相台 the set of a 天猫 shop."""

from __future__ import annotations

from pathlib import Path

from exports import alimama
from exports.shop import CHANNELS, PAID, Known, MadeShop
from exports.writing import Cell, header, number, percent, write_xls, write_xlsx

NAMES = {
    "search": "手淘搜索",
    "feed": "手淘推荐",
    "own": "购物车",
    "live": "淘宝直播",
    "affiliate": "淘宝客",
    "ads_search": "关键词推广",
    "ads_feed": "精准人群推广",
}
OLDER_NAMES = (
    (20, {"ads_search": "直通车", "ads_feed": "引力魔方"}),
    (40, {"ads_search": "关键词推广(原直通车)", "ads_feed": "精准人群推广(原引力魔方)"}),
)
"""Names before that day of the shop: the product renamed its ads in two steps."""

# first, second, third level; an empty second or third level makes the row a sum, written 汇总
_TREE: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("平台流量", "", "", ("search", "feed", "own", "live")),
    ("平台流量", "搜索", "", ("search",)),
    ("平台流量", "搜索", "search", ("search",)),
    ("平台流量", "推荐", "", ("feed",)),
    ("平台流量", "推荐", "feed", ("feed",)),
    ("平台流量", "购物车", "", ("own",)),
    ("平台流量", "内容", "", ("live",)),
    ("平台流量", "内容", "live", ("live",)),
    ("广告流量", "", "", ("ads_search", "ads_feed", "affiliate")),
    ("广告流量", "效果广告", "", PAID),
    ("广告流量", "效果广告", "ads_search", ("ads_search",)),
    ("广告流量", "效果广告", "ads_feed", ("ads_feed",)),
    ("广告流量", "淘宝客", "", ("affiliate",)),
)

SOURCE_HEADER = header("sycm.source")
DAILY_HEADER = header("sycm.daily")


def sources(folder: Path, shop: MadeShop) -> list[Path]:
    """【生意参谋平台】无线店铺流量来源-<day>_<day>.xls: the day stands in the name only, the header in row 6."""
    made = []
    for day, moment in enumerate(shop.days):
        rows: list[list[Cell]] = [["店铺流量来源"], [], [f"统计日期：{moment} ~ {moment}"], ["终端：无线端"], []]
        rows += [SOURCE_HEADER, *(_source_row(shop, day, *branch) for branch in _TREE)]
        name = f"【生意参谋平台】无线店铺流量来源-{moment}_{moment}.xls"
        made.append(write_xls(folder / name, rows, "无线流量来源"))
    return made


def source_name(channel: str, day: int) -> str:
    """What the product called the channel on that day of the shop."""
    for until, names in OLDER_NAMES:
        if day < until and channel in names:
            return names[channel]
    return NAMES[channel]


def _source_row(shop: MadeShop, day: int, first: str, second: str, third: str, channels: tuple[str, ...]) -> list[Cell]:
    """One row of the tree as text; visitors of a sum are fewer than those below it."""
    visits = sum(shop.at("visits", channel, day) for channel in channels)
    if len(channels) > 1:
        visits = round(visits * 0.96)
    gmv = round(sum(shop.at("gmv", channel, day) for channel in channels), 2)
    buyers = round(sum(shop.at("orders", channel, day) for channel in channels) * 0.9)
    filled: dict[str, Cell] = {
        "一级来源": first,
        "二级来源": second or "汇总",
        "三级来源": source_name(third, day) if third else "汇总",
        "访客数": number(visits),
        "访客数变化": "+1.20%",
        "下单金额": number(gmv * 1.1, 2),
        "下单买家数": number(buyers + 1),
        "支付金额": number(gmv, 2),
        "支付买家数": number(buyers),
        "支付转化率": percent(buyers, visits),
        "客单价": number(gmv / buyers, 2) if buyers else "-",
        "UV价值": number(gmv / visits, 2),
        "加购人数": number(round(visits * 0.1)),
        "新访客": number(round(visits * 0.6)),
        "直接支付买家数": number(round(buyers * 0.5)),
    }
    return [filled.get(column, "-") for column in SOURCE_HEADER]


def shop_daily(folder: Path, shop: MadeShop) -> list[Path]:
    """日报_<day of the download>_<hash>.xlsx from 自助分析: all days in one file, figures as text with separators."""
    rows: list[list[Cell]] = [DAILY_HEADER]
    visitors, gmv, orders = shop.visitors(), shop_gmv(shop), shop.total("orders")
    new, refunds = shop.total("new_customers"), shop.total("refunds")
    for day, moment in enumerate(shop.days):
        filled: dict[str, Cell] = {
            "统计日期": moment.isoformat(),
            "店铺名称": "改道旗舰店",
            "访客数": number(visitors[day]),
            "无线端访客数": number(round(visitors[day] * 0.97)),
            "浏览量": number(round(visitors[day] * 3.1)),
            "跳失率": "61.30%",
            "下单金额": number(gmv[day] * 1.1, 2),
            "支付金额": number(gmv[day], 2),
            "支付买家数": number(round(orders[day] * 0.9)),
            "支付子订单数": number(orders[day]),
            "支付转化率": percent(orders[day] * 0.9, visitors[day]),
            "老访客数": number(round(visitors[day] * 0.4)),
            "新访客数": number(round(visitors[day] * 0.6)),
            "支付新买家数": number(new[day]),
            "支付老买家数": number(round(orders[day] * 0.9) - new[day]),
            "全站推广花费": "0.00",
            "关键词推广花费": number(shop.at("cost", "ads_search", day), 2),
            "精准人群推广花费": number(shop.at("cost", "ads_feed", day), 2),
            "智能场景花费": "0.00",
            "淘宝客佣金": number(shop.at("cost", "affiliate", day), 2),
            "成功退款金额": number(refunds[day], 2),
        }
        rows.append([filled.get(column, "-") for column in DAILY_HEADER])
    return [write_xlsx(folder / "日报_20250701_adc987ef8d0897700e42dcf1427605b3.xlsx", rows)]


def shop_gmv(shop: MadeShop) -> tuple[float, ...]:
    """Money of the whole shop: less than the sum of its sources, which each count a buyer who used several."""
    return tuple(round(value * 0.95, 2) for value in shop.total("gmv"))


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """The set of a 天猫 shop: sources per day, shop per day, ads of 万相台."""
    return [*sources(folder, shop), *shop_daily(folder, shop), *alimama.scenes(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Orders, new customers and refunds exist for the whole shop only; ads are joined under their newest name."""
    return Known(
        "daily visitors",
        {
            "visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS},
            "gmv": {NAMES[channel]: shop.of("gmv", channel) for channel in CHANNELS},
            "cost": {NAMES[channel]: shop.of("cost", channel) for channel in (*PAID, "affiliate")},
            "volume": {NAMES[channel]: shop.of("volume", channel) for channel in PAID},
        },
        {
            "orders": shop.total("orders"),
            "new_customers": shop.total("new_customers"),
            "refunds": shop.total("refunds"),
        },
        {
            "支付买家数": "orders",
            "新访客": "new_customers",
            "新访客数": "new_customers",
            "点击量": "visits",
            "总成交金额": "gmv",
            "总成交笔数": "orders",
            "成交新客数": "new_customers",
        },
    )
