"""Files as analysts have them, made from a known table: one content in many encodings, separators, number forms."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("date", "market", "channel", "visits", "new_customers", "orders", "gmv", "cost")
MONEY = ("gmv", "cost")
FIRST_SERIAL_DAY = date(1899, 12, 30)

SYNONYMS = {
    "date": ("日期", "统计日期", "day"),
    "market": ("市场", "地区", "region"),
    "channel": ("渠道", "流量来源", "source"),
    "visits": ("访客数", "会话数", "Sessions"),
    "new_customers": ("新客数", "新买家数"),
    "orders": ("订单数", "支付订单数"),
    "gmv": ("成交额", "支付金额", "Revenue"),
    "cost": ("花费", "消耗", "Spend"),
}
NAMES = (
    "app", "search ads", "entry", "direct", "live-room", "mini.program", "渠道", "微信", "小程序", "直播间", "搜索广告",
    "首页推荐", "抖音", "a,b", 'say "x"', "O'Neil", "100%", "<b>", "R&D", "two  words", "naïve", "=1+1", "007", "N.A.",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-be", "big5")
SEPARATORS = (",", ";", "\t", "|")
LINE_ENDS = ("\n", "\r\n", "\r")
KINDS = ("csv", "csv", "csv", "csv", "xlsx", "parquet")
DATES = ("iso", "slash", "compact", "chinese", "serial", "day_first")
COUNTS = ("plain", "plain", "grouped", "wide", "point")
AMOUNTS = ("plain", "plain", "grouped", "sign", "wan", "exponent")
TITLES = ((), (), (), ("渠道日报",), ("店铺", "2025-01-01 ~ 2025-02-10"), ("# ----", "# 导出"), ("报表", ""))


@dataclass(frozen=True, slots=True)
class Form:
    """How a table is written."""

    kind: str
    encoding: str
    separator: str
    line_end: str
    dates: str
    counts: str
    amounts: str
    titles: tuple[str, ...]
    order: tuple[str, ...]
    header: tuple[str, ...]
    quoted: bool
    blank_tail: int

    @property
    def title_rows(self) -> int:
        """Rows above the header."""
        return len(self.titles)


@dataclass(frozen=True, slots=True)
class Made:
    """A table (canonical column -> values) and the form in which it is written."""

    table: dict[str, list[object]]
    form: Form


def make(random: Random) -> Made:
    """One table of 28 to 40 days and a form to write it in."""
    days, channels = random.randint(28, 40), random.sample(NAMES, random.randint(1, 4))
    markets = random.choice(((), (), ("CN",), ("北京", "上海")))
    start = date(2024, 1, 1) + timedelta(days=random.randint(0, 600))
    rows = [
        (start + timedelta(days=day), market, channel)
        for day in range(days)
        for market in markets or ("",)
        for channel in channels
    ]
    if random.random() < 0.3:
        random.shuffle(rows)
    level = 10 ** random.uniform(0.5, 6)
    visits = [random.randint(int(level) + 30, int(3 * level) + 60) for _ in rows]
    orders = [random.randint(int(level / 10) + 10, int(level / 5) + 20) for _ in rows]
    table: dict[str, list[object]] = {"date": [row[0] for row in rows]}
    if markets:
        table["market"] = [row[1] for row in rows]
    table |= {"channel": [row[2] for row in rows], "visits": list(visits)}
    table["new_customers"] = [random.randint(0, 9) for _ in rows]
    table["orders"] = list(orders)
    table["gmv"] = [round(random.uniform(50, 90) * count, 2) for count in orders]
    table["cost"] = [0.0 if random.random() < 0.2 else round(random.uniform(1, 3) * level, 2) for _ in rows]
    return Made(table, _form(random, tuple(table)))


def _form(random: Random, columns: tuple[str, ...]) -> Form:
    order = list(columns)
    if random.random() < 0.5:
        random.shuffle(order)
    renamed = random.random() < 0.3
    return Form(
        kind=random.choice(KINDS),
        encoding=random.choice(ENCODINGS),
        separator=random.choice(SEPARATORS),
        line_end=random.choice(LINE_ENDS),
        dates=random.choice(DATES),
        counts=random.choice(COUNTS),
        amounts=random.choice(AMOUNTS),
        titles=random.choice(TITLES),
        order=tuple(order),
        header=tuple(random.choice(SYNONYMS[name]) if renamed else name for name in order),
        quoted=random.random() < 0.2,
        blank_tail=random.choice((0, 0, 1, 2)),
    )


def date_text(day: date, form: str) -> str:
    """A day as one of `DATES` writes it."""
    return {
        "iso": day.isoformat(),
        "slash": f"{day.year}/{day.month}/{day.day}",
        "compact": f"{day:%Y%m%d}",
        "chinese": f"{day.year}年{day.month}月{day.day}日",
        "serial": str((day - FIRST_SERIAL_DAY).days),
        "day_first": f"{day:%d/%m/%Y}",
    }[form]


def count_text(count: int, form: str) -> str:
    """A count as one of `COUNTS` writes it."""
    if form == "wide":
        return str(count).translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    return {"plain": str(count), "grouped": f"{count:,}", "point": f"{count}.0"}[form]


def amount_text(amount: float, form: str) -> str:
    """An amount as one of `AMOUNTS` writes it; 万 has six decimals, so that nothing is rounded away."""
    return {
        "plain": repr(amount),
        "grouped": f"{amount:,.2f}",
        "sign": f"¥{amount:.2f}",
        "wan": f"{amount / 1e4:.6f}万",
        "exponent": f"{amount:.15e}",
    }[form]


def texts(made: Made) -> list[list[str]]:
    """The rows as texts, in the order of the form's columns."""
    form = made.form
    written = []
    for name in form.order:
        values = made.table[name]
        if name == "date":
            written.append([date_text(value, form.dates) for value in values if isinstance(value, date)])
        elif name in MONEY:
            written.append([amount_text(value, form.amounts) for value in values if isinstance(value, float)])
        elif name in ("market", "channel"):
            written.append([str(value) for value in values])
        else:
            written.append([count_text(value, form.counts) for value in values if isinstance(value, int)])
    return [list(row) for row in zip(*written, strict=True)]


def write(made: Made, path: Path) -> Path | None:
    """Write the file; None where the encoding has no room for a name."""
    form = made.form
    if form.kind == "csv":
        try:
            path.with_suffix(".csv").write_bytes(csv_bytes(made))
        except UnicodeEncodeError:
            return None
        return path.with_suffix(".csv")
    if form.kind == "parquet":
        columns = {name: made.table[name] for name in form.order}
        pq.write_table(pa.table(columns), path.with_suffix(".parquet"), write_page_checksum=True)
        return path.with_suffix(".parquet")
    rows: list[list[object]] = [[title] for title in form.titles]
    rows.append(list(form.header))
    rows += [[made.table[name][place] for name in form.order] for place in range(len(made.table["date"]))]
    return write_workbook(path.with_suffix(".xlsx"), {"Sheet1": rows})


def csv_bytes(made: Made) -> bytes:
    """The text of a CSV in its encoding."""
    form = made.form
    stream = io.StringIO()
    for title in form.titles:
        stream.write(title + form.line_end)
    how = csv.QUOTE_ALL if form.quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(stream, delimiter=form.separator, lineterminator=form.line_end, quoting=how)
    writer.writerow(form.header)
    writer.writerows(texts(made))
    stream.write(form.line_end * form.blank_tail)
    text = stream.getvalue()
    return ("\ufeff" + text if form.encoding == "utf-16-be" else text).encode(form.encoding)


_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>{sheets}'
    '<Override PartName="/xl/styles.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>'
    '<Override PartName="/xl/sharedStrings.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)
_SHEET_TYPE = (
    '<Override PartName="/xl/worksheets/sheet{n}.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
)
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
_HIDDEN = ' state="hidden"'
STYLES = ("General", "yyyy-mm-dd", "0.00%", "yyyy/m/d h:mm:ss", "h:mm", '#,##0.00"元"')
"""Number formats of the styles 0 to 5."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A cell given as the XML inside `<c ...>`, with its attributes."""

    attributes: str
    inside: str


def column_letters(place: int) -> str:
    """Letters of a column counted from 0."""
    letters = ""
    while place >= 0:
        letters = chr(65 + place % 26) + letters
        place = place // 26 - 1
    return letters


def write_workbook(
    path: Path,
    sheets: dict[str, Sequence[Sequence[object]]],
    *,
    hidden: tuple[str, ...] = (),
    merged: tuple[str, ...] = (),
    starts_1904: bool = False,
    first_row: int = 1,
) -> Path:
    """A workbook with shared strings and date styles; rows of None leave their row out."""
    strings: dict[str, int] = {}
    first = date(1904, 1, 1) if starts_1904 else FIRST_SERIAL_DAY
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for number, rows in enumerate(sheets.values(), start=1):
            lines = [_row_xml(place, row, strings, first) for place, row in enumerate(rows, start=first_row) if row]
            blocks = "".join(f'<mergeCell ref="{block}"/>' for block in merged)
            tail = f"<mergeCells>{blocks}</mergeCells>" if merged else ""
            body = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData>{tail}</worksheet>'
            package.writestr(f"xl/worksheets/sheet{number}.xml", body)
        listed = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"{_HIDDEN if name in hidden else ""}/>'
            for number, name in enumerate(sheets, start=1)
        )
        calendar = '<workbookPr date1904="1"/>' if starts_1904 else ""
        package.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_REL}">{calendar}<sheets>{listed}</sheets></workbook>',
        )
        related = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(sheets) + 1)]
        related += [("styles", "styles.xml"), ("sharedStrings", "sharedStrings.xml")]
        package.writestr("xl/_rels/workbook.xml.rels", _relations(related))
        package.writestr("_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")]))
        items = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in strings)
        package.writestr("xl/sharedStrings.xml", f'<sst xmlns="{_MAIN}">{items}</sst>')
        formats = "".join(
            f'<numFmt numFmtId="{163 + n}" formatCode={quoteattr(code)}/>' for n, code in enumerate(STYLES) if n
        )
        kinds = "".join(f'<xf numFmtId="{163 + n if n else 0}"/>' for n in range(len(STYLES)))
        package.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><numFmts>{formats}</numFmts><cellXfs>{kinds}</cellXfs></styleSheet>',
        )
        types = "".join(_SHEET_TYPE.format(n=n) for n in range(1, len(sheets) + 1))
        package.writestr("[Content_Types].xml", _TYPES.format(sheets=types))
    return path


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    return _RELS.format(
        "".join(
            f'<Relationship Id="rId{number}" Type="{_REL}/{kind}" Target="{target}"/>'
            for number, (kind, target) in enumerate(targets, start=1)
        )
    )


def _row_xml(number: int, row: Sequence[object], strings: dict[str, int], first: date) -> str:
    cells = []
    for place, value in enumerate(row):
        reference = f"{column_letters(place)}{number}"
        if isinstance(value, Raw):
            cells.append(f'<c r="{reference}" {value.attributes}>{value.inside}</c>')
        elif isinstance(value, bool):
            cells.append(f'<c r="{reference}" t="b"><v>{int(value)}</v></c>')
        elif isinstance(value, date):
            cells.append(f'<c r="{reference}" s="1"><v>{(value - first).days}</v></c>')
        elif isinstance(value, int | float):
            cells.append(f'<c r="{reference}"><v>{value!r}</v></c>')
        elif isinstance(value, str) and value:
            cells.append(f'<c r="{reference}" t="s"><v>{strings.setdefault(value, len(strings))}</v></c>')
    return f'<row r="{number}">{"".join(cells)}</row>'
