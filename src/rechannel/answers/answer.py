"""The shape of every answer, and its JSON `rechannel.answer/1`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files

from rechannel.answers.pictures import Path, PlaceboCloud, RepeatCurve, SharedCustomers, Timeline
from rechannel.vocabulary.channel import Verdict
from rechannel.vocabulary.estimate import Estimate, Quantiles, Refusal
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
