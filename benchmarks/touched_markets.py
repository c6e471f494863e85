"""What journeys add to a forecast: the same made markets asked with and without touches, with and without hosts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rechannel.answers.answer import Answer, Provenance
from rechannel.answers.closure import ClosureQuestion, Surrounds, answer_closure
from rechannel.answers.money import Money
from rechannel.answers.ties import TiesBefore
from rechannel.case import Case
from rechannel.evidence.ties import Ties
from rechannel.lab.play import Plan, case_of
from rechannel.lab.said import Record, rows_of
from rechannel.lab.scores import covered, weighted_interval_score
from rechannel.lab.specs import WorldSpec
from rechannel.lab.targets import FAMILIES, Facts, facts_of
from rechannel.lab.worlds import make_world
from rechannel.vocabulary.estimate import LEVELS, FloatArray

SEED = 7103
TOUCHES = 250_000
HORIZON = 30
SMALLEST_CELL = 0.01
"""Cells of the true row below this share of what was retained say nothing about log weights."""
FEWEST_RETAINED = 0.1
RESAMPLES = 500
HOSTS = ("stated", "hidden")


@dataclass(frozen=True, slots=True)
class Cells:
    """One row of truth beside what was known of it, one entry per other channel.

    Attributes
    ----------
    moved
        Log of the true weight less log of the share of visits.
    lift, beside
        Log lift; 1 where host or kind is the closed channel's.
    """

    moved: FloatArray
    lift: FloatArray
    beside: FloatArray


def run(markets: int) -> dict[str, object]:
    """Ask every market four times; then compare scores, and fit the factor of lifts by hand.

    Parameters
    ----------
    markets
        In the order of `lab.play.Plan`.
    """
    plan = Plan(markets=markets, seed=SEED, touches=TOUCHES)
    records: dict[tuple[str, bool], list[Record]] = {(hosts, told): [] for hosts in HOSTS for told in (False, True)}
    cells: list[Cells] = []
    for spec in plan.specs():
        with tempfile.TemporaryDirectory() as folder:
            world = make_world(spec, touches=TOUCHES)
            other = make_world(replace(spec, future=spec.future + 1)).truth
            facts = facts_of(world, "closure", plan.horizons, other)
            case = case_of(world, plan, Path(folder) / "market")
            journeys = TiesBefore(case.folder, case.config.seed)
            for hosts, told in records:
                answer = asked(case, spec, plan.horizons, journeys if told else None, with_hosts=hosts == "stated")
                records[hosts, told].append(Record(facts, rows_of(answer)))
            row = cells_of(case, spec, facts, journeys)
            if row is not None:
                cells.append(row)
    return {
        "seed": SEED,
        "markets": markets,
        "touches": TOUCHES,
        "scores": {hosts: compared(records[hosts, False], records[hosts, True]) for hosts in HOSTS},
        "factor": factors(cells),
    }


def asked(
    case: Case, spec: WorldSpec, horizons: tuple[int, ...], journeys: TiesBefore | None, *, with_hosts: bool
) -> Answer:
    """The closure of the market as its shop would ask it."""
    severity = spec.knobs.severity
    question = ClosureQuestion(spec.closing, spec.on, horizons, None, severity, spec.announced)
    channels = case.config.channels if with_hosts else ()
    around = Surrounds(case.events, channels, case.public.rivals, journeys)
    stamp = Provenance("benchmark", case.config.seed, "0" * 64, "")
    return answer_closure(case.panel, around, question, Money(spec.currency), stamp)


def compared(without: Sequence[Record], told: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Per family: geometric mean of score with journeys over score without, its standard error, and coverages."""
    found: dict[str, dict[str, float]] = {}
    groups = {"": (True, False), " identified": (True,), " elsewhere": (False,)}
    for family in ("all", *FAMILIES):
        for group, chosen in groups.items():
            pairs = [
                (scored(one, family), scored(other, family))
                for one, other in zip(without, told, strict=True)
                if one.facts.is_identified in chosen
            ]
            both = [(one, other) for one, other in pairs if one is not None and other is not None]
            ratios = np.log([other[0] / one[0] for one, other in both if one[0] > 0 and other[0] > 0])
            if ratios.size < 2:
                continue
            found[f"{family}{group}"] = {
                "markets": int(ratios.size),
                "ratio": round(float(np.exp(ratios.mean())), 4),
                "se": round(float(ratios.std(ddof=1) / np.sqrt(ratios.size)), 4),
                "covers_without": round(float(np.mean(np.concatenate([one[1] for one, _ in both]))), 3),
                "covers_with": round(float(np.mean(np.concatenate([other[1] for _, other in both]))), 3),
            }
    return found


def scored(record: Record, family: str) -> tuple[float, NDArray[np.bool_]] | None:
    """Mean scaled score of a family's answered targets, and whether each 90 % interval held; None without any."""
    truths, spreads = [], []
    for target in record.facts.targets:
        said = record.said.get(target.key)
        if said is not None and said.quantiles is not None and family in ("all", target.family):
            truths.append(target.truth / target.scale)
            spreads.append(np.array(said.quantiles) / target.scale)
    if not truths:
        return None
    truth, quantiles = np.array(truths), np.array(spreads).reshape(-1, len(LEVELS))
    return float(weighted_interval_score(truth, quantiles).total.mean()), covered(truth, quantiles, 0.9)


def cells_of(case: Case, spec: WorldSpec, facts: Facts, journeys: TiesBefore) -> Cells | None:
    """The true row of the closed channel beside its lifts; None where too little came back or nothing is known."""
    ties = journeys.before(spec.announced or spec.on, case.panel.channels)
    truth = {one.channel: one.truth for one in facts.targets if (one.metric, one.horizon) == ("diversion", HORIZON)}
    kept = [one.truth for one in facts.targets if (one.metric, one.horizon) == ("retained_own", HORIZON)]
    if not isinstance(ties, Ties) or not kept or kept[0] < FEWEST_RETAINED or spec.closing not in ties.ways:
        return None
    at = case.panel.channel_index(spec.closing)
    entries = {entry.name: entry for entry in spec.entries}
    own = entries[spec.closing]
    visits = facts.recent.others
    moved, lift, beside = [], [], []
    for index, name in enumerate(case.panel.channels):
        weight = truth.get(name, 0.0) / kept[0]
        if index == at or weight < SMALLEST_CELL or visits.get(name, 0.0) <= 0:
            continue
        moved.append(np.log(weight) - np.log(visits[name]))
        lift.append(ties.lifts[at, index])
        same = entries[name].kind == own.kind or (own.host != "own" and entries[name].host == own.host)
        beside.append(float(same))
    return Cells(*(np.array(part) - np.mean(part) for part in (moved, lift, beside))) if len(moved) > 1 else None


def factors(cells: Sequence[Cells]) -> dict[str, dict[str, float]]:
    """Factor of lifts by least squares over all cells, alone and beside one for the same host or kind."""

    def fitted(chosen: Sequence[Cells], names: Sequence[str]) -> FloatArray:
        columns = np.stack([np.concatenate([getattr(one, name) for one in chosen]) for name in names], axis=1)
        moved = np.concatenate([one.moved for one in chosen])
        return np.asarray(np.linalg.lstsq(columns, moved, rcond=None)[0])

    rng = np.random.default_rng(SEED)
    draws = rng.integers(0, len(cells), (RESAMPLES, len(cells)))
    found: dict[str, dict[str, float]] = {}
    for label, names in (("alone", ["lift"]), ("beside hosts", ["lift", "beside"])):
        whole = fitted(cells, names)
        spread = np.std([fitted([cells[index] for index in draw], names) for draw in draws], axis=0)
        found[label] = {"markets": len(cells), "lift": round(float(whole[0]), 2), "lift_se": round(float(spread[0]), 2)}
        if len(names) > 1:
            found[label] |= {"same": round(float(whole[1]), 2), "same_se": round(float(spread[1]), 2)}
    return found
