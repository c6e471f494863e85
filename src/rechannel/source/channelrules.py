"""How source, medium, campaign, scene code or source key become a channel: lists in order, written as SQL."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from rechannel.source.engine import quoted
from rechannel.vocabulary.channel import Channel

TEST = "test"
"""Channel of crawlers, load tests and trial versions: no visitors."""
OTHER = "other"
"""Kind of a code that no list knows."""
UNTOLD: Mapping[str, str] = {"ga4": "Direct"}
"""Rule -> channel of a session whose every event is silent about where it came from."""
LISTS = ("wechat_sources.csv", "wechat_kinds.csv", "ga4_channels.toml")
"""Lists of the package whose rows are channels."""


def rule_sql(rule: str, given: Mapping[str, str]) -> str:
    """SQL that turns the texts of a row into its channel.

    Parameters
    ----------
    rule
        `ga4`: the default channel groups of Google Analytics 4, the first that holds, where the tags of a link win over
        the referrer; `wechat_scene`: the kind of the scene code, where the tags win over the scene; `wechat_source`:
        the name of the source key.
    given
        What the export has of `source`, `medium`, `campaign`, `click_id`, `referrer`, `referrer_medium`, `scene`,
        `key` and `group` -> its SQL.

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


def told_sql(given: Mapping[str, str]) -> str:
    """SQL that says whether a row tells anything about where it came from."""
    return " OR ".join(f"nullif({text}, '') IS NOT NULL" for text in given.values()) or "false"


def listed_channels(name: str, host: str) -> tuple[Channel, ...]:
    """The channels of one of `LISTS`, described in three languages."""
    if name == "ga4_channels.toml":
        groups = _groups()["group"]
        assert isinstance(groups, list)
        return tuple(
            Channel(one["name"], {"zh-Hans": one["zh"], "zh-Hant": one["zh_hant"]}, host, one["kind"]) for one in groups
        )
    rows = table_rows(name)
    if name == "wechat_kinds.csv":
        return tuple(
            Channel(row["kind"], {"en": row["en"], "zh-Hans": row["zh"], "zh-Hant": row["zh_hant"]}, host, row["kind"])
            for row in rows
        )
    return tuple(Channel(row["zh"], {"en": row["en"], "zh-Hant": row["zh_hant"]}, host, row["kind"]) for row in rows)


def _wechat_scene(given: Mapping[str, str]) -> str:
    # Some SDKs write wx-1089; a code read from a workbook or from JSON may carry a fraction of zero.
    scene = f"regexp_replace({given['scene']}, '^wx-|\\.0+$', '', 'g')" if "scene" in given else "NULL"
    kind = _looked_up(scene, kinds_of("wechat_scenes.csv", "code"))
    tags = {name: given[name] for name in ("source", "medium") if name in given}
    if not tags:
        return kind
    grouped = _ga4({name: text for name, text in given.items() if name != "scene"})
    return f"CASE WHEN {told_sql(tags)} THEN {grouped} ELSE {kind} END"


def _wechat_source(given: Mapping[str, str]) -> str:
    text = f"regexp_replace({given['key']}, '\\.0+$', '')"
    cases = " ".join(f"WHEN {quoted(row['key'])} THEN {quoted(row['zh'])}" for row in table_rows("wechat_sources.csv"))
    return f"CASE {text} {cases} ELSE {text} END"


@cache
def _groups() -> Mapping[str, object]:
    text = files("rechannel.source").joinpath("mappings", "ga4_channels.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _kind_of_source() -> Mapping[str, str]:
    """Host or name of a site -> its one kind: `google`, `Google` and `www.google.com` are search.

    Google's own list of sources comes before the hosts that others know, and a host before a name that several sites
    share (Facebook is also a search engine).
    """
    rows = table_rows("referrers.csv")
    named: list[tuple[int, int, str, str]] = []
    for row in rows:
        others = 0 if row["source"].startswith("Google Analytics") else 1
        host, name, kind = row["host"].lower(), row["name"].lower(), row["kind"]
        for place, word in enumerate((host, host.removeprefix("www."), name)):
            named.append((others * (1 + place), _KINDS.index(kind), word, kind))
    found: dict[str, str] = {}
    for _, _, word, kind in sorted(named):
        found.setdefault(word, kind)
    return found


@cache
def _sources_of(kind: str) -> str:
    """Every host and name of one kind of site, as an SQL list."""
    words = sorted(word for word, one in _kind_of_source().items() if one == kind)
    return ", ".join(quoted(word) for word in words)


def _ga4(given: Mapping[str, str]) -> str:
    """The default channel groups in their order; a name given as `group` stands as it is."""
    rules = _groups()
    patterns, groups, fallback = rules["patterns"], rules["group"], rules["fallback"]
    assert isinstance(patterns, dict)
    assert isinstance(groups, list)
    assert isinstance(fallback, dict)
    words = {name: f"coalesce(lower({given[name]}), '')" if name in given else "''" for name in _DIMENSIONS}
    if "click_id" in given:
        words |= _with_click(words, given["click_id"], rules)
    if "referrer" in given or "referrer_medium" in given:
        words |= _with_referrer(words, given, rules)

    def holds(condition: Mapping[str, object]) -> str:
        parts = []
        for key, value in condition.items():
            if key == "list":
                parts.append(f"kind = {quoted(str(value))}")
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
    # The lists of hosts are long: they are looked through once, and the rules read what came of it.
    kinds = " ".join(f"WHEN {words['source']} IN ({_sources_of(kind)}) THEN {quoted(kind)}" for kind in _KINDS)
    by_kind = f"CASE {cases} ELSE {quoted(fallback['name'])} END"
    by_rule = f"list_transform([CASE {kinds} END], lambda kind: {by_kind})[1]"
    return f"coalesce({given['group']}, {by_rule})" if "group" in given else by_rule


def _with_click(words: Mapping[str, str], click_id: str, rules: Mapping[str, object]) -> dict[str, str]:
    """Source and medium of a link to which Google added an id of the click: those of an advertisement, tags or not."""
    tags = rules["click"]
    assert isinstance(tags, dict)
    return {
        name: f"CASE WHEN nullif({click_id}, '') IS NOT NULL THEN {quoted(str(tag))} ELSE {words[name]} END"
        for name, tag in tags.items()
    }


def _with_referrer(words: Mapping[str, str], given: Mapping[str, str], rules: Mapping[str, object]) -> dict[str, str]:
    """Source and medium of a link without tags: those of the page that led here, unless it is one of the shop's own."""
    mediums = rules["referrer_mediums"]
    assert isinstance(mediums, dict)
    name = f"coalesce(lower({given['referrer']}), '')" if "referrer" in given else "''"
    medium = f"coalesce(lower({given['referrer_medium']}), '')" if "referrer_medium" in given else "''"
    cases = " ".join(f"WHEN {quoted(word)} THEN {quoted(str(meant))}" for word, meant in mediums.items())
    untagged = " AND ".join(f"{words[dimension]} = ''" for dimension in _DIMENSIONS)
    own = f"({medium} = 'internal')"
    return {
        "source": f"CASE WHEN {untagged} THEN CASE WHEN {own} THEN '' ELSE {name} END ELSE {words['source']} END",
        "medium": f"CASE WHEN {untagged} THEN CASE {medium} {cases} ELSE {medium} END ELSE {words['medium']} END",
    }


_DIMENSIONS = ("source", "medium", "campaign")
_KINDS = ("ai", "social", "video", "shopping", "search")
"""Kinds of sites; of one host in two lists, the first is meant."""
_RULES: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "ga4": _ga4,
    "wechat_scene": _wechat_scene,
    "wechat_source": _wechat_source,
}
RULES = tuple(_RULES)
