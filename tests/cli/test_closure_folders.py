"""`new` and `ask closure` on whole folders: visits alone, everything, a channel without evidence, weeks, totals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from rechannel.answers.answer import schema
from rechannel.cli.main import run

FIRST = np.datetime64("2024-01-01")
DAYS, ON = 240, "2024-08-28"  # the day after the data
HORIZONS = (30, 90, 180)
CHANNELS = {"app": 4000, "entry": 2500, "search": 1500, "web": 400}
COLUMNS = {
    "net_loss_orders": "orders",
    "net_loss_gmv": "gmv",
    "net_loss_margin": "gmv",
    "net_profit_effect": "gmv",
    "offset_conversion_uplift": "gmv",
    "net_loss_new_customers": "new_customers",
    "never_acquired": "new_customers",
    "conversion_rate_open": "orders",
    "conversion_rate_closed": "orders",
    "credited_orders": "orders",
    "credited_gmv": "gmv",
    "credited_new_customers": "new_customers",
}
"""Metrics that need a column."""
ALWAYS = ("visits_removed", "net_loss_visits", "credited_visits", "retained_own")
CONTRACT = (*ALWAYS, *COLUMNS, "net_loss_active_customers", "fee_saved", "to_rivals", "lost_outside")
Body = dict[str, Any]


@dataclass(frozen=True)
class Folder:
    """A case made by `rechannel new`, and how it is asked."""

    case: Path

    def ask(self, *options: str, channel: str = "entry", on: str = ON, horizons: tuple[int, ...] = HORIZONS) -> Body:
        """The answer as JSON, schema-checked."""
        target = self.case.parent / "answer.json"
        call = ["ask", str(self.case), "closure", "--channel", channel, "--on", on, "--json", str(target), *options]
        assert run([*call, *(part for horizon in horizons for part in ("--horizon", str(horizon)))]) == 0
        body: Body = json.loads(target.read_text(encoding="utf-8"))
        validator().validate(body)
        return body


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def daily(
    columns: tuple[str, ...] = ("visits",),
    *,
    markets: tuple[str, ...] = (),
    step: int = 1,
    rows: int = DAYS,
    names: dict[str, int] | None = None,
    outage: bool = True,
    totals: tuple[str, ...] = (),
) -> str:
    """A shop whose `search` was out for four days; half of its visits went to `app`."""
    rng = np.random.default_rng(5)
    lines = [",".join(["date", *(["market"] if markets else []), "channel", *columns, *totals])]
    for market in markets or ("",):
        levels = np.array(list((names or CHANNELS).values()), dtype=float) * step / max(len(markets), 1)
        week = np.ones(rows) if step == 7 else 1 + 0.1 * np.sin(2 * np.pi * np.arange(rows) / 7)
        rate = levels * week[:, None] * np.exp(0.02 * rng.standard_normal((rows, levels.size)))
        if outage and step == 1:
            rate[100:104, 0] += 0.5 * rate[100:104, 2]
            rate[100:104, 2] = 0
        visits = rng.poisson(rate)
        orders = rng.binomial(visits, 0.03)
        for row in range(rows):
            head = f"{FIRST + step * row}" + (f",{market}" if market else "")
            for at, name in enumerate(names or CHANNELS):
                seen, bought = visits[row, at], orders[row, at]
                cells = {"visits": seen, "orders": bought, "gmv": bought * 100, "new_customers": bought // 3, "cost": 5}
                lines.append(",".join([head, name, *(str(cells[column]) for column in columns), *("" for _ in totals)]))
            if totals:
                whole = {"orders": orders[row].sum(), "gmv": orders[row].sum() * 100}
                lines.append(",".join([head, "total", str(visits[row].sum()), *(str(whole[name]) for name in totals)]))
    return "\n".join(lines) + "\n"


EVENTS = """start,end,kind,channel,market,severity,note
2024-04-10,2024-04-13,outage,search,,1,fault
2024-06-10,2024-06-18,promo,,,,summer sale
2024-09-10,2024-09-18,promo,,,,summer sale
2024-08-20,2024-08-20,announcement,entry,,,told
"""
RIVALS = "date,market,firm,metric,value\n" + "".join(
    f"2024-0{month}-01,all,{firm},visits,{value}\n"
    for month in (6, 7)
    for firm, value in (("self", 2.5e5), ("big", 9e5), ("small", 1e5))
)
TOUCHES = "customer,time,channel,event,value\n" + "".join(
    f"u{k},2024-08-0{1 + k % 9} 10:00:00,app,{'order' if k % 5 == 0 else 'visit'},{100 if k % 5 == 0 else ''}\n"
    for k in range(40)
)
DEALS = "deal_id,host,tenant,channel,start,end,fixed_fee,verified\nD1,host,us,entry,2023-01-01,2025-12-31,365000,y\n"
EVERYTHING = ("visits", "orders", "gmv", "new_customers", "cost")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Folder]:
    def new(*options: str, margin: bool = False, **tables: str) -> Folder:
        folder = tmp_path_factory.mktemp("folder")
        call = ["new", str(folder / "case"), "--timezone", "UTC", *options]  # no public holidays: a smaller design
        for name, text in tables.items():
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
            call += [f"--{name}", str(folder / f"{name}.csv")]
        assert run(call) == 0
        if margin:
            with (folder / "case" / "case.toml").open("a", encoding="utf-8") as toml:
                toml.write('\n[margin]\nlow = 0.1\nhigh = 0.2\nsource = "finance"\n')
        return Folder(folder / "case")

    return new


@pytest.fixture(scope="module")
def visits_only(make: Callable[..., Folder]) -> Folder:
    return make("--timezone", "Asia/Shanghai", daily=daily())


@pytest.fixture(scope="module")
def whole(make: Callable[..., Folder]) -> Folder:
    tables = {"events": EVENTS, "rivals": RIVALS, "touches": TOUCHES, "deals": DEALS}
    return make(daily=daily(EVERYTHING, markets=("north", "south")), margin=True, **tables)


def rows_of(body: Body) -> dict[str, Body]:
    return {row["id"]: row for row in body["estimates"]}


def check_contract(body: Body, present: set[str], *, rivals: bool = False, others: tuple[str, ...] = ()) -> None:
    """A row for every metric and horizon: answered, or refused for the column or table that is missing."""
    horizons = body["asked"]["horizons"].split(",")
    rows = {(row["metric"], row["channel"], row["horizon_days"]): row for row in body["estimates"]}
    for horizon in (int(text) for text in horizons):
        for metric in CONTRACT:
            row = rows[metric, None, horizon]
            needed = COLUMNS.get(metric)
            if needed and needed not in present:
                assert row["refusal"]["code"] == "no_column", (metric, row["refusal"])
                assert needed in row["refusal"]["message"]["en"]
                assert row["refusal"]["would_help"]
            elif needed or metric in ALWAYS:
                if row["refusal"]:
                    assert row["refusal"]["code"] in ("no_margin", "no_fee"), (metric, row["refusal"])
            elif metric in ("to_rivals", "lost_outside"):
                assert rivals == (row["refusal"] is None)
        for name in others:
            assert rows["diversion", name, horizon]["status"] == "answered"


@pytest.mark.slow
def test_date_channel_visits_are_enough(visits_only: Folder) -> None:
    body = visits_only.ask()
    check_contract(body, set(), others=("app", "search", "web"))
    assert body["status"] == "answered"
    assert body["grade"] == "D"
    removed = rows_of(body)["visits_removed.90d"]["quantiles"]
    assert removed["0.05"] < 90 * 2500 < removed["0.95"]
    again = visits_only.ask()
    for one in (body, again):
        one["provenance"].pop("created")
    assert json.dumps(body) == json.dumps(again)


def test_a_folder_with_everything(whole: Folder) -> None:
    body = whole.ask()
    check_contract(body, set(EVERYTHING), rivals=True, others=("app", "search", "web", "big", "small"))
    rows = rows_of(body)
    assert {
        metric
        for metric in CONTRACT
        if rows[f"{metric}.last_touch.90d" if metric[:8] == "credited" else f"{metric}.90d"]["refusal"]
    } == {"net_loss_active_customers"}
    assert body["asked"]["notice"] == "8"
    assert rows["fee_saved.90d"]["mean"] == pytest.approx(90_000)
    assert body["grade"] in ("C", "D")  # its evidence is about another channel
    assert [item["label"] for item in body["evidence"] if item["kind"] == "outage"] == ["search"]
    big, small = (rows[f"diversion.{firm}.90d"]["quantiles"]["0.5"] for firm in ("big", "small"))
    assert big > small


def test_the_channel_with_evidence_is_graded_by_it(whole: Folder) -> None:
    body = whole.ask("--notice", "0", channel="search", horizons=(30,))
    rows = rows_of(body)
    assert rows["retained_own.30d"]["grade"] in ("B", "C")
    assert rows["retained_own.30d"]["contraction"] > 0.5
    assert rows["retained_own.30d"]["quantiles"]["0.05"] < 0.5 < rows["retained_own.30d"]["quantiles"]["0.95"]
    assert "notice" not in body["asked"]


def test_a_channel_without_evidence_of_any_kind(make: Callable[..., Folder]) -> None:
    folder = make(daily=daily(("visits", "orders"), outage=False))
    body = folder.ask()
    check_contract(body, {"orders"}, others=("app", "search", "web"))
    rows = rows_of(body)
    assert rows["net_loss_visits.90d"]["grade"] == "D"
    assert "no_evidence" in rows["net_loss_visits.90d"]["grade_reasons"]
    assert [item["kind"] for item in body["evidence"]] == ["prior"]
    span = rows["retained_own.90d"]["quantiles"]
    assert span["0.95"] - span["0.05"] > 0.5


def test_weeks(make: Callable[..., Folder]) -> None:
    folder = make("--cadence", "weekly", daily=daily(("visits", "orders", "gmv"), step=7, rows=80))
    body = folder.ask(on="2025-07-14")
    check_contract(body, {"orders", "gmv"}, others=("app", "search", "web"))
    removed = rows_of(body)["visits_removed.30d"]["quantiles"]
    assert removed["0.025"] < 4 * 7 * 2500 < removed["0.975"]  # four whole weeks lie in thirty days


def test_orders_known_only_for_the_whole_shop(make: Callable[..., Folder]) -> None:
    folder = make(daily=daily(("visits",), totals=("orders", "gmv")), margin=True)
    body = folder.ask()
    check_contract(body, {"orders", "gmv"}, others=("app", "search", "web"))
    rows = rows_of(body)
    for metric in ("net_loss_orders", "net_loss_gmv", "credited_orders.last_touch"):
        row = rows[f"{metric}.90d"]
        assert row["grade"] == "D"
        assert "declared_split" in row["grade_reasons"]
    split = next(item for item in body["evidence"] if item["label"] == "relative_yield")
    assert split["kind"] == "assumption"
    assert split["figures"]["low"] < 1 < split["figures"]["high"]
    credited = rows["credited_orders.last_touch.90d"]["quantiles"]
    assert credited["0.05"] < 90 * 2500 * 0.03 < credited["0.95"]
    assert credited["0.95"] / credited["0.05"] > 3  # the declared range shows


@pytest.mark.slow
def test_severity_notice_and_market(whole: Folder, visits_only: Folder) -> None:
    full, half = whole.ask(horizons=(30,)), whole.ask("--severity", "50%", horizons=(30,))
    a, b = (rows_of(body)["visits_removed.30d"]["quantiles"]["0.5"] for body in (full, half))
    assert 0.3 * a < b < 0.7 * a
    assert half["asked"]["severity"] == "0.5"
    assert rows_of(half)["fee_saved.30d"]["mean"] == 0
    assert "50%" in half["text"]["en"]
    north = whole.ask("--market", "north", horizons=(30,))
    assert north["asked"]["market"] == "north"
    assert {row["market"] for row in north["estimates"]} == {"north"}
    part = next(row for row in north["estimates"] if row["metric"] == "visits_removed")["quantiles"]["0.5"]
    assert 0.4 * a < part < 0.6 * a
    told = visits_only.ask("--notice", "30", on="2024-08-01", horizons=(30,))
    assert told["asked"]["notice"] == "30"
    nothing = visits_only.ask("--severity", "0", horizons=(30,))
    assert set(rows_of(nothing)["net_loss_visits.30d"]["quantiles"].values()) == {0.0}
    assert rows_of(nothing)["retained_own.30d"]["refusal"]["code"] == "nothing_removed"


@pytest.mark.parametrize("name", ["入口 <b>&amp;", "=cmd|' /C calc'!A0", "../../etc", "a.b.30d", "{channel}", "-x"])
def test_hostile_channel_names(make: Callable[..., Folder], name: str) -> None:
    folder = make(daily=daily(rows=60, names={"app": 500, name: 300, "web": 100}))
    target = folder.case.parent / "answer.json"
    call = ["ask", str(folder.case), "closure", f"--channel={name}", "--on", "2024-03-01", "--horizon", "30"]
    assert run([*call, "--json", str(target)]) == 0
    body = json.loads(target.read_text(encoding="utf-8"))
    validator().validate(body)
    assert body["asked"]["channel"] == name
    assert name in body["text"]["en"]
    ids = [row["id"] for row in body["estimates"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--on", ON], "--channel"),
        (["--channel", "entry"], "--on"),
        (["--channel", "entry", "--on", ON, "--severity", "1.2"], "1.2"),
        (["--channel", "entry", "--on", ON, "--severity", "-1"], "-1"),
        (["--channel", "entry", "--on", ON, "--severity", "nan"], "nan"),
        (["--channel", "entry", "--on", ON, "--severity", "all"], "all"),
        (["--channel", "entry", "--on", ON, "--notice", "-3"], "-3"),
        (["--channel", "entry", "--on", ON, "--notice", "99999999"], "99999999"),
        (["--channel", "entry", "--on", ON, "--horizon", "0"], "one day"),
        (["--channel", "entry", "--on", ON, "--market", "east"], "east"),
        (["--channel", "entri", "--on", ON], "entry"),
        (["--channel", "total", "--on", ON], "total"),
        (["--channel", "entry", "--on", "2024-01-10"], "2024-01-29"),
        (["--channel", "entry", "--on", "2026-01-10"], "2025-08-27"),
    ],
)
def test_a_call_that_cannot_be_is_an_error(
    visits_only: Folder, options: list[str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(visits_only.case), "closure", *options]) == 2
    said = capsys.readouterr()
    assert found in said.err
    assert "Traceback" not in said.err
    assert not said.out


@pytest.mark.slow
def test_the_table_on_screen_has_a_line_per_row(visits_only: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for language in ("en", "zh-Hant"):
        call = ["ask", str(visits_only.case), "closure", "--channel", "entry", "--on", ON, "--horizon", "30"]
        assert run([*call, "--lang", language]) == 0
        said = capsys.readouterr()
        assert len(said.out.splitlines()) > len(CONTRACT)
        assert "entry" in said.err
