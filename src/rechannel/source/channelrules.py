"""How source, medium, campaign, scene code or source key become a channel: lists in order, written as SQL."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from rechannel.source.engine import quoted

TEST = "test"
"""Channel of crawlers, load tests and trial versions: no visitors."""
OTHER = "other"
"""Kind of a code that no list knows."""


def rule_sql(rule: str, given: Mapping[str, str]) -> str:
    """SQL that turns the texts of a row into its channel.

    Parameters
    ----------
    rule
        `ga4`: the default channel groups of Google Analytics 4, the first that holds; `wechat_scene`: the kind of the
        scene code, where campaign parameters win over the scene; `wechat_source`: the name of the source key.
    given
        What the export has of `source`, `medium`, `campaign`, `scene`, `key` and `group` -> its SQL.

    Examples
    --------
    >>> import duckdb
    >>> sql = rule_sql("ga4", {"source": "'baidu'", "medium": "'organic'"})
    >>> duckdb.sql(f"SELECT {sql}").fetchall()[0][0]
    'Organic Search'
    >>> duckdb.sql(f"SELECT {rule_sql('wechat_scene', {'scene': chr(39) + '1089' + chr(39)})}").fetchall()[0][0]
    'recall_list'
    """
    return _RULES[rule](given)


@cache
def table_rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of one of our lists in `mappings/`."""
    text = files("rechannel.source").joinpath("mappings", name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def kinds_of(table: str, key: str) -> Mapping[str, str]:
    """Code or label -> kind, of one of our lists; codes that only tests and crawlers use are `test`."""
    return {row[key]: TEST if row.get("control") == "exclude" else row["kind"] for row in table_rows(table)}


@cache
def code_breaks() -> tuple[Mapping[str, str], ...]:
    """Codes that were split, merged or given another meaning: a split looks exactly like a closure."""
    return table_rows("code_breaks.csv")


def _looked_up(text: str, known: Mapping[str, str]) -> str:
    by_kind: dict[str, list[str]] = {}
    for code, kind in known.items():
        by_kind.setdefault(kind, []).append(code)
    cases = " ".join(
        f"WHEN {text} IN ({', '.join(quoted(code) for code in codes)}) THEN {quoted(kind)}"
        for kind, codes in by_kind.items()
    )
    return f"CASE WHEN {text} IS NULL THEN NULL {cases} ELSE {quoted(OTHER)} END"


def _wechat_scene(given: Mapping[str, str]) -> str:
    # A code read from a workbook or from JSON may carry a fraction of zero.
    scene = f"regexp_replace({given['scene']}, '\\.0+$', '')" if "scene" in given else "NULL"
    kind = _looked_up(scene, kinds_of("wechat_scenes.csv", "code"))
    tagged = " OR ".join(f"nullif({given[name]}, '') IS NOT NULL" for name in ("source", "medium") if name in given)
    if not tagged:
        return kind
    return (
        f"CASE WHEN {tagged} THEN {_ga4({name: sql for name, sql in given.items() if name != 'scene'})} ELSE {kind} END"
    )


def _wechat_source(given: Mapping[str, str]) -> str:
    text = f"regexp_replace({given['key']}, '\\.0+$', '')"
    cases = " ".join(f"WHEN {quoted(row['key'])} THEN {quoted(row['zh'])}" for row in table_rows("wechat_sources.csv"))
    return f"CASE {text} {cases} ELSE {text} END"


@cache
def _groups() -> Mapping[str, object]:
    text = files("rechannel.source").joinpath("mappings", "ga4_channels.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _sources_of(kind: str) -> str:
    """Every host and name of one kind of site, as an SQL list: `google`, `Google`, `www.google.com`."""
    found = set()
    for row in table_rows("referrers.csv"):
        if row["kind"] == kind:
            found |= {row["host"].lower(), row["name"].lower(), row["host"].lower().removeprefix("www.")}
    return ", ".join(quoted(word) for word in sorted(found))


def _ga4(given: Mapping[str, str]) -> str:
    """The default channel groups in their order; a name given as `group` stands as it is."""
    rules = _groups()
    patterns, groups, fallback = rules["patterns"], rules["group"], rules["fallback"]
    assert isinstance(patterns, dict)
    assert isinstance(groups, list)
    assert isinstance(fallback, dict)
    words = {name: f"coalesce(lower({given[name]}), '')" if name in given else "''" for name in _DIMENSIONS}

    def holds(condition: Mapping[str, object]) -> str:
        parts = []
        for key, value in condition.items():
            if key == "list":
                parts.append(f"{words['source']} IN ({_sources_of(str(value))})")
            elif key.endswith("_pattern"):
                parts.append(
                    f"regexp_full_match({words[key.removesuffix('_pattern')]}, {quoted(patterns[str(value)])})"
                )
            elif key.endswith("_contains"):
                parts.append(f"contains({words[key.removesuffix('_contains')]}, {quoted(str(value))})")
            else:
                assert isinstance(value, list)
                parts.append(f"{words[key]} IN ({', '.join(quoted(word) for word in value)})")
        return " AND ".join(parts)

    cases = " ".join(
        f"WHEN {' OR '.join(f'({holds(condition)})' for condition in group['any'])} THEN {quoted(group['name'])}"
        for group in groups
    )
    by_rule = f"CASE {cases} ELSE {quoted(fallback['name'])} END"
    return f"coalesce({given['group']}, {by_rule})" if "group" in given else by_rule


_DIMENSIONS = ("source", "medium", "campaign")
_RULES: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "ga4": _ga4,
    "wechat_scene": _wechat_scene,
    "wechat_source": _wechat_source,
}
