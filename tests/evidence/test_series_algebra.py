"""The collapsed series against brute force: dense Gaussians, exact mixtures, simulated paths.

Tolerances: the tridiagonal algebra and the dense one are the same numbers (1e-5 relative; the dense start is not quite
flat). A matched t replaces an exact t mixture within 2 % of the 90 % width at the nine levels from 150 days on, within
13 % at 60-90 days and 20 % at 30-40 days, where the mixture is skewed (grid points with different levels). The
log-scale sum is within 1.1 % of the sum to 30 days and 2 % at 60, at .05, .5, .95. The Cornish-Fisher t is within 1 %
for |z| <= 2 and df >= 4.5.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr, stdtr, stdtrit

from rechannel.evidence.channel import ChannelSeries
from rechannel.evidence.design import Design
from rechannel.evidence.forecast import Forecast, forecast, forecast_days, joint_forecast, mean_path
from rechannel.evidence.grid import AR_COEFFICIENTS, LEVEL_RATIOS, Grid, default_grid, grid_of
from rechannel.evidence.joint import t_of_normal, window_sums
from rechannel.evidence.series import SeriesFit, collapse, fit_series, posterior, trimmed
from rechannel.vocabulary.estimate import LEVELS, FloatArray

SAME = 1e-6
VAGUE = 1e7
"""Variance of the dense level's start; the collapsed one is flat."""


def one_point(phi: float, q: float) -> Grid:
    return Grid(np.array([phi]), np.array([q]), np.zeros(1))


def made(n: int, k: int, seed: int, gaps: bool) -> tuple[FloatArray, FloatArray, np.ndarray]:
    rng = np.random.default_rng(seed)
    days = np.arange(n, dtype=np.int64)
    if gaps:
        days = np.sort(rng.choice(np.arange(1, 2 * n), n, replace=False)).astype(np.int64)
    x = rng.standard_normal((n, k))
    y = 5 + x @ rng.standard_normal(k) + rng.standard_normal(n).cumsum() * 0.2 + rng.standard_normal(n)
    return y, x, days


def dense(y, x, days, coming, future_x, windows, precision, phi, q):
    """Mean, s2-free variance and residual squares of `windows @ y` by one dense Gaussian; also log |V| and log |M|."""
    whole = np.concatenate([days, coming]).astype(float)
    ar = phi ** np.abs(whole[:, None] - whole[None, :]) / (1 - phi**2) if phi else np.eye(whole.size)
    walk = q * (np.minimum(whole[:, None], whole[None, :]) - days[0]) + VAGUE
    design = np.concatenate([x, future_x])
    covariance = ar + walk + design @ np.diag(1 / precision) @ design.T
    n = y.size
    carry = np.linalg.solve(covariance[:n, :n], covariance[:n, n:] @ windows.T)
    mean = carry.T @ y
    variance = np.einsum("wi,ij,wj->w", windows, covariance[n:, n:], windows)
    variance = variance - np.einsum("iw,iw->w", covariance[:n, n:] @ windows.T, carry)
    squares = float(y @ np.linalg.solve(covariance[:n, :n], y))
    return mean, variance, squares, float(np.linalg.slogdet(covariance[:n, :n])[1])


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("phi", "q"), [(0.0, 1e-3), (0.45, 1e-2), (0.88, 0.16), (0.62, 0.64)])
@pytest.mark.parametrize("lead", [0, 9])
def test_one_point_is_the_dense_gaussian(phi: float, q: float, gaps: bool, lead: int) -> None:
    y, x, days = made(60, 3, 7, gaps)
    y = y - y.mean()  # the dense start is vague around zero
    precision = np.array([0.5, 0.01, 2.0])
    coming = days[-1] + 1 + lead + np.arange(12, dtype=np.int64)
    future_x = np.random.default_rng(8).standard_normal((12, 3))
    windows = np.zeros((4, 12))
    windows[0, :1], windows[1, :], windows[2, 5:], windows[3] = 1.0, 1.0, 1.0, np.linspace(0, 1, 12)
    fit = fit_series(y, x, days, precision, grid=one_point(phi, q))
    mean, variance, squares, _ = dense(y, x, days, coming, future_x, windows, precision, phi, q)
    assert fit.df == y.size - 1
    assert fit.rate[0] * fit.df == pytest.approx(squares, rel=1e-5)
    predicted = forecast(fit, future_x, coming, windows)
    assert predicted.location == pytest.approx(mean, rel=1e-5, abs=1e-5)
    scale = np.sqrt(variance * squares / fit.df)
    exact_df_sd = scale * np.sqrt(fit.df / (fit.df - 2))
    matched_sd = predicted.scale * np.sqrt(predicted.df / (predicted.df - 2))
    assert matched_sd == pytest.approx(exact_df_sd, rel=1e-5)
    assert predicted.df == pytest.approx(np.full(4, fit.df), rel=1e-6)
    path = mean_path(fit, future_x, coming)
    assert windows @ path == pytest.approx(mean, rel=1e-5, abs=1e-5)


def test_weights_are_the_dense_marginal_likelihoods() -> None:
    y, x, days = made(80, 2, 3, True)
    y = y - y.mean()
    precision = np.array([0.3, 0.3])
    grid = default_grid()
    fit = fit_series(y, x, days, precision, grid=grid)
    log_posterior = np.empty(grid.phi.size)
    for point in range(grid.phi.size):
        phi, q = float(grid.phi[point]), float(grid.q[point])
        _, _, squares, log_det = dense(y, x, days, days[-1:] + 1, np.zeros((1, 2)), np.ones((1, 1)), precision, phi, q)
        log_posterior[point] = grid.log_prior[point] - 0.5 * log_det - 0.5 * fit.df * np.log(squares)
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    kept = [
        int(np.flatnonzero((grid.phi == phi) & (grid.q == q))[0])
        for phi, q in zip(fit.grid.phi, fit.grid.q, strict=True)
    ]
    assert weight[kept].sum() > 0.99
    assert fit.weight == pytest.approx(weight[kept] / weight[kept].sum(), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("seed", "n", "tolerance"),
    [(0, 40, 0.2), (5, 30, 0.2), (1, 60, 0.13), (2, 90, 0.13), (3, 150, 0.02), (4, 365, 0.02)],
)
def test_matched_t_against_the_exact_mixture(seed: int, n: int, tolerance: float) -> None:
    y, x, days = made(n, 3, seed, bool(seed % 2))
    fit = fit_series(y, x, days, np.full(3, 0.1))
    coming = days[-1] + 1 + np.arange(60, dtype=np.int64)
    future = np.zeros((60, 3))
    windows = np.zeros((3, 60))
    windows[0, 0], windows[1, :14], windows[2] = 1.0, 1.0, 1.0
    predicted = forecast(fit, future, coming, windows)
    each = []
    for point in range(fit.weight.size):
        part = SeriesFit(
            Grid(fit.grid.phi[point : point + 1], fit.grid.q[point : point + 1], np.zeros(1)),
            np.ones(1),
            *(getattr(fit, name)[point : point + 1] for name in ("coefficients", "factor", "rate")),
            fit.df,
            *(getattr(fit, name)[point : point + 1] for name in ("level_at", "level_on", "level_variance")),
            fit.last_x,
            fit.last_y,
            fit.last_day,
            fit.log_evidence,
        )
        alone = forecast(part, future, coming, windows)
        each.append((alone.location, alone.scale, alone.df))
    for row in range(3):

        def below(value: float, row: int = row) -> float:
            return sum(
                w * float(stdtr(df[row], (value - location[row]) / scale[row]))
                for w, (location, scale, df) in zip(fit.weight, each, strict=True)
            )

        width = float(predicted.quantile(0.95)[row] - predicted.quantile(0.05)[row])
        for level in LEVELS:
            matched = float(predicted.quantile(level)[row])
            exact = brentq(lambda v, level=level: below(v) - level, matched - width, matched + width)
            assert matched == pytest.approx(exact, abs=tolerance * width), (row, level)


@pytest.mark.slow
def test_window_sums_on_the_log_scale_against_simulated_paths() -> None:
    """240,000 paths drawn day by day from (q, phi), s2, b, level and AR state; sums of their exponentials."""
    rng = np.random.default_rng(11)
    n, paths = 160, 240_000
    weekday = np.arange(n + 60) % 7
    columns = np.column_stack([(weekday == k).astype(float) - (weekday == 6) for k in range(6)])
    noise = np.zeros(n)
    for day in range(1, n):
        noise[day] = 0.6 * noise[day - 1] + 0.15 * rng.standard_normal()
    y = 6 + columns[:n] @ rng.normal(0, 0.2, 6) + noise
    days = np.arange(n, dtype=np.int64)
    fit = fit_series(y, columns[:n], days, np.full(6, 0.05))
    design = Design(columns, np.ones(6), np.zeros(6, dtype=bool), np.ones(n + 60, dtype=bool), {})
    series = ChannelSeries("visits", "c", np.exp(np.concatenate([y, y[:60]])), design, days >= 0, True, fit)
    coming = np.arange(n, n + 60, dtype=np.int64)
    windows = np.zeros((4, 60))
    windows[0, :1], windows[1, :7], windows[2, :30], windows[3] = 1.0, 1.0, 1.0, 1.0
    sums = window_sums(series, coming, windows)
    z = np.array([[-1.6449], [0.0], [1.6449]])
    closed_form = sums.at_normal(z, np.ones(4))

    point = rng.choice(fit.weight.size, paths, p=fit.weight)
    s = np.sqrt(fit.rate[point] * fit.df / rng.chisquare(fit.df, paths))
    b = fit.coefficients[point] + s[:, None] * np.einsum(
        "pij,pj->pi", fit.factor[point], rng.standard_normal((paths, 6))
    )
    level = fit.level_at[point] - np.einsum("pk,pk->p", fit.level_on[point], b)
    level = level + s * np.sqrt(fit.level_variance[point]) * rng.standard_normal(paths)
    state = fit.last_y - b @ fit.last_x - level
    total = np.zeros((paths, 4))
    for step, day in enumerate(coming):
        level = level + s * np.sqrt(fit.grid.q[point]) * rng.standard_normal(paths)
        state = fit.grid.phi[point] * state + s * rng.standard_normal(paths)
        total += np.exp(b @ columns[day] + level + state)[:, None] * windows[:, step]
    simulated = np.quantile(total, [0.05, 0.5, 0.95], axis=0)
    assert closed_form[:, :3] == pytest.approx(simulated[:, :3], rel=0.013)
    assert closed_form[:, 3] == pytest.approx(simulated[:, 3], rel=0.025)


def test_t_of_normal_against_scipy() -> None:
    z = np.linspace(-2, 2, 41)[:, None]
    df = np.array([4.5, 6.0, 10.0, 30.0, 200.0])
    exact = stdtrit(df[None, :], ndtr(z))
    assert t_of_normal(z, df) == pytest.approx(exact, rel=0.01, abs=1e-12)
    far = np.array([[-1.96], [1.96]])
    assert t_of_normal(far, df) == pytest.approx(stdtrit(df[None, :], ndtr(far)), rel=0.01)


def test_missing_days_are_the_same_as_a_column_of_their_own() -> None:
    """A day left out and a day with its own free coefficient say the same about every other day."""
    rng = np.random.default_rng(5)
    n = 90
    y = rng.standard_normal(n).cumsum() * 0.3 + rng.standard_normal(n)
    days = np.arange(n, dtype=np.int64)
    gone = np.array([10, 11, 12, 40, 80])
    kept = np.setdiff1d(days, gone)
    x = rng.standard_normal((n, 1))
    broken = y.copy()
    broken[gone] += 500.0
    dummies = np.zeros((n, gone.size))
    dummies[gone, np.arange(gone.size)] = 1.0
    grid = one_point(0.45, 0.01)
    left_out = fit_series(y[kept], x[kept], kept, np.array([0.5]), grid=grid)
    own_column = fit_series(
        broken, np.column_stack([x, dummies]), days, np.array([0.5, *[1e-9] * gone.size]), grid=grid
    )
    assert own_column.coefficients[0, 0] == pytest.approx(left_out.coefficients[0, 0], rel=SAME)
    assert own_column.rate[0] * own_column.df == pytest.approx(left_out.rate[0] * left_out.df, rel=1e-4)
    coming = np.arange(n, n + 10, dtype=np.int64)
    window = np.ones((1, 10))
    a = forecast(left_out, np.zeros((10, 1)), coming, window)
    b = forecast(own_column, np.zeros((10, 1 + gone.size)), coming, window)
    assert a.location == pytest.approx(b.location, rel=1e-5)


def test_trimmed_grid_and_evidence() -> None:
    y, x, days = made(120, 2, 9, False)
    fit = fit_series(y, x, days, np.full(2, 0.1))
    small = trimmed(fit)
    assert small.phi.size < fit.grid.phi.size
    again = fit_series(y, x, days, np.full(2, 0.1), grid=small)
    coming, window = days[-1] + 1 + np.arange(30, dtype=np.int64), np.ones((1, 30))
    whole, part = (forecast(one, np.zeros((30, 2)), coming, window) for one in (fit, again))
    assert part.quantile(0.95) == pytest.approx(whole.quantile(0.95), rel=0.01)
    noise = np.random.default_rng(1).standard_normal((120, 2))
    assert fit.log_evidence > fit_series(y, noise, days, np.full(2, 0.1)).log_evidence


def test_scale_of_y_scales_the_forecast() -> None:
    y, x, days = made(70, 2, 4, False)
    coming, window = days[-1] + 1 + np.arange(14, dtype=np.int64), np.ones((1, 14))
    first = forecast(fit_series(y, x, days, np.full(2, 0.1), scale_guess=0.5), np.zeros((14, 2)), coming, window)
    second: Forecast = forecast(
        fit_series(100 * y, x, days, np.full(2, 0.1), scale_guess=50.0), np.zeros((14, 2)), coming, window
    )
    assert second.quantile(0.05) == pytest.approx(100 * first.quantile(0.05), rel=1e-9)


def test_single_days_are_windows_of_one_day() -> None:
    rng = np.random.default_rng(4)
    days = np.flatnonzero(rng.random(200) > 0.1).astype(np.int64)
    design = rng.standard_normal((230, 3))
    y = design[days] @ np.array([1.0, -0.5, 0.2]) + np.cumsum(0.1 * rng.standard_normal(days.size))
    fit = fit_series(y, design[days], days, np.full(3, 0.1))
    coming = np.arange(int(days[-1]) + 4, 230, dtype=np.int64)
    apart = forecast_days(fit, design[coming], coming)
    whole = forecast(fit, design[coming], coming, np.eye(coming.size))
    for name in ("location", "scale", "df"):
        assert getattr(apart, name) == pytest.approx(getattr(whole, name), rel=1e-9)


FINE = [(a, b) for a in range(2 * len(AR_COEFFICIENTS) - 1) for b in range(2 * len(LEVEL_RATIOS) - 1)]


@pytest.mark.parametrize("q", [1e-5, 1e-3, 0.05, 0.5, 5.0])
@pytest.mark.parametrize("phi", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("n", [40, 400])
def test_the_walk_finds_the_mass(n: int, phi: float, q: float) -> None:
    """Against the whole of the lattice that the walk ended on: less than one per cent of the mass is missed."""
    rng = np.random.default_rng(7)
    days = np.arange(n, dtype=np.int64)
    ar = np.zeros(n)
    for day in range(1, n):
        ar[day] = phi * ar[day - 1] + rng.standard_normal()
    y = ar + np.cumsum(np.sqrt(q) * rng.standard_normal(n))
    design, prior = np.zeros((n, 0)), np.zeros(0)
    found = fit_series(y, design, days, prior)
    is_fine = bool((~np.isin(found.grid.phi, AR_COEFFICIENTS)).any() | (~np.isin(found.grid.q, LEVEL_RATIOS)).any())
    places = [(a, b) for a, b in FINE if is_fine or (a % 2 == 0 and b % 2 == 0)]
    whole = posterior(collapse(y, design, days, grid_of(places, fine=is_fine)), prior)
    kept = set(zip(found.grid.phi.tolist(), found.grid.q.tolist(), strict=True))
    points = zip(whole.grid.phi.tolist(), whole.grid.q.tolist(), whole.weight.tolist(), strict=True)
    assert sum(weight for a, b, weight in points if (a, b) not in kept) < 0.01
    assert found.weight.size < len(places) or n == 40


def test_both_lattices_share_out_the_same_prior() -> None:
    """The prior of a cell is that of the cells it is made of: phi by its width, q evenly on its scale."""
    coarse = [(a, b) for a, b in FINE if a % 2 == 0 and b % 2 == 0]
    for places, is_fine in ((coarse, False), (FINE, True)):
        grid = grid_of(places, fine=is_fine)
        weight = np.exp(grid.log_prior)
        assert weight.sum() == pytest.approx(1.0)
        assert weight[grid.phi <= 0.45].sum() == pytest.approx(0.5, abs=0.06)
        assert weight[grid.q <= 1e-2].sum() == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("lead", [0, 5])
def test_windows_together_are_the_dense_gaussian(lead: int) -> None:
    y, x, days = made(60, 2, 7, True)
    y = y - y.mean()
    precision = np.array([0.5, 2.0])
    coming = days[-1] + 1 + lead + np.arange(12, dtype=np.int64)
    future = np.random.default_rng(8).standard_normal((12, 2))
    windows = np.zeros((3, 12))
    windows[0, :4], windows[1, 4:9], windows[2] = 1.0, 0.5, 1.0
    phi, q = 0.45, 1e-2
    fit = fit_series(y, x, days, precision, grid=one_point(phi, q))
    joint = joint_forecast(fit, future, coming, windows, 2, np.ones(future.shape[1], dtype=bool))
    mean, variance, squares, _ = dense(y, x, days, coming, future, windows, precision, phi, q)
    scale = squares / (fit.df - 2)
    assert joint.apart.location == pytest.approx(mean, rel=1e-5, abs=1e-5)
    assert np.diag(joint.covariance) == pytest.approx(scale * variance[:2], rel=1e-4)
    both = dense(y, x, days, coming, future, windows[:1] + windows[1:2], precision, phi, q)[1][0]
    assert 2 * joint.covariance[0, 1] == pytest.approx(scale * (both - variance[0] - variance[1]), rel=1e-3)
    assert joint.covariance[2] == pytest.approx(joint.covariance[2], rel=1e-6)


def test_a_prior_mean_is_an_offset() -> None:
    y, x, days = made(90, 2, 4, False)
    mean, precision, grid = np.array([0.7, -0.3]), np.array([3.0, 0.5]), default_grid()
    around = fit_series(y, x, days, precision, grid=grid, prior_mean=mean)
    off = fit_series(y - x @ mean, x, days, precision, grid=grid)
    coming, future = days[-1] + 1 + np.arange(9, dtype=np.int64), np.ones((9, 2))
    window = np.ones((1, 9))
    a, b = forecast(around, future, coming, window), forecast(off, future, coming, window)
    assert a.location == pytest.approx(b.location + window @ future @ mean, rel=1e-9)
    assert a.scale == pytest.approx(b.scale, rel=1e-9)
    assert mean_path(around, future, coming) == pytest.approx(mean_path(off, future, coming) + future @ mean, rel=1e-9)
    strong = fit_series(y, x, days, np.full(2, 1e9), grid=grid, prior_mean=mean)
    assert strong.weight @ strong.coefficients == pytest.approx(mean, abs=1e-4)


def test_days_of_known_variance_are_weighed_by_it() -> None:
    """Days of a hundredfold variance count as little as days left out, and coming days have the mean variance."""
    rng = np.random.default_rng(3)
    n = 120
    y, x = rng.standard_normal(n), rng.standard_normal((n, 1))
    wild = np.array([20, 21, 60, 90])
    y[wild] += 30 * rng.standard_normal(4)
    spread = np.ones(n)
    spread[wild] = 1e8
    days = np.arange(n, dtype=np.int64)
    kept = np.setdiff1d(days, wild)
    grid = one_point(0.0, 1e-2)
    weighed = fit_series(y, x, days, np.array([0.1]), grid=grid, spread=spread)
    left_out = fit_series(y[kept], x[kept], kept, np.array([0.1]), grid=grid)
    assert weighed.coefficients == pytest.approx(left_out.coefficients, rel=1e-4)
    coming, window = n + np.arange(1, dtype=np.int64), np.ones((1, 1))
    usual = fit_series(y, x, days, np.array([0.1]), grid=grid, spread=np.full(n, 1.0))
    double = fit_series(y, x, days, np.array([0.1]), grid=grid, spread=np.full(n, 2.0))
    a, b = (forecast(one, np.zeros((1, 1)), coming, window).scale[0] for one in (usual, double))
    assert b == pytest.approx(a, rel=0.05)  # s2 is halved, the gain doubled; only the level's share differs
