"""The tables of the door: scene codes, source keys, code breaks, channel groups and hosts hang together."""

from __future__ import annotations

import csv
import re
import tomllib
from importlib.resources import files
from typing import Any

import duckdb
import pytest

from rechannel.source.channelrules import rule_sql
from rechannel.source.engine import quoted

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


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ({}, "Direct"),
        ({"source": "(direct)", "medium": "(none)"}, "Direct"),
        ({"source": "google", "medium": "cpc"}, "Paid Search"),
        ({"source": "google", "medium": "cpc", "campaign": "Cross-network: summer"}, "Cross-network"),
        ({"source": "google", "medium": "cpc", "campaign": "summer-shop"}, "Paid Shopping"),
        ({"source": "Facebook", "medium": "PaidSocial"}, "Paid Social"),
        ({"source": "youtube.com", "medium": "ppc"}, "Paid Video"),
        ({"source": "nobody.example", "medium": "cpm"}, "Display"),
        ({"source": "nobody.example", "medium": "cpa"}, "Paid Other"),
        ({"source": "baidu", "medium": "organic"}, "Organic Search"),
        ({"source": "weibo", "medium": "referral"}, "Organic Social"),
        ({"source": "nobody.example", "medium": "referral"}, "Referral"),
        ({"source": "letter", "medium": "E-mail"}, "Email"),
        ({"source": "partner", "medium": "affiliate"}, "Affiliates"),
        ({"source": "shop", "medium": "sms"}, "SMS"),
        ({"source": "app", "medium": "web push"}, "Mobile Push Notifications"),
        ({"source": "poster", "medium": "qr"}, "Unassigned"),
        ({"click_id": "EAIaIQ"}, "Paid Search"),
        ({"click_id": "EAIaIQ", "source": "letter", "medium": "email"}, "Paid Search"),
        ({"click_id": "", "source": "letter", "medium": "email"}, "Email"),
        ({"referrer": "www.google.com", "referrer_medium": "search"}, "Organic Search"),
        ({"referrer": "shop.example", "referrer_medium": "internal"}, "Direct"),
        ({"source": "letter", "medium": "email", "referrer": "www.google.com", "referrer_medium": "search"}, "Email"),
        ({"group": "Paid Search", "source": "letter", "medium": "email"}, "Paid Search"),
    ],
)
def test_tags_make_channel_groups(given: dict[str, str], group: str) -> None:
    sql = rule_sql("ga4", {name: quoted(text) for name, text in given.items()})
    assert duckdb.sql(f"SELECT {sql}").fetchall() == [(group,)]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"scene": "1089"}, "recall_list"),
        ({"scene": "wx-1089"}, "recall_list"),
        ({"scene": "1089.0"}, "recall_list"),
        ({"scene": "9999"}, "other"),
        ({"scene": "1011", "source": "letter", "medium": "email"}, "Email"),
        ({"scene": "1011", "source": "", "medium": ""}, "scan"),
    ],
)
def test_scene_values_make_kinds(given: dict[str, str], kind: str) -> None:
    sql = rule_sql("wechat_scene", {name: quoted(text) for name, text in given.items()})
    assert duckdb.sql(f"SELECT {sql}").fetchall() == [(kind,)]
