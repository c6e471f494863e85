"""A series as it is: days with heavy tails count less, and a level that broke goes on from where it broke to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from rechannel.evidence.grid import Grid
from rechannel.evidence.series import SeriesFit, collapse, fit_series
from rechannel.vocabulary.estimate import FloatArray

TAIL_DF = 4.0
"""Innovations of a heavy-tailed series are t with this many degrees of freedom."""
FAR, SHARE_OF_FAR = 4.0, 0.004
"""A series is heavy-tailed when more than this share of its innovations lies so many robust sd out (normal: .00006)."""
FEWEST_FAR = 2
ONE_SIDED = 3.0
"""Bayes factor from which far days are believed to lie on one side, against either side evenly."""
MOST_BREAKS = 3
BESIDE = 14
"""Days on either side of a break whose means are held against each other; none is sought nearer to the ends."""
RESTLESS = 3e-3
"""Posterior mean of q below which a level does not move enough to have broken."""
BREAKS_A_DAY = 1 / 730
CERTAIN = 0.9
"""Breaks expected a day, and the posterior probability from which one is taken as known."""
STEADY = 1e-4
"""q of the level that breaks are sought against."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A fit and what it found.

    Attributes
    ----------
    fit
        Posterior; its last columns are the breaks.
    breaks
        Day numbers at which a new level begins.
    """

    fit: SeriesFit
    breaks: tuple[int, ...]


def settle(
    y: FloatArray,
    design: FloatArray,
    days: NDArray[np.int64],
    prior_precision: FloatArray,
    *,
    scale_guess: float,
    break_precision: float,
    spread: FloatArray | None = None,
    calm: float = 0.0,
    prior_mean: FloatArray | None = None,
    most_breaks: int = MOST_BREAKS,
) -> Settled:
    """Fit one series and give breaks of its level a column each.

    Use it for any answer; `fit_series` alone takes every day and every level as of one kind.

    Parameters
    ----------
    y, design, days, prior_precision, scale_guess, spread, calm, prior_mean
        As in `series.fit_series`.
    break_precision
        Prior precision of the size of a break, in units of 1 / s2.
    most_breaks
        How many breaks are sought.

    Notes
    -----
    A break is taken as known when its posterior probability, against the same series without it, is
    `CERTAIN` at a prior rate of `BREAKS_A_DAY`; its day is the likeliest one. Coming days have tails, but no breaks:
    the causal reading assumes that none falls on the event, and placebo windows show how often one does.
    """
    if prior_mean is not None:
        y = y - design @ prior_mean
    columns, precision = design, prior_precision
    fit = fit_series(y, columns, days, precision, scale_guess=scale_guess, spread=spread, calm=calm)
    found: list[int] = []
    while len(found) < most_breaks and float(fit.weight @ fit.grid.q) > RESTLESS:
        day = _likeliest_break(y, columns, days, precision, fit, spread)
        if day is None:
            break
        wider = np.column_stack([columns, (days >= day).astype(float)])
        more = np.append(precision, break_precision)
        tried = fit_series(y, wider, days, more, scale_guess=scale_guess, spread=spread, calm=calm)
        odds = np.log(BREAKS_A_DAY) + tried.log_evidence - fit.log_evidence
        if odds < np.log(CERTAIN / (1 - CERTAIN)):
            break
        columns, precision, fit = wider, more, tried
        found.append(day)
    if prior_mean is not None:
        fit = fit.around(np.append(prior_mean, np.zeros(len(found))))
    return Settled(fit, tuple(found))


def spread_of_days(innovations: FloatArray) -> FloatArray | None:
    """Variance of each day's innovation over that of a usual day, shape [day]; None when all are of one kind.

    Parameters
    ----------
    innovations
        Of a quick fit, shape [day].

    Notes
    -----
    Days that lie out on one side mostly - promotions nobody logged - are no tail: their like will come again, and a
    level that left them out would lie beside the mean of the days to come. `ONE_SIDED` weighs a share of far days above
    that may be anything against a half.
    The weights of a t distribution at its likeliest scale: Lange, Little and Taylor (1989), JASA 84(408), section 3.
    """
    size = 1.4826 * float(np.median(np.abs(innovations)))
    if size <= 0:
        return None
    far = np.abs(innovations) > FAR * size
    above, below = int((innovations[far] > 0).sum()), int((innovations[far] < 0).sum())
    if above + below < max(FEWEST_FAR, SHARE_OF_FAR * innovations.size):
        return None
    if betaln(above + 1, below + 1) + (above + below) * np.log(2) > np.log(ONE_SIDED):
        return None
    square, scale = innovations**2, size**2
    for _ in range(20):
        scale = float(((TAIL_DF + 1) / (TAIL_DF + square / scale) * square).mean())
    return np.asarray((TAIL_DF + square / scale) / (TAIL_DF + 1))


def _likeliest_break(
    y: FloatArray,
    design: FloatArray,
    days: NDArray[np.int64],
    prior_precision: FloatArray,
    fit: SeriesFit,
    spread: FloatArray | None,
) -> int | None:
    """The day on which a steady level would most likely have broken; None when the history is too short."""
    if y.size < 4 * BESIDE:
        return None
    best = int(np.argmax(fit.weight))
    sums = np.concatenate([[0.0], np.cumsum(y - design @ fit.coefficients[best])])
    at = np.arange(BESIDE, y.size - BESIDE + 1)
    gap = np.abs(sums[at + BESIDE] - 2 * sums[at] + sums[at - BESIDE])
    middle = int(at[np.argmax(gap)])
    near = np.arange(max(middle - BESIDE // 2, 1), min(middle + BESIDE // 2 + 1, y.size))
    steps = (np.arange(y.size)[:, None] >= near[None, :]).astype(float)
    grid = Grid(fit.grid.phi[best : best + 1], np.array([STEADY]), np.zeros(1))
    gram = collapse(y, np.column_stack([design, steps]), days, grid, spread).gram[0]
    k = design.shape[1]
    inside = gram[:k, :k] + np.diag(prior_precision)
    rest = gram[k:, k:] - gram[k:, :k] @ np.linalg.solve(inside, gram[:k, k:])
    told = rest[:-1, -1] ** 2 / np.maximum(np.diag(rest)[:-1], 1e-12)
    return int(days[near[np.argmax(told)]])
