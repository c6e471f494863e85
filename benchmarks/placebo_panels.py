"""False alarms end to end: made shops in which nothing happened, asked "what did happen?" through the answer.

The truth is a net loss of zero at every horizon, so a 90 % interval that excludes zero is a false alarm. Families
beyond `plain` hold what the model does not: heavy-tailed days, a weekly pattern that changes, an unlogged level
break a year before, noise that grows, promotions of uneven strength, a yearly pattern that is no pair of waves.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rechannel.answers.answer import Provenance
from rechannel.answers.closure import Surrounds
from rechannel.answers.impact import ImpactQuestion, answer_impact
from rechannel.answers.money import Money
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import Quantity

Family = Literal[
    "plain",
    "drift",
    "heavy_tails",
    "weekly_change",
    "level_break",
    "noise_growth",
    "uneven_promotions",
    "peaked_year",
    "small_counts",
]
FAMILIES: tuple[Family, ...] = get_args(Family)
HORIZONS = (30, 90)
SEED = 20251
"""Every panel's generator is seeded with (SEED, family number, panel number)."""


@dataclass(frozen=True, slots=True)
class MadeShop:
    """A shop in which nothing happened on `on`."""

    panel: Panel
    events: tuple[Event, ...]
    channel: str
    on: date


def ar1(rng: np.random.Generator, n: int, phi: float, sd: float) -> NDArray[np.float64]:
    """A stationary AR(1) with innovation sd `sd`, shape [n]."""
    path = np.empty(n)
    path[0] = rng.standard_normal() * sd / np.sqrt(1 - phi**2)
    for day in range(1, n):
        path[day] = phi * path[day - 1] + sd * rng.standard_normal()
    return path


def make_shop(family: Family, number: int) -> MadeShop:
    """One made shop: 5-8 channels, common AR demand, weekly and yearly pattern, logged promotions, Poisson counts."""
    rng = np.random.default_rng([SEED, FAMILIES.index(family), number])
    channels = int(rng.integers(5, 9))
    n = int(rng.integers(800, 1001))
    first = date(2022, 1, 3) + timedelta(days=int(rng.integers(0, 365)))
    day = np.arange(n)
    calendar = np.array([first + timedelta(days=int(d)) for d in day])
    weekday = np.array([d.weekday() for d in calendar])
    year_day = np.array([d.timetuple().tm_yday for d in calendar])
    size = rng.lognormal(np.log(12.0 if family == "small_counts" else 600.0), 1.0, channels)

    demand = ar1(rng, n, 0.7, 0.05)
    phase = rng.uniform(0, 365)
    if family == "peaked_year":
        distance = np.abs((year_day - phase + 182) % 365 - 182)
        yearly = 0.4 * np.exp(-((distance / 12.0) ** 2))
    else:
        yearly = 0.12 * np.cos(2 * np.pi * (year_day - phase) / 365.25)
    growth = rng.normal(0, 0.15) * day / 365.25
    log_rate = np.zeros((n, channels))
    for c in range(channels):
        weekly = rng.normal(0, 0.12, 7)
        if family == "weekly_change":
            later = weekly + rng.normal(0, 0.12, 7)
            turn = rng.integers(n // 4, 3 * n // 4)
            blend = np.clip((day - turn) / 120.0, 0, 1)
            week = (1 - blend) * weekly[weekday] + blend * later[weekday]
        else:
            week = weekly[weekday]
        noise_sd = np.full(n, 0.04)
        if family == "noise_growth":
            noise_sd = 0.02 + 0.10 * day / n
        shocks = rng.standard_normal(n)
        if family == "heavy_tails":
            shocks = rng.standard_t(2.5, n)
        own = np.zeros(n)
        for d in range(n):
            own[d] = 0.4 * own[d - 1] + noise_sd[d] * shocks[d] if d else noise_sd[0] * shocks[0]
        drift = np.cumsum(rng.normal(0, 0.012 if family == "drift" else 0.003, n))
        log_rate[:, c] = np.log(size[c]) + demand * rng.uniform(0.6, 1.4) + yearly + growth + week + own + drift

    events: list[Event] = []
    for name, month, start_day, length in (("618", 6, 1, 18), ("1111", 11, 1, 11), ("spring", 3, 5, 5)):
        lift = rng.uniform(0.1, 0.5, channels)
        for year in range(first.year, first.year + 4):
            start = date(year, month, start_day)
            at = (start - first).days
            if at + length < 0 or at >= n:
                continue
            strength = rng.uniform(0.5, 1.5) if family == "uneven_promotions" else rng.uniform(0.9, 1.1)
            inside = (day >= at) & (day < at + length)
            log_rate[inside] += strength * lift
            last_day = start + timedelta(days=length - 1)
            events.append(Event("promo", start, last_day, note=f"{name} {year}"))
    on = int(rng.integers(n - 220, n - 90))
    if family == "level_break":
        broken = rng.integers(0, channels)
        log_rate[max(0, on - 365) :, broken] += rng.choice([-0.3, 0.3])
    visits = rng.poisson(np.exp(np.minimum(log_rate, 18.0))).astype(float)
    order = np.argsort(-visits.sum(axis=0))
    names = tuple(f"c{index}" for index in range(channels))
    dates = np.array(first, dtype="datetime64[D]") + day
    panel = Panel(dates, ("all",), names, {"visits": visits[:, None, order]}, {})
    asked = names[int(rng.integers(0, channels))]
    return MadeShop(panel, tuple(events), asked, first + timedelta(days=on))


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the answer said about a shop in which nothing happened, per horizon of `HORIZONS`.

    Attributes
    ----------
    answered, alarm, low_side
        Whether a number came; whether its 90 % interval excludes 0; whether it lies below 0.
    score
        Median over half the 90 % width: the error in units of the stated uncertainty.
    width
        90 % width as a share of the observed visits of the window.
    factor
        lambda at the horizon.
    verdict
        Of the answer (first answered horizon).
    """

    answered: tuple[bool, ...]
    alarm: tuple[bool, ...]
    low_side: tuple[bool, ...]
    score: tuple[float, ...]
    width: tuple[float, ...]
    factor: tuple[float, ...]
    verdict: str


def ask(family: Family, number: int) -> Alarm:
    """Ask one made shop what happened."""
    shop = make_shop(family, number)
    provenance = Provenance("benchmark", number, "", "")
    question = ImpactQuestion(shop.channel, shop.on, HORIZONS)
    answer = answer_impact(shop.panel, Surrounds(shop.events), question, Money("CNY"), provenance)
    answered, alarm, low_side, score, width, factor = [], [], [], [], [], []
    factors = {
        int(check.figures["horizon"]): float(check.figures["factor"])
        for check in answer.checks
        if check.key == "calibration_folds"
    }
    start = shop.panel.index_of(shop.on)
    for horizon in HORIZONS:
        value = answer.find("net_loss_visits", horizon=horizon).value
        is_number = isinstance(value, Quantity)
        low, high = value.quantiles.interval(0.9) if isinstance(value, Quantity) else (-1.0, 1.0)
        median = value.quantiles.median if isinstance(value, Quantity) else 0.0
        came = shop.panel.values["visits"][start : start + horizon].sum()
        answered.append(is_number)
        alarm.append(low > 0 or high < 0)
        low_side.append(high < 0)
        score.append(float(median / ((high - low) / 2)))
        width.append(float((high - low) / came))
        factor.append(factors.get(horizon, float("nan")))
    return Alarm(
        tuple(answered), tuple(alarm), tuple(low_side), tuple(score), tuple(width), tuple(factor), str(answer.verdict)
    )


def _ask_pair(task: tuple[Family, int]) -> Alarm:
    return ask(*task)


def run(per_family: int, families: Sequence[Family] = FAMILIES, *, workers: int = 2) -> dict[str, object]:
    """Every family `per_family` times; shares of false alarms by family and horizon."""
    table: dict[str, object] = {"panels_per_family": per_family, "horizons": list(HORIZONS), "seed": SEED}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers) as pool:
        for family in families:
            alarms = list(pool.map(_ask_pair, [(family, number) for number in range(per_family)], chunksize=4))
            table[family] = summary(alarms)
            print(family, table[family], flush=True)
    return table


def summary(alarms: Sequence[Alarm]) -> dict[str, dict[str, float]]:
    """Counts and shares of one family, per horizon."""
    rows: dict[str, dict[str, float]] = {}
    for at, horizon in enumerate(HORIZONS):
        told = [one for one in alarms if one.answered[at]]
        rows[str(horizon)] = {
            "answered": len(told),
            "refused": len(alarms) - len(told),
            "false_alarms": sum(one.alarm[at] for one in told),
            "coverage": round(1 - float(np.mean([one.alarm[at] for one in told])), 4),
            "below_zero": sum(one.low_side[at] for one in told),
            "mean_score": round(float(np.mean([one.score[at] for one in told])), 3),
            "median_width": round(float(np.median([one.width[at] for one in told])), 4),
            "median_factor": round(float(np.nanmedian([one.factor[at] for one in told])), 3),
        }
    return rows
