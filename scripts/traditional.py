"""Writes the zh-Hant message files from zh-Hans: OpenCC s2twp, a protect list and reviewed overrides."""

from __future__ import annotations

import sys
from pathlib import Path

import opencc

MESSAGES = Path(__file__).resolve().parent.parent / "src" / "rechannel" / "vocabulary" / "messages"

KEPT = {"视频号": "視頻號", "小程序": "小程式", "微信": "微信", "渠道": "渠道"}
"""Product names and words of the trade that the converter would change."""

OVERRIDES = {
    "平臺": "平台",
    "天后": "天後",
    "復購": "回購",
    "指令碼": "腳本",
    "台風": "颱風",
    "系統聯絡": "系統關聯",
    "資料質量": "資料品質",
    "視窗": "窗口",
    "“": "「",
    "”": "」",
}
"""Terms for which the converter's form is unsuitable (checked by a reader)."""


def convert(text: str, converter: opencc.OpenCC) -> str:
    """One message file in Traditional Chinese."""
    for number, word in enumerate(KEPT):
        text = text.replace(word, f"\ue000{number}\ue001")
    text = converter.convert(text)
    for number, kept in enumerate(KEPT.values()):
        text = text.replace(f"\ue000{number}\ue001", kept)
    for found, wanted in OVERRIDES.items():
        text = text.replace(found, wanted)
    return text


def main() -> int:
    """Write every file, or with --check say which would change."""
    converter = opencc.OpenCC("s2twp")
    check = "--check" in sys.argv
    stale = []
    for source in sorted((MESSAGES / "zh-Hans").glob("*.toml")):
        target = MESSAGES / "zh-Hant" / source.name
        converted = convert(source.read_text(encoding="utf-8"), converter)
        if not target.exists() or target.read_text(encoding="utf-8") != converted:
            stale.append(source.name)
            if not check:
                target.parent.mkdir(exist_ok=True)
                target.write_text(converted, encoding="utf-8")
    if check and stale:
        print(f"zh-Hant is behind zh-Hans: {', '.join(stale)}; run make hant", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
