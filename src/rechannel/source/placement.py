"""Where the figures of a loaded file stand: SQL of the text of each canonical column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import duckdb

from rechannel.source.channelrules import rule_sql, told_sql
from rechannel.source.engine import quoted
from rechannel.source.export import SOURCE_FIELDS, Export
from rechannel.source.faultlist import FaultList
from rechannel.source.headers import Headers, steps_of

LOADED = "rows_of_file"
"""DuckDB view: the rows of the file as read, kept while groups of columns are placed."""
SUMS = ", ".join(quoted(word) for word in ("全部", "汇总", "合计", "总计", "整体", "彙總", "-", "all", "total"))
"""SQL list of what a finer level of a source tree says on the row that is the sum of a branch."""

BRANCH = " / "
"""Between the levels of a path."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The columns of one loaded file, as its mapping file names them; SQL over `rows_of_file`.

    Attributes
    ----------
    nested
        Position -> whether the column holds objects or lists, of those that were asked for.
    """

    connection: duckdb.DuckDBPyConnection
    headers: Headers
    export: Export
    faults: FaultList
    nested: dict[int, bool] = field(default_factory=dict)

    def text(self, spellings: Sequence[str]) -> tuple[str, str] | None:
        """SQL of the text of the first spelling that is there, and the header's name."""
        return next(iter(self._texts(spellings)), None)

    def filled(self, spellings: Sequence[str]) -> tuple[str, str] | None:
        """SQL of the first spelling that the row fills, and the names of the headers."""
        found = self._texts(spellings)
        if not found:
            return None
        cells = ", ".join(f"nullif({sql}, '')" for sql, _ in found)
        return (f"coalesce({cells})" if len(found) > 1 else found[0][0]), ", ".join(name for _, name in found)

    def _texts(self, spellings: Sequence[str]) -> list[tuple[str, str]]:
        """SQL and name of every spelling that is there."""
        found = []
        for spelling in spellings:
            place = self._place(spelling)
            if place is not None:
                unit = self.headers.unit(place)
                found.append((f"c{place}" + (f" || {quoted(unit)}" if unit else ""), self.headers.names[place]))
                continue
            outer, steps = steps_of(spelling)
            place = self.headers.place(outer) if steps else None
            if place is not None and self._is_nested(place):
                found.append((_inside(f"c{place}", steps), spelling))
        return found

    def _place(self, spelling: str) -> int | None:
        """Position of a header; two that fit equally well are refused."""
        places = self.headers.places(spelling)
        exact = [place for place in places if self.headers.names[place] == spelling]
        if len(exact or places) > 1:
            first, second = (self.headers.names[place] for place in (exact or places)[:2])
            self.faults.add("RC111", "refuse", column=spelling, first=first, second=second)
        return next(iter(exact or places), None)

    def _is_nested(self, place: int) -> bool:
        if place not in self.nested:
            query = f"SELECT c{place} FROM {LOADED} WHERE c{place} IS NOT NULL LIMIT 1"
            first = self.connection.execute(query).fetchall()
            self.nested[place] = bool(first) and str(first[0][0]).startswith(("{", "["))
        return self.nested[place]

    def levels(self) -> list[int]:
        """Positions of the levels of a source tree, coarse to fine."""
        return [place for names in self.export.levels if (place := self.headers.first(names)) is not None]

    def sources(self) -> dict[str, tuple[str, str]]:
        """What the rule of channels reads -> its SQL, and the names of the headers; empty without a rule."""
        columns = self.export.columns if self.export.rule else {}
        return {name: sql for name in SOURCE_FIELDS if (sql := self.filled(columns.get(name, ())))}

    def rows(self, kept: str) -> str:
        """SQL of the rows that count, with what the rule of channels reads beside them: it reads it many times."""
        given = "".join(f", {sql} AS told_{name}" for name, (sql, _) in self.sources().items())
        return f"SELECT *{given} FROM {LOADED} WHERE {kept}"

    def channel(self, branches: Collection[str]) -> tuple[str, str] | None:
        """How the channel of a row of `rows` is told: by the finest level of a tree, by a rule, or by a column.

        Parameters
        ----------
        branches
            Words that several branches of the tree share, in this file or in another one of its export: the whole path
            names them, so that a channel has one name on every day.
        """
        levels = self.levels()
        if levels:
            return self._finest(levels, branches), self.headers.names[levels[-1]]
        sources = self.sources()
        if not sources:
            return self.filled(self.export.columns.get("channel", ()))
        given = {name: f"told_{name}" for name in sources}
        printed = ", ".join(dict.fromkeys(name for _, name in sources.values()))
        by_rule = rule_sql(self.export.rule, given)
        if self.export.grain == "events":  # later events of a session are silent about where it came from
            by_rule = f"CASE WHEN {told_sql(given)} THEN {by_rule} END"
        return by_rule, printed

    def _finest(self, levels: Sequence[int], branches: Collection[str]) -> str:
        """The finest level that says something; where branches share that word, the whole path."""
        finest, path = self._told(levels)
        if not branches:
            return finest
        listed = ", ".join(quoted(word) for word in sorted(branches))
        return f"CASE WHEN {finest} IN ({listed}) THEN {path} ELSE {finest} END"

    def shared(self, kept: str) -> frozenset[str]:
        """The words that stand in several branches of the tree, among the rows `kept`."""
        levels = self.levels()
        if not levels:
            return frozenset()
        finest, path = self._told(levels)
        rows = self.connection.execute(
            f"""SELECT {finest} AS f FROM {LOADED} WHERE {kept} AND f IS NOT NULL GROUP BY f
            HAVING count(DISTINCT {path}) > 1"""
        ).fetchall()
        return frozenset(str(row[0]) for row in rows)

    def _told(self, levels: Sequence[int]) -> tuple[str, str]:
        """SQL of the finest level that says something, and of the whole path."""
        told = [f"CASE WHEN lower(c{place}) NOT IN ({SUMS}) THEN c{place} END" for place in levels]
        return f"coalesce({', '.join(reversed(told))})", f"concat_ws({quoted(BRANCH)}, {', '.join(told)})"


def _inside(text: str, steps: Sequence[str]) -> str:
    """A value inside nested JSON text: `.name` of an object, `[key]` of a list of {key, value} pairs."""
    text = f"(CASE WHEN json_valid({text}) THEN {text} END)"
    for step in steps:
        if step.startswith("["):
            kinds = [f"{kind}_value" for kind in ("string", "int", "float", "double")]
            value = ", ".join(f'"{kind}": "VARCHAR"' for kind in kinds)
            pairs = f"""from_json({text}, '[{{"key": "VARCHAR", "value": {{{value}}}}}]')"""
            found = f"list_filter({pairs}, lambda pair: pair.key = {quoted(step[1:-1])})"
            told = f"coalesce({', '.join(f'pair.value.{kind}' for kind in kinds)})"
            text = f"list_transform({found}, lambda pair: {told})[1]"
        else:
            path = quoted('$."' + step + '"')
            text = f"json_extract_string({text}, {path})"
    return text
