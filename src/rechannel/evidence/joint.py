"""The vector of channel series together: sums over coming windows, how their errors hang together, joint draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.channel import ChannelSeries
from rechannel.evidence.forecast import Forecast, forecast, forecast_days, geometric_sums, joint_forecast, mean_path
from rechannel.vocabulary.estimate import FloatArray

DRAWS = 4096
SPAN = 28
"""Days ahead at which errors of forecasts are held against each other."""
ENOUGH_OF_SPAN = 0.7
OVERLAP = 1.5
"""Independent windows per window of overlapping ones, of a second moment."""
USUAL_CORRELATION, PRIOR_WINDOWS = 0.35, 4.0
"""Correlation of the errors of two channels of one shop before any data, and its weight in windows of history."""
CLIPPED = 3.5
LEAST_EIGENVALUE = 0.02


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
        return _on_levels(windows @ path, forecast(series.fit, columns, days, windows))
    total, weights = _shares(path, windows)
    return _on_logs(series, days, path, total, weights, forecast(series.fit, columns, days, weights))


@dataclass(frozen=True, slots=True)
class JointSums:
    """Sums over several windows of one series, and how they hang together.

    Attributes
    ----------
    apart
        Each window by itself.
    covariance
        Of every window with the first ones, in squared units of the metric, shape [window, base].
    of_events
        Share of the variance of the first windows that is not known of their holidays and promotions, shape [base].
    """

    apart: WindowSums
    covariance: FloatArray
    of_events: FloatArray

    @property
    def correlation(self) -> FloatArray:
        """Of the first windows, shape [base, base]."""
        return correlation_of(self.covariance[: self.covariance.shape[1]])


def correlation_of(covariance: FloatArray) -> FloatArray:
    """A covariance as a correlation; what has no spread is correlated with nothing."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.outer(sd, sd)
    found = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def expected_path(series: ChannelSeries, days: NDArray[np.int64]) -> FloatArray:
    """What the series expects on coming days, in the unit of the metric and not below 0, shape [day]."""
    path = mean_path(series.fit, series.design.columns[days], days)
    return np.asarray(np.exp(path) if series.is_log else np.maximum(path, 0.0))


def joint_sums(series: ChannelSeries, days: NDArray[np.int64], windows: FloatArray, base: int) -> JointSums:
    """Predict sums over windows as `window_sums` does, with their covariance with the first `base` windows."""
    columns = series.design.columns[days]
    path = mean_path(series.fit, columns, days)
    if not series.is_log:
        found = joint_forecast(series.fit, columns, days, windows, base, series.design.eventful)
        return JointSums(_on_levels(windows @ path, found.apart), found.covariance, found.part)
    total, weights = _shares(path, windows)
    found = joint_forecast(series.fit, columns, days, weights, base, series.design.eventful)
    apart = _on_logs(series, days, path, total, weights, found.apart)
    return JointSums(apart, total[:, None] * total[None, :base] * found.covariance, found.part)


def _on_levels(centre: FloatArray, prediction: Forecast) -> WindowSums:
    return WindowSums(centre, Forecast(prediction.location - centre, prediction.scale, prediction.df), False)


def _shares(path: FloatArray, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums along the mean path of logs, shape [window], and each day's share of them, shape [window, day]."""
    level = np.exp(path)
    total = windows @ level
    return total, windows * level / np.maximum(total, 1e-300)[:, None]


def _on_logs(
    series: ChannelSeries,
    days: NDArray[np.int64],
    path: FloatArray,
    total: FloatArray,
    weights: FloatArray,
    prediction: Forecast,
) -> WindowSums:
    """Sums of exponentials from their mean logs: half the variance within the window is added."""
    daily = forecast_days(series.fit, series.design.columns[days], days)
    daily_variance = daily.scale**2 * daily.df / (daily.df - 2)
    variance = prediction.scale**2 * prediction.df / (prediction.df - 2)
    curvature = 0.5 * (weights @ daily_variance - variance)
    shift = prediction.location - weights @ path + curvature
    return WindowSums(total, Forecast(shift, prediction.scale, prediction.df), True)


def weekly_correlation(shocks: FloatArray) -> FloatArray:
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


def error_correlation(series: Sequence[ChannelSeries]) -> FloatArray:
    """Correlation of what the series' forecasts of the next four weeks miss, shape [series, series].

    Read off every day of the history: the mean of the next `SPAN` days minus what level and AR state of that day say,
    coefficients known. Shrunk towards one correlation for all pairs, and that towards `USUAL_CORRELATION`: channels of
    a shop share its demand, and a history holds few independent months.
    """
    return _correlation_of_errors([_window_errors(one) for one in series], SPAN)


def gap_correlation(series: Sequence[ChannelSeries], hidden: int, wanted: slice) -> FloatArray:
    """Correlation of what the series miss of a gap in them, the days before and after it known, shape [series, series].

    Read off every day of the history as if a gap of `hidden` days had begun there, of whose days `wanted` are summed;
    shrunk as in `error_correlation`. What all channels share lasts longer than what each has of its own, so it grows
    with the gap.
    """
    return _correlation_of_errors([_gap_errors(one, hidden, wanted) for one in series], hidden)


def _correlation_of_errors(rows: Sequence[FloatArray], span: int) -> FloatArray:
    """Correlation of errors over `span` days known at every day, one row per series, shrunk."""
    count = len(rows)
    if count == 1:
        return np.ones((1, 1))
    errors = np.array(rows)
    known = np.isfinite(errors)
    spread = np.array([_robust_spread(row) for row in errors])
    standard = np.where(known & (spread > 0)[:, None], errors / np.where(spread > 0, spread, 1.0)[:, None], 0.0)
    standard = np.clip(standard, -CLIPPED, CLIPPED)
    both = known.astype(float) @ known.T.astype(float)
    size = np.sqrt((standard**2) @ known.T.astype(float))
    correlation = np.divide(standard @ standard.T, size * size.T, out=np.zeros((count, count)), where=size * size.T > 0)
    windows = OVERLAP * both / span
    off = ~np.eye(count, dtype=bool)
    told = float(windows[off].mean())
    usual = (told * float(correlation[off].mean()) + PRIOR_WINDOWS * USUAL_CORRELATION) / (told + PRIOR_WINDOWS)
    sampling = (1 - correlation**2) ** 2 / np.maximum(windows, 1.0)
    distance = float(((correlation - usual)[off] ** 2).sum())
    shrink = min(1.0, float(sampling[off].sum()) / distance) if distance > 0 else 1.0
    shrunk = (1 - shrink) * correlation + shrink * usual
    np.fill_diagonal(shrunk, 1.0)
    values, vectors = np.linalg.eigh(shrunk)
    if values[0] < LEAST_EIGENVALUE:  # pairs measured on different days need not fit together
        shrunk = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
        scale = np.sqrt(np.diag(shrunk))
        shrunk /= np.outer(scale, scale)
    return np.asarray((shrunk + shrunk.T) / 2)


def _window_errors(one: ChannelSeries) -> FloatArray:
    """Mean of the next `SPAN` days less its forecast, on the fit scale, at every day; nan where unknown."""
    errors = np.full(one.values.size, np.nan)
    rest = _rest_of(one)
    if rest is None:
        return errors
    level, ar = states(rest.whole, rest.phi, rest.q)
    came, counted = (np.concatenate([[0.0], np.cumsum(row)]) for row in (rest.measured * rest.whole, rest.measured))
    at = np.arange(SPAN, rest.whole.size - SPAN)
    number = counted[at + 1 + SPAN] - counted[at + 1]
    mean = (came[at + 1 + SPAN] - came[at + 1]) / np.maximum(number, 1.0)
    foreseen = level[at] + ar[at] * rest.phi * (1 - rest.phi**SPAN) / (1 - rest.phi) / SPAN
    good = (number >= ENOUGH_OF_SPAN * SPAN) & (rest.measured[at] > 0)
    errors[rest.first + at[good]] = (mean - foreseen)[good]
    return errors


def _gap_errors(one: ChannelSeries, hidden: int, wanted: slice) -> FloatArray:
    """Sum over `wanted` days of a gap less what `SPAN` days on either side say, at every first day; nan where unknown.

    The same weights everywhere: level and AR of the likeliest grid point, given the days around (kriging with an
    unknown mean).
    """
    errors = np.full(one.values.size, np.nan)
    rest = _rest_of(one)
    size = 2 * SPAN + hidden
    if rest is None or rest.whole.size < size:
        return errors
    place = np.arange(size)
    inside = np.zeros(size, dtype=bool)
    inside[SPAN : SPAN + hidden] = True
    summed = np.zeros(size)
    summed[SPAN : SPAN + hidden][wanted] = 1.0
    spread = rest.q * np.minimum.outer(place, place) + rest.phi ** np.abs(np.subtract.outer(place, place)) / (
        1 - rest.phi**2
    )
    outside = np.flatnonzero(~inside)
    bordered = np.ones((outside.size + 1, outside.size + 1))
    bordered[:-1, :-1], bordered[-1, -1] = spread[np.ix_(outside, outside)], 0.0
    target = np.concatenate([spread[outside] @ summed, [summed.sum()]])
    weights = summed.copy()
    weights[outside] = -np.linalg.solve(bordered, target)[:-1]
    missed = np.lib.stride_tricks.sliding_window_view(rest.whole, size) @ weights
    known = np.lib.stride_tricks.sliding_window_view(rest.measured, size).mean(axis=1) >= ENOUGH_OF_SPAN
    errors[rest.first + SPAN + np.flatnonzero(known)] = missed[known]
    return errors


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a series' columns leave on every day from its first training day on, and its likeliest level and AR."""

    whole: FloatArray
    measured: FloatArray
    first: int
    phi: float
    q: float


def _rest_of(one: ChannelSeries) -> _Rest | None:
    """None for a series of less than two spans; days not measured lie on the line between their neighbours."""
    days = np.flatnonzero(one.training)
    if days.size < 2 * SPAN:
        return None
    best = int(np.argmax(one.fit.weight))
    y = one.values[days]
    residual = (np.log(y) if one.is_log else y) - one.design.columns[days] @ one.fit.coefficients[best]
    first, last = int(days[0]), int(days[-1])
    whole = np.interp(np.arange(first, last + 1), days, residual)
    measured = np.zeros(whole.size)
    measured[days - first] = 1.0
    return _Rest(whole, measured, first, float(one.fit.grid.phi[best]), float(one.fit.grid.q[best]))


def _robust_spread(errors: FloatArray) -> float:
    known = errors[np.isfinite(errors)]
    return 1.4826 * float(np.median(np.abs(known))) if known.size else 0.0


def states(path: FloatArray, phi: float, q: float) -> tuple[FloatArray, FloatArray]:
    """Level and AR state that a day and the days before it tell, shapes [day]: the steady state of the Kalman filter.

    With u = p (1 - phi), p the level's variance, the Riccati equation is u^2 + u q (1 + phi) = q.
    """
    u = (np.sqrt(q**2 * (1 + phi) ** 2 + 4 * q) - q * (1 + phi)) / 2
    gain = (u + q) / (u * (1 - phi) + q + 1)
    start = float(path[:SPAN].mean())
    off = path - start
    numerator = off.copy()
    numerator[1:] -= (1 + phi) * off[:-1]
    numerator[2:] += phi * off[:-2]
    surprise = _decaying(numerator, 1 - gain * (1 - phi))
    return np.cumsum(gain * surprise) + start, _decaying((1 - gain) * surprise, phi)


def _decaying(path: FloatArray, ratio: float) -> FloatArray:
    """Sum over i >= 0 of ratio**i times the value i places earlier, shape [day]."""
    return geometric_sums(path[None, ::-1], ratio)[0, ::-1]


def symmetric_root(correlation: FloatArray) -> FloatArray:
    """The symmetric square root: eigenvectors alone turn freely where eigenvalues repeat, and with them every draw."""
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def joint_scores(correlation: FloatArray, seed: int, draws: int = DRAWS) -> FloatArray:
    """Standard normal scores with a given correlation, shape [draw, series]; antithetic pairs, so means are exact."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((draws // 2, correlation.shape[0]))
    scores = np.concatenate([half, -half]) @ symmetric_root(correlation)
    return np.asarray(scores / scores.std(axis=0, keepdims=True))
