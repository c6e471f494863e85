"""Panels of markets in which nothing happened: how often a geo test of one of them finds an effect; real A/A splits.

20 markets, 90 days before and 14 after a day on which nothing happens: log visits are a market's level, its reaction to
a common path (AR .6 and a slow random walk), the weekly pattern with small deviations of its own, and AR(1) noise whose
size differs between markets; counts are Poisson. One market is "tested". The families below are not the model's.
`GeoLift` is that package's p-value (permuted single days) on the same panel.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import process_time
from typing import Literal, get_args

import numpy as np

from rechannel.evidence.compat_markets import conformal_p_value
from rechannel.evidence.geotest import MarketEffect, MarketTest, measure_in_markets, p_value
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import FloatArray

Family = Literal[
    "ar_0",
    "ar_5",
    "ar_8",
    "heavy_tails",
    "spikes",
    "donor_break",
    "weekly_change",
    "trends",
    "small_counts",
    "three_treated",
    "missing_days",
]
FAMILIES: tuple[Family, ...] = get_args(Family)
CELLS: tuple[Family, ...] = ("ar_0", "ar_5", "ar_8")
"""The families that are run in full; the others differ from `ar_5` in what their name says."""
MARKETS, PRE, POST = 20, 90, 14
SEED = 20251031
LEVEL = 0.1
START = date(2025, 1, 1)
SPLIT_DAYS = 14
REFERENCE = Path(os.environ.get("RECHANNEL_REFERENCE") or Path(__file__).resolve().parents[2] / "shared" / "reference")


def make_panel(family: Family, number: int) -> FloatArray:
    """Visits of one panel, shape [day, market]."""
    rng = np.random.default_rng([SEED, FAMILIES.index(family), number])
    n, phi = PRE + POST, {"ar_0": 0.0, "ar_8": 0.8}.get(family, 0.5)
    day = np.arange(n)
    common = _ar(rng, (n,), 0.6) + rng.normal(0, 0.15, n).cumsum()
    weekly = rng.normal(0, 0.08, 7) + rng.normal(0, 0.02, (MARKETS, 7))
    noise = 0.04 * _ar(rng, (n, MARKETS), phi) * rng.uniform(0.6, 1.6, MARKETS)
    logs = np.log(rng.uniform(500, 3000, MARKETS)) + 0.05 * np.outer(common, rng.uniform(0.6, 1.4, MARKETS))
    logs = logs + weekly[:, day % 7].T + noise
    if family == "heavy_tails":
        logs += 0.03 * np.clip(rng.standard_t(2.2, (n, MARKETS)), -25, 25)
    elif family == "spikes":
        for first in rng.choice(n, 4, replace=False):
            logs[first : first + 3] += rng.uniform(0.2, 0.6) * rng.uniform(0.5, 1.5, MARKETS)
    elif family == "donor_break":
        logs[rng.integers(20, n - 3) :, rng.integers(1, MARKETS)] += rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
    elif family == "weekly_change":
        turn = rng.normal(0, 0.06, (MARKETS, 7))
        logs += np.clip((day - 20) / 60, 0, 1)[:, None] * turn[:, day % 7].T
    elif family == "trends":
        logs += np.outer(day / PRE, rng.normal(0, 0.12, MARKETS))
    elif family == "small_counts":
        logs -= np.log(100)
    visits = rng.poisson(np.exp(logs)).astype(float)
    if family == "missing_days":
        visits[rng.random(visits.shape) < 0.05] = np.nan
    return visits


def _ar(rng: np.random.Generator, shape: tuple[int, ...], phi: float) -> FloatArray:
    """A stationary AR(1) along the first axis with innovation sd 1."""
    path = rng.standard_normal(shape)
    path[0] /= np.sqrt(1 - phi**2)
    for step in range(1, shape[0]):
        path[step] += phi * path[step - 1]
    return path


def as_panel(visits: FloatArray) -> Panel:
    """One channel in named markets."""
    names = tuple(f"market_{at:02d}" for at in range(visits.shape[1]))
    dates = np.datetime64(START, "D") + np.arange(visits.shape[0])
    return Panel(dates, names, ("entry",), {"visits": visits[:, :, None].copy()}, {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one null test said.

    Attributes
    ----------
    refused
        Its refusal's code, empty when it was answered.
    p_value
        Of the net loss over the whole window.
    width
        Of the 90 % interval over the visits of the window.
    factor
        What placebos put on the interval.
    geolift
        The p-value of GeoLift's procedure; nan where days are missing.
    seconds
        CPU.
    """

    refused: str
    p_value: float
    width: float
    factor: float
    geolift: float
    seconds: float


def ask(visits: FloatArray, treated: Sequence[int], pre: int, days: int, seed: int) -> Outcome:
    """Test some markets of a panel in which nothing happened."""
    started = process_time()
    panel = as_panel(visits)
    starts = {panel.markets[at]: START + timedelta(days=pre) for at in treated}
    found = measure_in_markets(panel, (), MarketTest("entry", starts, (days,)), seed=seed)
    spent = process_time() - started
    own, others = visits[:, list(treated)].mean(axis=1), np.delete(visits, list(treated), axis=1)
    whole = np.isfinite(visits).all()
    geolift = conformal_p_value(own, others, pre, seed=seed) if whole else float("nan")
    if not isinstance(found, MarketEffect):
        return Outcome(found.code, float("nan"), float("nan"), float("nan"), geolift, spent)
    loss = found.net_loss("visits")[:, 0]
    low, high = np.quantile(loss, (0.05, 0.95))
    width = float(high - low) / float(found.visits.observed.sum())
    return Outcome("", p_value(loss), width, float(found.factor[0]), geolift, spent)


def ask_family(task: tuple[Family, int]) -> Outcome:
    family, number = task
    treated = range(3) if family == "three_treated" else range(1)
    return ask(make_panel(family, number), treated, PRE, POST, number)


def geolift_panel() -> FloatArray | None:
    """GeoLift_PreTest, 90 days of 40 untreated cities, shape [day, market]; None where the reference is absent."""
    path = REFERENCE / "impact" / "geolift_pretest.csv"
    if not path.exists():
        return None
    cells: dict[str, dict[str, float]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            cells[row["date"]][row["location"]] = float(row["Y"])
    names = sorted(next(iter(cells.values())))
    return np.array([[cells[day][name] for name in names] for day in sorted(cells)])


def ask_split(number: int) -> Outcome:
    """Two of the 40 cities drawn at random are "tested" for 14 days that begin on a day drawn at random."""
    cities = geolift_panel()
    assert cities is not None
    rng = np.random.default_rng([SEED, 99, number])
    pre = int(rng.integers(56, cities.shape[0] - SPLIT_DAYS + 1))
    treated = rng.choice(cities.shape[1], 2, replace=False).tolist()
    return ask(cities[: pre + SPLIT_DAYS], treated, pre, SPLIT_DAYS, number)


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Counts and shares of one family."""
    told = [one for one in outcomes if not one.refused]
    known = [one.geolift for one in told if np.isfinite(one.geolift)]
    return {
        "answered": len(told),
        "refused": len(outcomes) - len(told),
        "false_alarms": sum(one.p_value < LEVEL for one in told),
        "share": round(float(np.mean([one.p_value < LEVEL for one in told])), 4),
        "median_width": round(float(np.median([one.width for one in told])), 4),
        "median_factor": round(float(np.median([one.factor for one in told])), 3),
        "geolift_share": round(float(np.mean(np.array(known) < LEVEL)), 4) if known else -1.0,
        "cpu_ms": round(1000 * float(np.median([one.seconds for one in outcomes])), 1),
    }


def run(per_cell: int, per_family: int, splits: int, *, workers: int = 2) -> dict[str, object]:
    """Every family, and real A/A splits where the reference is there."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table: dict[str, object] = {"markets": MARKETS, "pre": PRE, "post": POST, "seed": SEED}
    with ProcessPoolExecutor(workers) as pool:
        for family in FAMILIES:
            count = per_cell if family in CELLS else per_family
            tasks = [(family, number) for number in range(count)]
            table[family] = summary(list(pool.map(ask_family, tasks, chunksize=4)))
            print(family, table[family], flush=True)
        if geolift_panel() is not None:
            table["geolift_splits"] = summary(list(pool.map(ask_split, range(splits), chunksize=4)))
            print("geolift_splits", table["geolift_splits"], flush=True)
    return table
