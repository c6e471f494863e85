"""Exports make a case, or more of one: read, assembled, stored in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from rechannel.source.addition import Addition, add_relations
from rechannel.source.assemble import Assembly, assemble
from rechannel.source.checks import Rules
from rechannel.source.config import CaseConfig, check_currency, check_timezone
from rechannel.source.contract import TableName
from rechannel.source.products import products_with
from rechannel.source.progress import Bars
from rechannel.source.store import CaseFolder, CreatedCase, check_free, store_case, today_in
from rechannel.vocabulary.channel import Cadence, Channel
from rechannel.vocabulary.errors import CallError


@dataclass(frozen=True, slots=True)
class Imports:
    """What the user gives: files and folders, tables by name, mapping files, and other names of channels."""

    files: Sequence[Path]
    tables: Mapping[TableName, Path]
    mappings: Sequence[Path] = ()
    aliases: Sequence[str] = ()

    def channels(self, declared: Sequence[Channel] = ()) -> tuple[Channel, ...]:
        """The channels that are declared, with `NAME=CHANNEL` of the call beside their aliases.

        Raises
        ------
        CallError
            RC736: an alias is not of that form.
        """
        found = {channel.channel_id: channel for channel in declared}
        for alias in self.aliases:
            name, equals, channel_id = (part.strip() for part in alias.partition("="))
            if not equals or not name or not channel_id:
                raise CallError("RC736", value=alias)
            known = found.get(channel_id, Channel(channel_id))
            found[channel_id] = replace(known, aliases=(*known.aliases, name))
        return tuple(found.values())


def new_from_files(
    folder: Path,
    imports: Imports,
    *,
    currency: str = "CNY",
    timezone: str = "Asia/Shanghai",
    cadence: Cadence = "daily",
    today: date | None = None,
    name: str = "",
    bars: Bars | None = None,
) -> tuple[CreatedCase, Assembly]:
    """Make a case folder from exports of any kind.

    Parameters
    ----------
    folder
        Must not exist, or be empty.
    imports
        What is given.
    currency, timezone, cadence, today, name, bars
        As in `create_case`.

    Raises
    ------
    FileRefused, CaseError, CallError
        As in `create_case` and `assemble`; nothing was stored.
    """
    check_timezone(timezone)
    check_currency(currency)
    check_free(folder)
    rules = Rules(today or today_in(timezone), cadence, timezone, currency)
    given = imports.channels()
    products = products_with(imports.mappings)
    made = assemble(imports.files, rules, products=products, tables=imports.tables, channels=given, bars=bars)
    declared = CaseConfig(
        name,
        currency,
        timezone,
        cadence,
        {},
        _all_channels(given, made.channels),
        salt=made.salt,
        counts=made.counts,
        mappings=made.labels,
    )
    return store_case(folder, made.tables, declared), made


def _all_channels(given: Sequence[Channel], found: Sequence[Channel]) -> tuple[Channel, ...]:
    """The channels of the call, then those that the mapping files describe; one that both name as both describe it."""
    described = {channel.channel_id: channel for channel in found}
    own = [described.pop(channel.channel_id, channel) for channel in given]
    return (*own, *described.values())


def add_from_files(
    case: CaseFolder, imports: Imports, *, today: date | None = None, bars: Bars | None = None
) -> tuple[tuple[Addition, ...], Assembly]:
    """Append exports to a case, or put their rows in the place of those with the same key; all files or none.

    Raises
    ------
    FileRefused, CaseError, CallError, StoreError
        As in `assemble` and `add_relations`; nothing was changed.
    """
    case.refresh()
    rules = case.rules(today)
    made = assemble(
        imports.files,
        rules,
        products=products_with(imports.mappings),
        tables=imports.tables,
        channels=imports.channels(case.config.channels),
        existing=case.relation("daily"),
        counts=case.config.counts,
        salt=case.config.salt,
        connections=case.config.connections,
        bars=bars,
    )
    return add_relations(case, made.tables, salt=made.salt, today=today), made
