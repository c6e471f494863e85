"""What customers of one channel do on the others: shares for the prior of diversion, and who has no other way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rechannel.tables.journeyrules import OVERLAP_UNIT
from rechannel.tables.journeys import JourneyTables
from rechannel.vocabulary.estimate import FloatArray

ALPHA = 1.0
"""Sessions' worth of the average channel mix that smooth a customer who has few others."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How the customers of each channel use the others.

    Draw 0 is the data, the rest are bootstrap replicates. Rows of channels without a session are nan.

    Attributes
    ----------
    channels
        Names, in the order of every array.
    shares
        o[c, j], shape [draw, from, to]: where the customers of c go besides c, weighted by their sessions through c; a
        row sums to 1, its diagonal is 0. With one channel all are nan.
    solo
        Shape [draw, channel]: share of a channel's sessions by customers who know no other channel.
    new
        Shape [draw, channel]: share of a channel's sessions that are their customer's first, after `Log.known_from`.
    together
        Shape [from, to]: share of the customers of `from` who also use `to`; of the data.
    following
        Shape [from, to]: where the next session goes after one through `from`, itself included; of the data.
    """

    channels: tuple[str, ...]
    shares: FloatArray
    solo: FloatArray
    new: FloatArray
    together: FloatArray
    following: FloatArray


def overlap_of(tables: JourneyTables) -> Overlap:
    """Overlap of channels, with draws when the replicates weigh `alone` and `overlap`.

    Question answered: if a channel is gone, which ways in do its customers already know? It orders the candidates for
    diversion and says nothing about how many will use them.

    Parameters
    ----------
    tables
        Folded journeys.

    Returns
    -------
    Overlap

    Notes
    -----
    o[c, j] = sum_i n_ic (n_ij + ALPHA s_j / (1 - s_c)) / (sum over m != c of n_im + ALPHA) / sum_i n_ic, with n_ic the
    sessions of customer i through c and s the channels' shares of sessions.
    """
    drawn = tables.replicates
    alone, shared = tables.alone[None].astype(np.float64), tables.overlap[None, 2].astype(np.float64)
    if drawn.asked.weighs("alone") and drawn.asked.weighs("overlap"):
        alone = np.concatenate([alone, drawn.table("alone")])
        shared = np.concatenate([shared, drawn.table("overlap")])
    sessions, solo, early, new = (alone[:, part] for part in range(4))
    size = sessions.shape[1]
    diagonal = np.arange(size)
    smooth = shared[:, diagonal, diagonal] / OVERLAP_UNIT + solo
    part = _ratio(sessions, sessions.sum(axis=1, keepdims=True))
    mix = _ratio(part[:, None, :], 1 - part[:, :, None])
    weights = shared / OVERLAP_UNIT + ALPHA * mix * smooth[:, :, None]
    weights[:, diagonal, diagonal] = 0.0
    customers, following = tables.overlap[0].astype(np.float64), tables.overlap[1].astype(np.float64)
    return Overlap(
        channels=tables.log.channels,
        shares=_ratio(weights, weights.sum(axis=2, keepdims=True)),
        solo=_ratio(solo, sessions),
        new=_ratio(new, sessions - early),
        together=_ratio(customers, customers[diagonal, diagonal][:, None]),
        following=_ratio(following, following.sum(axis=1, keepdims=True)),
    )


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """A quotient, nan where nothing stands below."""
    above, below = np.broadcast_arrays(above, below)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0), np.float64)
