"""Every step of writing fails or is interrupted once: a clear error, the old state or the new one whole, no litter."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_cases import HOWS, How, Stand, add, litter, make, run, said, snapshot, stored

from rechannel.source import durable
from rechannel.source.store import open_case_folder
from rechannel.vocabulary.errors import CaseError, StoreError
from rechannel.vocabulary.wording import LANGUAGES

MOST_STEPS = 80


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with a table and a run."""
    folder = make(tmp_path_factory.mktemp("base") / "case")
    run(folder)
    return folder


@pytest.mark.parametrize(
    ("write", "how"),
    [
        pytest.param(write, how, marks=pytest.mark.slow if how not in quick else ())
        for write, quick in ((add, ("fails",)), (run, ("fails", "interrupted after")))
        for how in HOWS
    ],
)
def test_a_step_that_fails_leaves_the_old_state_or_the_new(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None], how: How
) -> None:
    after = shutil.copytree(base, tmp_path / "after" / "case")
    write(after)
    new, old = said(after), stored(base)
    assert litter(after) == []
    failed = 0
    for at in range(MOST_STEPS):
        folder = shutil.copytree(base, tmp_path / str(at) / "case")
        stand = Stand(at, how)
        with monkeypatch.context() as patch:
            patch.setattr(durable, "act", stand)
            ended = _ended(lambda: write(folder))  # noqa: B023 (called at once)
        if not stand.reached:
            assert ended is None
            break
        failed += 1
        if isinstance(ended, CaseError | StoreError):
            assert all(ended.message(language) for language in LANGUAGES)
            assert ended.exit_code == 2
        else:
            assert ended is None or (isinstance(ended, KeyboardInterrupt) and how.startswith("interrupted"))
        whole = said(folder) == new
        assert whole or stored(folder) == old, f"{stand.steps[at]}: neither the old state nor the new"
        assert whole or ended is not None, f"{stand.steps[at]}: nothing done and nothing said"
        if how != "fails from there on" and not whole:  # a disk that fails for good keeps what cannot be removed
            assert litter(folder) == [], stand.steps[at]
        if not whole:
            write(folder)
            assert said(folder) == new
        elif write is run:
            write(folder)
        else:
            run(folder)
            add(folder)
        assert litter(folder) == [], stand.steps[at]
    else:
        pytest.fail("the steps have no end")
    assert failed > 12


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=pytest.mark.slow if how.startswith("interrupted") else ()) for how in HOWS]
)
def test_a_new_case_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: How) -> None:
    wanted = snapshot(make(tmp_path / "wanted"))
    for at in range(MOST_STEPS):
        root = tmp_path / str(at)
        root.mkdir()
        folder = root / "above" / "case"
        stand = Stand(at, how)
        with monkeypatch.context() as patch:
            patch.setattr(durable, "act", stand)
            ended = _ended(lambda: make(folder))  # noqa: B023 (called at once)
        if not stand.reached:
            break
        assert isinstance(ended, CaseError | KeyboardInterrupt), stand.steps[at]
        if not folder.exists():
            assert how == "fails from there on" or not list(root.rglob("*")), stand.steps[at]
            make(folder)
        assert snapshot(folder) == wanted
        assert litter(folder) == [], stand.steps[at]
    else:
        pytest.fail("the steps have no end")
    assert at > 12


def _ended(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except (CaseError, StoreError, KeyboardInterrupt) as error:
        return error
    return None


def test_what_a_failing_disk_means_is_told_apart(base: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for code, case, of_run in (
        (errno.ENOSPC, "RC211", "RC405"),
        (errno.EFBIG, "RC211", "RC405"),
        (errno.EROFS, "RC212", "RC406"),
        (errno.EACCES, "RC212", "RC406"),
        (errno.EIO, "RC206", "RC402"),
        (errno.ENOENT, "RC206", "RC402"),
        (errno.ENOLCK, "RC404", "RC404"),
    ):
        error = OSError(code, "reason of the system")
        for kind, wanted in ((CaseError, case), (StoreError, of_run)):
            said_so = durable.refused(error, base, kind)
            assert said_so.code == wanted
            assert "reason of the system" in said_so.message("zh-Hans")
    lost = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert durable.refused(lost, gone, CaseError).code == "RC213"
    assert durable.refused(lost, gone, StoreError).code == "RC407"


def test_a_writer_waits_and_then_says_who_is_in_the_way(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "PATIENCE_SECONDS", 0.05)
    before = stored(base)
    with durable.only_writer(base):
        for write in (add, run):
            with pytest.raises(StoreError, match="RC403"):
                write(base)
        assert open_case_folder(base).relation("events") is not None
    assert stored(base) == before
    assert litter(base) == []
