"""One fitted world: surroundings of the recent days, depth learned from past demotions, findings by channel."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date
from rechannel.tables.rivals import RivalFigure
from rechannel.vocabulary.channel import Channel
from rechannel.world.fitted import RECENT_DAYS, World, fit_world

DAYS, FIRST = 240, 120
LEVELS = np.array([4000.0, 2500.0, 1500.0])


def fitted(removed: float, severity: float, *, last: int | None) -> World:
    """A demotion of `entry` took a share of its visits, for good or until `last`."""
    rng = np.random.default_rng(3)
    rate = LEVELS * np.exp(0.02 * rng.standard_normal((DAYS, 3)))
    end = DAYS if last is None else last + 1
    rate[FIRST:end, 0] += 0.5 * removed * rate[FIRST:end, 1]
    rate[FIRST:end, 1] *= 1 - removed
    visits = rng.poisson(rate).astype(float)
    dates = np.datetime64("2024-01-01") + np.arange(DAYS)
    panel = Panel(dates, ("all",), ("app", "entry", "web"), {"visits": visits[:, None]}, {})
    start = to_date(dates[FIRST])
    stop = start if last is None else to_date(dates[last])
    rivals = tuple(
        RivalFigure(start + timedelta(days=day), "all", firm, "visits", value * (day + 1))
        for day in (0, 30)
        for firm, value in (("self", 1.0), ("big", 5.0), ("none", 0.0))
    )
    channels = (Channel("app", host="us"), Channel("web", kind="web"))
    events = (Event("demotion", start, stop, "entry", severity=severity),)
    return fit_world(panel, events, DAYS, coming=30, rivals=rivals, channels=channels, seed=2)


@pytest.mark.parametrize("last", [None, FIRST + 13])
@pytest.mark.parametrize(("severity", "removed"), [(0.5, 0.25), (0.5, 0.7), (0.8, 0.8)])
def test_a_past_demotion_teaches_its_depth(severity: float, removed: float, last: int | None) -> None:
    """Removed share = severity ** kappa; one demotion halves the prior's spread of log kappa and pulls its centre."""
    world = fitted(removed, severity, last=last)
    (finding,) = world.findings_on("entry")
    assert finding.removed / finding.open_own == pytest.approx(removed, abs=0.05)
    wanted = np.log(np.log(removed) / np.log(severity))
    found = np.log(world.prominence)
    assert abs(np.median(found) - 0.8 * wanted) < 0.15
    assert found.std() < 0.8 * world.priors.prominence


def test_surroundings_are_those_of_the_recent_days() -> None:
    world = fitted(0.5, 0.5, last=None)
    recent = world.panel.values["visits"][-RECENT_DAYS:, 0].mean(axis=0)
    assert world.around.shares == pytest.approx(recent / recent.sum(), rel=1e-6)
    assert world.around.hosts == ("us", "", "")
    assert world.around.kinds == ("", "", "web")
    assert world.around.rivals == ("big",)
    assert world.around.rival_sizes.tolist() == [5.0]
    assert world.findings_on("app") == ()
    assert world.leaning.shape == (3, 3)
