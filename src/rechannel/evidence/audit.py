"""The audit: what in a panel would be taken for something else, each with a row for `events` that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rechannel.evidence.cause import SHUT, Books, open_books, whole_shop
from rechannel.evidence.contrast import BASE_STEPS, contrast
from rechannel.evidence.falls import endings, falls_and_bursts
from rechannel.evidence.inmarkets import watch_markets, with_markets
from rechannel.evidence.oddity import Oddity, explained
from rechannel.evidence.recount import recounted, watch_shop
from rechannel.evidence.relabelled import Relabelling, find_relabelled
from rechannel.evidence.rhythm import ClockMove, clock_moves, day_move, overlap, weekly_runs
from rechannel.evidence.shifts import find_shifts, joined
from rechannel.evidence.watched import Span, stacked, watch_counts
from rechannel.tables.calendar import Event
from rechannel.tables.clock import DailyRound
from rechannel.tables.panel import DateArray, Panel, to_date
from rechannel.vocabulary.channel import ALL_MARKETS

SAME_DAYS = 2
RELABEL_CODES = {"split": "RC612", "renamed": "RC613", "merged": "RC614"}


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit of a case found.

    Attributes
    ----------
    oddities
        By first day.
    unsearched
        Channels of single markets that were too many, and too small, to be searched one by one.
    """

    oddities: tuple[Oddity, ...]
    unsearched: int


def audit(panel: Panel, events: Sequence[Event], touches: DailyRound | None = None) -> Audit:
    """Search a panel for what nobody logged and for what was counted differently.

    Parameters
    ----------
    panel
        The stored panel.
    events
        The calendar, holidays included; what it tells of is not found again.
    touches
        Visits by day and hour, for clocks that moved.

    Returns
    -------
    Audit
        Falls of a channel that its own past and the other channels did not let expect; visits or orders that are only
        counted differently; names that changed; figures of another rhythm. Every probability is that of the finding
        against nothing, or against the other reading of the same days.
    """
    span = Span(panel.dates, panel.cadence, events)
    visits = panel.over_markets("visits")
    channels = watch_counts(visits[:, None, :], panel.channels, (ALL_MARKETS,), span)
    books = open_books(panel, channels.calendar[:, 0], span)
    shop = watch_shop(panel, books, span)
    markets, unsearched = watch_markets(panel, span)
    groups = stacked([channels, *shop, *markets])
    searched = find_shifts(groups, [True, *(False for _ in shop), *(True for _ in panel.markets if markets)])
    shifts = list(joined(searched.shifts))
    own = [one for one in shifts if one.group == 0]
    of_shop = [replace(one, group=one.group - 1) for one in shifts if 1 <= one.group <= len(shop)]
    in_markets = [replace(one, group=one.group - 1 - len(shop)) for one in shifts if one.group > len(shop)]
    moved = find_relabelled(books, own, searched, span)
    known = [(channel, one.on) for one in moved for channel in (*one.old, *one.new)]
    own = [one for one in own if not _near(one.series, one.first, known)]
    found = [_relabelling(panel, one) for one in moved]
    found += falls_and_bursts(panel, books, own)
    found += endings(panel, books, [*known, *((one.series, one.first) for one in own)])
    found = _with_shop(panel, books, recounted(panel, books, of_shop), found)
    found = with_markets(panel, in_markets, found)
    if panel.cadence == "daily":
        found += _rhythms(panel, touches)
    told = [one for one in found if not _is_explained(events, one)]
    return Audit(tuple(sorted(told, key=lambda one: (one.first, one.code, one.channel or ""))), unsearched)


def _near(channel: int, step: int, known: Sequence[tuple[int, int]]) -> bool:
    return any(channel == other and abs(step - at) <= SAME_DAYS for other, at in known)


def _is_explained(events: Sequence[Event], one: Oddity) -> bool:
    """Whether `events` tells of it: of its channel, or of the channels that its own rows name."""
    named = {row.channel for row in one.rows}
    if not named:
        return False
    if named == {None}:  # a ratio of the shop shifts when a channel of another ratio closes or opens
        lasting = [replace(event, channel=None) for event in events if event.kind in ("closure", "opening", "move")]
        return explained([*events, *lasting], None, one.market, one.first, one.last)
    return all(explained(events, name, one.market, one.first, one.last) for name in named)


def _relabelling(panel: Panel, one: Relabelling) -> Oddity:
    """A new name as a finding: both names are counted differently from that day on."""
    day = to_date(panel.dates[one.on])
    code = RELABEL_CODES[one.change]
    there = np.nan_to_num(panel.over_markets("visits")[: one.on]).sum(axis=0) > 0
    note = f"audit {code} {day.isoformat()}"
    named = [panel.channels[channel] for channel in (*one.old, *one.new) if there[channel]]
    rows = tuple(Event("measurement_break", day, day, name, None, None, note) for name in named)
    old, new = (tuple(panel.channels[channel] for channel in side) for side in (one.old, one.new))
    if one.change == "merged":
        return Oddity(code, new[0], day, day, one.share, one.probability, rows, others=old)
    return Oddity(code, old[0], day, day, one.share, one.probability, rows, others=new)


def _with_shop(panel: Panel, books: Books, of_shop: list[Oddity], found: Sequence[Oddity]) -> list[Oddity]:
    """Findings of the whole shop beside those of single channels on the same days.

    What all channels take part in is told once, for the shop; what only some do is told for these.
    """
    out = list(found)
    for one in of_shop:
        same = [other for other in out if abs((one.first - other.first).days) <= SAME_DAYS]
        if not (one.others and same):
            out = [other for other in out if other not in same]
            if one.code == "RC606" and not one.others:
                out = [other for other in out if not _is_part_of(panel, books, one, other)]
            out.append(one)
    return out


def _is_part_of(panel: Panel, books: Books, shop: Oddity, own: Oddity) -> bool:
    """Whether a channel's shift in the weeks after one of the whole shop is but its part of that."""
    at, first = panel.index_of(shop.first), panel.index_of(own.first)
    if own.channel is None or not 0 < first - at <= BASE_STEPS or panel.index_of(own.last) < len(panel.dates) - 1:
        return False
    channel = panel.channels.index(own.channel)
    length = min(BASE_STEPS, len(panel.dates) - first)
    values, calendar = books.visits[:, channel], books.calendar[:, channel]
    seen = contrast(values, calendar, first, length, gap=first - at)
    if seen is None:
        return False
    with_shop, besides = np.log1p(-min(shop.size, SHUT)), np.log1p(-min(own.size, SHUT))
    return bool(seen.log_density(with_shop) > seen.log_density(with_shop + besides))


def _rhythms(panel: Panel, touches: DailyRound | None) -> list[Oddity]:
    """Weekly figures, overlapping visitors, clocks that moved."""
    out = []
    visits = panel.over_markets("visits")
    for channel, name in enumerate(panel.channels):
        for run in weekly_runs(visits[:, channel]):
            ends = to_date(panel.dates[run.first]), to_date(panel.dates[run.last])
            out.append(Oddity("RC615" if run.spread else "RC616", name, *ends, np.nan, run.probability))
    if "visits" in panel.totals:
        excess = overlap(visits, panel.totals["visits"].sum(axis=1))
        if excess is not None:
            out.append(Oddity("RC617", None, panel.first, panel.last, -excess, 1.0))
    moves = [] if touches is None else [(touches.dates, move) for move in clock_moves(touches.visits)]
    out += [_clock("RC619", *pair) for pair in moves]
    total = whole_shop(panel, "visits")
    move = day_move(total) if total is not None and not moves else None
    if move is not None:
        out.append(_clock("RC620", panel.dates, move))
    return out


def _clock(code: str, dates: DateArray, move: ClockMove) -> Oddity:
    first, last = to_date(dates[move.first]), to_date(dates[move.last])
    row = Event("measurement_break", first, first, None, None, None, f"audit {code} {first.isoformat()}")
    return Oddity(code, None, first, last, np.nan, move.probability, (row,), hours=move.hours)
