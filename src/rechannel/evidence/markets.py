"""Point estimators of an effect in some markets, from the others: synthetic control, ridge-augmented, SDID, DID.

They weigh untouched markets (donors) so that they follow the treated one before the event. None of them says how sure
it is: intervals come from `rechannel.evidence.geotest`, whose weights are uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rechannel.evidence.simplex import simplex_least_squares
from rechannel.vocabulary.estimate import FloatArray

RIDGE_STEPS, RIDGE_REACH = 20, 1e-8
"""Ridge penalties tried: as many steps from the largest squared singular value down to this share of it."""
TIME_PENALTY = 1e-6
"""Penalty of SDID's day weights, in noise sd: only there to make them unique."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A treated series beside a weighted sum of donors.

    Attributes
    ----------
    weights
        Of the donors, shape [donor]; they sum to 1. Augmented ones may be negative.
    gap
        Treated minus synthetic on every day, shape [day].
    effect
        Mean gap after the event.
    imbalance
        Length of the gap before the event.
    scaled_imbalance
        The same over that of equal weights: 0 a perfect fit, 1 no better than a plain mean.
    penalty
        Ridge penalty used; 0 without augmentation.
    bias
        Effect minus that of the simplex weights alone; 0 without augmentation.
    certificate
        Upper bound of what the simplex weights miss of their minimum, relative to the target's squared length.
    """

    weights: FloatArray
    gap: FloatArray
    effect: float
    imbalance: float
    scaled_imbalance: float
    penalty: float
    bias: float
    certificate: float


@dataclass(frozen=True, slots=True)
class DoubleDifference:
    """An effect from weighted donors and weighted days.

    Attributes
    ----------
    effect
        Per day and treated market.
    unit_weights, day_weights
        Shapes [donor] and [day before]; both sum to 1.
    """

    effect: float
    unit_weights: FloatArray
    day_weights: FloatArray


def synthetic_control(treated: FloatArray, donors: FloatArray, pre: int, *, level: bool = True) -> Weighted:
    """Synthetic control: donors weighted on the simplex to follow the treated series before the event.

    Parameters
    ----------
    treated
        Shape [day]; of several markets their mean.
    donors
        Shape [day, donor], complete.
    pre
        Days before the event.
    level
        Whether each series' mean before the event is taken out first, so that levels need not match.

    Returns
    -------
    Weighted

    Raises
    ------
    ValueError
        No day before or after, no donor, or a missing value.

    Notes
    -----
    The causal reading assumes that the donors are untouched and that the weights that held before would have held.
    Source: Abadie, Diamond and Hainmueller (2010), JASA 105(490), section 2.

    Examples
    --------
    >>> days = np.arange(30.0)
    >>> donors = np.column_stack([np.sin(days), np.cos(days), days / 10])
    >>> treated = donors @ np.array([0.2, 0.8, 0.0]) + 5 + 2 * (days >= 20)
    >>> fit = synthetic_control(treated, donors, 20)
    >>> round(fit.effect, 6), fit.weights.round(6).tolist()
    (2.0, [0.2, 0.8, 0.0])
    """
    _check(treated, donors, pre)
    return _weighted(*_centred(treated, donors, pre, level), pre, None)


def ridge_augmented(
    treated: FloatArray,
    donors: FloatArray,
    pre: int,
    *,
    level: bool = True,
    penalty: float | None = None,
) -> Weighted:
    """Ridge-augmented synthetic control: what the simplex weights leave unbalanced is corrected by a ridge regression.

    Parameters
    ----------
    treated, donors, pre, level
        As in `synthetic_control`.
    penalty
        Of the ridge; None leaves out one day before the event after the other and chooses the largest penalty whose
        error is within one standard error of the smallest.

    Returns
    -------
    Weighted

    Notes
    -----
    Weights are ``w + (X X' + penalty I)^-1 X (x1 - X' w)`` with X the donors before the event, each day's donor mean
    taken out. Source: Ben-Michael, Feller and Rothstein (2021), JASA 116(536), equation 9 and section 5.3.
    """
    _check(treated, donors, pre)
    own, others = _centred(treated, donors, pre, level)
    if penalty is None:
        penalty = _cross_validated(own[:pre], others[:pre])
    return _weighted(own, others, pre, penalty)


def synthetic_did(outcomes: FloatArray, donors: int, pre: int) -> DoubleDifference:
    """Synthetic difference in differences: donors and days before the event are both weighted.

    Parameters
    ----------
    outcomes
        Shape [market, day], complete; the first `donors` rows are untreated.
    donors
        How many.
    pre
        Days before the event.

    Returns
    -------
    DoubleDifference

    Notes
    -----
    Market weights carry a penalty of ``zeta^2`` per day with ``zeta = (treated x days after)^(1/4) sd`` and sd that of
    the donors' daily changes. Source: Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), AER 111(12),
    algorithm 1. The minimum is exact here, where the authors' package stops early: hence differences of .01.
    """
    control, own = _blocks(outcomes, donors, pre)
    treated, after = own.shape[0], outcomes.shape[1] - pre
    changes = np.diff(control[:, :pre], axis=1)
    sd = float(changes.std(ddof=1))
    zeta = (treated * after) ** 0.25 * sd
    target = own[:, :pre].mean(axis=0)
    before = control[:, :pre].T
    unit = simplex_least_squares(before - before.mean(axis=0), target - target.mean(), penalty=zeta**2 * pre).weights
    late = control[:, pre:].mean(axis=1)
    early = control[:, :pre]
    days = simplex_least_squares(
        early - early.mean(axis=0), late - late.mean(), penalty=(TIME_PENALTY * sd) ** 2 * donors
    ).weights
    return _double_difference(control, own, pre, unit, days)


def difference_in_differences(outcomes: FloatArray, donors: int, pre: int) -> DoubleDifference:
    """Difference in differences: equal weights for donors and days; parameters as in `synthetic_did`."""
    control, own = _blocks(outcomes, donors, pre)
    return _double_difference(control, own, pre, np.full(donors, 1 / donors), np.full(pre, 1 / pre))


def _check(treated: FloatArray, donors: FloatArray, pre: int) -> None:
    faults = []
    if donors.ndim != 2 or donors.shape[0] != treated.size or not donors.shape[1]:
        faults.append(f"donors of shape {donors.shape} beside {treated.size} days")
    if not 0 < pre < treated.size:
        faults.append(f"{pre} days before the event of {treated.size}")
    if not (np.isfinite(treated).all() and np.isfinite(donors).all()):
        faults.append("a value is missing")
    if faults:
        raise ValueError("; ".join(faults))


def _blocks(outcomes: FloatArray, donors: int, pre: int) -> tuple[FloatArray, FloatArray]:
    """Rows of donors and of treated markets."""
    if not 0 < donors < outcomes.shape[0] or not 1 < pre < outcomes.shape[1] or not np.isfinite(outcomes).all():
        raise ValueError(f"{donors} donors of {outcomes.shape[0]} markets, {pre} days before of {outcomes.shape[1]}")
    return outcomes[:donors], outcomes[donors:]


def _centred(treated: FloatArray, donors: FloatArray, pre: int, level: bool) -> tuple[FloatArray, FloatArray]:
    """The series without their means before the event, where levels need not match."""
    if not level:
        return treated, donors
    return treated - treated[:pre].mean(), donors - donors[:pre].mean(axis=0)


def _weighted(own: FloatArray, others: FloatArray, pre: int, penalty: float | None) -> Weighted:
    """Simplex weights, augmented when a penalty is given, and what they leave."""
    before, target = others[:pre], own[:pre]
    fit = simplex_least_squares(before, target)
    weights = fit.weights if penalty is None else fit.weights + _correction(before, target, fit.weights, [penalty])[0]
    gap = own - others @ weights
    plain = own[pre:] - others[pre:] @ fit.weights
    imbalance = float(np.linalg.norm(gap[:pre]))
    equal = float(np.linalg.norm(target - before.mean(axis=1)))
    effect = float(gap[pre:].mean())
    return Weighted(
        weights=weights,
        gap=gap,
        effect=effect,
        imbalance=imbalance,
        scaled_imbalance=imbalance / equal if equal > 0 else 0.0,
        penalty=penalty or 0.0,
        bias=float(plain.mean()) - effect,
        certificate=fit.gap / max(float(target @ target), 1e-300),
    )


def _correction(
    before: FloatArray, target: FloatArray, weights: FloatArray, penalties: Sequence[float]
) -> list[FloatArray]:
    """What the ridge adds to the weights, one array per penalty; the smaller of the two equal forms is inverted."""
    mean = before.mean(axis=1)
    centred = (before - mean[:, None]).T
    left = target - mean - weights @ centred
    values, vectors = np.linalg.eigh(centred @ centred.T)
    turned = vectors.T @ (centred @ left)
    return [np.asarray(vectors @ (turned / (np.maximum(values, 0.0) + penalty))) for penalty in penalties]


def _cross_validated(target: FloatArray, before: FloatArray) -> float:
    """The largest penalty whose error on left-out days is within a standard error of the smallest."""
    largest = float(np.linalg.norm(before - before.mean(axis=1, keepdims=True), ord=2)) ** 2
    penalties = largest * RIDGE_REACH ** (np.arange(RIDGE_STEPS + 1) / RIDGE_STEPS)
    errors = np.empty((target.size, penalties.size))
    for day in range(target.size):
        kept = np.arange(target.size) != day
        weights = simplex_least_squares(before[kept], target[kept]).weights
        for column, added in enumerate(_correction(before[kept], target[kept], weights, penalties.tolist())):
            errors[day, column] = (target[day] - before[day] @ (weights + added)) ** 2
    mean = errors.mean(axis=0)
    error = errors.std(axis=0, ddof=1) / np.sqrt(target.size)
    best = int(np.argmin(mean))
    return float(penalties[mean <= mean[best] + error[best]].max())


def _double_difference(
    control: FloatArray, own: FloatArray, pre: int, unit: FloatArray, days: FloatArray
) -> DoubleDifference:
    gap = own.mean(axis=0) - unit @ control
    return DoubleDifference(float(gap[pre:].mean() - gap[:pre] @ days), unit, days)
