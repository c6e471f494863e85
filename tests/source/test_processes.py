"""Two writers and two readers on one case: every addition and run is there once, every reader sees a whole state."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks import kills
from made_cases import TODAY, events, litter, make, run

from rechannel.source.addition import add_relation
from rechannel.source.runs import complete_runs, verify_run
from rechannel.source.store import open_case_folder

ROOT = Path(__file__).resolve().parents[2]
TURNS = 6

WRITER = """
import sys
from pathlib import Path
from benchmarks import kills
folder, first, turns = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + turns):
    kills.add_one(folder, number)
    kills.run_one(folder)
"""

READER = """
import sys
from pathlib import Path
from rechannel.source.runs import complete_runs, interrupted_runs, verify_run
from rechannel.source.store import open_case_folder, store_faults
folder, states, most = Path(sys.argv[1]), set(), 0
while not (folder.parent / "stop").exists():
    case = open_case_folder(folder)
    sha256 = case.data_sha256
    notes = set(case.relation("events")["note"].to_pylist())
    values = {str(int(value)) for value in case.relation("rivals")["value"].to_pylist()}
    assert notes == values, (notes, values)
    assert len(notes) >= most, "a state older than one already seen"
    assert case.data_sha256 == sha256
    most = len(notes)
    states.add(sha256)
    for place in complete_runs(folder):
        verify_run(place)
    assert store_faults(case) == (), store_faults(case)
print(len(states))
"""


def started(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow
def test_two_writers_and_two_readers_on_one_case(tmp_path: Path) -> None:
    folder = kills.store_case(tmp_path / "case", kills.rows(0), kills.DECLARED).folder
    readers = [started(READER, str(folder)) for _ in range(2)]
    writers = [started(WRITER, str(folder), str(1 + 1000 * which), str(TURNS)) for which in range(2)]
    for writer in writers:
        assert writer.communicate()[1] == ""
        assert writer.returncode == 0
    (tmp_path / "stop").touch()
    for reader in readers:
        said, failed = reader.communicate()
        assert (reader.returncode, failed) == (0, "")
        assert int(said) > 2, "the readers saw nothing happen"
    (tmp_path / "stop").unlink()
    case = open_case_folder(folder)
    wanted = {str(number) for first in (1, 1001) for number in range(first, first + TURNS)} | {"0"}
    for table, column in (("events", "note"), ("rivals", "value")):
        relation = case.relation(table)
        assert relation is not None
        assert relation.num_rows == 1 + 2 * TURNS
        if column == "note":
            assert set(relation[column].to_pylist()) == wanted
    assert sorted(verify_run(place).number for place in complete_runs(folder)) == list(range(1, 2 * TURNS + 1))
    assert litter(folder) == []


def test_threads_are_kept_apart_like_processes(tmp_path: Path) -> None:
    folder = make(tmp_path / "case")

    def write(day: int) -> int:
        case = open_case_folder(folder)
        add_relation(case, "events", events(day), today=TODAY)
        run(folder)
        relation = case.relation("events")
        assert relation is not None
        return relation.num_rows

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(write, range(1, 9)))
    relation = open_case_folder(folder).relation("events")
    assert relation is not None
    assert relation.num_rows == 9
    assert len(set(seen)) == 8
    assert [verify_run(place).number for place in complete_runs(folder)] == list(range(1, 9))
    assert litter(folder) == []
