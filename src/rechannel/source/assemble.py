"""Files of any kind become the tables of a case: each is recognised, placed, and joined with the others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rechannel.source.admit import Admitted, history_faults
from rechannel.source.archive import is_litter
from rechannel.source.caveats import channel_notes
from rechannel.source.checks import Rules
from rechannel.source.contract import TABLE_NAMES, TABLES, TableName
from rechannel.source.export import Counts, Export, as_counts
from rechannel.source.faultlist import FaultList
from rechannel.source.headers import Product
from rechannel.source.join import JoinedPanel, Origin, Piece, join_daily, stack
from rechannel.source.logs import log_tables
from rechannel.source.mapping import bare
from rechannel.source.placement import BRANCH
from rechannel.source.placing import ReadFile, Reading, Taken, Unplaced, read_members
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
EXPECTED = frozenset({"RC117", "RC146", "RC149", "RC151", "RC180"})
"""Remarks that are nothing new in an export that a mapping file describes: tabs, sheets, titles, `-`, epoch times."""
_COPY = re.compile(r"\s*[(（]\d+[)）]$|\s*- (?:副本|Copy)$")
"""What a second download adds to a name."""


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
            found += sorted(one for one in inside if not is_litter(one.name))
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
    counts: str = "",
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
    counts
        What its visits count, as `case.toml` says; a word that exports do not know is taken for none.
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
    paths = list(dict.fromkeys(files_of([*given, *named])))
    hashes = {path: file_sha256(split_part(path)[0]) for path in paths}
    salt = salt or hashlib.sha256("".join(["salt:", *sorted(hashes.values())]).encode()).hexdigest()
    reading = Reading(rules, products, channels, salt, connections or {}, _branches_of(existing))
    taken = _read_all(paths, hashes, reading, set(given), named, bars)
    refused = [fault for one in taken for fault in one.faults.refused()]
    if refused:
        raise FileRefused(refused)
    if not any(one.pieces or one.log for one in taken):
        listed = "; ".join(f"{one.file.file}: {', '.join(one.file.header[:12])}" for one in taken[:10])
        raise CallError("RC711", files=listed or "-")
    joint = FaultList("daily")
    pieces = [*(piece for one in taken for piece in one.pieces), *_log_pieces(taken, joint)]
    joined = _join(pieces, existing, as_counts(counts), joint)
    if joint.refusals:
        raise FileRefused(joint.refused())
    said = [fault for one in taken for fault in _as_expected(one)]
    lacks: tuple[Lack, ...] = ()
    panel = joined.panel
    known = {piece.export.label: reading.channels_of(piece.export) for piece in pieces}
    if panel is not None:
        said = [fault for fault in said if fault.code not in ("RC169", "RC170")]
        lacks = _lacks(panel.relation, pieces, products)
        channel_notes(joined.stacked, known, panel.relation, joint)
        if existing is None:
            _absent(panel.relation, joint)
            history = history_faults(panel.relation, rules, "daily")
            if any(fault.severity == "refuse" for fault in history):
                raise FileRefused([fault for fault in history if fault.severity == "refuse"])
            said += history
    described = _described(panel, joined.stacked, known)
    origins, counted = (panel.origins, panel.counts) if panel is not None else ((), "")
    faults_of_all = (*_alike(said), *joint.ordered())
    files = tuple(one.file for one in taken)
    return Assembly(joined.tables, files, origins, lacks, counted, described, faults_of_all, salt)


def _read_all(
    paths: Sequence[Path],
    hashes: Mapping[Path, str],
    reading: Reading,
    given: set[Path],
    named: Mapping[Path, TableName],
    bars: Bars | None,
) -> list[Taken]:
    """Every file in turn; those of one export once more when their trees must name a branch alike."""
    by_path: dict[Path, list[Taken]] = {}
    downloads: dict[tuple[str, ...], Path] = {}
    for place, path in enumerate(paths):
        download = (hashes[path], _COPY.sub("", path.stem), path.suffix.lower(), named.get(path, ""))
        first = downloads.setdefault(download, path)
        if path not in given and path not in named and not SUFFIXES.intersection(map(str.lower, path.suffixes)):
            by_path[path] = [_left_aside(path, "suffix")]
        elif first != path:
            by_path[path] = [_left_aside(path, "twice", first.name)]
        else:
            tell = bars(path.name, place, len(paths)) if bars else None
            by_path[path] = list(read_members(path, hashes[path], reading, named.get(path), tell))
    branches: dict[str, frozenset[str]] = {}
    for one in (one for taken in by_path.values() for one in taken):
        branches[one.file.label] = branches.get(one.file.label, frozenset()) | one.file.branches
    for path, taken in by_path.items():
        words = frozenset[str]().union(*(branches[one.file.label] for one in taken))
        if any(one.file.branches != branches[one.file.label] for one in taken):
            again = replace(reading, branches=reading.branches | words)
            by_path[path] = list(read_members(path, hashes[path], again, named.get(path)))
    return [one for taken in by_path.values() for one in taken]


def _left_aside(path: Path, why: Unplaced, *others: str) -> Taken:
    return Taken(ReadFile(path.name, unplaced=why, candidates=others), (), None, FaultList(path.name))


def _branches_of(existing: pa.Table | None) -> frozenset[str]:
    """Words for which the panel that is there names the whole path of a source."""
    names = pc.unique(existing["channel"]).to_pylist() if existing is not None else []
    return frozenset(str(name).rpartition(BRANCH)[2] for name in names if BRANCH in str(name))


def _log_pieces(taken: Sequence[Taken], faults: FaultList) -> list[Piece]:
    """The logs of each export, joined over its files, as rows."""
    logs: dict[str, list[Taken]] = {}
    for one in taken:
        if one.log is not None:
            logs.setdefault(one.file.label, []).append(one)
    found = []
    for alike in logs.values():
        export = alike[0].export
        assert export is not None
        names, given = tuple(one.file.file for one in alike), tuple(one.sha256 for one in alike)
        relations = log_tables(export, [(one.file.file, one.log) for one in alike if one.log is not None], faults)
        found += [Piece(export, table, names, given, relation) for table, relation in relations.items()]
    return found


def _as_expected(one: Taken) -> list[Fault]:
    """What is to be said about a file; what its mapping file announces is nothing new."""
    known = EXPECTED if one.export is not None and one.file.names else frozenset[str]()
    faults = one.faults.ordered()
    return [replace(fault, severity="note") if fault.code in known else fault for fault in faults]


@dataclass(frozen=True, slots=True)
class _Joined:
    """The tables, the panel, and the daily rows of each export."""

    tables: Mapping[TableName, Admitted]
    panel: JoinedPanel | None
    stacked: Sequence[tuple[Export, pa.Table]]


def _join(pieces: Sequence[Piece], existing: pa.Table | None, counts: Counts, faults: FaultList) -> _Joined:
    """Stack the files of one kind; join the kinds of `daily`."""
    tables: dict[TableName, Admitted] = {}
    panel: JoinedPanel | None = None
    daily: list[tuple[Export, pa.Table]] = []
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
            panel, daily = join_daily(stacked, existing, counts, faults), stacked
            if panel is None:
                faults.add("RC712", "refuse")
                continue
            relation = panel.relation
        pairs = [pair for piece in here for pair in zip(piece.files, piece.sha256, strict=True)]
        names, hashes = zip(*dict.fromkeys(pairs), strict=True)
        tables[table] = Admitted(table, relation, (), names, hashes, dropped)
    return _Joined(tables, panel, daily)


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


def _described(
    panel: JoinedPanel | None, stacked: Sequence[tuple[Export, pa.Table]], known: Mapping[str, Sequence[Channel]]
) -> tuple[Channel, ...]:
    """What the mapping files and the user say of the channels that the panel has, each from the export that has it."""
    if panel is None:
        return ()
    there = set(pc.unique(panel.relation["channel"]).to_pylist())
    found: dict[str, Channel] = {}
    for export, table in stacked:
        mine = there & set(pc.unique(table["channel"]).to_pylist()) - set(found) - {WHOLE_SHOP}
        by_name: dict[str, Channel] = {}
        for channel in known[export.label]:
            before = by_name.get(channel.channel_id)
            by_name[channel.channel_id] = channel if before is None else _described_by(before, channel)
        aliased = {bare(alias): channel for channel in reversed(known[export.label]) for alias in channel.aliases}
        for name in sorted(mine):
            if name in by_name:
                found[name] = by_name[name]
            elif bare(name) in aliased:
                found[name] = replace(aliased[bare(name)], channel_id=name, aliases=())
    return tuple(found.values())


def _described_by(own: Channel, other: Channel) -> Channel:
    """A channel of the user's, with what another description says of the rest."""
    names = {**other.names, **own.names}
    aliases = tuple(dict.fromkeys((*own.aliases, *other.aliases)))
    return replace(own, names=names, host=own.host or other.host, kind=own.kind or other.kind, aliases=aliases)


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
