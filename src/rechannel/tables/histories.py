"""Order histories of customers, counted: what a model of repeat orders is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rechannel.source.engine import locked_engine
from rechannel.tables.touches import MEMORY_MB, TouchFiles
from rechannel.vocabulary.estimate import FloatArray


@dataclass(frozen=True, slots=True)
class Histories:
    """Distinct histories and how many customers have each; all shapes [row].

    Attributes
    ----------
    channel
        Channel of the first order, as the log states it.
    frequency
        Days with an order after the first one.
    recency_weeks, age_weeks
        From the first order's day to the last one's, and to the last day of the log.
    customers
        Customers with this history.
    """

    channel: tuple[str, ...]
    frequency: FloatArray
    recency_weeks: FloatArray
    age_weeks: FloatArray
    customers: FloatArray


def order_histories(touches: TouchFiles, memory_mb: int = MEMORY_MB) -> Histories:
    """Order histories of a log, by the day: orders of one day count once.

    Parameters
    ----------
    touches
        The log.
    memory_mb
        Memory of the engine; what does not fit is spilled into a private folder.
    """
    query = f"""WITH ends AS (SELECT CAST(max(time) AS DATE) AS last_day FROM {touches.relation}),
        days AS (SELECT customer, CAST(time AS DATE) AS day, arg_min(channel, (time, channel)) AS channel
            FROM {touches.relation} WHERE event = 'order' GROUP BY customer, day),
        each AS (SELECT arg_min(channel, day) AS channel, count(*) - 1 AS frequency, max(day) - min(day) AS recency,
            any_value(last_day) - min(day) AS age FROM days, ends GROUP BY customer)
        SELECT channel, frequency, recency, age, count(*) FROM each GROUP BY ALL ORDER BY ALL"""
    with locked_engine(touches.files, memory_mb) as connection:
        rows = connection.execute(query).fetchall()
    numbers = np.array([row[1:] for row in rows], np.float64).reshape(-1, 4)
    return Histories(
        tuple(str(row[0]) for row in rows), numbers[:, 0], numbers[:, 1] / 7, numbers[:, 2] / 7, numbers[:, 3]
    )
