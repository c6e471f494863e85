"""Run directories: numbered by a counter, there whole or not at all, each with a manifest that proves its bytes."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any  # a manifest is JSON; `_manifest` is where its shape is checked

import pyarrow as pa

from rechannel import __version__
from rechannel.source import durable
from rechannel.source.read import file_sha256
from rechannel.vocabulary.errors import Fault, StoreError

RUNS = "runs"
MANIFEST = "manifest.json"
SCHEMA = "rechannel.run/1"
SEAL = "manifest_sha256"
_RUN = re.compile(r"(\d+)-[0-9a-f]+")
_CLAIM = re.compile(r"\.claim-(\d+)(?:-[0-9a-f]+)?")
_UNSEEN_CLAIM = re.compile(r"\.claim-(\d+)-[0-9a-f]+\.[0-9a-f]+")
_WRITING = re.compile(r"\.writing-(\d+)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file of a run: name from the run's folder with `/`, size in bytes, SHA-256 (hex)."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """An answer of a run: its file, the question, how it was asked, answered or refused."""

    file: str
    question: str
    asked: Mapping[str, str]
    status: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run says about itself.

    Attributes
    ----------
    number, name
        Place in the order of runs; name of its folder.
    version, data_sha256, created
        Program and data that made it; when it was begun (UTC). The order of runs is never taken from it.
    answers
        In the order in which they were asked.
    files
        Every file but the manifest, by name.
    """

    number: int
    name: str
    version: str
    data_sha256: str
    created: str
    answers: tuple[RunAnswer, ...]
    files: tuple[RunFile, ...]


@dataclass(slots=True)
class PendingRun:
    """A run being written: write into it; it will be found at `final`."""

    number: int
    name: str
    folder: Path
    final: Path
    data_sha256: str
    answers: list[RunAnswer] = field(default_factory=list)
    _created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    _written: dict[str, RunFile] = field(default_factory=dict)

    def write(self, name: str, body: str | pa.Table) -> None:
        """A new file of the run: text as UTF-8, a relation as Parquet; `/` in the name makes a folder.

        Raises
        ------
        StoreError
            RC402, RC405-RC407: the disk refuses.
        """
        path = self.folder / name
        try:
            if path.parent != self.folder:
                durable.make_folder(path.parent, "folder of answers")
            if isinstance(body, str):
                written = durable.write_bytes(body.encode("utf-8"), path, "file of a run")
            else:
                written = durable.write_parquet(body, path, "table of a run")
        except OSError as error:
            raise durable.refused(error, self.final.parent.parent, StoreError) from error
        self._written[name] = RunFile(name, written.size, written.sha256)

    def _finish(self) -> None:
        """Everything on the disk, the manifest last, then the final name."""
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_dir():
                durable.sync_folder(path, "folder of answers")
            elif name not in self._written:  # put there by other means than `write`
                durable.sync_file(path, "file of a run")
                self._written[name] = RunFile(name, path.stat().st_size, file_sha256(path))
        files = tuple(self._written[name] for name in sorted(self._written))
        made = (__version__, self.data_sha256, self._created, tuple(self.answers), files)
        record = {"schema": SCHEMA, "status": "complete", **asdict(Manifest(self.number, self.name, *made))}
        durable.write_bytes(_sealed(record).encode("utf-8"), self.folder / MANIFEST, "manifest")
        durable.sync_folder(self.folder, "folder of the run")
        durable.rename(self.folder, self.final, "run")


@contextmanager
def new_run(case: Path, data_sha256: str) -> Iterator[PendingRun]:
    """A folder to write a run into; it becomes `runs/<n>-<id>` when the block ends well, and vanishes otherwise.

    The number is taken at the start. A process that dies inside leaves a claim that nobody holds any more: `run_faults`
    tells of it, and the next run clears it away.

    Parameters
    ----------
    case
        The case folder.
    data_sha256
        Of the data the run is made from.

    Raises
    ------
    StoreError
        RC402-RC408: another process is writing, or the disk refuses; older runs are untouched.
    """
    runs = case / RUNS
    run, claim = _started(case, data_sha256)
    try:
        yield run
        try:
            run._finish()
        except OSError as error:
            raise durable.refused(error, case, StoreError) from error
        durable.confirm(runs, "folder of runs", StoreError)
    finally:
        # What cannot be cleared away now is nobody's any more and goes with the next run.
        with suppress(OSError):
            durable.remove_tree(run.folder, "unfinished run")
        with suppress(OSError):
            claim.end()


def _started(case: Path, data_sha256: str) -> tuple[PendingRun, durable.Claim]:
    """The next number, claimed for as long as this process lives, and an empty folder for it."""
    runs = case / RUNS
    try:
        with durable.only_writer(case):
            durable.make_folder(runs, "folder of runs")
            number = max(_numbers(runs), default=0) + 1
            with suppress(OSError):
                _clear(runs)
            name = f"{number}-{secrets.token_hex(4)}"
            claim = durable.Claim(runs / f".claim-{name}", "claim")
            pending = runs / f".writing-{name}"
            try:
                durable.make_folder(pending, "unfinished run")
            except BaseException:
                with suppress(OSError):
                    durable.remove_tree(pending, "unfinished run")
                with suppress(OSError):
                    claim.end()
                raise
    except OSError as error:
        raise durable.refused(error, case, StoreError) from error
    return PendingRun(number, name, pending, runs / name, data_sha256), claim


def _numbers(runs: Path) -> list[int]:
    """Numbers that were ever given, as far as anything in the folder tells."""
    forms = (_RUN, _CLAIM, _UNSEEN_CLAIM, _WRITING)
    matches = (form.fullmatch(path.name) for path in runs.iterdir() for form in forms)
    return [int(match.group(1)) for match in matches if match]


def _clear(runs: Path) -> None:
    """Remove what dead processes left; only the writer that holds the lock of the case may do so."""
    claims = [path for path in runs.iterdir() if _CLAIM.fullmatch(path.name)]
    alive = {path.name.removeprefix(".claim-") for path in claims if durable.is_held(path)}
    for path in list(runs.iterdir()):
        if _WRITING.fullmatch(path.name) and path.name.removeprefix(".writing-") not in alive:
            durable.remove_tree(path, "leftover of a run")
        elif _UNSEEN_CLAIM.fullmatch(path.name):
            durable.remove(path, "leftover of a run")
    for path in claims:
        if path.name.removeprefix(".claim-") not in alive:
            durable.remove(path, "leftover of a run")


def complete_runs(case: Path) -> tuple[Path, ...]:
    """Complete runs, oldest first, by number and not by clock."""
    folder = case / RUNS
    if not folder.is_dir():
        return ()
    named = [(int(match.group(1)), path) for path in folder.iterdir() if (match := _RUN.fullmatch(path.name))]
    return tuple(path for _, path in sorted(named) if path.is_dir())


def interrupted_runs(case: Path) -> tuple[int, ...]:
    """Numbers of runs whose process died before they were complete, in order."""
    folder = case / RUNS
    if not folder.is_dir():
        return ()
    left = [path for path in folder.iterdir() if _CLAIM.fullmatch(path.name) or _WRITING.fullmatch(path.name)]
    numbers = set()
    for path in left:
        name = path.name.removeprefix(".claim-").removeprefix(".writing-")
        # Looked at last: a run that ends well, or is given up, meanwhile takes its names away.
        if not durable.is_held(folder / f".claim-{name}") and not (folder / name).is_dir() and path.exists():
            numbers.add(int(name.partition("-")[0]))
    return tuple(sorted(numbers))


def verify_run(folder: Path) -> Manifest:
    """Prove that a complete run is as it was written.

    Parameters
    ----------
    folder
        One of `complete_runs`.

    Returns
    -------
    Its manifest. Files that it does not list are not the run's, and are not looked at.

    Raises
    ------
    StoreError
        RC409: it has no manifest (it was made before there were any); RC410: a file is missing or is not as it was
        written, or the manifest itself; RC411: a newer version wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError("RC409", run=folder.name)
    manifest = _manifest(folder)
    for file in manifest.files:
        place = folder / file.name
        try:
            same = place.stat().st_size == file.bytes and file_sha256(place) == file.sha256
        except OSError:
            same = False
        if not same:
            raise StoreError("RC410", run=folder.name, file=file.name)
    return manifest


def run_faults(case: Path) -> tuple[Fault, ...]:
    """What a reader should know about the runs of a case: interrupted, damaged, or without proof."""
    faults = [Fault("RC191", "note", RUNS, args={"number": str(number)}) for number in interrupted_runs(case)]
    for folder in complete_runs(case):
        place = f"{RUNS}/{folder.name}"
        try:
            verify_run(folder)
        except StoreError as error:
            if error.code == "RC410":
                faults.append(Fault("RC192", "warning", place, args={"file": error.parts["file"]}))
            else:
                faults.append(Fault({"RC409": "RC193", "RC411": "RC194"}[error.code], "note", place))
    return tuple(faults)


def _sealed(record: Mapping[str, object]) -> str:
    """A manifest as text; its last value is the SHA-256 of the text without it."""
    bare = json.dumps(record, ensure_ascii=False, indent=1)
    seal = hashlib.sha256(bare.encode("utf-8")).hexdigest()
    return json.dumps({**record, SEAL: seal}, ensure_ascii=False, indent=1) + "\n"


def _manifest(folder: Path) -> Manifest:
    """The manifest of a run, when its text is exactly what would be written for what it says."""
    damaged = StoreError("RC410", run=folder.name, file=MANIFEST)
    try:
        text = (folder / MANIFEST).read_bytes().decode("utf-8")
        record: dict[str, Any] = json.loads(text)
        schema = record["schema"]
        if text != _sealed({key: value for key, value in record.items() if key != SEAL}):
            raise damaged
        if schema != SCHEMA:
            raise StoreError("RC411", run=folder.name, found=str(schema), known=SCHEMA)
        manifest = Manifest(
            number=record["number"],
            name=record["name"],
            version=record["version"],
            data_sha256=record["data_sha256"],
            created=record["created"],
            answers=tuple(RunAnswer(**answer) for answer in record["answers"]),
            files=tuple(RunFile(**file) for file in record["files"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise damaged from None
    inside = {file.name for file in manifest.files if not {"", ".", ".."} & set(file.name.split("/"))}
    named = {file.name for file in manifest.files} | {answer.file for answer in manifest.answers}
    if manifest.name != folder.name or named - inside:
        raise damaged
    return manifest
