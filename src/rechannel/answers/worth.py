"""Q1: what a channel is really worth - what came through it that would not have come otherwise, quarter by quarter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from rechannel.answers.answer import Answer, Provenance
from rechannel.answers.lifetime import (
    MARGIN_SEED,
    CustomerValue,
    LaterOrders,
    curves_of,
    later_check,
    later_names,
    later_rows,
    window_of,
)
from rechannel.answers.money import Money
from rechannel.answers.pathcredit import METHODS, PathCredit
from rechannel.answers.rows import Coordinates, answered, known, missing_column, refused, unit_of
from rechannel.answers.standing import Standing, contraction, standing_of
from rechannel.evidence.baseline import sum_of
from rechannel.scenario.do import Outcome, outcome_of, prior_latent
from rechannel.tables.deals import Deal
from rechannel.tables.panel import Panel, to_date
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import COUNTED, Channel, Metric, name_of
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text
from rechannel.world.fitted import DRAWS, World

NO_TOUCHES = Refusal("no_journeys", {}, ("export_touches",))
SURE = 0.05
"""Most probability that nothing incremental came, above which a cost per unit is refused."""


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar quarter as far as the data reach: its name (`*` = only a part), first day and rows of the panel."""

    name: str
    quarter: date
    rows: NDArray[np.intp]
    first: date
    days: int


@dataclass(frozen=True, slots=True)
class WorthQuestion:
    """What is asked: a channel, and one market or None for all."""

    channel: str
    market: str | None = None


def quarters(panel: Panel) -> tuple[Period, ...]:
    """Calendar quarters with data, oldest first."""
    step = panel.step
    days = [to_date(day) for day in panel.dates]
    names = [f"{day.year}Q{(day.month + 2) // 3}" for day in days]
    periods = []
    for name in dict.fromkeys(names):
        rows = np.array([index for index, other in enumerate(names) if other == name])
        year, quarter = int(name[:4]), int(name[-1])
        first = date(year, 3 * quarter - 2, 1)
        after = date(year + quarter // 4, 3 * (quarter % 4) + 1, 1)
        whole = panel.first < first + timedelta(days=step) and panel.last >= after - timedelta(days=step)
        periods.append(Period(name if whole else f"{name}*", first, rows, days[rows[0]], step * rows.size))
    return tuple(periods)


def answer_worth(
    panel: Panel,
    world: World,
    question: WorthQuestion,
    money: Money,
    deals: Sequence[Deal],
    provenance: Provenance,
    channels: Sequence[Channel] = (),
    paths: PathCredit | Refusal = NO_TOUCHES,
    later: CustomerValue | Refusal = NO_TOUCHES,
) -> Answer:
    """Incremental visits, customers, orders, GMV and margin of a channel per quarter, beside last-touch credit.

    Question answered: of what last touch credits to the channel, what would not have come without it? The net loss of
    its closure over that quarter, had it been closed on the quarter's first day.

    Parameters
    ----------
    panel, world
        The case, and its world fitted on all its data.
    question
        Channel and market.
    money
        Margin and currency.
    deals
        Agreements; the fixed fee of those that ran in a quarter is part of its spend.
    provenance
        Stamped on the answer.
    channels
        Descriptions, for names.
    paths
        Credit on the paths to orders, or why there is none.
    later
        What new customers order after their period, or why that is not known.

    Returns
    -------
    Answer
        Rows with `period` (a quarter, `*` = partly covered): incremental_*, credited_* by method, incrementality by
        metric, incremental_cac, cost_per_incremental_visit, payback_days, and those of `lifetime.later_rows`: what the
        customers won for good bring in the 365 days after the quarter. payback_days sets the quarter's spend against
        the quarter's own margin a day and leaves later orders out. Shapley and removal credit are shares on the
        paths to orders times what the shop counted; they are descriptive, like last touch.

    Notes
    -----
    What came is observed, so the interval holds only what is not known about where the visits would have gone.
    Refusals: `not_in_period`, `no_column`, `no_margin`, `no_spend`, `no_incremental`, and those of
    `PathCredit.share`.
    """
    standing = standing_of(world, question.channel)
    rng = np.random.default_rng([provenance.seed, 23])
    if question.market is not None:
        later = Refusal("no_later_of_markets", {}, ())
    own = later if isinstance(later, Refusal) else later.of(question.channel)
    rows: list[Estimate] = []
    head: list[tuple[Period, Outcome]] = []
    for period in quarters(panel):
        amounts = _amounts(panel, question, period)
        if not amounts.get("visits", 0.0) > 0:
            why = Refusal("not_in_period", {"channel": question.channel, "column": "visits"}, ("check_channel",))
            rows += [refused(name, unit, why, _at(period, question)) for name, unit in _names(money)]
            continue
        credited = {metric: np.full(DRAWS, value) for metric, value in amounts.items()}
        outcome = outcome_of(world, question.channel, credited, {}, np.ones(DRAWS), period.days, rng)
        head.append((period, outcome))
        rows += _period_rows(panel, world, question, money, deals, standing, period, outcome, paths, own)
    if not head:
        known = np.isfinite(panel.over_markets("visits", question.market)[:, panel.channel_index(question.channel)])
        why = Refusal("channel_zero", {"channel": question.channel}, ("check_channel",))
        if not known.any():
            why = Refusal("no_visits", {"channel": question.channel}, ("add_visits",))
        sentence = {language: why.message(language) for language in LANGUAGES}
        return Answer("worth", _asked(question), tuple(rows), (), (), (), sentence, provenance, refusal=why)
    whole = [item for item in head if not item[0].name.endswith("*")] or head
    headline = next(
        row
        for row in rows
        if row.metric == "incremental_visits" and row.period == whole[-1][0].name and isinstance(row.value, Quantity)
    )
    assert isinstance(headline.value, Quantity)
    return Answer(
        question="worth",
        asked=_asked(question),
        estimates=tuple(rows),
        daily=(),
        evidence=standing.evidence,
        checks=(*standing.checks, *later_check(later, rows)),
        text=_sentences(question, headline, whole[-1][1], channels),
        provenance=provenance,
        grade=headline.value.grade,
        curves=() if isinstance(later, Refusal) else curves_of(later, question.channel),
    )


def _asked(question: WorthQuestion) -> Mapping[str, str]:
    asked = {"channel": question.channel}
    return asked | ({"market": question.market} if question.market else {})


def _at(period: Period, question: WorthQuestion) -> Coordinates:
    return Coordinates(None, None, question.market, period.name)


def _amounts(panel: Panel, question: WorthQuestion, period: Period) -> dict[Metric, float]:
    """What last touch credits to the channel in the quarter, measured days only."""
    markets = None if question.market is None else (question.market,)
    at = panel.channel_index(question.channel)
    found: dict[Metric, float] = {}
    for metric in COUNTED:
        if metric in panel.values:
            values = sum_of(panel, metric, markets)[period.rows, at]
            if np.isfinite(values).any():
                found[metric] = float(np.nansum(values))
    return found


def _names(money: Money) -> list[tuple[str, str]]:
    """Every (metric, unit) of a period without method, in the order of the contract."""
    names = [(f"incremental_{metric}", unit_of(metric, money.currency)) for metric in COUNTED]
    return [
        *names,
        ("incremental_margin", money.currency),
        ("incremental_cac", money.currency),
        ("cost_per_incremental_visit", money.currency),
        ("payback_days", "days"),
        *later_names(money.currency),
    ]


def _period_rows(
    panel: Panel,
    world: World,
    question: WorthQuestion,
    money: Money,
    deals: Sequence[Deal],
    standing: Standing,
    period: Period,
    outcome: Outcome,
    paths: PathCredit | Refusal,
    later: LaterOrders | Refusal,
) -> list[Estimate]:
    """Every row of one quarter."""
    at = _at(period, question)
    rows: list[Estimate] = []
    grades: dict[Metric, tuple[float, Grade, tuple[str, ...]]] = {}
    for metric in COUNTED:
        unit = unit_of(metric, money.currency)
        names = (f"incremental_{metric}", f"credited_{metric}", "incrementality")
        if metric not in outcome.net_loss:
            why = (
                Refusal("not_in_period", {"channel": question.channel, "column": metric}, ("more_history",))
                if metric in panel.values
                else missing_column(metric)
            )
            rows.append(refused(names[0], unit, why, at))
            rows += [refused(names[1], unit, why, at, method=method) for method in ("last_touch", *METHODS)]
            rows.append(refused(names[2], "share", why, at, method=metric))
            continue
        prior = prior_latent(world, question.channel, metric, np.ones(DRAWS), period.days)
        narrowed = contraction(outcome.latent[metric], prior)
        grade, reasons = standing.grade(narrowed)
        grades[metric] = narrowed, grade, reasons
        lost, credited = outcome.net_loss[metric], float(outcome.credited[metric][0])
        rows.append(answered(names[0], unit, lost, grade, at, narrowed=narrowed, reasons=reasons))
        rows.append(known(names[1], unit, credited, Grade.B, at, method="last_touch"))
        rows += _path_rows(panel, question, period, metric, unit, paths)
        if credited > 0:
            rows.append(
                answered(
                    names[2],
                    "share",
                    lost / credited,
                    grade,
                    at,
                    narrowed=narrowed,
                    reasons=reasons,
                    has_mean=False,
                    method=metric,
                )
            )
        else:
            why = Refusal("no_incremental", {}, ())
            rows.append(refused(names[2], "share", why, at, method=metric))
    margin = _margin(outcome, money)
    rows += _efficiency(panel, question, money, deals, period, outcome, grades, margin)
    window = window_of(panel, question.channel, period.rows.tolist(), at)
    return rows + later_rows(later, window, outcome, money, grades, margin)


def _margin(outcome: Outcome, money: Money) -> FloatArray | Refusal:
    """Contribution margin that would not have come in the quarter, shape [draw]."""
    if "gmv" not in outcome.net_loss:
        return missing_column("gmv")
    if money.margin is None:
        return Refusal("no_margin", {}, ("give_margin",))
    return outcome.net_loss["gmv"] * money.margin_draws(DRAWS, MARGIN_SEED)


def _path_rows(
    panel: Panel, question: WorthQuestion, period: Period, metric: Metric, unit: str, paths: PathCredit | Refusal
) -> list[Estimate]:
    """Credit on the paths to orders: the channel's share times what all own channels had in the quarter."""
    at, rows = _at(period, question), []
    if question.market is not None:
        paths = Refusal("no_paths_of_markets", {}, ())
    whole = float(np.nansum(sum_of(panel, metric, None)[period.rows]))
    days = to_date(panel.dates[period.rows[0]]), to_date(panel.dates[period.rows[-1]])
    for method in METHODS:
        share = (
            paths if isinstance(paths, Refusal) else paths.share(period.quarter, days, metric, method, question.channel)
        )
        if isinstance(share, Refusal):
            rows.append(refused(f"credited_{metric}", unit, share, at, method=method))
        else:
            rows.append(answered(f"credited_{metric}", unit, share * whole, Grade.B, at, method=method))
    return rows


def _efficiency(
    panel: Panel,
    question: WorthQuestion,
    money: Money,
    deals: Sequence[Deal],
    period: Period,
    outcome: Outcome,
    grades: Mapping[Metric, tuple[float, Grade, tuple[str, ...]]],
    margin: FloatArray | Refusal,
) -> list[Estimate]:
    """Margin, cost per incremental customer and visit, and days to pay back."""
    at, currency = _at(period, question), money.currency
    rows: list[Estimate] = []
    if isinstance(margin, Refusal):
        rows.append(refused("incremental_margin", currency, margin, at))
    else:
        narrowed, grade, reasons = grades["gmv"]
        rows.append(answered("incremental_margin", currency, margin, grade, at, narrowed=narrowed, reasons=reasons))
    spend = _spend(panel, question, deals, period)
    no_spend = Refusal("no_spend", {}, ("add_cost",))
    unclear = Refusal("no_incremental", {}, ("narrow_it",))
    costs: tuple[tuple[str, Metric], ...] = (
        ("incremental_cac", "new_customers"),
        ("cost_per_incremental_visit", "visits"),
    )
    for name, metric in costs:
        gained = outcome.net_loss.get(metric)
        if gained is None:
            rows.append(refused(name, currency, missing_column(metric), at))
        elif spend is None:
            rows.append(refused(name, currency, no_spend, at))
        elif float((gained <= 0).mean()) > SURE:
            rows.append(refused(name, currency, unclear, at))
        else:
            _, grade, reasons = grades[metric]
            ratio = spend / np.maximum(gained, np.quantile(gained[gained > 0], 0.01))
            rows.append(answered(name, currency, ratio, grade, at, reasons=reasons, has_mean=False))
    if isinstance(margin, Refusal):
        rows.append(refused("payback_days", "days", margin, at))
    elif spend is None:
        rows.append(refused("payback_days", "days", no_spend, at))
    elif float((margin <= 0).mean()) > SURE:
        rows.append(refused("payback_days", "days", unclear, at))
    else:
        _, grade, reasons = grades["gmv"]
        days = spend * period.days / np.maximum(margin, np.quantile(margin[margin > 0], 0.01))
        rows.append(answered("payback_days", "days", days, grade, at, reasons=reasons, has_mean=False))
    return rows


def _spend(panel: Panel, question: WorthQuestion, deals: Sequence[Deal], period: Period) -> float | None:
    """Cost of the channel in the quarter with the fixed fees that ran in it; None when neither is known."""
    found: list[float] = []
    if "cost" in panel.values:
        markets = None if question.market is None else (question.market,)
        values = sum_of(panel, "cost", markets)[period.rows, panel.channel_index(question.channel)]
        if np.isfinite(values).any():
            found.append(float(np.nansum(values)))
    last = period.first + timedelta(days=period.days - 1)
    for deal in deals:
        if deal.channel != question.channel or deal.fixed_fee is None:
            continue
        start, end = max(deal.start or period.first, period.first), min(deal.end or last, last)
        if end >= start:
            found.append(deal.fixed_fee * ((end - start).days + 1) / 365)
    return sum(found) if found and sum(found) > 0 else None


def _sentences(
    question: WorthQuestion, headline: Estimate, outcome: Outcome, channels: Sequence[Channel]
) -> dict[Language, str]:
    """What the channel brought in the last whole quarter, and how much of its credit is incremental."""
    assert isinstance(headline.value, Quantity)
    quantiles = headline.value.quantiles
    low, high = quantiles.interval()
    credited = float(outcome.credited["visits"][0])
    share = outcome.net_loss["visits"] / credited
    a, middle, b = (float(value) for value in np.quantile(share, (0.05, 0.5, 0.95)))
    sentences: dict[Language, str] = {}
    for language in LANGUAGES:
        period = numbers.quarter((headline.period or "").rstrip("*"), language)
        first = text(
            "answer.worth" if low > 0 else "answer.worth_unclear",
            language,
            period=period,
            channel=name_of(question.channel, channels, language),
            amount=numbers.with_span(quantiles.median, low, high, language),
            interval=numbers.span(low, high, language),
            what=text("answer.worth_visits", language),
            credited=numbers.number(credited, language),
        )
        second = text(
            "answer.worth_trend",
            language,
            share=numbers.percent(middle),
            interval=numbers.percent_span(a, b),
            grade=str(headline.value.grade),
            meaning=text(f"grade.{headline.value.grade}", language),
        )
        sentences[language] = f"{first}{' ' if language == 'en' else ''}{second}"
    return sentences
