"""Many series over both cores: 1,000 of 1,000 days with five controls, and 50 placebo folds of 100 series."""

from __future__ import annotations

import resource
import time

import numpy as np

from benchmarks import null_series
from rechannel.evidence.batch import SeriesTask, forecast_many
from rechannel.evidence.channel import innovation_guess
from rechannel.evidence.grid import Grid
from rechannel.evidence.series import trimmed

SERIES, DAYS, CONTROLS = 1000, 1000, 5
FOLDED, FOLDS, FIRST_FOLD = 100, 50, 180
HORIZON = 28
REFIT_MASS = 0.95


def task(made: null_series.NullSeries, pre: int, grid: Grid | None = None) -> SeriesTask:
    """The mean of the next days after day `pre`."""
    before, after = np.arange(pre, dtype=np.int64), np.arange(pre, pre + HORIZON, dtype=np.int64)
    window = np.full((1, HORIZON), 1 / HORIZON)
    guess = innovation_guess(made.y[:pre])
    return SeriesTask(
        made.y[:pre],
        made.columns[:pre],
        before,
        null_series.prior_precision(made),
        guess,
        made.columns[after],
        after,
        window,
        grid,
    )


def run() -> dict[str, object]:
    """Wall time of both, and the largest memory of any process."""
    cell = null_series.CELLS[1]
    made = [
        null_series.make_series(cell, at, pre=DAYS - HORIZON, post=HORIZON, controls=CONTROLS) for at in range(SERIES)
    ]
    tasks = [task(one, DAYS - HORIZON) for one in made]
    rows = [_timed(f"{SERIES:,} series of {DAYS:,} days, {CONTROLS} controls", tasks, 10.0)]
    origins = np.linspace(FIRST_FOLD, DAYS - HORIZON, FOLDS).astype(int).tolist()
    started = time.perf_counter()
    grids = [trimmed(one.fitted(), REFIT_MASS) for one in tasks[:FOLDED]]
    folds = [task(one, at, grid) for one, grid in zip(made[:FOLDED], grids, strict=True) for at in origins]
    first = time.perf_counter() - started
    row = _timed(f"{FOLDS} placebo folds of {FOLDED} series of {DAYS:,} days", folds, 60.0)
    row["seconds"] = round(float(str(row["seconds"])) + first, 2)
    return {"rows": [*rows, row]}


def _timed(what: str, tasks: list[SeriesTask], bar: float) -> dict[str, object]:
    started = time.perf_counter()
    forecast_many(tasks)
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    return {"what": what, "seconds": round(seconds, 2), "bar": bar, "peak_rss_mib": round(peak)}
