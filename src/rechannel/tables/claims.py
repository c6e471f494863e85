"""What people assert: never an input, only a foil or a weak prior that is named as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of `claims`; `value` is in `unit`, None when the claim has no number."""

    claim_id: str
    claim: str
    who: str = ""
    day: date | None = None
    metric: str = ""
    value: float | None = None
    unit: str = ""
    source: str = ""


def read_claims(relation: pa.Table) -> tuple[Claim, ...]:
    """The canonical `claims` relation as records, in file order."""
    return tuple(
        Claim(
            claim_id=row["claim_id"],
            claim=row["claim"],
            who=row.get("who") or "",
            day=row.get("date"),
            metric=row.get("metric") or "",
            value=row.get("value"),
            unit=row.get("unit") or "",
            source=row.get("source") or "",
        )
        for row in relation.to_pylist()
    )
