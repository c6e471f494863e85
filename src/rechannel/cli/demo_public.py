"""The second half of `rechannel demo`: the public case, with what its record can say and what it cannot."""

from __future__ import annotations

from pathlib import Path

from rechannel.case import Case, Run, new_case, open_case
from rechannel.cli.demo_place import check_free, made_at, moved
from rechannel.cli.terminal import columns, language, put, say, wrapped
from rechannel.cli.verb import words
from rechannel.report.blocks import Reader
from rechannel.report.chapters.record import said_lines
from rechannel.source.config import read_config
from rechannel.source.examples import example_folder, example_tables
from rechannel.vocabulary.wording import text

EXAMPLE = "jd_wechat"


def public_demo(folder: Path, force: bool) -> Run:
    """Make the public case in `folder/jd_wechat`, run it, and print both lists and the pages.

    Raises
    ------
    CallError
        RC327: the folder is not empty and `force` is off; RC328: it holds something that is not a case.
    """
    target = folder / EXAMPLE
    check_free(target, force)
    source = example_folder(EXAMPLE)
    declared = read_config(source)
    say()
    say(words("demo_public", name=declared.name))
    with made_at(target) as made:
        new_case(
            made,
            example_tables(source),
            name=declared.name,
            currency=declared.currency,
            timezone=declared.timezone,
            channels=declared.channels,
            assumptions=declared.assumptions,
            margin=declared.margin,
        )
        finished = moved(open_case(made).run(), made, target)
    show_record(open_case(target), finished)
    return finished


def show_record(case: Case, finished: Run) -> None:
    """Both lists, each line with its grade or with the reason, then where the pages are."""
    spoken = language()
    answer = next(answer for answer in finished.answers if answer.question == "record")
    reader = Reader(case.facts(), spoken)
    for kind in ("can", "cannot"):
        put()
        put(words(f"demo_{kind}"))
        for line in said_lines(answer, kind, reader):
            grade = f" [{line.grade.value}: {text(f'grade.{line.grade.value}', spoken)}]" if line.grade else ""
            _paragraph(f"{line.text}{grade}", "  ")
            for part in (line.refusal.message(spoken) if line.refusal else "", *line.beside):
                if part:
                    _paragraph(part, "    ")
    put()
    put(words("demo_reports"))
    for page in finished.pages:
        put(f"  {page}")


def _paragraph(body: str, indent: str) -> None:
    for line in wrapped(body, columns(), indent):
        put(line)
