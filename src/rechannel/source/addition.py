"""More rows for the tables of a case: appended, or put in the place of those with the same key, all tables at once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from rechannel.source import durable
from rechannel.source.admit import Admitted, history_faults
from rechannel.source.config import FILE_NAME, STORE_VERSION, CaseConfig, read_config, read_text, with_sources
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.engine import locked_engine, named
from rechannel.source.progress import Bars
from rechannel.source.store import DATA, CaseFolder, admit_all, salt_of, sha256_of, stored_source
from rechannel.vocabulary.errors import CaseError, Fault, FileRefused, StoreError

_DATA_FILE = re.compile(rf"({'|'.join(TABLE_NAMES)})(\.[0-9a-f]{{8}})?\.parquet")
_WAITING_CONFIG = re.compile(re.escape(f".{FILE_NAME}.") + r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Addition:
    """What `add` did to one table: rows new, rows revised (with examples), rows now."""

    table: TableName
    added: int
    revised: int
    rows: int
    revised_keys: tuple[str, ...]
    faults: tuple[Fault, ...]


def add_to_case(case: CaseFolder, table: TableName, path: Path, *, today: date | None = None) -> Addition:
    """`add_files` with one file."""
    return add_files(case, {table: path}, today=today)[0]


def add_files(
    case: CaseFolder, tables: Mapping[TableName, Path], *, today: date | None = None, bars: Bars | None = None
) -> tuple[Addition, ...]:
    """Append rows to tables of a case, or replace those with the same key; the newer file wins; all files or none.

    Parameters
    ----------
    case
        Refreshed to what is stored now, before and after.
    tables
        Canonical table -> file of its rows.
    today
        Later days are the future; None = today in the case's time zone.
    bars
        Asked for whom to tell about each file.

    Raises
    ------
    FileRefused
        A file, or a table with it, breaks the contract; faults of all files; nothing was changed.
    CallError
        RC310, RC313: no such file, or it may not be read.
    CaseError, StoreError
        As in `add_relations`.
    """
    case.refresh()
    salt = case.config.salt
    if "touches" in tables and not salt:
        salt = salt_of(sha256_of(tables["touches"]))
    known = case.config.connections
    admitted = admit_all(tables, case.rules(today), salt, whole=False, connections=known, bars=bars)
    return add_relations(case, admitted, salt=salt, today=today)


def add_relation(
    case: CaseFolder, table: TableName, admitted: Admitted, *, salt: str = "", today: date | None = None
) -> Addition:
    """`add_relations` with one table."""
    return add_relations(case, {table: admitted}, salt=salt, today=today)[0]


def add_relations(
    case: CaseFolder, admitted: Mapping[TableName, Admitted], *, salt: str = "", today: date | None = None
) -> tuple[Addition, ...]:
    """Append admitted rows to tables of a case, or replace those with the same key; all tables or none.

    New data files stand beside the old ones until `case.toml` names them, in one step: whatever interrupts leaves the
    old state, and whoever reads sees the old one or the new one whole.

    Parameters
    ----------
    case
        Refreshed to what is stored now, before and after.
    admitted
        Canonical table -> rows, checked by themselves (`admit` with `whole=False`), under the case's cadence and time
        zone; customers hashed with the case's salt, or with `salt` where the case has none.
    today
        For the history of `daily`, judged together with what is there; None = today in the case's time zone.

    Returns
    -------
    One per table, in the order of the contract.

    Raises
    ------
    FileRefused
        A table with the new rows breaks the contract; nothing was changed.
    CaseError
        RC205, RC207, RC209: a table that is there cannot be read; RC206, RC211-RC213: the disk refuses, nothing was
        changed; RC210: it was changed, but the disk did not confirm it; RC214: case.toml cannot take the change.
    StoreError
        RC403, RC404: another process is writing, or the place knows no locks; RC412: what the case declares was changed
        while the rows were read; nothing was changed.
    """
    declared = case.config
    try:
        with durable.only_writer(case.folder):
            case.refresh()
            if not _same_ground(declared, case.config, salt if "touches" in admitted else None):
                raise StoreError("RC412")
            durable.sync_folder(case.folder, "case folder")  # before anything goes that an older case.toml named
            _clear_unnamed(case.folder)
            done, merged = _judged(case, admitted, today)
            _commit(case, admitted, merged, salt)
            _clear_unnamed(case.folder)
    except OSError as error:
        raise durable.refused(error, case.folder, CaseError) from error
    return done


def _same_ground(then: CaseConfig, now: CaseConfig, salt: str | None) -> bool:
    """Whether rows admitted under `then` may join a case that declares `now`; salt None = no customers among them."""
    salted = salt is None or not now.salt or (then.salt or salt) == now.salt
    return salted and (then.cadence, then.timezone) == (now.cadence, now.timezone)


def _judged(
    case: CaseFolder, admitted: Mapping[TableName, Admitted], today: date | None
) -> tuple[tuple[Addition, ...], dict[TableName, pa.Table]]:
    """The tables as they would be, and what is to be said about them."""
    done: list[Addition] = []
    relations: dict[TableName, pa.Table] = {}
    for table in TABLE_NAMES:
        if table not in admitted:
            continue
        new = admitted[table]
        name = ", ".join(new.original[-1:])
        merged, added, revised = _merged(table, case.relation(table), new.relation)
        faults = list(new.faults)
        if table == "daily":
            found = history_faults(merged, case.rules(today), name)
            refusals = [fault for fault in found if fault.severity == "refuse"]
            if refusals:
                raise FileRefused(refusals)
            faults += found
        if revised:
            args = {"count": str(len(revised)), "example": revised[0]}
            faults.append(Fault("RC178", "note", name, args=args))
        relations[table] = merged
        done.append(Addition(table, added, len(revised), merged.num_rows, tuple(revised), tuple(faults)))
    return tuple(done), relations


def _commit(
    case: CaseFolder, admitted: Mapping[TableName, Admitted], merged: Mapping[TableName, pa.Table], salt: str
) -> None:
    """Write the new data files, then let `case.toml` name them: one rename commits."""
    data, place = case.folder / DATA, case.folder / FILE_NAME
    waiting = case.folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
    files = {table: data / f"{table}.{secrets.token_hex(4)}.parquet" for table in merged}
    try:
        text = read_text(case.folder)
        durable.make_folder(data, "data folder")
        sources = {table: case.proven(table) for table in case.config.tables}
        for table, relation in merged.items():
            before = case.config.tables.get(table)
            sources[table] = stored_source(admitted[table], relation, files[table], before)
        changed = replace(case.config, tables=sources, salt=case.config.salt or salt, store_version=STORE_VERSION)
        durable.write_bytes(with_sources(text, changed).encode("utf-8"), waiting, "case.toml")
        durable.sync_folder(data, "data folder")
        durable.rename(waiting, place, "case.toml")
    except BaseException:
        # The old files stay: an interruption right after the renaming is one that the disk has not confirmed.
        _clear_unnamed(case.folder, {source.file for source in case.config.tables.values()})
        raise
    case.refresh(merged)
    durable.confirm(case.folder, "case folder", CaseError)


def _clear_unnamed(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove our files that `case.toml` does not name, but those `kept`; for the holder of the lock only.

    What cannot be removed now harms nobody and goes with the next addition.
    """
    with suppress(OSError, CaseError, StoreError):
        names = {*kept, *(source.file for source in read_config(folder).tables.values())}
        for path in (folder / DATA).iterdir():
            if _DATA_FILE.fullmatch(path.name) and path.name not in names:
                durable.remove(path, "unnamed data file")
        for path in folder.iterdir():
            if _WAITING_CONFIG.fullmatch(path.name):
                durable.remove(path, "unnamed case.toml")


def _merged(table: TableName, old: pa.Table | None, new: pa.Table) -> tuple[pa.Table, int, list[str]]:
    """Old rows without those that are replaced, then the new ones; how many are new, and keys that changed."""
    if old is None:
        return new, new.num_rows, []
    names = [name for name in TABLES[table].names if name in old.column_names or name in new.column_names]
    keys = [name for name in TABLES[table].key if name in names]
    ties = [named(name) for name in TABLES[table].ties if name in names]
    # The rows of one key stand for those that were there, the first for the first.
    order = f"PARTITION BY {', '.join(named(key) for key in keys)} ORDER BY {', '.join(ties)}"
    place = f"row_number() OVER ({order})" if ties else "1"
    with locked_engine() as connection:
        for label, relation in (("old", old), ("new", new)):
            full = relation
            for name in names:
                if name not in relation.column_names:
                    kind = (old if name in old.column_names else new).schema.field(name).type
                    full = full.append_column(name, pa.nulls(relation.num_rows, kind))
            connection.register(f"{label}_given", full.select(names))
            connection.execute(
                f"CREATE TABLE {label}_rows AS SELECT *, row_number() OVER () AS n, {place} AS place FROM {label}_given"
            )
        key = " AND ".join(f"o.{named(key)} IS NOT DISTINCT FROM n.{named(key)}" for key in keys)
        same = f"{key} AND o.place = n.place"
        rest = [name for name in names if name not in keys]
        # A file that lacks a column, or leaves a cell blank, says nothing about it: the old value stays.
        stated = [name for name in rest if name in new.column_names]
        differs = " OR ".join(f"coalesce(o.{named(c)} <> n.{named(c)}, n.{named(c)} IS NOT NULL)" for c in stated)
        label = " || ' ' || ".join(f"coalesce(CAST(n.{named(key)} AS VARCHAR), 'all')" for key in keys)
        revised = [
            str(row[0])
            for row in connection.execute(
                f"SELECT {label} FROM old_rows o JOIN new_rows n ON {same} WHERE {differs or 'false'} ORDER BY n.n"
            ).fetchall()
        ]
        replaced = connection.execute(f"SELECT count(*) FROM old_rows o JOIN new_rows n ON {same}").fetchall()[0][0]
        kept = ", ".join(f"o.{named(name)}" for name in names)
        taken = ", ".join(
            f"n.{named(name)}" if name in keys else f"coalesce(n.{named(name)}, o.{named(name)}) AS {named(name)}"
            for name in names
        )
        merged = connection.sql(
            f"""SELECT {", ".join(named(name) for name in names)} FROM (
                SELECT {kept}, 0 AS part, o.n AS n FROM old_rows o ANTI JOIN new_rows n ON {key}
                UNION ALL
                SELECT {taken}, 1 AS part, n.n AS n FROM new_rows n LEFT JOIN old_rows o ON {same}
            ) ORDER BY part, n"""
        ).to_arrow_table()
    return merged, new.num_rows - int(replaced), revised
