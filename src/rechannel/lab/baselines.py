"""The opponents of the scoreboard: three points, a fixed prior, and the lab's own climatology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, cast, get_args

import numpy as np

from rechannel.lab.targets import Facts, Recent, Target
from rechannel.lab.worlds import TruthMetric
from rechannel.vocabulary.estimate import LEVELS, FloatArray

Opponent = Literal["zero", "proportional", "half", "prior", "climatology"]
OPPONENTS: tuple[Opponent, ...] = get_args(Opponent)

FEWEST_WORLDS = 5
"""Below this many other markets there is no climatology."""

REMOVED_SPREAD = 0.10
RETAINED, RETAINED_SPREAD = 0.33, 0.15
RIVALS, RIVALS_SPREAD = 0.11, 0.06
NET_LOSS: Mapping[str, tuple[float, float]] = {
    "net_loss_visits": (0.67, 0.15),
    "net_loss_new_customers": (0.67, 0.15),
    "net_loss_orders": (0.60, 0.17),
    "net_loss_gmv": (0.60, 0.17),
}
"""Mean and spread of the fixed prior, as shares of last touch or of removed visits (design, section 8)."""

_NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])


@dataclass(frozen=True, slots=True)
class Split:
    """Where an opponent sends removed visits: shares that own channels, rivals and nobody get."""

    own: float
    rivals: float

    @property
    def outside(self) -> float:
        return 1 - self.own - self.rivals


def _part(target: Target, recent: Recent) -> float:
    """A destination's share of its own kind (own channels, or rivals) by recent visits."""
    visits = recent.rivals if target.is_rival else recent.others
    whole = sum(visits.values())
    return visits.get(target.channel or "", 0.0) / whole if whole > 0 else 0.0


def _last_touch(target: Target, recent: Recent) -> float:
    """What the closed channel would be credited with in the window at its recent pace."""
    metric = "visits" if target.metric == "visits_removed" else target.metric.removeprefix("net_loss_")
    return recent.last_touch[cast(TruthMetric, metric)] * target.horizon * recent.severity


def point(target: Target, recent: Recent, opponent: Opponent) -> float:
    """What one of the three point forecasts says, in the unit of the target.

    `zero`: nobody finds another way, all is lost outside. `proportional`: visits go to own channels and rivals by their
    recent visits, none outside. `half`: half stay with own channels by recent visits, a quarter goes to rivals. Net
    losses of all metrics are the share that does not stay, of last touch.
    """
    split = {"zero": Split(0.0, 0.0), "half": Split(0.5, 0.25)}.get(opponent) or _proportional(recent)
    if target.metric == "visits_removed":
        return _last_touch(target, recent)
    if target.metric.startswith("net_loss_"):
        return (1 - split.own) * _last_touch(target, recent)
    if target.metric == "diversion":
        return (split.rivals if target.is_rival else split.own) * _part(target, recent)
    return {"retained_own": split.own, "to_rivals": split.rivals, "lost_outside": split.outside}[target.metric]


def _proportional(recent: Recent) -> Split:
    own, rivals = sum(recent.others.values()), sum(recent.rivals.values())
    whole = own + rivals
    return Split(own / whole, rivals / whole) if whole > 0 else Split(0.0, 0.0)


def prior_quantiles(target: Target, recent: Recent) -> FloatArray:
    """The fixed prior, shape [level], in the unit of the target; normal, so that it may leave [0, 1]."""
    if target.metric == "visits_removed":
        mean = _last_touch(target, recent)
        spread = REMOVED_SPREAD * mean
    elif target.metric in NET_LOSS:
        share, error = NET_LOSS[target.metric]
        mean, spread = share * _last_touch(target, recent), error * _last_touch(target, recent)
    elif target.metric == "diversion":
        part = _part(target, recent)
        share, error = (RIVALS, RIVALS_SPREAD) if target.is_rival else (RETAINED, RETAINED_SPREAD)
        mean, spread = share * part, error * part
    else:
        mean, spread = {
            "retained_own": (RETAINED, RETAINED_SPREAD),
            "to_rivals": (RIVALS, RIVALS_SPREAD),
            "lost_outside": (1 - RETAINED - RIVALS, float(np.hypot(RETAINED_SPREAD, RIVALS_SPREAD))),
        }[target.metric]
    return np.asarray(mean + spread * _NORMAL)


def climatology(markets: Sequence[Facts]) -> list[FloatArray]:
    """Leave-one-market-out quantiles of truth over scale, per metric, kind of destination and horizon.

    Returns
    -------
    list of arrays
        For each market, shape [target, level], over the scale of the target; nan when fewer than 5 others tell.
    """
    pools: dict[tuple[str, bool, int], list[tuple[int, float]]] = {}
    for index, facts in enumerate(markets):
        for target in facts.targets:
            pool = pools.setdefault((target.metric, target.is_rival, target.horizon), [])
            pool.append((index, target.truth / target.scale))
    arrays = {key: (np.array([i for i, _ in pool]), np.array([v for _, v in pool])) for key, pool in pools.items()}
    out = []
    for index, facts in enumerate(markets):
        rows = np.full((len(facts.targets), len(LEVELS)), np.nan)
        known: dict[tuple[str, bool, int], FloatArray] = {}
        for at, target in enumerate(facts.targets):
            key = (target.metric, target.is_rival, target.horizon)
            if key not in known:
                owner, values = arrays[key]
                others = values[owner != index]
                enough = len(np.unique(owner[owner != index])) >= FEWEST_WORLDS
                known[key] = np.quantile(others, LEVELS) if enough else np.full(len(LEVELS), np.nan)
            rows[at] = known[key]
        out.append(rows)
    return out
