"""A tenth of the benchmark of audit and watch: planted faults found, little told for nothing, fast alarms."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.door_audit import audited_family, found_rows, lab_tasks, watched_family, watched_lab

from rechannel.lab.doorboard import audit_market
from rechannel.lab.plants import PLANTERS, planted, smaller, with_outages
from rechannel.lab.specs import draw_spec
from rechannel.lab.worlds import make_world
from rechannel.tables.panel import build_panel


def test_plants_are_where_they_say() -> None:
    """Counts are conserved by a split, visits by nothing else change, and what is planted keeps to its days."""
    spec, outages = with_outages(smaller(draw_spec("plain", 3), 300))
    daily = make_world(spec).before()["daily"]
    whole = build_panel(daily)
    for kind in PLANTERS:
        made = planted(daily, spec, kind, outages)
        assert made is not None
        table, plant = made
        panel = build_panel(table)
        before = panel.index_of(plant.first)
        assert 60 <= before < spec.history - 74
        for name in whole.channels:
            rows = (one.values["visits"][:before, 0, one.channels.index(name)] for one in (panel, whole))
            assert np.array_equal(*rows)
        if kind in ("split", "rename", "code_move"):
            for metric in ("visits", "orders"):
                assert np.nansum(panel.values[metric]) == np.nansum(whole.values[metric])


@pytest.mark.slow
def test_the_audit_finds_what_is_planted_and_little_else() -> None:
    """Eight markets of the lab and four shops of the other generator. Bars: nine in ten outages of channels above
    5 % of visits, every split and renaming, at most one false row per channel-year (about .05 is usual)."""
    records = [audit_market(*task) for task in lab_tasks(1)[::3]]
    records += [audited_family((family, 5000)) for family in ("plain", "heavy_tails", "drift", "small_counts")]
    found = found_rows(records)
    large = found["outage, large channel"]
    assert large["planted"] >= 15
    assert large["found"] >= 0.9 * large["planted"]
    for kind in {"split", "rename", "blackout", "weekly"} & set(found):
        assert found[kind]["found"] == found[kind]["planted"]
    years = sum(record.channel_years for record in records)
    assert sum(len(record.false_rows) for record in records) < 0.25 * years


@pytest.mark.slow
def test_the_watch_is_fast_and_quiet() -> None:
    """Four shops of two generators, 90 days each. Bars: at most one false alarm per channel-year, a drop of half seen
    within four days in the median."""
    records = [watched_lab((kind, 5000), 90) for kind in ("plain", "trend_break")]
    records += [watched_family((family, 5000), 90) for family in ("plain", "heavy_tails")]
    told = [record for record in records if record is not None]
    assert len(told) == 4
    assert sum(record.false_alarms for record in told) <= 0.25 * sum(record.channel_years for record in told)
    delays = sorted(delay for record in told for lost, delay in record.delays if lost == 0.5 and delay == delay)
    assert len(delays) >= 3
    assert delays[len(delays) // 2] <= 4
