"""The twin: a made shop with the dates of a real closure, and a truth that the real case never shows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from rechannel.lab.chance import stream
from rechannel.lab.kinds import RANGES, WEEKDAY_ENTRY, Entry, Range, entry_named
from rechannel.lab.specs import Happening, WorldSpec, calendar_of, draw_knobs, with_happenings
from rechannel.lab.worlds import MadeWorld, Truth, make_world

START = date(2023, 1, 1)
ON = date(2025, 9, 30)
ANNOUNCED = date(2025, 9, 12)
MEASURED_ANEW = date(2025, 7, 1)
CLOSING = "wechat_discover"
OBSERVED_DAYS = 120
QUARTER = date(2025, 4, 1), date(2025, 7, 1)
"""The last quarter that lies whole before the announcement; its end is the day after it."""
TOUCHES = 330_000
HORIZONS = (30, 90, 180)

_SHARES: dict[str, tuple[float, float]] = {
    "wechat_discover": (0.125, 0.195),
    "wechat_services": (0.04, 0.07),
    "mini_program": (0.10, 0.16),
    "app": (0.26, 0.34),
    "search_ads": (0.07, 0.11),
    "official_account": (0.03, 0.06),
    "group_share": (0.03, 0.06),
    "web": (0.05, 0.09),
    "live_room": (0.03, 0.05),
}
"""Range of each entry's share of visits before all are scaled to 1."""

_RANGES: dict[str, Range] = {
    "visits_per_day": Range(40_000, 90_000, "log"),
    "history_days": Range(1003, 1003, "whole"),
    "entries": Range(9, 9, "whole"),
    "share": Range(0.16, 0.16),
    "notice_days": Range(18, 18, "whole"),
    "notice_reach": Range(0.25, 0.5),
    "steer": Range(0.25, 0.55),
    "created": Range(0.1, 0.45),
    "created_others": Range(0.08, 0.25),
    "attention": Range(0.1, 0.5),
    "find": Range(0.3, 0.75),
    "find_gain": Range(0.1, 0.6),
    "learn_days": Range(8, 30, "log"),
    "multihoming": Range(0.5, 0.9),
    "solo": Range(0.03, 0.2),
    "habit": Range(0.3, 0.65),
    "assist": Range(0.0, 0.01),
    "selection": Range(0.4, 0.9),
    "rival_pull": Range(0.2, 0.6),
    "stray": Range(0.02, 0.12),
    "conversion": Range(0.035, 0.055),
    "basket": Range(180, 320),
    "prospect": Range(0.2, 0.4),
    "demand_noise": Range(0.015, 0.025),
    "demand_walk": Range(0.0008, 0.002, "log"),
    "channel_noise": Range(0.015, 0.03),
    "white": Range(0.008, 0.018),
    "trend": Range(0.03, 0.15),
    "season": Range(0.02, 0.06),
    "promo_lift": Range(0.35, 0.6),
    "holiday_lift": Range(-0.2, -0.1),
    "rival_promo": Range(0.03, 0.06),
    "paid_share": Range(0.1, 0.1),
    "rival_size": Range(2.5, 4.5),
}

_PROMOS: tuple[tuple[str, date, date, float], ...] = (
    ("618", date(2023, 5, 31), date(2023, 6, 20), 0.85),
    ("double_11", date(2023, 10, 23), date(2023, 11, 13), 1.0),
    ("618", date(2024, 5, 28), date(2024, 6, 20), 0.8),
    ("double_11", date(2024, 10, 14), date(2024, 11, 13), 0.95),
    ("618", date(2025, 5, 30), date(2025, 6, 20), 0.85),
    ("double_11", date(2025, 10, 9), date(2025, 11, 14), 1.0),
)
"""Own promotions: name, first and last day, strength relative to the shop's; windows move by up to two weeks a year."""


@dataclass(frozen=True, slots=True)
class TwinFiles:
    """Where `write_twin` put the twin.

    Attributes
    ----------
    folder
        The folder.
    daily, daily_before
        Days up to 120 days from D on, and up to the eve of D.
    events, touches, rivals, deals
        The other tables.
    truth
        JSON with the true removed visits, net losses and diversion at 30, 90 and 180 days.
    closed_channel, on, announced
        What to ask about.
    """

    folder: Path
    daily: Path
    daily_before: Path
    events: Path
    touches: Path
    rivals: Path
    deals: Path
    truth: Path
    closed_channel: str
    on: date
    announced: date


def twin_spec(seed: int) -> WorldSpec:
    """The twin's market: dates are those of the real case, behaviour is drawn."""
    knobs = draw_knobs(seed, {**RANGES, **_RANGES})
    rng = stream(seed, "twin")
    sizes = np.array([rng.uniform(low, high) for low, high in _SHARES.values()])
    entries = tuple(entry_named(name) for name in _SHARES)
    live = Entry("live_room", "short_video", "live", created=1.8, conversion=0.9, new=1.3, weekdays=WEEKDAY_ENTRY)
    entries = tuple(live if entry.name == live.name else entry for entry in entries)
    rival_sizes = knobs.rival_size * rng.dirichlet(np.full(3, 6.0))
    spec = WorldSpec(
        seed=seed,
        kind="twin",
        start=START,
        on=ON,
        announced=ANNOUNCED,
        entries=entries,
        shares=tuple(float(size) for size in sizes / sizes.sum()),
        closing=CLOSING,
        markets=("all",),
        rivals=("rival_a", "rival_b", "rival_c"),
        rival_sizes=tuple(float(size) for size in rival_sizes),
        happenings=(),
        knobs=knobs,
    )
    holidays = tuple(row for row in calendar_of(spec) if row.kind == "holiday" and not _is_national_day_2025(row))
    return with_happenings(spec, (*holidays, *_dated(spec, rng)))


def _is_national_day_2025(row: Happening) -> bool:
    return row.note == "national_day" and row.start.year == 2025


def _dated(spec: WorldSpec, rng: np.random.Generator) -> tuple[Happening, ...]:
    """The happenings of the real case, and the faults that teach how visits move."""
    knobs = spec.knobs
    rows = [
        Happening("promo", first, last, strength=size * knobs.promo_lift * rng.uniform(0.92, 1.08), note=name)
        for name, first, last, size in _PROMOS
    ]
    shift = rng.uniform(0.10, 0.25) * (1 if rng.random() < 0.75 else -1)
    far = ON + timedelta(days=spec.after_days - 1)
    rows += [
        Happening(
            "holiday", date(2025, 10, 1), date(2025, 10, 8), strength=1.1 * knobs.holiday_lift, note="national_day"
        ),
        Happening(
            "measurement_break",
            MEASURED_ANEW,
            MEASURED_ANEW,
            (CLOSING,),
            strength=shift,
            note="web page replaced by mini program; visits are counted differently",
        ),
        Happening(
            "other",
            date(2025, 10, 15),
            date(2025, 11, 14),
            strength=-knobs.rival_promo * rng.uniform(0.8, 1.2),
            note="rival_promo",
        ),
        Happening(
            "other",
            date(2025, 7, 15),
            far,
            ("app", "search_ads"),
            strength=rng.uniform(0.10, 0.2),
            note="food delivery launch: paid acquisition of another line of business",
        ),
    ]
    rows += [
        Happening("other", first, last, strength=-knobs.rival_promo * rng.uniform(0.8, 1.2), note="rival_promo")
        for first, last in (
            (date(2023, 10, 24), date(2023, 11, 11)),
            (date(2024, 10, 14), date(2024, 11, 11)),
        )
    ]
    faults = (
        (date(2023, 9, 4), "mini_program", int(rng.integers(3, 6)), 1.0),
        (date(2024, 4, 8), CLOSING, int(rng.integers(4, 8)), 1.0),
        (date(2025, 3, 10), "wechat_services", int(rng.integers(4, 10)), float(np.round(rng.uniform(0.8, 1.0), 2))),
    )
    for first, name, length, severity in faults:
        start = first + timedelta(days=int(rng.integers(0, 25)))
        end = start + timedelta(days=length - 1)
        rows.append(Happening("outage", start, end, (name,), severity=severity, note="fault"))
    return tuple(rows)


def make_twin(seed: int = 0, *, touches: int = TOUCHES) -> MadeWorld:
    """A shop of about 60,000 visits a day whose first-level entry closes on 2025-09-30.

    Use it to see a method meet everything that happened around the real closure: a measurement break three months
    before, a notice of 18 days, a holiday the next day, the shop's own promotion 9 days and a rival's 15 days after,
    and a spend shock in another line of business.

    Parameters
    ----------
    seed
        Another seed draws other behaviour, shares and noise; dates stay.
    touches
        About how many visits to write to `touches` (0 = no table).

    Returns
    -------
    MadeWorld
        1,003 days before D and 180 from D on.

    Examples
    --------
    >>> make_twin(0, touches=0).on.isoformat()
    '2025-09-30'
    """
    return make_world(twin_spec(seed), touches=touches)


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What two habits of the trade would say about the net loss of visits over a horizon.

    Attributes
    ----------
    before_after
        (Mean of all entries' visits in the 28 days before D - mean after) x days.
    last_touch
        The entry's visits of the 28 days before D carried forward and all counted as lost.
    """

    before_after: float
    last_touch: float


def shortcuts(truth: Truth, horizon: int, days_before: int = 28) -> Shortcuts:
    """Before/after and last touch on the path that happened.

    Neither is causal: the first takes every other change since D for an effect of the closure, the second assumes that
    nobody finds another way in.
    """
    visits, on = truth.closed["visits"], truth.on_index
    before, after = visits[on - days_before : on], visits[on : on + horizon]
    own = before[:, truth.channels.index(truth.closed_channel)].mean()
    return Shortcuts(
        before_after=float((before.sum(axis=1).mean() - after.sum(axis=1).mean()) * horizon),
        last_touch=float(own * horizon),
    )


def worth_figures(spec: WorldSpec) -> dict[str, object]:
    """What the entry brought in the last whole quarter before D: the net loss of the same shop, had it closed then."""
    days = (QUARTER[1] - QUARTER[0]).days
    earlier = replace(spec, on=QUARTER[0], announced=None, after_days=spec.after_days + (spec.on - QUARTER[0]).days)
    truth = make_world(earlier, touches=0).truth
    return {
        "period": f"{QUARTER[0].year}Q{QUARTER[0].month // 3 + 1}",
        "net_loss": {
            metric: round(truth.net_loss(metric, days), 2) for metric in ("visits", "new_customers", "orders", "gmv")
        },
    }


def truth_figures(world: MadeWorld) -> dict[str, object]:
    """The truth of a world in plain figures, as `truth.json` holds them."""
    truth = world.truth
    by_horizon: dict[str, object] = {}
    for horizon in HORIZONS:
        naive = shortcuts(truth, horizon)
        by_horizon[str(horizon)] = {
            "visits_removed": truth.removed(horizon),
            "net_loss": {
                metric: round(truth.net_loss(metric, horizon), 2)
                for metric in ("visits", "new_customers", "orders", "gmv")
            },
            "retained_own": round(truth.retained(horizon), 6),
            "to_rivals": truth.to_rivals(horizon),
            "lost_outside": truth.lost_outside(horizon),
            "diversion": {name: round(share, 6) for name, share in truth.diversion(horizon).items()},
            "before_after": round(naive.before_after, 1),
            "last_touch": round(naive.last_touch, 1),
        }
    return {
        "seed": world.spec.seed,
        "currency": world.spec.currency,
        "closed_channel": world.closed_channel,
        "on": world.on.isoformat(),
        "announced": world.announced.isoformat() if world.announced else None,
        "horizons": by_horizon,
        "worth": worth_figures(world.spec),
    }


def write_twin(folder: Path, seed: int = 0) -> TwinFiles:
    """Write the twin's tables as CSV and its truth as JSON; equal seeds give equal bytes.

    Parameters
    ----------
    folder
        Made when missing; files of these names are replaced.
    seed
        Of the twin.

    Returns
    -------
    TwinFiles
        Paths, and what to ask about.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = make_twin(seed)
    seen = world.after(OBSERVED_DAYS)
    tables = {
        "daily": seen["daily"],
        "daily_before": world.before()["daily"],
        "events": seen["events"],
        "touches": seen["touches"],
        "rivals": seen["rivals"],
        "deals": seen["deals"],
    }
    paths = {name: folder / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        write_table(paths[name], table)
    truth = folder / "truth.json"
    truth.write_text(json.dumps(truth_figures(world), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return TwinFiles(folder=folder, truth=truth, closed_channel=CLOSING, on=ON, announced=ANNOUNCED, **paths)


def write_table(path: Path, table: pa.Table) -> None:
    """One table as CSV, quotes only where needed; empty text and missing values are empty cells."""
    csv.write_csv(table, path, csv.WriteOptions(quoting_style="needed"))
