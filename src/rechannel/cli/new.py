"""`rechannel new`: files become a case folder, or are refused with every fault."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from rechannel.cli.check import say_tables
from rechannel.cli.tableoptions import given_tables, table_options
from rechannel.cli.terminal import put_json, say, say_faults
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.source.store import create_case, open_case_folder
from rechannel.vocabulary.channel import Cadence
from rechannel.vocabulary.wording import LANGUAGES


def new(
    case: Path, currency: str, timezone: str, cadence: str, name: str, json_file: str | None, **tables: Path | None
) -> int:
    """Make the case, then print what was read and what a reader should know about it."""
    created = create_case(
        case, given_tables(tables), currency=currency, timezone=timezone, cadence=cast(Cadence, cadence), name=name
    )
    say_faults(created.faults, ("warning", "note"))
    opened = open_case_folder(created.folder)
    say(words("made", folder=str(case)))
    say_tables(opened)
    if json_file:
        faults = [
            {
                "code": fault.code,
                "severity": fault.severity,
                "file": fault.file,
                "line": fault.line,
                "column": fault.column,
                "message": {language: fault.message(language) for language in LANGUAGES},
            }
            for fault in created.faults
        ]
        rows = {table: source.rows for table, source in created.config.tables.items()}
        put_json({"case": created.config.name, "rows": rows, "faults": faults}, json_file)
    return 0


command = Verb(
    "new",
    new,
    [
        argument("case", type=click.Path(path_type=Path)),
        *table_options(),
        option("--currency", default="CNY", metavar="CODE", show_default=True),
        option("--timezone", default="Asia/Shanghai", metavar="ZONE", show_default=True),
        option("--cadence", type=click.Choice(["daily", "weekly"]), default="daily", show_default=True),
        option("--name", default="", metavar="NAME"),
        option("--json", "json_file", metavar="F"),
    ],
)
