"""Writes examples/jd_wechat from the notes in reference/jd_wechat: canonical tables, with nothing that is not in them.

Usage: python scripts/jd_wechat.py [REFERENCE]   (default: RECHANNEL_REFERENCE/jd_wechat, ../shared/reference/jd_wechat)
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "examples" / "jd_wechat"
ENTRY = "wechat_discover"
OWN = "JD.com"

EVENTS: Mapping[str, tuple[str, str, str, str, str]] = {
    "2014-05-27": ("", "opening", ENTRY, "", "Discover > Shopping opens (grey release) 发现-购物灰度上线"),
    "2014-06-30": ("", "other", ENTRY, "", "only shopping channel in WeChat and Mobile QQ 微信、手Q唯一购物入口"),
    "2016-08-19": ("", "other", "", "", "Tencent amends its JD holding statement 腾讯更新京东持股申报"),
    "2017-12-18": (
        "",
        "other",
        "",
        "",
        "Tencent and JD buy into Vipshop, which gets entries 腾讯、京东入股唯品会并给入口",
    ),
    "2019-09-30": ("", "move", ENTRY, "", "first-level entry given to Jingxi 一级入口交给京喜"),
    "2020-04-22": ("", "other", "", "", "JD opens its mini-program platform 京东开放小程序平台"),
    "2021-12-23": ("", "other", "", "", "Tencent hands out 457.3 million JD shares 腾讯派发4.573亿股京东股份"),
    "2022-03-31": ("", "other", "", "", "Tencent no longer a related party 腾讯不再是关联方"),
    "2025-02-01": ("2025-12-31", "other", "", "", "JD food delivery, heavy marketing 京东外卖大额投入"),
    "2025-07-01": ("2025-07-31", "measurement_break", ENTRY, "", "web page to mini program 网页改为小程序"),
    "2025-09-12": ("", "announcement", ENTRY, "", "JD announces the closure 京东公告关闭"),
    "2025-09-30": ("", "closure", ENTRY, "1", "Discover > Shopping closes 发现-购物关闭"),
    "2025-10-01": ("2025-10-08", "holiday", "", "", "National Day and Mid-Autumn 国庆、中秋"),
    "2025-10-09": ("2025-11-14", "promo", "", "", "Double 11, JD and Douyin 京东、抖音双11"),
    "2025-10-15": ("2025-11-14", "promo", "", "", "Double 11, Tmall 天猫双11"),
    "2025-10-31": ("", "announcement", "", "", "JD: over 700 million annual active users 京东称年活跃用户超7亿"),
    "2025-11-13": ("", "announcement", "", "", "Q3 2025 results 2025年三季报"),
    "2026-03-05": ("", "announcement", "", "", "FY2025 results 2025年年报业绩"),
    "2026-04-16": ("", "announcement", "", "", "20-F of FY2025 filed 提交2025年20-F"),
}
"""Day of a verified row of timeline.csv -> end, kind, channel, severity, note. Agreements are in deals."""

BASE_EFFECT = (
    "2025-10-01",
    "2025-12-31",
    "price",
    "",
    "",
    "",
    "high trade-in subsidy base a year before 上年国补高基数",
)
"""From the note on JD Retail revenues of Q4 2025 in facts.csv."""

METRICS: Mapping[tuple[str, str], tuple[str, str]] = {
    (OWN, "share_of_new_customers_from_wechat_and_mobile_qq"): (OWN, "share_of_new_customers_from_host"),
    (OWN, "share_of_new_customers_from_wechat_claim"): (OWN, "share_of_new_customers_from_host_claim"),
    ("JD-Tencent agreement", "2014_term"): ("JDT1", "deal_term"),
    ("JD-Tencent agreement", "2014_shares_issued"): ("JDT1", "deal_shares_issued"),
    ("JD-Tencent agreement", "2014_cash_paid_by_tencent"): ("JDT1", "deal_cash_paid_by_host"),
    ("JD-Tencent agreement", "2019_term"): ("JDT2", "deal_term"),
    ("JD-Tencent agreement", "2019_total_consideration_lower_bound"): ("JDT2", "deal_total_consideration_lower_bound"),
    ("JD-Tencent agreement", "2022_term"): ("JDT3", "deal_term"),
    ("JD-Tencent agreement", "2022_share_consideration_upper_bound"): ("JDT3", "deal_share_consideration_upper_bound"),
}
"""Entity and metric of facts.csv -> the names by which rechannel knows them."""

DEALS: Mapping[str, Mapping[str, str]] = {
    "JDT1": {
        "access": "first level in Weixin and Mobile QQ 微信、手Q一级入口",
        "equity_terms": "351,678,637 JD shares to Tencent (15%) 京东向腾讯发行15%股份",
        "cash_terms": "USD 214,661,998 paid by Tencent 腾讯支付2.147亿美元",
        "form": "equity tie with assets and an 8-year non-compete 股权绑定、资产注入、8年不竞争",
    },
    "JDT2": {
        "access": "first and second level in Weixin 微信一、二级入口",
        "equity_terms": "up to USD 250m in class A shares 至多2.5亿美元A类股",
        "cash_terms": "total over USD 800m 合计逾8亿美元",
        "form": "service contract with share payment 服务合同加股份支付",
    },
    "JDT3": {
        "access": "first and second level in Weixin 微信一、二级入口",
        "equity_terms": "up to USD 220m in class A shares 至多2.2亿美元A类股",
        "cash_terms": "part of an undisclosed total 现金未披露",
        "form": "bundle: cloud, maps, ads, membership 云、地图、广告、会员打包",
    },
}
"""Short terms in two languages; other agreements keep the words of the reference."""

VERIFIED = {"JDT2": "signed;start;end"}
"""The note of JDT2: date and term verified, amounts not; the end follows from start and term."""

CLAIM_METRICS = {
    "annual_entry_fee_low": "yearly_fee",
    "annual_entry_fee_high": "yearly_fee",
    "new_customer_share": "new_customer_share",
    "new_customer_share_q4_2014": "new_customer_share",
    "new_customer_share_2016_2018": "new_customer_share",
}
"""Claims that stand beside an answer."""

FIRMS = {OWN: "self", "Taobao-Tmall": "Alibaba"}
SHARES = {"gmv_media_estimate": ("gmv", 1e6, "2024-01-01"), "gmv_share_broker_estimate": ("share", 0.01, "2023-01-01")}
"""Metric of facts.csv -> metric of rivals, factor to its unit, and the one year that is used."""


def convert(reference: Path) -> dict[str, str]:
    """File name -> text of the five tables."""

    def rows(name: str) -> list[dict[str, str]]:
        with (reference / name).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    facts = _with_sources(rows("facts.csv"))
    return {
        "events.csv": _events(rows("timeline.csv")),
        "figures.csv": _figures(facts),
        "rivals.csv": _rivals(facts),
        "deals.csv": _deals(rows("deals.csv")),
        "claims.csv": _claims(_with_sources(rows("claims.csv"))),
    }


def _text(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *lines])
    return stream.getvalue()


def _with_sources(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """`same` is the source of the row before."""
    last = ""
    for row in rows:
        if re.match(r"same\b", row["source"]):
            row["source"] = last
        last = row["source"]
        if row.get("claim") == "same":
            row["claim"] = rows[rows.index(row) - 1]["claim"]
    return rows


def _events(timeline: list[dict[str, str]]) -> str:
    header = ("start", "end", "kind", "channel", "market", "severity", "note")
    lines = []
    for row in timeline:
        if row["verified"] == "y" and row["date"] in EVENTS:
            end, kind, channel, severity, note = EVENTS[row["date"]]
            lines.append((row["date"], end or row["date"], kind, channel, "", severity, note))
    lines.append(BASE_EFFECT)
    return _text(header, sorted(lines))


def _figures(facts: list[dict[str, str]]) -> str:
    header = ("entity", "metric", "period_start", "period_end", "value", "unit", "source", "verified", "note")
    lines = []
    for row in facts:
        entity, metric = METRICS.get((row["entity"], row["metric"]), (row["entity"], row["metric"]))
        span, rest = (row["period_start"], row["period_end"]), (row["source"], row["verified"], row["note"])
        lines.append((entity, metric, *span, row["value"], row["unit"], *rest))
        growth = re.match(r"([+-]\d+(?:\.\d+)?)%", row["note"])
        days = (date.fromisoformat(span[1]) - date.fromisoformat(span[0])).days
        if growth and metric.endswith("net_revenues") and 80 < days < 100:
            named = (entity, f"{metric}_growth_yoy", *span)
            lines.append((*named, f"{float(growth[1]):g}", "percent", *rest[:2], "from the note on the revenue"))
    return _text(header, lines)


def _rivals(facts: list[dict[str, str]]) -> str:
    lines = []
    for row in facts:
        if row["metric"] in SHARES and row["verified"] == "y":
            metric, factor, year = SHARES[row["metric"]]
            if row["period_start"] == year:
                firm = FIRMS.get(row["entity"], row["entity"])
                lines.append((year, "", firm, metric, f"{round(float(row['value']) * factor, 6):.15g}"))
    return _text(("date", "market", "firm", "metric", "value"), sorted(lines))


def _deals(deals: list[dict[str, str]]) -> str:
    header = (
        *("deal_id", "host", "tenant", "channel", "signed", "start", "end", "access", "exclusive"),
        *("equity_terms", "cash_terms", "form", "source", "verified", "note"),
    )
    lines = []
    for row in deals:
        name = row["deal_id"]
        made = {**row, "equity_terms": row["equity"], "cash_terms": row["cash"], **DEALS.get(name, {})}
        made["channel"] = ENTRY if name in DEALS else ""
        made["verified"] = VERIFIED.get(name, row["verified"])
        made["source"] = deals[0 if name == "JDT1" else 1]["source"] if row["source"] == "same" else row["source"]
        lines.append([made[column] for column in header])
    return _text(header, lines)


def _claims(claims: list[dict[str, str]]) -> str:
    header = ("claim_id", "who", "date", "claim", "metric", "value", "unit", "source")
    lines = []
    for row in claims:
        expert = "Gao Pan" in row["source"]
        who, day = ("Gao Pan, 100EC", "2025-09-28") if expert else ("", "")
        metric = CLAIM_METRICS.get(row["claim_id"], row["claim_id"])
        lines.append((row["claim_id"], who, day, row["claim"], metric, row["value"], row["unit"], row["source"]))
    return _text(header, lines)


def reference_folder() -> Path:
    """Where the notes are, when they are there."""
    root = os.environ.get("RECHANNEL_REFERENCE") or ROOT.parent / "shared" / "reference"
    return Path(root) / "jd_wechat"


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else reference_folder()
    for file_name, body in convert(source).items():
        (TARGET / file_name).write_text(body, encoding="utf-8")
