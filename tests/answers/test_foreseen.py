"""Forecasts beside what came, and answers of two runs side by side; stored answers are read back as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rechannel.answers.answer import Answer, Provenance, dumps
from rechannel.answers.foreseen import ALONE, changes, foreseen, pairs
from rechannel.answers.stored import StoredAnswer, find_run, read_answers
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Estimate, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade

STAMP = Provenance("test", 1, "0" * 64, "2025-01-01T00:00:00Z")
SIGMA = (-1.96, -1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645, 1.96)
ASKED = {"channel": "app", "on": "2025-09-30", "horizons": "30,90"}


def number(median: float, sd: float, grade: Grade = Grade.B) -> Quantity:
    return Quantity(Quantiles(tuple(median + sd * step for step in SIGMA)), grade, median, 0.5)


def row(metric: str, value: Quantity | Refusal, horizon: int = 30, **other: str) -> Estimate:
    return Estimate(metric, "share" if metric == "retained_own" else "visits", value, horizon_days=horizon, **other)


def answer(question: str, *rows: Estimate, **asked: str) -> Answer:
    texts = {"en": "a", "zh-Hans": "b", "zh-Hant": "c"}
    return Answer(question, {**ASKED, **asked}, rows, (), (), (), texts, STAMP, Grade.B, None)  # type: ignore[arg-type]


CLOSURE = answer(
    "closure",
    row("visits_removed", number(1000, 50)),
    row("visits_removed", number(3000, 50), 90),
    row("net_loss_visits", number(600, 100)),
    row("retained_own", number(0.4, 0.1)),
    row("net_loss_orders", Refusal("no_column", {"column": "orders"})),
)
IMPACT = answer(
    "impact",
    row("visits_removed", number(1040, 10)),
    row("visits_removed", number(3300, 150), 90),
    row("net_loss_visits", number(610, 40)),
    row(ALONE, number(1200, 60)),
    row("retained_own", number(0.41, 0.05)),
    row("net_loss_orders", number(12, 3)),
)


def test_a_forecast_is_held_against_what_the_series_alone_show() -> None:
    found = foreseen(CLOSURE, IMPACT)
    assert [(one.metric, one.horizon_days, one.standing) for one in found] == [
        ("visits_removed", 30, "inside"),
        ("visits_removed", 90, "outside"),
        ("net_loss_visits", 30, "apart"),
        ("retained_own", 30, "inside"),
    ]


def test_only_the_same_channel_day_and_market_are_paired() -> None:
    other = answer("impact", *IMPACT.estimates, on="2025-10-01")
    market = answer("impact", *IMPACT.estimates, market="north")
    assert pairs([CLOSURE], [other, market, IMPACT, CLOSURE]) == [(0, 2)]


def test_changes_of_rows_between_two_answers() -> None:
    newer = answer(
        "closure",
        row("visits_removed", number(1000, 50)),
        row("visits_removed", number(3050, 40), 90),
        row("net_loss_visits", number(900, 80, Grade.C)),
        row("retained_own", Refusal("nothing_removed")),
        row("net_loss_orders", number(12, 3)),
    )
    found = {one.row.estimate_id: (one.change, one.grades) for one in changes(CLOSURE, newer)}
    assert found == {
        "visits_removed.30d": ("same", (Grade.B, Grade.B)),
        "visits_removed.90d": ("inside", (Grade.B, Grade.B)),
        "net_loss_visits.30d": ("outside", (Grade.B, Grade.C)),
        "retained_own.30d": ("refused", (Grade.B, None)),
        "net_loss_orders.30d": ("answered", (None, Grade.B)),
    }


def stored(folder: Path, *answers: Answer) -> Path:
    (folder / "answers").mkdir(parents=True)
    for at, one in enumerate(answers):
        (folder / "answers" / f"{one.question}-{at + 1}.json").write_text(dumps(one), encoding="utf-8")
    return folder


def test_answers_come_back_as_they_were_stored(tmp_path: Path) -> None:
    run = stored(tmp_path / "3-abc", *[CLOSURE] * 10, IMPACT)
    found = read_answers(run)
    assert [one.question for one in found] == ["closure"] * 10 + ["impact"]
    last = found[-1]
    assert isinstance(last, StoredAnswer)
    assert dict(last.asked) == dict(IMPACT.asked)
    for row_back, made in zip(last.estimates, IMPACT.estimates, strict=True):
        assert row_back == replace(made, value=row_back.value)
        assert isinstance(row_back.value, Quantity)
        assert isinstance(made.value, Quantity)
        assert row_back.value.quantiles == made.value.quantiles
    refused = found[0].estimates[-1].value
    assert isinstance(refused, Refusal)
    assert refused.code == "no_column"
    assert [one.change for one in changes(found[0], CLOSURE)] == ["same"] * 5


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"estimates": 3}', "quantiles"])
def test_a_damaged_answer_is_named(damage: str, tmp_path: Path) -> None:
    run = stored(tmp_path / "3-abc", CLOSURE)
    file = run / "answers" / "closure-1.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    if damage == "quantiles":
        whole["estimates"][0]["quantiles"]["0.5"] = "NaN"
    file.write_text(json.dumps(whole) if damage == "quantiles" else damage, encoding="utf-8")
    with pytest.raises(CallError) as caught:
        read_answers(run)
    assert caught.value.code == "RC372"
    assert caught.value.parts["file"] == "3-abc/answers/closure-1.json"


def test_runs_are_found_by_number_name_or_as_the_last(tmp_path: Path) -> None:
    runs = (tmp_path / "1-aa", tmp_path / "2-bb", tmp_path / "12-cc")
    assert find_run(runs, "1") == runs[0]
    assert find_run(runs, "12") == find_run(runs, "12-cc") == find_run(runs, "last") == runs[2]
    for name, code in (("3", "RC370"), ("../1-aa", "RC370"), ("", "RC370")):
        with pytest.raises(CallError) as caught:
            find_run(runs, name)
        assert caught.value.code == code
    with pytest.raises(CallError) as caught:
        find_run((), "last")
    assert caught.value.code == "RC371"
