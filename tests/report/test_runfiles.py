"""The files of a run: what its manifest lists, and a table that says what the answers say."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_answers import cannot_tell, made_answer, made_facts, refused_answer

from rechannel.answers.answer import dumps
from rechannel.answers.table import ESTIMATES, QUANTILES
from rechannel.report import runfiles
from rechannel.report.runfiles import PAGES, write_run
from rechannel.source.runs import new_run, verify_run
from rechannel.vocabulary.estimate import LEVELS

ANSWERS = (made_answer(), cannot_tell(), refused_answer())


@pytest.fixture(autouse=True)
def light_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are tested elsewhere, and drawing them takes most of the time."""
    monkeypatch.setattr(runfiles, "pages", lambda *_: dict.fromkeys(PAGES, "<!doctype html>"))


def test_the_table_says_what_the_answers_say(tmp_path: Path) -> None:
    with new_run(tmp_path, "0" * 64) as pending:
        write_run(pending, ANSWERS, made_facts())
    manifest = verify_run(pending.final)
    named = {answer.file: answer for answer in manifest.answers}
    listed = [file.name for file in manifest.files]
    assert sorted(listed) == sorted(["answers.parquet", *named, *PAGES])
    assert [answer.question for answer in manifest.answers] == [answer.question for answer in ANSWERS]
    assert [answer.status for answer in manifest.answers] == ["answered", "answered", "refused"]
    table = pq.read_table(pending.final / "answers.parquet")
    assert table.schema.equals(ESTIMATES)
    rows = table.to_pylist()
    wanted = []
    for answer, file in zip(ANSWERS, named, strict=True):
        text = (pending.final / file).read_text(encoding="utf-8")
        assert text == dumps(answer)
        wanted += [(file, answer.question, row) for row in json.loads(text)["estimates"]]
    assert len(rows) == len(wanted) > 10
    for row, (file, question, estimate) in zip(rows, wanted, strict=True):
        assert (row["file"], row["question"]) == (file, question)
        quantiles = estimate.pop("quantiles") or {}
        assert [row[name] for name in QUANTILES] == [quantiles.get(f"{level:g}") for level in LEVELS]
        refusal = estimate.pop("refusal")
        assert row["refusal"] == (refusal and refusal["code"])
        assert {name: row[name] for name in estimate} == estimate
    assert {row["status"] for row in rows} == {"answered", "refused"}


def test_no_answers_make_an_empty_table(tmp_path: Path) -> None:
    with new_run(tmp_path, "0" * 64) as pending:
        write_run(pending, (), made_facts())
    assert pq.read_table(pending.final / "answers.parquet").schema.equals(ESTIMATES)
    assert verify_run(pending.final).answers == ()
