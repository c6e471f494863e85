"""The tables of the door: scene codes, source keys, code breaks, channel groups and hosts hang together."""

from __future__ import annotations

import csv
import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest

MAPPINGS = files("rechannel.source").joinpath("mappings")


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(MAPPINGS.joinpath(name).read_text(encoding="utf-8").splitlines()))


def test_scene_codes_and_source_keys_are_whole_and_unique() -> None:
    scenes, sources = rows("wechat_scenes.csv"), rows("wechat_sources.csv")
    assert len({row["code"] for row in scenes}) == len(scenes) == 212
    assert [row["key"] for row in sources] == [str(key) for key in range(1, 35)]
    assert {row["kind"] for row in sources} <= {row["kind"] for row in scenes}
    assert {row["control"] for row in scenes} == {"host", "owned", "paid", "exclude", "unknown"}
    assert all(row["zh"] and row["en"] and row["source"] for row in [*scenes, *sources])


def test_code_breaks_name_codes_that_exist() -> None:
    codes = {row["code"] for row in rows("wechat_scenes.csv")}
    groups = {group["name"] for group in channel_groups()["group"]}
    for row in rows("code_breaks.csv"):
        assert row["change"] in {"merge", "split", "rename", "redefine", "retire"}
        assert row["verified"] in {"y", "n"}
        known = {"wechat_scene": codes, "ga4_channel": groups}.get(row["system"])
        if known is not None:
            assert {name for name in (row["old"], row["new"]) if name} <= known


def channel_groups() -> dict[str, Any]:
    return tomllib.loads(MAPPINGS.joinpath("ga4_channels.toml").read_text(encoding="utf-8"))


def test_channel_groups_use_patterns_and_lists_that_exist() -> None:
    rules = channel_groups()
    kinds = {row["kind"] for row in rows("referrers.csv")}
    patterns = {name: re.compile(text) for name, text in rules["patterns"].items()}
    names = [group["name"] for group in rules["group"]]
    assert len(set(names)) == len(names)
    assert names.index("Display") < names.index("Paid Other") < names.index("Organic Shopping")
    for group in rules["group"]:
        for rule in group["any"]:
            assert set(rule) <= {"source", "medium", "list", "campaign_contains", "campaign_pattern", "medium_pattern"}
            assert rule.get("list", "search") in kinds
            assert {rule.get("campaign_pattern", "paid"), rule.get("medium_pattern", "paid")} <= set(patterns)
    assert patterns["paid"].fullmatch("cpc")
    assert patterns["shopping"].fullmatch("summer-shopping")
    assert patterns["shopping"].fullmatch("eshop")
    assert not patterns["shopping"].fullmatch("workshop")


@pytest.mark.parametrize(
    ("host", "kind"),
    [("baidu.com", "search"), ("google", "search"), ("weibo", "social"), ("youtube.com", "video"), ("claude.ai", "ai")],
)
def test_hosts(host: str, kind: str) -> None:
    assert (host, kind) in {(row["host"], row["kind"]) for row in rows("referrers.csv")}
