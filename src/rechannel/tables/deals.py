"""Agreements between hosts and tenants, with what is verified field by field."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Deal:
    """One row of `deals`; None = not stated.

    Attributes
    ----------
    fixed_fee
        Per year, case currency.
    revenue_share
        Share of attributed GMV, 0..1.
    verified
        `y`, `n`, or the verified fields separated by `;`.
    """

    deal_id: str
    host: str
    tenant: str
    channel: str | None = None
    signed: date | None = None
    start: date | None = None
    end: date | None = None
    access: str | None = None
    exclusive: str | None = None
    fixed_fee: float | None = None
    revenue_share: float | None = None
    equity_terms: str | None = None
    cash_terms: str | None = None
    form: str | None = None
    source: str | None = None
    verified: str = "n"
    note: str | None = None

    def is_verified(self, field: str) -> bool:
        """Whether this field was seen at its source; an unverified amount prints as 未核实, its dates stay.

        >>> Deal("D1", "host", "tenant", verified="signed; start").is_verified("start")
        True
        >>> Deal("D1", "host", "tenant", verified="signed; start").is_verified("cash_terms")
        False
        """
        if self.verified in ("y", "n"):
            return self.verified == "y"
        return field in {part.strip() for part in self.verified.split(";")}


@dataclass(frozen=True, slots=True)
class DealItem:
    """One row of `deal_items`: what one side gives under an agreement."""

    deal_id: str
    field: str
    giver: str
    receiver: str | None = None
    amount: float | None = None
    unit: str | None = None
    start: date | None = None
    end: date | None = None
    disclosed: str | None = None


def read_deals(relation: pa.Table) -> tuple[Deal, ...]:
    """The canonical `deals` relation as records, in file order."""
    known = {field.name for field in fields(Deal)}
    rows = ({name: value for name, value in row.items() if name in known} for row in relation.to_pylist())
    return tuple(Deal(**(row | {"verified": (row.get("verified") or "n").strip().lower()})) for row in rows)


def read_deal_items(relation: pa.Table) -> tuple[DealItem, ...]:
    """The canonical `deal_items` relation as records, in file order."""
    known = {field.name for field in fields(DealItem)}
    return tuple(
        DealItem(**{name: value for name, value in row.items() if name in known}) for row in relation.to_pylist()
    )
