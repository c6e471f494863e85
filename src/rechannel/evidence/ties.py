"""What journeys say about a diversion row: with whom a channel shares its customers, and how many have no other way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.overlap import Overlap, overlap_of
from rechannel.tables.journeys import JourneyTables
from rechannel.vocabulary.estimate import FloatArray, Quantiles

FEWEST_CUSTOMERS = 100
"""Customers of a channel from which its row is read; with fewer it is built around the shares of visits alone."""
LIFT_SD = 0.5
"""Sd of true log lifts between the channels of a shop, towards which noisy ones are pulled to none; an assumption."""


@dataclass(frozen=True, slots=True)
class Ties:
    """Shared customers of a shop's channels, on the scale of a diversion row.

    Attributes
    ----------
    channels
        Own channels, in the order of the arrays.
    known
        Whether the log holds enough customers of a channel, shape [channel]; nothing is said about the others.
    lifts
        Log of how much more the customers of `from` use `to` than its share of sessions makes likely, pulled towards 0
        by its sampling noise, shape [from, to]; 0 = no more than that, or not known.
    solo, new
        Share of a channel's sessions by customers who use no other one, and of first sessions of their customer, less
        that of the whole shop, shape [channel]; 0 where not known.
    ways
        What the log says about single channels, of those known.
    first, last
        First and last day of the log.
    """

    channels: tuple[str, ...]
    known: NDArray[np.bool_]
    lifts: FloatArray
    solo: FloatArray
    new: FloatArray
    ways: Mapping[str, Ways]
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Ways:
    """What the log says about one channel's customers.

    Attributes
    ----------
    customers
        How many were seen.
    others
        Own channel -> share of what these customers do elsewhere, weighted by their sessions through the channel.
    solo, new
        Share of its sessions by customers who use no other channel; of first sessions of their customer, None when the
        log is too short to tell.
    """

    customers: int
    others: Mapping[str, Quantiles]
    solo: Quantiles
    new: Quantiles | None


def ties_of(tables: JourneyTables, channels: Sequence[str]) -> Ties:
    """Read the ties between the channels of a panel from folded journeys.

    Question answered: how far do the customers of each channel know other ways in, and which? The sizes of channels are
    left to the panel: a log of some customers tells who uses what together, not how large a channel is.

    Parameters
    ----------
    tables
        Folded journeys with replicates of `alone` and `overlap`.
    channels
        Those of the panel; others of the log are left out, and nothing is known of those that it lacks.

    Returns
    -------
    Ties

    Notes
    -----
    lift[c, j] = log o[c, j] - log(s_j / (1 - s_c)), with o as in `overlap_of` and s the shares of sessions in the log;
    its variance over the replicates, v, shrinks it by LIFT_SD^2 / (LIFT_SD^2 + v).
    """
    found = overlap_of(tables)
    place = {name: at for at, name in enumerate(found.channels)}
    inside = [(at, place[name]) for at, name in enumerate(channels) if name in place]
    customers = tables.overlap[0].diagonal()
    enough = [(at, row) for at, row in inside if customers[row] >= FEWEST_CUSTOMERS]
    size = len(channels)
    lifts, solo, new = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    lift = _lifts(tables, found)
    for at, row in enough:
        for to, column in inside:
            lifts[at, to] = _shrunk(lift[:, row, column]) if to != at else 0.0
    sessions = tables.alone[0].astype(np.float64)
    later = sessions - tables.alone[2]
    for values, whole, weights in ((solo, found.solo[0], sessions), (new, found.new[0], later)):
        known = np.isfinite(whole) & (weights > 0)
        mean = float(np.average(whole[known], weights=weights[known])) if known.any() else 0.0
        for at, row in enough:
            values[at] = whole[row] - mean if known[row] else 0.0
    known_rows = np.zeros(size, dtype=bool)
    known_rows[[at for at, _ in enough]] = True
    return Ties(
        channels=tuple(channels),
        known=known_rows,
        lifts=lifts,
        solo=solo,
        new=new,
        ways={channels[at]: _ways(found, row, inside, channels, int(customers[row])) for at, row in enough},
        first=_day(tables.log.first),
        last=_day(tables.log.last),
    )


def _lifts(tables: JourneyTables, found: Overlap) -> FloatArray:
    """Log lifts of the data and of every replicate, shape [draw, from, to]; nan where a channel has no session."""
    sessions = np.concatenate([tables.alone[None, 0], tables.replicates.table("alone")[:, 0]]).astype(np.float64)
    share = sessions / np.maximum(sessions.sum(axis=1, keepdims=True), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.log(found.shares) - np.log(share[:, None, :]) + np.log(1 - share[:, :, None])
    return np.where(np.isfinite(lift), lift, np.nan)


def _shrunk(draws: FloatArray) -> float:
    """A lift pulled towards 0 by its noise, from draws of which the first is the data; 0 when it cannot be told."""
    again = draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(draws[0]) or 2 * again.size < draws.size - 1 or again.size < 2:
        return 0.0
    return float(draws[0]) * LIFT_SD**2 / (LIFT_SD**2 + float(again.var(ddof=1)))


def _ways(found: Overlap, row: int, inside: Sequence[tuple[int, int]], channels: Sequence[str], customers: int) -> Ways:
    """What the log says about the channel of one row, for people."""
    others = {channels[to]: _quantiles(found.shares[:, row, column]) for to, column in inside if column != row}
    solo, new = _quantiles(found.solo[:, row]), _quantiles(found.new[:, row])
    assert solo is not None
    return Ways(customers, {name: spread for name, spread in others.items() if spread is not None}, solo, new)


def _quantiles(draws: FloatArray) -> Quantiles | None:
    """Quantiles over the replicates; None where most of them cannot tell."""
    again = draws[1:][np.isfinite(draws[1:])]
    return Quantiles.of(again) if 2 * again.size >= max(draws.size - 1, 1) else None


def _day(moment: int) -> date:
    """The day of a moment of the log's wall clock."""
    found = np.datetime64(moment, "us").astype("datetime64[D]").item()
    assert isinstance(found, date)
    return found
