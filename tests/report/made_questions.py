"""Answers made by hand to what may come and to what is worth what: closure, worth and exposure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
from made_answers import MADE, SIGMA, quantity

from rechannel.answers.answer import Answer, Check, EvidenceItem
from rechannel.answers.pictures import Path, RepeatCurve, SharedCustomers
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.grade import Grade

DAY = date(2025, 12, 30)
NO_COLUMN = Refusal("made", {"column": "orders"}, ("first", "second"))
METRICS = {
    "visits": ("visits", 1.0),
    "orders": ("orders", 0.02),
    "gmv": ("CNY", 6.1),
    "new_customers": ("customers", 0.006),
}
WORDS = {
    "en": "Closing the Discover entry would cost the shop about a third of what last touch says. Evidence grade B.",
    "zh-Hans": "关闭“发现-购物”的净损失约为末次触点说法的三分之一。证据等级 B。",
    "zh-Hant": "關閉「發現-購物」的淨損失約為末次觸點說法的三分之一。證據等級 B。",
}


def planned_path(channel: str | None, base: float, loss: float, days: int, *, noise: float = 0.03) -> Path:
    """Observed until the day before, then both paths; `loss` is the share of the level that closing takes."""
    rng = np.random.default_rng(len(channel or "") + 5)
    index = np.arange(-120, days)
    truth = base * (1 + 0.08 * np.sin(2 * np.pi * (index % 7) / 7)) * (1 + 0.0006 * index)
    after = index >= 0
    observed = np.where(after, np.nan, truth * (1 + noise * rng.standard_normal(len(index))))
    spread = base * noise * np.sqrt(1 + np.maximum(index, 0) / 12)
    open_path = np.where(after[:, None], truth[:, None] + spread[:, None] * SIGMA, np.nan)
    closed = np.where(after[:, None], (1 - loss) * (truth[:, None] + spread[:, None] * SIGMA), np.nan)
    mean = np.where(after, loss * truth, 0.0).cumsum()
    width = (0.25 * abs(loss) * base + 0.02 * noise * base) * np.maximum(index + 1, 0)
    cumulative: FloatArray = np.where(after[:, None], mean[:, None] + width[:, None] * SIGMA, np.nan)
    dates = np.datetime64(DAY, "D") + index
    return Path(channel, "visits", DAY, None, dates, observed, open_path, closed, cumulative)


def made_closure(
    *, channel: str = "discover", rival: str = "Rival A", kept: float = 0.64, severity: str = "1", known: str = "all"
) -> Answer:
    """A forecast with everything a closure can hold.

    Parameters
    ----------
    kept
        Share of the removed visits that own channels take up; above 1 the shop gains.
    known
        `visits`: everything but visits is refused; `nothing`: every share is refused too.
    """
    rows: list[Estimate] = []

    def put(metric: str, unit: str, value: Quantity | Refusal, days: int, **where: str) -> None:
        rows.append(Estimate(metric, unit, value, horizon_days=days, **where))

    for days in (30, 90):
        removed = 41_000.0 * days
        put("visits_removed", "visits", quantity(removed, 0.03 * removed), days)
        for metric, (unit, rate) in METRICS.items():
            part = known == "all" or metric == "visits"
            lost, sd = (1 - kept) * removed * rate, 0.11 * removed * rate
            grade = Grade.B if days == 30 else Grade.C
            value = quantity(lost, sd, grade, *(["one"] if grade is Grade.C else [])) if part else NO_COLUMN
            credit = quantity(removed * rate, 0.03 * removed * rate) if part else NO_COLUMN
            put(f"net_loss_{metric}", unit, value, days)
            put(f"credited_{metric}", unit, credit, days, method="last_touch")
        money = known == "all"
        lost = (1 - kept) * removed * 6.1 * 0.3
        sd = 0.13 * removed * 6.1 * 0.3
        fee = 260_000.0 * days / 30
        active = Refusal("made", {"column": "active"}, ("first",))
        put("net_loss_active_customers", "share", active, days)
        put("net_loss_margin", "CNY", quantity(lost, sd, Grade.C) if money else NO_COLUMN, days)
        put(
            "never_acquired",
            "customers",
            quantity(0.002 * removed, 0.0015 * removed, Grade.D) if money else active,
            days,
        )
        put("fee_saved", "CNY", quantity(fee, 0.0, Grade.B) if money else active, days)
        put("net_profit_effect", "CNY", quantity(fee - lost, sd, Grade.C) if money else NO_COLUMN, days)
        put("conversion_rate_open", "share", quantity(0.0312, 0.0006) if money else NO_COLUMN, days)
        put("conversion_rate_closed", "share", quantity(0.0306, 0.0009, Grade.C) if money else NO_COLUMN, days)
        put("offset_conversion_uplift", "share", quantity(0.021, 0.03, Grade.C) if money else NO_COLUMN, days)
        shares = known != "nothing"
        put("retained_own", "share", quantity(kept, 0.11) if shares else active, days)
        put("to_rivals", "share", quantity(0.14, 0.06, Grade.C) if money else active, days)
        put("lost_outside", "share", quantity(1 - kept - 0.14, 0.11, Grade.C) if money else active, days)
        for name, part in (("mini", 0.55), ("search", 0.03), ("app", 0.42)):
            put("diversion", "share", quantity(part * kept, 0.06) if shares else active, days, channel=name)
        put("diversion", "share", quantity(0.14, 0.06, Grade.C) if money else active, days, channel=rival)
    evidence = (
        EvidenceItem(
            "outage",
            channel,
            Grade.B,
            {"start": "2025-03-04", "days": 4.0, "retained": 0.61, "retained_sd": 0.09, "own": "yes"},
        ),
        EvidenceItem(
            "demotion",
            "search",
            Grade.C,
            {"start": "2024-11-02", "days": 30.0, "retained": -0.04, "retained_sd": 0.2, "own": "no"},
        ),
        EvidenceItem(
            "journeys",
            channel,
            Grade.C,
            {"customers": 3400, "first": "2024-12-30", "last": "2025-12-29", "solo": 0.12, "new": 0.04},
        ),
        EvidenceItem("overlap", "mini", Grade.C, {"used_beside": 0.4242, "low": 0.39, "high": 0.45, "by_visits": 0.3}),
        EvidenceItem("prior", "retained_own", Grade.D, {"median": 0.33, "low": 0.1, "high": 0.6}),
        EvidenceItem("assumption", "margin", Grade.D, {"low": 0.25, "high": 0.35, "source": "finance, 2025"}),
    )
    loss = (1 - kept) * 0.17
    low = (1 - kept) - 1.645 * 0.11
    return Answer(
        "closure",
        {"channel": channel, "on": DAY.isoformat(), "horizons": "30,90", "severity": severity},
        tuple(rows),
        (),
        evidence,
        (Check("made_good", True, {"share": "12%"}), Check("made_bad", False, {"share": "31%"})),
        WORDS,
        MADE,
        grade=Grade.B,
        verdict="effect" if low > 0 or kept > 1.2 else "cannot_tell",
        paths=(
            planned_path(channel, 41_000, 0.98 * float(severity), 90),
            planned_path(None, 236_000, loss, 90, noise=0.012),
        ),
        shared=made_shared(channel) if known == "all" else None,
    )


def made_shared(channel: str, *, new: bool = True) -> SharedCustomers:
    """What customers of one entry use beside it."""
    others = {"mini": 0.42, "app": 0.31, "search": 0.2, "live": 0.07}
    spreads = {name: quantity(share, 0.02).quantiles for name, share in others.items() if name != channel}
    shares = {"mini": 0.3, "app": 0.4, "search": 0.25, "live": 0.05}
    first, last = DAY - timedelta(days=365), DAY - timedelta(days=1)
    solo = quantity(0.12, 0.01).quantiles
    return SharedCustomers(
        channel, 3400, first, last, spreads, shares, solo, quantity(0.04, 0.01).quantiles if new else None
    )


PERIODS = ("2024Q1*", "2024Q2", "2024Q3", "2024Q4", "2025Q1", "2025Q2", "2025Q3", "2025Q4*")


def made_worth(*, channel: str = "discover", extra: float = 0.4, known: str = "all") -> Answer:
    """Quarters of one entry: `extra` is what it really brings per unit of last-touch credit."""
    rows: list[Estimate] = []
    for at, period in enumerate(PERIODS):
        level = 3.4e6 * (1 + 0.06 * at) * (0.4 if period.endswith("*") else 1.0)

        def put(
            metric: str, unit: str, value: Quantity | Refusal, method: str | None = None, period: str = period
        ) -> None:
            rows.append(Estimate(metric, unit, value, period=period, method=method))

        for metric, (unit, rate) in METRICS.items():
            part = known == "all" or metric == "visits"
            grade = Grade.D if at == 0 else Grade.C if at < 5 else Grade.B
            real = quantity(extra * level * rate, (0.16 - 0.01 * at) * level * rate, grade)
            put(f"incremental_{metric}", unit, real if part else NO_COLUMN)
            put(f"credited_{metric}", unit, quantity(level * rate, 0.0) if part else NO_COLUMN, "last_touch")
            for method in ("shapley", "removal"):
                put(f"credited_{metric}", unit, Refusal("made", {"column": "touches"}, ("first",)), method)
            put("incrementality", "share", quantity(extra, 0.1, grade) if part else NO_COLUMN, metric)
        money = known == "all"
        put("incremental_margin", "CNY", quantity(extra * level * 1.8, 0.3 * level, Grade.C) if money else NO_COLUMN)
        put("incremental_cac", "CNY", quantity(86.0, 21.0, Grade.C) if money else NO_COLUMN)
        put("cost_per_incremental_visit", "CNY", quantity(0.62, 0.14, Grade.C) if money else NO_COLUMN)
        put("payback_days", "days", quantity(41.0, 12.0, Grade.C) if money and at else NO_COLUMN)
        put("later_orders_per_customer", "orders", quantity(2.4, 0.4, Grade.C) if money else NO_COLUMN)
        put("ltv_per_customer", "CNY", quantity(85.0, 20.0, Grade.C) if money else NO_COLUMN)
        put("incremental_ltv", "CNY", quantity(0.4 * extra * level, 0.2 * level, Grade.C) if money else NO_COLUMN)
        put("incremental_value", "CNY", quantity(2.2 * extra * level, 0.4 * level, Grade.C) if money else NO_COLUMN)
    return Answer(
        "worth",
        {"channel": channel},
        tuple(rows),
        (),
        (EvidenceItem("outage", channel, Grade.B, {"start": "2025-03-04", "days": 4.0, "retained": 0.61}),),
        (Check("made_good", True, {"share": "12%"}),),
        WORDS,
        MADE,
        grade=Grade.B,
        curves=made_curves(channel) if known == "all" else (),
    )


def made_curves(channel: str, ages: int = 16) -> tuple[RepeatCurve, ...]:
    """Repeat curves of a channel and of all customers, seen for nine ages."""
    expected = 0.3 * 0.93 ** np.arange(ages)
    made = []
    for name, factor, width in ((channel, 1.2, 0.2), (None, 1.0, 0.06)):
        seen = factor * expected[:, None] * np.exp(width * SIGMA)[None, :]
        seen[9:] = np.nan
        year = quantity(2.7 * factor, 0.3 * factor, Grade.C).quantiles
        made.append(RepeatCurve(name, 30, 900 * 0.8 ** np.arange(ages), seen, factor * expected, year))
    return tuple(made)


LOSSES = {
    "discover": (1.33e6, 0.2e6, Grade.B, "tencent", "2026-04-30", 301.0, "mini"),
    "mini": (0.74e6, 0.3e6, Grade.C, "tencent", "", 480.0, "app"),
    "search": (0.5e6, 0.33e6, Grade.D, "baidu", "2025-11-30", "", "discover"),
    "live": (0.21e6, 0.25e6, Grade.D, "", "", "", ""),
    "app": (-0.05e6, 0.1e6, Grade.C, "", "", 90.0, "mini"),
}
CREDITS = {"discover": 3.6e6, "mini": 2.3e6, "search": 1.6e6, "live": 0.76e6, "app": 1.2e6}


def made_exposure(*, first: str = "discover", host: str = "tencent", scale: float = 1.0, known: str = "all") -> Answer:
    """Every channel closed in turn; the last one gains; `scale` multiplies every loss but not its spread."""
    rows: list[Estimate] = []
    evidence = []
    for name, (loss, sd, grade, owner, ends, days, to) in LOSSES.items():
        channel = first if name == "discover" else name

        def put(
            metric: str, unit: str, value: Quantity | Refusal, channel: str = channel, method: str | None = None
        ) -> None:
            rows.append(Estimate(metric, unit, value, channel=channel, method=method, horizon_days=90))

        for metric, share in (("visits", 0.38), ("orders", 0.31), ("new_customers", 0.44)):
            part = known == "all" or metric == "visits"
            put(f"share_of_{metric}", "share", quantity(share * CREDITS[name] / 3.6e6, 0.0) if part else NO_COLUMN)
        put("credited_visits", "visits", quantity(CREDITS[name], 0.04 * CREDITS[name]), method="last_touch")
        nothing = known == "nothing" or (name == "live" and known == "all")
        put("net_loss_visits", "visits", NO_COLUMN if nothing else quantity(scale * loss, sd, grade))
        for metric in ("orders", "gmv", "new_customers"):
            unit, rate = METRICS[metric]
            put(f"net_loss_{metric}", unit, quantity(loss * rate, sd * rate, grade) if known == "all" else NO_COLUMN)
        put("retained_own", "share", quantity(1 - loss / CREDITS[name], sd / CREDITS[name], grade))
        figures: dict[str, float | str] = {
            "host": host if owner == "tencent" else owner,
            "contract_end": ends,
            "days_since_evidence": days,
            "goes_to": to,
            "goes_to_share": 0.34 if to else "",
        }
        evidence.append(EvidenceItem("exposure", channel, grade, figures))
    return Answer(
        "exposure",
        {"horizon": "90", "on": DAY.isoformat()},
        tuple(rows),
        (),
        tuple(evidence),
        (),
        WORDS,
        MADE,
        grade=Grade.B,
    )


def practically_none() -> Answer:
    """A closure of something that hardly matters."""
    base = made_closure(kept=0.99)
    return replace(base, verdict="practically_none")


def every_question() -> tuple[Answer, ...]:
    """One of each, for pages that hold all."""
    return made_exposure(), made_closure(), made_worth()
