"""A disk that is full, read-only, or takes no large files: a clear message, the old state, and on with more room."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_cases import add, litter, make, run, said, stored

from rechannel.source.engine import locked_engine
from rechannel.vocabulary.errors import CaseError, StoreError
from rechannel.vocabulary.wording import LANGUAGES

PAGE = 4096

LIMITED = """
import json, resource, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import made_cases
from rechannel.vocabulary.errors import CaseError, StoreError

tempfile.gettempdir()  # looked for once, by writing a file: before there is a limit
folder, told = Path(sys.argv[2]), []
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for write in (made_cases.add, made_cases.run, lambda folder: made_cases.make(folder.with_name("other"))):
    old, failed = made_cases.stored(folder), 0
    for limit in range(0, 40_000, 500):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            write(folder)
        except (CaseError, StoreError) as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            assert error.code in ("RC211", "RC405"), error.code
            assert made_cases.stored(folder) == old, limit
            assert made_cases.litter(folder) == [], limit
            failed += 1
        else:
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    told.append(failed)
print(json.dumps(told))
"""


def test_files_above_a_size_are_refused_at_every_size(tmp_path: Path) -> None:
    folder = make(tmp_path / "case")
    run(folder)
    script = [sys.executable, "-c", LIMITED, str(Path(__file__).parent), str(folder)]
    ended = subprocess.run(script, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(failed > 1 for failed in map(int, ended.stdout.strip("[]\n").split(",")))
    assert len(said(folder)[0]["events"]) == 2
    assert said(folder)[1] == 2


@pytest.fixture(params=["size=512k", "size=8m,nr_inodes=24"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with little room or few names."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(place)]
    try:
        refused = subprocess.run(mount, capture_output=True, text=True, check=False).stderr
    except FileNotFoundError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"no file system may be mounted here: {refused.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(place: Path, pages: int) -> int:
    """Fill a disk with files of one page, then give back as many; how many could be given back."""
    ballast = place / "ballast"
    ballast.mkdir(exist_ok=True)
    while True:
        try:
            path = ballast / str(len(list(ballast.iterdir())))
            path.write_bytes(b"x" * PAGE)
        except OSError:
            break
    fills = sorted(ballast.iterdir(), key=lambda path: int(path.name), reverse=True)
    for path in fills[:pages]:
        path.unlink()
    return len(fills)


@pytest.mark.parametrize("write", [add, run])
def test_a_full_disk_keeps_the_old_state_and_says_so(small_disk: Path, write: Callable[[Path], None]) -> None:
    folder = make(small_disk / "cases" / "case")
    run(folder)
    old, failed = stored(folder), 0
    for pages in range(60):
        room = fill(small_disk, pages)
        try:
            write(folder)
        except (CaseError, StoreError) as error:
            failed += 1
            said_so = [error.message(language) for language in LANGUAGES]
            code = error.code
        else:
            break
        assert code == ("RC211" if write is add else "RC405")
        assert len(set(said_so)) == len(LANGUAGES)
        assert all("No space left" in line for line in said_so)
        assert stored(folder) == old
        assert litter(folder) == []
        assert pages < room
    assert failed > 1
    assert stored(folder) != old
    assert litter(folder) == []


def test_a_new_case_on_a_full_disk_leaves_nothing(small_disk: Path) -> None:
    folder, failed = small_disk / "cases" / "case", 0
    for pages in range(60):
        fill(small_disk, pages)
        try:
            make(folder)
        except CaseError as error:
            failed += 1
            code = error.code
        else:
            break
        assert code == "RC211"
        assert not folder.parent.exists()
    assert failed > 1
    assert litter(folder) == []


@pytest.mark.parametrize("write", [add, run])
def test_a_disk_that_may_only_be_read(small_disk: Path, write: Callable[[Path], None]) -> None:
    folder = make(small_disk / "cases" / "case")
    run(folder)
    old = stored(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises((CaseError, StoreError), match="RC212" if write is add else "RC406"):
        write(folder)
    with pytest.raises(CaseError, match="RC212"):
        make(folder.with_name("other"))
    assert stored(folder) == old


def test_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "case")
    old = stored(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    with pytest.raises(CaseError, match="RC216"):
        add(folder)
    assert stored(folder) == old
    assert litter(folder) == []


def test_no_room_for_what_exceeds_the_memory(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(CaseError, match="RC216"), locked_engine(memory_mb=20) as connection:
        connection.execute("CREATE TABLE sorted AS SELECT i, hash(i) AS h FROM range(5000000) t(i) ORDER BY h")
    assert list(small_disk.iterdir()) == []
