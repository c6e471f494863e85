"""Files become one panel: their days, parts, repeats, currencies and zones; what does not fit is refused or left."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from exports import ads, alimama, shopify, sycm, wecom
from exports.assembled import RULES, assembled, rows_csv, series_of
from exports.shop import made_shop
from exports.writing import Cell, write_xlsx

from rechannel.case import open_case
from rechannel.source.assemble import assemble
from rechannel.source.engine import locked_engine
from rechannel.source.export import DateFrom
from rechannel.source.faultlist import FaultList
from rechannel.source.filedays import stated_day
from rechannel.source.imports import Imports, add_from_files, new_from_files
from rechannel.source.products import shipped_products
from rechannel.source.read import load_raw
from rechannel.vocabulary.channel import WHOLE_SHOP
from rechannel.vocabulary.errors import FileRefused

pytestmark = pytest.mark.slow

TITLE = "统计日期：2025-03-03 ~ 2025-03-03"


@pytest.mark.parametrize(
    ("place", "name", "titles", "stated"),
    [
        ("file_name", "流量来源-2025-03-03_2025-03-03 (1).xls", ("店铺流量来源",), "2025-03-03"),
        ("file_name", "流量来源_20250303.xlsx", (TITLE, "下载时间：2025-07-01 10:00"), "2025-03-03"),
        ("file_name", "renamed.xls", (TITLE,), "2025-03-03"),
        ("file_name", "日报_20250701_20250303.xlsx", (TITLE,), "2025-03-03"),
        ("title", "日报_20250701.xlsx", (TITLE,), "2025-03-03"),
        ("title", "流量来源_20250303.xlsx", (), "2025-03-03"),
        ("file_name", "流量来源_20250304.xls", (TITLE,), "RC737"),
        ("file_name", "流量来源_20250303.xls", ("2025-03-01 ~ 2025-03-31",), "RC737"),
        ("file_name", "流量来源_20250301_20250331.xls", (), "RC718"),
        ("title", "日报.xlsx", ("2025年3月1日至2025年3月31日",), "RC718"),
        ("file_name", "流量来源.xls", ("店铺流量来源", "导出于 2025-03-03"), "RC717"),
    ],
)
def test_the_day_of_a_file(place: DateFrom, name: str, titles: tuple[str, ...], stated: str) -> None:
    faults = FaultList(name)
    day = stated_day(place, titles, "daily", faults)
    assert stated == (day.isoformat() if day else faults.refused()[0].code)


def test_the_week_of_a_file() -> None:
    faults = FaultList("流量来源_20250303_20250309.xls")
    assert stated_day("file_name", (), "weekly", faults) == date(2025, 3, 3)


def test_a_renamed_file_of_one_day(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (first,) = sycm.sources(folder, made_shop(days=1))
    days = rows_csv("统计日期,流量来源,来源明细,访客数,支付金额", lambda day: f"{day},平台流量,手淘搜索,9{day.day},1")
    (folder / "来源.csv").write_text(days, encoding="utf-8")
    first.rename(folder / "renamed.xls")
    assert sum(row.rows for row in assembled(folder).files) == 30 + 7
    (folder / "renamed.xls").rename(folder / "无线店铺流量来源-2025-05-05_2025-05-05.xls")
    with pytest.raises(FileRefused) as refused:
        assembled(folder)
    assert [(fault.code, fault.args["days"]) for fault in refused.value.faults] == [("RC737", "2025-05-05")]


def test_a_period_without_days_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "店铺来源_流量来源__20250301_20250331.csv"
    path.write_text("一级来源,二级来源,访客数,成交金额\n站内免费,搜索,900,100\n", encoding="utf-8")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    assert [fault.code for fault in refused.value.faults] == ["RC718"]
    path.rename(tmp_path / "店铺来源.csv")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    assert [fault.code for fault in refused.value.faults] == ["RC717"]


def test_numbered_days_count_from_the_title(tmp_path: Path) -> None:
    above = "# Traffic acquisition\n# Start date: 20250303\n# End date: 20250401\n"
    header = "Session default channel group,Nth day,Sessions"
    text = rows_csv(header, lambda day: f"Direct,{(day - date(2025, 3, 3)).days:04d},5{day.day}", above=above)
    (tmp_path / "data-export.csv").write_text(text, encoding="utf-8")
    days = assembled(tmp_path).tables["daily"].relation["date"].to_pylist()
    assert (days[0], days[-1]) == (date(2025, 3, 3), date(2025, 4, 1))
    (tmp_path / "data-export.csv").write_text(text.removeprefix(above), encoding="utf-8")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    assert "RC747" in {fault.code for fault in refused.value.faults}


def test_money_in_another_currency_is_refused(tmp_path: Path) -> None:
    shop = made_shop(days=30)
    ads.google(tmp_path, shop)
    ads.meta(tmp_path, shop, "USD")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    (fault,) = refused.value.faults
    assert (fault.code, fault.column, fault.args) == ("RC740", "Amount spent (USD)", {"found": "USD", "wanted": "CNY"})
    with pytest.raises(FileRefused, match=r"in CNY, the case is in USD"):
        assemble([tmp_path], replace(RULES, currency="USD"), products=shipped_products())
    with pytest.raises(FileRefused, match="RC740"):
        new_from_files(tmp_path / "case", Imports([tmp_path], {}), currency="EUR")
    orders = tmp_path / "shop"
    orders.mkdir()
    (path,) = shopify.orders(orders, made_shop(days=30, scale=0.02))
    path.write_text(path.read_text(encoding="utf-8").replace(",CNY,", ",HKD,", 1), encoding="utf-8")
    with pytest.raises(FileRefused, match="HKD"):
        assembled(orders)


def test_days_of_another_zone_are_said(tmp_path: Path) -> None:
    shopify.orders(tmp_path, made_shop(days=30, scale=0.02))
    assert "RC751" not in {fault.code for fault in assembled(tmp_path).faults}
    there = replace(RULES, timezone="America/Sao_Paulo")
    made = assemble([tmp_path], there, products=shipped_products())
    (said,) = (fault for fault in made.faults if fault.code == "RC751")
    assert said.args == {"zone": "+0800", "wanted": "America/Sao_Paulo"}


def test_an_ad_report_without_days_is_refused(tmp_path: Path) -> None:
    header = "Campaign name,Impressions,Amount spent (CNY),Reporting starts,Reporting ends"
    path = tmp_path / "meta.csv"
    path.write_text(f"{header}\nA,100,5.5,2025-03-01,2025-03-31\n", encoding="utf-8")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    assert [(fault.code, fault.line) for fault in refused.value.faults] == [("RC718", 2)]
    path.write_text(rows_csv(header, lambda day: f"A,100,5.5,{day},{day}"), encoding="utf-8")
    assert sum(series_of(assembled(tmp_path))["A", "cost"].values()) == pytest.approx(165)
    path.write_text("Campaign,Currency code,Cost,Impr.,Clicks\nA,CNY,5.5,100,7\n", encoding="utf-8")
    with pytest.raises(FileRefused, match="RC110"):
        assembled(tmp_path)


def test_a_dash_is_a_figure_that_is_missing(tmp_path: Path) -> None:
    lines = "{0},站内免费,搜索,{1},-\n{0},站内免费,推荐,7{2},1"
    text = rows_csv(
        "时间,一级来源,二级来源,访客数,成交金额", lambda day: lines.format(day, "-" if day.day == 9 else 50, day.day)
    )
    (tmp_path / "店铺来源.csv").write_text(text, encoding="utf-8")
    made = assembled(tmp_path)
    read = series_of(made)
    assert len(read["推荐", "visits"]) == len(read["搜索", "visits"]) + 1 == 30
    assert ("搜索", "gmv") not in read
    assert "RC151" not in {fault.code for fault in made.faults if fault.severity == "warning"}


def test_figures_in_units_of_ten_thousand(tmp_path: Path) -> None:
    header = "统计日期,店铺访客数,成交订单数,成交金额(万元)"
    (tmp_path / "流量看板.csv").write_text(rows_csv(header, lambda day: f"{day},900,30,1.25"), encoding="utf-8")
    made = assembled(tmp_path)
    assert set(series_of(made)[WHOLE_SHOP, "gmv"].values()) == {12500.0}


def test_one_download_in_two_files(tmp_path: Path) -> None:
    shop = made_shop(days=40)
    wecom.codes(tmp_path, shop)
    (path,) = tmp_path.glob("*.csv")
    whole = series_of(assembled(tmp_path))
    head, *lines = path.read_text(encoding="gb18030").splitlines(keepends=True)
    (tmp_path / "again.csv").write_text(head + "".join(lines[70:]), encoding="gb18030")
    made = assembled(tmp_path)
    assert series_of(made) == whole
    assert made.tables["daily"].duplicates == 30 * 7
    again = assemble([path, path, tmp_path / "again.csv"], RULES, products=shipped_products())
    assert series_of(again) == whole, "a file that is given twice is read once"
    twins = tmp_path / f"{path.stem} (1).csv"
    twins.write_bytes(path.read_bytes())
    assert [file.candidates for file in assembled(tmp_path).files if file.unplaced == "twice"] == [(twins.name,)]
    twins.unlink()
    changed = lines[70].replace(lines[70].split(",")[3], "99999")
    (tmp_path / "again.csv").write_text(head + changed + "".join(lines[71:]), encoding="gb18030")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    (fault,) = refused.value.faults
    assert fault.code == "RC732"
    assert {fault.args["file"], fault.args["other"]} == {"again.csv", path.name}
    assert fault.args["count"] == "1"


def test_a_member_twice_is_said(tmp_path: Path) -> None:
    shop = made_shop(days=30)
    first, *_ = wecom.behaviour(tmp_path, shop)
    assert not [fault for fault in assembled(tmp_path).faults if fault.code == "RC750"]
    (tmp_path / "copy.json").write_text(first.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert [fault.args["count"] for fault in assembled(tmp_path).faults if fault.code == "RC750"] == ["30"]


def test_a_session_over_midnight_is_one_visit_in_two_files(tmp_path: Path) -> None:
    header = "event_name,event_timestamp,user_pseudo_id,ga_session_id,source,medium,transaction_id,purchase_revenue\n"
    first, day = 1_740_931_200_000_000, 86_400_000_000  # 2025-03-03 00:00 in China, microseconds
    events = []
    for number in range(30):
        midnight, late = first + number * day, f"u{number},7"
        events += [(midnight + day // 2 + n, f"page_view,{{}},v{number}{n},{n},(direct),(none),,") for n in range(5)]
        events.append((midnight + day // 2, "page_view,{},,,google,organic,,"))  # consent refused
        if number:
            events.append((midnight - 60_000_000, f"page_view,{{}},{late},google,organic,,"))
            events.append((midnight + 5_000_000, f"page_view,{{}},{late},,,,"))
            events += [(midnight + 6_000_000 + n, f"purchase,{{}},{late},,,T{number},10") for n in range(2)]  # reloaded
    for name, keep in (("a", lambda at: at < first + 15 * day), ("b", lambda at: at >= first + 15 * day)):
        lines = [line.format(at) + "\n" for at, line in events if keep(at)]
        (tmp_path / f"bquxjob_{name}.csv").write_text(header + "".join(lines))
    made = assembled(tmp_path)
    read = series_of(made)
    search = {metric: read["Organic Search", metric] for metric in ("visits", "orders", "gmv")}
    assert [sum(series.values()) for series in search.values()] == [29, 29, 290]
    assert (search["visits"][date(2025, 3, 3)], search["orders"][date(2025, 3, 3)]) == (1, 0)
    assert sum(read["Direct", "visits"].values()) == 30 * 5
    assert any(fault.code == "RC704" for fault in made.faults)


def test_branches_that_share_a_word_have_one_name_on_every_day(tmp_path: Path) -> None:
    header = "时间,一级来源,二级来源,访客数,成交金额"
    two = rows_csv(header, lambda day: f"{day},广告流量,其他,5,1\n{day},平台流量,搜索,9,1")
    (tmp_path / "店铺来源.csv").write_text(two, encoding="utf-8")
    lines = "2025-05-01,广告流量,其他,5,1\n2025-05-01,平台流量,其他,4,1\n"
    (tmp_path / "店铺来源_5.csv").write_text(f"{header}\n{lines}", encoding="utf-8")
    read = series_of(assembled(tmp_path))
    assert len(read["广告流量 / 其他", "visits"]) == 31
    assert len(read["平台流量 / 其他", "visits"]) == 1
    assert ("其他", "visits") not in read


def test_daily_visitors_and_sessions_never_mix(tmp_path: Path) -> None:
    pages = rows_csv("日期,渠道活码名称,新增客户数,净增客户数", lambda day: f"{day},海报,3{day.day},1")
    (tmp_path / "codes.csv").write_text(pages, encoding="utf-8")
    sessions = rows_csv("Session default channel group,Date,Sessions", lambda day: f"Direct,{day:%Y%m%d},9{day.day}")
    (tmp_path / "data-export.csv").write_text(sessions, encoding="utf-8")
    made = assembled(tmp_path)
    assert any(fault.code == "RC708" for fault in made.faults)
    assert len({channel for channel, metric in series_of(made) if metric == "visits"}) == 1


def test_only_the_sums_of_a_branch_are_left_out(tmp_path: Path) -> None:
    rows = [
        "平台流量,汇总,汇总,50,9",
        "平台流量,其他,汇总,20,4",
        "平台流量,内容,汇总,30,5",
        "平台流量,内容,淘宝直播,30,5",
    ]
    rows += ["广告流量,汇总,汇总,70,9", "广告流量,其他,汇总,70,9", "广告流量,其他,某某,70,9", "自主访问,汇总,汇总,8,1"]
    text = rows_csv(
        "统计日期,一级来源,二级来源,三级来源,访客数,支付金额", lambda day: "\n".join(f"{day},{row}" for row in rows)
    )
    (tmp_path / "来源.csv").write_text(text, encoding="utf-8")
    read = series_of(assembled(tmp_path))
    first = {channel: series[date(2025, 3, 3)] for (channel, metric), series in read.items() if metric == "visits"}
    assert first == {"其他": 20, "淘宝直播": 30, "某某": 70, "自主访问": 8}


def test_a_table_of_the_users_own_stays_as_it_is(tmp_path: Path) -> None:
    text = rows_csv("date,channel,visits,orders", lambda day: f"{day},app,5{day.day},3\n{day},total,9{day.day},4")
    (tmp_path / "daily.csv").write_text(text + "2025-03-02,total,,7\n", encoding="utf-8")
    read = series_of(assembled(tmp_path))
    assert (len(read["total", "visits"]), len(read["total", "orders"])) == (30, 31)


def test_clicks_are_visits_of_advertising_alone(tmp_path: Path) -> None:
    shop = made_shop(days=40)
    alimama.scenes(tmp_path, shop)
    assert ("关键词推广", "visits") in series_of(assembled(tmp_path))
    sycm.shop_daily(tmp_path, shop)
    made = assembled(tmp_path)
    assert {metric for channel, metric in series_of(made) if channel == "关键词推广"} == {"cost", "volume"}
    (lack,) = (lack for lack in made.lacks if lack.metric == "visits")
    assert "sycm/sources@2" in {export.label for export in lack.exports}


def test_more_of_the_same_is_added_and_another_kind_of_visit_is_not(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    alimama.scenes(first, made_shop(days=40))
    alimama.scenes(second, made_shop(seed=2, days=10, first=date(2025, 4, 12)))
    new_from_files(tmp_path / "case", Imports([first], {}))
    case = open_case(tmp_path / "case").folder
    (added,), _ = add_from_files(case, Imports([second], {}), today=RULES.today)
    assert (added.added, added.revised) == (20, 0)
    relation = case.relation("daily")
    assert relation is not None
    assert relation["visits"].null_count == 0
    text = rows_csv(
        "Session default channel group,Date,Sessions,Transactions", lambda day: f"关键词推广,{day:%Y%m%d},5,1"
    )
    (third / "data-export.csv").write_text(text, encoding="utf-8")
    _, made = add_from_files(case, Imports([third], {}), today=RULES.today)
    assert "RC708" in {fault.code for fault in made.faults}
    after = case.relation("daily")
    assert after is not None
    assert sorted(after["visits"].to_pylist()) == sorted(relation["visits"].to_pylist())


def test_orders_in_two_downloads(tmp_path: Path) -> None:
    shop = made_shop(days=30, scale=0.02)
    (path,) = shopify.orders(tmp_path, shop)
    whole = series_of(assembled(tmp_path))
    head, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    newest = next(place for place, line in enumerate(lines[40:], start=40) if line.split(",")[2])
    again = tmp_path / "orders_export_2.csv"
    again.write_text(head + "".join(lines[:newest]), encoding="utf-8")
    assert series_of(assembled(tmp_path)) == whole
    again.write_text(head + lines[0].replace(",CNY,", ",CNY,9", 1) + "".join(lines[1:newest]), encoding="utf-8")
    assert series_of(assembled(tmp_path)) == whole, "what is not read may differ"
    cells = lines[0].split(",")
    cells[shopify.ORDERS_HEADER.index("Total")] = "1.00"
    again.write_text(head + ",".join(cells) + "".join(lines[1:newest]), encoding="utf-8")
    with pytest.raises(FileRefused) as refused:
        assembled(tmp_path)
    (fault,) = refused.value.faults
    assert (fault.code, fault.args["key"], fault.args["count"]) == ("RC732", cells[0], "1")


def test_voided_orders_are_none_with_all_their_lines(tmp_path: Path) -> None:
    shop = made_shop(days=30, scale=0.02)
    (path,) = shopify.orders(tmp_path, shop)
    before = sum(series_of(assembled(tmp_path))[WHOLE_SHOP, "orders"].values())
    text = path.read_text(encoding="utf-8")
    two = next(line for line, below in pairwise(text.splitlines()) if below.split(",")[0] == line.split(",")[0])
    path.write_text(text.replace(two, two.replace(",paid,", ",voided,").replace(",partially_refunded,", ",voided,")))
    assert sum(series_of(assembled(tmp_path))[WHOLE_SHOP, "orders"].values()) == before - 1


def test_a_log_that_was_cut_inside_a_day_leaves_the_day_that_is_there(tmp_path: Path) -> None:
    header, files = "session_identifier,start_tstamp,user_identifier,default_channel_group", tmp_path / "files"
    files.mkdir()
    start = datetime.fromisoformat("2025-03-02 16:00:00")  # UTC; midnight in China
    lines = [f"s{hour},{start + timedelta(hours=hour)},u{hour},Direct" for hour in range(40 * 24)]

    def put(first: int, last: int) -> None:
        (files / "sessions.csv").write_text("\n".join([header, *lines[first:last]]) + "\n", encoding="utf-8")

    put(0, 35 * 24)
    new_from_files(tmp_path / "case", Imports([files], {}))
    case = open_case(tmp_path / "case").folder
    put(34 * 24 + 8, 37 * 24)
    (added, _), made = add_from_files(case, Imports([files], {}), today=RULES.today)
    assert (added.table, added.added, added.revised) == ("daily", 2, 0)
    assert [fault.args["day"] for fault in made.faults if fault.code == "RC752"] == ["2025-04-06"]
    relation = case.relation("daily")
    assert relation is not None
    assert set(relation["visits"].to_pylist()) == {24.0}


def test_one_workbook_of_several_views_gives_the_one_that_is_named(tmp_path: Path) -> None:
    views: dict[str, list[list[Cell]]] = {
        sheet: [["一级来源", "二级来源", "访客数", sheet], ["平台流量", "搜索", "100", ""]]
        for sheet in ("分载体流量来源", "全店流量来源", "经营优势来源渠道")
    }
    first, *others = views
    path = write_xlsx(tmp_path / "流量来源.xlsx", views[first], first, more={name: views[name] for name in others})
    with locked_engine([path]) as connection:
        header = load_raw(connection, path, FaultList(path.name), preferred=["全店流量来源"])
        assert header is not None
        assert header.names[-1] == "全店流量来源"
        faults = FaultList(path.name)
        assert load_raw(connection, path, faults) is None
        assert [fault.code for fault in faults.refused()] == ["RC145"]


TOUCHES = """
product = "till"
[[export]]
id = "log"
table = "touches"
role = "table"
needs = [["Who"], ["When"], ["Where"], ["What"], ["Paid"]]
[export.columns]
customer = ["Who"]
time = ["When"]
channel = ["Where"]
event = ["What"]
value = ["Paid"]
"""


def test_ties_of_one_log_in_two_files(tmp_path: Path) -> None:
    folder, own = tmp_path / "files", tmp_path / "till.toml"
    folder.mkdir()
    own.write_text(TOUCHES, encoding="utf-8")
    head, at = "Who,When,Where,What,Paid\n", "u1,2025-01-01 11:00:00,app,order,"
    (folder / "a.csv").write_text(f"{head}{at}7\n{at}5\n", encoding="utf-8")
    (folder / "b.csv").write_text(f"{head}{at}5\nu1,2025-01-02 11:00:00,app,order,5\n", encoding="utf-8")
    made = assembled(folder, [own]).tables["touches"]
    assert (made.relation["value"].to_pylist(), made.duplicates) == ([7.0, 5.0, 5.0], 1)
    (folder / "b.csv").write_text(f"{head}{at}6\n", encoding="utf-8")
    with pytest.raises(FileRefused, match="RC732"):  # another order, or this one corrected: the files cannot tell
        assembled(folder, [own])
