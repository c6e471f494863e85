"""The vector of channel series fitted together: one fit per series, one correlation of their shocks, joint draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import INSTANCE_SD, INSTANCE_SDS, Design
from rechannel.evidence.series import (
    Forecast,
    Grid,
    SeriesFit,
    collapse,
    fit_series,
    forecast,
    forecast_days,
    mean_path,
    posterior,
    scout_grid,
    smoothed_residuals,
)
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray

DRAWS = 4096
FEWEST_TRAINING_DAYS = 21
SMALLEST_SPREAD = 1e-4
"""Least innovation sd relative to the mean of a series: below it the prior of collinear columns is lost in rounding."""


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
    """

    metric: Metric
    channel: str | None
    values: FloatArray
    design: Design
    training: NDArray[np.bool_]
    is_log: bool
    fit: SeriesFit


def fit_channel(
    metric: Metric,
    channel: str | None,
    values: FloatArray,
    design: Design,
    before: int,
    *,
    is_log: bool | None = None,
    grid: Grid | None = None,
) -> ChannelSeries:
    """Fit one series on its usable measured days before day number `before`.

    The scale is the one with the higher marginal likelihood of the raw values (the Jacobian of the log included);
    a series with zeros or negative values is fitted on levels.
    """
    training = design.usable & np.isfinite(values)
    training[before:] = False
    days = np.flatnonzero(training).astype(np.int64)
    y = values[days]
    columns = design.columns[days]
    positive = bool((y > 0).all())
    if is_log and not positive:  # asked for logs, but a zero came in
        is_log, grid = False, None

    def fit(log_scale: bool, points: Grid | None) -> SeriesFit:
        scaled = np.log(y) if log_scale else y
        guess, precision = _prior(design, y, log_scale)
        return fit_series(scaled, columns, days, precision, grid=points, scale_guess=guess)

    if is_log is None:
        scouts = scout_grid()
        is_log = positive and fit(True, scouts).log_evidence - float(np.log(y).sum()) > fit(False, scouts).log_evidence
    return ChannelSeries(metric, channel, values, design, training, is_log, fit(is_log, grid))


def _prior(design: Design, y: FloatArray, is_log: bool) -> tuple[float, FloatArray]:
    """A guess of the innovation sd, and the coefficients' prior precision in its unit, shape [column]."""
    guess = innovation_guess(np.log(y) if is_log else y)
    unit = 1.0 if is_log else max(float(np.abs(y).mean()), 1e-12)
    return guess, (guess / (design.prior_sd * unit)) ** 2


def pooled_instance_sd(series: Sequence[ChannelSeries]) -> float:
    """How much one instance of an event differs from its family: the marginal likelihood of all channels together.

    The candidates are a few; the case chooses one for all channels, so that two years of promotions are usable.
    """
    if not any(one.design.instance.any() for one in series):
        return INSTANCE_SD
    evidence = np.zeros(len(INSTANCE_SDS))
    for one in series:
        days = np.flatnonzero(one.training).astype(np.int64)
        y = one.values[days]
        points = collapse(np.log(y) if one.is_log else y, one.design.columns[days], days, scout_grid())
        for at, sd in enumerate(INSTANCE_SDS):
            guess, precision = _prior(one.design.with_instance_sd(sd), y, one.is_log)
            evidence[at] += posterior(points, precision, guess).log_evidence
    return INSTANCE_SDS[int(np.argmax(evidence))]


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


@dataclass(frozen=True, slots=True)
class WindowSums:
    """Predictive distribution of sums over windows of coming days of one series.

    Attributes
    ----------
    centre
        Value of the sum at the centre, in the unit of the metric, shape [window].
    forecast
        On the fit scale around 0: the deviation of the sum (level) or of its logarithm.
    is_log
        Which of the two.
    """

    centre: FloatArray
    forecast: Forecast
    is_log: bool

    def at_normal(self, z: FloatArray, widen: FloatArray) -> FloatArray:
        """The sums at standard normal scores.

        Parameters
        ----------
        z
            Scores, shape [draw, 1] or [draw, window].
        widen
            Calibration factor of the spread, shape [window].

        Returns
        -------
        Array [draw, window].
        """
        deviation = self.forecast.location + widen * self.forecast.scale * t_of_normal(z, self.forecast.df)
        return self.centre * np.exp(deviation) if self.is_log else self.centre + deviation

    def sd(self, widen: FloatArray) -> FloatArray:
        """Standard deviation of each sum by the delta method, shape [window]."""
        spread = widen * self.forecast.scale * np.sqrt(self.forecast.df / (self.forecast.df - 2))
        return np.abs(self.centre) * spread if self.is_log else spread


def t_of_normal(z: FloatArray, df: FloatArray) -> FloatArray:
    """The t quantile with the probability of a standard normal score (Cornish-Fisher to the third order in 1/df).

    Source: Abramowitz and Stegun (1964), 26.7.5; error below .01 of the quantile for df >= 4.5 inside |z| <= 2.
    """
    return np.asarray(
        z
        + (z**3 + z) / (4 * df)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
    )


def window_sums(series: ChannelSeries, days: NDArray[np.int64], windows: FloatArray) -> WindowSums:
    """Predict sums of the raw metric over windows of coming days.

    On the log scale the logarithm of a sum is expanded to the second order around the mean path, with each day's
    weight its share of the sum.

    Parameters
    ----------
    days
        Consecutive day numbers after the last training day, shape [day].
    windows
        0/1 weights of each window, shape [window, day].
    """
    columns = series.design.columns[days]
    path = mean_path(series.fit, columns, days)
    if not series.is_log:
        prediction = forecast(series.fit, columns, days, windows)
        centre = windows @ path
        return WindowSums(centre, Forecast(prediction.location - centre, prediction.scale, prediction.df), False)
    level = np.exp(path)
    total = windows @ level
    weights = windows * level / np.maximum(total, 1e-300)[:, None]
    prediction = forecast(series.fit, columns, days, weights)
    daily = forecast_days(series.fit, columns, days)
    daily_variance = daily.scale**2 * daily.df / (daily.df - 2)
    variance = prediction.scale**2 * prediction.df / (prediction.df - 2)
    curvature = 0.5 * (weights @ daily_variance - variance)
    shift = prediction.location - weights @ path + curvature
    return WindowSums(total, Forecast(shift, prediction.scale, prediction.df), True)


def shock_correlation(series: Sequence[ChannelSeries]) -> FloatArray:
    """Correlation of the series' shocks, shape [series, series]; see `correlation_of`."""
    if len(series) == 1:
        return np.ones((1, 1))
    n = series[0].values.size
    shocks = np.full((len(series), n), np.nan)
    for row, one in enumerate(series):
        days = np.flatnonzero(one.training).astype(np.int64)
        y = one.values[days]
        residual = smoothed_residuals(one.fit, np.log(y) if one.is_log else y, one.design.columns[days], days)
        shocks[row, days] = np.clip(residual, -6, 6)
    return correlation_of(shocks)


def correlation_of(shocks: FloatArray) -> FloatArray:
    """Correlation of daily shocks, summed over weeks and shrunk towards none, shape [series, series].

    Weekly sums carry the slow common demand that window sums feel; the shrinkage weight is Schafer and Strimmer
    (2005), Statistical Applications in Genetics and Molecular Biology 4(1), equation for the correlation target D.

    Parameters
    ----------
    shocks
        Standardised, shape [series, day]; nan = not measured.
    """
    count, n = shocks.shape
    if count == 1:
        return np.ones((1, 1))
    weeks = n // 7
    blocks = shocks[:, n - weeks * 7 :].reshape(count, weeks, 7)
    measured = np.isfinite(blocks)
    counts = measured.sum(axis=2)
    sums = np.where(measured, blocks, 0.0).sum(axis=2)
    weekly = np.where(counts >= 4, sums / np.sqrt(np.maximum(counts, 1)), np.nan)
    common = np.isfinite(weekly).all(axis=0)
    if common.sum() < 8:
        return np.eye(count)
    standard = weekly[:, common]
    standard = standard - standard.mean(axis=1, keepdims=True)
    spread = standard.std(axis=1, keepdims=True)
    standard = standard / np.where(spread > 0, spread, 1.0)
    m = standard.shape[1]
    correlation = standard @ standard.T / m
    products = standard[:, None, :] * standard[None, :, :]
    sampling = products.var(axis=2) / m
    off = ~np.eye(count, dtype=bool)
    signal = float((correlation[off] ** 2).sum())
    shrink = min(1.0, float(sampling[off].sum()) / signal) if signal > 0 else 1.0
    shrunk = (1 - shrink) * correlation
    np.fill_diagonal(shrunk, 1.0)
    return np.asarray(shrunk)


def joint_scores(correlation: FloatArray, seed: int, draws: int = DRAWS) -> FloatArray:
    """Standard normal scores with a given correlation, shape [draw, series]; antithetic pairs, so means are exact."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((draws // 2, correlation.shape[0]))
    values, vectors = np.linalg.eigh(correlation)
    # the symmetric root: eigenvectors alone turn freely where eigenvalues repeat, and with them every draw
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    scores = np.concatenate([half, -half]) @ root
    return np.asarray(scores / scores.std(axis=0, keepdims=True))
