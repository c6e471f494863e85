"""Large files through `rechannel new`, as a process of its own: seconds, rows a second, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.made_files import write_workbook

SEED = 20250930
TOUCHES = 10_000_000
DAYS, CHANNELS, MARKETS = 5 * 365 + 1, 50, 30
BROKEN_LINES = 500_000
SHEET_ROWS = 200_000
_PIECE = 500_000


def daily_piece(random: np.random.Generator, days: list[str], channels: int, markets: int) -> pa.Table:
    """All channels and markets of some days."""
    rows = len(days) * channels * markets
    visits = random.integers(500, 5000, rows)
    orders = random.binomial(visits, 0.05)
    names = [f"channel_{number:02}" for number in range(channels)]
    places = np.repeat([f"m{number:02}" for number in range(markets)], channels)
    return pa.table(
        {
            "date": np.repeat(days, channels * markets),
            "market": np.tile(places, len(days)),
            "channel": np.tile(names, len(days) * markets),
            "visits": visits,
            "new_customers": random.binomial(orders, 0.3),
            "orders": orders,
            "gmv": np.round(orders * random.gamma(9, 10, rows), 2),
            "refunds": np.round(orders * 1.5, 2),
            "cost": np.round(visits * 0.3, 2),
            "volume": visits * 20,
        }
    )


def _days(count: int) -> list[str]:
    return [(date(2020, 12, 1) + timedelta(days=day)).isoformat() for day in range(count)]


def _daily(random: np.random.Generator) -> Iterator[pa.Table]:
    days = _days(DAYS)
    for first in range(0, DAYS, 100):
        yield daily_piece(random, days[first : first + 100], CHANNELS, MARKETS)


def _touches(random: np.random.Generator) -> Iterator[pa.Table]:
    start = np.datetime64("2025-01-01T00:00:00")
    names = np.array([f"channel_{number:02}" for number in range(30)])
    for first in range(0, TOUCHES, _PIECE):
        seconds: npt.NDArray[np.int64] = 2 * first + np.sort(random.integers(0, 2 * _PIECE, _PIECE))
        ordered = random.random(_PIECE) < 0.1
        values = np.where(ordered, np.round(random.gamma(2, 50, _PIECE), 2), np.nan)
        yield pa.table(
            {
                "customer": [f"user{number:08}" for number in random.integers(0, 1_500_000, _PIECE)],
                "time": pa.array(np.datetime_as_string(start + seconds.astype("timedelta64[s]"))).cast(pa.string()),
                "channel": names[random.integers(0, len(names), _PIECE)],
                "event": np.where(ordered, "order", "visit"),
                "value": pa.array(values, from_pandas=True),
            }
        )


def _write(path: Path, pieces: Iterator[pa.Table]) -> int:
    rows = 0
    with path.open("wb") as stream:
        for piece in pieces:
            form = pacsv.WriteOptions(include_header=rows == 0, quoting_style="none")
            pacsv.write_csv(piece, stream, form)
            rows += piece.num_rows
    return rows


def _write_broken(path: Path, random: np.random.Generator) -> int:
    """Names with a line break in quotes: the file is read record by record."""
    piece = daily_piece(random, _days(BROKEN_LINES // (CHANNELS * MARKETS) + 1), CHANNELS, MARKETS)
    names = pa.array([name.replace("_", "\n") for name in piece["channel"].to_pylist()])
    pacsv.write_csv(piece.set_column(2, "channel", names), path)
    return int(piece.num_rows)


def _write_sheet(path: Path, random: np.random.Generator) -> int:
    piece = daily_piece(random, _days(SHEET_ROWS // (CHANNELS * MARKETS) + 1), CHANNELS, MARKETS)
    columns = [column.to_pylist() for column in piece.columns]
    columns[0] = [date.fromisoformat(day) for day in columns[0]]
    write_workbook(path, {"Sheet1": [piece.column_names, *map(list, zip(*columns, strict=True))]})
    return int(piece.num_rows)


def measure(folder: Path, option: str, path: Path, rows: int) -> dict[str, object]:
    """One `rechannel new` on one file."""
    case = folder / f"case-{path.stem}"
    code = "import sys; from rechannel.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "new", str(case), option, str(path)]
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode()[-2000:])
    return {
        "rows": rows,
        "megabytes": path.stat().st_size / 1e6,
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss // 1000,
    }


def run() -> dict[str, object]:
    """All files, one after the other."""
    random = np.random.default_rng(SEED)
    files: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="imports-") as name:
        folder = Path(name)
        daily, touches = folder / "daily.csv", folder / "touches.csv"
        label = f"daily: 5 years x {CHANNELS} channels x {MARKETS} markets, CSV"
        files[label] = measure(folder, "--daily", daily, _write(daily, _daily(random)))
        files["touches, CSV"] = measure(folder, "--touches", touches, _write(touches, _touches(random)))
        broken, sheet = folder / "broken.csv", folder / "sheet.xlsx"
        files["daily, line breaks in quotes, CSV"] = measure(folder, "--daily", broken, _write_broken(broken, random))
        files["daily, XLSX"] = measure(folder, "--daily", sheet, _write_sheet(sheet, random))
    return {"seed": SEED, "files": files}
