"""What a visit yields, week by week: orders, value or new customers per visit, where daily counts are too few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import Design
from rechannel.evidence.joint import ChannelSeries, WindowSums, fit_channel, window_sums
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray

FEWEST_DAYS = 4
"""Measured days without which a week says nothing."""
FEWEST_WEEKS = 4


@dataclass(frozen=True, slots=True)
class YieldSeries:
    """A yield fitted on weeks.

    Attributes
    ----------
    series
        Values per block of days that ends on the eve of `before`, on the log scale.
    offset
        Day number at which block 0 begins; may lie before 0.
    before
        First day number that the fit does not use.
    block
        Days per block: 7, or 1 where rows are weeks already.
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
        blocks = (days - self.offset) // self.block
        first = (self.before - self.offset) // self.block
        count = int(blocks[-1]) - first + 1
        share = np.zeros((weights.shape[0], count))
        np.add.at(share.T, blocks - first, weights.T)
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
        return window_sums(self.series, np.arange(first, first + count, dtype=np.int64), share)


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
        Days per block.
    spare
        Visits added to every week at the usual yield, so that a week without an order has a logarithm.
    """
    n = visits.size
    offset = before - block * -(-before // block)
    blocks = -(-(n - offset) // block)
    place = (np.arange(n) - offset) // block
    known = design.usable & np.isfinite(amounts) & np.isfinite(visits)
    known[before:] = False
    counted = np.bincount(place, known, blocks)
    got = np.bincount(place, np.where(known, amounts, 0.0), blocks)
    came = np.bincount(place, np.where(known, visits, 0.0), blocks)
    measured = (counted >= min(FEWEST_DAYS, block)) & (came > 0)
    if measured.sum() < FEWEST_WEEKS or got[measured].sum() <= 0:
        return None
    usual = float(got[measured].sum() / came[measured].sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(measured, (got + usual * spare) / (came + spare), np.nan)
    size = np.maximum(np.bincount(place, minlength=blocks), 1)
    columns = np.column_stack([np.bincount(place, column, blocks) / size for column in design.columns.T])
    weekly = Design(columns, design.prior_sd, design.instance, np.ones(blocks, dtype=bool), {})
    first = (before - offset) // block
    return YieldSeries(fit_channel(metric, channel, values, weekly, first, is_log=True), offset, before, block)
