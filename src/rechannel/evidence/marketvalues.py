"""What a test in some markets is measured on: the treated sum, the donors beside it, and the days that may be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import DISTURBING, REBOUND_DAYS, SHAPED, Design, build_design, is_lasting
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, Metric
from rechannel.vocabulary.estimate import FloatArray

FEWEST_DONORS = 5
MOST_DONORS = 40
"""The donors with most visits serve; more of them only add columns."""
LONGEST_HISTORY = 400
"""Days before the event from which weights and noise are learned."""
SETTLE_DAYS = 28
"""Days after an event that has ended until its channel is taken for its old self; the first seven are its rebound."""
LONGEST_AFTER, FEWEST_AFTER = 60, 14
"""Open days after an event that has ended from which its open path is learned as well."""
MOST_MISSING = 0.2
"""Share of missing days up to which a donor's holes are filled from the other donors; above, it is no donor."""
FREAK_SD = 8.0
"""A day on which a market is that many of its own robust sd away from where the others are says nothing about them."""
SMALLEST_SD = 0.01
SETTING = ("measurement_break", "opening", "move")
"""Kinds of event after which a market is another one."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Where a test lies on the day axis, and what is summed.

    Attributes
    ----------
    before
        First hidden day: the announcement or day 1.
    hidden
        How many days are hidden: notice, the event, the rebound after it; what happened on them is measured.
    after
        Open days after them that may be learned from; 0 while the event lasts.
    lengths
        Days of each window, all from day 1.
    rows
        0/1 weights of the hidden days, shape [window, hidden]; the rebound, when it is measured, is one row more.
    week
        Rows of a week: 7, or 1 where rows are weeks.
    """

    before: int
    hidden: int
    after: int
    lengths: tuple[int, ...]
    rows: FloatArray
    week: int = 7

    def at(self, origin: int) -> NDArray[np.int64]:
        """The hidden days if the event had begun at `origin`."""
        return np.arange(origin, origin + self.hidden, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class MarketValues:
    """One metric of one channel: the treated sum and the donors.

    Attributes
    ----------
    metric, channel
        What it is; channel None = the shop's total.
    treated
        Raw sum over the treated markets, shape [day]; nan = not measured.
    raw
        The same of every donor, holes filled, shape [day, donor].
    donors
        `raw` with the donors' freak days filled as well: what the treated markets are compared with.
    names
        Of the donors.
    design
        Calendar columns over the same days.
    is_log
        Scale of the fit: logs where every value used is above 0.
    """

    metric: Metric
    channel: str | None
    treated: FloatArray
    raw: FloatArray
    donors: FloatArray
    names: tuple[str, ...]
    design: Design
    is_log: bool

    @property
    def key(self) -> tuple[Metric, str | None]:
        """Metric and channel."""
        return self.metric, self.channel

    def without(self, dropped: Sequence[str]) -> MarketValues:
        """The same with fewer donors."""
        keep = [at for at, name in enumerate(self.names) if name not in dropped]
        names = tuple(self.names[at] for at in keep)
        return replace(self, raw=self.raw[:, keep], donors=self.donors[:, keep], names=names)

    def targets(self, sets: Sequence[tuple[int, ...]], before: int) -> tuple[FloatArray, FloatArray]:
        """Raw sums of the treated markets and of sets of donors, and what they are fitted on, shapes [day, target].

        Freak days are drawn in to the limit where they are learned from; what is measured stays as it came. What is
        usual is read from the days before `before`.
        """
        sums = np.column_stack([self.treated, *(self.raw[:, list(one)].sum(axis=1) for one in sets)])
        path = np.median(_scaled(self.donors, self.is_log), axis=1)
        return sums, _drawn_in(sums, path, before, self.is_log)

    def training(self, origin: int, windows: Windows, upto: int) -> NDArray[np.bool_]:
        """Days to learn from, shape [day], with hidden days from `origin` on and nothing used from `upto` on."""
        days = self.design.usable & np.isfinite(self.treated)
        first = origin + windows.hidden
        days[origin:first] = False
        days[min(first + windows.after, max(upto, origin)) :] = False
        return days


def between(panel: Panel, first: int, last: int) -> Panel:
    """The panel from day number `first` to the eve of day number `last`."""
    return Panel(
        panel.dates[first:last],
        panel.markets,
        panel.channels,
        {metric: values[first:last] for metric, values in panel.values.items()},
        {metric: values[first:last] for metric, values in panel.totals.items()},
        panel.cadence,
    )


def windows_of(panel: Panel, start: date, announced: date | None, end: date | None, horizons: Sequence[int]) -> Windows:
    """Windows of an event; `end` is its last day, None while it lasts."""
    step = panel.step
    lengths = tuple(max(1, horizon // step) for horizon in horizons)
    first = panel.index_of(start)
    before = panel.index_of(min(announced or start, start))
    lead, longest = first - before, max(lengths)
    hidden, after = lead + longest, 0
    rows = np.zeros((len(lengths), hidden))
    for row, length in enumerate(lengths):
        rows[row, lead : lead + length] = 1.0
    last = len(panel.dates)
    rebound = REBOUND_DAYS // step
    if end is not None and panel.index_of(end) + 1 + rebound <= last:
        spread = lead + max(longest, panel.index_of(end) + 1 - first)
        left = last - before - spread - SETTLE_DAYS // step
        hidden, after = spread + rebound, 0
        if left >= FEWEST_AFTER // step:
            hidden, after = spread + SETTLE_DAYS // step, min(LONGEST_AFTER // step, left)
        wide = np.zeros((len(lengths) + 1, hidden))
        wide[:-1, : rows.shape[1]] = rows
        wide[-1, spread : spread + rebound] = 1.0
        rows = wide
    return Windows(before, hidden, after, lengths, rows, 7 // step)


def candidates(
    panel: Panel, events: Sequence[Event], windows: Windows, taken: set[str]
) -> tuple[tuple[str, ...], dict[str, NDArray[np.bool_]]]:
    """Markets that nothing is known to have happened to, and the days of each that are not days of the open world."""
    last = windows.before + windows.hidden - 1
    holes = {name: np.zeros(len(panel.dates), dtype=bool) for name in panel.markets}
    out = set(taken)
    for event in events:
        if event.market not in holes or event.kind not in (*DISTURBING, *SETTING):
            continue
        begins, ends = panel.index_of(event.start), panel.index_of(event.end + timedelta(days=REBOUND_DAYS))
        if is_lasting(event) or event.kind in SETTING:
            if 0 <= begins <= last + windows.after:
                out.add(event.market)
        elif begins <= last and ends >= windows.before:
            out.add(event.market)
        else:
            holes[event.market][max(begins, 0) : max(ends + 1, 0)] = True
    return tuple(name for name in panel.markets if name not in out), holes


def keys_of(panel: Panel, metrics: Sequence[Metric] = COUNTED) -> list[tuple[Metric, str | None]]:
    """Every series that is measured: channels' visits, their total, and the shop's other metrics."""
    others = [one for one in metrics if one != "visits" and (one in panel.values or one in panel.totals)]
    return [
        *(("visits", channel) for channel in panel.channels),
        ("visits", None),
        *((metric, None) for metric in others),
    ]


def values_of(
    panel: Panel,
    events: Sequence[Event],
    key: tuple[Metric, str | None],
    markets: tuple[str, ...],
    donors: tuple[str, ...],
    holes: Mapping[str, NDArray[np.bool_]],
    subject: tuple[str, date],
    windows: Windows,
) -> MarketValues | None:
    """One metric of one channel in the treated markets and the donors; None when the markets or donors lack it.

    Calendar columns are those of the week, the year, of steps, and of what these markets alone had: what all markets
    share, the donors show.
    """
    metric, channel = key
    late = windows.at(windows.before)
    out = late[windows.rows[: len(windows.lengths)].any(axis=0)]
    if np.isfinite(panel.sum_of("visits", markets)[out, panel.channel_index(subject[0])]).any():
        out = out[:0]
    # a channel without any row while it is out had no visit then, and the shop's total is that of the others
    treated = market_sum(panel, metric, channel, markets, absent=(subject[0], out))
    if not (np.nan_to_num(treated[: windows.before]) > 0).any():
        return None
    shown = np.delete(treated, late)
    is_log = bool((shown[np.isfinite(shown)] > 0).all())
    own = np.column_stack(
        [np.where(holes[name], np.nan, market_sum(panel, metric, channel, (name,))) for name in donors]
    )
    # on logs a donor's empty days are holes, as long as enough donors have few of them
    usable = _usable(np.where(own > 0, own, np.nan), windows) if is_log else np.empty(0, dtype=np.intp)
    if usable.size >= FEWEST_DONORS:
        own = np.where(own > 0, own, np.nan)
    else:
        usable, is_log = _usable(own, windows), False
    if usable.size < FEWEST_DONORS:
        return None
    raw = filled(own[:, usable])
    names = tuple(donors[at] for at in usable.tolist())
    mine = [
        event
        for event in events
        if (event.market in markets or (event.market is None and event.kind not in SHAPED))
        and (event.channel, event.start) != subject
    ]
    market = markets[0] if len(markets) == 1 else None
    # while the event lasts, later rows about its channel are what is measured; once it is over, they are other events
    asked = subject if windows.after == 0 else None
    design = build_design(panel.dates, mine, channel, market=market, cadence=panel.cadence, subject=asked)
    return MarketValues(metric, channel, treated, raw, without_freaks(raw, is_log), names, design, is_log)


def _usable(donors: FloatArray, windows: Windows) -> NDArray[np.intp]:
    """Donors with few missing days and some visits before, in the order of their columns; the largest of many."""
    missing = np.isnan(donors)
    few = (missing.mean(axis=0) <= MOST_MISSING) & (missing[windows.at(windows.before)].mean(axis=0) <= MOST_MISSING)
    size = np.where(few, np.nansum(donors[: windows.before], axis=0), 0.0)
    largest = np.argsort(-size, kind="stable")[:MOST_DONORS]
    return np.sort(largest[size[largest] > 0])


def market_sum(
    panel: Panel,
    metric: Metric,
    channel: str | None,
    markets: Sequence[str],
    *,
    absent: tuple[str, NDArray[np.int64]] | None = None,
) -> FloatArray:
    """Sum over some markets, and over all channels when none is named, shape [day]; nan where not measured.

    `absent`: a channel and day numbers on which its missing rows are zeros.
    """
    if metric not in panel.values:
        places = [panel.markets.index(name) for name in markets]
        return np.array(panel.totals[metric][:, places].sum(axis=1))
    summed = panel.sum_of(metric, markets)
    if absent is not None:
        at = panel.channel_index(absent[0])
        summed[absent[1], at] = np.nan_to_num(summed[absent[1], at])
    if channel is not None:
        return np.array(summed[:, panel.channel_index(channel)])
    there = np.isfinite(summed).any(axis=0)
    return np.array(summed[:, there].sum(axis=1)) if there.any() else np.full(len(panel.dates), np.nan)


def filled(donors: FloatArray) -> FloatArray:
    """Donors with holes filled by their own mean times what the measured donors did that day, shape [day, donor].

    A donor that is nothing on every day says nothing about a day.
    """
    mean = np.nanmean(donors, axis=0)
    measured = np.isfinite(donors)
    tells = measured & (mean > 0)
    count = tells.sum(axis=1)
    relative = np.where(tells, donors / np.where(mean > 0, mean, 1.0), 0.0).sum(axis=1) / np.maximum(count, 1)
    day = np.where(count > 0, relative, 1.0)
    return np.where(measured, donors, mean * day[:, None])


def without_freaks(donors: FloatArray, is_log: bool) -> FloatArray:
    """Donors with their freak days filled like holes, shape [day, donor]: one that broke for a day drags no other."""
    scaled = _scaled(donors, is_log)
    away = scaled - np.median(scaled, axis=1, keepdims=True)
    return filled(np.where(np.abs(away - np.median(away, axis=0)) > FREAK_SD * _robust_sd(away), np.nan, donors))


def _scaled(values: FloatArray, is_log: bool) -> FloatArray:
    """Logs, or values over their mean, shape [day, series]."""
    if is_log:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(values))
    return np.asarray(values / np.nanmean(values, axis=0))


def _robust_sd(away: FloatArray) -> FloatArray:
    """Robust standard deviation of each series, shape [series]."""
    middle = np.nanmedian(away, axis=0)
    return np.asarray(np.maximum(1.4826 * np.nanmedian(np.abs(away - middle), axis=0), SMALLEST_SD))


def _drawn_in(sums: FloatArray, path: FloatArray, before: int, is_log: bool) -> FloatArray:
    """Sums with their freak days drawn in to the limit, relative to the donors' median path."""
    away = _scaled(sums, is_log) - path[:, None]
    middle, limit = np.nanmedian(away[:before], axis=0), FREAK_SD * _robust_sd(away[:before])
    held = np.clip(away, middle - limit, middle + limit) + path[:, None]
    return np.asarray(np.exp(held) if is_log else held * np.nanmean(sums, axis=0))
