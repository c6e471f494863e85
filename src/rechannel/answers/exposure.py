"""Q0: which channel should worry me? Every channel of at least one per cent of visits closed in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.answers.answer import Answer, EvidenceItem, Provenance
from rechannel.answers.closure import Surrounds
from rechannel.answers.rows import Coordinates, answered, known, refused, unit_of
from rechannel.answers.standing import contraction, forecast_checks, grade_of_loss, standing_of
from rechannel.evidence.baseline import sum_of
from rechannel.scenario.do import Outcome, apply, prior_latent
from rechannel.scenario.interventions import close
from rechannel.tables.deals import Deal
from rechannel.tables.panel import Panel, has_ended
from rechannel.tables.rivals import in_market
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import COUNTED, Channel, Metric, name_of
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text
from rechannel.world.demand import forecast_demand
from rechannel.world.fitted import DRAWS, RECENT_DAYS, World, fit_world

SMALLEST_SHARE = 0.01
HORIZON = 90


@dataclass(frozen=True, slots=True)
class _Closed:
    """One channel closed: its recent shares, the outcome, its rows."""

    channel: str
    outcome: Outcome
    rows: tuple[Estimate, ...]
    item: EvidenceItem
    median: float


def world_today(panel: Panel, around: Surrounds, on: date, seed: int) -> World:
    """The world on the eve of `on`, the day after the data, fitted on all of them for the questions about today.

    Parameters
    ----------
    panel, around
        The case.
    on
        Day after the data.
    seed
        Of every draw.
    """
    return fit_world(
        panel,
        around.events,
        len(panel.dates),
        coming=HORIZON,
        channels=around.channels,
        rivals=in_market(around.rivals, None),
        ties=around.ties(on, panel.channels),
        seed=seed,
    )


def answer_exposure(
    panel: Panel,
    world: World,
    on: date,
    *,
    channels: Sequence[Channel],
    deals: Sequence[Deal],
    currency: str,
    provenance: Provenance,
) -> Answer:
    """Close every channel of at least 1 % of recent visits in turn, from the day after the data.

    Question answered: on which channel does the shop depend most, and how well is that known?

    Parameters
    ----------
    panel, world
        The case, and its world fitted on all its data; designs reach 90 days past them.
    on
        The day after the data.
    channels
        Descriptions, for owners.
    deals
        Agreements, for contract ends.
    currency, provenance
        Of the case; stamped on the answer.

    Returns
    -------
    Answer
        Rows per channel, largest median loss first: share_of_* of the recent 91 open days, credited_visits (last
        touch) and net_loss_* at 90 days, retained_own; evidence items of kind `exposure` hold owner, destination,
        contract end, days since the last evidence. A channel with too few open days has a refused loss; the whole is
        refused when every one has.
    """
    start = panel.index_of(on)
    shares, whole = _recent_shares(panel), sum_of(panel, "visits", None)
    nobody = np.zeros(len(panel.channels))
    described = {channel.channel_id: channel for channel in channels}
    closed: list[_Closed] = []
    unforeseen: list[Estimate] = []
    for at, channel in enumerate(panel.channels):
        if not shares.get("visits", nobody)[at] >= SMALLEST_SHARE or has_ended(whole[:, at], panel.cadence):
            continue
        demand = forecast_demand(
            panel,
            world.baseline,
            world.calibration,
            channel,
            start,
            draws=DRAWS,
            seed=provenance.seed,
        )
        if demand is None:
            why = Refusal("few_open_days", {"channel": channel}, ("more_history",))
            unforeseen.append(refused("net_loss_visits", "visits", why, Coordinates(HORIZON, channel)))
            continue
        step = panel.step
        (outcome,) = apply(world, demand, close(channel, on), (HORIZON,), step)
        mine = {metric: float(values[at]) for metric, values in shares.items()}
        history = int(demand.own.training.sum()) * step
        failed = tuple(check.key for check in forecast_checks(world, HORIZON, history) if not check.passed)
        rows = _rows(panel, world, channel, mine, outcome, currency, failed)
        item = _item(world, channel, outcome, described.get(channel), deals, on)
        closed.append(_Closed(channel, outcome, rows, item, float(np.median(outcome.net_loss["visits"]))))
    closed.sort(key=lambda one: (-one.median, one.channel))
    asked = {"horizon": str(HORIZON), "on": on.isoformat()}
    if not closed:
        why = Refusal("short_history", {"days": str(len(panel.dates)), "wanted": "28"}, ("more_history",))
        if not np.isfinite(whole).any():
            why = Refusal("no_visits", {"channel": ", ".join(panel.channels)}, ("add_visits",))
        sentence = {language: why.message(language) for language in LANGUAGES}
        return Answer("exposure", asked, (), (), (), (), sentence, provenance, refusal=why)
    first = _loss(closed[0].rows)
    assert isinstance(first.value, Quantity)
    return Answer(
        question="exposure",
        asked=asked,
        estimates=(*(row for one in closed for row in one.rows), *unforeseen),
        daily=(),
        evidence=tuple(one.item for one in closed),
        checks=(),
        text=_sentences(closed, on, channels),
        provenance=provenance,
        grade=first.value.grade,
    )


def _recent_shares(panel: Panel) -> dict[Metric, np.ndarray]:
    """Share of each metric by channel over the last days, shape [channel]."""
    found: dict[Metric, np.ndarray] = {}
    days = RECENT_DAYS // panel.step
    for metric in ("visits", "orders", "new_customers"):
        if metric in panel.values:
            recent = sum_of(panel, metric, None)[-days:]
            if not np.isfinite(recent).any():
                continue
            values = np.nansum(recent, axis=0)
            found[metric] = values / values.sum() if values.sum() > 0 else np.zeros(values.size)
    return found


def _rows(
    panel: Panel,
    world: World,
    channel: str,
    shares: Mapping[Metric, float],
    outcome: Outcome,
    currency: str,
    failed: tuple[str, ...],
) -> tuple[Estimate, ...]:
    """Every row of one channel; `failed` checks of the forecast cap what depends on it at C, as in a closure."""
    here, now = Coordinates(HORIZON, channel), Coordinates(None, channel)
    standing = standing_of(world, channel)
    rows = [known(f"share_of_{metric}", "share", share, Grade.B, now) for metric, share in shares.items()]
    credited = outcome.credited["visits"]
    rows.append(answered("credited_visits", "visits", credited, Grade.C, here, method="last_touch"))
    for metric in COUNTED:
        if metric not in outcome.net_loss:
            continue
        prior = prior_latent(world, channel, metric, np.ones(DRAWS), HORIZON)
        narrowed = contraction(outcome.latent[metric], prior)
        is_split = metric not in panel.values
        grade, reasons = grade_of_loss(standing, outcome, metric, narrowed, failed, is_split=is_split)
        name, unit = f"net_loss_{metric}", unit_of(metric, currency)
        draws = outcome.net_loss[metric]
        rows.append(answered(name, unit, draws, grade, here, narrowed=narrowed, reasons=reasons))
    at = world.around.channels.index(channel)
    prior_kept = world.prior.own(at, HORIZON).sum(axis=1)
    narrowed = contraction(world.diversion.own(at, HORIZON).sum(axis=1), prior_kept)
    grade, reasons = standing.grade(narrowed)
    if float(np.median(outcome.removed)) < 1:
        why = Refusal("nothing_removed", {"channel": channel}, ())
        rows.append(refused("retained_own", "share", why, here))
    else:
        rows.append(
            answered(
                "retained_own",
                "share",
                outcome.retained,
                grade,
                here,
                narrowed=narrowed,
                reasons=reasons,
                has_mean=False,
            )
        )
    return tuple(rows)


def _loss(rows: Sequence[Estimate]) -> Estimate:
    return next(row for row in rows if row.metric == "net_loss_visits")


def _item(
    world: World, channel: str, outcome: Outcome, described: Channel | None, deals: Sequence[Deal], on: date
) -> EvidenceItem:
    """Owner, where most visits go, contract end and the age of the last evidence."""
    medians = np.median(outcome.own, axis=0)
    best = int(np.argmax(medians))
    ends = [deal.end for deal in deals if deal.channel == channel and deal.end is not None]
    hosts = [deal.host for deal in deals if deal.channel == channel]
    seen = [finding.end for finding in world.findings_on(channel)]
    host = described.host if described is not None and described.host else next(iter(hosts), "")
    goes = medians[best] > 0
    figures: dict[str, float | str] = {
        "host": host,
        "contract_end": max(ends).isoformat() if ends else "",
        "days_since_evidence": (on - max(seen)).days if seen else "",
        "goes_to": world.around.channels[best] if goes else "",
        "goes_to_share": round(float(medians[best]), 4) if goes else "",
    }
    grade = standing_of(world, channel).cap
    return EvidenceItem("exposure", channel, grade, figures)


def _sentences(closed: Sequence[_Closed], on: date, channels: Sequence[Channel]) -> dict[Language, str]:
    """The most exposed channel, and how many losses rest on nothing but a range."""
    loss = _loss(closed[0].rows).value
    assert isinstance(loss, Quantity)
    low, high = loss.quantiles.interval()
    values = [_loss(one.rows).value for one in closed]
    assumed = sum(isinstance(value, Quantity) and value.grade is Grade.D for value in values)
    sentences: dict[Language, str] = {}
    for language in LANGUAGES:
        first = text(
            "answer.exposure",
            language,
            count=str(len(closed)),
            on=numbers.day(on, language),
            channel=name_of(closed[0].channel, channels, language),
            loss=numbers.with_span(loss.quantiles.median, low, high, language),
            horizon=str(HORIZON),
            grade=str(loss.grade),
            meaning=text(f"grade.{loss.grade}", language),
        )
        key = "exposure_assumed" if assumed else "exposure_evidenced"
        second = text(f"answer.{key}", language, count=str(assumed), all=str(len(closed)))
        sentences[language] = f"{first}{' ' if language == 'en' else ''}{second}"
    return sentences
