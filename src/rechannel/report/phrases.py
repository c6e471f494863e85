"""How estimates are put into words: amounts on one scale, likelihood words, metric names, grade changes."""

from __future__ import annotations

import math
from itertools import pairwise

from rechannel.report.facts import CaseFacts
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, Estimate, Quantiles, Quantity
from rechannel.vocabulary.wording import Language, has_text, text

LIKELIHOODS: tuple[tuple[float, str], ...] = (
    *((0.99, "p99"), (0.95, "p95"), (0.90, "p90"), (0.66, "p66"), (0.33, "p33")),
    *((0.10, "p10"), (0.05, "p05"), (0.01, "p01"), (0.0, "p00")),
)
"""Smallest probability -> `report.likelihood.<key>`; the terms of IPCC AR5, narrowest first."""

SHARES = ("share", "ratio", "rate")
SHARE_FIGURES = ("coverage", "halved", "doubled", "middle", "share")
"""Figures of checks that are shares."""
SMALL, TWO_DECIMALS = 10.0, 0.1


def amount(value: float, width: float, unit: str, facts: CaseFacts, language: Language) -> str:
    """A number with its unit in words: 412K visits; 41.2 万次访问; CNY 2.94B; 32%."""
    if unit in SHARES:
        return numbers.percent(value, width=width)
    if unit == facts.currency:
        return numbers.money(value, facts.currency, language, width=width)
    return _counted(numbers.number(value, language, width=width), unit, language)


def _counted(number: str, unit: str, language: Language) -> str:
    gap = " " if language != "en" and number[-1].isdigit() else ""
    if has_text(f"report.amount.{unit}"):
        return text(f"report.amount.{unit}", language, n=number + gap)
    return f"{number} {unit}"


def median_and_interval(quantiles: Quantiles, unit: str, facts: CaseFacts, language: Language) -> tuple[str, str]:
    """Median and 90 % interval on one scale, without the unit of a count."""
    low, high = quantiles.interval(0.9)
    if unit in SHARES:
        return numbers.percent(quantiles.median, width=high - low), numbers.percent_span(low, high)
    money = facts.currency if unit == facts.currency else ""
    both = numbers.with_span(quantiles.median, low, high, language, money)
    median, _, span = both.rpartition(" (" if language == "en" else "（")
    return median, span[:-1]


def with_interval(quantiles: Quantiles, unit: str, facts: CaseFacts, language: Language) -> str:
    """Median (low-high) on one scale; a value that is observed or agreed has no interval and says so."""
    if quantiles.is_known:
        bare = unit not in (*SHARES, facts.currency)
        number = numbers.number(quantiles.median, language)
        value = number if bare else amount(quantiles.median, math.nan, unit, facts, language)
        return text("report.known", language, value=value)
    median, span = median_and_interval(quantiles, unit, facts, language)
    return f"{median} ({span})" if language == "en" else f"{median}（{span}）"


def spoken(quantiles: Quantiles, unit: str, facts: CaseFacts, language: Language) -> str:
    """Size of the median with its unit, without its sign: for sentences whose verb carries the direction."""
    low, high = quantiles.interval(0.9)
    median, _ = median_and_interval(quantiles, unit, facts, language)
    if unit in SHARES or unit == facts.currency:
        return amount(abs(quantiles.median), high - low, unit, facts, language)
    return _counted(median.lstrip(numbers.MINUS), unit, language)


def spoken_span(quantiles: Quantiles, unit: str, facts: CaseFacts, language: Language) -> str:
    """Size of the median with its unit and its interval, the sign left to the verb: 412K visits (300K–520K)."""
    sized = quantiles.mirrored() if quantiles.median < 0 else quantiles
    _, span = median_and_interval(sized, unit, facts, language)
    size = spoken(sized, unit, facts, language)
    return f"{size} ({span})" if language == "en" else f"{size}（{span}）"


def heading(words: str) -> str:
    """The words with a capital in front, where the script has one."""
    return words[:1].upper() + words[1:]


def unit_word(unit: str, facts: CaseFacts, language: Language) -> str:
    """The unit as a word for axes and headings."""
    if unit == facts.currency:
        return facts.currency
    return text(f"report.unit.{unit}", language) if has_text(f"report.unit.{unit}") else unit


def probability_above_zero(quantiles: Quantiles) -> tuple[float, str]:
    """P(quantity > 0) read off the nine quantiles; with `above` or `below` when it lies past the outer ones.

    Between two quantiles the distribution is taken as linear.
    """
    if quantiles.values[0] > 0:
        return 1 - LEVELS[0], "above"
    if quantiles.values[-1] <= 0:
        return 1 - LEVELS[-1], "below"
    for (low_level, low), (high_level, high) in pairwise(zip(LEVELS, quantiles.values, strict=True)):
        if low <= 0 < high:
            return 1 - (low_level + (high_level - low_level) * (0 - low) / (high - low)), ""
    raise AssertionError("zero lies between two of the quantiles")


def likelihood(quantiles: Quantiles, language: Language) -> str:
    """How likely the quantity is a loss: the word of the table, always with its percentage."""
    probability, side = probability_above_zero(quantiles)
    key = next(key for smallest, key in LIKELIHOODS if probability >= smallest)
    percent = numbers.percent(probability, width=0.01 if side else 1.0)
    shown = text(f"report.likelihood.{side}", language, percent=percent) if side else percent
    return text("report.likelihood.line", language, word=text(f"report.likelihood.{key}", language), percent=shown)


def metric_name(metric: str, language: Language) -> str:
    """The metric's name on screen, as a heading."""
    return heading(text(f"metric.{metric}", language))


def method_name(method: str, language: Language) -> str:
    """The word for a method: a way of giving credit, or the metric that a ratio is about; its id otherwise."""
    for key in (f"report.method.{method}", f"metric.{method}"):
        if has_text(key):
            return text(key, language)
    return method


def row_name(row: Estimate, language: Language) -> str:
    """Metric and method of a row: Credited visits · last touch."""
    name = metric_name(row.metric, language)
    return f"{name} · {method_name(row.method, language)}" if row.method else name


def period_name(period: str, language: Language) -> str:
    """A period in words; a star marks one that was not whole."""
    whole = period.removesuffix("*")
    words = numbers.quarter(whole, language)
    return words if whole == period else text("report.part_of", language, period=words)


def changes(row: Estimate, language: Language) -> tuple[str, ...]:
    """What would change a number: its next grade, then the reasons why the grade is not higher."""
    if not isinstance(row.value, Quantity):
        return tuple(row.value.help(language))
    reasons = (
        text("report.change.held_down", language, reason=text(f"grade_reason.{key}", language))
        for key in row.value.grade_reasons
    )
    return (text(f"report.change.{row.value.grade.value}", language), *reasons)


def figures_line(figures: dict[str, float | str], language: Language) -> dict[str, str]:
    """Figures of a check or an evidence item, ready to print."""
    return {
        key: _word(key, value) if isinstance(value, str) else _figure(key, value, language)
        for key, value in figures.items()
    }


def _word(key: str, value: str) -> str:
    """The user's words as they are; names of public metrics without their underscores."""
    return value.replace("_", " ") if key == "metric" else value


def _figure(key: str, value: float, language: Language) -> str:
    """Shares as percents; small figures with two decimals, probabilities aside."""
    if key in SHARE_FIGURES:
        return numbers.percent(value, width=1.0)
    if key == "p_value" or abs(value) >= SMALL or float(value).is_integer():
        return numbers.number(value, language)
    return numbers.number(value, language, width=TWO_DECIMALS)


def host_name(host: str, language: Language) -> str:
    """The name of a well-known platform; the user's own word otherwise."""
    return text(f"report.host_name.{host}", language) if has_text(f"report.host_name.{host}") else host
