"""What a made market is scored on: the true value of every number a question must give, and what its data can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa

from rechannel.lab.specs import Happening, WorldSpec
from rechannel.lab.worlds import MadeWorld, Truth, TruthMetric
from rechannel.vocabulary.estimate import FloatArray

HORIZONS = (30, 90, 180)
RECENT_DAYS = 28
FEWEST_OUTAGE_DAYS = 3
SMALLEST_SHARE = 0.05
STRONG, WEAK = 0.1, 0.3
"""Expected standard errors of the retained share below and above which the evidence is called strong and weak."""

Question = Literal["closure", "impact"]
Family = Literal["removed", "visits", "customers", "sales", "destinations", "diversion"]
FAMILIES: tuple[Family, ...] = get_args(Family)
COUNTS: tuple[TruthMetric, ...] = ("visits", "orders", "gmv", "new_customers")
Key: TypeAlias = tuple[str, str | None, int]
"""Metric, channel and horizon of a row of an answer."""

_FAMILY: Mapping[str, Family] = {
    "visits_removed": "removed",
    "net_loss_visits": "visits",
    "net_loss_new_customers": "customers",
    "net_loss_orders": "sales",
    "net_loss_gmv": "sales",
    "retained_own": "destinations",
    "to_rivals": "destinations",
    "lost_outside": "destinations",
    "diversion": "diversion",
}
LARGE_LOSS = 0.05
"""Share of a shop's open visits from which a net loss is large: it should be found within a month."""


@dataclass(frozen=True, slots=True)
class Target:
    """One number that is asked for.

    Attributes
    ----------
    metric, channel, horizon
        As in the rows of an answer; channel is set on diversion only.
    truth
        In the unit of the metric.
    scale
        The closed channel's last-touch value of the same metric: its mean of the last 28 days before D times the
        horizon; 1 for shares. It is known before D, so that truth over scale is a fair climatology.
    is_rival
        Whether `channel` is a rival.
    is_allowed
        Whether the data hold what the number needs.
    other
        The truth of the same market with other chance from D on; nan = not lived.
    """

    metric: str
    channel: str | None
    horizon: int
    truth: float
    scale: float = 1.0
    is_rival: bool = False
    is_allowed: bool = True
    other: float = float("nan")

    @property
    def key(self) -> Key:
        return self.metric, self.channel, self.horizon

    @property
    def family(self) -> Family:
        return _FAMILY[self.metric]


@dataclass(frozen=True, slots=True)
class Recent:
    """The last 28 days before D in the shop's books: all that the fixed opponents know.

    Attributes
    ----------
    last_touch
        Metric -> the closed channel's amount a day.
    others
        Visits a day of every other own channel.
    rivals
        Visits a day of every rival, in visits of the shop; empty when no panel tells.
    severity
        Of the intervention that is asked about.
    """

    last_touch: Mapping[TruthMetric, float]
    others: Mapping[str, float]
    rivals: Mapping[str, float]
    severity: float


@dataclass(frozen=True, slots=True)
class Facts:
    """One market as the scoreboard sees it, apart from what was answered.

    Attributes
    ----------
    kind, seed, question
        What was asked of which market.
    targets
        Numbers to score; shares are left out when nothing was removed.
    recent
        What the opponents know.
    is_identified
        Own logged outage of at least 3 days, on a channel with at least 5 % of visits, or a geo test; the question
        impact needs only the share, for its event lies in the data.
    expected_error
        Standard error of the retained share that the own outages and tests allow at best; inf without any.
    is_placebo
        Nothing happened on D.
    large_losses
        Horizons over which the shop really lost at least `LARGE_LOSS` of its open visits.
    """

    kind: str
    seed: int
    question: Question
    targets: tuple[Target, ...]
    recent: Recent
    is_identified: bool
    expected_error: float
    is_placebo: bool
    large_losses: frozenset[int] = frozenset()


def facts_of(
    world: MadeWorld,
    question: Question = "closure",
    horizons: tuple[int, ...] = HORIZONS,
    other: Truth | None = None,
) -> Facts:
    """Targets, opponents' knowledge and evidence of a market.

    Parameters
    ----------
    other
        Truth of another future of the same market, for the noise of the truth itself.
    """
    spec, truth = world.spec, world.truth
    recent = _recent(world)
    past = truth.closed["visits"][: truth.on_index]
    share = past[:, spec.closing_index].sum() / past.sum()
    instances = own_instances(spec)
    large = bool(share >= SMALLEST_SHARE)
    targets = [target for horizon in horizons for target in targets_at(truth, horizon, recent)]
    if other is not None:
        again = {target.key: target.truth for horizon in horizons for target in targets_at(other, horizon, recent)}
        targets = [replace(target, other=again.get(target.key, float("nan"))) for target in targets]
    tested = any(row.kind == "test" for row in instances)
    return Facts(
        kind=spec.kind,
        seed=spec.seed,
        question=question,
        targets=tuple(targets),
        recent=recent,
        is_identified=tested or (large and (question == "impact" or bool(instances))),
        expected_error=expected_error(spec, past, instances),
        is_placebo=spec.knobs.severity == 0,
        large_losses=frozenset(horizon for horizon in horizons if _lost(truth, horizon) >= LARGE_LOSS),
    )


def _lost(truth: Truth, horizon: int) -> float:
    """Net loss of visits as a share of all open visits of the shop."""
    return truth.net_loss("visits", horizon) / float(truth.open["visits"][truth.on_index :][:horizon].sum())


def targets_at(truth: Truth, horizon: int, recent: Recent) -> list[Target]:
    """All targets of one horizon. Metrics without a single last touch in the last 28 days are left out."""
    credited = {metric: recent.last_touch[metric] * horizon for metric in COUNTS}
    if credited["visits"] <= 0:
        return []
    removed = truth.removed(horizon)
    rows = [Target("visits_removed", None, horizon, removed, credited["visits"])]
    rows += [
        Target(f"net_loss_{metric}", None, horizon, truth.net_loss(metric, horizon), credited[metric])
        for metric in COUNTS
        if credited[metric] > 0
    ]
    if removed < 1:
        return rows
    seen = bool(recent.rivals)
    rows += [
        Target("retained_own", None, horizon, truth.retained(horizon)),
        Target("to_rivals", None, horizon, truth.to_rivals(horizon) / removed, is_allowed=seen),
        Target("lost_outside", None, horizon, truth.lost_outside(horizon) / removed, is_allowed=seen),
    ]
    for name, value in truth.diversion(horizon).items():
        if name != "outside":
            rival = name in truth.rivals
            rows.append(Target("diversion", name, horizon, value, is_rival=rival, is_allowed=seen or not rival))
    return rows


def _recent(world: MadeWorld) -> Recent:
    """Means of the last 28 days of the books on the eve of D."""
    spec, truth = world.spec, world.truth
    own, days = spec.closing_index, slice(truth.on_index - RECENT_DAYS, truth.on_index)
    visits = truth.closed["visits"][days].mean(axis=0)
    return Recent(
        last_touch={metric: float(truth.closed[metric][days, own].mean()) for metric in COUNTS},
        others={name: float(visits[at]) for at, name in enumerate(spec.channels) if at != own},
        rivals=_rival_visits(world.before()["rivals"], float(visits.sum())),
        severity=spec.knobs.severity,
    )


def _rival_visits(table: pa.Table, own_visits: float) -> dict[str, float]:
    """Rivals' visits a day on the scale of the shop, from the last month of the panel."""
    rows = [row for row in table.to_pylist() if row["metric"] == "visits"]
    if not rows:
        return {}
    last = max(row["date"] for row in rows)
    values = {row["firm"]: row["value"] for row in rows if row["date"] == last}
    base = values.pop("self", 0.0)
    return {firm: own_visits * value / base for firm, value in values.items()} if base > 0 else {}


def own_instances(spec: WorldSpec) -> tuple[Happening, ...]:
    """Logged outages of at least 3 days and tests of the closing channel before D."""
    return tuple(
        row
        for row in spec.happenings
        if row.kind in ("outage", "test")
        and row.logged
        and spec.closing in row.channels
        and row.end < spec.on
        and (row.end - row.start).days + 1 >= FEWEST_OUTAGE_DAYS
    )


def expected_error(spec: WorldSpec, past: FloatArray, instances: tuple[Happening, ...]) -> float:
    """How well the own outages and tests could tell the retained share, by the noise of the books alone.

    The spread of (total visits of a window - mean of the windows before and after), over all windows of the outage's
    length outside dated happenings, over the visits that the outage removed; outages add up by inverse variance. In a
    geo test the untouched markets carry the noise that is common, which this bound ignores.

    Parameters
    ----------
    past
        Visits before D, shape [date, channel].

    Returns
    -------
    float
        A standard error in shares; inf without an instance.
    """
    total, own = past.sum(axis=1), past[:, spec.closing_index]
    dated = np.zeros(len(total), dtype=bool)
    for row in spec.happenings:
        if row.kind in ("outage", "test", "promo", "holiday"):
            dated[max(spec.index_of(row.start), 0) : spec.index_of(row.end) + 1] = True
    precision = 0.0
    for row in instances:
        days = (row.end - row.start).days + 1
        flank = 7 * -(-days // 7)
        starts = np.arange(flank, len(total) - days - flank)
        sums, marks = np.concatenate([[0.0], np.cumsum(total)]), np.concatenate([[0], np.cumsum(dated)])
        clean = starts[marks[starts + days + flank] == marks[starts - flank]]
        if len(clean) < 10:
            continue
        around = (sums[clean] - sums[clean - flank] + sums[clean + days + flank] - sums[clean + days]) / (2 * flank)
        gaps = (sums[clean + days] - sums[clean]) / days - around
        touched = row.severity * (len(row.markets) / len(spec.markets) if row.markets else 1.0)
        removed = touched * float(own[~dated].mean())
        precision += (removed / max(float(gaps.std()), 1e-9)) ** 2
    return float("inf") if precision == 0 else float(precision**-0.5)


def evidence_class(error: float) -> str:
    """`strong`, `middling`, `weak` or `none`."""
    if not np.isfinite(error):
        return "none"
    return "strong" if error < STRONG else "weak" if error > WEAK else "middling"
