"""The timeline of a case as charts: agreements as bars, events as marks, shocks in the weeks around an exit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from rechannel.answers.pictures import Timeline
from rechannel.report.colours import AXIS, COUNTERFACTUAL, OWN, PAPER, RIVAL, RULE, TEXT
from rechannel.report.dots import cut
from rechannel.report.figures import NARROW, WIDE, Figure, day_words
from rechannel.report.render import Drawing, Json
from rechannel.tables.calendar import Event
from rechannel.tables.deals import Deal
from rechannel.vocabulary import numbers
from rechannel.vocabulary.wording import Language, text

NEAR_BEFORE, NEAR_AFTER = 125, 100
"""Days before and after an exit that the lower panel shows."""
ROW = 31
_COLUMNS = {WIDE: 118, NARROW: 47}


@dataclass(frozen=True, slots=True)
class Span:
    """One row: words, first and last day, colour of its role."""

    words: str
    first: date
    last: date
    colour: str


def timeline_figures(timeline: Timeline, language: Language) -> tuple[Figure, ...]:
    """The whole story, and the weeks around the exit; a panel without rows is left out.

    Parameters
    ----------
    timeline
        Agreements, events and the exit of an answer.
    """
    figures = []
    story = story_spans(timeline, language)
    if story:
        ends = _words_of_ends(story, language)
        aloud = text("record.timeline_aloud", language, **ends)
        figures.append(_figure("story", text("record.timeline_axis", language), aloud, story, timeline.on, language))
    near = near_spans(timeline, language)
    if near:
        ends = _words_of_ends(near, language)
        aloud = text("record.near_aloud", language, threats=str(len(timeline.threats)), **ends)
        figures.append(_figure("near", text("record.near_axis", language), aloud, near, timeline.on, language))
    return tuple(figures)


def story_spans(timeline: Timeline, language: Language) -> tuple[Span, ...]:
    """Agreements with verified dates, and events that the lower panel does not show, by first day."""
    spans = []
    for deal in timeline.deals:
        dates = deal_dates(deal)
        if dates is not None:
            words = f"{deal.deal_id} · {deal.host} → {deal.tenant}"
            spans.append(Span(f"{_between(*dates, language)} · {words}", *dates, OWN))
    spans += [
        _event_span(event, COUNTERFACTUAL, language)
        for event in timeline.events
        if not _is_near(timeline, event) and event.kind != "announcement"
    ]
    return tuple(sorted(spans, key=lambda span: (span.first, span.last, span.words)))


def near_spans(timeline: Timeline, language: Language) -> tuple[Span, ...]:
    """Events and ends of agreements in the weeks around the exit, by first day."""
    if timeline.on is None:
        return ()
    first, last = timeline.on - timedelta(days=NEAR_BEFORE), timeline.on + timedelta(days=NEAR_AFTER)
    spans = [
        Span(
            f"{_between(*dates, language)} · {deal.deal_id}",
            max(dates[0], first),
            min(dates[1], last),
            OWN,
        )
        for deal in timeline.deals
        if (dates := deal_dates(deal)) is not None and dates[0] <= last and dates[1] >= first and dates[0] < dates[1]
    ]
    for event in timeline.events:
        if _is_near(timeline, event):
            colour = RIVAL if event in timeline.threats else COUNTERFACTUAL
            span = _event_span(event, colour, language)
            spans.append(Span(span.words, max(span.first, first), min(span.last, last), colour))
    return tuple(sorted(spans, key=lambda span: (span.first, span.last, span.words)))


def deal_dates(deal: Deal) -> tuple[date, date] | None:
    """First and last day of an agreement as far as verified; its signature when there is no more; None without any."""
    signed = deal.signed if deal.is_verified("signed") else None
    first = deal.start if deal.start is not None and deal.is_verified("start") else signed
    if first is None:
        return None
    last = deal.end if deal.end is not None and deal.is_verified("end") else first
    return first, max(first, last)


def event_words(event: Event, language: Language) -> str:
    """The event as its row says it, or its kind when the row says nothing."""
    return event.note or text(f"event.{event.kind}", language)


def _is_near(timeline: Timeline, event: Event) -> bool:
    if timeline.on is None:
        return False
    first, last = timeline.on - timedelta(days=NEAR_BEFORE), timeline.on + timedelta(days=NEAR_AFTER)
    return event.start <= last and event.end >= first


def _event_span(event: Event, colour: str, language: Language) -> Span:
    words = f"{_between(event.start, event.end, language)} · {event_words(event, language)}"
    return Span(words, event.start, event.end, colour)


def _between(first: date, last: date, language: Language) -> str:
    """One day, or both ends."""
    if first == last:
        return numbers.day(first, language)
    return text("record.dates", language, first=numbers.day(first, language), last=numbers.day(last, language))


def _words_of_ends(spans: Sequence[Span], language: Language) -> dict[str, str]:
    first, last = min(span.first for span in spans), max(span.last for span in spans)
    return {"first": numbers.day(first, language), "last": numbers.day(last, language)}


def _figure(name: str, axis: str, aloud: str, spans: Sequence[Span], on: date | None, language: Language) -> Figure:
    wide, narrow = (_drawing(spans, on, language, width) for width in (WIDE, NARROW))
    return Figure(name, axis, aloud, wide, narrow)


def _ticks(first: date, last: date, language: Language, *, most: int) -> dict[int, str]:
    """Position -> words: years when the span is long, months when it is short."""
    if (last - first).days < 3 * 366:
        days = np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + 1)
        return day_words(days, language, most=most)
    years = list(range(first.year + 1, last.year + 1))
    stride = -(-len(years) // most)
    suffix = "" if language == "en" else "年"
    return {(date(year, 1, 1) - first).days: f"{year}{suffix}" for year in years[::stride]}


def _drawing(spans: Sequence[Span], on: date | None, language: Language, width: int) -> Drawing:
    """One row per span: its words above a bar, or above a mark when it is one day."""
    wide = width == WIDE
    low, high = min(span.first for span in spans), max(span.last for span in spans)
    if on is not None:
        low, high = min(low, on), max(high, on)
    margin = timedelta(days=max(3, (high - low).days // 50))
    first, last = low - margin, high + margin
    series: list[Json] = []
    for row, span in enumerate(spans):
        bound: Json = {
            "$bound": "span",
            "row": row,
            "from": (span.first - first).days,
            "to": (span.last - first).days + (1 if span.last > span.first else 0),
            "words": cut(span.words, _COLUMNS[width]),
            "fill": span.colour,
            "ink": TEXT,
            "paper": PAPER,
            "size": 12.5 if wide else 11.5,
        }
        series.append({"type": "custom", "silent": True, "z": 3, "data": [[0, row]], "renderItem": bound})
    if on is not None:
        word = text("record.exit_on", language, day=numbers.day(on, language))
        label: Json = {
            "formatter": {"$bound": "word", "word": word},
            "color": TEXT,
            "fontSize": 11.5,
            "position": "start",
            "align": "right" if (on - first).days > 0.6 * (last - first).days else "left",
            "distance": 5,
            "textBorderWidth": 0,
        }
        rule: Json = {
            "xAxis": (on - first).days,
            "label": label,
            "lineStyle": {"color": RULE, "width": 1.2, "type": "solid"},
        }
        marks: Json = {"silent": True, "symbol": "none", "data": [rule]}
        series.append({"type": "line", "data": [], "silent": True, "z": 1, "markLine": marks})
    words = _ticks(first, last, language, most=8 if wide else 4)
    positions: list[Json] = list(words)
    option: dict[str, Json] = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 10, "right": 14, "top": 22, "bottom": 26},
        "xAxis": {
            "type": "value",
            "min": 0,
            "max": (last - first).days,
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
        "yAxis": {
            "type": "value",
            "min": -0.5,
            "max": len(spans) - 0.5,
            "inverse": True,
            "axisLabel": {"show": False},
            "splitLine": {"show": False},
            "axisLine": {"show": False},
            "axisTick": {"show": False},
        },
        "series": series,
    }
    return Drawing(option, width, 52 + ROW * len(spans))
