"""What one file is: a canonical table, an export of a known product, the totals of a shop, or nothing we know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import duckdb

from rechannel.source.admit import canonical_rows
from rechannel.source.archive import is_archive, unpacked
from rechannel.source.checks import Rules
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.engine import locked_engine
from rechannel.source.export import Export, Reason
from rechannel.source.faultlist import FaultList
from rechannel.source.headers import Product, recognised
from rechannel.source.join import Piece
from rechannel.source.logs import Log
from rechannel.source.mapping import bare, synonyms
from rechannel.source.progress import Progress
from rechannel.source.read import Header, load_raw, split_part
from rechannel.source.shape import shape
from rechannel.vocabulary.channel import METRICS, WHOLE_SHOP, Channel

Unplaced = Literal["", "unknown", "several", "suffix", "twice"]


@dataclass(frozen=True, slots=True)
class ReadFile:
    """How one file was taken.

    Attributes
    ----------
    label
        `product/export@version`, `table NAME` for a canonical table, empty when it could not be placed.
    names
        What it is, by language; empty for canonical tables.
    rows
        Rows it gives.
    read
        Canonical column -> header.
    left
        Header -> why it was not read, of those that look like a metric and are none.
    unplaced, candidates
        Why it was left aside, empty when it was read; the exports it may be, or the file it repeats.
    header
        Names of its columns.
    branches
        Words that stand in several branches of its tree of sources.
    """

    file: str
    label: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    read: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, Reason] = field(default_factory=dict)
    unplaced: Unplaced = ""
    candidates: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    branches: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Taken:
    """One file: how it was taken, its rows, its visits and orders when it is a log, and what is to be said."""

    file: ReadFile
    pieces: tuple[Piece, ...]
    log: Log | None
    faults: FaultList
    export: Export | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What every file is read with.

    Attributes
    ----------
    rules, products, salt, connections
        Rules of the case, mapping files, salt of customers, `[connections]` of case.toml.
    channels
        Descriptions by the user.
    branches
        Words that several branches of a source tree share in other files.
    """

    rules: Rules
    products: Sequence[Product]
    channels: Sequence[Channel]
    salt: str
    connections: Mapping[str, object]
    branches: frozenset[str] = frozenset()

    @property
    def sheets(self) -> frozenset[str]:
        """Sheets that mapping files name, in workbooks of several."""
        return frozenset(name for one in self.products for export in one.exports for name in export.sheets)

    def channels_of(self, export: Export) -> tuple[Channel, ...]:
        """The user's channels, then those of the export's product and of the other products of its host."""
        own = [one for one in self.products if one.name == export.product]
        hosts = {one.host for one in own if one.host}
        beside = [one for one in self.products if one.host in hosts and one not in own]
        return (*self.channels, *(channel for product in (*own, *beside) for channel in product.channels))


def read_members(
    path: Path, sha256: str, reading: Reading, table: TableName | None, progress: Progress | None = None
) -> Iterator[Taken]:
    """What a file gives; every file of an archive in turn.

    Parameters
    ----------
    table
        Canonical table that the user says it is; None = to be found out.
    progress
        Told how far the reading has come.
    """
    if not is_archive(path):
        yield _read(path, path.name, sha256, reading, table, progress)
        return
    whole = FaultList(path.name)
    with unpacked(path, whole) as members:
        if whole.refusals:
            yield Taken(ReadFile(path.name), (), None, whole)
        for member in members:
            yield _read(member, f"{path.name}/{member.name}", sha256, reading, table, progress)


def _read(
    path: Path, name: str, sha256: str, reading: Reading, table: TableName | None, progress: Progress | None
) -> Taken:
    """One file: what it is, and its rows; refusals are in its faults."""
    faults = FaultList(name)
    place, part = split_part(path)
    with locked_engine([place]) as connection:
        header = load_raw(
            connection,
            place,
            faults,
            part=part,
            preferred=reading.sheets,
            connections=reading.connections,
            progress=progress,
        )
        if header is None:
            return Taken(ReadFile(name), (), None, faults)
        table = table or canonical_table(header.names, exactly=True)
        exports = () if table else recognised(header.names, reading.products, name)
        table = table or (None if exports else canonical_table(header.names, exactly=False))
        if table:
            return _canonical(connection, name, sha256, header, table, reading, faults)
        exports = exports or _shop_totals(header.names)
        if len(exports) != 1:
            labels = tuple(export.label for export in exports)
            unplaced: Unplaced = "several" if labels else "unknown"
            file = ReadFile(name, unplaced=unplaced, candidates=labels, header=header.names)
            return Taken(file, (), None, FaultList(name))
        export = exports[0]
        shaped = shape(
            connection,
            header,
            export,
            reading.channels_of(export),
            reading.rules,
            faults,
            salt=reading.salt,
            branches=reading.branches,
        )
    if shaped is None or faults.refusals:
        return Taken(ReadFile(name, export.label, export.names), (), None, faults, export)
    pieces = tuple(Piece(export, kind, (name,), (sha256,), relation) for kind, relation in shaped.relations.items())
    rows = sum(piece.relation.num_rows for piece in pieces) + (shaped.log.rows if shaped.log else 0)
    file = ReadFile(
        name,
        export.label,
        export.names,
        rows,
        shaped.read,
        shaped.left,
        header=header.names,
        branches=shaped.branches,
    )
    return Taken(file, pieces, shaped.log, faults, export, sha256)


def _canonical(
    connection: duckdb.DuckDBPyConnection,
    file: str,
    sha256: str,
    header: Header,
    table: TableName,
    reading: Reading,
    faults: FaultList,
) -> Taken:
    """A file that is a canonical table, under canonical names or usual ones."""
    rules = replace(reading.rules, channels=tuple(reading.channels))
    made = canonical_rows(connection, header, table, rules, faults, whole=False, salt=reading.salt)
    label = f"table {table}"
    if made is None:
        return Taken(ReadFile(file, label), (), None, faults)
    relation, _, read = made
    export = Export("table", table, 1, {}, table, role="table")
    piece = Piece(export, table, (file,), (sha256,), relation)
    return Taken(ReadFile(file, label, {}, relation.num_rows, read), (piece,), None, faults, export)


def canonical_table(header: Sequence[str], *, exactly: bool) -> TableName | None:
    """The canonical table whose required columns are all here, the one that knows most of the header; None if none.

    Parameters
    ----------
    exactly
        Whether canonical names only count, or the usual other names too.
    """
    best: tuple[int, TableName] | None = None
    for table in TABLE_NAMES:
        own = TABLES[table].names
        placed = [name if exactly else synonyms(table).get(bare(name), "") for name in map(_folded_name, header)]
        found = {name for name in placed if name in own}
        required = {column.name for column in TABLES[table].columns if column.required}
        if required <= found and (best is None or len(found) > best[0]):
            best = (len(found), table)
    return best[1] if best else None


def _folded_name(name: str) -> str:
    return name.strip().lower()


def _shop_totals(header: Sequence[str]) -> tuple[Export, ...]:
    """A table with a day and metrics but no channel: what is known for the whole shop."""
    known = synonyms("daily")
    columns: dict[str, tuple[str, ...]] = {}
    for name in header:
        canonical = known.get(bare(name), "")
        if canonical:
            columns[canonical] = (*columns.get(canonical, ()), name)
    metrics = [name for name in columns if name in METRICS]
    if "date" not in columns or not metrics or "channel" in columns:
        return ()
    first = {name: spellings[:1] for name, spellings in columns.items()}
    constants = {"channel": WHOLE_SHOP}
    return (Export("table", "daily_total", 1, {}, "daily", role="shop", columns=first, constants=constants),)
