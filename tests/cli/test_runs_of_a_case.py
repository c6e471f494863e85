"""A run through the front door, failed at every step of storing it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from rechannel.case import Case, open_case
from rechannel.report import runfiles
from rechannel.report.runfiles import PAGES
from rechannel.source import durable
from rechannel.source.runs import complete_runs, run_faults, verify_run
from rechannel.vocabulary.errors import StoreError

T = TypeVar("T")
MOST_STEPS = 200


def test_a_real_run_fails_whole_at_every_step(fresh_public_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The questions are asked once; every step of storing what came back fails once."""
    folder = fresh_public_case.folder.folder
    first = open_case(folder).run()
    monkeypatch.setattr("rechannel.case.public_answers", lambda _: first.answers)
    monkeypatch.setattr(runfiles, "pages", lambda *_: {name: f"<!doctype html>{name}" for name in PAGES})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for at in range(MOST_STEPS):
        steps: list[str] = []

        def act(step: str, do: Callable[[], T], at: int = at, steps: list[str] = steps) -> T:
            steps.append(step)
            if len(steps) == at + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return do()

        monkeypatch.setattr(durable, "act", act)
        try:
            finished = open_case(folder).run()
        except StoreError as error:
            after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            code = error.code
        else:
            break
        if code == "RC408":  # in place, but the disk did not confirm it
            assert len(complete_runs(folder)) == 2
            break
        assert code == "RC405"
        assert after == before, steps[-1]
    assert at > 25
    finished = open_case(folder).run()
    assert all(page.is_file() for page in finished.pages)
    manifest = verify_run(finished.folder)
    assert manifest.data_sha256 == first.answers[0].provenance.data_sha256
    assert run_faults(folder) == ()
