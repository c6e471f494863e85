"""Run the long series, write `benchmarks/results/*.json`: `python -m benchmarks [SERIES|page] ...`, see `SERIES`."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    batch_cost,
    door_audit,
    door_cases,
    imports,
    journeys,
    kills,
    later_orders,
    markets,
    null_series,
    page,
    peers_impact,
    placebo_panels,
    touched_markets,
    twins,
    world_ranks,
)

RESULTS = Path(__file__).parent / "results"
SERIES_PER_CELL = 1000
PANELS_PER_FAMILY = 120
MARKET_PANELS_PER_CELL, MARKET_PANELS_PER_FAMILY, SPLITS = 1000, 200, 400
TWINS = 30
RANK_RUNS = 300
KILLS = 500
DOOR_CASES = 10_000
MARKETS_PER_KIND, SHOPS_PER_FAMILY = 1, 2
TOUCHED_MARKETS = 44
LATER_SEEDS, LATER_SHOPS_PER_FAMILY = range(80, 82), 4
PAGE_ONLY = "page"


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    names = ("numpy", "scipy", "duckdb", "pyarrow", "rechannel")
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else ""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": model,
        "cores": os.cpu_count(),
        "threads_per_fit": os.environ["OMP_NUM_THREADS"],
        "versions": {name: version(name) for name in names},
    }


def null() -> dict[str, object]:
    return {"fit_cost": null_series.fit_cost(), "cells": null_series.run(SERIES_PER_CELL)}


def panels() -> dict[str, object]:
    return placebo_panels.run(PANELS_PER_FAMILY)


def market_panels() -> dict[str, object]:
    return markets.run(MARKET_PANELS_PER_CELL, MARKET_PANELS_PER_FAMILY, SPLITS)


def twin_closures() -> dict[str, object]:
    return twins.run(TWINS)


def ranks() -> dict[str, object]:
    return world_ranks.run(RANK_RUNS)


def store_kills() -> dict[str, object]:
    return kills.run(KILLS)


def door() -> dict[str, object]:
    return door_cases.run(DOOR_CASES)


def journey_logs() -> dict[str, object]:
    return journeys.run()


def audit_and_watch() -> dict[str, object]:
    return door_audit.run(MARKETS_PER_KIND, SHOPS_PER_FAMILY)


def touched() -> dict[str, object]:
    return touched_markets.run(TOUCHED_MARKETS)


def later() -> dict[str, object]:
    return later_orders.run(LATER_SEEDS, LATER_SHOPS_PER_FAMILY)


SERIES: Mapping[str, Callable[[], dict[str, object]]] = {
    "null": null,
    "panels": panels,
    "markets": market_panels,
    "twins": twin_closures,
    "ranks": ranks,
    "kills": store_kills,
    "door": door,
    "imports": imports.run,
    "journeys": journey_logs,
    "touched": touched,
    "audit": audit_and_watch,
    "batch": batch_cost.run,
    "peers": peers_impact.run,
    "later": later,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in (*SERIES, PAGE_ONLY)]
    if unknown:
        print(f"no such series: {', '.join(unknown)}; there are {', '.join(SERIES)}, {PAGE_ONLY}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    for name in [name for name in names if name in SERIES] if names else list(SERIES):
        started = time.monotonic()
        result = SERIES[name]()
        record = {
            "series": name,
            "command": f"python -m benchmarks {name}",
            "machine": machine(),
            "wall_seconds": round(time.monotonic() - started, 1),
            "result": result,
        }
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {path.relative_to(RESULTS.parent.parent)}")
    page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
