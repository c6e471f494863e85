"""The five tables of journeys and the daily panel as SQL that DuckDB, Spark and ClickHouse read alike.

Only what behaves alike everywhere is used: row_number, lag and lead with a default, sums, whole numbers, doubles with
+ - * / and floor. Ordered aggregates differ silently between engines; the one needed, for the count of distinct paths,
is written by each dialect. Names of channels never enter the text: they are numbered inside the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from rechannel.tables.journeyrules import (
    BLANK,
    COUNTS,
    DAY,
    DECAY_UNIT,
    LARGEST_VALUE,
    MOST_AGES,
    OVERLAP_UNIT,
    JourneyRules,
    Layout,
    Log,
)
from rechannel.tables.sessions import HALVING

Step = Literal["lag", "lead"]
COUNTED = ("rows", "distinct", *COUNTS[2:])
"""What is counted: `distinct` rows are those that are left once exact repeats are dropped."""


class Dialect(Protocol):
    """What is written differently from engine to engine."""

    def micros(self, time: str) -> str:
        """Microseconds since 1970 of a time column, as a 64-bit number."""
        ...

    def whole(self, value: str) -> str:
        """As a 64-bit whole number."""
        ...

    def real(self, value: str) -> str:
        """As a double."""
        ...

    def total(self, value: str) -> str:
        """Sum of whole numbers that fails or widens rather than wraps around."""
        ...

    def half(self, value: str, times: str) -> str:
        """A whole number halved a number of times, rounded down."""
        ...

    def bit(self, place: str) -> str:
        """2 to the power `place`, as a 64-bit whole number."""
        ...

    def shard(self, customer: str, of: int) -> str:
        """A number from 0 to `of` - 1 that depends on the customer alone."""
        ...

    def moved(self, step: Step, value: str, default: str, over: str) -> str:
        """`value` of the row before or after, in the partition and order `over`."""
        ...

    def path(self, place: str, channel: str) -> str:
        """Aggregate: the channels of a path in the order of `place`, as one text."""
        ...


@dataclass(frozen=True, slots=True)
class Script:
    """Queries on one table of touches.

    Attributes
    ----------
    dialect
        The engine's.
    table
        The table as the engine names it, quoted.
    rules, log
        The contract, and channels and days of the log.
    shards
        In how many parts of the customers every table comes back.
    has_value
        Whether the table has order values.
    """

    dialect: Dialect
    table: str
    rules: JourneyRules
    log: Log
    shards: int = 1
    has_value: bool = True

    @property
    def layout(self) -> Layout:
        """Always of pairs: triples hold the steps of order 1 too."""
        return Layout(len(self.log.channels), self.rules.periods, 2)

    def counts(self) -> str:
        """shard, then the counts of `COUNTED`; a shard has several rows, which add up."""
        total, whole = self.dialect.total, self.dialect.whole
        buyer = "CASE WHEN e = 1 THEN who END"
        found = {
            f"(SELECT {self.dialect.shard('customer', self.shards)} AS part FROM {self.table}) AS given": {
                "rows": "count(*)"
            },
            "touch": {
                "distinct": "count(*)",
                "visits": total("1 - e"),
                "orders": total("e"),
                "customers": "count(DISTINCT who)",
                "buyers": f"count(DISTINCT {buyer})",
            },
            "session": {"sessions": "count(*)"},
            f"(SELECT part FROM session WHERE k = 1 AND {_NO_ORDER}) AS unsold": {"lost": "count(*)"},
            "path": {"attributed": "count(*)"},
        }
        queries = []
        for source, columns in found.items():
            listed = ", ".join(f"{whole(columns.get(name, '0'))} AS {name}_n" for name in COUNTED)
            queries.append(f"SELECT part, {listed} FROM {source} GROUP BY part")
        return self._with("path") + "\nUNION ALL ".join(queries)

    def distinct_paths(self) -> str:
        """One number."""
        text = self.dialect.path("k", "c")
        paths = f"SELECT {text} AS words FROM step GROUP BY who, o"
        return f"{self._with('step')} SELECT count(DISTINCT words) AS n FROM ({paths}) AS texts"

    def transitions(self) -> str:
        """shard, period, before, at, to, count."""
        size = self.layout.channels
        bought = f"""SELECT part, period, CASE WHEN is_first = 1 THEN {size} ELSE before END AS b, c,
            CASE WHEN is_last = 1 THEN {size} ELSE after END AS a FROM placed"""
        lost = f"""SELECT part, {self._period("last_t")} AS period, before AS b, c, after AS a
            FROM session WHERE {_NO_ORDER}"""
        return f"""{self._with("placed")} SELECT part, period, b, c, a, count(*) AS n
            FROM ({bought} UNION ALL {lost}) AS moves GROUP BY part, period, b, c, a"""

    def channel_sets(self) -> str:
        """shard, period, set, orders, value, first orders."""
        total = self.dialect.total
        return f"""{self._with("path")} SELECT part, period, held, count(*) AS n0, {total("v")} AS n1,
            {total("is_new")} AS n2 FROM path GROUP BY part, period, held"""

    def by_length(self) -> str:
        """shard, period, channel, length, then twelve sums (kind x part)."""
        total = self.dialect.total
        sums = []
        for amount, decay in (("1", "decay"), ("v", "v_decay"), ("is_new", "decay * is_new")):
            sums += [amount, f"{amount} * is_first", f"{amount} * is_last", decay]
        columns = ", ".join(f"{total(value)} AS n{place}" for place, value in enumerate(sums))
        return f"""{self._with("credited")} SELECT part, period, c, length, {columns}
            FROM credited GROUP BY part, period, c, length"""

    def overlap(self) -> str:
        """table of `OVERLAP`, shard, channel, channel, sum."""
        dialect = self.dialect
        others = "(one.visits - one.n)"
        scale = dialect.whole(f"floor({dialect.real(str(OVERLAP_UNIT))} / {dialect.real(f'{others} + 1')})")
        common = f"CASE WHEN one.c = other.c THEN one.n ELSE one.n * other.n END * {scale}"
        shared = f"CASE WHEN {others} > 0 THEN {common} ELSE 0 END"
        return f"""{self._with("used")} SELECT 0 AS place, one.part AS p, one.c AS f, other.c AS g, count(*) AS n
            FROM used AS one JOIN used AS other ON one.who = other.who GROUP BY one.part, one.c, other.c
            UNION ALL SELECT 1 AS place, part AS p, before AS f, c AS g, count(*) AS n FROM session WHERE k > 1
            GROUP BY part, before, c
            UNION ALL SELECT 2 AS place, one.part AS p, one.c AS f, other.c AS g, {dialect.total(shared)} AS n
            FROM used AS one JOIN used AS other ON one.who = other.who GROUP BY one.part, one.c, other.c"""

    def alone(self) -> str:
        """shard, channel, then the sums of `ALONE`."""
        total, known = self.dialect.total, self.log.known_from(self.rules)
        return f"""{self._with("used")} SELECT part, c, {total("n")} AS n0,
            {total("CASE WHEN n = visits THEN n ELSE 0 END")} AS n1, {total("early")} AS n2,
            {total(f"CASE WHEN first_c = c AND first_t >= {known} THEN 1 ELSE 0 END")} AS n3
            FROM used GROUP BY part, c"""

    def retention(self) -> str:
        """table of `RETENTION`, shard, channel of the first session, age, sum."""
        dialect, width = self.dialect, self.rules.age_days * DAY
        age = dialect.whole(f"floor({dialect.real('(x.t - cohort.begins)')} / {dialect.real(str(width))})")
        seen = f"""SELECT DISTINCT cohort.who AS who, cohort.part AS part, entered, {age} AS age, seen
            FROM cohort JOIN session AS x ON cohort.who = x.who"""
        bought = f"""SELECT cohort.part AS part, entered, {age} AS age, seen, x.v AS v
            FROM cohort JOIN ordered AS x ON cohort.who = x.who WHERE x.t >= cohort.begins"""
        return f"""{self._with("cohort")} SELECT 0 AS place, part, entered, seen AS age, count(*) AS n FROM cohort
            GROUP BY part, entered, seen
            UNION ALL SELECT 1 AS place, part, entered, age, count(*) AS n FROM ({seen}) AS visited WHERE age < seen
            GROUP BY part, entered, age
            UNION ALL SELECT 2 AS place, part, entered, age, count(*) AS n FROM ({bought}) AS sold WHERE age < seen
            GROUP BY part, entered, age
            UNION ALL SELECT 3 AS place, part, entered, age, {dialect.total("v")} AS n FROM ({bought}) AS earned
            WHERE age < seen GROUP BY part, entered, age"""

    def daily(self) -> str:
        """day since 1970, channel, visits (sessions), new customers, orders, value; orders by their own channel."""
        dialect = self.dialect
        day = dialect.whole(f"floor({dialect.real('t')} / {dialect.real(str(DAY))})")
        lines = f"""SELECT {day} AS d, c, 1 AS n0, 0 AS n1, 0 AS n2, {dialect.whole("0")} AS n3 FROM session
            UNION ALL SELECT {day} AS d, c, 0 AS n0, is_new AS n1, 1 AS n2, v AS n3 FROM ordered"""
        sums = ", ".join(f"{dialect.total(f'n{place}')} AS s{place}" for place in range(4))
        return f"{self._with('session', 'ordered')} SELECT d, c, {sums} FROM ({lines}) AS lines GROUP BY d, c"

    def histories(self, entered_from: int, until: int) -> str:
        """channel of the first order, order days after the first, days to the last one, days to the eve, customers.

        Of customers whose first order lies on the days [entered_from, until), as they stood before the day `until`.
        """
        each = f"""SELECT who, count(*) - 1 AS x, max(d) - min(d) AS r, {until - 1} - min(d) AS age FROM bought
            WHERE d < {until} GROUP BY who HAVING min(d) >= {entered_from}"""
        return f"""{self._with("bought", "ordered")} SELECT o.c AS c, x, r, age, count(*) AS n
            FROM ({each}) AS h JOIN ordered AS o ON h.who = o.who WHERE o.o = 1 GROUP BY o.c, x, r, age"""

    def repeats(self, entered: tuple[int, int], seen: tuple[int, int], age_days: int, most_ages: int) -> str:
        """channel of the first order, age, order days after the first, orders on them, their value.

        Of customers whose first order lies on the days [entered), what they ordered on the days [seen).
        """
        dialect = self.dialect
        age = dialect.whole(f"floor({dialect.real('(d - first_d - 1)')} / {dialect.real(str(age_days))})")
        later = f"""SELECT who, CASE WHEN {age} < {most_ages} THEN {age} ELSE {most_ages} END AS age, n, paid
            FROM buying WHERE d > first_d AND first_d >= {entered[0]} AND first_d < {entered[1]}
                AND d >= {seen[0]} AND d < {seen[1]}"""
        return f"""{self._with("buying", "ordered")} SELECT o.c AS c, age, count(*) AS n0, {dialect.total("n")} AS n1,
            {dialect.total("paid")} AS n2
            FROM ({later}) AS h JOIN ordered AS o ON h.who = o.who WHERE o.o = 1 GROUP BY o.c, age"""

    def order_totals(self, seen: tuple[int, int]) -> str:
        """orders on the days [seen), first orders among them, value."""
        total, whole = self.dialect.total, self.dialect.whole
        inside = f"t >= {seen[0] * DAY} AND t < {seen[1] * DAY}"
        sums = (f"CASE WHEN {inside} THEN {amount} ELSE 0 END" for amount in ("1", "is_new", "v"))
        columns = ", ".join(f"{whole(f'coalesce({total(one)}, 0)')} AS n{place}" for place, one in enumerate(sums))
        return f"{self._with('ordered')} SELECT {columns} FROM ordered"

    def _period(self, time: str) -> str:
        cases = [f"WHEN {time} < {moment} THEN {place}" for place, moment in enumerate(self.rules.break_times)]
        return f"CASE {' '.join(cases)} ELSE {len(cases)} END" if cases else "0"

    def _with(self, *wanted: str) -> str:
        """The tables up to the wanted ones, each under its name."""
        tables = self._tables()
        need, missing = set[str](), list(wanted)
        while missing:
            name = missing.pop()
            if name not in need:
                need.add(name)
                missing += _NEEDS[name]
        return "WITH " + ",\n".join(f"{name} AS ({text})" for name, text in tables.items() if name in need) + "\n"

    def _tables(self) -> dict[str, str]:
        dialect, rules, size = self.dialect, self.rules, self.layout.channels
        real, whole = dialect.real, dialect.whole
        amount = whole(f"floor(value * {real(str(10**rules.decimals))} + {real('0.5')})")
        value = f"CASE WHEN value IS NULL THEN {BLANK} ELSE {amount} END" if self.has_value else whole(str(BLANK))
        by_time = "PARTITION BY who ORDER BY t"
        in_order = "PARTITION BY who ORDER BY t, c, v"
        halvings = f"({real('(last_t - t)')} / {real(repr(rules.half_life))})"
        weight = real(str(HALVING[-1]))
        for coefficient in HALVING[-2::-1]:
            weight = f"({weight} * part_of + {real(str(coefficient))})"
        share = f"({real('w')} / {real('all_w')})"
        width, known, last = rules.age_days * DAY, self.log.known_from(rules), self.log.last
        full = whole(f"floor({real(f'({last} - first_t)')} / {real(str(width))})")
        return {
            "named": f"""SELECT channel AS name, row_number() OVER (ORDER BY channel) - 1 AS code
                FROM (SELECT DISTINCT channel FROM {self.table}) AS listed""",
            "touch": f"""SELECT DISTINCT customer AS who, {dialect.shard("customer", self.shards)} AS part,
                {dialect.micros("time")} AS t, CASE WHEN event = 'order' THEN 1 ELSE 0 END AS e, {whole("code")} AS c,
                {value} AS v FROM {self.table} AS given JOIN named ON given.channel = named.name""",
            "visit": f"""SELECT who, part, t, c, {dialect.moved("lag", "t", str(BLANK), in_order)} AS before_t
                FROM touch WHERE e = 0""",
            "session": f"""SELECT who, part, t, c, row_number() OVER ({by_time}) AS k,
                {dialect.moved("lag", "c", whole(str(size)), by_time)} AS before,
                {dialect.moved("lead", "c", whole(str(size + 1)), by_time)} AS after,
                min(t) OVER (PARTITION BY who) AS first_t, max(t) OVER (PARTITION BY who) AS last_t
                FROM visit WHERE t - before_t > {rules.gap}""",
            "ordered": f"""SELECT who, part, t, c, CASE WHEN paid = {BLANK} THEN 0 ELSE paid END AS v, o,
                CASE WHEN o = 1 THEN 1 ELSE 0 END AS is_new, {self._period("t")} AS period
                FROM (SELECT who, part, t, c, v AS paid, row_number() OVER ({in_order}) AS o
                    FROM touch WHERE e = 1) AS numbered""",
            "dated": f"""SELECT who, {whole(f"floor({real('t')} / {real(str(DAY))})")} AS d, v AS amount
                FROM ordered""",
            "bought": f"""SELECT who, d, count(*) AS n, {dialect.total("amount")} AS paid FROM dated GROUP BY who, d""",
            "buying": "SELECT who, d, n, paid, min(d) OVER (PARTITION BY who) AS first_d FROM bought",
            "step": f"""SELECT x.who AS who, x.part AS part, x.o AS o, x.period AS period, x.v AS v, x.is_new AS is_new,
                s.k AS k, s.t AS t, s.c AS c, s.before AS before, s.after AS after
                FROM ordered AS x JOIN session AS s ON x.who = s.who
                WHERE s.t <= x.t AND s.t >= x.t - {rules.lookback}""",
            "path": f"""SELECT who, o, part, period, v, is_new, count(*) AS length, max(k) AS last_k, max(t) AS last_t,
                sum(DISTINCT {dialect.bit("c")}) AS held FROM step GROUP BY who, o, part, period, v, is_new""",
            "placed": """SELECT s.who AS who, s.part AS part, s.o AS o, s.period AS period, s.v AS v,
                s.is_new AS is_new, s.t AS t, s.c AS c, s.before AS before, s.after AS after, p.length AS length,
                p.last_t AS last_t, CASE WHEN s.k = p.last_k - p.length + 1 THEN 1 ELSE 0 END AS is_first,
                CASE WHEN s.k = p.last_k THEN 1 ELSE 0 END AS is_last
                FROM step AS s JOIN path AS p ON s.who = p.who AND s.o = p.o""",
            "halved": f"""SELECT who, part, o, period, v, is_new, c, length, is_first, is_last,
                floor({halvings}) AS whole_of, {halvings} - floor({halvings}) AS part_of FROM placed""",
            "weighed": f"""SELECT who, part, o, period, v, is_new, c, length, is_first, is_last,
                {dialect.half(whole(f"floor({weight})"), "CASE WHEN whole_of < 62 THEN whole_of ELSE 62 END")} AS w
                FROM halved""",
            "summed": "SELECT *, sum(w) OVER (PARTITION BY who, o) AS all_w FROM weighed",
            "shared": f"""SELECT who, part, o, period, v, is_new, c, length, is_first, is_last,
                CASE WHEN is_last = 1 THEN 0 ELSE {whole(f"floor({share} * {real(str(DECAY_UNIT))})")} END AS d,
                CASE WHEN is_last = 1 THEN 0 ELSE {whole(f"floor({share} * {real('v')})")} END AS vd FROM summed""",
            "credited": f"""SELECT part, period, v, is_new, c, length, is_first, is_last,
                CASE WHEN is_last = 1 THEN {DECAY_UNIT} - sum(d) OVER (PARTITION BY who, o) ELSE d END AS decay,
                CASE WHEN is_last = 1 THEN v - sum(vd) OVER (PARTITION BY who, o) ELSE vd END AS v_decay FROM shared""",
            "used": f"""SELECT who, part, c, count(*) AS n, min(visits_of) AS visits, min(first_of) AS first_c,
                min(first_at) AS first_t, sum(CASE WHEN t < {known} THEN 1 ELSE 0 END) AS early
                FROM (SELECT who, part, t, c, count(*) OVER (PARTITION BY who) AS visits_of, first_t AS first_at,
                    min(CASE WHEN k = 1 THEN c ELSE {size} END) OVER (PARTITION BY who) AS first_of
                    FROM session) AS opened
                GROUP BY who, part, c""",
            "cohort": f"""SELECT who, part, c AS entered, t AS begins,
                CASE WHEN {full} < {MOST_AGES} THEN {full} ELSE {MOST_AGES} END AS seen
                FROM session WHERE k = 1 AND t >= {known}""",
        }


_NO_ORDER = "who NOT IN (SELECT who FROM ordered)"
_NEEDS = {
    "named": (),
    "touch": ("named",),
    "visit": ("touch",),
    "session": ("visit",),
    "ordered": ("touch",),
    "dated": ("ordered",),
    "bought": ("dated",),
    "buying": ("bought",),
    "step": ("session", "ordered"),
    "path": ("step",),
    "placed": ("step", "path"),
    "halved": ("placed",),
    "weighed": ("halved",),
    "summed": ("weighed",),
    "shared": ("summed",),
    "credited": ("shared",),
    "used": ("session",),
    "cohort": ("session", "ordered"),
}


def survey(dialect: Dialect, table: str, has_value: bool, rules: JourneyRules) -> str:
    """channel, rows, first and last time, rows that are no touches."""
    largest = LARGEST_VALUE / 10**rules.decimals
    odd = [f"{name} IS NULL" for name in ("customer", "time", "channel", "event")]
    odd.append("event NOT IN ('visit', 'order')")
    if has_value:
        odd.append(f"NOT (value IS NULL OR abs(value) < {largest:.0f})")
    time = dialect.micros("time")
    bad = dialect.total(f"CASE WHEN {' OR '.join(odd)} THEN 1 ELSE 0 END")
    return f"""SELECT channel, count(*) AS n, min({time}) AS first_t, max({time}) AS last_t, {bad} AS odd
        FROM {table} GROUP BY channel"""
