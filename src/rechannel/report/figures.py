"""Charts of days as ECharts options: paths with bands, gaps and sums, and the axes that all charts share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.answers.pictures import Path
from rechannel.report.colours import AXIS, COUNTERFACTUAL, GRID, OWN, RULE, TEXT
from rechannel.report.render import Drawing, Json
from rechannel.tables.panel import DateArray, to_date
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import LEVELS, FloatArray
from rechannel.vocabulary.wording import Language, text

BANDS: tuple[tuple[float, float], ...] = ((0.95, 0.10), (0.8, 0.13), (0.5, 0.18))
"""Coverage and opacity of the bands drawn over each other, widest first; together about 10, 22 and 36 %."""

WIDE, NARROW = 880, 336
_FEW_DAYS = 70
CHANGE, CLOSURE, DEMOTION = "change", "closure", "demotion"
"""Acts a path may show: a change that has happened, a closure and a demotion that may come."""
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
class Line:
    """A line over evenly spaced positions, shape [position]; nan = no mark."""

    values: FloatArray
    colour: str
    dashed: bool = False
    width: float = 2.0


@dataclass(frozen=True, slots=True)
class Fan:
    """Quantiles over evenly spaced positions, shape [position, level], drawn as three bands in one hue."""

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


def tidy(value: float) -> float:
    """Six significant digits: finer than a pixel, and the same text on every machine."""
    return float(f"{value:.6g}")


def band_series(fan: Fan) -> list[Json]:
    """The bands of a fan, one polygon for every stretch without a gap."""
    series: list[Json] = []
    for coverage, opacity in BANDS:
        low_at, high_at = LEVELS.index(round((1 - coverage) / 2, 4)), LEVELS.index(round((1 + coverage) / 2, 4))
        for start, end in _runs(fan.levels):
            points: list[Json] = [
                [i, tidy(float(fan.levels[i, low_at])), tidy(float(fan.levels[i, high_at]))] for i in range(start, end)
            ]
            bound: Json = {"$bound": "band", "points": points, "fill": fan.colour, "opacity": opacity}
            series.append(
                {"type": "custom", "silent": True, "clip": True, "z": 2, "data": [[0, 0]], "renderItem": bound}
            )
    return series


def line_series(line: Line) -> Json:
    """A line over positions 0, 1, ...; broken where it has no value."""
    data: list[Json] = [[i, tidy(float(v)) if math.isfinite(v) else None] for i, v in enumerate(line.values)]
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


def value_axis(ticks: Ticks, language: Language, *, share: bool = False) -> dict[str, Json]:
    """An axis of numbers on one scale, or of percents."""
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
    act: str

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
            named = f"chart.{panel.act}.{key}" if key == "on" and panel.act != CHANGE else f"chart.{key}"
            word = text(named if wide else f"chart.{key}_short", language, day=_day_word(day, language))
            left = dotted or position > 0.75 * len(panel.dates)
            rules.append(
                _rule(
                    position,
                    word if panel.rule_words else "",
                    dotted=dotted,
                    left=left and not (position < 0.25 * len(panel.dates)),
                )
            )
    series = [*(s for fan in panel.fans for s in band_series(fan)), *(line_series(line) for line in panel.lines)]
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
        "yAxis": value_axis(ticks, language),
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


def path_figures(path: Path, language: Language, unit: str, who: str, act: str = CHANGE) -> tuple[Figure, ...]:
    """The trio of an intervention: levels, daily gap, cumulative gap; the gap only where it is known draw by draw.

    Parameters
    ----------
    path
        Days on both paths.
    unit
        The metric in words (visits, orders, CNY).
    who
        The channel or the total, in words.
    act
        `CHANGE`, or `CLOSURE` and `DEMOTION` for what may come: the words around the lines differ.
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
            act=act,
        )
        room = "chart" if act == CHANGE else f"chart.{act}"
        axis = text(f"{room}.{name}", language, unit=unit)
        aloud = text(f"{room}.{name}_aloud", language, who=who, unit=unit)
        return _day_figure(name, axis[:1].upper() + axis[1:], aloud, made, language)

    opened = Line(path.open_path[:, middle], COUNTERFACTUAL, dashed=True, width=1.8)
    fans = [Fan(path.open_path, COUNTERFACTUAL)]
    if is_forecast(path):
        fans.append(Fan(path.closed_path, OWN))
        lines = [Line(path.observed, COUNTERFACTUAL, width=1.6), opened, Line(path.closed_path[:, middle], OWN)]
    else:
        lines = [opened, Line(path.observed, OWN)]
    figures = [panel("levels", lines, fans, 310)]
    gap = gap_of(path)
    if gap is not None and not is_forecast(path):
        figures.append(panel("gap", [Line(gap[:, middle], OWN, width=1.6)], [Fan(gap, OWN)], 190))
    if np.isfinite(path.cumulative).any():
        figures.append(panel("sum", [Line(path.cumulative[:, middle], OWN)], [Fan(path.cumulative, OWN)], 210))
    return tuple(figures)
