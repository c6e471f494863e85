"""The daily panel: every metric as an array [date, market, channel] on one gapless date axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rechannel.vocabulary.channel import ALL_MARKETS, Cadence, Metric
from rechannel.vocabulary.estimate import FloatArray

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

    def index_of(self, day: date) -> int:
        """Position of `day` on the date axis; may lie before 0 or past the end."""
        step = 7 if self.cadence == "weekly" else 1
        return (day - self.first).days // step

    def channel_index(self, channel: str) -> int:
        return self.channels.index(channel)

    def over_markets(self, metric: Metric, market: str | None = None) -> FloatArray:
        """One market, or the sum of all, shape [date, channel]; nan where any market of the sum is not measured."""
        values = self.values[metric]
        if market is None or (market == ALL_MARKETS and market not in self.markets):
            return np.asarray(values.sum(axis=1))
        return np.asarray(values[:, self.markets.index(market), :])


def to_date(day: np.datetime64) -> date:
    """A numpy day as a date."""
    value = day.astype("datetime64[D]").item()
    assert isinstance(value, date)
    return value
