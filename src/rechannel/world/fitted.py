"""One fitted world of a case: its surroundings, its ledger, and what they say about every diversion row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.evidence.baseline import Baseline, fit_baseline, sum_of
from rechannel.evidence.finding import Finding
from rechannel.evidence.ledger import bank
from rechannel.evidence.placebo import Calibration, calibrate
from rechannel.evidence.ties import Ties
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, has_ended
from rechannel.tables.rivals import RivalFigure, firms, sizes
from rechannel.vocabulary.channel import Channel, Metric
from rechannel.vocabulary.estimate import FloatArray
from rechannel.world.diversion import YIELDS, Diversion, Surroundings, fit_diversion, likeliest_retained
from rechannel.world.priors import Priors

RECENT_DAYS = 91
"""Days from which shares and yields are read."""
DRAWS = 4096


@dataclass(frozen=True, slots=True)
class World:
    """What is known on the eve of one day.

    Attributes
    ----------
    baseline
        The open world of visits.
    findings
        The ledger up to that day.
    diversion
        Joint draws of every row, the ledger learned.
    prior
        The same without the ledger: what contraction is measured against.
    leaning
        Most probable retained share with the prior's width as it is, halved and doubled, shape [3, channel]; empty
        without a clear finding.
    prominence
        Draws of kappa: removed share = severity ** kappa, shape [draw].
    """

    panel: Panel
    events: tuple[Event, ...]
    market: str | None
    baseline: Baseline
    calibration: Calibration
    findings: tuple[Finding, ...]
    diversion: Diversion
    prior: Diversion
    leaning: FloatArray
    prominence: FloatArray
    priors: Priors
    seed: int

    @property
    def around(self) -> Surroundings:
        """Channels, shares, yields and rivals."""
        return self.diversion.surroundings

    def findings_on(self, channel: str) -> tuple[Finding, ...]:
        """Findings whose fall is clear, about one channel."""
        return tuple(finding for finding in self.findings if finding.channel == channel and finding.clear)


def fit_world(
    panel: Panel,
    events: Sequence[Event],
    before: int,
    *,
    coming: int,
    market: str | None = None,
    subject: tuple[str, date] | None = None,
    channels: Sequence[Channel] = (),
    rivals: Sequence[RivalFigure] = (),
    candidates: Sequence[str] = (),
    ties: Ties | None = None,
    priors: Priors | None = None,
    seed: int,
) -> World:
    """Fit everything about a case that does not depend on which channel is asked about.

    Parameters
    ----------
    panel, events
        The case; nothing from day number `before` on is used but the dates of known events.
    coming
        Steps past the panel's end that designs must reach.
    market
        One market, or None for all.
    subject
        Channel and first day of the intervention under study.
    channels
        Descriptions, for hosts and kinds.
    rivals
        Rows of `rivals` before the day.
    candidates
        Markets that the event did not reach, among which the series choose controls.
    ties
        What journeys before the day say about the channels' customers; None without them.
    priors, seed
        Ranges before any data; seed of every draw.
    """
    priors = priors or Priors()
    markets = None if market is None else (market,)
    baseline = fit_baseline(
        panel, events, before, coming=coming, markets=markets, candidates=candidates, subject=subject
    )
    findings = bank(panel, events, baseline, market=market)
    calibration = calibrate(baseline.series, before, 0, (7, 30), baseline.correlation)
    around = _surroundings(panel, baseline, markets, channels, rivals, ties)
    widened = tuple(finding.widened(max(1.0, float(calibration.widen(float(finding.days))))) for finding in findings)
    diversion = fit_diversion(around, widened, priors, draws=DRAWS, seed=seed)
    prior = fit_diversion(around, (), priors, draws=DRAWS, seed=seed)
    widths = (1.0, 0.5, 2.0) if any(finding.clear for finding in findings) else ()
    leaning = np.array([likeliest_retained(around, widened, priors.with_width(factor)) for factor in widths])
    return World(
        panel=panel,
        events=tuple(events),
        market=market,
        baseline=baseline,
        calibration=calibration,
        findings=findings,
        diversion=diversion,
        prior=prior,
        leaning=leaning,
        prominence=_prominence(findings, priors, seed),
        priors=priors,
        seed=seed,
    )


def _surroundings(
    panel: Panel,
    baseline: Baseline,
    markets: Sequence[str] | None,
    channels: Sequence[Channel],
    rivals: Sequence[RivalFigure],
    ties: Ties | None,
) -> Surroundings:
    """Shares and yields of the recent open days, hosts and kinds, and the rivals' latest sizes."""
    described = {channel.channel_id: channel for channel in channels}
    usable = np.ones(baseline.dates.size, dtype=bool)
    if baseline.series:
        usable = baseline.series[0].design.usable
    rows = RECENT_DAYS // panel.step
    recent = np.flatnonzero(usable[: baseline.before])[-rows:]
    visits = sum_of(panel, "visits", markets)[recent]
    whole = sum_of(panel, "visits", markets)[: baseline.before]
    mean = np.array(
        [
            0.0 if has_ended(whole[:, index], panel.cadence) else _mean(visits[:, index])
            for index in range(visits.shape[1])
        ]
    )
    shares = mean / mean.sum() if mean.sum() > 0 else np.full(mean.size, 1 / mean.size)
    yields: dict[Metric, FloatArray] = {}
    for metric in YIELDS:
        if metric in panel.values:
            amounts = sum_of(panel, metric, markets)[recent]
            yields[metric] = np.array([_ratio(amounts[:, index], visits[:, index]) for index in range(visits.shape[1])])
    size_of = sizes(rivals)
    known = tuple(name for name in firms(rivals) if name in size_of)
    return Surroundings(
        channels=panel.channels,
        shares=shares,
        hosts=tuple(described[name].host if name in described else "" for name in panel.channels),
        kinds=tuple(described[name].kind if name in described else "" for name in panel.channels),
        yields=yields,
        rivals=known,
        rival_sizes=np.array([size_of[name] for name in known]),
        unscaled=tuple(name for name in firms(rivals) if name not in size_of),
        ties=ties,
    )


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def _ratio(amount: FloatArray, visits: FloatArray) -> float:
    both = np.isfinite(amount) & np.isfinite(visits)
    came = float(visits[both].sum())
    return float(amount[both].sum()) / came if came > 0 else float("nan")


def _prominence(findings: Sequence[Finding], priors: Priors, seed: int) -> FloatArray:
    """Kappa from past partial demotions: log kappa = log(log removed share / log remaining severity)."""
    rng = np.random.default_rng([seed, 13])
    half = rng.standard_normal(DRAWS // 2)
    precision, weighted = 1 / priors.prominence**2, 0.0
    for finding in findings:
        if finding.kind != "demotion" or not finding.clear or not 0.02 < finding.severity < 0.98:
            continue
        closed = finding.channels.index(finding.channel)
        spread = float(np.sqrt(finding.gains_covariance[closed, closed]))
        share = finding.removed / finding.open_own
        if not 0.01 < share < 0.99:
            continue
        reading = np.log(np.log(share) / np.log(finding.severity))
        error = spread / finding.open_own / share / abs(np.log(share))
        variance = error**2 + (priors.prominence / 2) ** 2
        precision += 1 / variance
        weighted += reading / variance
    return np.asarray(np.exp(weighted / precision + np.concatenate([half, -half]) / np.sqrt(precision)))
