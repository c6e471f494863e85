"""The journeys of a case, wherever its touches are: in the case folder, or on the engine that `case.toml` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from rechannel.source.config import EngineSource
from rechannel.source.engine import locked_engine
from rechannel.source.store import CaseFolder
from rechannel.tables.engines.clickhouse import clickhouse_engine
from rechannel.tables.engines.duck import DuckEngine
from rechannel.tables.engines.remote import Engine, daily_on, fold_on, overlap_on
from rechannel.tables.engines.spark import spark_engine
from rechannel.tables.histories import OrderLog, order_log
from rechannel.tables.journeyrules import Bootstrap, Days, JourneyRules
from rechannel.tables.journeys import JourneyTables
from rechannel.tables.touches import MEMORY_MB, Told, TouchFiles, fold_touches
from rechannel.vocabulary.errors import CallError


def has_touches(case: CaseFolder) -> bool:
    """Whether a case has touches: in its folder, or on the engine that `case.toml` names."""
    return "touches" in case.config.tables or case.config.engine.kind != "duckdb"


def fold_case(
    case: CaseFolder, rules: JourneyRules | None = None, bootstrap: Bootstrap | None = None, tell: Told | None = None
) -> tuple[JourneyTables, int]:
    """Fold the touches of a case; also how many exact repeats were dropped before they were stored.

    Raises
    ------
    CallError
        RC364: the case has no touches; else as `touches.fold_touches` and `engines.remote.fold_on`.
    MissingPart
        RC361: the engine's client is not installed.
    """
    source = case.config.engine
    if source.kind != "duckdb":
        return fold_on(connect(source), rules, bootstrap, tell=tell), 0
    return fold_touches(_stored(case), rules, bootstrap, tell=tell), case.config.tables["touches"].duplicates


def overlap_case(case: CaseFolder, days: Days, bootstrap: Bootstrap, enough: int) -> JourneyTables:
    """The tables of shared customers from some days of the touches of a case.

    Parameters
    ----------
    days
        Rows outside are not looked at.
    bootstrap
        Of `alone` and `overlap`.
    enough
        Rows that are enough: of a longer log in the case folder, a part of the customers that makes about as many.

    Returns
    -------
    JourneyTables
        An engine is asked for `alone` and `overlap` only; the other tables are then empty.

    Raises
    ------
    As `fold_case`; RC360: there are no touches in those days.
    """
    source = case.config.engine
    if source.kind != "duckdb":
        return overlap_on(connect(source), days, bootstrap)
    return fold_touches(TouchFiles(_stored(case).files, days), None, bootstrap, enough=enough)


def daily_case(case: CaseFolder, rules: JourneyRules | None = None) -> pa.Table:
    """The daily panel that the touches of a case add up to; see `engines.remote.daily_on` (errors as `fold_case`)."""
    source = case.config.engine
    if source.kind != "duckdb":
        return daily_on(connect(source), rules)
    touches = _stored(case)
    with locked_engine(touches.files) as connection:
        return daily_on(DuckEngine(connection, touches.relation), rules)


@contextmanager
def orders_of_case(case: CaseFolder) -> Iterator[OrderLog]:
    """The orders in the touches of a case, to be counted while the engine is open.

    Raises
    ------
    CallError
        RC364: the case has no touches; else as `tables.histories.order_log`.
    CaseError, MissingPart
        As `fold_case`.
    """
    source = case.config.engine
    if source.kind != "duckdb":
        yield order_log(connect(source))
        return
    touches = _stored(case)
    with locked_engine(touches.files, MEMORY_MB) as connection:
        yield order_log(DuckEngine(connection, touches.relation))


def connect(source: EngineSource) -> Engine:
    """The engine of a case (CallError RC362, MissingPart RC361)."""
    if source.kind == "spark":
        return spark_engine(source.url, source.table, source.timezone)
    return clickhouse_engine(source.url, source.table, source.timezone)


def _stored(case: CaseFolder) -> TouchFiles:
    path = case.data_file("touches")
    if path is None:
        raise CallError("RC364")
    return TouchFiles((path,))
