"""The front door: open a case, check it, ask it, publish it."""

from __future__ import annotations

from collections.abc import Sequence
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
from rechannel.answers.money import Money, money_on
from rechannel.answers.record import answer_record
from rechannel.answers.worth import WorthQuestion, answer_worth
from rechannel.evidence.ledger import LONGEST_NOTICE
from rechannel.report.facts import CaseFacts, facts_of
from rechannel.report.publish import write_report
from rechannel.source.store import CaseFolder, CreatedCase, create_case, open_case_folder
from rechannel.tables.calendar import HOLIDAYS_OF, Event, holiday_events, read_events
from rechannel.tables.deals import Deal, read_deals
from rechannel.tables.panel import Panel, build_panel
from rechannel.tables.public import PublicRecord, read_public
from rechannel.tables.rivals import in_market, read_rivals
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.wording import LANGUAGES, Language
from rechannel.world.fitted import World, fit_world

new_case = create_case
__all__ = ["Case", "CreatedCase", "Run", "new_case", "open_case"]

EARLIEST_DAY, LATEST_DAY = 28, 365
"""A question's day lies from 28 days after the first row to 365 days after the last."""
RUN_HORIZONS = (30, 90)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder under `runs/`, what was answered, and the report pages."""

    folder: Path
    answers: tuple[Answer, ...]
    pages: tuple[Path, ...]


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
        if relation is None:
            raise CallError("RC322")
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
        relation = self.folder.relation("events")
        events = () if relation is None else read_events(relation)
        country = HOLIDAYS_OF.get(self.config.timezone)
        if country is None or self.is_public or any(event.kind == "holiday" for event in events):
            return events
        return (*events, *holiday_events(country, self.panel.first, self.panel.last + timedelta(days=LATEST_DAY)))

    @cached_property
    def deals(self) -> tuple[Deal, ...]:
        """Agreements with hosts."""
        relation = self.folder.relation("deals")
        return () if relation is None else read_deals(relation)

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
        relation = self.folder.relation("rivals")
        return Surrounds(self.events, self.config.channels, () if relation is None else read_rivals(relation))

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
            Unknown channel or market, a day outside the limits, a horizon below one day.
        """
        if self.is_public:
            closure = self.closure(channel, on, horizons, market=market)
            money, stamp = self.config.currency, self._provenance()
            return refuse_impact(self.public, self.config.channels, channel, on, horizons, closure, money, stamp)
        self._check_call(channel, on, horizons, market)
        told = announced if announced is not None else self._announcement(channel, on)
        if told is not None and told >= on:
            raise CallError("RC325", announced=told.isoformat(), on=on.isoformat())
        question = ImpactQuestion(channel, on, tuple(horizons), market, told, smallest_effect)
        return answer_impact(self.panel, self.events, question, self._money(channel, on), self._provenance())

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
        channel
            An own channel of the case.
        on
            Day 1, from 28 days after the first row to 365 days after the last; later data are not used.
        horizons
            Days counted from `on`.
        severity
            Share of the entry's prominence taken away; 1 = closed.
        market
            One market, or None for the sum of all.
        notice
            Days between announcement and `on`; when None, as `events` tell.

        Raises
        ------
        CallError
            Unknown channel or market, a day outside the limits, a horizon below one day, a severity that is no share.
        """
        if not 0 <= severity <= 1:
            raise CallError("RC340", severity=f"{severity:g}")
        if self.is_public:
            self._check_public_call(channel, horizons, market)
            asked = DeclaredQuestion(channel, on, tuple(horizons), severity, notice)
            ranges, channels = self.config.assumptions, self.config.channels
            return answer_declared_closure(
                self.public, ranges, channels, asked, self._money(channel, on), self._provenance()
            )
        self._check_call(channel, on, horizons, market)
        told = on - timedelta(days=notice) if notice else self._announcement(channel, on) if notice is None else None
        question = ClosureQuestion(channel, on, tuple(horizons), market, severity, told)
        return answer_closure(self.panel, self._surrounds, question, self._money(channel, on), self._provenance())

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
        return answer_worth(self.panel, self.world, WorthQuestion(channel), money, self.deals, self._provenance())

    def exposure(self) -> Answer:
        """Which channel should worry me? See `answers.exposure.answer_exposure` (CallError RC322 without `daily`)."""
        on = self.panel.last + timedelta(days=7 if self.panel.cadence == "weekly" else 1)
        return answer_exposure(
            self.panel,
            self.world,
            on,
            channels=self.config.channels,
            deals=self.deals,
            currency=self.config.currency,
            provenance=self._provenance(),
        )

    def record(self) -> Answer:
        """What can the public record say, and what not? See `answers.record.answer_record`."""
        loss = None
        if exits := self.public.exits():
            channel = exits[-1].channel
            assert channel is not None
            loss = self.impact(channel, exits[-1].start).refusal if self.is_public else None
        return answer_record(self.public, loss, self.config.currency, self._provenance())

    def run(self) -> Run:
        """Ask every question the data allow, store the answers under `runs/` and publish the report.

        Every channel is closed in turn; every closure and demotion in `events` is forecast as on its eve and measured
        where the data reach past it; without `daily` the public record is read, and each of them is answered from
        declared ranges.
        """
        answers = self._public_answers() if self.is_public else self._daily_answers()
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
        for event in self.public.exits():
            assert event.channel is not None
            severity = event.severity if event.severity else 1.0
            answers.append(self.closure(event.channel, event.start, severity=severity))
            answers.append(self.impact(event.channel, event.start))
        return tuple(answers)

    def _daily_answers(self) -> tuple[Answer, ...]:
        """Exposure, then every closure and demotion of one channel - as seen on its eve, its channel's worth, and what
        did happen; without one, the most exposed channel is closed on the day after the data.
        """
        exposure = self.exposure()
        answers, worth = [exposure], dict[str, Answer]()
        for event in self.events:
            channel = event.channel
            if event.kind not in ("closure", "demotion") or channel is None or channel not in self.panel.channels:
                continue
            if not self._earliest <= event.start <= self._latest:
                continue
            severity = 1.0 if event.kind == "closure" else event.severity
            if severity is not None:
                answers.append(self.closure(channel, event.start, severity=severity, market=event.market))
            if channel not in worth:
                worth[channel] = self.worth(channel)
            if event.start <= self.panel.last:
                answers.append(self.impact(channel, event.start, market=event.market))
        if not worth and exposure.evidence:
            channel, on = exposure.evidence[0].label, date.fromisoformat(exposure.asked["on"])
            answers.append(self.closure(channel, on))
            worth[channel] = self.worth(channel)
        return (*answers, *worth.values())

    def publish(self, answers: Sequence[Answer], folder: Path, languages: Sequence[Language] = LANGUAGES) -> list[Path]:
        """Write the report of some answers into a folder."""
        return write_report(answers, self.facts(), languages, folder)

    def facts(self) -> CaseFacts:
        """The case as the report shows it."""
        return facts_of(self.folder, None if self.is_public else self.panel)

    def _check_public_call(self, channel: str, horizons: Sequence[int], market: str | None) -> None:
        """Without `daily`, a channel is one that case.toml, an agreement or an event names; there are no markets."""
        known = [one.channel_id for one in self.config.channels]
        named = (*(deal.channel for deal in self.public.deals), *(event.channel for event in self.public.events))
        known = list(dict.fromkeys([*known, *(name for name in named if name)]))
        if not known:
            raise CallError("RC322")
        if channel not in known:
            raise CallError("RC320", channel=channel, nearest=nearest(channel, known))
        if market is not None:
            raise CallError("RC323", market=market, nearest="")
        for horizon in horizons:
            if horizon < 1:
                raise CallError("RC324", horizon=str(horizon))

    def _check_call(self, channel: str, on: date, horizons: Sequence[int], market: str | None) -> None:
        panel = self.panel
        if channel not in panel.channels:
            raise CallError("RC320", channel=channel, nearest=nearest(channel, panel.channels))
        if not self._earliest <= on <= self._latest:
            ends = {"first": self._earliest.isoformat(), "last": self._latest.isoformat()}
            raise CallError("RC321", on=on.isoformat(), **ends)
        if market is not None and market not in panel.markets:
            raise CallError("RC323", market=market, nearest=nearest(market, panel.markets))
        for horizon in horizons:
            if horizon < 1:
                raise CallError("RC324", horizon=str(horizon))

    @property
    def _earliest(self) -> date:
        return self.panel.first + timedelta(days=EARLIEST_DAY)

    @property
    def _latest(self) -> date:
        return self.panel.last + timedelta(days=LATEST_DAY)

    def _announcement(self, channel: str, on: date) -> date | None:
        days = [
            event.start
            for event in self.events
            if event.kind == "announcement"
            and event.channel == channel
            and on - timedelta(days=LONGEST_NOTICE) <= event.start < on
        ]
        return max(days, default=None)

    def _money(self, channel: str, on: date) -> Money:
        """Margin of `case.toml`, and the fixed fee a year of the channel's deal that runs on the day."""
        margin = self.config.margin
        ends = None if margin is None else (margin.low, margin.high)
        return money_on(self.config.currency, ends, self.deals, channel, on)

    def _provenance(self) -> Provenance:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Provenance(__version__, self.config.seed, self.folder.data_sha256, created)
