"""Closure on fresh twins: how often its 90 % intervals hold the truth, beside two habits of the trade, and its cost."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

from rechannel.answers.answer import Provenance
from rechannel.answers.closure import ClosureQuestion, Surrounds, answer_closure
from rechannel.answers.money import Money
from rechannel.lab.specs import draw_spec
from rechannel.lab.twin import make_twin, shortcuts, write_table
from rechannel.lab.worlds import make_world
from rechannel.tables.calendar import read_events
from rechannel.tables.panel import build_panel
from rechannel.tables.rivals import read_rivals
from rechannel.vocabulary.estimate import Quantity

METRICS = ("visits", "orders", "gmv", "new_customers")
HORIZONS = (30, 90, 180)
FIRST_SEED = 1000
REPEATS = 5


def one_twin(seed: int) -> dict[str, dict[str, list[float]]]:
    """Per horizon and metric: low, median, high and truth; the two habits' figures for visits."""
    world = make_twin(seed, touches=0)
    before = world.before()
    around = Surrounds(read_events(before["events"]), (), read_rivals(before["rivals"]))
    question = ClosureQuestion(world.closed_channel, world.on, HORIZONS, announced=world.announced)
    stamp = Provenance("benchmark", 20250930, "0" * 64, "")
    answer = answer_closure(build_panel(before["daily"]), around, question, Money("CNY"), stamp)
    found: dict[str, dict[str, list[float]]] = {}
    for horizon in HORIZONS:
        row: dict[str, list[float]] = {}
        for metric in METRICS:
            value = answer.find(f"net_loss_{metric}", horizon=horizon).value
            assert isinstance(value, Quantity)
            low, high = value.quantiles.interval()
            row[metric] = [low, value.quantiles.median, high, world.truth.net_loss(metric, horizon)]
        habits = shortcuts(world.truth, horizon)
        row["habits"] = [habits.before_after, habits.last_touch]
        found[str(horizon)] = row
    return found


def coverage(twins: int) -> dict[str, object]:
    """Counts and errors over fresh twins."""
    with ProcessPoolExecutor() as pool:
        records = list(pool.map(one_twin, range(FIRST_SEED, FIRST_SEED + twins)))
    result: dict[str, object] = {"twins": twins, "first_seed": FIRST_SEED}
    for horizon in map(str, HORIZONS):
        row: dict[str, object] = {}
        for metric in METRICS:
            values = [record[horizon][metric] for record in records]
            row[metric] = {
                "inside_90": sum(low <= truth <= high for low, _, high, truth in values),
                "error_over_truth": round(median(abs(m - truth) / abs(truth) for _, m, _, truth in values), 3),
                "width_over_truth": round(median((h - low) / abs(truth) for low, _, h, truth in values), 3),
            }
        for position, habit in enumerate(("before_after", "last_touch")):
            errors = [
                abs(record[horizon]["habits"][position] - record[horizon]["visits"][3])
                / abs(record[horizon]["visits"][3])
                for record in records
            ]
            row[f"{habit}_error_over_truth"] = round(median(errors), 3)
        result[horizon] = row
    return result


def _seconds(command: Sequence[str]) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


def cold() -> dict[str, object]:
    """A cold `ask closure` on 10 channels x 730 days, over the floor of starting and reading the same case."""
    spec = draw_spec("plain", 101)
    knobs = replace(spec.knobs, history_days=730.0)
    spec = replace(spec, knobs=knobs, start=spec.on - timedelta(days=730))
    world = make_world(spec)
    executable = str(Path(sys.executable).with_name("rechannel"))
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "files")
        files.mkdir()
        arguments = [executable, "new", f"{folder}/case"]
        for name, table in world.before().items():
            if name in ("daily", "events", "rivals", "deals"):
                write_table(files / f"{name}.csv", table)
                arguments += [f"--{name}", str(files / f"{name}.csv")]
        subprocess.run(arguments, check=True, capture_output=True)
        read = f"from rechannel.case import open_case; case = open_case({folder + '/case'!r}); case.panel; case.events"
        floor = _seconds([sys.executable, "-c", read])
        ask = [executable, "ask", f"{folder}/case", "closure", "--channel", world.closed_channel]
        ask += ["--on", world.on.isoformat(), "--horizon", "30", "--horizon", "90", "--horizon", "180"]
        answer = f"{folder}/answer.json"
        whole = _seconds([*ask, "--json", answer])
        rows = len(json.loads(Path(answer).read_text(encoding="utf-8"))["estimates"])
    return {
        "channels": len(world.spec.channels),
        "days": 730,
        "estimates": rows,
        "floor_seconds": round(floor, 2),
        "ask_seconds": round(whole, 2),
        "over_floor": round(whole / floor, 2),
        "repeats": REPEATS,
    }


def run(twins: int) -> dict[str, object]:
    """Both parts."""
    return {"coverage": coverage(twins), "cold": cold()}
