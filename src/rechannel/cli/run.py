"""`rechannel run`: every question the data allow, stored as one run with its report."""

from __future__ import annotations

from pathlib import Path

import click

from rechannel.case import open_case
from rechannel.cli.progress import progress_of
from rechannel.cli.terminal import language, put, put_json, say
from rechannel.cli.verb import Verb, argument, option, words


def run(case: Path, json_file: str | None) -> int:
    """Ask, store and publish; the paths of the pages are the data."""
    opened = open_case(case)
    finished = opened.run(progress_of(opened))
    for answer in finished.answers:
        say(answer.text[language()])
    if not finished.answers:
        say(words("run_nothing"))
    if json_file:
        answers = [answer.to_json() for answer in finished.answers]
        put_json({"run": finished.folder.name, "answers": answers}, json_file)
    if json_file != "-":
        for page in finished.pages:
            put(str(page))
    return 0


command = Verb(
    "run", run, [argument("case", type=click.Path(path_type=Path)), option("--json", "json_file", metavar="F")]
)
