"""Charts of intervals as ECharts options: dots in lines, dots over periods, and a mark beside them for last touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rechannel.report.colours import AXIS, COUNTERFACTUAL, PAPER, TEXT
from rechannel.report.figures import NARROW, WIDE, Figure, Ticks, round_ticks, tidy, value_axis
from rechannel.report.render import Drawing, Json
from rechannel.vocabulary.estimate import LEVELS
from rechannel.vocabulary.wording import Language

BARS: tuple[tuple[float, float, int], ...] = ((0.95, 0.25, 4), (0.9, 0.35, 6), (0.5, 0.6, 9))
"""Coverage, opacity and thickness of the bars under a dot, widest first."""

_MIDDLE = LEVELS.index(0.5)


@dataclass(frozen=True, slots=True)
class Dot:
    """One dot with its interval.

    Attributes
    ----------
    label, words
        What stands at its left (or below it) and at its right.
    quantiles
        At `LEVELS`.
    colour
        Of its role.
    beside
        Quantiles of what is compared with it, drawn as a tick on a hairline; empty for none.
    """

    label: str
    quantiles: tuple[float, ...]
    words: str
    colour: str
    beside: tuple[float, ...] = ()


def dot_figure(
    name: str,
    axis: str,
    description: str,
    dots: Sequence[Dot],
    language: Language,
    *,
    share: bool,
    among: Sequence[Dot] = (),
) -> Figure:
    """Medians as dots on their 50, 90 and 95 % intervals, one line each, with the words at the right.

    Parameters
    ----------
    dots
        Lines from top to bottom.
    share
        The values are shares and the axis is in percent.
    among
        Dots of the panel above or below: both panels get one axis.
    """
    wide, narrow = (_dot_drawing(dots, (*dots, *among), language, width, share=share) for width in (WIDE, NARROW))
    return Figure(name, axis, description, wide, narrow)


def period_figure(name: str, axis: str, description: str, dots: Sequence[Dot], language: Language) -> Figure:
    """Medians as dots on their standing 50, 90 and 95 % intervals, one period beside the other.

    Parameters
    ----------
    dots
        Periods from left to right, labelled "2025 Q3": the year is drawn where it changes; their words are not drawn.
    """
    wide, narrow = (_period_drawing(dots, language, width) for width in (WIDE, NARROW))
    return Figure(name, axis, description, wide, narrow)


@dataclass(frozen=True, slots=True)
class Cloud:
    """One mark among many: what was seen now, beside what is seen when nothing happens.

    Attributes
    ----------
    label, words
        What stands at its left and at its right.
    around
        The usual values.
    value
        The one that stands out or does not.
    colour
        Of its role.
    """

    label: str
    around: tuple[float, ...]
    value: float
    words: str
    colour: str


def cloud_figure(name: str, axis: str, description: str, clouds: Sequence[Cloud], language: Language) -> Figure:
    """Shares as small marks, one line each, with a large mark for the one in question and the words at the right."""
    wide, narrow = (_cloud_drawing(clouds, language, width) for width in (WIDE, NARROW))
    return Figure(name, axis, description, wide, narrow)


def _cloud_drawing(clouds: Sequence[Cloud], language: Language, width: int) -> Drawing:
    every = [value for cloud in clouds for value in (*cloud.around, cloud.value)]
    ticks = round_ticks(min(every), max(every), most=6 if width == WIDE else 4, zero=True)
    usual: list[Json] = [[tidy(value), at] for at, cloud in enumerate(clouds) for value in cloud.around]
    faint: Json = {"color": COUNTERFACTUAL, "opacity": 0.3}
    points: list[Json] = [
        {
            "value": [tidy(cloud.value), at],
            "itemStyle": {"color": cloud.colour, "borderColor": PAPER, "borderWidth": 1.5, "opacity": 1},
        }
        for at, cloud in enumerate(clouds)
    ]
    series: list[Json] = [
        {"type": "scatter", "silent": True, "z": 2, "symbolSize": 8, "data": usual, "itemStyle": faint},
        {"type": "scatter", "silent": True, "z": 3, "symbol": "diamond", "symbolSize": 16, "data": points},
    ]
    lines = [(cloud.label, cloud.words) for cloud in clouds]
    return _lines_drawing(lines, ticks, series, language, width, share=True)


def _ends(quantiles: Sequence[float], coverage: float) -> tuple[float, float]:
    """The interval of one coverage."""
    low, high = (LEVELS.index(round((1 + sign * coverage) / 2, 4)) for sign in (-1, 1))
    return tidy(quantiles[low]), tidy(quantiles[high])


def _ticks(dots: Sequence[Dot], most: int) -> Ticks:
    every = [value for dot in dots for value in (*dot.quantiles, *_ends_of(dot.beside))]
    return round_ticks(min(every), max(every), most=most, zero=True)


def _ends_of(beside: Sequence[float]) -> tuple[float, ...]:
    return _ends(beside, 0.9) if beside else ()


def _bars(dots: Sequence[Dot], bound: str, place: str) -> list[Json]:
    """The bars under every dot and the hairline of what stands beside it."""
    series: list[Json] = []
    for at, dot in enumerate(dots):
        drawn = [(*_ends(dot.quantiles, coverage), opacity, thick, dot.colour) for coverage, opacity, thick in BARS]
        if dot.beside:
            drawn.append((*_ends(dot.beside, 0.9), 0.7, 1, COUNTERFACTUAL))
        for low, high, opacity, thick, colour in drawn:
            item: Json = {
                "$bound": bound,
                place: at,
                "low": low,
                "high": high,
                "thick": thick,
                "fill": colour,
                "opacity": opacity,
            }
            series.append({"type": "custom", "silent": True, "z": 2, "data": [[0, 0]], "renderItem": item})
    return series


def _marks(dots: Sequence[Dot], *, upright: bool) -> list[Json]:
    """Medians as dots, and ticks for what stands beside them."""

    def spot(value: float, at: int) -> list[Json]:
        return [at, tidy(value)] if upright else [tidy(value), at]

    points: list[Json] = [
        {
            "value": spot(dot.quantiles[_MIDDLE], at),
            "itemStyle": {"color": dot.colour, "borderColor": PAPER, "borderWidth": 1.5, "opacity": 1},
        }
        for at, dot in enumerate(dots)
    ]
    ticks: list[Json] = [
        {"value": spot(dot.beside[_MIDDLE], at), "itemStyle": {"color": COUNTERFACTUAL, "opacity": 1}}
        for at, dot in enumerate(dots)
        if dot.beside
    ]
    size: list[Json] = [20, 3] if upright else [3, 20]
    return [
        {"type": "scatter", "silent": True, "z": 3, "symbolSize": 11, "data": points},
        {"type": "scatter", "silent": True, "z": 4, "symbol": "rect", "symbolSize": size, "data": ticks},
    ]


def _zero(axis: str) -> Json:
    style: Json = {"color": AXIS, "width": 1, "type": "solid"}
    zero: list[Json] = [{axis: 0, "label": {"show": False}, "lineStyle": style}]
    mark: Json = {"silent": True, "symbol": "none", "data": zero}
    return {"type": "scatter", "data": [], "silent": True, "z": 1, "markLine": mark}


def cut(label: str, most: int) -> str:
    """A label of at most `most` half-width columns."""
    used, kept = 0, ""
    for character in label:
        used += 2 if ord(character) > 0x2E7F else 1
        if used > most:
            return f"{kept.rstrip()}…"
        kept += character
    return kept


def _words(places: Sequence[int], words: dict[str, Json], size: float) -> dict[str, Json]:
    """Words at given places of an axis of numbers."""
    return {
        "customValues": list(places),
        "color": TEXT,
        "fontSize": size,
        "formatter": {"$bound": "words", "words": words},
    }


def _dot_drawing(dots: Sequence[Dot], among: Sequence[Dot], language: Language, width: int, *, share: bool) -> Drawing:
    ticks = _ticks(among, 6 if width == WIDE else 4)
    series = [*_bars(dots, "whisker", "row"), *_marks(dots, upright=False)]
    return _lines_drawing([(dot.label, dot.words) for dot in dots], ticks, series, language, width, share=share)


def _lines_drawing(
    lines: Sequence[tuple[str, str]],
    ticks: Ticks,
    series: Sequence[Json],
    language: Language,
    width: int,
    *,
    share: bool,
) -> Drawing:
    """Marks in lines under each other, each with a label at its left and words at its right; above it on a phone."""
    wide = width == WIDE
    names: dict[str, Json] = {str(i): cut(label, 24 if wide else 20) for i, (label, _) in enumerate(lines)}
    words: dict[str, Json] = {str(i): said for i, (_, said) in enumerate(lines)}
    both: dict[str, Json] = {i: f"{name}  {words[i]}" for i, name in names.items()}
    rows: dict[str, Json] = {
        "type": "value",
        "min": -0.5,
        "max": len(lines) - 0.5,
        "inverse": True,
        "splitLine": {"show": False},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
    }
    places = range(len(lines))
    above: dict[str, Json] = {"inside": True, "margin": 0, "verticalAlign": "bottom", "padding": [0, 0, 11, 2]}
    above |= {"textBorderColor": PAPER, "textBorderWidth": 3}
    option: dict[str, Json] = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 190 if wide else 8, "right": 190 if wide else 26, "top": 6 if wide else 10, "bottom": 26},
        "xAxis": value_axis(ticks, language, share=share),
        "yAxis": [
            {**rows, "axisLabel": _words(places, names, 12.5)},
            {**rows, "position": "right", "axisLabel": _words(places, words, 12)},
        ]
        if wide
        else [{**rows, "axisLabel": {**_words(places, both, 12), **above}}],  # no room beside the bars: words above
        "series": [*series, _zero("xAxis")],
    }
    return Drawing(option, width, 40 + (34 if wide else 48) * len(lines))


def _period_drawing(dots: Sequence[Dot], language: Language, width: int) -> Drawing:
    wide = width == WIDE
    ticks = _ticks(dots, 5 if wide else 4)
    stride = -(-len(dots) // (12 if wide else 5))
    places = range((len(dots) - 1) % stride, len(dots), stride)  # the newest period always has its word
    words: dict[str, Json] = {}
    year = ""
    for i in places:
        head, _, rest = dots[i].label.partition(" ")
        words[str(i)] = cut(rest if rest and head == year else dots[i].label, 9)
        year = head
    columns: dict[str, Json] = {
        "type": "value",
        "min": -0.6,
        "max": len(dots) - 0.4,
        "splitLine": {"show": False},
        "axisLine": {"onZero": False, "lineStyle": {"color": AXIS}},
        "axisTick": {"show": False},
        "axisLabel": _words(places, words, 12 if wide else 11),
    }
    option: dict[str, Json] = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 62 if wide else 54, "right": 18, "top": 12, "bottom": 26},
        "xAxis": columns,
        "yAxis": value_axis(ticks, language),
        "series": [*_bars(dots, "column", "at"), *_marks(dots, upright=True), _zero("yAxis")],
    }
    return Drawing(option, width, 230 if wide else 200)
