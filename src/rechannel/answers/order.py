"""What a run asks, and in which order: the questions that the data of a case allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol

from rechannel.answers.answer import Answer
from rechannel.answers.calls import Limits
from rechannel.tables.calendar import Event, exits
from rechannel.tables.panel import Panel

Progress = Callable[[str, str], None]
"""Called with the question about to be answered and its channel (empty when it has none)."""


class Asked(Protocol):
    """A case as a run asks it."""

    @property
    def panel(self) -> Panel: ...

    @property
    def events(self) -> tuple[Event, ...]: ...

    @property
    def limits(self) -> Limits: ...

    def record(self) -> Answer: ...

    def exposure(self) -> Answer: ...

    def worth(self, channel: str) -> Answer: ...

    def impact(self, channel: str, on: date, horizons: Sequence[int] = ..., *, market: str | None = None) -> Answer: ...

    def closure(
        self,
        channel: str,
        on: date,
        horizons: Sequence[int] = ...,
        *,
        severity: float = 1.0,
        market: str | None = None,
    ) -> Answer: ...


def public_answers(case: Asked) -> tuple[Answer, ...]:
    """The record, then closure and impact of every exit of one channel."""
    answers = [case.record()]
    for event in exits(case.events):
        assert event.channel is not None
        severity = event.severity if event.severity else 1.0
        answers.append(case.closure(event.channel, event.start, severity=severity))
        answers.append(case.impact(event.channel, event.start))
    return tuple(answers)


def daily_answers(case: Asked, tell: Progress) -> tuple[Answer, ...]:
    """Exposure, then every closure and demotion of one channel - as seen on its eve, its channel's worth, and what did
    happen; without one, the most exposed channel is closed on the day after the data.
    """
    tell("exposure", "")
    exposure = case.exposure()
    answers, worth = [exposure], dict[str, Answer]()
    for event in exits(case.events):
        channel = event.channel
        if channel is None or channel not in case.panel.channels:
            continue
        if not case.limits.reach(event.start) or event.market not in (None, *case.panel.markets):
            continue
        severity = 1.0 if event.kind == "closure" else event.severity
        if severity is not None:
            tell("closure", channel)
            answers.append(case.closure(channel, event.start, severity=severity, market=event.market))
        if channel not in worth:
            tell("worth", channel)
            worth[channel] = case.worth(channel)
        if event.start <= case.panel.last:
            tell("impact", channel)
            answers.append(case.impact(channel, event.start, market=event.market))
    if not worth and exposure.evidence:
        channel, on = exposure.evidence[0].label, date.fromisoformat(exposure.asked["on"])
        tell("closure", channel)
        answers.append(case.closure(channel, on))
        worth[channel] = case.worth(channel)
    return (*answers, *worth.values())
