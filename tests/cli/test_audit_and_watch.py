"""check and watch as a user calls them: a table with sentences, JSON, rows accepted once, exit codes for schedulers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.evidence.made_panels import arrays, as_panel, made_panel

from rechannel.case import new_case, open_case
from rechannel.cli import main
from rechannel.tables.panel import Panel
from rechannel.vocabulary.wording import LANGUAGES

NAMES = ("app", "=cmd|\u202e'/c'!A1", '搜索, "ads"', "NA\nlive", "mini")
"""Names as an export may hold them: a formula, a mark that turns text around, quotes, a line break."""


def case_of(panel: Panel, folder: Path, names: tuple[str, ...] = NAMES) -> str:
    """A case folder of a panel, through the door."""
    days, channels = len(panel.dates), len(panel.channels)
    columns = {
        "date": pa.array(np.repeat(panel.dates, channels)),
        "channel": pa.array(list(names[:channels]) * days),
        **{name: pa.array(values[:, 0].ravel()) for name, values in panel.values.items()},
    }
    pq.write_table(pa.table(columns), folder / "daily.parquet")
    new_case(folder / "case", {"daily": folder / "daily.parquet"})
    return str(folder / "case")


def with_faults() -> Panel:
    """An outage of the second channel and a burst without buyers in the third."""
    visits, orders, gmv = arrays(made_panel())
    for values in (visits, orders, gmv):
        values[120:126, 1] = 0.0
    visits[200:203, 2] *= 4
    return as_panel(visits, orders, gmv)


@pytest.mark.slow
def test_check_tells_accepts_and_does_not_propose_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = case_of(with_faults(), tmp_path)
    for language in LANGUAGES:
        assert main.run(["check", case, "--lang", language]) == 0
        said = capsys.readouterr().err
        assert "[RC601]" in said
        assert "[RC618]" in said
        assert "\u202e" not in said
        assert max(len(line) for line in said.splitlines() if line.startswith("  ")) <= 100
    assert main.run(["check", case, "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    outage, burst = told["audit"]
    assert (outage["code"], outage["channel"], burst["code"]) == ("RC601", NAMES[1], "RC618")
    assert outage["rows"][0]["kind"] == "outage"
    assert set(outage["message"]) == set(outage["misleads"]) == set(LANGUAGES)
    assert told["accepted"] == []

    assert main.run(["check", case, "--accept", outage["id"], "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == [outage["id"]]
    events = open_case(case).folder.relation("events")
    assert events is not None
    assert [(row["kind"], row["channel"], row["severity"]) for row in events.to_pylist()] == [("outage", NAMES[1], 1.0)]
    assert main.run(["check", case, "--json", "-"]) == 0
    assert [one["code"] for one in json.loads(capsys.readouterr().out)["audit"]] == ["RC618"]

    assert main.run(["check", case, "--accept", outage["id"]]) == 2
    assert "RC630" in capsys.readouterr().err
    assert main.run(["check", case, "--accept"]) == 0
    assert "1 row" in capsys.readouterr().err
    assert main.run(["check", case, "--accept"]) == 0
    shown = capsys.readouterr().err
    assert "Nothing looks different" in shown
    assert open_case(case).folder.relation("events").num_rows == 2  # type: ignore[union-attr]


@pytest.mark.slow
def test_accepting_keeps_the_rows_that_are_there(tmp_path: Path) -> None:
    case = open_case(case_of(with_faults(), tmp_path))
    rows = [row for one in case.audit().oddities for row in one.rows]
    case.accept(rows[:1])
    case.accept(rows)
    kept = case.folder.relation("events")
    assert kept is not None
    assert kept.num_rows == 2
    assert case.audit().oddities == ()


@pytest.mark.slow
def test_watch_is_made_for_schedulers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visits, orders, gmv = arrays(made_panel())
    for values in (visits, orders, gmv):
        values[294:, 1] = np.floor(values[294:, 1] * 0.3)
    case = case_of(as_panel(visits, orders, gmv), tmp_path)
    for language in LANGUAGES:
        assert main.run(["watch", case, "--lang", language]) == 3
        shown = capsys.readouterr()
        assert not shown.out
        assert re.search(r"\b(6[5-9]|7[0-5])%", shown.err)
        assert "\u202e" not in shown.err
    assert main.run(["watch", case, "--json", "-"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "rechannel.watch/1"
    assert [one["channel"] for one in told["channels"] if one["flagged"]] == [NAMES[1]]
    one = next(one for one in told["channels"] if one["flagged"])
    assert one["since"] == "2024-10-21"
    assert one["visits_at_stake"]["p05"] < one["visits_at_stake"]["median"] < one["visits_at_stake"]["p95"]
    assert set(told["text"]) == set(LANGUAGES)


def test_watch_of_a_quiet_a_short_and_a_public_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet, short = tmp_path / "quiet", tmp_path / "short"
    quiet.mkdir()
    short.mkdir()
    assert main.run(["watch", case_of(made_panel(), quiet)]) == 0
    assert "No channel is flagged." in capsys.readouterr().err
    assert main.run(["watch", case_of(made_panel(40), short)]) == 2
    assert "RC631" in capsys.readouterr().err


def test_a_case_without_daily_is_checked_and_cannot_be_watched(
    public_case: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(public_case.folder.folder)  # type: ignore[attr-defined]
    assert main.run(["check", folder, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["audit"] == []
    assert main.run(["watch", folder]) == 2
    assert "RC322" in capsys.readouterr().err


def test_codes_of_the_audit_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for code in ("RC600", "RC612", "RC630"):
        assert main.run(["explain", code]) == 0
        assert "fix: " in capsys.readouterr().out


def test_a_case_of_the_whole_shop_alone_is_checked_without_an_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"2025-01-{day:02d},total,{900 + day},{50 + day % 5}" for day in range(1, 32)]
    (tmp_path / "daily.csv").write_text("\n".join(["date,channel,visits,orders", *rows]) + "\n", encoding="utf-8")
    case = str(tmp_path / "case")
    assert main.run(["new", case, "--daily", str(tmp_path / "daily.csv")]) == 0
    for language in LANGUAGES:
        assert main.run(["check", case, "--json", "-", "--lang", language]) == 0
        shown = capsys.readouterr()
        assert json.loads(shown.out)["audit"] == []
        assert "`total`" in shown.err
    assert main.run(["watch", case]) == 2
