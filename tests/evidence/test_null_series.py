"""A tenth of `python -m benchmarks null`: 100 null series a cell; the 90 % interval must cover as binomials allow.

The long run must cover .86-.95 of 1,000 a cell; here the bars are those ends moved by 2.6 binomial standard errors at
n = 100 (one failure in about 200 honest runs); seeds are fixed, so a pass is a pass until the engine changes.
"""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import null_series

PER_CELL = 100
LOWEST, HIGHEST = 0.86, 0.95
ERRORS = 2.6


@pytest.mark.slow
@pytest.mark.parametrize("cell", null_series.CELLS, ids=lambda cell: cell.name)
def test_nine_of_ten_null_intervals_cover_zero(cell: null_series.Cell) -> None:
    series = [null_series.make_series(cell, number) for number in range(PER_CELL)]
    ours = [null_series.measure_null(one) for one in series]
    best = [null_series.oracle(one, cell) for one in series]
    covered = sum(one.covers for one in ours)
    slack = [ERRORS * (bar * (1 - bar) / PER_CELL) ** 0.5 for bar in (LOWEST, HIGHEST)]
    assert PER_CELL * (LOWEST - slack[0]) <= covered <= min(PER_CELL * (HIGHEST + slack[1]), PER_CELL)
    assert np.median([one.width for one in ours]) <= 1.3 * np.median([one.width for one in best])


def test_the_true_controls_are_found() -> None:
    """Coefficients .6 and .4 of the first two controls and none of the third, inside 4 posterior sd."""
    for number in range(10):
        made = null_series.make_series(null_series.CELLS[1], number)
        fit = null_series.fit(made).fit
        mean = fit.weight @ fit.coefficients
        best = int(np.argmax(fit.weight))
        sd = np.sqrt(np.diag(fit.rate[best] * fit.factor[best] @ fit.factor[best].T))
        scale = made.unscaled_sd
        truth = np.array([0.6, 0.4, 0.0]) * scale
        assert (np.abs(mean[-3:] - truth) < 4 * sd[-3:]).all(), number


def test_one_fit_stays_cheap() -> None:
    """Far above the benchmark's 5-6 ms, so that a busy machine passes and a tenfold loss does not."""
    assert null_series.fit_cost(repeats=5)["fit_cpu_ms_median"] < 40
