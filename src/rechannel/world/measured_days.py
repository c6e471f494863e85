"""A measured event day by day: what came, beside the open path that the posterior of its stretches implies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.impact import OpenPath
from rechannel.evidence.joint import expected_path, joint_sums
from rechannel.evidence.placebo import Calibration
from rechannel.vocabulary.estimate import LEVELS, FloatArray
from rechannel.world.measured import Measured

HISTORY_DAYS = 120


@dataclass(frozen=True, slots=True)
class DayPaths:
    """Daily picture of one series; quantiles at `LEVELS`.

    Attributes
    ----------
    channel
        None = the total over own channels.
    days
        Day numbers, shape [day]: history, days of notice, days from D on.
    observed
        Shape [day].
    open_path, cumulative
        Shape [day, level]; nan in the history. `cumulative` is open - observed summed from D, nan before it; at the end
        of a horizon it is the row of that horizon.
    """

    channel: str | None
    days: NDArray[np.int64]
    observed: FloatArray
    open_path: FloatArray
    cumulative: FloatArray


def day_paths(opened: OpenPath, measured: Measured, calibration: Calibration, *, seed: int) -> tuple[DayPaths, ...]:
    """The channel itself and all own channels together.

    A day's open path of the channel is its regression on the stretches' errors, which the posterior knows, and a rest
    of its own. What others won in a stretch is spread over its days as the channel's visits would have been.
    """
    cut = opened.stretches
    days, size = cut.days, len(cut.ends)
    length = days.size - cut.lead
    own = opened.series[opened.closed]
    came = own.values[days]
    if opened.absent_is_zero:
        came[cut.lead :] = 0.0
    measured_days = np.isfinite(came)
    place = np.arange(days.size) - cut.lead
    daily = (place[None, :] == np.arange(length)[:, None]).astype(float)
    running = ((place >= 0) & (place <= np.arange(length)[:, None])).astype(float)
    windows = np.concatenate([cut.windows(), daily, running]) * measured_days
    joint = joint_sums(own, days, windows, size)
    ends = cut.step * np.concatenate([cut.ends, np.ones(length), np.arange(1, length + 1)]).astype(float)
    widen = calibration.widen(ends)
    covariance = joint.covariance * np.outer(widen, widen[:size])
    base = covariance[:size]
    sd = np.sqrt(np.maximum(np.diag(base), 1e-300))
    slope = np.linalg.lstsq(base / np.outer(sd, sd), (covariance[size:] / sd).T, rcond=1e-12)[0].T / sd
    variance = joint.apart.sd(widen)[size:] ** 2
    rest = np.sqrt(np.maximum(variance - (slope * covariance[size:]).sum(axis=1), 0.0))
    centre = joint.apart.at_normal(np.zeros((1, 1)), widen)[0]
    error = measured.removed + opened.observed[opened.closed] - centre[:size]
    rng = np.random.default_rng([seed, 37])
    half = rng.standard_normal((error.shape[0] // 2, slope.shape[0]))
    path = centre[size:] + error @ slope.T + rest * np.concatenate([half, -half])
    known = np.nan_to_num(came[cut.lead :])
    opened_daily, opened_running = path[:, :length], path[:, length:]
    lost_running = opened_running - np.cumsum(known)
    lost_running[:, np.array(cut.ends) - 1] = np.cumsum(measured.removed, axis=1)

    expected = expected_path(own, days)[cut.lead :] + 1e-9
    gained = np.zeros_like(lost_running)
    gained_daily = np.zeros_like(lost_running)
    gains = measured.gains.sum(axis=1)
    for at, (begin, end) in enumerate(zip(cut.begins, cut.ends, strict=True)):
        share = expected[begin:end] / expected[begin:end].sum()
        gained_daily[:, begin:end] = gains[:, at : at + 1] * share
        gained[:, begin:end] = gains[:, :at].sum(axis=1)[:, None] + gains[:, at : at + 1] * np.cumsum(share)
    everything = np.array([one.values for one in opened.series])
    everything[opened.closed, days] = came
    total = np.where(np.isfinite(everything).all(axis=0), np.nan_to_num(everything).sum(axis=0), np.nan)
    lost_daily = opened_daily - known - gained_daily
    return (
        _picture(0, opened, own.values, came, opened_daily, lost_running),
        _picture(1, opened, total, total[days], total[days][cut.lead :] + lost_daily, lost_running - gained),
    )


def _picture(
    which: int, opened: OpenPath, values: FloatArray, came: FloatArray, open_draws: FloatArray, lost: FloatArray
) -> DayPaths:
    """History, notice and window of the channel (0) or of the total (1); draws over the window, shape [draw, day]."""
    cut = opened.stretches
    history = np.arange(max(0, cut.before - HISTORY_DAYS // cut.step), cut.before, dtype=np.int64)
    days = np.concatenate([history, cut.days])
    observed = np.concatenate([values[history], came])
    before = days.size - lost.shape[1]
    open_path, cumulative = (np.full((days.size, len(LEVELS)), np.nan) for _ in range(2))
    open_path[before - cut.lead : before] = opened.early_path[which]
    known = np.flatnonzero(np.isfinite(open_draws).all(axis=0))
    open_path[before + known] = np.quantile(open_draws[:, known], LEVELS, axis=0).T
    cumulative[before:] = np.quantile(lost, LEVELS, axis=0).T
    return DayPaths(None if which else opened.window.channel, days, observed, open_path, cumulative)
