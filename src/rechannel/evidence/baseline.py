"""The open world of a case: the visits of every channel fitted on its open days, up to one day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.evidence.design import Design, build_design
from rechannel.evidence.joint import (
    FEWEST_TRAINING_DAYS,
    ChannelSeries,
    error_correlation,
    fit_channel,
    pooled_instance_sd,
    shock_correlation,
)
from rechannel.evidence.series import neighbourhood, scout_grid
from rechannel.tables.calendar import Event
from rechannel.tables.panel import GONE_DAYS, DateArray, Panel
from rechannel.vocabulary.channel import Cadence, Metric
from rechannel.vocabulary.estimate import FloatArray


@dataclass(frozen=True, slots=True)
class Baseline:
    """Every channel's visits, with the correlation of their shocks.

    Attributes
    ----------
    dates
        History and the coming days that designs reach, datetime64[D], shape [day].
    series
        Fitted channels; one with too little history is absent.
    correlation
        Of what their forecasts miss, shape [series, series].
    shocks
        Of their weekly shocks, shape [series, series].
    before
        First day number that the fits do not use.
    shop
        Columns of what all channels share, for series of several channels together.
    """

    dates: DateArray
    series: tuple[ChannelSeries, ...]
    correlation: FloatArray
    shocks: FloatArray
    before: int
    shop: Design

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the fitted channels."""
        return tuple(str(one.channel) for one in self.series)


def with_coming(panel: Panel, coming: int) -> DateArray:
    """The panel's dates and `coming` more steps of its cadence."""
    step = np.timedelta64(7 if panel.cadence == "weekly" else 1, "D")
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
    subject
        Channel and first day of the intervention under study: its own row in `events` is not a past event.
    """
    dates = with_coming(panel, coming)
    market = markets[0] if markets is not None and len(markets) == 1 else None
    visits = padded(sum_of(panel, "visits", markets), dates.size)
    control = sum_of(panel, "visits", controls) if controls else None
    designs: list[tuple[str, FloatArray, Design]] = []
    for index, channel in enumerate(panel.channels):
        design = build_design(dates, events, channel, market=market, cadence=panel.cadence, subject=subject)
        if control is not None:
            design = with_control(design, padded(control[:, index], dates.size))
        measured = np.isfinite(visits[:before, index]) & design.usable[:before]
        if measured.sum() >= FEWEST_TRAINING_DAYS and np.nan_to_num(visits[:before, index][measured]).any():
            designs.append((channel, visits[:, index], design))
    scouts = [
        fit_channel("visits", channel, values, design, before, grid=scout_grid()) for channel, values, design in designs
    ]
    spread = pooled_instance_sd(scouts)
    series = tuple(
        _near_scout(scout, channel, values, design.with_instance_sd(spread), before)
        for (channel, values, design), scout in zip(designs, scouts, strict=True)
    )
    shop = build_design(dates, events, None, market=market, cadence=panel.cadence, subject=subject)
    correlation = error_correlation(series) if series else np.eye(0)
    shocks = shock_correlation(series) if series else np.eye(0)
    return Baseline(dates, series, correlation, shocks, before, shop.with_instance_sd(spread))


def _near_scout(scout: ChannelSeries, channel: str, values: FloatArray, design: Design, before: int) -> ChannelSeries:
    """The answer's fit, on the scale and near the grid points that the scout found."""
    grid = neighbourhood(scout.fit)
    return fit_channel("visits", channel, values, design, before, is_log=scout.is_log, grid=grid)


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
    measured = np.isfinite(control)
    column = np.log1p(np.where(measured, np.maximum(control, 0.0), 0.0))
    column = np.where(measured, column - column[measured].mean() if measured.any() else 0.0, 0.0)
    return design.with_column(column, 1.0, design.usable & measured)
