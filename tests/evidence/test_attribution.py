"""Attribution: the incumbent's sample to its printed digits, closed forms, identities that hold for any log.

The sample (10,000 paths of ChannelAttribution 2.2.5, GPL: read from the reference folder, never shipped) is folded as a
log of touches. Heuristics and exact removal effects are printed to 4-8 digits there; the tolerances are half a printed
digit plus 1e-9. The incumbent's own Markov credit is simulated and up to 137 % off.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from math import comb
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rechannel.evidence.attribution import METHODS, attribute, removal_effects, scaled_to, shapley
from rechannel.tables.fold import fold
from rechannel.tables.journeyrules import Bootstrap, JourneyRules, Log
from rechannel.tables.journeys import JourneyTables
from rechannel.tables.touches import TouchFiles, fold_touches

REFERENCE = Path(os.environ.get("RECHANNEL_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference"))
SAMPLE = REFERENCE / "journeys"
HOUR = 3_600_000_000


def sample() -> list[tuple[list[str], int, float, int]]:
    """Paths with their conversions, value and journeys without one."""
    if not SAMPLE.is_dir():
        pytest.skip(f"no reference folder at {SAMPLE}")
    with gzip.open(SAMPLE / "channelattribution_sample_paths.csv.gz", "rt", encoding="utf-8") as file:
        return [
            (
                row["path"].split(" > "),
                int(row["total_conversions"]),
                float(row["total_conversion_value"]),
                int(row["total_null"]),
            )
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> JourneyTables:
    """The sample as a log: a customer per journey, an hour between sessions, the order a minute after the last one."""
    people, times, channels, orders, values = [], [], [], [], []
    person = 0
    for path, bought, value, lost in sample():
        nano = round(value * 1e9)
        for copy in range(bought + lost):
            count = len(path) + (copy < bought)
            people += [person] * count
            times += [HOUR * step for step in range(len(path))]
            channels += path
            orders += [False] * len(path)
            values += [None] * len(path)
            if copy < bought:
                times.append(HOUR * (len(path) - 1) + 60_000_000)
                channels.append(path[-1])
                orders.append(True)
                values.append((nano // bought + (nano % bought if copy == 0 else 0)) / 1e9)
            person += 1
    table = pa.table(
        {
            "customer": pa.array(people, pa.int64()),
            "time": pa.array(times, pa.int64()).cast(pa.timestamp("us")),
            "channel": pa.array(channels).dictionary_encode().cast(pa.string()),
            "event": pa.array(np.where(orders, "order", "visit")),
            "value": pa.array(values, pa.float64()),
        }
    )
    file = tmp_path_factory.mktemp("sample") / "touches.parquet"
    pq.write_table(table, file)
    return fold_touches(TouchFiles((file,)), JourneyRules(decimals=9, order=2))


@pytest.mark.slow
def test_the_incumbents_sample(folded: JourneyTables) -> None:
    exact = json.loads((SAMPLE / "channelattribution_sample_exact.json").read_text(encoding="utf-8"))
    printed = json.loads((SAMPLE / "channelattribution_2.2.5_output.json").read_text(encoding="utf-8"))["heuristic"]
    orders, value = attribute(folded), attribute(folded, "value")
    names = orders.channels
    assert list(names) == exact["channels"]
    assert orders.total[0] == exact["total_conversions"]
    assert folded.counts["lost"] == exact["total_null"]
    assert value.total[0] == pytest.approx(exact["total_value"], abs=1e-6)
    for method, key in (("first", "first"), ("last", "last"), ("linear", "linear")):
        mine = dict(zip(names, orders.by_method[method][0], strict=True))
        worth = dict(zip(names, value.by_method[method][0], strict=True))
        for place, name in enumerate(printed["channel_name"]):
            assert mine[name] == pytest.approx(printed[f"{key}_touch_conversions"][place], abs=0.5e-6 + 1e-9)
            assert worth[name] == pytest.approx(printed[f"{key}_touch_value"][place], abs=0.5e-6 + 1e-9)
    for method, key in (("position", "position_40_20_40"), ("shapley", "shapley_equal_split_conversions")):
        for name, credit in zip(names, orders.by_method[method][0], strict=True):
            assert credit == pytest.approx(exact[key][name], abs=0.5e-4 + 1e-9)


@pytest.mark.slow
def test_exact_removal_effects_of_the_sample(folded: JourneyTables) -> None:
    exact = json.loads((SAMPLE / "channelattribution_sample_exact.json").read_text(encoding="utf-8"))
    pairs = folded.transitions.sum(axis=0)
    size = len(folded.log.channels)
    singles = np.zeros((size + 1, size + 2))
    singles[:size] = pairs.sum(axis=0)
    singles[size, :size] = pairs[size].sum(axis=1)
    found = removal_effects(singles[None])
    assert found.p_conversion[0] == pytest.approx(exact["p_conversion"], abs=1e-12)
    credit = scaled_to(found.effects, np.array([exact["total_conversions"]]))
    second = removal_effects(pairs[None].astype(float))
    chains = {memory: walks(sample(), memory) for memory in (1, 2)}
    whole = {memory: chance(chain, None) for memory, chain in chains.items()}
    for place, name in enumerate(exact["channels"]):
        assert found.effects[0, place] == pytest.approx(exact["removal_effect_order1"][name], abs=0.5e-8 + 1e-9)
        assert credit[0, place] == pytest.approx(exact["markov_order1_conversions"][name], abs=0.5e-4 + 1e-9)
        assert found.effects[0, place] == pytest.approx(1 - chance(chains[1], name) / whole[1], abs=1e-9)
        assert second.effects[0, place] == pytest.approx(1 - chance(chains[2], name) / whole[2], abs=1e-9)
    simulated = json.loads((SAMPLE / "channelattribution_2.2.5_output.json").read_text(encoding="utf-8"))["order2"][
        "RE"
    ]
    for place, name in enumerate(exact["channels"]):
        if simulated[name] > 0.1:  # its stop rule allows 5 %
            assert second.effects[0, place] == pytest.approx(simulated[name], rel=0.05)


Walks = dict[tuple[str, ...], Counter[tuple[str, ...]]]


def walks(paths: list[tuple[list[str], int, float, int]], memory: int) -> Walks:
    """State -> next state -> weight; states are the last channels seen."""
    found: Walks = {}
    for path, bought, _, lost in paths:
        states = [("start",), *(tuple(path[max(0, k + 1 - memory) : k + 1]) for k in range(len(path)))]
        if memory == 2:
            states[1] = ("start", path[0])
        for one, other in pairwise(states):
            found.setdefault(one, Counter())[other] += bought + lost
        ends = found.setdefault(states[-1], Counter())
        ends["order",] += bought
        ends["none",] += lost
    return found


def chance(steps: Walks, cut: str | None) -> float:
    """Chance of an order, without the states of a channel, by walking until nothing is left on the way: no algebra."""
    out = {state: [(to, count / sum(ways.values())) for to, count in ways.items()] for state, ways in steps.items()}
    here, total = {("start",): 1.0}, 0.0
    while sum(here.values()) > 1e-12:
        after: dict[tuple[str, ...], float] = {}
        for state, mass in here.items():
            for to, share in out[state]:
                if to == ("order",):
                    total += mass * share
                elif to != ("none",) and to[-1] != cut:
                    after[to] = after.get(to, 0.0) + mass * share
        here = after
    return total


def test_shapley_is_the_definition() -> None:
    """Against the average over all orders of arrival, by the subset-sum transform of v."""
    rng = np.random.default_rng(4)
    size = 6
    masks = rng.integers(1, 1 << size, 40)
    amount = rng.random(40)
    v = np.zeros(1 << size)
    np.add.at(v, masks, amount)
    for bit in range(size):
        for mask in range(1 << size):
            if mask >> bit & 1:
                v[mask] += v[mask ^ (1 << bit)]
    weight = [1 / (size * comb(size - 1, k)) for k in range(size)]
    for channel in range(size):
        wanted = sum(
            weight[bin(mask).count("1")] * (v[mask | 1 << channel] - v[mask])
            for mask in range(1 << size)
            if not mask >> channel & 1
        )
        members = (masks[:, None] >> np.arange(size)) & 1 == 1
        assert shapley(members, amount)[channel] == pytest.approx(wanted, abs=1e-12)


def test_twenty_channels_are_exact_too() -> None:
    """v over all 2^20 subsets, transformed and read out for one channel."""
    rng = np.random.default_rng(5)
    masks = rng.integers(1, 1 << 20, 300)
    amount = rng.integers(1, 9, 300).astype(float)
    v = np.zeros(1 << 20)
    np.add.at(v, masks, amount)
    for bit in range(20):
        halves = v.reshape(-1, 2, 1 << bit)
        halves[:, 1] += halves[:, 0]
    halves = v.reshape(-1, 2, 1 << 7)
    gains = (halves[:, 1] - halves[:, 0]).reshape(-1)
    rest = np.arange(1 << 19)
    sizes = np.zeros(1 << 19, int)
    for bit in range(19):
        sizes += rest >> bit & 1
    weight = np.array([1 / (20 * comb(19, k)) for k in range(20)])
    members = (masks[:, None] >> np.arange(20)) & 1 == 1
    assert shapley(members, amount)[7] == pytest.approx(float((weight[sizes] * gains).sum()), abs=1e-9)


def test_a_small_chain_by_hand() -> None:
    """a > b bought, a lost, b bought: P = 2/3. Without a only b > order is left (1/3); without b nothing converts."""
    transitions = np.zeros((1, 3, 4))
    transitions[0, 2, :2] = 2, 1
    transitions[0, 0, 1], transitions[0, 0, 3] = 1, 1
    transitions[0, 1, 2] = 2
    found = removal_effects(transitions)
    assert found.p_conversion[0] == pytest.approx(2 / 3)
    assert found.effects[0] == pytest.approx([0.5, 1.0])
    nothing = removal_effects(np.zeros((1, 3, 4)))
    assert np.isnan(nothing.p_conversion[0])
    assert np.isnan(nothing.effects).all()
    assert not scaled_to(nothing.effects, np.zeros(1)).any()


def made_log(path: Path, customers: int = 2000, seed: int = 1) -> TouchFiles:
    """Visits with a home channel each, and orders after some of them."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(3, customers) + 1
    person = np.repeat(np.arange(customers), visits)
    time = (rng.random(len(person)) * 80 * 24 * HOUR).astype(np.int64)
    channel = np.where(rng.random(len(person)) < 0.5, person % 5, rng.integers(0, 5, len(person)))
    ordered = rng.random(len(person)) < 0.15
    table = pa.table(
        {
            "customer": pa.array([f"{number:08x}" for number in np.concatenate([person, person[ordered]])]),
            "time": pa.array(np.concatenate([time, time[ordered] + 600_000_000])).cast(pa.timestamp("us")),
            "channel": pa.array([f"c{k}" for k in np.concatenate([channel, channel[ordered]])]),
            "event": pa.array(["visit"] * len(person) + ["order"] * int(ordered.sum())),
            "value": pa.array(np.concatenate([np.full(len(person), np.nan), rng.gamma(2, 50, int(ordered.sum()))])),
        }
    )
    plain = table.set_column(4, "value", pa.array(table["value"].to_pylist(), pa.float64(), from_pandas=True))
    pq.write_table(plain, path)
    return TouchFiles((path,))


def test_credit_sums_to_attributed_orders_in_every_draw(tmp_path: Path) -> None:
    tables = fold_touches(made_log(tmp_path / "t.parquet"), None, Bootstrap(50, 1, ("orders", "value", "new")))
    for kind in ("orders", "value", "new"):
        credit = attribute(tables, kind)
        if kind == "orders":
            assert credit.total[0] == tables.counts["attributed"]
        for method in METHODS:
            assert np.allclose(credit.by_method[method].sum(axis=1), credit.total, rtol=1e-6), method
            assert np.allclose(credit.by_method[method].mean(axis=0), credit.by_method[method][0], rtol=0.05)
    assert np.allclose(attribute(tables).shares("linear").sum(axis=1), 1)
    assert np.all(attribute(tables).removal.effects <= 1)


@pytest.mark.slow
def test_intervals_hold_what_fresh_customers_show(tmp_path: Path) -> None:
    """60 logs of one shop: the 90 % interval of each holds the mean over all logs about nine times in ten."""
    found = [
        attribute(fold_touches(made_log(tmp_path / "t.parquet", 300, seed), None, Bootstrap(200, 7)))
        for seed in range(60)
    ]
    held = []
    for method in METHODS:
        truth = np.mean([credit.by_method[method][0] for credit in found], axis=0)
        for credit in found:
            low, high = np.quantile(credit.by_method[method][1:], (0.05, 0.95), axis=0)
            held.append((low <= truth) & (truth <= high))
    share = np.array(held).mean()
    assert 0.85 < share < 0.94, share  # 60 logs x 5 channels, methods move together: sd about 0.015


def test_periods_and_labels(tmp_path: Path) -> None:
    log = made_log(tmp_path / "t.parquet", 500)
    rules = JourneyRules(breaks=(datetime(1970, 2, 1, tzinfo=UTC), datetime(1970, 3, 1, tzinfo=UTC)))
    split, whole = fold_touches(log, rules), fold_touches(log)
    parts = [attribute(split, period=k) for k in range(3)]
    assert np.allclose(sum(part.by_method["shapley"] for part in parts), attribute(whole).by_method["shapley"])
    assert all(part.total[0] > 0 for part in parts)
    assert np.allclose(attribute(split).by_method["markov"], attribute(whole).by_method["markov"])


def test_a_kind_that_was_not_weighed_is_no_answer(tmp_path: Path) -> None:
    tables = fold_touches(made_log(tmp_path / "t.parquet", 20), None, Bootstrap(5))
    with pytest.raises(ValueError, match="value"):
        attribute(tables, "value")


def test_an_empty_fold_has_no_credit() -> None:
    nothing = fold([], Log(("a", "b"), 0, 1), JourneyRules())
    credit = attribute(nothing)
    assert credit.total[0] == 0
    assert not credit.by_method["linear"].any()
    assert np.isnan(credit.removal.effects).all()


@pytest.mark.slow
def test_sessions_of_a_public_shop(tmp_path: Path) -> None:
    """UCI 468 (CC BY 4.0): 12,330 sessions, 1,908 of them bought; counts per traffic type as published."""
    file = SAMPLE / "uci468_online_shoppers.csv.gz"
    if not file.exists():
        pytest.skip(f"no {file}")
    with gzip.open(file, "rt", encoding="utf-8") as text:
        rows = list(csv.DictReader(text, delimiter=";"))
    touches = []
    for number, row in enumerate(rows):
        touches.append((f"s{number}", HOUR * number, f"type {row['TrafficType']}", "visit"))
        if row["Revenue"] == "TRUE":
            touches.append((f"s{number}", HOUR * number + 1, f"type {row['TrafficType']}", "order"))
    who, time, channel, event = zip(*touches, strict=True)
    times = pa.array(time, pa.int64()).cast(pa.timestamp("us"))
    table = pa.table({"customer": who, "time": times, "channel": channel, "event": event})
    pq.write_table(table, tmp_path / "t.parquet")
    tables = fold_touches(TouchFiles((tmp_path / "t.parquet",)))
    credit = attribute(tables)
    assert (tables.counts["sessions"], tables.counts["attributed"], tables.counts["lost"]) == (12_330, 1_908, 10_422)
    published = {"type 2": (3913, 847), "type 1": (2451, 262), "type 3": (2052, 180), "type 13": (738, 43)}
    for name, (sessions, buys) in published.items():
        place = credit.channels.index(name)
        assert tables.alone[0, place] == sessions
        for method in METHODS[:-1]:
            assert credit.by_method[method][0, place] == pytest.approx(buys, abs=1e-6)
    assert credit.removal.p_conversion[0] == pytest.approx(1908 / 12_330)
