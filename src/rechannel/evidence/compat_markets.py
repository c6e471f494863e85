"""GeoLift, Synth and TBR compatibility modes: what those packages print for the same panel.

No answer uses this: it is there to repeat published figures. GeoLift's p-value permutes single days, which is too
small where days are alike (its own walkthrough prints p = .01 beside an interval that holds 0); the answers' own
procedure is `rechannel.evidence.geotest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import stdtrit

from rechannel.evidence.markets import ridge_augmented, synthetic_control
from rechannel.evidence.simplex import simplex_least_squares
from rechannel.vocabulary.estimate import FloatArray

PERMUTATIONS = 1000
ALPHA = 0.1
"""GeoLift's level."""
POWER = 0.8


@dataclass(frozen=True, slots=True)
class GeoLiftSummary:
    """What GeoLift prints.

    Attributes
    ----------
    att
        Average effect per treated market and day.
    lift
        The effect over the counterfactual.
    incremental
        Sum over treated markets and days.
    imbalance, scaled_imbalance
        "L2 Imbalance" and its ratio to that of equal weights.
    bias
        "Average Estimated Bias"; 0 without augmentation.
    weights
        Per donor.
    p_value
        Share of permutations of the days whose statistic is at least the observed one.
    """

    att: float
    lift: float
    incremental: float
    imbalance: float
    scaled_imbalance: float
    bias: float
    weights: Mapping[str, float]
    p_value: float


@dataclass(frozen=True, slots=True)
class SelectedMarkets:
    """A row of GeoLift's market selection.

    Attributes
    ----------
    markets
        By name.
    days
        Length of the test.
    effect
        Smallest simulated effect found significant, as a share.
    att, detected
        Estimated effect per market and day, and as a share, when that effect is simulated.
    investment
        Cost per incremental unit x units added.
    rank
        Mean of the ranks by effect and by bias, ties share the smallest.
    """

    markets: tuple[str, ...]
    days: int
    effect: float
    att: float
    detected: float
    investment: float
    rank: int


def geolift_compat(
    outcomes: FloatArray,
    markets: Sequence[str],
    treated: Sequence[str],
    pre: int,
    *,
    augmented: bool = False,
    excluded: Sequence[str] = (),
    level: bool = True,
    seed: int = 0,
) -> GeoLiftSummary:
    """Repeat GeoLift's summary of a test.

    Parameters
    ----------
    outcomes
        Shape [day, market], complete.
    markets, treated, excluded
        Names of all, of the treated ones, and of those that are no donors (other cells of the same test).
    pre
        Days before the test.
    augmented
        GeoLift's model "Ridge" instead of "None".
    level
        GeoLift's `fixed_effects`.
    seed
        Of the permutations.

    Notes
    -----
    The p-value refits on all days as if nothing had happened and compares the sum of absolute residuals of the test's
    days with that of as many days drawn at random. Source: GeoLift 2.7 `GeoLift`, augsynth `conformal_inf`; method of
    Chernozhukov, Wüthrich and Zhu (2021), JASA 116(536), without its blocks.
    """
    own = outcomes[:, [markets.index(name) for name in treated]].mean(axis=1)
    names = [name for name in markets if name not in (*treated, *excluded)]
    donors = outcomes[:, [markets.index(name) for name in names]]
    fit = (ridge_augmented if augmented else synthetic_control)(own, donors, pre, level=level)
    days = own.size - pre
    return GeoLiftSummary(
        att=fit.effect,
        lift=fit.effect / (float(own[pre:].mean()) - fit.effect),
        incremental=fit.effect * days * len(treated),
        imbalance=fit.imbalance,
        scaled_imbalance=fit.scaled_imbalance,
        bias=fit.bias,
        weights=dict(zip(names, fit.weights.tolist(), strict=True)),
        p_value=conformal_p_value(own, donors, pre, augmented=augmented, level=level, seed=seed),
    )


def conformal_p_value(
    treated: FloatArray,
    donors: FloatArray,
    pre: int,
    *,
    augmented: bool = False,
    level: bool = True,
    blocks: bool = False,
    seed: int = 0,
) -> float:
    """Conformal p-value of no effect after `pre`: permutations of single days or, with `blocks`, all rotations."""
    n = treated.size
    # the null is imposed: every day is a day before; one more row is only there to close the window
    own, others = np.append(treated, treated[-1]), np.vstack([donors, donors[-1]])
    residuals = (ridge_augmented if augmented else synthetic_control)(own, others, n, level=level).gap[:n]
    size = np.abs(residuals)
    if blocks:
        shifted = np.array([np.roll(size, shift)[pre:].sum() for shift in range(n)])
    else:
        rng = np.random.default_rng(seed)
        shifted = rng.permuted(np.tile(size, (PERMUTATIONS, 1)), axis=1)[:, pre:].sum(axis=1)
    return float((shifted >= size[pre:].sum() * (1 - 1e-12)).mean())


def geolift_selection_compat(
    outcomes: FloatArray,
    markets: Sequence[str],
    *,
    days: Sequence[int],
    sizes: Sequence[int],
    effects: Sequence[float],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    cost_per_unit: float = 1.0,
    budget: float = np.inf,
    seed: int = 0,
) -> list[SelectedMarkets]:
    """Repeat GeoLift's market selection: every market with those most correlated with it, one simulated test each.

    Parameters
    ----------
    outcomes, markets
        As in `geolift_compat`, without a test in them.
    days, sizes, effects
        Lengths, numbers of markets and effects (shares > 0) that are simulated on the last days.
    include, exclude
        Markets that must be, or must not be, in the test.
    cost_per_unit, budget
        Of an incremental unit; dearer tests are left out.

    Notes
    -----
    Source: GeoLift 2.7 `GeoLiftMarketSelection` with `lookback_window = 1`, `model = "none"`, `alpha = .1`.
    """
    correlation = np.corrcoef(outcomes.T)
    order = np.argsort(-correlation, axis=1, kind="stable")
    found: dict[tuple[frozenset[str], int], SelectedMarkets] = {}
    for size in sizes:
        for market in range(len(markets)):
            near = [market, *(other for other in order[market].tolist() if other != market)][:size]
            chosen = frozenset(markets[at] for at in near)
            if not set(include) <= chosen or set(exclude) & chosen:
                continue
            for length in days:
                if (chosen, length) not in found:
                    row = _smallest_found(outcomes, markets, sorted(chosen), length, effects, cost_per_unit, seed)
                    if row is not None:
                        found[chosen, length] = row
    rows = list(found.values())
    by_effect = _dense_rank([row.effect for row in rows])
    by_bias = _dense_rank([round(abs(row.detected - row.effect), 3) for row in rows])
    affordable = np.array([row.investment < budget for row in rows], dtype=bool)
    score = np.where(affordable, by_effect + by_bias, np.inf)
    ranked = [
        replace(row, rank=int((score < own).sum()) + 1)
        for row, own in zip(rows, score.tolist(), strict=True)
        if row.investment < budget
    ]
    return sorted(ranked, key=lambda row: row.rank)


def _smallest_found(
    outcomes: FloatArray,
    markets: Sequence[str],
    chosen: Sequence[str],
    length: int,
    effects: Sequence[float],
    cost_per_unit: float,
    seed: int,
) -> SelectedMarkets | None:
    """The smallest simulated effect whose p-value is below the level, on the last days of the panel."""
    pre = outcomes.shape[0] - length
    places = [markets.index(name) for name in chosen]
    for effect in sorted(effects):
        lifted = outcomes.copy()
        lifted[np.ix_(range(pre, lifted.shape[0]), places)] *= 1 + effect
        seen = geolift_compat(lifted, markets, chosen, pre, seed=seed)
        if seen.p_value < ALPHA:
            investment = cost_per_unit * effect * float(outcomes[pre:, places].sum())
            return SelectedMarkets(tuple(chosen), length, effect, seen.att, seen.lift, investment, 0)
    return None


def _dense_rank(values: Sequence[float]) -> FloatArray:
    return np.searchsorted(np.unique(values), values).astype(float)


@dataclass(frozen=True, slots=True)
class Predictors:
    """Predictors of the Synth package over one period.

    Attributes
    ----------
    donors
        Shape [predictor, donor].
    treated
        Shape [predictor].
    """

    donors: FloatArray
    treated: FloatArray


def synth_compat(
    predictors: Predictors, training: Predictors, treated: FloatArray, donors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Donor weights of the Synth package with predictor weights chosen on an earlier period.

    Parameters
    ----------
    predictors
        Those that the donor weights match.
    training
        The same of the earlier period, from which the weights of the predictors are learned.
    treated, donors
        Outcomes over which that choice is judged, shapes [time] and [time, donor].

    Returns
    -------
    Donor weights, shape [donor], and predictor weights, shape [predictor].

    Notes
    -----
    Source: Abadie, Diamond and Hainmueller (2015), American Journal of Political Science 59(2), section 3; the search
    starts at equal weights and is Nelder and Mead's, as in the R package.
    """

    def loss(raw: FloatArray) -> float:
        inner = _matching(training, np.abs(raw) / np.abs(raw).sum())
        return float(((treated - donors @ inner) ** 2).mean())

    start = np.full(training.treated.size, 1 / training.treated.size)
    found = minimize(
        loss, start, method="Nelder-Mead", options={"maxiter": 5000, "maxfev": 8000, "xatol": 1e-6, "fatol": 1e-6}
    )
    importance = np.abs(found.x) / np.abs(found.x).sum()
    return _matching(predictors, importance), importance


def _matching(predictors: Predictors, importance: FloatArray) -> FloatArray:
    """Donor weights that match the predictors, each in its sd over all units."""
    whole = np.column_stack([predictors.donors, predictors.treated])
    scale = np.sqrt(importance) / whole.std(axis=1, ddof=1)
    return simplex_least_squares(scale[:, None] * predictors.donors, scale * predictors.treated).weights


@dataclass(frozen=True, slots=True)
class TbrSummary:
    """Time-based regression: incremental response over the test with its one-sided lower bound.

    Attributes
    ----------
    incremental, lower
        Sum over the test's days, and the bound.
    lift, lift_lower
        Posterior mean of its ratio to the counterfactual, and the bound.
    """

    incremental: float
    lower: float
    lift: float
    lift_lower: float


def time_based_regression_compat(
    treated: FloatArray, control: FloatArray, pre: int, *, confidence: float = 0.9
) -> TbrSummary:
    """Repeat the summary of Google's matched_markets TBR.

    Parameters
    ----------
    treated, control
        Totals of the two groups, shape [day].
    pre
        Days before the test.
    confidence
        Of the one-sided bound.

    Notes
    -----
    Ordinary least squares of treated on control before the test; the sum of errors has variance
    ``s2 T (1 + T / n + T (xbar_test - xbar)^2 / Sxx)`` and n - 2 degrees of freedom.
    Source: Kerman, Wang and Vaver (2017), Estimating ad effectiveness using geo experiments in a time-based regression
    framework, equation 9.
    """
    x, y = control[:pre], treated[:pre]
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    level = float(y.mean() - slope * x.mean())
    residual = float(((y - level - slope * x) ** 2).sum()) / (pre - 2)
    days = treated.size - pre
    counterfactual = days * level + slope * float(control[pre:].sum())
    incremental = float(treated[pre:].sum()) - counterfactual
    distance = float(control[pre:].mean() - x.mean())
    variance = residual * days * (1 + days / pre + days * distance**2 / spread)
    lower = incremental - float(stdtrit(pre - 2, confidence)) * float(np.sqrt(variance))
    came = counterfactual + incremental
    curvature = came / counterfactual**3 * variance * (pre - 2) / (pre - 4)  # half the second derivative of the ratio
    return TbrSummary(incremental, lower, incremental / counterfactual + curvature, lower / (came - lower))
