"""The open world ahead: what one channel and the rest of the shop would receive, every metric, draw by draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.baseline import Baseline, all_others, padded, sum_of
from rechannel.evidence.channel import FEWEST_TRAINING_DAYS, ChannelSeries, fit_channel
from rechannel.evidence.design import Design
from rechannel.evidence.forecast import mean_path
from rechannel.evidence.joint import error_correlation, joint_scores, window_sums
from rechannel.evidence.placebo import Calibration
from rechannel.evidence.yields import YieldSeries, fit_yield
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import COUNTED, Metric
from rechannel.vocabulary.estimate import FloatArray

REST = "(rest)"
"""Name of the series of all other own channels together."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric on the open path: the channel's own part and the whole shop, joint draws.

    Attributes
    ----------
    own, total
        Window sums, shape [draw, window].
    """

    own: FloatArray
    total: FloatArray


@dataclass(frozen=True, slots=True)
class Demand:
    """The open world of one channel from day number `before` on.

    Attributes
    ----------
    own, rest
        Visits of the channel and of all other own channels together; `rest` is None when there is none.
    yields
        (metric, is own) -> what a visit yields; absent when the case cannot say.
    shop_yields
        Metrics known only for the whole shop -> yield of all visits together.
    scores
        Joint standard normal scores of own and rest, shape [draw, 2].
    yield_scores
        Scores of every yield, shape [draw, yield], in the order of `yields`, then of `shop_yields`.
    calibration
        Placebo scale of visits.
    before, start
        First day number that the fits do not use; day number of D.
    """

    own: ChannelSeries
    rest: ChannelSeries | None
    yields: Mapping[tuple[Metric, bool], YieldSeries]
    shop_yields: Mapping[Metric, YieldSeries]
    scores: FloatArray
    yield_scores: FloatArray
    calibration: Calibration
    before: int
    start: int

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Visits, and every metric whose own part is known."""
        return ("visits", *(metric for metric, is_own in self.yields if is_own))

    def covers_shop(self, metric: Metric) -> bool:
        """Whether the metric is known for the whole shop, so that `total` means all of it."""
        known = metric == "visits" or metric in self.shop_yields or (metric, False) in self.yields
        return known or self.rest is None

    def windows(self, metric: Metric, first: Sequence[int], length: Sequence[int]) -> Pair:
        """Sums over windows that start `first` days from D and are `length` days long, negative starts included.

        Of a metric that is only known for the whole shop, `own` is the part its visits would have at the shop's yield.
        """
        reach = self.start - self.before + max(a + b for a, b in zip(first, length, strict=True))
        days = np.arange(self.before, self.before + reach, dtype=np.int64)
        windows = np.zeros((len(first), days.size))
        for row, (begin, size) in enumerate(zip(first, length, strict=True)):
            at = self.start - self.before + begin
            windows[row, at : at + size] = 1.0
        widen = self.calibration.widen(self.own.design.step * np.array(length, dtype=float))
        own, own_weights = self._visits(self.own, 0, days, windows, widen)
        rest, rest_weights = own * 0.0, own_weights
        if self.rest is not None:
            rest, rest_weights = self._visits(self.rest, 1, days, windows, widen)
        if metric == "visits":
            return Pair(own, own + rest)
        if metric in self.shop_yields:
            rate = self._yield(self.shop_yields[metric], len(self.yields), metric, days, own_weights + rest_weights)
            return Pair(own * rate, (own + rest) * rate)
        own = own * self._yield(self.yields[metric, True], 0, (metric, True), days, own_weights)
        if (metric, False) in self.yields:
            return Pair(
                own, own + rest * self._yield(self.yields[metric, False], 0, (metric, False), days, rest_weights)
            )
        return Pair(own, own)

    def _visits(
        self, series: ChannelSeries, column: int, days: NDArray[np.int64], windows: FloatArray, widen: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Draws of window sums, shape [draw, window], and the expected visits of each day in each window."""
        draws = window_sums(series, days, windows).at_normal(self.scores[:, column : column + 1], widen)
        path = mean_path(series.fit, series.design.columns[days], days)
        expected = np.maximum(np.exp(path) if series.is_log else path, 0.0)
        return np.maximum(draws, 0.0), windows * (expected + 1e-9)

    def _yield(
        self,
        series: YieldSeries,
        first: int,
        key: tuple[Metric, bool] | Metric,
        days: NDArray[np.int64],
        weights: FloatArray,
    ) -> FloatArray:
        """Draws of the mean yield of each window, shape [draw, window]."""
        names: list[object] = list(self.shop_yields if isinstance(key, str) else self.yields)
        column = first + names.index(key)
        scores = self.yield_scores[:, column : column + 1]
        return np.maximum(series.over(days, weights).at_normal(scores, np.ones(weights.shape[0])), 0.0)


def forecast_demand(
    panel: Panel,
    baseline: Baseline,
    calibration: Calibration,
    channel: str,
    start: int,
    *,
    market: str | None = None,
    draws: int,
    seed: int,
) -> Demand | None:
    """Fit one channel and the rest of the shop up to the baseline's last day: visits day by day, yields week by week.

    The open path is what the series would have done; promotions and holidays with known dates are part of it.

    Parameters
    ----------
    baseline, calibration
        Fitted visits of the case up to the same day, and their placebo scale.
    channel
        The channel asked about.
    start
        Day number of D; may lie past the data.
    market
        One market, or None for all.
    draws, seed
        Joint draws and their seed.

    Returns
    -------
    Demand
        None when the channel's visits have too little history.
    """
    if channel not in baseline.channels:
        return None
    markets = None if market is None else (market,)
    before, length = baseline.before, baseline.dates.size
    at = panel.channel_index(channel)
    own = baseline.series[baseline.channels.index(channel)]
    shop = baseline.shop
    visits = padded(sum_of(panel, "visits", markets), length)
    others = all_others(visits, visits, at, before, panel.cadence)
    rest = None
    if others is not None and _is_enough(others, shop, before):
        rest = fit_channel("visits", REST, others, shop, before)
    spare, block = _spare(panel, markets, before), 7 if panel.cadence == "daily" else 1

    def fitted(metric: Metric, name: str, amounts: FloatArray, came: FloatArray, design: Design) -> YieldSeries | None:
        return fit_yield(metric, name, amounts, came, design, before, block=block, spare=spare)

    yields: dict[tuple[Metric, bool], YieldSeries] = {}
    shop_yields: dict[Metric, YieldSeries] = {}
    for metric in COUNTED[1:]:
        if metric in panel.values:
            amounts = padded(sum_of(panel, metric, markets), length)
            one = fit_yield(
                metric, channel, amounts[:, at], visits[:, at], own.design, before, block=block, spare=spare
            )
            if one is not None:
                yields[metric, True] = one
                beside = all_others(amounts, visits, at, before, panel.cadence)
                if rest is not None and beside is not None:
                    other = fitted(metric, REST, beside, rest.values, shop)
                    if other is not None:
                        yields[metric, False] = other
                continue
        if metric in panel.totals:
            whole = panel.totals[metric]
            known = whole.sum(axis=1) if market is None else whole[:, panel.markets.index(market)]
            everything = visits[:, at] + (others if others is not None else 0.0)
            one = fitted(metric, REST, padded(known, length), everything, shop)
            if one is not None:
                shop_yields[metric] = one
    group = [own] if rest is None else [own, rest]
    scores = joint_scores(error_correlation(group), seed, draws)
    count = len(yields) + len(shop_yields)
    yield_scores = joint_scores(np.eye(max(count, 1)), seed + 1, draws)
    return Demand(own, rest, yields, shop_yields, scores, yield_scores, calibration, before, start)


def _is_enough(values: FloatArray, design: Design, before: int) -> bool:
    known = np.isfinite(values[:before]) & design.usable[:before]
    return bool(known.sum() >= FEWEST_TRAINING_DAYS and np.nan_to_num(values[:before]).any())


def _spare(panel: Panel, markets: Sequence[str] | None, before: int) -> float:
    """Visits that usually bring half an order (half a new customer where orders are not known)."""
    visits = np.nansum(sum_of(panel, "visits", markets)[:before])
    for metric in ("orders", "new_customers"):
        if metric in panel.values:
            events = np.nansum(sum_of(panel, metric, markets)[:before])
            if events > 0:
                return float(0.5 * visits / events)
    return 25.0
