"""Small panels for the tests of audit and watch: plain multiplicative noise, a week, orders by chance; no lab code."""

from __future__ import annotations

from datetime import date

import numpy as np

from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import FloatArray

FIRST = date(2024, 1, 1)
WEEK = np.array([1.0, 1.02, 1.0, 0.98, 0.95, 1.15, 1.1])


def made_panel(
    days: int = 300,
    sizes: tuple[float, ...] = (4000.0, 2500.0, 1500.0, 900.0, 400.0),
    *,
    seed: int = 0,
    noise: float = 0.05,
    demand: float = 0.03,
    heavy: bool = False,
) -> Panel:
    """Channels c0, c1, ... with AR(1) moods and a common demand, visits Poisson, orders 4 % of visits."""
    rng = np.random.default_rng([seed, days, len(sizes)])
    shared = ar(rng, days, 1, 0.6, demand, False)
    own = ar(rng, days, len(sizes), 0.4, noise, heavy)
    rate = np.array(sizes) * WEEK[np.arange(days) % 7, None] * np.exp(shared + own)
    visits = rng.poisson(rate).astype(float)
    orders = rng.binomial(visits.astype(int), 0.04).astype(float)
    gmv = np.round(orders * 200 * np.exp(0.3 * rng.standard_normal(orders.shape) / np.sqrt(orders + 1)), 2)
    return as_panel(visits, orders, gmv)


def ar(rng: np.random.Generator, days: int, series: int, memory: float, sd: float, heavy: bool) -> FloatArray:
    """Stationary AR(1) paths of standard deviation `sd`; t shocks with three degrees of freedom when `heavy`."""
    shocks = rng.standard_t(3, (days, series)) / np.sqrt(3) if heavy else rng.standard_normal((days, series))
    path = np.empty((days, series))
    path[0] = shocks[0]
    for day in range(1, days):
        path[day] = memory * path[day - 1] + np.sqrt(1 - memory**2) * shocks[day]
    return sd * path


def as_panel(visits: FloatArray, orders: FloatArray | None = None, gmv: FloatArray | None = None) -> Panel:
    """Arrays [day, channel] as a panel of one market."""
    dates = np.datetime64(FIRST) + np.arange(len(visits))
    values = {"visits": visits[:, None, :]}
    if orders is not None and gmv is not None:
        values |= {"orders": orders[:, None, :], "gmv": gmv[:, None, :]}
    return Panel(dates, ("all",), tuple(f"c{i}" for i in range(visits.shape[1])), values, {})


def arrays(panel: Panel) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Visits, orders and GMV of a panel, shape [day, channel], to be changed."""
    return tuple(panel.values[name][:, 0].copy() for name in ("visits", "orders", "gmv"))  # type: ignore[return-value]
