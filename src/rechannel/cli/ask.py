"""`rechannel ask`: one question to a case, as a table with two sentences or as JSON."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

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


def ask(
    case: Path,
    question: str,
    channel: str,
    on: datetime,
    horizon: tuple[int, ...],
    market: str | None,
    announced: datetime | None,
    smallest_effect: str,
    json_file: str | None,
) -> int:
    """Answer one question; the answer goes to F or to the screen, never into the case."""
    opened, horizons = open_case(case), horizon or DEFAULT_HORIZONS
    if question == "closure":
        answer = opened.closure(channel, on.date(), horizons, market=market)
    else:
        answer = opened.impact(
            channel,
            on.date(),
            horizons,
            market=market,
            announced=_day(announced),
            smallest_effect=_share(smallest_effect),
        )
    if json_file:
        put_text(dumps(answer), json_file)
    if json_file != "-":
        show(answer)
    return 0


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()


def _share(value: str) -> float:
    """`.05` or `5%` as a share."""
    plain = value.strip()
    try:
        share = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError as error:
        raise CallError("RC326", value=value) from error
    if not 0 < share < 1:
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
        argument("question", type=click.Choice(["impact", "closure"])),
        option("--channel", required=True, metavar="C"),
        option("--on", required=True, type=DAY, metavar="YYYY-MM-DD"),
        option("--horizon", multiple=True, type=int, metavar="DAYS"),
        option("--market", metavar="M"),
        option("--announced", type=DAY, metavar="YYYY-MM-DD"),
        option("--smallest-effect", "smallest_effect", default="5%", metavar="X", show_default=True),
        option("--json", "json_file", metavar="F"),
    ],
)
