"""The shop as one: tracking that loses visits or orders of all channels, and ratios that shift on one day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy.special import logsumexp

from rechannel.evidence.cause import SHUT, Books, whole_shop
from rechannel.evidence.contrast import BASE_STEPS, Contrast, contrast
from rechannel.evidence.oddity import Oddity
from rechannel.evidence.shifts import Shift
from rechannel.evidence.watched import Span, Watched, watch_counts, watch_ratio
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date
from rechannel.vocabulary.channel import ALL_MARKETS, EventKind
from rechannel.vocabulary.estimate import FloatArray

Side = Literal["visits", "results", "demand", "both"]
SIDES: tuple[Side, ...] = get_args(Side)
RANGE_OF_SHIFTS = 4.0
"""Width of the log of a shift whose size is not known: from a twentieth to nearly three times."""


@dataclass(frozen=True, slots=True)
class _Prior:
    """Chance of each side when one series of the shop shifted, in the order of `SIDES`, and how far orders follow
    visits when demand moved."""

    chances: tuple[float, float, float, float]
    follow: FloatArray


RATIO_SHIFTED = _Prior((0.35, 0.3, 0.15, 0.2), np.linspace(0.4, 0.9, 6))
VISITS_SHIFTED = _Prior((0.3, 0.0, 0.65, 0.05), np.linspace(0.6, 1.2, 7))
SURE = 0.7
NEAR = 2
CLEARLY = 2.0
"""Log odds from which a channel clearly takes no part in a shift of the shop."""
SMALLEST_LASTING, SMALLEST_FOR_DAYS = 0.1, 0.2
"""Least shift of a ratio that is told: one that stays, and one that ends (conversion has its good and bad weeks)."""


def watch_shop(panel: Panel, books: Books, span: Span) -> list[Watched]:
    """The shop's visits as one series, and its ratios: orders per visit, value per order, each where it is known."""
    visits = watch_counts(books.total_visits[:, None, None], [None], (ALL_MARKETS,), span)
    tops, bottoms, noises = [], [], []
    orders, gmv = whole_shop(panel, "orders"), whole_shop(panel, "gmv")
    if books.total_results is not None:
        tops.append(books.total_results)
        bottoms.append(books.total_visits)
        noises.append(1 / np.maximum(books.total_results, 1.0) if orders is not None else np.zeros(span.dates.size))
    if orders is not None and gmv is not None:
        tops.append(gmv)
        bottoms.append(orders)
        noises.append(1 / np.maximum(orders, 1.0))
    if not tops:
        return [visits]
    stack = [np.stack(rows, axis=1)[:, None, :] for rows in (tops, bottoms, noises)]
    return [visits, watch_ratio(stack[0], stack[1], stack[2], [None] * len(tops), span)]


def recounted(panel: Panel, books: Books, shifts: Sequence[Shift]) -> list[Oddity]:
    """What the shifts of the shop's own series say.

    Parameters
    ----------
    shifts
        Of the groups of `watch_shop`, group 0 = visits, group 1 = ratios.

    Returns
    -------
    list of Oddity
        Only what is no matter of demand: visits that vanish altogether, and ratios whose one side moved alone. The
        side is chosen by the visits and the orders of the same days, each against its own weeks before.
    """
    found = [_nothing_left(panel, one) for one in shifts if _is_nothing(one)]
    looked: list[int] = []
    for one in sorted(shifts, key=lambda row: -row.group):  # ratios first: they are free of demand
        if one.alone <= 0 or _is_nothing(one) or any(abs(one.first - other) <= NEAR for other in looked):
            continue
        if one.group == 1 and (one.series > 0 or books.total_results is None):
            if one.last is None and one.series > 0:
                found.append(_oddity(panel, one, "RC610", one.lost, one.probability))
            continue
        length = min(BASE_STEPS, len(panel.dates) - one.first) if one.last is None else one.last - one.first + 1
        side, sure, size = _side(books, one, length)
        least = SMALLEST_LASTING if one.last is None else SMALLEST_FOR_DAYS
        if side == "visits":
            one = _dated_by_visits(one, shifts)
        if sure >= SURE and side in ("visits", "results") and abs(size) >= least:
            looked.append(one.first)
            told = _told(panel, books, one, side, one.probability * sure, size, length)
            found += [] if told is None else [told]
    return found


def _dated_by_visits(one: Shift, shifts: Sequence[Shift]) -> Shift:
    """A shift of a ratio with the first day of that of the visits, which are less noisy, where these have one."""
    visits = [other for other in shifts if other.group == 0 and abs(other.first - one.first) <= NEAR]
    visits = [other for other in visits if (other.last is None) == (one.last is None)]
    return replace(one, first=min(visits, key=lambda other: abs(other.first - one.first)).first) if visits else one


def _is_nothing(one: Shift) -> bool:
    """Days on which the shop has no visits at all."""
    return one.group == 0 and one.lost >= SHUT


def _nothing_left(panel: Panel, one: Shift) -> Oddity:
    first = to_date(panel.dates[one.first])
    last = panel.last if one.last is None else to_date(panel.dates[one.last])
    row = Event("outage", first, last, None, None, 1.0, f"audit RC602 {first.isoformat()}")
    return Oddity("RC602", None, first, last, 1.0, one.probability, (row,))


def _side(books: Books, one: Shift, length: int) -> tuple[Side, float, float]:
    """Which side moved, how sure that is, and the share that it lost (below 0 = gained)."""
    if books.total_results is None:
        return "both", 1.0, 0.0
    ended = one.last is not None
    visits = contrast(books.total_visits, books.visits_calendar, one.first, length, after=ended)
    results = contrast(books.total_results, books.results_calendar, one.first, length, after=ended)
    if visits is None or results is None:
        return "both", 1.0, 0.0
    prior = RATIO_SHIFTED if one.group == 1 else VISITS_SHIFTED
    following = results.log_density(prior.follow * visits.log_ratio)
    terms = np.array(
        [
            float(results.log_density(0.0)),
            float(visits.log_density(0.0)),
            float(logsumexp(following) - np.log(following.size)),
            -np.log(RANGE_OF_SHIFTS),
        ]
    )
    with np.errstate(divide="ignore"):
        odds = terms + np.log(prior.chances)
    best = int(odds.argmax())
    moved = results if SIDES[best] == "results" else visits
    return SIDES[best], float(np.exp(odds[best] - logsumexp(odds))), -float(np.expm1(moved.log_ratio))


def _told(
    panel: Panel, books: Books, one: Shift, side: Side, probability: float, size: float, length: int
) -> Oddity | None:
    """The oddity of a shop one of whose sides moved alone; None when channels stayed and none is seen to take part."""
    ratio = (1 - size) if side == "results" else 1 / max(1 - size, 1 - SHUT)
    members = _members(panel, books, one, float(np.log(ratio)), length)
    if members is None:
        return None
    if one.last is None:
        return _oddity(panel, one, "RC606" if side == "visits" else "RC609", size, probability, members)
    if side == "visits":
        return _oddity(panel, one, "RC602" if size > 0 else "RC618", size, probability, members)
    return _oddity(panel, one, "RC611", size, probability, members)


def _members(panel: Panel, books: Books, one: Shift, shift: float, length: int) -> tuple[str, ...] | None:
    """Channels whose own ratio shifted as the shop's did; empty when none clearly stayed as it was.

    None when some stayed and none shifted: then it is not this ratio that shifted.
    """
    assert books.results is not None
    days = slice(one.first, one.first + length)
    taking_part, apart = [], False
    for channel, name in enumerate(panel.channels):
        seen = _own_ratio(books.results[:, channel], books.visits[:, channel], one, length)
        if seen is None and np.nansum(books.results[days, channel]) > np.nansum(books.visits[days, channel]) == 0:
            taking_part.append(name)  # orders without a visit
        if seen is None or seen.sd > abs(shift):
            continue
        speaks = float(seen.log_density(shift) - seen.log_density(0.0))
        apart |= speaks < -CLEARLY
        taking_part += [name] if speaks > 0 else []
    return (tuple(taking_part) or None) if apart else ()


def _own_ratio(results: FloatArray, visits: FloatArray, one: Shift, length: int) -> Contrast | None:
    """A channel's orders against its visits as their calendar."""
    good = np.isfinite(results) & np.isfinite(visits) & (visits > 0)
    orders, shape = np.where(good, results, np.nan), np.log(np.where(good, visits, 1.0))
    return contrast(orders, shape, one.first, length, after=one.last is not None)


_KINDS: dict[str, EventKind] = {
    "RC602": "outage",
    "RC606": "measurement_break",
    "RC609": "measurement_break",
    "RC610": "measurement_break",
    "RC611": "other",
    "RC618": "other",
}


def _oddity(
    panel: Panel, one: Shift, code: str, size: float, probability: float, members: tuple[str, ...] = ()
) -> Oddity:
    """The oddity with its row, one for each channel when only some take part."""
    last = len(panel.dates) - 1 if one.last is None else one.last
    start, end = to_date(panel.dates[one.first]), to_date(panel.dates[last])
    kind = _KINDS[code]
    ends = (start, start) if kind == "measurement_break" else (start, end)
    severity = round(min(max(size, 0.0), 1.0), 2) if kind == "outage" else None
    note = f"audit {code} {start.isoformat()}"
    rows = tuple(Event(kind, *ends, name, None, severity, note) for name in members or (None,))
    return Oddity(code, None, start, end, size, probability, rows, others=members)
