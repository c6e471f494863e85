"""Journeys in a diversion row: what lifts, solo and new share do to it, and how the ledger teaches their factors."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from made_findings import EXACT, around, made_finding
from scipy.special import expit

from rechannel.evidence.ties import Ties
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.diversion import Diversion, Surroundings, fit_diversion, likeliest_retained
from rechannel.world.priors import Normal, Priors

DRAWS, SEED = 2048, 4
SIZES = (0.4, 0.3, 0.2, 0.1)
LIFT = 1.2
CERTAIN = replace(
    EXACT,
    composition=1e-4,
    recomposition=1e-4,
    overlap=Normal(1.0, 1e-4),
    solo=Normal(-1.0, 1e-4),
    new=Normal(-0.5, 1e-4),
)
"""Rows follow their formula."""


def ties(lifts: FloatArray, solo: FloatArray | None = None, new: FloatArray | None = None) -> Ties:
    size = len(lifts)
    nothing = np.zeros(size)
    known = np.ones(size, dtype=bool)
    names = tuple(f"c{k}" for k in range(size))
    solo, new = nothing if solo is None else solo, nothing if new is None else new
    return Ties(names, known, lifts, solo, new, {}, date(2024, 1, 1), date(2024, 6, 1))


def lifted(at: int, to: int, size: float = LIFT) -> FloatArray:
    lifts = np.zeros((len(SIZES), len(SIZES)))
    lifts[at, to] = size
    return lifts


def fit(surroundings: Surroundings, priors: Priors, *findings: object) -> Diversion:
    return fit_diversion(surroundings, findings, priors, draws=DRAWS, seed=SEED)  # type: ignore[arg-type]


def test_a_lift_multiplies_the_share() -> None:
    """w_j proportional to share_j e^lift_j; other rows keep to the shares."""
    found = fit(replace(around(*SIZES), ties=ties(lifted(0, 2))), CERTAIN)
    odds = np.array([0.0, 0.3, 0.2 * np.exp(LIFT), 0.1])
    assert np.median(found.weights[:, 0], axis=0) == pytest.approx(odds / odds.sum(), abs=2e-3)
    assert np.median(found.weights[:, 1], axis=0) == pytest.approx(np.array([4, 0, 2, 1]) / 7, abs=2e-3)


def test_beside_stated_hosts_lifts_say_nothing() -> None:
    """Rows of channels whose host is stated take the weight of the host alone."""
    priors = replace(CERTAIN, same_host=Normal(0.8, 1e-4))
    lifts = lifted(0, 2) + lifted(1, 2)
    found = fit(replace(around(*SIZES, hosts=("h", "", "h", "")), ties=ties(lifts)), priors)
    odds = np.array([0.0, 0.3, 0.2 * np.exp(0.8), 0.1])
    assert np.median(found.weights[:, 0], axis=0) == pytest.approx(odds / odds.sum(), abs=2e-3)
    odds = np.array([0.4, 0.0, 0.2 * np.exp(LIFT), 0.1])
    assert np.median(found.weights[:, 1], axis=0) == pytest.approx(odds / odds.sum(), abs=2e-3)


def test_who_knows_no_other_way_comes_back_less() -> None:
    """The logit of the retained share moves by the factor times the channel's distance from the shop."""
    solo, new = np.array([0.5, -0.1, 0.0, 0.0]), np.array([0.0, 0.0, 0.4, 0.0])
    moved = fit(replace(around(*SIZES), ties=ties(lifted(0, 2, 0.0), solo, new)), CERTAIN)
    plain = fit(replace(around(*SIZES), ties=ties(lifted(0, 2, 0.0))), CERTAIN)
    gap = np.median(moved.retained - plain.retained, axis=0)
    assert gap == pytest.approx([-0.5, 0.1, -0.2, 0.0], abs=2e-3)
    levels = [likeliest_retained(one.surroundings, (), CERTAIN) for one in (moved, plain)]
    assert levels[0] == pytest.approx(expit(np.log(levels[1] / (1 - levels[1])) - [0.5, -0.1, 0.2, 0.0]), abs=1e-3)


@pytest.mark.parametrize("factor", [0.0, 1.5])
def test_the_ledger_teaches_the_factor(factor: float) -> None:
    """An exact outage of one channel that follows its lift, or does not, moves the rows of the others."""
    lifts = lifted(0, 2)
    lifts[1, 3] = LIFT
    surroundings = replace(around(*SIZES), ties=ties(lifts))
    priors = replace(EXACT, composition=0.1, recomposition=0.1, overlap=Normal(0.7, 0.7))
    odds = np.array([0.0, 0.3, 0.2 * np.exp(factor * LIFT), 0.1])
    row = dict(zip(surroundings.channels, 0.6 * odds / odds.sum(), strict=True))
    before, after = (
        fit(surroundings, priors, *seen) for seen in ((), (made_finding(surroundings.channels, "c0", row),))
    )
    taught = np.log(after.weights[:, 1, 3] / after.weights[:, 1, 0]) - np.log(0.1 / 0.4)
    assert np.median(taught) == pytest.approx(factor * LIFT, abs=0.2)
    untaught = np.log(before.weights[:, 1, 3] / before.weights[:, 1, 0]) - np.log(0.1 / 0.4)
    assert taught.std() < 0.5 * untaught.std()


def test_without_journeys_nothing_is_drawn_for_them() -> None:
    one, other = (
        fit(around(*SIZES), Priors()),
        fit(replace(around(*SIZES), ties=None), replace(Priors(), solo=Normal(-5, 3))),
    )
    assert one.retained.tobytes() == other.retained.tobytes()
    assert one.weights.tobytes() == other.weights.tobytes()
