"""How one cell is read: SQL that turns text into a date, a time, a number or a word, or says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from rechannel.source.contract import Column
from rechannel.source.engine import quoted

_PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
_EITHER = rf"({_PLAIN}|{_THOUSANDS})"
_WAN = rf"{_EITHER}\s*[万萬亿億]"
SIGNS = "¥￥$€£"
_MONEY = rf"([{SIGNS}]\s*{_EITHER}|-[{SIGNS}]\s*{_EITHER}|{_EITHER}\s*元)"
_PERCENT = rf"{_EITHER}\s*[%％]"
_INFINITE = "[+-]?(inf(inity)?|∞)"
_MISSING = ("n/a", "na", "null", "none", "nan", "-", "--", "—", "\\n", "#n/a", "无", "無", "暂无", "未知")
_DATE = r"^(\d{4})(?:-|/|\.|年)?(\d{1,2})(?:-|/|\.|月)?(\d{1,2})日?"
_MIDNIGHT = r"([ T]00:00(:00(\.0+)?)?)?"
DATE_FORMS: dict[str, str] = {
    "2025-09-03": rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}{_MIDNIGHT}",
    "2025/9/3": rf"\d{{4}}/\d{{1,2}}/\d{{1,2}}{_MIDNIGHT}",
    "2025.9.3": rf"\d{{4}}\.\d{{1,2}}\.\d{{1,2}}{_MIDNIGHT}",
    "20250903": r"\d{8}",
    "2025年9月3日": r"\d{4}年\d{1,2}月\d{1,2}日",
}
_AMBIGUOUS = r"\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})"
_DAY = r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{4}年\d{1,2}月\d{1,2}日)"
_TIME = rf"{_DAY}[ T]{_CLOCK}\s?{_OFFSET}?"
EARLIEST_YEAR = 1990


@dataclass(frozen=True, slots=True)
class CellSql:
    """SQL of one column over its text `x`: its value, and the code of what is wrong or odd (NULL = nothing)."""

    value: str
    code: str


REFUSED_CELLS = frozenset(
    {"RC121", "RC122", "RC123", "RC124", "RC125", "RC126", "RC128", "RC129", "RC130", "RC131", "RC140"}
)
"""Codes of a cell that refuse the file; the rest warn."""


def cell_sql(column: Column, text: str, timezone: str) -> CellSql:
    """How the text expression `text` becomes a value of `column`.

    Parameters
    ----------
    column
        Canonical column.
    text
        SQL name of the trimmed text; NULL = blank.
    timezone
        IANA name of the case's zone; times that state an offset are moved into it.
    """
    if column.type == "date":
        return _date(text)
    if column.type == "time":
        return _time(text, timezone)
    if column.type == "enum":
        words = ", ".join(quoted(word) for word in column.allowed)
        return CellSql(
            f"lower({text})", f"CASE WHEN {text} IS NOT NULL AND lower({text}) NOT IN ({words}) THEN 'RC129' END"
        )
    if column.type == "text":
        return CellSql(text, "NULL")
    return _number(column, text)


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {quoted(pattern)})"


def _number(column: Column, text: str) -> CellSql:
    factor = f"CASE WHEN regexp_matches({text}, '[万萬]') THEN 1e4 ELSE 1e8 END"
    bare = f"TRY_CAST(regexp_replace({text}, '[^0-9.eE+-]', '', 'g') AS DOUBLE)"
    value = f"""CASE
        WHEN {text} IS NULL THEN NULL
        WHEN {_matches(text, _PLAIN)} THEN TRY_CAST({text} AS DOUBLE)
        WHEN {_matches(text, _THOUSANDS)} OR {_matches(text, _MONEY)} THEN {bare}
        WHEN {_matches(text, _WAN)} THEN round({bare} * {factor}, 6)
        END"""
    missing = ", ".join(quoted(word) for word in _MISSING)
    checks = []
    if column.nonnegative or column.type == "count":
        checks.append(f"WHEN ({value}) < 0 THEN 'RC130'")
    if column.type == "share":
        checks.append(f"WHEN ({value}) NOT BETWEEN 0 AND 1 THEN 'RC131'")
    in_range = "\n".join(checks)
    code = f"""CASE
        WHEN {text} IS NULL THEN NULL
        WHEN NOT isfinite({value}) THEN 'RC123'
        {in_range}
        WHEN {_matches(text, _PLAIN)} OR {_matches(text, _THOUSANDS)} THEN NULL
        WHEN {_matches(text, _MONEY)} THEN 'RC152'
        WHEN {_matches(text, _WAN)} THEN 'RC153'
        WHEN lower({text}) IN ({missing}) THEN 'RC151'
        WHEN {_matches(f"lower({text})", _INFINITE)} THEN 'RC122'
        WHEN {_matches(text, _PERCENT)} THEN 'RC124'
        ELSE 'RC121' END"""
    return CellSql(value, code)


def _date(text: str) -> CellSql:
    parts = [f"regexp_extract({text}, {quoted(_DATE)}, {part})" for part in (1, 2, 3)]
    known = " OR ".join(_matches(text, pattern) for pattern in DATE_FORMS.values())
    value = f"CASE WHEN {known} THEN TRY_CAST(concat({parts[0]}, '-', {parts[1]}, '-', {parts[2]}) AS DATE) END"
    code = f"""CASE
        WHEN {text} IS NULL THEN NULL
        WHEN {_matches(text, _AMBIGUOUS)} THEN 'RC126'
        WHEN ({value}) IS NULL THEN 'RC125'
        WHEN year({value}) < {EARLIEST_YEAR} THEN 'RC128' END"""
    return CellSql(value, code)


def date_form_sql(text: str) -> str:
    """Which of `DATE_FORMS` a date is written in."""
    cases = " ".join(f"WHEN {_matches(text, pattern)} THEN {quoted(form)}" for form, pattern in DATE_FORMS.items())
    return f"CASE {cases} END"


def _time(text: str, timezone: str) -> CellSql:
    # DuckDB casts '10:24+08:00' to TIMESTAMP by dropping the offset, so offsets are taken apart here.
    parts = [f"regexp_extract({text}, {quoted(_DATE)}, {part})" for part in (1, 2, 3)]
    clock = f"regexp_extract({text}, {quoted('[ T](' + _CLOCK + ')')}, 1)"
    stamp = f"TRY_CAST(concat({parts[0]}, '-', {parts[1]}, '-', {parts[2]}, ' ', {clock}) AS TIMESTAMP)"
    offset = offset_sql(text)
    minutes = f"""CASE WHEN {offset} = 'Z' THEN 0 ELSE
        (CASE WHEN {offset}[1] = '-' THEN -1 ELSE 1 END) *
        (60 * TRY_CAST({offset}[2:3] AS INTEGER) + TRY_CAST({offset}[-2:] AS INTEGER)) END"""
    local = f"timezone({quoted(timezone)}, timezone('UTC', {stamp} - to_minutes({minutes})))"
    simple = r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
    value = f"""CASE
        WHEN {_matches(text, simple)} THEN TRY_CAST({text} AS TIMESTAMP)
        WHEN NOT {_matches(text, _TIME)} THEN NULL
        WHEN {offset} = '' THEN {stamp} ELSE {local} END"""
    code = f"""CASE
        WHEN {text} IS NULL THEN NULL
        WHEN ({value}) IS NULL THEN 'RC140'
        WHEN year({value}) < {EARLIEST_YEAR} THEN 'RC128' END"""
    return CellSql(value, code)


def offset_sql(text: str) -> str:
    """The offset a time states (`Z`, `+08:00`), or an empty text."""
    return f"regexp_extract({text}, {quoted(':[0-9.:]*[ ]?(' + _OFFSET + ')$')}, 1)"
