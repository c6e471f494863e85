"""Later orders of new customers: forecasts at a day against what the same customers order in the days after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rechannel.evidence.lifetime import Lifetime, NewPerOrder, days_in_ages, lifetime_of
from rechannel.lab.kinds import KINDS
from rechannel.lab.specs import draw_spec
from rechannel.lab.worlds import make_world
from rechannel.tables.engines.duck import DuckEngine
from rechannel.tables.histories import OrderLog, order_log
from rechannel.tables.journeyrules import DAY
from rechannel.vocabulary.estimate import FloatArray

SEEN, AHEAD, QUARTER = 400, 366, 91
HORIZONS = (180, 365)
FAMILIES = ("drop_outs", "lifetimes", "uneven_lifetimes", "drop_outs_season", "lifetimes_growth", "regular_gaps")
FIRST = 19_358
DRAWS = 4096


@dataclass(frozen=True)
class Made:
    """Touches of a made shop before and after `on` (days since 1970), and who in them is new to the shop."""

    name: str
    touches: pa.Table
    on: int
    newcomers: frozenset[str]


def shops(seeds: range, families: int) -> Iterator[Made]:
    """Lab markets of every kind in which nothing closes, then shops of other laws of coming back."""
    for seed in seeds:
        for kind in KINDS:
            spec = draw_spec(kind.name, seed)
            spec = replace(spec, knobs=replace(spec.knobs, severity=0.0), after_days=AHEAD, customers=3000)
            if spec.history < SEEN:
                continue
            world = make_world(spec, touches=300_000)
            touches = world.tables["touches"]
            touches = touches.filter(pa.array(touches["event"].to_numpy(zero_copy_only=False) == "order"))
            yield Made("lab", touches, int(np.datetime64(spec.on, "D").astype(int)), world.newcomers)
    for family in FAMILIES:
        for seed in range(families):
            yield shop(family, seed + 1000 * seeds.start)


def shop(family: str, seed: int, per_day: float = 8.0, channels: int = 6) -> Made:
    """Customers who come before and during the log; how they come back and leave is the family's."""
    rng = np.random.default_rng([seed, FAMILIES.index(family)])
    before, end = -730.0, float(SEEN + AHEAD)
    count = int(rng.poisson(per_day * (end - before)))
    part = rng.random(count)
    came = np.sort(before + (end - before) * (np.sqrt(part) if "growth" in family else part))
    channel = rng.choice(channels, count, p=rng.dirichlet(np.full(channels, 1.2)))
    gap, shape = np.exp(rng.uniform(np.log(40), np.log(160))), rng.uniform(0.5, 1.5)
    uneven = np.exp(rng.normal(0, 1.0, count) - 0.5) if "uneven" in family else rng.gamma(shape, 1 / shape, count)
    rate = uneven / gap * np.exp(0.3 * rng.standard_normal(channels))[channel]
    drop, gone = np.zeros(count), np.full(count, np.inf)
    if "drop_outs" in family:
        drop = rng.beta(rng.uniform(0.5, 1.5), rng.uniform(2, 5), count)
    else:
        gone = came + rng.exponential(1, count) * rng.uniform(150, 500) / rng.gamma(0.8, 1 / 0.8, count)
    season, phase = 0.3 if "season" in family else 0.0, rng.uniform(0, 365)
    who, when, live, now = [np.arange(count)], [came], np.arange(count), came.copy()
    while live.size:
        step = rng.gamma(2, 0.5, live.size) if "regular" in family else rng.exponential(1, live.size)
        now[live] += step / np.maximum(rate[live], 1e-9) / (1 + season)
        live = live[(now[live] < end) & (now[live] < gone[live])]
        wave = (1 + season * np.cos(2 * np.pi * (now[live] - phase) / 365)) / (1 + season)
        bought = rng.random(live.size) < wave
        who.append(live[bought])
        when.append(now[live][bought])
        live = live[~(bought & (rng.random(live.size) < drop[live]))]
    people, times = np.concatenate(who), np.concatenate(when)
    people, times = people[times >= 0], times[times >= 0]
    touches = pa.table(
        {
            "customer": pa.array([f"c{person}" for person in people]),
            "time": pa.array(FIRST * DAY + (times * DAY).astype(np.int64)).cast(pa.timestamp("us")),
            "channel": pa.array(np.array([f"ch{place}" for place in range(channels)])[channel[people]]),
            "event": pa.array(["order"] * len(people)),
        }
    )
    newcomers = frozenset(f"c{person}" for person in np.flatnonzero(came >= 0))
    return Made(family, touches, FIRST + SEEN, newcomers)


def log_of(touches: pa.Table) -> OrderLog:
    connection = duckdb.connect(":memory:")
    connection.register("made", touches)
    connection.execute("CREATE TABLE touches AS SELECT * FROM made")
    return order_log(DuckEngine(connection, "touches"))


def run(seeds: range, families: int) -> dict[str, object]:
    """Coverage and lean of 90 % intervals: order days in the days after `on` of who came in the 91 before it."""
    scores: dict[tuple[str, str, str, int], list[tuple[bool, float, float]]] = {}
    cost, refused, shops_seen = 0.0, 0, 0
    for made in shops(seeds, families):
        days = made.touches["time"].to_numpy().astype("datetime64[D]").astype(np.int64)
        new = np.isin(made.touches["customer"].to_numpy(zero_copy_only=False).astype(str), sorted(made.newcomers))
        log = log_of(made.touches.filter(pa.array(days < made.on)))
        known = _new_per_order(made.touches.filter(pa.array(new)), days[new], days)
        started = time.process_time()
        life = lifetime_of(log, known)
        cost, shops_seen = cost + time.process_time() - started, shops_seen + 1
        if not isinstance(life, Lifetime):
            refused += 1
            continue
        generator = "lab" if made.name == "lab" else "other"
        for group, touches, share in (
            ("log", made.touches, 1.0),
            ("new", made.touches.filter(pa.array(new)), life.new_share(known)),
        ):
            for horizon in HORIZONS:
                for scope, score in _scores(life, touches, made.on, share, horizon):
                    scores.setdefault((generator, group, scope, horizon), []).append(score)
    return {
        "shops": shops_seen,
        "refused": refused,
        "cpu_seconds_a_fit": round(cost / shops_seen, 3),
        "rows": [
            {
                "generator": generator,
                "customers": group,
                "scope": scope,
                "horizon_days": horizon,
                "targets": len(found),
                "coverage_90": round(float(np.mean([one[0] for one in found])), 3),
                "lean": round(float(np.mean([one[1] for one in found])), 3),
                "rms": round(float(np.sqrt(np.mean([one[1] ** 2 for one in found]))), 3),
                "width": round(float(np.mean([one[2] for one in found])), 2),
            }
            for (generator, group, scope, horizon), found in sorted(scores.items())
        ],
    }


def _new_per_order(fresh: pa.Table, fresh_days: NDArray[np.int64], days: NDArray[np.int64]) -> NewPerOrder:
    """The shop's own count: first orders ever over orders, by day."""
    customers = fresh["customer"].to_numpy(zero_copy_only=False).astype(str)
    order = np.argsort(fresh_days, kind="stable")
    _, first = np.unique(customers[order], return_index=True)
    firsts = fresh_days[order][first]

    def per_order(since: int, until: int) -> float:
        return float(((firsts >= since) & (firsts < until)).sum() / max(((days >= since) & (days < until)).sum(), 1))

    return per_order


def _scores(
    life: Lifetime, touches: pa.Table, on: int, share: float, horizon: int
) -> Iterator[tuple[str, tuple[bool, float, float]]]:
    """Inside or not, log of what came over the median, log width: by channel of five customers and more, and in all."""
    days = touches["time"].to_numpy().astype("datetime64[D]").astype(np.int64)
    newest = log_of(touches.filter(pa.array(days < on + horizon))).cohorts(on - QUARTER, on)
    rng = np.random.default_rng([on, horizon])
    every, came = np.zeros(DRAWS), 0.0
    orders = life.cohorts.orders.sum() / life.cohorts.order_days.sum()
    for place, name in enumerate(newest.channels):
        rows = newest.channel == place
        if not rows.any():
            continue
        weights = newest.customers[rows] @ days_in_ages(newest.age[rows].astype(np.float64), horizon)
        expected = life.rates(name, share, DRAWS, 5) @ weights / orders
        every, came = every + expected, came + float(newest.later[place])
        if newest.customers[rows].sum() >= 5:
            yield "channel", _score(expected, life, newest.customers[rows].sum(), float(newest.later[place]), rng)
    yield "shop", _score(every, life, newest.customers.sum(), came, rng)


def _score(
    expected: FloatArray, life: Lifetime, customers: int, came: float, rng: np.random.Generator
) -> tuple[bool, float, float]:
    dispersion = 1 + life.curve.unevenness * expected / customers
    drawn = expected + np.sqrt(dispersion * expected) * rng.standard_normal(DRAWS)
    low, middle, high = (float(value) for value in np.quantile(drawn, (0.05, 0.5, 0.95)))
    off, width = np.log((came + 0.5) / (middle + 0.5)), np.log((high + 0.5) / (max(low, 0.0) + 0.5))
    return low <= came <= high, float(off), float(width)
