"""The made exports themselves: headers where the products put them, sums that agree with what a reader must know."""

from __future__ import annotations

import csv
import io
import json
import struct
import xml.etree.ElementTree as ET
import zipfile
from collections import defaultdict
from pathlib import Path

import duckdb
import pytest

from exports import ads, alimama, douyin, ga4, jd, matomo, pdd, sensors, shopify, snowplow, sycm, wechat, wecom
from exports.sets import SETS, SHOP, SMALL
from exports.shop import METRICS, Known, Metric

Rows = list[list[str]]


def csv_rows(content: bytes, encoding: str = "utf-8", separator: str = ",") -> Rows:
    return list(csv.reader(io.StringIO(content.decode(encoding)), delimiter=separator))


def xlsx_rows(path: Path) -> Rows:
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    return [["".join(cell.itertext()) for cell in row] for row in sheet.iter(f"{space}row")]


def xls_rows(path: Path) -> Rows:
    """Labels and numbers of the one sheet, read record by record."""
    content = path.read_bytes()
    assert content.startswith(bytes.fromhex("D0CF11E0A1B11AE1"))
    rows: dict[int, dict[int, str]] = defaultdict(dict)
    at = content.index(b"\x09\x08", 600)
    while True:
        kind, length = struct.unpack_from("<HH", content, at)
        body = content[at + 4 : at + 4 + length]
        if kind == 0x000A:
            break
        if kind in (0x0204, 0x0203):
            line, column = struct.unpack_from("<HH", body)
            text = body[9:].decode("utf-16-le") if kind == 0x0204 else repr(struct.unpack_from("<d", body, 6)[0])
            rows[line][column] = text
        at += 4 + length
    return [[rows[line].get(column, "") for column in range(60)] for line in range(max(rows) + 1)]


def table(rows: Rows, columns: list[str], line: int = 1) -> list[dict[str, str]]:
    """Rows below the header, which must stand on that line."""
    assert rows[line - 1][: len(columns)] == columns
    return [dict(zip(columns, row, strict=False)) for row in rows[line:] if any(row)]


def figure(text: str) -> float:
    return float(text.replace(",", ""))


def whole(known: Known, metric: Metric) -> float:
    """Sum of everything the files tell of a metric."""
    series = [known.by_shop[metric]] if metric in known.by_shop else list(known.by_channel[metric].values())
    return sum(value or 0 for values in series for value in values)


@pytest.mark.parametrize("name", SETS)
def test_every_metric_is_known_somewhere_or_nowhere(name: str, tmp_path: Path) -> None:
    write, tell, shop = SETS[name]
    known = tell(shop)
    places = [set(known.by_channel), set(known.by_shop), set(known.unknown)]
    assert sorted(metric for place in places for metric in place) == sorted(METRICS)
    for series in [*known.by_shop.values(), *(one for part in known.by_channel.values() for one in part.values())]:
        assert len(series) == len(shop.days)
    paths = write(tmp_path, shop)
    assert paths
    assert all(path.stat().st_size for path in paths)
    again = tmp_path / "again"
    again.mkdir()
    assert [path.read_bytes() for path in write(again, shop)] == [path.read_bytes() for path in paths]


def test_sycm(tmp_path: Path) -> None:
    known = sycm.known(SHOP)
    seen: dict[str, float] = defaultdict(float)
    for path in sycm.sources(tmp_path, SHOP):
        rows = table(xls_rows(path), sycm.SOURCE_HEADER, 6)
        parents = {row["二级来源"] for row in rows if row["三级来源"] != "汇总"}
        for row in rows:
            if row["三级来源"] != "汇总" or (row["二级来源"] != "汇总" and row["二级来源"] not in parents):
                seen["visits"] += figure(row["访客数"])
                seen["gmv"] += figure(row["支付金额"])
    assert seen["visits"] == whole(known, "visits")
    assert seen["gmv"] == pytest.approx(whole(known, "gmv"))
    assert {sycm.source_name("ads_search", day) for day in (0, 25, 60)} == {
        "直通车",
        "关键词推广(原直通车)",
        "关键词推广",
    }
    (daily,) = sycm.shop_daily(tmp_path, SHOP)
    days = table(xlsx_rows(daily), sycm.DAILY_HEADER)
    assert [row["统计日期"] for row in days] == [day.isoformat() for day in SHOP.days]
    for metric, column in (("orders", "支付子订单数"), ("new_customers", "支付新买家数"), ("refunds", "成功退款金额")):
        assert sum(figure(row[column]) for row in days) == pytest.approx(whole(known, metric))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_alimama(tmp_path: Path, encoding: str) -> None:
    rows = []
    for path in alimama.scenes(tmp_path, SHOP, encoding):
        with zipfile.ZipFile(path) as book:
            rows += table(csv_rows(book.read(f"{path.stem}.csv"), encoding), alimama.SCENE_HEADER)
    assert {row["场景名字"] for row in rows} == {"关键词推广", "人群推广"}
    assert len(rows) == 2 * len(SHOP.days)
    bought = sum(figure(row["花费"]) for row in rows)
    assert bought == pytest.approx(sum(SHOP.total("cost", ("ads_search", "ads_feed"))))
    assert any("\\N" in row.values() for row in rows)
    (path,) = alimama.commissions(tmp_path, SHOP)
    plans = table(csv_rows(path.read_bytes(), "gb18030"), alimama.COMMISSION_HEADER)
    assert all(row["日期"].endswith("\t") for row in plans)
    paid = sum(figure(row["付款佣金支出"]) + figure(row["付款服务费支出"]) for row in plans)
    assert paid == pytest.approx(sum(SHOP.of("cost", "affiliate")))


def test_ga4(tmp_path: Path) -> None:
    known = ga4.known(SHOP)
    report, *parts = ga4.write(tmp_path, SHOP)
    lines = csv_rows(report.read_bytes())
    start = next(at for at, row in enumerate(lines) if not row[0].startswith("#"))
    rows = table(lines, ga4.REPORT_HEADER, start + 1)
    assert sum(figure(row["Sessions"]) for row in rows) == whole(known, "visits")
    assert any(value is None for value in known.by_channel["visits"]["Affiliates"])
    orders = 0.0
    for part in parts:
        lines = [row for row in csv_rows(part.read_bytes()) if row and not row[0].startswith("#")]
        total, *rows = table(lines, ga4.EXPLORATION_HEADER)
        assert lines[1][-1] == "Grand total"
        assert len(rows) <= ga4.MOST_ROWS
        assert figure(total["Transactions"]) == sum(figure(row["Transactions"]) for row in rows)
        orders += figure(total["Transactions"])
    assert orders == whole(known, "orders")
    (zh,) = ga4.traffic_acquisition(tmp_path, SHOP, ga4.REPORT_HEADER_ZH)
    assert "会话数" in zh.read_text(encoding="utf-8")
    (several,) = ga4.snapshot(tmp_path, SHOP)
    assert several.read_text(encoding="utf-8").count("# Start date") == 2


def test_events_agree_with_the_counts(tmp_path: Path) -> None:
    flat = ga4.bigquery_flat(tmp_path, SMALL)[0]
    ga4.bigquery_nested(tmp_path, SMALL)
    key = "user_pseudo_id || '.' || {session}"
    nested = "(SELECT p.value.int_value FROM (SELECT unnest(event_params) AS p) WHERE p.key = 'ga_session_id')"
    known = ga4.bigquery_known(SMALL)
    for source, session, order, money in (
        (f"read_csv('{flat}')", "ga_session_id", "transaction_id", "purchase_revenue"),
        (
            f"read_parquet('{tmp_path}/events_*.parquet')",
            nested,
            "ecommerce.transaction_id",
            "ecommerce.purchase_revenue",
        ),
    ):
        counted = duckdb.sql(
            f"SELECT count(DISTINCT {key.format(session=session)}), count(DISTINCT {order}), sum({money}) FROM {source}"
        ).fetchall()[0]
        assert counted[:2] == (whole(known, "visits"), whole(known, "orders"))
        assert counted[2] == pytest.approx(whole(known, "gmv"))
    per_day = f"SELECT count(DISTINCT (event_date, user_pseudo_id, ga_session_id)) FROM read_csv('{flat}')"
    assert duckdb.sql(per_day).fetchall()[0][0] > whole(known, "visits")  # sessions over midnight count twice by day


def test_wechat_and_wecom(tmp_path: Path) -> None:
    opens = 0
    for path in wechat.distribution(tmp_path, SHOP):
        blocks = json.loads(path.read_bytes())["list"]
        opens += sum(item["value"] for item in blocks[0]["item_list"])
        assert [block["index"] for block in blocks][1:] == ["access_staytime_info", "access_depth_info"]
    trend = [json.loads(path.read_bytes())["list"][0] for path in wechat.daily_trend(tmp_path, SHOP)]
    assert opens == whole(wechat.known(SHOP), "visits") == sum(day["session_cnt"] for day in trend)
    added = sum(
        day["new_contact_cnt"]
        for path in wecom.behaviour(tmp_path, SHOP)
        for day in json.loads(path.read_bytes())["behavior_data"]
    )
    (path,) = wecom.codes(tmp_path, SHOP)
    codes = table(csv_rows(path.read_bytes(), "gb18030"), wecom.CODES_HEADER)
    assert added == sum(figure(row["新增客户数"]) for row in codes) == whole(wecom.known(SHOP), "visits")


def test_jd_pdd_douyin(tmp_path: Path) -> None:
    (path,) = jd.trade(tmp_path, SHOP)
    days = table(xlsx_rows(path), jd.TRADE_HEADER)
    assert sum(figure(row["成交单量"]) for row in days) == whole(jd.known(SHOP), "orders")
    visits = [table(xlsx_rows(path), jd.SOURCE_HEADER) for path in jd.sources(tmp_path, SHOP)]
    assert sum(figure(row["访客数"]) for day in visits for row in day) == whole(jd.known(SHOP), "visits")
    (path,) = pdd.traffic(tmp_path, SHOP)
    assert sum(figure(row["成交订单数"]) for row in table(xlsx_rows(path), pdd.TRAFFIC_HEADER, 2)) == whole(
        pdd.known(SHOP), "orders"
    )
    for path in pdd.promotions(tmp_path, SHOP):
        *rows, total = table(xlsx_rows(path), pdd.PROMOTION_HEADER)
        assert total["日期"] == "总计"
        assert figure(total["花费(元)"]) == pytest.approx(sum(figure(row["花费(元)"]) for row in rows))
    known = douyin.known(SHOP)
    (path,) = douyin.channels(tmp_path, SHOP)
    rows = table(xlsx_rows(path), douyin.CHANNEL_HEADER)
    for is_sum in (True, False):
        picked = [row for row in rows if (row["一级渠道"] == "整体") == is_sum]
        assert sum(figure(row["直播间观看人数"]) for row in picked) == whole(known, "visits")
    (path,) = douyin.live_sessions(tmp_path, SHOP)
    spent = sum(figure(row["消耗"]) for row in table(xlsx_rows(path), douyin.LIVE_HEADER))
    assert spent == pytest.approx(whole(known, "cost"))
    (path,) = douyin.goods(tmp_path, SHOP)
    back = table(csv_rows(path.read_bytes(), "utf-8-sig"), douyin.GOODS_HEADER)
    assert sum(figure(row["直播间退款金额"]) for row in back) == pytest.approx(whole(known, "refunds"))


def test_matomo_sensors_snowplow(tmp_path: Path) -> None:
    (path,) = matomo.referrers(tmp_path, SHOP)
    assert path.read_bytes()[:2] == b"\xff\xfe"
    rows = table(csv_rows(path.read_bytes(), "utf-16", "\t"), matomo.REFERRERS_HEADER)
    known = matomo.known(SHOP)
    assert sum(figure(row["nb_visits"]) for row in rows) == whole(known, "visits")
    column = "goals_idgoal=ecommerceOrder_nb_conversions"
    assert sum(figure(row[column]) for row in rows) == whole(known, "orders")
    (path,) = matomo.visits_log(tmp_path, SMALL)
    log = table(csv_rows(path.read_bytes(), "utf-16"), matomo.VISITS_HEADER)
    assert len(log) == whole(matomo.known(SMALL), "visits")
    assert sum(figure(row["totalEcommerceRevenue"]) for row in log) == pytest.approx(sum(SMALL.total("gmv")))
    (path,) = sensors.analysis(tmp_path, SHOP)
    rows = table(csv_rows(path.read_bytes(), "utf-8-sig"), sensors.ANALYSIS_HEADER)
    sums = [row for row in rows if row["时间"] == "合计"]
    launches = sum(figure(row["小程序启动的总次数"]) for row in rows if row["时间"] != "合计")
    assert launches == sum(figure(row["小程序启动的总次数"]) for row in sums) == whole(known, "visits")
    (path,) = sensors.events(tmp_path, SMALL)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum(line["event"] == "$MPLaunch" for line in lines) == whole(sensors.events_known(SMALL), "visits")
    (path,) = snowplow.events(tmp_path, SMALL)
    rows = table(csv_rows(path.read_bytes(), separator="\t"), snowplow.EVENTS_HEADER)
    assert len({row["domain_sessionid"] for row in rows}) == whole(snowplow.events_known(SMALL), "visits")
    assert sum(figure(row["tr_total"] or "0") for row in rows) == pytest.approx(sum(SMALL.total("gmv")))
    (path,) = snowplow.derived_sessions(tmp_path, SMALL)
    assert len(table(csv_rows(path.read_bytes()), snowplow.SESSIONS_HEADER)) == whole(snowplow.known(SMALL), "visits")


def test_shopify_and_ads(tmp_path: Path) -> None:
    path, reached = shopify.write(tmp_path, SMALL)
    rows = table(csv_rows(path.read_bytes()), shopify.ORDERS_HEADER)
    known = shopify.known(SMALL)
    assert len({row["Name"] for row in rows}) == whole(known, "orders") < len(rows)
    assert sum(figure(row["Total"] or "0") for row in rows) == pytest.approx(whole(known, "gmv"))
    assert sum(figure(row["Refunded Amount"] or "0") for row in rows) == pytest.approx(whole(known, "refunds"))
    sessions = table(csv_rows(reached.read_bytes()), shopify.SESSIONS_HEADER)
    assert sum(figure(row["Sessions"]) for row in sessions) == whole(known, "visits")
    (path,) = ads.google(tmp_path, SHOP, "utf-16")
    rows = table(csv_rows(path.read_bytes(), "utf-16", "\t"), ads.GOOGLE_HEADER, 3)
    days = [row for row in rows if not row["Day"].startswith("Total:")]
    assert figure(rows[-1]["Cost"]) == pytest.approx(sum(figure(row["Cost"]) for row in days))
    (path,) = ads.meta(tmp_path, SHOP, "USD")
    total, *rows = table(csv_rows(path.read_bytes(), "utf-8-sig"), ads.META_HEADER)
    column = "Amount spent (USD)"
    assert figure(total[column]) == pytest.approx(sum(figure(row[column]) for row in rows))
