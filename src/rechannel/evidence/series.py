"""The collapsed structural series: level + AR(1) + regression, coefficients and scale integrated out on a grid.

One series y over observed days: ``y = X b + level + a``, level a random walk with innovation variance ``q s2`` a day,
a an AR(1) with innovation variance ``s2``, b normal given s2, s2 inverse gamma. Given (q, phi) everything is
closed form; (q, phi) lie on a fixed grid. Days may be missing: the random walk and the AR(1) are Markov, so a gap of
g days only changes one coefficient. Cost per grid point is one tridiagonal factorisation and one Gram matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpttrf, dpttrs
from scipy.special import stdtr, stdtrit

from rechannel.vocabulary.estimate import FloatArray

LEVEL_RATIOS = (1e-6, 1e-4, 6e-4, 2.5e-3, 1e-2, 4e-2, 0.16, 0.64)
"""Grid of q: level innovation variance over AR innovation variance, a day."""
AR_COEFFICIENTS = (0.0, 0.25, 0.45, 0.62, 0.77, 0.88, 0.95)
"""Grid of phi."""
SCOUT_STEPS = (2, 3)
"""Every how many values of phi and q a scout point stands."""
NEGLIGIBLE = 1e-4
"""Grid points with less than this share of the best point's posterior density are dropped."""
SMALLEST_DF = 4.5
"""A matched t keeps at least this many degrees of freedom, so that its kurtosis exists."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Grid points with prior weights.

    Attributes
    ----------
    phi, q, log_prior
        Shape [point]; points of one phi stand together.
    """

    phi: FloatArray
    q: FloatArray
    log_prior: FloatArray

    def only(self, keep: NDArray[np.intp]) -> Grid:
        """The grid restricted to some points."""
        return Grid(self.phi[keep], self.q[keep], self.log_prior[keep])


@cache
def default_grid() -> Grid:
    """The grid of every answer.

    Prior: phi uniform over its cells; log q uniform between 1e-4 and .64 with the mass of all smaller q (a level that
    does not move within any history) on the first point. In growth of the forecast width: the mean of the next 90
    days has, beside the AR noise, a level error of sqrt(30 q) innovation sd: .05 at q = 1e-4, .9 at .027, 4.4 at .64.
    """
    phi = np.array(AR_COEFFICIENTS)
    q = np.array(LEVEL_RATIOS)
    edges = np.concatenate([[0.0], (phi[1:] + phi[:-1]) / 2, [1.0]])
    phi_weight = np.diff(edges)
    q_weight = np.full(q.size, 1.0)
    q_weight[0] = 2.0
    weight = np.outer(phi_weight / phi_weight.sum(), q_weight / q_weight.sum()).ravel()
    return Grid(np.repeat(phi, q.size), np.tile(q, phi.size), np.log(weight))


@cache
def scout_grid() -> Grid:
    """Every second phi and every third q of the default grid: enough to compare scales, not to answer."""
    whole = default_grid()
    rows = np.arange(whole.phi.size)
    by_phi, by_q = rows // len(LEVEL_RATIOS) % SCOUT_STEPS[0], rows % len(LEVEL_RATIOS) % SCOUT_STEPS[1]
    return whole.only(np.flatnonzero((by_phi == 1) & (by_q == 1)))


@dataclass(frozen=True, slots=True)
class SeriesFit:
    """The posterior of one series.

    Attributes
    ----------
    grid
        The grid points kept, shape [point].
    weight
        Posterior weight, shape [point], sums to 1.
    coefficients
        Posterior mean of b, shape [point, column].
    factor
        Inverse Cholesky factor F with b covariance = s2 F F', shape [point, column, column].
    rate
        Posterior scale of s2, shape [point]; s2 ~ rate * df / chi2(df).
    df
        Degrees of freedom.
    level_at, level_on, level_variance
        Level on the last observed day given b: level_at - level_on b, variance s2 level_variance;
        shapes [point], [point, column], [point].
    last_x, last_y, last_day
        Design row, value and day number of the last observed day.
    log_evidence
        Log marginal likelihood, up to a constant shared by all designs with the same columns and data.
    """

    grid: Grid
    weight: FloatArray
    coefficients: FloatArray
    factor: FloatArray
    rate: FloatArray
    df: float
    level_at: FloatArray
    level_on: FloatArray
    level_variance: FloatArray
    last_x: FloatArray
    last_y: float
    last_day: int
    log_evidence: float


def fit_series(
    y: FloatArray,
    design: FloatArray,
    days: NDArray[np.int64],
    prior_precision: FloatArray,
    *,
    grid: Grid | None = None,
    scale_guess: float = 0.0,
) -> SeriesFit:
    """Fit one series on its observed days.

    Parameters
    ----------
    y
        Values on the fit scale (log or level), finite, shape [day].
    design
        Regression columns on the same days, shape [day, column]; no intercept (the level is one).
    days
        Day numbers, strictly increasing, shape [day]; gaps are missing days.
    prior_precision
        Prior precision of each coefficient in units of 1 / s2, shape [column]; all > 0.
    grid
        Points to use; the default grid when None.
    scale_guess
        A guess of the innovation sd that carries the weight of one day; 0 for none.

    Returns
    -------
    SeriesFit
    """
    points = collapse(y, design, days, default_grid() if grid is None else grid)
    return posterior(points, prior_precision, scale_guess)


@dataclass(frozen=True, slots=True)
class Collapsed:
    """A series with level and AR integrated out, before any prior of its coefficients.

    Attributes
    ----------
    grid
        Points, n of them.
    gram
        ``[X y]' V^-1 [X y]`` at each point, shape [point, column + 1, column + 1].
    log_det
        Log determinant of V with its flat level, shape [point].
    level_row, level_variance
        Level on the last observed day on [X y], and its variance, shapes [point, column + 1] and [point].
    last_x, last_y, last_day
        Design row, value and day number of the last observed day.
    count
        Observed days.
    """

    grid: Grid
    gram: FloatArray
    log_det: FloatArray
    level_row: FloatArray
    level_variance: FloatArray
    last_x: FloatArray
    last_y: float
    last_day: int
    count: int


def collapse(y: FloatArray, design: FloatArray, days: NDArray[np.int64], grid: Grid) -> Collapsed:
    """Integrate level and AR out of one series; nearly all of the work of a fit, shared by every prior.

    Parameters
    ----------
    y, design, days, grid
        As in `fit_series`.

    Notes
    -----
    With V = K(phi) + q R and a flat prior on the first level, V^-1 = K^-1 - K^-1 M^-1 K^-1 where
    M = K^-1 + G / q is tridiagonal, K^-1 the AR(1) precision and G the random-walk precision over observed days.
    Source of the collapse: Durbin and Koopman, Time Series Analysis by State Space Methods (2012), section 5.7;
    the tridiagonal form is Rue and Held, Gaussian Markov Random Fields (2005), chapter 3.
    """
    n, k = design.shape
    joined = np.empty((n, k + 1), order="F")
    joined[:, :k] = design
    joined[:, k] = y
    gaps = np.diff(days).astype(float)
    walk_diagonal = np.zeros(n)
    walk_diagonal[:-1] += 1 / gaps
    walk_diagonal[1:] += 1 / gaps
    walk_off = -1 / gaps
    log_gaps = float(np.log(gaps).sum())

    points = grid.phi.size
    gram = np.empty((points, k + 1, k + 1))
    log_det = np.empty(points)
    level_row = np.empty((points, k + 1))
    level_variance = np.empty(points)
    at = 0
    while at < points:
        phi = grid.phi[at]
        upto = at
        while upto < points and grid.phi[upto] == phi:
            upto += 1
        decay = phi**gaps
        spread = (1 - decay**2) / (1 - phi**2)
        white = np.empty_like(joined)
        white[0] = joined[0] * np.sqrt(1 - phi**2)
        white[1:] = (joined[1:] - decay[:, None] * joined[:-1]) / np.sqrt(spread)[:, None]
        scaled = white.copy(order="F")
        scaled[0] *= np.sqrt(1 - phi**2)
        scaled[1:] /= np.sqrt(spread)[:, None]
        weighted = scaled.copy(order="F")
        weighted[:-1] -= decay[:, None] * scaled[1:]
        ar_gram = white.T @ white
        ar_diagonal = np.empty(n)
        ar_diagonal[0] = 1 - phi**2
        ar_diagonal[1:] = 1 / spread
        ar_diagonal[:-1] += decay**2 / spread
        ar_off = -decay / spread
        ar_log_det = float(np.log(spread).sum()) - np.log(1 - phi**2)
        for point in range(at, upto):
            q = grid.q[point]
            pivots, lower, info = dpttrf(ar_diagonal + walk_diagonal / q, ar_off + walk_off / q)
            if info:
                raise ArithmeticError(f"the level precision is not positive definite at phi {phi}, q {q}")
            smooth, _ = dpttrs(pivots, lower, weighted)
            gram[point] = ar_gram - weighted.T @ smooth
            log_det[point] = ar_log_det + (n - 1) * np.log(q) + log_gaps + float(np.log(pivots).sum())
            level_row[point] = smooth[-1]
            level_variance[point] = 1 / pivots[-1]
        at = upto
    return Collapsed(grid, gram, log_det, level_row, level_variance, design[-1], float(y[-1]), int(days[-1]), n)


def posterior(points: Collapsed, prior_precision: FloatArray, scale_guess: float = 0.0) -> SeriesFit:
    """The fit of a collapsed series under one prior; parameters as in `fit_series`."""
    gram = points.gram
    k = gram.shape[1] - 1
    normal = gram[:, :k, :k] + np.diag(prior_precision)
    chol = np.linalg.cholesky((normal + normal.transpose(0, 2, 1)) / 2)
    inverse = np.linalg.inv(chol)
    projected = np.einsum("pij,pj->pi", inverse, gram[:, :k, k])
    coefficients = np.einsum("pji,pj->pi", inverse, projected)
    guess_weight = 1.0 if scale_guess > 0 else 0.0
    squares = gram[:, k, k] - (projected**2).sum(axis=1) + guess_weight * scale_guess**2
    squares = np.maximum(squares, 1e-300)
    df = points.count - 1 + guess_weight
    log_posterior = (
        points.grid.log_prior
        - 0.5 * points.log_det
        - np.log(np.einsum("pii->pi", chol)).sum(axis=1)
        + 0.5 * float(np.log(prior_precision).sum())
        - 0.5 * df * np.log(squares)
    )
    top = float(log_posterior.max())
    weight = np.exp(log_posterior - top)
    log_evidence = top + float(np.log(weight.sum()))
    keep = np.flatnonzero(weight > NEGLIGIBLE)
    weight = weight[keep] / weight[keep].sum()
    return SeriesFit(
        grid=points.grid.only(keep),
        weight=weight,
        coefficients=coefficients[keep],
        factor=inverse[keep].transpose(0, 2, 1),
        rate=squares[keep] / df,
        df=float(df),
        level_at=points.level_row[keep, k],
        level_on=points.level_row[keep, :k],
        level_variance=points.level_variance[keep],
        last_x=points.last_x,
        last_y=points.last_y,
        last_day=points.last_day,
        log_evidence=log_evidence,
    )


def neighbourhood(scouted: SeriesFit) -> Grid:
    """The default grid near the scout points that carry weight: one step beyond the next scout point on either side."""
    whole = default_grid()
    phi = {value: place for place, value in enumerate(AR_COEFFICIENTS)}
    q = {value: place for place, value in enumerate(LEVEL_RATIOS)}
    at = np.array([(phi[a], q[b]) for a, b in zip(whole.phi.tolist(), whole.q.tolist(), strict=True)])
    near = np.zeros(whole.phi.size, dtype=bool)
    for a, b in zip(scouted.grid.phi.tolist(), scouted.grid.q.tolist(), strict=True):
        near |= (np.abs(at[:, 0] - phi[a]) <= SCOUT_STEPS[0] + 1) & (np.abs(at[:, 1] - q[b]) <= SCOUT_STEPS[1] + 1)
    return whole.only(np.flatnonzero(near))


def trimmed(fit: SeriesFit, mass: float = 0.995) -> Grid:
    """The grid points that carry `mass` of the posterior, for refits on parts of the same series."""
    order = np.argsort(fit.weight)[::-1]
    keep = order[: int(np.searchsorted(np.cumsum(fit.weight[order]), mass)) + 1]
    return fit.grid.only(np.sort(keep))


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

    def probability_below(self, value: FloatArray) -> FloatArray:
        """Predictive distribution function at `value`, shape [window]."""
        return np.asarray(stdtr(self.df, (value - self.location) / self.scale))


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
    variance = (np.matmul(loading, fit.factor) ** 2).sum(axis=2)
    variance += (by_level[None, :] - by_ar) ** 2 * fit.level_variance[:, None]
    if observation_noise:
        variance += _innovation_variance(fit, ahead, windows)
    return matched_t(fit.weight, location, fit.rate[:, None] * variance, fit.df)


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
    variance += fit.grid.q[:, None] * ahead[None, :] + (1.0 - by_ar**2) / (1.0 - phi**2)
    return matched_t(fit.weight, location, fit.rate[:, None] * variance, fit.df)


def _innovation_variance(fit: SeriesFit, ahead: FloatArray, windows: FloatArray) -> FloatArray:
    """Variance of the coming innovations in units of s2, shape [point, window]."""
    lead = int(ahead[0]) - 1
    n_windows, n_days = windows.shape
    suffix = np.cumsum(windows[:, ::-1], axis=1)[:, ::-1]
    level = (suffix**2).sum(axis=1) + lead * suffix[:, 0] ** 2
    kinds, position = np.unique(fit.grid.phi, return_inverse=True)
    carried = np.zeros((kinds.size, n_windows))
    total = np.zeros((kinds.size, n_windows))
    for step in range(n_days - 1, -1, -1):
        carried = windows[:, step] + kinds[:, None] * carried
        total += carried**2
    for _ in range(lead):
        carried = kinds[:, None] * carried
        total += carried**2
    return np.asarray(fit.grid.q[:, None] * level[None, :] + total[position])


def matched_t(weight: FloatArray, location: FloatArray, squared: FloatArray, df: float) -> Forecast:
    """The t with the mean, variance and kurtosis of a mixture of t distributions, windows side by side."""
    df_each = max(df, SMALLEST_DF)
    mean = weight @ location
    offset = location - mean
    inner = squared * df_each / (df_each - 2)
    variance = weight @ (inner + offset**2)
    inner_fourth = 3 * squared**2 * df_each**2 / ((df_each - 2) * (df_each - 4))
    fourth = weight @ (inner_fourth + 6 * inner * offset**2 + offset**4)
    certain = variance <= 0  # a window without a measured day
    excess = np.maximum(fourth / np.where(certain, 1.0, variance) ** 2 - 3, 6 / (df_each - 4))
    matched = np.maximum(4 + 6 / excess, SMALLEST_DF)
    return Forecast(mean, np.sqrt(variance * (matched - 2) / matched), matched)


def smoothed_residuals(fit: SeriesFit, y: FloatArray, design: FloatArray, days: NDArray[np.int64]) -> FloatArray:
    """Standardised AR innovations at the most probable grid point, shape [day]; the first is 0.

    They carry the co-movement of channels that their design does not explain.
    """
    best = int(np.argmax(fit.weight))
    residual = y - design @ fit.coefficients[best]
    return innovations(residual, days, float(fit.grid.phi[best]), float(fit.grid.q[best]), float(fit.rate[best]))


def innovations(residual: FloatArray, days: NDArray[np.int64], phi: float, q: float, rate: float) -> FloatArray:
    """Standardised innovations of level + AR(1) at one grid point, shape [day]; the first is 0."""
    gaps = np.diff(days).astype(float)
    decay = phi**gaps
    spread = (1 - decay**2) / (1 - phi**2)
    diagonal = np.empty(residual.size)
    diagonal[0] = 1 - phi**2
    diagonal[1:] = 1 / spread
    diagonal[:-1] += decay**2 / spread
    off = -decay / spread
    scaled = diagonal * residual
    scaled[:-1] += off * residual[1:]
    scaled[1:] += off * residual[:-1]
    walk = np.zeros(residual.size)
    walk[:-1] += 1 / gaps
    walk[1:] += 1 / gaps
    pivots, lower, info = dpttrf(diagonal + walk / q, off - 1 / gaps / q)
    if info:
        raise ArithmeticError("the level precision is not positive definite")
    level, _ = dpttrs(pivots, lower, scaled)
    ar = residual - level
    innovation = np.zeros(residual.size)
    # the level's own innovations belong to the co-movement as well
    innovation[1:] = (ar[1:] - decay * ar[:-1] + np.diff(level)) / np.sqrt(spread)
    return np.asarray(innovation / np.sqrt(rate))
