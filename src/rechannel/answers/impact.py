"""Q2b: it has closed - what did happen? A measured effect with placebo checks, or "cannot tell"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from rechannel.answers.answer import Answer, Check, DailyRow, EvidenceItem, Path, Provenance
from rechannel.answers.money import Money, money_rows
from rechannel.answers.rows import Coordinates, RowName, answered, effect_rows, known, missing_column, refused, unit_of
from rechannel.evidence.impact import Measurement, MetricSums, Window, is_zero_before, measure, training_days
from rechannel.evidence.placebo import coverage_slack
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import COUNTED, Channel, Metric, Verdict, name_of
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade, worst
from rechannel.vocabulary.wording import LANGUAGES, Language, text

FEWEST_DAYS = 28
LARGEST_UNSEEN_SHARE = 0.3
VERDICT_COVERAGE = 0.9


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


def answer_impact(
    panel: Panel,
    events: Sequence[Event],
    question: ImpactQuestion,
    money: Money,
    provenance: Provenance,
    channels: Sequence[Channel] = (),
) -> Answer:
    """Measure what changed after a day.

    Question answered: the channel was closed, demoted or changed on day D; what did the shop lose or gain?
    Use it once days after D are in the data. It never assumes that the channel fell.

    Parameters
    ----------
    panel, events
        The case's daily panel and calendar.
    question
        Channel, day, horizons, market, announcement, smallest effect.
    money
        Margin and fee, for the money rows.
    provenance
        Stamped on the answer; its seed drives the joint draws.
    channels
        Descriptions, for names.

    Returns
    -------
    Answer
        One row per metric and horizon, answered or refused; verdict `effect`, `practically_none` or `cannot_tell`
        for the net loss of visits at the first answered horizon.

    Notes
    -----
    Refusals: `window_not_over`, `no_visits`, `short_history`, `channel_zero`, `unseen_event`, `did_not_fall` and
    missing columns.
    The causal reading assumes that no shock absent from `events` fell on the same day.
    """
    window = Window(question.channel, question.market, question.on, question.announced, question.horizons)
    whole = _whole_refusal(panel, window)
    if whole is not None:
        rows = [row for horizon in question.horizons for row in _all_refused(panel, horizon, question, money, whole)]
        sentence = {language: whole.message(language) for language in LANGUAGES}
        return Answer("impact", _asked(question), tuple(rows), (), (), (), sentence, provenance, refusal=whole)
    inside = tuple(h for h in question.horizons if question.on + timedelta(days=h - 1) <= panel.last)
    measured = measure(
        panel,
        events,
        Window(question.channel, question.market, question.on, question.announced, inside),
        seed=provenance.seed,
    )
    rows = []
    verdicts: dict[int, Verdict] = {}
    headline: Estimate | None = None
    checks = _checks(measured, inside)
    for horizon in question.horizons:
        if horizon not in inside:
            rows += _all_refused(panel, horizon, question, money, _window_refusal(panel, question.on, horizon))
            continue
        at = inside.index(horizon)
        if measured.unseen_share[at] > LARGEST_UNSEEN_SHARE:
            why = Refusal(
                "unseen_event",
                {"share": numbers.percent(float(measured.unseen_share[at]))},
                ("shorter_horizon", "log_past_events"),
            )
            rows += _all_refused(panel, horizon, question, money, why)
            continue
        made, verdict = _horizon_rows(measured, at, horizon, question, money, provenance.seed)
        rows += made
        verdicts[horizon] = verdict
        if headline is None:
            headline = next(row for row in made if row.metric == "net_loss_visits" and row.channel is None)
    if headline is None:
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
            paths=_paths(panel, measured),
        )
    assert isinstance(headline.value, Quantity)
    assert headline.horizon_days is not None
    checks.append(_coincident(measured, inside.index(headline.horizon_days)))
    return Answer(
        question="impact",
        asked=_asked(question),
        estimates=tuple(rows),
        daily=_daily(panel, measured),
        evidence=_evidence(measured, headline.value.grade),
        checks=tuple(checks),
        text=_sentences(measured, rows, headline, verdicts[headline.horizon_days], question, channels),
        provenance=provenance,
        grade=headline.value.grade,
        verdict=verdicts[headline.horizon_days],
        paths=_paths(panel, measured),
    )


def verdict_of(net_loss: Quantiles, open_total: float, smallest_effect: float) -> Verdict:
    """One table for every sentence: inside the range that does not matter, clear of zero, or neither."""
    low, high = net_loss.interval(VERDICT_COVERAGE)
    small = smallest_effect * abs(open_total)
    if -small <= low and high <= small:
        return "practically_none"
    return "effect" if low > 0 or high < 0 else "cannot_tell"


def p_value(draws: FloatArray) -> float:
    """Two-sided tail probability of no net loss: twice the level of the quantile that stands at zero.

    The same interpolated quantiles make the interval, so p < .1 exactly when the 90 % interval excludes zero.
    """
    ordered = np.sort(draws)
    levels = np.linspace(0.0, 1.0, ordered.size)
    below, above = np.interp(0.0, ordered, levels), np.interp(0.0, -ordered[::-1], levels)
    return min(1.0, 2 * float(min(below, above)))


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


def _whole_refusal(panel: Panel, window: Window) -> Refusal | None:
    """Why nothing can be measured at all, or None."""
    if panel.last < window.on + timedelta(days=min(window.horizons) - 1):
        return _window_refusal(panel, window.on, min(window.horizons))
    if not np.isfinite(panel.over_markets("visits", window.market)[:, panel.channel_index(window.channel)]).any():
        return Refusal("no_visits", {"channel": window.channel}, ("add_visits",))
    if is_zero_before(panel, window):
        return Refusal("channel_zero", {"channel": window.channel}, ("check_channel",))
    days = training_days(panel, window)
    if days < FEWEST_DAYS:
        return Refusal("short_history", {"days": str(days), "wanted": str(FEWEST_DAYS)}, ("more_history",))
    return None


def _row_names(channels: Sequence[str | None], question: ImpactQuestion, money: Money) -> list[RowName]:
    """Every (metric, unit, channel) a horizon must have."""
    return effect_rows(money.currency, [other for other in channels if other != question.channel])


def _all_refused(panel: Panel, horizon: int, question: ImpactQuestion, money: Money, why: Refusal) -> list[Estimate]:
    return [
        refused(metric, unit, why, Coordinates(horizon, channel, question.market))
        for metric, unit, channel in _row_names(panel.channels, question, money)
    ]


def _horizon_rows(
    measured: Measurement, at: int, horizon: int, question: ImpactQuestion, money: Money, seed: int
) -> tuple[list[Estimate], Verdict]:
    """Every row of one horizon, and its verdict."""
    visits = measured.sums["visits"]
    closed = visits.channels.index(question.channel)
    removed = visits.open_draws[:, closed, at] - visits.observed[closed, at]
    gains = visits.observed[:, at] - visits.open_draws[:, :, at]
    net = -gains.sum(axis=1)
    own_open = float(np.median(visits.open_draws[:, closed, at]))
    reach = own_open**2 / 12  # what a loss anywhere between none and all of the channel's visits would leave open
    grade, reasons = _grade(measured, at, horizon)
    here = Coordinates(horizon, None, question.market)
    rows: dict[tuple[str, str | None], Estimate] = {}

    def put(row: Estimate) -> None:
        rows[row.metric, row.channel] = row

    put(answered("visits_removed", "visits", removed, grade, here, prior_variance=reach, reasons=reasons))
    net_draws: dict[Metric, FloatArray] = {"visits": net}
    prior = {"visits": reach}
    for metric in COUNTED:
        unit = unit_of(metric, money.currency)
        sums = measured.sums.get(metric)
        if sums is None:
            put(refused(f"net_loss_{metric}", unit, missing_column(metric), here))
            continue
        loss = sums.open_draws[:, :, at].sum(axis=1) - sums.observed[:, at].sum()
        net_draws[metric] = loss
        prior[metric] = _reach(sums, question.channel, at, visits)
        put(answered(f"net_loss_{metric}", unit, loss, grade, here, prior_variance=prior[metric], reasons=reasons))
    gmv = measured.sums.get("gmv")
    closed_gmv = None if gmv is None else np.full(net.size, gmv.observed[:, at].sum())
    for row in money_rows(
        money, net_draws.get("gmv"), closed_gmv, grade, here, seed, prior_variance=prior.get("gmv"), reasons=reasons
    ):
        put(row)
    put(refused("net_loss_active_customers", "share", Refusal("has_daily", {}, ("ask_new_customers",)), here))
    put(refused("never_acquired", "customers", Refusal("needs_cohorts", {}, ("add_touches",)), here))
    for row in _conversion_rows(measured, at, grade, here, reasons):
        put(row)
    fell = float(np.quantile(removed, 0.05)) > 0
    no_fall = Refusal("did_not_fall", {"channel": question.channel}, ("check_day", "shorter_horizon"))
    unsplit = Refusal("rivals_unmeasured", {}, ("ask_closure",))
    others = [index for index in range(len(visits.channels)) if index != closed]
    if fell:
        ratios = gains[:, others] / removed[:, None]
        put(
            answered(
                "retained_own",
                "share",
                ratios.sum(axis=1),
                grade,
                here,
                prior_variance=1 / 12,
                reasons=reasons,
                has_mean=False,
            )
        )
        for position, index in enumerate(others):
            there = Coordinates(horizon, visits.channels[index], question.market)
            put(
                answered(
                    "diversion",
                    "share",
                    ratios[:, position],
                    grade,
                    there,
                    prior_variance=1 / 12,
                    reasons=reasons,
                    has_mean=False,
                )
            )
    names = _row_names(visits.channels, question, money)
    for name, unit, channel in names:
        if (name, channel) not in rows:
            why = no_fall if name in ("retained_own", "diversion") else unsplit
            put(refused(name, unit, why, Coordinates(horizon, channel, question.market)))
    head = rows["net_loss_visits", None].value
    assert isinstance(head, Quantity)
    open_total = float(np.median(visits.open_draws[:, :, at].sum(axis=1)))
    verdict = verdict_of(head.quantiles, open_total, question.smallest_effect)
    return [rows[metric, channel] for metric, _, channel in names], verdict


def _reach(sums: MetricSums, channel: str, at: int, visits: MetricSums) -> float:
    """Prior variance of a loss anywhere between none and all of what the channel is credited with."""
    if channel in sums.channels:
        credited = float(np.median(sums.open_draws[:, sums.channels.index(channel), at]))
    else:
        share = np.median(visits.open_draws[:, visits.channels.index(channel), at]) / np.median(
            visits.open_draws[:, :, at].sum(axis=1)
        )
        credited = float(np.median(sums.open_draws[:, :, at].sum(axis=1)) * share)
    return credited**2 / 12


def _conversion_rows(
    measured: Measurement, at: int, grade: Grade, here: Coordinates, reasons: Sequence[str]
) -> list[Estimate]:
    """Orders per visit over all own channels on both paths."""
    orders = measured.sums.get("orders")
    visits = measured.sums["visits"]
    seen = float(visits.observed[:, at].sum())
    if orders is None or seen <= 0:
        why = missing_column("orders")
        return [refused(f"conversion_rate_{path}", "share", why, here) for path in ("open", "closed")]
    rate = orders.open_draws[:, :, at].sum(axis=1) / visits.open_draws[:, :, at].sum(axis=1)
    return [
        answered("conversion_rate_open", "share", rate, grade, here, reasons=reasons, has_mean=False),
        known("conversion_rate_closed", "share", float(orders.observed[:, at].sum()) / seen, grade, here),
    ]


def _grade(measured: Measurement, at: int, horizon: int) -> tuple[Grade, tuple[str, ...]]:
    """B for a natural experiment on this channel, capped by every check that fails."""
    reasons = [check.key for check in _horizon_checks(measured, at, horizon) if not check.passed]
    return (worst(Grade.B, Grade.C) if reasons else Grade.B), tuple(reasons)


def _horizon_checks(measured: Measurement, at: int, horizon: int) -> list[Check]:
    """The checks of one horizon; each that fails caps the grade at C."""
    calibration = measured.calibration
    folds = calibration.folds_at(horizon)
    visits = measured.sums["visits"]
    middle = float(np.median(visits.open_draws[:, :, at].sum(axis=1)))
    low, direct, high = (float(value) for value in measured.direct_total[at])
    days = str(horizon)
    return [
        Check(
            "calibration_folds",
            not calibration.is_extrapolated(horizon),
            {"horizon": days, "folds": round(folds, 1), "factor": round(float(calibration.widen(horizon)), 3)},
        ),
        Check(
            "direct_total",
            low <= middle <= high,
            {"horizon": days, "joint": round(middle), "direct": round(direct), "low": round(low), "high": round(high)},
        ),
        Check(
            "history",
            measured.training_days >= 2 * horizon,
            {"horizon": days, "days": measured.training_days, "wanted": 2 * horizon},
        ),
        Check(
            "unseen_events",
            float(measured.unseen_share[at]) <= 0,
            {"horizon": days, "share": round(float(measured.unseen_share[at]), 3)},
        ),
    ]


def _checks(measured: Measurement, horizons: Sequence[int]) -> list[Check]:
    """Every check of the answer, shown whether it passed or not."""
    calibration = measured.calibration
    checks = [check for at, horizon in enumerate(horizons) for check in _horizon_checks(measured, at, horizon)]
    if calibration.scores.size:
        slack = coverage_slack(calibration.independent_records)
        checks.append(
            Check(
                "placebo_coverage",
                calibration.held_out_coverage >= 0.9 - slack,
                {"coverage": round(calibration.held_out_coverage, 3), "windows": int(calibration.scores.size)},
            )
        )
    if measured.anticipation_total.size:
        quantiles = Quantiles.of(measured.anticipation_total)
        low, high = quantiles.interval()
        checks.append(
            Check(
                "anticipation",
                low <= 0 <= high,
                {"median": round(quantiles.median), "low": round(low), "high": round(high)},
            )
        )
    if measured.absent_is_zero:
        checks.append(Check("absent_rows", True, {"channel": measured.window.channel}))
    if measured.new_channels:
        checks.append(Check("new_channels", False, {"channels": ", ".join(measured.new_channels)}))
    return checks


def _coincident(measured: Measurement, at: int) -> Check:
    """How large a hidden shock on the same day would have to be to erase the effect, in past-shock sd."""
    visits = measured.sums["visits"]
    net = visits.open_draws[:, :, at].sum(axis=1) - visits.observed[:, at].sum()
    spread = float(net.std())
    size = abs(float(np.median(net))) / spread if spread > 0 else 0.0
    return Check("coincident_shock", size >= 1.645, {"sd": round(size, 2), "p_value": round(p_value(net), 4)})


def _evidence(measured: Measurement, grade: Grade) -> tuple[EvidenceItem, ...]:
    window = measured.window
    figures: dict[str, float | str] = {
        "on": window.on.isoformat(),
        "training_days": measured.training_days,
        "placebo_windows": int(measured.calibration.scores.size),
    }
    return (EvidenceItem("natural_experiment", window.channel, grade, figures),)


def _paths(panel: Panel, measured: Measurement) -> tuple[Path, ...]:
    """The pictures, with the observed days as the closed path from the event on."""
    paths = []
    start = panel.index_of(measured.window.on)
    for picture in measured.paths:
        closed = np.full_like(picture.open_path, np.nan)
        after = picture.days >= start
        closed[after] = picture.observed[after, None]
        paths.append(
            Path(
                picture.channel,
                "visits",
                measured.window.on,
                measured.window.announced,
                panel.dates[picture.days],
                picture.observed,
                picture.open_path,
                closed,
                picture.cumulative,
            )
        )
    return tuple(paths)


def _daily(panel: Panel, measured: Measurement) -> tuple[DailyRow, ...]:
    """Total visits a day on both paths, from the event on."""
    total = measured.paths[-1]
    start = panel.index_of(measured.window.on)
    rows = []
    for index in np.flatnonzero((total.days >= start) & np.isfinite(total.observed)).tolist():
        day = panel.dates[total.days[index]].item()
        came = float(total.observed[index])
        opened = Quantiles(tuple(float(value) for value in total.open_path[index]))
        rows.append(DailyRow(day, "visits", opened, Quantiles((came,) * len(LEVELS))))
    return tuple(rows)


def _sentences(
    measured: Measurement,
    rows: Sequence[Estimate],
    headline: Estimate,
    verdict: Verdict,
    question: ImpactQuestion,
    channels: Sequence[Channel],
) -> dict[Language, str]:
    """Two sentences a person would quote, from the verdict table."""
    assert isinstance(headline.value, Quantity)
    quantiles = headline.value.quantiles
    low, high = quantiles.interval()
    at = measured.window.horizons.index(headline.horizon_days or 0)
    open_total = float(np.median(measured.sums["visits"].open_draws[:, :, at].sum(axis=1)))
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
