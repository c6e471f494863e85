"""One measured effect: what a past event took from a channel and what the other channels gained, with covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from rechannel.vocabulary.channel import EventKind, Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.vocabulary.grade import Grade


@dataclass(frozen=True, slots=True)
class Finding:
    """What one past outage, closure, demotion or test did, measured jointly over own channels.

    Attributes
    ----------
    channel
        The channel whose entry was out.
    kind
        outage, closure, demotion or test.
    start, end
        Days measured, end inclusive.
    severity
        Share of the entry's prominence (or of time and users) taken away.
    notice_days
        Days between announcement and start; 0 when there was none.
    channels
        Own channels measured in those days, the closed one among them, in the order of the arrays, shape [channel].
    gains
        Observed minus open visits over the days, shape [channel]; the closed channel's is negative.
    gains_covariance
        Shape [channel, channel].
    rebound
        Observed minus open visits of all channels together over the 7 days after the end.
    rebound_variance
        Its variance; infinite when those days are not measured.
    rebound_covariance
        Covariance of the rebound with the gains (they share the series), shape [channel].
    removed
        Open minus observed visits of the closed channel.
    open_own, open_rest
        Open visits of the closed channel, and of all others together, over the days.
    yield_change, yield_variance
        For orders, gmv and new_customers: log change of what a visit to all other channels together yields, and its
        variance. It carries what the diverted visits bought, free of the shocks of visits.
    yield_of_rest
        What a visit to the others usually yields, relative to one to this channel.
    markets
        Markets the event was confined to; empty = all. Where others stayed open, they are its controls.
    grade_cap
        The best grade this finding can give to a number about its channel.
    clear
        Whether the channel's fall is clearly above its noise; only then ratios mean anything.
    """

    channel: str
    kind: EventKind
    start: date
    end: date
    severity: float
    notice_days: int
    channels: tuple[str, ...]
    gains: FloatArray
    gains_covariance: FloatArray
    rebound: float
    rebound_variance: float
    rebound_covariance: FloatArray
    removed: float
    open_own: float
    open_rest: float
    yield_change: dict[Metric, float]
    yield_variance: dict[Metric, float]
    yield_of_rest: dict[Metric, float]
    grade_cap: Grade
    clear: bool
    markets: tuple[str, ...] = ()

    @property
    def days(self) -> int:
        """Measured days."""
        return (self.end - self.start).days + 1

    @property
    def retained(self) -> float:
        """Share of the removed visits that came back elsewhere in those days, deferral not undone."""
        return float(self.gains.sum() + self.removed) / self.removed

    @property
    def retained_sd(self) -> float:
        """Its standard deviation, the error of the removed visits included."""
        closed = self.channels.index(self.channel)
        line = np.ones(len(self.channels))
        line[closed] = self.retained
        return float(np.sqrt(line @ self.gains_covariance @ line)) / abs(self.removed)

    def widened(self, factor: float) -> Finding:
        """The same finding with every standard deviation of visits multiplied by `factor`."""
        square = factor**2
        return replace(
            self,
            gains_covariance=self.gains_covariance * square,
            rebound_variance=self.rebound_variance * square,
            rebound_covariance=self.rebound_covariance * square,
        )
