"""Charts over the age of customers as ECharts options: what was seen with its bands, what is expected dashed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rechannel.answers.pictures import RepeatCurve
from rechannel.report.colours import AXIS, COUNTERFACTUAL, OWN, TEXT
from rechannel.report.figures import NARROW, WIDE, Fan, Figure, Line, band_series, line_series, round_ticks, value_axis
from rechannel.report.render import Drawing, Json
from rechannel.vocabulary.estimate import LEVELS
from rechannel.vocabulary.wording import Language

_MIDDLE = LEVELS.index(0.5)


def age_figure(name: str, axis: str, description: str, curves: Sequence[RepeatCurve], language: Language) -> Figure:
    """Orders per customer by age: the asked channel over all customers, what is expected dashed.

    Parameters
    ----------
    curves
        Of one width of age; that of all customers is drawn in the colour of what is compared with.
    """
    wide, narrow = (_drawing(curves, language, width) for width in (WIDE, NARROW))
    return Figure(name, axis, description, wide, narrow)


def age_words(curve: RepeatCurve, at: int) -> str:
    """First and last day of an age, counted from the first order."""
    return f"{curve.age_days * at + 1}\u2013{curve.age_days * (at + 1)}"


def _drawing(curves: Sequence[RepeatCurve], language: Language, width: int) -> Drawing:
    wide = width == WIDE
    fans, lines = [], []
    for curve in sorted(curves, key=lambda one: one.channel is not None):
        colour = COUNTERFACTUAL if curve.channel is None else OWN
        fans.append(Fan(curve.seen, colour))
        lines.append(Line(curve.seen[:, _MIDDLE], colour, width=1.6 if curve.channel is None else 2.0))
        lines.append(Line(curve.expected, colour, dashed=True, width=1.6))
    values = np.concatenate([*(fan.levels.ravel() for fan in fans), *(line.values for line in lines)])
    values = values[np.isfinite(values)]
    ticks = round_ticks(0.0, float(values.max()) if values.size else 1.0, most=5 if wide else 4, zero=True)
    count = len(curves[0].expected)
    told = range(0, count, 2 if wide else 5)
    places: list[Json] = list(told)
    words: dict[str, Json] = {str(at): age_words(curves[0], at) for at in told}
    option: dict[str, Json] = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 62 if wide else 54, "right": 24, "top": 12, "bottom": 26},
        "xAxis": {
            "type": "value",
            "min": -0.3,
            "max": count - 0.7,
            "axisTick": {"customValues": places, "length": 4, "lineStyle": {"color": AXIS}},
            "axisLabel": {
                "customValues": places,
                "color": TEXT,
                "fontSize": 12,
                "formatter": {"$bound": "words", "words": words},
            },
            "axisLine": {"onZero": False, "lineStyle": {"color": AXIS}},
            "splitLine": {"show": False},
        },
        "yAxis": value_axis(ticks, language),
        "series": [*(one for fan in fans for one in band_series(fan)), *(line_series(line) for line in lines)],
    }
    return Drawing(option, width, 270 if wide else 230)
