"""Charts: the same words in Python and JavaScript, and markup that is safe inside a page."""

from __future__ import annotations

import json
import math
import re
import threading
from html.parser import HTMLParser
from pathlib import Path as FilePath

import numpy as np
import pytest
from made_answers import HOSTILE, made_path

from rechannel.report import render
from rechannel.report.dots import Cloud, Dot, cloud_figure, dot_figure
from rechannel.report.figures import day_words, gap_of, path_figures, round_ticks
from rechannel.vocabulary import numbers
from rechannel.vocabulary.errors import MissingPart, RechannelError
from rechannel.vocabulary.estimate import LEVELS
from rechannel.vocabulary.wording import LANGUAGES

VECTORS = json.loads(FilePath(__file__).with_name("number_vectors.json").read_text(encoding="utf-8"))


class Tags(HTMLParser):
    """Every tag and attribute of some markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_python_and_javascript_print_the_same_words() -> None:
    for value, width, en, hans, hant in VECTORS:
        for language, words in (("en", en), ("zh-Hans", hans), ("zh-Hant", hant)):
            wide = math.nan if width is None else width
            assert numbers.number(value, language, width=wide) == words
            assert render.number_in_js(value, language, wide) == words


def test_python_and_javascript_agree_on_any_number() -> None:
    rng = np.random.default_rng(7)
    values = np.concatenate(
        (
            np.sign(rng.standard_normal(300)) * 10 ** rng.uniform(-3, 13, 300),
            rng.integers(-40, 40, 100) / 8,  # exact ties
            rng.integers(0, 10**6, 100) * 5.0,
        )
    )
    widths = np.where(rng.random(500) < 0.4, np.nan, np.abs(values) * 10 ** rng.uniform(-3, 1, 500))
    for value, width in zip(values.tolist(), widths.tolist(), strict=True):
        for language in LANGUAGES:
            assert render.number_in_js(value, language, width) == numbers.number(value, language, width=width), (
                value,
                width,
            )


def dots(label: str, words: str = "21% (15–27%)") -> render.Drawing:
    quantiles = tuple(0.2 + 0.03 * i for i in range(len(LEVELS)))
    return dot_figure("dots", "axis", "aloud", [Dot(label, quantiles, words, "#0072b2")], "en", share=True).wide


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (HOSTILE, HOSTILE),
        ("a{b}{c}{value}", "a{b}{c}{value}"),
        ("=HYPERLINK(1)", "=HYPERLINK(1)"),
        ("x\x00y\x1bz", "x\u2400y\u241bz"),
        ("\u202eevil", "[U+202E]evil"),
        ("half \ud83d", "half [U+D83D]"),
        ("{a|rich}&lt;'\"", "{a|rich}&lt;'\""),
        ("购物 🛒", "购物 🛒"),
    ],
)
def test_a_name_is_only_ever_text(name: str, shown: str) -> None:
    markup = render.svg(dots(name, name), prefix="x", title=name, description=name)
    seen = Tags(markup)
    texts = [text.strip() for text in seen.text]
    assert texts.count(shown) == 3 + (len(shown) <= 24)  # title, description, words; the label is cut to its column
    assert {tag for tag, _ in seen.tags} <= {"svg", "title", "desc", "g", "path", "rect", "text", "defs", "clippath"}
    for _, attributes in seen.tags:
        assert not any(key.startswith("on") or "href" in key for key in attributes)
        assert all("url(" not in value or value.startswith("url(#x-") for value in attributes.values())


def test_a_picture_is_named_its_ids_are_its_own_and_it_repeats() -> None:
    figure = path_figures(made_path("discover", 1000.0, 0.9, 40), "zh-Hans", "访问", "发现")[0]
    one, two = (render.svg(figure.wide, prefix=prefix, title="t", description="d") for prefix in ("one", "two"))
    ids = [attributes["id"] for markup in (one, two) for _, attributes in Tags(markup).tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 4
    assert one.replace("one-", "two-") == two
    root = Tags(one).tags[0][1]
    assert (root["role"], root["aria-labelledby"]) == ("img", "one-t one-d")
    assert "var(--own)" in one
    assert "var(" not in render.svg(figure.wide, prefix="one", title="t", description="d", roles=False)


def test_pictures_can_be_drawn_from_any_thread() -> None:
    made: list[str] = []
    drawing = dots("thread")
    threads = [
        threading.Thread(target=lambda: made.append(render.svg(drawing, prefix="x", title="t", description="d")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1


@pytest.mark.parametrize(
    "markup",
    [
        "<svg><script>1</script></svg>",
        "<svg><foreignObject></foreignObject></svg>",
        '<svg><path onclick="1"></path></svg>',
        '<svg><path fill="url(http://example.org/#a)"></path></svg>',
        '<svg><text style="background:url(x)">a</text></svg>',
        '<svg><image href="http://example.org/a.png"></image></svg>',
    ],
)
def test_markup_with_no_place_in_a_page_stops(markup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_on_worker", lambda job: markup)
    monkeypatch.setattr(render, "_drawn", {})
    with pytest.raises(RechannelError, match="RC501"):
        render.svg(dots("any"), prefix="x", title="t", description="d")


def test_a_missing_library_names_make(monkeypatch: pytest.MonkeyPatch, tmp_path: FilePath) -> None:
    monkeypatch.setattr(render, "files", lambda package: tmp_path)
    with pytest.raises(MissingPart, match="make") as caught:
        render._context.__wrapped__()
    assert caught.value.code == "RC500"


def test_ticks_are_round_and_hold_every_value() -> None:
    rng = np.random.default_rng(3)
    for _ in range(500):
        low, high = np.sort(rng.standard_normal(2) * 10 ** rng.uniform(-4, 12))
        for most in (3, 5):
            ticks = round_ticks(float(low), float(high), most=most, zero=bool(rng.random() < 0.5))
            slack = 1e-6 * ticks.step
            assert ticks.low <= low + slack
            assert ticks.high >= high - slack
            assert (ticks.high - ticks.low) / ticks.step <= most + 1e-6


@pytest.mark.parametrize("days", [5, 30, 90, 365, 1500])
def test_an_axis_never_carries_more_words_than_fit(days: int) -> None:
    dates = np.datetime64("2025-09-30", "D") + np.arange(-40, days)
    for most in (3, 9):
        for language in LANGUAGES:
            assert 0 < len(day_words(dates, language, most=most)) <= most


def test_a_gap_is_drawn_only_when_one_side_is_known() -> None:
    measured = made_path("discover", 1000.0, 0.9, 40)
    assert gap_of(measured) is not None
    assert [figure.name for figure in path_figures(measured, "en", "visits", "it")] == ["levels", "gap", "sum"]
    window = measured.dates >= np.datetime64(measured.on, "D")
    measured.observed[window] = np.nan
    measured.closed_path[window] = np.arange(len(LEVELS))
    assert gap_of(measured) is None
    assert [figure.name for figure in path_figures(measured, "en", "visits", "it")] == ["levels", "sum"]


@pytest.mark.parametrize("high", [7.3e4, 9.6e4, 1.9e5, 2.4e6, 0.09, 880.0])
def test_an_axis_prints_its_ticks_exactly(high: float) -> None:
    quantiles = tuple(high * (0.2 + 0.1 * i) for i in range(len(LEVELS)))
    for language, scales in (("zh-Hans", {"万": 1e4}), ("en", {"K": 1e3, "M": 1e6})):
        drawing = dot_figure("d", "a", "b", [Dot("x", quantiles, "", "#0072b2")], language, share=False).wide
        ticks = [text for text in Tags(render.svg(drawing, prefix="x", title="", description="")).text if text.strip()]
        values = []
        for tick in ticks:
            found = re.fullmatch(r"([\d,.]+) ?(万|K|M)?", tick)
            if found:
                values.append(float(found[1].replace(",", "")) * scales.get(found[2] or "", 1.0))
        steps = np.diff(sorted(values))
        assert len(values) >= 4
        assert np.allclose(steps, steps[0])


def test_a_cloud_draws_every_mark_once_and_hostile_names_as_text() -> None:
    cloud = Cloud(HOSTILE, (-0.1, 0.05, 0.2), -1.0, "-100%", "#0072b2")
    drawing = cloud_figure("c", "a", "b", (cloud,), "en").wide
    markup = render.svg(drawing, prefix="x", title="", description="")
    tags = Tags(markup)
    assert not any(name == "script" for name, _ in tags.tags)
    faint = [attrs for name, attrs in tags.tags if name == "path" and attrs.get("fill-opacity", "1") == "0.3"]
    assert len(faint) == len(cloud.around)
