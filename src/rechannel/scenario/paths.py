"""The open and the closed path day by day: the channel itself, and all own channels together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rechannel.scenario.do import removed_share
from rechannel.scenario.interventions import Demote
from rechannel.vocabulary.estimate import LEVELS, FloatArray
from rechannel.world.demand import Demand
from rechannel.world.fitted import World

HISTORY_DAYS = 120


@dataclass(frozen=True, slots=True)
class Course:
    """Visits a day of one series; quantiles at `LEVELS`.

    Attributes
    ----------
    channel
        None = all own channels.
    days
        Day numbers: history, then the window, shape [day].
    observed
        Shape [day]; nan from D on.
    open_path, closed_path, cumulative
        Shape [day, level]; nan before D. `cumulative` is open - closed summed from D.
    """

    channel: str | None
    days: NDArray[np.int64]
    observed: FloatArray
    open_path: FloatArray
    closed_path: FloatArray
    cumulative: FloatArray


def courses(world: World, demand: Demand, intervention: Demote, length: int) -> tuple[Course, Course]:
    """Both paths of visits for the channel and for the total, `length` rows from D on."""
    diversion = world.diversion
    at = diversion.surroundings.channels.index(intervention.channel)
    share = removed_share(world, intervention)[:, None]
    step = world.panel.step
    rows = list(range(length))
    daily = demand.windows("visits", rows, [1] * length)
    running = demand.windows("visits", [0] * length, [row + 1 for row in rows])
    days: FloatArray = step * (np.arange(length, dtype=np.float64) + 0.5)
    so_far: FloatArray = step * np.arange(1, length + 1, dtype=np.float64)
    removed = share * daily.own
    lost = removed * (1.0 - diversion.kept_on(at, days))
    spill = diversion.spill[:, at].sum(axis=1)[:, None]
    lost_so_far = share * running.own * (1.0 - diversion.kept(at, so_far) - spill)
    history = np.arange(max(0, demand.start - HISTORY_DAYS // step), demand.start, dtype=np.int64)
    own_values, rest = demand.own.values, demand.rest
    total_values = own_values if rest is None else own_values + rest.values
    return (
        _course(intervention.channel, history, own_values, daily.own, removed, share * running.own),
        _course(None, history, total_values, daily.total, lost, lost_so_far),
    )


def _course(
    channel: str | None,
    history: NDArray[np.int64],
    values: FloatArray,
    opened: FloatArray,
    lost: FloatArray,
    lost_so_far: FloatArray,
) -> Course:
    before, length = history.size, opened.shape[1]
    start = int(history[-1]) + 1

    def levels(draws: FloatArray) -> FloatArray:
        out = np.full((before + length, len(LEVELS)), np.nan)
        out[before:] = np.quantile(draws, LEVELS, axis=0).T
        return out

    observed = np.full(before + length, np.nan)
    known = history < values.size
    observed[:before][known] = values[history[known]]
    days = np.concatenate([history, np.arange(start, start + length, dtype=np.int64)])
    return Course(channel, days, observed, levels(opened), levels(opened - lost), levels(lost_so_far))
