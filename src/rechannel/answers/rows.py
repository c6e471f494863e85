"""Rows of an answer: from draws, from an agreed figure, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rechannel.vocabulary.channel import COUNTED
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import SMALLEST_CONTRACTION, Grade, worst

RowName: TypeAlias = tuple[str, str, str | None]
"""Metric, unit and channel of a row."""
COUNT_UNITS = {"visits": "visits", "orders": "orders", "new_customers": "customers"}


def unit_of(metric: str, currency: str) -> str:
    """The unit of a panel metric."""
    return COUNT_UNITS.get(metric, currency)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a row stands: what it is about and over which horizon."""

    horizon_days: int | None
    channel: str | None = None
    market: str | None = None
    period: str | None = None


def effect_rows(currency: str, others: Sequence[str | None], *, new_customers: str = "customers") -> list[RowName]:
    """Every (metric, unit, channel) that closure and impact have per horizon, in the order of the contract.

    Parameters
    ----------
    others
        Channels and rivals that may receive visits: a `diversion` row each.
    new_customers
        Unit of the net loss of new customers; a share of the firm's where there is no `daily`.
    """
    names: list[RowName] = [("visits_removed", "visits", None)]
    for metric in COUNTED:
        unit = new_customers if metric == "new_customers" else unit_of(metric, currency)
        names.append((f"net_loss_{metric}", unit, None))
    names += [
        ("net_loss_active_customers", "share", None),
        ("net_loss_margin", currency, None),
        ("never_acquired", "customers", None),
        ("fee_saved", currency, None),
        ("net_profit_effect", currency, None),
        ("conversion_rate_open", "share", None),
        ("conversion_rate_closed", "share", None),
        ("offset_conversion_uplift", "share", None),
        ("retained_own", "share", None),
        ("to_rivals", "share", None),
        ("lost_outside", "share", None),
    ]
    return [*names, *(("diversion", "share", other) for other in others)]


def answered(
    metric: str,
    unit: str,
    draws: FloatArray,
    grade: Grade,
    at: Coordinates,
    *,
    prior_variance: float | None = None,
    narrowed: float | None = None,
    reasons: Sequence[str] = (),
    has_mean: bool = True,
    method: str | None = None,
) -> Estimate:
    """A row from draws, shape [draw].

    Parameters
    ----------
    prior_variance
        Variance of the latent quantity before any data; below a contraction of .2 the grade is D.
    narrowed
        The contraction itself, where the caller knows it and has graded by it.
    has_mean
        False for ratios, which have none.
    method
        The row's method, when it has one.
    """
    contraction = narrowed
    if prior_variance is not None and prior_variance > 0:
        contraction = max(0.0, 1.0 - float(draws.var()) / prior_variance)
        if contraction < SMALLEST_CONTRACTION:
            grade, reasons = worst(grade, Grade.D), (*reasons, "little_contraction")
    return Estimate(
        metric=metric,
        unit=unit,
        value=Quantity(
            quantiles=Quantiles.of(draws),
            grade=grade,
            mean=float(draws.mean()) if has_mean else None,
            contraction=contraction,
            grade_reasons=tuple(dict.fromkeys(reasons)),
        ),
        channel=at.channel,
        market=at.market,
        period=at.period,
        method=method,
        horizon_days=at.horizon_days,
    )


def known(
    metric: str, unit: str, value: float, grade: Grade, at: Coordinates, *, method: str | None = None
) -> Estimate:
    """A row whose value is observed or agreed, not estimated."""
    quantity = Quantity(quantiles=Quantiles((value,) * 9), grade=grade, mean=value)
    return Estimate(metric, unit, quantity, at.channel, at.market, at.period, method, at.horizon_days)


def refused(metric: str, unit: str, refusal: Refusal, at: Coordinates, *, method: str | None = None) -> Estimate:
    """A row that says why there is no number."""
    return Estimate(metric, unit, refusal, at.channel, at.market, at.period, method, at.horizon_days)


def missing_column(metric: str) -> Refusal:
    """The case has no such column."""
    return Refusal("no_column", {"column": metric}, ("add_column",))
