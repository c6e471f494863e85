"""Which day a file covers where no column says so: its name, and the rows above its header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from rechannel.source.export import DateFrom
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import Cadence

_DAY = re.compile(r"(?<!\d)(20\d{2})(?:([-_.年/])(\d{1,2})[-_.月/](\d{1,2})|(\d{2})(\d{2}))(?!\d)")
_MADE = re.compile(r"下载|下載|导出|匯出|生成|创建|downloaded|exported|generated|created", re.IGNORECASE)
"""Words of a title that states when the file was made, not what it covers."""


def days_in(text: str) -> tuple[date, ...]:
    """The days that a text states, in order.

    Examples
    --------
    >>> days_in("流量来源_20250930.xlsx")
    (datetime.date(2025, 9, 30),)
    >>> len(days_in("shop 2025-09-01~2025-09-30 (1).csv"))
    2
    """
    found = []
    for match in _DAY.finditer(text):
        year, _, month, day, short_month, short_day = match.groups()
        try:
            found.append(date(int(year), int(month or short_month), int(day or short_day)))
        except ValueError:
            continue
    return tuple(found)


def title_days(titles: Sequence[str]) -> tuple[date, ...]:
    """The days that the rows above a header say it covers, each once, in order of the calendar."""
    return tuple(sorted({day for text in titles if not _MADE.search(text) for day in days_in(text)}))


def stated_day(place: DateFrom, titles: Sequence[str], cadence: Cadence, faults: FaultList) -> date | None:
    """The one day of a file (weekly: the first of its seven), or None when it is refused.

    Parameters
    ----------
    place
        `file_name` or `title`: which is asked first. A name that states a day is held against the titles; a title is
        not held against the name, which often states the day of the download.
    titles
        Rows above the header.
    faults
        Names the file.
    """
    named, titled = tuple(sorted(set(days_in(faults.file)))), title_days(titles)
    days, other = (named or titled, titled) if place == "file_name" else (titled or named, ())
    if len(other) == 1 and other[0] in days:
        days = other
    if not days:
        faults.add("RC717", "refuse")
        return None
    first, last = days[0], days[-1]
    if other and other != days:
        faults.add("RC737", "refuse", days=_span(days), titles=_span(other))
        return None
    if len(days) > 1 and not (cadence == "weekly" and len(days) == 2 and (last - first).days == 6):
        faults.add("RC718", "refuse", first=str(first), last=str(last))
        return None
    return first


def _span(days: Sequence[date]) -> str:
    return " – ".join(str(day) for day in dict.fromkeys((days[0], days[-1])))
