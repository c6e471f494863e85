"""One measured effect: what a past event took from a channel and what the other channels gained, with covariance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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
        Own channels, in the order of the arrays below, shape [channel]; the closed one among them.
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
    metric_gains, metric_variance
        For orders, gmv and new_customers: observed minus open over all other channels together, and its variance.
    metric_removed
        The closed channel's own loss in the same metrics.
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
    metric_gains: dict[Metric, float]
    metric_variance: dict[Metric, float]
    metric_removed: dict[Metric, float]
    grade_cap: Grade
    clear: bool

    @property
    def days(self) -> int:
        """Measured days."""
        return (self.end - self.start).days + 1

    @property
    def finding_id(self) -> str:
        """A stable name: kind, channel and first day."""
        return f"{self.kind}:{self.channel}:{self.start.isoformat()}"
