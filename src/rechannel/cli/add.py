"""`rechannel add`: more rows for the tables of a case; rows with the same key are replaced and listed."""

from __future__ import annotations

from pathlib import Path

import click

from rechannel.cli.bar import reading_bar
from rechannel.cli.check import fault_json
from rechannel.cli.intake import assembly_json, say_assembly
from rechannel.cli.tableoptions import given_tables, import_options, table_options
from rechannel.cli.terminal import put_json, say, say_faults
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.source.addition import add_files
from rechannel.source.imports import Imports, add_from_files
from rechannel.source.store import open_case_folder
from rechannel.vocabulary.errors import CallError

REVISED_SHOWN = 20


def add(
    case: Path,
    files: tuple[Path, ...],
    mapping: tuple[Path, ...],
    alias: tuple[str, ...],
    json_file: str | None,
    **tables: Path | None,
) -> int:
    """Add the files to their tables."""
    given = given_tables(tables)
    if not given and not files:
        raise CallError("RC305")
    opened = open_case_folder(case)
    found: dict[str, object] = {}
    if files or mapping or alias:
        with reading_bar() as bar:
            additions, made = add_from_files(opened, Imports(files, given, mapping, alias), bars=bar.of)
        say_assembly(made)
        say_faults(made.faults, ("warning", "note"))
        found = assembly_json(made)
    else:
        with reading_bar() as bar:
            additions = add_files(opened, given, bars=bar.of)
    for added in additions:
        say_faults(added.faults, ("warning", "note"))
        counts = {"added": f"{added.added:,}", "revised": f"{added.revised:,}", "rows": f"{added.rows:,}"}
        say(words("added", table=added.table, **counts))
        for key in added.revised_keys[:REVISED_SHOWN]:
            say(f"  {words('revised', key=key)}")
        if added.revised > REVISED_SHOWN:
            say(f"  {words('more', count=f'{added.revised - REVISED_SHOWN:,}')}")
    if json_file:
        done = [
            {"table": one.table, "added": one.added, "revised": list(one.revised_keys), "rows": one.rows}
            for one in additions
        ]
        remarks = [fault_json(fault) for one in additions for fault in one.faults]
        put_json({"additions": done, **found, "faults": remarks}, json_file)
    return 0


command = Verb(
    "add",
    add,
    [
        argument("case", type=click.Path(path_type=Path)),
        argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]..."),
        *table_options(),
        *import_options(),
        option("--json", "json_file", metavar="F"),
    ],
)
