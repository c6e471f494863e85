"""Files made into a panel, and the panel as series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

from exports.shop import METRICS
from rechannel.source.assemble import Assembly, assemble
from rechannel.source.checks import Rules
from rechannel.source.products import products_with
from rechannel.vocabulary.channel import Channel

RULES = Rules(date(2025, 12, 31), currency="CNY")


def assembled(folder: Path, mappings: Sequence[Path] = (), channels: Sequence[Channel] = ()) -> Assembly:
    return assemble([folder], RULES, products=products_with(mappings), channels=channels)


def series_of(made: Assembly) -> dict[tuple[str, str], dict[date, float]]:
    """(channel, metric) -> day -> figure that is stated."""
    found: dict[tuple[str, str], dict[date, float]] = {}
    for row in made.tables["daily"].relation.to_pylist():
        for metric in METRICS:
            if row.get(metric) is not None:
                found.setdefault((row["channel"], metric), {})[row["date"]] = row[metric]
    return found


def rows_csv(header: str, line: Callable[[date], str], first: date = date(2025, 3, 3), above: str = "") -> str:
    """A table of thirty days."""
    return above + "\n".join([header, *(line(first + timedelta(days=day)) for day in range(30))]) + "\n"
