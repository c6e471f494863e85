"""Credit that follows from how often a channel stands first, last and anywhere in paths of each length."""

from __future__ import annotations

import numpy as np

from rechannel.tables.journeyrules import PARTS, IntArray, JourneyRules
from rechannel.vocabulary.estimate import FloatArray


def heuristic_sums(parts: IntArray, length: IntArray, rules: JourneyRules) -> dict[str, FloatArray]:
    """Credit by heuristic from sums by path length, all but shapley.

    Parameters
    ----------
    parts
        Shape [row, kind, part] (`KINDS`, `PARTS`).
    length
        Sessions in the paths of a row, shape [row].
    rules
        Shares of position-based credit.

    Returns
    -------
    Heuristic -> shape [row, kind]; time decay in its own units.
    """
    touches, firsts, lasts, decay = (parts[:, :, place].astype(np.float64) for place in range(len(PARTS)))
    size = length[:, None]
    ends = rules.first_share + rules.last_share
    scale = np.where(size == 2, 1 / ends, 1.0)
    middle = np.where(size > 2, (1 - ends) / np.maximum(size - 2, 1), 0.0) * (touches - firsts - lasts)
    outer = scale * (rules.first_share * firsts + rules.last_share * lasts)
    return {
        "first": firsts,
        "last": lasts,
        "linear": touches / size,
        "time_decay": decay,
        "position": np.where(size == 1, touches, outer + middle),
    }
