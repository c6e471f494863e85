"""The front door: open a case, check it, ask it, publish it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow.parquet import write_table

from rechannel import __version__
from rechannel.answers.answer import Answer, Provenance
from rechannel.answers.calls import LATEST_DAY, Limits
from rechannel.answers.closure import ClosureQuestion, Surrounds, answer_closure
from rechannel.answers.declared import DeclaredQuestion, answer_declared_closure
from rechannel.answers.exposure import answer_exposure, world_today
from rechannel.answers.hindsight import refuse_impact
from rechannel.answers.impact import ImpactQuestion, answer_impact
from rechannel.answers.journeys import REPLICATES, JourneyRules, Journeys, Told, journeys_of
from rechannel.answers.lifetime import CustomerValue, customer_value
from rechannel.answers.money import Money, money_on, of_one_market
from rechannel.answers.order import Progress, daily_answers, public_answers
from rechannel.answers.pathcredit import PathCredit, path_credit
from rechannel.answers.record import answer_record
from rechannel.answers.testdesign import TestDesign, answer_design
from rechannel.answers.ties import TiesBefore
from rechannel.answers.worth import WorthQuestion, answer_worth, quarters
from rechannel.evidence.audit import Audit, audit
from rechannel.evidence.watch import FEWEST_STEPS, Watching, long_enough, watch
from rechannel.report.facts import CaseFacts, facts_of
from rechannel.report.publish import write_report
from rechannel.report.runfiles import PAGES, write_run
from rechannel.source.addition import Addition, add_to_case
from rechannel.source.store import CaseFolder, CreatedCase, create_case, open_case_folder
from rechannel.tables.calendar import Event, events_relation, exits, with_holidays
from rechannel.tables.calendar import announced as announced_on
from rechannel.tables.clock import daily_round
from rechannel.tables.panel import Panel, build_panel
from rechannel.tables.public import PublicRecord, read_public
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.estimate import Refusal
from rechannel.vocabulary.wording import LANGUAGES, Language
from rechannel.world.fitted import World

new_case = create_case
__all__ = ["Case", "CreatedCase", "Run", "new_case", "open_case"]

RUN_HORIZONS = (30, 90)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder under `runs/`, what was answered, and the report pages."""

    folder: Path
    answers: tuple[Answer, ...]
    pages: tuple[Path, ...]


def _quiet(question: str, channel: str) -> None:
    """The progress of a run that nobody watches."""


def open_case(folder: str | Path) -> Case:
    """Open a case folder.

    Raises
    ------
    CaseError
        There is no usable `case.toml`.
    """
    return Case(open_case_folder(Path(folder)))


class Case:
    """A case folder with its tables as arrays; every question goes through it.

    Examples
    --------
    >>> case = open_case("demo/twin")  # doctest: +SKIP
    >>> case.impact("wechat_discover", date(2025, 9, 30), (30,)).verdict  # doctest: +SKIP
    """

    def __init__(self, folder: CaseFolder) -> None:
        self.folder = folder
        self.config = folder.config

    @cached_property
    def panel(self) -> Panel:
        """The daily panel (CallError RC322 when the case has no `daily`)."""
        relation = self.folder.relation("daily")
        if relation is None or not self.knows_channels:
            raise CallError("RC322" if relation is None else "RC341")
        return build_panel(relation, self.config.cadence)

    @cached_property
    def knows_channels(self) -> bool:
        """Whether `daily` holds more than the whole shop."""
        relation = self.folder.relation("daily")
        return relation is not None and any(name != WHOLE_SHOP for name in relation["channel"].unique().to_pylist())

    @property
    def is_public(self) -> bool:
        """Whether the case has no `daily`: then it is answered from public figures and declared ranges."""
        return "daily" not in self.config.tables

    @cached_property
    def public(self) -> PublicRecord:
        """Figures, agreements, claims, events and rivals of the case."""
        return read_public(self.folder.relation)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The calendar; public holidays of the case's time zone are added when it has none of its own."""
        if self.is_public:
            return self.public.events
        last = self.panel.last + timedelta(days=LATEST_DAY)
        return with_holidays(self.public.events, self.config.timezone, self.panel.first, last)

    @cached_property
    def world(self) -> World:
        """The world fitted on all data of the case, for the questions that are about today."""
        return world_today(self.panel, self._surrounds, self._tomorrow, self.config.seed)

    @cached_property
    def _touches(self) -> tuple[PathCredit | Refusal, CustomerValue | Refusal]:
        """Credit on the paths to orders by quarter of the panel, and what new customers order later."""
        starts, seed = [period.quarter for period in quarters(self.panel)], self.config.seed
        return path_credit(self.folder, starts, seed), customer_value(self.folder, self.panel, seed)

    @property
    def _tomorrow(self) -> date:
        return self.panel.last + timedelta(days=self.panel.step)

    @cached_property
    def _surrounds(self) -> Surrounds:
        journeys = TiesBefore(self.folder, self.config.seed)
        return Surrounds(self.events, self.config.channels, self.public.rivals, journeys)

    def impact(
        self,
        channel: str,
        on: date,
        horizons: Sequence[int] = RUN_HORIZONS,
        *,
        market: str | None = None,
        announced: date | None = None,
        smallest_effect: float = 0.05,
    ) -> Answer:
        """What did happen after day `on`? See `answers.impact.answer_impact`.

        Parameters
        ----------
        channel
            An own channel of the case.
        on
            Day 1 of the event.
        horizons
            Days counted from `on`.
        market
            One market, or None for the sum of all.
        announced
            Day it became known; when None, the latest announcement about the channel in `events` of the 90 days before.
        smallest_effect
            Smallest effect worth speaking of, as a share of the open total visits.

        Raises
        ------
        CallError
            Unknown channel or market, a day outside the limits, a horizon out of 1 to 1,095 days.
        """
        if self.is_public:
            closure = self.closure(channel, on, horizons, market=market)
            money, stamp = self.config.currency, self._provenance()
            return refuse_impact(self.public, self.config.channels, channel, on, horizons, closure, money, stamp)
        self.limits.check(channel, on, horizons, market)
        told = announced if announced is not None else announced_on(self.events, channel, on)
        if told is not None and told >= on:
            raise CallError("RC325", announced=told.isoformat(), on=on.isoformat())
        question = ImpactQuestion(channel, on, tuple(horizons), market, told, smallest_effect)
        margin, stamp = self._money(channel, on, market), self._provenance()
        return answer_impact(self.panel, self._surrounds, question, margin, stamp)

    def closure(
        self,
        channel: str,
        on: date,
        horizons: Sequence[int] = RUN_HORIZONS,
        *,
        severity: float = 1.0,
        market: str | None = None,
        notice: int | None = None,
    ) -> Answer:
        """What happens when the channel closes on day `on`? See `answers.closure.answer_closure`.

        Parameters
        ----------
        channel, on, horizons, market
            As in `impact`; nothing from `on` or its announcement on is used.
        severity
            Share of the entry's prominence taken away; 1 = closed.
        notice
            Days between announcement and `on`; when None, as `events` tell.

        Raises
        ------
        CallError
            Unknown channel or market, a day outside the limits, a horizon out of 1 to 1,095 days, no share.
        """
        if not 0 <= severity <= 1:
            raise CallError("RC340", severity=f"{severity:g}")
        self.limits.check(channel, on, horizons, market)
        money, stamp = self._money(channel, on, market), self._provenance()
        if self.is_public:
            asked = DeclaredQuestion(channel, on, tuple(horizons), severity, notice)
            ranges, channels = self.config.assumptions, self.config.channels
            return answer_declared_closure(self.public, ranges, channels, asked, money, stamp)
        told = announced_on(self.events, channel, on) if notice is None else on - timedelta(days=notice)
        question = ClosureQuestion(channel, on, tuple(horizons), market, severity, None if told == on else told)
        return answer_closure(self.panel, self._surrounds, question, money, stamp)

    def worth(self, channel: str) -> Answer:
        """What is the channel really worth, quarter by quarter? See `answers.worth.answer_worth`.

        Raises
        ------
        CallError
            RC322: the case has no `daily`; RC320: unknown channel.
        """
        if channel not in self.panel.channels:
            raise CallError("RC320", channel=channel, nearest=nearest(channel, self.panel.channels))
        money = self._money(channel, self.panel.last)
        question, stamp = WorthQuestion(channel), self._provenance()
        deals, channels = self.public.deals, self.config.channels
        return answer_worth(self.panel, self.world, question, money, deals, stamp, channels, *self._touches)

    def exposure(self) -> Answer:
        """Which channel should worry me? See `answers.exposure.answer_exposure` (CallError RC322 without `daily`)."""
        return answer_exposure(
            self.panel,
            self.world,
            self._tomorrow,
            channels=self.config.channels,
            deals=self.public.deals,
            currency=self.config.currency,
            provenance=self._provenance(),
        )

    def journeys(
        self, rules: JourneyRules | None = None, replicates: int = REPLICATES, tell: Told | None = None
    ) -> Journeys:
        """Which channels stand on the paths to orders? See `answers.journeys.journeys_of` (CallError RC364)."""
        return journeys_of(self.folder, rules, replicates, self._provenance(), tell)

    def design(self, channel: str, most: int | None = None, days: int | None = None) -> TestDesign:
        """Which test of a channel pays? See `answers.testdesign.answer_design` (CallError RC320, RC322)."""
        money, stamp = self._money(channel, self.panel.last), self._provenance()
        return answer_design(self.world, channel, money, stamp, self.config.channels, markets_most=most, days=days)

    def record(self) -> Answer:
        """What can the public record say, and what not? See `answers.record.answer_record`."""
        loss, found = None, exits(self.public.events)
        if found and self.is_public:
            loss = self.impact(found[-1].channel or "", found[-1].start).refusal
        return answer_record(self.public, loss, self.config.currency, self._provenance())

    def audit(self) -> Audit:
        """What in the data would be taken for something else? See `evidence.audit.audit` (RC322 without `daily`)."""
        touches = self.folder.relation("touches")
        return audit(self.panel, self.events, None if touches is None else daily_round(touches))

    def watch(self) -> Watching:
        """Which channel is dying? See `evidence.watch.watch`.

        Raises
        ------
        CallError
            RC322: the case has no `daily`; RC631: less than eight weeks of days, or half a year of weeks.
        """
        if not long_enough(self.panel):
            cadence = self.panel.cadence
            raise CallError(
                "RC631", found=str(len(self.panel.dates)), cadence=cadence, fewest=str(FEWEST_STEPS[cadence])
            )
        return watch(self.panel, self.events, self.config.seed)

    def accept(self, rows: Sequence[Event]) -> Addition:
        """Log rows that the audit proposes in `events`; see `source.store.add_to_case`."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "audit.parquet"
            write_table(events_relation(rows), path)
            added = add_to_case(self.folder, "events", path)
        for known in ("public", "events", "world", "_surrounds"):
            self.__dict__.pop(known, None)
        return added

    def run(self, progress: Progress | None = None) -> Run:
        """Ask every question the data allow, store the answers under `runs/` and publish the report.

        Every channel is closed in turn; every closure and demotion in `events` is forecast as on its eve and measured
        where the data reach past it; without `daily` the public record is read, and each of them is answered from
        declared ranges. The run takes its number at the start; an interruption leaves nothing.

        Parameters
        ----------
        progress
            Called with the question about to be answered and its channel (empty when it has none), then with `report`.
        """
        tell = progress or _quiet
        with self.folder.new_run() as pending:
            answers = public_answers(self) if self.is_public else daily_answers(self, tell)
            tell("report", "")
            write_run(pending, answers, self.facts())
        return Run(pending.final, answers, tuple(pending.final / name for name in PAGES))

    def publish(self, answers: Sequence[Answer], folder: Path, languages: Sequence[Language] = LANGUAGES) -> list[Path]:
        """Write the report of some answers into a folder."""
        return write_report(answers, self.facts(), languages, folder)

    def facts(self) -> CaseFacts:
        """The case as the report shows it."""
        return facts_of(self.folder, None if self.is_public else self.panel)

    @property
    def limits(self) -> Limits:
        """What the case may be asked about."""
        if self.is_public:
            return Limits(self.public.channels(self.config.channels), ())
        return Limits(self.panel.channels, self.panel.markets, self.panel.first, self.panel.last)

    def _money(self, channel: str, on: date, market: str | None = None) -> Money:
        """Margin of `case.toml`, and the fixed fee a year of the channel's deal that runs on the day."""
        margin = self.config.margin
        ends = None if margin is None else (margin.low, margin.high)
        money = money_on(self.config.currency, ends, self.public.deals, channel, on)
        return money if market is None or len(self.panel.markets) == 1 else of_one_market(money)

    def _provenance(self) -> Provenance:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Provenance(__version__, self.config.seed, self.folder.data_sha256, created)
