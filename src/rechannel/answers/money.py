"""What a loss is worth: margin, fee and the rows of money that questions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from rechannel.answers.rows import Coordinates, answered, known, missing_column, refused
from rechannel.tables.deals import Deal
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.grade import Grade


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
    fee_refusal
        Why there is no fee, when there is none.
    """

    currency: str
    margin: tuple[float, float] | None = None
    fee_per_year: float | None = None
    fee_is_verified: bool = False
    mitigation_cost: float = 0.0
    fee_refusal: str = "no_fee"

    def margin_draws(self, draws: int, seed: int) -> FloatArray:
        """Margin share, shape [draw]: normal with the stated 90 % range."""
        if self.margin is None:
            raise ValueError("no margin is given")
        low, high = self.margin
        rng = np.random.default_rng([seed, 7])
        half = rng.standard_normal(draws // 2)
        return (low + high) / 2 + (high - low) / (2 * 1.6449) * np.concatenate([half, -half])


def money_on(currency: str, margin: tuple[float, float] | None, deals: Sequence[Deal], channel: str, on: date) -> Money:
    """Margin, and the fixed fee a year of the channel's deals that run on a day or ended on its eve."""
    running = [
        deal
        for deal in deals
        if deal.channel == channel
        and deal.fixed_fee is not None
        and (deal.start is None or deal.start <= on)
        and (deal.end is None or deal.end >= on - timedelta(days=1))
    ]
    still = [deal for deal in running if deal.end is None or deal.end >= on]
    running = still or running  # an agreement that was renewed by then is not counted twice
    if not running:
        return Money(currency, margin)
    fee = sum(deal.fixed_fee for deal in running if deal.fixed_fee is not None)
    return Money(currency, margin, fee, all(deal.is_verified("fixed_fee") for deal in running))


def of_one_market(money: Money) -> Money:
    """The money of one market among several: the fee is the whole agreement's and is not split."""
    return replace(money, fee_per_year=None, fee_refusal="fee_of_all_markets")


def money_rows(
    money: Money,
    net_gmv: FloatArray | None,
    closed_gmv: FloatArray | None,
    grade: Grade,
    at: Coordinates,
    seed: int,
    *,
    prior_variance: float | None = None,
    narrowed: float | None = None,
    reasons: Sequence[str] = (),
    refusal: Refusal | None = None,
) -> list[Estimate]:
    """net_loss_margin, fee_saved, net_profit_effect and offset_conversion_uplift of one horizon.

    Parameters
    ----------
    net_gmv, closed_gmv
        Joint draws of the GMV lost and of the whole shop's GMV on the closed path, shape [draw]; None when the case
        cannot say.
    prior_variance, narrowed
        Of the GMV lost before any data; or its contraction, where the caller has graded by it.
    refusal
        Why GMV is not known, when one of the two is not.

    Notes
    -----
    The uplift u brings the profit effect to zero: effect + u x margin x closed GMV = 0.
    """
    currency = money.currency
    names = ("net_loss_margin", "fee_saved", "net_profit_effect", "offset_conversion_uplift")
    assert at.horizon_days is not None
    fee_saved = None if money.fee_per_year is None else money.fee_per_year * at.horizon_days / 365
    no_fee = Refusal(money.fee_refusal, {}, ("give_deal",) if money.fee_refusal == "no_fee" else ())
    if fee_saved is None:
        fee_row = refused("fee_saved", currency, no_fee, at)
    else:
        fee_row = known("fee_saved", currency, fee_saved, Grade.B if money.fee_is_verified else Grade.D, at)
    if net_gmv is None or money.margin is None:
        no_margin = Refusal("no_margin", {}, ("give_margin",))
        why = no_margin if net_gmv is not None else (refusal or missing_column("gmv"))
        rows = [refused(name, "share" if name.endswith("uplift") else currency, why, at) for name in names]
        return [rows[0], fee_row, *rows[2:]]
    share = money.margin_draws(net_gmv.size, seed)
    lost = net_gmv * share
    prior = None if prior_variance is None else prior_variance * (sum(money.margin) / 2) ** 2
    margin_row = answered(names[0], currency, lost, grade, at, prior_variance=prior, narrowed=narrowed, reasons=reasons)
    if fee_saved is None:
        return [margin_row, fee_row, refused(names[2], currency, no_fee, at), refused(names[3], "share", no_fee, at)]
    effect = fee_saved - lost - money.mitigation_cost
    assert isinstance(margin_row.value, Quantity)
    grade, reasons = margin_row.value.grade, margin_row.value.grade_reasons
    effect_row = answered(names[2], currency, effect, grade, at, reasons=reasons)
    if closed_gmv is None:
        why = refusal or missing_column("gmv")
        return [margin_row, fee_row, effect_row, refused(names[3], "share", why, at)]
    remaining = share * closed_gmv
    least = float(np.quantile(remaining, 0.01))
    if least > 0:
        needed = -effect / np.maximum(remaining, least)
        uplift = answered(names[3], "share", needed, grade, at, reasons=reasons, has_mean=False)
    else:
        uplift = refused(names[3], "share", Refusal("no_remaining_margin", {}, ("give_margin",)), at)
    return [margin_row, fee_row, effect_row, uplift]
