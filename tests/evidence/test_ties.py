"""Ties against a log whose customers are known one by one; names, gaps and thin channels."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rechannel.evidence.overlap import ALPHA, overlap_of
from rechannel.evidence.ties import FEWEST_CUSTOMERS, LIFT_SD, Ties, ties_of
from rechannel.tables.journeyrules import DAY, Bootstrap, Days
from rechannel.tables.touches import TouchFiles, fold_touches

BEGIN = date(2024, 1, 1)
ASKED = Bootstrap(200, 3, of=("alone", "overlap"))
HOSTILE = ('it\'s "odd"', "'); DROP TABLE touches; --", "<script>", "小程序 \u202e")
Group = tuple[int, dict[str, int]]
"""How many customers, and how many sessions each of them has through every channel."""


def write(groups: list[Group], folder: Path, days: int = 100) -> TouchFiles:
    """One session a day per customer, spread over the log."""
    who: list[str] = []
    channels: list[str] = []
    at: list[int] = []
    start = int(np.datetime64(BEGIN, "us").astype(np.int64))
    number = 0
    for count, sessions in groups:
        for _ in range(count):
            visits = [name for name, times in sessions.items() for _ in range(times)]
            for place, name in enumerate(visits):
                who.append(f"u{number}")
                channels.append(name)
                at.append(start + round((place + 0.5) * days / len(visits)) * DAY)
            number += 1
    columns = {
        "customer": who,
        "time": pa.array(at, pa.int64()).cast(pa.timestamp("us")),
        "channel": channels,
        "event": ["visit"] * len(who),
        "value": pa.array([None] * len(who), pa.float64()),
    }
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return TouchFiles((folder / "t.parquet",))


def read(groups: list[Group], folder: Path, channels: tuple[str, ...]) -> Ties:
    return ties_of(fold_touches(write(groups, folder), None, ASKED), channels)


def test_lifts_are_their_formula(tmp_path: Path) -> None:
    """Half of the customers of a use b as often, a quarter c, a quarter nothing else; d has customers of its own."""
    groups: list[Group] = [(400, {"a": 2, "b": 2}), (200, {"a": 2, "c": 2}), (200, {"a": 2}), (800, {"d": 2})]
    found = read(groups, tmp_path, ("a", "b", "c", "d"))
    total = {"a": 1600, "b": 800, "c": 400, "d": 1600}
    share = {name: count / sum(total.values()) for name, count in total.items()}
    smooth = {name: ALPHA * part / (1 - share["a"]) for name, part in share.items()}
    used = {"b": (400, 200), "c": (200, 200), "d": (0, 200)}  # customers with the channel beside a; with nothing beside
    for to, (both, alone) in used.items():
        rest = 600 - both
        wanted = (both * (2 + smooth[to]) / 3 + rest * smooth[to] / 3 + alone * smooth[to]) / 800
        quantiles = found.ways["a"].others[to]
        assert quantiles.median == pytest.approx(wanted, rel=0.05)
        lift = np.log(wanted) - np.log(share[to] / (1 - share["a"]))
        pulled = found.lifts[0, "abcd".index(to)]
        assert np.sign(pulled) == np.sign(lift)
        assert 0.9 * abs(lift) < abs(pulled) < abs(lift)  # 800 customers: little noise, a lift pulled in a little
    assert found.lifts.diagonal().tolist() == [0.0] * 4
    mean_solo = (400 + 1600) / 4400
    assert found.solo == pytest.approx([0.25 - mean_solo, -mean_solo, -mean_solo, 1 - mean_solo])
    assert found.ways["a"].customers == 800
    assert (found.first, found.last) == (date(2024, 1, 13), date(2024, 3, 29))


@pytest.mark.parametrize("times", [3, 20])
def test_noise_pulls_lifts_towards_nothing(tmp_path: Path, times: int) -> None:
    """By the variance of the log lift over the replicates, customer by customer."""
    habits = ((30, {"a": 3, "b": 1}), (6, {"a": 3, "c": 1}), (40, {"b": 2, "c": 2}))
    tables = fold_touches(write([(times * count, habit) for count, habit in habits], tmp_path), None, ASKED)
    shares = overlap_of(tables).shares[:, 0, 2]
    sessions = np.concatenate([tables.alone[None, 0], tables.replicates.table("alone")[:, 0]])
    usual = sessions[:, 2] / (sessions.sum(axis=1) - sessions[:, 0])
    lift = np.log(shares / usual)
    wanted = lift[0] * LIFT_SD**2 / (LIFT_SD**2 + lift[1:].var(ddof=1))
    assert ties_of(tables, tuple("abc")).lifts[0, 2] == pytest.approx(wanted)
    assert abs(wanted) < abs(lift[0])


def test_only_the_panel_s_channels_are_told_of(tmp_path: Path) -> None:
    """A renamed channel of the log is left out, one of the panel that the log lacks is built around shares."""
    groups: list[Group] = [(300, {"a": 2, "b": 1, "old name": 1}), (300, {"b": 2})]
    found = read(groups, tmp_path, ("new name", "b", "a"))
    assert found.known.tolist() == [False, True, True]
    assert not found.lifts[0].any()
    assert not found.lifts[:, 0].any()
    assert set(found.ways) == {"a", "b"}
    assert set(found.ways["a"].others) == {"b"}


def test_a_channel_with_few_customers_says_nothing(tmp_path: Path) -> None:
    groups: list[Group] = [(FEWEST_CUSTOMERS - 1, {"a": 1, "b": 1}), (500, {"b": 1, "c": 1})]
    found = read(groups, tmp_path, ("a", "b", "c"))
    assert found.known.tolist() == [False, True, True]
    assert not found.lifts[0].any()
    assert found.solo[0] == 0
    assert found.lifts[1, 0] != 0


def test_one_channel_alone(tmp_path: Path) -> None:
    found = read([(200, {"a": 3})], tmp_path, ("a",))
    assert not found.lifts.any()
    assert found.ways["a"].solo.median == 1
    assert found.solo.tolist() == [0.0]


def test_hostile_names(tmp_path: Path) -> None:
    plain, odd = tuple("abcd"), HOSTILE
    groups: list[Group] = [(200, {"a": 2, "b": 1}), (300, {"b": 1, "c": 2}), (150, {"d": 1, "a": 1})]
    turned = [(count, {odd["abcd".index(name)]: n for name, n in habit.items()}) for count, habit in groups]
    one, other = read(groups, tmp_path, plain), read(turned, tmp_path, odd)
    assert other.known.all()
    assert np.allclose(one.lifts, other.lifts, atol=1e-9)


def test_days_outside_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    groups: list[Group] = [(150, {"a": 5, "b": 5}), (150, {"b": 5, "c": 5})]
    days = Days(date(2024, 1, 20), date(2024, 2, 20))
    files = write(groups, tmp_path)
    kept = pq.read_table(
        files.files[0],
        filters=[
            ("time", ">=", np.datetime64("2024-01-20", "us").item()),
            ("time", "<", np.datetime64("2024-02-20", "us").item()),
        ],
    )
    (tmp_path / "cut").mkdir()
    pq.write_table(kept, tmp_path / "cut" / "t.parquet")
    wanted = fold_touches(TouchFiles((tmp_path / "cut" / "t.parquet",)), None, ASKED)
    found = fold_touches(TouchFiles(files.files, days), None, ASKED)
    assert found.log == wanted.log
    assert found.counts == wanted.counts
    assert np.array_equal(found.overlap, wanted.overlap)
    assert np.array_equal(found.replicates.table("overlap"), wanted.replicates.table("overlap"))


def test_of_a_long_log_some_customers_are_enough(tmp_path: Path) -> None:
    groups: list[Group] = [(1500, {"a": 2, "b": 1}), (1500, {"b": 1, "c": 2})]
    files = write(groups, tmp_path)
    part = fold_touches(files, None, ASKED, enough=3000)
    assert 2400 < part.counts["rows"] < 3600
    assert part.log.rows == 9000
    whole = ties_of(fold_touches(files, None, ASKED), tuple("abc"))
    assert np.allclose(ties_of(part, tuple("abc")).lifts, whole.lifts, atol=0.1)
