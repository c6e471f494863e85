"""The shop as one: tracking that loses visits or orders of all channels, and ratios that shift on one day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

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

Side = Literal["visits", "results", "both"]
SIDE_PRIOR = {"visits": 0.4, "results": 0.3, "both": 0.3}
"""Prior of which side of orders per visit moved when the ratio shifted: only visits, only orders, or both."""
SURE = 0.7
NEAR = 2
CLEARLY = 2.0
"""Log odds from which a channel clearly takes no part in a shift of the shop."""
BETWEEN = np.linspace(-1.0, 2.0, 25)
"""Shares of the ratio's shift that visits carry when both moved."""
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
        ratio = one.lost if one.group == 1 else 1 - 1 / (1 - min(one.lost, SHUT))
        length = min(BASE_STEPS, len(panel.dates) - one.first) if one.last is None else one.last - one.first + 1
        side, sure = _side(books, replace(one, lost=ratio), length)
        least = SMALLEST_LASTING if one.last is None else SMALLEST_FOR_DAYS
        if sure >= SURE and side != "both" and abs(one.lost) >= least:
            found.append(_told(panel, books, replace(one, lost=ratio), side, one.probability * sure, length))
            looked.append(one.first)
    return found


def _is_nothing(one: Shift) -> bool:
    """Days on which the shop has no visits at all."""
    return one.group == 0 and one.last is not None and one.lost >= SHUT


def _nothing_left(panel: Panel, one: Shift) -> Oddity:
    first, last = to_date(panel.dates[one.first]), to_date(panel.dates[one.last or one.first])
    row = Event("outage", first, last, None, None, 1.0, f"audit RC602 {first.isoformat()}")
    return Oddity("RC602", None, first, last, 1.0, one.probability, (row,))


def _side(books: Books, one: Shift, length: int) -> tuple[Side, float]:
    """Which side moved, and how sure that is."""
    if books.total_results is None:
        return "both", 1.0
    ended = one.last is not None
    visits = contrast(books.total_visits, books.visits_calendar, one.first, length, after=ended)
    results = contrast(books.total_results, books.results_calendar, one.first, length, after=ended)
    if visits is None or results is None:
        return "both", 1.0
    shift = float(np.log1p(-min(one.lost, 0.97)))
    terms = {
        "visits": float(visits.log_density(-shift) + results.log_density(0.0)),
        "results": float(visits.log_density(0.0) + results.log_density(shift)),
        "both": float(
            logsumexp(visits.log_density(-BETWEEN * shift) + results.log_density((1 - BETWEEN) * shift))
            - np.log(BETWEEN.size)
        ),
    }
    odds = {side: terms[side] + np.log(SIDE_PRIOR[side]) for side in terms}
    sides: tuple[Side, ...] = ("visits", "results", "both")
    best = max(sides, key=lambda side: odds[side])
    return best, float(np.exp(odds[best] - logsumexp(list(odds.values()))))


def _told(panel: Panel, books: Books, one: Shift, side: Side, probability: float, length: int) -> Oddity:
    """The oddity of a ratio whose one side moved."""
    size = one.lost if side == "results" else 1 - 1 / (1 - min(one.lost, 0.97))
    members = _members(panel, books, one, length)
    if one.last is None:
        return _oddity(panel, one, "RC606" if side == "visits" else "RC609", size, probability, members)
    if side == "visits":
        return _oddity(panel, one, "RC602" if size > 0 else "RC618", size, probability, members)
    return _oddity(panel, one, "RC611", size, probability, members)


def _members(panel: Panel, books: Books, one: Shift, length: int) -> tuple[str, ...]:
    """Channels whose own ratio shifted as the shop's did; empty when none clearly stayed as it was."""
    assert books.results is not None
    shift = float(np.log1p(-min(one.lost, SHUT)))
    taking_part, apart = [], False
    for channel, name in enumerate(panel.channels):
        seen = _own_ratio(books.results[:, channel], books.visits[:, channel], one, length)
        if seen is None or seen.sd > abs(shift):
            continue
        speaks = float(seen.log_density(shift) - seen.log_density(0.0))
        apart |= speaks < -CLEARLY
        taking_part += [name] if speaks > 0 else []
    return tuple(taking_part) if apart else ()


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
