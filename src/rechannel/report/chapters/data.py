"""Data: tables with their spans, channels with their shares, remarks of the reading, and what made the report."""

from __future__ import annotations

from collections.abc import Sequence

from rechannel.answers.answer import Answer
from rechannel.report import phrases
from rechannel.report.blocks import Block, Cell, Chapter, Listed, ListedLine, Pair, Pairs, Prose, Reader, Row, Table
from rechannel.report.facts import ChannelShare
from rechannel.vocabulary import numbers
from rechannel.vocabulary.wording import Language, text


def build(answers: Sequence[Answer], reader: Reader) -> tuple[Chapter, ...]:
    """The data chapter; it stands in every report."""
    language, facts = reader.language, reader.facts

    def head(*keys: str) -> tuple[str, ...]:
        return tuple(text(f"report.table.{key}", language) for key in keys)

    def say(key: str, **args: str) -> str:
        return text(f"report.data.{key}", language, **args)

    tables = tuple(
        Row(
            (
                Cell(table.name, note=table.file),
                Cell(f"{table.rows:,}", numeric=True),
                Cell(f"{table.first} {numbers.RANGE} {table.last}" if table.first and table.last else ""),
            )
        )
        for table in facts.tables
    )
    blocks: list[Block] = [Table(say("tables"), head("table", "rows", "days"), tables)]
    if facts.channels:
        measured = any(share.visits_share is not None for share in facts.channels)
        shares = tuple(Row(_channel_cells(share, measured, language)) for share in facts.channels)
        blocks.append(Table(say("channels"), head("channel", "share") if measured else head("channel", "host"), shares))
    if facts.notes:
        lines = tuple(ListedLine(note.severity, note.message(language)) for note in facts.notes)
        blocks.append(Listed(say("notes"), lines))
    else:
        blocks.append(Prose((say("no_notes"),)))
    blocks.append(_made(answers, reader))
    counts = {"tables": str(len(facts.tables)), "notes": str(len(facts.notes))}
    title = say("title_notes", **counts) if facts.notes else say("title_clean", **counts)
    return (Chapter("data", say("kicker"), title, tuple(blocks)),)


def _channel_cells(share: ChannelShare, measured: bool, language: Language) -> tuple[Cell, Cell]:
    """The channel's name with its share of visits, or with its host when no visits are known."""
    name = Cell(share.channel.display(language))
    if share.visits_share is None:
        return (name, Cell("") if measured else Cell(phrases.host_name(share.channel.host, language)))
    bar = min(max(share.visits_share, 0.0), 1.0)
    return (name, Cell(numbers.percent(share.visits_share), numeric=True, bar=bar))


def _made(answers: Sequence[Answer], reader: Reader) -> Pairs:
    """Version, seed, data and time; answers made alike are named once."""
    language, facts = reader.language, reader.facts
    pairs = [
        Pair(text("report.data.zone", language), facts.timezone),
        Pair(text("report.data.currency", language), facts.currency),
    ]
    for made in dict.fromkeys(answer.provenance for answer in answers):
        values = {"version": made.version, "seed": str(made.seed), "data": made.data_sha256, "created": made.created}
        pairs += [Pair(text(f"report.provenance.{key}", language), value, code=True) for key, value in values.items()]
    return Pairs(text("report.data.made", language), tuple(pairs))
