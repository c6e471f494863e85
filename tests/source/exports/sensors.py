"""神策: the event export as one JSON object per line, and the result of an analysis as CSV."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from exports.people import sessions
from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, csv_text, header, number, put

SCENES = {
    "search": "1005",
    "feed": "1145",
    "own": "1001",
    "live": "1177",
    "affiliate": "1058",
    "ads_search": "1232",
    "ads_feed": "1045",
}
"""Scene value in `$scene`, a string; wechat_scenes.csv makes kinds of them, and both ads are of one kind."""
KINDS = {
    "search": "search",
    "feed": "discover",
    "own": "recall_list",
    "live": "channels_live",
    "affiliate": "official_account",
    "ads_search": "ads",
    "ads_feed": "ads",
}
NAMES = {
    "search": "搜索",
    "feed": "发现小程序",
    "own": "最近使用",
    "live": "视频号直播",
    "affiliate": "公众号文章",
    "ads_search": "搜一搜广告",
    "ads_feed": "朋友圈广告",
}
ANALYSIS_HEADER = header("sensors.analysis")


def events(folder: Path, shop: MadeShop) -> list[Path]:
    """events.json: launch, a page, and an order where one belongs; `time` in milliseconds, sent late and unordered."""
    lines = []
    for session in sessions(shop):
        scene = SCENES[session.channel]
        kinds = ["$MPLaunch", "$MPViewScreen", *(["payOrder"] if session.value else []), "$MPHide"]
        for step, kind in enumerate(kinds):
            at = session.start + timedelta(seconds=40 * step)
            properties: dict[str, object] = {"$lib": "MiniProgram", "$is_first_day": session.number % 3 == 0}
            if kind == "$MPLaunch":
                properties |= {"$scene": scene, "$utm_source": "", "$url_path": "pages/index/index"}
            if kind == "payOrder":
                properties |= {"order_id": f"O{session.number:07d}", "order_amount": session.value}
            row = {"distinct_id": session.person, "time": int(at.timestamp() * 1000), "type": "track", "event": kind}
            lines.append(json.dumps(row | {"project": "production", "properties": properties}, ensure_ascii=False))
    lines = [line for at in range(7) for line in lines[at::7]]
    return [put(folder / "events.json", "\n".join(lines) + "\n")]


def analysis(folder: Path, shop: MadeShop) -> list[Path]:
    """事件分析 as CSV with a byte order mark: days by channel, then the sums 合计."""
    rows: list[list[Cell]] = [ANALYSIS_HEADER]
    for day, moment in enumerate(shop.days):
        for channel in CHANNELS:
            launches, orders = shop.at("visits", channel, day), shop.at("orders", channel, day)
            figures: list[Cell] = [launches, round(launches * 0.8), orders, shop.at("gmv", channel, day)]
            rows.append([moment.isoformat(), NAMES[channel], *figures])
    for channel in CHANNELS:
        sums = [sum(shop.of(metric, channel)) for metric in ("visits", "orders", "gmv")]
        rows.append(["合计", NAMES[channel], number(sums[0]), "-", number(sums[1]), number(sums[2], 2)])
    name = f"事件分析_{shop.days[0]:%Y%m%d}-{shop.days[-1]:%Y%m%d}.csv"
    return [put(folder / name, csv_text(rows), "utf-8-sig")]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """The result of one analysis, which most users have; `events` is what their engineers have."""
    return analysis(folder, shop)


def known(shop: MadeShop) -> Known:
    """The analysis: launches, orders and money by channel."""
    return Known(
        "sessions",
        {
            "visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS},
            "orders": {NAMES[channel]: shop.of("orders", channel) for channel in CHANNELS},
            "gmv": {NAMES[channel]: shop.of("gmv", channel) for channel in CHANNELS},
        },
        tempting={"小程序启动的触发用户数": "visits"},
    )


def events_known(shop: MadeShop) -> Known:
    """The events, a table of touches: launches by kind of scene; orders carry no scene of their own."""
    by_kind: dict[str, list[str]] = {}
    for channel in CHANNELS:
        by_kind.setdefault(KINDS[channel], []).append(channel)
    return Known(
        "sessions",
        {"visits": {kind: shop.total("visits", channels) for kind, channels in by_kind.items()}},
        {"orders": shop.total("orders"), "gmv": shop.total("gmv")},
        {"$is_first_day": "new_customers"},
    )
