"""A case without daily data from the command line: new, check, run, ask, and the second half of the demo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import validate

from rechannel.answers.answer import schema
from rechannel.case import Case
from rechannel.cli.demo_public import public_demo
from rechannel.cli.main import run
from rechannel.source.examples import example_folder, example_tables
from rechannel.vocabulary.errors import CallError


def test_new_check_and_run_without_daily(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = tmp_path / "case"
    options = [
        part
        for table, path in example_tables(example_folder("jd_wechat")).items()
        for part in (f"--{table}", str(path))
        if table != "rivals"
    ]
    assert run(["new", str(case), *options[:-2]]) == 0
    assert run(["check", str(case)]) == 0
    assert run(["run", str(case)]) == 0
    pages = [Path(line) for line in capsys.readouterr().out.splitlines() if line.endswith(".html")]
    assert len(pages) == 3
    assert all(page.is_file() for page in pages)
    answers = sorted(path.name for path in (pages[0].parent / "answers").iterdir())
    assert answers == ["closure-2.json", "impact-3.json", "record-1.json"]
    for path in (pages[0].parent / "answers").iterdir():
        validate(json.loads(path.read_text(encoding="utf-8")), schema())


@pytest.mark.parametrize(("question", "status"), [("closure", "answered"), ("impact", "refused")])
def test_questions_end_well_and_repeat(
    public_case: Case, tmp_path: Path, question: str, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = []
    for name in ("a.json", "b.json"):
        target = tmp_path / name
        call = ["ask", str(public_case.folder.folder), question, "--channel", "wechat_discover", "--on", "2025-09-30"]
        assert run([*call, "--json", str(target)]) == 0
        body = json.loads(target.read_text(encoding="utf-8"))
        validate(body, schema())
        assert body["status"] == status
        body["provenance"].pop("created")
        bodies.append(json.dumps(body))
    assert bodies[0] == bodies[1]
    assert run(["ask", *call[1:3], "--channel", "nobody", "--on", "2025-09-30"]) == 2
    assert "RC320" in capsys.readouterr().err


def test_the_demo_prints_both_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished = public_demo(tmp_path, force=False)
    shown = capsys.readouterr().out
    can, cannot = shown.split("It cannot say:")
    for part in ("93 days", "18 days", "5, 3, 3 years", "About 20%", "10.1% → 6.4% → 3.7%", "[D: assumption]"):
        assert part in can
    assert "USD 220,000,000 over 3 years" in cannot
    assert "CNY 8.0B–10.0B a year" in cannot
    assert [answer.question for answer in finished.answers] == ["record", "closure", "impact"]
    with pytest.raises(CallError, match="RC327"):
        public_demo(tmp_path, force=False)
    assert public_demo(tmp_path, force=True).folder.name.startswith("1-")
