"""The files of a run: every answer as JSON, all estimates as one table, the report in every language."""

from __future__ import annotations

from collections.abc import Sequence

from rechannel.answers.answer import Answer, dumps
from rechannel.answers.table import estimates_table
from rechannel.report.facts import CaseFacts
from rechannel.report.publish import file_name, pages
from rechannel.source.runs import PendingRun, RunAnswer
from rechannel.vocabulary.wording import LANGUAGES

ESTIMATES_FILE = "answers.parquet"
PAGES = tuple(file_name(language) for language in LANGUAGES)


def write_run(run: PendingRun, answers: Sequence[Answer], facts: CaseFacts) -> None:
    """Write `answers/<question>-<n>.json`, `answers.parquet` and `report.<language>.html` into a run.

    Raises
    ------
    StoreError
        RC402, RC405-RC407: the disk refuses.
    MissingPart
        RC500: ECharts is not there; `make` brings it.
    """
    files = [f"answers/{answer.question}-{place}.json" for place, answer in enumerate(answers, start=1)]
    for answer, file in zip(answers, files, strict=True):
        run.write(file, dumps(answer))
        status = "answered" if answer.answered else "refused"
        run.answers.append(RunAnswer(file, answer.question, dict(answer.asked), status))
    run.write(ESTIMATES_FILE, estimates_table(answers, files))
    for name, markup in pages(answers, facts, LANGUAGES).items():
        run.write(name, markup)
