"""Q2b without daily data: it has closed - and why quarterly public figures cannot say what that did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from scipy.special import stdtrit

from rechannel.answers.answer import Answer, Check, Provenance
from rechannel.answers.declared import closure_rows
from rechannel.answers.rows import Coordinates, refused
from rechannel.tables.figures import Figure, as_money, as_share, is_quarter
from rechannel.tables.public import PublicRecord
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.estimate import Quantity, Refusal
from rechannel.vocabulary.wording import LANGUAGES, text

NEAR = 92
"""Days around the event in which another event moves the same quarter."""
WANTED_QUARTERS = 4
"""Quarters after the event that hold every season once."""
YEARS_OF_GROWTH = 5
FEWEST_GROWTHS = 3
FEWEST_LEVELS = 4
POWER, SIZE = 0.8, 0.05
NO_LEVEL = ("growth", "bound", "share", "reported", "claim", "overlap", "spending")
"""Words in the names of metrics that are not a level of users."""


@dataclass(frozen=True, slots=True)
class Detectable:
    """The smallest effect on one quarter's year-on-year growth that would stand out.

    Attributes
    ----------
    metric
        The series.
    growths
        Year-on-year growths before the event, shares, shape of the record.
    effect
        Smallest detectable change of growth, a share: found in 80 % of repeats at the 5 % level.
    """

    metric: str
    growths: tuple[float, ...]
    effect: float


def refuse_impact(
    record: PublicRecord,
    channels: Sequence[Channel],
    channel: str,
    on: date,
    horizons: Sequence[int],
    closure: Answer,
    currency: str,
    provenance: Provenance,
) -> Answer:
    """Why public figures cannot measure what an exit did, computed from the figures themselves.

    Parameters
    ----------
    record
        Public record of the case.
    channels, channel, on, horizons
        As asked of `impact`.
    closure
        The declared closure of the same channel and day: its largest loss is what would have to be seen.
    currency, provenance
        For the rows and the stamp.

    Returns
    -------
    Answer
        Refused as a whole. Each check states one reason with its figures; a reason that the record does not hold (no
        quarterly series, no events) is left out.

    Notes
    -----
    Smallest detectable effect: (t(.975, n-1) + t(.8, n-1)) s sqrt(1 + 1/n) over the year-on-year growths of the five
    years before the event (s their standard deviation, n their number): the spread of one new observation around the
    mean of the old ones. Plausible effect: the largest 95 % quantile of the shares of new and of active customers lost.
    Lost revenue is a weighted mean of the two when the lost ones buy as much as the others, so it is not above it.
    """
    own = record.own_firm(channel)
    figures = [figure for figure in record.figures if figure.entity == own]
    found = detectable(figures, on)
    checks = [
        *_quarters(figures, found, on),
        *_shocks(record, on),
        *_levels(figures, on),
        *_effect(found, closure),
    ]
    why = _reason(checks, found)
    rows = tuple(
        refused(metric, unit, why, Coordinates(horizon, other))
        for horizon in horizons
        for metric, unit, other in closure_rows([c.channel_id for c in channels], channel, currency)
    )
    stated = {"channel": channel, "on": on.isoformat(), "horizons": ",".join(str(horizon) for horizon in horizons)}
    sentence = {
        language: text("answer.impact_public", language, on=numbers.day(on, language)) for language in LANGUAGES
    }
    return Answer("impact", stated, rows, (), (), tuple(checks), sentence, provenance, refusal=why)


def quarters_after(figures: Sequence[Figure], metric: str, on: date) -> int:
    """Verified quarters of a metric that lie wholly after the event."""
    return sum(
        figure.metric == metric
        and figure.verified
        and is_quarter(figure)
        and figure.period_start is not None
        and figure.period_start >= on
        for figure in figures
    )


def growths(figures: Sequence[Figure]) -> dict[str, dict[date, float]]:
    """Year-on-year growth of quarterly money metrics: metric -> end of the quarter -> share; verified figures only.

    Taken from two quarters a year apart, or from a figure `<metric>_growth_yoy`.
    """
    quarters = [figure for figure in figures if figure.verified and is_quarter(figure)]
    levels: dict[str, dict[date, float]] = {}
    for figure in quarters:
        money = as_money(figure)
        if money is not None and money[1] > 0 and figure.period_end is not None:
            levels.setdefault(figure.metric, {})[figure.period_end] = money[1]
    made: dict[str, dict[date, float]] = {metric: {} for metric in levels}
    for metric, values in levels.items():
        for end, value in values.items():
            before = next((values[day] for day in values if abs((end - day).days - 365) <= 2), None)
            if before is not None:
                made[metric][end] = value / before - 1
    for figure in quarters:
        metric = figure.metric.removesuffix("_growth_yoy")
        share = as_share(figure)
        if metric != figure.metric and metric in made and share is not None and figure.period_end is not None:
            made[metric].setdefault(figure.period_end, share)
    return made


def detectable(figures: Sequence[Figure], on: date) -> Detectable | None:
    """The smallest detectable effect on the series with most growths in the five years before the event.

    None when no series has three of them.
    """
    earliest = on - timedelta(days=round(365.25 * YEARS_OF_GROWTH))
    best: Detectable | None = None
    for metric, by_end in sorted(growths(figures).items()):
        before = tuple(by_end[end] for end in sorted(by_end) if earliest <= end <= on + timedelta(days=1))
        if len(before) < FEWEST_GROWTHS or (best is not None and len(before) <= len(best.growths)):
            continue
        freedom = len(before) - 1
        tails = float(stdtrit(freedom, 1 - SIZE / 2) + stdtrit(freedom, POWER))
        spread = float(np.std(before, ddof=1)) * math.sqrt(1 + 1 / len(before))
        best = Detectable(metric, before, tails * spread)
    return best


def plausible_effect(closure: Answer) -> float | None:
    """The largest share of customers that the declared closure would take: 95 % quantile over its rows."""
    ends = [
        row.value.quantiles.at(0.95)
        for row in closure.estimates
        if isinstance(row.value, Quantity) and row.unit == "share"
    ]
    return max(ends, default=None)


def _quarters(figures: Sequence[Figure], found: Detectable | None, on: date) -> list[Check]:
    """How many quarters of the series lie after the event."""
    if found is None:
        return []
    count = quarters_after(figures, found.metric, on)
    return [
        Check(
            "quarters_after",
            count >= WANTED_QUARTERS,
            {"metric": found.metric, "quarters": str(count), "wanted": str(WANTED_QUARTERS)},
        )
    ]


def _shocks(record: PublicRecord, on: date) -> list[Check]:
    """How many other events fall into the same quarter."""
    if not record.events:
        return []
    shocks = record.shocks(on, within=NEAR)
    names = "; ".join(f"{event.note or event.kind} ({event.start.isoformat()})" for event in shocks)
    return [Check("simultaneous_shocks", not shocks, {"shocks": str(len(shocks)), "days": str(NEAR), "names": names})]


def _levels(figures: Sequence[Figure], on: date) -> list[Check]:
    """Until when a level of active customers was published."""
    by_metric: dict[str, list[Figure]] = {}
    for figure in figures:
        if "active" in figure.metric and not any(word in figure.metric for word in NO_LEVEL) and figure.period_end:
            by_metric.setdefault(figure.metric, []).append(figure)
    if not by_metric:
        return []
    metric = min(by_metric, key=lambda name: (-len(by_metric[name]), name))
    if len(by_metric[metric]) < FEWEST_LEVELS:
        return []
    last = max(figure.period_end for figure in by_metric[metric] if figure.period_end)
    verified = max(
        (figure.period_end for figure in by_metric[metric] if figure.verified and figure.period_end), default=None
    )
    known = verified.isoformat() if verified else numbers.RANGE
    return [Check("user_level", last >= on, {"metric": metric, "last": last.isoformat(), "verified": known})]


def _effect(found: Detectable | None, closure: Answer) -> list[Check]:
    """Whether the largest plausible effect would stand out."""
    plausible = plausible_effect(closure)
    if found is None or plausible is None:
        return []
    return [
        Check(
            "detectable_effect",
            found.effect <= plausible,
            {
                "metric": found.metric,
                "growths": ", ".join(numbers.percent(growth, width=0.1) for growth in found.growths),
                "detectable": numbers.percent(found.effect, width=0.1),
                "plausible": numbers.percent(plausible),
            },
        )
    ]


def _reason(checks: Sequence[Check], found: Detectable | None) -> Refusal:
    """One refusal with every failed reason in it; the short one when the record lacks some."""
    helps = ("ask_closure", "more_quarters", "export_visits", "panel_overlap")
    failed = {check.key: check.figures for check in checks if not check.passed}
    if {"quarters_after", "simultaneous_shocks", "user_level", "detectable_effect"} <= set(
        failed
    ) and found is not None:
        parts = {
            "metric": found.metric.replace("_", " "),
            "quarters": str(failed["quarters_after"]["quarters"]),
            "shocks": str(failed["simultaneous_shocks"]["shocks"]),
            "days": str(NEAR),
            "last": str(failed["user_level"]["last"]),
            "detectable": str(failed["detectable_effect"]["detectable"]),
            "plausible": str(failed["detectable_effect"]["plausible"]),
        }
        return Refusal("public_quarters", parts, helps)
    return Refusal("no_daily_impact", {"failed": str(len(failed)), "checks": str(len(checks))}, helps)
