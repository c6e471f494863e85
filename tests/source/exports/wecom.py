"""企业微信: customer statistics of the interface as JSON per member, and QR channel codes as CSV."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, csv_text, header, put

NAMES = {
    "search": "门店台卡",
    "feed": "朋友圈海报",
    "own": "包裹卡",
    "live": "直播间二维码",
    "affiliate": "社群邀请",
    "ads_search": "广告落地页",
    "ads_feed": "公众号菜单",
}
MEMBERS = ("zhangsan", "lisi")
LONGEST_DAYS = 30
"""A call spans 30 days."""
CODES_HEADER = header("wecom.codes")


def behaviour(folder: Path, shop: MadeShop) -> list[Path]:
    """get_user_behavior_data: `stat_time` is the second of 00:00 in China, one answer per member and span."""
    made = []
    added = shop.total("visits")
    for start in range(0, len(shop.days), LONGEST_DAYS):
        span = range(start, min(start + LONGEST_DAYS, len(shop.days)))
        for turn, member in enumerate(MEMBERS):
            data = []
            for day in span:
                moment = shop.days[day]
                midnight = datetime(moment.year, moment.month, moment.day, tzinfo=UTC) - timedelta(hours=8)
                count = added[day] // 2 if turn else added[day] - added[day] // 2
                figures = {"chat_cnt": 100, "message_cnt": 80, "reply_percentage": 60.25, "avg_reply_time": 1}
                more = {"negative_feedback_cnt": 3, "new_apply_cnt": count + 9, "new_contact_cnt": count}
                data.append({"stat_time": int(midnight.timestamp())} | figures | more)
            content = {"errcode": 0, "errmsg": "ok", "behavior_data": data}
            made.append(put(folder / f"behavior_{member}_{shop.days[start]:%Y%m%d}.json", json.dumps(content)))
    return made


def codes(folder: Path, shop: MadeShop) -> list[Path]:
    """渠道活码统计 as GB18030, the usual form of tools that count codes."""
    rows: list[list[Cell]] = [CODES_HEADER]
    for day, moment in enumerate(shop.days):
        for turn, channel in enumerate(CHANNELS):
            count = shop.at("visits", channel, day)
            lost = round(count * 0.04)
            code: list[Cell] = [moment.isoformat(), 1001 + turn, NAMES[channel]]
            rows.append([*code, count, 0, lost, count - lost])
    return [put(folder / f"渠道活码统计_{shop.days[-1]:%Y%m%d}.csv", csv_text(rows), "gb18030")]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """Statistics of the members and of the codes; both count the same additions."""
    return [*behaviour(folder, shop), *codes(folder, shop)]


def known(shop: MadeShop) -> Known:
    """People added by code; a person added has not bought, so there are no new customers in the sense of the shop."""
    return Known(
        "customers added",
        {"visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS}},
        tempting={
            "new_contact_cnt": "new_customers",
            "新增客户数": "new_customers",
            "净增客户数": "new_customers",
            "new_apply_cnt": "visits",
        },
    )
