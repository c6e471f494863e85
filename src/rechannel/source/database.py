"""A query on a named connection becomes the table `raw`: read only, credentials from the environment."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any  # drivers of databases state no types
from urllib.parse import SplitResult, quote, urlsplit

import duckdb
import pyarrow as pa

from rechannel.source.faultlist import FaultList
from rechannel.source.intake import Header, RawTable, is_too_wide, load_arrow
from rechannel.vocabulary.errors import MissingPart

CONNECTIONS_FILE = "connections.toml"
"""Stands beside a query and holds `[connections.NAME]`, for a case that does not exist yet."""
_ROWS = 20_000
_NAMED = re.compile(r"\s*--\s*connection:\s*([A-Za-z0-9_-]+)\s*")
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"|`[^`]*`|\$(\w*)\$.*?\$\1\$|[A-Za-z_]\w*|;""",
    re.DOTALL,
)
_PORTS = {"postgres": 5432, "mysql": 3306, "clickhouse": 8123}
_SECURE_CLICKHOUSE_PORT = 8443


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a named connection leads; user and password are not part of it.

    Attributes
    ----------
    name
        Its name; `RECHANNEL_<NAME>_USER` and `RECHANNEL_<NAME>_PASSWORD` hold the credentials.
    kind
        postgres, mysql or clickhouse.
    url
        Host, port and database, such as postgresql://db.example:5432/shop.
    """

    name: str
    kind: str
    url: SplitResult

    def secret(self, what: str) -> str:
        """A credential from the environment, or an empty text."""
        return os.environ.get(_variable(self.name, what), "")

    @property
    def database(self) -> str:
        """Name of the database."""
        return self.url.path.lstrip("/")

    @property
    def port(self) -> int:
        """Port, or the usual one of its kind."""
        if self.url.port is None and self.url.scheme == "https":
            return _SECURE_CLICKHOUSE_PORT
        return self.url.port or _PORTS[self.kind]


class UnusableConnectionError(Exception):
    """A connection is not declared in the way it must be, or its query is not one SELECT."""


def connection_of(name: str, sections: Mapping[str, object]) -> Connection:
    """The connection `name` of the parsed sections `[connections.NAME]`.

    Raises
    ------
    UnusableConnectionError
        It is not declared, its kind or URL is unknown, or its URL holds a user or a password.
    """
    section = sections.get(name)
    if not isinstance(section, Mapping):
        raise UnusableConnectionError(f"[connections.{name}] ≠ {', '.join(sorted(sections)) or '-'}")
    kind, address = section.get("kind"), section.get("url")
    if not isinstance(kind, str) or kind not in _PORTS:
        raise UnusableConnectionError(f"kind = {kind!r} ≠ {', '.join(_PORTS)}")
    try:
        url = urlsplit(address if isinstance(address, str) else "")
        usable = bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UnusableConnectionError(f"url ≠ {kind}://HOST:{_PORTS[kind]}/DATABASE")
    if url.username or url.password or re.search(r"(?i)(user|password|passwd|pwd|service|passfile)=", url.query):
        raise UnusableConnectionError(f"url: *** ≠ {_variable(name, 'USER')}, {_variable(name, 'PASSWORD')}")
    return Connection(name, kind, url)


def _variable(name: str, what: str) -> str:
    """Name of the environment variable that holds a credential."""
    return f"RECHANNEL_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}_{what}"


def load_query(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    sections: Mapping[str, object] | None,
) -> Header | None:
    """Run the one SELECT of a `.sql` file and put its rows into `raw`.

    The first line names the connection: `-- connection: NAME`. It is looked up in `sections` (the `[connections]` of
    case.toml), then in `connections.toml` beside the query. The transaction is read-only; whatever is not one SELECT
    is refused before anything is sent.

    Raises
    ------
    MissingPart
        RC184: the driver is not installed.
    """
    name = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = _NAMED.match(text)
        if first is None:
            raise UnusableConnectionError("-- connection: NAME")
        name = first.group(1)
        query = _one_select(text)
        to = connection_of(name, _sections(name, path, sections or {}))
    except (UnusableConnectionError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.add("RC114", "refuse", line=1, kind=f"SQL ({name})" if name else "SQL", reason=str(error)[:200])
        return None
    try:
        with _READERS[to.kind](to, query) as rows:
            names = rows.names
            if is_too_wide(len(names), 0, faults):
                return None
            if rows.batches is not None:
                load_arrow(connection, rows.schema, rows.batches)
            else:
                _load_rows(connection, rows)
    except (MissingPart, duckdb.Error):
        raise
    except Exception as error:  # noqa: BLE001 (every driver has its own tree of errors)
        faults.add("RC114", "refuse", kind=f"{to.kind} ({name})", reason=_without_secrets(str(error), to)[:200])
        return None
    return Header(names, 0)


def _sections(name: str, path: Path, given: Mapping[str, object]) -> Mapping[str, object]:
    """The declared connections: those given, or those of the file beside the query."""
    beside = path.resolve().parent / CONNECTIONS_FILE
    if name in given or not beside.is_file():
        return given
    read = tomllib.loads(beside.read_text(encoding="utf-8")).get("connections", {})
    return read if isinstance(read, dict) else {}


def _without_secrets(said: str, to: Connection) -> str:
    """The first line of a driver's message, without the password, should it repeat it."""
    line = " ".join(said.split()).partition(" Query was:")[0]
    for what in ("PASSWORD", "USER"):
        for secret in {to.secret(what), quote(to.secret(what), safe="")} - {""}:
            line = line.replace(secret, "***")
    return line


def _one_select(text: str) -> str:
    """The one SELECT of a text without its semicolon; UnusableConnectionError names what makes it something else."""
    tokens = [match for match in _TOKEN.finditer(text) if not match.group().startswith(("--", "/*"))]
    end = len(text)
    while tokens and tokens[-1].group() == ";":
        end = tokens.pop().start()
    bare = [match.group().upper() for match in tokens if match.group()[0] in "_;" or match.group()[0].isalpha()]
    if not bare or bare[0] not in ("SELECT", "WITH"):
        raise UnusableConnectionError(f"SELECT ≠ {bare[0] if bare else ''}")
    for forbidden in (";", "INTO"):
        if forbidden in bare:
            raise UnusableConnectionError(f"SELECT ≠ {forbidden}")
    return f"{text[:end]}\n"  # the line end closes a comment on the last line


@dataclass(slots=True)
class _Rows:
    """An open result: Arrow batches with their schema, or rows of a cursor in pieces."""

    names: tuple[str, ...]
    schema: pa.Schema | None = None
    batches: Iterator[pa.RecordBatch] | None = None
    pieces: Iterator[Sequence[Sequence[object]]] | None = None


def _load_rows(connection: duckdb.DuckDBPyConnection, rows: _Rows) -> None:
    """Rows of a cursor become text; rows without any value are left out."""
    table = RawTable(connection, len(rows.names))
    line = 0
    for piece in rows.pieces or ():
        for row in piece:
            line += 1
            cells = tuple(cell_text(value) for value in row)
            if any(cells):
                table.add(line, cells)
    table.flush()


def cell_text(value: object) -> str:
    """One value of a driver as the text a CSV would hold.

    Examples
    --------
    >>> [cell_text(value) for value in (None, 12, 0.1, Decimal("1.50"), date(2025, 9, 3), True)]
    ['', '12', '0.1', '1.50', '2025-09-03', 'true']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return repr(value) if isinstance(value, float) else str(value)


def _driver(module: str, part: str) -> Any:
    """The driver of one kind of database, imported when it is needed."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise MissingPart("RC184", part=part, command=f'pip install "rechannel[{part}]"') from None


@contextmanager
def _postgres(to: Connection, query: str) -> Iterator[_Rows]:
    dbapi = _driver("adbc_driver_postgresql.dbapi", "postgres")
    user, password = (quote(to.secret(what), safe="") for what in ("USER", "PASSWORD"))
    who = f"{user}{':' + password if password else ''}@" if user else ""
    options = "&".join(filter(None, (to.url.query, "options=-c%20default_transaction_read_only%3Don")))
    uri = f"postgresql://{who}{to.url.hostname}:{to.port}/{quote(to.database)}?{options}"
    with closing(dbapi.connect(uri)) as link, closing(link.cursor()) as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(query)
        reader = cursor.fetch_record_batch()
        yield _Rows(tuple(reader.schema.names), reader.schema, iter(reader))


@contextmanager
def _mysql(to: Connection, query: str) -> Iterator[_Rows]:
    driver = _driver("pymysql", "mysql")
    cursors = _driver("pymysql.cursors", "mysql")
    link = driver.connect(
        host=to.url.hostname,
        port=to.port,
        user=to.secret("USER"),
        password=to.secret("PASSWORD"),
        database=to.database or None,
        charset="utf8mb4",
        local_infile=False,
    )
    with closing(link), closing(link.cursor(cursors.SSCursor)) as cursor:
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute(query)
        names = tuple(str(column[0]) for column in cursor.description)
        yield _Rows(names, pieces=iter(lambda: cursor.fetchmany(_ROWS) or None, None))


@contextmanager
def _clickhouse(to: Connection, query: str) -> Iterator[_Rows]:
    driver = _driver("clickhouse_connect", "clickhouse")
    client = driver.get_client(
        host=to.url.hostname,
        port=to.port,
        username=to.secret("USER") or "default",
        password=to.secret("PASSWORD"),
        database=to.database or "default",
        secure=to.url.scheme == "https",
        settings={"readonly": "2"},
    )
    with closing(client), client.query_row_block_stream(query) as stream:
        yield _Rows(tuple(stream.source.column_names), pieces=iter(stream))


_READERS: Mapping[str, Callable[[Connection, str], Any]] = {
    "postgres": _postgres,
    "mysql": _mysql,
    "clickhouse": _clickhouse,
}
