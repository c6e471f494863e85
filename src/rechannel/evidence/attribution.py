"""Attribution of orders to channels: what users have today, exact, with intervals - and descriptive, never causal.

No figure here says what would happen without a channel. Credit shares out orders that did happen; a removal effect is
the share of orders whose path touched the channel on the way, in a chain that cannot find another way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from rechannel.tables.journeyrules import DECAY_UNIT, HEURISTICS, KINDS, PARTS, Kind
from rechannel.tables.journeys import JourneyTables, length_parts, members_of
from rechannel.tables.lengths import heuristic_sums
from rechannel.vocabulary.estimate import FloatArray

Method = Literal["first", "last", "linear", "time_decay", "position", "shapley", "markov"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Removal:
    """Removal effects of a Markov chain.

    Attributes
    ----------
    p_conversion
        Shape [draw]: chance that a path ends with an order; nan where no path has weight.
    effects
        Shape [draw, channel], 0..1: share of that chance lost when every path that comes to the channel is cut off
        there, that is if nobody found another way: an upper bound on what a closure loses; nan where nothing converts.
    """

    p_conversion: FloatArray
    effects: FloatArray


@dataclass(frozen=True, slots=True)
class Credit:
    """Credit by every method.

    Attributes
    ----------
    channels
        Names, in the order of every array.
    kind
        What is shared out: orders, value (case currency) or new (first orders in the log).
    total
        Shape [draw]: attributed orders, their value, or the first orders among them; the sum over channels of every
        method.
    by_method
        Method -> shape [draw, channel]. Draw 0 is the data itself, the rest are bootstrap replicates.
    removal
        Of the chain behind `markov`, with the same draws.
    """

    channels: tuple[str, ...]
    kind: Kind
    total: FloatArray
    by_method: Mapping[Method, FloatArray]
    removal: Removal

    def shares(self, method: Method) -> FloatArray:
        """Shares of the total, shape [draw, channel]; nan where the total is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.by_method[method] / self.total[:, None]


def attribute(tables: JourneyTables, kind: Kind = "orders", period: int | None = None) -> Credit:
    """Credit of all methods with their bootstrap replicates.

    Question answered: which channels stand on the paths to orders, and how often. It is not what a channel brings:
    nothing here knows who would have come anyway.

    Parameters
    ----------
    tables
        Folded journeys; their replicates become draws.
    kind
        What is shared out; replicates must have been asked for it.
    period
        One period of `JourneyRules.breaks`; None = the sum of all.

    Returns
    -------
    Credit
        Draw 0 of `first`, `last`, `linear`, `position` and `shapley` is exact up to double precision; `time_decay`
        counts in whole 2^-30 of an order. `markov` is the removal effects scaled to the total.

    Raises
    ------
    ValueError
        Replicates exist but not of this kind.

    Notes
    -----
    Intervals tell what another sample of customers from the same months would have shown; they hold no doubt about the
    method. Poisson bootstrap over customers: Hanley and MacGibbon (2006), Chamandy et al. (2012).
    """
    replicates = tables.replicates
    weighed = replicates.asked.weighs("credit") and replicates.asked.weighs("transitions")
    if replicates.asked.replicates and (kind not in replicates.asked.kinds or not weighed):
        raise ValueError(f"the replicates do not weigh credit of {kind}")
    chosen = slice(None) if period is None else slice(period, period + 1)
    own = _of_data(tables, kind, chosen)
    unit = 10**tables.rules.decimals if kind == "value" else DECAY_UNIT
    by_method: dict[Method, FloatArray] = {}
    for method in METHODS[:-1]:
        place = HEURISTICS.index(method)
        drawn = replicates.table("credit")[:, KINDS.index(kind), place, chosen].sum(axis=1) / unit
        by_method[method] = np.concatenate([own[method][None, :], drawn])
    total = by_method["first"].sum(axis=1)
    moves = np.concatenate([tables.transitions[None], replicates.table("transitions")])[:, chosen].sum(axis=1)
    removal = removal_effects(moves.astype(np.float64))
    by_method["markov"] = scaled_to(removal.effects, total)
    return Credit(tables.log.channels, kind, total, by_method, removal)


def scaled_to(effects: FloatArray, total: FloatArray) -> FloatArray:
    """Removal effects, shape [draw, channel], as credit that sums to `total`, shape [draw]; 0 where none converts."""
    known = np.nan_to_num(effects)
    sums = known.sum(axis=1)
    per_effect = np.divide(total, sums, out=np.zeros_like(total), where=sums > 0)
    return np.asarray(known * per_effect[:, None], np.float64)


def _of_data(tables: JourneyTables, kind: Kind, chosen: slice) -> dict[Method, FloatArray]:
    """Credit of the data themselves by heuristic, shape [channel]."""
    size, place = len(tables.log.channels), KINDS.index(kind)
    scale = 10**tables.rules.decimals if kind == "value" else 1
    wanted = np.zeros(tables.rules.periods, bool)
    wanted[chosen] = True
    period, channel, length = length_parts(tables.by_length.keys)
    inside = wanted[period]
    parts = tables.by_length.sums.reshape(-1, len(KINDS), len(PARTS))[inside]
    sums = heuristic_sums(parts, length[inside], tables.rules)
    found: dict[Method, FloatArray] = {}
    for method in METHODS[:-2]:
        unit = DECAY_UNIT if method == "time_decay" and kind != "value" else scale
        credited = np.bincount(channel[inside], sums[method][:, place] / unit, minlength=size)
        found[method] = credited.astype(np.float64)
    when, members = members_of(tables.channel_sets.keys, size)
    kept = wanted[when]
    found["shapley"] = shapley(members[kept], tables.channel_sets.sums[kept, place] / scale)
    return found


def shapley(members: np.ndarray[tuple[int, int], np.dtype[np.bool_]], amount: FloatArray) -> FloatArray:
    """Exact Shapley values of v(S) = what orders bring whose channels all lie inside S, for any number of channels.

    Parameters
    ----------
    members
        Shape [set, channel]: the channels of each set.
    amount
        Shape [set]: orders, or their value, whose path has exactly these channels.

    Returns
    -------
    Shape [channel].

    Notes
    -----
    v is a sum of unanimity games, one per set of channels; the Shapley value is linear, and that of a unanimity game is
    an even split over its members (Shapley 1953, lemma 3). So no transform over 2^n subsets and no sampling is needed.
    """
    size = np.maximum(members.sum(axis=1), 1)
    return np.asarray((amount / size) @ members, np.float64)


def removal_effects(transitions: FloatArray) -> Removal:
    """Exact removal effects of a Markov chain of order 1 or 2, of many draws at once.

    Parameters
    ----------
    transitions
        Order 1: shape [draw, from, to]; `from` = channels, start; `to` = channels, order, no order. Order 2: shape
        [draw, before, at, to], `before` = channels, start. Counts, or weighed counts.

    Returns
    -------
    Removal

    Notes
    -----
    With the fundamental matrix N = (I - Q)^-1 of the absorbing chain, the paths that come to a set A of states and
    convert have the chance N[start, A] N[A, A]^-1 b[A], b = N r the chance to convert from a state (Kemeny and Snell
    1960, theorem 3.5.4: N[start, A] N[A, A]^-1 is where A is entered first). Divided by b[start] it is the removal
    effect of Anderl, Becker, von Wangenheim and Schumann (2016). At order 1 the set of a channel is its own state; at
    order 2 it is every pair that ends in the channel.
    """
    if transitions.ndim == 3:
        return _order_one(transitions)
    return _order_two(transitions)


def _rates(counts: FloatArray) -> FloatArray:
    """Rows as chances; rows without a count stay 0: such states are never entered."""
    sums = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0), np.float64)


def _order_one(transitions: FloatArray) -> Removal:
    """States: the channels, then start."""
    size = transitions.shape[1] - 1
    rates = _rates(transitions)
    inside = np.zeros((len(rates), size + 1, size + 1))
    inside[:, :, :size] = rates[:, :, :size]
    fundamental = np.linalg.inv(np.eye(size + 1) - inside)
    converts = np.einsum("dij,dj->di", fundamental, rates[:, :, size])
    visits = fundamental[:, size, :size] / np.einsum("dii->di", fundamental)[:, :size]
    return _relative(converts[:, size], visits * converts[:, :size], transitions[:, size].sum(axis=1))


def _order_two(transitions: FloatArray) -> Removal:
    """States: pairs of channels, or start and a channel, that have a count in any draw."""
    draws, size = len(transitions), transitions.shape[2]
    before, at = np.nonzero(transitions.sum(axis=(0, 3)) > 0)
    state = np.full((size + 1, size), -1)
    state[before, at] = np.arange(len(before))
    effects, chance, mass = np.zeros((draws, size)), np.zeros(draws), np.zeros(draws)
    target = state[at, :]  # at a pair that ends in `at`, the next channel makes the pair (at, next)
    row, step = np.nonzero(target >= 0)
    for draw in range(draws):  # one at a time: the matrices are large
        counts = transitions[draw, before, at]
        rates = _rates(counts)
        inside = np.zeros((len(before), len(before)))
        inside[row, target[row, step]] = rates[row, step]
        fundamental = np.linalg.inv(np.eye(len(before)) - inside)
        begin = np.where(before == size, counts.sum(axis=1), 0.0)
        mass[draw] = begin.sum()
        if not mass[draw]:
            continue
        reach = (begin / mass[draw]) @ fundamental
        converts = fundamental @ rates[:, size]
        chance[draw] = (begin / mass[draw]) @ converts
        for channel in np.unique(at):
            ends = np.flatnonzero(at == channel)
            entered = np.linalg.solve(fundamental[np.ix_(ends, ends)].T, reach[ends])
            effects[draw, channel] = entered @ converts[ends]
    return _relative(chance, effects, mass)


def _relative(chance: FloatArray, through: FloatArray, mass: FloatArray) -> Removal:
    """Chances through a channel as parts of the chance to convert; nan where there is none."""
    undefined = np.full_like(through, np.nan)
    effects = np.divide(through, chance[:, None], out=undefined, where=chance[:, None] > 0)
    return Removal(np.where(mass > 0, chance, np.nan), np.clip(effects, 0.0, 1.0))
