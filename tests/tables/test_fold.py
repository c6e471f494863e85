"""The pass against plain Python on messy logs: identical integers, in any row order, under any sharding."""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime
from functools import reduce
from operator import add
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journey_reference import Reference, reference
from messy_log import BEGIN, CHANNELS, as_table, by_name, messy_log, order_one, same, write_log

from rechannel.tables import touches as reading
from rechannel.tables.journeyrules import (
    DAY,
    DECAY_UNIT,
    HEURISTICS,
    MOST_CHANNELS,
    REPLICATE_TABLES,
    Bootstrap,
    JourneyRules,
    Shard,
)
from rechannel.tables.journeys import JourneyTables
from rechannel.tables.replicates import LARGEST_WEIGHT, Weigher
from rechannel.tables.touches import TouchFiles, fold_touches
from rechannel.vocabulary.errors import CallError, CaseError

BREAKS = (datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
RULES = JourneyRules(order=2, breaks=BREAKS)
EVERYTHING = Bootstrap(24, 5, ("orders", "value", "new"), REPLICATE_TABLES)


def folded(tables: JourneyTables, wanted: Reference) -> None:
    same(by_name(tables), wanted)
    assert tables.distinct_paths == len(wanted.paths)


@pytest.mark.parametrize("seed", range(6))
def test_the_pass_agrees_with_plain_python(tmp_path: Path, seed: int) -> None:
    rows = messy_log(seed)
    path = TouchFiles((write_log(rows, tmp_path / "t.parquet"),))
    wanted = reference(rows, RULES)
    folded(fold_touches(path, RULES), wanted)
    short = fold_touches(path, JourneyRules(breaks=BREAKS))
    sums = order_one(short.layout, wanted, short.log.channels)
    assert {tuple(at): int(short.transitions[tuple(at)]) for at in np.argwhere(short.transitions)} == sums


def test_other_settings_and_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = messy_log(41, 200)
    path = TouchFiles((write_log(rows, tmp_path / "t.parquet"),))
    rules = JourneyRules(gap_minutes=0, lookback_days=3, half_life_days=0.5, order=2, age_days=7, decimals=0)
    wanted = reference(rows, rules)
    folded(fold_touches(path, rules), wanted)
    monkeypatch.setattr("rechannel.tables.sessions.PAIRS_AT_ONCE", 3)
    monkeypatch.setattr("rechannel.tables.overlaps.CUSTOMERS_AT_ONCE", 2)
    folded(fold_touches(path, rules), wanted)


@pytest.mark.parametrize("shards", [1, 7, pytest.param(64, marks=pytest.mark.slow)])
def test_shards_and_files_add_up_replicates_included(tmp_path: Path, shards: int) -> None:
    rows = messy_log(7, 150)
    whole = TouchFiles((write_log(rows, tmp_path / "t.parquet"),))
    halves = tuple(write_log(part, tmp_path / f"{k}.parquet") for k, part in enumerate((rows[:90], rows[90:])))
    at_once = fold_touches(whole, RULES, EVERYTHING)
    parts = [fold_touches(TouchFiles(halves), RULES, EVERYTHING, shard=Shard(k, shards)) for k in range(shards)]
    together = reduce(add, parts)
    folded(together, reference(rows, RULES))
    for name in REPLICATE_TABLES:
        assert np.array_equal(together.replicates.table(name), at_once.replicates.table(name)), name
    assert np.array_equal(together.path_keys, at_once.path_keys)


@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0, 120), st.floats(0.5, 60))
@settings(max_examples=15, deadline=None)
def test_any_log_any_rules(seed: int, customers: int, gap: float, lookback: float) -> None:
    rows = messy_log(seed, customers)
    rules = JourneyRules(gap_minutes=gap, lookback_days=lookback, order=2)
    with_rows = memory_fold(rows, rules)
    folded(with_rows, reference(rows, rules))


def memory_fold(rows: list[tuple[str, int, str, str, float | None]], rules: JourneyRules) -> JourneyTables:
    with tempfile.TemporaryDirectory() as folder:
        return fold_touches(TouchFiles((write_log(rows, Path(folder) / "t.parquet"),)), rules)


def test_replicates_weigh_whole_customers(tmp_path: Path) -> None:
    """A replicate is the fold of a log in which customer i stands w_i times; checked with w_i from the weigher."""
    rows = messy_log(3, 60)
    tables = fold_touches(TouchFiles((write_log(rows, tmp_path / "t.parquet"),)), RULES, EVERYTHING)
    people = sorted({row[0] for row in rows})
    listed = ", ".join(f"('{who}')" for who in people)
    hashed = duckdb.sql(f"SELECT who, hash(who) FROM (VALUES {listed}) AS t(who) ORDER BY who").fetchall()
    weights = Weigher(EVERYTHING.seed, EVERYTHING.replicates).weights(np.array([row[1] for row in hashed], np.uint64))
    for replicate in (0, 11, 23):
        copies = {who: int(weights[place, replicate]) for place, who in enumerate(people)}
        drawn = [(f"{row[0]}#{copy}", *row[1:]) for row in rows for copy in range(copies[row[0]])]
        log = tables.log
        wanted = reference(drawn, RULES, (log.first, log.last))
        code = {name: index for index, name in enumerate(log.channels)}
        alone = tables.replicates.table("alone")[replicate]
        for place, part in enumerate(("sessions", "solo_sessions", "early_sessions", "new_sessions")):
            assert [int(alone[place, code[name]]) for name in log.channels] == [
                wanted.alone[part, name] for name in log.channels
            ]
        shared = tables.replicates.table("overlap")[replicate]
        for one in log.channels:
            for other in log.channels:
                assert shared[code[one], code[other]] == wanted.overlap["shared", one, other]
        credit = tables.replicates.table("credit")[replicate]
        decay = HEURISTICS.index("time_decay")
        first = HEURISTICS.index("first")
        for (period, name, _), cell in list(wanted.lengths.items()):
            assert cell[3] >= 0
            assert credit[0, first, period, code[name]] == DECAY_UNIT * sum(
                row[1] for key, row in wanted.lengths.items() if key[:2] == (period, name)
            )
            assert credit[0, decay, period, code[name]] == sum(
                row[3] for key, row in wanted.lengths.items() if key[:2] == (period, name)
            )
        moves = tables.replicates.table("transitions")[replicate]
        assert int(moves.sum()) == sum(wanted.transitions.values())
        kept = tables.replicates.table("retention")[replicate]
        assert int(kept[0].sum()) == sum(n for key, n in wanted.retention.items() if key[0] == "observed")
        assert int(kept[1].sum()) == sum(n for key, n in wanted.retention.items() if key[0] == "active")


def test_weights_are_poisson_and_independent() -> None:
    keys = np.random.default_rng(1).integers(0, 2**63, 40_000, dtype=np.int64).astype(np.uint64)
    weights = Weigher(9, 50).weights(keys).astype(np.float64)
    cells = [np.exp(-1), np.exp(-1), np.exp(-1) / 2, np.exp(-1) / 6]
    for count, chance in enumerate(cells):
        found = (weights == count).mean()
        assert abs(found - chance) < 5 * np.sqrt(chance * (1 - chance) / weights.size)
    assert weights.max() <= LARGEST_WEIGHT
    between = np.corrcoef(weights, rowvar=False) - np.eye(50)
    assert np.abs(between).max() < 5 / np.sqrt(len(keys))
    assert np.array_equal(Weigher(9, 50).weights(keys[5:6])[0], weights[5])
    assert np.array_equal(Weigher(9, 80).weights(keys[:9])[:, :50], weights[:9])
    assert not np.array_equal(Weigher(10, 50).weights(keys[:9]), weights[:9])
    assert Weigher(-1, 3).weights(keys[:2]).shape == (2, 3)


def test_the_engine_hashes_as_ever() -> None:
    """The weights, and with them every interval, rest on this function: a change of it is a change of figures."""
    found = duckdb.sql("SELECT hash('00ff00ff00ff00ff00ff00ff00ff00ff'), hash('abc')").fetchall()
    assert found == [(8502245015888896494, 1924864467101078684)]


def test_a_broken_order_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_log(messy_log(1, 300), tmp_path / "t.parquet")
    whole = reading._batches
    monkeypatch.setattr(reading, "_batches", lambda connection, query: reversed(list(whole(connection, query))))
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 2048)
    rows = messy_log(1, 2000)
    path = write_log(rows, tmp_path / "t.parquet")
    with pytest.raises(Exception, match="RC001"):
        fold_touches(TouchFiles((path,)))


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    def code(table: object) -> str:
        pq.write_table(table, tmp_path / "t.parquet")
        with pytest.raises(CallError) as caught:
            fold_touches(TouchFiles((tmp_path / "t.parquet",)))
        assert caught.value.message("zh-Hans")
        return caught.value.code

    fine = ("u", BEGIN, "app", "visit", None)
    assert code(as_table([fine]).slice(0, 0)) == "RC360"
    for odd in (
        (None, BEGIN, "app", "visit", None),
        ("u", None, "app", "visit", None),
        ("u", BEGIN, None, "visit", None),
        ("u", BEGIN, "app", "click", None),
        ("u", BEGIN, "app", None, None),
        ("u", BEGIN, "app", "order", float("nan")),
        ("u", BEGIN, "app", "order", float("inf")),
        ("u", BEGIN, "app", "order", 1e14),
    ):
        assert code(as_table([fine, odd])) == "RC359", odd  # type: ignore[list-item]
    for lacking in ("customer", "time", "channel", "event"):
        pq.write_table(as_table([fine]).drop_columns([lacking]), tmp_path / "t.parquet")
        with pytest.raises(CaseError, match="RC207"):
            fold_touches(TouchFiles((tmp_path / "t.parquet",)))
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CaseError, match="RC207"):
        fold_touches(TouchFiles((tmp_path / "t.parquet",)))
    many = [("u", BEGIN + k, f"c{k}", "visit", None) for k in range(MOST_CHANNELS + 1)]
    assert code(as_table(many)) == "RC357"  # type: ignore[arg-type]
    for wrong in ({"gap_minutes": -1.0}, {"order": 3}, {"first_share": 0.8, "last_share": 0.4}, {"lookback_days": 0.0}):
        with pytest.raises(CallError, match="RC355"):
            JourneyRules(**wrong)  # type: ignore[arg-type]
    with pytest.raises(CallError, match="RC356"):
        JourneyRules(breaks=BREAKS[::-1])


def test_the_smallest_logs() -> None:
    one = memory_fold([("u", BEGIN, "app", "visit", None)], JourneyRules())
    assert (one.counts["sessions"], one.counts["lost"], one.counts["attributed"], one.distinct_paths) == (1, 1, 0, 0)
    order = memory_fold([("u", BEGIN, "app", "order", 5.0)], JourneyRules())
    assert (order.counts["orders"], order.counts["attributed"], order.counts["lost"]) == (1, 0, 0)
    same_time = memory_fold([("u", BEGIN, "b", "order", 5.0), ("u", BEGIN, "a", "visit", None)], JourneyRules())
    assert (same_time.counts["attributed"], same_time.distinct_paths) == (1, 1)


@pytest.mark.slow
def test_spilling_changes_nothing(tmp_path: Path) -> None:
    rng = random.Random(2)
    rows = [
        (f"{rng.randrange(40_000):032x}", BEGIN + rng.randrange(90 * DAY), rng.choice(CHANNELS), "visit", None)
        for _ in range(300_000)
    ]
    path = TouchFiles((write_log(rows, tmp_path / "t.parquet"),))  # type: ignore[arg-type]
    small, large = fold_touches(path, memory_mb=60), fold_touches(path)
    assert small.counts == large.counts
    assert np.array_equal(small.transitions, large.transitions)
    assert np.array_equal(small.overlap, large.overlap)
