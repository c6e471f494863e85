"""A made market: the tables a shop would hold, and the truth that only a made market knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa

from rechannel.lab.chance import stream
from rechannel.lab.counts import CountArray, Counts, Pair, count
from rechannel.lab.customers import Flows, Sample, Shop
from rechannel.lab.people import People, make_people
from rechannel.lab.records import (
    customer_name,
    daily_table,
    deals_table,
    events_table,
    rivals_table,
    slots_table,
    touches_table,
)
from rechannel.lab.specs import Happening, WorldSpec, draw_spec
from rechannel.lab.weather import make_weather
from rechannel.tables.panel import DateArray
from rechannel.vocabulary.estimate import FloatArray

__all__ = ["Happening", "MadeWorld", "Truth", "TruthMetric", "WorldSpec", "draw_spec", "make_world"]

TruthMetric = Literal["visits", "new_customers", "orders", "gmv"]
MOST_TOUCH_DAYS = 400
_FORESEEN = ("promo", "holiday")


@dataclass(frozen=True, slots=True)
class Truth:
    """What D did, known because both paths were lived.

    Attributes
    ----------
    dates
        All days, shape [date].
    channels
        Entries, shape [channel].
    closed_channel
        The entry D is about.
    on_index
        Position of D.
    open, closed
        Metric -> array [date, channel], summed over markets, as the shop's books would count them.
    rivals
        Names of rivals.
    rival_gain
        Visits rivals win by the closure, in visits of the shop, [date, rival].
    """

    dates: DateArray
    channels: tuple[str, ...]
    closed_channel: str
    on_index: int
    open: Mapping[TruthMetric, FloatArray]
    closed: Mapping[TruthMetric, FloatArray]
    rivals: tuple[str, ...]
    rival_gain: FloatArray

    def _window(self, horizon: int) -> slice:
        if not 0 < horizon <= len(self.dates) - self.on_index:
            raise ValueError(f"horizon {horizon} is not within 1..{len(self.dates) - self.on_index} days")
        return slice(self.on_index, self.on_index + horizon)

    def difference(self, metric: TruthMetric, horizon: int) -> FloatArray:
        """Open minus closed by entry over [D, D+horizon), shape [channel]."""
        days = self._window(horizon)
        return np.asarray((self.open[metric][days] - self.closed[metric][days]).sum(axis=0))

    def removed(self, horizon: int, metric: TruthMetric = "visits") -> float:
        """What the entry itself loses over [D, D+horizon)."""
        return float(self.difference(metric, horizon)[self.channels.index(self.closed_channel)])

    def net_loss(self, metric: TruthMetric, horizon: int) -> float:
        """Open minus closed over all own entries; below 0 = the closure brings more."""
        return float(self.difference(metric, horizon).sum())

    def to_rivals(self, horizon: int) -> float:
        """Visits won by rivals over [D, D+horizon)."""
        return float(self.rival_gain[self._window(horizon)].sum())

    def lost_outside(self, horizon: int) -> float:
        """Visits that do not happen anywhere: net loss less what rivals win."""
        return self.net_loss("visits", horizon) - self.to_rivals(horizon)

    def diversion(self, horizon: int) -> dict[str, float]:
        """Share of removed visits by own entry, rival and `outside`; adds to 1. Empty when nothing was removed."""
        removed = self.removed(horizon)
        if removed == 0:
            return {}
        gained = -self.difference("visits", horizon) / removed
        own = {name: float(gained[i]) for i, name in enumerate(self.channels) if name != self.closed_channel}
        won = self.rival_gain[self._window(horizon)].sum(axis=0) / removed
        rivals = {name: float(won[index]) for index, name in enumerate(self.rivals)}
        return {**own, **rivals, "outside": self.lost_outside(horizon) / removed}

    def retained(self, horizon: int) -> float:
        """Share of removed visits that own entries win; nan when nothing was removed."""
        removed = self.removed(horizon)
        return 1 - self.net_loss("visits", horizon) / removed if removed else float("nan")


@dataclass(frozen=True, slots=True)
class MadeWorld:
    """One market as a shop sees it, with its truth beside it.

    Attributes
    ----------
    spec
        What it was made from.
    tables
        Canonical tables (daily, events, touches, rivals, deals, and slots of the host) of the path that happened,
        closure included.
    truth
        Both paths.
    newcomers
        Customers of `touches` whose first order in it is their first ever; no shop could tell.
    """

    spec: WorldSpec
    tables: Mapping[str, pa.Table]
    truth: Truth
    newcomers: frozenset[str] = frozenset()

    @property
    def closed_channel(self) -> str:
        return self.spec.closing

    @property
    def on(self) -> date:
        return self.spec.on

    @property
    def announced(self) -> date | None:
        return self.spec.announced

    def before(self, day: date | None = None) -> dict[str, pa.Table]:
        """The tables as they stood on the eve of `day` (default D): rows before it, and dates known in advance."""
        return self._until((day or self.on) - timedelta(days=1))

    def after(self, days: int) -> dict[str, pa.Table]:
        """The tables with `days` days from D on."""
        return self._until(self.on + timedelta(days=days - 1))

    def _until(self, last: date) -> dict[str, pa.Table]:
        out = dict(self.tables)
        eve = np.datetime64(last)
        for name, column in (("daily", "date"), ("touches", "time"), ("slots", "date")):
            if name in out:
                days = out[name][column].to_numpy().astype("datetime64[D]")
                out[name] = out[name].filter(pa.array(days <= eve))
        months = out["rivals"]["date"].to_numpy().astype("datetime64[M]")
        out["rivals"] = out["rivals"].filter(pa.array((months + 1).astype("datetime64[D]") <= eve + 1))
        rows = out["events"].select(["start", "kind"]).to_pylist()
        out["events"] = out["events"].filter(
            pa.array([row["start"] <= last or row["kind"] in _FORESEEN for row in rows])
        )
        return out


def make_world(spec: WorldSpec, *, touches: int = 0) -> MadeWorld:
    """Live the market open and closed, and write down what its shop would hold.

    Parameters
    ----------
    spec
        From `draw_spec`, or by hand.
    touches
        About how many visits to write to `touches` (0 = no table).

    Returns
    -------
    MadeWorld
        Equal specs give equal bytes. Truth is open minus closed: the two runs share needs, weather and every visit that
        the closure does not touch.

    Examples
    --------
    >>> from dataclasses import replace
    >>> world = make_world(replace(draw_spec("placebo", 1), customers=200))
    >>> world.truth.net_loss("visits", 30)
    0.0
    """
    people, weather = make_people(spec), make_weather(spec)
    shop = Shop(spec, people, weather)
    sample = _sample(spec, people, touches) if touches else None
    fork = spec.history if spec.announced is None else min(spec.history, spec.index_of(spec.announced))
    state, closed = shop.begin(), Flows.empty(spec)
    shop.run(state, closed, 0, fork, closing=False, sample=sample)
    opened, other = closed.copy(), state.copy()
    shop.run(other, opened, fork, spec.days, closing=False)
    shop.run(state, closed, fork, spec.days, closing=True, sample=sample)
    pair = count(spec, weather, opened, closed)
    tables = {
        "daily": daily_table(spec, pair.closed),
        "events": events_table(spec),
        "rivals": rivals_table(spec, weather, pair),
        "deals": deals_table(spec, pair.closed),
        "slots": slots_table(spec, pair),
    }
    newcomers: frozenset[str] = frozenset()
    if sample is not None:
        tables["touches"] = touches_table(spec, sample, people.basket)
        newcomers = frozenset(map(customer_name, np.concatenate(sample.came).tolist()))
    return MadeWorld(spec, tables, _truth(spec, pair), newcomers)


def _sample(spec: WorldSpec, people: People, touches: int) -> Sample:
    """People to watch, about as many as give the wanted number of visits up to the end of the data."""
    first = max(0, spec.history - MOST_TOUCH_DAYS)
    rng = stream(spec.seed, "touches")
    total = float(people.weight.sum())
    per_person = spec.visits_per_day / total
    wanted = round(touches / per_person / (spec.days - first))
    size = max(20, min(int(wanted), int(total)))
    chance = people.weight.astype(np.float64) / people.weight.sum(dtype=np.float64)
    classes = rng.choice(len(chance), size=size, p=chance)
    return Sample.of(classes, (first, spec.days), people, rng, stream(spec.seed, "touches", "lives"))


def _truth(spec: WorldSpec, pair: Pair) -> Truth:
    def both(counts: Counts) -> dict[TruthMetric, FloatArray]:
        def total(values: CountArray | FloatArray) -> FloatArray:
            return np.asarray(values.sum(axis=1), dtype=np.float64)

        return {
            "visits": total(counts.visits),
            "new_customers": total(counts.new_customers),
            "orders": total(counts.orders),
            "gmv": total(counts.gmv),
        }

    return Truth(
        dates=np.datetime64(spec.start, "D") + np.arange(spec.days),
        channels=spec.channels,
        closed_channel=spec.closing,
        on_index=spec.history,
        open=both(pair.open),
        closed=both(pair.closed),
        rivals=spec.rivals,
        rival_gain=pair.rival_gain.astype(np.float64),
    )
