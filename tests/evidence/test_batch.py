"""Many series at once: one process or two give the same numbers, in the order asked."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import null_series

from rechannel.evidence.batch import SeriesTask, forecast_many


def task(number: int, days: int) -> SeriesTask:
    made = null_series.make_series(null_series.CELLS[1], number, pre=days, post=14)
    before = np.arange(made.pre, dtype=np.int64)
    after = np.arange(made.pre, made.y.size, dtype=np.int64)
    columns = made.columns
    return SeriesTask(
        made.y[: made.pre],
        columns[: made.pre],
        before,
        null_series.prior_precision(made),
        1.0,
        columns[made.pre :],
        after,
        np.full((1, after.size), 1 / after.size),
    )


@pytest.mark.slow
def test_two_processes_give_what_one_does() -> None:
    tasks = [task(number, 60 + number) for number in range(30)]
    alone, both = forecast_many(tasks, workers=1), forecast_many(tasks, workers=2)
    assert len(alone) == len(both) == 30
    for one, other in zip(alone, both, strict=True):
        assert one.location == pytest.approx(other.location, rel=1e-12)
        assert one.scale == pytest.approx(other.scale, rel=1e-12)


def test_few_series_stay_in_this_process() -> None:
    found = forecast_many([task(1, 70), task(2, 90)])
    assert [one.location.shape for one in found] == [(1,), (1,)]
    assert forecast_many([]) == []
