"""The front door: open a case, check it, ask it, publish it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

from rechannel import __version__
from rechannel.answers.answer import Answer, Provenance, dumps
from rechannel.answers.closure import ClosureQuestion, Surrounds, answer_closure
from rechannel.answers.declared import DeclaredQuestion, answer_declared_closure
from rechannel.answers.exposure import HORIZON as EXPOSURE_HORIZON
from rechannel.answers.exposure import answer_exposure
from rechannel.answers.hindsight import refuse_impact
from rechannel.answers.impact import ImpactQuestion, answer_impact
from rechannel.answers.money import Money, money_on, of_one_market
from rechannel.answers.record import answer_record
from rechannel.answers.worth import WorthQuestion, answer_worth
from rechannel.report.facts import CaseFacts, facts_of
from rechannel.report.publish import write_report
from rechannel.source.store import CaseFolder, CreatedCase, create_case, open_case_folder
from rechannel.tables.calendar import Event, exits, with_holidays
from rechannel.tables.calendar import announced as announced_on
from rechannel.tables.panel import Panel, build_panel
from rechannel.tables.public import PublicRecord, read_public
from rechannel.tables.rivals import in_market
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.wording import LANGUAGES, Language
from rechannel.world.fitted import World, fit_world

new_case = create_case
__all__ = ["Case", "CreatedCase", "Run", "new_case", "open_case"]

EARLIEST_DAY, LATEST_DAY = 28, 365
"""A question's day lies from 28 days after the first row to 365 days after the last."""
RUN_HORIZONS, LONGEST_HORIZON = (30, 90), 1095
Progress = Callable[[str, str], None]


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
        if relation is None or not any(name != WHOLE_SHOP for name in relation["channel"].unique().to_pylist()):
            raise CallError("RC322" if relation is None else "RC341")
        return build_panel(relation, self.config.cadence)

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
        return fit_world(
            self.panel,
            self.events,
            len(self.panel.dates),
            coming=EXPOSURE_HORIZON,
            channels=self.config.channels,
            rivals=in_market(self._surrounds.rivals, None),
            seed=self.config.seed,
        )

    @cached_property
    def _surrounds(self) -> Surrounds:
        return Surrounds(self.events, self.config.channels, self.public.rivals)

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
        self._check_call(channel, on, horizons, market)
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
        self._check_call(channel, on, horizons, market)
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
        return answer_worth(self.panel, self.world, question, money, self.public.deals, stamp, self.config.channels)

    def exposure(self) -> Answer:
        """Which channel should worry me? See `answers.exposure.answer_exposure` (CallError RC322 without `daily`)."""
        on = self.panel.last + timedelta(days=7 if self.panel.cadence == "weekly" else 1)
        return answer_exposure(
            self.panel,
            self.world,
            on,
            channels=self.config.channels,
            deals=self.public.deals,
            currency=self.config.currency,
            provenance=self._provenance(),
        )

    def record(self) -> Answer:
        """What can the public record say, and what not? See `answers.record.answer_record`."""
        loss, found = None, exits(self.public.events)
        if found and self.is_public:
            loss = self.impact(found[-1].channel or "", found[-1].start).refusal
        return answer_record(self.public, loss, self.config.currency, self._provenance())

    def run(self, progress: Progress | None = None) -> Run:
        """Ask every question the data allow, store the answers under `runs/` and publish the report.

        Every channel is closed in turn; every closure and demotion in `events` is forecast as on its eve and measured
        where the data reach past it; without `daily` the public record is read, and each of them is answered from
        declared ranges. An interruption leaves nothing.

        Parameters
        ----------
        progress
            Called with the question about to be answered and its channel (empty when it has none), then with `report`.
        """
        tell = progress or _quiet
        answers = self._public_answers() if self.is_public else self._daily_answers(tell)
        tell("report", "")
        with self.folder.new_run() as pending:
            (pending.folder / "answers").mkdir()
            for answer in answers:
                name = f"{answer.question}-{len(list((pending.folder / 'answers').iterdir())) + 1}.json"
                (pending.folder / "answers" / name).write_text(dumps(answer), encoding="utf-8")
            write_report(answers, self.facts(), LANGUAGES, pending.folder)
            final = pending.final
        return Run(final, answers, tuple(final / f"report.{language}.html" for language in LANGUAGES))

    def _public_answers(self) -> tuple[Answer, ...]:
        """The record, then closure and impact of every exit of one channel."""
        answers = [self.record()]
        for event in exits(self.events):
            assert event.channel is not None
            severity = event.severity if event.severity else 1.0
            answers.append(self.closure(event.channel, event.start, severity=severity))
            answers.append(self.impact(event.channel, event.start))
        return tuple(answers)

    def _daily_answers(self, tell: Progress) -> tuple[Answer, ...]:
        """Exposure, then every closure and demotion of one channel - as seen on its eve, its channel's worth, and what
        did happen; without one, the most exposed channel is closed on the day after the data.
        """
        tell("exposure", "")
        exposure = self.exposure()
        answers, worth = [exposure], dict[str, Answer]()
        for event in exits(self.events):
            channel = event.channel
            if channel is None or channel not in self.panel.channels:
                continue
            if not self._earliest <= event.start <= self._latest or event.market not in (None, *self.panel.markets):
                continue
            severity = 1.0 if event.kind == "closure" else event.severity
            if severity is not None:
                tell("closure", channel)
                answers.append(self.closure(channel, event.start, severity=severity, market=event.market))
            if channel not in worth:
                tell("worth", channel)
                worth[channel] = self.worth(channel)
            if event.start <= self.panel.last:
                tell("impact", channel)
                answers.append(self.impact(channel, event.start, market=event.market))
        if not worth and exposure.evidence:
            channel, on = exposure.evidence[0].label, date.fromisoformat(exposure.asked["on"])
            tell("closure", channel)
            answers.append(self.closure(channel, on))
            worth[channel] = self.worth(channel)
        return (*answers, *worth.values())

    def publish(self, answers: Sequence[Answer], folder: Path, languages: Sequence[Language] = LANGUAGES) -> list[Path]:
        """Write the report of some answers into a folder."""
        return write_report(answers, self.facts(), languages, folder)

    def facts(self) -> CaseFacts:
        """The case as the report shows it."""
        return facts_of(self.folder, None if self.is_public else self.panel)

    def _check_call(self, channel: str, on: date, horizons: Sequence[int], market: str | None) -> None:
        """Channel, day, market and horizons of a call; without `daily` there are no markets and any day goes."""
        known = self.public.channels(self.config.channels) if self.is_public else self.panel.channels
        markets = () if self.is_public else self.panel.markets
        if not known:
            raise CallError("RC322")
        if channel not in known:
            raise CallError("RC320", channel=channel, nearest=nearest(channel, known))
        if not self.is_public and not self._earliest <= on <= self._latest:
            ends = {"first": self._earliest.isoformat(), "last": self._latest.isoformat()}
            raise CallError("RC321", on=on.isoformat(), **ends)
        if market is not None and market not in markets:
            raise CallError("RC323", market=market, nearest=nearest(market, markets) if markets else "")
        for horizon in horizons:
            if not 1 <= horizon <= LONGEST_HORIZON:
                raise CallError("RC324", horizon=str(horizon), most=str(LONGEST_HORIZON))

    @property
    def _earliest(self) -> date:
        return self.panel.first + timedelta(days=EARLIEST_DAY)

    @property
    def _latest(self) -> date:
        return self.panel.last + timedelta(days=LATEST_DAY)

    def _money(self, channel: str, on: date, market: str | None = None) -> Money:
        """Margin of `case.toml`, and the fixed fee a year of the channel's deal that runs on the day."""
        margin = self.config.margin
        ends = None if margin is None else (margin.low, margin.high)
        money = money_on(self.config.currency, ends, self.public.deals, channel, on)
        return money if market is None or len(self.panel.markets) == 1 else of_one_market(money)

    def _provenance(self) -> Provenance:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Provenance(__version__, self.config.seed, self.folder.data_sha256, created)
