"""The command line: help and a page per verb, an exit code per ending, every sentence in three languages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from rechannel.cli import commands, main
from rechannel.vocabulary import wording
from rechannel.vocabulary.wording import LANGUAGES, catalogue, text

ROOT = Path(__file__).resolve().parents[2]
FIRST = date(2025, 1, 1)


@pytest.fixture
def daily(tmp_path: Path) -> Path:
    path = tmp_path / "daily.csv"
    rows = [
        f"{FIRST + timedelta(days=day)},{name},{100 + day},1,2,3.5,1" for day in range(40) for name in ("app", "live")
    ]
    path.write_text("date,channel,visits,new_customers,orders,gmv,cost\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("verb", commands.COMMANDS)
def test_every_verb_has_help(verb: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([verb, "--help", "--lang", language]) == 0
    shown = capsys.readouterr().out
    assert f"rechannel {verb}" in shown
    assert "--lang" in shown
    assert catalogue("cli", language)[f"about_{verb}"][:10] in shown


@pytest.mark.parametrize("verb", commands.COMMANDS)
def test_every_verb_is_documented(verb: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.split(f"## rechannel {verb}\n")
    assert len(section) == 2, f"docs/cli.md has no section `## rechannel {verb}`"
    assert f"rechannel {verb} " in section[1].split("\n## ")[0], f"docs/cli.md has no example of {verb}"


def test_help_lists_every_verb_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from rechannel.cli.main import run; code = run(['--help']); "
        "heavy = {'numpy', 'scipy', 'duckdb', 'pyarrow', 'tomlkit', 'rich', 'holidays'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in commands.COMMANDS:
        assert re.search(rf"^  {verb} ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (["nwe"], 2, "did you mean: new"),
        (["new"], 2, "RC303"),
        (["new", "x", "--dialy", "f"], 2, "did you mean: --daily"),
        (["new", "x", "--cadence", "hourly"], 2, "RC304"),
        (["new", "x", "--lang", "fr"], 2, "RC304"),
        (["new", "x"], 2, "RC305"),
        (["new", "x", "--daily", "no-such-file"], 2, "RC310"),
        (["check", "no-such-case"], 2, "RC202"),
        (["check", "a", "b"], 2, "RC300"),
        (["explain", "RC9999"], 2, "RC308"),
    ],
)
def test_bad_calls(call: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(call) == code
    shown = capsys.readouterr()
    assert not shown.out
    assert said in shown.err
    assert "fix: " in shown.err
    assert "Traceback" not in shown.err


def test_a_refusal_says_what_to_do_about_each_kind_of_fault(
    daily: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = daily.read_text(encoding="utf-8").splitlines(keepends=True)
    cells = [line.split(",") for line in lines]
    place = cells[0].index("visits")
    for line, cell in ((5, "1.2k"), (7, "many"), (9, "-3")):
        lines[line] = ",".join([*cells[line][:place], cell, *cells[line][place + 1 :]])
    bad = tmp_path / "bad.csv"
    bad.write_text("".join(lines), encoding="utf-8")
    for language in LANGUAGES:
        assert main.run(["new", str(tmp_path / "case"), "--daily", str(bad), "--lang", language]) == 2
        told = capsys.readouterr().err
        steps = [line for line in told.splitlines() if line.startswith(text("error.fix", language))]
        assert [
            text(f"remedy.{code}", language) in step for code, step in zip(("RC121", "RC130"), steps, strict=False)
        ] == [True] * 2
        assert len(steps) == 3
    assert not (tmp_path / "case").exists()


def test_new_check_add(daily: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = str(tmp_path / "case")
    for language in LANGUAGES:
        assert main.run(["new", f"{case}-{language}", "--daily", str(daily), "--lang", language]) == 0
        shown = capsys.readouterr()
        assert not shown.out
        assert "warning" not in shown.err
        assert "警告" not in shown.err
        assert "note:" in shown.err
    assert main.run(["new", case, "--daily", str(daily), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"daily": 80}
    assert main.run(["new", case, "--daily", str(daily)]) == 2
    assert "RC201" in capsys.readouterr().err
    assert main.run(["check", case, "--json", "-"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["channels"] == ["app", "live"]
    assert checked["tables"]["daily"]["last"] == "2025-02-09"
    more = tmp_path / "more.csv"
    more.write_text(
        "date,channel,visits,new_customers,orders,gmv,cost\n2025-02-09,app,1,1,1,1,1\n2025-02-10,app,1,1,1,1,1\n"
    )
    assert main.run(["add", case, "--daily", str(more)]) == 0
    assert "1 rows added, 1 revised, 81 now" in capsys.readouterr().err
    assert main.run(["check", case, "--json", str(tmp_path / "no" / "f.json")]) == 2
    assert "RC311" in capsys.readouterr().err


def test_a_refused_file_lists_its_faults(daily: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daily.write_text(daily.read_text().replace(",102,", ",-102,"))
    for language, label in (("en", "error"), ("zh-Hans", "错误"), ("zh-Hant", "錯誤")):
        assert main.run(["new", str(tmp_path / "case"), "--daily", str(daily), "--lang", language]) == 2
        said = capsys.readouterr().err
        assert said.startswith(label)
        assert "daily.csv:6:visits" in said
        assert "[RC130]" in said
    assert not (tmp_path / "case").exists()


def test_warnings_start_with_their_word(daily: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daily.write_text(daily.read_text().replace(",orders,", ",remark,"))
    for language, label in (("en", "warning daily.csv"), ("zh-Hans", "warning 警告 daily.csv")):
        assert main.run(["new", str(tmp_path / language), "--daily", str(daily), "--lang", language]) == 0
        assert capsys.readouterr().err.startswith(label)


def test_names_of_the_data_do_not_reach_the_terminal_raw(
    daily: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daily.write_text(daily.read_text().replace(",live,", ",\x1b[31mlive\u202e,"))
    assert main.run(["new", str(tmp_path / "case"), "--daily", str(daily)]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err + shown.out
    assert "\u202e" not in shown.err + shown.out
    assert "RC164" in shown.err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [(KeyboardInterrupt(), 130, "interrupted"), (ZeroDivisionError("boom"), 1, "RC001"), (BrokenPipeError(), 0, "")],
)
def test_other_endings(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("rechannel.cli.explain._entries", fail)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main.run(["explain", "RC136"]) == code
    shown = capfd.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) <= 2


def test_the_language_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main.run(["explain", "RC136"]) == 0
    assert "办法" in capsys.readouterr().out
    assert main.run(["explain", "RC136", "--lang=en"]) == 0
    assert "fix: " in capsys.readouterr().out
    assert main.run([]) == 0
    assert "用法" in capsys.readouterr().out


def test_colour_only_on_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    main.run(["nwe"])
    assert "\x1b[31m" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    main.run(["nwe"])
    assert "\x1b" not in capsys.readouterr().err


def test_every_code_has_a_sentence_and_a_remedy_in_three_languages() -> None:
    used: set[str] = set()
    for folder in ("source", "cli"):
        for path in (ROOT / "src" / "rechannel" / folder).rglob("*.py"):
            used |= set(re.findall(r"\bRC\d{3}\b", path.read_text(encoding="utf-8")))
    for language in LANGUAGES:
        sentences = catalogue("fault", language) | catalogue("error", language)
        assert used - sentences.keys() == set()
        for code in sentences.keys() - {"fix"}:
            assert catalogue("remedy", language)[code]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_and_grade_reason_is_explained(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    codes = catalogue("refusal", "en").keys() | catalogue("grade_reason", "en").keys()
    for code in (*codes, "A", "B", "C", "D"):
        assert main.run(["explain", code, "--lang", language]) == 0
        said = capsys.readouterr().out
        assert said.startswith(code)
        assert catalogue("cli", language)["remedy"] in said
    assert main.run(["explain", "NO_MARGIN", "--lang", language]) == 0


def test_every_refusal_and_grade_reason_of_the_code_has_its_sentence() -> None:
    refusals: set[str] = set()
    for floor in ("answers", "evidence", "world", "scenario"):
        for path in (ROOT / "src" / "rechannel" / floor).glob("*.py"):
            refusals |= set(re.findall(r'Refusal\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert len(refusals) > 20
    assert refusals - catalogue("refusal", "en").keys() == set()


@pytest.mark.parametrize("room", ["fault", "error", "remedy", "cli"])
def test_languages_have_the_same_keys_and_parts(room: str) -> None:
    english = catalogue(room, "en")
    for language in LANGUAGES:
        other = catalogue(room, language)
        assert other.keys() == english.keys()
        for key, sentence in english.items():
            # A remark of our lists comes in both languages; each sentence shows its own.
            parts = set(re.findall(r"\{\w+\}", other[key].replace("{zh}", "{en}")))
            assert parts == set(re.findall(r"\{\w+\}", sentence)), f"{key} {language}"
    assert files(wording.__package__ or "").joinpath("messages").is_dir()
