"""WeChat mini-program analytics: answers of the datacube interface as JSON, and tables of the console."""

from __future__ import annotations

import json
from pathlib import Path

from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, csv_text, put, write_xlsx

KEYS = {"search": 2, "feed": 9, "own": 1, "live": 22, "affiliate": 18, "ads_search": 33, "ads_feed": 3}
NAMES = {
    "search": "搜索",
    "feed": "附近的小程序",
    "own": "小程序历史列表",
    "live": "其他小程序",
    "affiliate": "公众号文章",
    "ads_search": "微信广告",
    "ads_feed": "会话",
}
"""Seven of the 34 source keys and their names."""


def daily_trend(folder: Path, shop: MadeShop) -> list[Path]:
    """getweanalysisappiddailyvisittrend: one day per call, saved one answer per file."""
    made = []
    for day, moment in enumerate(shop.days):
        opens = shop.total("visits")[day]
        figures = {
            "ref_date": f"{moment:%Y%m%d}",
            "session_cnt": opens,
            "visit_pv": round(opens * 4.2),
            "visit_uv": round(opens * 0.8),
            "visit_uv_new": round(opens * 0.3),
            "stay_time_uv": 66.4,
            "stay_time_session": 50.2,
            "visit_depth": 3.1,
        }
        made.append(_answer(folder / f"dailyvisittrend_{moment:%Y%m%d}.json", {"list": [figures]}))
    return made


def distribution(folder: Path, shop: MadeShop) -> list[Path]:
    """getweanalysisappidvisitdistribution: opens by source key beside stay and depth, which are no channels."""
    made = []
    for day, moment in enumerate(shop.days):
        opens = [{"key": KEYS[name], "value": shop.at("visits", name, day)} for name in CHANNELS]
        people = [item | {"access_source_visit_uv": round(item["value"] * 0.8)} for item in opens]
        total = shop.total("visits")[day]
        buckets = [{"key": key, "value": round(total / key / 4)} for key in range(1, 8)]
        blocks = [
            {"index": "access_source_session_cnt", "item_list": sorted(people, key=lambda item: item["key"])},
            {"index": "access_staytime_info", "item_list": buckets},
            {"index": "access_depth_info", "item_list": buckets},
        ]
        content = {"ref_date": f"{moment:%Y%m%d}", "list": blocks}
        made.append(_answer(folder / f"visitdistribution_{moment:%Y%m%d}.json", content))
    return made


def _answer(path: Path, content: dict[str, object]) -> Path:
    return put(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def console_sources(folder: Path, shop: MadeShop) -> list[Path]:
    """来源分析 of the console as CSV with a byte order mark: one row per day and source."""
    rows: list[list[Cell]] = [["时间", "访问来源", "打开次数", "访问人数", "访问次数"]]
    for day, moment in enumerate(shop.days):
        for name in CHANNELS:
            opens = shop.at("visits", name, day)
            rows.append([moment.isoformat(), NAMES[name], opens, round(opens * 0.8), round(opens * 4.2)])
    return [put(folder / f"来源分析_{shop.days[0]:%Y%m%d}-{shop.days[-1]:%Y%m%d}.csv", csv_text(rows), "utf-8-sig")]


def console_trend(folder: Path, shop: MadeShop) -> list[Path]:
    """访问趋势 of the console as XLSX."""
    rows: list[list[Cell]] = [["时间", "打开次数", "访问次数", "访问人数", "新用户数", "人均停留时长", "次均停留时长"]]
    for moment, opens in zip(shop.days, shop.total("visits"), strict=True):
        people: list[Cell] = [opens, round(opens * 4.2), round(opens * 0.8), round(opens * 0.3)]
        rows.append([moment.isoformat(), *people, 66.4, 50.2])
    return [write_xlsx(folder / f"访问趋势_{shop.days[0]:%Y%m%d}-{shop.days[-1]:%Y%m%d}.xlsx", rows)]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """What a developer saves from the interface."""
    return [*daily_trend(folder, shop), *distribution(folder, shop)]


def write_console(folder: Path, shop: MadeShop) -> list[Path]:
    """What an operator downloads from the console."""
    return [*console_trend(folder, shop), *console_sources(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Opens by source and nothing else: WeChat sees no order, and a new user has not bought."""
    return Known(
        "opens",
        {"visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS}},
        tempting={
            "visit_uv_new": "new_customers",
            "新用户数": "new_customers",
            "visit_pv": "visits",
            "visit_uv": "visits",
            "访问人数": "visits",
            "访问次数": "visits",
        },
    )
