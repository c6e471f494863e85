"""Findings made to order, and the surroundings they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from rechannel.evidence.finding import Finding
from rechannel.vocabulary.channel import EventKind, Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.vocabulary.grade import Grade
from rechannel.world.diversion import Surroundings
from rechannel.world.priors import Normal, Priors

START = date(2024, 3, 1)
EXACT = replace(
    Priors(),
    surplus=1e-4,
    spill=1e-4,
    bias=1e-4,
    learning=Normal(0.0, 1e-4),
    deferral_outage=Normal(-12.0, 0.01),
    deferral_lasting=Normal(-12.0, 0.01),
)
"""Nothing but the row itself stands between a finding and its channel."""


def around(
    *shares: float, hosts: tuple[str, ...] = (), rivals: int = 2, yields: Mapping[Metric, FloatArray] | None = None
) -> Surroundings:
    sizes = np.array(shares)
    empty = ("",) * sizes.size
    return Surroundings(
        channels=tuple(f"c{k}" for k in range(sizes.size)),
        shares=sizes / sizes.sum(),
        hosts=hosts or empty,
        kinds=empty,
        yields=yields or {},
        rivals=tuple(f"r{k}" for k in range(rivals)),
        rival_sizes=np.arange(1.0, rivals + 1),
    )


def made_finding(
    channels: tuple[str, ...],
    channel: str,
    row: Mapping[str, float],
    *,
    removed: float = 1e5,
    sd: float = 20.0,
    kind: EventKind = "outage",
    deferred: float = 0.0,
    rebound: float | None = None,
    yield_change: float | None = None,
    clear: bool = True,
) -> Finding:
    """A week in which `channel` lost `removed` visits, of which `row` went to the others, the deferred part aside."""
    gains = np.array(
        [-removed if name == channel else removed * (1 - deferred) * row.get(name, 0.0) for name in channels]
    )
    change: dict[Metric, float] = {} if yield_change is None else {"orders": yield_change}
    return Finding(
        channel=channel,
        kind=kind,
        start=START,
        end=START + timedelta(days=6),
        severity=1.0,
        notice_days=0,
        channels=channels,
        gains=gains,
        gains_covariance=sd**2 * np.eye(len(channels)),
        rebound=0.0 if rebound is None else rebound * removed,
        rebound_variance=float("inf") if rebound is None else sd**2,
        rebound_covariance=np.zeros(len(channels)),
        removed=removed,
        open_own=removed,
        open_rest=3 * removed,
        yield_change=change,
        yield_variance=dict.fromkeys(change, 1e-6),
        yield_of_rest=dict.fromkeys(change, 1.0),
        grade_cap=Grade.B,
        clear=clear,
    )
