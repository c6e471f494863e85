"""What is known of other firms, at any cadence; firm `self` is the case's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, cast

import pyarrow as pa

from rechannel.vocabulary.channel import ALL_MARKETS

RivalMetric = Literal["share", "visits", "gmv", "active_customers"]
METRICS: tuple[RivalMetric, ...] = ("visits", "share", "gmv", "active_customers")
SELF = "self"


@dataclass(frozen=True, slots=True)
class RivalFigure:
    """One row of `rivals`: a share 0..1, a count or an amount of one firm; `all` = sum of the case's markets."""

    day: date
    market: str
    firm: str
    metric: RivalMetric
    value: float


def read_rivals(relation: pa.Table) -> tuple[RivalFigure, ...]:
    """The canonical `rivals` relation as records, by day, then firm; an empty market is `all`."""
    rows = (
        RivalFigure(
            row["date"], row.get("market") or ALL_MARKETS, row["firm"], cast(RivalMetric, row["metric"]), row["value"]
        )
        for row in relation.to_pylist()
    )
    return tuple(sorted(rows, key=lambda row: (row.day, row.market, row.firm, row.metric)))


def in_market(figures: Sequence[RivalFigure], market: str | None) -> tuple[RivalFigure, ...]:
    """Rows about one market, else those about all of them; None = all, else the sum over markets (mean of shares)."""
    wanted = tuple(row for row in figures if row.market == (market or ALL_MARKETS))
    if wanted:
        return wanted
    if market is not None:
        return tuple(row for row in figures if row.market == ALL_MARKETS)
    groups: dict[tuple[date, str, RivalMetric], list[float]] = {}
    for row in figures:
        groups.setdefault((row.day, row.firm, row.metric), []).append(row.value)
    return tuple(
        RivalFigure(day, ALL_MARKETS, firm, metric, sum(values) / (len(values) if metric == "share" else 1))
        for (day, firm, metric), values in groups.items()
    )


def firms(figures: Sequence[RivalFigure]) -> tuple[str, ...]:
    """Other firms, largest last known value first, then by name; never `self`."""
    latest: dict[str, tuple[date, float]] = {}
    for row in figures:
        if row.firm != SELF and (row.firm not in latest or row.day >= latest[row.firm][0]):
            latest[row.firm] = (row.day, row.value)
    return tuple(sorted(latest, key=lambda firm: (-latest[firm][1], firm)))


def sizes(figures: Sequence[RivalFigure]) -> dict[str, float]:
    """Latest size of every rival on one scale, from rows of one market; who is on no common scale is left out.

    With `self` on the same metric and day, a size is the rival's value over it - visits before the other metrics - and
    rivals known in different metrics stand side by side. Otherwise sizes are the values of the metric that most are
    known in.
    """
    scaled: dict[str, float] = {}
    market = figures[0].market if figures else ALL_MARKETS
    for metric in reversed(METRICS):
        for _, ratios in sorted(relative_to_self(figures, metric, market).items()):
            scaled |= ratios
    named = {row.firm for row in figures if row.firm != SELF}
    if named <= scaled.keys():
        return {firm: size for firm, size in scaled.items() if size > 0}
    covered = {metric: len({row.firm for row in figures if row.metric == metric}) for metric in METRICS}
    widest = max(METRICS, key=lambda metric: covered[metric])
    latest = {row.firm: row.value for row in figures if row.metric == widest and row.firm != SELF}
    return {firm: value for firm, value in latest.items() if value > 0}


def relative_to_self(
    figures: Sequence[RivalFigure], metric: RivalMetric, market: str = ALL_MARKETS
) -> dict[date, dict[str, float]]:
    """Value of each rival over the value of `self`, same metric, market and day; days without `self` are left out.

    A rival's visits in own units are own visits times this ratio; without `self` there is no common scale.
    """
    by_day: dict[date, dict[str, float]] = {}
    for row in figures:
        if row.metric == metric and row.market == market:
            by_day.setdefault(row.day, {})[row.firm] = row.value
    return {
        day: {firm: value / values[SELF] for firm, value in values.items() if firm != SELF}
        for day, values in by_day.items()
        if values.get(SELF, 0) > 0
    }
