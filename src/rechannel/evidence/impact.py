"""What came after a day, beside the open path that the series forecast for it: every channel, stretch by stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.baseline import Baseline, padded, sum_of
from rechannel.evidence.channel import ChannelSeries, fit_channel
from rechannel.evidence.controls import CHOSEN
from rechannel.evidence.joint import JointSums, expected_path, joint_scores, joint_sums, symmetric_root, window_sums
from rechannel.evidence.placebo import Calibration
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import LEVELS, FloatArray

STRETCH_ENDS = (7, 14, 30, 60, 90, 120, 180, 270, 365, 545, 730, 1095)
"""Days after which a new stretch begins: short at first, where the open path is best known."""


OUTSIDE_99 = 2.576


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

    @property
    def markets(self) -> tuple[str, ...] | None:
        """The market as a list of markets; None = all."""
        return None if self.market is None else (self.market,)


@dataclass(frozen=True, slots=True)
class Stretches:
    """The days from D to the end of the longest horizon, cut into stretches, in rows of the panel.

    Attributes
    ----------
    before, start
        First day number that the fits do not use; day number of D.
    ends
        Rows from D after which each stretch ends, shape [stretch].
    horizons
        Rows of each horizon; every one of them is the end of a stretch.
    step
        Days per row.
    """

    before: int
    start: int
    ends: tuple[int, ...]
    horizons: tuple[int, ...]
    step: int

    @property
    def days(self) -> NDArray[np.int64]:
        """Day numbers from `before` on, shape [day]."""
        return np.arange(self.before, self.start + self.ends[-1], dtype=np.int64)

    @property
    def lead(self) -> int:
        """Days of notice, in rows."""
        return self.start - self.before

    @property
    def begins(self) -> tuple[int, ...]:
        """Rows from D at which each stretch begins, shape [stretch]."""
        return (0, *self.ends[:-1])

    def windows(self) -> FloatArray:
        """0/1 over `days`, shape [stretch, day]."""
        place = np.arange(self.days.size) - self.lead
        return np.array(
            [((place >= a) & (place < b)).astype(float) for a, b in zip(self.begins, self.ends, strict=True)]
        )

    def sums(self) -> FloatArray:
        """Which stretches each horizon adds up, 0/1, shape [horizon, stretch]."""
        return np.array([[float(end <= horizon) for end in self.ends] for horizon in self.horizons])


def stretches_of(panel: Panel, window: Window) -> Stretches:
    """The stretches of a window."""
    step = panel.step
    rows = tuple(max(1, horizon // step) for horizon in window.horizons)
    usual = {max(1, end // step) for end in STRETCH_ENDS}
    ends = tuple(sorted({end for end in usual if end < max(rows)} | set(rows)))
    return Stretches(panel.index_of(window.announced or window.on), panel.index_of(window.on), ends, rows, step)


@dataclass(frozen=True, slots=True)
class OpenPath:
    """The open path after D of every channel's visits, jointly, and what came instead.

    Attributes
    ----------
    window, stretches
        What was asked.
    channels
        Fitted channels; `closed` is the place of the one asked about.
    series
        Their fits.
    draws
        Visits on the open path, shape [draw, channel, stretch]; both paths share every shock.
    covariance
        Of each channel's sums over stretches, shape [channel, stretch, stretch].
    correlation
        Of the channels' errors in each stretch, shape [stretch, channel, channel].
    observed
        Visits that came on the same days, shape [channel, stretch].
    early
        Open - observed visits of all channels between announcement and D, shape [draw]; empty without notice.
    early_path
        Quantiles of open visits a day between announcement and D, of the channel and of all, shape [2, day, level].
    direct_total
        Quantiles (.025, .5, .975) of open visits by a direct fit of the total, shape [horizon, 3]: a check only.
    unseen_share
        Share of the channel's own gap between both paths that falls on days of events without a past instance, shape
        [horizon].
    absent_is_zero
        The channel asked about has no rows at all after D; read as zero.
    new_channels
        Channels with no visits before D and some after; their open path is zero.
    moved_controls
        Control markets of the channel asked about whose own visits left their 99 % interval after D.
    """

    window: Window
    stretches: Stretches
    channels: tuple[str, ...]
    closed: int
    series: tuple[ChannelSeries, ...]
    draws: FloatArray
    covariance: FloatArray
    correlation: FloatArray
    observed: FloatArray
    early: FloatArray
    early_path: FloatArray
    direct_total: FloatArray
    unseen_share: FloatArray
    absent_is_zero: bool
    new_channels: tuple[str, ...]
    moved_controls: tuple[str, ...] = ()

    @property
    def others(self) -> list[int]:
        """Places of all other channels."""
        return [at for at in range(len(self.channels)) if at != self.closed]

    @property
    def training_days(self) -> int:
        """Rows that the series of the channel asked about was fitted on."""
        return int(self.series[self.closed].training.sum())


def visits_before(panel: Panel, window: Window) -> FloatArray:
    """Visits of the channel before the announcement or the event, shape [day]."""
    before = panel.index_of(window.announced or window.on)
    return panel.over_markets("visits", window.market)[: max(before, 0), panel.channel_index(window.channel)]


def open_path(
    panel: Panel, baseline: Baseline, calibration: Calibration, window: Window, *, draws: int, seed: int
) -> OpenPath:
    """Forecast the open path of every channel from the eve of a day, and set what came beside it.

    The causal reading assumes that nothing else, absent from `events`, changed on that day.

    Parameters
    ----------
    panel
        History and the days after the event.
    baseline, calibration
        Visits of every channel fitted up to the announcement or the event, and their placebo scale.
    window
        Channel (one of the baseline's), day, announcement, horizons (each inside the data).
    draws, seed
        Joint draws (even) and their seed.

    Returns
    -------
    OpenPath
    """
    cut = stretches_of(panel, window)
    visits = np.array(sum_of(panel, "visits", window.markets))
    asked = panel.channel_index(window.channel)
    measured = np.isfinite(visits[cut.start :])
    absent = not bool(measured[:, asked].any()) and bool(measured.any())
    if absent:
        visits[cut.start :, asked] = 0.0
    had = np.count_nonzero(np.nan_to_num(visits[: cut.before]), axis=0)
    has = np.count_nonzero(np.nan_to_num(visits[cut.start :]), axis=0)
    new = tuple(name for at, name in enumerate(panel.channels) if had[at] == 0 and has[at] > 0)
    days, windows = cut.days, cut.windows()
    widen = calibration.widen(cut.step * np.array(cut.ends, dtype=float))
    came = visits[:, [panel.channel_index(name) for name in baseline.channels]][days]
    joint: list[JointSums] = []
    for at, one in enumerate(baseline.series):
        seen = windows * np.isfinite(came[:, at])
        joint.append(joint_sums(one, days, seen, len(cut.ends)))
    correlation = with_events(baseline.correlation, np.mean([item.of_events for item in joint], axis=0))
    scores = path_scores(joint, correlation, draws, seed)
    opened = np.stack(
        [item.apart.at_normal(scores[:, at], widen) for at, item in enumerate(joint)],
        axis=1,
    )
    observed = np.array([windows @ np.nan_to_num(came[:, at]) for at in range(len(joint))])
    closed = baseline.channels.index(window.channel)
    early, early_path = _early(baseline, calibration, cut, came, closed, draws, seed)
    return OpenPath(
        window=window,
        stretches=cut,
        channels=baseline.channels,
        closed=closed,
        series=baseline.series,
        draws=opened,
        covariance=np.array([item.covariance for item in joint]) * np.outer(widen, widen),
        correlation=correlation,
        observed=observed,
        early=early,
        early_path=early_path,
        direct_total=_direct_total(baseline, calibration, cut, came),
        unseen_share=_unseen_share(baseline.series[closed], cut, came[:, closed]),
        absent_is_zero=absent,
        new_channels=new,
        moved_controls=_moved(panel, baseline, calibration, window.channel, cut),
    )


def with_events(correlation: FloatArray, of_events: FloatArray) -> FloatArray:
    """Correlation of the channels' errors in each window, shape [window, channel, channel].

    What is not known of a holiday or a promotion - how this one differs from those before it - all channels of a shop
    meet alike; the rest hangs together as on other days.

    Parameters
    ----------
    correlation
        On other days, shape [channel, channel].
    of_events
        Share of a window's variance that is not known of its events, shape [window].
    """
    return np.asarray(correlation + of_events[:, None, None] * (1.0 - correlation))


def path_scores(joint: Sequence[JointSums], correlation: FloatArray, draws: int, seed: int) -> FloatArray:
    """Standard normal scores of each series in each of its first windows, shape [draw, series, window].

    Windows of one series have the correlation of its forecasts, windows of the same place in two series that of the
    series, shape [window, series, series]; antithetic pairs.
    """
    size = joint[0].covariance.shape[1]
    rng = np.random.default_rng([seed, 29])
    half = rng.standard_normal((draws // 2, size, len(joint)))
    linked = np.stack([half[:, at] @ symmetric_root(correlation[at]) for at in range(size)], axis=1)
    free = np.concatenate([linked, -linked])
    roots = [symmetric_root(item.correlation) for item in joint]
    return np.stack([free[:, :, at] @ root for at, root in enumerate(roots)], axis=1)


def _early(
    baseline: Baseline, calibration: Calibration, cut: Stretches, came: FloatArray, closed: int, draws: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Open - observed visits of all channels between announcement and D, shape [draw], and the open path there."""
    paths = np.zeros((2, cut.lead, len(LEVELS)))
    if not cut.lead:
        return np.empty(0), paths
    days = cut.days[: cut.lead]
    windows = np.concatenate([np.ones((1, cut.lead)), np.eye(cut.lead)])
    widen = calibration.widen(cut.step * windows.sum(axis=1))
    scores = joint_scores(baseline.correlation, seed + 2, draws)
    total, lost = np.zeros((draws, cut.lead)), np.zeros(draws)
    for at, one in enumerate(baseline.series):
        measured = np.isfinite(came[: cut.lead, at])
        opened = window_sums(one, days, windows * measured).at_normal(scores[:, at : at + 1], widen)
        lost += opened[:, 0] - float(np.nan_to_num(came[: cut.lead, at]).sum())
        total += opened[:, 1:]
        if at == closed:
            paths[0] = np.quantile(opened[:, 1:], LEVELS, axis=0).T
    paths[1] = np.quantile(total, LEVELS, axis=0).T
    return lost, paths


def _direct_total(baseline: Baseline, calibration: Calibration, cut: Stretches, came: FloatArray) -> FloatArray:
    """Open visits of all channels together by a series of their sum, shape [horizon, 3]."""
    values = np.array([one.values for one in baseline.series])
    whole = np.where(np.isfinite(values).all(axis=0), np.nan_to_num(values).sum(axis=0), np.nan)
    total = fit_channel("visits", None, whole, baseline.shop, cut.before)
    windows = cut.sums() @ cut.windows()
    seen = windows * np.isfinite(came).all(axis=1)
    widen = calibration.widen(cut.step * np.array(cut.horizons, dtype=float))
    return window_sums(total, cut.days, seen).at_normal(np.array([[-1.96], [0.0], [1.96]]), widen).T


def _moved(panel: Panel, baseline: Baseline, calibration: Calibration, channel: str, cut: Stretches) -> tuple[str, ...]:
    """Chosen control markets whose own visits, forecast from their own past, came outside 99 % over the longest window.

    A control that the event or something else moved on that day would lend its move to the open path.
    """
    at, window = panel.channel_index(channel), cut.windows().sum(axis=0)[None, :]
    moved = []
    for market, inclusion in baseline.controls.get(channel, {}).items():
        values = padded(sum_of(panel, "visits", (market,))[:, at], baseline.dates.size)
        if inclusion < CHOSEN or not np.isfinite(values[cut.days]).any():
            continue
        one = fit_channel("visits", channel, values, baseline.shop, cut.before)
        seen = window * np.isfinite(values[cut.days])
        sums, widen = window_sums(one, cut.days, seen), calibration.widen(np.array([cut.step * float(cut.ends[-1])]))
        gap = float(seen[0] @ np.nan_to_num(values[cut.days])) - float(sums.at_normal(np.zeros((1, 1)), widen)[0, 0])
        if abs(gap) > OUTSIDE_99 * float(sums.sd(widen)[0]):
            moved.append(market)
    return tuple(moved)


def _unseen_share(own: ChannelSeries, cut: Stretches, came: FloatArray) -> FloatArray:
    """Share of what the channel itself missed or won that falls on days of unseen events, shape [horizon]."""
    days = cut.days[cut.lead :]
    gap = np.abs(np.nan_to_num(expected_path(own, days) - came[cut.lead :]))
    unseen = own.design.unseen(own.training)[days]
    shares = []
    for length in cut.horizons:
        whole = float(gap[:length].sum())
        shares.append(float(gap[:length][unseen[:length]].sum()) / whole if whole > 0 else 0.0)
    return np.array(shares)
