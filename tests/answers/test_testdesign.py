"""`design` end to end: a shop asks for a test, runs it as proposed, and its channel then stands at grade A."""

from __future__ import annotations

import csv
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from benchmarks.market_shops import DIVERSION, FIRST, made_shop

from rechannel.answers.standing import standing_of
from rechannel.case import Case, open_case
from rechannel.cli.main import run
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import Quantiles, Refusal
from rechannel.vocabulary.grade import Grade

BEFORE, DAYS = 154, 196


def put_daily(panel: Panel, days: int, target: Path, *, split: bool = True) -> None:
    """The shop's first days as a CSV; not split by market = the sum of its markets."""
    visits, orders = (panel.values[name][:days] for name in ("visits", "orders"))
    if not split:
        visits, orders = visits.sum(axis=1, keepdims=True), orders.sum(axis=1, keepdims=True)
    with target.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["date", *(["market"] if split else []), "channel", "visits", "orders", "gmv"])
        for day in range(days):
            for at in range(visits.shape[1]):
                for channel, name in enumerate(panel.channels):
                    seen, bought = int(visits[day, at, channel]), int(orders[day, at, channel])
                    place = [panel.markets[at]] if split else []
                    when = (FIRST + timedelta(days=day)).isoformat()
                    writer.writerow([when, *place, name, seen, bought, 80 * bought])


def made_case(folder: Path, panel: Panel, days: int, events: list[dict[str, str]], *, split: bool = True) -> Case:
    folder.mkdir()
    put_daily(panel, days, folder / "daily.csv", split=split)
    call = ["new", str(folder / "case"), "--daily", str(folder / "daily.csv")]
    if events:
        with (folder / "events.csv").open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(events[0]))
            writer.writeheader()
            writer.writerows(events)
        call += ["--events", str(folder / "events.csv")]
    assert run(call) == 0
    return open_case(folder / "case")


@pytest.fixture(scope="module")
def shop() -> Panel:
    panel, _ = made_shop(7, days=DAYS, markets=9)
    return panel


@pytest.fixture(scope="module")
def case(shop: Panel, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made_case(tmp_path_factory.mktemp("design") / "before", shop, BEFORE, [])


@pytest.mark.slow
def test_a_test_run_as_proposed_lifts_the_grade(shop: Panel, case: Case, tmp_path: Path) -> None:
    design = case.design("entry", 3)
    assert design.refusal is None
    assert design.kind == "markets"
    assert design.grade_now is Grade.D
    best = design.options[0]
    assert best.lifts
    assert best.grade is Grade.A
    assert isinstance(best.costs["orders"], Quantiles)
    assert isinstance(best.costs["margin"], Refusal)
    assert best.costs["margin"].code == "no_margin"
    chances = list(design.power.values())
    assert chances == sorted(chances)
    lifting = [option for option in design.options if option.lifts]
    assert [option.reading.removed for option in lifting] == sorted(option.reading.removed for option in lifting)

    visits = shop.values["visits"].copy()
    for row in design.event_rows():
        first, last = ((date.fromisoformat(row[name]) - FIRST).days for name in ("start", "end"))
        assert first >= BEFORE + 6
        assert date.fromisoformat(row["start"]).weekday() == 0
        days, at = slice(first, last + 1), shop.markets.index(row["market"])
        lost = visits[days, at, 0].copy()
        visits[days, at] += np.round(lost[:, None] * DIVERSION)
        visits[days, at, 0] = 0.0
    ran = Panel(shop.dates, shop.markets, shop.channels, {**shop.values, "visits": visits}, {})
    after = made_case(tmp_path / "after", ran, DAYS, design.event_rows())
    (finding,) = after.world.findings
    assert finding.grade_cap is Grade.A
    assert finding.clear
    assert abs(finding.retained - DIVERSION.sum()) < 3.5 * finding.retained_sd
    assert finding.retained_sd < 2 * best.reading.error / best.reading.removed
    assert standing_of(after.world, "entry").cap is Grade.A


@pytest.mark.slow
def test_an_entry_that_cannot_be_split_is_tested_in_weeks(
    shop: Panel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = made_case(tmp_path / "whole", shop, DAYS, [], split=False)
    folder, target = tmp_path / "whole" / "case", tmp_path / "design.json"
    capsys.readouterr()
    for spoken in ("en", "zh-Hans", "zh-Hant"):
        call = ["design", str(folder), "--channel", "entry", "--lang", spoken, "--json", str(target)]
        assert run(call) == 0
        shown = capsys.readouterr()
        assert "entry" in shown.err
        assert shown.out.count("\n") >= 3
    body = json.loads(target.read_text(encoding="utf-8"))
    assert body["schema"] == "rechannel.design/1"
    assert body["kind"] == "weeks"
    assert body["options"][0]["markets"] == []
    assert len(body["options"][0]["periods"]) >= 2
    assert {row["market"] for row in body["events"]} == {""}
    again = whole.design("entry").to_json()
    for one in (body, again):
        one["provenance"].pop("created")
    assert json.loads(json.dumps(again, ensure_ascii=False)) == body


@pytest.mark.slow
def test_what_cannot_be_designed_is_refused_or_an_error(
    case: Case, tmp_path: Path, shop: Panel, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(case.folder.folder)
    assert run(["design", folder, "--channel", "nothing"]) == 2
    assert "RC320" in capsys.readouterr().err
    assert run(["design", folder, "--channel", "entry", "--days", "2"]) == 2
    assert run(["design", folder]) == 2
    short = made_case(tmp_path / "short", shop, 60, [])
    design = short.design("entry", 3)
    assert design.refusal is not None
    assert design.refusal.code == "short_history"
    assert design.event_rows() == []
    assert set(design.text) == {"en", "zh-Hans", "zh-Hant"}
    capsys.readouterr()
    assert run(["design", str(short.folder.folder), "--channel", "entry"]) == 0
    assert "60" in capsys.readouterr().err
