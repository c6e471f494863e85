"""Scores the product on made markets and writes `docs/scoreboard.md`; the commit is the seed.

`python scripts/scoreboard.py [closure|impact|placebo ...] [--worlds N]`. The package must be committed: the seed is the
first 8 hex digits of the commit, so nobody can choose it. Every run is added to the list on the page.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rechannel.cli.lab import as_json, command_of
from rechannel.lab.play import PLACEBO, Plan, play
from rechannel.lab.said import Record
from rechannel.lab.scoreboard import Scoreboard, score
from rechannel.lab.sheets import as_markdown, tables
from rechannel.lab.targets import Question

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scoreboard.md"
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Series:
    """One series of the page: question, number of markets, kinds (none = all)."""

    question: Question
    markets: int
    kinds: tuple[str, ...] = ()


SERIES = {
    "closure": Series("closure", 110),
    "impact": Series("impact", 115),
    "placebo": Series("impact", 100, (PLACEBO,)),
}
LISTED = ("coverage_90", "prior_all", "prior_identified", "prior_elsewhere", "climatology", "false_alarms")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def run(name: str, series: Series, commit: str, worlds: int | None) -> None:
    """Play one series and put it on the page."""
    plan = Plan(series.question, worlds or series.markets, int(commit[:8], 16), series.kinds)
    started = time.monotonic()

    def progress(done: int, total: int, record: Record) -> None:
        told = f" {record.failure}" if record.failure else ""
        print(f"{name} {done}/{total} {record.facts.kind} {record.seconds:.1f} s{told}", file=sys.stderr, flush=True)

    records = play(plan, progress=progress)
    board = score(records)
    minutes = (time.monotonic() - started) / 60
    made = (
        f"Commit `{commit[:12]}`, seed {plan.seed} (its first 8 hex digits), `{command_of(plan)}`: "
        f"{minutes:.1f} min on {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"an answer took {board.seconds[0]:.1f} s (median), {board.seconds[1]:.1f} s at most."
    )
    RESULTS.mkdir(exist_ok=True)
    written = {**as_json(plan, records, board), "commit": commit, "minutes": round(minutes, 2)}
    path = RESULTS / f"scoreboard-{name}.json"
    path.write_text(json.dumps(written, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    page = filled(page, name, f"{made}\n\n{as_markdown(tables(board))}")
    PAGE.write_text(filled(page, "runs", listed(page, name, plan, board, commit)), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}: {name}")


def listed(page: str, name: str, plan: Plan, board: Scoreboard, commit: str) -> str:
    """The list of runs with this one at its end."""
    figures = {bar.name: bar.figure for bar in board.bars}
    cells = [f"{figures[key]:.3f}" if math.isfinite(figures.get(key, math.nan)) else "–" for key in LISTED]
    row = [name, f"`{commit[:12]}`", str(plan.seed), str(plan.markets), *cells, str(len(board.failures))]
    found = re.search(r"<!-- runs: begin -->\n(.*?)\n<!-- runs: end -->", page, re.DOTALL)
    assert found
    return f"{found[1]}\n| {' | '.join(row)} |"


def filled(page: str, name: str, body: str) -> str:
    """The page with one part between its markers written anew."""
    pattern = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    assert pattern.search(page), name
    return pattern.sub(lambda found: f"{found[1]}{body.rstrip()}\n{found[2]}", page)


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("series", nargs="*", choices=[[], *SERIES], default=[])
    reader.add_argument("--worlds", type=int)
    call = reader.parse_args()
    if git("status", "--porcelain", "--", "src"):
        print("commit the package first: the seed is the commit", file=sys.stderr)
        return 2
    commit = git("rev-parse", "HEAD")
    for name in call.series or SERIES:
        run(name, SERIES[name], commit, call.worlds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
