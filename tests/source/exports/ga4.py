"""Google Analytics 4: CSV of a report and of explorations, and the BigQuery export nested and flattened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exports.people import CHINA, sessions
from exports.shop import CHANNELS, Known, MadeShop, Metric, Series
from exports.writing import Cell, csv_text, header, put

GROUPS = {
    "search": "Organic Search",
    "feed": "Organic Social",
    "own": "Direct",
    "live": "Organic Video",
    "affiliate": "Affiliates",
    "ads_search": "Paid Search",
    "ads_feed": "Paid Social",
}
TAGS = {
    "search": ("google", "organic", "(organic)"),
    "feed": ("facebook.com", "referral", "(referral)"),
    "own": ("(direct)", "(none)", "(direct)"),
    "live": ("youtube.com", "referral", "(referral)"),
    "affiliate": ("awin", "affiliate", "spring"),
    "ads_search": ("google", "cpc", "brand"),
    "ads_feed": ("facebook", "paid_social", "prospecting"),
}
"""Source, medium and campaign; the default channel group rules make GROUPS of them."""

REPORT_HEADER = header("ga4.report")
REPORT_HEADER_ZH = header("ga4.report_zh")
EXPLORATION_HEADER = header("ga4.exploration")
MOST_ROWS = 500
"""An exploration downloads at most the rows it shows."""
FEWEST = 90
"""Rows of fewer sessions are withheld (thresholding): the day of that channel is missing, which is not zero."""


def traffic_acquisition(folder: Path, shop: MadeShop, columns: list[str] = REPORT_HEADER) -> list[Path]:
    """data-export.csv: the report Traffic acquisition with Date as second dimension, biggest rows first."""
    rows: list[list[Cell]] = []
    for day in range(len(shop.days)):
        rows += [_report_row(shop, channel, day) for channel in CHANNELS if _told(shop, channel, day)]
        rest = other_sessions(shop)[day]
        rows.append(["(other)", f"{shop.days[day]:%Y%m%d}", rest, rest // 2, 0.5, 20.1, 3.5, rest * 3, 0, 0, 0])
    rows.sort(key=lambda row: -float(row[2] or 0))
    title = ["Traffic acquisition", "Rechannel Shop (331234567)", "Rechannel Web - GA4"]
    text = _comments(title, shop.days[0], shop.days[-1]) + csv_text([columns, *rows], end="\n")
    return [put(folder / "data-export.csv", text)]


def other_sessions(shop: MadeShop) -> tuple[int, ...]:
    """Sessions per day in the row (other)."""
    return tuple(round(value * 0.01) + 1 for value in shop.total("visits"))


def _told(shop: MadeShop, channel: str, day: int) -> bool:
    return shop.at("visits", channel, day) >= FEWEST


def _report_row(shop: MadeShop, channel: str, day: int) -> list[Cell]:
    sessions, orders = int(shop.at("visits", channel, day)), shop.at("orders", channel, day)
    engaged = round(sessions * 0.6)
    row: list[Cell] = [GROUPS[channel], f"{shop.days[day]:%Y%m%d}", sessions, engaged, round(engaged / sessions, 6)]
    return [*row, 43.2, 5.1, round(sessions * 5.1), orders, round(orders / sessions, 6), shop.at("gmv", channel, day)]


def _comments(title: list[str], first: Any, last: Any) -> str:
    rule = "# ----------------------------------------"
    lines = [rule, *(f"# {line}" for line in title), rule, "#", "# All Users"]
    return "\n".join([*lines, f"# Start date: {first:%Y%m%d}", f"# End date: {last:%Y%m%d}", ""])


def explorations(folder: Path, shop: MadeShop) -> list[Path]:
    """Free form explorations of at most 500 rows; a grand total, one field longer, stands under the header."""
    days = MOST_ROWS // len(CHANNELS)
    made = []
    for start in range(0, len(shop.days), days):
        span = range(start, min(start + days, len(shop.days)))
        told = [(channel, day) for day in span for channel in CHANNELS if _told(shop, channel, day)]
        rows = [_exploration_row(shop, channel, day) for channel, day in told]
        sums: list[Cell] = [f"{sum(float(row[column] or 0) for row in rows):.12g}" for column in range(2, 6)]
        rule = "# ----------------------------------------"
        title = (
            f"{rule}\n# Orders by channel\n# Free form 1\n# {shop.days[span[0]]:%Y%m%d}-{shop.days[span[-1]]:%Y%m%d}\n"
        )
        text = csv_text([EXPLORATION_HEADER, ["", "", *sums, "Grand total"], *rows], end="\n")
        name = "Free form 1.csv" if not start else f"Free form 1 ({start // days}).csv"
        made.append(put(folder / name, f"{title}{rule}\n\n{text}"))
    return made


def _exploration_row(shop: MadeShop, channel: str, day: int) -> list[Cell]:
    new_devices = round(shop.at("visits", channel, day) * 0.55)
    money: list[Cell] = [shop.at("gmv", channel, day), shop.at("refunds", channel, day), new_devices]
    return [GROUPS[channel], f"{shop.days[day]:%Y%m%d}", shop.at("orders", channel, day), *money]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """What an analyst without BigQuery has: one report and two or more explorations."""
    return [*traffic_acquisition(folder, shop), *explorations(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Sessions with a rest that belongs to no channel; new users are new devices; withheld rows are missing."""
    told: dict[Metric, dict[str, Series]] = {}
    for metric in ("visits", "orders", "gmv", "refunds"):
        told[metric] = {
            GROUPS[channel]: tuple(
                value if _told(shop, channel, day) else None for day, value in enumerate(shop.of(metric, channel))
            )
            for channel in CHANNELS
        }
    told["visits"]["(other)"] = other_sessions(shop)
    return Known(
        "sessions",
        told,
        tempting={"New users": "new_customers", "Engaged sessions": "visits", "Key events": "orders"},
    )


def snapshot(folder: Path, shop: MadeShop) -> list[Path]:
    """Acquisition overview: several blocks in one file, days without channels and channels without days."""
    visits = shop.total("visits")
    span = _comments(["Acquisition overview", "Rechannel Shop", "Rechannel Web - GA4"], shop.days[0], shop.days[-1])
    users = [["Nth day", "Active users"], *([f"{day:04d}", round(value * 0.8)] for day, value in enumerate(visits))]
    sums: list[list[Cell]] = [[GROUPS[name], sum(shop.of("visits", name))] for name in CHANNELS]
    channels = [["Session primary channel group (Default Channel Group)", "Sessions"], *sums]
    dates = f"# Start date: {shop.days[0]:%Y%m%d}\n# End date: {shop.days[-1]:%Y%m%d}\n"
    text = f"{span}{csv_text(users, end=chr(10))}\n{dates}{csv_text(channels, end=chr(10))}"
    return [put(folder / "data-export (2).csv", text)]


def _events(shop: MadeShop) -> Iterator[dict[str, Any]]:
    """A start and page views per session, a purchase where one belongs.

    The last page view of a late session carries the next day's date; the session is still of the day it started on.
    """
    for session in sessions(shop):
        source, medium, campaign = TAGS[session.channel]
        shared = {
            "user_pseudo_id": f"{session.person[1:]}.1741000000",
            "ga_session_id": int(session.start.timestamp()),
            "source": source,
            "medium": medium,
            "campaign": campaign,
        }
        names = ["session_start", "page_view", *(["purchase"] if session.value else []), "page_view"]
        for step, name in enumerate(names):
            last = step == len(names) - 1
            at = session.start + timedelta(seconds=(600 if session.late and last else 20) * step)
            buys = name == "purchase"
            yield shared | {
                "event_date": f"{at + CHINA:%Y%m%d}",
                "event_timestamp": int(at.timestamp() * 1_000_000),
                "event_name": name,
                "transaction_id": f"T{session.number:07d}" if buys else None,
                "purchase_revenue": session.value if buys else None,
            }


FLAT_HEADER = header("ga4.flat")


def bigquery_flat(folder: Path, shop: MadeShop) -> list[Path]:
    """bquxjob_<id>.csv: the events flattened by a query; source and medium are those of the session."""
    rows: list[list[Cell]] = [FLAT_HEADER]
    rows += [[event[column] for column in FLAT_HEADER] for event in _events(shop)]
    return [put(folder / "bquxjob_5f1c2d3a_1985.csv", csv_text(rows, end="\n"))]


def bigquery_nested(folder: Path, shop: MadeShop) -> list[Path]:
    """events_<day>.parquet, one per day by event_date, with the nested columns of the export."""
    value = pa.struct([("string_value", pa.string()), ("int_value", pa.int64()), ("double_value", pa.float64())])
    manual = pa.struct([("campaign_name", pa.string()), ("source", pa.string()), ("medium", pa.string())])
    schema = pa.schema(
        [
            ("event_date", pa.string()),
            ("event_timestamp", pa.int64()),
            ("event_name", pa.string()),
            ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", value)]))),
            ("user_id", pa.string()),
            ("user_pseudo_id", pa.string()),
            ("ecommerce", pa.struct([("purchase_revenue", pa.float64()), ("transaction_id", pa.string())])),
            ("traffic_source", pa.struct([("name", pa.string()), ("medium", pa.string()), ("source", pa.string())])),
            ("session_traffic_source_last_click", pa.struct([("manual_campaign", manual)])),
            ("is_active_user", pa.bool_()),
        ]
    )
    made = []
    for day, events in sorted(_by_day(shop).items()):
        path = folder / f"events_{day}.parquet"
        pq.write_table(pa.Table.from_pylist(events, schema), path)
        made.append(path)
    return made


def bigquery_lines(folder: Path, shop: MadeShop) -> list[Path]:
    """The same events as one object per line, as BigQuery extracts them: whole numbers are strings, nulls left out."""
    made = []
    for day, events in sorted(_by_day(shop).items()):
        text = "".join(json.dumps(_extracted(event), ensure_ascii=False) + "\n" for event in events)
        made.append(put(folder / f"events_{day}.json", text))
    return made


def _extracted(value: Any) -> Any:
    """A nested value as an extract to JSON writes it."""
    if isinstance(value, dict):
        return {name: _extracted(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_extracted(one) for one in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _by_day(shop: MadeShop) -> dict[str, list[dict[str, Any]]]:
    """The nested events of each day of the property."""
    by_day: dict[str, list[dict[str, Any]]] = {}
    for event in _events(shop):
        session = {"string_value": None, "int_value": event["ga_session_id"], "double_value": None}
        tags = {"campaign_name": event["campaign"], "source": event["source"], "medium": event["medium"]}
        money = {"purchase_revenue": event["purchase_revenue"], "transaction_id": event["transaction_id"]}
        by_day.setdefault(event["event_date"], []).append(
            {name: event[name] for name in ("event_date", "event_timestamp", "event_name", "user_pseudo_id")}
            | {
                "event_params": [{"key": "ga_session_id", "value": session}],
                "user_id": None,
                "ecommerce": money if event["event_name"] == "purchase" else None,
                # the source that first brought the device, which is not that of the session
                "traffic_source": {"name": "(organic)", "medium": "organic", "source": "google"},
                "session_traffic_source_last_click": {"manual_campaign": tags},
                "is_active_user": True,
            }
        )
    return by_day


def bigquery_known(shop: MadeShop) -> Known:
    """Sessions by the day they started, orders by transaction id, money of purchases."""
    return Known(
        "sessions",
        {
            "visits": {GROUPS[channel]: shop.of("visits", channel) for channel in CHANNELS},
            "orders": {GROUPS[channel]: shop.of("orders", channel) for channel in CHANNELS},
            "gmv": {GROUPS[channel]: shop.of("gmv", channel) for channel in CHANNELS},
        },
    )
