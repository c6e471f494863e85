"""What a reader should know of the channels of an export: codes that changed, a rest without a name, rows withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from rechannel.source.aliases import channel_of, names_of
from rechannel.source.channelrules import code_breaks, kinds_of
from rechannel.source.export import Export
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import WHOLE_SHOP, Channel

_ONE_CODE = ("redefine", "retire")
"""Changes of one code that stays itself."""


def channel_notes(
    stacked: Sequence[tuple[Export, pa.Table]],
    channels: Mapping[str, Sequence[Channel]],
    panel: pa.Table,
    faults: FaultList,
) -> None:
    """Notes on the channels of a panel.

    Parameters
    ----------
    stacked
        Export -> its daily rows.
    channels
        Label of an export -> the channels whose names it may use.
    panel
        The joined panel.
    """
    there = set(pc.unique(panel["channel"]).to_pylist())
    days = pc.min_max(panel["date"]).as_py()
    for export, table in stacked:
        mine = there & set(pc.unique(table["channel"]).to_pylist())
        for row, touched in _breaks(export, names_of(channels[export.label])):
            since = _day(row["since"])
            if since is None:  # where one code became another, both are there when the days reach across
                concerns = bool(mine & touched) if row["change"] in _ONE_CODE else touched <= mine
            else:
                concerns = bool(mine & touched) and days["min"] < since <= days["max"]
            if concerns:
                shown = ", ".join(sorted(mine & touched))
                since_when, en, zh = row["since"] or "—", row["en"], row["zh"]
                faults.add("RC738", "note", column="channel", channels=shown, since=since_when, en=en, zh=zh)
        rest = sorted(mine & set(export.rest))
        if rest and "visits" in table.column_names:
            _say_rest(table, rest, faults)
        if export.withholds:
            _say_withheld(export, table, faults)


def _breaks(export: Export, known: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], set[str]]]:
    """Changes of the codes behind the channels of an export, with the channels they touch.

    A code that became another of the same channel touches none.
    """
    kinds = kinds_of("wechat_scenes.csv", "code") if export.breaks == "wechat_scene" else {}
    for row in code_breaks():
        if row["system"] != export.breaks:
            continue
        named = [row[key] for key in ("old", "new") if row[key]]
        touched = {kinds[name] for name in named} if kinds else {channel_of(name, known) for name in named}
        if row["change"] in _ONE_CODE or len(touched) > 1:
            yield row, touched


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _say_rest(table: pa.Table, rest: Sequence[str], faults: FaultList) -> None:
    own = table.filter(pc.not_equal(table["channel"], WHOLE_SHOP))
    part = own.filter(pc.is_in(own["channel"], pa.array(rest)))
    whole, some = pc.sum(own["visits"]).as_py() or 0.0, pc.sum(part["visits"]).as_py() or 0.0
    if whole:
        faults.add("RC742", "note", column="channel", names=", ".join(rest), share=f"{100 * some / whole:.1f}%")


def _say_withheld(export: Export, table: pa.Table, faults: FaultList) -> None:
    """Days of a channel that are missing while the export has others of that day."""
    named = table.filter(pc.invert(pc.is_in(table["channel"], pa.array([WHOLE_SHOP, *export.rest]))))
    days = len(pc.unique(named["date"]))
    counted = named.group_by("channel").aggregate([("date", "count_distinct")]).to_pylist()
    short = {str(row["channel"]): days - row["date_count_distinct"] for row in counted}
    missing = sum(short.values())
    if missing:
        shown = ", ".join(sorted(name for name, count in short.items() if count)[:10])
        faults.add("RC743", "note", column="channel", channels=shown, count=f"{missing:,}")
