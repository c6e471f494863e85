"""The audit on panels with one thing planted: its code, days, size and row; and silence where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from tests.evidence.made_panels import FIRST, arrays, as_panel, made_panel

from rechannel.evidence.audit import audit
from rechannel.evidence.oddity import Oddity
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.estimate import FloatArray
from rechannel.vocabulary.wording import LANGUAGES, catalogue

pytestmark = pytest.mark.slow

Change = Callable[[np.random.Generator, FloatArray, FloatArray, FloatArray], None]


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def changed(change: Change, seed: int = 0) -> Panel:
    """The plain panel after a change of its visits, orders and GMV."""
    visits, orders, gmv = arrays(made_panel(seed=seed))
    change(np.random.default_rng([seed, 9]), visits, orders, gmv)
    return as_panel(visits, orders, gmv)


def found(panel: Panel, events: Sequence[Event] = ()) -> list[Oddity]:
    return list(audit(panel, events).oddities)


def thin(rng: np.random.Generator, rows: FloatArray, kept: float) -> FloatArray:
    return rng.binomial(rows.astype(int), kept).astype(float)


def lose(channel: int, first: int, last: int, kept: float) -> Change:
    """Visits, orders and GMV of one channel lose a share."""

    def change(rng: np.random.Generator, visits: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
        days = slice(first, last + 1)
        visits[days, channel] = thin(rng, visits[days, channel], kept)
        orders[days, channel] = thin(rng, orders[days, channel], kept)
        gmv[days, channel] *= kept

    return change


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_where_nothing_is_wrong(seed: int, heavy: bool) -> None:
    assert found(made_panel(seed=seed, heavy=heavy)) == []


@pytest.mark.parametrize(
    ("channel", "first", "days", "kept"), [(0, 150, 1, 0.0), (1, 120, 6, 0.0), (2, 200, 4, 0.4), (4, 90, 9, 0.45)]
)
def test_an_outage_has_its_days_its_size_and_its_row(channel: int, first: int, days: int, kept: float) -> None:
    (one,) = found(changed(lose(channel, first, first + days - 1, kept)))
    assert one.code == ("RC601" if kept == 0 else "RC600")
    assert (one.channel, one.first, one.last) == (f"c{channel}", day(first), day(first + days - 1))
    assert one.size == pytest.approx(1 - kept, abs=0.08)
    assert one.probability > 0.95
    (row,) = one.rows
    assert (row.kind, row.channel, row.start, row.end) == ("outage", one.channel, one.first, one.last)
    assert row.severity == pytest.approx(one.size, abs=0.005)


@pytest.mark.slow
def test_what_is_logged_is_not_found_again() -> None:
    panel = changed(lose(1, 120, 125, 0.0))
    (one,) = found(panel)
    assert found(panel, one.rows) == []
    near = Event("other", day(122), day(124), "c1", note="server moved")
    assert found(panel, [near]) == []
    elsewhere = Event("outage", day(120), day(125), "c2", severity=1.0)
    assert [other.channel for other in found(panel, [elsewhere])] == ["c1"]
    assert found(panel, [replace(elsewhere, channel=None)]) == []


@pytest.mark.slow
def test_a_lasting_fall_is_a_demotion_and_its_end_a_closure() -> None:
    (one,) = found(changed(lose(2, 180, 299, 0.5)))
    assert (one.code, one.first, one.rows[0].kind) == ("RC603", day(180), "demotion")
    assert one.rows[0].severity == pytest.approx(0.5, abs=0.06)
    (gone,) = found(changed(lose(2, 180, 299, 0.0)))
    assert (gone.code, gone.rows[0].kind, gone.rows[0].severity) == ("RC604", "closure", None)
    (back,) = found(changed(lose(2, 100, 199, 0.4)))
    assert back.code == "RC605"
    assert [(row.kind, row.start) for row in back.rows] == [("demotion", day(100)), ("opening", day(200))]


def test_a_channel_whose_rows_stop_is_closed_and_one_that_stopped_last_week_is_not() -> None:
    def stop(at: int) -> Panel:
        visits, orders, gmv = arrays(made_panel())
        for values in (visits, orders, gmv):
            values[at:, 1] = np.nan
        return as_panel(visits, orders, gmv)

    (one,) = found(stop(200))
    assert (one.code, one.channel, one.first) == ("RC604", "c1", day(200))
    assert found(stop(293)) == []


def test_what_is_still_down_on_the_last_day_is_told_as_such() -> None:
    (one,) = found(changed(lose(0, 292, 299, 0.3)))
    assert (one.code, one.first, one.last) == ("RC621", day(292), day(299))


def test_visits_counted_differently_while_orders_go_on() -> None:
    def uncounted(rng: np.random.Generator, visits: FloatArray, *_: FloatArray) -> None:
        visits[170:, 1] = thin(rng, visits[170:, 1], 0.55)

    (one,) = found(changed(uncounted))
    assert (one.code, one.channel, one.first) == ("RC607", "c1", day(170))
    assert [(row.kind, row.start, row.channel) for row in one.rows] == [("measurement_break", day(170), "c1")]

    def faulty(rng: np.random.Generator, visits: FloatArray, *_: FloatArray) -> None:
        visits[170:177, 1] = thin(rng, visits[170:177, 1], 0.2)

    (one,) = found(changed(faulty))
    assert (one.code, one.rows[0].kind) == ("RC608", "other")


def test_a_consent_banner_is_told_once_for_all_channels() -> None:
    def consent(rng: np.random.Generator, visits: FloatArray, *_: FloatArray) -> None:
        visits[160:] = thin(rng, visits[160:], 0.65)

    (one,) = found(changed(consent))
    assert (one.code, one.first, one.channel) == ("RC606", day(160), None)
    assert one.size == pytest.approx(0.35, abs=0.05)
    assert [(row.kind, row.channel) for row in one.rows] == [("measurement_break", None)]

    def some(rng: np.random.Generator, visits: FloatArray, *_: FloatArray) -> None:
        visits[160:, 1:3] = thin(rng, visits[160:, 1:3], 0.5)

    told = found(changed(some))
    assert [one.code for one in told] == ["RC606"]
    assert {row.channel for one in told for row in one.rows} == {"c1", "c2"}


@pytest.mark.parametrize("seed", [1, 4])
def test_what_stays_of_a_move_of_all_is_not_told_of_single_channels_later(seed: int) -> None:
    """Channels learn a lasting common move at their own pace; none of them fell by itself in the weeks after."""

    def consent(rng: np.random.Generator, visits: FloatArray, *_: FloatArray) -> None:
        visits[160:] = thin(rng, visits[160:], 0.65)

    assert [one.code for one in found(changed(consent, seed))] == ["RC606"]

    def demand(rng: np.random.Generator, visits: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
        visits[160:] = rng.poisson(visits[160:] * 0.7)
        orders[160:] = rng.poisson(orders[160:] * 0.7)
        gmv[160:] *= 0.7

    assert found(changed(demand, seed)) == []


@pytest.mark.parametrize(("seed", "on"), [(1, 150), (2, 100), (3, 205)])
def test_a_closure_is_told_once_wherever_it_lies(seed: int, on: int) -> None:
    (one,) = found(changed(lose(1, on, 299, 0.0), seed))
    assert (one.code, one.first, one.last) == ("RC604", day(on), day(299))


def test_outages_of_one_channel_are_never_told_of_the_shop() -> None:
    """A third of the visits vanish for two days, again and again, while orders go on: it is the one channel's."""

    def often(_: np.random.Generator, visits: FloatArray, *__: FloatArray) -> None:
        for first in range(60, 280, 40):
            visits[first : first + 2, 0] = 0.0

    told = found(changed(often))
    assert {one.channel for one in told} == {"c0"}
    assert [one.first for one in told] == [day(first) for first in range(60, 280, 40)]


def test_days_on_which_nothing_was_recorded_are_one_outage_of_all() -> None:
    def blackout(_: np.random.Generator, visits: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
        for values in (visits, orders, gmv):
            values[140:142] = 0.0

    (one,) = found(changed(blackout))
    assert (one.code, one.channel, one.first, one.last) == ("RC602", None, day(140), day(141))
    assert [(row.kind, row.channel) for row in one.rows] == [("outage", None)]

    def still(_: np.random.Generator, visits: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
        for values in (visits, orders, gmv):
            values[297:] = 0.0

    assert [(one.code, one.first, one.last) for one in found(changed(still))] == [("RC602", day(297), day(299))]


def test_a_slump_of_demand_and_a_promotion_are_no_findings() -> None:
    """All channels fall or rise together, orders with them: demand, whether logged or not."""
    for factor in (0.7, 1.6):

        def demand(rng: np.random.Generator, visits: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
            days = slice(150, 161)
            visits[days] = rng.poisson(visits[days] * factor)  # noqa: B023
            orders[days] = rng.poisson(orders[days] * factor)  # noqa: B023
            gmv[days] *= factor  # noqa: B023

        assert found(changed(demand)) == []


def test_orders_that_are_counted_differently_or_lost() -> None:
    def doubled(_: np.random.Generator, __: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
        orders[150:] *= 2
        gmv[150:] *= 2

    told = found(changed(doubled))
    assert [(one.code, one.first, one.rows[0].kind) for one in told] == [("RC609", day(150), "measurement_break")]

    def lost(rng: np.random.Generator, _: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
        orders[150:155] = thin(rng, orders[150:155], 0.3)
        gmv[150:155] *= 0.3

    told = found(changed(lost))
    assert [(one.code, one.first, one.last) for one in told] == [("RC611", day(150), day(154))]

    def cents(_: np.random.Generator, __: FloatArray, ___: FloatArray, gmv: FloatArray) -> None:
        gmv[150:] *= 1.5

    assert [one.code for one in found(changed(cents))] == ["RC610"]


def test_a_burst_is_a_crawler_only_when_no_orders_come_with_it() -> None:
    def burst(buying: bool) -> Change:
        def change(rng: np.random.Generator, visits: FloatArray, orders: FloatArray, gmv: FloatArray) -> None:
            days = slice(150, 154)
            visits[days, 0] = rng.poisson(3 * visits[days, 0])
            if buying:
                orders[days, 0], gmv[days, 0] = 3 * orders[days, 0], 3 * gmv[days, 0]

        return change

    (one,) = found(changed(burst(False)))
    assert (one.code, one.channel, one.first, one.last) == ("RC618", "c0", day(150), day(153))
    assert one.rows[0].kind == "other"
    assert found(changed(burst(True))) == []


def moved(on: int, old: Sequence[int], kept: float, into: int | None) -> Panel:
    """A share of old channels is counted under a new name, or under that of a channel that was there."""
    visits, orders, gmv = arrays(made_panel(seed=4))
    rng = np.random.default_rng(5)
    born = np.zeros((len(visits), 1)) if into is None else None
    tables = []
    for values in (visits, orders, gmv):
        taken = np.zeros(len(values))
        for channel in old:
            stay = thin(rng, values[on:, channel], kept)
            taken[on:] += values[on:, channel] - stay
            values[on:, channel] = stay
        if born is not None:
            values = np.column_stack([values, np.where(np.arange(len(values)) < on, np.nan, taken)])
        elif into is not None:
            values[:, into] += taken
        tables.append(values)
    return as_panel(*tables)


@pytest.mark.parametrize(("kept", "code"), [(0.75, "RC612"), (0.4, "RC612"), (0.0, "RC613")])
def test_a_split_or_renamed_channel_is_told_from_a_closure(kept: float, code: str) -> None:
    (one,) = found(moved(150, [1], kept, None))
    assert (one.code, one.channel, one.others, one.first) == (code, "c1", ("c5",), day(150))
    assert one.size == pytest.approx(1 - kept, abs=0.06)
    assert {row.channel for row in one.rows} == {"c1"}
    assert {row.kind for row in one.rows} == {"measurement_break"}


@pytest.mark.slow
def test_codes_that_merge_or_move() -> None:
    (merged,) = found(moved(150, [2, 3], 0.0, None))
    assert (merged.code, merged.channel, set(merged.others)) == ("RC614", "c5", {"c2", "c3"})
    (into,) = found(moved(150, [2], 0.3, 3))
    assert (into.code, into.channel, into.others) == ("RC612", "c2", ("c3",))
    assert {row.channel for row in into.rows} == {"c2", "c3"}


def test_a_new_channel_and_diverted_visits_are_no_new_name() -> None:
    visits, orders, gmv = arrays(made_panel(seed=6))
    rng = np.random.default_rng(6)
    new = np.where(np.arange(len(visits)) < 150, np.nan, rng.poisson(700, len(visits)))
    opened = as_panel(*(np.column_stack([v, new * k]) for v, k in ((visits, 1), (orders, 0.04), (gmv, 8))))
    assert found(opened) == []
    gone = visits[150:, 1].copy()
    for values, part in ((visits, 1.0), (orders, 0.04), (gmv, 8.0)):
        values[150:, 1] = 0.0
        for channel, share in ((0, 0.35), (2, 0.15)):
            values[150:, channel] += np.round(share * gone * part)
    told = found(as_panel(visits, orders, gmv))
    assert [one.code for one in told if one.channel == "c1"] == ["RC604"]
    assert all(one.code not in ("RC612", "RC613") for one in told)


def test_weekly_figures_and_overlapping_visitors() -> None:
    def spread(_: np.random.Generator, visits: FloatArray, *__: FloatArray) -> None:
        for week in range(8):
            days = slice(140 + 7 * week, 147 + 7 * week)
            visits[days, 3] = np.round(visits[days, 3].mean())

    told = [one for one in found(changed(spread)) if one.code == "RC615"]
    assert [(one.channel, one.first, one.last, one.rows) for one in told] == [("c3", day(140), day(195), ())]

    def one_day(_: np.random.Generator, visits: FloatArray, *__: FloatArray) -> None:
        weeks = visits[:294, 3].reshape(42, 7).copy()
        visits[:, 3] = 0.0
        visits[3:294:7, 3] = weeks.sum(axis=1)

    assert [one.channel for one in found(changed(one_day)) if one.code == "RC616"] == ["c3"]
    panel = made_panel()
    total = panel.values["visits"][:, :, :].sum(axis=2)
    assert found(replace(panel, totals={"visits": total})) == []
    (over,) = found(replace(panel, totals={"visits": np.round(total * 0.8)}))
    assert (over.code, over.rows) == ("RC617", ())
    assert over.size == pytest.approx(-0.25, abs=0.01)


@pytest.mark.slow
def test_one_market_alone_and_the_sum_of_all() -> None:
    """A fault of one market of four is told with its market; a fault of all of them once, without."""
    shops = [made_panel(seed=seed, sizes=(3000.0, 1200.0, 600.0)) for seed in range(4)]
    visits = np.stack([shop.values["visits"][:, 0] for shop in shops], axis=1)
    names = ("east", "north", "south", "west")
    one = visits.copy()
    one[150:156, 2, 1] = 0.0
    panel = replace(shops[0], markets=names, values={"visits": one})
    (told,) = found(panel)
    assert (told.channel, told.market, told.first, told.last) == ("c1", "south", day(150), day(155))
    assert told.rows[0].market == "south"
    assert found(panel, told.rows) == []
    every = visits.copy()
    every[150:156, :, 1] = 0.0
    (told,) = found(replace(panel, values={"visits": every}))
    assert (told.channel, told.market) == ("c1", None)


@pytest.mark.parametrize("days", [28, 40, 60])
def test_short_panels_and_single_channels_are_audited(days: int) -> None:
    panel = changed(lose(0, 20, 22, 0.0))
    short = replace(
        panel, dates=panel.dates[:days], values={name: values[:days] for name, values in panel.values.items()}
    )
    assert [(one.code, one.first) for one in found(short)] == [("RC601", day(20))]
    alone = replace(short, channels=("c0",), values={"visits": short.values["visits"][:, :, :1]})
    assert [one.first for one in found(alone)] == [day(20)]


def test_a_weekly_panel_is_audited_in_weeks() -> None:
    rng = np.random.default_rng(7)
    visits = rng.poisson(np.array([20_000.0, 9000.0, 4000.0]) * np.exp(0.04 * rng.standard_normal((120, 3)))) * 1.0
    visits[70:72, 1] = thin(rng, visits[70:72, 1], 0.3)
    panel = replace(as_panel(visits), cadence="weekly", dates=np.datetime64(FIRST) + 7 * np.arange(120))
    (one,) = found(panel)
    assert (one.code, one.channel, one.first) == ("RC600", "c1", FIRST + timedelta(days=490))


def test_every_code_has_its_words_and_keys_are_stable() -> None:
    one = Oddity("RC600", "c1", day(3), day(5), 0.4, 0.93, others=("c2", "c3"), hours=-8.0)
    assert one.key == replace(one, last=day(9), size=0.5, probability=0.99).key
    assert one.key != replace(one, channel="c2").key
    names = [Channel("c1", {"en": "Main {entry}", "zh-Hans": "主入口"})]
    for language in LANGUAGES:
        words = catalogue("audit", language)
        codes = {key for key in words if key.startswith("RC")}
        assert codes == {key.removeprefix("label_") for key in words if key.startswith("label_")}
        assert codes == {key.removeprefix("mislead_") for key in words if key.startswith("mislead_")}
        for code in codes:
            told = replace(one, code=code)
            assert "{c" not in told.message(language, names)
            assert told.misleads(language)
            assert told.label(language)
    assert one.message("en", names).startswith("Main {entry}: 40% of its visits are missing")
    assert "c2、c3" in replace(one, code="RC612").message("zh-Hans", names)
