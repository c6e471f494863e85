"""Series with their calendar taken out: what week, year and events leave of visits, orders and their ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # padding serves arrays of numbers and of flags alike

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.channel import FEWEST_TRAINING_DAYS, innovation_guess
from rechannel.evidence.design import (
    DISTURBING,
    EVENT_SD,
    STEPPING,
    Design,
    build_design,
    is_lasting,
)
from rechannel.evidence.grid import scout_grid
from rechannel.evidence.series import fit_series
from rechannel.tables.calendar import Event
from rechannel.tables.panel import DateArray, to_date
from rechannel.vocabulary.channel import ALL_MARKETS, Cadence
from rechannel.vocabulary.estimate import FloatArray

EVENT_SPREAD = 0.06
"""Sd by which a day of a known event may differ from its family's shape."""
UNSEEN_SPREAD = EVENT_SD / 2
"""The same for an event whose family has no day in the fit; what all channels share is known from the others."""
BUSY = 5.0
"""Visits a day from which a day without any is no ordinary day of the fit."""
SIZE_STEPS = 28
FEWEST_FOR_GUESS = 8


@dataclass(frozen=True, slots=True)
class Watched:
    """Series with their calendar taken out; arrays of shape [step, group, series].

    Attributes
    ----------
    left
        What the calendar leaves, log units; nan = not measured or not to be judged.
    calendar
        The calendar's part, log units.
    extra
        Variance known beforehand: counting noise, days of events.
    counts
        Whether a series is a count, whose noise grows when it falls, shape [group, series].
    guess
        A rough sd of one step's change, shape [group, series].
    reset
        Steps on which a logged event shifted the level.
    cadence
        What a step is.
    """

    left: FloatArray
    calendar: FloatArray
    extra: FloatArray
    counts: NDArray[np.bool_]
    guess: FloatArray
    reset: NDArray[np.bool_]
    cadence: Cadence


@dataclass(frozen=True, slots=True)
class Span:
    """The time axis of a panel with what is known of it, as every series of a case shares it.

    Attributes
    ----------
    dates, cadence
        Of the panel.
    events
        The calendar.
    fitted_before
        Step from which on nothing is used to fit the calendar; None = all steps are.
    """

    dates: DateArray
    cadence: Cadence
    events: Sequence[Event]
    fitted_before: int | None = None

    @property
    def step(self) -> int:
        """Days from one step to the next."""
        return 7 if self.cadence == "weekly" else 1

    def number(self, event: Event) -> tuple[int, int]:
        """First and last step of an event; may lie outside the panel."""
        origin = to_date(self.dates[0])
        return (event.start - origin).days // self.step, (event.end - origin).days // self.step

    def design(self, channel: str | None, market: str | None) -> Design:
        """Calendar columns of one series."""
        return build_design(self.dates, self.events, channel, market=market, cadence=self.cadence)


def watch_counts(values: FloatArray, channels: Sequence[str | None], markets: Sequence[str], span: Span) -> Watched:
    """Counts (visits, orders) on the log scale without their calendar.

    Parameters
    ----------
    values
        Shape [step, market, channel]; nan = not measured.
    channels
        Name of each series; None = the total over channels.
    markets
        Name of each group; `("all",)` = all markets together.

    Returns
    -------
    Watched
        Log of value + .5. Days of logged outages, closures and tests of a channel are not judged; where a logged event
        lasts, the level starts anew.
    """
    size = np.log(values + 0.5)
    left, calendar, extra, guess, reset = _empty(values)
    for market, name in enumerate(markets):
        where = None if name == ALL_MARKETS else name
        for channel, label in enumerate(channels):
            one = values[:, market, channel]
            measured = np.isfinite(one)
            nonzero = one[measured & (one > 0)]
            busy = nonzero.size > 0 and float(np.median(nonzero)) >= BUSY
            design = span.design(label, where)
            training = measured & design.usable & ~(busy & (one == 0))
            part, sd = _calendar_part(size[:, market, channel], training, design, span)
            here = (slice(None), market, channel)
            calendar[here], guess[market, channel] = part, sd
            extra[here] = 1 / (_usual(one, training, part) + 0.5) + _event_variance(design, training, span)
            known, reset[here] = _logged(label, where, span)
            left[here] = np.where(measured & ~known, size[here] - part, np.nan)
    return Watched(left, calendar, extra, np.ones(guess.shape, dtype=bool), guess, reset, span.cadence)


def watch_ratio(
    top: FloatArray, bottom: FloatArray, relative_noise: FloatArray, channels: Sequence[str | None], span: Span
) -> Watched:
    """A ratio (orders per visit, value per order) on the log scale without its calendar, all markets together.

    Parameters
    ----------
    top, bottom
        Shape [step, 1, series]; steps on which either is not above 0 are not judged.
    relative_noise
        Variance of the log ratio by counting alone, same shape.
    """
    good = np.isfinite(top) & np.isfinite(bottom) & (top > 0) & (bottom > 0)
    value = np.log(np.where(good, top, 1.0) / np.where(good, bottom, 1.0))
    left, calendar, extra, guess, reset = _empty(top)
    for series, label in enumerate(channels):
        here = (slice(None), 0, series)
        design = span.design(label, None)
        training = good[here] & design.usable
        calendar[here], guess[0, series] = _calendar_part(value[here], training, design, span)
        extra[here] = np.nan_to_num(relative_noise[here]) + _event_variance(design, training, span)
        known, reset[here] = _logged(label, None, span)
        left[here] = np.where(good[here] & ~known, value[here] - calendar[here], np.nan)
    return Watched(left, calendar, extra, np.zeros(guess.shape, dtype=bool), guess, reset, span.cadence)


def stacked(parts: Sequence[Watched]) -> Watched:
    """Groups of several kinds of series under one another; narrower ones are filled up with series never measured."""
    width = max(one.left.shape[2] for one in parts)

    def wide(values: NDArray[Any], fill: float) -> NDArray[Any]:
        missing = [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])]
        return np.pad(values, missing, constant_values=fill)

    return Watched(
        left=np.concatenate([wide(one.left, np.nan) for one in parts], axis=1),
        calendar=np.concatenate([wide(one.calendar, 0.0) for one in parts], axis=1),
        extra=np.concatenate([wide(one.extra, 0.0) for one in parts], axis=1),
        counts=np.concatenate([wide(one.counts, False) for one in parts]),
        guess=np.concatenate([wide(one.guess, 1.0) for one in parts]),
        reset=np.concatenate([wide(one.reset, False) for one in parts], axis=1),
        cadence=parts[0].cadence,
    )


def _empty(
    values: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    left, calendar, extra = np.full(values.shape, np.nan), np.zeros(values.shape), np.zeros(values.shape)
    return left, calendar, extra, np.ones(values.shape[1:]), np.zeros(values.shape, dtype=bool)


def _calendar_part(
    value: FloatArray, training: NDArray[np.bool_], design: Design, span: Span
) -> tuple[FloatArray, float]:
    """The calendar's part of one series, centred on no level, and a rough sd of one step's change."""
    used = training.copy()
    if span.fitted_before is not None:
        used[span.fitted_before :] = False
    days = np.flatnonzero(used).astype(np.int64)
    if days.size < FEWEST_TRAINING_DAYS:
        return np.zeros(value.size), innovation_guess(value[days]) if days.size >= FEWEST_FOR_GUESS else 1.0
    guess = innovation_guess(value[days])
    columns, precision = design.columns[days], (guess / design.prior_sd) ** 2
    fit = fit_series(value[days], columns, days, precision, grid=scout_grid(), scale_guess=guess)
    return design.columns @ (fit.weight @ fit.coefficients), guess


def _usual(values: FloatArray, training: NDArray[np.bool_], calendar: FloatArray) -> FloatArray:
    """The amount expected on each step: its calendar times the mean of the four weeks before."""
    shape = np.exp(calendar)
    total = np.cumsum(np.concatenate([[0.0], np.where(training, values, 0.0)]))
    weight = np.cumsum(np.concatenate([[0.0], np.where(training, shape, 0.0)]))
    if weight[-1] <= 0:
        return np.ones(values.size)
    start = np.maximum(np.arange(values.size) - SIZE_STEPS, 0)
    end = np.maximum(np.arange(values.size), min(SIZE_STEPS, values.size))
    inside = weight[end] - weight[start]
    recent = (total[end] - total[start]) / np.where(inside > 0, inside, 1.0)
    level = np.where(inside > 0, recent, total[-1] / weight[-1])
    return np.asarray(np.maximum(level * shape, 0.1))


def _event_variance(design: Design, training: NDArray[np.bool_], span: Span) -> FloatArray:
    """Variance of the days in and around known events, shape [step]."""
    lead, tail = (3, 6) if span.step == 1 else (0, 0)
    known = np.zeros(training.size)
    for instances in design.families.values():
        for first, last in instances:
            known[max(first - lead, 0) : max(last + tail, 0)] = EVENT_SPREAD**2
    used = training.copy()
    if span.fitted_before is not None:
        used[span.fitted_before :] = False
    known[design.unseen(used)] = UNSEEN_SPREAD**2
    return known


def _logged(channel: str | None, market: str | None, span: Span) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Steps of a channel that `events` already explains, and steps on which it says that the level shifted."""
    known, reset = np.zeros(span.dates.size, dtype=bool), np.zeros(span.dates.size, dtype=bool)
    for event in span.events:
        if not (event.channel is None or event.channel == channel):
            continue
        if event.market is not None and market is not None and event.market != market:
            continue
        first, last = span.number(event)
        if event.kind in DISTURBING and not is_lasting(event):
            known[max(first, 0) : max(last + 1, 0)] = True
        elif (event.kind in (*DISTURBING, *STEPPING, "measurement_break")) and 0 <= first < reset.size:
            reset[first] = True
    return known, reset
