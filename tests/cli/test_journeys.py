"""`rechannel journeys`: the published JSON, the same bytes again, the screen in three languages, the calls refused."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from jsonschema import validate

from rechannel.answers.journeys import schema
from rechannel.case import open_case
from rechannel.cli.main import run
from rechannel.evidence.attribution import METHODS
from rechannel.vocabulary.wording import LANGUAGES

ROWS = """customer,time,channel,event,value
u1,2025-01-01 10:00:00,app,visit,
u1,2025-01-01 10:00:00,app,visit,
u1,2025-01-01 10:30:00,entry,visit,
u1,2025-01-01 11:00:01,entry,visit,
u1,2025-01-01 11:00:01,app,order,50
u1,2025-01-31 11:00:01,app,order,70
u2,2025-01-02 10:00:00,entry,visit,
u3,2025-01-03 10:00:00,search,visit,
u3,2025-01-05 10:00:00,entry,visit,
u3,2025-01-05 10:05:00,entry,order,30
u4,2025-01-06 10:00:00,app,order,10
u5,2025-03-01 10:00:00,app,visit,
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journeys")
    (folder / "touches.csv").write_text(ROWS)
    made = folder / "case"
    assert run(["new", str(made), "--touches", str(folder / "touches.csv")]) == 0
    return made


def answer(case: Path, target: Path, *options: str) -> dict[str, object]:
    assert run(["journeys", str(case), "--json", str(target), *options]) == 0
    body = json.loads(target.read_text(encoding="utf-8"))
    validate(body, schema())
    assert isinstance(body, dict)
    return body


def test_the_figures_of_a_log_done_by_hand(case: Path, tmp_path: Path) -> None:
    """u1 has two sessions (10:00 app, 11:00:01 entry); its second order looks back 30 days to the second only."""
    body = answer(case, tmp_path / "a.json")
    wanted = {
        "rows": 12,
        "duplicates_dropped": 1,
        "sessions": 6,
        "orders": 4,
        "attributed_orders": 3,
        "unattributed_orders": 1,
        "non_converting_paths": 2,
        "distinct_paths": 3,
        "kind": "descriptive",
    }
    assert {name: body[name] for name in wanted} == wanted
    assert body["p_conversion"] == pytest.approx(3 / 5)
    credit = {method: {name: cell["mean"] for name, cell in cells.items()} for method, cells in body["credit"].items()}
    assert credit["first"] == {"app": 1, "entry": 1, "search": 1}
    assert credit["last"] == {"app": 0, "entry": 3, "search": 0}
    for method in ("linear", "position", "shapley"):
        assert credit[method] == {"app": 0.5, "entry": 2, "search": 0.5}
    assert credit["time_decay"]["search"] == pytest.approx(1 / (1 + 2 ** (2 / 7)), abs=1e-8)
    assert tuple(credit) == METHODS
    for cells in credit.values():
        assert sum(cells.values()) == pytest.approx(3)
    assert body["removal_effect"]["entry"]["mean"] == pytest.approx(1)
    assert body["tables"]["channels"][0]["sessions"] == 2


def test_the_same_bytes_again_and_other_settings(case: Path, tmp_path: Path) -> None:
    bodies = [answer(case, tmp_path / name) for name in ("a.json", "b.json")]
    for body in bodies:
        assert body["provenance"].pop("created")  # type: ignore[attr-defined]
    assert json.dumps(bodies[0]) == json.dumps(bodies[1])
    short = answer(case, tmp_path / "c.json", "--gap", "60", "--lookback", "1", "--order", "2", "--replicates", "0")
    assert short["sessions"] == 5
    assert short["attributed_orders"] == 2
    assert short["credit"]["first"]["app"] == {"mean": 1.0, "quantiles": None}  # type: ignore[index]
    assert short["contract"]["lookback_days"] == 1  # type: ignore[index]
    moves = short["tables"]["transitions"]  # type: ignore[index]
    assert {"before": {"end": "start"}, "from": {"channel": "entry"}, "to": {"end": "no_order"}, "count": 1} in moves


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_screen(case: Path, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journeys", str(case), "--lang", language]) == 0
    shown = capsys.readouterr()
    assert "entry" in shown.out
    assert "Shapley" in shown.out
    assert re.search(r"\d–\d", shown.out)
    assert "{" not in shown.out + shown.err
    assert len([line for line in shown.out.splitlines() if line.startswith("app")]) >= 1


def test_a_log_without_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("customer,time,channel,event\nu,2025-01-01 10:00:00,app,order\n")
    assert run(["new", str(tmp_path / "case"), "--touches", str(tmp_path / "t.csv")]) == 0
    body = answer(tmp_path / "case", tmp_path / "a.json")
    assert body["p_conversion"] is None
    assert body["removal_effect"] == {"app": {"mean": None, "quantiles": None}}
    assert body["credit"]["markov"]["app"]["mean"] == 0  # type: ignore[index]
    assert "no credit" in capsys.readouterr().err


def test_the_daily_panel_makes_a_case(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journeys", str(case), "--to-daily", str(tmp_path / "daily.csv"), "--replicates", "0"]) == 0
    lines = (tmp_path / "daily.csv").read_text().splitlines()
    assert lines[0] == "date,channel,visits,new_customers,orders,gmv"
    assert "2025-01-01,app,1,1,1,50" in lines
    assert "2025-01-06,app,0,1,1,10" in lines
    capsys.readouterr()
    assert run(["journeys", str(case), "--to-daily", "-", "--replicates", "0"]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_calls_that_are_refused(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def code(*call: str) -> str:
        assert run(["journeys", *call]) == 2
        return capsys.readouterr().err

    assert "RC355" in code(str(case), "--gap", "-1")
    assert "RC355" in code(str(case), "--lookback", "0")
    (tmp_path / "e.csv").write_text("start,end,kind\n2025-01-01,2025-01-01,promo\n")
    assert run(["new", str(tmp_path / "bare"), "--events", str(tmp_path / "e.csv")]) == 0
    assert "RC364" in code(str(tmp_path / "bare"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('kind = "oracle"\n', "engine.kind"),
        ('kind = "spark"\n', "engine.table"),
        ('kind = "clickhouse"\nurl = "http://me:secret@host:8123"\ntable = "t"\n', "engine.url"),
        ('kind = "clickhouse"\nurl = "http://host:8123"\ntable = "t"\ntimezone = "Mars"\n', "engine.timezone"),
    ],
)
def test_an_engine_that_cannot_be(
    case: Path, tmp_path: Path, lines: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "case.toml").write_text((case / "case.toml").read_text() + f"\n[engine]\n{lines}")
    assert run(["journeys", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "RC204" in told
    assert said in told
    assert "secret" not in told


def test_an_engine_whose_part_is_missing_names_the_extra(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, module in (("spark", "pyspark.errors"), ("clickhouse", "clickhouse_connect")):
        monkeypatch.setitem(sys.modules, module, None)
        engine = f'\n[engine]\nkind = "{kind}"\nurl = ""\ntable = "touches"\n'
        folder = shutil.copytree(case, tmp_path / kind)
        (folder / "case.toml").write_text((case / "case.toml").read_text() + engine)
        assert run(["journeys", str(folder)]) == 2
        assert f"rechannel[{kind}]" in capsys.readouterr().err


def test_the_front_door(case: Path) -> None:
    found = open_case(case).journeys(replicates=20)
    low, high = found.figure("shapley", "entry").quantiles.interval()  # type: ignore[union-attr]
    assert low <= 2 <= high
    assert open_case(case).journeys(replicates=0).figure("first", "app").quantiles is None
