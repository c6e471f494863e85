"""The rows of one horizon of a measured event, from the joint draws of both paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rechannel.answers.foreseen import ALONE
from rechannel.answers.money import Money, money_rows
from rechannel.answers.rows import Coordinates, RowName, answered, effect_rows, known, missing_column, refused, unit_of
from rechannel.evidence.impact import OpenPath
from rechannel.scenario.do import lost_share
from rechannel.vocabulary.channel import COUNTED, Metric
from rechannel.vocabulary.estimate import Estimate, FloatArray, Refusal
from rechannel.vocabulary.grade import SMALLEST_CONTRACTION, Grade, worst
from rechannel.world.demand import Demand
from rechannel.world.fitted import World
from rechannel.world.measured import Measured

SHARES = ("retained_own", "to_rivals", "lost_outside", "diversion")


@dataclass(frozen=True, slots=True)
class MeasuredHorizon:
    """Everything that makes the rows of one horizon.

    Attributes
    ----------
    world, demand, opened, measured
        The eve, its forecasts, and both paths given what came.
    money
        Margin and fee.
    at
        Place of the horizon among those of `opened`.
    here
        Horizon and market of the rows.
    grade, reasons
        Best grade that the checks allow, and why it is not higher.
    """

    world: World
    demand: Demand
    opened: OpenPath
    measured: Measured
    money: Money
    at: int
    here: Coordinates
    grade: Grade
    reasons: tuple[str, ...]

    @property
    def stretches(self) -> FloatArray:
        """Which stretches the horizon adds up, 0/1."""
        return np.asarray(self.opened.stretches.sums()[self.at])

    def lost(self, metric: Metric) -> FloatArray:
        """Net loss of a metric, shape [draw]."""
        return np.asarray(self.measured.net_loss[metric] @ self.stretches)

    def observed(self, metric: Metric) -> float:
        """What came of a metric on all own channels."""
        return float(self.measured.observed[metric] @ self.stretches)

    @property
    def removed(self) -> FloatArray:
        """Visits that left the channel, shape [draw]."""
        return np.asarray(self.measured.removed @ self.stretches)

    @property
    def open_own(self) -> float:
        """Visits that the channel would have had."""
        came = float(self.opened.observed[self.opened.closed] @ self.stretches)
        return float(np.median(self.removed)) + came

    @property
    def open_total(self) -> float:
        """Visits that all own channels would have had."""
        return float(np.median(self.lost("visits"))) + self.observed("visits")

    @property
    def fell(self) -> bool:
        """Whether the channel clearly fell; only then shares of what left mean anything."""
        return float(np.quantile(self.removed, 0.05)) > 0

    def rows(self) -> list[Estimate]:
        """Every row of the contract, in its order."""
        made = {(row.metric, row.channel): row for row in self._made()}
        rows = []
        for metric, unit, channel in row_names(self.world, self.opened.window.channel, self.money):
            there = Coordinates(self.here.horizon_days, channel, self.here.market)
            rows.append(made.get((metric, channel)) or refused(metric, unit, self._why(metric, channel), there))
        return [*rows, self._alone()]

    def _alone(self) -> Estimate:
        """Net loss of visits by the series alone: all open paths less what came, whatever past events foretell."""
        lost = self.opened.draws.sum(axis=1) @ self.stretches - self.observed("visits")
        return answered(
            ALONE,
            "visits",
            lost,
            self.grade,
            self.here,
            prior_variance=self._prior_variance("visits"),
            reasons=self.reasons,
        )

    def _why(self, metric: str, channel: str | None) -> Refusal:
        """Why a share has no number."""
        around = self.world.around
        if metric in ("to_rivals", "lost_outside") and not around.rivals:
            return Refusal("no_rivals", {}, ("add_rivals",))
        if channel in around.unscaled:
            return Refusal("no_scale", {"firm": channel or ""}, ("add_rivals",))
        if channel is not None and channel not in self.opened.channels and channel not in around.rivals:
            return Refusal("few_open_days", {"channel": channel}, ("more_history",))
        return Refusal("did_not_fall", {"channel": self.opened.window.channel}, ("check_day", "shorter_horizon"))

    def _made(self) -> list[Estimate]:
        removed = self.removed
        reach = self.open_own**2 / 12  # what a loss anywhere between none and all of the channel's visits leaves open
        rows = [
            answered(
                "visits_removed",
                "visits",
                removed,
                self.grade,
                self.here,
                prior_variance=reach,
                reasons=self.reasons,
            )
        ]
        rows += [self._net_loss(metric) for metric in COUNTED]
        rows += self._money()
        rows.append(
            refused("net_loss_active_customers", "share", Refusal("has_daily", {}, ("ask_new_customers",)), self.here)
        )
        rows.append(refused("never_acquired", "customers", Refusal("needs_cohorts", {}, ("add_touches",)), self.here))
        rows += self._conversion()
        return rows + (self._shares() if self.fell else [])

    def _prior_variance(self, metric: Metric) -> float:
        """Variance of a net loss before any data: nothing to all of the channel leaves, and the ledger is empty.

        With R uniform on [0, open] and the lost share s as the prior has it: E[R^2] var(s) + var(R) E[s]^2.
        """
        prior, channel = self.world.prior, self.opened.window.channel
        place = prior.surroundings.channels.index(channel)
        share = lost_share(prior, place, metric, float(self.here.horizon_days or 1))
        unit = 1.0 / 3.0 * float(share.var()) + float(share.mean()) ** 2 / 12.0
        return unit * self._credited(metric) ** 2

    def _credited(self, metric: Metric) -> float:
        """What the channel would have been credited with."""
        if metric == "visits":
            return self.open_own
        whole = float(np.median(self.lost(metric))) + self.observed(metric)
        yields = self.world.around.yields.get(metric)
        place = self.world.around.channels.index(self.opened.window.channel)
        if yields is not None and np.isfinite(yields[place]):
            return self.open_own * float(yields[place])
        return whole * self.open_own / max(self.open_total, 1.0)

    def _standing(self, metric: Metric) -> tuple[float, Grade, tuple[str, ...]]:
        """Contraction, grade and reasons of a net loss."""
        prior = self._prior_variance(metric)
        narrowed = max(0.0, 1.0 - float(self.lost(metric).var()) / prior) if prior > 0 else 0.0
        if metric in self.demand.shop_yields:
            return narrowed, Grade.D, (*self.reasons, "declared_split")
        if narrowed < SMALLEST_CONTRACTION:
            return narrowed, Grade.D, (*self.reasons, "little_contraction")
        return narrowed, self.grade, self.reasons

    def _net_loss(self, metric: Metric) -> Estimate:
        name, unit = f"net_loss_{metric}", unit_of(metric, self.money.currency)
        if metric not in self.measured.net_loss:
            return refused(name, unit, self._absent(metric), self.here)
        narrowed, grade, reasons = self._standing(metric)
        return answered(name, unit, self.lost(metric), grade, self.here, narrowed=narrowed, reasons=reasons)

    def _absent(self, metric: Metric) -> Refusal:
        """Why a metric has no number: no such column, or nothing ever came through the channel."""
        panel = self.world.panel
        if metric in panel.values or metric in panel.totals:
            channel = self.opened.window.channel
            return Refusal("no_yield", {"channel": channel, "column": metric}, ("more_history",))
        return missing_column(metric)

    def _money(self) -> list[Estimate]:
        if "gmv" not in self.measured.net_loss:
            why = self._absent("gmv")
            return money_rows(self.money, None, None, Grade.D, self.here, self.world.seed, refusal=why)
        narrowed, grade, reasons = self._standing("gmv")
        lost = self.lost("gmv")
        came = np.full(lost.size, self.observed("gmv"))
        return money_rows(self.money, lost, came, grade, self.here, self.world.seed, narrowed=narrowed, reasons=reasons)

    def _conversion(self) -> list[Estimate]:
        """Orders per visit over all own channels on both paths."""
        came = self.observed("visits")
        if "orders" not in self.measured.net_loss or came <= 0:
            why = self._absent("orders")
            return [refused(f"conversion_rate_{path}", "share", why, self.here) for path in ("open", "closed")]
        orders = self.observed("orders")
        rate = (orders + self.lost("orders")) / np.maximum(came + self.lost("visits"), 1.0)
        reasons = self.reasons
        return [
            answered("conversion_rate_open", "share", rate, self.grade, self.here, reasons=reasons, has_mean=False),
            known("conversion_rate_closed", "share", orders / came, self.grade, self.here),
        ]

    def _shares(self) -> list[Estimate]:
        """Retained, rivals, outside and every cell of the row, of the visits that left."""
        diversion, prior = self.world.diversion, self.world.prior
        names = diversion.surroundings.channels
        place, days = names.index(self.opened.window.channel), float(self.here.horizon_days or 1)
        removed = self.removed
        parts = (self.measured.gains @ self.stretches) / removed[:, None]
        retained = 1.0 - self.lost("visits") / removed
        before = prior.own(place, days)
        is_told = float(retained.var()) <= (1.0 - SMALLEST_CONTRACTION) * float(before.sum(axis=1).var())
        cap = Grade.A if is_told else Grade.D  # a part of a whole that the data do not tell is not told either
        rows = [self._share("retained_own", None, retained, before.sum(axis=1))]
        for index, at in enumerate(self.opened.others):
            name = self.opened.channels[at]
            rows.append(self._share("diversion", name, parts[:, index], before[:, names.index(name)], cap))
        if not diversion.surroundings.rivals:
            return rows
        left = np.maximum(1.0 - retained, 0.0)
        won = (left * diversion.to_rivals[:, place])[:, None] * diversion.rival_weights
        usual = prior.rivals(place, days)
        outside = 1.0 - retained - won.sum(axis=1)
        rows.append(self._share("to_rivals", None, won.sum(axis=1), usual.sum(axis=1), Grade.C))
        unknown = 1.0 - before.sum(axis=1) - usual.sum(axis=1)
        rows.append(self._share("lost_outside", None, outside, unknown, Grade.C))
        for index, firm in enumerate(diversion.surroundings.rivals):
            rows.append(self._share("diversion", firm, won[:, index], usual[:, index], Grade.C))
        return rows

    def _share(
        self, metric: str, channel: str | None, draws: FloatArray, prior: FloatArray, cap: Grade = Grade.A
    ) -> Estimate:
        """A share with its contraction, under a cap: a split into rivals is never measured."""
        there = Coordinates(self.here.horizon_days, channel, self.here.market)
        why = {Grade.C: ("rivals_unmeasured",), Grade.D: ("little_contraction",)}.get(cap, ())
        return answered(
            metric,
            "share",
            draws,
            worst(self.grade, cap),
            there,
            prior_variance=float(prior.var()),
            reasons=(*self.reasons, *why),
            has_mean=False,
        )


def row_names(world: World, channel: str, money: Money) -> list[RowName]:
    """Every (metric, unit, channel) a horizon has: own channels, then the other firms."""
    around = world.around
    return names_of(around.channels, (*around.rivals, *around.unscaled), channel, money)


def names_of(channels: Sequence[str], firms: Sequence[str], channel: str, money: Money) -> list[RowName]:
    """The same from the names alone."""
    return effect_rows(money.currency, [*(other for other in channels if other != channel), *firms])
