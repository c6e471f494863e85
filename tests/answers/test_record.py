"""The public record: the published numbers of the case, per-field verification, and refusals that print no ratio."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate

from rechannel.answers.answer import Answer, Provenance, dumps, schema
from rechannel.answers.hindsight import detectable, growths, quarters_after
from rechannel.answers.record import answer_record, proportional, share_sources
from rechannel.case import Case
from rechannel.tables.figures import Figure, as_money, as_share
from rechannel.tables.public import PublicRecord
from rechannel.vocabulary.estimate import Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES

ON = date(2025, 9, 30)
STAMP = Provenance("0.1.0", 7, "ab" * 32, "2025-11-23T09:30:00+00:00")
BROKER, MEDIA = "gmv_share_broker_estimate", "gmv_media_estimate"

# Sources: sec.gov exhibits of the three agreements; 100EC for expiry, notice and closure; TechNode 2015-03-04 for the
# earnings call of Q4 2014; PDD 20-F FY2022 R4; BOCOM International via news.43b.com.cn/a/996018.html (shares of 2023);
# the same page and stqcsp.com/684746.html (GMV of 2024). Shares after removal: s_k / (1 - s_JD), computed by hand.
PUBLISHED = {
    "days_expiry_to_exit.wechat_discover": 93,
    "notice_days.wechat_discover": 18,
    "contract_term.JDT1": 5,
    "contract_term.JDT2": 3,
    "contract_term.JDT3": 3,
    "share_consideration_at_most.JDT3": 220e6,
    "share_of_new_customers_from_host.2014-Q4": 0.20,
    "related_party_share.Pinduoduo.2020": 0.101,
    "related_party_share.Pinduoduo.2021": 0.064,
    "related_party_share.Pinduoduo.2022": 0.037,
    f"diversion.Alibaba.2023.{BROKER}": 39 / 80,
    f"diversion.Pinduoduo.2023.{BROKER}": 22 / 80,
    f"diversion.Douyin.2023.{BROKER}": 12 / 80,
    f"diversion.WeChat Channels.2023.{BROKER}": 1 / 80,
    f"diversion_unnamed.2023.{BROKER}": 6 / 80,
    f"diversion.Alibaba.2024.{MEDIA}": 7.8 / 18.3,
    f"diversion.Pinduoduo.2024.{MEDIA}": 5.2 / 18.3,
    f"diversion.Douyin.2024.{MEDIA}": 3.5 / 18.3,
    f"diversion.Kuaishou.2024.{MEDIA}": 1.3 / 18.3,
    f"diversion.WeChat Channels.2024.{MEDIA}": 0.3 / 18.3,
    f"diversion.Vipshop.2024.{MEDIA}": 0.2 / 18.3,
}


def made(record: PublicRecord, loss: Refusal | None = None) -> Answer:
    answer = answer_record(record, loss, "CNY", STAMP)
    validate(json.loads(dumps(answer)), schema())
    return answer


def said(answer: Answer, kind: str = "can") -> list[str]:
    return [item.label for item in answer.evidence if item.kind == kind]


@pytest.fixture(scope="module")
def answer(public_case: Case) -> Answer:
    return public_case.record()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(answer: Answer, name: str) -> None:
    row = next(row for row in answer.estimates if row.estimate_id == name)
    assert isinstance(row.value, Quantity)
    tolerance = 5e-4 if name.startswith("related") else 1e-12  # printed to a tenth of a percent
    assert row.value.quantiles.median == pytest.approx(PUBLISHED[name], abs=tolerance)
    assert row.value.grade is (Grade.D if name.startswith("diversion") else Grade.C)


def test_both_sources_of_shares_give_a_range(answer: Answer) -> None:
    ranges = {row.channel: row.value for row in answer.estimates if row.method == "proportional"}
    douyin = ranges["Douyin"]
    assert isinstance(douyin, Quantity)
    assert 0.15 < douyin.quantiles.values[0] < douyin.quantiles.values[-1] < 0.1913
    assert {source: round(value, 2) for source, value in (("broker", 39 / 80), ("media", 7.8 / 18.3))} == {
        "broker": 0.49,
        "media": 0.43,
    }
    assert {"JD.com", "self"} & set(ranges) == set()


def test_every_line_has_a_source_and_sentences_are_quotable(answer: Answer) -> None:
    validate(json.loads(dumps(answer)), schema())
    assert (answer.question, answer.grade) == ("record", Grade.C)
    assert said(answer) == ["expiry", "notice", "terms", "payment", "new_customers", "related_party", "simulation"]
    assert said(answer, "cannot") == ["loss", "fee"]
    for item in answer.evidence:
        assert item.figures["source"] or item.label in ("notice", "loss")  # those stand in the case's own events
    for language in LANGUAGES:
        assert "93" in answer.text[language]
        assert "18" in answer.text[language]


def test_the_yearly_fee_is_refused_beside_its_claims_and_no_ratio_is_made(answer: Answer) -> None:
    row = answer.find("yearly_fee", channel="wechat_discover")
    assert isinstance(row.value, Refusal)
    assert row.value.args == {"deal": "JDT3", "shares": "USD 220,000,000", "years": "3"}
    claims = [item for item in answer.evidence if item.kind == "claim"]
    assert [item.figures["value"] for item in claims] == [8000.0, 10000.0]
    money = [row for row in answer.estimates if row.unit == "CNY" and isinstance(row.value, Quantity)]
    assert money == []


def test_a_statement_stands_only_when_its_tables_do(public_case: Case) -> None:
    whole, loss = public_case.public, Refusal("no_daily_impact", {"failed": "0", "checks": "0"})
    assert said(made(replace(whole, rivals=()), loss)).count("simulation") == 0
    assert said(made(replace(whole, events=()), loss), "cannot") == ["fee"]
    assert said(made(replace(whole, figures=()), loss)) == ["expiry", "notice", "simulation"]
    assert said(made(replace(whole, deals=()), loss)) == [
        *("notice", "new_customers_unknown", "related_party_unknown", "simulation"),
    ]
    assert said(made(replace(whole, deals=()), loss), "cannot") == ["loss"]
    empty = made(PublicRecord())
    assert empty.refusal is not None
    assert (empty.refusal.code, empty.timeline) == ("empty_record", None)


def test_unverified_figures_and_fields_make_no_statement(public_case: Case) -> None:
    whole = public_case.public
    unseen = tuple(replace(figure, verified=False) for figure in whole.figures)
    assert {"terms", "payment", "new_customers", "related_party"}.isdisjoint(said(made(replace(whole, figures=unseen))))
    deals = tuple(replace(deal, verified="signed;start") for deal in whole.deals)
    assert "expiry" not in said(made(replace(whole, deals=deals)))
    by_name = {deal.deal_id: deal for deal in whole.deals}
    fields = ("signed", "start", "end", "equity_terms", "cash_terms")
    assert [by_name["JDT2"].is_verified(field) for field in fields] == [True, True, True, False, False]
    assert all(by_name["JDT3"].is_verified(field) for field in fields)


def test_a_demotion_is_not_called_a_closure(public_case: Case) -> None:
    events = tuple(
        replace(event, kind="demotion") if event.kind == "closure" else event for event in public_case.public.events
    )
    demoted = made(replace(public_case.public, events=events))
    assert said(demoted)[:2] == ["expiry_demotion", "notice_demotion"]
    assert "closed" not in demoted.text["en"]


@given(
    shares=st.dictionaries(st.text(min_size=1, max_size=5), st.floats(0.001, 1), min_size=2, max_size=8),
    named=st.floats(0.2, 1),
)
def test_proportional_removal_hands_out_everything(shares: dict[str, float], named: float) -> None:
    whole = sum(shares.values()) / named
    shares = {firm: share / whole for firm, share in shares.items()}
    removed = min(shares)
    gains = proportional(shares, removed)
    unnamed = (1 - named) / (1 - shares[removed])
    assert sum(gains.values()) + unnamed == pytest.approx(1)
    assert set(gains) == set(shares) - {removed}


def test_shares_without_self_say_nothing(public_case: Case) -> None:
    others = tuple(row for row in public_case.public.rivals if row.firm != "self")
    assert share_sources(replace(public_case.public, rivals=others), "wechat_discover") == ()
    sources = share_sources(public_case.public, "wechat_discover")
    assert [(source.period, source.method) for source in sources] == [("2023", BROKER), ("2024", MEDIA)]
    assert all(source.source for source in sources)


def test_units_of_figures() -> None:
    def figure(value: float, unit: str) -> Figure:
        return Figure("a", "b", value, unit=unit)

    assert as_share(figure(20, "percent (about)")) == pytest.approx(0.2)
    assert as_share(figure(20, "million")) is None
    assert as_money(figure(220, "USD million")) == ("USD", 220e6)
    assert as_money(figure(5, "years")) is None


def test_what_happened_is_refused_with_computed_reasons(public_case: Case) -> None:
    impact = public_case.impact("wechat_discover", ON)
    validate(json.loads(dumps(impact)), schema())
    assert impact.refusal is not None
    assert impact.refusal.code == "public_quarters"
    assert impact.refusal.would_help[0] == "ask_closure"
    checks = {check.key: check for check in impact.checks}
    assert not any(check.passed for check in impact.checks)
    assert checks["quarters_after"].figures["quarters"] == "1"
    assert checks["simultaneous_shocks"].figures["shocks"] == "6"
    assert checks["user_level"].figures["last"] == "2022-09-30"
    assert checks["user_level"].figures["verified"] == "2021-06-30"
    assert checks["detectable_effect"].figures["detectable"] == "31%"
    assert len(impact.estimates) == 2 * 19
    assert all(isinstance(row.value, Refusal) for row in impact.estimates)


def test_the_detectable_effect_follows_from_growth(public_case: Case) -> None:
    own = [figure for figure in public_case.public.figures if figure.entity == "JD.com"]
    by_end = growths(own)["net_revenues"]
    assert by_end[date(2025, 9, 30)] == pytest.approx(299.1 / 260.4 - 1)
    assert growths(own)["jd_retail_net_revenues"][date(2025, 12, 31)] == pytest.approx(-0.017)
    found = detectable(own, ON)
    assert found is not None
    assert found.growths == pytest.approx([0.314, 0.230, 0.224, 0.149], abs=5e-4)
    # (t(.975, 3) + t(.8, 3)) s sqrt(1 + 1/4) with t = 3.1824 and 0.9785
    assert found.effect == pytest.approx((3.1824 + 0.9785) * 0.0676 * 1.25**0.5, rel=2e-3)
    assert quarters_after(own, "net_revenues", ON) == 1
    assert detectable([replace(figure, verified=False) for figure in own], ON) is None


def test_a_thinner_record_refuses_with_what_it_has(public_case: Case) -> None:
    closure = public_case.closure("wechat_discover", ON)
    from_events = replace(public_case.public, figures=())
    assert closure.answered
    case_of_events = Case(public_case.folder)
    case_of_events.__dict__["public"] = from_events
    impact = case_of_events.impact("wechat_discover", ON)
    assert impact.refusal is not None
    assert impact.refusal.code == "no_daily_impact"
    assert impact.refusal.args == {"failed": "1", "checks": "1"}


def test_same_bytes_twice(public_case: Case) -> None:
    def body() -> str:
        answers = (public_case.record(), public_case.closure("wechat_discover", ON))
        return "".join(dumps(replace(one, provenance=STAMP)) for one in answers)

    assert body() == body()
