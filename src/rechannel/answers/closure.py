"""Q2a: a channel closes or is demoted on day D - what happens, good and bad? A forecast made on the eve of D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from rechannel.answers.answer import Answer, Check, DailyRow, EvidenceItem, Provenance
from rechannel.answers.money import Money, money_rows
from rechannel.answers.pictures import Path
from rechannel.answers.rows import Coordinates, RowName, answered, effect_rows, missing_column, refused, unit_of
from rechannel.answers.standing import Standing, contraction, forecast_checks, grade_of_loss, standing_of
from rechannel.answers.ties import TiesBefore, shared_customers, ties_check
from rechannel.evidence.ties import Ties
from rechannel.scenario.do import Outcome, apply, prior_latent, removed_share
from rechannel.scenario.interventions import Demote
from rechannel.scenario.paths import Course, courses
from rechannel.tables.calendar import Event
from rechannel.tables.panel import GONE_DAYS, Panel, has_ended
from rechannel.tables.rivals import RivalFigure, in_market
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import COUNTED, Channel, Metric, Verdict, name_of
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import SMALLEST_CONTRACTION, Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text
from rechannel.world.demand import Demand, forecast_demand
from rechannel.world.fitted import DRAWS, World, fit_world

FEWEST_DAYS = 28
RARELY = 0.01
"""Share of draws that may have nothing left without the whole number being refused."""
RELATIVE_YIELD = "relative_yield"


@dataclass(frozen=True, slots=True)
class ClosureQuestion:
    """What is asked.

    Attributes
    ----------
    channel, on, horizons, market
        The entry, day 1, days counted from it, one market or None for all.
    severity
        Share of the entry's prominence taken away, 0..1; 1 = closed.
    announced
        Day it became known, None when never; later data are not used.
    """

    channel: str
    on: date
    horizons: tuple[int, ...]
    market: str | None = None
    severity: float = 1.0
    announced: date | None = None

    @property
    def intervention(self) -> Demote:
        """What is done."""
        return Demote(self.channel, self.on, self.severity, self.market)


@dataclass(frozen=True, slots=True)
class Surrounds:
    """What a case knows beside its panel.

    Attributes
    ----------
    events
        Calendar, known future dates included.
    channels
        Descriptions of channels: host, kind.
    rivals
        Rows of `rivals`.
    journeys
        Its touches; None without them.
    """

    events: Sequence[Event]
    channels: Sequence[Channel] = ()
    rivals: Sequence[RivalFigure] = ()
    journeys: TiesBefore | None = None

    def ties(self, day: date, channels: Sequence[str]) -> Ties | None:
        """What journeys before a day say about the channels of a panel; None when they say nothing."""
        found = None if self.journeys is None else self.journeys.before(day, channels)
        return found if isinstance(found, Ties) else None


def answer_closure(
    panel: Panel, around: Surrounds, question: ClosureQuestion, money: Money, provenance: Provenance
) -> Answer:
    """Forecast what closing or demoting a channel does.

    Question answered: channel C is taken away on day D; what does it lose, where does that go, what is lost for good?
    Use it before D, or to see what one would have said on its eve: nothing from D (or its announcement) on is used.

    Parameters
    ----------
    panel
        The case's daily or weekly panel.
    around
        Calendar, channel descriptions, rivals, touches.
    question
        Channel, day, horizons, severity, market, announcement.
    money
        Margin and fee, for the money rows.
    provenance
        Stamped on the answer; its seed drives every draw.

    Returns
    -------
    Answer
        One row per metric of the contract and horizon, answered or refused, and what last touch would say
        (`credited_*`). Both paths share every shock; intervals are about what is realised in those days.

    Notes
    -----
    Refusals: `no_visits`, `short_history`, `channel_zero`, `no_column`, `no_yield`, `no_rivals`, `nothing_removed`,
    missing money.
    The causal reading assumes that users who meet the closure behave as users of past outages did, up to deferral and a
    bias of unknown sign (`world.diversion`).
    """
    told = question.announced or question.on
    before = min(panel.index_of(told), len(panel.dates))
    why = _whole_refusal(panel, question, before)
    rivals = in_market([row for row in around.rivals if row.day < told], question.market)
    if why is None:
        step = panel.step
        start = panel.index_of(question.on)
        longest = max(1, max(question.horizons) // step)
        world = fit_world(
            panel,
            around.events,
            before,
            coming=max(0, start + longest - len(panel.dates)),
            market=question.market,
            subject=(question.channel, told),
            channels=around.channels,
            rivals=rivals,
            ties=around.ties(told, panel.channels),
            seed=provenance.seed,
        )
        demand = forecast_demand(
            panel,
            world.baseline,
            world.calibration,
            question.channel,
            start,
            market=question.market,
            draws=DRAWS,
            seed=provenance.seed,
        )
        if demand is not None:
            read = ties_check(around.journeys, told, world.around, question.channel)
            return _answer(panel, world, demand, question, money, provenance, step, around.channels, read)
        why = Refusal("few_open_days", {"channel": question.channel}, ("more_history",))
    rows = [
        refused(
            metric,
            unit,
            why,
            Coordinates(horizon, channel, question.market),
            method="last_touch" if metric.startswith("credited_") else None,
        )
        for horizon in question.horizons
        for metric, unit, channel in _row_names(panel.channels, _firm_names(rivals), question, money)
    ]
    sentence = {language: why.message(language) for language in LANGUAGES}
    return Answer("closure", _asked(question), tuple(rows), (), (), (), sentence, provenance, refusal=why)


def _whole_refusal(panel: Panel, question: ClosureQuestion, before: int) -> Refusal | None:
    """Why nothing can be said at all, or None."""
    whole = panel.over_markets("visits", question.market)[:, panel.channel_index(question.channel)]
    if not np.isfinite(whole).any():
        return Refusal("no_visits", {"channel": question.channel}, ("add_visits",))
    values = whole[: max(before, 0)]
    measured = int(np.isfinite(values).sum()) * panel.step
    if measured < FEWEST_DAYS:
        return Refusal("short_history", {"days": str(measured), "wanted": str(FEWEST_DAYS)}, ("more_history",))
    if not (np.nan_to_num(values) > 0).any():
        return Refusal("channel_zero", {"channel": question.channel}, ("check_channel",))
    if has_ended(values, panel.cadence):
        return Refusal("channel_gone", {"channel": question.channel, "days": str(GONE_DAYS)}, ("check_channel",))
    return None


def _firm_names(rivals: Sequence[RivalFigure]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.firm for row in rivals if row.firm != "self"))


def _row_names(channels: Sequence[str], firms: Sequence[str], question: ClosureQuestion, money: Money) -> list[RowName]:
    """Every (metric, unit, channel) a horizon must have: the contract's, then what last touch would say."""
    others = [*(other for other in channels if other != question.channel), *firms]
    credited = [(f"credited_{metric}", unit_of(metric, money.currency), None) for metric in COUNTED]
    return [*effect_rows(money.currency, others), *credited]


def _answer(
    panel: Panel,
    world: World,
    demand: Demand,
    question: ClosureQuestion,
    money: Money,
    provenance: Provenance,
    step: int,
    described: Sequence[Channel],
    read: Sequence[Check],
) -> Answer:
    if question.severity < 1:  # the agreement goes on, and with it its fee
        money = replace(money, fee_per_year=None if money.fee_per_year is None else 0.0)
    outcomes = apply(world, demand, question.intervention, question.horizons, step)
    standing = standing_of(world, question.channel)
    history = int(demand.own.training.sum()) * step
    rows: list[Estimate] = []
    checks = list(standing.checks)
    for horizon, outcome in zip(question.horizons, outcomes, strict=True):
        forecast = forecast_checks(world, horizon, history)
        checks += forecast
        rows += _Horizon(panel, world, demand, question, money, standing, forecast, outcome, horizon).rows()
    both = courses(world, demand, question.intervention, max(1, max(question.horizons) // step))
    paths = tuple(_path(world, question, course) for course in both)
    headline = _find(rows, "net_loss_visits", question.horizons[0])
    assert isinstance(headline.value, Quantity)
    evidence = standing.evidence
    if demand.shop_yields:
        spread = 1.6449 * world.priors.relative_yield
        low, high = round(float(np.exp(-spread)), 3), round(float(np.exp(spread)), 3)
        source = ", ".join(demand.shop_yields)
        evidence = (
            *evidence,
            EvidenceItem("assumption", RELATIVE_YIELD, Grade.D, {"low": low, "high": high, "source": source}),
        )
    return Answer(
        question="closure",
        asked=_asked(question),
        estimates=tuple(rows),
        daily=_daily(paths[-1]),
        evidence=evidence,
        checks=(*checks, *read),
        text=_sentences(rows, question, described),
        provenance=provenance,
        grade=headline.value.grade,
        verdict=_verdict(headline.value.quantiles),
        paths=paths,
        shared=shared_customers(world.around, question.channel),
    )


def _find(rows: Sequence[Estimate], metric: str, horizon: int) -> Estimate:
    return next(row for row in rows if (row.metric, row.horizon_days, row.channel) == (metric, horizon, None))


def _verdict(net_loss: Quantiles) -> Verdict:
    low, high = net_loss.interval()
    if low == high == 0:
        return "practically_none"
    return "effect" if low > 0 or high < 0 else "cannot_tell"


@dataclass(frozen=True, slots=True)
class _Horizon:
    """Everything that makes the rows of one horizon."""

    panel: Panel
    world: World
    demand: Demand
    question: ClosureQuestion
    money: Money
    standing: Standing
    forecast: Sequence[Check]
    outcome: Outcome
    horizon: int

    @property
    def at(self) -> Coordinates:
        return Coordinates(self.horizon, None, self.question.market)

    def rows(self) -> list[Estimate]:
        """Every row of the contract, in its order."""
        made = {(row.metric, row.channel): row for row in self._made()}
        around = self.world.around
        names = _row_names(self.panel.channels, (*around.rivals, *around.unscaled), self.question, self.money)
        rows = []
        for metric, unit, channel in names:
            here = Coordinates(self.horizon, channel, self.question.market)
            why = Refusal("no_rivals", {}, ("add_rivals",))
            if channel in around.unscaled:
                why = Refusal("no_scale", {"firm": channel}, ("add_rivals",))
            rows.append(made.get((metric, channel)) or refused(metric, unit, why, here))
        return rows

    def _made(self) -> list[Estimate]:
        rows = [self._removed()]
        rows += [self._net_loss(metric) for metric in COUNTED]
        rows += [self._credited(metric) for metric in COUNTED]
        rows += self._money()
        has_daily = Refusal("has_daily", {}, ("ask_new_customers",))
        rows.append(refused("net_loss_active_customers", "share", has_daily, self.at))
        rows.append(self._never_acquired())
        rows += self._conversion()
        return rows + self._shares()

    def _forecast_grade(self) -> tuple[Grade, tuple[str, ...]]:
        """Grade of what needs no diversion: B when placebo windows hold, else C; D for a depth never tried."""
        reasons = tuple(check.key for check in self.forecast if not check.passed)
        if not 0 < self.question.severity < 1:
            return (Grade.C if reasons else Grade.B), reasons
        share = removed_share(self.world, self.question.intervention)
        if contraction(share, self._prior_share()) < SMALLEST_CONTRACTION:
            return Grade.D, (*reasons, "depth_untried")
        return Grade.C, reasons

    def _prior_share(self) -> FloatArray:
        """Share of the channel's visits that is taken, before past demotions taught its depth, shape [draw]."""
        severity = self.question.severity
        rng = np.random.default_rng([self.world.seed, 19])
        kappa = np.exp(self.world.priors.prominence * rng.standard_normal(DRAWS))
        return np.asarray(severity**kappa) if 0 < severity < 1 else np.full(DRAWS, severity)

    def _latent(self, metric: Metric) -> tuple[float, Grade, tuple[str, ...]]:
        """Contraction, grade and reasons of a number about what is lost of a metric."""
        question, world = self.question, self.world
        prior = prior_latent(world, question.channel, metric, self._prior_share(), self.horizon)
        narrowed = contraction(self.outcome.latent[metric], prior)
        failed = tuple(check.key for check in self.forecast if not check.passed)
        is_split = metric in self.demand.shop_yields
        grade, reasons = grade_of_loss(self.standing, self.outcome, metric, narrowed, failed, is_split=is_split)
        return narrowed, grade, reasons

    def _refusal(self, metric: Metric) -> Refusal:
        """Why a metric has no number: no such column, or nothing ever came through the channel."""
        if metric in self.panel.values or metric in self.panel.totals:
            return Refusal("no_yield", {"channel": self.question.channel, "column": metric}, ("more_history",))
        return missing_column(metric)

    def _removed(self) -> Estimate:
        grade, reasons = self._forecast_grade()
        return answered("visits_removed", "visits", self.outcome.removed, grade, self.at, reasons=reasons)

    def _net_loss(self, metric: Metric) -> Estimate:
        name, unit = f"net_loss_{metric}", unit_of(metric, self.money.currency)
        if metric not in self.outcome.net_loss:
            return refused(name, unit, self._refusal(metric), self.at)
        narrowed, grade, reasons = self._latent(metric)
        draws = self.outcome.net_loss[metric]
        return answered(name, unit, draws, grade, self.at, narrowed=narrowed, reasons=reasons)

    def _credited(self, metric: Metric) -> Estimate:
        name, unit = f"credited_{metric}", unit_of(metric, self.money.currency)
        if metric not in self.outcome.credited:
            return refused(name, unit, self._refusal(metric), self.at, method="last_touch")
        grade, reasons = self._forecast_grade()
        if metric in self.demand.shop_yields:
            grade, reasons = Grade.D, (*reasons, "declared_split")
        share = removed_share(self.world, self.question.intervention)
        draws = share * self.outcome.credited[metric]
        return answered(name, unit, draws, grade, self.at, reasons=reasons, method="last_touch")

    def _money(self) -> list[Estimate]:
        net, total = self.outcome.net_loss.get("gmv"), self.outcome.total.get("gmv")
        why, seed = self._refusal("gmv"), self.world.seed
        if net is None:
            return money_rows(self.money, None, None, Grade.D, self.at, seed, refusal=why)
        narrowed, grade, reasons = self._latent("gmv")
        left = None if total is None else total - net
        return money_rows(self.money, net, left, grade, self.at, seed, narrowed=narrowed, reasons=reasons, refusal=why)

    def _never_acquired(self) -> Estimate:
        lost = self.outcome.never_acquired
        if lost is None:
            return refused("never_acquired", "customers", self._refusal("new_customers"), self.at)
        _, _, reasons = self._latent("new_customers")
        reasons = (*reasons, "postponed_assumed")
        return answered("never_acquired", "customers", lost, Grade.D, self.at, reasons=reasons)

    def _conversion(self) -> list[Estimate]:
        outcome = self.outcome
        if "orders" not in outcome.net_loss or "orders" not in outcome.total:
            why = self._refusal("orders")
            return [refused(f"conversion_rate_{path}", "share", why, self.at) for path in ("open", "closed")]
        visits, orders = outcome.total["visits"], outcome.total["orders"]
        left_visits, left_orders = visits - outcome.net_loss["visits"], orders - outcome.net_loss["orders"]
        grade, reasons = self._forecast_grade()
        rows = [
            answered(
                "conversion_rate_open",
                "share",
                orders / np.maximum(visits, 1.0),
                grade,
                self.at,
                reasons=reasons,
                has_mean=False,
            )
        ]
        if float(np.quantile(left_visits, RARELY)) <= 1:
            why = Refusal("nothing_left", {"channel": self.question.channel}, ("ask_smaller_severity",))
            return [*rows, refused("conversion_rate_closed", "share", why, self.at)]
        _, grade, reasons = self._latent("orders")
        closed = left_orders / np.maximum(left_visits, 1.0)
        return [
            *rows,
            answered("conversion_rate_closed", "share", closed, grade, self.at, reasons=reasons, has_mean=False),
        ]

    def _shares(self) -> list[Estimate]:
        """Retained, rivals, outside and every cell of the row."""
        world, outcome = self.world, self.outcome
        channels, firms = world.around.channels, world.around.rivals
        at = channels.index(self.question.channel)
        if float(np.median(outcome.removed)) < 1:
            why = Refusal("nothing_removed", {"channel": self.question.channel}, ("ask_severity",))
            names = [(name, None) for name in ("retained_own", "to_rivals", "lost_outside")]
            cells = [("diversion", name) for name in (*channels, *firms) if name != self.question.channel]
            return [
                refused(name, "share", why, Coordinates(self.horizon, other, self.question.market))
                for name, other in (*names, *cells)
            ]
        prior_own = world.prior.own(at, self.horizon)
        own = world.diversion.own(at, self.horizon)
        narrowed = contraction(own.sum(axis=1), prior_own.sum(axis=1))

        def row(metric: str, other: str | None, draws: FloatArray, narrow: float, *caps: Grade) -> Estimate:
            here = Coordinates(self.horizon, other, self.question.market)
            grade, reasons = self.standing.grade(narrow, *caps)
            return answered(metric, "share", draws, grade, here, narrowed=narrow, reasons=reasons, has_mean=False)

        rows = [row("retained_own", None, outcome.retained, narrowed)]
        if firms:
            prior_rivals = world.prior.rivals(at, self.horizon)
            rivals = world.diversion.rivals(at, self.horizon)
            outside = contraction(
                own.sum(axis=1) + rivals.sum(axis=1), prior_own.sum(axis=1) + prior_rivals.sum(axis=1)
            )
            to_rivals = contraction(rivals.sum(axis=1), prior_rivals.sum(axis=1))
            rows.append(row("to_rivals", None, outcome.to_rivals, to_rivals, Grade.C))
            rows.append(row("lost_outside", None, outcome.outside, outside))
            for index, firm in enumerate(firms):
                narrow = contraction(rivals[:, index], prior_rivals[:, index])
                rows.append(row("diversion", firm, outcome.rivals[:, index], narrow, Grade.C))
        for index, name in enumerate(channels):
            if index != at:
                narrow = contraction(own[:, index], prior_own[:, index])
                rows.append(row("diversion", name, outcome.own[:, index], narrow))
        return rows


def _path(world: World, question: ClosureQuestion, course: Course) -> Path:
    return Path(
        course.channel,
        "visits",
        question.on,
        question.announced,
        world.baseline.dates[course.days],
        course.observed,
        course.open_path,
        course.closed_path,
        course.cumulative,
    )


def _daily(total: Path) -> tuple[DailyRow, ...]:
    """Total visits a day on both paths, from D on."""
    rows = []
    for index in np.flatnonzero(np.isfinite(total.open_path[:, 0])).tolist():
        opened = Quantiles(tuple(float(value) for value in total.open_path[index]))
        closed = Quantiles(tuple(float(value) for value in total.closed_path[index]))
        rows.append(DailyRow(total.dates[index].item(), "visits", opened, closed))
    return tuple(rows)


def _asked(question: ClosureQuestion) -> Mapping[str, str]:
    asked = {
        "channel": question.channel,
        "on": question.on.isoformat(),
        "horizons": ",".join(str(horizon) for horizon in question.horizons),
        "severity": f"{question.severity:g}",
    }
    if question.market:
        asked["market"] = question.market
    if question.announced:
        asked["notice"] = str((question.on - question.announced).days)
    return asked


def _named(question: ClosureQuestion, described: Sequence[Channel], language: Language) -> str:
    """The channel by name, and the market when only one is meant."""
    name = name_of(question.channel, described, language)
    if question.market is None:
        return name
    return f"{name} ({question.market})" if language == "en" else f"{name}（{question.market}）"


def _sentences(
    rows: Sequence[Estimate], question: ClosureQuestion, described: Sequence[Channel]
) -> dict[Language, str]:
    """Two sentences a person would quote; the first follows the interval, the second tells where the visits go."""
    horizon = question.horizons[0]
    loss = _find(rows, "net_loss_visits", horizon).value
    credited = _find(rows, "credited_visits", horizon).value
    retained = _find(rows, "retained_own", horizon).value
    assert isinstance(loss, Quantity)
    assert isinstance(credited, Quantity)
    low, high = loss.quantiles.interval()
    credit_low, credit_high = credited.quantiles.interval()
    key = "none" if low == high == 0 else "loss" if low > 0 else "gain" if high < 0 else "cannot_tell"
    sign = -1 if key == "gain" else 1
    ends = sorted((sign * low, sign * high))
    act = "close" if question.severity == 1 else "demote"
    sentences: dict[Language, str] = {}
    for language in LANGUAGES:
        first = text(
            f"answer.closure_{key}",
            language,
            act=text(
                f"answer.act_{act}",
                language,
                channel=_named(question, described, language),
                on=numbers.day(question.on, language),
                severity=numbers.percent(question.severity),
            ),
            horizon=str(horizon),
            loss=numbers.with_span(sign * loss.quantiles.median, ends[0], ends[1], language),
            interval=numbers.span(low, high, language),
            credited=numbers.number(credited.quantiles.median, language, width=credit_high - credit_low),
        )
        grade, meaning = str(loss.grade), text(f"grade.{loss.grade}", language)
        if isinstance(retained, Quantity):
            a, b = retained.quantiles.interval()
            second = text(
                "answer.closure_retained",
                language,
                retained=numbers.percent(retained.quantiles.median),
                interval=numbers.percent_span(a, b),
                grade=grade,
                meaning=meaning,
            )
        else:
            second = text("answer.closure_nothing", language, grade=grade, meaning=meaning)
        sentences[language] = f"{first}{' ' if language == 'en' else ''}{second}"
    return sentences
