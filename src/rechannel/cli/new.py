"""`rechannel new`: files become a case folder, or are refused with every fault."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from rechannel.cli.bar import reading_bar
from rechannel.cli.check import fault_json, say_tables
from rechannel.cli.intake import assembly_json, say_assembly
from rechannel.cli.tableoptions import given_tables, import_options, table_options
from rechannel.cli.terminal import put_json, say, say_faults
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.source.imports import Imports, new_from_files
from rechannel.source.store import create_case, open_case_folder
from rechannel.vocabulary.channel import Cadence


def new(
    case: Path,
    files: tuple[Path, ...],
    mapping: tuple[Path, ...],
    alias: tuple[str, ...],
    currency: str,
    timezone: str,
    cadence: str,
    name: str,
    json_file: str | None,
    **tables: Path | None,
) -> int:
    """Make the case, then print what was read and what a reader should know about it."""
    given, beat = given_tables(tables), cast(Cadence, cadence)
    found: dict[str, object] = {}
    if files or mapping or alias:
        imports = Imports(files, given, mapping, alias)
        with reading_bar() as bar:
            created, made = new_from_files(
                case, imports, currency=currency, timezone=timezone, cadence=beat, name=name, bars=bar.of
            )
        faults = (*made.faults, *created.faults)
        found = assembly_json(made)
        say_assembly(made)
    else:
        with reading_bar() as bar:
            created = create_case(
                case, given, currency=currency, timezone=timezone, cadence=beat, name=name, bars=bar.of
            )
        faults = created.faults
    say_faults(faults, ("warning", "note"))
    opened = open_case_folder(created.folder)
    say(words("made", folder=str(case)))
    say_tables(opened)
    if json_file:
        rows = {table: source.rows for table, source in created.config.tables.items()}
        remarks = [fault_json(fault) for fault in faults]
        put_json({"case": created.config.name, "rows": rows, **found, "faults": remarks}, json_file)
    return 0


command = Verb(
    "new",
    new,
    [
        argument("case", type=click.Path(path_type=Path)),
        argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]..."),
        *table_options(),
        *import_options(),
        option("--currency", default="CNY", metavar="CODE", show_default=True),
        option("--timezone", default="Asia/Shanghai", metavar="ZONE", show_default=True),
        option("--cadence", type=click.Choice(["daily", "weekly"]), default="daily", show_default=True),
        option("--name", default="", metavar="NAME"),
        option("--json", "json_file", metavar="F"),
    ],
)
