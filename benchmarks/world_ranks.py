"""Simulation-based calibration of the diversion model: does it find again what it draws from its own prior?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial

import numpy as np
from scipy.special import expit

from rechannel.evidence.finding import Finding
from rechannel.lab.ranks import calibration
from rechannel.vocabulary.grade import Grade
from rechannel.world.diversion import YIELDS, Diversion, Surroundings, fit_diversion
from rechannel.world.priors import Priors

CHANNELS = 5
SHARES = np.array([0.4, 0.25, 0.15, 0.12, 0.08])
MEASURED = (1, 1, 2, 3)
"""Channels of the made findings: two on the second, one on each of the next two; the others have none."""
NOISE = 0.15
"""Sd of a channel's gain over the removed visits, per share of visits."""
DRAWS = 1024
KEPT = 63
"""Posterior draws ranked, far apart in the resampled set."""


def surroundings() -> Surroundings:
    yields = {metric: np.linspace(0.8, 1.2, CHANNELS) for metric in YIELDS}
    names = tuple(f"c{index}" for index in range(CHANNELS))
    return Surroundings(names, SHARES, ("",) * CHANNELS, ("",) * CHANNELS, yields, (), np.empty(0))


def draw_truth(around: Surroundings, seed: int) -> Diversion:
    """One draw of everything from the prior."""
    return fit_diversion(around, (), Priors(), draws=2, seed=seed)


def made_findings(around: Surroundings, truth: Diversion, seed: int) -> list[Finding]:
    """Outages of ten days as the ledger would measure them in a market of that truth."""
    rng = np.random.default_rng([seed, 5])
    priors = Priors()
    shared_bias, shared_deferral, released = rng.standard_normal(3)
    bias_of = rng.standard_normal(CHANNELS)
    back = expit(priors.released.centre + priors.released.sd * released)
    found = []
    for number, channel in enumerate(MEASURED):
        part = priors.deferral_shared
        waits = np.sqrt(part) * shared_deferral + np.sqrt(1 - part) * rng.standard_normal()
        deferral = expit(priors.deferral_outage.centre + priors.deferral_outage.sd * waits)
        parts = np.sqrt(priors.bias_shared) * (shared_bias, bias_of[channel], rng.standard_normal())
        bias = priors.bias * float(parts.sum())
        kept = expit(truth.retained[0, channel] + bias) + truth.surplus[0, channel]
        row = (1 - deferral) * (kept * truth.weights[0, channel] + truth.spill[0, channel])
        removed, sd = 1000.0, 1000.0 * NOISE * np.sqrt(SHARES)
        noise = sd * rng.standard_normal(CHANNELS)
        rebound_sd = float(np.sqrt((sd**2).sum()))
        gains = row * removed + noise
        gains[channel] = -removed + noise[channel]
        day = date(2024, 1 + 2 * number, 1)
        found.append(
            Finding(
                channel=around.channels[channel],
                kind="outage",
                start=day,
                end=day.replace(day=10),
                severity=1.0,
                notice_days=0,
                channels=around.channels,
                gains=gains,
                gains_covariance=np.diag(sd**2),
                rebound=float(back * deferral * removed + rebound_sd * rng.standard_normal()),
                rebound_variance=rebound_sd**2,
                rebound_covariance=np.zeros(CHANNELS),
                removed=-float(gains[channel]),
                open_own=removed,
                open_rest=removed * float((1 - SHARES[channel]) / SHARES[channel]),
                yield_change={},
                yield_variance={},
                yield_of_rest={},
                grade_cap=Grade.B,
                clear=True,
            )
        )
    return found


def one_run(seed: int, around: Surroundings) -> Mapping[str, int]:
    """Ranks of the true retained share of a channel with two findings, with one, and with none."""
    truth = draw_truth(around, seed)
    fitted = fit_diversion(around, made_findings(around, truth, seed), Priors(), draws=DRAWS, seed=seed)
    at = np.linspace(0, DRAWS // 2 - 1, KEPT).astype(int)
    ranks = {}
    for name, channel in (("two findings", 1), ("one finding", 2), ("no finding", 0)):
        kept = expit(fitted.retained[at, channel])
        ranks[name] = int((kept < expit(truth.retained[0, channel])).sum())
    app = fitted.own(1, 90.0)[at, 0]
    ranks["one cell of the row"] = int((app < truth.own(1, 90.0)[0, 0]).sum())
    return ranks


def run(runs: int) -> dict[str, object]:
    """The test by quantity."""
    around = surroundings()
    tests = calibration(partial(one_run, around=around), runs, KEPT, seed=1)
    return {
        "runs": runs,
        "quantities": {
            test.quantity: {"p_value": round(test.p_value, 3), "inside_the_band": test.passed} for test in tests
        },
    }
