"""Q2b: it has closed - what did happen? A measured effect with placebo checks, or "cannot tell"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from rechannel.answers.answer import Answer, DailyRow, EvidenceItem, Provenance
from rechannel.answers.closure import Surrounds
from rechannel.answers.measured_checks import VERDICT_COVERAGE, MeasuredEvent, checks_of, coincident_shock, grade_at
from rechannel.answers.measured_rows import MeasuredHorizon, names_of
from rechannel.answers.money import Money
from rechannel.answers.pictures import Path, PlaceboCloud
from rechannel.answers.rows import Coordinates, refused
from rechannel.answers.standing import evidence_of
from rechannel.evidence.baseline import untouched_markets
from rechannel.evidence.design import DISTURBING
from rechannel.evidence.impact import Window, open_path, visits_before
from rechannel.evidence.placebo import TOTAL
from rechannel.tables.panel import Panel, to_date
from rechannel.tables.rivals import RivalFigure, in_market
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import Channel, Verdict, name_of
from rechannel.vocabulary.estimate import LEVELS, Estimate, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text
from rechannel.world.demand import forecast_demand
from rechannel.world.fitted import DRAWS, fit_world
from rechannel.world.measured import measure
from rechannel.world.measured_days import day_paths

FEWEST_DAYS = 28
LARGEST_UNSEEN_SHARE = 0.3
FEWEST_PLACEBOS = 5
"""Past windows of one length that make a picture."""


@dataclass(frozen=True, slots=True)
class ImpactQuestion:
    """What is asked.

    Attributes
    ----------
    channel, on, horizons, market, announced
        As in `Window`; horizons may reach past the data and are then refused.
    smallest_effect
        Smallest effect worth speaking of, as a share of the open total visits.
    """

    channel: str
    on: date
    horizons: tuple[int, ...]
    market: str | None = None
    announced: date | None = None
    smallest_effect: float = 0.05

    def window(self, horizons: tuple[int, ...]) -> Window:
        """The window of some of the horizons."""
        return Window(self.channel, self.market, self.on, self.announced, horizons)


def answer_impact(
    panel: Panel, around: Surrounds, question: ImpactQuestion, money: Money, provenance: Provenance
) -> Answer:
    """Measure what changed after a day.

    Question answered: the channel was closed, demoted or changed on day D; what did the shop lose or gain?
    Use it once days after D are in the data. It never assumes that the channel fell.

    Parameters
    ----------
    panel
        The case's daily panel.
    around
        Calendar, channel descriptions, rivals; rows of `rivals` from the event on are not used.
    question
        Channel, day, horizons, market, announcement, smallest effect.
    money
        Margin and fee, for the money rows.
    provenance
        Stamped on the answer; its seed drives the joint draws.

    Returns
    -------
    Answer
        One row per metric and horizon, answered or refused; verdict `effect`, `practically_none` or `cannot_tell`
        for the net loss of visits at the first answered horizon.

    Notes
    -----
    What left the channel is its own open path less what came. What came back elsewhere is one posterior of what the
    ledger foretells of such visits and what the other channels' series show (`world.measured`).
    Refusals: `window_not_over`, `no_visits`, `short_history`, `channel_zero`, `few_open_days`, `unseen_event`,
    `did_not_fall`, `no_rivals` and missing columns.
    The causal reading assumes that the event reaches other channels only through the visits it takes from this one, and
    that no shock absent from `events` fell on the same day.
    """
    told = question.announced or question.on
    rivals = in_market([row for row in around.rivals if row.day < told], question.market)
    firms = tuple(dict.fromkeys(row.firm for row in rivals if row.firm != "self"))
    names = names_of(panel.channels, firms, question.channel, money)

    def none(horizon: int, why: Refusal) -> list[Estimate]:
        return [
            refused(metric, unit, why, Coordinates(horizon, channel, question.market))
            for metric, unit, channel in names
        ]

    whole = _whole_refusal(panel, question)
    inside = tuple(h for h in question.horizons if question.on + timedelta(days=h - 1) <= panel.last)
    event = None
    if whole is None:
        event = _event(panel, around, question, rivals, inside, provenance.seed)
        if event is None:
            whole = Refusal("few_open_days", {"channel": question.channel}, ("more_history",))
    if event is None:
        assert whole is not None
        rows = [row for horizon in question.horizons for row in none(horizon, whole)]
        sentence = {language: whole.message(language) for language in LANGUAGES}
        return Answer("impact", _asked(question), tuple(rows), (), (), (), sentence, provenance, refusal=whole)
    rows = []
    spoken: dict[int, MeasuredHorizon] = {}
    for horizon in question.horizons:
        if horizon not in inside:
            rows += none(horizon, _window_refusal(panel, question.on, horizon))
            continue
        at = inside.index(horizon)
        unseen = float(event.opened.unseen_share[at])
        if unseen > LARGEST_UNSEEN_SHARE:
            helps = ("shorter_horizon", "log_past_events")
            rows += none(horizon, Refusal("unseen_event", {"share": numbers.percent(unseen)}, helps))
            continue
        grade, reasons = grade_at(event, at, horizon)
        here = Coordinates(horizon, None, question.market)
        one = MeasuredHorizon(event.world, event.demand, event.opened, event.measured, money, at, here, grade, reasons)
        spoken[horizon] = one
        rows += one.rows()
    checks = checks_of(event, inside)
    paths = _paths(panel, event)
    if not spoken:
        first = rows[0].value
        assert isinstance(first, Refusal)
        sentence = {language: first.message(language) for language in LANGUAGES}
        return Answer(
            "impact",
            _asked(question),
            tuple(rows),
            (),
            (),
            tuple(checks),
            sentence,
            provenance,
            refusal=first,
            paths=paths,
        )
    horizon, one = next(iter(spoken.items()))
    headline = next(row for row in rows if (row.metric, row.horizon_days) == ("net_loss_visits", horizon))
    assert isinstance(headline.value, Quantity)
    verdict = verdict_of(headline.value.quantiles, one.open_total, question.smallest_effect)
    checks.append(coincident_shock(event, one))
    return Answer(
        question="impact",
        asked=_asked(question),
        estimates=tuple(rows),
        daily=_daily(panel, event),
        evidence=_evidence(event, headline.value.grade),
        checks=tuple(checks),
        text=_sentences(rows, headline, verdict, one, question, around.channels),
        provenance=provenance,
        grade=headline.value.grade,
        verdict=verdict,
        paths=paths,
        placebos=_placebos(panel, event, horizon),
    )


def _event(
    panel: Panel,
    around: Surrounds,
    question: ImpactQuestion,
    rivals: Sequence[RivalFigure],
    horizons: tuple[int, ...],
    seed: int,
) -> MeasuredEvent | None:
    """The eve of the event and both paths after it; None when the channel has too few open days before it."""
    told = question.announced or question.on
    window = question.window(horizons)
    world = fit_world(
        panel,
        around.events,
        panel.index_of(told),
        coming=0,
        market=question.market,
        subject=(question.channel, told),
        channels=around.channels,
        rivals=rivals,
        candidates=_candidates(panel, around, question, horizons),
        ties=around.ties(told, panel.channels),
        seed=seed,
    )
    start = panel.index_of(question.on)
    demand = forecast_demand(
        panel,
        world.baseline,
        world.calibration,
        question.channel,
        start,
        market=question.market,
        draws=DRAWS,
        seed=seed,
    )
    if demand is None:
        return None
    opened = open_path(panel, world.baseline, world.calibration, window, draws=DRAWS, seed=seed)
    measured = measure(world, demand, opened)
    return MeasuredEvent(world, demand, opened, measured, day_paths(opened, measured, world.calibration, seed=seed))


def _candidates(
    panel: Panel, around: Surrounds, question: ImpactQuestion, horizons: tuple[int, ...]
) -> tuple[str, ...]:
    """Markets that may explain the one asked about: `events` confines the event to it, and leaves them alone.

    Other own channels are never controls: what leaves the channel may arrive there.
    """
    told = question.announced or question.on
    is_confined = any(
        event.kind in DISTURBING and event.channel == question.channel and event.start == question.on
        for event in around.events
        if event.market == question.market
    )
    if question.market is None or not is_confined:
        return ()
    return untouched_markets(panel, around.events, told, question.on + timedelta(days=max(horizons) - 1))


def verdict_of(net_loss: Quantiles, open_total: float, smallest_effect: float) -> Verdict:
    """One table for every sentence: inside the range that does not matter, clear of zero, or neither."""
    low, high = net_loss.interval(VERDICT_COVERAGE)
    small = smallest_effect * abs(open_total)
    if -small <= low and high <= small:
        return "practically_none"
    return "effect" if low > 0 or high < 0 else "cannot_tell"


def _asked(question: ImpactQuestion) -> Mapping[str, str]:
    asked = {
        "channel": question.channel,
        "on": question.on.isoformat(),
        "horizons": ",".join(str(horizon) for horizon in question.horizons),
        "smallest_effect": f"{question.smallest_effect:g}",
    }
    if question.market:
        asked["market"] = question.market
    if question.announced:
        asked["announced"] = question.announced.isoformat()
    return asked


def _window_refusal(panel: Panel, on: date, horizon: int) -> Refusal:
    last_needed = on + timedelta(days=horizon - 1)
    return Refusal(
        "window_not_over",
        {"horizon": str(horizon), "needed": last_needed.isoformat(), "last": panel.last.isoformat()},
        ("wait_for_data", "ask_closure"),
    )


def _whole_refusal(panel: Panel, question: ImpactQuestion) -> Refusal | None:
    """Why nothing can be measured at all, or None."""
    if panel.last < question.on + timedelta(days=min(question.horizons) - 1):
        return _window_refusal(panel, question.on, min(question.horizons))
    if not np.isfinite(panel.over_markets("visits", question.market)[:, panel.channel_index(question.channel)]).any():
        return Refusal("no_visits", {"channel": question.channel}, ("add_visits",))
    before = visits_before(panel, question.window(()))
    if not (np.nan_to_num(before) > 0).any():
        return Refusal("channel_zero", {"channel": question.channel}, ("check_channel",))
    days = int(np.isfinite(before).sum())
    if days < FEWEST_DAYS:
        return Refusal("short_history", {"days": str(days), "wanted": str(FEWEST_DAYS)}, ("more_history",))
    return None


def _evidence(event: MeasuredEvent, grade: Grade) -> tuple[EvidenceItem, ...]:
    """The event itself, then what the ledger knew of its visits."""
    window = event.opened.window
    figures: dict[str, float | str] = {
        "on": window.on.isoformat(),
        "training_days": event.opened.training_days,
        "placebo_windows": int(event.calibration.scores.size),
    }
    return (
        EvidenceItem("natural_experiment", window.channel, grade, figures),
        *evidence_of(event.world, window.channel),
    )


def _paths(panel: Panel, event: MeasuredEvent) -> tuple[Path, ...]:
    """The pictures, with the observed days as the closed path from the event on."""
    paths = []
    window, start = event.opened.window, event.opened.stretches.start
    for picture in event.paths:
        closed = np.full_like(picture.open_path, np.nan)
        after = picture.days >= start
        closed[after] = picture.observed[after, None]
        paths.append(
            Path(
                picture.channel,
                "visits",
                window.on,
                window.announced,
                panel.dates[picture.days],
                picture.observed,
                picture.open_path,
                closed,
                picture.cumulative,
            )
        )
    return tuple(paths)


def _placebos(panel: Panel, event: MeasuredEvent, horizon: int) -> tuple[PlaceboCloud, ...]:
    """The channel's and the total's placebo windows of the longest length tried often enough within the horizon."""
    known, opened = event.calibration, event.opened
    of = {TOTAL: None, opened.closed: opened.window.channel} if len(opened.channels) > 1 else {opened.closed: None}
    cut = opened.stretches
    for rows in sorted((end for end in cut.ends if end * cut.step <= horizon), reverse=True):
        here = (known.horizons == rows * cut.step) & np.isfinite(known.missed)
        if min((here & (known.series == which)).sum() for which in of) >= FEWEST_PLACEBOS:
            break
    else:
        return ()
    stretches = np.array(cut.ends) <= rows
    found = []
    for which, channel in sorted(of.items(), reverse=True):
        mine = here & (known.series == which)
        places = slice(None) if which == TOTAL else slice(which, which + 1)
        foretold = float(np.median(opened.draws[:, places][:, :, stretches].sum(axis=(1, 2))))
        came = float(opened.observed[places][:, stretches].sum())
        if foretold <= 0:
            continue
        starts = tuple(to_date(panel.dates[int(row)]) for row in known.origins[mine])
        missed = tuple(float(one) for one in known.missed[mine])
        found.append(PlaceboCloud(channel, rows * cut.step, starts, missed, came / foretold - 1))
    return tuple(found)


def _daily(panel: Panel, event: MeasuredEvent) -> tuple[DailyRow, ...]:
    """Total visits a day on both paths, from the event on."""
    total = event.paths[-1]
    rows = []
    known = np.isfinite(total.observed) & np.isfinite(total.open_path).all(axis=1)
    for index in np.flatnonzero((total.days >= event.opened.stretches.start) & known).tolist():
        day = panel.dates[total.days[index]].item()
        came = float(total.observed[index])
        opened = Quantiles(tuple(float(value) for value in total.open_path[index]))
        rows.append(DailyRow(day, "visits", opened, Quantiles((came,) * len(LEVELS))))
    return tuple(rows)


def _sentences(
    rows: Sequence[Estimate],
    headline: Estimate,
    verdict: Verdict,
    one: MeasuredHorizon,
    question: ImpactQuestion,
    channels: Sequence[Channel],
) -> dict[Language, str]:
    """Two sentences a person would quote, from the verdict table."""
    assert isinstance(headline.value, Quantity)
    quantiles = headline.value.quantiles
    low, high = quantiles.interval()
    open_total = max(one.open_total, 1.0)
    retained = next(row for row in rows if row.metric == "retained_own" and row.horizon_days == headline.horizon_days)
    sentences: dict[Language, str] = {}
    for language in LANGUAGES:
        gained = quantiles.median < 0
        sign = -1 if gained else 1
        ends = sorted((sign * low, sign * high))
        key = f"answer.impact_{verdict}" + ("_gain" if gained and verdict == "effect" else "")
        first = text(
            key,
            language,
            channel=name_of(question.channel, channels, language),
            on=numbers.day(question.on, language),
            horizon=str(headline.horizon_days),
            loss=numbers.with_span(sign * quantiles.median, ends[0], ends[1], language),
            share=numbers.percent(sign * quantiles.median / open_total, width=(high - low) / open_total),
            smallest=numbers.percent(question.smallest_effect),
            interval=numbers.span(low, high, language),
        )
        if isinstance(retained.value, Quantity):
            a, b = retained.value.quantiles.interval()
            second = text(
                "answer.impact_retained",
                language,
                retained=numbers.percent(retained.value.quantiles.median),
                interval=numbers.percent_span(a, b),
                grade=str(headline.value.grade),
                meaning=text(f"grade.{headline.value.grade}", language),
            )
        else:
            second = text(
                "answer.impact_no_fall",
                language,
                channel=name_of(question.channel, channels, language),
                grade=str(headline.value.grade),
                meaning=text(f"grade.{headline.value.grade}", language),
            )
        sentences[language] = f"{first}{'' if language != 'en' else ' '}{second}"
    return sentences
