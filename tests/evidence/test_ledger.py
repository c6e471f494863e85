"""The ledger measures what a planted event took, where it went and what came back: everywhere or in some markets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from rechannel.evidence.baseline import fit_baseline
from rechannel.evidence.finding import Finding
from rechannel.evidence.ledger import LONGEST_MEASURED, bank, incidents
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel, to_date
from rechannel.vocabulary.channel import EventKind, Metric
from rechannel.vocabulary.estimate import FloatArray

DAYS, FIRST, LAST = 420, 300, 306
TAKEN_UP, POSTPONED = 0.5, 0.2
FOUR_SD = 4.0
"""Standard deviations that a planted number may lie away: some thirty comparisons in this file."""
NAMES = ("app", "entry", "other")
LEVELS = np.array([5000.0, 4000.0, 1000.0])


def made_panel(
    seed: int,
    *,
    last: int = LAST,
    taken_up: float = TAKEN_UP,
    postponed: float = 0.0,
    markets: Sequence[str] = ("all",),
    hit: Sequence[str] = ("all",),
    keen: float = 1.0,
    common: float = 0.0,
    days: int = DAYS,
) -> Panel:
    """`entry` is out from FIRST to `last` in some markets; part of its visits goes to `app`, which sells `keen` better.

    `common` is the daily noise that all markets share.
    """
    rng = np.random.default_rng(seed)
    count = len(markets)
    week = np.exp(0.1 * np.sin(2 * np.pi * np.arange(days) / 7))
    week = week * np.exp(common * rng.standard_normal(days))
    level = LEVELS * week[:, None, None] * np.exp(0.01 * rng.standard_normal((days, count, 3))) / count
    out = [at for at, name in enumerate(markets) if name in hit]
    lost = level[FIRST : last + 1, out, 1].copy()
    level[FIRST : last + 1, out, 1] = 0
    level[FIRST : last + 1, out, 0] += taken_up * lost
    if postponed and last + 8 <= days:
        level[last + 1 : last + 8, out, 1] += postponed * lost[:7]
    visits = rng.poisson(level).astype(float)
    rate = np.full(visits.shape, 0.05)
    rate[FIRST : last + 1, out] *= keen
    values: dict[Metric, FloatArray] = {
        "visits": visits,
        "orders": rng.binomial(visits.astype(int), rate).astype(float),
    }
    dates = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-01") + days)
    return Panel(dates, tuple(markets), NAMES, values, {})


def removed_by_plan(last: int = LAST) -> float:
    week = np.exp(0.1 * np.sin(2 * np.pi * np.arange(DAYS) / 7))
    return float(LEVELS[1] * week[FIRST : last + 1].sum())


def event(panel: Panel, kind: EventKind = "outage", last: int | None = LAST, market: str | None = None) -> Event:
    start = to_date(panel.dates[FIRST])
    return Event(kind, start, start if last is None else start + timedelta(days=last - FIRST), "entry", market)


def banked(panel: Panel, *events: Event, before: int | None = None) -> tuple[Finding, ...]:
    day = len(panel.dates) if before is None else before
    return bank(panel, events, fit_baseline(panel, events, day))


def spread(finding: Finding) -> FloatArray:
    return np.sqrt(np.diag(finding.gains_covariance))


def close_to(found: float, wanted: float, sd: float) -> bool:
    return abs(found - wanted) < FOUR_SD * sd


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_planted_outage_is_banked(seed: int) -> None:
    panel = made_panel(seed, postponed=POSTPONED)
    (finding,) = banked(panel, event(panel))
    removed, sd = removed_by_plan(), spread(finding)
    assert close_to(finding.removed, removed, sd[1])
    assert close_to(finding.gains[0], TAKEN_UP * removed, sd[0])
    assert close_to(finding.gains[2], 0.0, sd[2])
    assert close_to(finding.rebound, POSTPONED * removed, float(np.sqrt(finding.rebound_variance)))
    assert close_to(finding.retained, TAKEN_UP, finding.retained_sd)
    assert finding.clear
    assert finding.grade_cap == "B"
    assert finding.channels == NAMES
    assert finding.days == LAST - FIRST + 1


def test_an_outage_at_the_edge_of_the_data_has_no_rebound() -> None:
    panel = made_panel(4, last=DAYS - 1, days=DAYS)
    for last in (DAYS - 1, DAYS + 5):  # the last row of events may name days still to come
        (finding,) = banked(panel, event(panel, last=last))
        assert finding.days == LONGEST_MEASURED
        assert not np.isfinite(finding.rebound_variance)
        assert close_to(finding.removed, removed_by_plan(FIRST + LONGEST_MEASURED - 1), spread(finding)[1])
    short = made_panel(4)
    (finding,) = banked(short, event(short), before=LAST + 1)
    assert not np.isfinite(finding.rebound_variance)
    assert close_to(finding.removed, removed_by_plan(), spread(finding)[1])
    assert banked(short, event(short), before=FIRST) == ()


def test_nothing_after_the_day_is_looked_at() -> None:
    panel = made_panel(5, postponed=POSTPONED)
    cut = {name: array.copy() for name, array in panel.values.items()}
    for array in cut.values():
        array[LAST + 4 :] = np.nan
    for row in (event(panel), event(panel, "closure", None)):
        seen, known = (banked(shop, row, before=LAST + 4)[0] for shop in (panel, replace(panel, values=cut)))
        assert (seen.gains == known.gains).all()
        assert (seen.rebound, seen.yield_change) == (known.rebound, known.yield_change)
        assert seen.end <= to_date(panel.dates[LAST + 3])


@pytest.mark.parametrize("last", [None, LAST + 80])
def test_a_lasting_closure(last: int | None) -> None:
    """Logged for its first day or for months: a month of it is measured, and nothing reopens."""
    panel = made_panel(6, last=DAYS - 1, keen=1.3)
    (finding,) = banked(panel, event(panel, "closure", last))
    assert close_to(finding.removed, removed_by_plan(FIRST + LONGEST_MEASURED - 1), spread(finding)[1])
    assert close_to(
        finding.yield_change["orders"], float(np.log(1.3)), float(np.sqrt(finding.yield_variance["orders"]))
    )
    assert finding.days == LONGEST_MEASURED
    assert not np.isfinite(finding.rebound_variance)
    assert close_to(finding.retained, TAKEN_UP, finding.retained_sd)
    assert finding.clear
    assert finding.grade_cap == "B"


def test_a_short_or_faint_event_earns_less() -> None:
    panel = made_panel(7, last=FIRST)
    (brief,) = banked(panel, event(panel, last=FIRST))
    assert brief.clear
    assert brief.grade_cap == "C"
    quiet = made_panel(7, hit=())
    (faint,) = banked(quiet, event(quiet))
    assert not faint.clear
    assert faint.grade_cap == "C"


def test_rows_of_several_markets_are_one_finding() -> None:
    markets = ("east", "north", "south")
    panel = made_panel(8, markets=markets, hit=markets[:2])
    rows = [event(panel, market=name) for name in markets[:2]]
    (incident,) = incidents(panel, rows, DAYS)
    assert incident.markets == markets[:2]
    (finding,) = banked(panel, *rows)
    assert close_to(finding.removed, removed_by_plan() * 2 / 3, spread(finding)[1])
    everywhere = [event(panel, market=name) for name in markets]
    assert [one.markets for one in incidents(panel, everywhere, DAYS)] == [()]
    assert incidents(panel, rows, DAYS, market="south") == ()
    assert incidents(panel, [event(panel, market="elsewhere")], DAYS) == ()


def test_a_geo_test_has_the_other_markets_as_control() -> None:
    markets = ("east", "north", "south")
    panel = made_panel(9, markets=markets, hit=("north",), common=0.06)
    row = event(panel, "test", market="north")
    (controlled,) = banked(panel, row)
    alone = replace(panel, markets=("north",), values={name: array[:, 1:2] for name, array in panel.values.items()})
    (bare,) = banked(alone, replace(row, market=None))
    for finding in (controlled, bare):
        assert close_to(finding.removed, removed_by_plan() / 3, spread(finding)[1])
        assert close_to(finding.retained, TAKEN_UP, finding.retained_sd)
    assert controlled.grade_cap == "A"
    assert spread(controlled)[0] < 0.7 * spread(bare)[0]
    assert controlled.retained_sd < 0.7 * bare.retained_sd


@pytest.mark.parametrize("keen", [1.0, 1.3])
def test_a_planted_change_of_conversion_is_measured(keen: float) -> None:
    panel = made_panel(10, keen=keen)
    (finding,) = banked(panel, event(panel))
    sd = float(np.sqrt(finding.yield_variance["orders"]))
    assert close_to(finding.yield_change["orders"], float(np.log(keen)), sd)
    assert sd < 0.1
    assert finding.yield_of_rest["orders"] == pytest.approx(1.0, abs=0.05)


def test_a_channel_that_was_not_there_takes_no_part() -> None:
    """Opened after the outage, or gone before it: no row, so neither a gain nor a loss of its own."""
    whole = made_panel(11)
    for absent in (slice(0, LAST + 30), slice(FIRST - 100, DAYS)):
        values = {name: array.copy() for name, array in whole.values.items()}
        for array in values.values():
            array[absent, :, 2] = np.nan
        panel = replace(whole, values=values)
        (finding,) = banked(panel, event(panel))
        assert finding.channels == ("app", "entry")
        assert close_to(finding.yield_change["orders"], 0.0, float(np.sqrt(finding.yield_variance["orders"])))
        assert close_to(finding.retained, TAKEN_UP, finding.retained_sd)


def test_a_closed_channel_without_a_row_had_no_visit() -> None:
    whole = made_panel(12)
    visits = whole.values["visits"].copy()
    visits[FIRST : LAST + 1, :, 1] = np.nan
    panel = replace(whole, values={"visits": visits})
    (finding,) = banked(panel, event(panel))
    assert close_to(finding.removed, removed_by_plan(), spread(finding)[1])


def test_an_announcement_before_the_event_is_its_notice() -> None:
    panel = made_panel(13)
    start = to_date(panel.dates[FIRST])
    told = Event("announcement", start - timedelta(days=10), start - timedelta(days=10), "entry")
    other = replace(told, channel="app", start=start - timedelta(days=5), end=start - timedelta(days=5))
    (incident,) = incidents(panel, (event(panel), told, other), DAYS)
    assert incident.notice == 10
    (finding,) = banked(panel, event(panel), told, other)
    assert finding.notice_days == 10
    assert close_to(finding.retained, TAKEN_UP, finding.retained_sd)


@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_what_came_before_a_measurement_break_is_counted_as_today(factor: float) -> None:
    """Visits of `entry` are counted `factor` times as before from day 360 on: what left and what came back are the same
    visits, in today's counting. Logged; unlogged nobody could know."""
    panel = made_panel(7)
    visits = panel.values["visits"].copy()
    visits[360:, :, 1] = np.floor(factor * visits[360:, :, 1])
    panel = replace(panel, values={**panel.values, "visits": visits})
    day = to_date(panel.dates[360])
    rows = (event(panel), Event("measurement_break", day, day, "entry", None))
    (finding,) = banked(panel, *rows)
    removed, sd = factor * removed_by_plan(), spread(finding)
    assert close_to(finding.removed, removed, sd[1])
    assert sd[1] > 0.003 * removed
    assert close_to(finding.gains[0], TAKEN_UP * removed_by_plan(), sd[0])
    assert close_to(finding.retained, TAKEN_UP / factor, finding.retained_sd)
    (then,) = banked(panel, *rows, before=350)
    assert close_to(then.removed, removed_by_plan(), spread(then)[1])
    visits[390:, :, 1] = 0.0  # it closes for good: days of nothing, a series that is no longer one of logs
    shut = replace(panel, values={**panel.values, "visits": visits})
    closure = Event("closure", to_date(panel.dates[390]), to_date(panel.dates[390]), "entry", None)
    later = banked(shut, *rows, closure)[0]
    assert close_to(later.removed, removed, spread(later)[1])
