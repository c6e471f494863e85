"""`rechannel check`: what a case holds, and what a reader should know or log before asking it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from rechannel.case import Case
from rechannel.cli.terminal import aligned, columns, language, put_json, say, say_faults, wrapped
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.evidence.audit import Audit
from rechannel.evidence.oddity import Oddity
from rechannel.source.remarks import table_span
from rechannel.source.store import CaseFolder, case_faults, open_case_folder, store_faults
from rechannel.vocabulary.errors import CallError, Fault, nearest
from rechannel.vocabulary.numbers import RANGE, chance, percent
from rechannel.vocabulary.wording import LANGUAGES, text

EVERYTHING = "all"


def check(case: Path, json_file: str | None, accept: Sequence[str]) -> int:
    """Print tables, spans, channels, the warnings and notes of the stored data, and the audit; log what is accepted."""
    opened = open_case_folder(case)
    faults = (*case_faults(opened), *store_faults(opened))
    say_faults(faults)
    say_tables(opened)
    asked = Case(opened)
    counted = asked.knows_channels and bool(np.isfinite(asked.panel.values["visits"]).any())
    found = asked.audit() if counted else Audit((), 0)
    chosen = _chosen(found.oddities, accept)
    if asked.knows_channels:
        say_audit(asked, found)
    elif not asked.is_public:
        say()
        say(text("error.RC341", language()))
    if accept:
        rows = list(dict.fromkeys(row for one in chosen for row in one.rows))
        if rows:
            asked.accept(rows)
        key = "accepted" if rows else "accepted_nothing"
        say(text(f"audit.{key}", language(), count=str(len(rows))))
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
                "audit": [one.to_json(opened.config.channels) for one in found.oddities],
                "audit_unsearched": found.unsearched,
                "accepted": [one.key for one in chosen if one.rows],
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


def _chosen(found: Sequence[Oddity], accept: Sequence[str]) -> list[Oddity]:
    """The findings that `--accept` names; CallError RC630 when an id is none of theirs."""
    known = [one.key for one in found]
    for key in accept:
        if key not in (EVERYTHING, *known):
            raise CallError("RC630", value=key, nearest=nearest(key, known) or "–")
    return [one for one in found if EVERYTHING in accept or one.key in accept]


def say_audit(case: Case, found: Audit) -> None:
    """The findings as a table, then a sentence each, on stderr."""
    here, channels = language(), case.config.channels
    say()
    if not found.oddities:
        say(text("audit.nothing", here))
    else:
        say(text("audit.title", here, count=str(len(found.oddities))))
        head = ("id", "what", "channel", "days", "size", "probability", "row")
        rows = [
            [
                one.key,
                one.label(here),
                one.where(here, channels),
                _days(one),
                percent(abs(one.size)) if one.size == one.size else "",
                chance(one.probability),
                ", ".join(dict.fromkeys(row.kind for row in one.rows)),
            ]
            for one in found.oddities
        ]
        for line in aligned([text(f"audit.head_{part}", here) for part in head], rows, numbers=(4, 5)):
            say(line)
        for one in found.oddities:
            say()
            told = f"{one.key} [{one.code}] {one.message(here, channels)}"
            for line in (
                *wrapped(told, columns()),
                *wrapped(text("audit.misleads", here, text=one.misleads(here)), columns(), "  "),
            ):
                say(line)
        if any(one.rows for one in found.oddities):
            say()
            say(text("audit.accept", here, case=str(case.folder.folder)))
    if found.unsearched:
        say(text("audit.unsearched", here, count=f"{found.unsearched:,}"))


def _days(one: Oddity) -> str:
    return str(one.first) if one.first == one.last else f"{one.first} {RANGE} {one.last}"


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
    "check",
    check,
    [
        argument("case", type=click.Path(path_type=Path)),
        option("--accept", metavar="[ID]", multiple=True, is_flag=False, flag_value=EVERYTHING),
        option("--json", "json_file", metavar="F"),
    ],
)
