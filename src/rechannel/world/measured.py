"""A measured event and the ledger as one posterior: what left the channel, what came back elsewhere, what was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.baseline import all_others, sum_of
from rechannel.evidence.impact import OpenPath
from rechannel.evidence.joint import correlation_of, expected_path, symmetric_root
from rechannel.evidence.yields import YieldSeries
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.demand import Demand
from rechannel.world.diversion import Diversion
from rechannel.world.fitted import World
from rechannel.world.linked import Linked, covariance_of, given, stacked

TAIL_DF = 5.0
"""A channel's forecast error is t with so many degrees of freedom."""
BREAKS_NEARBY = 14 / 730
"""Prior probability that a channel's own level breaks about the event: once in two years, a week either way."""
BREAK_SIZE = 0.7
"""Sd of such a break, relative to the channel's open path: it halves or doubles."""
SUSPECT = 3.0
"""Sd of its own forecast error from which a channel may have broken: nearer ones need no such explanation."""
OWN_SURPLUS = ((0.0, 0.85), (0.5, 0.15))
"""Sd of what comes back beside what the ledger tells, in this event alone, and its weight: a prior with heavy tails."""
BASKET_SPREAD = 2.0
"""Mean square of an order's value over its squared mean."""
A_LITTLE = 1e-9


@dataclass(frozen=True, slots=True)
class Measured:
    """Both paths over the stretches after D, given what came on every channel; equally weighted draws.

    Attributes
    ----------
    removed
        Visits that left the channel, shape [draw, stretch].
    gains
        Visits that other channels won by it, shape [draw, other, stretch].
    net_loss
        Metric -> open - closed over all own channels, shape [draw, stretch].
    observed
        Metric -> what came on all own channels on the same days, shape [stretch].
    unlike
        Probability of each sd of `OWN_SURPLUS` given what came: large for the last ones where the event was not as the
        ledger foretold, shape [component].
    broke
        Probability that another channel's own level broke on that day, so that it won or lost visits by itself, shape
        [other]; 0 for those that came within 3 sd of their own forecast.
    """

    removed: FloatArray
    gains: FloatArray
    net_loss: Mapping[Metric, FloatArray]
    observed: Mapping[Metric, FloatArray]
    unlike: FloatArray
    broke: FloatArray


def measure(world: World, demand: Demand, opened: OpenPath) -> Measured:
    """Condition everything that was foretold on the eve on what came after it.

    Prior: the open path of every channel and of every yield, with the covariance of their errors; of the visits that
    leave the channel, the diversion row that the ledger tells comes back elsewhere. Data: what came on every other
    channel, stretch by stretch, and what all others together yielded. What left the channel itself is its own open path
    less what came. So where it did not fall nothing is lost, and where the others' series speak clearly, nothing of the
    row that was foretold remains.

    The causal reading assumes that the event reaches other channels only through the visits it takes from the channel,
    and that nothing else, absent from `events`, changed on that day.

    Parameters
    ----------
    world
        Fitted on the eve of the event or of its announcement: the ledger's diversion.
    demand
        Yields per visit of the channel and of the rest.
    opened
        The open path of visits and what came.

    Returns
    -------
    Measured

    Notes
    -----
    The likelihood is linear in the open path and bilinear in (diversion, removed visits); draws are conditioned by
    `linked.given`. A channel that misses its forecast by more than its spread allows has that spread widened by
    (df + distance) / (df + stretches), the posterior mean of the inverse weight of a t. A channel far off its own
    forecast may also have broken by itself on that day: each such story is weighed by its marginal likelihood against
    those in which the visits came from the event.
    """
    count = opened.draws.shape[0]
    rng = np.random.default_rng([world.seed, 41])
    order = rng.permutation(world.diversion.draws)[:count]
    events = [_Event(world, demand, opened, sd, order) for sd, _ in OWN_SURPLUS]
    suspects = events[0].suspects()
    events += [_Event(world, demand, opened, OWN_SURPLUS[0][0], order, broken=place) for place in suspects]
    found = [event.measured() for event in events]
    told = np.array([event.evidence for event in events])
    prior = [weight for _, weight in OWN_SURPLUS] + [BREAKS_NEARBY] * len(suspects)
    weight = np.array(prior) * np.exp(told - told.max())
    weight /= weight.sum()
    broke = np.zeros(len(opened.others))
    broke[suspects] = weight[len(OWN_SURPLUS) :]
    unlike = weight[: len(OWN_SURPLUS)].copy()
    unlike[0] += broke.sum()
    ends = np.round(np.cumsum(weight) * count).astype(int)
    which = np.searchsorted(ends, rng.permutation(count), side="right")

    def mixed(pieces: list[FloatArray]) -> FloatArray:
        return np.stack(pieces)[which, np.arange(count)]

    return Measured(
        removed=mixed([one.removed for one in found]),
        gains=mixed([one.gains for one in found]),
        net_loss={metric: mixed([one.net_loss[metric] for one in found]) for metric in found[0].net_loss},
        observed=found[0].observed,
        unlike=unlike,
        broke=broke,
    )


class _Event:
    """The uncertain parts of one event, what they add up to, and what came of it.

    `surplus` is the sd of what comes back beside what the ledger tells, `broken` the place among the others of a
    channel that broke by itself.
    """

    def __init__(
        self,
        world: World,
        demand: Demand,
        opened: OpenPath,
        surplus: float,
        order: NDArray[np.int64],
        *,
        broken: int | None = None,
    ) -> None:
        self.world, self.demand, self.opened = world, demand, opened
        self.surplus, self.order = surplus, order
        self.rng = np.random.default_rng([world.seed, 31])
        self.count, _, self.size = opened.draws.shape
        self.evidence = 0.0
        self.parts: dict[str, FloatArray] = {}
        self.seen: list[Linked] = []
        self.came: list[FloatArray] = []
        self.lost: dict[Metric, Linked] = {}
        self.observed: dict[Metric, FloatArray] = {"visits": opened.observed.sum(axis=0)}
        self._latents()
        self._open_visits()
        if broken is not None:
            self._break(opened.others[broken])

    # --- parts

    def _part(self, name: str, draws: FloatArray, covariance: FloatArray) -> Linked:
        """A part that is independent of the others, shape [draw, size]."""
        self.parts[name] = covariance
        return Linked(draws, {name: np.eye(draws.shape[1])})

    def _noise(self, name: str, variance: FloatArray) -> Linked:
        """Independent noise of given variances, shape [draw, size]."""
        draws = self.rng.standard_normal((self.count, variance.size)) * np.sqrt(variance)
        return self._part(name, draws, np.diag(variance))

    def _latents(self) -> None:
        """What comes back of the visits and of every metric, stretch by stretch, as the ledger has it."""
        opened, whole = self.opened, self.world.diversion
        names = whole.surroundings.channels
        at = names.index(opened.window.channel)
        beside = self.surplus * np.random.default_rng([self.world.seed, 43]).standard_normal((whole.draws, 1))
        row = replace(whole, surplus=whole.surplus + beside)
        others = [names.index(opened.channels[place]) for place in opened.others]
        metrics = (*self.demand.metrics[1:], *self.demand.shop_yields)
        pieces: dict[str, FloatArray] = {"visits": self._averaged(lambda days: row.own(at, days)[:, others])}
        for metric in metrics:
            pieces[metric] = self._averaged(partial(_one_kept, row, at, metric))
        flat = {name: piece.reshape(self.count, -1) for name, piece in pieces.items()}
        latent = np.concatenate(list(flat.values()), axis=1)
        self.parts["row"] = np.atleast_2d(np.cov(latent.T)) if latent.shape[1] else np.zeros((0, 0))
        self.kept: dict[tuple[str, int], Linked] = {}
        first = 0
        for name, piece in pieces.items():
            for place in range(piece.shape[1]):
                slope = np.zeros((self.size, latent.shape[1]))
                slope[:, first : first + self.size] = np.eye(self.size)
                self.kept[name, place] = Linked(latent[:, first : first + self.size], {"row": slope})
                first += self.size

    def _averaged(self, over: Callable[[float], FloatArray]) -> FloatArray:
        """Mean over every stretch of what is known as a mean over the first days, shape [draw, to, stretch]."""
        cut = self.opened.stretches
        found: list[FloatArray] = []
        before: FloatArray | float = 0.0
        for begin, end in zip(cut.begins, cut.ends, strict=True):
            until = over(float(cut.step * end))[self.order] * end
            found.append((until - before) / (end - begin))
            before = until
        return np.stack(found, axis=-1)

    def _open_visits(self) -> None:
        """The open path of every channel, linked by the correlation of their errors."""
        opened = self.opened
        factors = [
            np.sqrt(np.maximum(np.diag(block), 0.0))[:, None] * symmetric_root(correlation_of(block))
            for block in opened.covariance
        ]
        stack = np.stack(factors)
        channels = len(opened.channels)
        linked = np.einsum("csk,kcd,dtk->csdt", stack, opened.correlation, stack)
        self.parts["visits"] = linked.reshape(channels * self.size, channels * self.size)
        self.visits: list[Linked] = []
        for channel in range(channels):
            slope = np.zeros((self.size, channels * self.size))
            slope[:, channel * self.size : (channel + 1) * self.size] = np.eye(self.size)
            self.visits.append(Linked(opened.draws[:, channel], {"visits": slope}))

    def _break(self, channel: int) -> None:
        """A channel's own level moves on the day of the event, by a share of its open path that nothing foretells."""
        size = self.rng.standard_normal((self.count, 1)) * BREAK_SIZE
        path = self.visits[channel].mean[:, None]
        self.visits[channel] = self.visits[channel] + self._part("break", size, np.array([[BREAK_SIZE**2]])).summed(
            path
        )

    def suspects(self) -> list[int]:
        """Places of the others that came further from their own forecast than its error explains."""
        found = []
        for place, channel in enumerate(self.opened.others):
            variance = np.maximum(np.diag(covariance_of(self.visits[channel], self.visits[channel], self.parts)), 0.0)
            gap = np.abs(self.opened.observed[channel] - self.visits[channel].mean)
            if (gap > SUSPECT * np.sqrt(variance + np.abs(self.visits[channel].mean)))[variance > 0].any():
                found.append(place)
        return found

    def _widen(self, channel: int, factor: float) -> None:
        """A channel's forecast error times a factor, in draws and covariance."""
        line = np.ones(self.parts["visits"].shape[0])
        line[channel * self.size : (channel + 1) * self.size] = factor
        self.parts["visits"] = self.parts["visits"] * np.outer(line, line)
        one = self.visits[channel]
        self.visits[channel] = Linked(one.mean + factor * (one.draws - one.mean), one.slopes)

    # --- what they add up to

    def read_visits(self) -> None:
        """Visits that left, visits that others won, and what came on the others, with its log density."""
        opened = self.opened
        self.removed = self.visits[opened.closed].less(opened.observed[opened.closed])
        self.gains: list[Linked] = []
        for place, channel in enumerate(opened.others):
            gain = self.kept["visits", place] * self.removed
            gain = gain + self._noise(f"count {channel}", np.abs(gain.mean))
            self.gains.append(gain)
            distance, told, _ = self._distance(self.visits[channel] + gain, opened.observed[channel])
            factor = (TAIL_DF + distance) / (TAIL_DF + told)
            if factor > 1.0:
                self._widen(channel, float(np.sqrt(factor)))
        self.lost["visits"] = self.removed
        for place, channel in enumerate(opened.others):
            self.seen.append(self.visits[channel] + self.gains[place])
            self.came.append(opened.observed[channel])
            self.lost["visits"] = self.lost["visits"] - self.gains[place]
        if self.seen:
            distance, _, volume = self._distance(stacked(self.seen), np.concatenate(self.came))
            self.evidence = -0.5 * (distance + volume)

    def _distance(self, seen: Linked, came: FloatArray) -> tuple[float, int, float]:
        """Squared distance of what came from its forecast, its degrees of freedom, the log determinant."""
        covariance = covariance_of(seen, seen, self.parts)
        sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        tells = sd > A_LITTLE
        score = (came - seen.mean)[tells] / sd[tells]
        correlation = correlation_of(covariance[np.ix_(tells, tells)]) + A_LITTLE * np.eye(int(tells.sum()))
        volume = float(np.linalg.slogdet(correlation)[1]) + 2 * float(np.log(sd[tells]).sum())
        return float(score @ np.linalg.solve(correlation, score)), int(tells.sum()), volume

    def read_yields(self, metric: Metric) -> None:
        """A metric known by channel: what the channel lost of it, what others won, and what all others yielded."""
        opened, panel, cut = self.opened, self.world.panel, self.opened.stretches
        windows, days = cut.windows(), cut.days
        amounts = sum_of(panel, metric, opened.window.markets)
        place = panel.channel_index(opened.window.channel)
        own = np.nan_to_num(amounts[days, place])
        here = windows * (np.isfinite(amounts[days, place]) | opened.absent_is_zero)
        own_yield = self._yield(f"own {metric}", self.demand.yields[metric, True], here, [opened.closed])
        removed = (self.visits[opened.closed] * own_yield).less(here @ own)
        gained = self.kept[metric, 0] * removed
        gained = gained + self._noise(f"count {metric}", np.abs(gained.mean) * self._basket(metric, place))
        self.observed[metric] = here @ own
        if (metric, False) in self.demand.yields:
            visits = sum_of(panel, "visits", opened.window.markets)
            others = all_others(amounts, visits, place, cut.before, panel.cadence)
            assert others is not None
            there = windows * np.isfinite(others[days])
            other_yield = self._yield(f"rest {metric}", self.demand.yields[metric, False], there, opened.others)
            self.seen.append(self._together(opened.others) * other_yield + gained)
            self.came.append(there @ np.nan_to_num(others[days]))
            self.observed[metric] = self.observed[metric] + self.came[-1]
        self.lost[metric] = removed - gained

    def read_totals(self, metric: Metric) -> None:
        """A metric known for the whole shop: the channel's part of it is a stated range around the shop's yield."""
        opened, panel, cut = self.opened, self.world.panel, self.opened.stretches
        market = opened.window.market
        known = panel.totals[metric]
        whole = known.sum(axis=1) if market is None else known[:, panel.markets.index(market)]
        here = cut.windows() * np.isfinite(whole[cut.days])
        every = list(range(len(opened.channels)))
        shop_yield = self._yield(f"shop {metric}", self.demand.shop_yields[metric], here, every)
        spread = self.world.priors.relative_yield
        relative = np.exp(spread * self.rng.standard_normal((self.count, 1)))
        ratio = self._part(f"relative {metric}", relative, np.atleast_2d(relative.var()))
        removed = self.removed * shop_yield * ratio.summed(np.ones((self.size, 1)))
        gained = self.kept[metric, 0] * removed
        gained = gained + self._noise(f"count {metric}", np.abs(gained.mean))
        self.seen.append(self._together(every) * shop_yield - removed + gained)
        self.came.append(here @ np.nan_to_num(whole[cut.days]))
        self.observed[metric] = self.came[-1]
        self.lost[metric] = removed - gained

    def _together(self, channels: list[int]) -> Linked:
        total = self.visits[channels[0]]
        for channel in channels[1:]:
            total = total + self.visits[channel]
        return total

    def _yield(self, name: str, series: YieldSeries, windows: FloatArray, channels: list[int]) -> Linked:
        """Mean yield of every stretch; a day counts by the visits expected on it."""
        days = self.opened.stretches.days
        expected = sum((expected_path(self.opened.series[at], days) for at in channels), np.zeros(days.size))
        joint = series.jointly(days, windows * (expected + A_LITTLE))
        scores = self.rng.standard_normal((self.count, self.size)) @ symmetric_root(joint.correlation)
        draws = np.maximum(joint.apart.at_normal(scores, np.ones(self.size)), 0.0)
        return self._part(name, draws, joint.covariance)

    def _basket(self, metric: Metric, place: int) -> float:
        """Variance of an amount over its mean: 1 for counts, the basket for value."""
        panel = self.world.panel
        if metric != "gmv" or "orders" not in panel.values:
            return 1.0
        value, orders = (
            float(np.nansum(sum_of(panel, one, self.opened.window.markets)[: self.opened.stretches.before, place]))
            for one in (metric, "orders")
        )
        return BASKET_SPREAD * value / max(orders, 1.0)

    def measured(self) -> Measured:
        """Everything wanted, given everything that came."""
        self.read_visits()
        for metric in self.demand.metrics[1:]:
            self.read_yields(metric)
        for metric in self.demand.shop_yields:
            self.read_totals(metric)
        wanted = stacked([self.removed, *self.gains, *self.lost.values()])
        draws = wanted.draws
        if self.seen:
            draws = given(wanted, stacked(self.seen), np.concatenate(self.came), self.parts)
        pieces = draws.reshape(self.count, -1, self.size)
        first = 1 + len(self.gains)
        lost = {metric: pieces[:, first + at] for at, metric in enumerate(self.lost)}
        return Measured(pieces[:, 0], pieces[:, 1:first], lost, self.observed, np.empty(0), np.empty(0))


def _one_kept(row: Diversion, channel: int, metric: Metric, days: float) -> FloatArray:
    """What others win of a metric, as one destination, shape [draw, 1]."""
    return row.yield_kept(channel, metric, days)[:, None]
