"""Exports that stand beside the usual set of their product: what is read of each, and that nothing else is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from exports.assembled import assembled, rows_csv, series_of

from rechannel.case import open_case
from rechannel.cli.main import run
from rechannel.source.imports import Imports, new_from_files
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.estimate import Quantity

LAST = date(2025, 4, 1)


@dataclass(frozen=True)
class Rare:
    """A made export of thirty days from 2025-03-03.

    Attributes
    ----------
    label
        Product and export.
    header, rows
        Its header, and the rows of one day; `{day}` is the day, `{n}` its number in the month.
    read
        Channel and metric -> figure of 2025-03-03; every other pair must be absent.
    left
        Header -> reason why it is not read.
    answered
        Metrics whose net loss a closure states.
    """

    label: str
    header: str
    rows: str
    read: dict[tuple[str, str], float]
    left: dict[str, str]
    answered: str = ""


RARE = [
    Rare(
        "douyin/local",
        "日期,曝光人数,成交订单数,成交券数,成交金额,核销金额,核销券数,新客成交数,退款金额,复购率",
        '{day},9000,4{n},50,"1,2{n:02d}.50",800.00,40,1{n},20.00,12.5%',
        {
            (WHOLE_SHOP, "orders"): 43,
            (WHOLE_SHOP, "gmv"): 1203.5,
            (WHOLE_SHOP, "new_customers"): 13,
            (WHOLE_SHOP, "refunds"): 20,
        },
        {"曝光人数": "people", "核销金额": "unsettled", "复购率": "ratio"},
    ),
    Rare(
        "jd/ads",
        "日期,推广类型,计划ID,展现数,点击数,花费,总订单行,总订单金额",
        "{day},京东快车,1,100{n},50,1{n}.25,9,900\n{day},京东快车,2,100,5,1.00,9,900\n{day},购物触点,3,70,7,7,9,900",
        {
            ("京东快车", "cost"): 14.25,
            ("京东快车", "volume"): 1103,
            ("购物触点", "cost"): 7,
            ("购物触点", "volume"): 70,
        },
        {"点击数": "clicks", "总订单行": "attributed", "总订单金额": "attributed"},
    ),
    Rare(
        "matomo/referrers_page",
        "Date,Channel Type,Visits,Unique visitors,Actions,Bounces,Conversions,Revenue",
        "{day},Direct Entry,9{n},80,300,10,5,50\n{day},Search Engines,4{n},40,100,10,5,50",
        {("Direct Entry", "visits"): 93, ("Search Engines", "visits"): 43},
        {"Unique visitors": "people", "Conversions": "goals", "Revenue": "goals"},
        "visits",
    ),
    Rare(
        "sycm/source_feed",
        "statDate,pageName,uv,payAmt,payByrCnt,payRate",
        '{day},手淘搜索,"1,1{n:02d}",9{n}.50,7,0.63%\n{day},直通车,20{n},5{n},2,0.97%',
        {
            ("手淘搜索", "visits"): 1103,
            ("手淘搜索", "gmv"): 93.5,
            ("关键词推广", "visits"): 203,
            ("关键词推广", "gmv"): 53,
        },
        {"payByrCnt": "buyers", "payRate": "ratio"},
        "visits gmv",
    ),
    Rare(
        "wechat/console_scenes",
        "日期,场景值,场景名称,打开次数,访问人数,访问次数",
        "{day},1089,最近使用,9{n},70,300\n{day},1104,我的小程序,1{n},9,30\n{day},1011,扫描二维码,5{n},50,100",
        {("recall_list", "visits"): 106, ("scan", "visits"): 53},
        {"访问人数": "people", "访问次数": "page_views"},
        "visits",
    ),
]


def put(folder: Path, rare: Rare) -> None:
    folder.mkdir()
    text = rows_csv(rare.header, lambda day: rare.rows.format(day=day, n=day.day))
    (folder / "export.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rare", RARE, ids=lambda rare: rare.label)
def test_what_is_read_of_it(rare: Rare, tmp_path: Path) -> None:
    put(tmp_path / "files", rare)
    made = assembled(tmp_path / "files")
    (file,) = made.files
    assert file.label.split("@")[0] == rare.label
    assert {key: series[date(2025, 3, 3)] for key, series in series_of(made).items()} == rare.read
    assert {name: file.left[name] for name in rare.left} == rare.left
    assert not {"RC730"} & {fault.code for fault in made.faults}, "a column that the mapping file does not know"


@pytest.mark.parametrize("rare", RARE, ids=lambda rare: rare.label)
def test_new_check_and_closure(rare: Rare, tmp_path: Path) -> None:
    put(tmp_path / "files", rare)
    folder = tmp_path / "case"
    new_from_files(folder, Imports([tmp_path / "files"], {}))
    if {channel for channel, _ in rare.read} == {WHOLE_SHOP}:
        assert run(["check", str(folder)]) == 0
        return
    assert run(["check", str(folder)]) == 0
    case = open_case(folder)
    answer = case.closure(case.panel.channels[-1], LAST + timedelta(days=1), (30,))
    answered = {row.metric for row in answer.estimates if isinstance(row.value, Quantity)}
    asked = {f"net_loss_{metric}" for metric in ("visits", "orders", "gmv", "new_customers", "margin")}
    assert answered & asked == {f"net_loss_{metric}" for metric in rare.answered.split()}
    assert (answer.refusal is None) == bool(rare.answered)
