"""`run` and `ask` on a small case, and the calls that must be refused clearly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import validate

from rechannel.answers.answer import schema
from rechannel.cli.main import run
from rechannel.vocabulary.wording import catalogue

CHANNELS = ("app", "entry", "search", "silent")
DAYS, ON = 220, "2024-07-09"  # day 190


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asking")
    rng = np.random.default_rng(5)
    dates = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-01") + DAYS)
    week = 1 + 0.1 * np.sin(2 * np.pi * np.arange(DAYS) / 7)
    lines = ["date,channel,visits,orders,gmv,new_customers"]
    for channel, level in zip(CHANNELS, (4000, 2500, 1500, 0), strict=True):
        visits = rng.poisson(level * week)
        if channel == "entry":
            visits[190:] = 0
        orders = rng.binomial(visits, 0.03)
        for day, seen, bought in zip(dates, visits, orders, strict=True):
            lines.append(f"{day},{channel},{seen},{bought},{bought * 100},{bought // 3}")
    (folder / "daily.csv").write_text("\n".join(lines) + "\n")
    (folder / "events.csv").write_text(f"start,end,kind,channel\n{ON},{ON},closure,entry\n")
    made = folder / "case"
    assert run(["new", str(made), "--daily", str(folder / "daily.csv"), "--events", str(folder / "events.csv")]) == 0
    return made


def test_a_closure_is_measured_and_the_answer_repeats(case: Path, tmp_path: Path) -> None:
    bodies = []
    for name in ("a.json", "b.json"):
        target = tmp_path / name
        call = ["ask", str(case), "impact", "--channel", "entry", "--on", ON, "--horizon", "30", "--horizon", "90"]
        assert run([*call, "--json", str(target)]) == 0
        body = json.loads(target.read_text())
        validate(body, schema())
        body["provenance"].pop("created")
        bodies.append(json.dumps(body))
    assert bodies[0] == bodies[1]
    answer = json.loads(bodies[0])
    rows = {row["id"]: row for row in answer["estimates"]}
    assert answer["verdict"] == "effect"
    low, high = (rows["net_loss_visits.30d"]["quantiles"][level] for level in ("0.05", "0.95"))
    assert low < 30 * 2500 < high
    assert rows["net_loss_visits.90d"]["refusal"]["code"] == "window_not_over"


@pytest.mark.slow
def test_a_run_holds_its_answer_and_three_pages(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(case)]) == 0
    pages = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [page.name for page in pages] == ["report.zh-Hans.html", "report.zh-Hant.html", "report.en.html"]
    assert all(page.is_file() for page in pages)
    assert list((pages[0].parent / "answers").glob("*.json"))


@pytest.mark.slow
def test_a_run_tells_what_it_is_doing(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(case), "--json", "-"]) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    wanted = ["exposure", "closure", "worth", "impact", "report"]
    assert lines[: len(wanted)] == [
        catalogue("cli", "en")[f"progress_{name}"].format(channel="entry") for name in wanted
    ]
    assert [answer["question"] for answer in json.loads(shown.out)["answers"]] == [
        "exposure",
        "closure",
        "impact",
        "worth",
    ]


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in (case / "runs").iterdir()) if (case / "runs").exists() else []

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rechannel.case.write_run", stopped)
    assert run(["run", str(case)]) == 130
    assert sorted(path.name for path in (case / "runs").iterdir()) == before


@pytest.mark.slow
def test_a_table_names_periods_currency_and_what_is_missing(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", str(case), "worth", "--channel", "entry", "--lang", "en"]) == 0
    shown = capsys.readouterr().out
    assert "Q2 2024" in shown
    assert "CNY" in shown
    assert shown.count("no number:") <= 6
    assert "known" in shown
    assert run(["ask", str(case), "closure", "--channel", "entry", "--on", ON, "--lang", "zh-Hans"]) == 0
    said = capsys.readouterr()
    assert "“entry”" in said.err
    assert "没有数字" in said.out


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        (["--channel", "entri", "--on", ON], "entry"),
        (["--channel", "entry", "--on", "2024-01-10"], "2024-01-29"),
        (["--channel", "entry", "--on", "2026-01-10"], "2025-08-07"),
        (["--channel", "entry", "--on", ON, "--market", "north"], "all"),
        (["--channel", "entry", "--on", ON, "--horizon", "0"], "one day"),
        (["--channel", "entry", "--on", ON, "--announced", ON], "before"),
        (["--channel", "entry", "--on", ON, "--smallest-effect", "much"], "much"),
        (["--channel", "entry", "--on", "tomorrow"], "tomorrow"),
    ],
)
def test_a_call_that_cannot_be_is_an_error(
    case: Path, extra: list[str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(case), "impact", *extra]) == 2
    said = capsys.readouterr()
    assert found in said.err
    assert "Traceback" not in said.err
    assert not said.out


def test_a_channel_at_zero_is_refused_without_a_number(case: Path, tmp_path: Path) -> None:
    target = tmp_path / "f.json"
    assert run(["ask", str(case), "impact", "--channel", "silent", "--on", ON, "--json", str(target)]) == 0
    body = json.loads(target.read_text())
    validate(body, schema())
    assert body["refusal"]["code"] == "channel_zero"
    assert all(row["quantiles"] is None for row in body["estimates"])


def test_a_case_without_daily_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.csv").write_text("start,end,kind\n2024-01-01,2024-01-01,holiday\n")
    assert run(["new", str(tmp_path / "c"), "--events", str(tmp_path / "events.csv")]) == 0
    assert run(["ask", str(tmp_path / "c"), "impact", "--channel", "a", "--on", "2024-05-01"]) == 2
    assert "RC322" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("question", ["closure", "impact"])
def test_every_process_says_the_same_bytes(case: Path, question: str) -> None:
    """Sets of names have another order in every process, and threads add up in another one; no sum may follow them."""
    call = ["rechannel", "ask", str(case), question, "--channel", "entry", "--on", ON, "--horizon", "14", "--json", "-"]
    said = []
    for seed, threads in (("1", "1"), ("77", "4")):
        script = f"import sys; sys.argv = {call!r}; from rechannel.cli.main import main; main()"
        made = {**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=made)
        said.append({key: value for key, value in json.loads(done.stdout).items() if key != "provenance"})
    assert said[0] == said[1]
