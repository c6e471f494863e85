"""The tables of `docs/benchmarks.md`, written from `benchmarks/results/*.json` between its markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # the results are JSON of many shapes; every use below names the part it reads

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = Path(__file__).resolve().parent / "results"
NOT_FAMILIES = ("panels_per_family", "horizons", "seed")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def measured_on(record: Mapping[str, Any]) -> str:
    """One sentence: machine, versions, command, time."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"`{record['command']}`, {record['wall_seconds']:.0f} s on {machine['cores']} cores of "
        f"{machine['processor'] or machine['system']}, {machine['threads_per_fit']} thread a fit, "
        f"Python {machine['python']}, {versions}."
    )


def null_part(record: Mapping[str, Any]) -> str:
    """Coverage and width on null series, and the cost of a fit."""
    cells, cost = record["result"]["cells"], record["result"]["fit_cost"]
    header = [
        "cell",
        "90 % interval covers",
        "oracle covers",
        "median width",
        "over the oracle's",
        "RMSE",
        "oracle RMSE",
    ]
    rows = [
        [
            name,
            f"{row['covered']} of {cells['series_per_cell']} ({row['coverage']:.3f})",
            f"{row['oracle_coverage']:.3f}",
            f"{row['median_width']:.2f}",
            f"{row['width_over_oracle']:.2f}",
            f"{row['rmse']:.2f}",
            f"{row['oracle_rmse']:.2f}",
        ]
        for name, row in cells.items()
        if isinstance(row, dict)
    ]
    spent = (
        f"One fit of {cost['days']} days (930 before, 70 after) with {cost['controls']} controls: "
        f"{cost['fit_cpu_ms_median']:.1f} ms CPU (median of {cost['repeats']}, worst {cost['fit_cpu_ms_worst']:.1f}), "
        f"a forecast of its 70-day mean {cost['forecast_cpu_ms_median']:.2f} ms."
    )
    return f"{table(header, rows)}\n\n{spent}\n\n{measured_on(record)}"


def panels_part(record: Mapping[str, Any]) -> str:
    """False alarms by family and horizon."""
    result = record["result"]
    horizons = [str(horizon) for horizon in result["horizons"]]
    families = [name for name in result if name not in NOT_FAMILIES]
    header = ["family"]
    for horizon in horizons:
        header += [f"false alarms, {horizon} days", "median width", "median lambda"]
    rows = [
        [
            family,
            *(
                cell
                for horizon in horizons
                for cell in (
                    f"{result[family][horizon]['false_alarms']} of {result[family][horizon]['answered']}"
                    f" (covers {result[family][horizon]['coverage']:.3f})",
                    f"{100 * result[family][horizon]['median_width']:.1f} %",
                    f"{result[family][horizon]['median_factor']:.2f}",
                )
            ),
        ]
        for family in families
    ]
    whole = ["all"]
    for horizon in horizons:
        told = sum(result[family][horizon]["answered"] for family in families)
        false = sum(result[family][horizon]["false_alarms"] for family in families)
        whole += [f"{false} of {told} (covers {1 - false / told:.3f})", "", ""]
    return f"{table(header, [*rows, whole])}\n\n{measured_on(record)}"


PARTS = {"null": null_part, "panels": panels_part}


def filled(page: str) -> str:
    """The page with every part that has a result written anew."""
    for name, part in PARTS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            text = part(json.loads(path.read_text(encoding="utf-8")))
            pattern = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
            page = pattern.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page


def write() -> None:
    """Bring the page up to the results."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
