"""A small part of `python -m benchmarks journeys`: cost and memory of the fold, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_RATIO = 3.0
"""The bar is 2 on logs of ten million rows; at half a million start-up and noise of a shared machine are part of it."""

SCRIPT = """
import resource, sys, time
from pathlib import Path
from rechannel.evidence.attribution import attribute
from rechannel.tables.journeyrules import REPLICATE_TABLES, Bootstrap
from rechannel.tables.touches import TouchFiles, fold_touches
spent = time.process_time()
asked = Bootstrap(int(sys.argv[2]), 1, of=REPLICATE_TABLES)
attribute(fold_touches(TouchFiles((Path(sys.argv[1]),)), None, asked, memory_mb=int(sys.argv[3])))
print(time.process_time() - spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_the_bootstrap_costs_about_a_pass_and_memory_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    make = "import sys; from pathlib import Path; from benchmarks.journeys import make_log; "
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}

    def run(script: str, *arguments: str) -> str:
        call = [sys.executable, "-c", script, *arguments]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout

    run(f"{make} make_log(Path(sys.argv[1]), 500_000)", str(log))
    plain, weighed = (run(SCRIPT, str(log), replicates, "128").split() for replicates in ("0", "200"))
    assert float(weighed[0]) / float(plain[0]) < MOST_RATIO
    assert float(plain[1]) < 128 + 250
