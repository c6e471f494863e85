"""What a shift of one channel is: an outage, a demotion, a closure, a fault of counting, a burst without buyers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from rechannel.evidence.cause import SHUT, Books, cause_of, cause_of_all
from rechannel.evidence.contrast import BASE_STEPS, contrast
from rechannel.evidence.oddity import Oddity
from rechannel.evidence.relabelled import ended_on
from rechannel.evidence.shifts import Shift
from rechannel.tables.calendar import Event
from rechannel.tables.panel import GONE_DAYS, Panel, to_date
from rechannel.vocabulary.channel import EventKind

BUSY = 5.0
"""Visits a day of a channel whose end is told."""
TOGETHER = 0.6
"""Share of the shop's visits whose channels fall on the same days: then it is the shop that fell."""
SMALLEST_LASTING, SMALLEST_FOR_DAYS = 0.15, 0.2
"""Least share of visits lost, as the days themselves say it, of a fall that is told: one that stays, one that ends."""
BURST = 0.5
"""Least gain of visits that is looked at as a burst."""
MILD = 0.5
"""A rise gives back a fall when the level returns to within this part of it."""


def falls_and_bursts(panel: Panel, books: Books, shifts: Sequence[Shift]) -> list[Oddity]:
    """Oddities of single channels, all markets together.

    Parameters
    ----------
    panel
        For dates and names.
    books
        Visits, orders and their calendars.
    shifts
        Of channels, falls and rises; those of renamed channels left out.
    """
    falls = [one for one in shifts if one.lost > 0 and one.alone > 0]
    rises = [one for one in shifts if one.lost < 0]
    found, falls = _all_at_once(panel, books, falls, shifts)
    counted: list[tuple[Shift, Oddity]] = []
    for one in falls:
        oddity = _fall(panel, books, one, shifts)
        if oddity.size < (SMALLEST_LASTING if one.last is None else SMALLEST_FOR_DAYS):
            continue
        (counted.append((one, oddity)) if oddity.code == "RC607" else found.append(oddity))
    for one in (rise for rise in rises if rise.alone > 0):
        cause = cause_of(books, one.series, one.first, one.last, one.lost)
        if not cause.only_counted:
            continue
        if one.last is None:
            oddity = _recounted(panel, books, one, cause.counting, shifts)
            counted += [(one, oddity)] if oddity.size <= -SMALLEST_LASTING else []
        elif one.lost <= -BURST:
            found.append(_burst(panel, books, one, cause.counting, shifts))
    return [*found, *_grouped(counted)]


def _days(panel: Panel, first: int, last: int | None) -> tuple[int, int]:
    return first, len(panel.dates) - 1 if last is None else last


def _row(panel: Panel, kind: EventKind, one: Shift, severity: float | None, code: str, end: int | None = None) -> Event:
    """A row for `events`; its note is its own, so that no two are taken for one family."""
    first, last = _days(panel, one.first, one.last if end is None else end)
    start = to_date(panel.dates[first])
    channel = panel.channels[one.series]
    note = f"audit {code} {start.isoformat()}"
    share = None if severity is None else round(min(max(severity, 0.0), 1.0), 2)
    return Event(kind, start, to_date(panel.dates[last]), channel, None, share, note)


def lost_share(books: Books, one: Shift, shifts: Sequence[Shift]) -> float:
    """Share of visits lost as the days themselves say it, against weeks without any other of the `shifts`.

    The size found by the search where there are no such weeks.
    """
    steps, channel = len(books.visits), one.series
    length = min(BASE_STEPS, steps - one.first) if one.last is None else one.last - one.first + 1
    values = books.visits[:, channel].copy()
    for other in shifts:
        if other.series == channel and other != one:
            values[_other_days(other, one)] = np.nan
    inside = slice(one.first, one.first + length)
    values[inside] = books.visits[inside, channel]
    seen = contrast(values, books.calendar[:, channel], one.first, length, after=one.last is not None)
    if seen is None or seen.expected <= 0:
        return one.lost
    return float(1 - seen.came / seen.expected)


def _other_days(other: Shift, one: Shift) -> slice:
    """Days of another level than those around a shift: those of one that ended, those beyond one that stayed."""
    if other.last is not None:
        return slice(other.first, other.last + 1)
    return slice(None, other.first) if other.first < one.first else slice(other.first, None)


def _oddity(panel: Panel, one: Shift, code: str, size: float, probability: float, rows: Iterable[Event]) -> Oddity:
    first, last = _days(panel, one.first, one.last)
    channel = panel.channels[one.series]
    ends = to_date(panel.dates[first]), to_date(panel.dates[last])
    return Oddity(code, channel, *ends, size, probability, tuple(rows))


def _fall(panel: Panel, books: Books, one: Shift, shifts: Sequence[Shift]) -> Oddity:
    cause = cause_of(books, one.series, one.first, one.last, one.lost)
    size = lost_share(books, one, shifts)
    counting = one.probability * cause.counting
    going_on = len(panel.dates) - one.first
    if one.last is not None or going_on * panel.step < 2 * GONE_DAYS:
        if cause.only_counted:
            return _oddity(panel, one, "RC608", size, counting, [_row(panel, "other", one, None, "RC608")])
        code = "RC621" if one.last is None else "RC601" if size >= SHUT else "RC600"
        return _oddity(panel, one, code, size, one.probability, [_row(panel, "outage", one, size, code)])
    if cause.only_counted:
        return _recounted(panel, books, one, counting, shifts)
    back = _returned(books, one, [rise for rise in shifts if rise.lost < 0])
    shut = size >= SHUT
    kind: EventKind = "closure" if shut else "demotion"
    code = ("RC604" if shut else "RC603") if back is None else "RC605"
    rows = [_row(panel, kind, one, None if shut else size, code, None if back is None else back.first - 1)]
    if back is not None:
        rows.append(_row(panel, "opening", back, None, code, back.first))
        one = replace(one, last=back.first - 1)
    return _oddity(panel, one, code, size, one.probability, rows)


def _returned(books: Books, one: Shift, rises: Sequence[Shift]) -> Shift | None:
    """The rise that gives a lasting fall back, if there is one."""
    later = [r for r in rises if r.series == one.series and r.first > one.first + BASE_STEPS and r.last is None]
    if not later:
        return None
    back = min(later, key=lambda rise: rise.first)
    visits, calendar = books.visits[:, one.series], np.exp(books.calendar[:, one.series])
    before = slice(max(one.first - BASE_STEPS, 0), one.first)
    after = slice(back.first, back.first + BASE_STEPS)
    usual, now = (float(np.nansum(visits[days]) / np.nansum(calendar[days])) for days in (before, after))
    if usual <= 0 or now <= 0:
        return None
    gone = np.log1p(-min(one.lost, SHUT))
    return back if np.log(now / usual) > MILD * gone else None


def _recounted(panel: Panel, books: Books, one: Shift, probability: float, shifts: Sequence[Shift]) -> Oddity:
    """A lasting shift of visits without one of orders: counted differently from a day on."""
    size = lost_share(books, one, shifts)
    row = _row(panel, "measurement_break", one, None, "RC607", one.first)
    return _oddity(panel, one, "RC607", size, probability, [row])


def _burst(panel: Panel, books: Books, one: Shift, probability: float, shifts: Sequence[Shift]) -> Oddity:
    size = lost_share(books, one, shifts)
    return _oddity(panel, one, "RC618", size, probability, [_row(panel, "other", one, None, "RC618")])


def _grouped(counted: Sequence[tuple[Shift, Oddity]]) -> list[Oddity]:
    """Channels counted differently from the same day on, as one: a tag or a consent banner, not each channel's own."""
    left = sorted(counted, key=lambda pair: pair[0].first)
    out = []
    while left:
        lead = left[0]
        group = [pair for pair in left if pair[0].first - lead[0].first <= 1 and pair[0].lost * lead[0].lost > 0]
        left = [pair for pair in left if pair not in group]
        if len(group) == 1:
            out.append(lead[1])
            continue
        members = [pair[1] for pair in group]
        largest = max(members, key=lambda one: one.probability)
        out.append(
            replace(
                largest,
                code="RC606",
                others=tuple(one.channel or "" for one in members),
                size=float(np.mean([one.size for one in members])),
                rows=tuple(row for one in members for row in one.rows),
            )
        )
    return out


def _all_at_once(
    panel: Panel, books: Books, falls: Sequence[Shift], shifts: Sequence[Shift]
) -> tuple[list[Oddity], list[Shift]]:
    """Falls of most of the shop on the same days as one, and the falls that are left.

    What takes the shop's orders along, and leaves some visits, is demand and no finding.
    """
    left, out = list(falls), []
    weight = np.nan_to_num(books.visits).sum(axis=0)
    for lead in sorted(falls, key=lambda one: (one.last or len(panel.dates)) - one.first):
        if lead not in left:
            continue
        group = [one for one in left if abs(one.first - lead.first) <= 1 and _same_end(one, lead)]
        members = {one.series for one in group}
        if lead.last is None and len(panel.dates) - lead.first > BASE_STEPS:
            continue
        if len(members) < 2 or weight[list(members)].sum() < TOGETHER * weight.sum():
            continue
        left = [one for one in left if one not in group]
        size = float(
            np.average([lost_share(books, one, shifts) for one in group], weights=[weight[one.series] for one in group])
        )
        if size < SHUT and not cause_of_all(books, lead.first, lead.last, size).only_counted:
            continue
        first, last = _days(panel, lead.first, lead.last)
        ends = to_date(panel.dates[first]), to_date(panel.dates[last])
        note = f"audit RC602 {ends[0].isoformat()}"
        row = Event("outage", *ends, None, None, round(min(max(size, 0.0), 1.0), 2), note)
        out.append(Oddity("RC602", None, *ends, size, max(one.probability for one in group), (row,)))
    return out, left


def _same_end(one: Shift, other: Shift) -> bool:
    if one.last is None or other.last is None:
        return one.last == other.last
    return abs(one.last - other.last) <= 1


def endings(panel: Panel, books: Books, known: Iterable[tuple[int, int]]) -> list[Oddity]:
    """Channels whose rows stop four weeks before the data do, or earlier, and that no finding explains.

    Parameters
    ----------
    known
        Channel and step of what was found already.
    """
    out = []
    told = list(known)
    for channel, step in ended_on(books.visits).items():
        if np.isfinite(books.visits[step:, channel]).any() or (len(panel.dates) - step) * panel.step < GONE_DAYS:
            continue
        if any(channel == other and abs(step - at) <= 1 for other, at in told):
            continue
        if float(np.nanmedian(books.visits[max(step - BASE_STEPS, 0) : step, channel])) < BUSY:
            continue
        stop = Shift(0, channel, step, None, 1.0, np.inf, np.inf)
        row = _row(panel, "closure", stop, None, "RC604")
        out.append(_oddity(panel, stop, "RC604", 1.0, 0.95, [row]))
    return out
