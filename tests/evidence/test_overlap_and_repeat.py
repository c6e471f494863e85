"""Overlap against its formula customer by customer, repeat curves by hand, BG/NBD against published figures."""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rechannel.evidence.overlap import overlap_of
from rechannel.evidence.repeat import expected_orders, fit_bg_nbd, orders_of_new_customers, repeat_curves
from rechannel.tables.journeyrules import DAY, REPLICATE_TABLES, Bootstrap, JourneyRules
from rechannel.tables.touches import TouchFiles, fold_touches

REFERENCE = Path(os.environ.get("RECHANNEL_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference"))
CDNOW = REFERENCE / "mix" / "cdnow"
Touch = tuple[str, float, str, str, float | None]


def write(rows: list[Touch], folder: Path) -> TouchFiles:
    """Touches with their time in days."""
    who, day, channel, event, value = zip(*rows, strict=True)
    times = pa.array([round(moment * DAY) for moment in day], pa.int64()).cast(pa.timestamp("us"))
    columns = {
        "customer": who,
        "time": times,
        "channel": channel,
        "event": event,
        "value": pa.array(value, pa.float64()),
    }
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return TouchFiles((folder / "t.parquet",))


def test_overlap_is_its_formula(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows: list[Touch] = [
        (f"u{rng.integers(60)}", float(day) / 4, "abcd"[int(rng.choice(4, p=[0.5, 0.3, 0.15, 0.05]))], "visit", None)
        for day in range(400)
    ]
    found = overlap_of(fold_touches(write(rows, tmp_path), None, Bootstrap(20, 1, of=REPLICATE_TABLES)))
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for who, _, channel, *_ in rows:
        used[who][channel] += 1
    total = Counter(channel for _, _, channel, *_ in rows)
    shares = {channel: count / len(rows) for channel, count in total.items()}
    for c, one in enumerate("abcd"):
        for j, other in enumerate("abcd"):
            wanted = 0.0
            for counts in used.values():
                rest = sum(counts.values()) - counts[one]
                wanted += counts[one] * (counts[other] + shares[other] / (1 - shares[one])) / (rest + 1) / total[one]
            assert found.shares[0, c, j] == pytest.approx(0 if c == j else wanted, abs=2e-6)  # units of 2^-20
        solo = sum(counts[one] for counts in used.values() if len(counts) == 1)
        assert found.solo[0, c] == pytest.approx(solo / total[one])
        both = sum(1 for counts in used.values() if counts[one] and counts["a"])
        assert found.together[c, 0] == pytest.approx(both / sum(1 for counts in used.values() if counts[one]))
    assert np.allclose(found.shares.sum(axis=2), 1)
    assert found.shares.shape == (21, 4, 4)
    assert np.allclose(found.following.sum(axis=1), 1)
    assert np.all((found.new >= 0) & (found.new <= 1))


def test_one_channel_has_nowhere_to_go(tmp_path: Path) -> None:
    found = overlap_of(fold_touches(write([("u", 0, "a", "visit", None), ("v", 9, "a", "visit", None)], tmp_path)))
    assert np.isnan(found.shares).all()
    assert found.solo[0, 0] == 1


def test_repeat_curves_by_hand(tmp_path: Path) -> None:
    """The log covers days 0-100, first sessions count from day 30; ages of 10 days."""
    rows: list[Touch] = [
        ("old", 0, "a", "visit", None),
        ("u", 35, "a", "visit", None),
        ("u", 46, "b", "visit", None),
        ("u", 46.1, "b", "order", 8.0),
        ("v", 40, "a", "visit", None),
        ("v", 41, "a", "order", 2.0),
        ("w", 96, "a", "visit", None),
        ("w", 97, "a", "order", 5.0),
        ("end", 100, "b", "visit", None),
    ]
    found = repeat_curves(fold_touches(write(rows, tmp_path), JourneyRules(age_days=10)))
    assert found.at_risk[0, 0, :8].tolist() == [2, 2, 2, 2, 2, 2, 0, 0]
    assert found.active[0, 0, :6].tolist() == [1, 0.5, 0, 0, 0, 0]
    assert np.isnan(found.active[0, 0, 6])
    assert found.orders[0, 0, :3].tolist() == [0.5, 0.5, 0]
    assert found.value[0, :3].tolist() == [1.0, 4.0, 0.0]


def cdnow() -> list[dict[str, str]]:
    if not CDNOW.is_dir():
        pytest.skip(f"no reference folder at {CDNOW}")
    with (CDNOW / "cdnow_summary.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_bg_nbd_of_cdnow() -> None:
    """Fader, Hardie and Lee (2005): r .243, alpha 4.414, a .793, b 2.426, log-likelihood -9582.4."""
    rows = cdnow()
    x, t, age = (np.array([float(row[name]) for row in rows]) for name in ("frequency", "recency", "T"))
    model = fit_bg_nbd(x, t, age)
    assert (model.r, model.alpha, model.a, model.b) == pytest.approx((0.2426, 4.4135, 0.7929, 2.4258), abs=5e-4)
    assert model.log_likelihood == pytest.approx(-9582.43, abs=0.006)
    coming = expected_orders(model, 39, x, t, age)
    assert coming.sum() == pytest.approx(1653.42, rel=2e-4)
    for frequency, mean in ((0, 0.2251), (1, 0.5231), (2, 1.0441), (3, 1.5203), (7, 3.9455)):
        assert coming[x == frequency].mean() == pytest.approx(mean, rel=5e-4)
    grouped = np.unique(np.stack([x, t, age]), axis=1, return_counts=True)
    again = fit_bg_nbd(*grouped[0], grouped[1].astype(float))
    assert again.log_likelihood == pytest.approx(model.log_likelihood, abs=1e-4)


@pytest.mark.slow
def test_bg_nbd_finds_what_made_its_data() -> None:
    """6,000 customers drawn from the model: parameters within 25 %, orders of the next year within 8 %."""
    rng = np.random.default_rng(6)
    size, age = 6_000, 52.0
    rate, drop = rng.gamma(0.6, 1 / 6.0, size), rng.beta(0.9, 2.0, size)
    x, last, later = np.zeros(size), np.zeros(size), np.zeros(size)
    for person in range(size):
        now = 0.0
        while True:
            now += rng.exponential(1 / rate[person])
            if now > 2 * age:
                break
            if now <= age:
                x[person], last[person] = x[person] + 1, now
            else:
                later[person] += 1
            if rng.random() < drop[person]:
                break
    model = fit_bg_nbd(x, last, np.full(size, age))
    assert (model.r, model.alpha, model.a, model.b) == pytest.approx((0.6, 6.0, 0.9, 2.0), rel=0.25)
    assert expected_orders(model, age, x, last, np.full(size, age)).sum() == pytest.approx(later.sum(), rel=0.08)
    assert orders_of_new_customers(model, np.array([age]))[0] == pytest.approx(x.mean(), rel=0.05)


def test_nobody_came_back() -> None:
    with pytest.raises(ValueError, match="repeat"):
        fit_bg_nbd(np.zeros(3), np.zeros(3), np.ones(3))
