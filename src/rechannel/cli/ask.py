"""`rechannel ask`: one question to a case, as a table with two sentences or as JSON."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

from rechannel.answers.answer import Answer, dumps
from rechannel.case import open_case
from rechannel.cli.terminal import aligned, language, put, put_text, say
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.vocabulary import numbers
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Estimate, Quantity
from rechannel.vocabulary.wording import text

DAY = click.DateTime(["%Y-%m-%d"])
DEFAULT_HORIZONS = (30, 90)
LONGEST_NOTICE_ASKED = 3650
QUESTIONS = ("closure", "worth", "exposure", "impact")


def ask(
    case: Path,
    question: str,
    channel: str | None,
    on: datetime | None,
    horizon: tuple[int, ...],
    market: str | None,
    announced: datetime | None,
    notice: int | None,
    severity: str,
    smallest_effect: str,
    json_file: str | None,
) -> int:
    """Answer one question; the answer goes to F or to the screen, never into the case."""
    opened, horizons = open_case(case), tuple(dict.fromkeys(horizon)) or DEFAULT_HORIZONS
    if question == "exposure":
        answer = opened.exposure()
    elif question == "worth":
        answer = opened.worth(_given(channel, "--channel"))
    elif question == "closure":
        answer = opened.closure(
            _given(channel, "--channel"),
            _given(on, "--on").date(),
            horizons,
            severity=_share(severity),
            market=market,
            notice=notice,
        )
    else:
        answer = opened.impact(
            _given(channel, "--channel"),
            _given(on, "--on").date(),
            horizons,
            market=market,
            announced=None if announced is None else announced.date(),
            smallest_effect=_share(smallest_effect, low=1e-9, high=1 - 1e-9),
        )
    if json_file:
        put_text(dumps(answer), json_file)
    if json_file != "-":
        show(answer)
    return 0


T = TypeVar("T")


def _given(value: T | None, name: str) -> T:
    """An option that this question needs."""
    if value is None:
        raise CallError("RC303", verb="ask", name=name)
    return value


def _share(value: str, low: float = 0.0, high: float = 1.0) -> float:
    """`.05` or `5%` as a share."""
    plain = value.strip()
    try:
        share = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError as error:
        raise CallError("RC326", value=value) from error
    if not low <= share <= high:
        raise CallError("RC326", value=value)
    return share


def show(answer: Answer) -> None:
    """The two sentences, then a line per estimate: number, interval and grade, or why there is none."""
    spoken = language()
    say(answer.text[spoken])
    say()
    rows = [_row(estimate) for estimate in answer.estimates]
    header = [words(f"ask_head_{name}") for name in ("metric", "days", "median", "interval", "grade")]
    for line in aligned(header, rows, numbers=(1, 2)):
        put(line)


def _row(estimate: Estimate) -> list[str]:
    spoken = language()
    name = text(f"metric.{estimate.metric}", spoken)
    if estimate.channel:
        name = f"{name} → {estimate.channel}"
    days = str(estimate.horizon_days or "")
    if not isinstance(estimate.value, Quantity):
        return [name, days, "", estimate.value.message(spoken), ""]
    quantiles = estimate.value.quantiles
    low, high = quantiles.interval()
    if estimate.unit == "share":
        shown, span = numbers.percent(quantiles.median, width=high - low), numbers.percent_span(low, high)
    else:
        shown = numbers.number(quantiles.median, spoken, width=high - low)
        span = numbers.span(low, high, spoken)
    return [name, days, shown, span, str(estimate.value.grade)]


command = Verb(
    "ask",
    ask,
    [
        argument("case", type=click.Path(path_type=Path)),
        argument("question", type=click.Choice(QUESTIONS)),
        option("--channel", metavar="C"),
        option("--on", type=DAY, metavar="YYYY-MM-DD"),
        option("--horizon", multiple=True, type=int, metavar="DAYS"),
        option("--market", metavar="M"),
        option("--announced", type=DAY, metavar="YYYY-MM-DD"),
        option("--notice", type=click.IntRange(0, LONGEST_NOTICE_ASKED), metavar="DAYS"),
        option("--severity", default="1", metavar="S", show_default=True),
        option("--smallest-effect", "smallest_effect", default="5%", metavar="X", show_default=True),
        option("--json", "json_file", metavar="F"),
    ],
)
