"""The chapters of closure, worth and exposure: no sentence contradicts its interval, every number stands in a table."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest
from made_answers import HOSTILE, made_answer, made_facts, quantity
from made_questions import (
    every_question,
    made_closure,
    made_exposure,
    made_shared,
    made_worth,
    practically_none,
)
from test_publish import MOST_BYTES
from test_render import Tags

from rechannel.answers.answer import Answer
from rechannel.report import phrases, publish
from rechannel.report.blocks import Build, Chapter, Chart, Pairs, Reader, Row, Table
from rechannel.report.chapters import CHAPTERS, closure, credit, evidence, exposure, overview, parts, worth
from rechannel.report.chapters.estimates import shown_grade
from rechannel.report.chapters.parts import headline
from rechannel.vocabulary import numbers, wording
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.estimate import Estimate, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, catalogue, text

BUILDS: dict[str, Build] = {"closure": closure.build, "worth": worth.build, "exposure": exposure.build}
ODD = (
    *every_question(),
    practically_none(),
    *(made_closure(kept=1.3), made_closure(kept=0.9), made_closure(severity="0.5")),
    *(made_closure(known="visits"), made_closure(known="nothing")),
    *(made_worth(extra=-0.6), made_worth(extra=0.1), made_worth(extra=1.6), made_worth(known="visits")),
    *(made_exposure(known="visits", scale=0.05), made_exposure(known="nothing"), made_exposure(scale=4.0)),
)


def chapter(answer: Answer, language: Language = "en") -> Chapter:
    (made,) = BUILDS[answer.question]((answer,), Reader(made_facts(), language))
    return made


def charts(made: Chapter) -> list[Chart]:
    return [block for block in made.blocks if isinstance(block, Chart)]


def words_of(rows: tuple[Row, ...]) -> str:
    return " | ".join(f"{cell.text} ({cell.note})" for row in rows for cell in row.cells)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_with_every_question_stands_alone(language: Language) -> None:
    page = publish.page((*every_question(), made_answer()), made_facts(), language, LANGUAGES)
    seen = Tags(page)
    assert len(page.encode()) < MOST_BYTES
    assert not {tag for tag, _ in seen.tags} & {"script", "iframe", "img", "form", "use", "image"}
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    order = [attributes["id"] for tag, attributes in seen.tags if tag == "section"]
    assert order == ["overview", "exposure-1", "closure-2", "worth-3", "impact-4", "evidence", "data"]
    assert not re.search(r"\{\w+\}", " ".join(seen.text))
    assert publish.page((*every_question(), made_answer()), made_facts(), language, LANGUAGES) == page


@pytest.mark.slow
@pytest.mark.parametrize("answer", ODD)
@pytest.mark.parametrize("language", LANGUAGES)
def test_odd_answers_have_their_page(answer: Answer, language: Language) -> None:
    seen = " ".join(Tags(publish.page((answer,), made_facts(), language, (language,))).text)
    assert not re.search(r"\{\w+\}", seen)
    for row in answer.estimates:
        if isinstance(row.value, Refusal):
            assert row.value.message(language) in seen


def loss_answer(median: float, sd: float, *, beside: float = 900.0) -> Answer:
    rows = (
        Estimate("net_loss_visits", "visits", quantity(median, sd), horizon_days=30),
        Estimate("credited_visits", "visits", quantity(beside, 0.0), method="last_touch", horizon_days=30),
    )
    return replace(made_closure(), estimates=rows, verdict=None, paths=())


@pytest.mark.parametrize("median", [-2000.0, -800.0, -100.0, 0.0, 100.0, 800.0, 2000.0])
@pytest.mark.parametrize("sd", [20.0, 400.0])
def test_a_closure_says_what_its_interval_allows(median: float, sd: float) -> None:
    answer = loss_answer(median, sd)
    title = chapter(answer).title
    value = answer.estimates[0].value
    assert isinstance(value, Quantity)
    low, high = value.quantiles.interval(0.9)
    assert ("would cost" in title and "Whether" not in title) == (low > 0)
    assert ("would bring" in title) == (high < 0)
    assert ("cannot be told" in title) == (low <= 0 <= high)
    assert title.endswith("last touch says 900 visits")
    (gap, *_) = charts(chapter(answer))
    assert ("overstates" in gap.title) == (high < 900 and high >= 0)
    assert ("understates" in gap.title) == (low > 900)
    assert ("would gain" in gap.title) == (high < 0)
    assert ("cannot be told apart" in gap.title) == (low <= 900 <= high)


def test_a_verdict_is_kept_where_the_interval_would_say_more() -> None:
    answer = replace(loss_answer(800.0, 20.0), verdict="cannot_tell")
    assert "cannot be told" in chapter(answer).title
    assert "practically no difference" in chapter(practically_none()).title
    assert "prominence" in chapter(made_closure(severity="0.5")).title


@pytest.mark.parametrize(("extra", "word"), [(0.5, "brought"), (0.0, "cannot be told"), (-0.9, "more without")])
def test_worth_says_what_its_interval_allows(extra: float, word: str) -> None:
    title = chapter(made_worth(extra=extra)).title
    assert word in title
    assert "Q3 2025" in title


@pytest.mark.parametrize(
    ("extra", "word"),
    [(0.4, "more than it brings in 8 of 8"), (1.0, "In none of 8"), (2.5, "less than it brings in 8")],
)
def test_the_gap_of_worth_counts_periods(extra: float, word: str) -> None:
    (gap, *_) = charts(chapter(made_worth(extra=extra)))
    assert word in gap.title


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_repeat_curve_stands_beside_all_customers_with_its_table(language: Language) -> None:
    answer = made_worth()
    chart = charts(chapter(answer, language))[-1]
    first_year = [phrases.with_interval(curve.year, "orders", made_facts(), language) for curve in answer.curves]
    assert all(figure in chart.title for figure in first_year)
    (panel,) = chart.panels
    for drawing in (panel.wide, panel.narrow):
        lines = [one for one in drawing.option["series"] if one["type"] == "line"]  # type: ignore[index, union-attr, call-overload]
        assert len(lines) == 4
        assert [line["lineStyle"]["type"] == "solid" for line in lines] == [True, False, True, False]  # type: ignore[index, call-overload]
        assert [sum(point[1] is not None for point in line["data"]) for line in lines] == [9, 16, 9, 16]  # type: ignore[index, union-attr, call-overload]
    rows = [row for row in chart.twin.rows if not row.group]
    assert len(rows) == 2 * 16
    assert "361–390" in words_of(chart.twin.rows)
    assert chart.grade is Grade.C
    assert len(charts(chapter(replace(answer, curves=()), language))) == 1
    alone = charts(chapter(replace(answer, curves=answer.curves[1:]), language))[-1]
    assert first_year[1] in alone.title
    assert first_year[0] not in alone.title


def test_the_most_exposed_channel_is_named_as_surely_as_its_interval_allows() -> None:
    assert "largest median loss" in chapter(made_exposure()).title
    assert "is the most exposed channel" in chapter(made_exposure(scale=9.0)).title
    assert "No channel is shown" in chapter(made_exposure(scale=0.01)).title
    assert chapter(made_exposure(known="nothing")).title == text("report.exposure.plain", "en")
    guess = made_exposure(scale=9.0)
    rows = [
        replace(row, value=replace(row.value, grade=Grade.D)) if isinstance(row.value, Quantity) else row
        for row in guess.estimates
    ]
    assert chapter(replace(guess, estimates=tuple(rows))).title.startswith("By assumption only")


def test_a_card_shows_the_number_beside_last_touch() -> None:
    reader = Reader(made_facts(), "en")
    risk, close, value = (overview.card(i, answer, reader) for i, answer in enumerate(every_question()))
    assert risk.unit.startswith("Discover entry")
    assert risk.beside == "Last touch says 3.60M visits"
    assert close.beside == "Last touch says 1.23M visits"
    assert value.unit.endswith("Q3 2025")
    assert value.unit.startswith("Incremental visits")
    assert value.likelihood == ""
    only_parts = [replace(row, period="2025Q4*") for row in made_worth().estimates if row.period == "2025Q4*"]
    last = headline(replace(made_worth(), estimates=tuple(only_parts)))
    assert last is not None
    assert last.period == "2025Q4*"


@pytest.mark.parametrize("answer", ODD)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_of_a_picture_stands_in_its_table(answer: Answer, language: Language) -> None:
    reader = Reader(made_facts(), language)
    for chart in charts(chapter(answer, language)):
        told = words_of(chart.twin.rows)
        assert chart.twin.headers
        for panel in chart.panels:
            axes = panel.wide.option["yAxis"]
            if isinstance(axes, list) and len(axes) == 2:  # dots in lines carry their words at the right
                shown = axes[1]["axisLabel"]["formatter"]["words"].values()  # type: ignore[index,call-overload,union-attr]
                for words in shown:
                    number = str(words).split(" (")[0].split("（")[0]
                    assert number in told
    if answer.question == "worth":
        (first, *_) = charts(chapter(answer, language))
        told = words_of(first.twin.rows)
        for row in worth.measured(answer):
            if isinstance(row.value, Quantity):
                assert phrases.with_interval(row.value.quantiles, row.unit, reader.facts, language) in told
                beside = credit.credited(row, answer)
                assert beside is not None
                assert credit.credit_cell(row, answer, reader).text in told


def test_grey_lines_are_exactly_those_that_rest_on_assumptions() -> None:
    answer = made_exposure(known="visits")
    (chart,) = charts(chapter(answer))
    grades = [row.value.grade for row in exposure.losses(answer) if isinstance(row.value, Quantity)]
    assert [row.dim for row in chart.twin.rows] == [grade is Grade.D for grade in grades]
    assert [cell.text for cell in chart.twin.rows[0].cells[:2]] == ["Discover entry", "38%"]


def test_a_metric_without_any_number_stands_once_with_its_reason() -> None:
    made = chapter(made_closure(known="visits"))
    (table,) = [block for block in made.blocks if isinstance(block, Table)]
    refused = [row for row in table.rows if row.refusal]
    assert len(refused) == 2  # two reasons
    named = refused[0].cells[0].text + refused[1].cells[0].text
    assert "Net loss of orders" in named
    assert "Orders credited · last touch" in named
    assert {row.cells[0].note for row in refused} == {"30, 90 days"}


def test_what_own_channels_leave_is_the_exact_remainder() -> None:
    answer = made_closure(known="visits")
    chart = next(chart for chart in charts(chapter(answer)) if chart.panels[0].name == "sums")
    assert [row.cells[1].text for row in chart.twin.rows[:2]] == ["64% (46%–82%)", "36% (18%–54%)"]


def test_evidence_names_what_it_is_about() -> None:
    for language in LANGUAGES:
        (made,) = evidence.build(every_question(), Reader(made_facts(), language))
        tables = [block for block in made.blocks if isinstance(block, Table)]
        words = " ".join(words_of(table.rows) for table in tables)
        assert text("report.assumption.margin", language) in words.lower()
        assert "61%" in words
        assert "25%" in words
        assert "2025-03-04" not in words
        assert "finance, 2025" in words
        assert "12%" in words
        assert numbers.day(date(2025, 12, 29), language) in words
        assert text("report.evidence_kind.journeys", language) in words
        assert "42" not in words  # what customers use stands in the table of its picture


@pytest.mark.parametrize("language", LANGUAGES)
def test_customers_in_common_stand_beside_what_visits_say(language: Language) -> None:
    """The most used entry leads; what visits alone would say is a tick and a column; solo and new are words."""
    chart = next(one for one in charts(chapter(made_closure(), language)) if one.panels[0].name == "shared")
    assert [row.cells[2].text for row in chart.twin.rows] == ["30%", "40%", "25%", "5.0%"]
    assert chart.twin.rows[0].cells[1].text.startswith("42.0%")
    assert chart.twin.rows[0].cells[0].text in chart.title
    assert "3,400" in chart.lead
    assert "12%" in chart.reading
    assert "4.0%" in chart.reading
    assert chart.grade is Grade.C
    short = replace(made_closure(), shared=made_shared("discover", new=False))
    chart = next(one for one in charts(chapter(short, language)) if one.panels[0].name == "shared")
    assert "4.0%" not in chart.reading
    assert text("report.shared.used", language) in chart.reading
    unused = replace(made_closure(), shared=replace(made_shared("discover"), is_used=False))
    chart = next(one for one in charts(chapter(unused, language)) if one.panels[0].name == "shared")
    assert text("report.shared.unused", language) in chart.reading
    assert chart.grade is None
    bare = replace(made_closure(), shared=None)
    assert "shared" not in [one.panels[0].name for one in charts(chapter(bare, language))]


NAMES = [HOSTILE, '=HYPERLINK("http://x")', "a\x00\x1b\u202eb", "'\"><img src=x onerror=1>", "{channel}{0}%s"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_stand_as_text_in_every_chapter(name: str) -> None:
    answers = (
        made_exposure(first=name, host=name),
        made_closure(channel=name, rival=name),
        made_closure(channel=name, severity="0.3", known="visits"),
        made_worth(channel=name),
    )
    answers = tuple(replace(answer, text=dict.fromkeys(LANGUAGES, name)) for answer in answers)
    facts = made_facts(name)
    facts = replace(facts, channels=(replace(facts.channels[0], channel=Channel(name)), *facts.channels[1:]))
    clean = publish.page(every_question(), made_facts(), "en", LANGUAGES)
    for language in LANGUAGES:
        page = publish.page(answers, facts, language, LANGUAGES)
        seen = Tags(page)
        assert {tag for tag, _ in seen.tags} <= {tag for tag, _ in Tags(clean).tags} | {"bdi"}
        assert not any(key.startswith("on") for _, attributes in seen.tags for key in attributes)
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_title_mixes_likelihood_with_grade(language: Language) -> None:
    grades = catalogue("grade", language).values()
    for answer in ODD:
        made = chapter(answer, language)
        for title in (made.title, *(chart.title for chart in charts(made))):
            assert not any(grade in title.lower() for grade in grades if grade not in ("assumption", "假设", "假設"))


@pytest.mark.parametrize("answer", every_question())
def test_a_refused_question_prints_its_reason(answer: Answer) -> None:
    why = Refusal("made", {"column": "visits"}, ("first", "second"))
    refused = replace(answer, estimates=(), evidence=(), paths=(), verdict=None, grade=None, refusal=why)
    for language in LANGUAGES:
        words = " ".join(Tags(publish.page((refused,), made_facts(), language, (language,))).text)
        assert words.count(why.message(language)) == 2  # card and chapter


def test_chapters_stand_in_the_order_of_the_questions() -> None:
    names = [build.__module__.rsplit(".", 1)[1] for build in CHAPTERS]
    assert names == [
        *("record", "overview", "exposure", "closure", "declared", "worth", "impact", "hindsight", "evidence", "data")
    ]


def test_the_evidence_of_exposure_stands_in_its_own_table_only() -> None:
    reader = Reader(made_facts(), "en")
    (chapter,) = evidence.build(every_question(), reader)
    captions = [block.caption for block in chapter.blocks if isinstance(block, Table)]
    named = text("report.question.exposure", "en")
    assert not [caption for caption in captions if named in caption]


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_of_checks_are_shares_in_percent_and_short(language: Language) -> None:
    figures: dict[str, float | str] = {"coverage": 0.906, "drift": 0.05, "p_value": 0.004, "metric": "net_revenues"}
    shown = phrases.figures_line(figures, language)
    assert shown == {"coverage": "91%", "drift": "0.05", "p_value": "0.0040", "metric": "net revenues"}


def test_a_host_is_named_when_it_is_well_known() -> None:
    assert [phrases.host_name("wechat", language) for language in LANGUAGES] == ["微信", "微信", "WeChat"]
    assert phrases.host_name("somebody", "en") == "somebody"


def test_refusals_name_channels_as_the_case_does(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = made_facts()
    channel = facts.channels[0].channel
    monkeypatch.setitem(wording.catalogue("refusal", "en"), "shut", "{channel} was shut.")
    shut = Refusal("shut", {"channel": channel.channel_id}, ("first",))
    refused = replace(made_worth(), refusal=shut, estimates=())
    markup = publish.page([refused], facts, "en", ["en"])
    assert f"{channel.display('en')} was shut." in markup
    assert f"{channel.channel_id} was shut." not in markup


def test_the_call_can_be_typed_again() -> None:
    reader = Reader(made_facts(), "en")
    call = replace(made_closure(), asked={"channel": "discover", "on": "2025-12-30", "horizons": "30,90"})
    typed = parts.asked(call, reader)
    assert isinstance(typed, Pairs)
    assert typed.pairs[0].text == "closure --channel discover --on 2025-12-30 --horizon 30 --horizon 90"
    listed = parts.asked(made_exposure(), reader)
    assert isinstance(listed, Pairs)
    assert listed.pairs[0].text == "exposure"


def test_what_is_known_carries_no_evidence_grade_unless_it_is_not_verified() -> None:
    known = quantity(5.0, 0.0)
    assert shown_grade(known) is None
    assert shown_grade(replace(known, grade=Grade.D)) is Grade.D
    assert shown_grade(quantity(5.0, 1.0)) is Grade.B


def test_a_forecast_names_the_last_day_it_used() -> None:
    reader = Reader(made_facts(), "en")
    (chapter,) = closure.build([made_closure()], reader)
    forecasts = [block.source for block in chapter.blocks if isinstance(block, Chart) and "forecast" in block.source]
    assert forecasts
    assert all("29 Dec 2025; forecast until" in source for source in forecasts)


def test_efficiency_shows_periods_in_which_the_entry_was_open() -> None:
    answer = made_worth()
    shut = Refusal("not_in_period", {"channel": "discover", "column": "visits"}, ("check_channel",))
    later = tuple(
        replace(row, period="2099Q1", value=shut) for row in answer.estimates if row.metric in worth.EFFICIENCY
    )
    (table,) = worth.efficiency(replace(answer, estimates=(*answer.estimates, *later)), Reader(made_facts(), "en"))
    assert isinstance(table, Table)
    assert "2099" not in str(table.rows)
