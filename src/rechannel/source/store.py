"""The case folder: made whole or not at all, opened as one snapshot, every data file checked before it is believed."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from io import FileIO
from pathlib import Path
from threading import Lock
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from rechannel.source import durable
from rechannel.source.admit import Admitted, admit, history_faults
from rechannel.source.aliases import with_known_names
from rechannel.source.checks import Rules
from rechannel.source.config import (
    FILE_NAME,
    STORE_VERSION,
    Assumption,
    CaseConfig,
    TableSource,
    check_currency,
    check_timezone,
    read_config,
    write_config,
)
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.progress import Bars
from rechannel.source.read import file_sha256, split_part
from rechannel.source.remarks import between_tables, date_span
from rechannel.source.runs import RUNS, PendingRun, complete_runs, new_run, run_faults
from rechannel.vocabulary.channel import WHOLE_SHOP, Cadence, Channel
from rechannel.vocabulary.errors import CallError, CaseError, Fault, FileRefused

DATA = "data"
_BLOCK = 1 << 20
_BINARY: int = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class CreatedCase:
    """A new case: where it is, what it declares, and the warnings and notes on the way."""

    folder: Path
    config: CaseConfig
    faults: tuple[Fault, ...]


class CaseFolder:
    """An opened case folder: `case.toml` and the data files it named at that moment, whatever is added later.

    The files are held open, so a writer that puts newer ones in their place takes nothing away from this reader.
    Tables are read, and their bytes checked, when they are asked for.
    """

    def __init__(self, folder: Path, config: CaseConfig, files: _OpenFiles) -> None:
        self.folder = folder
        self.config = config
        self._files = files
        self._relations: dict[TableName, pa.Table] = {}
        self._reading = Lock()

    def relation(self, table: TableName) -> pa.Table | None:
        """The canonical rows of one table, or None when the case does not have it.

        Raises
        ------
        CaseError
            RC205: the data file is gone; RC207: it cannot be read; RC209: it is not the file that was stored.
        """
        source = self.config.tables.get(table)
        if source is None:
            return None
        with self._reading:
            if table not in self._relations:
                self._relations[table] = self._read(table, source)
            return self._relations[table]

    def data_file(self, table: TableName) -> Path | None:
        """The Parquet file of one table, for what reads it in parts; None when the case does not have it.

        Raises
        ------
        CaseError
            RC205: the data file is gone; RC209: it has not the size that was stored.
        """
        source = self.config.tables.get(table)
        if source is None:
            return None
        path = self.folder / "data" / source.file
        if not path.is_file():
            raise CaseError("RC205", file=source.file)
        if source.file_sha256 and path.stat().st_size != source.file_bytes:
            raise self._changed(source)
        return path

    def _read(self, table: TableName, source: TableSource) -> pa.Table:
        with self._opened(table, source) as stream:
            try:
                body = _body(stream)
                if source.file_sha256 and hashlib.sha256(body).hexdigest() != source.file_sha256:
                    raise self._changed(source)
                relation = pq.read_table(pa.BufferReader(body))
            except (pa.ArrowException, OSError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                raise CaseError("RC207", file=source.file, reason=reason) from None
        lacking = [c.name for c in TABLES[table].columns if c.required and c.name not in relation.column_names]
        if lacking:
            raise CaseError("RC207", file=source.file, reason=f"no column {', '.join(lacking)}")
        if source.file_sha256 and relation.num_rows != source.rows:
            raise self._changed(source)
        return relation

    def _opened(self, table: TableName, source: TableSource) -> FileIO:
        """The data file from its start, RC205 when it was not there."""
        if table not in self._files.descriptors:
            raise CaseError("RC205", file=source.file)
        stream = FileIO(os.dup(self._files.descriptors[table]), "rb")
        stream.seek(0)
        return stream

    @staticmethod
    def _changed(source: TableSource) -> CaseError:
        return CaseError("RC209", file=source.file, originals=", ".join(source.original))

    @property
    def data_sha256(self) -> str:
        """One SHA-256 over those of the canonical data files, in the order of the tables.

        The recorded ones: a file proves that it is the one recorded when it is read.

        Raises
        ------
        CaseError
            RC205: a data file is gone; RC209: it has not the size that was stored.
        """
        digest = hashlib.sha256()
        for table in TABLE_NAMES:
            source = self.config.tables.get(table)
            if source is None:
                continue
            with self._reading, self._opened(table, source) as stream:
                if source.file_sha256 and os.fstat(stream.fileno()).st_size != source.file_bytes:
                    raise self._changed(source)
                digest.update(f"{table}:{source.file_sha256 or _digest(stream)}\n".encode())
        return digest.hexdigest()

    def proven(self, table: TableName) -> TableSource:
        """The entry of a table in `case.toml`, with SHA-256 and size of its file where version 1 left them out."""
        source = self.config.tables[table]
        if source.file_sha256 or table not in self._files.descriptors:
            return source
        with self._reading, self._opened(table, source) as stream:
            return replace(source, file_sha256=_digest(stream), file_bytes=stream.tell())

    def rules(self, today: date | None = None) -> Rules:
        """What files of this case are held to."""
        config = self.config
        day = today or today_in(config.timezone)
        return Rules(day, config.cadence, config.timezone, config.currency, config.channels)

    def runs(self) -> tuple[Path, ...]:
        """Complete runs, oldest first, by number and not by clock."""
        return complete_runs(self.folder)

    def new_run(self) -> AbstractContextManager[PendingRun]:
        """A folder to write a run into; it becomes `runs/<n>-<id>` when the block ends well, and vanishes otherwise.

        Raises
        ------
        StoreError
            RC402-RC408: another process is writing, or the disk refuses; older runs are untouched.
        """
        return new_run(self.folder, self.data_sha256)

    def refresh(self, stored: Mapping[TableName, pa.Table] | None = None) -> None:
        """Become the snapshot of now; tables that did not change, and those just `stored`, are not read again."""
        newer = open_case_folder(self.folder)
        with self._reading:
            kept = {
                table: relation
                for table, relation in self._relations.items()
                if self.config.tables.get(table) == newer.config.tables.get(table)
            }
            self._files, self.config, self._relations = newer._files, newer.config, {**kept, **(stored or {})}


class _OpenFiles:
    """Data files by table, held open until nobody needs them."""

    def __init__(self, folder: Path, tables: Mapping[TableName, TableSource]) -> None:
        self.descriptors: dict[TableName, int] = {}
        weakref.finalize(self, _close_all, self.descriptors)
        for table, source in tables.items():
            path = folder / DATA / source.file
            try:
                if path.is_file():
                    self.descriptors[table] = os.open(path, os.O_RDONLY | _BINARY)
            except FileNotFoundError:  # taken away between the look and the opening
                continue
            except OSError as error:
                raise CaseError("RC207", file=source.file, reason=error.strerror or str(error)) from None


def _close_all(descriptors: Mapping[TableName, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)


def _body(stream: FileIO) -> pa.Buffer:
    """A whole file in memory that belongs to Arrow: its threads must not hold on to an object of Python at the end."""
    body = pa.allocate_buffer(os.fstat(stream.fileno()).st_size)
    view, done = memoryview(body), 0
    while got := stream.readinto(view[done:]):
        done += got
    return body.slice(0, done)


def _digest(stream: FileIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def open_case_folder(folder: Path) -> CaseFolder:
    """Open a case folder as it is now: `case.toml` is read, its data files are opened.

    Raises
    ------
    CaseError
        RC202-RC204, RC215: no case, or its case.toml is wrong (line and column are named); RC207: a data file cannot be
        read.
    StoreError
        RC401: a newer rechannel made it.
    """
    config = read_config(folder)
    while True:
        files = _OpenFiles(folder, config.tables)
        if len(files.descriptors) == len(config.tables):
            return CaseFolder(folder, config, files)
        newer = read_config(folder)
        if newer == config:  # what is missing is really missing: RC205 when it is asked for
            return CaseFolder(folder, config, files)
        config = newer  # a writer replaced a file between the two looks


def today_in(timezone: str) -> date:
    """Today's date in a time zone."""
    return datetime.now(ZoneInfo(timezone)).date()


def create_case(
    folder: Path,
    tables: Mapping[TableName, Path],
    *,
    currency: str = "CNY",
    timezone: str = "Asia/Shanghai",
    cadence: Cadence = "daily",
    today: date | None = None,
    name: str = "",
    channels: Sequence[Channel] = (),
    assumptions: Mapping[str, Assumption] | None = None,
    margin: Assumption | None = None,
    bars: Bars | None = None,
) -> CreatedCase:
    """Make a case folder from files: canonical Parquet, `case.toml`, nothing else; see `store_case`.

    Parameters
    ----------
    folder
        Must not exist, or be empty.
    tables
        Canonical table -> CSV or Parquet file; any subset of the tables.
    currency, timezone, cadence
        ISO 4217 code; IANA name; daily or weekly.
    today
        Later days are the future; None = today in `timezone`.
    name
        Name of the case; empty = name of the folder.
    channels
        Descriptions of channels by id; channels of `daily` without one get an empty one.
    assumptions
        Ranges to declare.
    margin
        90 % range of the contribution margin as a share of GMV; None = not stated.
    bars
        Asked for whom to tell about each file.

    Raises
    ------
    FileRefused
        A file breaks the contract; faults of all files; nothing was stored.
    CaseError
        RC201: the folder is not empty; RC206, RC210-RC212: the disk refuses.
    CallError
        RC305-RC307, RC310, RC313: no table, time zone, currency, missing file, file not readable.
    """
    if not tables:
        raise CallError("RC305")
    check_timezone(timezone)
    check_currency(currency)
    check_free(folder)
    for path in tables.values():
        if not split_part(path)[0].is_file():
            raise CallError("RC310", path=str(path))
    # The salt is made of the files themselves, so that the same files give the same case, byte for byte.
    first = tables.get("touches") or next(tables[table] for table in TABLE_NAMES if table in tables)
    salt = salt_of(sha256_of(first))
    rules = Rules(today or today_in(timezone), cadence, timezone, currency, tuple(channels))
    admitted = admit_all(tables, rules, salt, bars=bars)
    declared = CaseConfig(name, currency, timezone, cadence, {}, tuple(channels), assumptions or {}, margin, salt=salt)
    return store_case(folder, admitted, declared)


def store_case(folder: Path, admitted: Mapping[TableName, Admitted], declared: CaseConfig) -> CreatedCase:
    """Make a case folder from tables that are already admitted.

    Parameters
    ----------
    folder
        Must not exist, or be empty.
    admitted
        Canonical table -> its checked relation, customers hashed with `declared.salt`.
    declared
        What `case.toml` shall declare. Its `tables` are not looked at; an empty name becomes that of the folder;
        channels of `daily` that it does not describe are added, most visited first.

    Raises
    ------
    CaseError
        RC201: the folder is not empty; RC206, RC210-RC212: the disk refuses.
    """
    check_free(folder)
    daily = admitted["daily"].relation if "daily" in admitted else None
    channels = _described(daily, declared.channels)
    admitted = {table: _with_known_names(table, one, channels) for table, one in admitted.items()}
    names = {table: one.original[0] if len(one.original) == 1 else table for table, one in admitted.items()}
    faults = [fault for table in TABLE_NAMES if table in admitted for fault in admitted[table].faults]
    faults += between_tables({table: one.relation for table, one in admitted.items()}, names)
    config = replace(declared, name=declared.name or folder.resolve().name, channels=channels)
    return CreatedCase(folder, _write_case(folder, admitted, config), tuple(faults))


def _with_known_names(table: TableName, one: Admitted, channels: Sequence[Channel]) -> Admitted:
    """A table beside `daily` that calls the channels as `daily` does."""
    if table == "daily" or "channel" not in one.relation.column_names:
        return one
    relation, changed = with_known_names(one.relation, channels)
    file = one.original[0] if len(one.original) == 1 else table
    notes = [
        Fault("RC702", "note", file, column="channel", args={"names": ", ".join(names), "channel": channel_id})
        for channel_id, names in changed.items()
    ]
    return replace(one, relation=relation, faults=(*one.faults, *notes))


def check_free(folder: Path) -> None:
    """CaseError RC201 unless the folder does not exist, or is empty."""
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise durable.refused(error, folder, CaseError, was_there=False) from error
    if taken:
        raise CaseError("RC201", path=str(folder))


def salt_of(sha256: str) -> str:
    """The salt of a case whose customers first came in a file with this SHA-256."""
    return hashlib.sha256(f"salt:{sha256}".encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file somebody gave (CallError RC310, RC313)."""
    try:
        return file_sha256(split_part(path)[0])
    except FileNotFoundError:
        raise CallError("RC310", path=str(path)) from None
    except OSError as error:
        raise CallError("RC313", path=str(path), reason=error.strerror or str(error)) from error


def stored_source(one: Admitted, relation: pa.Table, file: Path, before: TableSource | None = None) -> TableSource:
    """Write the rows of a table as a new data file; what `case.toml` has to say about it."""
    written = durable.write_parquet(relation, file, "data file")
    return TableSource(
        (*(before.original if before else ()), *map(_printable, one.original)),
        (*(before.sha256 if before else ()), *one.sha256),
        relation.num_rows,
        one.duplicates + (before.duplicates if before else 0),
        file.name,
        written.sha256,
        written.size,
    )


def _printable(name: str) -> str:
    """A file name as text; bytes that are none are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _write_case(folder: Path, admitted: Mapping[TableName, Admitted], config: CaseConfig) -> CaseConfig:
    """Write beside the folder and rename: the case is there whole or not at all."""
    place = folder.resolve()
    made = [parent for parent in (place.parent, *place.parent.parents) if not parent.exists()]
    try:
        try:
            for parent in reversed(made):
                durable.make_folder(parent, "folder above")
            with suppress(OSError):
                _clear_dead(place)
            stored = _write_beside(place, admitted, config)
        except BaseException:
            with suppress(OSError):
                for parent in made:
                    durable.remove_folder(parent, "folder above")
            raise
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
            raise CaseError("RC201", path=str(folder)) from None
        raise durable.refused(error, folder, CaseError, was_there=False) from error
    durable.confirm(place.parent, "folder above", CaseError)
    return stored


def _write_beside(place: Path, admitted: Mapping[TableName, Admitted], config: CaseConfig) -> CaseConfig:
    """The case under a waiting name, locked by this process, then under its own."""
    pending = place.with_name(f".{place.name}.new-{secrets.token_hex(4)}")
    try:
        durable.make_folder(pending, "new case")
        with durable.only_writer(pending):
            durable.make_folder(pending / DATA, "data folder")
            durable.make_folder(pending / RUNS, "folder of runs")
            sources = {
                table: stored_source(admitted[table], admitted[table].relation, pending / DATA / f"{table}.parquet")
                for table in TABLE_NAMES
                if table in admitted
            }
            config = replace(config, tables=sources, store_version=STORE_VERSION)
            daily = admitted["daily"].relation if "daily" in admitted else None
            text = write_config(config, *((daily is not None and date_span(daily, "date")) or (None, None)))
            durable.write_bytes(text.encode("utf-8"), pending / FILE_NAME, "case.toml")
            for made in (pending / DATA, pending):
                durable.sync_folder(made, "new case")
            if sys.platform != "win32":
                durable.rename(pending, place, "new case")
        if sys.platform == "win32":  # there no folder is renamed onto another, nor with an open file in it
            if place.exists():
                place.rmdir()
            durable.rename(pending, place, "new case")
    except BaseException:
        with suppress(OSError):
            durable.remove_tree(pending, "new case")
        raise
    return config


def _clear_dead(place: Path) -> None:
    """Remove waiting folders of this case whose makers died."""
    if sys.platform == "win32":  # there the lock is given back before the renaming, so it tells nothing
        return
    for path in place.parent.glob(f".{glob.escape(place.name)}.new-*"):
        if not durable.is_held(path / durable.LOCK_FILE):
            durable.remove_tree(path, "leftover of a case")


def admit_all(
    tables: Mapping[TableName, Path],
    rules: Rules,
    salt: str,
    *,
    whole: bool = True,
    connections: Mapping[str, object] | None = None,
    bars: Bars | None = None,
) -> dict[TableName, Admitted]:
    """Read every file, so that one refusal lists the faults of all; `whole` and `connections` as in `admit`."""
    admitted: dict[TableName, Admitted] = {}
    refused: list[Fault] = []
    for table in TABLE_NAMES:
        if table not in tables:
            continue
        try:
            tell = bars(tables[table].name, len(admitted), len(tables)) if bars else None
            admitted[table] = admit(
                tables[table], table, rules, whole=whole, salt=salt, connections=connections, progress=tell
            )
        except FileRefused as refusal:
            refused += refusal.faults
    if refused:
        raise FileRefused(refused)
    return admitted


def _described(daily: pa.Table | None, given: Sequence[Channel]) -> tuple[Channel, ...]:
    """Channels given, then those of `daily`, most visited first."""
    known = {channel.channel_id for channel in given}
    found = list(given)
    if daily is not None:
        visits = daily.group_by("channel").aggregate([("visits", "sum")])
        rows = sorted(
            zip(visits["channel"].to_pylist(), visits["visits_sum"].to_pylist(), strict=True),
            key=lambda row: (-(row[1] or 0.0), row[0]),
        )
        found += [Channel(name) for name, _ in rows if name not in known and name != WHOLE_SHOP]
    return tuple(found)


def case_faults(case: CaseFolder) -> tuple[Fault, ...]:
    """What a reader should know about the stored tables: history, gaps, spans, names, tables that are not there."""
    relations = {table: case.relation(table) for table in case.config.tables}
    names = {table: ", ".join(source.original[-1:]) or table for table, source in case.config.tables.items()}
    faults: list[Fault] = []
    daily = relations.get("daily")
    if daily is not None:
        faults += history_faults(daily, case.rules(), names["daily"])
    return (*faults, *between_tables(relations, names))


def store_faults(case: CaseFolder) -> tuple[Fault, ...]:
    """What a reader should know about the folder itself: data files without proof, runs interrupted or damaged."""
    bare = [source.file for source in case.config.tables.values() if not source.file_sha256]
    notes = [Fault("RC190", "note", FILE_NAME, args={"files": ", ".join(bare)})] if bare else []
    return (*notes, *run_faults(case.folder))
