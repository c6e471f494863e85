"""Regression columns of a daily series: weekly and yearly pattern, trend, calendar events, measurement breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rechannel.tables.calendar import EXITS, Event
from rechannel.tables.panel import DateArray, to_date
from rechannel.vocabulary.channel import Cadence
from rechannel.vocabulary.estimate import FloatArray

SHAPED = ("holiday", "promo", "price", "other")
"""Kinds of event whose shape is learned and forecast."""
DISTURBING = ("outage", "closure", "demotion", "test")
"""Kinds whose days are not days of the open world; they are masked, for every channel."""
STEPPING = ("opening", "move")
"""Kinds after which a channel is another one: a lasting step."""
SHAPES = ("plateau", "opening", "closing", "lead", "after")
"""Parts of an event's shape."""
REBOUND_DAYS = 7
LONGEST_TEMPORARY = 60
"""A closure or demotion logged for longer than this is lasting: a step instead of a mask."""

WEEKLY_SD, YEARLY_SD, TREND_SD_PER_YEAR = 1.0, 0.3, 0.3
TURNING_SD, TURNING_DAYS = 0.15, 60.0
"""Prior sd of how far the recent weekly pattern lies from the old one, and how long ago "recent" fades."""
EVENT_SD, INSTANCE_SD, STEP_SD = 0.5, 0.1, 0.5
INSTANCE_SDS = (0.0125, 0.025, 0.05, 0.1, 0.2)
"""How much one instance of an event may differ from its family; the case's channels together choose one."""
"""Prior sd of coefficients relative to the level of the series (log units on the log scale)."""
YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Design:
    """Columns over every day of a panel, history and coming days.

    Attributes
    ----------
    columns
        Shape [day, column]; no intercept.
    prior_sd
        Prior sd of each coefficient relative to the level of the series, shape [column].
    instance
        Columns that belong to one instance of an event, shape [column].
    usable
        Days of the open world, shape [day]: not masked by a logged outage, closure, demotion or test.
    families
        Per event family its instances as (first, last) day numbers, ends included; may lie outside the panel.
    step
        Days per row.
    shapes
        Name of the shared shape that each column is, shape [column]; empty for what belongs to one series.
    prior_mean
        Prior mean of each coefficient relative to the level of the series, shape [column]; None = 0.
    recounts
        First day number and column of every logged measurement break: what is counted changed, not what came.
    """

    columns: FloatArray
    prior_sd: FloatArray
    instance: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    families: dict[str, tuple[tuple[int, int], ...]]
    step: int = 1
    shapes: tuple[str, ...] = ()
    prior_mean: FloatArray | None = None
    recounts: tuple[tuple[int, int], ...] = ()

    @property
    def eventful(self) -> NDArray[np.bool_]:
        """Columns that belong to events of the calendar, shape [column]."""
        shaped = np.array([bool(name) for name in self.shapes]) if self.shapes else np.zeros(self.instance.size, bool)
        return np.asarray(self.instance | shaped)

    def only(self, columns: Sequence[int]) -> Design:
        """The same design with some of its columns."""
        keep = list(columns)
        return replace(
            self,
            columns=np.ascontiguousarray(self.columns[:, keep]),
            prior_sd=self.prior_sd[keep],
            instance=self.instance[keep],
            shapes=tuple(self.shapes[at] for at in keep) if self.shapes else (),
            prior_mean=None if self.prior_mean is None else self.prior_mean[keep],
            recounts=tuple((day, keep.index(column)) for day, column in self.recounts if column in keep),
        )

    def with_turning_week(self, before: int) -> Design:
        """The same design with a weekly pattern of its own for the days around day number `before` and after it."""
        weekdays = [at for at in range(6) if at < self.columns.shape[1]]
        ago = np.minimum(np.arange(self.usable.size) - before, 0)
        design = self
        for at in weekdays:
            design = design.with_column(self.columns[:, at] * np.exp(ago / TURNING_DAYS), TURNING_SD, self.usable)
        return design

    def with_breaks(self, days: Sequence[int], sd: float) -> Design:
        """The same design with a lasting step from each of some day numbers on."""
        design = self
        for day in days:
            step = (np.arange(self.usable.size) >= day).astype(float)
            design = design.with_column(step, sd, self.usable)
        return design

    def with_instance_sd(self, sd: float) -> Design:
        """The same design with another prior sd of what one instance of an event adds to its family."""
        return replace(self, prior_sd=np.where(self.instance, sd, self.prior_sd))

    def with_column(self, column: FloatArray, prior_sd: float, usable: NDArray[np.bool_]) -> Design:
        """The same design with one more column, shape [day], and other usable days."""
        return replace(
            self,
            columns=np.ascontiguousarray(np.column_stack([self.columns, column])),
            prior_sd=np.append(self.prior_sd, prior_sd),
            instance=np.append(self.instance, False),
            usable=usable,
            shapes=(*self.shapes, "") if self.shapes else (),
            prior_mean=None if self.prior_mean is None else np.append(self.prior_mean, 0.0),
        )

    def unseen(self, training: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Days that lie in an event whose family has no day in training, here or on other channels, shape [day]."""
        days = np.zeros(training.size, dtype=bool)
        known = (
            set()
            if self.prior_mean is None
            else {
                shape.rpartition("|")[0]
                for shape, mean in zip(self.shapes, self.prior_mean.tolist(), strict=True)
                if mean
            }
        )
        for name, instances in self.families.items():
            if name in known:
                continue
            covered = np.zeros(training.size, dtype=bool)
            for first, last in instances:
                covered[max(first, 0) : max(last + 1, 0)] = True
            if not (covered & training).any():
                days |= covered
        return days


def is_lasting(event: Event) -> bool:
    """Whether an event does not end: a closure or demotion logged for one day (its start) or for months."""
    return event.kind in EXITS and (event.days == 1 or event.days > LONGEST_TEMPORARY)


def family(event: Event) -> str:
    """Events of one kind and name over the years are one family; the year in the name does not matter."""
    name = re.sub(r"(19|20)\d\d年?", "", event.note.casefold())
    name = re.sub(r"[\s\W_]+", " ", name).strip()
    return "/".join([event.kind, name, event.channel or "", event.market or ""])


def build_design(
    dates: DateArray,
    events: Sequence[Event],
    channel: str | None,
    *,
    market: str | None = None,
    cadence: Cadence = "daily",
    subject: tuple[str, date] | None = None,
) -> Design:
    """Columns and mask of one channel's series.

    Parameters
    ----------
    dates
        Every day, history and coming, datetime64[D], shape [day].
    events
        The calendar; events of other markets are left out.
    channel
        The series' channel; None = the total, which only shop-wide events shape.
    market
        The series' market; None = all.
    subject
        Channel and first day of the intervention under study: its own row in `events` is not a past event.

    Returns
    -------
    Design
    """
    n = dates.size
    step = 7 if cadence == "weekly" else 1
    number = np.arange(n)
    origin = to_date(dates[0])
    columns: list[FloatArray] = []
    sds: list[float] = []
    of_instance: list[bool] = []
    shapes: list[str] = []
    recounts: list[tuple[int, int]] = []

    def put(column: FloatArray, sd: float, instance: bool = False, shape: str = "") -> None:
        columns.append(column)
        sds.append(sd)
        of_instance.append(instance)
        shapes.append(shape)

    if cadence == "daily":
        weekday = (dates.astype("datetime64[D]").astype(int) + 3) % 7
        for day in range(6):
            put((weekday == day).astype(float) - (weekday == 6), WEEKLY_SD)
    years = number * step / YEAR
    if n * step >= YEAR:
        put(years - years[-1], TREND_SD_PER_YEAR)
    if n * step >= 2 * YEAR - 31:
        for harmonic in (1, 2):
            put(np.sin(2 * np.pi * harmonic * years), YEARLY_SD / harmonic)
            put(np.cos(2 * np.pi * harmonic * years), YEARLY_SD / harmonic)

    usable = np.ones(n, dtype=bool)
    families: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if event.market is not None and market is not None and event.market != market:
            continue
        first = (event.start - origin).days // step
        last = (event.end - origin).days // step
        is_subject = subject is not None and event.channel == subject[0] and event.start >= subject[1]
        if is_subject:
            continue
        if event.kind in DISTURBING:
            if is_lasting(event):
                put((number >= first).astype(float), STEP_SD)
                last = first + 2 * REBOUND_DAYS // step
            usable[max(first, 0) : max(last + 1 + REBOUND_DAYS // step, 0)] = False
        elif event.kind in SHAPED and (event.channel is None or event.channel == channel):
            families.setdefault(family(event), []).append((first, last))
        elif event.kind == "measurement_break" and (event.channel is None or event.channel == channel):
            recounts.append((first, len(columns)))
            put((number >= first).astype(float), STEP_SD)
        elif event.kind in STEPPING:
            put((number >= first).astype(float), STEP_SD)
    for name, instances in families.items():
        _put_family(put, number, name, instances, step)
    matrix = np.column_stack(columns) if columns else np.zeros((n, 0))
    live = np.ptp(matrix, axis=0) > 0  # a step from before the first day is the level itself
    place = np.cumsum(live) - 1
    return Design(
        columns=np.ascontiguousarray(matrix[:, live]),
        prior_sd=np.array(sds)[live],
        instance=np.array(of_instance, dtype=bool)[live],
        usable=usable,
        families={name: tuple(instances) for name, instances in families.items()},
        step=step,
        shapes=tuple(shape for shape, is_live in zip(shapes, live.tolist(), strict=True) if is_live),
        recounts=tuple((day, int(place[column])) for day, column in recounts if live[column]),
    )


class _Put(Protocol):
    """Stores one column with its prior sd."""

    def __call__(self, column: FloatArray, sd: float, instance: bool = False, shape: str = "") -> None: ...


def _put_family(
    put: _Put, number: NDArray[np.intp], name: str, instances: Sequence[tuple[int, int]], step: int
) -> None:
    """The shared shape of a family (plateau, opening, closing, lead, after) and one deviation per instance."""
    shapes = [np.zeros(number.size) for _ in range(5)]
    for first, last in instances:
        inside = (number >= first) & (number <= last)
        shapes[0] += inside
        if last > first:
            shapes[1] += inside * np.exp(-np.maximum(number - first, 0) * step / 1.5)
            shapes[2] += inside * np.exp(-np.maximum(last - number, 0) * step / 1.5)
        before = (number < first) & ((first - number) * step <= 5)
        shapes[3] += before * (1 - (first - number - 1) * step / 5)
        behind = (number > last) & ((number - last) * step <= 10)
        shapes[4] += behind * np.exp(-np.maximum(number - last - 1, 0) * step / 3)
        put(inside.astype(float), INSTANCE_SD, True)
    for part, shape, share in zip(SHAPES, shapes, (1.0, 1.0, 1.0, 0.4, 0.4), strict=True):
        put(shape, EVENT_SD * share, shape=f"{name}|{part}")
