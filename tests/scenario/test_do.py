"""Interventions applied to one fitted world: parts add up, nothing is nothing, both paths share every shock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from rechannel.evidence.baseline import Baseline
from rechannel.scenario.do import Outcome, apply, lost_share, outcome_of, prior_latent, removed_share
from rechannel.scenario.interventions import Demote, close
from rechannel.scenario.paths import courses
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date
from rechannel.tables.rivals import RivalFigure
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.demand import Demand, forecast_demand
from rechannel.world.fitted import DRAWS, World, fit_world

DAYS, SEED = 180, 5
LEVELS = np.array([4000.0, 2500.0, 1500.0])


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(2)
    rate = LEVELS * np.exp(0.03 * rng.standard_normal((DAYS, 3)))
    rate[80:84, 0] += 0.5 * rate[80:84, 1]
    rate[80:84, 1] = 0
    visits = rng.poisson(rate)
    orders = rng.binomial(visits, 0.04)
    values: dict[Metric, FloatArray] = {
        "visits": visits.astype(float)[:, None],
        "orders": orders.astype(float)[:, None],
        "gmv": 200.0 * orders[:, None],
        "new_customers": rng.binomial(orders, 0.3).astype(float)[:, None],
    }
    dates = np.datetime64("2024-01-01") + np.arange(DAYS)
    return Panel(dates, ("all",), ("app", "entry", "web"), values, {})


@pytest.fixture(scope="module")
def world(panel: Panel) -> World:
    start = to_date(panel.dates[80])
    outage = Event("outage", start, start + timedelta(days=3), "entry")
    rivals = (RivalFigure(panel.first, "all", "rival", "visits", 100.0),)
    return fit_world(panel, (outage,), DAYS, coming=60, rivals=rivals, seed=SEED)


@pytest.fixture(scope="module")
def demand(panel: Panel, world: World) -> Demand:
    baseline: Baseline = world.baseline
    found = forecast_demand(panel, baseline, world.calibration, "entry", DAYS, draws=DRAWS, seed=SEED)
    assert found is not None
    return found


def outcome(world: World, demand: Demand, severity: float = 1.0, horizon: int = 30) -> Outcome:
    day = to_date(world.panel.dates[-1]) + timedelta(days=1)
    return apply(world, demand, Demote("entry", day, severity), (horizon,), 1)[0]


def test_a_closure_is_a_demotion_of_everything() -> None:
    day = to_date(np.datetime64("2024-03-01"))
    assert close("entry", day, "north") == Demote("entry", day, 1.0, "north")
    for severity in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="severity"):
            Demote("entry", day, severity)


def test_every_draw_is_whole(world: World, demand: Demand) -> None:
    found = outcome(world, demand)
    assert found.retained + found.to_rivals + found.outside == pytest.approx(np.ones(DRAWS))
    assert found.net_loss["visits"] == pytest.approx(found.removed * (1 - found.retained))
    assert (found.removed == found.credited["visits"]).all()
    assert (found.own[:, 1] == 0).all()
    assert set(found.net_loss) == {"visits", "orders", "gmv", "new_customers"}
    for draws in found.net_loss.values():
        assert np.isfinite(draws).all()
    assert found.never_acquired is not None
    share = found.never_acquired / found.net_loss["new_customers"]
    assert (share > 0).all()
    assert (share < 1).all()


def test_half_of_what_an_outage_removed_came_back_and_so_it_will(world: World, demand: Demand) -> None:
    kept = outcome(world, demand).retained
    low, high = np.quantile(kept, (0.05, 0.95))
    assert low < 0.5 < high
    assert high - low < 0.7 * np.ptp(np.quantile(world.prior.own(1, 30).sum(axis=1), (0.05, 0.95)))


def test_severity_zero_is_nothing_and_every_more_is_more(world: World, demand: Demand) -> None:
    outcomes = [outcome(world, demand, severity) for severity in (0.0, 0.25, 0.5, 0.9, 1.0)]
    assert (outcomes[0].removed == 0).all()
    for draws in outcomes[0].net_loss.values():
        assert (draws == 0).all()
    for less, more in pairwise(outcomes):
        assert (less.removed <= more.removed).all()
    share = removed_share(world, Demote("entry", world.panel.last, 0.5))
    assert 0.45 < float(np.median(share)) < 0.55


def test_what_is_latent_is_the_noiseless_loss(world: World, demand: Demand) -> None:
    found = outcome(world, demand)
    for metric, latent in found.latent.items():
        wanted = lost_share(world.diversion, 1, metric, 30)
        assert (latent == wanted).all()
        realised = found.net_loss[metric] / found.credited[metric]
        assert np.median(realised) == pytest.approx(np.median(latent), abs=0.02)
        assert realised.std() >= 0.98 * latent.std()
        assert latent.std() < prior_latent(world, "entry", metric, np.ones(DRAWS), 30).std()


def test_alike_yields_lose_orders_as_visits_but_for_what_the_visitors_are(world: World, demand: Demand) -> None:
    """Same conversion everywhere: the log ratio of what orders and visits keep is the selection alone."""
    kept_visits = 1 - lost_share(world.diversion, 1, "visits", 30)
    kept_orders = 1 - lost_share(world.diversion, 1, "orders", 30)
    ratio = kept_orders / kept_visits
    assert np.median(ratio) == pytest.approx(np.median(np.exp(world.diversion.selection["orders"])), rel=0.05)


def test_amounts_that_are_given_only_scale(world: World) -> None:
    """Ten times the visits: ten times the loss, but for count noise; a zero amount loses nothing."""
    losses = []
    for amount in (1e6, 1e7):
        credited: dict[Metric, FloatArray] = {"visits": np.full(DRAWS, amount), "orders": np.zeros(DRAWS)}
        rng = np.random.default_rng(1)
        found = outcome_of(world, "entry", credited, {}, np.ones(DRAWS), 30, rng)
        losses.append(found.net_loss["visits"])
        assert (found.net_loss["orders"] == 0).all()
        assert found.never_acquired is None
    assert np.quantile(losses[1], (0.05, 0.5, 0.95)) == pytest.approx(
        10 * np.quantile(losses[0], (0.05, 0.5, 0.95)), rel=0.01
    )


def test_paths_meet_the_sums(world: World, demand: Demand) -> None:
    day = world.panel.last + timedelta(days=1)
    own, total = courses(world, demand, close("entry", day), 30)
    found = outcome(world, demand)
    start = int(np.flatnonzero(np.isfinite(own.open_path[:, 0]))[0])
    assert own.closed_path[start:] == pytest.approx(np.zeros_like(own.closed_path[start:]), abs=1e-9)
    assert np.isfinite(own.observed[:start]).all()
    assert np.isnan(own.observed[start:]).all()
    middle = own.cumulative[-1, 4], total.cumulative[-1, 4]
    assert middle[0] == pytest.approx(np.median(found.removed), rel=0.01)
    assert middle[1] == pytest.approx(np.median(found.net_loss["visits"]), rel=0.03)
    for course in (own, total):
        for path in (course.open_path, course.closed_path, course.cumulative):
            assert (np.diff(path[start:], axis=1) >= 0).all()
    nothing = courses(world, demand, replace(close("entry", day), severity=0.0), 30)[1]
    assert nothing.closed_path[start:] == pytest.approx(nothing.open_path[start:])
