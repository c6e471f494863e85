"""What a fitted series says about coming days: single days, windows of them, and several windows together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from rechannel.evidence.series import SMALLEST_DF, SeriesFit
from rechannel.vocabulary.estimate import FloatArray

SMALLEST_VARIANCE = 1e-150
"""Variances up to this one have no square."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Predictive distributions of linear functionals of the coming days, on the fit scale.

    Attributes
    ----------
    location, scale, df
        Of the t distribution whose first, second and fourth moments are those of the exact t mixture, shape [window].
    """

    location: FloatArray
    scale: FloatArray
    df: FloatArray

    def quantile(self, level: float) -> FloatArray:
        """Quantile of each window, shape [window]."""
        return np.asarray(self.location + self.scale * stdtrit(self.df, level))


def mean_path(fit: SeriesFit, design: FloatArray, days: NDArray[np.int64]) -> FloatArray:
    """Posterior mean of the coming days, shape [day].

    Parameters
    ----------
    design, days
        Columns and day numbers of the coming days, shapes [day, column] and [day]; all after the last observed day.
    """
    ahead = (days - fit.last_day).astype(float)
    level = fit.level_at - np.einsum("pk,pk->p", fit.level_on, fit.coefficients)
    ar = fit.last_y - fit.coefficients @ fit.last_x - level
    path = fit.coefficients @ design.T + level[:, None] + ar[:, None] * fit.grid.phi[:, None] ** ahead[None, :]
    return np.asarray(fit.weight @ path)


def forecast(
    fit: SeriesFit,
    design: FloatArray,
    days: NDArray[np.int64],
    windows: FloatArray,
    observation_noise: bool = True,
) -> Forecast:
    """Predict weighted sums of coming days: `windows @ y`.

    Parameters
    ----------
    design, days
        Columns and consecutive day numbers of the coming days, shapes [day, column] and [day].
    windows
        Weights of each functional, shape [window, day].
    observation_noise
        Whether the noise realised in those days belongs to the prediction (it does for every answer).

    Returns
    -------
    Forecast
        One matched t per window.
    """
    location, variance, _, _ = _moments(fit, design, days, windows, observation_noise)
    return matched_t(fit.weight, location, fit.rate[:, None] * variance, fit.df)


def _moments(
    fit: SeriesFit, design: FloatArray, days: NDArray[np.int64], windows: FloatArray, noise: bool = True
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Location and variance in units of s2 of each window, shape [point, window], and its loadings.

    On the coefficients, shape [point, window, column], and on the last level, shape [point, window].
    """
    ahead = (days - fit.last_day).astype(float)
    phi = fit.grid.phi
    by_level = windows.sum(axis=1)
    by_ar = phi[:, None] ** ahead[None, :] @ windows.T
    # location and the loading on b, given b the level and the AR state are linear in it
    loading = (
        (windows @ design)[None, :, :]
        - by_level[None, :, None] * fit.level_on[:, None, :]
        - by_ar[:, :, None] * (fit.last_x[None, None, :] - fit.level_on[:, None, :])
    )
    location = (
        np.einsum("pwk,pk->pw", loading, fit.coefficients)
        + by_level[None, :] * fit.level_at[:, None]
        + by_ar * (fit.last_y - fit.level_at)[:, None]
    )
    gap = by_level[None, :] - by_ar
    variance = (np.matmul(loading, fit.factor) ** 2).sum(axis=2) + gap**2 * fit.level_variance[:, None]
    if noise:
        variance += _innovation_variance(fit, ahead, windows)
    return location, variance, loading, gap


@dataclass(frozen=True, slots=True)
class JointForecast:
    """Several windows together.

    Attributes
    ----------
    apart
        Each window by itself.
    covariance
        Shape [window, base]: of every window with the first ones.
    part
        Share of the variance of the first windows that the chosen columns bring, shape [base].
    """

    apart: Forecast
    covariance: FloatArray
    part: FloatArray


def joint_forecast(
    fit: SeriesFit,
    design: FloatArray,
    days: NDArray[np.int64],
    windows: FloatArray,
    base: int,
    chosen: NDArray[np.bool_],
) -> JointForecast:
    """Predict weighted sums of coming days as `forecast` does, with their covariance with the first `base` windows.

    `chosen`, shape [column], are the columns whose part of the variance is told.
    """
    location, variance, loading, gap = _moments(fit, design, days, windows)
    ahead = (days - fit.last_day).astype(float)
    level, ar, position = _innovations(fit, ahead, windows)
    by_kind = fit.gain * np.array([carried @ carried[:base].T for carried in ar])
    moved = np.matmul(loading, fit.factor)
    covariance = np.matmul(moved, moved[:, :base].transpose(0, 2, 1))
    covariance += gap[:, :, None] * gap[:, None, :base] * fit.level_variance[:, None, None]
    covariance += fit.grid.q[:, None, None] * (level @ level[:base].T) + by_kind[position]
    of_point = fit.rate * max(fit.df, SMALLEST_DF) / (max(fit.df, SMALLEST_DF) - 2)
    offset = location - fit.weight @ location
    whole = np.einsum("p,pwb->wb", fit.weight * of_point, covariance)
    whole += np.einsum("p,pw,pb->wb", fit.weight, offset, offset[:, :base])
    brought = (np.matmul(loading[:, :base] * chosen, fit.factor) ** 2).sum(axis=2)
    total = fit.weight @ variance[:, :base]
    part = np.divide(fit.weight @ brought, total, out=np.zeros(base), where=total > 0)
    apart = matched_t(fit.weight, location, fit.rate[:, None] * variance, fit.df)
    return JointForecast(apart, whole, np.minimum(part, 1.0))


def forecast_days(fit: SeriesFit, design: FloatArray, days: NDArray[np.int64]) -> Forecast:
    """Predict every coming day by itself: `forecast` with the identity as windows, without its quadratic cost."""
    ahead = (days - fit.last_day).astype(float)
    phi = fit.grid.phi[:, None]
    by_ar = phi ** ahead[None, :]
    loading = (
        design[None, :, :]
        - fit.level_on[:, None, :]
        - by_ar[:, :, None] * (fit.last_x[None, None, :] - fit.level_on[:, None, :])
    )
    location = (
        np.matmul(loading, fit.coefficients[:, :, None])[:, :, 0]
        + fit.level_at[:, None]
        + by_ar * (fit.last_y - fit.level_at)[:, None]
    )
    variance = (np.matmul(loading, fit.factor) ** 2).sum(axis=2)
    variance += (1.0 - by_ar) ** 2 * fit.level_variance[:, None]
    variance += fit.grid.q[:, None] * ahead[None, :] + fit.gain * (1.0 - by_ar**2) / (1.0 - phi**2)
    return matched_t(fit.weight, location, fit.rate[:, None] * variance, fit.df)


def _innovation_variance(fit: SeriesFit, ahead: FloatArray, windows: FloatArray) -> FloatArray:
    """Variance of the coming innovations in units of s2, shape [point, window]."""
    level, ar, position = _innovations(fit, ahead, windows)
    by_kind = fit.gain * np.array([(carried**2).sum(axis=1) for carried in ar])
    return np.asarray(fit.grid.q[:, None] * (level**2).sum(axis=1)[None, :] + by_kind[position])


def _innovations(
    fit: SeriesFit, ahead: FloatArray, windows: FloatArray
) -> tuple[FloatArray, list[FloatArray], NDArray[np.intp]]:
    """What one coming innovation of the level, and of the AR at each phi, adds to each window.

    Shapes [window, innovation]; days between the last observed one and the windows count as one innovation together.
    Then the place of every grid point's phi.
    """
    lead = int(ahead[0]) - 1
    suffix = np.cumsum(windows[:, ::-1], axis=1)[:, ::-1]
    level = np.concatenate([suffix, np.sqrt(lead) * suffix[:, :1]], axis=1)
    kinds, position = np.unique(fit.grid.phi, return_inverse=True)
    ar = []
    for phi in kinds.tolist():
        carried = geometric_sums(windows, phi)
        early = np.sqrt(phi**2 * (1 - phi ** (2 * lead)) / (1 - phi**2))
        ar.append(np.concatenate([carried, early * carried[:, :1]], axis=1))
    return level, ar, position


def geometric_sums(rows: FloatArray, ratio: float) -> FloatArray:
    """Sum over i >= 0 of ratio**i times the value i places later, shape of `rows` [row, place], by doubling."""
    total, shift = rows.copy(), 1
    while shift < rows.shape[1] and ratio**shift > 1e-17:
        total[:, :-shift] += ratio**shift * total[:, shift:].copy()
        shift *= 2
    return total


def matched_t(weight: FloatArray, location: FloatArray, squared: FloatArray, df: float) -> Forecast:
    """The t with the mean, variance and kurtosis of a mixture of t distributions, windows side by side."""
    df_each = max(df, SMALLEST_DF)
    mean = weight @ location
    offset = location - mean
    inner = squared * df_each / (df_each - 2)
    variance = weight @ (inner + offset**2)
    inner_fourth = 3 * squared**2 * df_each**2 / ((df_each - 2) * (df_each - 4))
    fourth = weight @ (inner_fourth + 6 * inner * offset**2 + offset**4)
    certain = variance <= SMALLEST_VARIANCE  # a window without a measured day, a series that never varied
    excess = np.maximum(fourth / np.where(certain, 1.0, variance) ** 2 - 3, 6 / (df_each - 4))
    matched = np.maximum(4 + 6 / excess, SMALLEST_DF)
    return Forecast(mean, np.sqrt(variance * (matched - 2) / matched), matched)
