"""Tables of a DuckDB file, read by a process of its own: a crafted file may crash or hang it, never us."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from rechannel.source.engine import named
from rechannel.source.faultlist import FaultList
from rechannel.source.intake import Header, is_too_wide, load_arrow

MEMORY_MB = 512
_BATCH = 1 << 16
_ADDRESS_SPACE = 8 << 30
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": f"{MEMORY_MB}MB",
    "threads": "2",
    "lock_configuration": "true",
}


def is_duckdb_file(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a DuckDB database."""
    return start[8:12] == b"DUCK"


def load_duckdb(connection: duckdb.DuckDBPyConnection, path: Path, faults: FaultList, part: str) -> Header | None:
    """Put one table or view of a DuckDB file into `raw`.

    The file is opened read-only in another process, with external access off, extensions off and the configuration
    locked, so that neither a view nor a broken page reaches the engine that holds the case.

    Parameters
    ----------
    part
        Name of the table or view, `schema.table` outside the schema `main`; empty = the only one.
    """
    header = None
    with tempfile.TemporaryFile() as words:
        child = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "rechannel.source.duckfile", str(path.resolve()), part],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
        )
        assert child.stdout is not None
        try:
            with child.stdout, pa.ipc.open_stream(child.stdout) as stream:
                names = tuple(stream.schema.names)
                if is_too_wide(len(names), 0, faults):
                    child.kill()
                else:
                    load_arrow(connection, stream.schema, stream)
                    header = Header(names, 0)
        except pa.ArrowInvalid:
            header = None  # the other process says why on its way out
        except BaseException:
            child.kill()
            raise
        finally:
            code = child.wait()
        words.seek(0)
        said = words.read().decode("utf-8", "replace").strip().splitlines()
    # A stream that breaks off between two batches looks whole; only the exit code tells.
    if code == 0 and header is not None:
        return header
    _say(said, code, path, faults)
    return None


def _say(said: list[str], code: int, path: Path, faults: FaultList) -> None:
    """Turn the last words of the other process into a fault."""
    if faults.refusals:
        return
    try:
        told = json.loads(said[-1]) if said else {}
    except json.JSONDecodeError:
        told = {}
    if isinstance(told, dict) and "tables" in told:
        faults.add("RC145", "refuse", names=", ".join(map(str, told["tables"]))[:300])
    else:
        reason = str(told.get("reason", f"the reader ended with code {code}"))
        faults.add("RC114", "refuse", kind="DuckDB", reason=reason.replace(str(path.resolve()), path.name)[:200])


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Name as a reader writes it -> SQL name, of the tables and views of the file."""
    rows = connection.execute(
        """SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND NOT temporary
        UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary
        ORDER BY 1, 2"""
    ).fetchall()
    return {
        table if schema == "main" else f"{schema}.{table}": f"{named(schema)}.{named(table)}" for schema, table in rows
    }


def _batches(path: str, part: str) -> Iterator[pa.RecordBatchReader]:
    """The rows of one table; SystemExit with the reason as JSON on stderr otherwise."""
    try:
        with duckdb.connect(path, read_only=True, config=_CONFIG) as connection:
            tables = _tables(connection)
            chosen = tables.get(part) if part else next(iter(tables.values())) if len(tables) == 1 else None
            if chosen is None:
                print(json.dumps({"tables": list(tables)}), file=sys.stderr)
                raise SystemExit(2)
            yield connection.sql(f"SELECT * FROM {chosen}").to_arrow_reader(_BATCH)
    except (duckdb.Error, MemoryError) as error:
        print(json.dumps({"reason": str(error).splitlines()[0][:300]}), file=sys.stderr)
        raise SystemExit(2) from None


def main() -> None:
    """Write the rows of a table as an Arrow stream to stdout; the other end is `load_duckdb`."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, path, part = sys.argv
    for reader in _batches(path, part):
        with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as stream:
            for batch in reader:
                stream.write_batch(batch)


if __name__ == "__main__":
    main()
