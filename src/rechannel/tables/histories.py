"""New customers of a log, counted: what they ordered after their first order, by its channel and by age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rechannel.tables.engines.remote import Engine, integers, script_on
from rechannel.tables.engines.sql import Script
from rechannel.tables.journeyrules import DAY, MOST_AGES, IntArray, JourneyRules
from rechannel.vocabulary.estimate import FloatArray

AGE_DAYS = 30
"""Width of an age: age 0 is days 1 to 30 after the day of the first order."""


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Customers whose first order lies on the days [entered_from, until), as they stood on the eve of `until`.

    An order day is a day with one or more orders after the day of the first one. Days are counted from 1970.

    Attributes
    ----------
    channels
        Names, sorted by code point; every table is indexed in this order.
    entered_from, until, end
        `end` is the day after the last one of the log.
    channel, frequency, recency, age, customers
        Distinct histories, shape [row]: channel of the first order; order days; days from the first order to the last
        order day (0 without one), and to the eve of `until`; customers with this history.
    order_days, orders
        Shape [channel, age] of `MOST_AGES` ages and one for all that are older: before `until`.
    value
        Shape [channel, age]: value of these orders, case currency.
    later
        Shape [channel]: order days of the same customers from `until` to the end of the log.
    first_orders, all_orders, all_value
        On the days [entered_from, until): first orders in the log, all orders, and their value.
    """

    channels: tuple[str, ...]
    entered_from: int
    until: int
    end: int
    channel: IntArray
    frequency: IntArray
    recency: IntArray
    age: IntArray
    customers: IntArray
    order_days: IntArray
    orders: IntArray
    value: FloatArray
    later: IntArray
    first_orders: int
    all_orders: int
    all_value: float

    @property
    def days_at_risk(self) -> FloatArray:
        """Customer days observed, shape [channel, age]."""
        edges = AGE_DAYS * np.arange(MOST_AGES + 1)
        width = np.append(np.full(MOST_AGES, AGE_DAYS), np.iinfo(np.int32).max)
        seen = np.clip(self.age[:, None] - edges, 0, width) * self.customers[:, None]
        table = np.zeros((len(self.channels), MOST_AGES + 1))
        np.add.at(table, self.channel, seen.astype(np.float64))
        return table


@dataclass(frozen=True, slots=True)
class OrderLog:
    """A log whose orders can be counted.

    Attributes
    ----------
    first, end
        First day of the log, and the day after its last one, counted from 1970.
    has_value
        Whether orders have a value.
    """

    engine: Engine
    script: Script

    @property
    def first(self) -> int:
        return self.script.log.first // DAY

    @property
    def end(self) -> int:
        return self.script.log.last // DAY + 1

    @property
    def has_value(self) -> bool:
        return self.script.has_value

    def totals(self, since: int, until: int) -> tuple[int, int, int]:
        """Orders on the days [since, until), first orders of the log among them, and value in its last decimal."""
        every, first, paid = integers(self.engine.rows(self.script.order_totals((since, until))))[0]
        return int(every), int(first), int(paid)

    def cohorts(self, entered_from: int, until: int) -> Cohorts:
        """Count the customers who entered on the days [entered_from, until).

        Parameters
        ----------
        entered_from, until
            Days since 1970. A customer whose first order lies before `entered_from` is not looked at: the log does not
            tell the first order of one who came before it.
        """
        script, entered = self.script, (entered_from, until)
        size = len(script.log.channels)

        def asked(query: str, columns: int) -> IntArray:
            return integers(self.engine.rows(query)).reshape(-1, columns)

        histories = asked(script.histories(*entered), 5)
        histories = histories[np.lexsort(histories.T[::-1])]
        sums = np.zeros((3, size, MOST_AGES + 1), np.int64)
        before = asked(script.repeats(entered, (entered_from, until), AGE_DAYS, MOST_AGES), 5)
        for place in range(3):
            np.add.at(sums[place], (before[:, 0], before[:, 1]), before[:, 2 + place])
        later = np.zeros(size, np.int64)
        if until < self.end:
            after = asked(script.repeats(entered, (until, self.end), AGE_DAYS, MOST_AGES), 5)
            np.add.at(later, after[:, 0], after[:, 2])
        every, first, paid = self.totals(entered_from, until)
        scale = 10**script.rules.decimals
        channel, frequency, recency, age, customers = histories.T
        return Cohorts(
            channels=script.log.channels,
            entered_from=entered_from,
            until=until,
            end=self.end,
            channel=channel,
            frequency=frequency,
            recency=recency,
            age=age,
            customers=customers,
            order_days=sums[0],
            orders=sums[1],
            value=sums[2] / scale,
            later=later,
            first_orders=first,
            all_orders=every,
            all_value=paid / scale,
        )


def order_log(engine: Engine) -> OrderLog:
    """Look at a log on an engine.

    Raises
    ------
    CallError
        RC357 (too many channels), RC359, RC360, RC363: as `engines.remote.fold_on`.
    """
    return OrderLog(engine, script_on(engine, JourneyRules()))
