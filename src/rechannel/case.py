"""The front door: open a case, check it, ask it, publish it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np

from rechannel import __version__
from rechannel.answers.answer import Answer, Provenance, dumps
from rechannel.answers.declared import DeclaredQuestion, answer_declared_closure
from rechannel.answers.hindsight import refuse_impact
from rechannel.answers.impact import ImpactQuestion, answer_impact
from rechannel.answers.record import answer_record
from rechannel.answers.rows import Money
from rechannel.report.facts import CaseFacts, ChannelShare, TableFacts
from rechannel.report.publish import write_report
from rechannel.source.store import CaseFolder, CreatedCase, case_faults, create_case, open_case_folder, table_span
from rechannel.tables.calendar import Event, holiday_events, read_events
from rechannel.tables.deals import read_deals
from rechannel.tables.panel import Panel, build_panel
from rechannel.tables.public import PublicRecord, read_public
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.wording import LANGUAGES, Language

new_case = create_case
__all__ = ["Case", "CreatedCase", "Run", "new_case", "open_case"]

EARLIEST_DAY, LATEST_DAY = 28, 365
"""A question's day lies from 28 days after the first row to 365 days after the last."""
LONGEST_NOTICE = 90
RUN_HORIZONS = (30, 90)
HOLIDAYS_OF = {
    "Asia/Shanghai": "CN",
    "Asia/Hong_Kong": "HK",
    "Asia/Macau": "MO",
    "Asia/Taipei": "TW",
    "Asia/Singapore": "SG",
    "Asia/Tokyo": "JP",
    "Europe/London": "GB",
    "Europe/Berlin": "DE",
    "Europe/Paris": "FR",
    "America/New_York": "US",
    "America/Chicago": "US",
    "America/Los_Angeles": "US",
}
"""Time zone -> country whose public holidays are used when `events` has no holiday of its own."""


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
        """What happens when the channel closes on day `on`? See `answers.declared.answer_declared_closure`.

        Raises
        ------
        CallError
            Unknown channel or market, a horizon below one day, a severity that is no share.
        """
        if not self.is_public:
            raise CallError("RC341")
        self._check_public_call(channel, horizons, market, severity)
        question = DeclaredQuestion(channel, on, tuple(horizons), severity, notice)
        ranges, channels = self.config.assumptions, self.config.channels
        return answer_declared_closure(
            self.public, ranges, channels, question, self._money(channel, on), self._provenance()
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

        Every closure and demotion of one channel in `events` that lies inside the data is measured; without `daily`
        the public record is read, and each of them is answered from declared ranges.
        """
        answers = self._public_answers() if self.is_public else self._measured()
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

    def _measured(self) -> tuple[Answer, ...]:
        """The measured effect of every closure and demotion of one channel inside the data."""
        return tuple(
            self.impact(event.channel, event.start, RUN_HORIZONS, market=event.market)
            for event in self.events
            if event.kind in ("closure", "demotion")
            and event.channel in self.panel.channels
            and event.channel is not None
            and self._is_askable(event.start)
        )

    def publish(self, answers: Sequence[Answer], folder: Path, languages: Sequence[Language] = LANGUAGES) -> list[Path]:
        """Write the report of some answers into a folder."""
        return write_report(answers, self.facts(), languages, folder)

    def facts(self) -> CaseFacts:
        """The case as the report shows it."""
        tables = []
        for name, source in self.config.tables.items():
            relation = self.folder.relation(name)
            span = None if relation is None else table_span(name, relation)
            first, last = span if span is not None else (None, None)
            tables.append(TableFacts(name, ", ".join(source.original), source.rows, first, last))
        if self.is_public:
            first = min((table.first for table in tables if table.first), default=None)
            last = max((table.last for table in tables if table.last), default=None)
        else:
            first, last = self.panel.first, self.panel.last
        return CaseFacts(
            self.config.name,
            self.config.currency,
            self.config.timezone,
            first,
            last,
            self._channel_shares(),
            tuple(tables),
            case_faults(self.folder),
        )

    def _channel_shares(self) -> tuple[ChannelShare, ...]:
        """Own channels with their share of all visits; without `daily`, those of case.toml without a share."""
        if self.is_public:
            return tuple(ChannelShare(channel) for channel in self.config.channels)
        panel = self.panel
        visits = np.nansum(panel.values["visits"], axis=(0, 1))
        whole = max(float(visits.sum()), 1.0)
        described = {channel.channel_id: channel for channel in self.config.channels}
        return tuple(
            ChannelShare(described.get(name, Channel(name)), float(visits[index]) / whole)
            for index, name in enumerate(panel.channels)
        )

    def _check_public_call(self, channel: str, horizons: Sequence[int], market: str | None, severity: float) -> None:
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
        if not 0 < severity <= 1:
            raise CallError("RC340", severity=f"{severity:g}")
        for horizon in horizons:
            if horizon < 1:
                raise CallError("RC324", horizon=str(horizon))

    def _check_call(self, channel: str, on: date, horizons: Sequence[int], market: str | None) -> None:
        panel = self.panel
        if channel not in panel.channels:
            raise CallError("RC320", channel=channel, nearest=nearest(channel, panel.channels))
        earliest, latest = panel.first + timedelta(days=EARLIEST_DAY), panel.last + timedelta(days=LATEST_DAY)
        if not earliest <= on <= latest:
            raise CallError("RC321", on=on.isoformat(), first=earliest.isoformat(), last=latest.isoformat())
        if market is not None and market not in panel.markets:
            raise CallError("RC323", market=market, nearest=nearest(market, panel.markets))
        for horizon in horizons:
            if horizon < 1:
                raise CallError("RC324", horizon=str(horizon))

    def _is_askable(self, on: date) -> bool:
        return self.panel.first + timedelta(days=EARLIEST_DAY) <= on <= self.panel.last

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
        money = Money(self.config.currency, None if margin is None else (margin.low, margin.high))
        relation = self.folder.relation("deals")
        if relation is None:
            return money
        running = [
            deal
            for deal in read_deals(relation)
            if deal.channel == channel
            and deal.fixed_fee is not None
            and (deal.start is None or deal.start <= on)
            and (deal.end is None or deal.end >= on - timedelta(days=1))
        ]
        if not running:
            return money
        return replace(
            money,
            fee_per_year=sum(deal.fixed_fee for deal in running if deal.fixed_fee is not None),
            fee_is_verified=all(deal.is_verified("fixed_fee") for deal in running),
        )

    def _provenance(self) -> Provenance:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Provenance(__version__, self.config.seed, self.folder.data_sha256, created)
