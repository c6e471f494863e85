"""Many series at once: the same forecast for each, over all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.forecast import Forecast, forecast
from rechannel.evidence.grid import Grid
from rechannel.evidence.series import SeriesFit, fit_series
from rechannel.vocabulary.estimate import FloatArray

FEWEST_FOR_A_PROCESS = 200
"""Series for which a second process is worth its start."""
PART = 25


@dataclass(frozen=True, slots=True)
class SeriesTask:
    """One series and the windows to predict.

    Attributes
    ----------
    y, design, days, prior_precision, scale_guess
        As in `series.fit_series`.
    coming_design, coming_days, windows
        As in `series.forecast`.
    grid
        Points to use; None = found by a walk.
    """

    y: FloatArray
    design: FloatArray
    days: NDArray[np.int64]
    prior_precision: FloatArray
    scale_guess: float
    coming_design: FloatArray
    coming_days: NDArray[np.int64]
    windows: FloatArray
    grid: Grid | None = None

    def fitted(self) -> SeriesFit:
        """The fit."""
        return fit_series(
            self.y, self.design, self.days, self.prior_precision, grid=self.grid, scale_guess=self.scale_guess
        )

    def predicted(self) -> Forecast:
        """The fit's prediction of the windows."""
        return forecast(self.fitted(), self.coming_design, self.coming_days, self.windows)


def forecast_many(tasks: Sequence[SeriesTask], *, workers: int | None = None) -> list[Forecast]:
    """Predict the windows of many series.

    Parameters
    ----------
    tasks
        The series, in any mixture of lengths and designs.
    workers
        Processes; None = one per core when there are enough series, else this one alone.

    Returns
    -------
    list of Forecast
        In the order of the tasks, and the same for any number of processes.

    Examples
    --------
    >>> days = np.arange(60)
    >>> y = 10 + np.sin(days)
    >>> task = SeriesTask(y, np.zeros((60, 0)), days, np.empty(0), 1.0, np.zeros((7, 0)), days[-1] + 1 + days[:7],
    ...                   np.full((1, 7), 1 / 7))
    >>> bool(forecast_many([task])[0].quantile(0.05)[0] < 10 < forecast_many([task])[0].quantile(0.95)[0])
    True
    """
    if workers is None:
        workers = (os.cpu_count() or 1) if len(tasks) >= FEWEST_FOR_A_PROCESS else 1
    if workers == 1:
        return [task.predicted() for task in tasks]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(SeriesTask.predicted, tasks, chunksize=PART))
