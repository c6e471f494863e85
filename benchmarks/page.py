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


def markets_part(record: Mapping[str, Any]) -> str:
    """False alarms of geo tests, beside GeoLift's p-value on the same panels, and the cost of a search for a test."""
    result = record["result"]
    families = [name for name, row in result.items() if isinstance(row, dict) and name != "design"]
    header = ["family", "false alarms", "refused", "median width", "median lambda", "GeoLift's p < .1", "CPU"]
    rows = [
        [
            name,
            f"{row['false_alarms']} of {row['answered']} ({row['share']:.3f})",
            str(row["refused"]),
            f"{100 * row['median_width']:.1f} %",
            f"{row['median_factor']:.2f}",
            f"{row['geolift_share']:.3f}" if row["geolift_share"] >= 0 else "needs every day",
            f"{row['cpu_ms']:.0f} ms",
        ]
        for name, row in ((name, result[name]) for name in families)
    ]
    search = result["design"]
    spent = (
        f"A search for a test over {search['markets']} markets and {search['days']} days, {search['sets']} sets at "
        f"four lengths and three past dates: {search['cpu_seconds']:.1f} s CPU, {search['peak_mb']:.0f} MB at its peak."
    )
    return f"{table(header, rows)}\n\n{spent}\n\n{measured_on(record)}"


def twins_part(record: Mapping[str, Any]) -> str:
    """Coverage of closure on fresh twins, errors of two habits, and the cost of a cold call."""
    result, cold = record["result"]["coverage"], record["result"]["cold"]
    header = ["horizon", "net loss of", "90 % interval holds the truth", "median error / truth", "median width / truth"]
    rows = []
    for horizon, row in result.items():
        if not isinstance(row, dict):
            continue
        for metric, cell in row.items():
            if isinstance(cell, dict):
                held = f"{cell['inside_90']} of {result['twins']}"
                figures = [f"{cell['error_over_truth']:.2f}", f"{cell['width_over_truth']:.2f}"]
                rows.append([f"{horizon} days", metric, held, *figures])
        for habit, words in (("before_after", "visits, by before/after"), ("last_touch", "visits, by last touch")):
            rows.append([f"{horizon} days", words, "", f"{row[f'{habit}_error_over_truth']:.2f}", ""])
    spent = (
        f"A cold `rechannel ask CASE closure` on {cold['channels']} channels x {cold['days']} days, three horizons, "
        f"{cold['estimates']} rows: {cold['ask_seconds']:.2f} s as a whole process (fastest of {cold['repeats']}), "
        f"{cold['over_floor']:.1f} times the floor of starting Python and reading the same case "
        f"({cold['floor_seconds']:.2f} s)."
    )
    return f"{table(header, rows)}\n\n{spent}\n\n{measured_on(record)}"


def ranks_part(record: Mapping[str, Any]) -> str:
    """Whether the diversion model finds again what it draws from its own prior."""
    result = record["result"]
    rows = [
        [name, f"{row['p_value']:.3f}", "yes" if row["inside_the_band"] else "no"]
        for name, row in result["quantities"].items()
    ]
    header = ["quantity", f"chance of ranks as uneven ({result['runs']} runs)", "inside the 95 % band"]
    return f"{table(header, rows)}\n\n{measured_on(record)}"


PARTS = {"null": null_part, "panels": panels_part, "markets": markets_part, "twins": twins_part, "ranks": ranks_part}


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
