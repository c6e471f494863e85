"""The ledger measures a planted outage from both sides: what it took, where it went, and what came back later."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from rechannel.evidence.baseline import fit_baseline
from rechannel.evidence.ledger import bank
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date

DAYS, FIRST, LAST = 420, 300, 306
TAKEN_UP, POSTPONED = 0.5, 0.2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_planted_outage_is_banked(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dates = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-01") + DAYS)
    week = np.exp(0.1 * np.sin(2 * np.pi * np.arange(DAYS) / 7))[:, None]
    level = np.array([5000.0, 4000.0, 1000.0]) * week * np.exp(0.01 * rng.standard_normal((DAYS, 3)))
    lost = level[FIRST : LAST + 1, 1].copy()
    level[FIRST : LAST + 1, 1] = 0
    level[FIRST : LAST + 1, 0] += TAKEN_UP * lost
    level[LAST + 1 : LAST + 8, 1] += POSTPONED * lost
    visits = rng.poisson(level).astype(float)
    panel = Panel(dates, ("all",), ("app", "entry", "other"), {"visits": visits[:, None, :]}, {})
    start = to_date(dates[FIRST])
    outage = Event("outage", start, start + timedelta(days=LAST - FIRST), channel="entry")
    baseline = fit_baseline(panel, (outage,), DAYS)
    (finding,) = bank(panel, (outage,), baseline)
    removed = float(lost.sum())
    spread = np.sqrt(np.diag(finding.gains_covariance))
    # four standard deviations: 12 comparisons over the seeds
    assert abs(finding.removed - removed) < 4 * spread[1]
    assert abs(finding.gains[0] - TAKEN_UP * removed) < 4 * spread[0]
    assert abs(finding.gains[2]) < 4 * spread[2]
    assert abs(finding.rebound - POSTPONED * removed) < 4 * np.sqrt(finding.rebound_variance)
    assert finding.clear
    assert finding.grade_cap == "B"
