"""Made markets keep their promises: same bytes, shared shocks, truth that adds up, a twin on which shortcuts fail."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rechannel.case import new_case
from rechannel.lab.kinds import KINDS, Knobs, entry_named
from rechannel.lab.specs import WorldSpec, draw_spec
from rechannel.lab.twin import make_twin, shortcuts, write_table, write_twin
from rechannel.lab.worlds import MadeWorld, make_world

pytestmark = pytest.mark.slow

SMALL = 600
KIND_NAMES = [kind.name for kind in KINDS]


def small(kind: str, seed: int = 1, **changes: object) -> WorldSpec:
    return replace(draw_spec(kind, seed), customers=SMALL, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def twin() -> MadeWorld:
    return make_twin(0, touches=0)


def same(one: MadeWorld, other: MadeWorld) -> bool:
    tables = all(one.tables[name].equals(other.tables[name]) for name in one.tables)
    paths = all(np.array_equal(one.truth.open[metric], other.truth.open[metric]) for metric in one.truth.open)
    return tables and paths


def test_touches_hold_new_customers_as_the_books_count_them() -> None:
    """First orders ever among the orders of the sampled, against new customers per order in `daily`: 4 sd."""
    world = make_world(small("plain"), touches=60_000)
    orders = world.tables["touches"].filter(pa.array(world.tables["touches"]["event"].to_numpy(False) == "order"))
    who, when = orders["customer"].to_numpy(False), orders["time"].to_numpy()
    names = np.unique(who)
    assert world.newcomers <= set(names.tolist())
    share = len(world.newcomers) / len(who)
    days = world.tables["daily"]["date"].to_numpy()
    inside = (days >= when.min().astype("datetime64[D]")) & (days <= when.max().astype("datetime64[D]"))
    new, every = (world.tables["daily"][name].to_numpy()[inside].sum() for name in ("new_customers", "orders"))
    assert abs(share - new / every) < 4 * np.sqrt(share * (1 - share) / len(who))
    assert len(names) > len(world.newcomers)
    assert (np.diff(when) >= np.timedelta64(0)).all()


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_kind_gives_lawful_books(kind: str) -> None:
    world = make_world(small(kind), touches=3000)
    daily = world.tables["daily"]
    columns = {name: daily[name].to_numpy() for name in daily.column_names if name not in ("date", "market", "channel")}
    assert all((values >= 0).all() for values in columns.values())
    assert np.issubdtype(columns["visits"].dtype, np.integer)
    assert (columns["new_customers"] <= columns["orders"]).all()
    assert (columns["orders"] <= columns["visits"]).all()
    assert daily.num_rows == world.spec.days * len(world.spec.markets) * len(world.spec.entries)
    touches = world.tables["touches"]
    assert set(touches["event"].unique().to_pylist()) <= {"visit", "order"}
    truth, fork = world.truth, (world.announced or world.on)
    before = truth.dates < np.datetime64(fork)
    for metric in truth.open:
        assert np.array_equal(truth.open[metric][before], truth.closed[metric][before])
    if truth.removed(90):
        assert sum(truth.diversion(90).values()) == pytest.approx(1)
        gained = truth.removed(90) - truth.net_loss("visits", 90)
        assert truth.removed(90) == pytest.approx(gained + truth.to_rivals(90) + truth.lost_outside(90))
    if world.spec.knobs.severity == 1:
        own = truth.channels.index(world.closed_channel)
        assert truth.closed["visits"][truth.on_index :, own].sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "demotion", "placebo", "geo_test"])
def test_the_host_keeps_its_own_record(kind: str, tmp_path: Path) -> None:
    world = make_world(small(kind, 2, announced=None))
    eve, path = world.spec.history, tmp_path / "slots.csv"
    write_table(path, world.tables["slots"])
    write_table(tmp_path / "daily.csv", world.tables["daily"])
    far = world.on + timedelta(days=365)
    created = new_case(tmp_path / "case", {"daily": tmp_path / "daily.csv", "slots": path}, today=far)
    assert {fault.severity for fault in created.faults} <= {"note"}
    rows = [row for row in world.tables["slots"].to_pylist() if row["slot"] == world.closed_channel]
    assert len(rows) == world.spec.days
    shop = world.truth.closed["visits"][:, world.truth.channels.index(world.closed_channel)]
    assert [row["clicks"] for row in rows[:eve]] == shop[:eve].tolist()
    closed = world.spec.knobs.severity == 1
    assert {row["occupant"] for row in rows[eve:]} == {"host" if closed else "shop"}
    if closed:
        assert sum(row["revenue"] for row in rows[eve:]) == 0
        assert sum(row["clicks"] for row in rows[eve:]) > 0
    assert max(world.before()["slots"]["date"].to_pylist()) == world.on - timedelta(days=1)


@pytest.mark.slow
def test_same_spec_same_bytes_and_other_seed_other_world() -> None:
    spec = small("many_outages")
    assert same(make_world(spec, touches=2000), make_world(spec, touches=2000))
    assert not same(make_world(spec), make_world(replace(spec, seed=2)))


def test_another_future_keeps_the_past() -> None:
    spec = small("plain", announced=None)
    one, other = make_world(spec), make_world(replace(spec, future=1))
    on = spec.history
    assert np.array_equal(one.truth.open["visits"][:on], other.truth.open["visits"][:on])
    assert not np.array_equal(one.truth.open["visits"][on:], other.truth.open["visits"][on:])
    assert one.before()["daily"].equals(other.before()["daily"])


def test_placebo_changes_nothing() -> None:
    truth = make_world(small("placebo")).truth
    assert truth.removed(180) == 0
    assert all(truth.net_loss(metric, 180) == 0 for metric in truth.open)
    assert truth.diversion(90) == {}


def test_closing_an_entry_nobody_uses_changes_nothing() -> None:
    spec = small("plain", announced=None)
    own = spec.closing_index
    shares = np.array(spec.shares)
    shares[own] = 0.0
    spec = replace(spec, shares=tuple(shares / shares.sum()), knobs=replace(spec.knobs, solo=0.0, twin_entry=0.0))
    truth = make_world(spec).truth
    assert truth.removed(180) == 0
    assert truth.to_rivals(180) == 0
    assert all(np.array_equal(truth.open[metric], truth.closed[metric]) for metric in truth.open)


def simple(knobs: Knobs) -> Knobs:
    """Customers who differ in nothing, know everything, have no habits and always find another way."""
    nothing = dict.fromkeys(
        ("created", "created_others", "attention", "solo", "host_loyalty", "taste", "habit", "assist", "push", "stray"),
        0.0,
    )
    calm = dict.fromkeys(("demand_noise", "demand_walk", "channel_noise", "white", "trend", "season", "weekend"), 0.0)
    return replace(knobs, **nothing, **calm, find=1.0, multihoming=1.0, spend_feedback=0.0, visits_per_day=50_000.0)


@pytest.mark.slow
def test_customers_who_differ_in_nothing_divert_by_shares() -> None:
    names = ("app", "web", "mini_program", "qq_entry", "affiliates")
    entries = tuple(replace(entry_named(name), weekdays=(1.0,) * 7) for name in names)
    shares = (0.3, 0.25, 0.2, 0.15, 0.1)
    spec = small("plain", announced=None)
    spec = replace(
        spec,
        entries=entries,
        shares=shares,
        closing="mini_program",
        happenings=(),
        knobs=simple(spec.knobs),
        customers=40_000,
        start=spec.on - timedelta(days=60),
        after_days=60,
    )
    truth = make_world(spec).truth
    got = truth.diversion(60)
    own = {name: got[name] for name in names if name != "mini_program"}
    total = sum(own.values())
    assert total > 0.9
    for name, share in zip(names, shares, strict=True):
        if name in own:
            assert own[name] / total == pytest.approx(share / 0.8, abs=0.04)


@pytest.mark.slow
def test_common_random_numbers_leave_little_noise_in_the_difference() -> None:
    spec = small("plain", 4, announced=None)
    worlds = [make_world(replace(spec, future=future)).truth for future in range(12)]
    together = np.std([truth.net_loss("visits", 30) for truth in worlds])
    horizon = slice(spec.history, spec.history + 30)
    opened = [truth.open["visits"][horizon].sum() for truth in worlds]
    closed = [truth.closed["visits"][horizon].sum() for truth in worlds]
    apart = np.std([one - other for one, other in zip(opened, closed[1:] + closed[:1], strict=True)])
    assert together < 0.25 * apart


@pytest.mark.slow
def test_retained_share_and_loss_vary_widely() -> None:
    kinds = ("plain", "loyal_users", "nothing_comes_back", "attention_competition")
    retained = [make_world(small(kind, seed)).truth.retained(90) for kind in kinds for seed in range(5)]
    assert min(retained) < 0.15
    assert max(retained) > 1
    assert sum(0.3 < share < 0.7 for share in retained) >= 3


def test_tables_before_and_after(twin: MadeWorld) -> None:
    before, after = twin.before(), twin.after(120)
    assert max(before["daily"]["date"].to_pylist()) == twin.on - timedelta(days=1)
    assert max(after["daily"]["date"].to_pylist()) == twin.on + timedelta(days=119)
    assert "closure" not in before["events"]["kind"].to_pylist()
    assert "closure" in after["events"]["kind"].to_pylist()
    known = before["events"].to_pylist()
    assert any(row["note"] == "double_11" and row["start"] > twin.on for row in known)
    assert not any(row["kind"] == "other" and row["start"] >= twin.on for row in known)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_shortcuts_fail_on_the_twin(seed: int) -> None:
    truth = make_twin(seed, touches=0).truth
    own = truth.channels.index(truth.closed_channel)
    past = truth.open["visits"][: truth.on_index]
    assert 0.1 < past[:, own].sum() / past.sum() < 0.22
    for horizon in (30, 90):
        naive, loss = shortcuts(truth, horizon), truth.net_loss("visits", horizon)
        assert abs(naive.before_after - loss) > 0.3 * abs(loss)
        assert abs(naive.last_touch - loss) > 0.3 * abs(loss)


def test_twin_events_have_the_shape_of_the_real_case(twin: MadeWorld) -> None:
    rows = twin.tables["events"].to_pylist()
    starts = {(row["kind"], row["channel"], row["note"]): row["start"] for row in rows}
    days = {kind: (start - twin.on).days for kind, start in starts.items()}
    assert days["closure", "wechat_discover", ""] == 0
    assert days["announcement", "wechat_discover", "notice"] == -18
    assert days["promo", None, "double_11"] == 9
    assert days["holiday", None, "national_day"] == 1
    assert days["other", None, "rival_promo"] == 15
    own = [row for row in rows if row["kind"] == "outage" and row["channel"] == "wechat_discover"]
    assert len(own) == 1
    assert (own[0]["end"] - own[0]["start"]).days >= 2


@pytest.mark.slow
def test_twin_files_are_the_same_bytes_twice(tmp_path: Path) -> None:
    one, other = write_twin(tmp_path / "a", 3), write_twin(tmp_path / "b", 3)
    for name in ("daily", "daily_before", "events", "touches", "rivals", "deals", "truth"):
        assert getattr(one, name).read_bytes() == getattr(other, name).read_bytes()
    truth = json.loads(one.truth.read_text(encoding="utf-8"))
    assert set(truth["horizons"]) == {"30", "90", "180"}
    assert 100_000 < one.touches.read_bytes().count(b"\n") < 400_000
