"""Pages of a case without daily data: the two lists first, the timeline, fields not verified, hostile names as text."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rechannel.answers.answer import Provenance
from rechannel.answers.order import public_answers
from rechannel.answers.pictures import Timeline
from rechannel.case import Case, new_case, open_case
from rechannel.report import publish, render
from rechannel.report.blocks import Reader
from rechannel.report.chapters.record import deals_table, said_lines
from rechannel.report.timeline import deal_dates, timeline_figures
from rechannel.source.examples import example_folder, example_tables
from rechannel.tables.calendar import Event
from rechannel.tables.deals import Deal
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.wording import LANGUAGES

HOSTILE = "<script>alert(1)</script>{0}{day}\u202e"
NOT_VERIFIED = {"en": "not verified", "zh-Hans": "未核实", "zh-Hant": "未核實"}


class Seen(HTMLParser):
    """Tags, ids and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.ids += [value for key, value in given.items() if key == "id" and value]
        self.links += [value[1:] for key, value in given.items() if key == "href" and value and value.startswith("#")]


def page(case: Case, language: str) -> str:
    stamp = Provenance("0.1.0", 7, "ab" * 32, "2025-11-23T09:30:00+00:00")
    answers = [replace(answer, provenance=stamp) for answer in public_answers(case)]
    return publish.page(answers, case.facts(), language, LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_opens_with_both_lists(public_case: Case, language: str) -> None:
    shown = page(public_case, language)
    seen = Seen(shown)
    assert len(seen.ids) == len(set(seen.ids))
    assert set(seen.links) <= set(seen.ids)
    assert re.findall(r'<section id="([\w-]+)"', shown) == [
        *("record-1", "overview", "closure-2", "impact-3", "evidence", "data"),
    ]
    reader = Reader(public_case.facts(), language)
    answer = public_case.record()
    for kind, count in (("can", 7), ("cannot", 2)):
        lines = said_lines(answer, kind, reader)
        assert len(lines) == count
        for line in lines:
            assert line.source or kind == "cannot"
            assert (line.grade is None) == (kind == "cannot")
    assert "10.1% → 6.4% → 3.7%" in shown
    assert "42.6%–48.8%" in shown
    assert shown.count(NOT_VERIFIED[language]) >= 4
    assert seen.tags.count("script") == 0
    assert shown.count('role="img"') == 2 * (2 + 1)  # two panels of the timeline and the dots, in two widths
    assert shown == page(public_case, language)


def test_claims_stand_beside_the_fee(public_case: Case) -> None:
    reader = Reader(public_case.facts(), "zh-Hans")
    fee = said_lines(public_case.record(), "cannot", reader)[-1]
    assert fee.refusal is not None
    assert "80–100 亿" in fee.beside[0]
    assert "Gao Pan" in fee.beside[0]


def test_verification_is_per_field(public_case: Case) -> None:
    table = deals_table(public_case.public.deals, Reader(public_case.facts(), "en"))
    rows = {row.cells[0].text: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["JDT2"][1:] == ["2019-05-27 – 2022-05-26", *(["not verified"] * 4)]
    assert "not verified" not in rows["JDT3"]
    unseen = Deal("X", "H", "T", signed=date(2020, 1, 1), end=date(2021, 1, 1), verified="signed")
    assert deal_dates(unseen) == (date(2020, 1, 1), date(2020, 1, 1))
    assert deal_dates(Deal("X", "H", "T", signed=date(2020, 1, 1), verified="n")) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_timeline_draws_deals_events_and_threats(public_case: Case, language: str) -> None:
    timeline = public_case.record().timeline
    assert timeline is not None
    assert len(timeline.threats) == 6
    story, near = timeline_figures(timeline, language)
    for figure in (story, near):
        for width in (figure.wide, figure.narrow):
            drawn = render.svg(width, prefix="t", title="t", description="d")
            assert drawn.startswith("<svg")
    wide = render.svg(near.wide, prefix="t", title="t", description="d")
    assert wide.count("var(--rival)") == 6
    assert "2025" in wide


def test_a_timeline_of_hostile_names_stays_text() -> None:
    event = Event("closure", date(2025, 1, 1), date(2025, 1, 1), HOSTILE, note=HOSTILE)
    deal = Deal(HOSTILE, HOSTILE, HOSTILE, HOSTILE, date(2020, 1, 1), verified="y")
    timeline = Timeline(event.start, HOSTILE, (deal,), (event,), ())
    for figure in timeline_figures(timeline, "en"):
        drawn = render.svg(figure.wide, prefix="t", title="t", description=figure.description)
        assert "<script" not in drawn
        assert "\u202e" not in drawn


@pytest.mark.slow
def test_hostile_tables_stay_text(tmp_path: Path) -> None:
    tables = {}
    for name, source in example_tables(example_folder("jd_wechat")).items():
        with source.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        places = [i for i, column in enumerate(rows[0]) if column in ("note", "source", "form", "who", "access")]
        for row in rows[1:]:
            for place in places:
                row[place] = HOSTILE.replace("\u202e", "") + row[place]
        tables[name] = tmp_path / f"{name}.csv"
        with tables[name].open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
    channels = (Channel("wechat_discover", dict.fromkeys(LANGUAGES, HOSTILE)),)
    new_case(tmp_path / "case", tables, name=HOSTILE.replace("\u202e", ""), channels=channels)
    case = open_case(tmp_path / "case")
    for language in LANGUAGES:
        shown = page(case, language)
        assert "script" not in Seen(shown).tags
        assert "&lt;script&gt;" in shown


def test_a_case_of_claims_alone_still_publishes(tmp_path: Path) -> None:
    claims = tmp_path / "claims.csv"
    claims.write_text("claim_id,claim\na,the entry is worth a lot\n", encoding="utf-8")
    new_case(tmp_path / "case", {"claims": claims})
    case = open_case(tmp_path / "case")
    facts = case.facts()
    assert (facts.first, facts.last, facts.channels) == (None, None, ())
    finished = case.run()
    assert [answer.question for answer in finished.answers] == ["record"]
    assert finished.answers[0].refusal is not None
    assert len(finished.pages) == 3
