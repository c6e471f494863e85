"""Ties between channels for a question about a day: from the touches of its case before that day, or why from none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from rechannel.answers.answer import Check, EvidenceItem
from rechannel.answers.pictures import SharedCustomers
from rechannel.evidence.ties import FEWEST_CUSTOMERS, Ties, ties_of
from rechannel.source.store import CaseFolder
from rechannel.tables.engines.choose import has_touches, overlap_case
from rechannel.tables.journeyrules import Bootstrap, Days
from rechannel.vocabulary.errors import CallError, MissingPart
from rechannel.vocabulary.grade import Grade
from rechannel.world.diversion import Surroundings

WINDOW_DAYS = 365
"""Days before the question's day from which touches are read: habits change, and a year sees every season of them."""
REACH_DAYS = 91
"""Days before it within which the touches must still run, as the days from which shares of visits are read."""
FEWEST_DAYS = 28
"""Days that the touches must span: over fewer, customers had no time to come a second way."""
ROWS = 400_000
"""Touches that are enough: of a longer log, as many customers as make about this many."""
REPLICATES = 100


@dataclass(frozen=True, slots=True)
class TiesBefore:
    """The touches of a case, folded once for every day asked about.

    Attributes
    ----------
    folder
        The case.
    seed
        Of the bootstrap.
    """

    folder: CaseFolder
    seed: int
    _known: dict[tuple[date, tuple[str, ...]], Ties | Check | None] = field(default_factory=dict, compare=False)

    def before(self, day: date, channels: Sequence[str]) -> Ties | Check | None:
        """Ties between the channels of a panel by the touches before a day; see `evidence.ties.ties_of`.

        Assumption: the customers of `touches` use channels together as all customers of the shop do, and as those of
        any one of its markets.

        Returns
        -------
        The ties; a failed check that says why the touches give none (`journeys_far`, `journeys_short`, `journeys_few`,
        `journeys_unread`); None when the case has no touches.
        """
        key = (day, tuple(channels))
        if key not in self._known:
            self._known[key] = self._read(day, channels)
        return self._known[key]

    def _read(self, day: date, channels: Sequence[str]) -> Ties | Check | None:
        if not has_touches(self.folder):
            return None
        days = Days(day - timedelta(days=WINDOW_DAYS), day)
        asked = Bootstrap(REPLICATES, self.seed, of=("alone", "overlap"))
        far = Check("journeys_far", False, {"day": day.isoformat(), "reach": REACH_DAYS})
        try:
            tables = overlap_case(self.folder, days, asked, ROWS)
        except (CallError, MissingPart) as error:
            return far if error.code == "RC360" else Check("journeys_unread", False, {"code": error.code})
        found = ties_of(tables, channels)
        if (day - found.last).days > REACH_DAYS:
            return far
        spanned = (found.last - found.first).days + 1
        if spanned < FEWEST_DAYS:
            return Check("journeys_short", False, {"days": spanned, "wanted": FEWEST_DAYS})
        if not found.ways:
            return Check("journeys_few", False, {"wanted": FEWEST_CUSTOMERS})
        return found


def ties_check(journeys: TiesBefore | None, day: date, around: Surroundings, channel: str) -> tuple[Check, ...]:
    """What journeys told about a channel's customers, or why nothing; no check when the case has no touches."""
    found = None if journeys is None else journeys.before(day, around.channels)
    if found is None:
        return ()
    if isinstance(found, Check):
        return (found,)
    told = shared_customers(around, channel)
    if told is None:
        return (Check("journeys_few_of", False, {"channel": channel, "wanted": FEWEST_CUSTOMERS}),)
    figures: dict[str, float | str] = {
        "channel": channel,
        "customers": told.customers,
        "first": told.first.isoformat(),
        "last": told.last.isoformat(),
    }
    return (Check("journeys" if told.is_used else "journeys_beside_hosts", True, figures),)


def shared_customers(around: Surroundings, channel: str) -> SharedCustomers | None:
    """What journeys told about one channel, beside the shares of visits; None when they told nothing."""
    ties = around.ties
    if ties is None or channel not in ties.ways:
        return None
    at = around.channels.index(channel)
    ways, rest = ties.ways[channel], 1 - float(around.shares[at])
    shares = {name: float(share) / rest for name, share in zip(around.channels, around.shares, strict=True) if rest > 0}
    others = {name: spread for name, spread in ways.others.items() if name in shares}
    return SharedCustomers(
        channel,
        ways.customers,
        ties.first,
        ties.last,
        others,
        shares,
        ways.solo,
        ways.new,
        around.uses_lifts(at),
    )


def ties_evidence(around: Surroundings, channel: str) -> tuple[EvidenceItem, ...]:
    """The same as evidence: the channel's customers, then what they use beside it where the answer starts from that."""
    told = shared_customers(around, channel)
    if told is None:
        return ()
    figures: dict[str, float | str] = {
        "customers": told.customers,
        "first": told.first.isoformat(),
        "last": told.last.isoformat(),
        "solo": round(told.solo.median, 4),
    }
    if told.new is not None:
        figures["new"] = round(told.new.median, 4)
    items = [EvidenceItem("journeys", channel, Grade.C, figures)]
    for other, spread in told.others.items() if told.is_used else ():
        low, high = (round(end, 4) for end in spread.interval())
        beside = {"used_beside": round(spread.median, 4), "low": low, "high": high}
        items.append(EvidenceItem("overlap", other, Grade.C, {**beside, "by_visits": round(told.shares[other], 4)}))
    return tuple(items)
