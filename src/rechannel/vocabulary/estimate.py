"""An estimate is an interval with unit, horizon and grade - or a refusal that says what would help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text

LEVELS: tuple[float, ...] = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""The quantile levels of every answer."""

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Nine quantiles at `LEVELS`, never crossing, in the unit of their estimate."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(LEVELS):
            raise ValueError(f"{len(self.values)} quantiles given, {len(LEVELS)} wanted")
        if not all(np.isfinite(self.values)):
            raise ValueError("a quantile is not finite")
        if any(low > high for low, high in zip(self.values, self.values[1:], strict=False)):
            raise ValueError("quantiles cross")

    @classmethod
    def of(cls, draws: FloatArray) -> Quantiles:
        """Quantiles of finite draws, shape [draw]."""
        return cls(tuple(float(value) for value in np.quantile(draws, LEVELS)))

    def at(self, level: float) -> float:
        """The quantile at one of `LEVELS`."""
        return self.values[LEVELS.index(level)]

    @property
    def median(self) -> float:
        return self.at(0.5)

    def interval(self, coverage: float = 0.9) -> tuple[float, float]:
        """The central interval that covers .5, .8, .9 or .95."""
        low = round((1 - coverage) / 2, 4)
        return self.at(low), self.at(round(1 - low, 4))

    @property
    def is_known(self) -> bool:
        """Whether the quantity is observed or agreed, not estimated."""
        return self.values[0] == self.values[-1]

    def mirrored(self, total: float = 0.0) -> Quantiles:
        """Quantiles of `total` minus the quantity: a loss as a gain, a share as its remainder."""
        return Quantiles(tuple(total - value for value in reversed(self.values)))

    def to_json(self) -> dict[str, float]:
        return {f"{level:g}": value for level, value in zip(LEVELS, self.values, strict=True)}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value that says why there is no number and what would give one.

    Attributes
    ----------
    code
        Stable reason code; `refusal.<code>` in the message files is its sentence.
    args
        Named parts of the sentence, ready to print.
    would_help
        Keys of `help.<key>` in the message files: the cheapest data or test that would answer, cheapest first.
    """

    code: str
    args: dict[str, str] = field(default_factory=dict)
    would_help: tuple[str, ...] = ()

    def named(self, display: Callable[[str], str]) -> Refusal:
        """The same refusal with its channel, when it names one, as `display` shows it."""
        if "channel" not in self.args:
            return self
        return replace(self, args={**self.args, "channel": display(self.args["channel"])})

    def message(self, language: Language) -> str:
        return text(f"refusal.{self.code}", language, **self.args)

    def help(self, language: Language) -> list[str]:
        return [text(f"help.{key}", language, **self.args) for key in self.would_help]

    def to_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": {language: self.message(language) for language in LANGUAGES},
            "would_help": self.help("en"),
            "would_help_text": {language: self.help(language) for language in LANGUAGES},
        }


@dataclass(frozen=True, slots=True)
class Quantity:
    """An answered number.

    Attributes
    ----------
    quantiles
        In the unit of the estimate.
    grade
        How it is identified.
    mean
        None where no mean exists (ratios, log-t sums).
    contraction
        1 - posterior / prior variance of the latent quantity; None where no prior is stated.
    grade_reasons
        Keys of `grade_reason.<key>`: why the grade is not higher.
    """

    quantiles: Quantiles
    grade: Grade
    mean: float | None = None
    contraction: float | None = None
    grade_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """One row of an answer: what was asked, and a quantity or a refusal."""

    metric: str
    unit: str
    value: Quantity | Refusal
    channel: str | None = None
    market: str | None = None
    period: str | None = None
    method: str | None = None
    horizon_days: int | None = None

    @property
    def estimate_id(self) -> str:
        """A stable id: metric and every coordinate that is set."""
        parts = [self.metric, self.channel, self.market, self.period, self.method]
        if self.horizon_days is not None:
            parts.append(f"{self.horizon_days}d")
        return ".".join(part.replace(".", "_") for part in parts if part)

    def to_json(self) -> dict[str, object]:
        answered = isinstance(self.value, Quantity)
        row: dict[str, object] = {
            "id": self.estimate_id,
            "metric": self.metric,
            "channel": self.channel,
            "market": self.market,
            "period": self.period,
            "method": self.method,
            "horizon_days": self.horizon_days,
            "unit": self.unit,
            "status": "answered" if answered else "refused",
        }
        if isinstance(self.value, Quantity):
            row |= {
                "grade": self.value.grade.value,
                "contraction": self.value.contraction,
                "mean": self.value.mean,
                "quantiles": self.value.quantiles.to_json(),
                "grade_reasons": list(self.value.grade_reasons),
                "refusal": None,
            }
        else:
            row |= {
                "grade": None,
                "contraction": None,
                "mean": None,
                "quantiles": None,
                "grade_reasons": [],
                "refusal": self.value.to_json(),
            }
        return row
