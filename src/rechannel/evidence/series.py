"""The collapsed structural series: level + AR(1) + regression, coefficients and scale integrated out on a grid.

One series y over observed days: ``y = X b + level + a``, level a random walk with innovation variance ``q s2`` a day,
a an AR(1) with innovation variance ``s2``, b normal given s2, s2 inverse gamma. Given (q, phi) everything is
closed form; (q, phi) lie on a fixed grid. Days may be missing: the random walk and the AR(1) are Markov, so a gap of
g days only changes one coefficient. Cost per grid point is one tridiagonal factorisation and one Gram matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpttrf, dpttrs

from rechannel.evidence.grid import EDGE, FEW_POINTS, Grid, Place, grid_of, neighbours, scouts
from rechannel.vocabulary.estimate import FloatArray

NEGLIGIBLE = 1e-4
"""Grid points with less than this share of the best point's posterior density are dropped."""
SMALLEST_DF = 4.5
"""A matched t keeps at least this many degrees of freedom, so that its kurtosis exists."""


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
    gain
        Variance of a coming innovation over s2: 1, or more where days are heavy-tailed.
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
    gain: float = 1.0

    def around(self, mean: FloatArray) -> SeriesFit:
        """The fit of y + X mean, given that of y, shape [column]."""
        return replace(
            self,
            coefficients=self.coefficients + mean,
            level_at=self.level_at + self.level_on @ mean,
            last_y=self.last_y + float(self.last_x @ mean),
        )


def fit_series(
    y: FloatArray,
    design: FloatArray,
    days: NDArray[np.int64],
    prior_precision: FloatArray,
    *,
    grid: Grid | None = None,
    scale_guess: float = 0.0,
    spread: FloatArray | None = None,
    calm: float = 0.0,
    prior_mean: FloatArray | None = None,
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
        Points to use; when None, a walk over the lattice finds those with mass.
    scale_guess
        A guess of the innovation sd that carries the weight of one day; 0 for none.
    spread
        Variance of each day's innovation over s2, shape [day]; 1 when None. Its mean is that of days to come.
    calm
        The prior of q is multiplied by exp(-(calm^2) q / 2): how large an innovation is beside what a level may move.
    prior_mean
        Prior mean of each coefficient, shape [column]; 0 when None.

    Returns
    -------
    SeriesFit
    """
    if prior_mean is not None:
        off = y - design @ prior_mean
        usual = fit_series(
            off, design, days, prior_precision, grid=grid, scale_guess=scale_guess, spread=spread, calm=calm
        )
        return usual.around(prior_mean)
    if grid is not None:
        return posterior(collapse(y, design, days, grid, spread), prior_precision, scale_guess)

    def at(places: Sequence[Place], fine: bool) -> Grid:
        return grid_of(places, fine=fine).calmed(calm)

    points = walk(lambda found: collapse(y, design, days, found, spread), at, prior_precision, scale_guess)
    return posterior(points, prior_precision, scale_guess)


def walk(
    collapse_at: Callable[[Grid], Collapsed],
    grid_at: Callable[[Sequence[Place], bool], Grid],
    prior_precision: FloatArray,
    scale_guess: float,
) -> Collapsed:
    """The lattice points that carry the mass: from the scouts to every neighbour of a point with a density of note.

    The coarse lattice first; where fewer than `FEW_POINTS` of its points share the mass, the fine one. No point left
    out has a neighbour with `EDGE` of the best density: the mass is checked all around.
    """
    places, fine = sorted(scouts()), False
    points = collapse_at(grid_at(places, fine))
    told = dict(zip(places, log_likelihood(points, prior_precision, scale_guess).tolist(), strict=True))
    while True:
        density = np.array([told[place] for place in places]) + points.grid.log_prior
        heavy = np.flatnonzero(density > density.max() + np.log(EDGE)).tolist()
        wanted = sorted({near for at in heavy for near in neighbours(places[at], fine=fine)} - told.keys())
        if wanted:
            new = collapse_at(grid_at(wanted, fine))
            told |= zip(wanted, log_likelihood(new, prior_precision, scale_guess).tolist(), strict=True)
            points = _merged(points, new)
            places = sorted(told)
            continue
        share = np.exp(density - density.max())
        if fine or share.sum() ** 2 / (share**2).sum() >= FEW_POINTS:
            return points.only(np.flatnonzero(share > NEGLIGIBLE))
        fine = True
        points = replace(points, grid=grid_at(places, True))


def _merged(one: Collapsed, other: Collapsed) -> Collapsed:
    """The points of both, in the order of the lattice."""
    phi, q = (np.concatenate([getattr(part.grid, name) for part in (one, other)]) for name in ("phi", "q"))
    order = np.lexsort((q, phi))

    def both(name: str) -> FloatArray:
        return np.concatenate([getattr(one, name), getattr(other, name)])[order]

    log_prior = np.concatenate([one.grid.log_prior, other.grid.log_prior])[order]
    return replace(
        one,
        grid=Grid(phi[order], q[order], log_prior),
        gram=both("gram"),
        log_det=both("log_det"),
        level_row=both("level_row"),
        level_variance=both("level_variance"),
    )


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
    gain
        As in `SeriesFit`.
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
    gain: float

    def keeping(self, columns: Sequence[int], y: int, last_y: float) -> Collapsed:
        """The same with some of the columns, and another of them as the response."""
        keep = np.array([*columns, y])
        return replace(
            self,
            gram=self.gram[:, keep[:, None], keep],
            level_row=self.level_row[:, keep],
            last_x=np.append(self.last_x, self.last_y)[list(columns)],
            last_y=last_y,
        )

    def only(self, keep: NDArray[np.intp]) -> Collapsed:
        """Restricted to some grid points."""
        return replace(
            self,
            grid=self.grid.only(keep),
            gram=self.gram[keep],
            log_det=self.log_det[keep],
            level_row=self.level_row[keep],
            level_variance=self.level_variance[keep],
        )


def collapse(
    y: FloatArray, design: FloatArray, days: NDArray[np.int64], grid: Grid, spread: FloatArray | None = None
) -> Collapsed:
    """Integrate level and AR out of one series; nearly all of the work of a fit, shared by every prior.

    Parameters
    ----------
    y, design, days, grid, spread
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
    of_day = np.ones(n) if spread is None else spread

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
        start = (1 - phi**2) / of_day[0]
        variance = of_day[1:] * (1 - decay**2) / (1 - phi**2)
        white = np.empty_like(joined)
        white[0] = joined[0] * np.sqrt(start)
        white[1:] = (joined[1:] - decay[:, None] * joined[:-1]) / np.sqrt(variance)[:, None]
        scaled = white.copy(order="F")
        scaled[0] *= np.sqrt(start)
        scaled[1:] /= np.sqrt(variance)[:, None]
        weighted = scaled.copy(order="F")
        weighted[:-1] -= decay[:, None] * scaled[1:]
        ar_gram = white.T @ white
        ar_diagonal = np.empty(n)
        ar_diagonal[0] = start
        ar_diagonal[1:] = 1 / variance
        ar_diagonal[:-1] += decay**2 / variance
        ar_off = -decay / variance
        ar_log_det = float(np.log(variance).sum()) - np.log(start)
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
    gain = float(of_day.mean())
    return Collapsed(grid, gram, log_det, level_row, level_variance, design[-1], float(y[-1]), int(days[-1]), n, gain)


def log_likelihood(points: Collapsed, prior_precision: FloatArray, scale_guess: float = 0.0) -> FloatArray:
    """Log marginal likelihood of every grid point, up to a constant, shape [point]; arguments as in `fit_series`."""
    chol, projected = _regression(points, prior_precision)
    squares, df = _squares(points, projected, scale_guess)
    return np.asarray(
        -0.5 * points.log_det
        - np.log(np.einsum("pii->pi", chol)).sum(axis=1)
        + 0.5 * float(np.log(prior_precision).sum())
        - 0.5 * df * np.log(squares)
    )


def _regression(points: Collapsed, prior_precision: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cholesky factor of the coefficients' precision, and its inverse times the score, at every grid point."""
    k = points.gram.shape[1] - 1
    normal = points.gram[:, :k, :k] + np.diag(prior_precision)
    chol: FloatArray = np.asarray(np.linalg.cholesky((normal + normal.transpose(0, 2, 1)) / 2), dtype=np.float64)
    return chol, np.asarray(np.linalg.solve(chol, points.gram[:, :k, k, None])[:, :, 0])


def _squares(points: Collapsed, projected: FloatArray, scale_guess: float) -> tuple[FloatArray, float]:
    """Residual sum of squares at every grid point, and its degrees of freedom."""
    guess_weight = 1.0 if scale_guess > 0 else 0.0
    squares = points.gram[:, -1, -1] - (projected**2).sum(axis=1) + guess_weight * scale_guess**2
    return np.maximum(squares, 1e-300), float(points.count - 1 + guess_weight)


def posterior(points: Collapsed, prior_precision: FloatArray, scale_guess: float = 0.0) -> SeriesFit:
    """The fit of a collapsed series under one prior; parameters as in `fit_series`."""
    density = log_likelihood(points, prior_precision, scale_guess) + points.grid.log_prior
    top = float(density.max())
    weight = np.exp(density - top)
    log_evidence = top + float(np.log(weight.sum()))
    keep = np.flatnonzero(weight > NEGLIGIBLE)
    weight = weight[keep] / weight[keep].sum()
    kept = points.only(keep)
    chol, projected = _regression(kept, prior_precision)
    squares, df = _squares(kept, projected, scale_guess)
    inverse: FloatArray = np.asarray(np.linalg.inv(chol), dtype=np.float64)
    return SeriesFit(
        grid=kept.grid,
        weight=weight,
        coefficients=np.einsum("pji,pj->pi", inverse, projected),
        factor=inverse.transpose(0, 2, 1),
        rate=squares / df,
        df=df,
        level_at=kept.level_row[:, -1],
        level_on=kept.level_row[:, :-1],
        level_variance=kept.level_variance,
        last_x=points.last_x,
        last_y=points.last_y,
        last_day=points.last_day,
        log_evidence=log_evidence,
        gain=points.gain,
    )


def trimmed(fit: SeriesFit, mass: float = 0.995) -> Grid:
    """The grid points that carry `mass` of the posterior, for refits on parts of the same series."""
    order = np.argsort(fit.weight)[::-1]
    keep = order[: int(np.searchsorted(np.cumsum(fit.weight[order]), mass)) + 1]
    return fit.grid.only(np.sort(keep))


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
