"""Diversion rows: whole for any input, the prior without evidence, the truth with exact evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_findings import EXACT, around, made_finding
from scipy.special import expit, logit

from rechannel.evidence.finding import Finding
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.diversion import Diversion, Surroundings, fit_diversion
from rechannel.world.laplace import LARGEST_DRIFT
from rechannel.world.priors import Normal, Priors

DRAWS, SEED = 2048, 4
MONTE_CARLO = 0.03
"""A quantile of a share from 2,048 resampled and moved draws."""
EXACTLY = 0.01
"""A recovered share; the finding's own error is a tenth of it, the sampler's shrinkage to the prior the rest."""
EXAMPLES = settings(max_examples=15, deadline=None, derandomize=True)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def fit(surroundings: Surroundings, *findings: Finding, priors: Priors | None = None, draws: int = DRAWS) -> Diversion:
    return fit_diversion(surroundings, findings, priors or Priors(), draws=draws, seed=SEED)


def same(first: Diversion, second: Diversion) -> bool:
    names = ("retained", "surplus", "learning", "weights", "spill", "to_rivals", "rival_weights", "carried")
    return all(getattr(first, name).tobytes() == getattr(second, name).tobytes() for name in names)


def medians(diversion: Diversion, channel: int, days: float = 30) -> FloatArray:
    return np.asarray(np.median(diversion.own(channel, days), axis=0))


@st.composite
def anything(draw: st.DrawFn) -> tuple[Surroundings, tuple[Finding, ...]]:
    """1-5 channels of any size, nothing included, with hosts, rivals and 0-2 findings that may be absurd."""
    n = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    sizes = rng.dirichlet(np.full(n, 0.5)) * rng.choice([0.0, 1.0, 1e-6], n)
    sizes[0] = max(sizes[0], 1e-9)
    hosts = tuple(rng.choice(["", "a", "b"], n).tolist())
    known = np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(-3, 1, n)) * rng.choice([0.0, 1.0], n, p=[0.1, 0.9])
    surroundings = around(*sizes, hosts=hosts, rivals=draw(st.integers(0, 2)), yields={"orders": known})
    findings = []
    for _ in range(draw(st.integers(0, 2))):
        row = dict(zip(surroundings.channels, rng.normal(0.2, 0.5, n), strict=True))
        closed = str(rng.choice(surroundings.channels))
        sd, rebound = float(rng.choice([10.0, 1e4, 1e6])), float(rng.normal(0, 0.5))
        findings.append(made_finding(surroundings.channels, closed, row, sd=sd, rebound=rebound, yield_change=0.1))
    return surroundings, tuple(findings)


@EXAMPLES
@given(anything())
def test_rows_are_whole_for_any_input(world: tuple[Surroundings, tuple[Finding, ...]]) -> None:
    surroundings, findings = world
    diversion, n = fit(surroundings, *findings, draws=256), len(surroundings.channels)
    for channel in range(n):
        own, rivals = diversion.own(channel, 30), diversion.rivals(channel, 30)
        assert np.isfinite(own).all()
        assert (own[:, channel] == 0).all()
        assert (rivals >= 0).all()
        weights = diversion.weights[:, channel]
        assert weights.sum(axis=1) == pytest.approx(np.full(256, float(n > 1)))
        # outside is what is neither kept nor gone to rivals: with the spill of the cells the row is whole
        beside = diversion.spill[:, channel].sum(axis=1)
        outside = 1 - own.sum(axis=1) - rivals.sum(axis=1)
        kept = diversion.kept(channel, 30.0)
        rest = 1 - kept - np.maximum(1 - kept, 0) * diversion.to_rivals[:, channel] * bool(surroundings.rivals)
        assert outside == pytest.approx(rest - beside)
        assert np.isfinite(diversion.yield_kept(channel, "orders", 30)).all()
    if n == 1:
        assert (diversion.own(0, 30) == 0).all()


def test_a_finding_that_is_not_clear_changes_nothing() -> None:
    surroundings = around(4, 3, 2, 1)
    vague = made_finding(surroundings.channels, "c1", {"c0": 0.9}, clear=False)
    strange = made_finding(("x", "y"), "x", {"y": 0.9})
    prior = fit(surroundings)
    assert same(fit(surroundings, vague, strange), prior)
    assert prior.left_out == ()
    middle, low, high = (float(np.quantile(expit(prior.retained), q)) for q in (0.5, 0.05, 0.95))
    stated = Priors().retained
    wanted = expit(stated.centre + stated.sd * np.array([0, -1.6449, 1.6449]))
    assert np.array([middle, low, high]) == pytest.approx(wanted, abs=MONTE_CARLO)


def test_alike_customers_divert_in_proportion_to_shares() -> None:
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    priors = replace(Priors(), composition=0.0, recomposition=0.0, same_host=Normal(0.0, 0.0))
    diversion = fit(around(*shares, hosts=("a", "a", "", "")), priors=priors)
    for closed in range(4):
        wanted = shares / (1 - shares[closed])
        wanted[closed] = 0.0
        assert np.abs(diversion.weights[:, closed] - wanted).max() < 1e-12


def test_neighbours_on_one_surface_gain_more() -> None:
    alone, together = around(1, 1, 1), around(1, 1, 1, hosts=("a", "a", "b"))
    assert medians(fit(together), 0)[1] > 1.1 * medians(fit(alone), 0)[1]


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_exact_findings_recover_the_row(kept: float) -> None:
    surroundings = around(4, 3, 2, 1)
    row = {"c0": 0.2 * kept, "c2": 0.5 * kept, "c3": 0.3 * kept}
    finding = made_finding(surroundings.channels, "c1", row, kind="closure")
    diversion = fit(surroundings, finding, priors=EXACT)
    wanted = np.array([row.get(name, 0.0) for name in surroundings.channels])
    assert medians(diversion, 1) == pytest.approx(wanted, abs=EXACTLY)
    assert diversion.own(1, 30).std(axis=0).max() < EXACTLY
    assert diversion.drift < LARGEST_DRIFT


def test_the_order_of_a_finding_s_channels_does_not_matter() -> None:
    surroundings = around(4, 3, 2, 1)
    row = {"c0": 0.1, "c2": 0.4, "c3": 0.1}
    turned = made_finding(("c3", "c1", "gone", "c0", "c2"), "c1", {**row, "gone": 0.3})
    straight = made_finding(surroundings.channels, "c1", row)
    assert medians(fit(surroundings, turned), 1) == pytest.approx(medians(fit(surroundings, straight), 1), abs=EXACTLY)


@pytest.mark.slow
def test_relabelling_channels_permutes_the_rows() -> None:
    shares, order = np.array([4.0, 3.0, 2.0, 1.0]), [2, 0, 3, 1]
    plain = around(*shares, hosts=("a", "b", "a", ""))
    turned = Surroundings(
        tuple(plain.channels[k] for k in order),
        plain.shares[order],
        tuple(plain.hosts[k] for k in order),
        plain.kinds,
        {},
        plain.rivals,
        plain.rival_sizes,
    )
    findings = (
        made_finding(plain.channels, "c1", {"c0": 0.3, "c2": 0.2}, sd=3000),
        made_finding(plain.channels, "c2", {"c0": 0.4, "c1": 0.1}, sd=3000),
    )
    first, second = fit(plain, *findings, draws=4096), fit(turned, *findings, draws=4096)
    for channel in range(4):
        there = order.index(channel)
        a = np.quantile(first.own(channel, 30), QUANTILES, axis=0)
        b = np.quantile(second.own(there, 30), QUANTILES, axis=0)[:, [order.index(k) for k in range(4)]]
        assert b == pytest.approx(a, abs=MONTE_CARLO)


@pytest.mark.parametrize("deferred", [0.1, 0.35])
def test_deferral_seen_in_the_rebound_is_undone(deferred: float) -> None:
    """An outage shows (1 - deferral) D; the rebound tells how much was only put off."""
    surroundings, row = around(4, 3, 2, 1), {"c0": 0.3, "c2": 0.2, "c3": 0.1}
    released = Priors().released.centre
    priors = replace(
        EXACT, deferral_outage=Priors().deferral_outage, released=Normal(released, 0.01), surplus=1e-4, bias=1e-4
    )
    rebound = deferred * float(expit(released))
    finding = made_finding(surroundings.channels, "c1", row, deferred=deferred, rebound=rebound)
    found = medians(fit(surroundings, finding, priors=priors), 1)
    assert found == pytest.approx([0.3, 0.0, 0.2, 0.1], abs=2 * EXACTLY)
    blind = replace(finding, rebound_variance=float("inf"))
    spread = fit(surroundings, blind, priors=priors).own(1, 30).sum(axis=1).std()
    assert spread > 2 * fit(surroundings, finding, priors=priors).own(1, 30).sum(axis=1).std()


def test_findings_of_other_channels_narrow_a_channel_without_any() -> None:
    surroundings, low = around(4, 3, 2, 1), {"c3": 0.05}
    findings = [made_finding(surroundings.channels, name, low, sd=500) for name in ("c0", "c1")]
    prior, one, two = (fit(surroundings, *findings[:count], draws=4096) for count in range(3))
    spreads = [float(diversion.retained[:, 3].std()) for diversion in (prior, one, two)]
    assert spreads[0] > spreads[1] > spreads[2]
    centres = [float(np.median(diversion.retained[:, 3])) for diversion in (prior, one, two)]
    assert centres[0] > centres[1] > centres[2]


def test_a_keen_reading_of_yields_moves_what_orders_keep() -> None:
    """The others' yield rose while diverted visits arrived: they buy more than the prior says."""
    surroundings = around(4, 3, 2, 1, yields={"orders": np.full(4, 0.05)})
    row = {"c0": 0.3, "c2": 0.2, "c3": 0.1}
    plain, keen = (
        fit(surroundings, made_finding(surroundings.channels, "c1", row, yield_change=change), draws=4096)
        for change in (0.0, 0.08)
    )
    kept = [float(np.median(one.yield_kept(1, "orders", 30) / one.own(1, 30).sum(axis=1))) for one in (plain, keen)]
    assert kept[0] < kept[1]
    # .6 of a visit arrived among three: log((3 + .6 s) / 3.6) = .08 at s = 1.5, but for the prior
    assert 1.2 < kept[1] < 1.55


def test_learning_moves_the_share_over_days_and_not_its_first() -> None:
    diversion = fit(around(4, 3, 2, 1))
    first, late = diversion.kept(1, 0.01), diversion.kept(1, 10_000.0)
    start = expit(diversion.retained[:, 1]) + diversion.surplus[:, 1]
    end = expit(diversion.retained[:, 1] + diversion.learning[:, 1]) + diversion.surplus[:, 1]
    assert first == pytest.approx(start, abs=1e-3)
    assert late == pytest.approx(end, abs=0.02)
    days = np.arange(90) + 0.5
    mean = diversion.kept_on(1, days).mean(axis=1)
    whole = diversion.kept(1, 90.0) + diversion.spill[:, 1].sum(axis=1)
    assert mean == pytest.approx(whole, abs=1e-3)


def test_the_prior_of_the_shares_is_the_stated_one() -> None:
    """90 % of what own channels keep lies between 8 % and 84 % before any data, as the priors page says."""
    kept = expit(fit(around(4, 3, 2, 1), draws=4096).retained[:, 0])
    assert np.quantile(kept, (0.05, 0.95)) == pytest.approx([0.09, 0.82], abs=MONTE_CARLO)
    assert float(logit(np.median(kept))) == pytest.approx(Priors().retained.centre, abs=0.1)
