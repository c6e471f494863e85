"""What was forecast on the eve beside what was measured afterwards, and two answers to one question side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rechannel.vocabulary.estimate import Estimate, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade

COVERAGE = 0.9
FOREKNOWN = ("visits_removed", "net_loss_visits", "net_loss_orders", "net_loss_gmv", "net_loss_new_customers")
"""Metrics that a closure forecasts and an impact measures, then the share that came back."""
SHARES = ("retained_own",)
ALONE = "net_loss_visits_series_alone"
"""Net loss of visits as the series alone give it, without what past events foretold: a forecast is held against it."""

Standing = Literal["inside", "outside", "apart"]
Change = Literal["same", "inside", "outside", "answered", "refused"]


class Said(Protocol):
    """An answer, fresh or stored."""

    @property
    def question(self) -> str: ...

    @property
    def asked(self) -> Mapping[str, str]: ...

    @property
    def estimates(self) -> tuple[Estimate, ...]: ...


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One number of a closure, forecast and measured.

    Attributes
    ----------
    metric, horizon_days, unit
        Which number.
    forecast, measured
        Quantiles of both.
    """

    metric: str
    horizon_days: int
    unit: str
    forecast: Quantiles
    measured: Quantiles

    @property
    def standing(self) -> Standing:
        """inside: the forecast's 90 % interval holds the measured median; apart: the two intervals do not touch."""
        low, high = self.forecast.interval(COVERAGE)
        if low <= self.measured.median <= high:
            return "inside"
        least, most = self.measured.interval(COVERAGE)
        return "outside" if least <= high and low <= most else "apart"


def foreseen(closure: Said, impact: Said) -> tuple[Foreseen, ...]:
    """Every number that both answers give, by metric and horizon.

    What is held against the forecast is what the series alone show, where the answer has it: the measured answer itself
    already leans on what was foretold.
    """
    forecasts = {(row.metric, row.horizon_days): row for row in closure.estimates if _is_total(row)}
    measured = {(row.metric, row.horizon_days): row for row in impact.estimates if _is_total(row)}
    measured |= {
        ("net_loss_visits", horizon): row
        for (metric, horizon), row in measured.items()
        if metric == ALONE and isinstance(row.value, Quantity)
    }
    found = []
    for metric in (*FOREKNOWN, *SHARES):
        for (name, horizon), row in forecasts.items():
            came = measured.get((name, horizon))
            if name != metric or horizon is None or came is None:
                continue
            if isinstance(row.value, Quantity) and isinstance(came.value, Quantity):
                found.append(Foreseen(metric, horizon, row.unit, row.value.quantiles, came.value.quantiles))
    return tuple(found)


def _is_total(row: Estimate) -> bool:
    return row.channel is None and row.period is None and row.method is None


@dataclass(frozen=True, slots=True)
class Changed:
    """One row in two answers to the same question.

    Attributes
    ----------
    row
        Its coordinates, as in the newer answer.
    before, after
        Quantity or refusal in each.
    """

    row: Estimate
    before: Quantity | Refusal
    after: Quantity | Refusal

    @property
    def change(self) -> Change:
        """same: equal quantiles or refusals; inside, outside: where the new median lies to the old 90 % interval."""
        if isinstance(self.after, Refusal):
            return "same" if isinstance(self.before, Refusal) else "refused"
        if isinstance(self.before, Refusal):
            return "answered"
        if self.before.quantiles == self.after.quantiles:
            return "same"
        low, high = self.before.quantiles.interval(COVERAGE)
        return "inside" if low <= self.after.quantiles.median <= high else "outside"

    @property
    def grades(self) -> tuple[Grade | None, Grade | None]:
        """Grades before and after; None for a refusal."""
        first = self.before.grade if isinstance(self.before, Quantity) else None
        return first, self.after.grade if isinstance(self.after, Quantity) else None


def changes(before: Said, after: Said) -> tuple[Changed, ...]:
    """Every row that both answers have, in the order of the newer one."""
    old = {row.estimate_id: row.value for row in before.estimates}
    return tuple(Changed(row, old[row.estimate_id], row.value) for row in after.estimates if row.estimate_id in old)


def pairs(forecasts: Sequence[Said], measured: Sequence[Said]) -> list[tuple[int, int]]:
    """Places of closures and impacts that are about the same channel, day and market."""
    return [
        (i, k)
        for i, closure in enumerate(forecasts)
        for k, impact in enumerate(measured)
        if closure.question == "closure" and impact.question == "impact" and _about(closure) == _about(impact)
    ]


def _about(said: Said) -> tuple[str | None, ...]:
    return tuple(said.asked.get(key) for key in ("channel", "on", "market"))
