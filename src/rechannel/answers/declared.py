"""Q2a without daily data: a channel closes - what do published shares and declared ranges imply?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.answers.answer import Answer, EvidenceItem, Provenance
from rechannel.answers.money import Money
from rechannel.answers.rows import Coordinates, RowName, answered, effect_rows, known, refused
from rechannel.source.config import Assumption
from rechannel.tables.figures import Figure, as_share, find_figures
from rechannel.tables.public import PublicRecord
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.estimate import Estimate, FloatArray, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text

DRAWS = 20_000
PUBLISHED = "share_of_new_customers_from_host"
"""Metric of `figures`: share of the firm's new customers that came over the host's surfaces."""
CLAIMED = "new_customer_share"
"""Metric of `claims` about the same share."""
ABOUT = 0.1
"""Standard deviation, on the log scale, of a figure that its source gives as `about`."""
KAPPA_SD = 0.4
Z90 = 1.6448536269514722
DAYS_OF_YEAR = 365

NEW_CUSTOMERS: tuple[str, ...] = ("share_remaining", "entry_part", "retained_share")
ACTIVE_CUSTOMERS: tuple[str, ...] = ("active_share", "retained_active_share")
DIRECT = "entry_share"
"""An assumption that, when given, stands in for published share x share_remaining x entry_part."""


@dataclass(frozen=True, slots=True)
class DeclaredQuestion:
    """What is asked.

    Attributes
    ----------
    channel, on, horizons
        The entry, day 1 of its closure, days counted from it.
    severity
        Share of the entry's prominence taken away, 0..1; 1 = closed.
    notice
        Days of notice; printed with the question. No public figure says what notice changes: the range of the
        retained share has to hold it.
    """

    channel: str
    on: date
    horizons: tuple[int, ...]
    severity: float = 1.0
    notice: int | None = None


def answer_declared_closure(
    record: PublicRecord,
    assumptions: Mapping[str, Assumption],
    channels: Sequence[Channel],
    question: DeclaredQuestion,
    money: Money,
    provenance: Provenance,
) -> Answer:
    """What a closure would take, as shares of new and active customers, from public figures and declared ranges.

    Question answered: nobody outside has daily data; what does it take to believe that a closure matters?
    Use it for a case without `daily`; with `daily` the closure is forecast instead.

    Parameters
    ----------
    record
        Figures, agreements and claims of the case.
    assumptions
        `[assumptions]` of case.toml, 90 % ranges of shares: `share_remaining` (of the published share, what is left
        today), `entry_part` (of it, what came through this entry), `retained_share` (of those, who come another way),
        `active_share` (of the active customers, who buy only through the entry), `retained_active_share`.
        `entry_share` replaces the first two and the published figure.
    channels
        Channels of the case, for names and for the rows of diversion.
    question
        Channel, day, horizons, severity, notice.
    money
        Currency, and the fixed fee when an agreement states one.
    provenance
        Stamped on the answer; its seed makes the draws.

    Returns
    -------
    Answer
        `net_loss_new_customers` and `net_loss_active_customers` per horizon with unit `share` and grade D; every other
        metric of a closure is refused with the export that would supply it. The whole answer is refused when neither
        share can be formed.

    Notes
    -----
    Share of new customers lost = published share x share_remaining x entry_part x severity^kappa
    x (1 - retained_share).
    Share of the active customers of the window lost = active_share x severity^kappa x (1 - retained_active_share);
    newcomers who never came are not in it. Both are the same at every horizon: nothing public says how fast people find
    another way. Assumption: the ranges are independent, and nothing public contradicts or supports them.
    Refusals: `no_assumption`, `no_published_share`, `not_a_share`, `no_daily`, `no_fee`.
    """
    ranges = _Ranges(assumptions, provenance.seed)
    removed = _removed_share(question.severity, provenance.seed)
    published = published_share(record, question.channel)
    new = _new_customers(ranges, published, removed)
    active = _product(ranges, ACTIVE_CUSTOMERS[:1], ACTIVE_CUSTOMERS[1], removed)
    rows = [
        row
        for horizon in question.horizons
        for row in _horizon_rows(horizon, new, active, [c.channel_id for c in channels], question, money)
    ]
    headline = next((row for row in rows if isinstance(row.value, Quantity) and row.unit == "share"), None)
    evidence = _evidence(ranges, published if isinstance(new, np.ndarray) and not ranges.has(DIRECT) else None, record)
    if headline is None:
        assert isinstance(new, Refusal)
        sentence = {language: new.message(language) for language in LANGUAGES}
        return Answer("closure", asked(question), tuple(rows), (), evidence, (), sentence, provenance, refusal=new)
    return Answer(
        question="closure",
        asked=asked(question),
        estimates=tuple(rows),
        daily=(),
        evidence=evidence,
        checks=(),
        text={
            language: _sentences(language, headline, question, published, ranges, channels) for language in LANGUAGES
        },
        provenance=provenance,
        grade=Grade.D,
    )


def is_declared(answer: Answer) -> bool:
    """Whether a closure was answered from declared ranges: its customers are shares, not counts."""
    return answer.question == "closure" and any(
        row.metric == "net_loss_new_customers" and row.unit == "share" for row in answer.estimates
    )


def published_share(record: PublicRecord, channel: str) -> Figure | None:
    """The latest verified share of new customers that came over the host's surfaces; None when none was published.

    Without an agreement nobody says which firm is the case's own: then it counts only when one firm alone has it.
    """
    own = record.own_firm(channel)
    found = find_figures(record.figures, entity=own, metric=PUBLISHED, verified_only=True)
    if own is None and len({figure.entity for figure in found}) > 1:
        return None
    usable = [figure for figure in found if 0 < (as_share(figure) or 0.0) <= 1]
    return usable[-1] if usable else None


def asked(question: DeclaredQuestion) -> dict[str, str]:
    """The call as named."""
    parts = {
        "channel": question.channel,
        "on": question.on.isoformat(),
        "horizons": ",".join(str(horizon) for horizon in question.horizons),
        "severity": f"{question.severity:g}",
    }
    if question.notice is not None:
        parts["notice"] = str(question.notice)
    return parts


@dataclass(slots=True)
class _Ranges:
    """Declared ranges as draws; every name used is kept, so that the answer can list it."""

    given: Mapping[str, Assumption]
    seed: int

    def has(self, name: str) -> bool:
        return name in self.given

    def draws(self, name: str) -> FloatArray | Refusal:
        """Draws of one share, or why there are none."""
        stated = self.given.get(name)
        if stated is None:
            return Refusal("no_assumption", {"name": name}, ("state_assumption", "export_new_customers"))
        if not 0 <= stated.low <= stated.high <= 1:
            ends = f"{stated.low:g} {numbers.RANGE} {stated.high:g}"
            return Refusal("not_a_share", {"name": name, "range": ends}, ("state_assumption",))
        return share_draws(stated.low, stated.high, name, self.seed)

    def used(self) -> list[str]:
        """Names that the model knows and the case states."""
        new = (DIRECT, NEW_CUSTOMERS[-1]) if self.has(DIRECT) else NEW_CUSTOMERS
        return [name for name in (*new, *ACTIVE_CUSTOMERS) if self.has(name)]


def share_draws(low: float, high: float, name: str, seed: int) -> FloatArray:
    """Draws of a share with a 90 % range, shape [draw]: normal on the logit scale, so that none leaves 0..1.

    Each name has a stream of its own: stating one more range does not move the draws of another.
    """
    if low == high:
        return np.full(DRAWS, low)
    ends = np.clip([low, high], 1e-4, 1 - 1e-4)
    bottom, top = np.log(ends / (1 - ends))
    latent = (bottom + top) / 2 + (top - bottom) / (2 * Z90) * _normal(name, seed)
    return np.asarray(1 / (1 + np.exp(-latent)))


def _normal(name: str, seed: int) -> FloatArray:
    """Antithetic standard normals of one stream, shape [draw]."""
    half = np.random.default_rng([seed, *name.encode()]).standard_normal(DRAWS // 2)
    return np.concatenate([half, -half])


def _removed_share(severity: float, seed: int) -> FloatArray:
    """severity^kappa with log kappa ~ N(0, .4^2), shape [draw]."""
    return np.asarray(severity ** np.exp(KAPPA_SD * _normal("kappa", seed)))


def _new_customers(ranges: _Ranges, published: Figure | None, removed: FloatArray) -> FloatArray | Refusal:
    """Share of new customers lost, shape [draw], or why it cannot be formed."""
    if ranges.has(DIRECT):
        return _product(ranges, (DIRECT,), NEW_CUSTOMERS[-1], removed)
    rest = _product(ranges, NEW_CUSTOMERS[:-1], NEW_CUSTOMERS[-1], removed)
    if isinstance(rest, Refusal):
        return rest
    share = None if published is None else as_share(published)
    if published is None or share is None:
        return Refusal("no_published_share", {"metric": PUBLISHED}, ("state_entry_share", "export_new_customers"))
    error = ABOUT * _normal(PUBLISHED, ranges.seed) if "about" in published.unit else 0.0
    return np.minimum(1.0, share * np.exp(error)) * rest


def _product(ranges: _Ranges, factors: Sequence[str], retained: str, removed: FloatArray) -> FloatArray | Refusal:
    """Product of shares, times what is not retained, shape [draw]; the first reason when one is missing."""
    lost = removed.copy()
    for name in factors:
        share = ranges.draws(name)
        if isinstance(share, Refusal):
            return share
        lost = lost * share
    kept = ranges.draws(retained)
    return kept if isinstance(kept, Refusal) else np.asarray(lost * (1 - kept))


_SUPPLY: dict[str, tuple[str, tuple[str, ...]]] = {
    "visits_removed": ("visits", ("export_visits",)),
    "net_loss_visits": ("visits", ("export_visits",)),
    "net_loss_orders": ("orders", ("export_orders",)),
    "net_loss_gmv": ("gmv", ("export_gmv",)),
    "net_loss_margin": ("gmv", ("export_gmv", "give_margin")),
    "never_acquired": ("new_customers", ("export_new_customers", "add_touches")),
    "net_profit_effect": ("gmv", ("export_gmv", "give_margin", "give_deal")),
    "conversion_rate_open": ("orders", ("export_orders",)),
    "conversion_rate_closed": ("orders", ("export_orders",)),
    "offset_conversion_uplift": ("gmv", ("export_gmv", "give_margin")),
    "retained_own": ("visits", ("export_visits",)),
    "to_rivals": ("visits", ("export_visits", "add_rivals")),
    "lost_outside": ("visits", ("export_visits", "add_rivals")),
    "diversion": ("visits", ("export_visits",)),
}
"""Metric -> the column of `daily` that it needs, and what would supply it."""


def closure_rows(channels: Sequence[str], channel: str, currency: str) -> list[RowName]:
    """Every (metric, unit, channel) of a closure without `daily`: new customers are a share of the firm's."""
    return effect_rows(currency, [other for other in channels if other != channel], new_customers="share")


def no_daily(metric: str) -> Refusal:
    """Why a case without `daily` has no number for a metric, and which export would supply it."""
    column, helps = _SUPPLY[metric]
    return Refusal("no_daily", {"column": column}, helps)


def _horizon_rows(
    horizon: int,
    new: FloatArray | Refusal,
    active: FloatArray | Refusal,
    channels: Sequence[str],
    question: DeclaredQuestion,
    money: Money,
) -> list[Estimate]:
    """Every row of one horizon."""
    rows = []
    lost = {"net_loss_new_customers": new, "net_loss_active_customers": active}
    for metric, unit, channel in closure_rows(channels, question.channel, money.currency):
        at = Coordinates(horizon, channel)
        draws = lost.get(metric)
        if isinstance(draws, Refusal):
            rows.append(refused(metric, unit, draws, at))
        elif draws is not None:  # nothing was learned from data: the variance before is the variance after
            rows.append(answered(metric, unit, draws, Grade.D, at, prior_variance=float(draws.var())))
        elif metric == "fee_saved":
            if money.fee_per_year is None:
                rows.append(refused(metric, unit, Refusal("no_fee", {}, ("give_deal",)), at))
            else:
                grade = Grade.B if money.fee_is_verified else Grade.D
                rows.append(known(metric, unit, money.fee_per_year * horizon / DAYS_OF_YEAR, grade, at))
        else:
            rows.append(refused(metric, unit, no_daily(metric), at))
    return rows


def _evidence(ranges: _Ranges, published: Figure | None, record: PublicRecord) -> tuple[EvidenceItem, ...]:
    """The published figure, every range used, and the claims that were not."""
    items = []
    if published is not None:
        share = as_share(published)
        assert share is not None
        figures: dict[str, float | str] = {"share": share, "period": period_of(published), "source": published.source}
        items.append(EvidenceItem("figure", published.metric, Grade.C, figures))
    for name in ranges.used():
        stated = ranges.given[name]
        shown: dict[str, float | str] = {"low": stated.low, "high": stated.high, "unit": "share"}
        items.append(EvidenceItem("assumption", name, Grade.D, {**shown, "source": stated.source}))
    for claim in record.claims:
        if claim.metric == CLAIMED and claim.value is not None:
            value = f"{claim.value:g} {claim.unit}".strip()
            items.append(EvidenceItem("claim", claim.claim_id, Grade.D, {"value": value, "source": claim.source}))
    return tuple(items)


def period_of(figure: Figure) -> str:
    """The figure's period: a year, a quarter such as 2014-Q4, or first/last day."""
    first, last = figure.period_start, figure.period_end
    if first is None or last is None:
        return (first or last or "").__str__()
    if (first.month, first.day, last.month, last.day) == (1, 1, 12, 31) and first.year == last.year:
        return str(first.year)
    if first.day == 1 and first.month % 3 == 1 and 89 <= (last - first).days + 1 <= 93:
        return f"{first.year}-Q{(first.month + 2) // 3}"
    return f"{first.isoformat()}/{last.isoformat()}"


def _sentences(
    language: Language,
    headline: Estimate,
    question: DeclaredQuestion,
    published: Figure | None,
    ranges: _Ranges,
    channels: Sequence[Channel],
) -> str:
    """Two sentences a person would quote."""
    assert isinstance(headline.value, Quantity)
    names = {channel.channel_id: channel.display(language) for channel in channels}
    low, high = headline.value.quantiles.interval()
    parts = {
        "channel": names.get(question.channel, question.channel),
        "on": numbers.day(question.on, language),
        "interval": numbers.percent_span(low, high),
        "median": numbers.percent(headline.value.quantiles.median, width=high - low),
    }
    first = text(f"answer.declared_{headline.metric.removeprefix('net_loss_')}", language, **parts)
    share = None if published is None or ranges.has(DIRECT) else as_share(published)
    joiner = " " if language == "en" else ""
    if share is None or published is None or headline.metric != "net_loss_new_customers":
        return f"{first}{joiner}{text('answer.declared_no_anchor', language)}"
    anchor = text(
        "answer.declared_anchor", language, share=numbers.percent(share, width=1.0), period=period_of(published)
    )
    return f"{first}{joiner}{anchor}"
