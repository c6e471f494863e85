"""Calibration by placebo dates: how often intervals held where nothing happened, and how to scale them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from rechannel.evidence.channel import FEWEST_TRAINING_DAYS, ChannelSeries, refit
from rechannel.evidence.joint import window_sums
from rechannel.evidence.series import trimmed
from rechannel.vocabulary.estimate import FloatArray

PRIOR_SD = 0.25
"""Prior sd of log lambda."""
SLOPE_SD = 0.1
"""Prior sd of the slope of log lambda in log H: lambda is smooth in the horizon."""
REFERENCE_HORIZON = 30
MOST_ORIGINS = 12
ENOUGH_FOLDS = 10.0
REFIT_MASS = 0.95
"""Posterior mass of the grid points on which placebo folds are refitted."""
TAIL_DF = 8.0
NORMAL_UNDER_TAIL = 0.9023
"""Scale of the t with `TAIL_DF` that fits standard normal scores best; lambda is 1 where forecasts are right."""
HORIZONS = (7, 14, 30, 60, 90, 180)
TOTAL = -1
"""Stands for the sum of all series."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pooled scale for the spread of window sums.

    Attributes
    ----------
    level, slope
        log lambda(H) = level + slope log(H / 30).
    scores
        Normal scores of what came in the placebo windows, shape [record].
    horizons, origins
        Horizon in days and first day number of the window of each record, shape [record].
    series, missed
        Which series each record is about, `TOTAL` for their sum, and what came over what was forecast, less 1,
        shape [record].
    effective_folds
        Horizon -> number of independent folds, pooled over channels.
    independent_records
        How many independent records all of them together count as.
    held_out_coverage
        Share of records inside their 90 % interval with lambda estimated from the other origins; nan without records.
    """

    level: float
    slope: float
    scores: FloatArray
    horizons: FloatArray
    origins: FloatArray
    series: NDArray[np.intp]
    missed: FloatArray
    effective_folds: dict[int, float]
    independent_records: float
    held_out_coverage: float

    def widen(self, horizon: FloatArray | float) -> FloatArray:
        """lambda at each horizon in days."""
        return np.asarray(np.exp(self.level + self.slope * np.log(np.maximum(horizon, 1) / REFERENCE_HORIZON)))

    def folds_at(self, horizon: int) -> float:
        """Independent folds at the nearest tried horizon that is not shorter; 0 when none is."""
        longer = [tried for tried in self.effective_folds if tried >= horizon]
        return self.effective_folds[min(longer)] if longer else 0.0

    def is_extrapolated(self, horizon: int) -> bool:
        """Fewer than ten independent folds speak at this horizon."""
        return self.folds_at(horizon) < ENOUGH_FOLDS


def coverage_slack(records: float) -> float:
    """Two standard deviations of a 90 % coverage seen in that many independent records."""
    return float(2 * (0.9 * 0.1 / max(records, 1e-9)) ** 0.5)


def calibrate(
    series: Sequence[ChannelSeries], before: int, lead: int, horizons: Sequence[int], correlation: FloatArray
) -> Calibration:
    """Estimate lambda from placebo dates before the intervention.

    Each origin hides everything after it, refits every series on the grid points that carry its posterior, and
    predicts the sums after a lead as long as the notice. The total is predicted as the sum of the joint channels.

    Parameters
    ----------
    series
        Channels of one metric, fitted up to `before`.
    before
        First day number that the fits do not use.
    lead
        Rows between the last one used and the window (notice).
    horizons
        Horizons asked, in days; standard ones that fit the history are added.
    correlation
        Of the series' errors, shape [series, series].
    """
    step = series[0].design.step if series else 1
    first = max(FEWEST_TRAINING_DAYS, min(180 // step, before // 3))
    every = {max(1, horizon // step) for horizon in (*horizons, *HORIZONS)}
    last = before - lead - min(every)
    tried = sorted(rows for rows in every if first + lead + rows <= before)
    if last < first or not tried or not series:
        none = np.empty(0)
        return Calibration(0.0, 0.0, none, none, none, np.empty(0, np.intp), none, {}, 0.0, float("nan"))
    count = min(MOST_ORIGINS, max(1, (last - first) * step // 7 + 1))
    origins = np.unique(np.linspace(first, last, count).astype(int))
    grids = [trimmed(one.fit, REFIT_MASS) for one in series]
    records: list[tuple[float, ...]] = []

    def keep(score: float, rows: float, origin: float, which: int, came: float, foretold: float) -> None:
        missed = came / foretold - 1 if foretold > 0 else float("nan")
        records.append((score, step * rows, origin + lead, which, missed))

    for origin in origins.tolist():
        fitting = [rows for rows in tried if origin + lead + rows <= before]
        days = np.arange(origin, origin + lead + max(fitting), dtype=np.int64)
        windows = np.zeros((len(fitting), days.size))
        for row, length in enumerate(fitting):
            windows[row, lead : lead + length] = 1.0
        centres = np.zeros((len(series), len(fitting)))
        spreads = np.zeros_like(centres)
        actuals = np.zeros_like(centres)
        whole = np.ones(len(fitting), dtype=bool)
        for index, one in enumerate(series):
            measured = one.design.usable[days] & np.isfinite(one.values[days])
            seen = windows * measured
            enough = seen.sum(axis=1) >= 0.5 * windows.sum(axis=1)
            past = one.training[:origin]
            if not enough.any() or past.sum() < FEWEST_TRAINING_DAYS:
                whole[:] = False
                continue
            sums = window_sums(refit(one, origin, grids[index]), days, seen)
            actual = seen @ np.where(measured, one.values[days], 0.0)
            score = _normal_score(
                sums.centre, actual, sums.is_log, sums.forecast.location, sums.forecast.scale, sums.forecast.df
            )
            centres[index] = sums.at_normal(np.zeros((1, 1)), np.ones(len(fitting)))[0]
            spreads[index] = sums.sd(np.ones(len(fitting)))
            actuals[index] = actual
            whole &= enough
            for row in np.flatnonzero(enough).tolist():
                keep(float(score[row]), fitting[row], origin, index, actual[row], centres[index, row])
        if len(series) > 1:
            total_sd = np.sqrt(np.einsum("ih,ij,jh->h", spreads, correlation, spreads))
            for row in np.flatnonzero(whole & (total_sd > 0)).tolist():
                came, foretold = float(actuals[:, row].sum()), float(centres[:, row].sum())
                gap = float(np.clip((came - foretold) / total_sd[row], -8, 8))
                keep(gap, fitting[row], origin, TOTAL, came, foretold)
    z, h, o, which, missed = np.array(records, dtype=float).reshape(-1, 5).T
    independent = len(series) ** 2 / float((correlation**2).sum())
    effective = {
        step * rows: independent * max(1.0, (before - first - lead) / rows)
        for rows in tried
        if (h == step * rows).any()
    }
    weights = _weights(h, effective)
    level, slope = _scale(z, h, weights)
    inside = []
    for origin in np.unique(o):
        others = o != origin
        a, b = _scale(z[others], h[others], weights[others])
        bound = 1.6449 * np.exp(a + b * np.log(h[~others] / REFERENCE_HORIZON))
        inside.append(np.abs(z[~others]) <= bound)
    coverage = float(np.concatenate(inside).mean()) if inside else float("nan")
    independent_records = float(weights.sum())
    return Calibration(level, slope, z, h, o, which.astype(np.intp), missed, effective, independent_records, coverage)


def _normal_score(
    centre: FloatArray, actual: FloatArray, is_log: bool, location: FloatArray, scale: FloatArray, df: FloatArray
) -> FloatArray:
    """Normal score of what came under each forecast, clipped at 8."""
    if is_log:
        deviation = np.log(np.maximum(actual, 0.5) / np.maximum(centre, 1e-300)) - location
    else:
        deviation = actual - centre - location
    empty = scale <= 0  # a window without a measured day
    probability = np.clip(stdtr(df, deviation / np.where(empty, 1.0, scale)), 1e-15, 1 - 1e-15)
    return np.asarray(ndtri(probability))


def _weights(horizon: FloatArray, effective: dict[int, float]) -> FloatArray:
    """Weight of each record, so that all records together count as the mean number of independent folds."""
    weights = np.zeros(horizon.size)
    for tried, folds in effective.items():
        rows = horizon == tried
        weights[rows] = min(1.0, folds / rows.sum()) / len(effective)
    return weights


def _scale(z: FloatArray, horizon: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Posterior mean of level and slope of log lambda under a t likelihood, on a grid."""
    if z.size == 0:
        return 0.0, 0.0
    levels = np.linspace(-4 * PRIOR_SD, 4 * PRIOR_SD, 41)
    slopes = np.linspace(-3 * SLOPE_SD, 3 * SLOPE_SD, 13)
    log_horizon = np.log(horizon / REFERENCE_HORIZON)
    log_scale = levels[:, None, None] + slopes[None, :, None] * log_horizon
    density = -(TAIL_DF + 1) / 2 * np.log1p((z / NORMAL_UNDER_TAIL / np.exp(log_scale)) ** 2 / TAIL_DF) - log_scale
    posterior = (density * weights).sum(axis=2)
    posterior -= levels[:, None] ** 2 / (2 * PRIOR_SD**2) + slopes[None, :] ** 2 / (2 * SLOPE_SD**2)
    mass = np.exp(posterior - posterior.max())
    mass /= mass.sum()
    return float((mass.sum(axis=1) * levels).sum()), float((mass.sum(axis=0) * slopes).sum())
