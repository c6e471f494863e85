"""Placebos of a market test: untreated markets in its place, and its markets at earlier dates, scored and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from rechannel.evidence.donors import MarketSeries, collapse_markets, market_series, pooled_noise, regress, shocks_of
from rechannel.evidence.marketvalues import FEWEST_DONORS, MarketValues, Windows
from rechannel.evidence.placebo import NORMAL_UNDER_TAIL, PRIOR_SD, REFERENCE_HORIZON, SLOPE_SD, TAIL_DF
from rechannel.vocabulary.estimate import FloatArray

MOST_SETS = 16
"""Sets of donors that take the treated markets' place."""
FEWEST_TRAINING_DAYS = 28
FEWEST_ORIGIN_DAYS = 42
"""Training days before the earliest placebo date."""
WANTED_FOLDS = 24
MOST_ORIGINS, FEWEST_ORIGINS = 8, 3
EARLIER_WEIGHT = 1 / 3
"""Weight of a placebo at an earlier date beside one in the test's own days, which shares its shocks and its history."""
EXTREME = 8.0
INSIDE_90 = 1.6449


def placebo_sets(donors: int, size: int, seed: int, most: int = MOST_SETS) -> tuple[tuple[int, ...], ...]:
    """Sets of `size` donors that can stand for the treated markets and leave enough donors; disjoint where possible."""
    if donors - size < FEWEST_DONORS:
        return ()
    rng = np.random.default_rng([seed, 29])
    found: list[tuple[int, ...]] = []
    for _ in range(4 * most):
        order = rng.permutation(donors)
        for first in range(0, donors - size + 1, size):
            one = tuple(sorted(order[first : first + size].tolist()))
            if one not in found:
                found.append(one)
        if len(found) >= most or size == 1:
            break
    return tuple(found[:most])


@dataclass(frozen=True, slots=True)
class Fitted:
    """The treated markets' hidden days with the shocks before them, and those of every placebo set in their place.

    Attributes
    ----------
    treated, sets
        Hidden days of the treated sum, and of each set on the donors that it leaves.
    shocks
        Of the treated sum, shape [day].
    """

    treated: MarketSeries
    sets: tuple[MarketSeries, ...]
    shocks: FloatArray


def fit_with_placebos(
    values: MarketValues, sets: Sequence[tuple[int, ...]], windows: Windows, origin: int, upto: int
) -> Fitted | None:
    """Fit the treated sum and the placebo sets around hidden days that begin at `origin`; None with too few days.

    All of them choose their noise together, so that one short history cannot look calmer than its neighbours. Nothing
    from day `upto` on is used.
    """
    training = values.training(origin, windows, upto)
    if training[:origin].sum() < FEWEST_TRAINING_DAYS:
        return None
    sums = [values.donors[:, list(one)].sum(axis=1) for one in sets]
    panel = collapse_markets(
        np.column_stack([values.treated, *sums]),
        values.donors,
        values.design,
        training,
        windows.at(origin),
        is_log=values.is_log,
    )
    everyone = range(values.donors.shape[1])
    regressions = [regress(panel, 0, list(everyone))]
    regressions += [
        regress(panel, at, [donor for donor in everyone if donor not in one]) for at, one in enumerate(sets, 1)
    ]
    log_prior = pooled_noise(regressions)
    series = [market_series(panel, one, log_prior) for one in regressions]
    return Fitted(series[0], tuple(series[1:]), shocks_of(panel, regressions[0], log_prior))


@dataclass(frozen=True, slots=True)
class Scores:
    """Standardised errors of placebos.

    Attributes
    ----------
    z, horizon, weight, current
        Normal score, days and weight of each, and whether it lies in the test's own days, shape [record].
    own
        Normal score at the longest window of each placebo set in the test's own days, shape [set].
    error, naive
        Root mean square of the treated sum's daily error at earlier dates, and of the same weekday a week before the
        date as its forecast; nan without an earlier date.
    """

    z: FloatArray
    horizon: FloatArray
    weight: FloatArray
    current: NDArray[np.bool_]
    own: FloatArray
    error: float
    naive: float


def score_placebos(
    values: MarketValues,
    fitted: Fitted,
    sets: Sequence[tuple[int, ...]],
    windows: Windows,
    *,
    earlier: bool = True,
) -> Scores:
    """Score the placebo sets in the test's own days and, with `earlier`, they and the treated markets before them."""
    records: list[tuple[float, float, float, bool]] = []
    own: list[float] = []
    sums = np.column_stack([values.treated, *(values.donors[:, list(one)].sum(axis=1) for one in sets)])
    share = min(1.0, len(values.names) / max(1, sum(len(one) for one in sets)))  # sets beyond the disjoint ones overlap
    for at, series in enumerate(fitted.sets, 1):
        found = window_scores(series, sums[:, at], windows, windows.before, values.treated)
        records += [(z, length, share, True) for z, length in found]
        own.append(found[-1][0] if found else 0.0)
    squares, naive, days = 0.0, 0.0, 0
    for origin in _origins(values, windows, len(sets)) if earlier else ():
        past = fit_with_placebos(values, sets, windows, origin, windows.before)
        if past is None:
            continue
        for at, series in enumerate((past.treated, *past.sets)):
            found = window_scores(series, sums[:, at], windows, origin, values.treated)
            records += [(z, length, EARLIER_WEIGHT * share, False) for z, length in found]
        error, plain, count = _daily_errors(past.treated, values, windows, origin)
        squares, naive, days = squares + error, naive + plain, days + count
    table = np.array(records, dtype=float).reshape(-1, 4)
    return Scores(
        z=table[:, 0],
        horizon=table[:, 1],
        weight=table[:, 2] / len(windows.lengths),
        current=table[:, 3] > 0,
        own=np.array(own),
        error=float(np.sqrt(squares / days)) if days else float("nan"),
        naive=float(np.sqrt(naive / days)) if days else float("nan"),
    )


def _origins(values: MarketValues, windows: Windows, sets: int) -> list[int]:
    """Earlier first days whose hidden days, and what may follow them, end before the test; the newest first."""
    wanted = int(np.clip(-(-WANTED_FOLDS // (sets + 1)), FEWEST_ORIGINS, MOST_ORIGINS))
    found: list[int] = []
    origin = windows.before - windows.hidden - windows.after
    while len(found) < wanted and origin > 0:
        if values.training(origin, windows, windows.before)[:origin].sum() < FEWEST_ORIGIN_DAYS:
            break
        found.append(origin)
        origin -= windows.hidden
    return found


def window_scores(
    series: MarketSeries, values: FloatArray, windows: Windows, origin: int, treated: FloatArray
) -> list[tuple[float, float]]:
    """Normal score and length of each window of which at least half the days are measured."""
    days, rows = windows.at(origin), windows.rows[: len(windows.lengths)]
    seen = rows * (np.isfinite(values[days]) & np.isfinite(treated[days]))
    enough = seen.sum(axis=1) >= 0.5 * rows.sum(axis=1)
    predicted = series.sums(seen)
    came = seen @ np.nan_to_num(values[days])
    forecast = predicted.forecast
    with np.errstate(divide="ignore", invalid="ignore"):
        if predicted.is_log:
            gap = np.log(np.maximum(came, 0.5) / predicted.centre) - forecast.location
        else:
            gap = came - predicted.centre - forecast.location
        probability = stdtr(forecast.df, gap / np.where(forecast.scale > 0, forecast.scale, 1.0))
    z = np.clip(ndtri(np.clip(probability, 1e-15, 1 - 1e-15)), -EXTREME, EXTREME)
    return [(float(z[row]), float(windows.lengths[row])) for row in np.flatnonzero(enough).tolist()]


def _daily_errors(
    series: MarketSeries, values: MarketValues, windows: Windows, origin: int
) -> tuple[float, float, int]:
    """Sums of squared daily errors of the series and of the last known same weekday, and how many days."""
    days, came = windows.at(origin), values.treated
    last = origin - 7 + (np.arange(days.size) % 7)
    known = np.isfinite(came[days]) & values.design.usable[days] & (last >= 0)
    known[known] &= np.isfinite(came[last[known]])
    gap, plain = (came[days] - series.open_days())[known], came[days][known] - came[last[known]]
    return float((gap**2).sum()), float((plain**2).sum()), int(known.sum())


@dataclass(frozen=True, slots=True)
class Spread:
    """Posterior of the factor that placebos put on the intervals.

    Attributes
    ----------
    level, slope
        Grid of log lambda(H) = level + slope log(H / 30), shape [point] each.
    mass
        Posterior, shape [point].
    folds
        How many independent placebos the records count as.
    held_out
        Share of placebos of the test's own days inside their 90 % interval with lambda from all others; nan without.
    """

    level: FloatArray
    slope: FloatArray
    mass: FloatArray
    folds: float
    held_out: float

    def widen(self, horizon: FloatArray) -> FloatArray:
        """Posterior mean of lambda at each horizon, shape [horizon]."""
        return np.asarray(self.mass @ np.exp(_log_scale(self.level, self.slope, horizon)))

    def draws(self, horizon: FloatArray, count: int, seed: int) -> FloatArray:
        """Draws of lambda, shape [draw, horizon]; each mirrored draw of the scores shares the factor of its twin."""
        rng = np.random.default_rng([seed, 31])
        half = rng.choice(self.mass.size, size=count // 2, p=self.mass)
        return np.asarray(np.exp(_log_scale(self.level, self.slope, horizon))[np.concatenate([half, half])])


def pool_scores(scores: Sequence[Scores], independent: float) -> Spread:
    """The factor that all series of one metric share.

    Parameters
    ----------
    scores
        One per series, at least one.
    independent
        How many independent series they count as, between 1 and their number.
    """
    levels = np.linspace(-4 * PRIOR_SD, 4 * PRIOR_SD, 33)
    slopes = np.linspace(-2.5 * SLOPE_SD, 2.5 * SLOPE_SD, 7)
    level, slope = (one.ravel() for one in np.meshgrid(levels, slopes, indexing="ij"))
    z = np.concatenate([one.z for one in scores])
    current = np.concatenate([one.current for one in scores])
    weight = np.concatenate([one.weight for one in scores]) * min(1.0, independent / len(scores))
    log_scale = _log_scale(level, slope, np.concatenate([one.horizon for one in scores]))
    # a t, so that one freak is one freak
    inner = (z / NORMAL_UNDER_TAIL / np.exp(log_scale)) ** 2 / TAIL_DF
    density = (-(TAIL_DF + 1) / 2 * np.log1p(inner) - log_scale) * weight
    log_mass = density.sum(axis=1) - level**2 / (2 * PRIOR_SD**2) - slope**2 / (2 * SLOPE_SD**2)
    inside = 0
    for record in np.flatnonzero(current).tolist():
        mass = _normal(log_mass - density[:, record])
        inside += int(abs(z[record]) <= INSIDE_90 * np.exp(mass @ log_scale[:, record]))
    return Spread(
        level=level,
        slope=slope,
        mass=_normal(log_mass),
        folds=float(weight.sum()),
        held_out=inside / int(current.sum()) if current.any() else float("nan"),
    )


def _log_scale(level: FloatArray, slope: FloatArray, horizon: FloatArray) -> FloatArray:
    """log lambda at each point and horizon, shape [point, horizon]."""
    return np.asarray(level[:, None] + slope[:, None] * np.log(np.maximum(horizon, 1.0) / REFERENCE_HORIZON))


def _normal(log_mass: FloatArray) -> FloatArray:
    mass = np.exp(log_mass - log_mass.max())
    return np.asarray(mass / mass.sum())
