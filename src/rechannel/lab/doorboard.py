"""How well audit and watch see what was planted: found, missed, proposed for nothing, days until an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rechannel.case import new_case, open_case
from rechannel.evidence.audit import Audit
from rechannel.evidence.monitor import alarm_level, monitor
from rechannel.evidence.oddity import Oddity
from rechannel.evidence.shifts import REACHES
from rechannel.evidence.watched import Span
from rechannel.lab.plants import Plant, planted, smaller, thinned, with_outages
from rechannel.lab.specs import Happening, WorldSpec, draw_spec
from rechannel.lab.worlds import make_world
from rechannel.source.contract import TableName
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import FloatArray

CUSTOMERS = 1500
SEEN_AS: dict[str, frozenset[str]] = {
    "outage": frozenset({"RC600", "RC601", "RC602", "RC608", "RC621"}),
    "demotion": frozenset({"RC603", "RC604", "RC605"}),
    "split": frozenset({"RC612", "RC613"}),
    "rename": frozenset({"RC612", "RC613"}),
    "code_move": frozenset({"RC612", "RC613"}),
    "bots": frozenset({"RC618"}),
    "uncounted": frozenset({"RC606", "RC607"}),
    "consent": frozenset({"RC606"}),
    "blackout": frozenset({"RC602"}),
    "weekly": frozenset({"RC615", "RC616"}),
}
"""Codes under which each planted thing is seen for what it is."""
NEAR = 3
"""Days by which a finding may miss what was planted and still be about it."""
BLOCK = 30
"""Days after which the watch learns calendar and noise anew; a scheduler does it every day."""
QUIET = 14
"""Days without an alarm that part two alarms."""
AFTER = 40


@dataclass(frozen=True, slots=True)
class Sighting:
    """One planted thing: its share of the shop's visits, and the codes of the findings about it."""

    plant: Plant
    share: float
    codes: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether it was seen for what it is."""
        return bool(SEEN_AS[self.plant.kind] & set(self.codes))


@dataclass(frozen=True, slots=True)
class DoorRecord:
    """One market: what was planted and seen, and what was proposed for nothing.

    Attributes
    ----------
    kind, seed
        The market.
    sightings
        Every planted thing.
    false_rows
        Proposed rows that no planted, hidden or logged event explains, by code.
    channel_years
        Channels times years.
    """

    kind: str
    seed: int
    sightings: tuple[Sighting, ...]
    false_rows: tuple[str, ...]
    channel_years: float


def audit_market(kind: str, seed: int, plant: str) -> DoorRecord:
    """Make a market with unlogged outages and one other fault, hand over its tables, and judge the audit."""
    spec, plants = with_outages(smaller(draw_spec(kind, seed), CUSTOMERS))
    tables = dict(make_world(spec).before())
    more = planted(tables["daily"], spec, plant, plants)
    if more is not None:
        tables["daily"], plants = more[0], (*plants, more[1])
    found, panel = _audited(tables, spec)
    visits = np.nan_to_num(panel.over_markets("visits")).sum(axis=0)
    share = dict(zip(panel.channels, visits / visits.sum(), strict=True))
    hidden = [row for row in spec.happenings if not row.logged and row.kind != "outage"]
    sightings = tuple(
        Sighting(one, share.get(one.channels[0], 0.0), tuple(o.code for o in found.oddities if _about(o, one)))
        for one in plants
    )
    false = [o for o in found.oddities if o.rows and not _explained(o, plants, hidden)]
    rows = tuple(o.code for o in false for _ in o.rows)
    return DoorRecord(kind, seed, sightings, rows, len(panel.dates) * len(spec.channels) / 365.25)


def _audited(tables: dict[str, pa.Table], spec: WorldSpec) -> tuple[Audit, Panel]:
    with TemporaryDirectory() as folder:
        names: tuple[TableName, ...] = ("daily", "events")
        files: dict[TableName, Path] = {name: Path(folder) / f"{name}.parquet" for name in names}
        for name, path in files.items():
            pq.write_table(tables[name], path)
        new_case(Path(folder) / "case", files, today=spec.on)
        case = open_case(Path(folder) / "case")
        return case.audit(), case.panel


def _touch(one: Oddity, first: date, last: date) -> bool:
    near = timedelta(days=NEAR)
    return one.first <= last + near and one.last >= first - near


def _about(one: Oddity, plant: Plant) -> bool:
    named = {one.channel, *one.others} & set(plant.channels)
    return (one.channel is None or bool(named)) and _touch(one, plant.first, plant.last)


def _explained(one: Oddity, plants: Sequence[Plant], hidden: Sequence[Happening]) -> bool:
    if any(_about(one, plant) for plant in plants):
        return True
    return any((not row.channels or one.channel in row.channels) and _touch(one, row.start, row.end) for row in hidden)


@dataclass(frozen=True, slots=True)
class WatchRecord:
    """One shop watched day by day: alarms about nothing, and days until a planted drop raised one.

    Attributes
    ----------
    kind
        Of the shop.
    false_alarms
        Alarms that no known event explains; those within two weeks are one.
    channel_years
        Channels times years watched.
    delays
        (share lost, days until the alarm) of each planted drop; nan = none within forty days.
    """

    kind: str
    false_alarms: int
    channel_years: float
    delays: tuple[tuple[float, float], ...]


def watch_shop(
    kind: str,
    panel: Panel,
    events: Sequence[Event],
    quiet: Sequence[tuple[str, date, date]],
    *,
    days: int = 270,
    drops: Sequence[float] = (0.3, 0.5, 1.0),
    seed: int = 0,
) -> WatchRecord | None:
    """Watch the last days of a shop as a scheduler would, and again with one channel thinned from some day on.

    Parameters
    ----------
    quiet
        Channel, first and last day of everything that may raise an alarm by right; those days are not counted.
    days
        Days watched, taken in blocks; before each block calendar, noise and levels are learned anew.
    drops
        Shares of visits taken from one channel, one after another.

    Returns
    -------
    None for a shop too short to be watched that long.
    """
    reach = REACHES["daily"]
    first = len(panel.dates) - days
    if first - reach.stays < 2 * BLOCK:
        return None
    visits = panel.over_markets("visits")
    level = alarm_level(visits.shape[1] + 1, reach.per_year)
    alarm = np.concatenate(
        [
            _alarms(panel, events, visits, block, min(block + BLOCK, len(visits)), level)
            for block in range(first, len(visits), BLOCK)
        ]
    )
    for name, start, end in quiet:
        low, high = panel.index_of(start) - first - NEAR, panel.index_of(end) - first + BLOCK
        alarm[max(low, 0) : max(high, 0), [panel.channels.index(name), -1]] = False
    rng = np.random.default_rng([seed, len(visits)])
    delays = []
    for lost in drops:
        channel, day = int(rng.integers(visits.shape[1])), int(rng.integers(first, len(visits) - AFTER))
        fallen = visits.copy()
        fallen[:, channel] = thinned(visits[:, channel], day, 1 - lost, rng)
        seen = _alarms(panel, events, fallen, day, day + AFTER, level)[:, channel]
        delays.append((lost, float(np.argmax(seen) + 1) if seen.any() else float("nan")))
    years = alarm.shape[0] * visits.shape[1] / 365.25
    return WatchRecord(kind, _episodes(alarm), years, tuple(delays))


def _alarms(
    panel: Panel, events: Sequence[Event], visits: FloatArray, first: int, last: int, level: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which channels, and at the end the shop, are flagged on the days [first, last); nothing later is used."""
    span = Span(panel.dates[:last], panel.cadence, events, first - REACHES["daily"].stays)
    seen = monitor(visits[:last], np.nansum(visits[:last], axis=1), panel.channels, span)
    return np.asarray(seen.log_ratio[first - seen.start :] >= level)


def _episodes(alarm: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int:
    """Alarms with two quiet weeks between them."""
    count = 0
    for channel in range(alarm.shape[1]):
        days = np.flatnonzero(alarm[:, channel])
        count += int(days.size > 0) + int((np.diff(days) > QUIET).sum())
    return count
