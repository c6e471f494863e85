"""The exports of each product: what is read of them is what they tell, and each question is answered or refused."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from exports import wecom
from exports.assembled import assembled, rows_csv, series_of
from exports.sets import SETS
from exports.shop import Known, MadeShop, made_shop

from rechannel.case import open_case
from rechannel.cli.main import run
from rechannel.source.assemble import Assembly, assemble
from rechannel.source.checks import Rules
from rechannel.source.headers import Product
from rechannel.source.imports import Imports, new_from_files
from rechannel.source.products import parse_product, shipped_products
from rechannel.vocabulary.channel import WHOLE_SHOP, Channel
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Quantity

pytestmark = pytest.mark.slow

CENT = 0.0051
"""Money is stated in cents; a sum of parts may be off by half of one."""
SHORT = {"sycm": made_shop(days=42), "wechat": made_shop(days=29), "jd": made_shop(days=29)}
"""生意参谋 past both of its renamings; the others as many days as a closure needs."""
NESTED = ("ga4_nested", "ga4_lines")
"""Events of one day per file; sessions run into the next one."""
COUNTED = {
    "sessions": "sessions",
    "daily visitors": "visitors",
    "viewers": "viewers",
    "clicks": "clicks",
    "opens": "opens",
    "page views": "page_views",
    "customers added": "additions",
}
ORDER_EVENT = """
product = "sensors"

[[export]]
id = "events"
order_events = ["payOrder"]

[export.columns]
order_id = ["properties.order_id"]
value = ["properties.order_amount"]
"""
"""All that a shop has to say about its own event."""


def made_set(name: str, folder: Path) -> tuple[MadeShop, Known, list[Path]]:
    """The files of a product's user below `folder`, what they tell, and the mapping file that the user has to write."""
    write, tell, shop = SETS[name]
    shop = SHORT.get(name, made_shop(days=29, scale=0.02) if name in NESTED else shop)
    (folder / "files").mkdir()
    write(folder / "files", shop)
    mappings = []
    if name == "sensors_events":
        mappings.append(folder / "own.toml")
        mappings[0].write_text(ORDER_EVENT, encoding="utf-8")
    return shop, tell(shop), mappings


ONE_FILE_PER_DAY = (*SHORT, *NESTED)
"""Slow to write and to read: tested once, on the way to a closure."""


def check_known(made: Assembly, known: Known, shop: MadeShop) -> None:
    """Every series that the files tell is read as it is, and no other figure; columns that tempt are left."""
    read = series_of(made)
    wanted = {
        (channel, metric): {day: value for day, value in zip(shop.days, series, strict=True) if value is not None}
        for metric, channels in [*known.by_channel.items(), *((m, {WHOLE_SHOP: s}) for m, s in known.by_shop.items())]
        for channel, series in channels.items()
    }
    for (channel, metric), series in wanted.items():
        got = read.get((channel, metric), {})
        if not any(series.values()):
            assert not any(got.values())
            continue
        assert set(got) == set(series), (channel, metric)
        allowed = CENT if metric in ("gmv", "refunds", "cost") else 0
        assert all(abs(got[day] - value) <= allowed for day, value in series.items()), (channel, metric)
    assert [key for key, series in read.items() if key not in wanted and any(series.values())] == []
    assert made.counts == (COUNTED[known.visits_are] if {"visits"} & {*known.by_channel, *known.by_shop} else "")
    assert not [file for file in made.files if file.unplaced]
    assert not [fault for fault in made.faults if fault.code == "RC730"], "a column that the mapping file does not know"
    for column, metric in known.tempting.items():
        of = {origin.label for origin in made.origins if origin.metric == metric}
        for file in made.files:
            columns = {name for names in file.read.values() for name in names.split(", ")}
            assert file.label not in of or column not in file.read.get(metric, "").split(", ")
            assert column not in file.header or column in {*file.left, *columns}


@pytest.mark.parametrize("name", [name for name in SETS if name not in ONE_FILE_PER_DAY])
def test_what_is_known_is_read_and_nothing_else(name: str, tmp_path: Path) -> None:
    shop, known, mappings = made_set(name, tmp_path)
    check_known(assembled(tmp_path / "files", mappings), known, shop)


ANSWERED: dict[str, str] = {
    "sycm": "visits orders gmv new_customers",
    "taobaoke": "visits orders gmv",
    "ga4": "visits orders gmv",
    "ga4_flat": "visits orders gmv",
    "ga4_nested": "visits orders gmv",
    "ga4_lines": "visits orders gmv",
    "wechat": "visits",
    "wechat_console": "visits",
    "jd": "visits orders gmv",
    "pdd": "",
    "douyin": "visits orders gmv",
    "wecom": "visits",
    "sensors": "visits orders gmv",
    "sensors_events": "visits orders gmv",
    "matomo": "visits orders gmv",
    "matomo_visits": "visits orders gmv",
    "snowplow": "visits",
    "snowplow_events": "visits orders gmv",
    "shopify": "visits orders gmv",
    "ads": "",
}
"""Set -> metrics whose net loss a closure states; the others are refused, all of them where no visits are known."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_new_check_and_closure(name: str, tmp_path: Path) -> None:
    shop, known, mappings = made_set(name, tmp_path)
    folder = tmp_path / "case"
    _, made = new_from_files(folder, Imports([tmp_path / "files"], {}, mappings=mappings))
    check_known(made, known, shop)
    assert run(["check", str(folder)]) == 0
    case = open_case(folder)
    listed = [name for name in case.panel.channels if name != "(other)"]
    answer = case.closure(listed[-1], shop.days[-1] + timedelta(days=1), (30,))
    answered = {row.metric for row in answer.estimates if isinstance(row.value, Quantity)}
    wanted = {f"net_loss_{metric}" for metric in ANSWERED[name].split()}
    asked = {f"net_loss_{metric}" for metric in ("visits", "orders", "gmv", "new_customers", "margin")}
    assert answered & asked == wanted
    assert ("visits_removed" in answered) == bool(wanted)
    if not wanted:
        assert answer.refusal is not None
        assert answer.refusal.code == "no_visits"
    told = {metric.removeprefix("net_loss_") for metric in wanted}
    assert told <= {*known.by_channel, *known.by_shop}


def test_the_events_of_a_shop_are_named_by_its_user(tmp_path: Path) -> None:
    made_set("sensors_events", tmp_path)
    made = assembled(tmp_path / "files")
    assert "orders" not in made.tables["daily"].relation.column_names
    (note,) = (fault for fault in made.faults if fault.code == "RC745")
    assert "payOrder" in note.args["events"]
    changed = {fault.args["channels"] for fault in made.faults if fault.code == "RC738"}
    assert changed == {"recall_list", "search"}, "kinds whose scene values were split or mean another page now"
    own = assembled(tmp_path / "files", [tmp_path / "own.toml"])
    assert own.labels == ("sensors/events@1 (own.toml)",)
    assert set(own.tables["touches"].relation["event"].unique().to_pylist()) == {"visit", "order"}


def test_rest_and_withheld_rows_are_said(tmp_path: Path) -> None:
    made_set("ga4", tmp_path)
    said = {fault.code: fault.args for fault in assembled(tmp_path / "files").faults}
    assert said["RC742"] == {"names": "(other)", "share": "1.0%"}
    assert said["RC743"]["channels"] == "Affiliates"


@pytest.mark.parametrize(
    ("first", "said"), [(date(2026, 5, 1), True), (date(2026, 4, 1), False), (date(2026, 6, 1), False)]
)
def test_a_channel_that_was_split_on_a_day(tmp_path: Path, first: date, said: bool) -> None:
    text = rows_csv(
        "Session default channel group,Date,Sessions", lambda day: f"Referral,{day:%Y%m%d},5{day.day}", first
    )
    (tmp_path / "data-export.csv").write_text(text, encoding="utf-8")
    made = assemble([tmp_path], Rules(date(2026, 12, 31)), products=shipped_products())
    assert [fault.args["since"] for fault in made.faults if fault.code == "RC738"] == ["2026-05-13"] * said


def test_an_exploration_that_was_cut_is_said(tmp_path: Path) -> None:
    made_set("ga4", tmp_path)
    path = tmp_path / "files" / "Free form 1.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-40]), encoding="utf-8")
    cut = [fault for fault in assembled(tmp_path / "files").faults if fault.code == "RC741"]
    assert {fault.column for fault in cut} == {"Transactions", "Purchase revenue", "Refund amount"}


MINE = """
product = "mine"
[names]
en = "Mine"
zh-Hans = "我的"
zh-Hant = "我的"
[[export]]
id = "a"
needs = [["Tag"], ["Hits"], ["Zone"]]
[export.names]
en = "A"
zh-Hans = "甲"
zh-Hant = "甲"
[export.columns]
date = ["Zone"]
channel = ["Tag"]
visits = ["Hits"]
"""


def test_a_file_nobody_knows_is_listed_and_a_mapping_file_makes_it_known(tmp_path: Path) -> None:
    folder, own = tmp_path / "files", tmp_path / "mine.toml"
    folder.mkdir()
    (folder / "hits.csv").write_text(rows_csv("Tag,Hits,Zone", lambda day: f"app,1{day.day},{day}"), encoding="utf-8")
    with pytest.raises(CallError, match=r"RC711.*hits\.csv: Tag, Hits, Zone"):
        assembled(folder)
    wecom.codes(folder, made_shop(days=30))
    (left,) = (file for file in assembled(folder).files if file.unplaced)
    assert (left.file, left.unplaced, left.header) == ("hits.csv", "unknown", ("Tag", "Hits", "Zone"))
    own.write_text(MINE, encoding="utf-8")
    made = assembled(folder, [own])
    assert "mine/a@1 (mine.toml)" in made.labels


def test_two_mapping_files_that_fit_equally_well(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "hits.csv").write_text(
        rows_csv("Tag,Hits,Zone", lambda day: f"app,1,{day}"), encoding="utf-8"
    )
    wecom.codes(tmp_path / "files", made_shop(days=30))
    own = [tmp_path / "one.toml", tmp_path / "two.toml"]
    own[0].write_text(MINE, encoding="utf-8")
    own[1].write_text(MINE.replace('"mine"', '"other"'), encoding="utf-8")
    (left,) = (file for file in assembled(tmp_path / "files", own).files if file.unplaced)
    assert (left.unplaced, left.candidates) == ("several", ("mine/a@1 (one.toml)", "other/a@1 (two.toml)"))


def test_the_user_stands_in_place_of_a_shipped_export(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    wecom.codes(tmp_path / "files", made_shop(days=30))
    own = tmp_path / "own.toml"
    own.write_text(
        'product = "wecom"\n[[export]]\nid = "codes"\n[export.columns]\nchannel = ["渠道活码ID"]\n', encoding="utf-8"
    )
    made = assembled(tmp_path / "files", [own])
    assert {channel for channel, _ in series_of(made)} == {str(1001 + turn) for turn in range(7)}
    assert made.labels == ("wecom/codes@1 (own.toml)",)
    whole = MINE.replace('"mine"', '"wecom"').replace('"a"', '"codes"')
    own.write_text(whole, encoding="utf-8")
    with pytest.raises(CallError, match="RC711"):  # the shipped one is gone, and the user's asks for other columns
        assembled(tmp_path / "files", [own])


def test_an_alias_of_the_user_wins(tmp_path: Path) -> None:
    wecom.codes(tmp_path, made_shop(days=30))
    made = assembled(tmp_path, channels=[Channel("码", aliases=("门店台卡", "包裹卡"))])
    known = {channel for channel, _ in series_of(made)}
    assert "码" in known
    assert not {"门店台卡", "包裹卡"} & known


def test_an_alias_of_the_user_goes_with_those_of_the_product(tmp_path: Path) -> None:
    lines = "{0},平台流量,搜索,手淘搜索,9{1},1\n{0},广告流量,效果广告,直通车,8{1},1"
    text = rows_csv("统计日期,一级来源,二级来源,三级来源,访客数,支付金额", lambda day: lines.format(day, day.day))
    (tmp_path / "来源.csv").write_text(text, encoding="utf-8")
    own = [Channel("手淘搜索", aliases=("搜索",)), Channel("付费", aliases=("关键词推广",))]
    made = assembled(tmp_path, channels=own)
    assert {channel for channel, _ in series_of(made)} == {"手淘搜索", "付费"}
    (search,) = (channel for channel in made.channels if channel.channel_id == "手淘搜索")
    assert (search.names["en"], search.kind, search.aliases) == ("Taobao search", "search", ("搜索",))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MINE.replace("needs =", "need ="), "export[1].need"),
        (MINE.replace('visits = ["Hits"]', 'hits = ["Hits"]'), "export[1].columns.hits"),
        (MINE.replace('id = "a"', 'id = "a"\nsums = "yes"'), "export[1].sums"),
        (MINE.replace('id = "a"', 'id = "a"\ngrain = "row"'), "export[1].grain"),
        (MINE.replace('id = "a"', 'id = "a"\nname_pattern = "("'), "export[1].name_pattern"),
        (MINE.replace('id = "a"', 'id = "a"\nname_pattern = "(?P<day>.)"'), "export[1].name_pattern"),
        (MINE.replace('id = "a"', 'id = "a"\ntimezone = "Mars"'), "export[1].timezone"),
        (MINE + '[export.ignored]\nx = "dull"\n', "export[1].ignored.x"),
        (MINE.replace('zh-Hant = "甲"\n', 'fr = "A"\n'), "export[1].names.fr"),
        (MINE + '[[channel]]\nid = "a"\n[[channel]]\nid = "b"\naliases = ["A"]\n', "channel.aliases"),
        ("product = ", ""),
    ],
)
def test_a_wrong_key_is_named(text: str, key: str) -> None:
    with pytest.raises(CallError) as wrong:
        parse_product(text, "mine.toml")
    assert wrong.value.code == "RC700"
    assert (wrong.value.parts["file"], wrong.value.parts["key"]) == ("mine.toml", key)


@pytest.mark.parametrize("product", shipped_products(), ids=lambda product: product.name)
def test_a_shipped_mapping_file_hangs_together(product: Product) -> None:
    for channel in product.channels:
        assert {"zh-Hant"} <= set(channel.names)
        assert {"en", "zh-Hans"} & set(channel.names)
        assert channel.kind
    for export in product.exports:
        assert export.source, export.label
        known = {*export.spellings, *export.ignored}
        assert set(export.unverified) <= known, export.label
        assert not set(export.ignored) & {name for names in export.columns.values() for name in names}, export.label
        assert export.role == "ads" or export.counts or not {"visits"} & export.gives, export.label
