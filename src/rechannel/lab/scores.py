"""What a stated interval is worth once the truth is known: coverage and the weighted interval score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.vocabulary.estimate import LEVELS, FloatArray

COVERAGES: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95)
MIDDLE = len(LEVELS) // 2


@dataclass(frozen=True, slots=True)
class Wis:
    """Weighted interval score and where it comes from; each field has shape [target], in the unit of the target.

    Attributes
    ----------
    total
        dispersion + over + under.
    dispersion
        Paid for the width of the intervals.
    over, under
        Paid for having said too much or too little.
    """

    total: FloatArray
    dispersion: FloatArray
    over: FloatArray
    under: FloatArray


def _ends(coverage: float) -> tuple[int, int]:
    low = LEVELS.index(round((1 - coverage) / 2, 4))
    return low, len(LEVELS) - 1 - low


def weighted_interval_score(truth: FloatArray, quantiles: FloatArray) -> Wis:
    """Score of the nine quantiles of an answer; 0 is perfect, and a point forecast pays its absolute error.

    Parameters
    ----------
    truth
        Shape [target].
    quantiles
        At `LEVELS`, shape [target, level]; nan = no answer.

    Returns
    -------
    Wis
        nan where there is no answer.

    Notes
    -----
    (0.5 |y - median| + sum over intervals of alpha/2 (width + 2/alpha distance outside)) / (K + 1/2), K = 4. This is
    twice the mean quantile loss over the nine levels: Bracher, Ray, Gneiting, Reich, "Evaluating epidemic forecasts in
    an interval format", PLOS Computational Biology 17(2) (2021), https://doi.org/10.1371/journal.pcbi.1008618.

    Examples
    --------
    >>> float(weighted_interval_score(np.array([3.0]), np.full((1, 9), 1.0)).total[0])
    2.0
    """
    over = 0.5 * np.maximum(quantiles[:, MIDDLE] - truth, 0)
    under = 0.5 * np.maximum(truth - quantiles[:, MIDDLE], 0)
    dispersion = np.where(np.isnan(quantiles[:, MIDDLE]), np.nan, 0.0)
    for coverage in COVERAGES:
        low, high = _ends(coverage)
        dispersion = dispersion + (1 - coverage) / 2 * (quantiles[:, high] - quantiles[:, low])
        over = over + np.maximum(quantiles[:, low] - truth, 0)
        under = under + np.maximum(truth - quantiles[:, high], 0)
    parts = [part / (len(COVERAGES) + 0.5) for part in (dispersion, over, under)]
    return Wis(parts[0] + parts[1] + parts[2], *parts)


def covered(truth: FloatArray, quantiles: FloatArray, coverage: float) -> NDArray[np.bool_]:
    """Whether the central interval holds the truth, ends included; False where there is no answer; shape [target]."""
    low, high = _ends(coverage)
    return np.asarray((quantiles[:, low] <= truth) & (truth <= quantiles[:, high]))
