"""The published pages: offline, in three languages, whole or not at all; hostile names stay text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
from made_answers import HOSTILE, cannot_tell, made_answer, made_facts, refused_answer
from test_render import Tags

from rechannel.answers.answer import Answer, Check
from rechannel.report import phrases, publish
from rechannel.report.blocks import Reader
from rechannel.report.chapters.impact import finding
from rechannel.report.picture import impact_picture
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import Fault
from rechannel.vocabulary.estimate import LEVELS, Quantiles
from rechannel.vocabulary.wording import LANGUAGES, catalogue

MOST_BYTES = 2_000_000
EVERY = (made_answer(), cannot_tell(), refused_answer())
NOTES = (Fault("made", "warning", "daily.csv", 12, "visits", {"what": HOSTILE}),)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_stands_alone(language: str) -> None:
    page = publish.page(EVERY, made_facts(notes=NOTES), language, LANGUAGES)
    seen = Tags(page)
    tags = {tag for tag, _ in seen.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form", "img", "foreignobject", "image", "use"}
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in seen.tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("href", "src", "xlink:href"):
            link = attributes.get(key, "#")
            assert link.startswith(("#", "data:,")) or re.fullmatch(r"report\.[\w-]+\.html", link), (tag, link)
        for key in ("aria-labelledby", "headers"):
            assert set(attributes.get(key, "").split()) <= set(ids)
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
    policy = next(a["content"] for _, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "url(http" not in page
    assert "@import" not in page
    assert seen.tags[0][1]["lang"] == language
    pictures = sum(attributes.get("role") == "img" for _, attributes in seen.tags)
    assert pictures == 2 * (3 + 3 + 2 + 2 + 3 + 2)
    assert sum("folded" in a.get("class", "") for _, a in seen.tags) >= 4  # a table beside every chart


@pytest.mark.slow
def test_a_year_of_two_answers_stays_small_and_repeats() -> None:
    long = made_answer(days=365)
    for language in LANGUAGES:
        one, two = (publish.page((long, long), made_facts(), language, LANGUAGES) for _ in range(2))
        assert one == two
        assert len(one.encode()) < MOST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("name", [HOSTILE, '=HYPERLINK("http://x")', "a\x00\x1b\u202eb", "'\"><img src=x onerror=1>"])
def test_hostile_names_stand_as_text(name: str) -> None:
    answer = made_answer(channel="discover", rival=name)
    answer = replace(
        answer,
        asked={**answer.asked, "channel": name},
        paths=(replace(answer.paths[0], channel=name), answer.paths[1]),
        text=dict.fromkeys(LANGUAGES, name),
        checks=(Check("made_good", True, {"share": name}),),
        evidence=(replace(answer.evidence[0], label=name),),
    )
    facts = made_facts(name, (Fault("made", "warning", name, 3, name, {"what": name}),))
    facts = replace(facts, channels=(replace(facts.channels[0], channel=Channel(name)), *facts.channels[1:]))
    clean = publish.page((made_answer(),), made_facts(notes=NOTES), "en", LANGUAGES)
    page = publish.page((answer,), facts, "en", LANGUAGES)
    seen = Tags(page)
    assert {tag for tag, _ in seen.tags} <= {tag for tag, _ in Tags(clean).tags} | {"bdi"}
    assert not any(key.startswith("on") for _, attributes in seen.tags for key in attributes)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)


def test_a_refusal_prints_its_reason_and_the_cheapest_test() -> None:
    for language in LANGUAGES:
        answer = refused_answer()
        assert answer.refusal is not None
        words = " ".join(Tags(publish.page((answer,), made_facts(), language, (language,))).text)
        assert words.count(answer.refusal.message(language)) == 2  # card and chapter
        assert all(words.count(line) == 2 for line in answer.refusal.help(language))
        assert answer.text[language] in words
        assert "<svg" not in publish.page((answer,), made_facts(), language, (language,))


def test_a_case_without_questions_says_so() -> None:
    words = " ".join(Tags(publish.page((), made_facts(), "en", LANGUAGES)).text)
    assert catalogue("report", "en")["overview.empty"] in words


@pytest.mark.slow
def test_pages_appear_whole_or_not_at_all(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    written = publish.write_report(EVERY, made_facts(), LANGUAGES, tmp_path)
    assert [path.name for path in written] == [f"report.{language}.html" for language in LANGUAGES]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
    before = {path: path.read_bytes() for path in written}
    broken = replace(made_answer(), checks=(Check("unknown_key", True),))
    with pytest.raises(KeyError):
        publish.write_report((broken,), made_facts(), LANGUAGES, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.setattr(publish.os, "fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        publish.write_report((made_answer(),), made_facts(), LANGUAGES, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_title_follows_the_verdict() -> None:
    reader = Reader(made_facts(), "en")

    def title(answer: Answer) -> str:
        return finding(answer, reader, "30 Sep 2025")

    assert "lost" in title(made_answer())
    assert "cannot be told" in title(cannot_tell())
    assert "practically not at all" in title(replace(made_answer(), verdict="practically_none"))
    gained = replace(made_answer().estimates[1], value=replace(made_answer().estimates[1].value, quantiles=shifted(-9)))
    assert "gained" in title(replace(made_answer(), estimates=(gained,)))


def shifted(by: float) -> Quantiles:
    return Quantiles(tuple(by + i for i in range(len(LEVELS))))


@pytest.mark.parametrize("language", LANGUAGES)
def test_likelihood_words_carry_their_percentage_and_never_a_grade(language: str) -> None:
    grades = catalogue("grade", language).values()
    words = set()
    for by in [-9.0, *(0.25 * i for i in range(-33, 1)), 1.0]:
        line = phrases.likelihood(shifted(by), language)
        assert re.search(r"\d%", line)
        assert not any(grade in line for grade in grades)
        words.add(line)
    assert len(words) > 20


@pytest.mark.parametrize("probability", [0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
def test_probability_is_read_off_the_quantiles(probability: float) -> None:
    at = LEVELS.index(round(1 - probability, 4)) if round(1 - probability, 4) in LEVELS else 0
    found, _ = phrases.probability_above_zero(shifted(-at))
    assert found == pytest.approx(probability, abs=1e-9)


def test_every_sentence_has_three_languages_with_the_same_parts() -> None:
    for room in ("report", "chart"):
        english = catalogue(room, "en")
        for language in LANGUAGES:
            other = catalogue(room, language)
            assert other.keys() == english.keys()
            for key, sentence in english.items():
                parts = set(re.findall(r"{(\w+)}", sentence)) - {"number", "amount"}
                assert set(re.findall(r"{(\w+)}", other[key])) - {"number", "amount"} == parts, key


def test_the_picture_stands_alone() -> None:
    answer = made_answer()
    picture = impact_picture(answer, Reader(made_facts(HOSTILE), "en"))
    seen = Tags(picture)
    assert not {tag for tag, _ in seen.tags} & {"script", "foreignobject", "image", "style"}
    assert "var(" not in picture
    assert HOSTILE in " ".join(seen.text)
