"""Null series: one response with controls in which nothing happened, by noise family; coverage, width and CPU.

The series of a cell are 180 pre-days and 28 post-days. Three controls with a common factor enter as design columns;
the response is .6 and .4 of the first two, a weekly pattern, and noise of the cell (innovation sd 1). Four cells have
the noise of the model; four do not: innovations that are t with 3 degrees of freedom, spikes of one to three days that
no calendar tells of, a level that broke 20 to 120 days before the day, a weekly pattern that turns into another within
60 days. `oracle` is generalised least squares that knows the AR coefficient and the drift, the day of the break and
when the weekly pattern turned, not the coefficients; of spikes and tails it knows the variance alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.channel import BREAK_SD, RESTLESS_LEVEL, innovation_guess
from rechannel.evidence.forecast import forecast
from rechannel.evidence.grid import scout_grid
from rechannel.evidence.series import fit_series, smoothed_residuals
from rechannel.evidence.settle import Settled, settle, spread_of_days
from rechannel.vocabulary.estimate import FloatArray

PRE, POST = 180, 28
PERIOD = 7
SEED = 20250930
"""A series' generator is seeded with (SEED, cell number, series number)."""
CONTROL_PRECISION = 0.01
"""Prior precision of a control's coefficient in units of 1 / innovation variance."""


Trouble = Literal["", "heavy_tails", "spikes", "break", "turning_week"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A noise family: AR coefficient, sd of the daily step of a random walk (drawn uniformly in the range), trouble."""

    name: str
    phi: float
    drift: tuple[float, float] = (0.0, 0.0)
    trouble: Trouble = ""

    @property
    def variance(self) -> float:
        """Variance of a day over that of its AR noise: spikes add to it."""
        if self.trouble != "spikes":
            return 1.0
        often = 2.0 / (SPIKE_GAP + 5.0)
        low, high = SPIKE_SIZE
        return 1.0 + often * (high**3 - low**3) / (high - low) / 3 * (1 - self.phi**2)


CELLS = (
    Cell("ar_0", 0.0),
    Cell("ar_5", 0.5),
    Cell("ar_8", 0.8),
    Cell("ar_5_drift", 0.5, (0.1, 0.2)),
    Cell("heavy_tails", 0.5, trouble="heavy_tails"),
    Cell("promotion_spikes", 0.5, trouble="spikes"),
    Cell("level_break", 0.5, trouble="break"),
    Cell("changing_week", 0.5, trouble="turning_week"),
)
TAIL_DF = 3
SPIKE_GAP, SPIKE_SIZE = 25.0, (3.0, 8.0)
"""Mean days between spikes, and their height in innovation sd."""
BREAK_DAYS, BREAK_SIZE = (20, 120), (3.0, 8.0)
"""Days before the placebo date on which the level breaks, and by how many innovation sd."""
WEEK_TURNS_WITHIN = 60


@dataclass(frozen=True, slots=True)
class NullSeries:
    """A response with its columns; nothing happens after `pre`.

    Attributes
    ----------
    y, columns
        Shapes [day], [day, column]: six weekday contrasts, then the controls.
    pre
        Days before the placebo date.
    drift_sd
        Daily step sd of its random walk.
    unscaled_sd
        Pre-period sd of each control before it was standardised, shape [control].
    hidden
        Columns that only the oracle knows: the step of a break, the weekly contrasts to come, shape [day, hidden].
    """

    y: FloatArray
    columns: FloatArray
    pre: int
    drift_sd: float
    unscaled_sd: FloatArray
    hidden: FloatArray


def make_series(cell: Cell, number: int, *, pre: int = PRE, post: int = POST, controls: int = 3) -> NullSeries:
    """One series of a cell."""
    rng = np.random.default_rng([SEED, [one.name for one in CELLS].index(cell.name), number])
    n = pre + post
    factor = np.cumsum(rng.normal(0, 0.3, n)) + ar_path(rng, n, 0.6)
    x = factor[:, None] + 0.7 * np.column_stack([ar_path(rng, n, 0.5) for _ in range(controls)])
    weekly = rng.normal(0, 1.5, PERIOD)
    drift_sd = float(rng.uniform(*cell.drift)) if cell.drift[1] else 0.0
    shocks = rng.standard_normal(n)
    if cell.trouble == "heavy_tails":
        shocks = rng.standard_t(TAIL_DF, n) / np.sqrt(TAIL_DF / (TAIL_DF - 2))
    noise = decayed(shocks, cell.phi) + np.cumsum(rng.normal(0, 1, n)) * drift_sd
    weekday = np.arange(n) % PERIOD
    contrasts = np.column_stack([(weekday == day).astype(float) - (weekday == PERIOD - 1) for day in range(PERIOD - 1)])
    pattern, hidden = weekly[weekday], np.zeros((n, 0))
    if cell.trouble == "spikes":
        noise = noise + spikes(rng, n)
    elif cell.trouble == "break":
        at = pre - int(rng.integers(*BREAK_DAYS))
        hidden = (np.arange(n) >= at).astype(float)[:, None]
        noise = noise + hidden[:, 0] * rng.choice([-1.0, 1.0]) * rng.uniform(*BREAK_SIZE)
    elif cell.trouble == "turning_week":
        later = weekly + rng.normal(0, 1.5, PERIOD)
        turned = np.clip((np.arange(n) - rng.integers(20, pre - 20)) / WEEK_TURNS_WITHIN, 0, 1)
        pattern = (1 - turned) * pattern + turned * later[weekday]
        hidden = contrasts * turned[:, None]
    y = 50 + 0.6 * x[:, 0] + 0.4 * x[:, 1] + pattern + noise
    spread = x[:pre].std(axis=0)
    centred = (x - x[:pre].mean(axis=0)) / spread
    return NullSeries(y, np.column_stack([contrasts, centred]), pre, drift_sd, spread, hidden)


def spikes(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Days of one to three that stand out, a month apart or so, shape [n]."""
    path, day = np.zeros(n), 0
    while True:
        day += 3 + int(rng.exponential(SPIKE_GAP))
        if day >= n:
            return path
        path[day : day + int(rng.integers(1, 4))] += rng.uniform(*SPIKE_SIZE)


def decayed(shocks: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
    """A stationary AR(1) with given innovations, shape [n]."""
    path = shocks.copy()
    path[0] /= np.sqrt(1 - phi**2)
    for day in range(1, path.size):
        path[day] += phi * path[day - 1]
    return path


def ar_path(rng: np.random.Generator, n: int, phi: float) -> NDArray[np.float64]:
    """A stationary AR(1) with innovation sd 1, shape [n]."""
    return decayed(rng.standard_normal(n), phi)


def prior_precision(series: NullSeries) -> FloatArray:
    """As an answer's design: weekday contrasts of prior sd as large as the level; wide for the controls."""
    guess = innovation_guess(series.y[: series.pre])
    level = float(np.abs(series.y[: series.pre]).mean())
    weekdays = PERIOD - 1
    precision = np.full(series.columns.shape[1], CONTROL_PRECISION)
    precision[:weekdays] = (guess / level) ** 2
    return precision


def fit(series: NullSeries) -> Settled:
    """The default engine on the pre-period."""
    days = np.arange(series.pre, dtype=np.int64)
    before, y = series.columns[: series.pre], series.y[: series.pre]
    guess, precision, level = innovation_guess(y), prior_precision(series), float(np.abs(y).mean())
    scouted = fit_series(y, before, days, precision, grid=scout_grid(), scale_guess=guess)
    return settle(
        y,
        before,
        days,
        precision,
        scale_guess=guess,
        break_precision=(guess / (BREAK_SD * level)) ** 2,
        spread=spread_of_days(smoothed_residuals(scouted, y, before, days)),
        calm=guess / (RESTLESS_LEVEL * level),
    )


@dataclass(frozen=True, slots=True)
class Interval:
    """90 % interval of the average effect per day, and the point."""

    low: float
    middle: float
    high: float

    @property
    def covers(self) -> bool:
        return self.low <= 0 <= self.high

    @property
    def width(self) -> float:
        return self.high - self.low


def measure_null(series: NullSeries) -> Interval:
    """Average effect of nothing over the post-period by the default engine."""
    post = np.arange(series.pre, series.y.size, dtype=np.int64)
    settled = fit(series)
    steps = np.ones((post.size, len(settled.breaks)))
    columns = np.column_stack([series.columns[series.pre :], steps])
    predicted = forecast(settled.fit, columns, post, np.full((1, post.size), 1 / post.size))
    came = float(series.y[series.pre :].mean())
    low, middle, high = (float(came - predicted.quantile(level)[0]) for level in (0.95, 0.5, 0.05))
    return Interval(low, middle, high)


def oracle(series: NullSeries, cell: Cell) -> Interval:
    """Generalised least squares with the noise family known, flat coefficients."""
    n, pre = series.y.size, series.pre
    day = np.arange(n)
    covariance = cell.phi ** np.abs(day[:, None] - day[None, :]) / (1 - cell.phi**2)
    covariance = covariance + series.drift_sd**2 * np.minimum(day[:, None], day[None, :])
    covariance = covariance * cell.variance
    x = np.column_stack([np.ones(n), series.columns, series.hidden])
    window = np.zeros(n)
    window[pre:] = 1 / (n - pre)
    solve = np.linalg.solve(
        covariance[:pre, :pre], np.column_stack([x[:pre], series.y[:pre], covariance[:pre] @ window])
    )
    k = x.shape[1]
    gram = x[:pre].T @ solve[:, :k]
    b = np.linalg.solve(gram, x[:pre].T @ solve[:, k])
    carry = solve[:, k + 1]
    loading = window @ x - carry @ x[:pre]
    mean = loading @ b + carry @ series.y[:pre]
    variance = window @ covariance @ window - (covariance[:pre] @ window) @ carry
    variance += loading @ np.linalg.solve(gram, loading)
    half = 1.6449 * float(np.sqrt(variance))
    effect = float(series.y[pre:].mean() - mean)
    return Interval(effect - half, effect, effect + half)


def run(per_cell: int = 1000) -> dict[str, object]:
    """Coverage of 90 % intervals, median widths, RMSE and CPU by cell."""
    table: dict[str, object] = {"series_per_cell": per_cell, "pre": PRE, "post": POST, "seed": SEED}
    for cell in CELLS:
        started = time.process_time()
        ours = [measure_null(make_series(cell, number)) for number in range(per_cell)]
        spent = time.process_time() - started
        best = [oracle(make_series(cell, number), cell) for number in range(per_cell)]
        table[cell.name] = {
            "covered": sum(one.covers for one in ours),
            "coverage": round(float(np.mean([one.covers for one in ours])), 4),
            "median_width": round(float(np.median([one.width for one in ours])), 3),
            "rmse": round(float(np.sqrt(np.mean([one.middle**2 for one in ours]))), 3),
            "oracle_coverage": round(float(np.mean([one.covers for one in best])), 4),
            "oracle_median_width": round(float(np.median([one.width for one in best])), 3),
            "oracle_rmse": round(float(np.sqrt(np.mean([one.middle**2 for one in best]))), 3),
            "width_over_oracle": round(
                float(np.median([one.width for one in ours]) / np.median([one.width for one in best])), 3
            ),
            "cpu_ms_per_series": round(1000 * spent / per_cell, 2),
        }
        print(cell.name, table[cell.name], flush=True)
    return table


def fit_cost(repeats: int = 50) -> dict[str, object]:
    """CPU of one fit and one forecast of a 1,000-day series with five controls, median over repeats."""
    series = make_series(CELLS[1], 0, pre=930, post=70, controls=5)
    post = np.arange(series.pre, series.y.size, dtype=np.int64)
    window, columns = np.full((1, post.size), 1 / post.size), series.columns[series.pre :]
    fit(series)
    fits, forecasts = [], []
    for _ in range(repeats):
        started = time.process_time()
        settled = fit(series)
        middle = time.process_time()
        forecast(settled.fit, np.column_stack([columns, np.ones((post.size, len(settled.breaks)))]), post, window)
        fits.append(middle - started)
        forecasts.append(time.process_time() - middle)
    return {
        "days": series.y.size,
        "controls": 5,
        "repeats": repeats,
        "fit_cpu_ms_median": round(1000 * float(np.median(fits)), 2),
        "fit_cpu_ms_worst": round(1000 * float(np.max(fits)), 2),
        "forecast_cpu_ms_median": round(1000 * float(np.median(forecasts)), 3),
    }
