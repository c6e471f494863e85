"""R CausalImpact compatibility mode: its model, priors and summary, integrated on a grid instead of sampled.

No answer uses this: it is there to repeat published figures of CausalImpact / bsts on the same series. The default
engine is `rechannel.evidence.series`, whose priors are wider because these under-cover on daily data.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from rechannel.vocabulary.estimate import FloatArray

LEVEL_GUESS, LEVEL_SAMPLE_SIZE = 0.01, 32.0
"""Prior of the level sd in sd of y (CausalImpact `prior.level.sd`, `kLocalLevelPriorSampleSize`)."""
SEASON_GUESS, SEASON_SAMPLE_SIZE = 0.01, 0.01
"""Prior of the season sd in sd of y (bsts `AddSeasonal`, `SdPrior` default)."""
OBSERVATION_GUESS, OBSERVATION_SAMPLE_SIZE = 1.0, 0.01
"""Prior of the observation sd without regression (bsts)."""
EXPECTED_R2, REGRESSION_DF, MODEL_SIZE = 0.8, 50.0, 3.0
"""Prior with regression (CausalImpact `kStaticRegression...`)."""
INFORMATION_WEIGHT, DIAGONAL_SHRINKAGE = 0.01, 0.5
"""Slab of bsts' spike and slab prior: observations' worth of Zellner prior, and its share on the diagonal."""
MOST_CONTROLS = 10
FEWEST_DAYS = 3
CHUNK = 256


@dataclass(frozen=True, slots=True)
class CompatSummary:
    """R CausalImpact's summary of the average effect per period, in the unit of y.

    Attributes
    ----------
    effect, lower, upper
        Mean and the ends of the central interval at `1 - alpha`.
    sd
        Posterior predictive sd of the average.
    predicted, actual
        Average of the counterfactual and of what came.
    p_value
        One-sided tail area of the posterior predictive sum, as R prints it.
    inclusion
        Posterior inclusion probability of each control, shape [control].
    level_sd, observation_sd
        Posterior means of the two standard deviations, in the unit of y.
    """

    effect: float
    lower: float
    upper: float
    sd: float
    predicted: float
    actual: float
    p_value: float
    inclusion: FloatArray
    level_sd: float
    observation_sd: float


@dataclass(frozen=True, slots=True)
class CompatGrid:
    """Points per standard deviation, log-spaced.

    Attributes
    ----------
    observation, season
        (lowest, highest, points) in sd of y.
    level
        The same, in units of the prior guess.
    """

    observation: tuple[float, float, int] = (0.01, 1.5, 44)
    level: tuple[float, float, int] = (0.5, 5.0, 20)
    season: tuple[float, float, int] = (2e-4, 0.2, 12)


def causal_impact_compat(
    y: FloatArray,
    controls: FloatArray | None,
    n_pre: int,
    *,
    seasons: int = 1,
    prior_level_sd: float = LEVEL_GUESS,
    alpha: float = 0.05,
    grid: CompatGrid | None = None,
) -> CompatSummary:
    """Repeat the summary R CausalImpact prints for a series.

    Question answered: does this package agree with published CausalImpact figures when it is given CausalImpact's
    model? Use it for comparison only; no answer calls it.

    Parameters
    ----------
    y
        Response, shape [day]; nan in the pre-period = missing.
    controls
        Static regression columns, shape [day, control], complete; None without regression. At most 10.
    n_pre
        Days before the intervention; the rest is the post-period.
    seasons
        Length of the evolving seasonal pattern; 1 for none.
    prior_level_sd
        R's argument of that name: guess of the level sd in sd of y.
    alpha
        Tail area outside the interval.
    grid
        Integration points.

    Returns
    -------
    CompatSummary

    Raises
    ------
    ValueError
        Fewer than three measured pre-days, a constant response, no post-day, a missing post-day or control, or more
        than 10 controls.

    Notes
    -----
    Model: y = b0 + X b + level + season + noise on data standardised by the pre-period; spike and slab on (b0, b)
    by full enumeration, b0 only with controls. The mean over the post-period includes observation noise. The causal
    reading assumes that the controls are untouched and their relation to y goes on.
    Source: Brodersen, Gallusser, Koehler, Remy and Scott (2015), Annals of Applied Statistics 9(1), section 2, with
    the priors of CausalImpact 1.4.1 `ConstructModel` and bsts 0.9.10 `AddLocalLevel`, `AddSeasonal`, `SpikeSlabPrior`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x = 100 + rng.standard_normal(60).cumsum()
    >>> y = 1.2 * x + rng.standard_normal(60)
    >>> y[45:] += 10
    >>> summary = causal_impact_compat(y, x[:, None], 45)
    >>> summary.lower < 10 < summary.upper and summary.p_value < 0.01
    True
    """
    grid = CompatGrid() if grid is None else grid
    x = np.zeros((y.size, 0)) if controls is None else np.asarray(controls, dtype=float)
    _check(y, x, n_pre)
    measured = np.flatnonzero(np.isfinite(y[:n_pre]))
    centre, unit = float(y[measured].mean()), float(y[measured].std(ddof=1))
    response = (y - centre) / unit
    spread = x[:n_pre].std(axis=0, ddof=1)
    standard = (x - x[:n_pre].mean(axis=0)) / np.where(spread > 0, spread, 1.0)

    parts = _parts(response, standard, measured, n_pre, seasons)
    sds, log_prior = _points(grid, seasons, prior_level_sd, bool(x.shape[1]))
    integrated = _integrate(parts, sds, log_prior)
    weight = np.exp(integrated.log_weight - integrated.log_weight.max())
    weight /= weight.sum()

    location = unit * integrated.mean + centre
    deviation = unit * np.sqrt(integrated.variance)
    predicted = float((weight * location).sum())
    spread_total = float(np.sqrt((weight * (deviation**2 + (location - predicted) ** 2)).sum()))
    actual = float(y[n_pre:].mean())

    def below(value: float) -> float:
        return float((weight * ndtr((value - location) / deviation)).sum())

    reach = 12 * spread_total
    low, high = (
        float(brentq(lambda value, level=level: below(value) - level, predicted - reach, predicted + reach))
        for level in (alpha / 2, 1 - alpha / 2)
    )
    tail = below(actual)
    by_model = weight.sum(axis=1)
    by_point = weight.sum(axis=0)
    return CompatSummary(
        effect=actual - predicted,
        lower=actual - high,
        upper=actual - low,
        sd=spread_total,
        predicted=predicted,
        actual=actual,
        p_value=min(tail, 1 - tail),
        inclusion=by_model @ integrated.models[:, 1:] if x.shape[1] else np.empty(0),
        level_sd=float(unit * by_point @ sds[:, 1]),
        observation_sd=float(unit * by_point @ sds[:, 0]),
    )


def _check(y: FloatArray, x: FloatArray, n_pre: int) -> None:
    measured = y[:n_pre][np.isfinite(y[:n_pre])]
    faults = []
    if measured.size < FEWEST_DAYS:
        faults.append(f"{measured.size} measured days before the intervention, at least {FEWEST_DAYS} wanted")
    elif not measured.std() > 0:
        faults.append("the response does not vary before the intervention")
    if n_pre >= y.size:
        faults.append(f"no day after the intervention: {y.size} days, {n_pre} before")
    elif not np.isfinite(y[n_pre:]).all():
        faults.append("a day after the intervention is missing")
    if x.shape[0] != y.size or not np.isfinite(x).all():
        faults.append("controls must be complete and as long as y")
    if x.shape[1] > MOST_CONTROLS:
        faults.append(f"{x.shape[1]} controls, at most {MOST_CONTROLS} are enumerated")
    if faults:
        raise ValueError("; ".join(faults))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Blocks over (measured pre-days, mean of the post-period last), in sd of y.

    Attributes
    ----------
    response
        Measured pre-days minus the prior mean of the first level, shape [day].
    level, season, noise, initial
        Covariance of each component at unit variance, shape [day + 1, day + 1].
    columns
        Intercept and controls, shape [day + 1, column]; without controls no column.
    start
        Prior mean of the first level.
    """

    response: FloatArray
    level: FloatArray
    season: FloatArray
    noise: FloatArray
    initial: FloatArray
    columns: FloatArray
    start: float


def _parts(response: FloatArray, x: FloatArray, measured: NDArray[np.intp], n_pre: int, seasons: int) -> _Parts:
    """Cut every component to the measured days and the mean of the post-period."""
    n = response.size
    days = np.arange(n)
    to_rows = np.zeros((measured.size + 1, n))
    to_rows[np.arange(measured.size), measured] = 1.0
    to_rows[-1, n_pre:] = 1.0 / (n - n_pre)
    initial = np.zeros((n, seasons))
    initial[:, 0] = 1.0
    moving = np.zeros((n, n - 1))
    if seasons > 1:
        step = np.zeros((seasons - 1, seasons - 1))
        step[0] = -1.0
        step[1:, :-1] = np.eye(seasons - 2)
        state = np.eye(seasons - 1)
        answer = np.zeros(n)
        for day in range(n):
            initial[day, 1:] = state[0]
            answer[day] = state[0, 0]
            state = step @ state
        lag = days[:, None] - days[None, 1:]  # the first state has no shock of its own
        moving = np.where(lag >= 0, answer[np.maximum(lag, 0)], 0.0)

    def cut(covariance: FloatArray) -> FloatArray:
        return np.asarray(to_rows @ covariance @ to_rows.T)

    start = float(response[measured[0]])
    columns = np.column_stack([np.ones(n), x]) if x.shape[1] else np.zeros((n, 0))
    return _Parts(
        response=response[measured] - start,
        level=cut(np.minimum(days[:, None], days[None, :]).astype(float)),
        season=cut(moving @ moving.T),
        noise=cut(np.eye(n)),
        initial=cut(initial @ initial.T),
        columns=to_rows @ columns,
        start=start,
    )


def _log_prior(sd: FloatArray, guess: float, sample_size: float, limit: float) -> FloatArray:
    """Log density in log sd of 1 / sd^2 ~ Gamma(size / 2, size guess^2 / 2), sd below `limit` (Boom `SdPrior`)."""
    density = -sample_size * np.log(sd) - 0.5 * sample_size * (guess / sd) ** 2
    return np.where(sd <= limit, density, -np.inf)


def _points(grid: CompatGrid, seasons: int, level_guess: float, regression: bool) -> tuple[FloatArray, FloatArray]:
    """Grid points (observation, level, season sd), shape [point, 3], and their log prior, shape [point]."""

    def axis(low: float, high: float, points: int) -> FloatArray:
        return np.asarray(np.geomspace(low, high, points))

    observation = axis(*grid.observation)
    low, high, points = grid.level
    level = axis(low * level_guess, high * level_guess, points)
    season = axis(*grid.season) if seasons > 1 else np.zeros(1)
    if regression:
        of_noise = _log_prior(observation, float(np.sqrt(1 - EXPECTED_R2)), REGRESSION_DF, np.inf)
    else:
        of_noise = _log_prior(observation, OBSERVATION_GUESS, OBSERVATION_SAMPLE_SIZE, np.inf)
    of_level = _log_prior(level, level_guess, LEVEL_SAMPLE_SIZE, 1.0)
    of_season = _log_prior(season, SEASON_GUESS, SEASON_SAMPLE_SIZE, 1.0) if seasons > 1 else np.zeros(1)
    mesh = np.meshgrid(observation, level, season, indexing="ij")
    sds = np.column_stack([one.ravel() for one in mesh])
    log_prior = of_noise[:, None, None] + of_level[None, :, None] + of_season[None, None, :]
    return sds, log_prior.ravel()


@dataclass(frozen=True, slots=True)
class _Integrated:
    """Per model (which columns are in) and grid point.

    Attributes
    ----------
    models
        0/1, shape [model, column].
    log_weight, mean, variance
        Log posterior weight, mean and variance of the post-period mean, shapes [model, point].
    """

    models: FloatArray
    log_weight: FloatArray
    mean: FloatArray
    variance: FloatArray


def _integrate(parts: _Parts, sds: FloatArray, log_prior: FloatArray) -> _Integrated:
    """Gaussian algebra at every grid point and for every set of columns."""
    k = parts.columns.shape[1]
    n = parts.response.size
    models = np.array(list(product((0.0, 1.0), repeat=k)))
    included = min(1.0, MODEL_SIZE / k) if k else 1.0
    if included == 1.0:
        models = np.ones((1, k))
    prior_in = models @ np.full(k, np.log(included)) + (1 - models) @ np.full(k, np.log(max(1 - included, 1e-300)))
    columns = parts.columns[:-1]
    product_matrix = columns.T @ columns / n
    slab = INFORMATION_WEIGHT * (
        (1 - DIAGONAL_SHRINKAGE) * product_matrix + DIAGONAL_SHRINKAGE * np.diag(np.diag(product_matrix))
    )
    shape = (len(models), len(sds))
    log_weight, mean, variance = np.empty(shape), np.empty(shape), np.empty(shape)
    for first in range(0, len(sds), CHUNK):
        here = slice(first, first + CHUNK)
        squared = sds[here] ** 2
        whole = (
            squared[:, 0, None, None] * parts.noise
            + squared[:, 1, None, None] * parts.level
            + squared[:, 2, None, None] * parts.season
            + parts.initial
        )
        chol = np.linalg.cholesky(whole[:, :n, :n])
        log_det = 2 * np.log(np.einsum("pii->pi", chol)).sum(axis=1)
        right = np.concatenate(
            [
                np.broadcast_to(np.column_stack([columns, parts.response]), (len(squared), n, k + 1)),
                whole[:, :n, n:],
            ],
            axis=2,
        )
        white = np.linalg.solve(chol, right)
        xw, yw, vw = white[:, :, :k], white[:, :, k], white[:, :, k + 1]
        base_mean = np.einsum("pi,pi->p", vw, yw) + parts.start
        base_variance = whole[:, n, n] - (vw**2).sum(axis=1)
        base = log_prior[here] - 0.5 * log_det
        loading = parts.columns[-1] - np.einsum("pik,pi->pk", xw, vw)
        gram = np.einsum("pik,pij->pkj", xw, xw)
        score = np.einsum("pik,pi->pk", xw, yw)
        total = (yw**2).sum(axis=1)
        for row, model in enumerate(models):
            chosen = np.flatnonzero(model)
            inside = np.ix_(np.arange(len(squared)), chosen, chosen)
            prior = slab[np.ix_(chosen, chosen)][None] / squared[:, 0, None, None]
            precision = gram[inside] + prior
            b = np.linalg.solve(precision, score[:, chosen, None])[:, :, 0]
            spread = np.linalg.solve(precision, loading[:, chosen, None])[:, :, 0]
            log_weight[row, here] = (
                base
                + prior_in[row]
                + 0.5 * (np.linalg.slogdet(prior)[1] - np.linalg.slogdet(precision)[1])
                - 0.5 * (total - (b * score[:, chosen]).sum(axis=1))
            )
            mean[row, here] = base_mean + (b * loading[:, chosen]).sum(axis=1)
            variance[row, here] = base_variance + (spread * loading[:, chosen]).sum(axis=1)
    return _Integrated(models, log_weight, mean, variance)
