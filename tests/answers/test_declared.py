"""A closure without daily data: products of declared shares, grade D, everything else refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate

from rechannel.answers.answer import Answer, Provenance, dumps, schema
from rechannel.answers.declared import PUBLISHED, DeclaredQuestion, answer_declared_closure, is_declared, share_draws
from rechannel.answers.money import Money
from rechannel.case import Case
from rechannel.source.config import Assumption
from rechannel.tables.claims import Claim
from rechannel.tables.deals import Deal
from rechannel.tables.figures import Figure
from rechannel.tables.public import PublicRecord
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES

ON = date(2025, 9, 30)
STAMP = Provenance("0.1.0", 7, "ab" * 32, "2025-11-23T09:30:00+00:00")
CHANNELS = (Channel("entry", {"en": "The entry"}), Channel("app"))
PUBLIC = PublicRecord(
    figures=(Figure("Shop", PUBLISHED, 20, date(2014, 10, 1), date(2014, 12, 31), "percent", "press", True),),
    deals=(Deal("D1", "Host", "Shop", "entry", signed=date(2014, 3, 10), verified="y"),),
    claims=(Claim("big", "a quarter", metric="new_customer_share", value=25, unit="percent", source="blog"),),
)
RANGES = {
    "share_remaining": (0.15, 0.75),
    "entry_part": (0.15, 0.7),
    "retained_share": (0.35, 0.85),
    "active_share": (0.005, 0.04),
    "retained_active_share": (0.55, 0.95),
}


def ranges(**changed: tuple[float, float] | None) -> dict[str, Assumption]:
    stated = {**RANGES, **changed}
    return {name: Assumption(*ends, "made") for name, ends in stated.items() if ends is not None}


def asked(
    record: PublicRecord = PUBLIC,
    stated: Mapping[str, Assumption] | None = None,
    money: Money | None = None,
    **question: float,
) -> Answer:
    given_ranges = ranges() if stated is None else stated
    about = DeclaredQuestion("entry", ON, (30, 90), **question)  # type: ignore[arg-type]
    return answer_declared_closure(record, given_ranges, CHANNELS, about, money or Money("CNY"), STAMP)


def quantiles(answer: Answer, metric: str, horizon: int = 30) -> tuple[float, ...]:
    value = answer.find(metric, horizon=horizon).value
    assert isinstance(value, Quantity)
    return value.quantiles.values


def refusal(answer: Answer, metric: str, horizon: int = 30) -> Refusal:
    value = answer.find(metric, horizon=horizon).value
    assert isinstance(value, Refusal)
    return value


def test_fixed_shares_multiply_exactly() -> None:
    fixed = {"share_remaining": 0.5, "entry_part": 0.4, "retained_share": 0.6}
    fixed |= {"active_share": 0.02, "retained_active_share": 0.75}
    answer = asked(stated=ranges(**{name: (value, value) for name, value in fixed.items()}))
    assert quantiles(answer, "net_loss_new_customers") == pytest.approx([0.2 * 0.5 * 0.4 * 0.4] * 9)
    assert quantiles(answer, "net_loss_active_customers") == pytest.approx([0.02 * 0.25] * 9)


def test_both_shares_have_grade_d_and_name_every_range() -> None:
    answer = asked()
    validate(answer.to_json(), schema())
    assert (answer.question, answer.grade, answer.verdict) == ("closure", Grade.D, None)
    assert is_declared(answer)
    for metric in ("net_loss_new_customers", "net_loss_active_customers"):
        row = answer.find(metric, horizon=90)
        assert row.unit == "share"
        assert isinstance(row.value, Quantity)
        assert (row.value.grade, row.value.contraction) == (Grade.D, 0.0)
    stated = {item.label: item for item in answer.evidence if item.kind == "assumption"}
    assert set(stated) == set(RANGES)
    low, high, source = (stated["entry_part"].figures[key] for key in ("low", "high", "source"))
    assert (low, high, source) == (0.15, 0.7, "made")
    for language in LANGUAGES:
        assert "20%" in answer.text[language]
        assert "2014-Q4" in answer.text[language]
    assert "The entry closes on 30 Sep 2025" in answer.text["en"]


def test_one_row_per_metric_and_horizon_and_the_rest_names_its_export() -> None:
    answer = asked()
    keys = [(row.metric, row.channel, row.horizon_days) for row in answer.estimates]
    assert len(keys) == len(set(keys)) == 2 * 17
    for row in answer.estimates:
        if not row.metric.endswith(("new_customers", "active_customers")):
            assert isinstance(row.value, Refusal)
            assert row.value.would_help
    assert refusal(answer, "net_loss_gmv").args == {"column": "gmv"}
    assert "--daily" in refusal(answer, "net_loss_gmv").help("en")[0]
    assert refusal(answer, "never_acquired").would_help == ("export_new_customers", "add_touches")
    assert refusal(answer, "fee_saved").code == "no_fee"
    assert answer.find("diversion", horizon=30, channel="app")
    paid = asked(money=Money("CNY", fee_per_year=365.0, fee_is_verified=True))
    assert quantiles(paid, "fee_saved") == (30.0,) * 9


def test_same_seed_same_bytes_and_another_range_moves_no_other_draw() -> None:
    assert dumps(asked()) == dumps(asked())
    wider = asked(stated=ranges(retained_share=(0.1, 0.9)))
    assert quantiles(wider, "net_loss_active_customers") == quantiles(asked(), "net_loss_active_customers")
    assert quantiles(wider, "net_loss_new_customers") != quantiles(asked(), "net_loss_new_customers")


def test_less_severe_loses_less() -> None:
    whole, half = asked(), asked(severity=0.5)
    pairs = zip(quantiles(whole, "net_loss_new_customers"), quantiles(half, "net_loss_new_customers"), strict=True)
    assert all(less < more for more, less in pairs)


def test_unverified_figures_and_claims_are_never_inputs() -> None:
    without = asked(replace(PUBLIC, claims=()))
    assert quantiles(without, "net_loss_new_customers") == quantiles(asked(), "net_loss_new_customers")
    foils = [item for item in asked().evidence if item.kind == "claim"]
    assert [(item.label, item.figures["value"]) for item in foils] == [("big", "25 percent")]
    unverified = asked(replace(PUBLIC, figures=(replace(PUBLIC.figures[0], verified=False),)))
    assert refusal(unverified, "net_loss_new_customers").code == "no_published_share"
    assert unverified.answered  # the active customers do not need the figure
    assert "20%" not in unverified.text["en"]


def test_a_share_of_the_entry_itself_stands_in_for_the_chain() -> None:
    stated = {"entry_share": Assumption(0.04, 0.04, "own survey"), "retained_share": Assumption(0.5, 0.5, "made")}
    answer = asked(PublicRecord(), stated)
    assert quantiles(answer, "net_loss_new_customers") == pytest.approx([0.02] * 9)
    assert refusal(answer, "net_loss_active_customers").args == {"name": "active_share"}
    assert [item.label for item in answer.evidence] == ["entry_share", "retained_share"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"retained_share": None}, "no_assumption"), ({"entry_part": (0.5, 1.5)}, "not_a_share")],
)
def test_a_range_that_is_missing_or_no_share_refuses_its_metric(
    changed: dict[str, tuple[float, float] | None], code: str
) -> None:
    answer = asked(stated=ranges(**changed))
    why = refusal(answer, "net_loss_new_customers")
    assert why.code == code
    assert next(iter(changed)) in why.message("en")
    assert answer.answered


def test_without_any_range_the_whole_question_is_refused() -> None:
    answer = asked(stated={})
    validate(answer.to_json(), schema())
    assert answer.refusal is not None
    assert answer.refusal.code == "no_assumption"
    assert answer.to_json()["status"] == "refused"
    assert len(answer.estimates) == 2 * 17


@given(low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_draws_of_a_share_stay_shares_and_keep_their_range(low: float, high: float, seed: int) -> None:
    low, high = min(low, high), max(low, high)
    draws = share_draws(low, high, "made", seed)
    assert ((draws >= 0) & (draws <= 1)).all()
    ends = np.quantile(draws, [0.05, 0.95])
    assert ends == pytest.approx([low, high], abs=0.04)


def test_the_front_door_answers_and_checks_its_call(public_case: Case) -> None:
    answer = public_case.closure("wechat_discover", ON, (30, 365), notice=18)
    validate(json.loads(dumps(answer)), schema())
    assert answer.asked["notice"] == "18"
    low, high = quantiles(answer, "net_loss_new_customers", 365)[1], quantiles(answer, "net_loss_new_customers", 365)[7]
    assert 0.001 < low < 0.01 < high < 0.06
    for call in (
        {"channel": "wechat_discovr"},
        {"market": "east"},
        {"horizons": (0,)},
        {"severity": -0.1},
        {"severity": 1.5},
    ):
        arguments = {"channel": "wechat_discover", "horizons": (30,), **call}
        channel, horizons = arguments.pop("channel"), arguments.pop("horizons")
        with pytest.raises(CallError):
            public_case.closure(channel, ON, horizons, **arguments)  # type: ignore[arg-type]
