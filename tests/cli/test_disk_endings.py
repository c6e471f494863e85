"""Verbs that write, on a disk that refuses, after Ctrl-C, where nothing can be: words, exit codes, no litter."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from rechannel.cli import main
from rechannel.source import durable
from rechannel.source.runs import complete_runs, verify_run
from rechannel.source.store import open_case_folder
from rechannel.vocabulary.wording import LANGUAGES

T = TypeVar("T")
FIRST = date(2025, 1, 1)


def table(path: Path, days: int) -> Path:
    rows = [f"{FIRST + timedelta(days=day)},{name},{100 + day}" for day in range(days) for name in ("app", "live")]
    path.write_text("date,channel,visits\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def case(tmp_path: Path) -> Path:
    made = tmp_path / "cases" / "case"
    assert main.run(["new", str(made), "--daily", str(table(tmp_path / "d.csv", 40))]) == 0
    return made


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def calls(case: Path) -> dict[str, list[str]]:
    more = table(case.parent.parent / "more.csv", 50)
    return {
        "new": ["new", str(case.with_name("other")), "--daily", str(more)],
        "add": ["add", str(case), "--daily", str(more)],
        "run": ["run", str(case)],
    }


@pytest.mark.parametrize(
    ("verb", "step"), [("new", "data file: written"), ("add", "case.toml: written"), ("run", "unfinished run: made")]
)
def test_a_disk_that_refuses_is_told_in_three_languages(
    case: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, step: str
) -> None:
    before, call = everything(case.parent), calls(case)[verb]
    capsys.readouterr()
    monkeypatch.setattr(durable, "act", _failing(step, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    told = set()
    for language in LANGUAGES:
        assert main.run([*call, "--lang", language]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert ("[RC405]" if verb == "run" else "[RC211]") in shown.err
        assert "Traceback" not in shown.err
        told.add(shown.err)
        assert everything(case.parent) == before
    assert len(told) == len(LANGUAGES)
    monkeypatch.setattr(durable, "act", _failing(step, KeyboardInterrupt()))
    assert main.run(call) == main.INTERRUPTED
    assert everything(case.parent) == before


def _failing(at: str, error: BaseException) -> Callable[[str, Callable[[], T]], T]:
    def act(step: str, do: Callable[[], T]) -> T:
        if step == at:
            raise error
        return do()

    return act


def test_check_tells_of_runs_and_unproven_files(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (case / "runs" / ".claim-4").touch()
    broken = case / "runs" / "2-00ff"
    broken.mkdir()
    place = case / "case.toml"
    place.write_text("\n".join(line for line in place.read_text().splitlines() if not line.startswith("file_")))
    for language in LANGUAGES:
        assert main.run(["check", str(case), "--lang", language]) == 0
        shown = capsys.readouterr().err
        for code in ("RC190", "RC191", "RC193"):
            assert f"[{code}]" in shown
    (case / "data" / "daily.parquet").write_bytes(b"PAR1")
    assert main.run(["check", str(case)]) == 2
    assert "RC207" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x", "/dev/null"])
def test_places_where_nothing_can_be_made(
    case: Path, capsys: pytest.CaptureFixture[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"demo": ["demo", place], "new": ["new", f"{place}/case", "--daily", str(case.parent.parent / "d.csv")]}
    for verb, wanted in (("demo", "[RC311]"), ("new", "[RC2")):
        assert main.run(made[verb]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert wanted in shown.err
    file = case.parent / "file"
    file.touch()
    (file.with_name("demo")).mkdir()
    (file.with_name("demo") / "twin").touch()
    assert main.run(["demo", str(file.with_name("demo")), "--force"]) == 2
    assert "[RC328]" in capsys.readouterr().err
    assert main.run(["demo", str(file)]) == 2
    assert "[RC311]" in capsys.readouterr().err


def test_warnings_of_python_stay_off_the_screen() -> None:
    script = (
        "import sys, warnings; import rechannel.cli.main as m; "
        "m.run = lambda _: warnings.warn('divide by zero', RuntimeWarning) or 0; sys.argv = ['rechannel']; m.main()"
    )
    for flags, shown in (([], False), (["-W", "default"], True)):
        command = [sys.executable, *flags, "-c", script]
        plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONWARNINGS", "RECHANNEL_DEBUG")}
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
        assert ended.returncode == 0
        assert ("RuntimeWarning" in ended.stderr) == shown


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no signal like Ctrl-C is sent there")
def test_ctrl_c_at_any_instant_leaves_the_old_state_or_the_whole_new_one(case: Path) -> None:
    """Instants are parts of the time that the call takes undisturbed; some end before our own code runs."""
    touches, kept = case.parent.parent / "t.csv", case.parent.parent / "kept"
    with touches.open("w") as stream:
        stream.write("customer,time,channel,event,value\n")
        for row in range(50_000):
            stream.write(f"u{row // 4},2025-01-{1 + row % 28:02d} 10:{row % 60:02d}:00,app,visit,\n")
    before = everything(case.parent)
    shutil.copytree(case.parent, kept)
    interrupted = 0
    for verb, parts in {"new": (0.6, 0.95), "add": (0.6, 0.95), "run": (0.9,)}.items():
        call = [*calls(case)[verb], *(["--touches", str(touches)] if verb != "run" else [])]
        started = time.monotonic()
        assert _ended(call, None) == 0
        took = time.monotonic() - started
        whole, data = everything(case.parent), open_case_folder(case).data_sha256
        assert whole != before
        for part in parts:
            shutil.rmtree(case.parent)
            shutil.copytree(kept, case.parent)
            code = _ended(call, part * took)
            found = everything(case.parent)
            is_whole = {
                "new": found == whole,
                "add": found != before and open_case_folder(case).data_sha256 == data,  # names of files are drawn
                "run": _has_one_more_run(case, before),
            }[verb]
            assert is_whole if code == 0 else code in (main.INTERRUPTED, -signal.SIGINT)
            assert found == before or (is_whole and code != -signal.SIGINT), (verb, part, code)
            interrupted += code == main.INTERRUPTED
        shutil.rmtree(case.parent)
        shutil.copytree(kept, case.parent)
    assert interrupted >= 1


def _ended(call: list[str], after: float | None) -> int:
    """The exit code of a call in a process of its own, interrupted after some seconds or never."""
    script = "import sys; from rechannel.cli.main import main; main()"
    process = subprocess.Popen([sys.executable, "-c", script, *call], stderr=subprocess.PIPE, text=True)
    if after is not None:
        time.sleep(after)
        process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert after is None or process.returncode in (0, main.INTERRUPTED, -signal.SIGINT), said
    return process.returncode


def _has_one_more_run(case: Path, before: dict[str, bytes | None]) -> bool:
    """Whether the only change is one run, whole: two runs of one case differ in the time of day."""
    found, now = complete_runs(case), everything(case.parent)
    for run in found:
        verify_run(run)
    other = {place for place in now if place not in before and "/runs/" not in place and not place.endswith("/runs")}
    return len(found) == 1 and not other and {place: now.get(place) for place in before} == before
