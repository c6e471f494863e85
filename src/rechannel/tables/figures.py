"""Public facts: one value of one firm and period, with its source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of `figures`; `value` is in `unit`, an open period end is None."""

    entity: str
    metric: str
    value: float
    period_start: date | None = None
    period_end: date | None = None
    unit: str = ""
    source: str = ""
    verified: bool = False
    note: str = ""


def read_figures(relation: pa.Table) -> tuple[Figure, ...]:
    """The canonical `figures` relation as records, in file order."""
    return tuple(
        Figure(
            entity=row["entity"],
            metric=row["metric"],
            value=row["value"],
            period_start=row.get("period_start"),
            period_end=row.get("period_end"),
            unit=row.get("unit") or "",
            source=row.get("source") or "",
            verified=row.get("verified") == "y",
            note=row.get("note") or "",
        )
        for row in relation.to_pylist()
    )


def find_figures(
    figures: Sequence[Figure], *, entity: str | None = None, metric: str | None = None, verified_only: bool = False
) -> tuple[Figure, ...]:
    """Figures of one entity or metric, by period."""
    found = [
        figure
        for figure in figures
        if (entity is None or figure.entity == entity)
        and (metric is None or figure.metric == metric)
        and (figure.verified or not verified_only)
    ]
    return tuple(sorted(found, key=lambda figure: (figure.period_end or date.min, figure.period_start or date.min)))


_MONEY = re.compile(r"(RMB|[A-Z]{3})(?: (thousand|million|billion))?\Z")
_SIZES = {None: 1.0, "thousand": 1e3, "million": 1e6, "billion": 1e9}


def as_share(figure: Figure) -> float | None:
    """The value as a share 0..1 when its unit is a share or a percentage, such as `percent (about)`."""
    if figure.unit == "share":
        return figure.value
    return figure.value / 100 if figure.unit.split(" ")[0] in ("percent", "%") else None


def as_money(figure: Figure) -> tuple[str, float] | None:
    """Currency and amount when the unit is money, such as `RMB million`.

    >>> as_money(Figure("firm", "sales", 2.5, unit="RMB million"))
    ('CNY', 2500000.0)
    """
    found = _MONEY.match(figure.unit)
    if found is None:
        return None
    currency, size = found.groups()
    return ("CNY" if currency == "RMB" else currency), figure.value * _SIZES[size]


def days_of(figure: Figure) -> int:
    """Length of the figure's period in days, both ends included; 0 when an end is open."""
    if figure.period_start is None or figure.period_end is None:
        return 0
    return (figure.period_end - figure.period_start).days + 1


def is_quarter(figure: Figure) -> bool:
    """Whether the figure is about three months."""
    return 89 <= days_of(figure) <= 93
