"""Did visits really change, or only their count? What orders and the other channels say about a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

from rechannel.evidence.contrast import BASE_STEPS, Contrast, contrast
from rechannel.evidence.watched import Span, watch_counts
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import ALL_MARKETS, Metric
from rechannel.vocabulary.estimate import FloatArray

COUNTING_PRIOR = 0.2
"""Prior share of shifts of one channel that are only a matter of counting."""
FOLLOWS = np.linspace(0.4, 1.1, 8)
"""How far the channel's orders follow its visits when these really change, relative to them."""
STAYS = np.linspace(0.05, 0.95, 7)
"""Share of really lost visits or orders that other channels win."""
SURE = 0.8
"""Probability from which a change of counting is told as one."""
SPEAKS = 1.0
"""Log odds from which a witness is named."""
NEARLY_ALL = 0.8
"""Share of the channels that must have fallen before it is said that all fell at once."""
SHUT = 0.97
ZEROS = {True: float(np.log(0.7 / 0.4)), False: float(np.log(0.3 / 0.6))}
"""Log odds of a fault of counting over a shut entry, when days are exactly zero and when they only nearly are."""


@dataclass(frozen=True, slots=True)
class Books:
    """A shop's visits and results, all markets together.

    Attributes
    ----------
    visits
        Shape [step, channel].
    results
        Orders, or GMV where there are no orders, shape [step, channel]; None when the case has neither.
    calendar
        Of the visits, log units, shape [step, channel].
    total_visits, total_results
        Of the shop, shape [step]; what it states for the whole shop, where it does.
    visits_calendar, results_calendar
        Of the totals, shape [step].
    """

    visits: FloatArray
    results: FloatArray | None
    calendar: FloatArray
    total_visits: FloatArray
    total_results: FloatArray | None
    visits_calendar: FloatArray
    results_calendar: FloatArray


@dataclass(frozen=True, slots=True)
class Cause:
    """Whether a shift of visits is one of counting.

    Attributes
    ----------
    counting
        Probability that only the count changed.
    channel_results, shop_results, other_visits
        Contrasts of the channel's orders, the shop's orders and the other channels' visits over the same days; None
        when not known.
    reasons
        What spoke, as keys of `watch.reason_<key>`; empty when nothing did.
    """

    counting: float
    reasons: tuple[str, ...]

    @property
    def only_counted(self) -> bool:
        """Whether it is sure enough, and orders or silence everywhere say so, that only the count changed."""
        witnesses = {"orders_still", "shop_orders_still"} & set(self.reasons)
        silence = {"all_at_once", "zeros"} <= set(self.reasons)
        return self.counting >= SURE and (bool(witnesses) or silence)


def whole_shop(panel: Panel, metric: Metric) -> FloatArray | None:
    """One metric of the whole shop, shape [step]: channel `total` where the case states it, else the sum of channels.

    A channel adds nothing before its first measured step and after its last one; a gap between them is not measured.
    """
    if metric in panel.totals:
        return np.asarray(panel.totals[metric].sum(axis=1))
    if metric not in panel.values:
        return None
    values = panel.over_markets(metric)
    measured = np.isfinite(values)
    if not measured.any():
        return None
    rows = np.arange(len(values))[:, None]
    first = np.argmax(measured, axis=0)
    last = len(values) - 1 - np.argmax(measured[::-1], axis=0)
    there = measured.any(axis=0) & (rows >= first) & (rows <= last)
    return np.asarray(np.where(there, values, 0.0).sum(axis=1))


def open_books(panel: Panel, calendar: FloatArray, span: Span) -> Books:
    """The books of a panel; `calendar` is that of its visits, shape [step, channel]."""
    metric: Metric = "orders" if "orders" in panel.values else "gmv"
    results = panel.over_markets(metric) if metric in panel.values else None
    visits, total = whole_shop(panel, "visits"), whole_shop(panel, metric)
    assert visits is not None
    rows = [visits] if total is None else [visits, np.maximum(total, 0.0)]
    watched = watch_counts(np.stack(rows, axis=1)[:, None, :], [None] * len(rows), (ALL_MARKETS,), span)
    parts = watched.calendar[:, 0]
    return Books(panel.over_markets("visits"), results, calendar, visits, total, parts[:, 0], parts[:, -1])


def cause_of(books: Books, channel: int, first: int, last: int | None, lost: float) -> Cause:
    """Weigh a real change against one of counting.

    A real change takes the channel's orders along, costs the shop orders unless other channels win them, and moves
    visits there. A change of counting leaves the channel's orders, or takes them out of sight while the shop's go on;
    other channels do not move.

    Parameters
    ----------
    channel
        Which.
    first, last
        Steps of the shift; last None = it goes on, and four weeks of it are looked at.
    lost
        Share of visits lost; below 0 = gained.
    """
    steps = len(books.visits)
    length = min(BASE_STEPS, steps - first) if last is None else last - first + 1
    own, shop, others = _contrasts(books, channel, first, length, last is not None)
    real, counted = np.zeros(FOLLOWS.size * STAYS.size), np.zeros(2)
    follows, stays = (part.ravel() for part in np.meshgrid(FOLLOWS, STAYS))
    reasons = []
    if own is None:
        reasons.append("no_orders")
    else:
        really = own.log_density(_changed(own, follows * lost))
        real = real + really
        counted = counted + np.array([own.log_density(0.0), own.log_density(_changed(own, np.array(lost)))])
        reasons += _spoken("orders", float(own.log_density(0.0)), really)
    if shop is not None and own is not None and shop.expected > 0:
        share = min(own.expected / shop.expected, 1.0)
        really = shop.log_density(np.log1p(-np.minimum(share * follows * lost * (1 - stays), 0.99)))
        real, counted = real + really, counted + shop.log_density(0.0)
        reasons += _spoken("shop_orders", float(shop.log_density(0.0)), really)
    if others is not None and others.expected > 0:
        usual = _usual(books, channel, first, length)
        really = others.log_density(np.log1p(np.maximum(stays * lost * usual / others.expected, -0.9)))
        real, counted = real + really, counted + others.log_density(0.0)
        reasons += _spoken("others", float(others.log_density(0.0)), really)
    odds = float(logsumexp(counted) - np.log(counted.size) - logsumexp(real) + np.log(real.size))
    odds += float(np.log(COUNTING_PRIOR / (1 - COUNTING_PRIOR)))
    return _with_zeros(odds, books.visits[first : first + length, channel], lost, reasons)


def cause_of_all(books: Books, first: int, last: int | None, lost: float) -> Cause:
    """The same for a fall of all visits: the shop's orders fall along, or do not; one large channel, or all at once.

    Where visits and orders are both exactly zero the orders are no witness: whatever lost the ones lost the others.
    """
    length = min(BASE_STEPS, len(books.total_visits) - first) if last is None else last - first + 1
    days = slice(first, first + length)
    together = ["all_at_once"] if _fell_together(books, first, length, lost, last is not None) else []
    shop = None
    if books.total_results is not None:
        shop = contrast(books.total_results, books.results_calendar, first, length, after=last is not None)
    if shop is None:
        return _with_zeros(0.0, books.total_visits[days], lost, [*together, "no_orders"])
    if shop.came == 0 and not np.nan_to_num(books.total_visits[days]).any():
        return _with_zeros(0.0, books.total_visits[days], lost, together)
    really = shop.log_density(_changed(shop, FOLLOWS * lost))
    odds = float(shop.log_density(0.0) - logsumexp(really) + np.log(really.size))
    reasons = [*together, *_spoken("shop_orders", float(shop.log_density(0.0)), really)]
    return _with_zeros(odds, books.total_visits[days], lost, reasons)


def _fell_together(books: Books, first: int, length: int, lost: float, ended: bool) -> bool:
    """Whether nearly every channel lost a good part of what the shop lost."""
    fell = 0
    seen = 0
    for channel in range(books.visits.shape[1]):
        own = contrast(books.visits[:, channel], books.calendar[:, channel], first, length, after=ended)
        if own is not None:
            seen += 1
            fell += -np.expm1(own.log_ratio) >= lost / 2
    return seen > 0 and fell >= NEARLY_ALL * seen


def _spoken(name: str, still: float, moved: FloatArray) -> list[str]:
    """Whether one witness says that nothing moved there, or that it did; none when it hardly says anything."""
    odds = still - float(logsumexp(moved) - np.log(moved.size))
    return [f"{name}_still"] if odds > SPEAKS else [f"{name}_moved"] if odds < -SPEAKS else []


def _with_zeros(odds: float, days: FloatArray, lost: float, reasons: list[str]) -> Cause:
    """The cause once exact zeros have spoken."""
    if lost >= SHUT:
        zeros = bool((days[np.isfinite(days)] == 0).all())
        odds += ZEROS[zeros]
        reasons = [*reasons, "zeros"] if zeros else reasons
    return Cause(float(expit(odds)), tuple(reasons))


def _contrasts(
    books: Books, channel: int, first: int, length: int, ended: bool
) -> tuple[Contrast | None, Contrast | None, Contrast | None]:
    """Contrasts of the channel's orders, the shop's orders and the other channels' visits."""
    own = shop = None
    if books.results is not None and books.total_results is not None:
        shape = books.calendar[:, channel] + books.results_calendar - books.visits_calendar
        own = contrast(books.results[:, channel], shape, first, length, after=ended)
        shop = contrast(books.total_results, books.results_calendar, first, length, after=ended)
    rest = books.total_visits - books.visits[:, channel]
    others = contrast(rest, books.visits_calendar, first, length, after=ended) if books.visits.shape[1] > 1 else None
    return own, shop, others


def _changed(own: Contrast, lost: FloatArray) -> FloatArray:
    """Log ratio of the channel's orders when they lose a share, down to none at all."""
    return np.asarray(np.log(((1 - np.minimum(lost, 1.0)) * own.expected + 0.5) / (own.expected + 0.5)))


def _usual(books: Books, channel: int, first: int, length: int) -> float:
    """Visits that a shut channel would have had in the window."""
    found = contrast(books.visits[:, channel], books.calendar[:, channel], first, length)
    return 0.0 if found is None else found.expected
