"""`rechannel design`: the cheapest test of a channel that lifts the grade of its numbers, as a table or as JSON."""

from __future__ import annotations

from pathlib import Path

import click

from rechannel.answers.testdesign import TestDesign, TestOption, dumps
from rechannel.case import open_case
from rechannel.cli.terminal import aligned, columns, language, put, put_text, say, wrapped
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.vocabulary import numbers
from rechannel.vocabulary.estimate import Quantiles, Refusal
from rechannel.vocabulary.wording import text

MOST_DAYS = 84
SHORTEST_DAYS = 3


def design(case: Path, channel: str, markets_most: int | None, days: int | None, json_file: str | None) -> int:
    """Search for a test; what is found goes to F or to the screen, never into the case."""
    opened = open_case(case)
    found = opened.design(channel, markets_most, days)
    if json_file:
        put_text(dumps(found), json_file)
    if json_file != "-":
        show(found, opened.config.currency)
    return 0


def show(found: TestDesign, currency: str) -> None:
    """The two sentences, a line per test, the power of the first, then why a cost has no number."""
    spoken = language()
    for line in wrapped(found.text[spoken], columns()):
        say(line)
    if found.refusal is not None:
        for line in wrapped(" ".join(found.refusal.help(spoken)), columns()):
            say(line)
        return
    say()
    names = ("rank", "where", "when", "days", "found", "visits", "orders", "margin", "grade")
    rows = [_row(rank, one, currency) for rank, one in enumerate(found.options, 1)]
    for line in aligned([words(f"design_head_{name}") for name in names], rows, numbers=(0, 3, 4)):
        put(line)
    colon, comma = (": ", ", ") if spoken == "en" else ("：", "，")
    curve = comma.join(f"{share:.0%}{colon}{chance:.0%}" for share, chance in found.power.items())
    for line in wrapped(words("design_power", curve=curve), columns()):
        put(line)
    margin = found.options[0].costs["margin"]
    if isinstance(margin, Refusal):
        why = words("design_no_margin", why=margin.message(spoken), help=" ".join(margin.help(spoken)[:1]))
        for line in wrapped(why, columns()):
            put(line)


def _row(rank: int, one: TestOption, currency: str) -> list[str]:
    spoken = language()
    share = one.reading.detectable / max(one.reading.removed, 1e-300)
    first, last = one.periods[0][0].isoformat(), one.periods[-1][1].isoformat()
    return [
        str(rank),
        ", ".join(one.markets) or words("design_everywhere"),
        f"{first} {numbers.RANGE} {last}",
        str(one.days),
        numbers.percent(share),
        _cost(one.costs["visits"]),
        _cost(one.costs["orders"]),
        _cost(one.costs["margin"], currency),
        f"{one.grade} {text(f'grade.{one.grade}', spoken)}",
    ]


def _cost(value: Quantiles | Refusal, unit: str = "") -> str:
    if isinstance(value, Refusal):
        return numbers.RANGE
    low, high = value.interval()
    return numbers.with_span(value.median, low, high, language(), unit)


command = Verb(
    "design",
    design,
    [
        argument("case", type=click.Path(path_type=Path)),
        option("--channel", required=True, metavar="C", help=words("option_channel_design")),
        option("--markets-most", "markets_most", type=click.IntRange(0), metavar="K"),
        option("--days", type=click.IntRange(SHORTEST_DAYS, MOST_DAYS), metavar="N"),
        option("--json", "json_file", metavar="F"),
    ],
)
