"""What stands beside last touch: credit of a channel on the paths to orders, quarter by quarter, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from rechannel.evidence.attribution import Credit, Method, attribute
from rechannel.source.store import CaseFolder
from rechannel.tables.engines.choose import fold_case, has_touches
from rechannel.tables.journeyrules import Bootstrap, JourneyRules, Kind
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import FloatArray, Refusal

METHODS: Mapping[str, Method] = {"shapley": "shapley", "removal": "markov"}
"""Method of a `credited_*` row -> method of attribution."""
KINDS: Mapping[Metric, Kind] = {"orders": "orders", "gmv": "value", "new_customers": "new"}
"""What journeys share out for a metric; visits have no path to share them over."""
REPLICATES = 200


@dataclass(frozen=True, slots=True)
class PathCredit:
    """Shares of channels by quarter, metric and method.

    Attributes
    ----------
    channels
        Names in the order of the arrays.
    first, last
        First and last day of the touches.
    credits
        (first day of the quarter, metric) -> credit of all channels; quarters with attributed orders only.
    """

    channels: tuple[str, ...]
    first: date
    last: date
    credits: Mapping[tuple[date, Metric], Credit]

    def share(
        self, quarter: date, days: tuple[date, date], metric: Metric, method: str, channel: str
    ) -> FloatArray | Refusal:
        """Share of the channel in the attributed orders (their value, first orders) of a quarter, shape [draw].

        Bootstrap replicates over customers. Refused where the touches do not cover
        the days of the quarter that the case has, or nothing was attributed.
        """
        if metric not in KINDS:
            return Refusal("no_paths_of_visits", {}, ())
        if self.first > days[0] or self.last < days[1]:
            return Refusal("touches_elsewhere", {"first": str(self.first), "last": str(self.last)}, ("export_touches",))
        credit = self.credits.get((quarter, metric))
        if credit is None:
            return Refusal("nothing_attributed", {}, ("export_touches",))
        if channel not in self.channels:
            return np.zeros(REPLICATES)
        shares = credit.shares(METHODS[method])[1:, self.channels.index(channel)]
        return np.asarray(shares[np.isfinite(shares)])


def path_credit(case: CaseFolder, quarters: Sequence[date], seed: int) -> PathCredit | Refusal:
    """Fold the touches of a case once, with a period per quarter.

    Assumption: the customers of `touches` are a fair sample of the shop's; shares are then those of the shop.

    Parameters
    ----------
    quarters
        First days, oldest first.
    seed
        Of the bootstrap.

    Returns
    -------
    The credit, or why the touches give none: there are none, or they cannot be folded.

    Raises
    ------
    MissingPart
        RC361: the client of the engine that `case.toml` names is not installed.
    """
    if not has_touches(case):
        return Refusal("no_journeys", {}, ("export_touches",))
    breaks = tuple(datetime(day.year, day.month, day.day, tzinfo=UTC) for day in quarters[1:])
    wanted = Bootstrap(REPLICATES, seed, tuple(KINDS.values()))
    try:
        tables, _ = fold_case(case, JourneyRules(breaks=breaks), wanted)
    except CallError as error:
        return Refusal("not_folded", {"code": error.code}, ())
    credits: dict[tuple[date, Metric], Credit] = {}
    for period, quarter in enumerate(quarters):
        for metric, kind in KINDS.items():
            credit = attribute(tables, kind, period)
            if credit.total[0] > 0:
                credits[quarter, metric] = credit
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    first, last = ((moment + timedelta(microseconds=int(end))).date() for end in (tables.log.first, tables.log.last))
    return PathCredit(tables.log.channels, first, last, credits)
