"""Journeys on made logs of 1, 10, 50 and, where the disk allows, 100 million rows.

CPU seconds and memory stand beside DuckDB's floor and other ways.

Every figure is one process of its own, so that CPU seconds (all threads) and peak memory are its own; ratios compare
processes of one run. Peers live in an environment that `RECHANNEL_PEERS` names (its python): polars, and
ChannelAttribution, which is GPL and therefore never installed with this project. What is missing is left out by name.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROWS = (1_000_000, 10_000_000, 50_000_000, 100_000_000)
MEMORY_MB = 1024
REPLICATES = 200
CHANNELS = ("alipay", "app", "baidu", "douyin", "live", "mini_program", "search_ad", "social", "wechat_discover", "xhs")
PEERS = "RECHANNEL_PEERS"
WHERE = "RECHANNEL_BENCH"
"""Folder for the logs; the system's temporary folder otherwise."""
BYTES_A_ROW = 70
"""Disk for a row of a log with what is spilled; a log for which there is no room is left out."""
AT_ONCE = 500_000
PEER_ROWS = 10_000_000
TWIN_ROWS = 1_000_000
"""The twin is written to be right everywhere, not fast: it recomputes its steps for every table."""


def make_log(path: Path, rows: int, seed: int = 1) -> None:
    """A log as a case stores it: hashed customers, rows in order of time, 180 days.

    Ten channels with Zipf shares, 35 % of visits through the customer's own one, four rows a customer on average, a
    quarter of the rows within the session of the row before, of these 18 % orders.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(CHANNELS) + 1)
    shares /= shares.sum()
    customers = rows // 4
    home = rng.choice(len(CHANNELS), size=customers, p=shares).astype(np.uint8)
    schema = pa.schema(
        [
            ("customer", pa.string()),
            ("time", pa.timestamp("us")),
            ("channel", pa.string()),
            ("event", pa.string()),
            ("value", pa.float64()),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for begin in range(0, rows, AT_ONCE):
            size = min(AT_ONCE, rows - begin)
            person = rng.integers(0, customers, size)
            again = rng.random(size) < 0.25
            again[0] = False
            person[1:] = np.where(again[1:], person[:-1], person[1:])
            moment = (begin + np.sort(rng.random(size)) * size) / rows
            time_us = 1_735_689_600_000_000 + (moment * 180 * 86_400).astype(np.int64) * 1_000_000
            own = rng.random(size) < 0.35
            channel = np.where(own, home[person], rng.choice(len(CHANNELS), size=size, p=shares))
            order = again & (rng.random(size) < 0.18)
            value = np.round(rng.gamma(2, 60, size), 2)
            columns = {
                "customer": _hashed(person),
                "time": pa.array(time_us).cast(pa.timestamp("us")),
                "channel": pa.DictionaryArray.from_arrays(pa.array(channel), pa.array(CHANNELS)).cast(pa.string()),
                "event": pa.DictionaryArray.from_arrays(pa.array(order.astype(int)), pa.array(["visit", "order"])).cast(
                    pa.string()
                ),
                "value": pa.array(value, mask=~order),
            }
            writer.write_table(pa.table(columns, schema=schema))


def _hashed(person: object) -> object:
    """32 hexadecimal digits per customer."""
    import numpy as np
    import pyarrow as pa

    from rechannel.tables.sessions import mix

    first = mix(np.asarray(person).astype(np.uint64))
    raw = np.stack([first, mix(first)], axis=1).view(np.uint8).reshape(len(first), 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((len(first), 32), np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[raw >> 4], digits[raw & 15]
    places = np.arange(len(first) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(first), pa.py_buffer(places), pa.py_buffer(text.ravel()))


def floor(log: Path) -> object:
    """DuckDB counts the rows of every customer: what any builder of paths must at least do."""
    import duckdb

    with duckdb.connect(config={"memory_limit": "4GB", "threads": 2}) as connection:
        query = f"SELECT count(*), sum(n) FROM (SELECT customer, count(*) AS n FROM '{log}' GROUP BY customer)"
        return connection.execute(query).fetchall()[0]


def fold(log: Path, replicates: int = 0, everything: bool = False) -> object:
    """All tables in one pass; every model follows from them."""
    from rechannel.evidence.attribution import attribute
    from rechannel.tables.journeyrules import REPLICATE_TABLES, Bootstrap
    from rechannel.tables.touches import TouchFiles, fold_touches

    asked = Bootstrap(replicates, 1, of=REPLICATE_TABLES) if everything else Bootstrap(replicates, 1)
    tables = fold_touches(TouchFiles((log,)), None, asked, memory_mb=MEMORY_MB)
    credit = attribute(tables)
    return {
        "sessions": tables.counts["sessions"],
        "orders": tables.counts["orders"],
        "distinct_paths": tables.distinct_paths,
        "linear": dict(zip(credit.channels, credit.by_method["linear"][0].round(6), strict=True)),
        "markov": dict(zip(credit.channels, credit.by_method["markov"][0].round(2), strict=True)),
    }


def fold_weighed(log: Path) -> object:
    return fold(log, REPLICATES)


def fold_all_weighed(log: Path) -> object:
    return fold(log, REPLICATES, everything=True)


def twin(log: Path) -> object:
    """The SQL of the company's engines, on DuckDB."""
    import duckdb

    from rechannel.tables.engines.duck import DuckEngine
    from rechannel.tables.engines.remote import fold_on

    with duckdb.connect(config={"memory_limit": "4GB", "threads": 2}) as connection:
        return fold_on(DuckEngine(connection, f"read_parquet('{log}')")).counts["sessions"]


MEASURES: Mapping[str, Callable[[Path], object]] = {
    "floor": floor,
    "fold": fold,
    "fold + 200": fold_weighed,
    "fold + 200, all tables": fold_all_weighed,
    "SQL twin": twin,
}

PATHS_SQL = """
WITH v AS (SELECT customer, time, channel, lag(time) OVER w AS before FROM '{log}' WHERE event = 'visit'
    WINDOW w AS (PARTITION BY customer ORDER BY time, channel)),
s AS (SELECT customer, string_agg(channel, ' > ' ORDER BY time, channel) AS path, max(time) AS seen FROM v
    WHERE before IS NULL OR time - before > INTERVAL 30 MINUTE GROUP BY customer),
o AS (SELECT customer, count(*) AS n, sum(value) AS value FROM '{log}' WHERE event = 'order' GROUP BY customer)
SELECT path, sum(coalesce(n, 0)) AS conversions, sum(coalesce(value, 0)) AS value, count(*) FILTER (n IS NULL) AS lost
FROM s LEFT JOIN o USING (customer) GROUP BY path
"""
PEER_SCRIPTS = {
    "DuckDB paths + ChannelAttribution": """
import duckdb, ChannelAttribution
con = duckdb.connect(config={{"memory_limit": "4GB", "threads": 2}})
frame = con.execute({sql!r}.replace("{{log}}", log)).df()
found = ChannelAttribution.markov_model(frame, "path", "conversions", var_value="value", var_null="lost",
    flg_pro=False, verbose=False)
ChannelAttribution.heuristic_models(frame, "path", "conversions", var_value="value", flg_pro=False)
""",
    "Polars paths": """
import polars as pl
rows = pl.scan_parquet(log).filter(pl.col("event") == "visit").sort("customer", "time", "channel")
gap = pl.col("time") - pl.col("time").shift(1).over("customer")
starts = rows.filter(gap.is_null() | (gap > pl.duration(minutes=30)))
paths = starts.group_by("customer").agg(pl.col("channel").str.join(" > ").alias("path")).group_by("path").len()
paths.collect(engine="streaming")
""",
}


def measure(name: str, log: Path) -> dict[str, object]:
    """One measure in this process."""
    started, spent = time.monotonic(), time.process_time()
    found = MEASURES[name](log)
    return {
        "cpu_seconds": round(time.process_time() - spent, 2),
        "wall_seconds": round(time.monotonic() - started, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "found": found,
    }


def _own(name: str, log: Path) -> dict[str, object]:
    """One measure in a process of its own; CPU seconds include the start of Python."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.journeys", name, str(log)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def _peer(name: str, log: Path) -> dict[str, object] | None:
    """One measure of a peer; None when it is not installed."""
    python = os.environ.get(PEERS)
    if not python:
        return None
    body = PEER_SCRIPTS[name].format(sql=PATHS_SQL)
    script = f"""import json, resource, time
log = {str(log)!r}
spent = time.process_time()
{body}
print(json.dumps({{"cpu_seconds": round(time.process_time() - spent, 2),
    "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}}))"""
    done = subprocess.run([python, "-c", script], capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.splitlines() or [""])[-1][:200]}
    # What a peer's own library prints may stand on our line.
    line = re.search(r'\{"cpu_seconds".*?\}', done.stdout)
    assert line, done.stdout[-400:]
    found = json.loads(line[0])
    assert isinstance(found, dict)
    return found


def run(sizes: tuple[int, ...] = ROWS) -> dict[str, object]:
    """Every measure on logs of every size; peers up to `PEER_ROWS`, the twin up to `TWIN_ROWS`."""
    base = Path(tempfile.mkdtemp(prefix="journeys-", dir=os.environ.get(WHERE)))
    result: dict[str, object] = {"memory_mb": MEMORY_MB, "replicates": REPLICATES}
    try:
        for rows in sizes:
            if shutil.disk_usage(base).free < rows * BYTES_A_ROW:
                print(f"journeys: no room on the disk for {rows:,} rows", file=sys.stderr)
                continue
            log = base / f"{rows}.parquet"
            make_log(log, rows)
            cells: dict[str, object] = {"megabytes": round(log.stat().st_size / 1e6)}
            for name in MEASURES:
                if name != "SQL twin" or rows <= TWIN_ROWS:
                    cells[name] = _own(name, log)
            for name in PEER_SCRIPTS:
                cells[name] = _peer(name, log) if rows <= PEER_ROWS else None
            result[str(rows)] = cells
            log.unlink()
            print(f"journeys: {rows:,} rows measured", file=sys.stderr)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return result


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
