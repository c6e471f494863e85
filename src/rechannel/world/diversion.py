"""Where visits go when a channel is taken away: a row of shares per channel, from prior, shares and past outages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from rechannel.evidence.finding import Finding
from rechannel.evidence.ties import Ties
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.laplace import Posterior, posterior_mode, sample_posterior
from rechannel.world.priors import Normal, Priors

YIELDS: tuple[Metric, ...] = ("orders", "gmv", "new_customers")
"""Metrics that a visit yields."""
READ_YIELDS: tuple[Metric, ...] = ("orders", "new_customers")
"""Those whose change in a past outage is read; the value of orders moves with their number and tells nothing more."""
LASTING = ("closure", "demotion")
_SHARED = ("retained", "same_host", "bias", "deferral", "released", "carried", "selection", *YIELDS)
"""Whitened parameters that all channels have in common, in the order of the parameter vector."""
_OF_TIES = ("overlap", "solo", "new")
"""Those that follow them when journeys are known: factors of what these say."""
_ROW = 3
"""Parameters of a channel's row before those of its composition: level, surplus, bias of its outages."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a diversion row is built around: sizes and yields of the open world.

    Attributes
    ----------
    channels
        Own channels.
    shares
        Share of visits, shape [channel]; sums to 1.
    hosts, kinds
        Host and kind of each channel, empty when not stated; channels on one surface attract each other's users.
    yields
        Metric -> orders, value or new customers per visit, shape [channel]; nan where not known per channel.
    rivals, rival_sizes
        Other firms and their sizes on any common scale, shape [rival].
    unscaled
        Other firms that are on no common scale with them.
    ties
        What journeys say about the channels' customers; None without them.
    """

    channels: tuple[str, ...]
    shares: FloatArray
    hosts: tuple[str, ...]
    kinds: tuple[str, ...]
    yields: Mapping[Metric, FloatArray]
    rivals: tuple[str, ...]
    rival_sizes: FloatArray
    unscaled: tuple[str, ...] = ()
    ties: Ties | None = None

    def neighbours(self, channel: int) -> FloatArray:
        """1 for channels on the surface of the same host, or of the same kind, shape [channel]."""

        def same(names: tuple[str, ...]) -> FloatArray:
            return np.array([float(bool(name) and name == names[channel]) for name in names])

        return np.maximum(same(self.hosts), same(self.kinds))

    def uses_lifts(self, channel: int) -> bool:
        """Whether shared customers shape a row: they are known, and no stated host or kind says whom it is near to."""
        is_stated = bool(self.hosts[channel] or self.kinds[channel])
        return self.ties is not None and bool(self.ties.known[channel]) and not is_stated


@dataclass(frozen=True, slots=True)
class Diversion:
    """Joint draws of every diversion row; channels without evidence follow from what all share.

    Attributes
    ----------
    surroundings
        Channels and rivals, in the order of the arrays.
    retained
        Logit of the retained share in the first days, shape [draw, channel].
    surplus
        What comes back beside it, shape [draw, channel].
    learning
        How far it moves afterwards on that scale, shape [draw, channel].
    learning_days
        Days in which it does, shape [draw].
    weights
        How what is retained spreads, shape [draw, from, to]; rows sum to 1, the diagonal is 0.
    spill
        What own channels gain beside it, shape [draw, from, to].
    to_rivals
        Rivals' part of what is not retained, shape [draw, channel].
    rival_weights
        Its spread, shape [draw, rival].
    carried
        How far conversion goes along with the visitor, shape [draw].
    selection
        Metric -> log of what diverted visits yield beyond that, shape [draw].
    postponed, postponed_days
        Part of the new customers not won elsewhere that only comes later, and days until it does, shape [draw].
    pareto_k
        Tail index of the first importance weights.
    drift
        How far the sampler still moved at its end, in standard deviations; above .25 it is not to be trusted.
    left_out
        Per finding used: standardised error of its retained share as prior and other findings predict it.
    """

    surroundings: Surroundings
    retained: FloatArray
    surplus: FloatArray
    learning: FloatArray
    learning_days: FloatArray
    weights: FloatArray
    spill: FloatArray
    to_rivals: FloatArray
    rival_weights: FloatArray
    carried: FloatArray
    selection: Mapping[Metric, FloatArray]
    postponed: FloatArray
    postponed_days: FloatArray
    pareto_k: float
    drift: float
    left_out: tuple[float, ...]

    @property
    def draws(self) -> int:
        """How many joint draws there are."""
        return int(self.retained.shape[0])

    def kept(self, channel: int, days: FloatArray | float) -> FloatArray:
        """Retained share over the first `days` days, without the cells' spill, shape [draw] or [draw, horizon]."""
        first = expit(self.retained[:, channel])
        last = expit(self.retained[:, channel] + self.learning[:, channel])
        horizon = np.atleast_1d(np.asarray(days, dtype=float))
        pace = self.learning_days[:, None]
        moved = 1.0 - pace / horizon * -np.expm1(-horizon / pace)
        share = first[:, None] + (last - first)[:, None] * moved + self.surplus[:, channel, None]
        return np.asarray(share[:, 0] if np.ndim(days) == 0 else share)

    def kept_on(self, channel: int, days: FloatArray) -> FloatArray:
        """Retained share on single days after the first, spill included, shape [draw, day]."""
        first = expit(self.retained[:, channel])[:, None]
        last = expit(self.retained[:, channel] + self.learning[:, channel])[:, None]
        moved = -np.expm1(-np.asarray(days, dtype=float) / self.learning_days[:, None])
        beside = self.surplus[:, channel] + self.spill[:, channel].sum(axis=1)
        return np.asarray(first + (last - first) * moved + beside[:, None])

    def own(self, channel: int, days: float) -> FloatArray:
        """Diversion to every own channel averaged over the first `days` days, shape [draw, to]."""
        return np.asarray(self.kept(channel, days)[:, None] * self.weights[:, channel] + self.spill[:, channel])

    def rivals(self, channel: int, days: float) -> FloatArray:
        """Diversion to every rival, shape [draw, rival]."""
        rest = np.maximum(1.0 - self.kept(channel, days), 0.0) * self.to_rivals[:, channel]
        return np.asarray(rest[:, None] * self.rival_weights)

    def yield_kept(self, channel: int, metric: Metric, days: float) -> FloatArray:
        """Of what the channel yields, the share that its diverted visits yield elsewhere, shape [draw].

        Log conversion of diverted visits = destination's + carried x (origin - destination) + selection; new customers
        who are only postponed come back within the window as time goes by.
        """
        count = len(self.surroundings.channels)
        relative = _relative(self.surroundings.yields.get(metric, np.full(count, np.nan)), channel)
        weight = relative[None, :] ** (1.0 - self.carried[:, None])
        share = (self.own(channel, days) * weight).sum(axis=1) * np.exp(self.selection[metric])
        if metric == "new_customers":
            share = share + np.maximum(1.0 - share, 0.0) * self.late(days)
        return np.asarray(share)

    def late(self, days: float) -> FloatArray:
        """Of the new customers not won elsewhere at once, those who come later within the window, shape [draw]."""
        come = 1.0 + self.postponed_days / days * np.expm1(-days / self.postponed_days)
        return np.asarray(self.postponed * come)


def _recomposed(weights: FloatArray, moved: FloatArray) -> FloatArray:
    """Weights of a row once their logs have moved, shape [draw, to]; a row of nothing stays one."""
    found = weights * np.exp(moved)
    total = found.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(found, total, out=np.zeros_like(found), where=total > 0))


def _relative(per_visit: FloatArray, channel: int) -> FloatArray:
    """Yield of every channel relative to one; 1 where either is not known or nothing."""
    known = np.isfinite(per_visit) & (per_visit > 0)
    if not known[channel]:
        return np.ones(per_visit.size)
    return np.where(known, np.where(known, per_visit, 1.0) / per_visit[channel], 1.0)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One finding as the model reads it: vector, whitener, positions of its parameters.

    Attributes
    ----------
    finding, channel, others
        The finding, the position of its channel and of the channels that may gain, among all.
    values
        Gains per removed visit [other], then rebound and changes of yield, whitened by `whitener`.
    has_rebound, metrics
        What follows the gains.
    at
        First of its two parameters: deferral, own bias.
    row_at
        First parameter of its channel's row: level, surplus, bias, composition [channel].
    """

    finding: Finding
    channel: int
    others: NDArray[np.intp]
    values: FloatArray
    has_rebound: bool
    metrics: tuple[Metric, ...]
    at: int
    row_at: int


class _Model:
    """Log posterior of the whitened parameters: what every finding would show under them."""

    def __init__(self, around: Surroundings, findings: Sequence[Finding], priors: Priors) -> None:
        self.around, self.priors = around, priors
        n = len(around.channels)
        place = {name: index for index, name in enumerate(around.channels)}
        seen = [
            finding
            for finding in findings
            if finding.clear and finding.channel in place and len(place.keys() & set(finding.channels)) > 1
        ]
        self.anchored = tuple(dict.fromkeys(place[finding.channel] for finding in seen))
        self.shared = len(_SHARED) + (len(_OF_TIES) if around.ties else 0)
        self.row_at = {channel: self.shared + k * (_ROW + n) for k, channel in enumerate(self.anchored)}
        first = self.shared + len(self.anchored) * (_ROW + n)
        self.size = first + 2 * len(seen)
        self.readings = tuple(
            self._read(finding, place, first + 2 * k, self.row_at[place[finding.channel]])
            for k, finding in enumerate(seen)
        )

    def _read(self, finding: Finding, place: Mapping[str, int], at: int, row_at: int) -> _Reading:
        channel = place[finding.channel]
        order = [index for index, name in enumerate(finding.channels) if name in place and name != finding.channel]
        others = np.array([place[finding.channels[index]] for index in order], dtype=np.intp)
        has_rebound = bool(np.isfinite(finding.rebound_variance))
        metrics = tuple(metric for metric in READ_YIELDS if metric in finding.yield_change)
        values = [finding.gains[index] / finding.removed for index in order]
        if has_rebound:
            values.append(finding.rebound / finding.removed)
        values += [finding.yield_change[metric] for metric in metrics]
        return _Reading(finding, channel, others, np.array(values), has_rebound, metrics, at, row_at)

    def parts(self, theta: FloatArray, channel: int, at: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Level (logit), surplus and weights of a row whose own parameters start at `at`."""
        n, priors = len(self.around.channels), self.priors
        common = np.sqrt(priors.retained_shared) * theta[:, 0]
        own = np.sqrt(1 - priors.retained_shared) * theta[:, at]
        level = priors.retained.centre + priors.retained.sd * (common + own)
        host = priors.same_host.centre + priors.same_host.sd * theta[:, 1]
        scores = np.log(np.maximum(self.around.shares, 1e-9))[None, :] + host[:, None] * self.around.neighbours(channel)
        if self.around.ties is not None:
            lift, moved = self._tied(theta, channel, self.around.ties)
            scores, level = scores + lift, level + moved
        scores = scores + priors.composition * theta[:, at + _ROW : at + _ROW + n]
        if n == 1:
            return level, priors.surplus * theta[:, at + 1], np.zeros_like(scores)
        scores[:, channel] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return level, priors.surplus * theta[:, at + 1], weights

    def _tied(self, theta: FloatArray, channel: int, ties: Ties) -> tuple[FloatArray, FloatArray]:
        """What shared customers add to the scores of a row and to its level."""
        priors = self.priors
        overlap, solo, new = (
            prior.centre + prior.sd * theta[:, len(_SHARED) + place]
            for place, prior in enumerate((priors.overlap, priors.solo, priors.new))
        )
        lifts = ties.lifts[channel] if self.around.uses_lifts(channel) else np.zeros_like(ties.lifts[channel])
        return overlap[:, None] * lifts, solo * ties.solo[channel] + new * ties.new[channel]

    def _normal(self, theta: FloatArray, name: str, prior: Normal) -> FloatArray:
        return prior.centre + prior.sd * theta[:, _SHARED.index(name)]

    def carried(self, theta: FloatArray) -> FloatArray:
        return np.asarray(expit(self._normal(theta, "carried", self.priors.carried)))

    def selection(self, theta: FloatArray, metric: Metric) -> FloatArray:
        shared, own = self.priors.selection
        noise = shared * theta[:, _SHARED.index("selection")] + own * theta[:, _SHARED.index(metric)]
        return np.asarray(self.priors.keener[metric] + noise)

    def row_of(self, reading: _Reading, theta: FloatArray) -> FloatArray:
        """Gain of every other channel per removed visit, shape [draw, other]."""
        finding, priors = reading.finding, self.priors
        lasting = finding.kind in LASTING
        level, surplus, weights = self.parts(theta, reading.channel, reading.row_at)
        own = theta[:, reading.at + 1]
        if lasting:
            bias = np.sqrt(0.5) * own
        else:
            of = theta[:, _SHARED.index("bias")], theta[:, reading.row_at + 2], own
            bias = sum(np.sqrt(share) * part for share, part in zip(priors.bias_shared, of, strict=True))
        kept = expit(level + priors.bias * bias) + surplus
        gained = kept[:, None] * weights[:, reading.others]
        return np.asarray((1 - self.deferral(reading, theta))[:, None] * gained)

    def deferral(self, reading: _Reading, theta: FloatArray) -> FloatArray:
        lasting = reading.finding.kind in LASTING
        own = theta[:, reading.at]
        if lasting:
            prior = self.priors.deferral_lasting
            return np.asarray(expit(prior.centre + prior.sd * own))
        prior, shared = self.priors.deferral_outage, self.priors.deferral_shared
        common = theta[:, _SHARED.index("deferral")]
        return np.asarray(expit(prior.centre + prior.sd * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)))

    def predict(self, reading: _Reading, theta: FloatArray) -> FloatArray:
        """What one finding would show, shape [draw, value]."""
        finding = reading.finding
        row = self.row_of(reading, theta)
        columns = [row]
        if reading.has_rebound:
            back = expit(self._normal(theta, "released", self.priors.released))
            columns.append((back * self.deferral(reading, theta))[:, None])
        for metric in reading.metrics:
            per_visit = self.around.yields[metric]
            relative = _relative(per_visit, reading.channel)[reading.others]
            diverted = (row * relative ** (1 - self.carried(theta)[:, None])).sum(axis=1)
            diverted = diverted * np.exp(self.selection(theta, metric)) / finding.yield_of_rest[metric]
            arrived = row.sum(axis=1)
            base = finding.open_rest / finding.removed
            change = np.log(np.maximum(base + diverted, 1e-3) / np.maximum(base + arrived, 1e-3))
            columns.append(change[:, None])
        return np.concatenate(columns, axis=1)

    def whitener(self, reading: _Reading, theta: FloatArray) -> FloatArray:
        """Inverse Cholesky factor of the reading's covariance at one parameter vector, removed visits' error included.

        gains_j - row_j x removed has the covariance A S A', A = [I, row], since the closed channel's gain is -removed;
        spill, linear in what is measured, is integrated out.
        """
        finding = reading.finding
        row = self.row_of(reading, theta[None, :])[0]
        names = finding.channels
        closed = names.index(finding.channel)
        place = [names.index(self.around.channels[index]) for index in reading.others]
        size = len(names) + 1
        whole = np.zeros((size, size))
        whole[:-1, :-1] = finding.gains_covariance
        if reading.has_rebound:
            whole[-1, -1] = finding.rebound_variance
            whole[-1, :-1] = whole[:-1, -1] = finding.rebound_covariance
        lines = np.zeros((len(place) + reading.has_rebound, size))
        lines[np.arange(len(place)), place] = 1.0
        lines[: len(place), closed] = row
        if reading.has_rebound:
            lines[-1, -1] = 1.0
            lines[-1, closed] = self.deferral(reading, theta[None, :])[0] * expit(self.priors.released.centre)
        covariance = lines @ whole @ lines.T / finding.removed**2
        covariance += np.diag(1e-9 + 1e-6 * np.diag(covariance))
        covariance[np.arange(len(place)), np.arange(len(place))] += self.priors.spill**2
        spread = np.zeros((reading.values.size, reading.values.size))
        k = covariance.shape[0]
        spread[:k, :k] = covariance
        for offset, metric in enumerate(reading.metrics):
            spread[k + offset, k + offset] = finding.yield_variance[metric]
        return np.asarray(np.linalg.inv(np.linalg.cholesky(spread)))


def fit_diversion(
    around: Surroundings,
    findings: Sequence[Finding],
    priors: Priors,
    *,
    draws: int,
    seed: int,
) -> Diversion:
    """Learn every diversion row from the prior, the channels' shares and the ledger.

    Causal assumption: users of a channel who meet a past outage of it behave, deferral and a bias of unknown sign
    aside, as they would in the intervention asked about.

    Parameters
    ----------
    around
        Channels, shares, hosts, yields, rivals.
    findings
        The ledger; findings whose fall is not clear, or which saw no other channel, say nothing here.
    priors
        Ranges before any data.
    draws, seed
        Joint draws wanted, and their seed.

    Returns
    -------
    Diversion
        ``D[c, j] = (expit(level_c) + surplus_c) softmax_j(log share_j + same_host + e_cj) + spill_cj`` over own
        channels; what is not retained splits between rivals and outside. With journeys the level also has
        ``solo x solo_c + new x new_c``, and the weights ``overlap x lift_cj`` unless hosts say whom the channel is near
        to (`evidence.ties`); the three factors are learned with everything else.

    Notes
    -----
    An outage shows ``(1 - deferral) D`` plus a bias of its kind; the seven days after it show the deferral again.
    The posterior is sampled by `laplace.sample_posterior`.
    """
    model = _Model(around, findings, priors)
    posterior = sample_posterior(model.size, model.readings, model.predict, model.whitener, draws=draws, seed=seed)
    return _assemble(model, posterior, seed)


def likeliest_retained(around: Surroundings, findings: Sequence[Finding], priors: Priors) -> FloatArray:
    """Retained share of every channel at the most probable parameters, shape [channel]: a quick look, no draws."""
    model = _Model(around, findings, priors)
    theta, _ = posterior_mode(model.size, model.readings, model.predict, model.whitener)
    whole = np.concatenate([theta, np.zeros(_ROW + len(around.channels))])[None, :]
    levels = [
        model.parts(whole, channel, model.row_at.get(channel, model.size))[0][0]
        for channel in range(len(around.channels))
    ]
    return np.asarray(expit(np.array(levels)))


def _assemble(model: _Model, posterior: Posterior, seed: int) -> Diversion:
    """Every channel's row from the posterior; what the data never touched comes from the prior."""
    around, priors = model.around, model.priors
    theta = posterior.draws
    count, n = theta.shape[0], len(around.channels)
    rng = np.random.default_rng([seed, 11])

    def fresh(*shape: int) -> FloatArray:
        half = rng.standard_normal((count // 2, *shape))
        return np.concatenate([half, -half])

    lasting = {reading.channel for reading in model.readings if reading.finding.kind in LASTING}
    retained, surplus = np.empty((count, n)), np.empty((count, n))
    weights = np.zeros((count, n, n))
    spill = np.zeros((count, n, n))
    for channel in range(n):
        own_row, at = fresh(_ROW + n), model.row_at.get(channel)
        beside = theta if at is not None else np.concatenate([theta[:, : model.shared], own_row], axis=1)
        parts = model.parts(beside, channel, model.shared if at is None else at)
        retained[:, channel], surplus[:, channel], short = parts
        moved = priors.recomposition * fresh(n)
        weights[:, channel] = short if channel in lasting else _recomposed(short, moved)
        spill[:, channel] = priors.spill * fresh(n)
        spill[:, channel, channel] = 0.0
    if n == 1:
        surplus[:] = 0.0
        retained[:] = -np.inf
    learning = priors.learning.centre + priors.learning.sd * fresh(n)
    days = np.exp(priors.learning_days.centre + priors.learning_days.sd * fresh(1)[:, 0])
    common, own = fresh(1), fresh(n)
    mixed = np.sqrt(priors.rivals_shared) * common + np.sqrt(1 - priors.rivals_shared) * own
    to_rivals = expit(priors.rivals.centre + priors.rivals.sd * mixed)
    scores = np.log(np.maximum(around.rival_sizes, 1e-12))[None, :] + priors.rival_composition * fresh(
        len(around.rivals)
    )
    if around.rivals:
        spread = np.exp(scores - scores.max(axis=1, keepdims=True))
        spread /= spread.sum(axis=1, keepdims=True)
    else:
        spread = np.zeros((count, 0))
    return Diversion(
        surroundings=around,
        retained=retained,
        surplus=surplus,
        learning=learning,
        learning_days=days,
        weights=weights,
        spill=spill,
        to_rivals=to_rivals,
        rival_weights=spread,
        carried=model.carried(theta),
        selection={metric: model.selection(theta, metric) for metric in YIELDS},
        postponed=expit(priors.postponed_customers.centre + priors.postponed_customers.sd * fresh(1)[:, 0]),
        postponed_days=np.exp(priors.postponed_days.centre + priors.postponed_days.sd * fresh(1)[:, 0]),
        pareto_k=posterior.pareto_k,
        drift=posterior.drift,
        left_out=tuple(
            one.score((np.arange(reading.values.size) < reading.others.size).astype(float))
            for one, reading in zip(posterior.left_out, model.readings, strict=True)
        ),
    )
