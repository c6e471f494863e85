"""What did happen after a day: observed minus the open path that the series forecast, for every channel jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import build_design
from rechannel.evidence.joint import (
    FEWEST_TRAINING_DAYS,
    ChannelSeries,
    WindowSums,
    fit_channel,
    joint_scores,
    pooled_instance_sd,
    shock_correlation,
    window_sums,
)
from rechannel.evidence.placebo import Calibration, calibrate
from rechannel.evidence.series import scout_grid
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, Metric
from rechannel.vocabulary.estimate import LEVELS, FloatArray

HISTORY_IN_PICTURES = 120


@dataclass(frozen=True, slots=True)
class Window:
    """What is measured: a channel, a day and horizons.

    Attributes
    ----------
    channel, market
        The channel whose event it is; market None = all.
    on, announced
        Day 1 of the event; day it became known, None when never.
    horizons
        In days from `on`; all inside the data.
    """

    channel: str
    market: str | None
    on: date
    announced: date | None
    horizons: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MetricSums:
    """Window sums of one metric over channels.

    Attributes
    ----------
    channels
        Channels that have the metric; `(None,)` when only the whole shop is known.
    open_draws
        Sum on the open path, shape [draw, channel, horizon].
    observed
        Sum that came, over the same days, shape [channel, horizon].
    """

    channels: tuple[str | None, ...]
    open_draws: FloatArray
    observed: FloatArray


@dataclass(frozen=True, slots=True)
class DayPaths:
    """Daily picture of one series; quantiles at `LEVELS`.

    Attributes
    ----------
    channel
        None = the total over own channels.
    days
        Day numbers, shape [day]; the first `history` of them are before the forecast.
    observed
        Shape [day].
    open_path, cumulative
        Shape [day, level]; nan in the history, cumulative nan before the event.
    """

    channel: str | None
    days: NDArray[np.int64]
    observed: FloatArray
    open_path: FloatArray
    cumulative: FloatArray


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured event.

    Attributes
    ----------
    window
        What was asked.
    sums
        Per metric.
    anticipation_total
        Open - observed visits of all channels between announcement and event, shape [draw]; empty without notice.
    calibration
        Placebo scale of the intervals of visits; every other metric is scaled by placebo windows of its own.
    direct_total
        Quantiles (.025, .5, .975) of open visits by a direct fit of the total, shape [horizon, 3]: a check only.
    unseen_share
        Share of the net loss of visits that falls on days of events without a past instance, shape [horizon].
    training_days
        Days the closed channel's series was fitted on.
    absent_is_zero
        The closed channel has no rows at all after the event; read as zero.
    new_channels
        Channels with no visits before the event and some after; their open path is zero.
    paths
        Pictures of the closed channel and of the total.
    """

    window: Window
    sums: dict[Metric, MetricSums]
    anticipation_total: FloatArray
    calibration: Calibration
    direct_total: FloatArray
    unseen_share: FloatArray
    training_days: int
    absent_is_zero: bool
    new_channels: tuple[str, ...]
    paths: tuple[DayPaths, ...]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Values of one metric cut for measuring: shape [day, channel]."""

    metric: Metric
    channels: tuple[str | None, ...]
    values: FloatArray


def training_days(panel: Panel, window: Window) -> int:
    """Measured days of the closed channel's visits before the announcement or the event."""
    before = panel.index_of(window.announced or window.on)
    values = panel.over_markets("visits", window.market)[: max(before, 0), panel.channel_index(window.channel)]
    return int(np.isfinite(values).sum())


def is_zero_before(panel: Panel, window: Window) -> bool:
    """Whether the channel had no visit at all before the announcement or the event."""
    before = panel.index_of(window.announced or window.on)
    values = panel.over_markets("visits", window.market)[: max(before, 0), panel.channel_index(window.channel)]
    return not (np.nan_to_num(values) > 0).any()


def measure(panel: Panel, events: Sequence[Event], window: Window, *, seed: int) -> Measurement:
    """Measure what changed after a day, jointly over channels and metrics.

    The causal reading assumes that nothing else, absent from `events`, changed on that day; the answer prints how
    large such a hidden shock would have to be.

    Parameters
    ----------
    panel
        History and the days after the event.
    events
        Calendar; past outages, closures and tests are masked, promotions and holidays are learned.
    window
        Channel, day, announcement, horizons (each inside the data).
    seed
        Of the joint draws.

    Returns
    -------
    Measurement
    """
    before = panel.index_of(window.announced or window.on)
    start = panel.index_of(window.on)
    lead = start - before
    step = 7 if panel.cadence == "weekly" else 1
    lengths = [max(1, horizon // step) for horizon in window.horizons]
    days = np.arange(before, start + max(lengths), dtype=np.int64)
    subject = (window.channel, window.announced or window.on)

    prepared, absent, new = _prepare(panel, window, before, start)
    designs = {
        channel: build_design(
            panel.dates, events, channel, market=window.market, cadence=panel.cadence, subject=subject
        )
        for channel in {channel for item in prepared for channel in item.channels} | {None}
    }
    first = prepared[0]
    spread = pooled_instance_sd(
        [
            fit_channel(first.metric, channel, first.values[:, index], designs[channel], before, grid=scout_grid())
            for index, channel in enumerate(first.channels)
        ]
    )
    designs = {channel: design.with_instance_sd(spread) for channel, design in designs.items()}
    fitted: dict[Metric, list[ChannelSeries]] = {}
    for item in prepared:
        fitted[item.metric] = [
            fit_channel(item.metric, channel, item.values[:, index], designs[channel], before)
            for index, channel in enumerate(item.channels)
        ]
    everything = [one for group in fitted.values() for one in group]
    correlation = shock_correlation(everything)
    scores = joint_scores(correlation, seed)
    visits = fitted["visits"]
    calibrations: dict[Metric, Calibration] = {}
    column = 0
    for metric, group in fitted.items():
        block = correlation[column : column + len(group), column : column + len(group)]
        calibrations[metric] = calibrate(group, before, lead, lengths, block)
        column += len(group)
    calibration = calibrations["visits"]

    horizon_windows = np.zeros((len(lengths), days.size))
    for row, length in enumerate(lengths):
        horizon_windows[row, lead : lead + length] = 1.0
    sums: dict[Metric, MetricSums] = {}
    column = 0
    for metric, group in fitted.items():
        open_draws = np.empty((scores.shape[0], len(group), len(lengths)))
        observed = np.empty((len(group), len(lengths)))
        for index, one in enumerate(group):
            seen = horizon_windows * np.isfinite(one.values[days])
            predicted = window_sums(one, days, seen)
            open_draws[:, index] = predicted.at_normal(
                scores[:, column : column + 1], calibrations[metric].widen(np.array(lengths, dtype=float))
            )
            observed[index] = seen @ np.nan_to_num(one.values[days])
            column += 1
        sums[metric] = MetricSums(tuple(one.channel for one in group), open_draws, observed)

    paths, anticipation = _pictures(visits, scores[:, : len(visits)], days, lead, calibration, before, window.channel)
    total_values = np.where(
        np.isfinite(prepared[0].values).all(axis=1), np.nan_to_num(prepared[0].values).sum(axis=1), np.nan
    )
    total = fit_channel("visits", None, total_values, designs[None], before)
    seen = horizon_windows * np.isfinite(total.values[days])
    direct = window_sums(total, days, seen)
    widen = calibration.widen(np.array(lengths, dtype=float))
    direct_total = direct.at_normal(np.array([[-1.96], [0.0], [1.96]]), widen).T
    unseen = designs[window.channel].unseen(visits[0].training)[days]
    return Measurement(
        window=window,
        sums=sums,
        anticipation_total=anticipation,
        calibration=calibration,
        direct_total=direct_total,
        unseen_share=_unseen_share(paths[-1], unseen, lead, lengths),
        training_days=int(visits[[one.channel for one in visits].index(window.channel)].training.sum()),
        absent_is_zero=absent,
        new_channels=new,
        paths=paths,
    )


def _prepare(panel: Panel, window: Window, before: int, start: int) -> tuple[list[_Prepared], bool, tuple[str, ...]]:
    """Values per metric: the closed channel's absent rows as zeros, channels without history left out."""
    prepared: list[_Prepared] = []
    absent = False
    new: list[str] = []
    for metric in COUNTED:
        if metric in panel.values:
            values = np.array(panel.over_markets(metric, window.market))
            measured = np.isfinite(values)
            if metric == "visits":
                closed = panel.channel_index(window.channel)
                absent = not bool(measured[start:, closed].any()) and bool(measured[start:].any())
                had = np.count_nonzero(np.nan_to_num(values[:before]), axis=0)
                has = np.count_nonzero(np.nan_to_num(values[start:]), axis=0)
                new = [name for index, name in enumerate(panel.channels) if had[index] == 0 and has[index] > 0]
            if absent:
                values[start:, panel.channel_index(window.channel)] = 0.0
            enough = np.count_nonzero(np.isfinite(values[:before]), axis=0) >= FEWEST_TRAINING_DAYS
            some = np.count_nonzero(np.nan_to_num(values[:before]), axis=0) > 0
            keep = [index for index, name in enumerate(panel.channels) if enough[index] and some[index]]
            if keep:
                channels = tuple(panel.channels[index] for index in keep)
                prepared.append(_Prepared(metric, channels, values[:, keep]))
                continue
        if metric in panel.totals:
            totals = panel.totals[metric]
            one = totals.sum(axis=1) if window.market is None else totals[:, panel.markets.index(window.market)]
            if np.isfinite(one[:before]).sum() >= FEWEST_TRAINING_DAYS:
                prepared.append(_Prepared(metric, (None,), one[:, None]))
    return prepared, absent, tuple(new)


def _pictures(
    visits: Sequence[ChannelSeries],
    scores: FloatArray,
    days: NDArray[np.int64],
    lead: int,
    calibration: Calibration,
    before: int,
    closed: str,
) -> tuple[tuple[DayPaths, ...], FloatArray]:
    """Daily and cumulative quantiles of the closed channel and of the total; draws of the anticipation."""
    n = days.size
    after = n - lead
    daily = np.eye(n)
    running = np.zeros((after, n))
    for row in range(after):
        running[row, lead : lead + row + 1] = 1.0
    early = np.zeros((1, n))
    early[0, :lead] = 1.0
    windows = np.concatenate([daily, running, early])
    lengths = np.concatenate([np.ones(n), np.arange(1, after + 1), [max(lead, 1)]]).astype(float)
    widen = calibration.widen(lengths)
    total = np.zeros((scores.shape[0], windows.shape[0]))
    observed_total = np.zeros(windows.shape[0])
    history = np.arange(max(0, before - HISTORY_IN_PICTURES), before, dtype=np.int64)
    history_total = np.zeros(history.size)
    pictures: list[DayPaths] = []
    all_days = np.concatenate([history, days])
    for index, one in enumerate(visits):
        seen = windows * np.isfinite(one.values[days])
        predicted: WindowSums = window_sums(one, days, seen)
        draws = predicted.at_normal(scores[:, index : index + 1], widen)
        came = seen @ np.nan_to_num(one.values[days])
        total += draws
        observed_total += came
        history_total += one.values[history]
        if one.channel == closed:
            pictures.append(_picture(closed, all_days, one.values[all_days], draws, came, n, lead))
    anticipation = total[:, -1] - observed_total[-1] if lead else np.empty(0)
    whole = np.concatenate([history_total, observed_total[:n]])
    pictures.append(_picture(None, all_days, whole, total, observed_total, n, lead))
    return tuple(pictures), anticipation


def _picture(
    channel: str | None,
    all_days: NDArray[np.int64],
    observed: FloatArray,
    draws: FloatArray,
    came: FloatArray,
    n: int,
    lead: int,
) -> DayPaths:
    """Quantiles of one series from draws of its daily sums (first n) and running sums (next n - lead)."""
    quantiles = np.quantile(draws, LEVELS, axis=0).T
    open_path = np.full((all_days.size, len(LEVELS)), np.nan)
    open_path[-n:] = quantiles[:n]
    cumulative = np.full_like(open_path, np.nan)
    cumulative[all_days.size - n + lead :] = quantiles[n : 2 * n - lead] - came[n : 2 * n - lead, None]
    return DayPaths(channel, all_days, observed, open_path, cumulative)


def _unseen_share(total: DayPaths, unseen: NDArray[np.bool_], lead: int, lengths: Sequence[int]) -> FloatArray:
    """Share of the total's net loss on days of events never seen before, shape [horizon]."""
    n = unseen.size
    gap = (total.open_path[-n:, LEVELS.index(0.5)] - total.observed[-n:])[lead:]
    gap = np.nan_to_num(gap)
    late = unseen[lead:]
    shares = []
    for length in lengths:
        whole = float(gap[:length].sum())
        part = float(gap[:length][late[:length]].sum())
        shares.append(abs(part / whole) if whole else float(late[:length].any()))
    return np.array(shares)
