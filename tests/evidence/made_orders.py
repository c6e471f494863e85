"""Order logs made customer by customer: gamma rates, drop-outs after an order, arrivals before and inside the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from rechannel.tables.engines.duck import DuckEngine
from rechannel.tables.histories import OrderLog, order_log
from rechannel.tables.journeyrules import DAY

FIRST = 19_358
"""2023-01-01."""


@dataclass(frozen=True)
class Maker:
    """Customers of the BG/NBD model by channel; `rate` is the shape and mean gap (days), `drop` the beta of drop-outs.

    without `drop` nobody leaves; `before` are days of arrivals before the log begins.
    """

    rate: tuple[float, float] = (0.8, 60.0)
    drop: tuple[float, float] | None = (0.9, 3.0)
    shares: Sequence[float] = (0.5, 0.3, 0.2)
    factors: Sequence[float] = (1.0, 1.0, 1.0)
    names: Sequence[str] = ("app", "entry", "web")
    per_day: float = 8.0
    before: int = 0

    def make(self, seed: int, days: int) -> pa.Table:
        """Touches of `days` days from `FIRST` on: orders only, their value and whether the customer came inside."""
        rng = np.random.default_rng([seed, 7])
        count = rng.poisson(self.per_day * (days + self.before))
        came = np.sort(rng.uniform(-self.before, days, count))
        channel = rng.choice(len(self.shares), count, p=self.shares)
        shape, gap = self.rate
        rate = rng.gamma(shape, 1 / shape, count) / gap * np.asarray(self.factors)[channel]
        drop = rng.beta(*self.drop, count) if self.drop else np.zeros(count)
        who, when, live, now = [np.arange(count)], [came], np.arange(count), came.copy()
        while live.size:
            live = live[rng.random(live.size) >= drop[live]] if len(who) > 1 else live
            now[live] += rng.exponential(1 / np.maximum(rate[live], 1e-12))
            live = live[now[live] < days]
            who.append(live)
            when.append(now[live].copy())
        people, times = np.concatenate(who), np.concatenate(when)
        people, times = people[times >= 0], times[times >= 0]
        return pa.table(
            {
                "customer": pa.array([f"c{person}" for person in people]),
                "time": pa.array(FIRST * DAY + (times * DAY).astype(np.int64)).cast(pa.timestamp("us")),
                "channel": pa.array(np.array(self.names)[channel[people]]),
                "event": pa.array(["order"] * len(people)),
                "value": pa.array(np.round(rng.gamma(2.0, 100.0, len(people)), 2)),
            }
        )


def logged(table: pa.Table, days: int | None = None) -> OrderLog:
    """The orders of a table, of its first `days` days."""
    connection = duckdb.connect(":memory:")
    connection.register("made", table)
    until = "" if days is None else f" WHERE epoch_us(time) < {(FIRST + days) * DAY}"
    connection.execute(f"CREATE TABLE touches AS SELECT * FROM made{until}")
    return order_log(DuckEngine(connection, "touches"))
