"""`rechannel add`: more rows for the tables of a case; rows with the same key are replaced and listed."""

from __future__ import annotations

from pathlib import Path

import click

from rechannel.cli.tableoptions import given_tables, table_options
from rechannel.cli.terminal import say, say_faults
from rechannel.cli.verb import Verb, argument, words
from rechannel.source.addition import add_files
from rechannel.source.store import open_case_folder
from rechannel.vocabulary.errors import CallError

REVISED_SHOWN = 20


def add(case: Path, **tables: Path | None) -> int:
    """Add each file to its table."""
    given = given_tables(tables)
    if not given:
        raise CallError("RC305")
    opened = open_case_folder(case)
    for added in add_files(opened, given):
        say_faults(added.faults, ("warning", "note"))
        say(
            words(
                "added",
                table=added.table,
                added=f"{added.added:,}",
                revised=f"{added.revised:,}",
                rows=f"{added.rows:,}",
            )
        )
        for key in added.revised_keys[:REVISED_SHOWN]:
            say(f"  {words('revised', key=key)}")
        if added.revised > REVISED_SHOWN:
            say(f"  {words('more', count=f'{added.revised - REVISED_SHOWN:,}')}")
    return 0


command = Verb("add", add, [argument("case", type=click.Path(path_type=Path)), *table_options()])
