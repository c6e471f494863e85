"""The daily panel: every metric as an array [date, market, channel] on one gapless date axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rechannel.vocabulary.channel import ALL_MARKETS, METRICS, WHOLE_SHOP, Cadence, Metric
from rechannel.vocabulary.estimate import FloatArray

GONE_DAYS = 28
"""Days without a row, or without a visit, after which a channel has ended."""
DateArray: TypeAlias = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Panel:
    """What a shop knows per day, market and channel.

    Attributes
    ----------
    dates
        datetime64[D], shape [date], without gaps (weekly: every 7th day).
    markets
        Names, shape [market]; `("all",)` when the file has no market.
    channels
        Own channels, most visited first, shape [channel]; never holds `total`.
    values
        Metric -> array [date, market, channel]; nan = not measured that day. A metric the file lacks is absent.
    totals
        Metric -> array [date, market]: what is only known for the whole shop (channel `total` of the file).
    cadence
        daily or weekly.
    """

    dates: DateArray
    markets: tuple[str, ...]
    channels: tuple[str, ...]
    values: Mapping[Metric, FloatArray]
    totals: Mapping[Metric, FloatArray]
    cadence: Cadence = "daily"

    @property
    def first(self) -> date:
        """First day with a row."""
        return to_date(self.dates[0])

    @property
    def last(self) -> date:
        """Last day with a row."""
        return to_date(self.dates[-1])

    @property
    def step(self) -> int:
        """Days per row."""
        return 7 if self.cadence == "weekly" else 1

    def index_of(self, day: date) -> int:
        """Position of `day` on the date axis; may lie before 0 or past the end."""
        return (day - self.first).days // self.step

    def channel_index(self, channel: str) -> int:
        return self.channels.index(channel)

    def over_markets(self, metric: Metric, market: str | None = None) -> FloatArray:
        """One market, or the sum of all, shape [date, channel]; nan where any market of the sum is not measured."""
        if market is None or (market == ALL_MARKETS and market not in self.markets):
            return self.sum_of(metric, self.markets)
        return np.asarray(self.values[metric][:, self.markets.index(market), :])

    def sum_of(self, metric: Metric, markets: Sequence[str]) -> FloatArray:
        """The sum of some markets, shape [date, channel]; nan where any of them is not measured.

        A market adds nothing to a channel before its first row of visits there, and after its last one when that lies
        more than four weeks before the panel's end: it does not have that channel then.
        """
        places = [self.markets.index(name) for name in markets]
        measured = np.isfinite(self.values["visits"][:, places])
        has, rows = measured.any(axis=0), np.arange(self.dates.size)[:, None, None]
        first = np.argmax(measured, axis=0)
        last = self.dates.size - 1 - np.argmax(measured[::-1], axis=0)
        ended = last < self.dates.size - GONE_DAYS // self.step
        there = has & (rows >= first) & ~(ended & (rows > last))
        total = np.where(there, self.values[metric][:, places], 0.0).sum(axis=1)
        return np.asarray(np.where(there.any(axis=1), total, np.nan))


def has_ended(visits: FloatArray, cadence: Cadence) -> bool:
    """Whether a channel, shape [date], had no visit in the last four weeks: it is not there any more."""
    return not bool((np.nan_to_num(visits[-(GONE_DAYS // (7 if cadence == "weekly" else 1)) :]) > 0).any())


def to_date(day: np.datetime64) -> date:
    """A numpy day as a date."""
    value = day.astype("datetime64[D]").item()
    assert isinstance(value, date)
    return value


def build_panel(relation: pa.Table, cadence: Cadence = "daily") -> Panel:
    """The canonical `daily` relation as arrays on one gapless date axis.

    Parameters
    ----------
    relation
        Columns `date` (date32), `channel`, optional `market`, and any of `METRICS` (float64, null = not measured);
        one row per key, as the contract guarantees.
    cadence
        daily or weekly: the step of the date axis.

    Returns
    -------
    Panel with arrays [date, market, channel]; a missing row and a null are nan. Channels stand by visits, then name;
    markets by name. Channel `total` goes to `totals`, [date, market].

    Raises
    ------
    ValueError
        The relation has no own channel.

    Examples
    --------
    >>> from datetime import date
    >>> rows = pa.table({"date": [date(2025, 1, 1), date(2025, 1, 3)], "channel": ["app", "app"], "visits": [5.0, 7.0]})
    >>> build_panel(rows).values["visits"][:, 0, 0]
    array([ 5., nan,  7.])
    """
    days = relation["date"].cast(pa.int32()).to_numpy().astype("datetime64[D]")
    step = 7 if cadence == "weekly" else 1
    dates = np.arange(days.min(), days.max() + np.timedelta64(1, "D"), np.timedelta64(step, "D"))
    day_of = (days - days.min()).astype(np.int64) // step
    if "market" in relation.column_names:
        market_of, markets = _codes(relation["market"])
    else:
        market_of, markets = np.zeros(len(days), np.int64), (ALL_MARKETS,)
    channel_of, names = _codes(relation["channel"])
    visits = _floats(relation, "visits")
    size = np.bincount(channel_of, weights=np.nan_to_num(visits), minlength=len(names))
    own = sorted(
        (index for index in range(len(names)) if names[index] != WHOLE_SHOP), key=lambda i: (-size[i], names[i])
    )
    if not own:
        raise ValueError("the daily table has no own channel")
    place = np.full(len(names), -1)
    place[own] = np.arange(len(own))
    column_of = place[channel_of]
    is_own = column_of >= 0
    values: dict[Metric, FloatArray] = {}
    totals: dict[Metric, FloatArray] = {}
    for metric in METRICS:
        if metric not in relation.column_names:
            continue
        cells = _floats(relation, metric)
        array = np.full((len(dates), len(markets), len(own)), np.nan)
        array[day_of[is_own], market_of[is_own], column_of[is_own]] = cells[is_own]
        values[metric] = array
        if not is_own.all() and np.isfinite(cells[~is_own]).any():
            total = np.full((len(dates), len(markets)), np.nan)
            total[day_of[~is_own], market_of[~is_own]] = cells[~is_own]
            totals[metric] = total
    return Panel(dates, markets, tuple(names[index] for index in own), values, totals, cadence)


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Position of each value among the sorted distinct ones."""
    names = sorted(str(name) for name in pc.unique(column).to_pylist())
    found = pc.index_in(column, value_set=pa.array(names, pa.string()))
    return found.to_numpy().astype(np.int64), tuple(names)


def _floats(relation: pa.Table, column: str) -> FloatArray:
    return np.asarray(relation[column].cast(pa.float64()).to_numpy(), dtype=np.float64)
