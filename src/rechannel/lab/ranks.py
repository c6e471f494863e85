"""Whether a model agrees with its own prior: ranks of prior draws among posterior draws, and bands for their ECDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from rechannel.lab.chance import stream
from rechannel.vocabulary.estimate import FloatArray

SIMULATED = 2000
RankArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RankTest:
    """The ranks of one quantity against uniform ones.

    Attributes
    ----------
    quantity
        What was ranked.
    runs, draws
        Prior draws; posterior draws per run, so that ranks go from 0 to `draws`.
    at, ecdf, low, high
        Shape [draws]: (rank + 1) / (draws + 1), share of ranks up to there, and the simultaneous band.
    p_value
        Chance that uniform ranks leave the diagonal as far somewhere.
    passed
        Whether the ECDF stays inside the band everywhere.
    """

    quantity: str
    runs: int
    draws: int
    at: FloatArray
    ecdf: FloatArray
    low: FloatArray
    high: FloatArray
    p_value: float
    passed: bool


def calibration(
    run: Callable[[int], Mapping[str, int]], runs: int, draws: int, *, seed: int = 0, coverage: float = 0.95
) -> list[RankTest]:
    """Simulation-based calibration: does a model find again what it draws from its own prior?

    Use it on every fitted model: unequal ranks show a wrong likelihood, a sampler that has not arrived, or an
    approximation that is too narrow. It says nothing about whether the prior fits any market.

    Parameters
    ----------
    run
        Takes a seed; draws parameters from the prior, data from the parameters, `draws` independent posterior draws
        from the data; returns, by quantity, how many of them lie below the prior draw.
    runs
        How many times; seeds are `seed`, `seed` + 1, ...
    draws
        Posterior draws per run; thin dependent ones first.
    coverage
        Of the band, over all ranks at once, for one quantity.

    Returns
    -------
    list of RankTest
        By quantity.

    Notes
    -----
    Talts, Betancourt, Simpson, Vehtari, Gelman, "Validating Bayesian inference algorithms with simulation-based
    calibration" (2018), https://arxiv.org/abs/1804.06788.

    Examples
    --------
    >>> import numpy as np
    >>> def run(seed):
    ...     values = np.random.default_rng(seed).normal(size=20)
    ...     return {"mean": int((values[1:] < values[0]).sum())}
    >>> calibration(run, 200, 19)[0].passed
    True
    """
    found: dict[str, list[int]] = {}
    for index in range(runs):
        for quantity, rank in run(seed + index).items():
            found.setdefault(quantity, []).append(rank)
    return [rank_test(name, np.array(ranks), draws, seed=seed, coverage=coverage) for name, ranks in found.items()]


def rank_test(quantity: str, ranks: RankArray, draws: int, *, seed: int = 0, coverage: float = 0.95) -> RankTest:
    """The ECDF of ranks inside its simultaneous band, or not.

    Parameters
    ----------
    ranks
        Whole numbers 0..`draws`, shape [run].

    Notes
    -----
    Säilynoja, Bürkner, Vehtari, "Graphical test for discrete uniformity", Statistics and Computing 32 (2022),
    https://doi.org/10.1007/s11222-022-10090-6, section 2: the smallest pointwise binomial p-value over all ranks,
    calibrated by simulated uniform ranks.
    """
    if ranks.size == 0 or ranks.min() < 0 or ranks.max() > draws:
        raise ValueError(f"ranks in 0..{draws} wanted")
    runs = len(ranks)
    at = np.arange(1, draws + 1) / (draws + 1)
    counts = np.arange(runs + 1)[:, None]
    below = bdtr(counts, runs, at)
    above = np.concatenate([np.ones((1, draws)), 1 - below[:-1]])
    pointwise = 2 * np.minimum(below, above)

    def smallest(sample: RankArray) -> float:
        seen = np.cumsum(np.bincount(sample, minlength=draws + 1))[:-1]
        return float(pointwise[seen, np.arange(draws)].min())

    rng = stream(seed, "uniform ranks")
    usual = np.array([smallest(rng.integers(0, draws + 1, runs)) for _ in range(SIMULATED)])
    level = float(np.quantile(usual, 1 - coverage))
    wide = pointwise >= level
    observed = smallest(ranks)
    return RankTest(
        quantity=quantity,
        runs=runs,
        draws=draws,
        at=at,
        ecdf=np.cumsum(np.bincount(ranks, minlength=draws + 1))[:-1] / runs,
        low=wide.argmax(axis=0) / runs,
        high=(runs - wide[::-1].argmax(axis=0)) / runs,
        p_value=float((usual <= observed).mean()),
        passed=observed >= level,
    )
