"""The scoreboard judges rightly: it tells honest intervals from narrow and wide ones, and a cheat from a forecast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rechannel.answers.answer import Answer, Provenance
from rechannel.case import Case
from rechannel.cli import main
from rechannel.lab import play as lab_play
from rechannel.lab.baselines import OPPONENTS, climatology, point, prior_quantiles
from rechannel.lab.play import PLACEBO, Plan, play
from rechannel.lab.said import Record, Said
from rechannel.lab.scoreboard import Scoreboard, score
from rechannel.lab.scores import covered, weighted_interval_score
from rechannel.lab.sheets import as_markdown, as_page, tables, text
from rechannel.lab.specs import Happening, draw_spec, with_happenings
from rechannel.lab.targets import HORIZONS, Facts, Recent, Target, facts_of
from rechannel.lab.worlds import make_world
from rechannel.vocabulary.estimate import LEVELS, Estimate, FloatArray, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES

NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
MARKETS = 120
SPREAD = 0.1


def hand_made(index: int, retained: float, *, identified: bool = True, **changes: object) -> Facts:
    """A market in which a share stays; half of the rest goes to one rival."""
    recent = Recent(
        {"visits": 1000.0, "orders": 50.0, "gmv": 9000.0, "new_customers": 10.0},
        {"app": 3000.0, "web": 1000.0},
        {"rival_a": 5000.0},
        1.0,
    )
    targets = []
    for horizon in HORIZONS:
        removed = 1000.0 * horizon * (1 + 0.05 * np.sin(index))
        targets += [Target("visits_removed", None, horizon, removed, 1000.0 * horizon)]
        for metric, a_day in recent.last_touch.items():
            scale = a_day * horizon
            targets.append(Target(f"net_loss_{metric}", None, horizon, (1 - retained) * scale, scale))
        away = (1 - retained) / 2
        targets += [
            Target("retained_own", None, horizon, retained),
            Target("to_rivals", None, horizon, away),
            Target("lost_outside", None, horizon, away),
            Target("diversion", "app", horizon, 0.7 * retained),
            Target("diversion", "web", horizon, 0.3 * retained),
            Target("diversion", "rival_a", horizon, away, is_rival=True),
        ]
    facts = Facts("plain", index, "closure", tuple(targets), recent, identified, 0.1, is_placebo=False)
    return replace(facts, **changes)  # type: ignore[arg-type]


def market_list() -> list[Facts]:
    shares = np.random.default_rng(5).uniform(0, 0.95, MARKETS)
    return [hand_made(index, float(share), identified=index % 2 == 0) for index, share in enumerate(shares)]


def answers(markets: Sequence[Facts], say: Callable[[Facts, Target], FloatArray], grade: str = "") -> list[Record]:
    """Records of a predictor that gives nine quantiles in the unit of the target."""
    records = []
    for facts in markets:
        shown = grade or ("B" if facts.is_identified else "D")
        said = {t.key: Said(tuple(float(value) for value in say(facts, t)), shown) for t in facts.targets}
        records.append(Record(facts, said, 0.1))
    return records


def planted(width: float) -> Scoreboard:
    """Normal errors of a known size under intervals that are `width` times as wide as they should be."""
    rng = np.random.default_rng(11)

    def say(_: Facts, target: Target) -> FloatArray:
        centre = target.truth + SPREAD * target.scale * rng.standard_normal()
        return np.asarray(centre + width * SPREAD * target.scale * NORMAL)

    return score(answers(market_list(), say))


@pytest.fixture(scope="module")
def honest() -> Scoreboard:
    return planted(1.0)


@pytest.mark.slow
def test_planted_answers_are_told_apart(honest: Scoreboard) -> None:
    narrow, wide = planted(0.5), planted(2.0)
    cover = [board.find("all").coverage[0.9].value for board in (narrow, honest, wide)]
    assert cover[0] < 0.7
    assert cover[1] == pytest.approx(0.9, abs=0.015)
    assert cover[2] > 0.99
    for coverage, span in honest.find("all").coverage.items():
        assert span.value == pytest.approx(coverage, abs=0.03)
        assert span.low < span.value < span.high
    best = honest.find("all").wis.value
    assert best < narrow.find("all").wis.value
    assert best < wide.find("all").wis.value
    passed = {bar.name: bar.passed for bar in honest.bars}
    assert passed["coverage_90"] is True
    assert {bar.name: bar.passed for board in (narrow, wide) for bar in board.bars}["coverage_90"] is False


def test_score_of_an_honest_normal_answer_is_the_expected_one(honest: Scoreboard) -> None:
    # expected quantile loss of a normal at its own quantile is sd x density there
    expected = 2 / 9 * SPREAD * float((np.exp(-(NORMAL**2) / 2) / np.sqrt(2 * np.pi)).sum())
    assert honest.find("all").wis.value == pytest.approx(expected, rel=0.03)
    row = honest.find("all")
    assert row.dispersion + row.over + row.under == pytest.approx(row.wis.value)


def test_always_one_third_loses_on_climatology(honest: Scoreboard) -> None:
    def say(_: Facts, target: Target) -> FloatArray:
        whole = {"visits_removed": 1.0, "retained_own": 1 / 3, "to_rivals": 1 / 3, "lost_outside": 1 / 3}
        share = whole.get(target.metric, 2 / 3 if target.metric.startswith("net_loss") else 1 / 9)
        return np.asarray(target.scale * (share + 0.04 * NORMAL))

    cheat = score(answers(market_list(), say))
    against = cheat.find("all").relative["climatology"]
    assert against.low > 1
    assert honest.find("all").relative["climatology"].high < 0.9
    assert next(bar for bar in cheat.bars if bar.name == "climatology").passed is False


@pytest.mark.slow
def test_an_opponent_against_itself_scores_one() -> None:
    markets = market_list()
    prior = score(answers(markets, lambda facts, target: prior_quantiles(target, facts.recent)))
    usual = climatology(markets)
    rows = {(f.seed, t.key): usual[i][at] * t.scale for i, f in enumerate(markets) for at, t in enumerate(f.targets)}
    others = score(answers(markets, lambda facts, target: rows[facts.seed, target.key]))
    half = score(answers(markets, lambda facts, target: np.full(9, point(target, facts.recent, "half"))))
    for board, opponent in ((prior, "prior"), (others, "climatology"), (half, "half")):
        for row in board.slices:
            span = row.relative[opponent]
            assert (span.value, span.low, span.high) == pytest.approx((1.0, 1.0, 1.0))


def test_score_by_hand() -> None:
    # |10 - 5| / 2 = 2.5; then .25 x 2 + 4, .1 x 4 + 3, .05 x 6 + 2, .025 x 8 + 1
    found = weighted_interval_score(np.array([10.0]), np.arange(1.0, 10.0)[None, :])
    assert found.total[0] == pytest.approx((2.5 + 4.5 + 3.4 + 2.3 + 1.2) / 4.5)
    assert found.over[0] == 0
    assert found.dispersion[0] == pytest.approx((0.5 + 0.4 + 0.3 + 0.2) / 4.5)
    assert np.isnan(weighted_interval_score(np.array([1.0]), np.full((1, 9), np.nan)).total[0])


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(numbers, st.lists(numbers, min_size=9, max_size=9))
def test_score_is_twice_the_mean_quantile_loss(truth: float, values: list[float]) -> None:
    quantiles = np.sort(np.array(values))
    gap = truth - quantiles
    loss = np.maximum(np.array(LEVELS) * gap, (np.array(LEVELS) - 1) * gap)
    found = weighted_interval_score(np.array([truth]), quantiles[None, :])
    assert found.total[0] == pytest.approx(2 * loss.mean(), rel=1e-9, abs=1e-6)
    assert found.total[0] == pytest.approx(found.dispersion[0] + found.over[0] + found.under[0])


def test_ends_of_an_interval_belong_to_it() -> None:
    quantiles = np.arange(9.0)[None, :].repeat(3, axis=0)
    assert covered(np.array([1.0, 7.0, 7.1]), quantiles, 0.9).tolist() == [True, True, False]


def test_refusals_and_grades_are_counted() -> None:
    markets = market_list()
    records = answers(markets, lambda _, target: np.full(9, target.truth) + target.scale * 0.01 * NORMAL)
    lost = [
        replace(r, said={k: (Said(None, None, "why") if k[0] == "to_rivals" else row) for k, row in r.said.items()})
        for r in records
    ]
    board = score(lost)
    assert board.refusals == {"why": MARKETS * len(HORIZONS)}
    figures = {bar.name: bar for bar in board.bars}
    assert figures["needless_refusals"].figure == pytest.approx(1 / 11)
    assert figures["unidentified_d"].figure == 1
    assert figures["identified_high_grade"].figure == pytest.approx(10 / 11)
    assert figures["high_grade_outside"].passed is True
    bare = [replace(t, is_allowed=t.metric != "to_rivals") for t in markets[0].targets]
    assert not score([replace(lost[0], facts=replace(markets[0], targets=tuple(bare)))]).refusals
    silent = score([Record(markets[0], {}, 0.0, "ValueError: broken")])
    assert silent.refusals == {"failed": 33}
    assert silent.failures[0].message == "ValueError: broken"
    assert all(bar.passed is None for bar in silent.bars)


@pytest.mark.slow
def test_better_grades_must_score_better() -> None:
    def errors(facts: Facts, target: Target) -> FloatArray:
        size = 0.02 if facts.is_identified else 0.3
        return np.asarray(target.truth + size * target.scale * (1 + NORMAL))

    markets = market_list()
    ordered = answers(markets, errors)
    mixed = [
        replace(r, said={k: replace(row, grade="D" if row.grade == "B" else "B") for k, row in r.said.items()})
        for r in ordered
    ]
    order = [next(bar.passed for bar in score(rows).bars if bar.name == "grade_order") for rows in (ordered, mixed)]
    assert order == [True, False]


def test_false_alarms_are_counted_where_nothing_happened() -> None:
    markets = [hand_made(i, 0.5, question="impact", is_placebo=True) for i in range(100)]
    records = answers(markets, lambda f, _: np.asarray((2.0 if f.seed < 12 else 0.5) + NORMAL))
    board = score(records)
    assert [(line.dates, line.alarms) for line in board.alarms] == [(100, 12)] * 3
    assert next(bar for bar in board.bars if bar.name == "false_alarms").passed is True
    with pytest.raises(ValueError, match="one question"):
        score([])


@pytest.mark.slow
def test_large_losses_are_found_or_missed_or_refused() -> None:
    large = [hand_made(i, 0.5, question="impact", large_losses=frozenset({30})) for i in range(60)]
    small = [hand_made(60 + i, 0.5, question="impact") for i in range(40)]
    records = answers([*large, *small], lambda f, _: np.asarray((9.0 if f.seed % 10 else 0.5) + NORMAL))
    refused = [r if r.facts.seed != 1 else replace(r, said={}) for r in records]
    found = [next(bar for bar in score(rows).bars if bar.name == "losses_found") for rows in (records, refused)]
    assert [bar.figure for bar in found] == pytest.approx([54 / 60, 53 / 60])
    assert [bar.passed for bar in found] == [True, False]
    few = next(bar for bar in score(records[:40] + records[60:]).bars if bar.name == "losses_found")
    assert few.passed is None


def test_targets_are_the_truth() -> None:
    world = make_world(replace(draw_spec("plain", 1), customers=400))
    facts = facts_of(world, other=world.truth)
    found = {target.key: target for target in facts.targets}
    for horizon in HORIZONS:
        parts = [found[name, None, horizon].truth for name in ("retained_own", "to_rivals", "lost_outside")]
        assert sum(parts) == pytest.approx(1)
        own = [t.truth for t in facts.targets if t.metric == "diversion" and t.horizon == horizon and not t.is_rival]
        assert len(own) == len(world.spec.entries) - 1
        assert sum(own) == pytest.approx(parts[0])
        loss = found["net_loss_orders", None, horizon]
        assert loss.truth == world.truth.net_loss("orders", horizon)
        last = world.truth.closed["orders"][world.spec.history - 28 : world.spec.history, world.spec.closing_index]
        assert loss.scale == pytest.approx(last.mean() * horizon)
        assert loss.other == loss.truth
    outside = {point(t, facts.recent, "zero") for t in facts.targets if t.metric == "lost_outside"}
    assert outside == {1.0}
    shares = [point(t, facts.recent, "proportional") for t in facts.targets if t.metric == "diversion"]
    assert sum(shares) == pytest.approx(len(HORIZONS))


@pytest.mark.parametrize(("days", "logged", "identified"), [(3, True, True), (2, True, False), (5, False, False)])
def test_identified_needs_a_logged_outage_of_three_days(days: int, logged: bool, identified: bool) -> None:
    spec = replace(draw_spec("no_past_outage", 2), customers=300)
    start = spec.on - timedelta(days=200)
    end = start + timedelta(days=days - 1)
    fault = Happening("outage", start, end, (spec.closing,), severity=1.0, logged=logged)
    facts = facts_of(make_world(with_happenings(spec, (*spec.happenings, fault))))
    assert facts.is_identified is identified
    assert np.isfinite(facts.expected_error) == identified


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_scoreboard_prints_in_three_languages(honest: Scoreboard, language: str) -> None:
    pages = tables(honest, language)  # type: ignore[arg-type]
    assert all(len(row) == len(table.header) for table in pages for row in table.rows)
    page = as_page(pages, ["<made by>"], language)  # type: ignore[arg-type]
    assert "&lt;made by&gt;" in page
    assert "://" not in page
    assert as_markdown(pages).count("### ") == len(pages)
    assert len(text(honest, language).splitlines()) > 30  # type: ignore[arg-type]
    assert len(pages[1].header) == 11 + len(OPPONENTS)


SHORT = Plan("impact", 2, 1, ("short_history",), horizons=(30,), customers=300)


@pytest.mark.slow
def test_through_the_front_door(monkeypatch: pytest.MonkeyPatch) -> None:
    record = play(replace(SHORT, markets=1), workers=1)[0]
    assert not record.failure
    assert record.said["visits_removed", None, 30].quantiles is not None
    assert all(np.isfinite(target.other) for target in record.facts.targets)

    def broken(*_: object) -> None:
        raise RuntimeError("no answer\nmore")

    monkeypatch.setattr(lab_play, "ask", broken)
    failed = play(replace(SHORT, markets=1), workers=1)[0]
    assert failed.failure == "RuntimeError: no answer"
    assert not failed.said


def test_closure_is_asked_on_the_eve_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(SHORT, question="closure").specs()[0]
    calls: list[dict[str, object]] = []

    def closure(case: Case, channel: str, on: date, horizons: Sequence[int], **more: object) -> Answer:
        tables_end = max(event.start for event in case.events if event.kind != "promo" and event.kind != "holiday")
        calls.append({"channel": channel, "on": on, **more})
        assert case.panel.last == on - timedelta(days=1)
        assert tables_end < on
        lost = Quantity(Quantiles(tuple(NORMAL)), Grade.D)
        rows = (
            Estimate("net_loss_visits", "visits", lost, horizon_days=30),
            Estimate("to_rivals", "share", Refusal("no_rivals"), horizon_days=30),
            Estimate("net_loss_visits", "visits", lost, horizon_days=30, method="shapley"),
        )
        stamp = Provenance("", 0, "", "")
        return Answer("closure", {}, rows, (), (), (), {}, stamp, grade=Grade.D)

    monkeypatch.setattr(Case, "closure", closure, raising=False)
    record = play(replace(SHORT, question="closure", markets=1), workers=1)[0]
    assert record.failure == ""
    assert record.said["net_loss_visits", None, 30] == Said(tuple(NORMAL), "D")
    assert record.said["to_rivals", None, 30] == Said(None, None, "no_rivals")
    notice = (spec.on - spec.announced).days if spec.announced else None
    assert calls == [{"channel": spec.closing, "on": spec.on, "severity": 1.0, "notice": notice}]
    assert PLACEBO not in {spec.kind for spec in Plan("closure", 23).specs()}
    assert PLACEBO in {spec.kind for spec in Plan("impact", 23).specs()}


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    seen: list[int] = []
    apart = play(SHORT, workers=2, progress=lambda done, total, _: seen.append(done))
    together = play(SHORT, workers=1)
    assert seen == [1, 2]
    for one, other in zip(apart, together, strict=True):
        assert (one.facts, one.failure, one.said) == (other.facts, other.failure, other.said)


@pytest.mark.slow
def test_lab_score_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / "a.json"), str(tmp_path / "a.html")]
    call = ["lab", "score", "--worlds", "1", "--kind", "short_history", "--question", "impact", "--workers", "1"]
    assert main.run([*call, "--json", files[0], "--html", files[1]]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Scoreboard: impact, 1 made markets")
    assert "1 of 1: short_history" in shown.err
    board = json.loads(Path(files[0]).read_text(encoding="utf-8"))
    assert board["schema"] == "rechannel.scoreboard/1"
    assert board["scoreboard"]["slices"][0]["relative"]["climatology"]["value"] is None
    assert board["each"][0]["kind"] == "short_history"
    assert main.run(["lab", "score", "--kind", "no_such_kind"]) == 2
    assert main.run(["lab", "score", "--kind", "placebo"]) == 2
    assert "--question impact" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    code = "from rechannel.cli.main import main\nif __name__ == '__main__':\n    main()\n"
    script, waiting = tmp_path / "call.py", tmp_path / "waiting"
    script.write_text(code, encoding="utf-8")
    waiting.mkdir()
    call = ["lab", "score", "--worlds", "40", "--question", "impact", "--workers", "2", "--lang", "en"]
    environment = {**os.environ, "TMPDIR": str(waiting)}
    with subprocess.Popen(
        [sys.executable, str(script), *call], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith("1 of 40")
        assert any(waiting.iterdir())
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=20)[1]
    assert running.returncode == 130
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert not list(waiting.iterdir())
