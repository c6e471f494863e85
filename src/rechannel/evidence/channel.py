"""One channel's series: a first look that chooses its scale, the fit of an answer, and refits on fewer days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import EVENT_SD, INSTANCE_SD, INSTANCE_SDS, Design
from rechannel.evidence.grid import Grid, scout_grid
from rechannel.evidence.series import Collapsed, SeriesFit, collapse, fit_series, posterior, smoothed_residuals
from rechannel.evidence.settle import MOST_BREAKS, settle, spread_of_days
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray

FEWEST_TRAINING_DAYS = 21
FEWEST_TO_TURN = 120
"""Training days from which a weekly pattern may have turned into another."""
TURNED = 3.0
"""Log marginal likelihood that a turned weekly pattern must add."""
BREAK_SD = 0.2
"""Prior sd of a break of a level, relative to the level."""
RESTLESS_LEVEL = 0.03
"""A level moves by about so much of itself a day at most."""
SMALLEST_SPREAD = 1e-4
"""Least innovation sd relative to the mean of a series: below it the prior of collinear columns is lost in rounding."""
FEWEST_TO_POOL = 3
"""Channels that must have met an event for its shape to be pooled over them."""
LEAST_BETWEEN = 0.02
"""Least sd of a pooled shape between channels, on the log scale."""


@dataclass(frozen=True, slots=True)
class ChannelSeries:
    """One fitted series of one channel and metric.

    Attributes
    ----------
    metric, channel
        What it is; channel None = the total.
    values
        Raw values, shape [day]; nan = not measured.
    design
        Its columns over the same days.
    training
        Days it was fitted on, shape [day].
    is_log
        Fitted on logs (True) or on levels.
    fit
        Posterior on that scale.
    breaks
        Day numbers at which its level broke; the last columns of the design, in this order.
    spread
        Variance of each day's innovation over that of a usual one, shape [day]; None when all days are of one kind.
    """

    metric: Metric
    channel: str | None
    values: FloatArray
    design: Design
    training: NDArray[np.bool_]
    is_log: bool
    fit: SeriesFit
    breaks: tuple[int, ...] = ()
    spread: FloatArray | None = None

    @property
    def days(self) -> NDArray[np.int64]:
        """Training days."""
        return np.flatnonzero(self.training).astype(np.int64)

    @property
    def y(self) -> FloatArray:
        """Values of the training days on the fit scale."""
        values = self.values[self.days]
        return np.log(values) if self.is_log else values

    def without_breaks_from(self, day: int) -> ChannelSeries:
        """The same with the breaks from a day number on left out of its design; its fit stays."""
        known = tuple(found for found in self.breaks if found < day)
        if len(known) == len(self.breaks):
            return self
        first = self.design.columns.shape[1] - len(self.breaks)
        keep = [*range(first), *(first + at for at, found in enumerate(self.breaks) if found < day)]
        return replace(self, design=self.design.only(keep), breaks=known)


@dataclass(frozen=True, slots=True)
class Scale:
    """The priors of a series in its own unit.

    Attributes
    ----------
    guess
        Of the innovation sd, on the fit scale.
    unit
        What a relative prior sd of 1 is on the fit scale: 1 for logs, the mean for levels.
    """

    guess: float
    unit: float

    @classmethod
    def of(cls, y: FloatArray, is_log: bool) -> Scale:
        """From the values on the fit scale."""
        return cls(innovation_guess(y), 1.0 if is_log else max(float(np.abs(y).mean()), 1e-12))

    def precision(self, sd: FloatArray) -> FloatArray:
        """Prior precision of coefficients of relative sd `sd`, in units of 1 / s2."""
        return np.asarray((self.guess / (sd * self.unit)) ** 2)

    def mean(self, design: Design) -> FloatArray | None:
        """Prior means of a design's coefficients."""
        return None if design.prior_mean is None else design.prior_mean * self.unit

    def calm(self, step: int) -> float:
        """How large an innovation is beside what a level may move in a step of so many days."""
        return float(self.guess / (RESTLESS_LEVEL * np.sqrt(step) * self.unit))


@dataclass(frozen=True, slots=True)
class Scout:
    """A first look at a series: its days, its scale, and the scouts of its grid.

    Attributes
    ----------
    metric, channel, values, design, training, is_log
        As in `ChannelSeries`.
    points
        The scouts, collapsed.
    """

    metric: Metric
    channel: str | None
    values: FloatArray
    design: Design
    training: NDArray[np.bool_]
    is_log: bool
    points: Collapsed

    def evidence(self, instance_sd: float) -> float:
        """Log marginal likelihood under a prior sd of what one instance of an event adds."""
        return self.quick(self.design.with_instance_sd(instance_sd)).fit.log_evidence

    def quick(self, design: Design | None = None) -> ChannelSeries:
        """A fit on the scouts alone, under the priors of `design` (same columns)."""
        design = self.design if design is None else design
        y = self._y()
        scale = Scale.of(y, self.is_log)
        fit = posterior(self.points, scale.precision(design.prior_sd), scale.guess)
        return ChannelSeries(self.metric, self.channel, self.values, design, self.training, self.is_log, fit)

    def settled(self, design: Design | None = None, *, most_breaks: int = MOST_BREAKS) -> ChannelSeries:
        """The answer's fit, under the priors of `design` (same columns)."""
        one = self.quick(design)
        design, days, y = one.design, one.days, one.y
        scale = Scale.of(y, self.is_log)
        columns = design.columns[days]
        spread = spread_of_days(smoothed_residuals(one.fit, y, columns, days))
        found = settle(
            y,
            columns,
            days,
            scale.precision(design.prior_sd),
            scale_guess=scale.guess,
            break_precision=(scale.guess / (BREAK_SD * scale.unit)) ** 2,
            spread=spread,
            calm=scale.calm(design.step),
            prior_mean=scale.mean(design),
            most_breaks=most_breaks,
        )
        of_day = None
        if spread is not None:
            of_day = np.ones(self.values.size)
            of_day[days] = spread
        with_breaks = design.with_breaks(found.breaks, BREAK_SD)
        return replace(one, design=with_breaks, fit=found.fit, breaks=found.breaks, spread=of_day)

    def _y(self) -> FloatArray:
        values = self.values[self.training]
        return np.log(values) if self.is_log else values


def scout_channel(
    metric: Metric,
    channel: str | None,
    values: FloatArray,
    design: Design,
    before: int,
    *,
    is_log: bool | None = None,
) -> Scout:
    """Look at one series on its usable measured days before day number `before`.

    The scale is the one with the higher marginal likelihood of the raw values (the Jacobian of the log included);
    a series with zeros or negative values is fitted on levels. A weekly pattern of the recent days is added where the
    marginal likelihood asks for it.
    """
    training = design.usable & np.isfinite(values)
    training[before:] = False
    days = np.flatnonzero(training).astype(np.int64)
    y = values[days]
    turns = design.step == 1 and days.size >= FEWEST_TO_TURN
    turning = design.with_turning_week(before) if turns else design
    columns, count = turning.columns[days], design.columns.shape[1]
    positive = bool((y > 0).all())
    scales = [True, False] if is_log is None and positive else [bool(is_log) and positive]
    responses = [np.log(y) if log else y for log in scales]
    joined = np.column_stack([columns, *responses[1:]])
    points = collapse(responses[0], joined, days, scout_grid())
    width = columns.shape[1]

    def look(at: int, kept: Design) -> Scout:
        place = len(scales) - 1 + width if at == 0 else width + at - 1
        chosen = points.keeping(range(kept.columns.shape[1]), place, float(responses[at][-1]))
        return Scout(metric, channel, values, kept, training, scales[at], chosen)

    looks = [look(at, design) for at in range(len(scales))]
    told = [
        one.evidence(INSTANCE_SD) - (float(response.sum()) if one.is_log else 0.0)
        for one, response in zip(looks, responses, strict=True)
    ]
    at = int(np.argmax(told))
    if turns:
        turned = look(at, turning)
        if turned.evidence(INSTANCE_SD) > looks[at].evidence(INSTANCE_SD) + TURNED:
            return turned
    assert looks[at].design.columns.shape[1] == count
    return looks[at]


def fit_channel(
    metric: Metric,
    channel: str | None,
    values: FloatArray,
    design: Design,
    before: int,
    *,
    is_log: bool | None = None,
    most_breaks: int = MOST_BREAKS,
) -> ChannelSeries:
    """Fit one series on its usable measured days before day number `before`; the scale as in `scout_channel`."""
    scout = scout_channel(metric, channel, values, design, before, is_log=is_log)
    return scout.settled(most_breaks=most_breaks)


def refit(one: ChannelSeries, before: int, grid: Grid) -> ChannelSeries:
    """The same series on the days before an earlier one, on given grid points; breaks still to come are not known."""
    one = one.without_breaks_from(before)
    training = one.training.copy()
    training[before:] = False
    one = replace(one, training=training)
    days, y = one.days, one.y
    scale = Scale.of(y, one.is_log)
    fit = fit_series(
        y,
        one.design.columns[days],
        days,
        scale.precision(one.design.prior_sd),
        grid=grid,
        scale_guess=scale.guess,
        spread=None if one.spread is None else one.spread[days],
        prior_mean=scale.mean(one.design),
    )
    return replace(one, fit=fit)


def pooled_instance_sd(scouts: Sequence[Scout]) -> float:
    """How much one instance of an event differs from its family, one figure for all channels of a case.

    The root mean square over a few candidates that are equally likely at first, weighted by their marginal likelihood.
    Channels meet the same instances and move together in them, so they speak as one: the mean of their log likelihoods.
    """
    met = [one for one in scouts if one.design.instance.any()]
    if not met:
        return INSTANCE_SD
    evidence = np.array([np.mean([one.evidence(sd) for one in met]) for sd in INSTANCE_SDS])
    weight = np.exp(evidence - evidence.max())
    return float(np.sqrt(weight @ np.array(INSTANCE_SDS) ** 2 / weight.sum()))


@dataclass(frozen=True, slots=True)
class Shape:
    """What an event's shape is on a channel, from all channels that met it: mean and sd on the log scale."""

    mean: float
    sd: float


def pooled_shapes(scouts: Sequence[Scout], instance_sd: float) -> tuple[Mapping[str, Shape], list[frozenset[str]]]:
    """Prior of every shape of an event that at least three channels met, and which shapes each scout met itself.

    A channel that met an event learns nothing safe about it from the others: they met the same days, with the same
    other events on them, and their errors are alike. It is for channels that were not there.

    Notes
    -----
    Method of moments for the variance between channels: DerSimonian and Laird (1986), Controlled Clinical Trials 7,
    equation 8. The errors of the channels are taken as one error.
    """
    told: dict[str, list[tuple[float, float]]] = {}
    met: list[frozenset[str]] = []
    for one in scouts:
        own = _shapes_of(one, instance_sd) if one.is_log else {}
        met.append(frozenset(own))
        for name, found in own.items():
            told.setdefault(name, []).append(found)
    return {name: _moments(found) for name, found in told.items() if len(found) >= FEWEST_TO_POOL}, met


def _shapes_of(one: Scout, instance_sd: float) -> dict[str, tuple[float, float]]:
    """Value and variance of every shape that the days of one channel tell more about than its prior."""
    design = one.design.with_instance_sd(instance_sd)
    fit = one.quick(design).fit
    best = int(np.argmax(fit.weight))
    mean, variance = fit.coefficients[best], fit.rate[best] * (fit.factor[best] ** 2).sum(axis=1)
    found = {}
    for at, name in enumerate(design.shapes):
        precision = 1 / variance[at] - 1 / design.prior_sd[at] ** 2  # what the data add to the prior
        if name and precision > 1 / EVENT_SD**2:
            found[name] = (float(mean[at] / variance[at] / precision), float(1 / precision))
    return found


def _moments(found: Sequence[tuple[float, float]]) -> Shape:
    value, variance = np.array(found).T
    weight = 1 / variance
    mean = float(weight @ value / weight.sum())
    excess = float(weight @ (value - mean) ** 2) - (value.size - 1)
    between = max(excess / float(weight.sum() - (weight**2).sum() / weight.sum()), LEAST_BETWEEN**2)
    weight = 1 / (variance + between)
    mean = float(weight @ value / weight.sum())
    return Shape(mean, float(np.sqrt(between * (1 + 1 / value.size) + weight @ variance / weight.sum())))


def with_shapes(design: Design, shapes: Mapping[str, Shape]) -> Design:
    """The design with pooled shapes as priors of its events; a prior is never made wider than it was."""
    if not any(name in shapes for name in design.shapes):
        return design
    sd = design.prior_sd.copy()
    mean = np.zeros(sd.size) if design.prior_mean is None else design.prior_mean.copy()
    for at, name in enumerate(design.shapes):
        if name in shapes:
            sd[at], mean[at] = min(sd[at], shapes[name].sd), shapes[name].mean
    return replace(design, prior_sd=sd, prior_mean=mean)


def innovation_guess(y: FloatArray) -> float:
    """A robust guess of the daily innovation sd: from differences at a week's lag, or at one day when short.

    Where most differences are equal (a channel with an order every few days) the median says 0 or nearly so, and the
    standard deviation speaks instead: a guess near 0 would leave every column without a prior.
    """
    lag = 7 if y.size >= 35 else 1
    differences = y[lag:] - y[:-lag]
    spread = 1.4826 * float(np.median(np.abs(differences - np.median(differences)))) / np.sqrt(2)
    plain = float(differences.std()) / np.sqrt(2)
    if spread < 0.1 * plain:
        spread = plain
    return float(max(spread, SMALLEST_SPREAD * max(float(np.abs(y).mean()), 1.0)))
