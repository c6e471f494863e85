"""The daily round: visits of `touches` by day and hour, in the case's time zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rechannel.tables.panel import DateArray

HOURS = 24


@dataclass(frozen=True, slots=True)
class DailyRound:
    """Visits by day and hour.

    Attributes
    ----------
    dates
        Every day from the first visit to the last, datetime64[D], shape [day].
    visits
        Shape [day, 24].
    """

    dates: DateArray
    visits: NDArray[np.int64]


def daily_round(touches: pa.Table) -> DailyRound | None:
    """Count the visits of the canonical `touches` relation by day and hour; None when it holds none."""
    seen = touches.filter(pc.equal(touches["event"], "visit"))["time"]
    if len(seen) == 0:
        return None
    hour = seen.cast(pa.timestamp("us")).to_numpy().astype("datetime64[h]").astype(np.int64)
    first, last = int(hour.min()) // HOURS, int(hour.max()) // HOURS
    count = np.bincount(hour - first * HOURS, minlength=(last - first + 1) * HOURS)
    dates = np.arange(first, last + 1).astype("datetime64[D]")
    return DailyRound(dates, count.reshape(-1, HOURS).astype(np.int64))
