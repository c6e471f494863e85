"""Which test of a channel to run: sets of markets or off weeks, with the error that the read-out engine would have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from rechannel.evidence.baseline import Baseline
from rechannel.evidence.channel import ChannelSeries, fit_channel
from rechannel.evidence.design import REBOUND_DAYS, SHAPED, Design, build_design
from rechannel.evidence.donors import MarketPanel, collapse_markets, market_series, pooled_noise, regress
from rechannel.evidence.ledger import EventDays, both_sides
from rechannel.evidence.marketplacebo import Scores, pool_scores, window_scores
from rechannel.evidence.marketvalues import (
    FEWEST_DONORS,
    LONGEST_HISTORY,
    MOST_DONORS,
    MOST_MISSING,
    Windows,
    between,
    candidates,
    filled,
    market_sum,
    without_freaks,
)
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import FloatArray

SETS = 500
LENGTHS = (7, 14, 21, 28)
"""Days of a test that are tried."""
ORIGINS = 3
"""Past dates from which the error of a set is read."""
FEWEST_BEFORE = 56
"""Days of history before the earliest of them."""
RECENT_DAYS = 28
"""Days from which a market's size is read."""
FIRST_SHARE = 0.6
"""Share of the sets that are drawn before the best ones are varied."""
BEST = 12
"""Sets that are varied."""
MARKET_SPREAD = 0.1
"""Sd of the share lost between one market and another: an assumption; one small market does not speak for all."""
BATCH = 100
NOISE_SETS = 40
"""Sets that choose the noise for all."""
FORGOTTEN = 1e-3
"""Grid points with less than this share of the best one's mass are left out of the search."""
INSIDE_90 = 1.6449
AT_POWER = 0.8416
"""Normal score at a power of .8."""
OFF_WEEKS = (2, 3, 4, 6)
BLOCK_WEEKS = 4
"""One off week in each block of so many; drawn among the first two, so that a clean week lies between any two."""
SHIFT_WEEKS = 5
"""Weeks between the past dates over which a schedule is laid."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the read-out of a test would be worth, as the past tells.

    Attributes
    ----------
    removed, visits
        Expected visits of the channel and of the whole shop in the days and markets of the test.
    error
        Standard error of the shop's net loss of visits, what placebos put on it included.
    places
        Markets it is read in; 0 where it is the whole shop.
    """

    removed: float
    visits: float
    error: float
    places: int = 0

    @property
    def share_error(self) -> float:
        """Standard error of the share of the channel's visits that the whole shop would lose for good."""
        between = MARKET_SPREAD**2 / self.places if self.places else 0.0
        return float(np.sqrt((self.error / max(self.removed, 1e-300)) ** 2 + between))

    @property
    def detectable(self) -> float:
        """Smallest net loss of visits that a 90 % interval tells from none in four of five tests."""
        return (INSIDE_90 + AT_POWER) * self.error

    def power(self, lost: FloatArray) -> FloatArray:
        """Chance that the 90 % interval excludes none when these shares of the channel's visits are lost."""
        score = np.asarray(lost) * self.removed / self.error
        return np.asarray(ndtr(score - INSIDE_90) + ndtr(-score - INSIDE_90))


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """A test in some markets, for some days."""

    markets: tuple[str, ...]
    days: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class PlannedWeeks:
    """A test in some weeks of the whole shop.

    Attributes
    ----------
    off
        First day of each off week, counted from the test's first Monday.
    days
        From the first day to the last off day.
    reading
        Over all off weeks.
    own_error
        Standard error of the channel's own fall.
    """

    off: tuple[int, ...]
    days: int
    reading: Reading
    own_error: float


@dataclass(frozen=True, slots=True)
class _Ground:
    """What sets are drawn from.

    Attributes
    ----------
    step
        Days per row.
    names
        Usable markets.
    values
        Visits of the whole shop, or of one channel, complete, shape [day, market].
    design
        Calendar columns.
    size, own
        Recent daily visits of the shop and of the channel, shape [market].
    """

    step: int
    names: tuple[str, ...]
    values: FloatArray
    design: Design
    size: FloatArray
    own: FloatArray


def plan_sets(
    panel: Panel,
    events: Sequence[Event],
    channel: str,
    *,
    needed: float,
    most: int,
    lengths: Sequence[int] = LENGTHS,
    sets: int = SETS,
    seed: int = 0,
) -> list[PlannedSet]:
    """Search sets of markets for the cheapest test whose answer is sharp enough.

    Question answered: in which markets, and for how many days, should the channel be off?

    Parameters
    ----------
    panel, events
        The case, without the test.
    channel
        The one to be tested.
    needed
        Standard error of the share lost for good that is sharp enough.
    most
        Largest number of markets in a set.
    lengths
        Days tried.
    sets
        Sets tried.
    seed
        Of the sets drawn.

    Returns
    -------
    list of PlannedSet
        One per set at its best length: sharp enough ones first, by the visits they cost; then the others by their
        error. Empty when fewer than six markets can be used or the history is too short.

    Notes
    -----
    The error of a set is that of the engine that reads tests out (`geotest`), at dates at which nothing happened: the
    set is measured against the other markets, and the factor that these placebos call for is put on all of them.
    """
    ground = _ground(panel, events, channel)
    most = min(most, len(ground.names) - FEWEST_DONORS)
    trial = _Trial(ground, tuple(sorted(lengths)), needed)
    if most < 1 or not trial.origins:
        return []
    rng = np.random.default_rng([seed, 37])
    drawn = _drawn(len(ground.names), most, int(FIRST_SHARE * sets), rng)
    trial.evaluate(drawn)
    for rounds in (2, 1):
        count = max(0, sets - len(trial.seen)) // rounds
        trial.evaluate(_varied(trial.ranked()[:BEST], ground, most, count, trial.seen, rng))
    return trial.ranked()


def own_errors(panel: Panel, events: Sequence[Event], channel: str, plans: Sequence[PlannedSet]) -> list[float]:
    """Standard error of the channel's own fall in each planned test; infinite where its markets do not show it."""
    ground = _ground(panel, events, channel, only_channel=True)
    found: dict[PlannedSet, float] = {}
    for days in {plan.days for plan in plans}:
        trial = _Trial(ground, (days,), 1.0)
        mine = [plan for plan in plans if plan.days == days and set(plan.markets) <= set(ground.names)]
        places = [tuple(ground.names.index(name) for name in plan.markets) for plan in mine]
        if trial.origins and places:
            trial.evaluate(places)
            found |= {plan: trial.seen[one].reading.error for plan, one in zip(mine, places, strict=True)}
    return [found.get(plan, float("inf")) for plan in plans]


def _ground(panel: Panel, events: Sequence[Event], channel: str, *, only_channel: bool = False) -> _Ground:
    """Markets that have the channel and enough days, with the visits that are summed."""
    step = panel.step
    shown = between(
        panel, max(0, len(panel.dates) - (LONGEST_HISTORY + LENGTHS[-1] * ORIGINS) // step), len(panel.dates)
    )
    last = Windows(len(shown.dates) - 1, 1, 0, (1,), np.ones((1, 1)))
    usable, holes = candidates(shown, events, last, set())
    names, values, size, own = [], [], [], []
    for name in usable:
        whole, mine = market_sum(shown, "visits", None, (name,)), market_sum(shown, "visits", channel, (name,))
        both = [np.where(holes[name], np.nan, one) for one in (whole, mine)]
        chosen = both[1] if only_channel else both[0]
        late = [one[-(RECENT_DAYS // step) :] for one in both]
        if np.isnan(chosen).mean() > MOST_MISSING or not all(np.nansum(one) > 0 for one in late):
            continue
        names.append(name)
        values.append(chosen)
        size.append(float(np.nanmean(late[0])) / step)
        own.append(float(np.nanmean(late[1])) / step)
    shared = [event for event in events if event.market is None and event.kind not in SHAPED]
    design = build_design(shown.dates, shared, None, cadence=panel.cadence)
    table = filled(np.column_stack(values)) if values else np.empty((len(shown.dates), 0))
    return _Ground(step, tuple(names), table, design, np.array(size), np.array(own))


def _drawn(markets: int, most: int, count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Sets of every size up to `most`, as evenly as there are; no set twice."""
    found: list[tuple[int, ...]] = []
    for size in range(1, most + 1):
        share = (count - len(found)) // (most - size + 1)
        if comb(markets, size) <= share:
            found += list(combinations(range(markets), size))
            continue
        mine: dict[tuple[int, ...], None] = {}
        while len(mine) < share:
            mine[tuple(sorted(rng.choice(markets, size, replace=False).tolist()))] = None
        found += list(mine)
    return found


def _varied(
    best: Sequence[PlannedSet],
    ground: _Ground,
    most: int,
    count: int,
    seen: dict[tuple[int, ...], PlannedSet],
    rng: np.random.Generator,
) -> list[tuple[int, ...]]:
    """New sets one market away from good ones: swapped, added or left out."""
    found: dict[tuple[int, ...], None] = {}
    for _ in range(20 * count):
        if len(found) >= count or not best:
            break
        start = {ground.names.index(name) for name in best[int(rng.integers(len(best)))].markets}
        kind = int(rng.integers(3))
        if kind != 1:
            start.discard(int(rng.choice(sorted(start))))
        if kind != 2:
            start.add(int(rng.integers(len(ground.names))))
        one = tuple(sorted(start))
        if 1 <= len(one) <= most and one not in seen:
            found[one] = None
    return list(found)


class _Trial:
    """Sets measured where nothing happened; grows by `evaluate`."""

    def __init__(self, ground: _Ground, lengths: tuple[int, ...], needed: float) -> None:
        self.ground, self.lengths, self.needed = ground, lengths, needed
        rows = tuple(max(1, length // ground.step) for length in lengths)
        days, hidden = ground.values.shape[0], max(rows)
        first = (days - hidden * (at + 1) for at in range(ORIGINS))
        self.origins = tuple(day for day in first if day >= FEWEST_BEFORE // ground.step)
        self.windows = Windows(0, hidden, 0, rows, np.tri(hidden)[np.array(rows) - 1])
        self.is_log = bool((ground.values > 0).all())
        self.pool = np.sort(np.argsort(-ground.size, kind="stable")[:MOST_DONORS])
        self.donors = without_freaks(ground.values[:, self.pool], self.is_log)
        self.seen: dict[tuple[int, ...], PlannedSet] = {}
        self.errors: dict[tuple[int, ...], FloatArray] = {}
        self.scores: list[tuple[float, float]] = []
        self.noise: dict[int, tuple[NDArray[np.intp], FloatArray]] = {}

    def evaluate(self, sets: Sequence[tuple[int, ...]]) -> None:
        """Measure more sets at every origin."""
        new = [one for one in dict.fromkeys(sets) if one not in self.errors]
        for first in range(0, len(new), BATCH):
            self._batch(new[first : first + BATCH])
        factor = self._factor()
        for one, squares in self.errors.items():
            self.seen[one] = self._best(one, factor * np.sqrt(squares))

    def _batch(self, sets: Sequence[tuple[int, ...]]) -> None:
        sums = np.column_stack([self.ground.values[:, list(one)].sum(axis=1) for one in sets])
        squares = np.zeros((len(sets), len(self.lengths)))
        for origin in self.origins:
            training = self.ground.design.usable.copy()
            training[origin:] = False
            hidden = self.windows.at(origin)
            panel = collapse_markets(sums, self.donors, self.ground.design, training, hidden, is_log=self.is_log)
            points, log_prior = self._noise_at(origin, panel, sets)
            panel = panel.only(points)
            for at, one in enumerate(sets):
                regression = regress(panel, at, self._others(one))
                series = market_series(panel, regression, log_prior)
                squares[at] += series.sums(self.windows.rows).sd(np.ones(len(self.lengths))) ** 2
                self.scores += window_scores(series, sums[:, at], self.windows, origin, sums[:, at])
        for one, found in zip(sets, squares / len(self.origins), strict=True):
            self.errors[one] = found

    def _noise_at(
        self, origin: int, panel: MarketPanel, sets: Sequence[tuple[int, ...]]
    ) -> tuple[NDArray[np.intp], FloatArray]:
        """The noise that the first sets choose at an origin, and the grid points that carry it."""
        if origin not in self.noise:
            some = range(0, len(sets), max(1, len(sets) // NOISE_SETS))
            regressions = [regress(panel, at, self._others(sets[at])) for at in some]
            log_prior = pooled_noise(regressions)
            mass = np.exp(log_prior).max(axis=0)
            points = np.flatnonzero(mass > FORGOTTEN * mass.max())
            self.noise[origin] = points, log_prior[:, points]
        return self.noise[origin]

    def _others(self, one: tuple[int, ...]) -> list[int]:
        """Donors of a set: the largest markets outside it, by their place in the pool."""
        return [at for at, market in enumerate(self.pool.tolist()) if market not in one]

    def _factor(self) -> FloatArray:
        """What the placebos of all sets call for, at each length; overlapping sets count as the disjoint ones."""
        z, horizon = (np.array(column) for column in zip(*self.scores, strict=True))
        size = float(np.mean([len(one) for one in self.errors]))
        independent = len(self.origins) * min(len(self.errors), len(self.ground.names) / size)
        weight = np.full(z.size, independent / z.size)
        empty = np.zeros(z.size, dtype=bool)
        spread = pool_scores((Scores(z, horizon, weight, empty, np.empty(0), np.nan, np.nan),), 1.0)
        return spread.widen(np.array(self.windows.lengths, dtype=float))

    def _best(self, one: tuple[int, ...], errors: FloatArray) -> PlannedSet:
        """The set at its cheapest sharp length, or at its sharpest one."""
        places = list(one)
        names = tuple(self.ground.names[at] for at in places)
        own, size = float(self.ground.own[places].sum()), float(self.ground.size[places].sum())
        plans = [
            PlannedSet(names, length, Reading(own * length, size * length, float(error), len(places)))
            for length, error in zip(self.lengths, errors.tolist(), strict=True)
        ]
        return min(plans, key=self._order)

    def ranked(self) -> list[PlannedSet]:
        """All sets, the cheapest sharp one first."""
        return sorted(self.seen.values(), key=self._order)

    def _order(self, plan: PlannedSet) -> tuple[float, ...]:
        error, cost = plan.reading.share_error, plan.reading.removed
        return (0.0, cost, error) if error <= self.needed else (1.0, error, cost)


def off_weeks(count: int, seed: int) -> tuple[int, ...]:
    """First day of each of `count` off weeks, counted from a Monday: drawn among the first two weeks of each block."""
    rng = np.random.default_rng([seed, count, 43])
    return tuple(7 * (BLOCK_WEEKS * at + int(rng.integers(2))) for at in range(count))


def plan_weeks(
    panel: Panel,
    baseline: Baseline,
    channel: str,
    *,
    market: str | None = None,
    counts: Sequence[int] = OFF_WEEKS,
    seed: int = 0,
) -> list[PlannedWeeks]:
    """Off weeks drawn at random, for an entry that cannot be split by market, as the ledger would read them.

    Parameters
    ----------
    panel, baseline
        The case (of one market, when `market` is given), daily, and its open world fitted on all its days.
    channel
        The one to be tested.
    counts
        Numbers of off weeks tried.
    seed
        Of the weeks drawn.

    Returns
    -------
    list of PlannedWeeks
        By number of off weeks; one whose span does not leave 8 weeks of history is left out.

    Notes
    -----
    The schedule is laid over past days, at up to three dates, and the median error taken. The off days are hidden, the
    week after each is left out as its rebound, and what the other days say about them is `ledger.both_sides`.
    """
    series = next((one for one in baseline.series if one.channel == channel), None)
    if panel.cadence == "weekly" or series is None:
        return []
    visits = panel.over_markets("visits", market)
    whole = np.where(np.isfinite(visits).any(axis=1), np.nansum(visits, axis=1), np.nan)
    values = np.full(baseline.dates.size, np.nan)
    values[: whole.size] = whole
    total = fit_channel("visits", None, values, baseline.shop, baseline.before)
    weekday = int((panel.dates[-1].astype("datetime64[D]").astype(int) + 3) % 7)  # Monday = 0
    end = len(panel.dates) - (weekday + 1) % 7
    size = float(np.nanmean(whole[-RECENT_DAYS:]))
    own = float(np.nanmean(visits[-RECENT_DAYS:, panel.channel_index(channel)]))
    found = []
    for count in counts:
        off = off_weeks(count, seed)
        ends = [end - 7 * SHIFT_WEEKS * at for at in range(ORIGINS)]
        ends = [last for last in ends if last - 7 * BLOCK_WEEKS * count >= FEWEST_BEFORE]
        if not ends:
            continue
        errors = [
            [_weeks_error(one, off, last - 7 * BLOCK_WEEKS * count, last) for last in ends] for one in (total, series)
        ]
        whole_error, own_fall = (float(np.median(one)) for one in errors)
        reading = Reading(own * 7 * count, size * 7 * count, whole_error)
        found.append(PlannedWeeks(off, off[-1] + 7, reading, own_fall))
    return found


def _weeks_error(series: ChannelSeries, off: Sequence[int], first: int, end: int) -> float:
    """Standard error of a series' sum over off weeks of a schedule that begins on day number `first`."""
    measured = np.concatenate([np.arange(first + day, first + day + 7) for day in off])
    hidden = np.unique(np.concatenate([np.arange(first + day, first + day + 7 + REBOUND_DAYS) for day in off]))
    days = EventDays(measured, np.empty(0, dtype=np.int64), hidden[hidden < end])
    return float(np.sqrt(both_sides(series, days, end).covariance[0, 0]))
