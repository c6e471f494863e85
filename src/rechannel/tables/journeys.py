"""The five small tables of journeys: integers that add up over shards of the customers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rechannel.tables.journeyrules import COUNTS, MOST_CHANNELS, IntArray, JourneyRules, Layout, Log
from rechannel.tables.replicates import Replicates


@dataclass(slots=True)
class KeyedSums:
    """Integer sums by an integer key, few keys: what a dense table would hold mostly as zeros.

    Attributes
    ----------
    keys
        Shape [key], ascending.
    sums
        Shape [key, column].
    """

    keys: IntArray
    sums: IntArray

    @classmethod
    def empty(cls, columns: int) -> KeyedSums:
        return cls(np.zeros(0, np.int64), np.zeros((0, columns), np.int64))

    def add(self, keys: IntArray, amounts: IntArray) -> None:
        """Add rows: keys shape [row] in any order, amounts shape [row, column]."""
        if not len(keys):
            return
        everything = np.concatenate([self.keys, keys])
        found, place = np.unique(everything, return_inverse=True)
        sums = np.zeros((len(found), self.sums.shape[1]), np.int64)
        sums[place[: len(self.keys)]] = self.sums
        np.add.at(sums, place[len(self.keys) :], amounts)
        self.keys, self.sums = found, sums

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeyedSums):
            return NotImplemented
        return np.array_equal(self.keys, other.keys) and np.array_equal(self.sums, other.sums)


@dataclass(frozen=True, slots=True)
class JourneyTables:
    """The five tables of journeys, as integers; tables of two shards of customers add up to the tables of both.

    Attributes
    ----------
    rules, log
        What they were made by, and of.
    counts
        The names of `COUNTS`.
    transitions
        T, shape `Layout.transitions`: steps between the sessions of a path, its start and its end.
    channel_sets
        M: key = period x 2^50 + set of channels as bits; columns as `KINDS`: attributed orders whose path has exactly
        these channels.
    by_length
        H: key = (period x `MOST_CHANNELS` + channel) x 2^32 + sessions in the path; columns kind x part (`KINDS`,
        `PARTS`): how often the channel stands in such paths, first and last, and its time-decay credit (orders and new
        in `DECAY_UNIT`, value in its unit).
    overlap, alone
        O, shapes `Layout.overlap` and `Layout.alone`; all sessions of the log.
    retention
        R, shape `Layout.retention`.
    distinct_paths
        Distinct sequences of channels among the paths of attributed orders.
    path_keys
        Their sorted 64-bit keys, shape [path]; empty when an engine counted them, and such counts do not add up.
    replicates
        The same under bootstrap weights; of size 0 when none were asked for.
    """

    rules: JourneyRules
    log: Log
    counts: Mapping[str, int]
    transitions: IntArray
    channel_sets: KeyedSums
    by_length: KeyedSums
    overlap: IntArray
    alone: IntArray
    retention: IntArray
    distinct_paths: int
    path_keys: NDArray[np.uint64]
    replicates: Replicates

    @property
    def layout(self) -> Layout:
        return Layout(len(self.log.channels), self.rules.periods, self.rules.order)

    def __add__(self, other: JourneyTables) -> JourneyTables:
        if (self.rules, self.log) != (other.rules, other.log):
            raise ValueError("tables of other rules or of another log do not add")
        if any(side.distinct_paths != len(side.path_keys) for side in (self, other)):
            raise ValueError("paths that an engine counted do not add")
        paths = np.union1d(self.path_keys, other.path_keys)
        sets = KeyedSums(self.channel_sets.keys, self.channel_sets.sums)
        sets.add(other.channel_sets.keys, other.channel_sets.sums)
        lengths = KeyedSums(self.by_length.keys, self.by_length.sums)
        lengths.add(other.by_length.keys, other.by_length.sums)
        return replace(
            self,
            counts={name: self.counts[name] + other.counts[name] for name in COUNTS},
            transitions=self.transitions + other.transitions,
            channel_sets=sets,
            by_length=lengths,
            overlap=self.overlap + other.overlap,
            alone=self.alone + other.alone,
            retention=self.retention + other.retention,
            distinct_paths=len(paths),
            path_keys=paths,
            replicates=self.replicates + other.replicates,
        )


def set_key(period: IntArray, members: IntArray) -> IntArray:
    """Key of a channel set in `JourneyTables.channel_sets`."""
    return (period << MOST_CHANNELS) | members


def members_of(keys: IntArray, channels: int) -> tuple[IntArray, NDArray[np.bool_]]:
    """Period, shape [key], and membership, shape [key, channel], of the keys of `channel_sets`."""
    inside = (keys[:, None] >> np.arange(channels)[None, :]) & 1
    return keys >> MOST_CHANNELS, inside.astype(bool)


def length_key(period: IntArray, channel: IntArray, length: IntArray) -> IntArray:
    """Key of a channel in paths of one length in `JourneyTables.by_length`."""
    return ((period * MOST_CHANNELS + channel) << 32) | length


def length_parts(keys: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Period, channel and path length of the keys of `by_length`, shape [key] each."""
    place = keys >> 32
    return place // MOST_CHANNELS, place % MOST_CHANNELS, keys & ((1 << 32) - 1)
