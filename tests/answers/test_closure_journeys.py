"""Closure of a case with touches: what they tell, what they may not tell, and what happens without them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from closure_shops import FIRST, made_shop

from rechannel.answers.answer import Answer, Check, dumps
from rechannel.answers.ties import FEWEST_DAYS, REACH_DAYS, TiesBefore
from rechannel.case import Case, new_case, open_case
from rechannel.evidence.ties import FEWEST_CUSTOMERS
from rechannel.source.addition import add_to_case
from rechannel.source.config import EngineSource
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.wording import LANGUAGES, text

ODD = ("c\"h'0", "ch1", "ch2); --", "小程序<b>")
DAYS = 200
ON = FIRST + timedelta(days=DAYS)
TODAY = ON + timedelta(days=400)


def daily(panel: Panel, names: tuple[str, ...]) -> pa.Table:
    days, _, channels = panel.values["visits"].shape
    columns: dict[str, pa.Array] = {
        "date": pa.array(np.repeat(panel.dates, channels)),
        "channel": pa.array(list(names) * days),
    }
    for metric in ("visits", "orders", "gmv", "new_customers"):
        columns[metric] = pa.array(panel.values[metric].ravel())
    return pa.table(columns)


def touches(seed: int, first: date, days: int, names: tuple[str, ...], customers: int = 600) -> pa.Table:
    """Customers of the second channel also use the third, never the first; the others use the first and the fourth."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(customers), 12)
    habit = np.where(who % 2 == 0, rng.choice([1, 1, 2], who.size), rng.choice([0, 3, 3], who.size))
    at = np.datetime64(first, "s") + rng.integers(0, days * 86_400, who.size).astype("timedelta64[s]")
    at[0] = np.datetime64(first, "s")
    at[-1] = np.datetime64(first, "s") + np.timedelta64(days * 86_400 - 1, "s")
    return pa.table(
        {
            "customer": [f"u{seed}-{number}" for number in who],
            "time": pa.array(at),
            "channel": [names[place] for place in habit],
            "event": ["visit"] * who.size,
            "value": pa.array([None] * who.size, pa.float64()),
        }
    )


def made_case(
    folder: Path,
    log: pa.Table | None,
    names: tuple[str, ...] = ("ch0", "ch1", "ch2", "ch3"),
    channels: tuple[Channel, ...] = (),
) -> Case:
    folder.mkdir(parents=True)
    tables = {"daily": daily(made_shop(5, DAYS).panel, names)}
    if log is not None:
        tables["touches"] = log
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    files = {name: folder / f"{name}.parquet" for name in tables}
    new_case(folder / "case", files, today=TODAY, channels=channels)  # type: ignore[arg-type]
    return open_case(folder / "case")


def numbers_of(answer: Answer) -> str:
    """The answer but what names its data and its moment."""
    whole = json.loads(dumps(answer))
    del whole["provenance"]
    return json.dumps(whole, ensure_ascii=False)


def medians(answer: Answer, names: tuple[str, ...]) -> dict[str, float]:
    rows = {name: answer.find("diversion", horizon=30, channel=name).value for name in names if name != names[1]}
    return {name: value.quantiles.median for name, value in rows.items()}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return made_case(tmp_path_factory.mktemp("plain") / "shop", None).closure("ch1", ON, (30,))


@pytest.mark.slow
def test_touches_after_the_day_change_nothing(tmp_path: Path) -> None:
    """The same bytes with and without the touches from the day on; from the announcement on when there was one."""
    names = ("ch0", "ch1", "ch2", "ch3")
    case = made_case(tmp_path / "shop", touches(1, ON - timedelta(days=150), 150, names))
    before = case.closure("ch1", ON, (30,))
    told = case.closure("ch1", ON + timedelta(days=9), (30,), notice=9)
    later = tmp_path / "later.parquet"
    pq.write_table(touches(2, ON, 60, names[::-1], 2000), later)
    add_to_case(case.folder, "touches", later, today=TODAY)
    again = open_case(case.folder.folder)
    assert again.folder.data_sha256 != before.provenance.data_sha256
    assert numbers_of(again.closure("ch1", ON, (30,))) == numbers_of(before)
    assert numbers_of(again.closure("ch1", ON + timedelta(days=9), (30,), notice=9)) == numbers_of(told)
    assert numbers_of(again.closure("ch1", ON + timedelta(days=9), (30,))) != numbers_of(told)


@pytest.mark.parametrize("names", [("ch0", "ch1", "ch2", "ch3"), ODD])
def test_customers_lead_the_way(tmp_path: Path, plain: Answer, names: tuple[str, ...]) -> None:
    """The channel that customers of the second also use takes more than by its size, those they never met less."""
    case = made_case(tmp_path / "shop", touches(1, ON - timedelta(days=150), 150, names), names)
    answer = case.closure("ch1", ON, (30,))
    usual = dict(zip((names[0], *names[2:]), medians(plain, ("ch0", "ch1", "ch2", "ch3")).values(), strict=True))
    found = medians(answer, names)
    assert found[names[2]] > 1.2 * usual[names[2]]
    assert found[names[0]] < usual[names[0]]
    assert found[names[3]] < usual[names[3]]
    evidence = {item.label: item for item in answer.evidence if item.kind == "overlap"}
    assert set(evidence) == {names[0], names[2], names[3]}
    # about 8 sessions through the second and 4 through the third: (4 + 1/4) / (4 + 1) of what they do elsewhere
    assert evidence[names[2]].figures["used_beside"] == pytest.approx(0.81, abs=0.05)
    check = next(check for check in answer.checks if check.key == "journeys")
    assert check.passed
    assert check.figures["customers"] == 300
    assert answer.shared is not None
    assert answer.shared.last == ON - timedelta(days=1)


@pytest.mark.slow
def test_beside_stated_hosts_only_solo_and_new_are_used(tmp_path: Path) -> None:
    """What customers use beside the channel is shown and not used; the answer says so."""
    names = ("ch0", "ch1", "ch2", "ch3")
    hosts = (Channel("ch1", host="platform"), Channel("ch3", host="platform"))
    log = touches(1, ON - timedelta(days=150), 150, names)
    found, usual = (
        made_case(tmp_path / str(k), one, names, hosts).closure("ch1", ON, (30,)) for k, one in enumerate((log, None))
    )
    assert medians(found, names) == pytest.approx(medians(usual, names), abs=0.03)  # draws of their own
    assert found.checks[-1].key == "journeys_beside_hosts"
    assert found.checks[-1].passed
    assert [item.kind for item in found.evidence if item.kind in ("journeys", "overlap")] == ["journeys"]
    assert found.shared is not None
    assert not found.shared.is_used
    assert set(found.shared.others) == {"ch0", "ch2", "ch3"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("log", "key"),
    [
        (touches(1, ON - timedelta(days=150 + REACH_DAYS), 150, ("ch0", "ch1", "ch2", "ch3")), "journeys_far"),
        (touches(1, ON + timedelta(days=1), 60, ("ch0", "ch1", "ch2", "ch3")), "journeys_far"),
        (touches(1, ON - timedelta(days=20), FEWEST_DAYS - 8, ("ch0", "ch1", "ch2", "ch3")), "journeys_short"),
        (touches(1, ON - timedelta(days=150), 150, ("p", "q", "r", "s")), "journeys_few"),
        (
            touches(1, ON - timedelta(days=150), 150, ("ch0", "ch1", "ch2", "ch3"), 2 * FEWEST_CUSTOMERS - 2),
            "journeys_few",
        ),
        (touches(1, ON - timedelta(days=150), 150, ("ch0", "renamed", "ch2", "ch3")), "journeys_few_of"),
    ],
)
def test_touches_that_tell_nothing_of_the_channel_are_named(
    tmp_path: Path, plain: Answer, log: pa.Table, key: str
) -> None:
    answer = made_case(tmp_path / "shop", log).closure("ch1", ON, (30,))
    check = answer.checks[-1]
    assert (check.key, check.passed) == (key, False)
    for language in LANGUAGES:
        assert "{" not in text(f"check.{key}", language, **{name: str(part) for name, part in check.figures.items()})
    assert not [item for item in answer.evidence if item.kind in ("journeys", "overlap")]
    assert answer.shared is None
    if key != "journeys_few_of":  # there the customers of other channels still teach the factors
        kept = [row.to_json() for row in answer.estimates]
        assert kept == [row.to_json() for row in plain.estimates]
        assert answer.checks[:-1] == plain.checks


def test_an_engine_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """The closure is answered from shares, and the code of the failure stands in the check."""
    case = made_case(tmp_path / "shop", None)
    case.folder.config = replace(case.folder.config, engine=EngineSource("clickhouse", "http://127.0.0.1:9", "touches"))
    found = TiesBefore(case.folder, 1).before(ON, case.panel.channels)
    assert isinstance(found, Check)
    assert (found.key, found.passed) == ("journeys_unread", False)
    assert found.figures["code"] in ("RC361", "RC362")
