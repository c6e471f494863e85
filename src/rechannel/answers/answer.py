"""The shape of every answer, and its JSON `rechannel.answer/1`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files

from rechannel.tables.calendar import Event
from rechannel.tables.deals import Deal
from rechannel.tables.panel import DateArray
from rechannel.vocabulary.channel import Verdict
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantiles, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language

SCHEMA = "rechannel.answer/1"


@dataclass(frozen=True, slots=True)
class DailyRow:
    """One day of one metric on the open and the closed path, in the metric's unit."""

    day: date
    metric: str
    open_path: Quantiles
    closed_path: Quantiles

    def to_json(self) -> dict[str, object]:
        return {
            "date": self.day.isoformat(),
            "metric": self.metric,
            "open": self.open_path.to_json(),
            "closed": self.closed_path.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Path:
    """Days of one series on both paths, for pictures; quantiles stand at the nine `LEVELS`.

    Attributes
    ----------
    channel
        Channel, or None for the total over own channels.
    metric
        In whose unit everything below is, per day.
    on, announced
        Day of the intervention; day it became known, None when never.
    dates
        datetime64[D], shape [date]: some history, then the window.
    observed
        Shape [date]; nan = not measured, or still to come.
    open_path, closed_path
        Shape [date, level]; nan where the path is not estimated. Ex post the closed path is what was observed.
    cumulative
        Shape [date, level]: open - closed summed from `on`; nan before it.
    """

    channel: str | None
    metric: str
    on: date
    announced: date | None
    dates: DateArray
    observed: FloatArray
    open_path: FloatArray
    closed_path: FloatArray
    cumulative: FloatArray


@dataclass(frozen=True, slots=True)
class PlaceboCloud:
    """How far forecasts of past days missed where nothing is known to have happened, and how far the one of D did.

    Attributes
    ----------
    channel
        Channel, or None for the total over own channels.
    days
        Length of every window.
    starts
        First days of the past windows, shape [window].
    missed
        What came in them over what was forecast, less 1, shape [window].
    at_event
        The same from D on.
    """

    channel: str | None
    days: int
    starts: tuple[date, ...]
    missed: tuple[float, ...]
    at_event: float

    @property
    def farther(self) -> int:
        """Past windows whose forecast missed at least as far as the one of D."""
        return sum(abs(one) >= abs(self.at_event) for one in self.missed)


@dataclass(frozen=True, slots=True)
class RepeatCurve:
    """What customers order by age after their first order, for pictures.

    Attributes
    ----------
    channel
        Channel of the first order; None for all customers.
    age_days
        Width of an age; the first age begins on the day after the first order.
    customers
        Shape [age]: customers who were observed in it, as if each for all of it.
    seen
        Shape [age, level]: orders per customer in it, at the nine `LEVELS`; nan where too few were observed.
    expected
        Shape [age]: orders per customer, in ages that were seen and in those beyond.
    year
        Orders per customer in the 365 days after the first one.
    """

    channel: str | None
    age_days: int
    customers: FloatArray
    seen: FloatArray
    expected: FloatArray
    year: Quantiles


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a channel and under which agreements, for pictures.

    Attributes
    ----------
    on, channel
        Day of the exit and its channel; None when there was none.
    deals, events
        Every agreement and event of the case.
    threats
        Those of the events that move the same numbers in the same weeks as the exit.
    """

    on: date | None
    channel: str | None
    deals: tuple[Deal, ...]
    events: tuple[Event, ...]
    threats: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class SharedCustomers:
    """What a channel's customers use beside it, by journeys, for pictures.

    Attributes
    ----------
    channel, customers
        The channel, and how many of its customers were seen.
    first, last
        First and last day of the journeys.
    others
        Own channel -> share of what these customers do elsewhere.
    shares
        Own channel -> its share of all visits but the channel's: what would stand in their place without journeys.
    solo, new
        Share of its sessions by customers who use no other channel; of first sessions, None when it cannot be told.
    is_used
        Whether the answer starts from `others`; where hosts or kinds are stated it starts from them and from `shares`.
    """

    channel: str
    customers: int
    first: date
    last: date
    others: Mapping[str, Quantiles]
    shares: Mapping[str, float]
    solo: Quantiles
    new: Quantiles | None
    is_used: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an answer: its key, whether it passed, and figures ready to print.

    `check.<key>` is the sentence; `figures` are its named parts.
    """

    key: str
    passed: bool
    figures: Mapping[str, float | str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {"key": self.key, "passed": self.passed, "figures": dict(self.figures)}


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One piece of evidence an answer rests on: a finding, a prior, a declared assumption."""

    kind: str
    label: str
    grade: Grade
    figures: Mapping[str, float | str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "label": self.label, "grade": self.grade.value, "figures": dict(self.figures)}


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made the answer; `created` is the only part that differs on repeat."""

    version: str
    seed: int
    data_sha256: str
    created: str

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "seed": self.seed,
            "data_sha256": self.data_sha256,
            "created": self.created,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back from a question.

    Attributes
    ----------
    question
        closure, impact, worth, ...
    asked
        The call as named, printable parts (channel, on, horizons, ...).
    estimates
        One row per metric, horizon and coordinate: answered or refused, never missing.
    grade
        Grade of the headline number; None when the whole question is refused.
    verdict
        Of questions that have one.
    refusal
        Why the whole question has no answer; None when it has one.
    text
        Two sentences a person would quote, by language.
    """

    question: str
    asked: Mapping[str, str]
    estimates: tuple[Estimate, ...]
    daily: tuple[DailyRow, ...]
    evidence: tuple[EvidenceItem, ...]
    checks: tuple[Check, ...]
    text: Mapping[Language, str]
    provenance: Provenance
    grade: Grade | None = None
    verdict: Verdict | None = None
    refusal: Refusal | None = None
    paths: tuple[Path, ...] = ()
    placebos: tuple[PlaceboCloud, ...] = ()
    timeline: Timeline | None = None
    shared: SharedCustomers | None = None
    curves: tuple[RepeatCurve, ...] = ()

    @property
    def answered(self) -> bool:
        return self.refusal is None

    def find(self, metric: str, *, horizon: int | None = None, channel: str | None = None) -> Estimate:
        """The row of one metric; KeyError when the answer has none."""
        for row in self.estimates:
            if (row.metric, row.horizon_days, row.channel) == (metric, horizon, channel):
                return row
        raise KeyError(f"{metric} {horizon} {channel}")

    def to_json(self) -> dict[str, object]:
        """The answer as `rechannel.answer/1`."""
        return {
            "schema": SCHEMA,
            "question": self.question,
            "status": "answered" if self.answered else "refused",
            "asked": dict(self.asked),
            "grade": self.grade.value if self.grade else None,
            "verdict": self.verdict,
            "refusal": self.refusal.to_json() if self.refusal else None,
            "estimates": [row.to_json() for row in self.estimates],
            "daily": [row.to_json() for row in self.daily],
            "evidence": [item.to_json() for item in self.evidence],
            "checks": [check.to_json() for check in self.checks],
            "text": {language: self.text[language] for language in LANGUAGES},
            "provenance": self.provenance.to_json(),
        }


def dumps(answer: Answer) -> str:
    """The answer as text: same data, seed and version give the same bytes, `created` aside."""
    return json.dumps(answer.to_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def schema() -> dict[str, object]:
    """The published JSON Schema of an answer."""
    source = files("rechannel.answers").joinpath("answer.schema.json")
    loaded = json.loads(source.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded
