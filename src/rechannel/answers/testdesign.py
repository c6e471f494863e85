"""Which test of a channel to run: the cheapest one that lifts the grade of its numbers, and what it would cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from rechannel.answers.answer import Provenance
from rechannel.answers.money import Money
from rechannel.answers.rows import missing_column
from rechannel.answers.standing import contraction, standing_of
from rechannel.evidence.finding import Finding
from rechannel.evidence.ledger import CLEAR_SD
from rechannel.evidence.testplan import (
    AT_POWER,
    FEWEST_BEFORE,
    LENGTHS,
    SETS,
    PlannedSet,
    PlannedWeeks,
    Reading,
    own_errors,
    plan_sets,
    plan_weeks,
)
from rechannel.scenario.do import Outcome, apply
from rechannel.scenario.interventions import close
from rechannel.tables.panel import has_ended
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import COUNTED, Channel, name_of
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.estimate import FloatArray, Quantiles, Refusal
from rechannel.vocabulary.grade import SMALLEST_CONTRACTION, Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text
from rechannel.world.demand import forecast_demand
from rechannel.world.diversion import fit_diversion
from rechannel.world.fitted import DRAWS, World

SCHEMA = "rechannel.design/1"
HORIZON = 90.0
"""Days over which the share that comes back is graded."""
SHOWN = 10
MOST_MARKETS = 8
NOTICE_DAYS = 7
"""Days between the data's end and the first Monday on which a test may begin."""
QUICK_DRAWS = 1024
ERRORS = (0.02, 0.05, 0.1, 0.15, 0.2)
"""Standard errors of the share lost that are tried for how much they would tell; with the largest, a loss of half of
the channel's visits is found in four cases of five."""
POWER_AT = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
"""Shares lost at which the power curve is given."""


@dataclass(frozen=True, slots=True)
class TestOption:
    """One test that could be run.

    Attributes
    ----------
    markets
        Where the channel is off; empty = everywhere, in some weeks.
    periods
        First and last day of each stretch in which it is off.
    reading
        What its read-out would be worth.
    costs
        visits, orders, gmv, new_customers and margin lost during the test, or why one of them is not known.
    contraction
        Share of the prior variance of what comes back that would be gone after it.
    grade
        Grade of the channel's numbers after it.
    lifts
        Whether it makes the grade better, or at the best grade takes a fifth of the variance that is left.
    """

    __test__ = False  # not a test of ours

    markets: tuple[str, ...]
    periods: tuple[tuple[date, date], ...]
    reading: Reading
    costs: Mapping[str, Quantiles | Refusal]
    contraction: float
    grade: Grade
    lifts: bool

    @property
    def days(self) -> int:
        """Days off, all stretches together."""
        return sum((last - first).days + 1 for first, last in self.periods)

    def to_json(self) -> dict[str, object]:
        reading = self.reading
        return {
            "markets": list(self.markets),
            "periods": [{"start": first.isoformat(), "end": last.isoformat()} for first, last in self.periods],
            "days": self.days,
            "expected_removed_visits": reading.removed,
            "expected_visits": reading.visits,
            "standard_error_visits": reading.error,
            "share_error": reading.share_error,
            "detectable_visits": reading.detectable,
            "detectable_share_of_channel": reading.detectable / max(reading.removed, 1e-300),
            "detectable_share_of_visits": reading.detectable / max(reading.visits, 1e-300),
            "costs": {
                name: value.to_json() if isinstance(value, Quantiles) else {"refusal": value.to_json()}
                for name, value in self.costs.items()
            },
            "contraction_after": self.contraction,
            "grade_after": self.grade.value,
            "lifts_grade": self.lifts,
        }


@dataclass(frozen=True, slots=True)
class TestDesign:
    """What comes back from `design`.

    Attributes
    ----------
    channel
        The one to be tested.
    kind
        markets or weeks; empty when refused.
    grade_now
        Grade of the channel's numbers today.
    options
        Tests, the best first: the cheapest one that lifts the grade, then the others that do, then the sharpest.
    power
        Share of the channel's visits lost for good -> chance that the first test would find a loss.
    text
        Two sentences, by language.
    refusal
        Why no test is proposed.
    """

    __test__ = False  # not a test of ours

    channel: str
    kind: str
    grade_now: Grade
    options: tuple[TestOption, ...]
    power: Mapping[float, float]
    text: Mapping[Language, str]
    provenance: Provenance
    refusal: Refusal | None = None

    def event_rows(self) -> list[dict[str, str]]:
        """Rows to add to `events` when the first test is run; it is then read out with the next question."""
        if not self.options:
            return []
        best = self.options[0]
        return [
            {
                "start": first.isoformat(),
                "end": last.isoformat(),
                "kind": "test",
                "channel": self.channel,
                "market": market,
            }
            for first, last in best.periods
            for market in (best.markets or ("",))
        ]

    def to_json(self) -> dict[str, object]:
        """The design as `rechannel.design/1`."""
        return {
            "schema": SCHEMA,
            "status": "refused" if self.refusal else "answered",
            "channel": self.channel,
            "kind": self.kind or None,
            "grade_now": self.grade_now.value,
            "refusal": self.refusal.to_json() if self.refusal else None,
            "options": [option.to_json() for option in self.options],
            "power": [{"share_lost": share, "power": chance} for share, chance in self.power.items()],
            "events": self.event_rows(),
            "text": {language: self.text[language] for language in LANGUAGES},
            "provenance": self.provenance.to_json(),
        }


def dumps(design: TestDesign) -> str:
    """The design as text: same data, seed and version give the same bytes, `created` aside."""
    return json.dumps(design.to_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def answer_design(
    world: World,
    channel: str,
    money: Money,
    provenance: Provenance,
    channels: Sequence[Channel] = (),
    *,
    markets_most: int | None = None,
    days: int | None = None,
) -> TestDesign:
    """Propose the cheapest test of a channel that lifts the grade of its numbers.

    Question answered: what would a test have to look like, what would it find, and what would it cost?

    Parameters
    ----------
    world
        The case's world, fitted on all its data; its designs must reach the longest test.
    channel
        An own channel.
    money
        Margin, for the cost.
    provenance
        Its seed draws sets, weeks and joint draws.
    channels
        Descriptions, for names.
    markets_most
        Largest number of markets in a test (a third of them, at most 8, when None); 0 = the entry cannot be split by
        market, so it is tested in weeks.
    days
        Length of the test; when None, one to four weeks are tried.

    Returns
    -------
    TestDesign

    Raises
    ------
    CallError
        RC320: the case has no such channel.

    Notes
    -----
    What a test would tell is what the world would learn from it: a finding of its expected size and error is added to
    the ledger, and the diversion is fitted again. Costs assume that users of the markets are like those of the whole
    shop. Refusals: `channel_gone`, `few_open_days`, `weekly_rows`, `short_history`.
    """
    panel = world.panel
    if channel not in panel.channels:
        raise CallError("RC320", channel=channel, nearest=nearest(channel, panel.channels))
    standing = standing_of(world, channel)
    at = world.around.channels.index(channel)
    narrowed = contraction(world.diversion.own(at, HORIZON).sum(axis=1), world.prior.own(at, HORIZON).sum(axis=1))
    now, _ = standing.grade(narrowed)

    def refused(why: Refusal) -> TestDesign:
        shown: dict[Language, str] = {}
        for spoken in LANGUAGES:
            named = {"channel": name_of(channel, channels, spoken)} if "channel" in why.args else {}
            shown[spoken] = replace(why, args={**why.args, **named}).message(spoken)
        return TestDesign(channel, "", now, (), {}, shown, provenance, why)

    visits = panel.over_markets("visits")[:, at]
    if has_ended(visits, panel.cadence):
        return refused(Refusal("channel_gone", {"channel": channel, "days": "28"}, ("check_channel",)))
    forecast = _Forecast.of(world, channel, provenance.seed)
    if forecast is None:
        return refused(Refusal("few_open_days", {"channel": channel}, ("more_history",)))
    needed = _needed(world, channel, now, narrowed, provenance.seed)
    monday = panel.last + timedelta(days=NOTICE_DAYS)
    monday += timedelta(days=(7 - monday.weekday()) % 7)
    plans = _plans(world, channel, needed, markets_most, days, provenance.seed)
    if not plans and panel.cadence == "weekly":
        return refused(Refusal("weekly_rows", {"markets": str(len(panel.markets))}, ("more_markets",)))
    if not plans:
        figures = {"days": str(len(panel.dates)), "wanted": str(FEWEST_BEFORE + LENGTHS[-1])}
        return refused(Refusal("short_history", figures, ("more_history",)))
    kind = "markets" if isinstance(plans[0], PlannedSet) else "weeks"
    own = _own_errors(world, channel, plans)
    options = [
        _option(world, channel, plan, error, monday, forecast, money, now, narrowed, provenance.seed)
        for plan, error in zip(plans, own, strict=True)
    ]
    options.sort(key=lambda one: (not one.lifts, one.reading.removed if one.lifts else one.reading.share_error))
    best = options[0]
    power = dict(zip(POWER_AT, best.reading.power(np.array(POWER_AT)).tolist(), strict=True))
    sentences = _sentences(channel, kind, now, best, money, channels)
    return TestDesign(channel, kind, now, tuple(options), power, sentences, provenance)


def _plans(
    world: World, channel: str, needed: float, markets_most: int | None, days: int | None, seed: int
) -> Sequence[PlannedSet | PlannedWeeks]:
    """The best sets of markets or, where there are none, off weeks."""
    panel = world.panel
    most = min(MOST_MARKETS, len(panel.markets) // 3) if markets_most is None else markets_most
    if most:
        lengths = LENGTHS if days is None else (days,)
        sets = plan_sets(panel, world.events, channel, needed=needed, most=most, lengths=lengths, sets=SETS, seed=seed)
        if sets:
            return sets[:SHOWN]
    return plan_weeks(panel, world.baseline, channel, seed=seed)


def _own_errors(world: World, channel: str, plans: Sequence[PlannedSet | PlannedWeeks]) -> Sequence[float]:
    """Standard error of the channel's own fall in each plan."""
    sets = [plan for plan in plans if isinstance(plan, PlannedSet)]
    if sets:
        return own_errors(world.panel, world.events, channel, sets)
    return [plan.own_error for plan in plans if isinstance(plan, PlannedWeeks)]


@dataclass(frozen=True, slots=True)
class _Forecast:
    """What closing the channel would cost the whole shop, by days."""

    outcomes: Mapping[int, Outcome]

    @classmethod
    def of(cls, world: World, channel: str, seed: int) -> _Forecast | None:
        """None when the channel has too few open days."""
        panel = world.panel
        start = len(panel.dates)
        demand = forecast_demand(panel, world.baseline, world.calibration, channel, start, draws=DRAWS, seed=seed)
        if demand is None:
            return None
        step = panel.step
        days = tuple(range(7, 7 * 13, 7))
        on = panel.last + timedelta(days=step)
        found = apply(world, demand, close(channel, on), days, step)
        return cls(dict(zip(days, found, strict=True)))

    def nearest(self, days: int) -> Outcome:
        """The outcome over the window nearest in length."""
        return self.outcomes[min(self.outcomes, key=lambda own: abs(own - days))]


def _needed(world: World, channel: str, now: Grade, narrowed: float, seed: int) -> float:
    """The largest error of the share lost with which a clear test still does what it is run for."""
    enough = [error for error in ERRORS if _tells(now, narrowed, _contraction_with(world, channel, error, seed))]
    return max(enough, default=ERRORS[0])


def _tells(now: Grade, before: float, after: float) -> bool:
    """Whether a clear test lifts the grade or, at the best one, takes a fifth of what is left."""
    left = 1.0 - before
    sharper = left > 0 and (1.0 - after) / left <= 1.0 - SMALLEST_CONTRACTION
    return after >= SMALLEST_CONTRACTION and (now is not Grade.A or sharper)


def _contraction_with(world: World, channel: str, error: float, seed: int) -> float:
    """Contraction of the share that comes back, with a test of the channel of that error in the ledger."""
    around = world.around
    at = around.channels.index(channel)
    kept = world.diversion.own(at, HORIZON)
    spread = np.median(kept, axis=0)
    own = max(float(around.shares[at]), 1e-6)
    removed = 1000.0
    gains = removed * spread
    gains[at] = -removed
    others = np.array([share if place != at else 0.0 for place, share in enumerate(around.shares.tolist())])
    covariance = np.diag(np.where(others > 0, others / max(others.sum(), 1e-12), 1e-6)) * (error * removed) ** 2
    finding = Finding(
        channel=channel,
        kind="test",
        start=world.panel.last,
        end=world.panel.last,
        severity=1.0,
        notice_days=0,
        channels=around.channels,
        gains=gains,
        gains_covariance=covariance,
        rebound=0.0,
        rebound_variance=float("inf"),
        rebound_covariance=np.zeros(gains.size),
        removed=removed,
        open_own=removed,
        open_rest=removed * (1 - own) / own,
        yield_change={},
        yield_variance={},
        yield_of_rest={},
        grade_cap=Grade.A,
        clear=True,
    )
    known = [one.widened(max(1.0, float(world.calibration.widen(float(one.days))))) for one in world.findings]
    after = fit_diversion(around, (*known, finding), world.priors, draws=QUICK_DRAWS, seed=seed)
    return contraction(after.own(at, HORIZON).sum(axis=1), world.prior.own(at, HORIZON).sum(axis=1))


def _option(
    world: World,
    channel: str,
    plan: PlannedSet | PlannedWeeks,
    own: float,
    monday: date,
    forecast: _Forecast,
    money: Money,
    now: Grade,
    narrowed: float,
    seed: int,
) -> TestOption:
    """A planned test with its days, cost and what it would tell."""
    markets: tuple[str, ...] = ()
    starts: tuple[int, ...] = (0,)
    if isinstance(plan, PlannedSet):
        markets, length = plan.markets, plan.days
    else:
        starts, length = plan.off, 7
    first = [monday + timedelta(days=day) for day in starts]
    periods = tuple((day, day + timedelta(days=length - 1)) for day in first)
    reading = plan.reading
    after = _contraction_with(world, channel, reading.share_error, seed)
    is_clear = reading.removed > (CLEAR_SD + AT_POWER) * own
    grade = Grade.A if is_clear else Grade.C
    if after < SMALLEST_CONTRACTION:
        grade = Grade.D
    days = sum((last - day).days + 1 for day, last in periods)
    costs = _costs(forecast.nearest(days), reading, money, seed)
    return TestOption(
        markets, periods, reading, costs, after, min(grade, now), is_clear and _tells(now, narrowed, after)
    )


def _costs(outcome: Outcome, reading: Reading, money: Money, seed: int) -> dict[str, Quantiles | Refusal]:
    """What the shop would lose in the test: the whole shop's loss in the part of its visits that the test touches."""
    part = reading.removed / max(float(np.median(outcome.removed)), 1e-300)
    costs: dict[str, Quantiles | Refusal] = {}
    lost: FloatArray | None = None
    for metric in COUNTED:
        if metric not in outcome.net_loss:
            costs[metric] = missing_column(metric)
            continue
        draws = outcome.net_loss[metric] * part
        costs[metric] = Quantiles.of(draws)
        lost = draws if metric == "gmv" else lost
    if lost is None:
        costs["margin"] = missing_column("gmv")
    elif money.margin is None:
        costs["margin"] = Refusal("no_margin", {}, ("give_margin",))
    else:
        costs["margin"] = Quantiles.of(lost * money.margin_draws(lost.size, seed))
    return costs


def _sentences(
    channel: str, kind: str, now: Grade, best: TestOption, money: Money, channels: Sequence[Channel]
) -> dict[Language, str]:
    """What to do and what it lifts; what it costs and what it would find."""
    reading = best.reading
    share = reading.detectable / max(reading.removed, 1e-300)
    sentences: dict[Language, str] = {}
    for language in LANGUAGES:
        joined = (", " if language == "en" else "、").join(best.markets)
        key = f"design_{kind}" + ("" if best.grade != now else "_same") if best.lifts else f"design_{kind}_flat"
        first = text(
            f"answer.{key}",
            language,
            channel=name_of(channel, channels, language),
            markets=joined,
            count=str(len(best.periods)),
            days=str(best.days),
            on=numbers.day(best.periods[0][0], language),
            end=numbers.day(best.periods[-1][1], language),
            now=str(now),
            after=str(best.grade),
            meaning=text(f"grade.{best.grade}", language),
        )
        margin, visits = best.costs["margin"], best.costs["visits"]
        assert isinstance(visits, Quantiles)
        low, high = visits.interval()
        cost = text("answer.design_cost_visits", language, visits=numbers.with_span(visits.median, low, high, language))
        if isinstance(margin, Quantiles):
            low, high = margin.interval()
            amount = numbers.with_span(margin.median, low, high, language, money.currency)
            cost = text("answer.design_cost_margin", language, margin=amount)
        found = text(
            "answer.design_found" if share < 1 else "answer.design_not_found", language, share=numbers.percent(share)
        )
        gap = " " if language == "en" else ""
        sentences[language] = f"{first}{gap}{cost}{found}"
    return sentences
