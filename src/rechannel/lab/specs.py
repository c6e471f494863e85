"""What one made market is: its seed, size, entries, dated happenings and behavioural knobs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from zlib import crc32

import numpy as np

from rechannel.lab.chance import stream
from rechannel.lab.kinds import ENTRIES, KNOBS, RANGES, WEEKDAY_ENTRY, Entry, Knobs, Range, entry_named, kind_named
from rechannel.vocabulary.channel import EventKind

AFTER_DAYS = 180
"""Days of truth from D on."""

SPRING_FESTIVAL = {
    2018: (2, 15),
    2019: (2, 4),
    2020: (1, 24),
    2021: (2, 11),
    2022: (1, 31),
    2023: (1, 21),
    2024: (2, 10),
    2025: (1, 28),
    2026: (2, 15),
    2027: (2, 5),
}
"""First day of the statutory holiday (State Council notices; 2027 as the lunar calendar has it)."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something with a date that acts on the market, and whether the shop's `events` table tells of it.

    Attributes
    ----------
    kind
        As in `events`.
    start, end
        First and last day, end inclusive.
    channels, markets
        Empty = all.
    severity
        For faults, tests, demotions and closures: share of prominence taken away.
    strength
        For promotions and holidays: change of needs; for `other`: change of needs (no channel) or of the named
        entries' pull; for measurement_break: factor of counted visits from then on, minus 1.
    note
        The shop's words.
    logged
        Whether `events` has the row.
    """

    kind: EventKind
    start: date
    end: date
    channels: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    severity: float = 0.0
    strength: float = 0.0
    note: str = ""
    logged: bool = True


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """Everything that makes one market, drawn by `draw_spec` or written by hand.

    Attributes
    ----------
    seed, kind
        Seed of every stream (`draw_spec` mixes the kind into it, so that kinds share no luck); name of the row of
        `KINDS`.
    start, on
        First day of `daily`; day D.
    after_days
        Days of truth from D on.
    announced
        Day of the announcement, or None.
    entries, shares
        Entries of the shop and their share of visits on an average day.
    closing
        Name of the entry that D is about.
    markets, rivals
        Names; `("all",)` = one market.
    rival_sizes
        Visits of each rival relative to the shop's.
    happenings
        Everything dated but the closure and its announcement.
    knobs
        Behaviour.
    future
        Another value gives the same past with other chance from D on.
    customers
        Customer classes that are sampled.
    """

    seed: int
    kind: str
    start: date
    on: date
    announced: date | None
    entries: tuple[Entry, ...]
    shares: tuple[float, ...]
    closing: str
    markets: tuple[str, ...]
    rivals: tuple[str, ...]
    rival_sizes: tuple[float, ...]
    happenings: tuple[Happening, ...]
    knobs: Knobs
    after_days: int = AFTER_DAYS
    future: int = 0
    customers: int = 6000
    currency: str = "CNY"

    @property
    def history(self) -> int:
        """Days before D."""
        return (self.on - self.start).days

    @property
    def days(self) -> int:
        """All days, before and after D."""
        return self.history + self.after_days

    @property
    def visits_per_day(self) -> float:
        return self.knobs.visits_per_day

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    @property
    def closing_index(self) -> int:
        return self.channels.index(self.closing)

    def index_of(self, day: date) -> int:
        """Position of `day` on the date axis."""
        return (day - self.start).days


def draw_knobs(seed: int, ranges: dict[str, Range]) -> Knobs:
    """Every knob from its own stream, so that another range for one leaves the others alone."""
    return Knobs(**{name: ranges[name].at(float(stream(seed, "knob", name).random())) for name in KNOBS})


def draw_spec(kind: str, seed: int) -> WorldSpec:
    """A market of one kind.

    Parameters
    ----------
    kind
        Name of a row of `KINDS`.
    seed
        Any whole number >= 0; the same pair gives the same market.

    Raises
    ------
    ValueError
        When the kind is unknown; names all kinds.

    Examples
    --------
    >>> draw_spec("placebo", 3).knobs.severity
    0.0
    """
    row = kind_named(kind)
    seed = seed * 2**32 + crc32(kind.encode())
    knobs = draw_knobs(seed, {**RANGES, **row.ranges})
    rng = stream(seed, "spec")
    entries, closing = _draw_entries(rng, knobs)
    shares = _draw_shares(rng, entries, closing, knobs)
    on = date(2023, 1, 1) + timedelta(days=int(rng.integers(0, 3 * 365)))
    start = on - timedelta(days=int(knobs.history_days))
    rivals = tuple(f"rival_{letter}" for letter in "abcd"[: int(rng.integers(1, 5))])
    sizes = knobs.rival_size * rng.dirichlet(np.full(len(rivals), 2.0))
    count = int(knobs.markets)
    markets = tuple(f"m{index + 1:02d}" for index in range(count)) if count > 1 else ("all",)
    spec = WorldSpec(
        seed=seed,
        kind=kind,
        start=start,
        on=on,
        announced=on - timedelta(days=int(knobs.notice_days)) if knobs.notice_days else None,
        entries=entries,
        shares=shares,
        closing=closing,
        markets=markets,
        rivals=rivals,
        rival_sizes=tuple(float(size) for size in sizes),
        happenings=(),
        knobs=knobs,
    )
    return with_happenings(spec, (*calendar_of(spec), *draw_happenings(spec)))


def with_happenings(spec: WorldSpec, happenings: tuple[Happening, ...]) -> WorldSpec:
    """The same market with these happenings, in order of their first day."""
    return replace(spec, happenings=tuple(sorted(happenings, key=lambda row: (row.start, row.kind, row.channels))))


def _draw_entries(rng: np.random.Generator, knobs: Knobs) -> tuple[tuple[Entry, ...], str]:
    """The shop's entries and the closing one; a twin stands in the same host."""
    order = list(rng.permutation(len(ENTRIES)))
    entries = [ENTRIES[index] for index in order[: int(knobs.entries)]]
    if not any(entry.host == "own" for entry in entries):
        entries[0] = entry_named("app")
    rented = [entry for entry in entries if entry.host != "own"] or entries
    closing = rented[int(rng.integers(len(rented)))]
    if knobs.twin_entry:
        entries = [entry for entry in entries if entry.name != f"{closing.name}_twin"]
        twin = Entry(f"{closing.name}_twin", closing.host, closing.kind, closing.paid, closing.created)
        entries = [*entries, twin]
    if knobs.weekday_entry:
        live = Entry(closing.name, closing.host, closing.kind, closing.paid, closing.created, weekdays=WEEKDAY_ENTRY)
        entries = [live if entry.name == closing.name else entry for entry in entries]
    return tuple(entries), closing.name


def _draw_shares(rng: np.random.Generator, entries: tuple[Entry, ...], closing: str, knobs: Knobs) -> tuple[float, ...]:
    """Shares of visits that add to 1: the closing entry's and all paid entries' knobs, the rest at random."""
    sizes = rng.dirichlet(np.full(len(entries), 1.2)) + 0.03
    paid = np.array([entry.paid for entry in entries])
    own = np.array([entry.name == closing for entry in entries])
    paid_share = knobs.paid_share if paid.any() and not (paid | own).all() else 0.0
    others = np.where(own, 0.0, sizes)
    if paid_share > 0 and (paid & ~own).any():
        bought = np.where(paid, others, 0.0)
        free = np.where(paid, 0.0, others)
        others = paid_share * bought / bought.sum() + (1 - paid_share) * free / free.sum()
    shares = np.where(own, knobs.share, (1 - knobs.share) * others / others.sum())
    return tuple(float(share) for share in shares)


def calendar_of(spec: WorldSpec) -> tuple[Happening, ...]:
    """Holidays and promotions of every year the market touches; windows and strengths differ from year to year."""
    rows: list[Happening] = []
    knobs = spec.knobs
    last = spec.start + timedelta(days=spec.days)
    for year in range(spec.start.year, last.year + 1):
        rng = stream(spec.seed, "calendar", str(year))
        month, day = SPRING_FESTIVAL[year]
        rows += [
            _holiday("spring_festival", date(year, month, day), 8, 1.6 * knobs.holiday_lift),
            _holiday("national_day", date(year, 10, 1), 7, knobs.holiday_lift),
            _holiday("labour_day", date(year, 5, 1), 5, 0.6 * knobs.holiday_lift),
        ]
        first = date(year, 5, 31) - timedelta(days=int(rng.integers(0, 12)))
        rows.append(_promo("618", first, date(year, 6, 20), 0.9 * knobs.promo_lift * rng.uniform(0.8, 1.2)))
        first = date(year, 10, 31) - timedelta(days=int(rng.integers(0, 18)))
        rows.append(_promo("double_11", first, date(year, 11, 12), knobs.promo_lift * rng.uniform(0.8, 1.2)))
        if knobs.rival_promo > 0:
            first = date(year, int(rng.integers(3, 10)), int(rng.integers(1, 28)))
            end = first + timedelta(days=int(rng.integers(5, 15)))
            strength = -knobs.rival_promo * rng.uniform(0.6, 1.4)
            rows.append(Happening("other", first, end, strength=strength, note="rival_promo"))
    return tuple(row for row in rows if spec.start <= row.end and row.start < last)


def _holiday(name: str, first: date, days: int, strength: float) -> Happening:
    return Happening("holiday", first, first + timedelta(days=days - 1), strength=strength, note=name)


def _promo(name: str, first: date, last: date, strength: float) -> Happening:
    return Happening("promo", first, last, strength=strength, note=name)


def draw_happenings(spec: WorldSpec) -> tuple[Happening, ...]:
    """Past faults, geo test, measurement break and hidden jump as the knobs ask; faults keep 35 days apart."""
    knobs, rows = spec.knobs, []
    rng = stream(spec.seed, "faults")
    others = [name for name in spec.channels if name != spec.closing]
    wanted = [spec.closing] * int(knobs.outages_own)
    wanted += [others[int(rng.integers(len(others)))] for _ in range(int(knobs.outages_other))]
    taken: list[int] = []
    for name in wanted:
        length = max(3, round(knobs.outage_days * rng.uniform(0.7, 1.4)))
        for first in rng.integers(30, max(31, spec.history - 60), size=40):
            if all(abs(int(first) - other) > 35 for other in taken) and int(first) + length < spec.history - 35:
                taken.append(int(first))
                start = spec.start + timedelta(days=int(first))
                severity = 1.0 if rng.random() < 0.7 else float(np.round(rng.uniform(0.5, 0.95), 2))
                end = start + timedelta(days=length - 1)
                rows.append(
                    Happening("outage", start, end, (name,), severity=severity, logged=bool(knobs.logged), note="fault")
                )
                break
    if knobs.test_days:
        start = spec.on - timedelta(days=int(knobs.test_days) + 60)
        chosen = rng.permutation(len(spec.markets))[: max(2, len(spec.markets) // 3)]
        names = tuple(spec.markets[index] for index in sorted(chosen))
        end = start + timedelta(days=int(knobs.test_days) - 1)
        rows.append(Happening("test", start, end, (spec.closing,), names, severity=1.0, note="geo test"))
    if knobs.tracking:
        start = spec.on - timedelta(days=int(rng.integers(35, min(200, spec.history - 20))))
        names = (spec.closing,) if rng.random() < 0.6 else (others[int(rng.integers(len(others)))],)
        size = knobs.tracking * (1 if rng.random() < 0.5 else -1)
        rows.append(Happening("measurement_break", start, start, names, strength=size, note="new tracking"))
    if knobs.break_size:
        start = spec.on - timedelta(days=int(min(knobs.break_before, spec.history - 20)))
        end = spec.on + timedelta(days=spec.after_days)
        firm, own = knobs.break_size * rng.standard_normal(2)
        rows.append(Happening("other", start, end, strength=float(np.clip(firm, -0.5, 0.8)), logged=False))
        rows.append(
            Happening("other", start, end, (spec.closing,), strength=float(np.clip(own, -0.6, 1)), logged=False)
        )
    return tuple(rows)
