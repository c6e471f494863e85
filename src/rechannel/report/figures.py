"""Charts of an answer as ECharts options: paths with bands, gaps, sums, and dots with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.answers.answer import Path
from rechannel.report.colours import AXIS, COUNTERFACTUAL, GRID, OWN, PAPER, RULE, TEXT
from rechannel.report.render import Drawing, Json
from rechannel.tables.panel import DateArray, to_date
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, FloatArray
from rechannel.vocabulary.wording import Language, text

BANDS: tuple[tuple[float, float], ...] = ((0.95, 0.10), (0.8, 0.13), (0.5, 0.18))
"""Coverage and opacity of the bands drawn over each other, widest first; together about 10, 22 and 36 %."""

WIDE, NARROW = 880, 336
_FEW_DAYS = 70
_ZERO_WITHIN = 0.55
"""An axis starts at zero unless the data use less than this share of it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One panel in two widths, with what stands around it in the page.

    Attributes
    ----------
    name
        Unique within its chart; ASCII.
    axis
        What the vertical axis measures, with its unit; printed above the panel.
    description
        Read aloud in place of the picture.
    wide, narrow
        The same panel for a desk and for a phone.
    cut_axis
        The vertical axis does not start at zero.
    """

    name: str
    axis: str
    description: str
    wide: Drawing
    narrow: Drawing
    cut_axis: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """One line of a dot plot: quantiles at `LEVELS`, the words at its right, and the colour of its role."""

    label: str
    quantiles: tuple[float, ...]
    words: str
    colour: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a day panel, shape [date]."""

    values: FloatArray
    colour: str
    dashed: bool = False
    width: float = 2.0


@dataclass(frozen=True, slots=True)
class Fan:
    """Quantiles of a day panel, shape [date, level], drawn as three bands in one hue."""

    levels: FloatArray
    colour: str


@dataclass(frozen=True, slots=True)
class Ticks:
    """Evenly spaced round ticks that hold every value."""

    low: float
    high: float
    step: float


def round_ticks(low: float, high: float, *, most: int, zero: bool) -> Ticks:
    """At most `most` steps of 1, 2, 2.5 or 5 times a power of ten around [low, high].

    >>> round_ticks(12.0, 96.0, most=5, zero=True)
    Ticks(low=0.0, high=100.0, step=20.0)
    """
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0):
        step = factor * power
        bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        if (top - bottom) / step <= most + 1e-9:
            return Ticks(bottom, top, step)
    raise AssertionError("a step of 20 times the power always fits")


def day_words(dates: DateArray, language: Language, *, most: int) -> dict[int, str]:
    """Position -> words of at most `most` + 1 ticks: month starts, or Mondays when the span is short."""
    days = [to_date(day) for day in dates]
    if (days[-1] - days[0]).days <= _FEW_DAYS:
        starts = [i for i, day in enumerate(days) if day.weekday() == 0]
        chosen = starts[:: max(1, math.ceil(len(starts) / most))]
        return {i: _day_word(days[i], language) for i in chosen}
    starts = [i for i, day in enumerate(days) if day.day == 1]
    stride = next(s for s in (1, 2, 3, 6, 12, 24, 48) if math.ceil(len(starts) / s) <= most)
    chosen = [i for i in starts if (days[i].month - 1) % stride == 0] if stride <= 12 else starts[::stride]
    return {i: _month_word(days[i], language, first=i == chosen[0]) for i in chosen}


def _day_word(day: date, language: Language) -> str:
    return numbers.day(day, language).rsplit(" ", 1)[0] if language == "en" else f"{day.month}月{day.day}日"


def _month_word(day: date, language: Language, *, first: bool) -> str:
    whole = numbers.day(day, language)
    if language == "en":
        month = whole.split()[1]
        return f"{month} {day.year}" if first or day.month == 1 else month
    return f"{day.year}年{day.month}月" if first or day.month == 1 else f"{day.month}月"


def _runs(values: FloatArray) -> list[tuple[int, int]]:
    """Start and end of every stretch without nan; values of shape [date] or [date, level]."""
    finite = np.isfinite(values if values.ndim == 1 else values.sum(axis=1))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], finite.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _tidy(value: float) -> float:
    """Six significant digits: finer than a pixel, and the same text on every machine."""
    return float(f"{value:.6g}")


def _band_series(fan: Fan) -> list[Json]:
    series: list[Json] = []
    for coverage, opacity in BANDS:
        low_at, high_at = LEVELS.index(round((1 - coverage) / 2, 4)), LEVELS.index(round((1 + coverage) / 2, 4))
        for start, end in _runs(fan.levels):
            points: list[Json] = [
                [i, _tidy(float(fan.levels[i, low_at])), _tidy(float(fan.levels[i, high_at]))]
                for i in range(start, end)
            ]
            bound: Json = {"$bound": "band", "points": points, "fill": fan.colour, "opacity": opacity}
            series.append(
                {"type": "custom", "silent": True, "clip": True, "z": 2, "data": [[0, 0]], "renderItem": bound}
            )
    return series


def _line_series(line: Line) -> Json:
    data: list[Json] = [[i, _tidy(float(v)) if math.isfinite(v) else None] for i, v in enumerate(line.values)]
    style: Json = {"color": line.colour, "width": line.width, "type": [5, 4] if line.dashed else "solid"}
    return {"type": "line", "silent": True, "showSymbol": False, "z": 3, "data": data, "lineStyle": style}


def _rule(position: int, word: str, *, dotted: bool, left: bool) -> Json:
    label: Json = {
        "formatter": {"$bound": "word", "word": word},
        "color": TEXT,
        "fontSize": 11.5,
        "position": "end",
        "align": "right" if left else "left",
        "verticalAlign": "middle",
        "distance": 7,
        "textBorderWidth": 0,
        "padding": [0, 2],
    }
    style: Json = {"color": RULE, "width": 1.2, "type": [2, 3] if dotted else "solid"}
    return {"xAxis": position, "label": label, "lineStyle": style}


def _value_axis(ticks: Ticks, language: Language, *, share: bool = False) -> dict[str, Json]:
    size = max(abs(ticks.low), abs(ticks.high))
    formatter: Json = (
        {"$bound": "axisPercent", "step": ticks.step}
        if share
        else {"$bound": "axisNumber", "size": size, "step": ticks.step, "language": language}
    )
    return {
        "type": "value",
        "min": ticks.low,
        "max": ticks.high,
        "interval": ticks.step,
        "axisLabel": {"color": TEXT, "fontSize": 12, "formatter": formatter},
        "splitLine": {"lineStyle": {"color": GRID}},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
    }


@dataclass(frozen=True, slots=True)
class DayPanel:
    """What one day panel shows: lines and bands on shared days, and the days of the intervention and its notice."""

    dates: DateArray
    lines: tuple[Line, ...]
    fans: tuple[Fan, ...]
    on: date
    announced: date | None
    zero: bool
    height: int
    rule_words: bool

    def finite(self) -> FloatArray:
        """Every value that must fit, shape [value]."""
        parts = [line.values.ravel() for line in self.lines] + [fan.levels[:, [0, -1]].ravel() for fan in self.fans]
        every = np.concatenate(parts)
        return np.asarray(every[np.isfinite(every)])


def _day_drawing(panel: DayPanel, language: Language, width: int) -> tuple[Drawing, Ticks]:
    wide = width == WIDE
    values = panel.finite()
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    zero = panel.zero or low <= 0 <= high or (high - low) > _ZERO_WITHIN * max(abs(low), abs(high))
    ticks = round_ticks(low, high, most=5 if wide else 4, zero=zero)
    words = day_words(panel.dates, language, most=9 if wide else 3)
    first = to_date(panel.dates[0])
    rules: list[Json] = []
    for day, key, dotted in ((panel.announced, "announced", True), (panel.on, "on", False)):
        position = (day - first).days if day else -1
        if day and 0 <= position < len(panel.dates):
            word = text(f"chart.{key}" if wide else f"chart.{key}_short", language, day=_day_word(day, language))
            left = dotted or position > 0.75 * len(panel.dates)
            rules.append(
                _rule(
                    position,
                    word if panel.rule_words else "",
                    dotted=dotted,
                    left=left and not (position < 0.25 * len(panel.dates)),
                )
            )
    series = [*(s for fan in panel.fans for s in _band_series(fan)), *(_line_series(line) for line in panel.lines)]
    marks: Json = {"silent": True, "symbol": "none", "data": rules}
    zero_line: list[Json] = [
        {"yAxis": 0, "label": {"show": False}, "lineStyle": {"color": AXIS, "width": 1, "type": "solid"}}
    ]
    below: Json = {"silent": True, "symbol": "none", "data": zero_line if ticks.low <= 0 <= ticks.high else []}
    series += [
        {"type": "line", "data": [], "silent": True, "z": 4, "markLine": marks},
        {"type": "line", "data": [], "silent": True, "z": 1, "markLine": below},
    ]
    positions: list[Json] = list(words)
    option: dict[str, Json] = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 62 if wide else 54, "right": 18, "top": 24 if panel.rule_words else 10, "bottom": 26},
        "xAxis": {
            "type": "value",
            "min": 0,
            "max": len(panel.dates) - 1,
            "axisTick": {"customValues": positions, "length": 4, "lineStyle": {"color": AXIS}},
            "axisLabel": {
                "customValues": positions,
                "color": TEXT,
                "fontSize": 12,
                "hideOverlap": True,
                "formatter": {"$bound": "words", "words": {str(i): word for i, word in words.items()}},
            },
            "axisLine": {"onZero": False, "lineStyle": {"color": AXIS}},
            "splitLine": {"show": False},
        },
        "yAxis": _value_axis(ticks, language),
        "series": series,
    }
    return Drawing(option, width, panel.height if wide else round(panel.height * 0.82)), ticks


def _day_figure(name: str, axis: str, description: str, panel: DayPanel, language: Language) -> Figure:
    wide, ticks = _day_drawing(panel, language, WIDE)
    narrow, _ = _day_drawing(panel, language, NARROW)
    cut = not ticks.low <= 0 <= ticks.high
    return Figure(name, axis, description, wide, narrow, cut_axis=cut)


def is_forecast(path: Path) -> bool:
    """Whether no day of the window has been observed yet."""
    return not np.isfinite(path.observed[path.dates >= np.datetime64(path.on, "D")]).any()


def gap_of(path: Path) -> FloatArray | None:
    """Open minus what was observed per day, shape [date, level]; None when the closed path is itself uncertain.

    Quantiles of a difference follow from quantiles of one side only when the other side is known.
    """
    spread = path.closed_path[:, -1] - path.closed_path[:, 0]
    if np.any(np.nan_to_num(spread) > 1e-9 * (1 + np.nanmax(np.abs(path.open_path), initial=0))):
        return None
    return np.asarray(path.open_path - path.observed[:, None])


def path_figures(path: Path, language: Language, unit: str, who: str) -> tuple[Figure, ...]:
    """The trio of an intervention: levels, daily gap, cumulative gap; the gap only where it is known draw by draw.

    Parameters
    ----------
    path
        Days on both paths.
    unit
        The metric in words (visits, orders, CNY).
    who
        The channel or the total, in words.
    """
    middle = LEVELS.index(0.5)

    def panel(name: str, lines: Sequence[Line], fans: Sequence[Fan], height: int) -> Figure:
        levels = name == "levels"
        made = DayPanel(
            path.dates,
            tuple(lines),
            tuple(fans),
            path.on,
            path.announced,
            zero=not levels,
            height=height,
            rule_words=levels,
        )
        axis = text(f"chart.{name}", language, unit=unit)
        aloud = text(f"chart.{name}_aloud", language, who=who, unit=unit)
        return _day_figure(name, axis[:1].upper() + axis[1:], aloud, made, language)

    lines = [Line(path.open_path[:, middle], COUNTERFACTUAL, dashed=True, width=1.8), Line(path.observed, OWN)]
    fans = [Fan(path.open_path, COUNTERFACTUAL)]
    if is_forecast(path):
        fans.append(Fan(path.closed_path, OWN))
        lines.append(Line(path.closed_path[:, middle], OWN))
    figures = [panel("levels", lines, fans, 310)]
    gap = gap_of(path)
    if gap is not None:
        figures.append(panel("gap", [Line(gap[:, middle], OWN, width=1.6)], [Fan(gap, OWN)], 190))
    if np.isfinite(path.cumulative).any():
        figures.append(panel("sum", [Line(path.cumulative[:, middle], OWN)], [Fan(path.cumulative, OWN)], 210))
    return tuple(figures)


def dot_figure(
    name: str, axis: str, description: str, dots: Sequence[Dot], language: Language, *, share: bool
) -> Figure:
    """Medians as dots on their 50, 90 and 95 % intervals, one line each, with the words at the right.

    Parameters
    ----------
    dots
        Lines from top to bottom.
    share
        The values are shares and the axis is in percent.
    """
    wide = _dot_drawing(dots, language, WIDE, share=share)
    narrow = _dot_drawing(dots, language, NARROW, share=share)
    return Figure(name, axis, description, wide, narrow)


def cut(label: str, most: int) -> str:
    """A label of at most `most` half-width columns."""
    used, kept = 0, ""
    for character in label:
        used += 2 if ord(character) > 0x2E7F else 1
        if used > most:
            return f"{kept.rstrip()}…"
        kept += character
    return kept


def _dot_drawing(dots: Sequence[Dot], language: Language, width: int, *, share: bool) -> Drawing:
    wide = width == WIDE
    low = min(dot.quantiles[0] for dot in dots)
    high = max(dot.quantiles[-1] for dot in dots)
    ticks = round_ticks(low, high, most=6 if wide else 3, zero=True)
    series: list[Json] = []
    for row, dot in enumerate(dots):
        for coverage, opacity, thick in ((0.95, 0.25, 4), (0.9, 0.35, 6), (0.5, 0.6, 9)):
            at = [LEVELS.index(round((1 + sign * coverage) / 2, 4)) for sign in (-1, 1)]
            bound: Json = {
                "$bound": "whisker",
                "row": row,
                "low": _tidy(dot.quantiles[at[0]]),
                "high": _tidy(dot.quantiles[at[1]]),
                "height": thick,
                "fill": dot.colour,
                "opacity": opacity,
            }
            series.append({"type": "custom", "silent": True, "z": 2, "data": [[0, row]], "renderItem": bound})
    middle = LEVELS.index(0.5)
    points: list[Json] = [
        {
            "value": [_tidy(dot.quantiles[middle]), row],
            "itemStyle": {"color": dot.colour, "borderColor": PAPER, "borderWidth": 1.5, "opacity": 1},
        }
        for row, dot in enumerate(dots)
    ]
    series.append({"type": "scatter", "silent": True, "z": 3, "symbolSize": 11, "data": points})
    zero: list[Json] = [
        {"xAxis": 0, "label": {"show": False}, "lineStyle": {"color": AXIS, "width": 1, "type": "solid"}}
    ]
    series.append(
        {
            "type": "scatter",
            "data": [],
            "silent": True,
            "z": 1,
            "markLine": {"silent": True, "symbol": "none", "data": zero},
        }
    )
    names: dict[str, Json] = {str(i): cut(dot.label, 24 if wide else 13) for i, dot in enumerate(dots)}
    words: dict[str, Json] = {str(i): dot.words for i, dot in enumerate(dots)}
    rows: dict[str, Json] = {
        "type": "value",
        "min": -0.5,
        "max": len(dots) - 0.5,
        "inverse": True,
        "splitLine": {"show": False},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
    }
    places: list[Json] = list(range(len(dots)))
    left: dict[str, Json] = {
        "customValues": places,
        "color": TEXT,
        "fontSize": 12.5,
        "formatter": {"$bound": "words", "words": names},
    }
    right: dict[str, Json] = {
        "customValues": places,
        "color": TEXT,
        "fontSize": 12 if wide else 11,
        "formatter": {"$bound": "words", "words": words},
    }
    option: dict[str, Json] = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 190 if wide else 92, "right": 190 if wide else 96, "top": 6, "bottom": 26},
        "xAxis": _value_axis(ticks, language, share=share),
        "yAxis": [{**rows, "axisLabel": left}, {**rows, "position": "right", "axisLabel": right}],
        "series": series,
    }
    return Drawing(option, width, 40 + 34 * len(dots))
