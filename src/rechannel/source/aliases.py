"""Names under which exports mention one entry become one channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from rechannel.source.cells import TYPED
from rechannel.source.engine import named, quoted
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import Channel, folded

_FORMERLY = re.compile(r"\((?:原|formerly).+\)$")
"""`关键词推广(原直通车)`: a product states the former name of an entry behind the new one."""


def channel_of(name: str, known: Mapping[str, str]) -> str:
    """The channel that a name means, else the name without its former one.

    Parameters
    ----------
    known
        As `names_of` gives it.

    Examples
    --------
    >>> channel_of("直通车", names_of([Channel("关键词推广", aliases=("直通车",))]))
    '关键词推广'
    >>> channel_of("全站推(原货品推)", {})
    '全站推'
    """
    spelling = folded(name)
    newest = _FORMERLY.sub("", spelling)
    if spelling in known or newest in known:
        return known.get(spelling) or known[newest]
    return name if newest == spelling else re.split(r"\s*[(（](?:原|formerly)", name)[0]


def names_of(channels: Sequence[Channel]) -> dict[str, str]:
    """Folded name or alias -> channel; the first of `channels` that claims a name has it.

    Where one channel is itself another name of a second one, its names are those of the second.

    Examples
    --------
    >>> names_of([Channel("ads", aliases=("关键词推广",)), Channel("关键词推广", aliases=("直通车",))])["直通车"]
    'ads'
    """
    claimed: dict[str, str] = {}
    for channel in channels:
        for name in (*channel.aliases, channel.channel_id):
            claimed.setdefault(folded(name), channel.channel_id)
    found = {}
    for name, meant in claimed.items():
        seen = {name}
        while folded(meant) not in seen:
            seen.add(folded(meant))
            meant = claimed[folded(meant)]
        found[name] = meant
    return found


def with_known_names(relation: pa.Table, channels: Sequence[Channel]) -> tuple[pa.Table, dict[str, list[str]]]:
    """A relation whose `channel` calls every channel by its id, and channel -> the names that were others."""
    known = names_of(channels)
    spelled = relation["channel"].combine_chunks().dictionary_encode()
    names = spelled.dictionary.to_pylist()
    meant = [known.get(folded(name), name) for name in names]
    changed: dict[str, list[str]] = {}
    for name, channel_id in zip(names, meant, strict=True):
        if name != channel_id:
            changed.setdefault(channel_id, []).append(name)
    if not changed:
        return relation, {}
    column = pc.take(pa.array(meant, pa.string()), spelled.indices)
    return relation.set_column(relation.schema.get_field_index("channel"), "channel", column), changed


def join_aliases(
    connection: duckdb.DuckDBPyConnection, channels: Sequence[Channel], keys: Sequence[str], faults: FaultList
) -> None:
    """Write the channel's name for each of its aliases in `typed`.

    Parameters
    ----------
    keys
        Two names that stand under one of them on one day are two entries and stay apart; empty = they are joined.
    """
    rows = connection.execute(f"SELECT DISTINCT channel FROM {TYPED} WHERE channel IS NOT NULL").fetchall()
    known = names_of(channels)
    groups: dict[str, list[str]] = {}
    for (name,) in sorted(rows):
        groups.setdefault(channel_of(str(name), known), []).append(str(name))
    rest = ", ".join(named(key) for key in keys if key != "channel")
    for channel_id, names in groups.items():
        if names == [channel_id]:
            continue
        listed, shown = ", ".join(quoted(name) for name in names), ", ".join(names)
        clash = (
            rest
            and connection.execute(
                f"""SELECT 1 FROM {TYPED} WHERE channel IN ({listed}) GROUP BY {rest}
                HAVING count(DISTINCT channel) > 1 LIMIT 1"""
            ).fetchall()
        )
        if clash:
            faults.add("RC701", "warning", column="channel", names=shown, channel=channel_id)
        else:
            connection.execute(f"UPDATE {TYPED} SET channel = ? WHERE channel IN ({listed})", [channel_id])
            faults.add("RC702", "note", column="channel", names=shown, channel=channel_id)
