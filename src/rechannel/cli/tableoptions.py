"""The options that name one file per canonical table, shared by `new` and `add`."""

from __future__ import annotations

from pathlib import Path

import click

from rechannel.cli.verb import option, words
from rechannel.source.contract import TABLE_NAMES, TableName


def table_options() -> list[click.Option]:
    """`--daily F`, `--touches F`, ... one for each canonical table."""
    return [
        option(
            f"--{table.replace('_', '-')}",
            type=click.Path(path_type=Path),
            metavar="F",
            help=words(f"table_{table}"),
        )
        for table in TABLE_NAMES
    ]


def import_options() -> list[click.Option]:
    """`--mapping F` and `--alias NAME=CHANNEL`, each as often as wanted."""
    return [
        option("--mapping", multiple=True, type=click.Path(path_type=Path), metavar="F"),
        option("--alias", multiple=True, metavar="NAME=CHANNEL"),
    ]


def given_tables(options: dict[str, Path | None]) -> dict[TableName, Path]:
    """Canonical table -> file, of those options that were given."""
    found: dict[TableName, Path] = {}
    for table in TABLE_NAMES:
        path = options.get(table)
        if path is not None:
            found[table] = path
    return found
