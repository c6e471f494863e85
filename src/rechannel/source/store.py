"""The case folder: made whole or not at all, read with every file checked, runs added one by one."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rechannel.source.admit import Admitted, admit, history_faults
from rechannel.source.checks import Rules
from rechannel.source.config import (
    FILE_NAME,
    Assumption,
    CaseConfig,
    TableSource,
    check_currency,
    check_timezone,
    read_config,
    with_source,
    write_config,
)
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.engine import locked_engine, named
from rechannel.source.read import file_sha256
from rechannel.vocabulary.channel import WHOLE_SHOP, Cadence, Channel
from rechannel.vocabulary.errors import CallError, CaseError, Fault, FileRefused, StoreError

_RUN = re.compile(r"(\d+)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class CreatedCase:
    """A new case: where it is, what it declares, and the warnings and notes on the way."""

    folder: Path
    config: CaseConfig
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Addition:
    """What `add` did to one table: rows new, rows revised (with examples), rows now."""

    table: TableName
    added: int
    revised: int
    rows: int
    revised_keys: tuple[str, ...]
    faults: tuple[Fault, ...]


class CaseFolder:
    """An opened case folder; tables are read when they are asked for."""

    def __init__(self, folder: Path, config: CaseConfig) -> None:
        self.folder = folder
        self.config = config
        self._relations: dict[TableName, pa.Table] = {}

    def relation(self, table: TableName) -> pa.Table | None:
        """The canonical rows of one table, or None when the case does not have it.

        Raises
        ------
        CaseError
            RC205: the data file is gone; RC207: it cannot be read.
        """
        source = self.config.tables.get(table)
        if source is None:
            return None
        if table not in self._relations:
            path = self.data_file(table)
            assert path is not None
            try:
                relation = pq.read_table(path, memory_map=False)
            except (pa.ArrowInvalid, OSError) as error:
                raise CaseError("RC207", file=source.file, reason=str(error).splitlines()[0][:200]) from None
            lacking = [c.name for c in TABLES[table].columns if c.required and c.name not in relation.column_names]
            if lacking:
                raise CaseError("RC207", file=source.file, reason=f"no column {', '.join(lacking)}")
            self._relations[table] = relation
        return self._relations[table]

    def data_file(self, table: TableName) -> Path | None:
        """The Parquet file of one table, for what reads it in parts; None when the case does not have it.

        Raises
        ------
        CaseError
            RC205: the data file is gone.
        """
        source = self.config.tables.get(table)
        if source is None:
            return None
        path = self.folder / "data" / source.file
        if not path.is_file():
            raise CaseError("RC205", file=source.file)
        return path

    @cached_property
    def data_sha256(self) -> str:
        """One SHA-256 over the canonical data files, in the order of the tables."""
        digest = hashlib.sha256()
        for table in TABLE_NAMES:
            if table in self.config.tables:
                path = self.folder / "data" / self.config.tables[table].file
                if not path.is_file():
                    raise CaseError("RC205", file=path.name)
                digest.update(f"{table}:{file_sha256(path)}\n".encode())
        return digest.hexdigest()

    def rules(self, today: date | None = None) -> Rules:
        """What files of this case are held to."""
        return Rules(today or today_in(self.config.timezone), self.config.cadence, self.config.timezone)

    def runs(self) -> tuple[Path, ...]:
        """Complete runs, oldest first, by number and not by clock."""
        folder = self.folder / "runs"
        if not folder.is_dir():
            return ()
        found = [(int(match.group(1)), path) for path in folder.iterdir() if (match := _RUN.fullmatch(path.name))]
        return tuple(path for _, path in sorted(found))

    @contextmanager
    def new_run(self) -> Iterator[PendingRun]:
        """A folder to write a run into; it becomes `runs/<n>-<id>` when the block ends well, and vanishes otherwise.

        Raises
        ------
        StoreError
            RC402: the disk refuses; older runs are untouched.
        """
        runs = self.folder / "runs"
        try:
            runs.mkdir(exist_ok=True)
            number = _claim_number(runs, self.runs())
            token = secrets.token_hex(4)
            pending = runs / f".writing-{number}-{token}"
            pending.mkdir()
        except OSError as error:
            raise StoreError("RC402", reason=error.strerror or str(error)) from error
        run = PendingRun(number, f"{number}-{token}", pending, runs / f"{number}-{token}")
        try:
            yield run
            try:
                _sync_tree(pending)
                pending.rename(run.final)
                _sync_folder(runs)
            except OSError as error:
                raise StoreError("RC402", reason=error.strerror or str(error)) from error
        finally:
            if pending.exists():
                shutil.rmtree(pending, ignore_errors=True)
            (runs / f".claim-{number}").unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class PendingRun:
    """A run being written: write into `folder`; it will be found at `final`."""

    number: int
    name: str
    folder: Path
    final: Path


def _claim_number(runs: Path, complete: Sequence[Path]) -> int:
    """The next free number; a claim file keeps two processes apart."""
    taken = [int(path.name.split("-")[0]) for path in complete]
    taken += [int(path.name.removeprefix(".claim-")) for path in runs.glob(".claim-*")]
    number = max(taken, default=0) + 1
    while True:
        try:
            os.close(os.open(runs / f".claim-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            number += 1
        else:
            return number


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    """Put every file and folder below on the disk before a rename makes them visible."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        elif path.is_dir():
            _sync_folder(path)
    _sync_folder(folder)


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
) -> CreatedCase:
    """Make a case folder from files: canonical Parquet, `case.toml`, nothing else.

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

    Raises
    ------
    FileRefused
        A file breaks the contract; faults of all files; nothing was stored.
    CaseError
        RC201: the folder is not empty; RC206: it cannot be written.
    CallError
        RC305-RC307, RC310: no table, time zone, currency, missing file.
    """
    if not tables:
        raise CallError("RC305")
    check_timezone(timezone)
    check_currency(currency)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CaseError("RC201", path=str(folder))
    for path in tables.values():
        if not path.is_file():
            raise CallError("RC310", path=str(path))
    rules = Rules(today or today_in(timezone), cadence, timezone)
    # The salt is made of the file itself, so that the same files give the same case, byte for byte.
    salt = hashlib.sha256(f"salt:{file_sha256(tables['touches'])}".encode()).hexdigest() if "touches" in tables else ""
    admitted = _admit_all(tables, rules, salt)
    faults = [fault for one in admitted.values() for fault in one.faults]
    names = {table: one.original for table, one in admitted.items()}
    faults += _between_tables({table: one.relation for table, one in admitted.items()}, names)
    daily = admitted["daily"].relation if "daily" in admitted else None
    config = CaseConfig(
        name=name or folder.resolve().name,
        currency=currency,
        timezone=timezone,
        cadence=cadence,
        tables={
            table: TableSource(
                (one.original,), (one.sha256,), one.relation.num_rows, one.duplicates, f"{table}.parquet"
            )
            for table, one in admitted.items()
        },
        channels=_described(daily, channels),
        assumptions=assumptions or {},
        margin=margin,
        salt=salt,
    )
    span = _span(daily, "date") if daily is not None else None
    text = write_config(config, *(span or (None, None)))
    _write_whole(folder, text, {table: one.relation for table, one in admitted.items()})
    return CreatedCase(folder, config, tuple(faults))


def _admit_all(tables: Mapping[TableName, Path], rules: Rules, salt: str) -> dict[TableName, Admitted]:
    """Read every file, so that one refusal lists the faults of all."""
    admitted: dict[TableName, Admitted] = {}
    refused: list[Fault] = []
    for table in TABLE_NAMES:
        if table not in tables:
            continue
        try:
            admitted[table] = admit(tables[table], table, rules, salt=salt)
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


def _span(relation: pa.Table, column: str) -> tuple[date, date] | None:
    if column not in relation.column_names or relation.num_rows == 0:
        return None
    ends = pc.min_max(relation[column]).as_py()
    first, last = ends["min"], ends["max"]
    if isinstance(first, datetime) and isinstance(last, datetime):
        return first.date(), last.date()
    return (first, last) if isinstance(first, date) and isinstance(last, date) else None


def table_span(table: TableName, relation: pa.Table) -> tuple[date, date] | None:
    """First and last day of a table, by its key date or, for events and deals, from first start to last end."""
    for first, last in (("date", "date"), ("time", "time"), ("start", "end"), ("period_start", "period_end")):
        begin, end = _span(relation, first), _span(relation, last)
        if first in TABLES[table].names and begin and end:
            return begin[0], end[1]
    return None


def case_faults(case: CaseFolder) -> tuple[Fault, ...]:
    """What a reader should know about the stored tables: history, gaps, spans, names, tables that are not there."""
    relations = {table: case.relation(table) for table in case.config.tables}
    names = {table: ", ".join(source.original[-1:]) or table for table, source in case.config.tables.items()}
    faults: list[Fault] = []
    daily = relations.get("daily")
    if daily is not None:
        faults += history_faults(daily, case.rules(), names["daily"])
    return (*faults, *_between_tables(relations, names))


def _between_tables(relations: Mapping[TableName, pa.Table], files: Mapping[TableName, str]) -> list[Fault]:
    """Notes about missing tables, spans that differ, and names that `daily` does not know."""
    notes: list[Fault] = []
    daily = relations.get("daily")
    if daily is None:
        return notes
    absent: tuple[TableName, ...] = ("touches", "events", "rivals")
    notes += [Fault("RC171", "note", files["daily"], args={"table": name}) for name in absent if name not in relations]
    span = _span(daily, "date")
    dated: tuple[tuple[TableName, str], ...] = (("touches", "time"), ("rivals", "date"), ("slots", "date"))
    for table, column in dated:
        relation = relations.get(table)
        other = _span(relation, column) if relation is not None else None
        if span and other and other != span:
            first, last, daily_first, daily_last = (str(day) for day in (*other, *span))
            args = {"first": first, "last": last, "daily_first": daily_first, "daily_last": daily_last}
            notes.append(Fault("RC172", "note", files[table], args=args))
    naming: tuple[TableName, ...] = ("touches", "events", "tests", "deals")
    for table in naming:
        relation = relations.get(table)
        for column in ("channel", "market"):
            if relation is None or column not in relation.column_names or column not in daily.column_names:
                continue
            strange = set(pc.unique(relation[column]).to_pylist()) - set(pc.unique(daily[column]).to_pylist())
            strange -= {None, "all", WHOLE_SHOP}
            if strange:
                shown = ", ".join(sorted(str(value) for value in strange)[:10])
                notes.append(Fault("RC174", "note", files[table], column=column, args={"names": shown}))
    return notes


def _write_parquet(relation: pa.Table, path: Path) -> None:
    pq.write_table(relation, path, compression="zstd", write_statistics=True)


def _write_whole(folder: Path, text: str, relations: Mapping[TableName, pa.Table]) -> None:
    """Write beside the folder and rename: the case is there whole or not at all."""
    pending = folder.parent / f".{folder.name}.new-{secrets.token_hex(4)}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        pending.mkdir()
        try:
            (pending / "data").mkdir()
            (pending / "runs").mkdir()
            for table, relation in relations.items():
                _write_parquet(relation, pending / "data" / f"{table}.parquet")
            (pending / FILE_NAME).write_text(text, encoding="utf-8")
            _sync_tree(pending)
            if os.name == "nt" and folder.exists():  # elsewhere a folder may be renamed onto an empty one
                folder.rmdir()
            pending.rename(folder)
            _sync_folder(folder.parent)
        finally:
            if pending.exists():
                shutil.rmtree(pending, ignore_errors=True)
    except OSError as error:
        raise CaseError("RC206", path=str(folder), reason=error.strerror or str(error)) from error


def open_case_folder(folder: Path) -> CaseFolder:
    """Open a case folder; nothing but `case.toml` is read yet.

    Raises
    ------
    CaseError
        RC202-RC204: no case, or its case.toml is wrong (line and column are named).
    StoreError
        RC401: a newer rechannel made it.
    """
    return CaseFolder(folder, read_config(folder))


def add_to_case(case: CaseFolder, table: TableName, path: Path, *, today: date | None = None) -> Addition:
    """Append rows to a table of a case, or replace those with the same key; the newer file wins.

    The new data file stands beside the old one until `case.toml` names it: an interruption leaves the old state.

    Raises
    ------
    FileRefused
        The file, or the table with it, breaks the contract; nothing was changed.
    CallError
        RC310: no such file.
    CaseError
        RC206: the folder cannot be written.
    """
    rules = case.rules(today)
    salt = case.config.salt
    if table == "touches" and not salt:
        salt = hashlib.sha256(f"salt:{file_sha256(path)}".encode()).hexdigest()
    new = admit(path, table, rules, whole=False, salt=salt)
    old = case.relation(table)
    merged, added, revised = _merged(table, old, new.relation)
    faults = list(new.faults)
    if table == "daily":
        found = history_faults(merged, rules, new.original)
        refusals = [fault for fault in found if fault.severity == "refuse"]
        if refusals:
            raise FileRefused(refusals)
        faults += found
    before = case.config.tables.get(table)
    source = TableSource(
        (*(before.original if before else ()), new.original),
        (*(before.sha256 if before else ()), new.sha256),
        merged.num_rows,
        new.duplicates + (before.duplicates if before else 0),
        f"{table}.{secrets.token_hex(4)}.parquet",
    )
    _replace_table(case, table, source, merged, salt)
    if revised:
        args = {"count": str(len(revised)), "example": revised[0]}
        faults.append(Fault("RC178", "note", new.original, args=args))
    return Addition(table, added, len(revised), merged.num_rows, tuple(revised), tuple(faults))


def _merged(table: TableName, old: pa.Table | None, new: pa.Table) -> tuple[pa.Table, int, list[str]]:
    """Old rows without those that are replaced, then the new ones; how many are new, and keys that changed."""
    if old is None:
        return new, new.num_rows, []
    names = [name for name in TABLES[table].names if name in old.column_names or name in new.column_names]
    keys = [name for name in TABLES[table].key if name in names]
    with locked_engine() as connection:
        for label, relation in (("old", old), ("new", new)):
            full = relation
            for name in names:
                if name not in relation.column_names:
                    kind = (old if name in old.column_names else new).schema.field(name).type
                    full = full.append_column(name, pa.nulls(relation.num_rows, kind))
            connection.register(f"{label}_given", full.select(names))
            connection.execute(f"CREATE TABLE {label}_rows AS SELECT *, row_number() OVER () AS n FROM {label}_given")
        same = " AND ".join(f"o.{named(key)} IS NOT DISTINCT FROM n.{named(key)}" for key in keys)
        rest = [name for name in names if name not in keys]
        # A file that lacks a column says nothing about it: the old value stays.
        stated = [name for name in rest if name in new.column_names]
        differs = " OR ".join(f"o.{named(c)} IS DISTINCT FROM n.{named(c)}" for c in stated) or "false"
        label = " || ' ' || ".join(f"coalesce(CAST(n.{named(key)} AS VARCHAR), 'all')" for key in keys)
        revised = [
            str(row[0])
            for row in connection.execute(
                f"SELECT {label} FROM old_rows o JOIN new_rows n ON {same} WHERE {differs} ORDER BY n.n"
            ).fetchall()
        ]
        replaced = connection.execute(f"SELECT count(*) FROM old_rows o JOIN new_rows n ON {same}").fetchall()[0][0]
        kept = ", ".join(f"o.{named(name)}" for name in names)
        taken = ", ".join(
            f"n.{named(name)}" if name in keys or name in stated else f"o.{named(name)}" for name in names
        )
        merged = connection.sql(
            f"""SELECT {", ".join(named(name) for name in names)} FROM (
                SELECT {kept}, 0 AS part, o.n AS n FROM old_rows o ANTI JOIN new_rows n ON {same}
                UNION ALL
                SELECT {taken}, 1 AS part, n.n AS n FROM new_rows n LEFT JOIN old_rows o ON {same}
            ) ORDER BY part, n"""
        ).to_arrow_table()
    return merged, new.num_rows - int(replaced), revised


def _replace_table(case: CaseFolder, table: TableName, source: TableSource, relation: pa.Table, salt: str) -> None:
    """Write the new data file, then let `case.toml` name it: one rename commits."""
    place = case.folder / FILE_NAME
    old = case.config.tables.get(table)
    pending = case.folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
    data = case.folder / "data" / source.file
    try:
        data.parent.mkdir(exist_ok=True)
        _write_parquet(relation, data)
        text = with_source(place.read_text(encoding="utf-8"), table, source)
        if salt and not case.config.salt:
            text = f'salt = "{salt}"\n{text}'
        pending.write_text(text, encoding="utf-8")
        _sync_tree(data.parent)
        with pending.open("rb+") as stream:
            os.fsync(stream.fileno())
        pending.replace(place)
        _sync_folder(case.folder)
    except OSError as error:
        pending.unlink(missing_ok=True)
        data.unlink(missing_ok=True)
        raise CaseError("RC206", path=str(case.folder), reason=error.strerror or str(error)) from error
    if old is not None and old.file != source.file:
        (case.folder / "data" / old.file).unlink(missing_ok=True)
    case.config = replace(case.config, tables={**case.config.tables, table: source}, salt=salt)
    case._relations[table] = relation
