"""`rechannel journeys`: which channels stand on the paths to orders, by every method side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from rechannel.answers.journeys import REPLICATES, Figure, JourneyRules, Journeys, dumps
from rechannel.case import open_case
from rechannel.cli.bar import folding_bar
from rechannel.cli.terminal import aligned, columns, language, put, put_text, say, width, wrapped
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.evidence.attribution import METHODS
from rechannel.source.config import CaseConfig
from rechannel.tables.engines.choose import daily_case
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import name_of

DEFAULTS = JourneyRules()
MOST_REPLICATES = 2000


def journeys(
    case: Path,
    gap: float,
    lookback: float,
    half_life: float,
    order: str,
    replicates: int,
    daily: str | None,
    json_file: str | None,
) -> int:
    """Fold the touches of a case; what is written goes to the screen, F and the daily panel."""
    opened = open_case(case)
    rules = JourneyRules(gap, lookback, half_life, order=1 if order == "1" else 2)
    with folding_bar() as tell:
        found = opened.journeys(rules, replicates, tell)
        panel = daily_case(opened.folder, rules).to_pylist() if daily else []
    if json_file:
        put_text(dumps(found), json_file)
    if daily:
        put_text(_as_csv(cast(list[dict[str, object]], panel)), daily)
    if "-" not in (json_file, daily):
        show(found, opened.config)
    return 0


def show(found: Journeys, config: CaseConfig) -> None:
    """Two sentences, the counts, then credit by channel with intervals, in as many tables as the terminal needs."""
    spoken = language()
    for line in wrapped(found.text[spoken], columns()):
        say(line)
    say()
    counted = found.to_json()
    parts = ("rows", "duplicates_dropped", "sessions", "orders", "unattributed_orders", "distinct_paths")
    for line in wrapped(words("journeys_counts", **{part: f"{counted[part]:,}" for part in parts}), columns()):
        put(line)
    if not found.tables.counts["attributed"]:
        return
    put()
    channels = sorted(found.credit.channels, key=lambda name: -(found.figure("shapley", name).mean or 0.0))
    names = [name_of(channel, config.channels, spoken) for channel in channels]
    head = [words(f"journeys_{method}") for method in METHODS]
    body = [[_amount(found.figure(method, channel)) for method in METHODS] for channel in channels]
    effects = [_share(found.removal_effect(channel)) for channel in channels]
    for place, row in enumerate(body):
        row.append(effects[place])
    _tables(words("journeys_channel"), names, [*head, words("journeys_removal_effect")], body)
    put()
    for line in wrapped(words("journeys_read"), columns()):
        put(line)


def _amount(figure: Figure) -> tuple[str, str]:
    """An amount of orders and its 90 % interval."""
    spoken = language()
    if figure.mean is None:
        return "-", ""
    if figure.quantiles is None:
        return numbers.number(figure.mean, spoken), ""
    return numbers.apart(figure.mean, *figure.quantiles.interval(), spoken)


def _share(figure: Figure) -> tuple[str, str]:
    """A share of the orders and its 90 % interval."""
    if figure.mean is None:
        return "-", ""
    if figure.quantiles is None:
        return numbers.percent(figure.mean), ""
    low, high = figure.quantiles.interval()
    return numbers.percent(figure.mean, width=high - low), numbers.percent_span(low, high)


def _tables(corner: str, names: Sequence[str], head: Sequence[str], body: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Two lines a channel: figures, and their intervals below; columns that do not fit go into a further table."""
    widths = [
        max(width(head[place]), *(width(cell) for row in body for cell in row[place])) + 2 for place in range(len(head))
    ]
    room = columns() - max(width(corner), *(width(name) for name in names))
    place = 0
    while place < len(head):
        if place:
            put()
        end, used = place + 1, widths[place]
        while end < len(head) and used + widths[end] <= room:
            used, end = used + widths[end], end + 1
        rows = []
        for name, row in zip(names, body, strict=True):
            rows.append([name, *(figure for figure, _ in row[place:end])])
            if any(interval for _, interval in row[place:end]):
                rows.append(["", *(interval for _, interval in row[place:end])])
        for line in aligned([corner, *head[place:end]], rows, numbers=range(1, end - place + 1)):
            put(line)
        place = end


def _as_csv(rows: Sequence[dict[str, object]]) -> str:
    """The daily panel as CSV that `rechannel new --daily` reads; names are as the log has them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = list(rows[0]) if rows else []
    writer.writerow(header)
    for row in rows:
        writer.writerow([int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in row.values()])
    return text.getvalue()


command = Verb(
    "journeys",
    journeys,
    [
        argument("case", type=click.Path(path_type=Path)),
        option("--gap", type=float, default=DEFAULTS.gap_minutes, show_default=True, metavar="MINUTES"),
        option("--lookback", type=float, default=DEFAULTS.lookback_days, show_default=True, metavar="DAYS"),
        option(
            "--half-life", "half_life", type=float, default=DEFAULTS.half_life_days, show_default=True, metavar="DAYS"
        ),
        option("--order", type=click.Choice(["1", "2"]), default="1", show_default=True),
        option(
            "--replicates", type=click.IntRange(0, MOST_REPLICATES), default=REPLICATES, show_default=True, metavar="N"
        ),
        option("--to-daily", "daily", metavar="F"),
        option("--json", "json_file", metavar="F"),
    ],
)
