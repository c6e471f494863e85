"""Public facts: one value of one firm and period, with its source."""

from __future__ import annotations

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
