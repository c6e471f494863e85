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


def kills_part(record: Mapping[str, Any]) -> str:
    """What kill -9 did to a case."""
    header = ["killed", "kills", "acknowledged before", "left something behind", "acknowledged and lost", "unreadable"]
    rows = []
    for name, words in (("random", "at a random instant"), ("steps", "before each step, and after the last")):
        row = record["result"][name]
        kinds = ", ".join(f"{kind} {count}" for kind, count in row["by_kind"].items())
        counts = [str(row[part]) for part in ("acknowledged", "left_something")]
        rows.append(
            [f"{words} ({kinds})", str(row["kills"]), *counts, str(len(row["lost"])), str(len(row["unreadable"]))]
        )
    return f"{table(header, rows)}\n\n{measured_on(record)}"


def door_part(record: Mapping[str, Any]) -> str:
    """What became of made files and of files with one byte changed."""
    result = record["result"]
    outcomes = ("same", "as the oracle", "said", "refused", "wrong")
    rows = [
        [label, *(str(counts.get(outcome, 0)) for outcome in outcomes)] for label, counts in result["kinds"].items()
    ]
    total = ["all", *(str(sum(kind.get(name, 0) for kind in result["kinds"].values())) for name in outcomes)]
    header = ["file", "same values", "as the independent reader", "a new warning", "refused", "another value, silently"]
    return f"{table(header, [*rows, total])}\n\n{measured_on(record)}"


def imports_part(record: Mapping[str, Any]) -> str:
    """Rows a second and memory of `rechannel new`."""
    header = ["file", "rows", "size", "seconds", "CPU seconds", "rows / s", "rows / CPU s", "peak memory"]
    rows = [
        [
            name,
            f"{row['rows']:,}",
            f"{row['megabytes']:,.0f} MB",
            f"{row['seconds']:.1f}",
            f"{row['cpu_seconds']:.1f}",
            f"{row['rows'] / row['seconds']:,.0f}",
            f"{row['rows'] / row['cpu_seconds']:,.0f}",
            f"{row['peak_mb']:,} MB",
        ]
        for name, row in record["result"]["files"].items()
    ]
    return f"{table(header, rows)}\n\n{measured_on(record)}"


def journeys_part(record: Mapping[str, Any]) -> str:
    """CPU seconds, ratios and memory by log size."""
    result = record["result"]
    sizes = [key for key in result if key.isdigit()]
    names = [name for name in result[sizes[0]] if name != "megabytes"]
    header = ["CPU seconds (peak MB)", *(f"{int(size):,} rows" for size in sizes)]
    rows = []
    for name in names:
        cells = [result[size].get(name) for size in sizes]
        rows.append([name, *(_cell(cell) for cell in cells)])
    for name, above, below, bar in JOURNEY_BARS:
        ratios = []
        for size in sizes:
            one, other = result[size].get(above), result[size].get(below)
            known = one and other and "cpu_seconds" in one and "cpu_seconds" in other
            ratios.append(f"{one['cpu_seconds'] / other['cpu_seconds']:.2f}" if known else "")
        rows.append([f"{name} (bar {bar})", *ratios])
    grown = ["fold: over the log of a tenth (bar 10.5)"]
    for size in sizes:
        tenth = result.get(str(int(size) // 10))
        ratio = result[size]["fold"]["cpu_seconds"] / tenth["fold"]["cpu_seconds"] if tenth else 0.0
        grown.append(f"{ratio:.2f}" if tenth else "")
    rows.append(grown)
    limit = result["memory_mb"]
    over = [f"{result[size]['fold']['peak_mb'] - limit:+,}" for size in sizes]
    rows.append([f"fold: peak memory over the limit of {limit:,} MB (bar +250)", *over])
    return f"{table(header, rows)}\n\n{measured_on(record)}"


JOURNEY_BARS = (
    ("fold / floor", "fold", "floor", "3"),
    ("fold + 200 / fold", "fold + 200", "fold", "2"),
    ("fold + 200, all tables / fold", "fold + 200, all tables", "fold", "2"),
    ("fold / DuckDB paths + ChannelAttribution", "fold", "DuckDB paths + ChannelAttribution", ".25"),
    ("fold / Polars paths", "fold", "Polars paths", ".4"),
)


def touched_part(record: Mapping[str, Any]) -> str:
    """Scores of a closure with journeys over those without, and the factor of lifts."""
    result = record["result"]
    header = ["hosts and kinds", "targets", "markets", "score with / without", "90 % covers without", "with"]
    rows = [
        [
            hosts,
            name,
            str(row["markets"]),
            f"{row['ratio']:.4f} (se {row['se']:.4f})",
            f"{row['covers_without']:.3f}",
            f"{row['covers_with']:.3f}",
        ]
        for hosts, scores in result["scores"].items()
        for name, row in scores.items()
    ]
    alone, beside = (result["factor"][name] for name in ("alone", "beside hosts"))
    fitted = (
        f"Factor of log lifts by least squares on the true rows of {alone['markets']} markets: {alone['lift']:.2f} (se "
        f"{alone['lift_se']:.2f}) alone; beside one for channels of the same host or kind ({beside['same']:.2f}, se "
        f"{beside['same_se']:.2f}) {beside['lift']:.2f} (se {beside['lift_se']:.2f})."
    )
    return f"{table(header, rows)}\n\n{fitted}\n\n{measured_on(record)}"


def _cell(cell: Mapping[str, Any] | None) -> str:
    """CPU seconds and memory of a process, or why there are none."""
    if cell is None:
        return "not run"
    if "failed" in cell:
        return "failed"
    return f"{cell['cpu_seconds']:.2f} ({cell['peak_mb']:,})"


def audit_part(record: Mapping[str, Any]) -> str:
    """What audit and watch saw of what was planted, on two generators."""
    result = record["result"]
    names = {"lab": "made markets", "families": "second generator"}
    planted = list(dict.fromkeys(name for side in names for name in result["found"][side]))
    seen = table(
        ["planted", *(f"{names[side]}: found" for side in names)],
        [[name, *(_of(result["found"][side].get(name)) for side in names)] for name in planted],
    )
    labelled = []
    for side in names:
        for kind, row in result["false_rows"][side].items():
            name = f"**all {names[side]}**" if kind == "all" else kind
            labelled.append([name, f"{row['channel_years']:.0f}", str(row["rows"]), f"{row['per_year']:.3f}"])
    false = table(["audit: kind of shop", "channel-years", "false rows", "per channel-year"], labelled)
    watched = []
    for side in names:
        for kind, row in result["watch"][side].items():
            name = f"**all {names[side]}**" if kind == "all" else kind
            delays = [
                f"{row[f'median_{lost}']:.0f} ({100 * row[f'within_4_{lost}']:.0f} % within 4)"
                for lost in ("0.3", "0.5", "1")
            ]
            watched.append([name, f"{row['channel_years']:.0f}", str(row["alarms"]), f"{row['per_year']:.3f}", *delays])
    header = ["watch: kind of shop", "channel-years", "false alarms", "per channel-year"]
    header += [f"median days, {share} lost" for share in ("30 %", "50 %", "all")]
    return f"{seen}\n\n{false}\n\n{table(header, watched)}\n\n{measured_on(record)}"


def _of(row: Mapping[str, int] | None) -> str:
    return "" if row is None else f"{row['found']} of {row['planted']}"


def peers_part(record: Mapping[str, Any]) -> str:
    """Ours beside the packages that were found, losing rows kept."""
    result = record["result"]
    cells = ("ar_0", "ar_5", "ar_8", "ar_5_drift")
    header = [
        "package",
        *(f"{name}: covers, width" for name in cells),
        "1,000 days, 5 controls: CPU",
        "holds the effect, width",
        "memory",
    ]
    rows = []
    for name in (name for name in result if name != "failed" and isinstance(result[name], dict)):
        row, long = result[name], result[name]["long"]
        null = [row["null"][cell] for cell in cells]
        rows.append(
            [
                f"{name} {row['version']}",
                *(f"{cell['covered']} of {cell['series']}, {cell['median_width']:.1f}" for cell in null),
                f"{long['cpu_ms']:,.0f} ms",
                f"{long['holds_effect']} of {long['fits']}, {long['median_width']:.1f}",
                f"{long['peak_rss_mib']} MiB",
            ]
        )
    missing = f" Not found: {', '.join(result['not_found'])}." if result["not_found"] else ""
    failed = "".join(f" {name} did not run: `{why}`." for name, why in result["failed"].items())
    return f"{table(header, rows)}\n\n{measured_on(record)}{missing}{failed}"


def batch_part(record: Mapping[str, Any]) -> str:
    """Many series at once, over both cores."""
    rows = [
        [row["what"], f"{row['seconds']:.1f} s", f"{row['bar']:.0f} s", f"{row['peak_rss_mib']:.0f} MiB"]
        for row in record["result"]["rows"]
    ]
    return f"{table(['work', 'wall time', 'bar', 'largest memory of a process'], rows)}\n\n{measured_on(record)}"


def later_part(record: Mapping[str, Any]) -> str:
    """Coverage of later orders on made shops."""
    result = record["result"]
    header = ["shops", "customers", "of", "days ahead", "targets", "90 % interval covers", "lean", "rms", "width"]
    rows = [
        [
            row["generator"],
            row["customers"],
            row["scope"],
            str(row["horizon_days"]),
            str(row["targets"]),
            f"{row['coverage_90']:.3f}",
            f"{row['lean']:+.2f}",
            f"{row['rms']:.2f}",
            f"{row['width']:.2f}",
        ]
        for row in result["rows"]
    ]
    cost = (
        f"{result['shops']} shops, {result['refused']} refused; one fit takes {result['cpu_seconds_a_fit']:.2f} s CPU."
    )
    return f"{table(header, rows)}\n\n{cost}\n\n{measured_on(record)}"


PARTS = {
    "null": null_part,
    "panels": panels_part,
    "markets": markets_part,
    "twins": twins_part,
    "ranks": ranks_part,
    "peers": peers_part,
    "batch": batch_part,
    "kills": kills_part,
    "door": door_part,
    "imports": imports_part,
    "journeys": journeys_part,
    "touched": touched_part,
    "audit": audit_part,
    "later": later_part,
}


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
