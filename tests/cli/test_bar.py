"""The bar of long reads: on a terminal after two seconds, nowhere else, and never a name that moves the cursor."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from rechannel.cli import bar as bar_module
from rechannel.cli.bar import ReadingBar
from rechannel.source.admit import admit
from rechannel.source.checks import Rules
from rechannel.source.progress import STEPS


def drawn(*, terminal: bool, quiet: float, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(bar_module, "QUIET_SECONDS", quiet)
    screen = io.StringIO()
    bar = ReadingBar(Console(file=screen, force_terminal=terminal, width=120, color_system=None))
    if terminal and not quiet:
        bar._waiting.join()
    tell = bar.of("[red]da\x1b[2Jily.csv", 0, 1)
    for step in STEPS:
        tell(step, 1, 2)
    bar.stop()
    return screen.getvalue()


def test_a_terminal_sees_the_file_and_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn(terminal=True, quiet=0.0, monkeypatch=monkeypatch)
    assert "[red]da·[2Jily.csv" in shown
    assert "keeping" in shown
    assert "\x1b[2J" not in shown


def test_short_reads_and_pipes_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(terminal=True, quiet=60.0, monkeypatch=monkeypatch) == ""
    assert drawn(terminal=False, quiet=0.0, monkeypatch=monkeypatch) == ""


def test_a_read_tells_its_steps_in_order(tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    path.write_text("start,end,kind\n2025-01-01,2025-01-02,promo\n")
    told: list[tuple[str, int, int]] = []
    admit(path, "events", Rules(date(2025, 12, 31)), progress=lambda *what: told.append(what))
    assert list(dict.fromkeys(step for step, *_ in told)) == list(STEPS)
    assert all(0 <= done <= total for _, done, total in told)
    assert [what for what in told if what[0] == "keep"][-1][1:] == (1000, 1000)
