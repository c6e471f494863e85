"""The watch flags drops within days and no noise, tells a tracking fault from a real drop; its stake is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.evidence.made_panels import arrays, as_panel, made_panel

from rechannel.evidence.monitor import FALSE_ALARMS_PER_YEAR, alarm_level, monitor
from rechannel.evidence.shifts import LASTING_PER_YEAR
from rechannel.evidence.watch import WatchedChannel, Watching, watch, watching_json
from rechannel.evidence.watched import Span
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date

pytestmark = pytest.mark.slow

DAYS = 300


def cut(panel: Panel, days: int) -> Panel:
    values = {name: array[:days] for name, array in panel.values.items()}
    return replace(panel, dates=panel.dates[:days], values=values)


def fallen(first: int, kept: float, channels: Sequence[int] = (1,), *, orders_too: bool = True, seed: int = 0) -> Panel:
    """Visits (and orders) of some channels from a day on are thinned."""
    visits, orders, gmv = arrays(made_panel(seed=seed))
    rng = np.random.default_rng([seed, 3])
    for channel in channels:
        visits[first:, channel] = rng.binomial(visits[first:, channel].astype(int), kept)
        if orders_too:
            orders[first:, channel] = rng.binomial(orders[first:, channel].astype(int), kept)
            gmv[first:, channel] *= kept
    return as_panel(visits, orders, gmv)


def of(found: Watching, channel: str | None) -> WatchedChannel:
    return next(one for one in found.channels if one.channel == channel)


@pytest.mark.parametrize("heavy", [False, True])
def test_a_quiet_shop_is_not_flagged(heavy: bool) -> None:
    for seed in (1, 2):
        found = watch(made_panel(seed=seed, heavy=heavy), ())
        assert not found.flagged
        assert max(one.probability for one in found.channels) < 0.5


@pytest.mark.parametrize(("kept", "days"), [(0.5, 3), (0.0, 2), (0.65, 8)])
def test_a_drop_is_flagged_with_its_first_day_and_size(kept: float, days: int) -> None:
    panel = cut(fallen(260, kept), 260 + days)
    found = watch(panel, ())
    one = of(found, "c1")
    assert one.flagged
    assert [other.channel for other in found.channels if other.flagged] == ["c1"]
    assert one.drop is not None
    assert abs((one.drop.since - to_date(panel.dates[260])).days) <= 1
    assert one.drop.lost == pytest.approx(1 - kept, abs=0.1)
    assert one.probability > 0.95


def test_one_odd_day_is_no_lasting_drop_and_a_logged_one_is_known() -> None:
    assert not watch(cut(fallen(260, 0.4), 261), ()).flagged
    panel = cut(fallen(260, 0.4), 266)
    logged = Event("demotion", to_date(panel.dates[260]), panel.last, "c1", severity=0.6)
    known = watch(panel, [replace(logged, kind="outage")])
    assert of(known, "c1").state == "known"
    assert not known.flagged
    later = cut(fallen(240, 0.0, (0,)), 275)
    closed = Event("closure", to_date(later.dates[240]), to_date(later.dates[240]), "c0")
    assert watch(later, ()).flagged
    assert not watch(later, [closed]).flagged


def test_a_tracking_fault_is_told_from_a_real_drop() -> None:
    lost = of(watch(cut(fallen(260, 0.45, orders_too=False), 274), ()), "c1").drop
    assert lost is not None
    assert lost.verdict == "tracking"
    assert "orders_still" in lost.reasons
    real = of(watch(cut(fallen(260, 0.45), 274), ()), "c1").drop
    assert real is not None
    assert real.verdict != "tracking"
    assert real.counting < 0.3
    every = watch(cut(fallen(260, 0.4, range(5), orders_too=False), 266), ())
    shop = of(every, None)
    assert shop.flagged
    assert shop.drop is not None
    assert (shop.drop.verdict, "all_at_once" in shop.drop.reasons) == ("tracking", True)
    bare = fallen(260, 0.45, orders_too=False)
    unknown = of(watch(cut(as_panel(bare.values["visits"][:, 0]), 274), ()), "c1").drop
    assert unknown is not None
    assert unknown.verdict != "tracking"


def test_a_day_without_any_record_is_no_proof_of_a_real_drop() -> None:
    visits, orders, gmv = arrays(made_panel())
    for values in (visits, orders, gmv):
        values[297:] = 0.0
    shop = of(watch(as_panel(visits, orders, gmv), ()), None)
    assert shop.flagged
    assert shop.drop is not None
    assert (shop.drop.verdict, shop.drop.lost) == ("cannot_tell", pytest.approx(1.0, abs=1e-3))


def test_the_stake_holds_what_ninety_more_days_would_have_brought() -> None:
    """Half of the visits of a channel of about 2,500 a day for 90 days: within the interval, which is not wide."""
    drop = of(watch(cut(fallen(280, 0.5), 290), ()), "c1").drop
    assert drop is not None
    assert drop.stake is not None
    truth = 0.5 * made_panel(390).values["visits"][290:380, 0, 1].sum()
    assert drop.stake.low < truth < drop.stake.high
    assert drop.stake.high - drop.stake.low < 0.6 * truth


@pytest.mark.slow
def test_false_alarms_keep_the_promised_rate_under_the_models_own_noise() -> None:
    """Under no change the Shiryaev-Roberts statistic over DROPS is a martingale plus the number of steps, so it passes
    A within m steps with a chance of at most m / A: at A = 200 and 80 steps, at most .4 of the channels; 60 channels of
    plain noise, so at most 24 + 3 sd = 36. At the alarm level itself nothing is expected."""
    rng = np.random.default_rng(8)
    visits = rng.poisson(2000 * np.exp(0.04 * rng.standard_normal((220, 60)))).astype(float)
    panel = as_panel(visits)
    seen = monitor(visits, visits.sum(axis=1), panel.channels, Span(panel.dates, "daily", (), 140))
    highest = seen.log_ratio.max(axis=0)
    assert (highest >= np.log(200)).sum() <= 36
    assert (highest < alarm_level(61, 365.25)).all()
    assert np.exp(alarm_level(61, 365.25)) == pytest.approx(365.25 * 61 / FALSE_ALARMS_PER_YEAR)


def test_nothing_later_is_used() -> None:
    panel = fallen(250, 0.5)
    visits, total = panel.values["visits"][:, 0], panel.values["visits"][:, 0].sum(axis=1)
    whole = monitor(visits, total, panel.channels, Span(panel.dates, "daily", (), 210))
    part = monitor(visits[:262], total[:262], panel.channels, Span(panel.dates[:262], "daily", (), 210))
    rows = len(part.log_ratio)
    finite = np.isfinite(part.log_ratio)
    assert (np.isfinite(whole.log_ratio[:rows]) == finite).all()
    assert np.allclose(whole.log_ratio[:rows][finite], part.log_ratio[finite], atol=0.5)


def test_channels_without_a_row_and_the_record() -> None:
    visits, orders, gmv = arrays(made_panel())
    for values in (visits, orders, gmv):
        values[290:, 3] = np.nan
    found = watch(as_panel(visits, orders, gmv), ())
    gone = of(found, "c3")
    assert (gone.state, gone.flagged, gone.probability) == ("not_measured", False, 0.0)
    assert str(gone.last_measured) == str(found.last.replace(day=found.last.day - 10))
    record = watching_json(found)
    assert record["lasting_drops_per_channel_year"] == LASTING_PER_YEAR
    assert {one["channel"] for one in record["channels"]} == {"c0", "c1", "c2", "c3", "c4", None}
    assert record["flagged"] is False
