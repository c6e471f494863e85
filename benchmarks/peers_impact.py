"""Ours beside packages that answer the same question, on the same series, each in the interpreter that holds it.

`RECHANNEL_PEERS` names interpreters (separated by `:`) in which peers are installed; none of them is ours. What is
found is run: coverage of 90 % intervals on null series, CPU of a 1,000-day fit with five controls, memory, and whether
the true controls are included. A peer that cannot be run stands in the table as not found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any  # what a worker prints

import numpy as np

from benchmarks import null_series
from rechannel.vocabulary.estimate import FloatArray

WORKER = Path(__file__).with_name("peers_worker.py")
WANTED = ("rechannel", "bsts-causalimpact", "statsmodels", "pycausalimpact")
NULL_SERIES = {"rechannel": 100, "bsts-causalimpact": 100, "statsmodels": 30, "pycausalimpact": 20}
"""Null series a cell; engines that take seconds a fit get fewer."""
LONG_FITS = {"rechannel": 20, "bsts-causalimpact": 5, "statsmodels": 3, "pycausalimpact": 2}
CELLS = ("ar_0", "ar_5", "ar_8", "ar_5_drift")
EFFECT = -6.0
SECONDS = 1800


class PeerFailedError(RuntimeError):
    """A package that is there and does not run on these series; the last line of what it said."""


def run() -> dict[str, object]:
    """Every engine that is found, on every cell."""
    found = {"rechannel": sys.executable}
    for python in filter(None, os.environ.get("RECHANNEL_PEERS", "").split(os.pathsep)):
        for name in json.loads(_call(python, ["list"])):
            found.setdefault(name, python)
    failures: dict[str, str] = {}
    table: dict[str, object] = {"found": sorted(found), "not_found": [name for name in WANTED if name not in found]}
    with TemporaryDirectory(prefix="rechannel-peers-") as folder:
        for name in WANTED:
            if name not in found:
                continue
            try:
                table[name] = _measured(name, found[name], Path(folder))
            except PeerFailedError as failed:
                failures[name] = str(failed)
            print(name, table.get(name, failures.get(name)), flush=True)
    return {**table, "failed": failures}


def _measured(name: str, python: str, folder: Path) -> dict[str, object]:
    """One engine: null cells, then long series with an effect."""
    row: dict[str, object] = {}
    cells: dict[str, object] = {}
    for cell in null_series.CELLS:
        if cell.name in CELLS:
            series = [null_series.make_series(cell, number) for number in range(NULL_SERIES[name])]
            told = _asked(name, python, folder, series)
            ends = np.array(told["intervals"])
            cells[cell.name] = {
                "series": len(series),
                "covered": int(((ends[:, 1] <= 0) & (ends[:, 2] >= 0)).sum()),
                "median_width": round(float(np.median(ends[:, 2] - ends[:, 1])), 2),
                "rmse": round(float(np.sqrt((ends[:, 0] ** 2).mean())), 2),
                "cpu_ms": round(1000 * told["cpu_seconds"], 1),
            }
    row["null"] = cells
    long = [
        null_series.make_series(null_series.CELLS[1], number, pre=930, post=70, controls=5)
        for number in range(LONG_FITS[name])
    ]
    told = _asked(name, python, folder, long, EFFECT)
    ends = np.array(told["intervals"])
    inclusion = np.array(told["inclusion"]) if told["inclusion"] else None
    row["long"] = {
        "fits": len(long),
        "cpu_ms": round(1000 * told["cpu_seconds"], 1),
        "first_call_seconds": round(told["first_call_seconds"], 2),
        "peak_rss_mib": round(told["peak_rss_mib"]),
        "holds_effect": int(((ends[:, 1] <= EFFECT) & (ends[:, 2] >= EFFECT)).sum()),
        "median_width": round(float(np.median(ends[:, 2] - ends[:, 1])), 2),
        "median_inclusion": None if inclusion is None else [round(float(v), 2) for v in np.median(inclusion, axis=0)],
    }
    row["version"] = told["version"]
    return row


def _asked(
    name: str, python: str, folder: Path, series: Sequence[null_series.NullSeries], effect: float = 0.0
) -> dict[str, Any]:
    """What a worker says about some series."""
    weekdays = null_series.PERIOD - 1
    y: FloatArray = np.array([one.y for one in series])
    pre = series[0].pre
    y[:, pre:] += effect
    x = np.array([one.columns[:, weekdays:] * one.unscaled_sd for one in series])
    path = folder / "series.npz"
    np.savez(path, y=y, x=x, pre=pre)
    told: dict[str, Any] = json.loads(_call(python, [name, str(path)]))
    return told


def _call(python: str, arguments: Sequence[str]) -> str:
    """The last line a worker prints."""
    root = str(WORKER.parent.parent)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), root]))
    done = subprocess.run(
        [python, str(WORKER), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode:
        raise PeerFailedError((done.stderr.strip().splitlines() or ["no word"])[-1])
    return done.stdout.strip().splitlines()[-1]
