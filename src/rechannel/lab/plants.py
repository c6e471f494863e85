"""Things that go wrong with a shop's export, planted into made tables with a known place: counts are thinned and moved.

Outages are lived by the made customers (`specs.Happening`, unlogged). What is planted here is done to the finished
`daily` table, row by row, as a faulty tag, a renamed code or a crawler would do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rechannel.lab.chance import stream
from rechannel.lab.specs import Happening, WorldSpec, with_happenings

COUNTS = ("visits", "new_customers", "orders")
AMOUNTS = ("gmv", "refunds", "cost", "volume")
OUTAGE_DAYS = (1, 2, 3, 4, 5, 7, 10, 14)
APART_DAYS = 45


@dataclass(frozen=True, slots=True)
class Plant:
    """Something planted: its kind, the channels it touches, its days, and its size as a share."""

    kind: str
    channels: tuple[str, ...]
    first: date
    last: date
    size: float


def with_outages(spec: WorldSpec) -> tuple[WorldSpec, tuple[Plant, ...]]:
    """The market with its faults replaced by two to five unlogged ones of one to fourteen days.

    Seven in ten shut the entry altogether; the others take .5 to .95 of its prominence.
    """
    rng = stream(spec.seed, "planted outages")
    kept = tuple(row for row in spec.happenings if row.kind != "outage")
    room = range(40, spec.history - 45)
    rows: list[Happening] = []
    plants: list[Plant] = []
    if len(room) < 20:
        return with_happenings(spec, kept), ()
    taken: list[int] = []
    for _ in range(int(rng.integers(2, 6))):
        day = int(rng.choice(room))
        if any(abs(day - other) < APART_DAYS for other in taken):
            continue
        taken.append(day)
        name = spec.channels[int(rng.integers(len(spec.channels)))]
        length = int(rng.choice(OUTAGE_DAYS))
        severity = 1.0 if rng.random() < 0.7 else float(np.round(rng.uniform(0.5, 0.95), 2))
        start = spec.start + timedelta(days=day)
        end = start + timedelta(days=length - 1)
        rows.append(Happening("outage", start, end, (name,), severity=severity, logged=False, note="planted"))
        plants.append(Plant("outage", (name,), start, end, severity))
    return with_happenings(spec, (*kept, *rows)), tuple(plants)


@dataclass(slots=True)
class Sheet:
    """A `daily` table as columns that may be changed."""

    day: NDArray[np.datetime64]
    channel: NDArray[np.object_]
    columns: dict[str, NDArray[np.float64]]
    other: dict[str, pa.ChunkedArray]

    @classmethod
    def of(cls, daily: pa.Table) -> Sheet:
        numbers = [name for name in (*COUNTS, *AMOUNTS) if name in daily.column_names]
        columns = {name: daily[name].cast(pa.float64()).to_numpy().copy() for name in numbers}
        rest = [name for name in daily.column_names if name not in (*numbers, "date", "channel")]
        day = daily["date"].cast(pa.date32()).to_numpy().astype("datetime64[D]")
        channel = np.array(daily["channel"].to_pylist(), dtype=object)
        return cls(day, channel, columns, {name: daily[name] for name in rest})

    def table(self) -> pa.Table:
        """The table again."""
        data = {"date": pa.array(self.day.astype("datetime64[D]"), pa.date32())}
        data["channel"] = pa.array(self.channel.tolist(), pa.string())
        return pa.table({**data, **{k: pa.array(v) for k, v in self.columns.items()}, **self.other})

    def rows(self, names: Sequence[str], first: date, last: date) -> NDArray[np.bool_]:
        """Which rows are of these channels and days."""
        inside = (self.day >= np.datetime64(first)) & (self.day <= np.datetime64(last))
        return np.asarray(inside & np.isin(self.channel, list(names)))

    def thin(self, rng: np.random.Generator, rows: NDArray[np.bool_], kept: float, only: Sequence[str]) -> Sheet:
        """Keep each counted thing of the rows with the chance `kept`; returns what was taken as rows of their own."""
        taken = Sheet(
            self.day[rows], self.channel[rows].copy(), {}, {k: v.filter(pa.array(rows)) for k, v in self.other.items()}
        )
        for name, values in self.columns.items():
            here = values[rows]
            if name not in only:
                taken.columns[name] = np.zeros(here.size)
                continue
            if name in COUNTS:
                stay = rng.binomial(here.astype(np.int64), kept).astype(np.float64)
            else:
                stay = np.round(here * kept, 2)
            taken.columns[name] = here - stay
            values[rows] = stay
        return taken

    def extended(self, more: Sheet) -> Sheet:
        """With further rows."""
        other = {k: pa.chunked_array([*v.chunks, *more.other[k].chunks]) for k, v in self.other.items()}
        columns = {k: np.concatenate([v, more.columns[k]]) for k, v in self.columns.items()}
        return Sheet(np.concatenate([self.day, more.day]), np.concatenate([self.channel, more.channel]), columns, other)


Planter = Callable[[np.random.Generator, Sheet, WorldSpec, date, str], tuple[Sheet, Plant]]
ALL = (*COUNTS, *AMOUNTS)


def _last(spec: WorldSpec) -> date:
    return spec.on - timedelta(days=1)


def _demotion(rng: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    lost = float(rng.uniform(0.3, 0.8))
    sheet.thin(rng, sheet.rows([name], on, _last(spec)), 1 - lost, ALL)
    return sheet, Plant("demotion", (name,), on, _last(spec), lost)


def _split(rng: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    moved = float(rng.uniform(0.2, 0.9))
    taken = sheet.thin(rng, sheet.rows([name], on, _last(spec)), 1 - moved, ALL)
    taken.channel[:] = f"{name}_b"
    return sheet.extended(taken), Plant("split", (name, f"{name}_b"), on, on, moved)


def _rename(_: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    sheet.channel[sheet.rows([name], on, _last(spec))] = f"{name}_new"
    return sheet, Plant("rename", (name, f"{name}_new"), on, on, 1.0)


def _code_move(rng: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    """A part of one channel is counted under another that was there before."""
    others = [other for other in spec.channels if other != name]
    into = others[int(rng.integers(len(others)))]
    moved = float(rng.uniform(0.4, 0.9))
    rows = sheet.rows([name], on, _last(spec))
    taken = sheet.thin(rng, rows, 1 - moved, ALL)
    for column, values in sheet.columns.items():
        values[sheet.rows([into], on, _last(spec))] += taken.columns[column]
    return sheet, Plant("code_move", (name, into), on, on, moved)


def _bots(rng: np.random.Generator, sheet: Sheet, _: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    last = on + timedelta(days=int(rng.integers(1, 6)) - 1)
    rows = sheet.rows([name], on, last)
    more = float(rng.uniform(1.0, 4.0))
    sheet.columns["visits"][rows] += rng.poisson(more * sheet.columns["visits"][rows])
    return sheet, Plant("bots", (name,), on, last, more)


def _uncounted(rng: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    """A tag of one channel counts a part of the visits from a day on; orders go on."""
    lost = float(rng.uniform(0.3, 0.7))
    sheet.thin(rng, sheet.rows([name], on, _last(spec)), 1 - lost, ("visits",))
    return _never_more_orders(sheet), Plant("uncounted", (name,), on, on, lost)


def _consent(rng: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, _: str) -> tuple[Sheet, Plant]:
    """A consent banner takes the same share of the visits of all channels out of sight."""
    lost = float(rng.uniform(0.2, 0.5))
    sheet.thin(rng, sheet.rows(spec.channels, on, _last(spec)), 1 - lost, ("visits",))
    return _never_more_orders(sheet), Plant("consent", spec.channels, on, on, lost)


def _blackout(_: np.random.Generator, sheet: Sheet, spec: WorldSpec, on: date, __: str) -> tuple[Sheet, Plant]:
    """Nothing is recorded anywhere for two days."""
    last = on + timedelta(days=1)
    for values in sheet.columns.values():
        values[sheet.rows(spec.channels, on, last)] = 0.0
    return sheet, Plant("blackout", spec.channels, on, last, 1.0)


def _weekly(rng: np.random.Generator, sheet: Sheet, _: WorldSpec, on: date, name: str) -> tuple[Sheet, Plant]:
    """Ten weeks of one channel hold a seventh of the week, or all of it on one day."""
    last = on + timedelta(days=69)
    spread = bool(rng.random() < 0.5)
    for week in range(10):
        start = on + timedelta(days=7 * week)
        rows = np.flatnonzero(sheet.rows([name], start, start + timedelta(days=6)))
        for values in sheet.columns.values():
            total = values[rows].sum()
            values[rows] = np.round(total / 7) if spread else 0.0
            values[rows[-1]] = values[rows[-1]] if spread else total
    return sheet, Plant("weekly", (name,), on, last, 1.0)


def _never_more_orders(sheet: Sheet) -> Sheet:
    """Visits are no fewer than orders: who orders is counted."""
    sheet.columns["visits"] = np.maximum(sheet.columns["visits"], sheet.columns["orders"])
    return sheet


PLANTERS: Mapping[str, Planter] = {
    "demotion": _demotion,
    "split": _split,
    "rename": _rename,
    "code_move": _code_move,
    "bots": _bots,
    "uncounted": _uncounted,
    "consent": _consent,
    "blackout": _blackout,
    "weekly": _weekly,
}


def planted(daily: pa.Table, spec: WorldSpec, kind: str, taken: Sequence[Plant]) -> tuple[pa.Table, Plant] | None:
    """The table with one more fault of a kind, away from those already there; None where there is no room for it.

    The day lies from day 60 to 75 days before the end; the channel holds at least 2 % of the visits.
    """
    rng = stream(spec.seed, "planted", kind)
    days = [day for day in range(60, spec.history - 75) if _is_free(spec.start + timedelta(days=day), taken)]
    names = [name for name, share in zip(spec.channels, spec.shares, strict=True) if share >= 0.02]
    if not days or len(spec.markets) > 1:
        return None
    on = spec.start + timedelta(days=int(rng.choice(days)))
    sheet, plant = PLANTERS[kind](rng, Sheet.of(daily), spec, on, names[int(rng.integers(len(names)))])
    return sheet.table(), plant


def _is_free(day: date, taken: Sequence[Plant]) -> bool:
    return all(not -APART_DAYS < (day - plant.first).days < APART_DAYS for plant in taken)


def thinned(visits: NDArray[np.float64], first: int, kept: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """One channel's visits, shape [day], each kept with a chance from day `first` on."""
    out = visits.copy()
    rows = np.arange(visits.size) >= first
    rows &= np.isfinite(visits)
    out[rows] = rng.binomial(visits[rows].astype(np.int64), kept)
    return out


def smaller(spec: WorldSpec, customers: int) -> WorldSpec:
    """The same market with fewer customer classes, to be made in a fraction of a second."""
    return replace(spec, customers=customers)
