"""JSON becomes rows of text: lines of objects, a list of objects, or the answer of an interface with its wrapping."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb

from rechannel.source.contract import MOST_COLUMNS
from rechannel.source.engine import quoted
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import LOADED, RAW, Header, RawTable, drop_raw

MOST_BYTES = 256 << 20
"""A single JSON document is held in memory; larger exports come as one object per line."""
_LINES = (".jsonl", ".ndjson")
_WRAPPERS = ("list", "item_list", "data", "rows", "records", "result", "results")
"""Keys under which interfaces put their rows; what stands beside them belongs to every row."""


class _Twice(ValueError):
    """An object names one key twice."""


def load_json(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList) -> Header | None:
    """Put the objects of a file into the table `raw`, as text; `line` is the line, or the number of the row from 1.

    Nested values stay JSON text. Numbers keep the digits they were written with.

    Returns
    -------
    The names of all keys in the order of their appearance, or None when the file is refused.
    """
    if _is_lines(path):
        return _load_lines(connection, path, faults)
    if path.stat().st_size > MOST_BYTES:
        faults.add("RC713", "refuse", size=f"{path.stat().st_size >> 20:,}", most=f"{MOST_BYTES >> 20:,}")
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
        value = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        faults.add("RC104", "refuse", line=error.object[: error.start].count(b"\n") + 1, encoding="?")
        return None
    except json.JSONDecodeError as error:
        faults.add("RC714", "refuse", line=error.lineno, reason=error.msg)
        return None
    except (_Twice, RecursionError) as error:
        faults.add("RC714", "refuse", line=1, reason=str(error))
        return None
    rows = list(_unwrapped(value, whole=True))
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    if not rows or not names:
        faults.add("RC102", "refuse")
        return None
    if len(names) > MOST_COLUMNS:
        faults.add("RC109", "refuse", found=f"{len(names):,}", most=f"{MOST_COLUMNS:,}")
        return None
    table = RawTable(connection, len(names))
    for line, row in enumerate(rows, start=1):
        table.add(line, tuple(_as_text(row.get(name)) for name in names))
    table.flush()
    return Header(names, 0)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(f"key twice: {next(name for name in names if names.count(name) > 1)[:60]}")
    return found


def _is_lines(path: Path) -> bool:
    """Whether every line is an object: the first ends on its line, and another follows or its name says so."""
    with path.open("rb") as stream:
        first = stream.readline(1 << 24).lstrip(b"\xef\xbb\xbf").strip()
        rest = stream.read(1 << 16).strip()
    if not first.startswith(b"{") or not (rest.startswith(b"{") or (not rest and path.suffix.lower() in _LINES)):
        return False
    try:
        json.loads(first)
    except ValueError:
        return False
    return True


def _load_lines(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList) -> Header | None:
    """One object per line, through DuckDB."""
    connection.execute(
        f"""CREATE OR REPLACE TABLE objects AS SELECT *, row_number() OVER () AS line FROM read_csv(
        {quoted(str(path.resolve()))}, columns = {{'json': 'VARCHAR'}}, auto_detect = false, header = false,
        delim = '\x01', quote = '', escape = '', max_line_size = {1 << 24}, null_padding = false)"""
    )
    bad = connection.execute(
        "SELECT line FROM objects WHERE trim(json) <> '' AND NOT json_valid(json) ORDER BY line LIMIT 20"
    ).fetchall()
    for (line,) in bad:
        faults.add("RC714", "refuse", line=int(line), reason="not an object")
    if bad:
        return None
    names = tuple(
        str(row[0])
        for row in connection.execute(
            """SELECT name FROM (SELECT line, unnest(json_keys(json)) AS name FROM objects WHERE trim(json) <> '')
            GROUP BY name ORDER BY min(line), name"""
        ).fetchall()
    )
    if not names or len(names) > MOST_COLUMNS:
        faults.add("RC109" if names else "RC102", "refuse", found=f"{len(names):,}", most=f"{MOST_COLUMNS:,}")
        return None
    keys = [quoted('$."' + name.replace('"', '\\"') + '"') for name in names]
    text = ", ".join(f"nullif(trim(json_extract_string(json, {key})), '') AS c{n}" for n, key in enumerate(keys))
    drop_raw(connection)
    connection.execute(f"CREATE TABLE {LOADED} AS SELECT {text}, line FROM objects WHERE trim(json) <> ''")
    connection.execute(f"CREATE VIEW {RAW} AS SELECT * FROM {LOADED}")
    connection.execute("DROP TABLE objects")
    return Header(names, 0)


def _unwrapped(value: object, *, whole: bool = False) -> Iterator[dict[str, object]]:
    """The rows inside the wrapping: what stands beside a list belongs to each of its rows.

    The document itself (`whole`) may keep its rows under any one key; inside it, only usual wrappers are opened.
    """
    if isinstance(value, list):
        for one in value:
            yield from _unwrapped(one)
    elif isinstance(value, dict):
        lists = [key for key, one in value.items() if _is_rows(one)]
        inner = next((key for key in _WRAPPERS if key in lists), lists[0] if whole and len(lists) == 1 else None)
        if inner is None:
            yield value
            return
        beside: Mapping[str, object] = {key: one for key, one in value.items() if key != inner}
        for row in _unwrapped(value[inner]):
            yield {**beside, **row}


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _as_text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
