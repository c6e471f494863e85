"""One made shop behind every made export, and the statement of what its files tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

import numpy as np

Metric = Literal["visits", "orders", "gmv", "new_customers", "refunds", "cost", "volume"]
METRICS: tuple[Metric, ...] = ("visits", "orders", "gmv", "new_customers", "refunds", "cost", "volume")
Series = tuple[float | None, ...]
"""One value per day of the shop, in its order; None where the files hold no figure."""

VisitsAre = Literal["sessions", "daily visitors", "viewers", "clicks", "opens", "page views", "customers added"]

# channel: visits per day, conversion, share of new among the orders, cost per visit, impressions per visit
_SHAPE: dict[str, tuple[int, float, float, float, int]] = {
    "search": (900, 0.050, 0.40, 0.0, 0),
    "feed": (700, 0.020, 0.60, 0.0, 0),
    "own": (500, 0.110, 0.05, 0.0, 0),
    "live": (250, 0.060, 0.50, 0.0, 0),
    "affiliate": (120, 0.080, 0.55, 0.9, 0),
    "ads_search": (400, 0.045, 0.50, 1.2, 25),
    "ads_feed": (300, 0.025, 0.65, 0.8, 60),
}
CHANNELS = tuple(_SHAPE)
PAID = ("ads_search", "ads_feed")
"""The channels bought per click; `affiliate` is paid by commission."""


@dataclass(frozen=True, slots=True)
class MadeShop:
    """A shop without events: every channel is there on every day.

    Attributes
    ----------
    days
        Days without a gap.
    series
        Metric -> channel -> value per day. Counts are whole, money has two decimals, cost and volume are 0 where
        nothing is bought.
    """

    days: tuple[date, ...]
    series: Mapping[Metric, Mapping[str, tuple[float, ...]]]

    def of(self, metric: Metric, channel: str) -> tuple[float, ...]:
        """One metric of one channel, per day."""
        return self.series[metric][channel]

    def at(self, metric: Metric, channel: str, day: int) -> float:
        """One value; `day` counts from 0."""
        return self.series[metric][channel][day]

    def total(self, metric: Metric, channels: Iterable[str] = CHANNELS) -> tuple[float, ...]:
        """Sum over channels, per day."""
        picked = [self.series[metric][channel] for channel in channels]
        return tuple(round(sum(values), 2) for values in zip(*picked, strict=True))

    def visitors(self) -> tuple[float, ...]:
        """Daily visitors of the whole shop: fewer than the sum of its sources, because people use several."""
        return tuple(round(value * 0.93) for value in self.total("visits"))


def made_shop(seed: int = 1, days: int = 120, scale: float = 1.0, first: date = date(2025, 3, 3)) -> MadeShop:
    """A shop with a weekly pattern and slow drift; `scale` multiplies the visits, for exports that list events."""
    draw = np.random.default_rng(seed)
    week = np.array([1.0, 0.96, 0.95, 0.97, 1.02, 1.14, 1.10])
    series: dict[Metric, dict[str, tuple[float, ...]]] = {metric: {} for metric in METRICS}
    calendar = tuple(first + timedelta(days=day) for day in range(days))
    for name, (base, conversion, new, price, shown) in _SHAPE.items():
        drift = np.exp(np.cumsum(draw.normal(0, 0.012, days)))
        mean = base * scale * drift * week[[day.weekday() for day in calendar]]
        visits = draw.poisson(mean) + 1
        orders = draw.binomial(visits, conversion)
        series["visits"][name] = tuple(map(int, visits))
        series["orders"][name] = tuple(map(int, orders))
        series["new_customers"][name] = tuple(map(int, draw.binomial(orders, new)))
        gmv = np.round(orders * draw.gamma(40, 128 / 40, days), 2)
        series["gmv"][name] = tuple(map(float, gmv))
        series["refunds"][name] = tuple(map(float, np.round(gmv * draw.beta(2, 18, days), 2)))
        series["cost"][name] = tuple(map(float, np.round(visits * price * draw.gamma(60, 1 / 60, days), 2)))
        series["volume"][name] = tuple(map(int, draw.poisson(visits * shown)))
    return MadeShop(calendar, series)


@dataclass(frozen=True, slots=True)
class Known:
    """What a right assembly of one product's files knows, and what it must leave empty.

    Attributes
    ----------
    visits_are
        What the column behind `visits` counts.
    by_channel
        Metric -> channel as the product writes it (newest name) -> series. A channel that the metric does not list is
        absent or 0 in a right assembly, never a share of a total.
    by_shop
        Metrics known for the whole shop, which belong to the channel `total`.
    tempting
        Column in the files -> the metric it looks like and is not.
    """

    visits_are: VisitsAre
    by_channel: Mapping[Metric, Mapping[str, Series]]
    by_shop: Mapping[Metric, Series] = field(default_factory=dict)
    tempting: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def unknown(self) -> tuple[Metric, ...]:
        """Metrics that the files do not tell."""
        return tuple(metric for metric in METRICS if metric not in self.by_channel and metric not in self.by_shop)

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel with visits."""
        return tuple(self.by_channel.get("visits", {}))
