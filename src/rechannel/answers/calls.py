"""What a question may be asked about: known channels and markets, days near the data, horizons up to three years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rechannel.vocabulary.errors import CallError, nearest

EARLIEST_DAY, LATEST_DAY = 28, 365
"""A question's day lies from 28 days after the first row to 365 days after the last."""
LONGEST_HORIZON = 1095


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the calls to one case.

    Attributes
    ----------
    channels, markets
        Known names.
    first, last
        First and last day of `daily`; None without it: then any day goes.
    """

    channels: Sequence[str]
    markets: Sequence[str]
    first: date | None = None
    last: date | None = None

    def reach(self, on: date) -> bool:
        """Whether a day lies near enough to the data."""
        if self.first is None or self.last is None:
            return True
        return self.first + timedelta(days=EARLIEST_DAY) <= on <= self.last + timedelta(days=LATEST_DAY)

    def check(self, channel: str, on: date, horizons: Sequence[int], market: str | None) -> None:
        """CallError RC320-RC324 unless channel, day, market and horizons are ones the case can be asked about."""
        if not self.channels:
            raise CallError("RC322")
        if channel not in self.channels:
            raise CallError("RC320", channel=channel, nearest=nearest(channel, self.channels))
        if self.first is not None and self.last is not None and not self.reach(on):
            earliest, latest = self.first + timedelta(days=EARLIEST_DAY), self.last + timedelta(days=LATEST_DAY)
            raise CallError("RC321", on=on.isoformat(), first=earliest.isoformat(), last=latest.isoformat())
        if market is not None and market not in self.markets:
            near = nearest(market, self.markets) if self.markets else ""
            raise CallError("RC323", market=market, nearest=near)
        for horizon in horizons:
            if not 1 <= horizon <= LONGEST_HORIZON:
                raise CallError("RC324", horizon=str(horizon), most=str(LONGEST_HORIZON))
