"""A made shop in several markets whose entry was off in some of them, with the true change of visits."""

from __future__ import annotations

from datetime import date

import numpy as np

from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import FloatArray

FIRST = date(2025, 1, 1)
CHANNELS = ("entry", "app", "web")
SHARES = np.array([0.25, 0.45, 0.3])
DIVERSION = np.array([0.0, 0.3, 0.1])
"""Of 100 visits that the entry loses, 30 come back by the app and 10 by the web."""


def made_shop(
    seed: int, *, days: int = 160, markets: int = 14, off: dict[int, tuple[int, int]] | None = None, size: float = 3000
) -> tuple[Panel, FloatArray]:
    """A shop of three channels in several markets, and the true change of visits, shape [day, market, channel].

    `off`: market -> first day and number of days on which its entry was off.
    """
    rng = np.random.default_rng([41, seed])
    day = np.arange(days)
    common = np.zeros(days)
    common[0] = rng.normal(0, 0.06)
    for step in range(1, days):
        common[step] = 0.7 * common[step - 1] + rng.normal(0, 0.04)
    weekly = rng.normal(0, 0.1, 7)[day % 7]
    base = size * rng.uniform(0.5, 1.5, markets)
    own = 0.02 * rng.standard_normal((days, markets, 3)).cumsum(axis=0) * 0.2
    noise = 0.02 * rng.standard_normal((days, markets, 3))
    react = rng.uniform(0.8, 1.2, markets)
    mean = base[None, :, None] * SHARES * np.exp((weekly + common)[:, None, None] * react[None, :, None] + own + noise)
    change = np.zeros_like(mean)
    for market, (first, length) in (off or {}).items():
        lost = mean[first : first + length, market, 0]
        change[first : first + length, market] = lost[:, None] * DIVERSION
        change[first : first + length, market, 0] = -lost
    open_visits = rng.poisson(mean).astype(float)
    visits = rng.poisson(mean + change).astype(float)
    visits = np.where(change == 0, open_visits, visits)
    orders = rng.poisson(0.04 * visits).astype(float)
    names = tuple(f"m{at:02d}" for at in range(markets))
    dates = np.datetime64(FIRST, "D") + day
    return Panel(dates, names, CHANNELS, {"visits": visits, "orders": orders}, {}), change
