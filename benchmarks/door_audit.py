"""The audit and the watch on made shops of two generators: what was planted and found, and what was told for nothing.

The first generator is the lab, whose customers live the outages. The second is that of `placebo_panels`, which shares
no line with it: multiplicative noise by family, outages by thinning of counts. Neither shares code with the detector.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta

import numpy as np

from benchmarks.placebo_panels import FAMILIES, Family, make_shop
from rechannel.evidence.audit import audit
from rechannel.lab.doorboard import (
    CUSTOMERS,
    NEAR,
    SEEN_AS,
    DoorRecord,
    Sighting,
    WatchRecord,
    audit_market,
    watch_shop,
)
from rechannel.lab.kinds import KINDS
from rechannel.lab.plants import OUTAGE_DAYS, PLANTERS, Plant, smaller
from rechannel.lab.specs import draw_spec
from rechannel.lab.worlds import make_world
from rechannel.tables.calendar import read_events
from rechannel.tables.panel import Panel, build_panel

FIRST_SEED = 5000
DAYS = 270
"""Days watched."""
WATCH_EVERY = 3
"""To watch a shop day by day for nine months costs about twenty audits."""
LARGE = 0.05
"""Share of visits from which a channel's outages count for the bar."""


def audited_lab(task: tuple[str, int, str]) -> DoorRecord:
    """One made market of the lab."""
    return audit_market(*task)


def audited_family(task: tuple[Family, int]) -> DoorRecord:
    """One shop of the second generator with two to five outages by thinning, its promotions logged."""
    family, number = task
    shop = make_shop(family, number)
    rng = np.random.default_rng([FIRST_SEED, FAMILIES.index(family), number])
    visits = shop.panel.values["visits"].copy()
    plants: list[Plant] = []
    day = int(rng.integers(40, 90))
    while day < len(visits) - 60 and len(plants) < 5:
        channel, length = int(rng.integers(visits.shape[2])), int(rng.choice(OUTAGE_DAYS))
        lost = 1.0 if rng.random() < 0.7 else float(rng.uniform(0.5, 0.95))
        rows = visits[day : day + length, 0, channel]
        visits[day : day + length, 0, channel] = rng.binomial(rows.astype(int), 1 - lost)
        first = shop.panel.first + timedelta(days=day)
        last = first + timedelta(days=length - 1)
        plants.append(Plant("outage", (shop.panel.channels[channel],), first, last, lost))
        day += int(rng.integers(90, 250))
    panel = Panel(shop.panel.dates, shop.panel.markets, shop.panel.channels, {"visits": visits}, {})
    found = audit(panel, shop.events).oddities
    share = visits[:, 0].sum(axis=0) / visits.sum()
    sightings, about = [], set()
    for plant in plants:
        near = [o for o in found if o.channel in (None, *plant.channels) and _touch(o.first, o.last, plant)]
        about |= {o.key for o in near}
        size = float(share[panel.channels.index(plant.channels[0])])
        sightings.append(Sighting(plant, size, tuple(o.code for o in near)))
    false = tuple(o.code for o in found if o.key not in about for _ in o.rows)
    return DoorRecord(family, number, tuple(sightings), false, len(visits) * visits.shape[2] / 365.25)


def _touch(first: date, last: date, plant: Plant) -> bool:
    near = timedelta(days=NEAR)
    return first <= plant.last + near and last >= plant.first - near


def watched_lab(task: tuple[str, int], days: int = DAYS) -> WatchRecord | None:
    """One made market of the lab, watched; its logged and hidden events raise alarms by right."""
    kind, seed = task
    spec = smaller(draw_spec(kind, seed), CUSTOMERS)
    if len(spec.markets) > 1:
        return None
    tables = make_world(spec).before()
    quiet = [
        (name, row.start, row.end)
        for row in spec.happenings
        if row.kind not in ("holiday", "promo") and not (row.kind == "other" and row.logged)
        for name in (row.channels or spec.channels)
    ]
    return watch_shop(kind, build_panel(tables["daily"]), read_events(tables["events"]), quiet, days=days, seed=seed)


def watched_family(task: tuple[Family, int], days: int = DAYS) -> WatchRecord | None:
    """One shop of the second generator, watched."""
    family, number = task
    shop = make_shop(family, number)
    quiet: list[tuple[str, date, date]] = []
    if family == "level_break":  # one channel, not named, jumps a year before the day asked about
        day = shop.on - timedelta(days=365)
        quiet = [(name, day, day) for name in shop.panel.channels]
    return watch_shop(family, shop.panel, shop.events, quiet, days=days, seed=number)


def lab_tasks(per_kind: int) -> list[tuple[str, int, str]]:
    """Kinds in turn, each with the next planter."""
    planters = list(PLANTERS)
    pairs = [(kind.name, FIRST_SEED + seed) for seed in range(per_kind) for kind in KINDS]
    return [(*pair, planters[at % len(planters)]) for at, pair in enumerate(pairs)]


def found_rows(records: Sequence[DoorRecord]) -> dict[str, dict[str, float]]:
    """Per planted thing: how many, how many found; outages of large and of small channels apart."""
    rows: dict[str, list[Sighting]] = defaultdict(list)
    for record in records:
        for one in record.sightings:
            large = "large" if one.share >= LARGE else "small"
            rows[f"outage, {large} channel" if one.plant.kind == "outage" else one.plant.kind].append(one)
    order = ["outage, large channel", "outage, small channel", *SEEN_AS]
    return {
        name: {"planted": len(rows[name]), "found": sum(one.found for one in rows[name])}
        for name in order
        if rows.get(name)
    }


def false_rows(records: Sequence[DoorRecord]) -> dict[str, dict[str, float]]:
    """Per kind and in all: proposed rows that nothing explains."""
    table: dict[str, dict[str, float]] = {}
    for kind in [*dict.fromkeys(record.kind for record in records), "all"]:
        mine = [record for record in records if kind in (record.kind, "all")]
        years = sum(record.channel_years for record in mine)
        count = sum(len(record.false_rows) for record in mine)
        table[kind] = {"channel_years": round(years, 1), "rows": count, "per_year": round(count / years, 3)}
    return table


def watch_rows(records: Sequence[WatchRecord]) -> dict[str, dict[str, float]]:
    """Per kind and in all: false alarms a channel-year, and delays by share lost."""
    table: dict[str, dict[str, float]] = {}
    for kind in [*dict.fromkeys(record.kind for record in records), "all"]:
        mine = [record for record in records if kind in (record.kind, "all")]
        years = sum(record.channel_years for record in mine)
        alarms = sum(record.false_alarms for record in mine)
        row = {"channel_years": round(years, 1), "alarms": alarms, "per_year": round(alarms / years, 3)}
        for lost in sorted({share for record in mine for share, _ in record.delays}):
            delays = np.array([delay for record in mine for share, delay in record.delays if share == lost])
            waited = np.where(np.isnan(delays), np.inf, delays)
            row[f"median_{lost:g}"] = float(np.median(waited)) if np.isfinite(np.median(waited)) else -1.0
            row[f"within_4_{lost:g}"] = round(float((waited <= 4).mean()), 3)
            row[f"missed_{lost:g}"] = int(np.isnan(delays).sum())
        table[kind] = row
    return table


def run(per_kind: int, per_family: int, *, workers: int = 2) -> dict[str, object]:
    """Both generators, audit and watch; one in `WATCH_EVERY` of the shops is watched as well."""
    families = [(family, FIRST_SEED + number) for family in FAMILIES for number in range(per_family)]
    markets = [(kind.name, FIRST_SEED + seed) for seed in range(per_kind) for kind in KINDS][::WATCH_EVERY]
    with ProcessPoolExecutor(workers) as pool:
        lab = list(pool.map(audited_lab, lab_tasks(per_kind), chunksize=2))
        print("lab audited", found_rows(lab), false_rows(lab)["all"], flush=True)
        other = list(pool.map(audited_family, families, chunksize=2))
        print("families audited", found_rows(other), false_rows(other)["all"], flush=True)
        lab_watched = [one for one in pool.map(watched_lab, markets, chunksize=2) if one is not None]
        print("lab watched", watch_rows(lab_watched)["all"], flush=True)
        fewer = families[::WATCH_EVERY]
        family_watched = [one for one in pool.map(watched_family, fewer, chunksize=2) if one is not None]
        print("families watched", watch_rows(family_watched)["all"], flush=True)
    return {
        "first_seed": FIRST_SEED,
        "worlds": {
            "lab": len(lab),
            "families": len(other),
            "lab_watched": len(lab_watched),
            "families_watched": len(family_watched),
        },
        "found": {"lab": found_rows(lab), "families": found_rows(other)},
        "false_rows": {"lab": false_rows(lab), "families": false_rows(other)},
        "watch": {"lab": watch_rows(lab_watched), "families": watch_rows(family_watched)},
    }
