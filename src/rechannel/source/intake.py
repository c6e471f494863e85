"""Rows of text, one after the other, become the table `raw`: one table of the file, every row with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

import duckdb
import pyarrow as pa

from rechannel.source.contract import MOST_COLUMNS
from rechannel.source.faultlist import FaultList
from rechannel.source.layout import SAMPLE_ROWS, Boundary, Layout, Record, find_layout

RAW = "raw"
"""DuckDB view: text columns c0, c1, ... and `line`, the physical line (Parquet: the row, from 1)."""
LOADED = "loaded"
"""DuckDB table behind it."""
BLANKS = " \t\n\r\xa0\u3000\ufeff"
"""Characters that are trimmed from both ends of a cell."""
TOTALS = (
    *("合计", "总计", "小计", "汇总", "合計", "總計", "小計", "彙總", "平均", "平均值", "均值"),
    *("total", "totals", "grandtotal", "subtotal", "sum", "average", "mean"),
)
"""What a row of totals or averages is called, as `bare_word` writes it."""
_BLANK = " || ".join(f"chr({ord(letter)})" for letter in BLANKS)
_EDGE = "[ \\t\\n\\r\\x{a0}\\x{3000}\\x{feff}]"
_BATCH = 20_000
_MOST_TABLES = 20
"""So many tables of one file are named; what follows is not looked at."""


@dataclass(frozen=True, slots=True)
class Header:
    """Names of the columns of `raw`, in file order, and the line they stand on.

    Attributes
    ----------
    others
        Headers of other tables of the same file, which were not read.
    separator
        What separated the fields of a text.
    left
        Empty columns of a sheet left of the table.
    above
        What the rows above it say, each as one text.
    """

    names: tuple[str, ...]
    line: int
    others: tuple[Header, ...] = ()
    separator: str = ","
    left: int = 0
    above: tuple[str, ...] = ()


class RawTable:
    """Collects rows in batches of Arrow and appends them to `raw`; memory stays that of one batch."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, width: int) -> None:
        self._connection = connection
        self._names = [f"c{place}" for place in range(width)]
        self._rows: list[tuple[str, ...]] = []
        self._lines: list[int] = []
        columns = ", ".join(f"{name} VARCHAR" for name in self._names)
        drop_raw(connection)
        connection.execute(f"CREATE TABLE {LOADED} ({columns}, line BIGINT)")
        connection.execute(f"CREATE VIEW {RAW} AS SELECT * FROM {LOADED}")

    def add(self, line: int, cells: tuple[str, ...]) -> None:
        """One row, as wide as the header."""
        self._rows.append(cells)
        self._lines.append(line)
        if len(self._rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Append what is waiting."""
        if not self._rows:
            return
        arrays = [pa.array(values, pa.string()) for values in zip(*self._rows, strict=True)]
        self.append(pa.table([*arrays, pa.array(self._lines, pa.int64())], names=[*self._names, "line"]))
        self._rows, self._lines = [], []

    def append(self, table: pa.Table) -> None:
        """Append text columns c0, c1, ... with `line`; cells are trimmed, blank cells become NULL."""
        clean = ", ".join(f"{trimmed_sql(name)} AS {name}" for name in self._names)
        self._connection.register("given", table)
        self._connection.execute(f"INSERT INTO {LOADED} SELECT {clean}, line FROM given")
        self._connection.unregister("given")


def drop_raw(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove the rows of a file, and give their memory back."""
    connection.execute(f"DROP VIEW IF EXISTS {RAW}")
    connection.execute(f"DROP TABLE IF EXISTS {LOADED}")


def trimmed_sql(name: str) -> str:
    """A text column without blanks at its ends; NULL when nothing is left. Most cells are only looked at."""
    odd = f"{name} = '' OR regexp_matches({name}, '^{_EDGE}|{_EDGE}$')"
    return f"CASE WHEN {odd} THEN nullif(trim({name}, {_BLANK}), '') ELSE {name} END"


def is_too_wide(found: int, line: int, faults: FaultList) -> bool:
    """Refuse a file with more columns than a table can have, before its rows are read."""
    if found > MOST_COLUMNS:
        faults.add("RC109", "refuse", line=line, found=f"{found:,}", most=f"{MOST_COLUMNS:,}")
    return found > MOST_COLUMNS


def load_arrow(connection: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Put typed columns into `raw` as text: dates and times in ISO form, nested values as JSON, blank rows left out."""
    RawTable(connection, len(schema.names))
    places = [f"c{place}" for place in range(len(schema.names))]
    texts = ", ".join(_text_sql(place, kind) for place, kind in zip(places, schema.types, strict=True))
    filled = " OR ".join(f"{place} IS NOT NULL" for place in places)
    first = 1
    for batch in batches:
        given = pa.table(batch.columns, names=places)
        connection.register("given", given.append_column("line", pa.array(range(first, first + len(batch)))))
        connection.execute(f"INSERT INTO {LOADED} SELECT {texts}, line FROM given WHERE {filled}")
        connection.unregister("given")
        first += len(batch)


def _text_sql(place: str, kind: pa.DataType) -> str:
    """A column of Arrow as text."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return f"strftime(timezone('UTC', {place}), '%Y-%m-%d %H:%M:%S.%f') || '+00:00'"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return trimmed_sql(f"decode({place})")  # text of old writers; what is not UTF-8 is an error
    if pa.types.is_nested(kind):
        return f"CAST(to_json({place}) AS VARCHAR)"
    if pa.types.is_temporal(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        return f"CAST({place} AS VARCHAR)"
    return trimmed_sql(f"CAST({place} AS VARCHAR)")


def say_layout(layout: Layout, faults: FaultList) -> None:
    """Name the line of a header that is not on top; refuse one that stands on two rows."""
    if layout.split:
        faults.add("RC116", "refuse", line=layout.header.first)
    elif layout.skipped:
        seen = " / ".join(" ".join(filter(None, row.cells))[:40] for row in layout.skipped[:3])
        faults.add("RC149", "warning", line=layout.header.last, row=str(layout.header.last), seen=seen)


def titles(layout: Layout) -> tuple[str, ...]:
    """What the rows above a header say, each as one text."""
    return tuple(" ".join(filter(None, row.cells)) for row in layout.skipped)


def take_records(
    connection: duckdb.DuckDBPyConnection,
    records: Iterable[Record],
    faults: FaultList,
    *,
    exact: bool,
    block: int | None,
) -> Header | None:
    """Put one table of a stream of rows into `raw`.

    Parameters
    ----------
    records
        Rows in order; blank rows may be left out.
    exact
        Whether a row must have as many cells as the header (CSV), or may lack the last ones (a sheet).
    block
        Which table of the file is meant, from 0; None refuses a file with several.

    Returns
    -------
    The header, or None when the rows are refused.
    """
    tables: list[Header] = []
    chosen: Header | None = None
    stream: Iterator[Record] | None = iter(records)
    before = faults.refusals
    while stream is not None and len(tables) < _MOST_TABLES:
        taken = len(tables) == (block or 0)
        found = _take_table(connection, stream, faults, exact=exact, taken=taken, named=not tables)
        if found is None:
            break
        header, stream = found
        if block is None and tables:
            shown = ", ".join(filter(None, header.names))[:120]
            faults.add("RC148", "refuse", line=header.line, seen=shown, first=str(tables[0].line))
        if taken and chosen is None:
            chosen = header
        tables.append(header)
    if not tables and faults.refusals == before:
        faults.add("RC101", "refuse")
    elif chosen is None and faults.refusals == before:
        faults.add("RC145", "refuse", names=" / ".join(", ".join(header.names)[:60] for header in tables)[:300])
    if chosen is None or faults.refusals > before:
        return None
    others = tuple(header for header in tables if header is not chosen)
    return replace(chosen, others=others)


def bare_word(cell: str) -> str:
    """A cell as the names of total rows are compared: lower case, without blanks and colons."""
    return "".join(letter for letter in cell.lower() if not letter.isspace() and letter not in ":：")


def _with_label_in_front(row: Record, width: int) -> Record:
    """A total row that carries its label behind the last column, with the label on its first blank cell."""
    label = bare_word(row.cells[-1]) if len(row.cells) == width + 1 else ""
    if label not in TOTALS or "" not in row.cells:
        return row
    place = row.cells.index("")
    return Record(row.first, row.last, (*row.cells[:place], row.cells[-1], *row.cells[place + 1 : width]))


def _take_table(
    connection: duckdb.DuckDBPyConnection,
    records: Iterator[Record],
    faults: FaultList,
    *,
    exact: bool,
    taken: bool,
    named: bool,
) -> tuple[Header, Iterator[Record] | None] | None:
    """Read the next table; its header, and the rows from the next one on (None at the end)."""
    top = list(islice(records, SAMPLE_ROWS))
    layout = find_layout(top)
    if layout is None:
        return None
    cells = layout.header.cells
    left = 0 if exact else next(place for place, cell in enumerate(cells) if cell)
    names = cells if exact else cells[left : layout.header.extent]
    header = Header(names, layout.header.last, left=left, above=titles(layout))
    width = len(header.names)
    if is_too_wide(width, header.line, faults):
        return None
    if named and taken:
        say_layout(layout, faults)
    table = RawTable(connection, width) if taken else None
    boundary = Boundary(len(cells) if exact else layout.header.extent, exact, last=header.line)
    for row in chain(top, records):
        if row.first <= header.line or not row.filled or (row.is_comment and len(row.cells) != width):
            continue
        if boundary.starts_another(row):
            if table is not None:
                table.flush()
            return header, chain([row], (later for later in chain(top, records) if later.first > row.last))
        if table is None:
            continue
        row = _with_label_in_front(row, width)
        found = len(row.cells) if exact else row.extent - left
        if found > width or (exact and found < width) or any(row.cells[:left]):
            faults.add("RC107", "refuse", line=row.first, found=str(found), wanted=str(width))
        else:
            table.add(row.first, (row.cells[left:] + ("",) * width)[:width])
    if table is not None:
        table.flush()
    return header, None
