"""Applies an intervention to a fitted world: what the channel loses, where it goes, what is lost for good, per draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rechannel.scenario.interventions import Demote
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.demand import Demand, Pair
from rechannel.world.diversion import YIELDS, Diversion
from rechannel.world.fitted import World

BASKET_SPREAD = 2.0
"""Mean square of an order's value over its squared mean: the noise of the value of a number of orders."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both paths over [D, D+H), draw by draw; they share every shock.

    Attributes
    ----------
    removed
        Visits that the channel loses, shape [draw].
    own, rivals
        Realised share of them that goes to each own channel and to each rival, shapes [draw, to] and [draw, rival].
    credited, total
        Metric -> what last touch credits to the channel and what the whole shop has on the open path, shape [draw].
    net_loss
        Metric -> open - closed over all own channels, shape [draw].
    latent
        Metric -> share of the credited amount that is lost for good, without noise of the days, shape [draw].
    never_acquired
        New customers lost that are not only postponed, shape [draw]; None without new customers.
    """

    removed: FloatArray
    own: FloatArray
    rivals: FloatArray
    credited: Mapping[Metric, FloatArray]
    total: Mapping[Metric, FloatArray]
    net_loss: Mapping[Metric, FloatArray]
    latent: Mapping[Metric, FloatArray]
    never_acquired: FloatArray | None

    @property
    def retained(self) -> FloatArray:
        """Share of the removed visits that own channels win back, shape [draw]."""
        return np.asarray(self.own.sum(axis=1))

    @property
    def to_rivals(self) -> FloatArray:
        """Share that goes to rivals, shape [draw]."""
        return np.asarray(self.rivals.sum(axis=1))

    @property
    def outside(self) -> FloatArray:
        """What remains of the row: visits that do not happen, shape [draw]."""
        return 1.0 - self.retained - self.to_rivals


def removed_share(world: World, intervention: Demote) -> FloatArray:
    """Share of the channel's open visits that the intervention takes, shape [draw]: severity ** kappa."""
    if intervention.severity in (0.0, 1.0):
        return np.full(world.prominence.size, intervention.severity)
    return np.asarray(intervention.severity**world.prominence)


def lost_share(diversion: Diversion, channel: int, metric: Metric, days: float) -> FloatArray:
    """Share of what the channel is credited with that a closure loses, shape [draw]; no noise of the days."""
    if metric == "visits":
        return np.asarray(1.0 - diversion.own(channel, days).sum(axis=1))
    return 1.0 - diversion.yield_kept(channel, metric, days)


def apply(world: World, demand: Demand, intervention: Demote, horizons: Sequence[int], step: int) -> list[Outcome]:
    """Apply an intervention over several horizons.

    Parameters
    ----------
    world, demand
        The fitted world, and the open path of the channel.
    intervention
        What is done.
    horizons
        In days from D.
    step
        Days per row of the panel.

    Returns
    -------
    list of Outcome
        One per horizon. Diverted visits carry count noise of their own; nothing else differs between the paths.
    """
    lengths = [max(1, horizon // step) for horizon in horizons]
    first = [0] * len(lengths)
    pairs = {metric: demand.windows(metric, first, lengths) for metric in (*demand.metrics, *demand.shop_yields)}
    share = removed_share(world, intervention)
    rng = np.random.default_rng([world.seed, 17])
    for metric in demand.shop_yields:  # the channel's visits may yield more or less than the shop's: a stated range
        spread = world.priors.relative_yield * _normal(rng, world.prominence.size)
        pairs[metric] = Pair(pairs[metric].own * np.exp(spread)[:, None], pairs[metric].total)
    outcomes = []
    for at, horizon in enumerate(horizons):
        credited = {metric: pair.own[:, at] for metric, pair in pairs.items()}
        total = {metric: pair.total[:, at] for metric, pair in pairs.items() if demand.covers_shop(metric)}
        outcomes.append(outcome_of(world, intervention.channel, credited, total, share, horizon, rng))
    return outcomes


def outcome_of(
    world: World,
    channel: str,
    credited: Mapping[Metric, FloatArray],
    total: Mapping[Metric, FloatArray],
    share: FloatArray,
    horizon: int,
    rng: np.random.Generator,
) -> Outcome:
    """What taking a share of one channel's prominence does to amounts that are given, draw by draw.

    Parameters
    ----------
    credited, total
        Metric -> the channel's and the whole shop's amount on the open path, shape [draw].
    share
        Share of the channel's visits that is taken, shape [draw].
    horizon
        Days over which users find other ways.
    rng
        Of the count noise.
    """
    diversion = world.diversion
    at = diversion.surroundings.channels.index(channel)
    removed = share * credited["visits"]
    expected, rivals = diversion.own(at, horizon), diversion.rivals(at, horizon)
    own = expected + _share_noise(expected, removed, rng)
    net: dict[Metric, FloatArray] = {"visits": removed * (1.0 - own.sum(axis=1))}
    latent: dict[Metric, FloatArray] = {"visits": share * lost_share(diversion, at, "visits", horizon)}
    for metric in YIELDS:
        if metric not in credited:
            continue
        lost = lost_share(diversion, at, metric, horizon)
        latent[metric] = share * lost
        kept = (1.0 - lost) * share * credited[metric]
        noise = np.sqrt(np.abs(kept) * _units(metric, credited)) * _normal(rng, kept.size)
        net[metric] = share * credited[metric] - kept - noise
    return Outcome(
        removed=removed,
        own=own,
        rivals=rivals + _share_noise(rivals, removed, rng),
        credited=credited,
        total=total,
        net_loss=net,
        latent=latent,
        never_acquired=_never(diversion, net, horizon),
    )


def _never(diversion: Diversion, net: Mapping[Metric, FloatArray], horizon: int) -> FloatArray | None:
    """New customers lost in the window, less those of them who will come after it, shape [draw]."""
    if "new_customers" not in net:
        return None
    still_to_come = (diversion.postponed - diversion.late(horizon)) / (1.0 - diversion.late(horizon))
    return np.asarray(net["new_customers"] * (1.0 - still_to_come))


def prior_latent(world: World, channel: str, metric: Metric, share: FloatArray, horizon: int) -> FloatArray:
    """The share of the credited amount that is lost as the prior alone has it, shape [draw]."""
    at = world.prior.surroundings.channels.index(channel)
    return np.asarray(share * lost_share(world.prior, at, metric, horizon))


def _normal(rng: np.random.Generator, *shape: int) -> FloatArray:
    half = rng.standard_normal((shape[0] // 2, *shape[1:]))
    return np.concatenate([half, -half])


def _share_noise(expected: FloatArray, removed: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Count noise of diverted visits as shares of the removed ones, shape [draw, to]."""
    came = np.maximum(removed, 1.0)[:, None]
    return np.asarray(np.sqrt(np.abs(expected) / came) * _normal(rng, *expected.shape))


def _units(metric: Metric, credited: Mapping[Metric, FloatArray]) -> FloatArray | float:
    """Variance of an amount over its mean: 1 for counts, the basket for value."""
    if metric != "gmv":
        return 1.0
    if "orders" not in credited:
        return 0.0
    return np.asarray(BASKET_SPREAD * np.abs(credited["gmv"]) / np.maximum(credited["orders"], 1.0))
