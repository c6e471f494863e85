"""Rows of an answer: from draws, from an agreed figure, or a refusal; and the money rows that all questions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import SMALLEST_CONTRACTION, Grade, worst

COUNT_UNITS = {"visits": "visits", "orders": "orders", "new_customers": "customers"}


def unit_of(metric: str, currency: str) -> str:
    """The unit of a panel metric."""
    return COUNT_UNITS.get(metric, currency)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a row stands: what it is about and over which horizon."""

    horizon_days: int
    channel: str | None = None
    market: str | None = None


def answered(
    metric: str,
    unit: str,
    draws: FloatArray,
    grade: Grade,
    at: Coordinates,
    *,
    prior_variance: float | None = None,
    reasons: Sequence[str] = (),
    has_mean: bool = True,
) -> Estimate:
    """A row from draws, shape [draw].

    Parameters
    ----------
    prior_variance
        Variance of the latent quantity before any data; below a contraction of .2 the grade is D.
    has_mean
        False for ratios, which have none.
    """
    contraction = None
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
        horizon_days=at.horizon_days,
    )


def known(metric: str, unit: str, value: float, grade: Grade, at: Coordinates) -> Estimate:
    """A row whose value is observed or agreed, not estimated."""
    quantity = Quantity(quantiles=Quantiles((value,) * 9), grade=grade, mean=value)
    return Estimate(metric, unit, quantity, at.channel, at.market, horizon_days=at.horizon_days)


def refused(metric: str, unit: str, refusal: Refusal, at: Coordinates) -> Estimate:
    """A row that says why there is no number."""
    return Estimate(metric, unit, refusal, at.channel, at.market, horizon_days=at.horizon_days)


def missing_column(metric: str) -> Refusal:
    """The case has no such column."""
    return Refusal("no_column", {"column": metric}, ("add_column",))


@dataclass(frozen=True, slots=True)
class Money:
    """What the case says about margin and the fee of the channel.

    Attributes
    ----------
    currency
        Code of the case currency.
    margin
        90 % range of the contribution margin as a share of GMV; None when not given.
    fee_per_year
        Fixed fee of the channel's running deal in case currency a year; None when no deal with a fee is known.
    fee_is_verified
        Whether the deal's fee is verified.
    mitigation_cost
        One-off cost of softening the closure, in case currency.
    """

    currency: str
    margin: tuple[float, float] | None = None
    fee_per_year: float | None = None
    fee_is_verified: bool = False
    mitigation_cost: float = 0.0

    def margin_draws(self, draws: int, seed: int) -> FloatArray:
        """Margin share, shape [draw]: normal with the stated 90 % range."""
        if self.margin is None:
            raise ValueError("no margin is given")
        low, high = self.margin
        rng = np.random.default_rng([seed, 7])
        half = rng.standard_normal(draws // 2)
        return (low + high) / 2 + (high - low) / (2 * 1.6449) * np.concatenate([half, -half])


def money_rows(
    money: Money,
    net_gmv: FloatArray | None,
    closed_gmv: FloatArray | None,
    grade: Grade,
    at: Coordinates,
    seed: int,
    *,
    prior_variance: float | None = None,
    reasons: Sequence[str] = (),
    refusal: Refusal | None = None,
) -> list[Estimate]:
    """net_loss_margin, fee_saved, net_profit_effect and offset_conversion_uplift of one horizon.

    Parameters
    ----------
    net_gmv, closed_gmv
        Joint draws of the GMV lost and of the GMV on the closed path, shape [draw]; None when the case cannot say.
    prior_variance
        Of the GMV lost, before any data.
    refusal
        Why GMV is not known, when it is not.

    Notes
    -----
    The uplift u brings the profit effect to zero: effect + u x margin x closed GMV = 0.
    """
    currency = money.currency
    names = ("net_loss_margin", "fee_saved", "net_profit_effect", "offset_conversion_uplift")
    fee_saved = None if money.fee_per_year is None else money.fee_per_year * at.horizon_days / 365
    no_fee = Refusal("no_fee", {}, ("give_deal",))
    if fee_saved is None:
        fee_row = refused("fee_saved", currency, no_fee, at)
    else:
        fee_row = known("fee_saved", currency, fee_saved, Grade.B if money.fee_is_verified else Grade.D, at)
    if net_gmv is None or closed_gmv is None or money.margin is None:
        no_margin = Refusal("no_margin", {}, ("give_margin",))
        why = no_margin if net_gmv is not None else (refusal or missing_column("gmv"))
        rows = [refused(name, "share" if name.endswith("uplift") else currency, why, at) for name in names]
        return [rows[0], fee_row, *rows[2:]]
    share = money.margin_draws(net_gmv.size, seed)
    lost = net_gmv * share
    prior = None if prior_variance is None else prior_variance * (sum(money.margin) / 2) ** 2
    margin_row = answered(names[0], currency, lost, grade, at, prior_variance=prior, reasons=reasons)
    if fee_saved is None:
        return [margin_row, fee_row, refused(names[2], currency, no_fee, at), refused(names[3], "share", no_fee, at)]
    effect = fee_saved - lost - money.mitigation_cost
    assert isinstance(margin_row.value, Quantity)
    grade, reasons = margin_row.value.grade, margin_row.value.grade_reasons
    effect_row = answered(names[2], currency, effect, grade, at, reasons=reasons)
    remaining = share * closed_gmv
    if (remaining > 0).all():
        uplift = answered(names[3], "share", -effect / remaining, grade, at, reasons=reasons, has_mean=False)
    else:
        uplift = refused(names[3], "share", Refusal("no_remaining_margin", {}, ("give_margin",)), at)
    return [margin_row, fee_row, effect_row, uplift]
