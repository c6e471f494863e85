"""Answers made by hand for the tests of the report: one measured, one that cannot tell, one refused, one hostile."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from rechannel.answers.answer import Answer, Check, EvidenceItem, Provenance
from rechannel.answers.pictures import Path, PlaceboCloud
from rechannel.report.facts import CaseFacts, ChannelShare, TableFacts
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import Fault
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade

HOSTILE = "<script>alert(1)</script>"
SIGMA = np.array([-1.96, -1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645, 1.96])
ON = date(2025, 9, 30)
MADE = Provenance("0.1.0", 20250930, "9f2b" * 16, "2025-11-23T09:30:00Z")
CHANNELS = {
    "discover": ("Discover entry", "发现-购物", "發現-購物"),
    "mini": ("Mini program", "小程序", "小程式"),
    "search": ("Search ads", "搜索广告", "搜尋廣告"),
    "app": ("Own app", "自有 App", "自有 App"),
    "live": ("Live room", "直播间", "直播間"),
}


def quantity(median: float, sd: float, grade: Grade = Grade.B, *reasons: str) -> Quantity:
    return Quantity(Quantiles(tuple(float(v) for v in median + sd * SIGMA)), grade, median, 0.7, reasons)


def made_path(channel: str | None, base: float, loss: float, days: int = 90, *, noise: float = 0.03) -> Path:
    """A path with a weekly pattern, a promotion and a fall by `loss` of its level."""
    rng = np.random.default_rng(len(channel or "") + 3)
    history = 120
    index = np.arange(-history, days)
    week = 1 + 0.08 * np.sin(2 * np.pi * (index % 7) / 7)
    promo = 1 + 0.35 * np.exp(-0.5 * ((index - 40) / 3) ** 2)
    truth = base * week * promo * (1 + 0.0006 * index)
    open_day = truth * (1 + noise * rng.standard_normal(len(index)))
    observed = np.where(index < 0, open_day, open_day - loss * truth * (1 - 0.2 * np.exp(-np.maximum(index, 0) / 10)))
    spread = base * noise * np.sqrt(1 + np.maximum(index, 0) / 12)
    open_path = truth[:, None] + spread[:, None] * SIGMA
    closed = np.repeat(observed[:, None], len(LEVELS), axis=1)
    mean = np.where(index < 0, 0.0, truth - observed).cumsum()
    width = base * noise * np.sqrt(np.maximum(index + 1, 0) * (1 + np.maximum(index, 0) / 30))
    cumulative: FloatArray = np.where(index[:, None] < 0, np.nan, mean[:, None] + width[:, None] * SIGMA)
    dates = np.datetime64(ON, "D") + index
    return Path(channel, "visits", ON, ON - timedelta(days=18), dates, observed, open_path, closed, cumulative)


def made_answer(*, channel: str = "discover", days: int = 90, rival: str = "Rival A") -> Answer:
    """A measured effect with everything an impact answer can hold."""
    entry, total = made_path(channel, 41_000, 0.93, days), made_path(None, 236_000, 0.058, days, noise=0.012)
    removed, lost = float(entry.cumulative[-1, 4]), float(total.cumulative[-1, 4])
    horizons = [h for h in (30, 90, 365) if h <= days]
    rows: list[Estimate] = []
    for h in horizons:
        part = h / days
        rows += [
            Estimate("visits_removed", "visits", quantity(removed * part, 0.02 * removed), horizon_days=h),
            Estimate("net_loss_visits", "visits", quantity(lost * part, 0.12 * lost, Grade.B, "one"), horizon_days=h),
            Estimate("net_loss_orders", "orders", quantity(0.02 * lost * part, 0.004 * lost), horizon_days=h),
            Estimate("net_loss_gmv", "CNY", quantity(6.1 * lost * part, 1.6 * lost, Grade.C), horizon_days=h),
            Estimate(
                "net_loss_margin", "CNY", Refusal("made", {"column": "margin"}, ("first", "second")), horizon_days=h
            ),
            Estimate("conversion_rate_open", "share", quantity(0.0312, 0.0006), horizon_days=h),
            Estimate("retained_own", "share", quantity(0.62, 0.06), horizon_days=h),
            Estimate("to_rivals", "share", Refusal("made", {"column": "rivals"}, ("first",)), horizon_days=h),
            Estimate("lost_outside", "share", quantity(0.26, 0.08, Grade.D), horizon_days=h),
        ]
        for name, share, sd in (("mini", 0.33, 0.05), ("search", 0.02, 0.03), ("app", 0.27, 0.06)):
            rows.append(Estimate("diversion", "share", quantity(share, sd), channel=name, horizon_days=h))
        rows.append(Estimate("diversion", "share", quantity(0.12, 0.07, Grade.C), channel=rival, horizon_days=h))
        rows.append(
            Estimate("net_loss_visits", "visits", quantity(-0.3 * lost, 0.05 * lost), channel="mini", horizon_days=h)
        )
    return Answer(
        "impact",
        {"channel": channel, "on": ON.isoformat(), "horizons": ",".join(map(str, horizons))},
        tuple(rows),
        (),
        (EvidenceItem("natural_experiment", channel, Grade.B, {"on": ON.isoformat(), "training_days": 638.0}),),
        (Check("made_good", True, {"share": "12%"}), Check("made_bad", False, {"share": "31%"})),
        {
            "en": "Closing the Discover entry took away almost all of its visits; "
            "about six in ten came back through other entries. "
            "The shop lost about one visit in seventeen.",
            "zh-Hans": "关闭“发现-购物”几乎带走了它的全部访问，其中约六成由自有渠道接住。全店大约每十七次访问少一次。",
            "zh-Hant": "關閉「發現-購物」幾乎帶走了它的全部訪問，"
            "其中約六成由自有渠道接住。全店大約每十七次訪問少一次。",
        },
        MADE,
        grade=Grade.B,
        verdict="effect",
        paths=(entry, total),
        placebos=(
            PlaceboCloud(channel, 30, tuple(ON - timedelta(days=40 * k) for k in (9, 6, 3)), (-0.04, 0.1, 0.02), -0.97),
            PlaceboCloud(None, 30, tuple(ON - timedelta(days=40 * k) for k in (9, 6, 3)), (-0.03, 0.05, 0.01), -0.04),
        ),
    )


def cannot_tell() -> Answer:
    """An answered question whose verdict is that nobody can tell."""
    row = Estimate("net_loss_visits", "visits", quantity(12_000, 60_000, Grade.C), horizon_days=30)
    words = {
        "en": "Whether the shop lost visits after the live room moved cannot be told: "
        "the interval runs from a gain to a loss.",
        "zh-Hans": "直播间移位之后全店访问是否减少，说不准：区间从增加一直到减少。",
        "zh-Hant": "直播間移位之後全店訪問是否減少，說不準：區間從增加一直到減少。",
    }
    base = made_answer()
    return replace(
        base,
        asked={"channel": "live", "on": "2025-09-30", "horizons": "30"},
        estimates=(row,),
        evidence=(),
        text=words,
        grade=Grade.C,
        verdict="cannot_tell",
        paths=(made_path(None, 236_000, 0.002, 30, noise=0.05),),
    )


def refused_answer() -> Answer:
    """A question without an answer."""
    words = {
        "en": "The data cannot answer what closing the search ads did.",
        "zh-Hans": "关闭搜索广告之后发生了什么，现有数据回答不了。",
        "zh-Hant": "關閉搜尋廣告之後發生了什麼，現有資料回答不了。",
    }
    return Answer(
        "impact",
        {"channel": "search", "on": "2025-12-20", "horizons": "90"},
        (),
        (),
        (),
        (),
        words,
        MADE,
        refusal=Refusal("made", {"column": "visits"}, ("first", "second")),
    )


def made_facts(name: str = "Twin shop", notes: tuple[Fault, ...] = ()) -> CaseFacts:
    shares = (0.38, 0.24, 0.17, 0.13, 0.08)
    channels = tuple(
        ChannelShare(Channel(key, {"en": en, "zh-Hans": hans, "zh-Hant": hant}), share)
        for (key, (en, hans, hant)), share in zip(CHANNELS.items(), shares, strict=True)
    )
    tables = (
        TableFacts("daily", "daily.csv", 3_650, date(2024, 1, 1), date(2025, 12, 29)),
        TableFacts("events", "events.csv", 41, date(2024, 1, 1), date(2025, 12, 29)),
        TableFacts("deals", "deals.csv", 1),
    )
    return CaseFacts(name, "CNY", "Asia/Shanghai", date(2024, 1, 1), date(2025, 12, 29), channels, tables, notes)
