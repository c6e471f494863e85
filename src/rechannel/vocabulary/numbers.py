"""One formatter for every number a reader sees: 万/亿 or K/M/B, digits by the interval, minus and range signs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

from rechannel.vocabulary.wording import Language

MINUS = "\u2212"
RANGE = "\u2013"
MOST_DIGITS = 3
_QUARTER = re.compile(r"(\d{4})Q([1-4])")


@dataclass(frozen=True, slots=True)
class Scale:
    """A power of ten with its word."""

    factor: float
    word: str


_SCALES: dict[Language, tuple[Scale, ...]] = {
    "zh-Hans": (Scale(1e12, "万亿"), Scale(1e8, "亿"), Scale(1e4, "万")),
    "zh-Hant": (Scale(1e12, "萬億"), Scale(1e8, "億"), Scale(1e4, "萬")),
    "en": (Scale(1e12, "T"), Scale(1e9, "B"), Scale(1e6, "M"), Scale(1e4, "K")),
}
_EN_THOUSAND = 1e3


def scale_of(size: float, language: Language) -> Scale:
    """The scale in which a number of this size is printed (one scale for an estimate and its ends)."""
    for scale in _SCALES[language]:
        if abs(size) >= scale.factor:
            return Scale(_EN_THOUSAND, "K") if scale.word == "K" else scale
    return Scale(1.0, "")


def decimals_of(value: float, width: float) -> int:
    """Decimals that show the 2nd significant digit of the interval width, and at most 3 digits of the value."""
    by_width = 1 - math.floor(math.log10(width)) if width > 0 and math.isfinite(width) else 1
    size = max(abs(value), 1e-12)
    by_value = MOST_DIGITS - 1 - math.floor(math.log10(size))
    return max(0, min(by_width, by_value, 4))


def _signed(value: float, decimals: int, *, plus: bool = False) -> str:
    rounded = round(value, decimals)
    digits = f"{abs(rounded):,.{decimals}f}"
    if rounded == 0:
        return digits
    if rounded < 0:
        return f"{MINUS}{digits}"
    return f"+{digits}" if plus else digits


def _join(number: str, word: str, language: Language) -> str:
    return f"{number}{word}" if language == "en" or not word else f"{number} {word}"


def number(value: float, language: Language, *, width: float = math.nan) -> str:
    """A count with its scale word: 9,832; 41.2 万; 2.94B.

    Parameters
    ----------
    value
        The number.
    width
        Width of its interval, which sets the digits; not finite: three significant digits.

    Examples
    --------
    >>> number(412000, "zh-Hans"), number(412000, "en"), number(9832, "en")
    ('41.2 万', '412K', '9,832')
    """
    scale = scale_of(value, language)
    scaled = value / scale.factor
    if math.isfinite(width) and width > 0:
        decimals = decimals_of(scaled, width / scale.factor)
    elif scale.word or abs(value) < 100:
        decimals = 0 if float(scaled).is_integer() else decimals_of(scaled, 0.0 if scaled == 0 else abs(scaled) / 10)
    else:
        decimals = 0
    return _join(_signed(scaled, decimals), scale.word, language)


def span(low: float, high: float, language: Language) -> str:
    """An interval on one scale: 21–41 亿; 2.1B–4.1B."""
    scale = scale_of(max(abs(low), abs(high)), language)
    a, b = low / scale.factor, high / scale.factor
    decimals = decimals_of(max(abs(a), abs(b)), abs(b - a))
    left, right = _signed(a, decimals), _signed(b, decimals)
    dash = RANGE if min(low, high) >= 0 else f" {RANGE} "
    if language == "en":
        return f"{left}{scale.word}{dash}{right}{scale.word}"
    return _join(f"{left}{dash}{right}", scale.word, language)


def with_span(value: float, low: float, high: float, language: Language, unit: str = "") -> str:
    """An estimate with its interval on one scale: 29 亿（21–41 亿）; 2.9B (2.1B–4.1B)."""
    middle, ends = apart(value, low, high, language)
    prefix = f"{unit} " if unit else ""
    return f"{prefix}{middle} ({ends})" if language == "en" else f"{prefix}{middle}（{ends}）"


def apart(value: float, low: float, high: float, language: Language) -> tuple[str, str]:
    """An estimate and its interval on one scale, for two columns: ("29 亿", "21–41 亿")."""
    scale = scale_of(max(abs(low), abs(high), abs(value)), language)
    decimals = decimals_of(max(abs(low), abs(high)) / scale.factor, abs(high - low) / scale.factor)
    return _join(_signed(value / scale.factor, decimals), scale.word, language), span(low, high, language)


def percent(share: float, *, width: float = math.nan) -> str:
    """A share as percent: 32%; 3.1%."""
    value = 100 * share
    decimals = decimals_of(value, 100 * width) if math.isfinite(width) else int(abs(value) < 10)
    return f"{_signed(value, min(decimals, 1))}%"


def chance(probability: float) -> str:
    """A probability as percent; one beyond the data's reach is no certainty: >99%, <1%.

    >>> chance(0.9999), chance(0.5), chance(0.0001)
    ('>99%', '50%', '<1%')
    """
    if probability > 0.99:
        return ">99%"
    return "<1%" if probability < 0.01 else f"{100 * probability:.0f}%"


def percent_span(low: float, high: float) -> str:
    """27%–37%."""
    width = abs(high - low)
    dash = RANGE if min(low, high) >= 0 else f" {RANGE} "
    return f"{percent(low, width=width)}{dash}{percent(high, width=width)}"


def points(share: float, language: Language) -> str:
    """A difference of shares in percentage points."""
    value = _signed(100 * share, 1, plus=True)
    unit = {"en": "pp", "zh-Hans": "个百分点", "zh-Hant": "個百分點"}[language]
    return f"{value} {unit}"


def money(value: float, currency: str, language: Language, *, width: float = math.nan) -> str:
    """An amount with its currency: CNY 2.94B; CNY 29.4 亿."""
    return f"{currency} {number(value, language, width=width)}"


def quarter(value: str, language: Language) -> str:
    """A quarter of the year: Q1 2025; 2025年第1季度. Anything else stays as it is.

    >>> quarter("2025Q1", "en")
    'Q1 2025'
    """
    found = _QUARTER.fullmatch(value)
    if not found:
        return value
    year, part = found.groups()
    return f"Q{part} {year}" if language == "en" else f"{year}年第{part}季度"


def day(value: date, language: Language) -> str:
    """30 Sep 2025; 2025年9月30日."""
    if language == "en":
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[value.month - 1]
        return f"{value.day} {month} {value.year}"
    return f"{value.year}年{value.month}月{value.day}日"
