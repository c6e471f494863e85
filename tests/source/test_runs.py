"""Runs: numbered by a counter, sealed by a manifest; interrupted and damaged ones are named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_cases import events, make, run, snapshot

from rechannel import __version__
from rechannel.source import runs
from rechannel.source.runs import RunAnswer, complete_runs, interrupted_runs, run_faults, verify_run
from rechannel.source.store import open_case_folder
from rechannel.vocabulary.errors import StoreError
from rechannel.vocabulary.wording import LANGUAGES

DIE = """
import os, sys
from rechannel.source.store import open_case_folder
with open_case_folder(__import__("pathlib").Path(sys.argv[1])).new_run() as run:
    run.write("answers/worth-1.json", "{}")
    os._exit(0)
"""


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return make(tmp_path / "case")


def test_a_manifest_says_what_the_run_is(case: Path) -> None:
    opened = open_case_folder(case)
    with opened.new_run() as pending:
        pending.write("answers/worth-1.json", '{"市": 1}\n')
        pending.write("answers.parquet", events(0).relation)
        (pending.folder / "extra.txt").write_text("by other means")
        pending.answers.append(RunAnswer("answers/worth-1.json", "worth", {"channel": "a\n<b>"}, "answered"))
        assert opened.runs() == ()
    (folder,) = opened.runs()
    assert folder == pending.final
    manifest = verify_run(folder)
    assert (manifest.number, manifest.name, manifest.version) == (1, folder.name, __version__)
    assert manifest.data_sha256 == opened.data_sha256
    assert manifest.answers[0].asked == {"channel": "a\n<b>"}
    files = {file.name: file.bytes for file in manifest.files}
    assert files == {name: len(body) for name, body in snapshot(folder).items() if name != "manifest.json"}
    assert pq.read_table(folder / "answers.parquet").equals(events(0).relation)
    record = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert (record["schema"], record["status"]) == ("rechannel.run/1", "complete")
    assert run_faults(case) == ()


def test_order_is_the_counter_s_not_the_clock_s(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now_is = datetime(2038, 1, 19, tzinfo=UTC)

        @classmethod
        def now(cls, zone: object) -> datetime:
            return cls.now_is

    monkeypatch.setattr(runs, "datetime", Clock)
    run(case)
    Clock.now_is = datetime(1999, 12, 31, tzinfo=UTC)
    for _ in range(10):
        run(case)
    for age, path in enumerate(complete_runs(case)):
        os.utime(path, (10**9 - age, 10**9 - age))
    found = [verify_run(path) for path in complete_runs(case)]
    assert [manifest.number for manifest in found] == list(range(1, 12))
    assert found[0].created > found[1].created


def test_a_run_that_is_given_up_leaves_nothing_and_a_nested_one_is_another(case: Path) -> None:
    opened = open_case_folder(case)
    with opened.new_run() as first:
        with opened.new_run() as second:
            second.write("x", "2")
        first.write("x", "1")
        assert interrupted_runs(case) == ()
    with pytest.raises(KeyboardInterrupt), opened.new_run():
        raise KeyboardInterrupt
    assert [path.name for path in opened.runs()] == [first.name, second.name]
    assert sorted(path.name for path in (case / "runs").iterdir()) == [first.name, second.name]


def test_an_interrupted_run_is_told_and_cleared_by_the_next(case: Path) -> None:
    run(case)
    subprocess.run([sys.executable, "-c", DIE, str(case)], check=True)
    assert interrupted_runs(case) == (2,)
    (fault,) = run_faults(case)
    assert (fault.code, fault.severity) == ("RC191", "note")
    assert all("2" in fault.message(language) for language in LANGUAGES)
    with open_case_folder(case).new_run():  # alive, and not taken for dead
        assert interrupted_runs(case) == ()
        run(case)
    assert run_faults(case) == ()
    assert [verify_run(path).number for path in complete_runs(case)] == [1, 3, 4]
    assert len(list((case / "runs").iterdir())) == 3


def test_what_an_early_version_left_is_cleared_too(case: Path) -> None:
    (case / "runs" / ".claim-7").touch()
    (case / "runs" / ".writing-7-00ff" / "answers").mkdir(parents=True)
    (case / "runs" / "notes.txt").touch()
    assert interrupted_runs(case) == (7,)
    run(case)
    assert [path.name.partition("-")[0] for path in complete_runs(case)] == ["8"]
    assert sorted(path.name for path in (case / "runs").iterdir()) == [complete_runs(case)[0].name, "notes.txt"]


def test_no_flipped_byte_goes_unseen(case: Path, tmp_path: Path) -> None:
    run(case)
    (folder,) = complete_runs(case)
    verify_run(folder)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        body = file.read_bytes()
        name = file.relative_to(folder).as_posix()
        for place in range(0, len(body), max(1, len(body) // 40)):
            for mask in (0x01, 0x80):
                file.write_bytes(body[:place] + bytes([body[place] ^ mask]) + body[place + 1 :])
                with pytest.raises(StoreError, match="RC410") as error:
                    verify_run(folder)
                assert error.value.parts["file"] == name
        for other in (body[:-1], body + b"\n", b""):
            if other != body:
                file.write_bytes(other)
                with pytest.raises(StoreError, match="RC410"):
                    verify_run(folder)
        file.unlink()
        with pytest.raises(StoreError, match="RC409" if name == "manifest.json" else "RC410"):
            verify_run(folder)
        file.write_bytes(body)
    verify_run(folder)
    shutil.copytree(folder, folder.with_name("9-abcd"))
    with pytest.raises(StoreError, match="RC410"):
        verify_run(folder.with_name("9-abcd"))


def test_damaged_and_strange_runs_are_named(case: Path) -> None:
    for _ in range(4):
        run(case)
    first, second, third, fourth = complete_runs(case)
    (first / "answers" / "closure-1.json").write_text("{ }\n")
    (second / "manifest.json").unlink()
    record = json.loads((third / "manifest.json").read_text())
    for folder, change in ((third, {"schema": "rechannel.run/2"}), (fourth, {"files": [_escaping(record)]})):
        own = json.loads((folder / "manifest.json").read_text()) | change
        (folder / "manifest.json").write_text(runs._sealed({k: v for k, v in own.items() if k != runs.SEAL}))
    found = {fault.file: fault for fault in run_faults(case)}
    assert [(found[f"runs/{path.name}"].code) for path in complete_runs(case)] == ["RC192", "RC193", "RC194", "RC192"]
    assert found[f"runs/{first.name}"].severity == "warning"
    for language in LANGUAGES:
        assert "answers/closure-1.json" in found[f"runs/{first.name}"].message(language)
        for folder in (first, second, third):
            with pytest.raises(StoreError) as error:
                verify_run(folder)
            assert folder.name in error.value.message(language)


def _escaping(record: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    return {**record["files"][0], "name": "../../case.toml"}
