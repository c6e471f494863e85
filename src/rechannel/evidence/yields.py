"""What a visit yields, week by week: orders, value or new customers per visit, where daily counts are too few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.channel import ChannelSeries, fit_channel
from rechannel.evidence.design import Design
from rechannel.evidence.joint import JointSums, WindowSums, joint_sums, window_sums
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray

FEWEST_DAYS = 4
"""Measured days without which a week says nothing."""
FEWEST_WEEKS = 4
ENOUGH_EVENTS = 8.0
"""Orders or new customers of a usual block from which its logarithm is nearly normal."""
LONGER = (1, 2, 4)
"""Weeks per block that are tried until it has enough of them; with still fewer the yield itself is fitted, no log."""
FEWEST_LONG_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class YieldSeries:
    """A yield fitted on weeks.

    Attributes
    ----------
    series
        Values per block of days that ends on the eve of `before`; on the log scale unless orders are rare.
    offset
        Day number at which block 0 begins; may lie before 0.
    before
        First day number that the fit does not use.
    block
        Days per block: 7 or more where orders are rare, or 1 where rows are weeks already.
    """

    series: ChannelSeries
    offset: int
    before: int
    block: int

    def over(self, days: NDArray[np.int64], weights: FloatArray) -> WindowSums:
        """Mean yield over windows of coming days.

        Parameters
        ----------
        days
            Consecutive day numbers from `before` on, shape [day].
        weights
            Expected visits of each day in each window, shape [window, day].
        """
        weeks, share = self._weeks(days, weights)
        return window_sums(self.series, weeks, share)

    def jointly(self, days: NDArray[np.int64], weights: FloatArray) -> JointSums:
        """The same with the covariance of the windows."""
        weeks, share = self._weeks(days, weights)
        return joint_sums(self.series, weeks, share, share.shape[0])

    def _weeks(self, days: NDArray[np.int64], weights: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """Coming blocks, and each one's share in each window, shape [window, block]."""
        blocks = (days - self.offset) // self.block
        first = (self.before - self.offset) // self.block
        count = int(blocks[-1]) - first + 1
        share = np.zeros((weights.shape[0], count))
        np.add.at(share.T, blocks - first, weights.T)
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
        return np.arange(first, first + count, dtype=np.int64), share


def fit_yield(
    metric: Metric,
    channel: str,
    amounts: FloatArray,
    visits: FloatArray,
    design: Design,
    before: int,
    *,
    block: int,
    spare: float,
) -> YieldSeries | None:
    """Fit what a visit yields, or None when too few weeks are measured or nothing ever came.

    Parameters
    ----------
    amounts, visits
        The metric and the visits it came from, shape [day]; nan = not measured.
    design
        Calendar columns per day; a week has their mean.
    before
        First day number not used.
    block
        Days per block at least: 7, or 1 where rows are weeks already.
    spare
        Visits added to every week at the usual yield, so that a week without an order has a logarithm.
    """
    best: _Blocks | None = None
    for longer in LONGER if block > 1 else (1,):
        tried = _blocks(amounts, visits, design, before, block * longer)
        if best is not None and tried.measured.sum() < FEWEST_LONG_BLOCKS:
            break
        best = tried
        if best.events(metric, spare) >= ENOUGH_EVENTS:
            break
    assert best is not None
    if best.measured.sum() < FEWEST_WEEKS or best.got[best.measured].sum() <= 0:
        return None
    is_log = best.events(metric, spare) >= ENOUGH_EVENTS
    usual = float(best.got[best.measured].sum() / best.came[best.measured].sum())
    spare = spare if is_log else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(best.measured, (best.got + usual * spare) / (best.came + spare), np.nan)
    weekly = best.design
    first = (before - best.offset) // best.size
    series = fit_channel(metric, channel, values, weekly, first, is_log=is_log, most_breaks=0)
    return YieldSeries(series, best.offset, before, best.size)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Days added up in blocks that end on the eve: amounts, visits, whether enough days are measured, columns."""

    size: int
    offset: int
    got: FloatArray
    came: FloatArray
    measured: NDArray[np.bool_]
    design: Design

    def events(self, metric: Metric, spare: float) -> float:
        """Orders or new customers of a usual block; of value, the orders that its visits usually bring."""
        if not self.measured.any():
            return 0.0
        if metric == "gmv":
            return 0.5 * float(self.came[self.measured].mean()) / spare
        return float(self.got[self.measured].mean())


def _blocks(amounts: FloatArray, visits: FloatArray, design: Design, before: int, size: int) -> _Blocks:
    n = visits.size
    offset = before - size * -(-before // size)
    blocks = -(-(n - offset) // size)
    place = (np.arange(n) - offset) // size
    known = design.usable & np.isfinite(amounts) & np.isfinite(visits)
    known[before:] = False
    counted = np.bincount(place, known, blocks)
    got: FloatArray = np.bincount(place, np.where(known, amounts, 0.0), blocks).astype(np.float64)
    came: FloatArray = np.bincount(place, np.where(known, visits, 0.0), blocks).astype(np.float64)
    measured = (counted >= min(FEWEST_DAYS * max(size // 7, 1), size)) & (came > 0)
    days = np.maximum(np.bincount(place, minlength=blocks), 1)
    columns = np.column_stack([np.bincount(place, column, blocks) / days for column in design.columns.T])
    weekly = Design(columns, design.prior_sd, design.instance, np.ones(blocks, dtype=bool), {}, design.step * size)
    return _Blocks(size, offset, got, came, measured, weekly)
