"""What a measured event rests on: every check with its figures, and the best grade that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rechannel.answers.answer import Check
from rechannel.answers.measured_rows import MeasuredHorizon
from rechannel.evidence.controls import CHOSEN
from rechannel.evidence.impact import OpenPath
from rechannel.evidence.placebo import Calibration, coverage_slack
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import FloatArray, Quantiles
from rechannel.vocabulary.grade import Grade
from rechannel.world.demand import Demand
from rechannel.world.fitted import World
from rechannel.world.measured import Measured
from rechannel.world.measured_days import DayPaths

VERDICT_COVERAGE = 0.9
"""Of the interval that a verdict reads, and of a p-value's claim."""
MOST_UNLIKE = 0.5
"""Probability of the widest surplus from which an event is called unlike what the ledger foretold."""


@dataclass(frozen=True, slots=True)
class MeasuredEvent:
    """What is known about the event: the eve, its forecasts, both paths given what came, day by day."""

    world: World
    demand: Demand
    opened: OpenPath
    measured: Measured
    paths: tuple[DayPaths, ...]

    @property
    def calibration(self) -> Calibration:
        return self.world.calibration


def grade_at(event: MeasuredEvent, at: int, horizon: int) -> tuple[Grade, tuple[str, ...]]:
    """B for a natural experiment on this channel, capped by every check that fails."""
    reasons = [
        check.key
        for check in (*_horizon_checks(event, at, horizon), _foretold(event), _broken(event))
        if not check.passed
    ]
    if event.opened.moved_controls:
        reasons.append("controls")
    return (Grade.C if reasons else Grade.B), tuple(reasons)


def _horizon_checks(event: MeasuredEvent, at: int, horizon: int) -> list[Check]:
    """The checks of one horizon; each that fails caps the grade at C."""
    calibration, opened = event.calibration, event.opened
    folds = calibration.folds_at(horizon)
    middle = float(np.median(opened.draws.sum(axis=1) @ opened.stretches.sums()[at]))
    low, direct, high = (float(value) for value in opened.direct_total[at])
    history = opened.training_days * opened.stretches.step
    days = str(horizon)
    return [
        Check(
            "calibration_folds",
            not calibration.is_extrapolated(horizon),
            {"horizon": days, "folds": round(folds, 1), "factor": round(float(calibration.widen(horizon)), 3)},
        ),
        Check(
            "direct_total",
            low <= middle <= high,
            {"horizon": days, "joint": round(middle), "direct": round(direct), "low": round(low), "high": round(high)},
        ),
        Check("history", history >= 2 * horizon, {"horizon": days, "days": history, "wanted": 2 * horizon}),
        Check(
            "unseen_events",
            float(opened.unseen_share[at]) <= 0,
            {"horizon": days, "share": round(float(opened.unseen_share[at]), 3)},
        ),
    ]


def _foretold(event: MeasuredEvent) -> Check:
    """Whether what came on the other channels is such as the ledger foretold."""
    unlike = float(event.measured.unlike[-1])
    return Check("foretold", unlike <= MOST_UNLIKE, {"probability": round(unlike, 3)})


def _broken(event: MeasuredEvent) -> Check:
    """Whether another channel more likely moved by itself on that day than by the event."""
    opened, broke = event.opened, event.measured.broke
    if not broke.size:
        return Check("other_moved", True, {"channel": "", "probability": 0.0})
    most = int(np.argmax(broke))
    figures: dict[str, str | float] = {
        "channel": opened.channels[opened.others[most]],
        "probability": round(float(broke[most]), 3),
    }
    return Check("other_moved", bool(broke[most] <= MOST_UNLIKE), figures)


def checks_of(event: MeasuredEvent, horizons: Sequence[int]) -> list[Check]:
    """Every check of the answer, shown whether it passed or not."""
    calibration, opened = event.calibration, event.opened
    checks = [check for at, horizon in enumerate(horizons) for check in _horizon_checks(event, at, horizon)]
    if calibration.scores.size:
        slack = coverage_slack(calibration.independent_records)
        checks.append(
            Check(
                "placebo_coverage",
                calibration.held_out_coverage >= 0.9 - slack,
                {"coverage": round(calibration.held_out_coverage, 3), "windows": int(calibration.scores.size)},
            )
        )
    if len(opened.channels) > 1:
        checks += [_foretold(event), _broken(event)]
    if opened.early.size:
        quantiles = Quantiles.of(opened.early)
        low, high = quantiles.interval()
        checks.append(
            Check(
                "anticipation",
                low <= 0 <= high,
                {"median": round(quantiles.median), "low": round(low), "high": round(high)},
            )
        )
    controls = {
        market: inclusion
        for market, inclusion in event.world.baseline.controls.get(opened.window.channel, {}).items()
        if inclusion >= CHOSEN
    }
    if controls:
        checks.append(
            Check(
                "controls",
                not opened.moved_controls,
                {
                    "markets": ", ".join(controls),
                    "inclusion": ", ".join(numbers.percent(share) for share in controls.values()),
                    "moved": str(len(opened.moved_controls)),
                },
            )
        )
    if opened.absent_is_zero:
        checks.append(Check("absent_rows", True, {"channel": opened.window.channel}))
    if opened.new_channels:
        checks.append(Check("new_channels", False, {"channels": ", ".join(opened.new_channels)}))
    return checks


def coincident_shock(event: MeasuredEvent, one: MeasuredHorizon) -> Check:
    """How large a hidden shock to the channel on the same day must be to erase the effect, in past-shock sd."""
    removed = float(np.median(one.removed))
    spread = float((event.opened.draws[:, event.opened.closed] @ one.stretches).std())
    size = abs(removed) / spread if spread > 0 else 0.0
    p = p_value(one.lost("visits"))
    return Check("coincident_shock", p < 1 - VERDICT_COVERAGE, {"sd": round(size, 2), "p_value": round(p, 4)})


def p_value(draws: FloatArray) -> float:
    """Two-sided tail probability of no net loss: twice the level of the quantile that stands at zero.

    The same interpolated quantiles make the interval, so p < .1 exactly when the 90 % interval excludes zero.
    """
    ordered = np.sort(draws)
    levels = np.linspace(0.0, 1.0, ordered.size)
    below, above = np.interp(0.0, ordered, levels), np.interp(0.0, -ordered[::-1], levels)
    return min(1.0, 2 * float(min(below, above)))
