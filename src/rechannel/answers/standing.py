"""How a forecast number stands: the best grade its evidence allows, the checks that cap it, and what is assumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from rechannel.answers.answer import Check, EvidenceItem
from rechannel.answers.ties import ties_evidence
from rechannel.evidence.placebo import coverage_slack
from rechannel.scenario.do import Outcome
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.vocabulary.grade import SMALLEST_CONTRACTION, Grade, worst
from rechannel.world.fitted import World
from rechannel.world.laplace import LARGEST_DRIFT

INSIDE_90 = 1.6449
MATERIAL = 0.25
"""Share of a loss's variance from which a failed check of the forecast caps its grade."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the evidence about one channel allows.

    Attributes
    ----------
    cap
        Best grade of a number that needs to know where visits go.
    reasons
        Why it is not higher.
    checks
        Shown whether passed or not.
    evidence
        Findings used, and the starting range.
    """

    cap: Grade
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    evidence: tuple[EvidenceItem, ...]

    def grade(self, contraction: float | None, *caps: Grade) -> tuple[Grade, tuple[str, ...]]:
        """Grade and reasons of a number whose latent quantity the data narrowed by `contraction`."""
        if contraction is not None and contraction < SMALLEST_CONTRACTION:
            return Grade.D, (*self.reasons, "little_contraction")
        return worst(self.cap, *caps), self.reasons


def grade_of_loss(
    standing: Standing, outcome: Outcome, metric: Metric, narrowed: float, failed: tuple[str, ...], *, is_split: bool
) -> tuple[Grade, tuple[str, ...]]:
    """Grade and reasons of a net loss.

    Parameters
    ----------
    narrowed
        Contraction of the share lost.
    failed
        Checks of the forecast that failed; they cap at C where the open path, and not where visits go, makes a material
        part of the loss's variance.
    is_split
        The metric is only known for the whole shop.
    """
    grade, reasons = standing.grade(narrowed)
    if is_split:
        return Grade.D, (*reasons, "declared_split")
    by_forecast = float(np.median(outcome.latent[metric])) * outcome.credited[metric]
    if failed and float(by_forecast.var()) > MATERIAL * float(outcome.net_loss[metric].var()):
        return worst(grade, Grade.C), (*reasons, *failed)
    return grade, reasons


def contraction(posterior: FloatArray, prior: FloatArray) -> float:
    """1 - posterior over prior variance of a latent quantity, not below 0."""
    before = float(prior.var())
    return max(0.0, 1.0 - float(posterior.var()) / before) if before > 0 else 0.0


def standing_of(world: World, channel: str) -> Standing:
    """Grade cap, checks and evidence for numbers about one channel's diversion."""
    own = world.findings_on(channel)
    strong = [finding for finding in own if finding.grade_cap in (Grade.A, Grade.B)]
    clear = [finding for finding in world.findings if finding.clear] if world.diversion.left_out else []
    if strong and clear:
        cap, reasons = min(finding.grade_cap for finding in strong), []
    elif clear:
        cap, reasons = Grade.C, ["other_channels_only" if not own else "short_outage"]
    else:
        cap, reasons = Grade.D, ["no_evidence"]
    checks = _checks(world, channel) if clear else []
    failed = [check.key for check in checks if not check.passed]
    if any(key in failed for key in ("sampler", "left_out")):
        cap = worst(cap, Grade.C)
    if "leaning" in failed:
        cap = {Grade.A: Grade.B, Grade.B: Grade.C}.get(cap, Grade.D)
    return Standing(cap, (*reasons, *failed), tuple(checks), evidence_of(world, channel))


def forecast_checks(world: World, horizon: int, history: int) -> list[Check]:
    """What the open path rests on at one horizon, with `history` days behind it; a failed one caps the grade at C."""
    calibration = world.calibration
    inside = calibration.held_out_coverage
    slack = coverage_slack(calibration.independent_records)
    days = str(horizon)
    checks = [
        Check("history", history >= 2 * horizon, {"horizon": days, "days": history, "wanted": 2 * horizon}),
        Check(
            "calibration_folds",
            not calibration.is_extrapolated(horizon),
            {
                "horizon": days,
                "folds": round(calibration.folds_at(horizon), 1),
                "factor": round(float(calibration.widen(horizon)), 3),
            },
        ),
    ]
    if calibration.scores.size:
        figures: dict[str, float | str] = {"coverage": round(inside, 3), "windows": int(calibration.scores.size)}
        checks.append(Check("placebo_coverage", inside >= 0.9 - slack, figures))
    return checks


def _checks(world: World, channel: str) -> list[Check]:
    diversion = world.diversion
    at = diversion.surroundings.channels.index(channel)
    low, high = (float(value) for value in np.quantile(expit(diversion.retained[:, at]), (0.05, 0.95)))
    middle, halved, doubled = (float(value) for value in world.leaning[:, at])
    moved = max(abs(halved - middle), abs(doubled - middle))
    inside = [abs(score) <= INSIDE_90 for score in diversion.left_out]
    slack = coverage_slack(len(inside))
    return [
        Check("sampler", diversion.drift <= LARGEST_DRIFT, {"drift": round(diversion.drift, 3)}),
        Check(
            "left_out",
            sum(inside) / len(inside) >= 0.9 - slack,
            {"inside": sum(inside), "count": len(inside)},
        ),
        Check(
            "leaning",
            moved <= (high - low) / 2,
            {"halved": round(halved, 3), "doubled": round(doubled, 3), "middle": round(middle, 3)},
        ),
    ]


def evidence_of(world: World, channel: str) -> tuple[EvidenceItem, ...]:
    """Findings whose fall is clear, those on the channel first, what journeys tell of it, then the starting range."""
    items = []
    for finding in sorted(world.findings, key=lambda one: (one.channel != channel, one.start)):
        if not finding.clear:
            continue
        about = finding.channel == channel
        figures: dict[str, float | str] = {
            "start": finding.start.isoformat(),
            "days": finding.days,
            "retained": round(finding.retained, 4),
            "retained_sd": round(finding.retained_sd, 4),
            "own": "yes" if about else "no",
        }
        items.append(EvidenceItem(finding.kind, finding.channel, finding.grade_cap if about else Grade.C, figures))
    items += ties_evidence(world.around, channel)
    at = world.prior.surroundings.channels.index(channel)
    kept = world.prior.own(at, 90.0).sum(axis=1)
    low, middle, high = (round(float(value), 4) for value in np.quantile(kept, (0.05, 0.5, 0.95)))
    items.append(EvidenceItem("prior", "retained_own", Grade.D, {"median": middle, "low": low, "high": high}))
    return tuple(items)
