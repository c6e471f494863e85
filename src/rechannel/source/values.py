"""How one cell is read: SQL that turns text into a date, a time, a number or a word, or says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from rechannel.source.contract import Column
from rechannel.source.engine import quoted

EARLIEST_YEAR = 1990
LARGEST_COUNT = 2**53
"""From here on, not every whole number has a double of its own."""
LARGEST_AMOUNT = 1e18
SIGNS = "¥￥$€£"
_WIDE = "０１２３４５６７８９．，－＋％／：￥　"
_NARROW = "0123456789.,-+%/:¥ "
WIDE_DIGIT = "[０-９．，－＋％]"
"""Full-width digits and the signs of numbers."""

IDS = ("customer", "order_id", "session")
"""Columns of ids: a spreadsheet shows a long one as 1.38E+10, and the ids of many customers become one."""
_NO_ID = ("null", "none", "nan", "n/a", "na", "undefined", "\\n", "-", "--", "(not set)")
"""What systems write where there is no id: read as one, it would be the busiest customer."""
_ROUNDED_ID = r"\d(\.\d+)?[eE]\+\d{2}"
_DIGITS = r"(\d+\.?\d*|\.\d+)"
_THOUSANDS = r"(\d{1,3}(,\d{3})+(\.\d+)?)"
_EITHER = rf"({_DIGITS}|{_THOUSANDS})"
_PLAIN = rf"[+-]?{_DIGITS}([eE][+-]?\d+)?"
_GROUPED = rf"[+-]?{_THOUSANDS}"
_WORDS = r"(CNY|RMB|USD|HKD|TWD|EUR|GBP|JPY|US\$|HK\$|NT\$)"
_MONEY = rf"(-?\s*([{SIGNS}]|{_WORDS})\s*[+-]?\s*{_EITHER}|[+-]?{_EITHER}\s*(元|圆|圓|{_WORDS}))"
_WAN = rf"-?\s*[{SIGNS}]?\s*[+-]?{_EITHER}\s*[万萬亿億]\s*元?"
_PERCENT = rf"[+-]?{_EITHER}\s*%"
_INFINITE = "[+-]?(inf(inity)?|∞)"
_UNKNOWN = ("无", "無", "暂无", "暫無", "未知", "不适用", "不適用")
_MISSING = ("n/a", "n.a.", "na", "null", "none", "nan", "#n/a", "-", "--", "–", "—", "/", "\\n", *_UNKNOWN)
_ERRORS = ("#n/a", "#ref!", "#div/0!", "#value!", "#name?", "#num!", "#null!", "#spill!", "#calc!", "#getting_data")
MONEY_SIGN = rf"(?i)({_WORDS}|[{SIGNS}元圆圓])"

_PARTS = r"^(\d{4})(?:-|/|\.|年)?(\d{1,2})(?:-|/|\.|月)?(\d{1,2})日?"
_MIDNIGHT = r"([ T]0?0:00(:00(\.0+)?)?)?"
COMMA_UNSURE, POINT_UNSURE = r"[+-]?\d{1,3},\d{3}", r"[+-]?\d{1,3}(\.\d{3})+"
"""What is a thousand in one country and a decimal in another ..."""
COMMA_SHOWN = r"[+-]?\d{1,3}(,\d{3})+(,\d{3}|\.\d+)"
POINT_SHOWN = r"[+-]?(\d+\.(\d{1,2}|\d{4,})|\d{4,}\.\d+)"
"""... and what shows in which one a column was written."""
DATE_FORMS: dict[str, str] = {
    "2025-09-03": rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}{_MIDNIGHT}",
    "2025/9/3": rf"\d{{4}}/\d{{1,2}}/\d{{1,2}}{_MIDNIGHT}",
    "2025.9.3": rf"\d{{4}}\.\d{{1,2}}\.\d{{1,2}}{_MIDNIGHT}",
    "20250903": r"\d{8}",
    "2025年9月3日": r"\d{4}年\d{1,2}月\d{1,2}日",
}
_USUAL_DATE = r"(199\d|20\d{2})-(0[1-9]|1[0-2])-([0-2]\d|3[01])"
_USUAL_TIME = r"(199\d|20\d{2})-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
DAY_FIRST = rf"(\d{{1,2}})([-/.])(\d{{1,2}})[-/.](\d{{4}}){_MIDNIGHT}"
_AMBIGUOUS = r"\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})" + _MIDNIGHT
SERIAL = r"\d{5}(\.\d+)?"
_FIRST_SERIAL, _LAST_SERIAL = 32874, 73050
"""1990-01-01 and 2100-01-01 as days of Excel."""
EPOCH = r"1\d{9}|1\d{12}|1\d{15}"
"""Seconds, milliseconds or microseconds, September 2001 to May 2033."""
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})"
_DAY = r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{4}年\d{1,2}月\d{1,2}日)"
_TIME = rf"{_DAY}[ T]{_CLOCK}\s?{_OFFSET}?"


@dataclass(frozen=True, slots=True)
class ColumnForms:
    """What only the whole column can tell.

    Attributes
    ----------
    order
        `dmy` or `mdy` where one order of day and month is impossible; empty when both fit or none is needed.
    epoch_zone
        Zone in which all epoch days begin at midnight: UTC or the case's; empty when they do not.
    wide
        Whether full-width digits occur.
    grouped
        Whether `1,234` can only mean thousands.
    pointed
        Whether `1.234` can only be a decimal.
    """

    order: str = ""
    epoch_zone: str = ""
    wide: bool = False
    grouped: bool = True
    pointed: bool = True


@dataclass(frozen=True, slots=True)
class CellSql:
    """SQL of one column.

    Attributes
    ----------
    plain
        Whether a text that is not NULL is in the plain form: `quick` reads it, and nothing is to be said about it.
    quick
        Value of a text in the plain form.
    value
        Value of any text; NULL when it has none.
    code
        Over the columns `cell` and `v` (text and value): the code of what is wrong or odd, or NULL.
    """

    plain: str
    quick: str
    value: str
    code: str


REFUSED_CELLS = frozenset(
    {
        "RC120",
        "RC121",
        "RC122",
        "RC123",
        "RC124",
        "RC125",
        "RC126",
        "RC128",
        "RC129",
        "RC130",
        "RC131",
        "RC140",
        "RC186",
    }
)
"""Codes of a cell that refuse the file; the rest warn."""


def cell_sql(column: Column, text: str, timezone: str, forms: ColumnForms) -> CellSql:
    """How the text expression `text` becomes a value of `column`.

    Parameters
    ----------
    column
        Canonical column.
    text
        SQL name of the trimmed text; NULL = blank.
    timezone
        IANA name of the case's zone; times that state an offset are moved into it.
    forms
        What the whole column tells.
    """
    if column.type in ("text", "enum"):
        return _word(column, text)
    read = f"trim(translate({text}, {quoted(_WIDE)}, {quoted(_NARROW)}))" if forms.wide else text
    cell = f"trim(translate(cell, {quoted(_WIDE)}, {quoted(_NARROW)}))" if forms.wide else "cell"
    if column.type == "date":
        return _date(text, read, cell, forms)
    if column.type == "time":
        return _time(text, read, timezone)
    return _number(column, text, read, cell, forms)


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {quoted(pattern)})"


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(quoted(word) for word in words)


def _word(column: Column, text: str) -> CellSql:
    if column.allowed:
        known = f"({text}) IN ({_listed(column.allowed)})"
        code = f"CASE WHEN v NOT IN ({_listed(column.allowed)}) THEN 'RC129' END"
        meant = " ".join(f"WHEN {quoted(word)} THEN {quoted(one)}" for word, one in column.words.items())
        value = f"CASE {text} {meant} ELSE lower({text}) END" if meant else f"lower({text})"
        return CellSql(known, text, value, code)
    missing_ids = _NO_ID if column.name in IDS else ()
    error = f"lower({text}) IN ({_listed((*_ERRORS, *missing_ids))})"
    missing = f"WHEN v IS NULL THEN '{'RC120' if column.required else 'RC151'}'"
    if column.name not in IDS:
        return CellSql(f"{text}[1] <> '#'", text, f"CASE WHEN NOT {error} THEN {text} END", f"CASE {missing} END")
    code = f"CASE {missing} WHEN {_matches('v', _ROUNDED_ID)} THEN 'RC186' END"
    # Most ids are settled by a look at their length and their letters.
    short = f"CASE WHEN length({text}) > {max(map(len, _NO_ID))} THEN true ELSE NOT {error} END"
    exact = f"CASE WHEN contains({text}, '+') THEN NOT {_matches(text, _ROUNDED_ID)} ELSE true END"
    plain = f"{text}[1] <> '#' AND {short} AND {exact}"
    return CellSql(plain, text, f"CASE WHEN NOT {error} THEN {text} END", code)


def _number(column: Column, text: str, read: str, cell: str, forms: ColumnForms) -> CellSql:
    signed = not (column.nonnegative or column.type in ("count", "share"))
    plain = r"0(\.\d{1,15})?|1(\.0+)?" if column.type == "share" else r"\d{1,15}(\.\d{1,15})?"
    bare = f"regexp_replace({read}, '[^0-9.+-]', '', 'g')"
    exponent = f"CASE WHEN regexp_matches({read}, '[万萬]') THEN 'e4' ELSE 'e8' END"
    grouped = f"WHEN {_matches(read, _GROUPED)} THEN TRY_CAST({bare} AS DOUBLE)" if forms.grouped else ""
    unsure = "" if forms.pointed else f"WHEN {_matches(read, POINT_UNSURE)} THEN NULL"
    percent = f"WHEN {_matches(read, _PERCENT)} THEN TRY_CAST(concat({bare}, 'e-2') AS DOUBLE)"
    value = f"""CASE
        {unsure}
        WHEN {_matches(read, _PLAIN)} THEN TRY_CAST({read} AS DOUBLE) + 0.0
        {grouped}
        WHEN {_matches(read, f"(?i){_MONEY}")} THEN TRY_CAST({bare} AS DOUBLE)
        WHEN {_matches(read, _WAN)} THEN TRY_CAST(concat({bare}, {exponent}) AS DOUBLE)
        {percent if column.type == "share" else ""}
        END"""
    most = LARGEST_COUNT if column.type == "count" else LARGEST_AMOUNT
    limits = "" if signed else "WHEN v < 0 THEN 'RC130'"
    limits += " WHEN v NOT BETWEEN 0 AND 1 THEN 'RC131'" if column.type == "share" else ""
    code = f"""CASE
        WHEN lower({cell}) IN ({_listed(_MISSING)}) THEN 'RC151'
        WHEN {_matches(f"lower({cell})", _INFINITE)} THEN 'RC122'
        WHEN v IS NULL AND {_matches(cell, _PERCENT)} THEN 'RC124'
        WHEN v IS NULL THEN 'RC121'
        WHEN NOT isfinite(v) OR abs(v) >= {most} THEN 'RC123'
        {limits}
        WHEN {_matches(cell, f"(?i){_MONEY}")} THEN 'RC152'
        WHEN {_matches(cell, _WAN)} THEN 'RC153'
        WHEN {_matches(cell, _PERCENT)} THEN 'RC183' END"""
    usual = _matches(text, f"{'-?' if signed else ''}({plain})")
    usual += "" if forms.pointed else f" AND NOT {_matches(text, POINT_UNSURE)}"
    return CellSql(usual, f"TRY_CAST({text} AS DOUBLE) + 0.0", value, code)


def date_form_sql(text: str) -> str:
    """Which of `DATE_FORMS` a date is written in; the text itself tells no other."""
    cases = " ".join(f"WHEN {_matches(text, pattern)} THEN {quoted(form)}" for form, pattern in DATE_FORMS.items())
    return f"""CASE {cases} WHEN {_matches(text, SERIAL)} THEN '45903' WHEN {_matches(text, EPOCH)} THEN '1756857600'
        WHEN {_matches(text, DAY_FIRST)} THEN '3/9/2025' END"""


def _joined(read: str) -> str:
    """Year, month and day of a text, as ISO text."""
    parts = ", '-', ".join(f"regexp_extract({read}, {quoted(_PARTS)}, {part})" for part in (1, 2, 3))
    return f"concat({parts})"


def _in_range(read: str) -> str:
    return f"{_matches(read, SERIAL)} AND TRY_CAST({read} AS DOUBLE) BETWEEN {_FIRST_SERIAL} AND {_LAST_SERIAL}"


def epoch_sql(text: str) -> str:
    """The moment of an epoch time, UTC."""
    return f"make_timestamp(TRY_CAST({text} AS BIGINT) * CAST(10 ** (16 - length({text})) AS BIGINT))"


def zoned_sql(moment: str, timezone: str) -> str:
    """A moment in UTC as local time."""
    return f"timezone({quoted(timezone)}, timezone('UTC', {moment}))"


def _date(text: str, read: str, cell: str, forms: ColumnForms) -> CellSql:
    known = " OR ".join(_matches(read, pattern) for pattern in DATE_FORMS.values())
    branches = [f"WHEN {known} THEN TRY_CAST({_joined(read)} AS DATE)"]
    # A fraction of a day has no place in a date.
    whole = f"{_in_range(read)} AND TRY_CAST({read} AS DOUBLE) % 1 = 0"
    branches.append(f"WHEN {whole} THEN DATE '1899-12-30' + CAST(TRY_CAST({read} AS DOUBLE) AS INTEGER)")
    if forms.epoch_zone:
        local = zoned_sql(epoch_sql(read), forms.epoch_zone)
        branches.append(f"WHEN {_matches(read, EPOCH)} THEN CAST({local} AS DATE)")
    if forms.order:
        day, month = (1, 3) if forms.order == "dmy" else (3, 1)
        parts = ", '-', ".join(f"regexp_extract({read}, {quoted(DAY_FIRST)}, {part})" for part in (4, month, day))
        branches.append(f"WHEN {_matches(read, DAY_FIRST)} THEN TRY_CAST(concat({parts}) AS DATE)")
    code = f"""CASE
        WHEN v IS NULL AND {_matches(cell, _AMBIGUOUS)} THEN 'RC12{"5" if forms.order else "6"}'
        WHEN v IS NULL THEN 'RC125'
        WHEN year(v) < {EARLIEST_YEAR} THEN 'RC128'
        WHEN {_matches(cell, SERIAL)} THEN 'RC179'
        WHEN {_matches(cell, EPOCH)} THEN 'RC180'
        WHEN {_matches(cell, DAY_FIRST)} THEN 'RC181' END"""
    plain = f"{_matches(text, _USUAL_DATE)} AND TRY_CAST({text} AS DATE) IS NOT NULL"
    return CellSql(plain, f"TRY_CAST({text} AS DATE)", f"CASE {' '.join(branches)} END", code)


def _time(text: str, read: str, timezone: str) -> CellSql:
    # DuckDB casts '10:24+08:00' to TIMESTAMP by dropping the offset, so offsets are taken apart here.
    clock = f"regexp_extract({read}, {quoted('[ T](' + _CLOCK + ')')}, 1)"
    stamp = f"TRY_CAST(concat({_joined(read)}, ' ', {clock}) AS TIMESTAMP)"
    offset = offset_sql(read)
    minutes = f"""CASE WHEN {offset} = 'Z' THEN 0 ELSE
        (CASE WHEN {offset}[1] = '-' THEN -1 ELSE 1 END) *
        (60 * TRY_CAST({offset}[2:3] AS INTEGER) + TRY_CAST({offset}[-2:] AS INTEGER)) END"""
    milliseconds = f"CAST(round(TRY_CAST({read} AS DOUBLE) * 86400000) AS BIGINT)"
    value = f"""CASE
        WHEN {_in_range(read)} THEN TIMESTAMP '1899-12-30' + to_milliseconds({milliseconds})
        WHEN {_matches(read, EPOCH)} THEN {zoned_sql(epoch_sql(read), timezone)}
        WHEN NOT {_matches(read, _TIME)} THEN NULL
        WHEN {offset} = '' THEN {stamp}
        ELSE {zoned_sql(f"{stamp} - to_minutes({minutes})", timezone)} END"""
    code = f"""CASE
        WHEN v IS NULL THEN 'RC140'
        WHEN year(v) < {EARLIEST_YEAR} THEN 'RC128'
        WHEN {_matches("cell", SERIAL)} THEN 'RC179'
        WHEN {_matches("cell", EPOCH)} THEN 'RC180' END"""
    plain = f"{_matches(text, _USUAL_TIME)} AND TRY_CAST({text} AS TIMESTAMP) IS NOT NULL"
    return CellSql(plain, f"TRY_CAST({text} AS TIMESTAMP)", value, code)


def offset_sql(text: str) -> str:
    """The offset a time states (`Z`, `+08:00`), or an empty text."""
    return f"regexp_extract({text}, {quoted(':[0-9.:]*[ ]?(' + _OFFSET + ')$')}, 1)"
