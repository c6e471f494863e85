"""Falls of a channel in single markets: those that the sum over markets hides, and those that make up its fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from rechannel.evidence.cause import SHUT
from rechannel.evidence.falls import SMALLEST_FOR_DAYS, SMALLEST_LASTING
from rechannel.evidence.oddity import Oddity
from rechannel.evidence.shifts import PROPOSED, Shift
from rechannel.evidence.watched import Span, Watched, watch_counts
from rechannel.tables.calendar import Event
from rechannel.tables.panel import GONE_DAYS, Panel, to_date
from rechannel.vocabulary.channel import EventKind

MOST_SERIES = 120
"""Channels of single markets that are searched, the largest first."""
FALLS = ("RC600", "RC601", "RC603", "RC604", "RC621")
FEW = 0.5
"""Share of a channel's markets from which a fall is one of the channel everywhere."""
MAKES_UP = 0.7
"""Part of a channel's fall that a few markets must explain for it to be theirs."""


def watch_markets(panel: Panel, span: Span) -> tuple[list[Watched], int]:
    """Visits of the largest channels of single markets, and how many are left out; nothing for a shop of one market."""
    if len(panel.markets) == 1:
        return [], 0
    visits = panel.values["visits"].copy()
    size = np.nan_to_num(visits).sum(axis=0)
    rank = np.argsort(np.argsort(-size.ravel())).reshape(size.shape)
    small = rank >= MOST_SERIES
    visits[:, small] = np.nan
    return [watch_counts(visits, panel.channels, panel.markets, span)], int((small & (size > 0)).sum())


def with_markets(panel: Panel, shifts: Sequence[Shift], found: Sequence[Oddity]) -> list[Oddity]:
    """Findings of channels with those of single markets.

    Parameters
    ----------
    shifts
        Of channels in single markets; group = market.
    found
        Of channels in all markets together. A fall that a few markets make up is theirs.
    """
    falls = [one for one in shifts if _is_told(one, len(panel.markets))]
    out: list[Oddity] = []
    for one in found:
        here = [fall for fall in falls if panel.channels[fall.series] == one.channel and _same_days(panel, fall, one)]
        if one.code in FALLS and here and _make_up(panel, here, one):
            out += [_oddity(panel, fall) for fall in here]
        else:
            out.append(one)
        falls = [fall for fall in falls if fall not in here]
    return out + [_oddity(panel, fall) for fall in falls]


def _rarer(markets: int) -> float:
    """An incident of one market is as much rarer as there are markets."""
    return float(np.log(markets))


def _is_told(one: Shift, markets: int) -> bool:
    least = SMALLEST_LASTING if one.last is None else SMALLEST_FOR_DAYS
    return one.lost >= least and one.alone > 0 and float(expit(one.log_odds - _rarer(markets))) >= PROPOSED


def _same_days(panel: Panel, fall: Shift, one: Oddity) -> bool:
    last = len(panel.dates) - 1 if fall.last is None else fall.last
    return one.first <= to_date(panel.dates[last]) and one.last >= to_date(panel.dates[fall.first])


def _make_up(panel: Panel, falls: Sequence[Shift], one: Oddity) -> bool:
    """Whether the falls of a few markets explain the channel's."""
    size = np.nan_to_num(panel.values["visits"][:, :, falls[0].series]).sum(axis=0)
    if len(falls) > FEW * int((size > 0).sum()):
        return False
    explained = sum(fall.lost * size[fall.group] for fall in falls) / size.sum()
    return float(explained) >= MAKES_UP * one.size


def _oddity(panel: Panel, one: Shift) -> Oddity:
    channel, market = panel.channels[one.series], panel.markets[one.group]
    last = len(panel.dates) - 1 if one.last is None else one.last
    ends = to_date(panel.dates[one.first]), to_date(panel.dates[last])
    kind: EventKind = "outage"
    code = "RC601" if one.lost >= SHUT else "RC600"
    if one.last is None and len(panel.dates) - one.first >= 2 * GONE_DAYS:
        kind = "closure" if one.lost >= SHUT else "demotion"
        code = "RC604" if one.lost >= SHUT else "RC603"
    severity = None if kind == "closure" else round(one.lost, 2)
    row = Event(kind, *ends, channel, market, severity, f"audit {code} {ends[0].isoformat()}")
    probability = float(expit(one.log_odds - _rarer(len(panel.markets))))
    return Oddity(code, channel, *ends, one.lost, probability, (row,), market)
