"""The screen of the demo in three languages, its place on the disk, and lines that fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from rechannel.answers.answer import Answer, EvidenceItem, Provenance
from rechannel.answers.money import Money, money_rows
from rechannel.answers.rows import Coordinates, answered
from rechannel.case import Run, open_case
from rechannel.cli import demo, demo_place, terminal
from rechannel.cli.demo_screen import HORIZON, Told, show_twin
from rechannel.cli.main import run
from rechannel.lab.twin import TwinFiles, twin_spec
from rechannel.report.facts import CaseFacts, ChannelShare
from rechannel.source.config import Assumption
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Estimate
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text

MADE = Provenance("0", 0, "0" * 64, "2026-01-01T00:00:00+00:00")
CLOSED = "wechat_discover"
CHANNELS = tuple(demo.twin_channel(entry) for entry in twin_spec(0).entries)
FACTS = CaseFacts(
    "Twin",
    "CNY",
    "Asia/Shanghai",
    date(2023, 1, 1),
    date(2026, 1, 27),
    tuple(ChannelShare(channel, 1 / len(CHANNELS)) for channel in CHANNELS),
)
METHODS = ("last_touch", "shapley", "removal")
TRUTH = {str(HORIZON): {"net_loss": {"visits": 234_388.0}, "before_after": -241_000.0, "retained_own": 0.726}}
WORTH = {"period": "2025Q2", "net_loss": {"orders": 9_072.0}}
TOLD = Told(FACTS, CLOSED, date(2025, 9, 30), date(2025, 9, 12), TRUTH, WORTH, demo.MARGIN)


def row(
    metric: str, middle: float, unit: str = "visits", channel: str | None = None, grade: Grade = Grade.B
) -> Estimate:
    draws = middle + 0.2 * abs(middle) * np.random.default_rng(1).standard_normal(400)
    method = "last_touch" if metric.startswith("credited") else None
    return answered(metric, unit, draws, grade, Coordinates(HORIZON, channel), method=method)


def quarter(metric: str, middle: float, method: str | None) -> Estimate:
    return replace(row(metric, middle, "orders"), period="2025Q2", method=method, horizon_days=None)


def answer(question: str, rows: list[Estimate], evidence: tuple[EvidenceItem, ...] = ()) -> Answer:
    words = {language: f"{question} {language}." for language in LANGUAGES}
    asked = {"on": "2026-01-28", "channel": CLOSED}
    return Answer(question, asked, tuple(rows), (), evidence, (), words, MADE, Grade.B)


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    others = [channel.channel_id for channel in CHANNELS if channel.channel_id != CLOSED]
    lost = np.random.default_rng(2).normal(2e6, 4e5, 400)
    money = money_rows(Money("CNY", demo.MARGIN, 2.2e6, True), lost, lost * 9, Grade.B, Coordinates(HORIZON), 0)
    parts = (("retained_own", 0.6), ("to_rivals", 0.07), ("lost_outside", 0.3))
    closure = [
        *(row("net_loss_visits", 348_000.0), row("credited_visits", 867_000.0), *money),
        *(row(name, share, "share") for name, share in parts),
        *(row("diversion", 0.02 * (i + 1), "share", name) for i, name in enumerate(others)),
        row("diversion", 0.03, "share", "rival_a"),
    ]
    exposure: list[Estimate] = []
    for i, name in enumerate(others):
        exposure.append(row("net_loss_visits", 1e6 / (i + 1), channel=name, grade=Grade.D))
        exposure.append(row("credited_visits", 2e6 / (i + 1), channel=name))
    credited = [quarter("credited_orders", 30_000.0 + place, name) for place, name in enumerate(METHODS)]
    items = tuple(EvidenceItem("exposure", name, Grade.D, {}) for name in others)
    answers = (
        answer("exposure", exposure, items),
        answer("closure", closure),
        answer("impact", [row("net_loss_visits", 188_000.0)]),
        answer("worth", [*credited, quarter("incremental_orders", 5_900.0, None)]),
    )
    return Run(tmp_path, answers, ())


@pytest.mark.parametrize("columns", ["80", "100"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_screen_says_everything_in_lines_that_fit(
    finished: Run, language: Language, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(terminal._Speech, "language", language)
    show_twin(finished, TOLD)
    shown = capsys.readouterr().out
    for key in (CLOSED, "official_account", "live_room", "web"):
        assert text(f"twin.{key}", language) in shown
    for raw in (CLOSED, "official_account", "live_room"):
        assert raw not in shown
    for said in ("impact", "worth"):
        assert f"{said} {language}." in shown
    scale = {"en": "234K", "zh-Hans": "23.4 万", "zh-Hant": "23.4 萬"}[language]
    for method in METHODS:
        assert text(f"report.method.{method}", language) in shown
    for number in (scale, "9,072", "73%", "8%–16%", "CNY"):
        assert number in shown
    assert text("grade.B", language) in shown
    assert text("report.change.B", language)[:10] in shown
    assert max(terminal.width(line) for line in shown.splitlines()) <= int(columns)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_screen_without_a_margin_says_why(
    finished: Run, language: Language, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal._Speech, "language", language)
    money = money_rows(Money("CNY"), np.ones(4), np.ones(4), Grade.B, Coordinates(HORIZON), 0)
    closure = finished.answers[1]
    kept = tuple(row for row in closure.estimates if row.metric not in {each.metric for each in money})
    answers = (finished.answers[0], replace(closure, estimates=(*kept, *money)), *finished.answers[2:])
    show_twin(replace(finished, answers=answers), TOLD)
    assert text("refusal.no_margin", language)[:12] in capsys.readouterr().out


def test_wide_letters_part_anywhere_but_before_closing_marks() -> None:
    lines = terminal.wrapped("去向：公众号 13%、小程序 10%。入口少掉的访问，自有渠道（合计）接住 58%。", 20)
    assert all(terminal.width(line) <= 22 for line in lines)
    assert not [line for line in lines if line[0] in "，。、：）"]
    assert not [line for line in lines if line[-1] in "（"]
    assert terminal.wrapped("one two three", 8, "  ") == ["  one", "  two", "  three"]
    assert terminal.wrapped("", 20) == [""]


@pytest.fixture
def small_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's twin replaced by files that take no time."""

    def write(folder: Path, seed: int) -> TwinFiles:
        folder.mkdir(parents=True)
        days = np.arange(np.datetime64("2025-01-01"), np.datetime64("2025-03-01"))
        rows = [f"{day},{channel.channel_id},{100 + seed}" for day in days for channel in CHANNELS]
        tables = {
            "daily": "date,channel,visits\n" + "\n".join(rows),
            "events": "start,end,kind\n2025-01-05,2025-01-05,promo",
            "touches": "customer,time,channel,event\nc,2025-01-05 10:00:00,app,visit",
            "rivals": "date,firm,metric,value\n2025-01-05,rival_a,visits,5",
            "deals": "deal_id,host,tenant,channel,signed,start,end\nd,wechat,shop,app,2025-01-01,2025-01-01,2026-01-01",
        }
        for name, body in tables.items():
            (folder / f"{name}.csv").write_text(body + "\n", encoding="utf-8")
        (folder / "truth.json").write_text('{"horizons": {}, "worth": {}}', encoding="utf-8")
        paths = {name: folder / f"{name}.csv" for name in tables}
        return TwinFiles(
            folder=folder,
            daily_before=paths["daily"],
            truth=folder / "truth.json",
            closed_channel=CLOSED,
            on=date(2025, 2, 20),
            announced=date(2025, 2, 10),
            **paths,
        )

    monkeypatch.setattr(demo, "write_twin", write)


@pytest.mark.usefixtures("small_twin")
def test_the_case_declares_names_hosts_and_a_margin_and_stands_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rechannel.case.daily_answers", lambda *_: ())
    target = tmp_path / "new" / "twin"
    done, told = demo.make_twin_case(target, 0)
    assert all(page.is_file() for page in done.pages)
    assert done.folder.parent.parent == target
    assert told.facts.display(told.channel, "en") == "WeChat Discover"
    config = open_case(target).config
    assert config.margin == Assumption(*demo.MARGIN, "made market")
    assert {channel.channel_id: channel.host for channel in config.channels}["app"] == ""
    assert {channel.channel_id: channel.host for channel in config.channels}[CLOSED] == "wechat"
    assert all(set(channel.names) == set(LANGUAGES) for channel in config.channels)
    assert sorted(path.name for path in target.parent.iterdir()) == ["twin"]
    assert (target / "files" / "truth.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("small_twin")
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rechannel.case.write_run", stopped)
    assert run(["demo", str(tmp_path / "new")]) == 130
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_demo_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jd_wechat").mkdir()
    (tmp_path / "jd_wechat" / "mine.txt").write_text("mine")
    assert run(["demo", str(tmp_path)]) == 2
    assert "RC327" in capsys.readouterr().err
    assert run(["demo", str(tmp_path), "--force"]) == 2
    assert "RC328" in capsys.readouterr().err
    with pytest.raises(CallError, match="RC311"), demo_place.made_at(tmp_path / "twin"):
        (tmp_path / "nothing").rename(tmp_path / "something")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jd_wechat"]
