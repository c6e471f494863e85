"""`rechannel check`: what a case holds, and what a reader should know before asking it."""

from __future__ import annotations

from pathlib import Path

import click

from rechannel.cli.terminal import aligned, language, put_json, say, say_faults
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.source.remarks import table_span
from rechannel.source.store import CaseFolder, case_faults, open_case_folder, store_faults
from rechannel.vocabulary.errors import Fault
from rechannel.vocabulary.wording import LANGUAGES


def check(case: Path, json_file: str | None) -> int:
    """Print tables, spans, channels, and the warnings and notes of the stored data."""
    opened = open_case_folder(case)
    faults = (*case_faults(opened), *store_faults(opened))
    say_faults(faults)
    say_tables(opened)
    if json_file:
        put_json(
            {
                "case": opened.config.name,
                "currency": opened.config.currency,
                "timezone": opened.config.timezone,
                "cadence": opened.config.cadence,
                "data_sha256": opened.data_sha256,
                "tables": _tables(opened),
                "channels": [channel.channel_id for channel in opened.config.channels],
                "faults": [fault_json(fault) for fault in faults],
            },
            json_file,
        )
    return 2 if any(fault.severity == "refuse" for fault in faults) else 0


def fault_json(fault: Fault) -> dict[str, object]:
    """A remark as data, in three languages."""
    return {
        "code": fault.code,
        "severity": fault.severity,
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "message": {lang: fault.message(lang) for lang in LANGUAGES},
    }


def _tables(case: CaseFolder) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for table, source in case.config.tables.items():
        relation = case.relation(table)
        assert relation is not None
        first, last = table_span(table, relation) or (None, None)
        found[table] = {
            "rows": relation.num_rows,
            "first": first.isoformat() if first else None,
            "last": last.isoformat() if last else None,
            "columns": relation.column_names,
            "original": list(source.original),
        }
    return found


def say_tables(case: CaseFolder) -> None:
    """The tables of a case with rows and spans, then its channels, on stderr."""
    rows = []
    for name, table in _tables(case).items():
        columns = table["columns"]
        assert isinstance(columns, list)
        rows.append(
            [name, f"{table['rows']:,}", str(table["first"] or ""), str(table["last"] or ""), ", ".join(columns)]
        )
    header = [words(f"head_{part}") for part in ("table", "rows", "first", "last", "columns")]
    for line in aligned(header, rows, numbers=(1,)):
        say(line)
    names = [channel.display(language()) for channel in case.config.channels]
    if names:
        shown = ", ".join(names[:20])
        more = f" (+{len(names) - 20})" if len(names) > 20 else ""
        say(words("channels", names=shown + more))


command = Verb(
    "check", check, [argument("case", type=click.Path(path_type=Path)), option("--json", "json_file", metavar="F")]
)
