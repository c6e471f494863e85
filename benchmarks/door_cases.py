"""Made files through the door: what goes in comes out, or is refused; one flipped byte never changes a value silently.

Every case is one file made by `made_files`. Half of the cases are read as they are: the relation must equal the table
it was made from, or the file is refused. In the other half one byte is replaced. Then the file must be refused, or say
something it did not say before, or give exactly what an independent reader (`csv`, `datetime`, `decimal` of Python's
library for text, DuckDB for Parquet) finds in the changed bytes.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import TypeAlias

import duckdb

from benchmarks.made_files import COLUMNS, FIRST_SERIAL_DAY, MONEY, Form, Made, make, write
from rechannel.source.admit import Admitted, admit
from rechannel.source.checks import Rules
from rechannel.source.engine import locked_engine
from rechannel.vocabulary.errors import FileRefused

SEED = 20250930
RULES = Rules(date(2026, 6, 1))
_ENDINGS = (".csv", ".xlsx", ".parquet")
Relation: TypeAlias = dict[str, list[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one file.

    Attributes
    ----------
    outcome
        same (equal values), refused, as the oracle (the values of the changed file), said (a new warning), or wrong
        (another value without a word).
    """

    number: int
    kind: str
    flipped: bool
    outcome: str
    detail: str


def run_case(number: int, folder: Path, engine: duckdb.DuckDBPyConnection) -> Case | None:
    """One case; None when its encoding cannot write its names."""
    random = Random(f"{SEED}-{number}")
    made = make(random)
    path = write(made, folder / f"case{number}")
    if path is None:
        return None
    try:
        if number % 2 == 0:
            return _round_trip(number, made, path, engine)
        return _flipped(number, made, path, random, engine)
    finally:
        path.unlink()


def _read(path: Path, engine: duckdb.DuckDBPyConnection) -> tuple[Relation | None, set[tuple[str, str]], str]:
    """Relation or None, what was warned of, and the codes."""
    try:
        admitted: Admitted = admit(path, "daily", RULES, engine=engine)
    except FileRefused as refusal:
        return None, set(), " ".join(sorted({fault.code for fault in refusal.faults}))
    relation = {name: admitted.relation[name].to_pylist() for name in admitted.relation.column_names}
    warned = {(fault.code, fault.column) for fault in admitted.faults if fault.severity == "warning"}
    return relation, warned, " ".join(sorted({code for code, _ in warned}))


def _expected(made: Made) -> Relation:
    """The table as the door gives it: canonical columns in their order, numbers as floats."""
    return {
        name: [float(value) if isinstance(value, int | float) else value for value in made.table[name]]
        for name in COLUMNS
        if name in made.table
    }


def _trimmed(relation: Relation) -> Relation:
    """Names without outer blanks, as every reader of tables does."""
    return {
        name: [value.strip() if isinstance(value, str) else value for value in values]
        for name, values in relation.items()
    }


def _round_trip(number: int, made: Made, path: Path, engine: duckdb.DuckDBPyConnection) -> Case:
    relation, _, codes = _read(path, engine)
    kind = _kind(made.form)
    if relation is None:
        return Case(number, kind, False, "refused", codes)
    same = relation == _expected(made)
    return Case(number, kind, False, "same" if same else "wrong", codes if same else _difference(relation, made))


def _difference(relation: Relation, made: Made) -> str:
    for name, values in _expected(made).items():
        if relation.get(name) != values:
            pairs = zip(relation.get(name) or [], values, strict=False)
            shown = next(((found, wanted) for found, wanted in pairs if found != wanted), "length")
            return f"{name}: {shown} {made.form}"
    return f"columns {list(relation)} {made.form}"


def _kind(form: Form) -> str:
    return form.encoding if form.kind == "csv" else form.kind


def _flipped(number: int, made: Made, path: Path, random: Random, engine: duckdb.DuckDBPyConnection) -> Case:
    whole = path.read_bytes()
    kind = _kind(made.form)
    place = random.randrange(len(whole))
    # A flipped bit, any byte, or one that stands elsewhere in the file: a digit, a separator, a quote, a line end.
    byte = random.choice((whole[place] ^ (1 << random.randrange(8)), random.randrange(256), random.choice(whole)))
    changed = whole[:place] + bytes([byte]) + whole[place + 1 :]
    path.write_bytes(changed)
    relation, after, codes = _read(path, engine)
    if relation is None:
        return Case(number, kind, True, "refused", codes)
    if relation == _expected(made):
        return Case(number, kind, True, "same", "")
    oracle = _ORACLES[made.form.kind](changed, path, made.form)
    if oracle is not None and relation == _trimmed(oracle):
        return Case(number, kind, True, "as the oracle", "")
    path.write_bytes(whole)
    _, before, _ = _read(path, engine)
    if after - before:
        return Case(number, kind, True, "said", codes)
    detail = f"byte {place} {whole[place]:#x} -> {byte:#x}: {_difference(relation, made)}; oracle {oracle is not None}"
    return Case(number, kind, True, "wrong", detail)


def _csv_oracle(changed: bytes, _: Path, form: Form) -> Relation | None:
    """Python's csv over the declared form; None when a cell is not in it."""
    try:
        text = changed.decode(form.encoding)
        text = text.removeprefix("\ufeff")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=form.separator, strict=True))
        rows = [row for row in rows[form.title_rows :] if any(cell.strip() for cell in row)]
        if rows[0] != list(form.header):
            return None
        columns = list(zip(*rows[1:], strict=True))
        found = {
            name: [_cell(cell.strip(), name, form) for cell in cells]
            for name, cells in zip(form.order, columns, strict=True)
        }
    except (ValueError, csv.Error, UnicodeError, InvalidOperation, IndexError):
        return None
    return {name: found[name] for name in COLUMNS if name in found}


def _cell(cell: str, name: str, form: Form) -> object:
    """One cell in the declared form, by Python's own parsers; ValueError otherwise."""
    if name in ("market", "channel"):
        return cell or None
    if name == "date":
        if form.dates == "serial":
            return FIRST_SERIAL_DAY + timedelta(days=int(cell))
        shape = {"iso": "%Y-%m-%d", "slash": "%Y/%m/%d", "compact": "%Y%m%d", "chinese": "%Y年%m月%d日"}
        return datetime.strptime(cell, shape.get(form.dates, "%d/%m/%Y")).date()  # noqa: DTZ007 (a day)
    plain = cell.translate(str.maketrans("０１２３４５６７８９", "0123456789"))
    if name in MONEY and form.amounts == "sign":
        plain = plain.removeprefix("¥")
    if name in MONEY and form.amounts == "wan":
        return float(Decimal(plain.removesuffix("万")) * 10_000)
    return float(Decimal(plain.replace(",", "")))


def _parquet_oracle(_: bytes, path: Path, form: Form) -> Relation | None:
    """DuckDB's own reader of Parquet."""
    with duckdb.connect() as connection:
        try:
            rows = connection.execute(f"SELECT {', '.join(form.order)} FROM read_parquet('{path}')").fetchall()
        except duckdb.Error:
            return None
    found = dict(zip(form.order, zip(*rows, strict=True), strict=True))
    return {
        name: [float(value) if isinstance(value, int | float) else value for value in found[name]]
        for name in COLUMNS
        if name in found
    }


def _no_oracle(_: bytes, __: Path, ___: Form) -> Relation | None:
    """Every part of a workbook has a checksum: nothing but the unchanged values will do."""
    return None


_ORACLES: dict[str, Callable[[bytes, Path, Form], Relation | None]] = {
    "csv": _csv_oracle,
    "parquet": _parquet_oracle,
    "xlsx": _no_oracle,
}


def run_range(first: int, last: int) -> list[Case]:
    """The cases of a range, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="door-") as folder:
        place = Path(folder)
        names = [place / f"case{number}{ending}" for number in range(first, last) for ending in _ENDINGS]
        with locked_engine(names) as engine:
            cases = [run_case(number, place, engine) for number in range(first, last)]
    return [case for case in cases if case is not None]


def summary(cases: Sequence[Case]) -> dict[str, object]:
    """Counts by kind of file."""
    counted: dict[str, Counter[str]] = {}
    for case in cases:
        label = f"{case.kind}, {'one byte changed' if case.flipped else 'as made'}"
        counted.setdefault(label, Counter())[case.outcome] += 1
    return {
        "cases": len(cases),
        "wrong": [case.detail for case in cases if case.outcome == "wrong"][:20],
        "kinds": {label: dict(counts) for label, counts in sorted(counted.items())},
    }


def run(cases: int) -> dict[str, object]:
    """`cases` files on all cores."""
    step = 250
    with ProcessPoolExecutor() as pool:
        parts = pool.map(run_range, range(0, cases, step), range(step, cases + step, step))
        return summary([case for part in parts for case in part]) | {"seed": SEED}
