"""Many partial daily tables become one panel: each metric of a channel comes from one export, never from two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from rechannel.source.contract import TABLES, TableName
from rechannel.source.engine import locked_engine, named, quoted
from rechannel.source.export import Counts, Export, Role
from rechannel.source.faultlist import FaultList
from rechannel.vocabulary.channel import METRICS, WHOLE_SHOP, Metric
from rechannel.vocabulary.errors import MOST_FAULTS

_RANK: Mapping[Role, int] = {"table": 0, "traffic": 1, "events": 2, "shop": 3, "orders": 4, "ads": 5}
"""Which record is believed when two state a metric of one channel."""
FEWEST_REPEATS = 3
"""Days on which two files to be added must say the same to be taken for one."""
BOUGHT: frozenset[Metric] = frozenset({"cost", "volume"})
"""What an advertising platform is the first record of."""
ATTRIBUTED: frozenset[Metric] = frozenset({"visits", "orders", "gmv", "new_customers"})
"""What an advertising platform claims for itself: read only where no record of the shop's own traffic is there."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one table from one file, or from the files of one log.

    Attributes
    ----------
    files, sha256
        Names without folder, and SHA-256 of the bytes.
    relation
        Canonical columns that the files know.
    """

    export: Export
    table: TableName
    files: tuple[str, ...]
    sha256: tuple[str, ...]
    relation: pa.Table


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a metric of some channels came from."""

    metric: Metric
    label: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JoinedPanel:
    """The panel, where each metric came from, and what its visits count."""

    relation: pa.Table
    origins: tuple[Origin, ...]
    counts: Counts


def stack(table: TableName, pieces: Sequence[Piece], faults: FaultList) -> tuple[pa.Table, int]:
    """The rows of several files of one kind; equal rows once, one key with two contents refused with both files.

    Of a key that may hold several rows (`ties`), a later file may state no row that the first one does not. Where files
    hold parts (`adds_files`), the rows of one key are added.

    Returns
    -------
    The rows in the order of the files, and how many repeats were dropped.
    """
    names = [name for name in TABLES[table].names if any(name in piece.relation.column_names for piece in pieces)]
    keys = [name for name in TABLES[table].key if name in names]
    whole = pa.concat_tables(
        [
            piece.relation.append_column("file", pa.array([place] * piece.relation.num_rows, pa.int64()))
            for place, piece in enumerate(pieces)
        ],
        promote_options="default",
    )
    if len(pieces) == 1 or not keys:
        return whole.select(names), 0
    if pieces[0].export.adds_files:
        _say_repeats(pieces, keys, faults)
        metrics = [name for name in names if name not in keys]
        added = whole.select(names).group_by(keys, use_threads=False).aggregate([(name, "sum") for name in metrics])
        return added.rename_columns([name.removesuffix("_sum") for name in added.column_names]).select(names), 0
    with locked_engine() as connection:
        connection.register("given", whole)
        connection.execute("CREATE TABLE stacked AS SELECT *, row_number() OVER () AS n FROM given")
        parts = ", ".join(named(key) for key in keys)
        whole_row = ", ".join([parts, *(named(name) for name in TABLES[table].ties if name in names)])
        content = f"struct_pack({', '.join(f'{named(name)} := {named(name)}' for name in names)})"
        connection.execute(
            f"""CREATE TABLE repeated AS SELECT n, file, first_file, label, same FROM (
                SELECT n, file, first_value(file) OVER key AS first_file,
                    file <> first_value(file) OVER whole
                        AND content IS NOT DISTINCT FROM first_value(content) OVER whole AS same,
                    concat_ws(' ', {", ".join(f"CAST({named(key)} AS VARCHAR)" for key in keys)}) AS label
                FROM (SELECT *, {content} AS content FROM stacked)
                WINDOW key AS (PARTITION BY {parts} ORDER BY n), whole AS (PARTITION BY {whole_row} ORDER BY n))
            WHERE file <> first_file"""
        )
        for file, first, label, count in connection.execute(
            f"""SELECT file, first_file, min(label), count(*) FROM repeated WHERE NOT same
            GROUP BY ALL ORDER BY 1 LIMIT {MOST_FAULTS}"""
        ).fetchall():
            other, here = (", ".join(pieces[int(place)].files) for place in (first, file))
            faults.add("RC732", "refuse", file=here, other=other, key=str(label), count=f"{count:,}")
        selected = ", ".join(named(name) for name in names)
        kept = connection.sql(
            f"SELECT {selected} FROM stacked WHERE n NOT IN (SELECT n FROM repeated WHERE same) ORDER BY n"
        ).to_arrow_table()
    return kept, whole.num_rows - kept.num_rows


def _say_repeats(pieces: Sequence[Piece], keys: Sequence[str], faults: FaultList) -> None:
    """Warn of a file to be added that says of several days what another one says: perhaps one member twice."""
    for place, piece in enumerate(pieces):
        for other in pieces[:place]:
            metrics = [name for name in piece.relation.column_names if name in METRICS]
            theirs = other.relation.rename_columns(
                [f"{n} there" if n in METRICS else n for n in piece.relation.schema.names]
            )
            both = piece.relation.join(theirs, keys=list(keys), join_type="inner")
            alike = all(both[name].equals(both[f"{name} there"]) for name in metrics)
            if len(both) >= FEWEST_REPEATS and alike and any(pc.sum(both[name]).as_py() for name in metrics):
                here, there = ", ".join(piece.files), ", ".join(other.files)
                faults.add("RC750", "warning", file=here, other=there, count=str(len(both)))


def join_daily(
    stacked: Sequence[tuple[Export, pa.Table]], existing: pa.Table | None, counts: Counts, faults: FaultList
) -> JoinedPanel | None:
    """One panel of several exports.

    Parameters
    ----------
    stacked
        Export -> its rows; one entry per export.
    existing
        Panel that the rows are an addition to; what they do not state stays as it is.
    counts
        What its visits count; empty = not known.

    Returns
    -------
    The panel, or None when no row is left; warnings say what was not taken and why.
    """
    stacked = _one_kind_of_market(stacked, existing, faults)
    if existing is not None:
        stacked = [(export, _without_partial_days(export, table, existing, faults)) for export, table in stacked]
    tables = _without_claims(stacked, existing, faults)
    tables, counts = _one_kind_of_visit(tables, counts, faults)
    choice = _choice(tables, faults)
    if not choice:
        return None
    names = [name for name in TABLES["daily"].names if any(name in table.column_names for _, table in tables)]
    keys = [name for name in TABLES["daily"].key if name in names]
    metrics = [name for name in METRICS if name in names]
    with locked_engine() as connection:
        for place, (_, table) in enumerate(tables):
            connection.register(f"given{place}", table)
        keyed = " UNION ".join(
            f"SELECT {', '.join(map(named, keys))} FROM given{place}" for place in range(len(tables))
        )
        connection.execute(f"CREATE TABLE keyed AS {keyed}")
        cells = ", ".join(f"{_cell(metric, tables, choice)} AS {named(metric)}" for metric in metrics)
        joins = " ".join(
            f"LEFT JOIN given{place} g{place} ON {_same(keys, f'g{place}', 'k')}" for place in range(len(tables))
        )
        columns = ", ".join(f"k.{named(key)}" for key in keys)
        connection.execute(f"CREATE TABLE joined AS SELECT {columns}, {cells} FROM keyed k {joins}")
        if "visits" not in metrics:
            connection.execute("ALTER TABLE joined ADD COLUMN visits DOUBLE")
            metrics = ["visits", *metrics]
        if existing is not None:
            connection.register("existing", existing)
        declared = [place for place, (export, _) in enumerate(tables) if export.role == "table"]
        if not declared:
            _leave_days_without_visits(connection, existing, faults)
        _say_without_visits(connection, keys, metrics, existing, faults)
        told = [metric for metric in metrics if choice.get((WHOLE_SHOP, metric)) not in declared]
        _leave_told_totals(connection, keys, told, existing, faults)
        empty = " AND ".join(f"{named(name)} IS NULL" for name in metrics)
        ordered = ", ".join(named(name) for name in TABLES["daily"].names if name in (*keys, *metrics))
        order = ", ".join(named(key) for key in keys)
        relation = connection.sql(f"SELECT {ordered} FROM joined WHERE NOT ({empty}) ORDER BY {order}").to_arrow_table()
    if relation.num_rows == 0:
        return None
    counted = relation.group_by("channel").aggregate([(name, "count") for name in metrics]).to_pylist()
    there = {(str(row["channel"]), str(name)) for row in counted for name in metrics if row[f"{name}_count"]}
    return JoinedPanel(relation, _origins(tables, choice, there), counts)


def _one_kind_of_market(
    stacked: Sequence[tuple[Export, pa.Table]], existing: pa.Table | None, faults: FaultList
) -> list[tuple[Export, pa.Table]]:
    """Keep exports that tell markets apart, if any does: a sum over markets cannot stand beside them."""
    apart = any("market" in table.column_names for _, table in stacked)
    if existing is not None:
        apart = "market" in existing.column_names
    kept = []
    for export, table in stacked:
        if ("market" in table.column_names) == apart:
            kept.append((export, table))
        else:
            faults.add("RC705" if apart else "RC706", "warning", export=export.label)
    return kept


def _without_partial_days(export: Export, table: pa.Table, existing: pa.Table, faults: FaultList) -> pa.Table:
    """Leave the first and the last day of a log where the panel that is there counts more: it was cut inside them."""
    if export.grain == "rows":
        return table
    counted = "visits" if export.grain == "events" else "orders"
    ends = pc.min_max(table["date"]).as_py()
    for day in sorted({ends["min"], ends["max"]}):
        here, there = _sum_of(table, counted, day), _sum_of(existing, counted, day)
        if here < there:
            faults.add("RC752", "warning", export=export.label, day=str(day), here=f"{here:,g}", there=f"{there:,g}")
            table = table.filter(pc.not_equal(table["date"], day))
    return table


def _sum_of(table: pa.Table, column: str, day: date) -> float:
    rows = table.filter(pc.equal(table["date"], day))
    return float(pc.sum(rows[column]).as_py() or 0.0) if column in table.column_names else 0.0


def _without_claims(
    stacked: Sequence[tuple[Export, pa.Table]], existing: pa.Table | None, faults: FaultList
) -> list[tuple[Export, pa.Table]]:
    """Leave what advertising platforms attribute to themselves where the shop has any record of its own.

    Clicks are no visits of a shop that counts its visitors, be it as a whole: beside them, what the whole shop sold
    would seem to have come through its advertising.
    """
    own = any(_states(table, metric) for export, table in stacked if export.role != "ads" for metric in ATTRIBUTED)
    there = set(pc.unique(existing["channel"]).to_pylist()) if existing is not None else set()
    kept = []
    for export, table in stacked:
        # A panel that holds the channels of this export only was made of such exports itself.
        strange = there - set(pc.unique(table["channel"]).to_pylist())
        claimed = [name for name in table.column_names if name in ATTRIBUTED]
        if export.role == "ads" and claimed and (own or strange):
            faults.add("RC707", "note", export=export.label, columns=", ".join(claimed))
            table = table.drop_columns(claimed)
        kept.append((export, table))
    return kept


def _states(table: pa.Table, metric: str) -> bool:
    return metric in table.column_names and table[metric].null_count < table.num_rows


def _counted(table: pa.Table) -> set[str]:
    """The channels, the whole shop aside, whose visits a table states."""
    if "visits" not in table.column_names:
        return set()
    rows = table.filter(pc.is_valid(table["visits"]))
    return set(pc.unique(rows["channel"]).to_pylist()) - {WHOLE_SHOP}


def _one_kind_of_visit(
    stacked: Sequence[tuple[Export, pa.Table]], counts: Counts, faults: FaultList
) -> tuple[list[tuple[Export, pa.Table]], Counts]:
    """Keep one kind of visits: that of the panel that is there, or of the most believed export; others do not add."""
    giving = [(export, table) for export, table in stacked if _states(table, "visits")]
    giving = [(export, table) for export, table in giving if _counted(table)] or giving
    if not counts and giving:
        counts = min(giving, key=lambda pair: (_RANK[pair[0].role], -pair[1].num_rows))[0].counts
    kept = []
    for export, table in stacked:
        if _states(table, "visits") and export.counts != counts and "" not in (export.counts, counts):
            faults.add("RC708", "warning", export=export.label, counts=export.counts, kept=counts)
            table = table.drop_columns(["visits"])
        kept.append((export, table))
    return kept, counts


Choice = dict[tuple[str, str], int]
"""(channel, metric) -> place of the export it is read from."""


def _choice(tables: Sequence[tuple[Export, pa.Table]], faults: FaultList) -> Choice:
    """For every metric of every channel the most believed export that states it.

    Among equals the one that counts the channel's visits too, then the fuller one.
    """
    stated: dict[tuple[str, str], list[tuple[int, int, int, int]]] = {}
    for place, (export, table) in enumerate(tables):
        metrics = [name for name in METRICS if name in table.column_names]
        if not metrics:
            continue
        counted = table.group_by("channel").aggregate([(name, "count") for name in metrics])
        for row in counted.to_pylist():
            for name in metrics:
                if row[f"{name}_count"]:
                    rank = _rank(export.role, name)
                    option = (rank, -bool(row.get("visits_count")), -row[f"{name}_count"], place)
                    stated.setdefault((row["channel"], name), []).append(option)
    rivals: dict[tuple[int, int, str], list[str]] = {}
    choice: Choice = {}
    for (channel, metric), options in stated.items():
        options.sort()
        choice[channel, metric] = options[0][3]
        for rank, _, _, place in options[1:]:
            if rank == options[0][0]:
                rivals.setdefault((options[0][3], place, metric), []).append(channel)
    for (taken, left, metric), channels in rivals.items():
        differing = _differing(tables[taken][1], tables[left][1], metric, channels)
        if differing:
            shown, other = ", ".join(differing[:10]), tables[left][0].label
            faults.add("RC733", "warning", column=metric, channels=shown, taken=tables[taken][0].label, left=other)
    return choice


def _rank(role: Role, metric: Metric) -> int:
    return 0 if role == "ads" and metric in BOUGHT else _RANK[role]


def _differing(taken: pa.Table, left: pa.Table, metric: str, channels: Sequence[str]) -> list[str]:
    """Channels for which two exports state other values on a day that both cover, or cover no day together."""
    keys = [name for name in TABLES["daily"].key if name in taken.column_names]
    with locked_engine() as connection:
        connection.register("a", taken)
        connection.register("b", left)
        rows = connection.execute(
            f"""SELECT channel FROM a k JOIN b g USING ({", ".join(map(named, keys))})
            WHERE channel IN ({", ".join(map(quoted, channels))}) GROUP BY channel
            HAVING bool_and(abs(k.{named(metric)} - g.{named(metric)}) <= 1e-9 * abs(g.{named(metric)}))"""
        ).fetchall()
    agreeing = {str(row[0]) for row in rows}
    return sorted(set(channels) - agreeing)


def _same(keys: Sequence[str], left: str, right: str) -> str:
    return " AND ".join(f"{left}.{named(key)} = {right}.{named(key)}" for key in keys)


def _cell(metric: str, tables: Sequence[tuple[Export, pa.Table]], choice: Choice) -> str:
    """SQL of a metric: per channel the export that was chosen."""
    cases = []
    for place in range(len(tables)):
        channels = [channel for (channel, name), chosen in choice.items() if name == metric and chosen == place]
        if channels:
            listed = ", ".join(quoted(channel) for channel in sorted(channels))
            cases.append(f"WHEN k.channel IN ({listed}) THEN g{place}.{named(metric)}")
    return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS DOUBLE)"


def _leave_days_without_visits(
    connection: duckdb.DuckDBPyConnection, existing: pa.Table | None, faults: FaultList
) -> None:
    """Leave days before the first and after the last one with visits, where any are known: the panel ends there.

    A table of the user's own stays as it is.
    """
    known = "SELECT date FROM joined WHERE visits IS NOT NULL"
    if existing is not None:
        known += " UNION ALL SELECT date FROM existing WHERE visits IS NOT NULL"
    first, last = connection.execute(f"SELECT min(date), max(date) FROM ({known})").fetchall()[0]
    if first is None:
        return
    outside = f"date NOT BETWEEN DATE '{first}' AND DATE '{last}'"
    count = connection.execute(f"SELECT count(*) FROM joined WHERE {outside}").fetchall()[0][0]
    if count:
        faults.add("RC749", "note", first=str(first), last=str(last), count=f"{count:,}")
        connection.execute(f"DELETE FROM joined WHERE {outside}")


def _say_without_visits(
    connection: duckdb.DuckDBPyConnection,
    keys: Sequence[str],
    metrics: Sequence[str],
    existing: pa.Table | None,
    faults: FaultList,
) -> None:
    """Tell channels whose visits nobody states, nor the panel that is there: what they cost is kept, and no more.

    One that has neither visits nor any other figure above nothing is an unused column, not a channel.
    """
    bare = f"channel <> {quoted(WHOLE_SHOP)} AND visits IS NULL"
    if existing is not None:
        bare += (
            f" AND NOT EXISTS (SELECT 1 FROM existing e WHERE {_same(keys, 'e', 'joined')} AND e.visits IS NOT NULL)"
        )
    others = [name for name in metrics if name != "visits"]
    stated = " OR ".join(f"{named(name)} IS NOT NULL" for name in others) or "false"
    some = " OR ".join(f"{named(name)} <> 0" for name in others) or "false"
    unused = f"SELECT channel FROM joined GROUP BY channel HAVING bool_and(({bare}) AND NOT coalesce({some}, false))"
    connection.execute(f"DELETE FROM joined WHERE channel IN ({unused})")
    for channel, count in connection.execute(
        f"SELECT channel, count(*) FROM joined WHERE {bare} AND ({stated}) GROUP BY channel ORDER BY 1"
    ).fetchall():
        known = [
            name
            for name in others
            if connection.execute(
                f"SELECT count({named(name)}) FROM joined WHERE {bare} AND channel = ?", [channel]
            ).fetchall()[0][0]
        ]
        faults.add("RC709", "warning", channel=str(channel), columns=", ".join(known), count=f"{count:,}")


def _leave_told_totals(
    connection: duckdb.DuckDBPyConnection,
    keys: Sequence[str],
    metrics: Sequence[str],
    existing: pa.Table | None,
    faults: FaultList,
) -> None:
    """Leave figures of the whole shop on days on which every channel states them: `total` holds what only it knows.

    `metrics` are those that no table of the user's own states for the whole shop.
    """
    left = []
    days = [key for key in keys if key != "channel"]
    if not connection.execute(f"SELECT count(*) FROM joined WHERE channel = {quoted(WHOLE_SHOP)}").fetchall()[0][0]:
        return
    for metric in metrics:
        told = f"SELECT {', '.join(map(named, (*days, 'channel')))}, {named(metric)} AS told FROM joined"
        if existing is not None and metric in existing.column_names:
            told += f" UNION ALL SELECT {', '.join(map(named, (*days, 'channel')))}, {named(metric)} FROM existing"
        own = f"(SELECT * FROM ({told}) WHERE channel <> {quoted(WHOLE_SHOP)})"
        whole = connection.execute(
            f"SELECT bool_and(known) FROM (SELECT count(told) > 0 AS known FROM {own} GROUP BY channel)"
        ).fetchall()[0][0]
        if not whole:
            continue
        covered = f"EXISTS (SELECT 1 FROM {own} o WHERE {_same(days, 'o', 'joined')} AND o.told IS NOT NULL)"
        where = f"channel = {quoted(WHOLE_SHOP)} AND {named(metric)} IS NOT NULL AND {covered}"
        if connection.execute(f"SELECT count(*) FROM joined WHERE {where}").fetchall()[0][0]:
            connection.execute(f"UPDATE joined SET {named(metric)} = NULL WHERE {where}")
            left.append(metric)
    if left:
        faults.add("RC744", "note", columns=", ".join(left))


def _origins(
    tables: Sequence[tuple[Export, pa.Table]], choice: Choice, there: set[tuple[str, str]]
) -> tuple[Origin, ...]:
    """Metric by metric, which export gave which channels."""
    found: dict[tuple[str, int], list[str]] = {}
    for (channel, metric), place in choice.items():
        if (channel, metric) in there:
            found.setdefault((metric, place), []).append(channel)
    return tuple(
        Origin(metric, tables[place][0].label, tuple(sorted(channels)))
        for metric in METRICS
        for (name, place), channels in sorted(found.items())
        if name == metric
    )
