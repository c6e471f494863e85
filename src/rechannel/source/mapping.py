"""Which column of a file is which canonical column."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from rechannel.source.contract import TABLES, TableName
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import folded
from rechannel.vocabulary.errors import nearest


@dataclass(frozen=True, slots=True)
class HeaderMapping:
    """Canonical column -> position in the file, and the name it has there."""

    positions: Mapping[str, int]
    names: Mapping[str, str]


@cache
def synonyms(table: TableName) -> dict[str, str]:
    """Bare name -> canonical column of one table."""
    source = files("rechannel.source").joinpath("mappings", "columns.toml")
    known: dict[str, list[str]] = tomllib.loads(source.read_text(encoding="utf-8")).get(table, {})
    found = {bare(name): canonical for canonical, names in known.items() for name in names}
    return found | {bare(name): name for name in TABLES[table].names}


_UNIT = re.compile(r"\((?:元|人|次|件|个|個|笔|筆|单|單|cny|rmb|¥)\)$")


def bare(name: str) -> str:
    """A header name as spellings are compared: folded, and without a unit such as (元)."""
    return _UNIT.sub("", folded(name))


def map_header(header: Sequence[str], table: TableName, line: int, faults: FaultList) -> HeaderMapping:
    """Place every header name, and note what was renamed, unknown, missing or there twice.

    A canonical name always wins over a synonym: a file with both `visits` and `UV` keeps `visits` and ignores `UV`.
    Two synonyms of one column are refused, because choosing one would be a guess.
    """
    positions: dict[str, int] = {}
    renamed: dict[str, str] = {}
    wanted = TABLES[table]
    known = synonyms(table)
    exact = {name for name in header if name in wanted.names}
    unknown: list[str] = []
    for position, name in enumerate(header):
        canonical = name if name in exact else known.get(bare(name), "")
        if not canonical or (name not in exact and canonical in exact):
            unknown.append(name or f"#{position + 1}")
        elif canonical in positions:
            faults.add("RC111", "refuse", line=line, column=canonical, first=header[positions[canonical]], second=name)
        else:
            positions[canonical] = position
            if name != canonical:
                renamed[canonical] = name
    if renamed:
        pairs = ", ".join(f"{name} → {canonical}" for canonical, name in renamed.items())
        faults.add("RC118", "warning", line=line, pairs=pairs)
    for name in unknown:
        faults.add("RC119", "warning", line=line, column=name, nearest=nearest(name, wanted.names))
    for column in wanted.columns:
        if column.name in positions:
            continue
        if column.required:
            faults.add("RC110", "refuse", line=line, column=column.name, header=", ".join(header[:20]))
        elif column.absent:
            code, severity = ("RC169", "warning") if column.absent == "warning" else ("RC170", "note")
            faults.add(code, "warning" if severity == "warning" else "note", column=column.name)
    return HeaderMapping(positions, {name: header[position] for name, position in positions.items()})
