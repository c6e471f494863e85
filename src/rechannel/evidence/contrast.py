"""A window of days against the weeks around it, with the error that the same contrast had where nothing happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from rechannel.vocabulary.estimate import FloatArray

BASE_STEPS = 28
FEWEST_ELSEWHERE = 10
"""Placements without which the error of a contrast is not known."""
CONTRAST_DF = 5.0


@dataclass(frozen=True, slots=True)
class Contrast:
    """What came in a window over what the weeks around it let expect.

    Attributes
    ----------
    log_ratio
        Log of (came + .5) / (expected + .5).
    sd
        Of the log ratio where nothing happened: the spread of the same contrast elsewhere, and counting noise at least.
    came, expected
        Sums over the measured steps of the window.
    """

    log_ratio: float
    sd: float
    came: float
    expected: float

    def log_density(self, at: FloatArray | float) -> FloatArray:
        """Log density of this log ratio when the window really changed by `at` (log), a t with 5 degrees of freedom."""
        z = (self.log_ratio - np.asarray(at, dtype=float)) / self.sd
        norm = gammaln((CONTRAST_DF + 1) / 2) - gammaln(CONTRAST_DF / 2) - 0.5 * np.log(CONTRAST_DF * np.pi)
        return np.asarray(norm - np.log(self.sd) - (CONTRAST_DF + 1) / 2 * np.log1p(z * z / CONTRAST_DF))


def contrast(
    values: FloatArray, calendar: FloatArray, first: int, length: int, *, gap: int = 0, after: bool = False
) -> Contrast | None:
    """Compare a window with the four weeks before it, and after it when it ended.

    Parameters
    ----------
    values
        Amounts, shape [step], or [step, series] for a sum of several, each with a level and a calendar of its own;
        nan = not measured.
    calendar
        Log of the calendar's part, same shape.
    first, length
        The window.
    gap
        Steps left out on either side of the window's edges.
    after
        Whether the four weeks after the window count as usual, too.

    Returns
    -------
    Contrast, or None when the window or the weeks around it are not measured, or nowhere else is.
    """
    several, calendars = values.reshape(len(values), -1), calendar.reshape(len(values), -1)
    steps = len(values)
    measured = np.isfinite(several)
    start = np.zeros((1, several.shape[1]))
    amount = np.concatenate([start, np.cumsum(np.where(measured, several, 0.0), axis=0)])
    weight = np.concatenate([start, np.cumsum(np.where(measured, np.exp(calendars), 0.0), axis=0)])
    lowest, highest = BASE_STEPS + gap, steps - length - (BASE_STEPS + gap if after else 0)
    starts = np.arange(min(lowest, first), max(highest, first) + 1, dtype=np.intp)

    def between(total: FloatArray, low: NDArray[np.intp], high: NDArray[np.intp]) -> FloatArray:
        return np.asarray(total[np.clip(high, 0, steps)] - total[np.clip(low, 0, steps)])

    base_amount = between(amount, starts - gap - BASE_STEPS, starts - gap)
    base_weight = between(weight, starts - gap - BASE_STEPS, starts - gap)
    if after:
        end = starts + length + gap
        base_amount = base_amount + between(amount, end, end + BASE_STEPS)
        base_weight = base_weight + between(weight, end, end + BASE_STEPS)
    inside = between(weight, starts, starts + length)
    known = base_weight > 0
    expected = (np.where(known, base_amount / np.where(known, base_weight, 1.0), 0.0) * inside).sum(axis=1)
    good = np.asarray(known.any(axis=1) & (inside > 0).any(axis=1))
    came = between(amount, starts, starts + length).sum(axis=1)
    ratio = np.log((came + 0.5) / (expected + 0.5))
    here = int(first - starts[0])
    if not good[here]:
        return None
    reach = BASE_STEPS + gap + length
    apart = np.asarray(np.abs(starts - first) > reach) & good & (starts >= lowest) & (starts <= highest)
    if apart.sum() < FEWEST_ELSEWHERE:
        return None
    spread = 1.4826 * float(np.median(np.abs(ratio[apart])))
    sd = max(spread, 1 / np.sqrt(expected[here] + 0.5))
    return Contrast(float(ratio[here]), float(sd), float(came[here]), float(expected[here]))
