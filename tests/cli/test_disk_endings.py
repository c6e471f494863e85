"""Verbs that write, on a disk that refuses, after Ctrl-C, where nothing can be: words, exit codes, no litter."""

from __future__ import annotations

import errno
import os
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
def test_ctrl_c_at_any_instant_leaves_nothing(case: Path) -> None:
    """From the first import to the end of a long `new`; before our own code runs, Python ends by the signal."""
    touches = case.parent.parent / "t.csv"
    with touches.open("w") as stream:
        stream.write("customer,time,channel,event,value\n")
        for row in range(150_000):
            stream.write(f"u{row // 4},2025-01-{1 + row % 28:02d} 10:{row % 60:02d}:00,app,visit,\n")
    before = everything(case.parent)
    script = "import sys; from rechannel.cli.main import main; main()"
    interrupted = 0
    for instant, verb in enumerate(("new", "add", "run", "new", "add", "new")):
        call = [*calls(case)[verb], *(["--touches", str(touches)] if verb != "run" else [])]
        process = subprocess.Popen([sys.executable, "-c", script, *call], stderr=subprocess.PIPE, text=True)
        time.sleep(0.3 + 0.35 * instant)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
        if process.returncode == 0:  # it was faster
            break
        interrupted += 1
        assert process.returncode in (main.INTERRUPTED, -signal.SIGINT), said
        if everything(case.parent) != before:  # the signal came after the state was whole
            open_case_folder(case)
            assert not (case.parent / "other").exists() or open_case_folder(case.parent / "other").config.tables
            break
    assert interrupted
