"""The open world of a case: the visits of every channel fitted on its open days, up to one day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from rechannel.evidence.channel import (
    FEWEST_TRAINING_DAYS,
    ChannelSeries,
    Scale,
    Shape,
    pooled_instance_sd,
    pooled_shapes,
    scout_channel,
    with_shapes,
)
from rechannel.evidence.controls import choose_controls
from rechannel.evidence.design import DISTURBING, REBOUND_DAYS, Design, build_design
from rechannel.evidence.joint import error_correlation
from rechannel.tables.calendar import Event
from rechannel.tables.panel import GONE_DAYS, DateArray, Panel
from rechannel.vocabulary.channel import Cadence, Metric
from rechannel.vocabulary.estimate import FloatArray

CONTROL_SD = 1.0
"""Prior sd of the elasticity of visits to those of a control."""
MEASURED_AS_WELL = 0.9
"""Share of the series' days on which a control must be measured too."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Every channel's visits, with the correlation of their errors.

    Attributes
    ----------
    dates
        History and the coming days that designs reach, datetime64[D], shape [day].
    series
        Fitted channels; one with too little history is absent.
    correlation
        Of what their forecasts miss, shape [series, series].
    before
        First day number that the fits do not use.
    shop
        Columns of what all channels share, for series of several channels together.
    controls
        Channel -> control market -> probability that its visits of the same channel belong in the regression; those
        of at least one half are columns of the series.
    """

    dates: DateArray
    series: tuple[ChannelSeries, ...]
    correlation: FloatArray
    before: int
    shop: Design
    controls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the fitted channels."""
        return tuple(str(one.channel) for one in self.series)


def with_coming(panel: Panel, coming: int) -> DateArray:
    """The panel's dates and `coming` more steps of its cadence."""
    step = np.timedelta64(panel.step, "D")
    return np.concatenate([panel.dates, panel.dates[-1] + step * np.arange(1, coming + 1)])


def padded(values: FloatArray, length: int) -> FloatArray:
    """Values with nan for days still to come, shape [length, ...]."""
    out = np.full((length, *values.shape[1:]), np.nan)
    out[: values.shape[0]] = values
    return out


def fit_baseline(
    panel: Panel,
    events: Sequence[Event],
    before: int,
    *,
    coming: int = 0,
    markets: Sequence[str] | None = None,
    controls: Sequence[str] = (),
    candidates: Sequence[str] = (),
    subject: tuple[str, date] | None = None,
) -> Baseline:
    """Fit the visits of every channel on its open days before day number `before`; days of past events are masked.

    Parameters
    ----------
    coming
        Days past the panel's end that designs must reach.
    markets
        Markets that are summed; None = all.
    controls
        Markets whose visits of the same channel explain the summed ones, as a regression column.
    candidates
        Markets of which some may: each channel's series chooses among them (`controls.choose_controls`).
    subject
        Channel and first day of the intervention under study: its own row in `events` is not a past event.
    """
    dates = with_coming(panel, coming)
    market = markets[0] if markets is not None and len(markets) == 1 else None
    visits = padded(sum_of(panel, "visits", markets), dates.size)
    control = sum_of(panel, "visits", controls) if controls else None
    apart = {name: sum_of(panel, "visits", (name,)) for name in candidates}
    chosen: dict[str, Mapping[str, float]] = {}
    designs: list[tuple[str, FloatArray, Design]] = []
    for index, channel in enumerate(panel.channels):
        design = build_design(dates, events, channel, market=market, cadence=panel.cadence, subject=subject)
        if control is not None:
            design = with_control(design, padded(control[:, index], dates.size))
        measured = np.isfinite(visits[:before, index]) & design.usable[:before]
        if measured.sum() >= FEWEST_TRAINING_DAYS and np.nan_to_num(visits[:before, index][measured]).any():
            if candidates:
                series_of = {name: padded(values[:, index], dates.size) for name, values in apart.items()}
                design, chosen[channel] = _with_chosen(design, visits[:, index], series_of, before)
            designs.append((channel, visits[:, index], design))
    scouts = [scout_channel("visits", channel, values, design, before) for channel, values, design in designs]
    spread = pooled_instance_sd(scouts)
    shapes, met = pooled_shapes(scouts, spread)
    series = tuple(
        one.settled(with_shapes(one.design.with_instance_sd(spread), _without(shapes, known)))
        for one, known in zip(scouts, met, strict=True)
    )
    shop = build_design(dates, events, None, market=market, cadence=panel.cadence, subject=subject)
    correlation = error_correlation(series) if series else np.eye(0)
    shop = with_shapes(shop.with_instance_sd(spread), _without(shapes, frozenset().union(*met)))
    return Baseline(dates, series, correlation, before, shop, chosen)


def _without(shapes: Mapping[str, Shape], known: frozenset[str]) -> Mapping[str, Shape]:
    return {name: shape for name, shape in shapes.items() if name not in known}


def _with_chosen(
    design: Design, values: FloatArray, candidates: Mapping[str, FloatArray], before: int
) -> tuple[Design, dict[str, float]]:
    """The design with the controls that its series chooses, and every candidate's inclusion probability.

    A candidate is one when it was measured on nearly all days on which the series was.
    """
    training = design.usable & np.isfinite(values)
    training[before:] = False
    known = {
        name: series
        for name, series in candidates.items()
        if (np.isfinite(series) & training).sum() >= MEASURED_AS_WELL * training.sum() and np.nanmax(series) > 0
    }
    if not known:
        return design, {}
    common = training & np.isfinite(np.array(list(known.values()))).all(axis=0)
    days = np.flatnonzero(common).astype(np.int64)
    if days.size < FEWEST_TRAINING_DAYS:
        return design, {}
    y = values[days]
    is_log = bool((y > 0).all())
    y = np.log(y) if is_log else y
    scale = Scale.of(y, is_log)
    columns = np.column_stack([_logs(series) for series in known.values()])
    found = choose_controls(
        y,
        design.columns[days],
        columns[days],
        days,
        scale.precision(design.prior_sd),
        scale.precision(np.full(len(known), CONTROL_SD)),
        scale_guess=scale.guess,
        seed=days.size,
    )
    names = list(known)
    for at in found.chosen.tolist():
        design = with_control(design, known[names[at]])
    return design, dict(zip(names, found.inclusion.tolist(), strict=True))


def untouched_markets(panel: Panel, events: Sequence[Event], first: date, last: date) -> tuple[str, ...]:
    """Markets in which nothing that takes traffic away happened from one day to another, or a week around them."""
    margin = timedelta(days=REBOUND_DAYS)
    busy = {
        event.market
        for event in events
        if event.kind in DISTURBING and event.start <= last + margin and event.end >= first - margin
    }
    return () if None in busy else tuple(name for name in panel.markets if name not in busy)


def sum_of(panel: Panel, metric: Metric, markets: Sequence[str] | None) -> FloatArray:
    """One metric summed over some markets, shape [date, channel]; nan where any of them is not measured."""
    return panel.sum_of(metric, panel.markets if markets is None else markets)


def all_others(values: FloatArray, visits: FloatArray, own: int, before: int, cadence: Cadence) -> FloatArray | None:
    """Sum over all channels but one, shape [day]; None when no other was ever measured.

    A channel never measured is left out. Before its first row of `visits` a channel was not there yet, and adds
    nothing; so it is after its last one, once that is four weeks ago.
    """
    gone = GONE_DAYS // (7 if cadence == "weekly" else 1)
    total: FloatArray | None = None
    for channel in range(values.shape[1]):
        known = np.flatnonzero(np.isfinite(visits[:before, channel]))
        if channel == own or not known.size or not np.isfinite(values[:before, channel]).any():
            continue
        there = values[:, channel].copy()
        there[: known[0]] = 0.0
        if before - known[-1] > gone:
            there[known[-1] + 1 : before] = 0.0
        total = there if total is None else total + there
    return total


def with_control(design: Design, control: FloatArray) -> Design:
    """The design with one more column: the log of the same channel where the event was not.

    Days on which the control is not measured are not usable; its coefficient has a prior sd of 1 around 0.
    """
    return design.with_column(_logs(control), CONTROL_SD, design.usable & np.isfinite(control))


def _logs(control: FloatArray) -> FloatArray:
    """Centred logs of a control; 0 where it is not measured."""
    measured = np.isfinite(control)
    column = np.log1p(np.where(measured, np.maximum(control, 0.0), 0.0))
    return np.where(measured, column - column[measured].mean() if measured.any() else 0.0, 0.0)
