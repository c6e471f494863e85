"""Files of any kind become the tables of a case: each is recognised, placed, and joined with the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rechannel.source.admit import Admitted, history_faults
from rechannel.source.checks import Rules
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.faultlist import FaultList
from rechannel.source.join import JoinedPanel, Origin, Piece, join_daily, stack
from rechannel.source.mapping import bare
from rechannel.source.placing import ReadFile, Reading, read_members
from rechannel.source.products import Counts, Export, Product
from rechannel.source.progress import Bars
from rechannel.source.read import file_sha256, split_part
from rechannel.vocabulary.channel import METRICS, WHOLE_SHOP, Channel, Metric
from rechannel.vocabulary.errors import CallError, Fault, FileRefused

SUFFIXES = frozenset(
    {
        *(".csv", ".tsv", ".txt", ".xlsx", ".xls", ".xlsm", ".parquet", ".pq"),
        *(".json", ".jsonl", ".ndjson", ".duckdb", ".zip", ".sql"),
    }
)
"""What is read of a folder; other files in it are named and left."""
ALIKE_SHOWN = {"refuse": 20, "warning": 3, "note": 1}
"""Files for which one and the same remark is printed; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A metric that is missing, or known for the whole shop only, and the exports that would supply it."""

    metric: Metric
    whole_shop: bool
    exports: tuple[Export, ...]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the files gave.

    Attributes
    ----------
    tables
        Canonical tables, whole.
    files
        How each file was taken, in order.
    origins
        Which export each metric of `daily` came from.
    lacks
        Metrics of `daily` that are missing per channel.
    counts
        What visits count.
    channels
        Descriptions of the channels of `daily` that a mapping file knows.
    salt
        With which customers were hashed.
    """

    tables: Mapping[TableName, Admitted]
    files: tuple[ReadFile, ...]
    origins: tuple[Origin, ...]
    lacks: tuple[Lack, ...]
    counts: Counts
    channels: tuple[Channel, ...]
    faults: tuple[Fault, ...]
    salt: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The mapping files that were used: `product/export@version`."""
        return tuple(sorted({file.label for file in self.files if file.names and not file.unplaced}))


def files_of(given: Sequence[Path]) -> list[Path]:
    """The files given, and those below the folders given, by name; CallError RC310 when one is not there."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = (one for one in path.rglob("*") if one.is_file())
            found += sorted(one for one in inside if not one.name.startswith((".", "~$")))
        elif split_part(path)[0].is_file():
            found.append(path)
        else:
            raise CallError("RC310", path=str(path))
    return found


def assemble(
    given: Sequence[Path],
    rules: Rules,
    *,
    products: Sequence[Product],
    tables: Mapping[TableName, Path] | None = None,
    channels: Sequence[Channel] = (),
    existing: pa.Table | None = None,
    salt: str = "",
    connections: Mapping[str, object] | None = None,
    bars: Bars | None = None,
) -> Assembly:
    """Read every file, place it, and join all that is daily into one panel.

    Parameters
    ----------
    given
        Files and folders.
    rules
        What the case declares.
    products
        Mapping files, those of the user first.
    tables
        Files that the user names as canonical tables.
    channels
        Descriptions by the user; their aliases win over those of the mapping files.
    existing
        The panel of a case that the files are an addition to; None for a new case.
    salt
        Salt of the customer hash; empty = made of the files.
    connections
        The `[connections]` of case.toml, for `.sql` files.
    bars
        Asked for whom to tell about each file.

    Raises
    ------
    FileRefused
        A file that was recognised breaks the contract, or the joined panel does; the faults of all files.
    CallError
        RC310: no such file; RC711: nothing could be placed, with every header.
    """
    named = {path: table for table, path in (tables or {}).items()}
    paths = files_of([*given, *named])
    hashes = {path: file_sha256(split_part(path)[0]) for path in paths}
    salt = salt or hashlib.sha256("".join(["salt:", *sorted(hashes.values())]).encode()).hexdigest()
    known = _channels_of(products, channels)
    reading = Reading(rules, products, known, salt, connections or {})
    files: list[ReadFile] = []
    pieces: list[Piece] = []
    refused: list[Fault] = []
    said: list[Fault] = []
    for place, path in enumerate(paths):
        if path not in (*given, *named) and not SUFFIXES.intersection(path.suffixes or (path.suffix.lower(),)):
            files.append(ReadFile(path.name, unplaced="suffix"))
            continue
        tell = bars(path.name, place, len(paths)) if bars else None
        for read, parts, faults in read_members(path, hashes[path], reading, named.get(path), tell):
            files.append(read)
            pieces += parts
            refused += faults.refused()
            said += () if faults.refusals else _as_expected(read, faults.ordered())
    if refused:
        raise FileRefused(refused)
    if not pieces:
        listed = "; ".join(f"{one.file}: {', '.join(one.header[:12])}" for one in files[:10])
        raise CallError("RC711", files=listed or "-")
    joint = FaultList("daily")
    admitted, panel = _join(pieces, existing, joint)
    if joint.refusals:
        raise FileRefused(joint.refused())
    lacks: tuple[Lack, ...] = ()
    if panel is not None:
        said = [fault for fault in said if fault.code not in ("RC169", "RC170")]
        lacks = _lacks(panel.relation, pieces, products)
        if existing is None:
            _absent(panel.relation, joint)
            history = history_faults(panel.relation, rules, "daily")
            if any(fault.severity == "refuse" for fault in history):
                raise FileRefused([fault for fault in history if fault.severity == "refuse"])
            said += history
    described = _described(panel.relation if panel is not None else None, known)
    origins, counts = (panel.origins, panel.counts) if panel is not None else ((), "")
    faults_of_all = (*_alike(said), *joint.ordered())
    return Assembly(admitted, tuple(files), origins, lacks, counts, described, faults_of_all, salt)


def _channels_of(products: Sequence[Product], own: Sequence[Channel]) -> tuple[Channel, ...]:
    """The user's channels, then those of the mapping files that no user's channel claims."""
    taken = {bare(name) for channel in own for name in (channel.channel_id, *channel.aliases)}
    shipped = (channel for product in products for channel in product.channels)
    free = (one for one in shipped if taken.isdisjoint(bare(name) for name in (one.channel_id, *one.aliases)))
    return (*own, *free)


def _as_expected(read: ReadFile, faults: Sequence[Fault]) -> list[Fault]:
    """A title above the header is a warning in a file of unknown make, and nothing new in a product's export."""
    known = {"RC149"} if read.names else set()
    return [replace(fault, severity="note") if fault.code in known else fault for fault in faults]


def _join(
    pieces: Sequence[Piece], existing: pa.Table | None, faults: FaultList
) -> tuple[dict[TableName, Admitted], JoinedPanel | None]:
    """Stack the files of one kind; join the kinds of `daily`."""
    tables: dict[TableName, Admitted] = {}
    panel: JoinedPanel | None = None
    for table in TABLE_NAMES:
        here = [piece for piece in pieces if piece.table == table]
        if not here:
            continue
        labels = list(dict.fromkeys(piece.export.label for piece in here))
        stacked, dropped = [], 0
        for label in labels if table == "daily" else [""]:
            alike = [piece for piece in here if not label or piece.export.label == label]
            rows, repeats = stack(table, alike, faults)
            stacked.append((alike[0].export, rows))
            dropped += repeats
        if faults.refusals:
            continue
        relation = stacked[0][1]
        if table == "daily":
            panel = join_daily(stacked, existing, faults)
            if panel is None:
                faults.add("RC712", "refuse")
                continue
            relation = panel.relation
        original, hashes = tuple(piece.file for piece in here), tuple(piece.sha256 for piece in here)
        tables[table] = Admitted(table, relation, (), original, hashes, dropped)
    return tables, panel


def _absent(relation: pa.Table, faults: FaultList) -> None:
    """Say which columns no file gave."""
    for column in TABLES["daily"].columns:
        if column.absent and column.name not in relation.column_names:
            code, severity = ("RC169", "warning") if column.absent == "warning" else ("RC170", "note")
            faults.add(code, "warning" if severity == "warning" else "note", column=column.name)


def _lacks(relation: pa.Table, pieces: Sequence[Piece], products: Sequence[Product]) -> tuple[Lack, ...]:
    """Metrics that are not known per channel, with the exports of the same products that tell them."""
    used = {piece.export.product for piece in pieces}
    used_labels = {piece.export.label for piece in pieces}
    own = relation.filter(pc.not_equal(relation["channel"], WHOLE_SHOP))
    lacks = []
    for metric in METRICS:
        measured = metric in relation.column_names
        if measured and own[metric].null_count < own.num_rows:
            continue
        whole = measured and relation[metric].null_count < relation.num_rows
        supplying = [
            export
            for product in products
            for export in product.exports
            if metric in export.gives
            and export.label not in used_labels
            and (export.by_channel or not whole)
            and (product.name in used)
        ]
        lacks.append(Lack(metric, whole, tuple(supplying)))
    return tuple(lacks)


def _described(panel: pa.Table | None, known: Sequence[Channel]) -> tuple[Channel, ...]:
    """What the mapping files and the user say of the channels that the panel has."""
    if panel is None:
        return ()
    there = set(pc.unique(panel["channel"]).to_pylist())
    found: list[Channel] = []
    for channel in known:
        if channel.channel_id in there and all(channel.channel_id != other.channel_id for other in found):
            found.append(channel)
    by_name = {channel.channel_id: channel for channel in known}
    aliased = {bare(alias): channel for channel in known for alias in channel.aliases}
    for name in sorted(there - set(by_name) - {WHOLE_SHOP}):
        meant = aliased.get(bare(name))
        if meant is not None:
            found.append(replace(meant, channel_id=name, aliases=()))
    return tuple(found)


def _alike(faults: Sequence[Fault]) -> list[Fault]:
    """One and the same remark about many files: the first ones, then how many more."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.code, fault.column), []).append(fault)
    kept: list[Fault] = []
    for (code, _), alike in groups.items():
        files = list(dict.fromkeys(fault.file for fault in alike))
        kept += [fault for fault in alike if fault.file in files[: ALIKE_SHOWN[alike[0].severity]]]
        if len(files) > ALIKE_SHOWN[alike[0].severity]:
            args = {"code": code, "count": str(len(files) - ALIKE_SHOWN[alike[0].severity])}
            kept.append(replace(alike[0], code="RC710", line=0, args=args))
    return kept
