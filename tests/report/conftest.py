"""Sentences of the made answers: the real ones belong to the rooms that make answers."""

from __future__ import annotations

import pytest

from rechannel.vocabulary import wording

MADE: dict[str, dict[wording.Language, dict[str, str]]] = {
    "refusal": {
        "en": {"made": "The case has no column {column}, so this number would be a guess."},
        "zh-Hans": {"made": "案例没有 {column} 这一列，给出数字只能是猜测。"},
        "zh-Hant": {"made": "案例沒有 {column} 這一列，給出數字只能是猜測。"},
    },
    "help": {
        "en": {"first": "An export with that column.", "second": "A two-week geo test."},
        "zh-Hans": {"first": "一份带该列的导出。", "second": "为期两周的地域试验。"},
        "zh-Hant": {"first": "一份帶該列的匯出。", "second": "為期兩週的地域試驗。"},
    },
    "grade_reason": {
        "en": {"one": "a holiday began the day after the change"},
        "zh-Hans": {"one": "变化的第二天就是假期"},
        "zh-Hant": {"one": "變化的第二天就是假期"},
    },
    "check": {
        "en": {
            "made_good": "Placebo dates: {share} of them show an effect this large.",
            "made_bad": "Controls: {share} of the fit comes from one channel.",
        },
        "zh-Hans": {
            "made_good": "安慰剂日期：其中 {share} 出现这么大的效应。",
            "made_bad": "对照：拟合的 {share} 来自一个渠道。",
        },
        "zh-Hant": {
            "made_good": "安慰劑日期：其中 {share} 出現這麼大的效應。",
            "made_bad": "對照：擬合的 {share} 來自一個渠道。",
        },
    },
    "fault": {
        "en": {"made": "{what} was read with care"},
        "zh-Hans": {"made": "读取 {what} 时有保留"},
        "zh-Hant": {"made": "讀取 {what} 時有保留"},
    },
}


def made_catalogue(room: str, language: wording.Language) -> dict[str, str]:
    return MADE[room][language] if room in MADE else _real(room, language)


_real = wording.catalogue


@pytest.fixture(autouse=True)
def made_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "catalogue", made_catalogue)
