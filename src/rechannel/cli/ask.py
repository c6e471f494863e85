"""`rechannel ask`: one question to a case, as a table with two sentences or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

from rechannel.answers.answer import Answer, dumps
from rechannel.case import open_case
from rechannel.cli.terminal import aligned, columns, language, put, put_text, say, wrapped
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.report import phrases
from rechannel.source.config import CaseConfig
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import Channel, id_of, name_of
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
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
    channel = channel and id_of(channel, opened.config.channels)
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
        show(answer, opened.config)
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


def show(answer: Answer, config: CaseConfig) -> None:
    """The two sentences, a line per number with its interval and grade, then what has no number and why."""
    spoken = language()
    for line in wrapped(answer.text[spoken], columns()):
        say(line)
    say()
    rows = [_row(row, row.value, config) for row in answer.estimates if isinstance(row.value, Quantity)]
    header = [words(f"ask_head_{name}") for name in ("metric", "when", "median", "interval", "grade")]
    for line in aligned(header, rows, numbers=(2,)) if rows else ():
        put(line)
    _without(answer, config)


def _without(answer: Answer, config: CaseConfig) -> None:
    """Rows without a number; those with one reason share a paragraph, with what would help first."""
    spoken = language()
    lacking: dict[str, tuple[list[str], Refusal]] = {}
    for row in answer.estimates:
        if isinstance(row.value, Refusal):
            why = row.value.named(lambda name: name_of(name, config.channels, spoken))
            names, _ = lacking.setdefault(why.message(spoken), ([], why))
            names.append(_name(row, config.channels))
    for sentence, (names, refusal) in lacking.items():
        put()
        joined = (", " if spoken == "en" else "、").join(dict.fromkeys(names))
        for line in wrapped(words("ask_without", names=joined), columns()):
            put(line)
        reason = words("ask_why", why=sentence, help=" ".join(refusal.help(spoken)[:1]))
        for line in wrapped(reason.strip(), columns(), "  "):
            put(line)


def _name(row: Estimate, channels: Sequence[Channel]) -> str:
    """Metric, its way of counting or metric behind it, and the channel it is about."""
    spoken = language()
    name = text(f"metric.{row.metric}", spoken)
    if row.method:
        name = f"{name} · {phrases.method_name(row.method, spoken)}"
    if not row.channel:
        return name
    channel = name_of(row.channel, channels, spoken)
    return f"{name} → {channel}" if row.metric == "diversion" else f"{channel} · {name}"


def _row(estimate: Estimate, value: Quantity, config: CaseConfig) -> list[str]:
    spoken = language()
    name = _name(estimate, config.channels)
    when = phrases.period_name(estimate.period, spoken) if estimate.period else ""
    if estimate.horizon_days and not estimate.period:
        when = text("report.horizon", spoken, days=str(estimate.horizon_days))
    quantiles = value.quantiles
    low, high = quantiles.interval()
    if estimate.unit == "share":
        shown, span = numbers.percent(quantiles.median, width=high - low), numbers.percent_span(low, high)
    else:
        shown, span = numbers.apart(quantiles.median, low, high, spoken)
        if quantiles.is_known:
            shown = numbers.number(quantiles.median, spoken)
    if estimate.unit == config.currency:
        shown = f"{config.currency} {shown}"
    if quantiles.is_known:
        span = words("ask_known")
    agreed = quantiles.is_known and value.grade is not Grade.D
    return [name, when, shown, span, "" if agreed else f"{value.grade} {text(f'grade.{value.grade}', spoken)}"]


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
