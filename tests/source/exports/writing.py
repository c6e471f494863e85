"""Writers of the file forms that products export: CSV in their encodings, XLSX and XLS."""

from __future__ import annotations

import csv
import io
import struct
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Cell = str | int | float | None
Row = Sequence[Cell]


def header(name: str) -> list[str]:
    """The header row `product.export` of headers.toml."""
    product, export = name.split(".")
    rows = tomllib.loads(Path(__file__).with_name("headers.toml").read_text(encoding="utf-8"))
    text: str = rows[product][export]
    return text.replace("\n", "").split(",")


def csv_text(rows: Iterable[Row], separator: str = ",", end: str = "\r\n") -> str:
    """Rows as CSV text, quoted only where needed."""
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator=end).writerows(
        ["" if cell is None else cell for cell in row] for row in rows
    )
    return stream.getvalue()


def put(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write text with exactly these line ends."""
    path.write_bytes(text.encode(encoding))
    return path


def number(value: float, decimals: int = 0) -> str:
    """A figure as Chinese back offices write it: 1,234 or 1,234.50."""
    return f"{value:,.{decimals}f}"


def percent(part: float, whole: float, decimals: int = 2) -> str:
    """A share as text, `-` where it does not exist."""
    return f"{100 * part / whole:.{decimals}f}%" if whole else "-"


def write_xlsx(
    path: Path,
    rows: Sequence[Row],
    sheet: str = "Sheet1",
    merged: Sequence[str] = (),
    more: Mapping[str, Sequence[Row]] | None = None,
) -> Path:
    """A minimal workbook: text inline, numbers as numbers, no styles; `more` sheets stand behind the first."""
    sheets = {sheet: rows, **(more or {})}
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    spans = "".join(f'<mergeCell ref="{span}"/>' for span in merged)
    spans = f'<mergeCells count="{len(merged)}">{spans}</mergeCells>' if merged else ""
    numbers = range(1, len(sheets) + 1)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>' for n in numbers
    )
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{links}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    listed = "".join(f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{links}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{related}</Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{links}"><sheets>{listed}</sheets></workbook>',
    }
    for n, page in enumerate(sheets.values(), 1):
        body = f"<sheetData>{_sheet_rows(page)}</sheetData>{spans if n == 1 else ''}"
        parts[f"xl/worksheets/sheet{n}.xml"] = f'<worksheet xmlns="{main}">{body}</worksheet>'
    start = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return write_zip(path, {name: (start + text).encode() for name, text in parts.items()})


def _sheet_rows(rows: Sequence[Row]) -> str:
    body = []
    for line, row in enumerate(rows, 1):
        cells = []
        for column, cell in enumerate(row):
            place = f"{_column(column)}{line}"
            if isinstance(cell, str):
                cells.append(f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>')
            elif cell is not None:
                cells.append(f'<c r="{place}"><v>{cell!r}</v></c>')
        body.append(f'<row r="{line}">{"".join(cells)}</row>')
    return "".join(body)


def write_zip(path: Path, parts: Mapping[str, bytes]) -> Path:
    """A zip whose bytes depend on its parts only, not on the clock."""
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(zipfile.ZipInfo(name, (2025, 7, 1, 10, 15, 0)), content, zipfile.ZIP_DEFLATED)
    return path


def _column(index: int) -> str:
    """0 -> A, 26 -> AA."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(65 + rest) + name
    return name


def write_xls(path: Path, rows: Sequence[Row], sheet: str = "Sheet1") -> Path:
    """A minimal BIFF8 workbook of one sheet in an OLE2 container, as Excel 97-2003 and the back offices write it.

    Source: [MS-XLS] 2.4 (records BOF, BoundSheet8, Dimensions, Label, Number, EOF) and [MS-CFB] 2 (header, FAT,
    directory).
    """
    cells = [_record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0x0DBB, 0x07CC, 0, 6))]
    width = max(map(len, rows))
    cells.append(_record(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, width, 0)))
    for line, row in enumerate(rows):
        for column, cell in enumerate(row):
            place = struct.pack("<HHH", line, column, 15)
            if isinstance(cell, str):
                text = cell.encode("utf-16-le")
                cells.append(_record(0x0204, place + struct.pack("<HB", len(text) // 2, 1) + text))
            elif cell is not None:
                cells.append(_record(0x0203, place + struct.pack("<d", cell)))
    cells.append(_record(0x000A, b""))
    name = sheet.encode("utf-16-le")
    start = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0x0DBB, 0x07CC, 0, 6))
    start += _record(0x0042, struct.pack("<H", 1200)) + _record(0x0022, struct.pack("<H", 0))
    start += _record(0x0031, struct.pack("<HHHHHBBBB", 200, 0, 0x7FFF, 400, 0, 0, 0, 0, 0) + b"\x05\x00Arial")
    for index in range(16):
        start += _record(0x00E0, struct.pack("<HHHBBBBIIH", 0, 0, 1 if index == 15 else 0xFFF5, 0x20, 0, 0, 0, 0, 0, 0))
    place = len(start) + 4 + 8 + len(name) + 4
    start += _record(0x0085, struct.pack("<IBBBB", place, 0, 0, len(name) // 2, 1) + name) + _record(0x000A, b"")
    path.write_bytes(_compound(start + b"".join(cells)))
    return path


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def _compound(stream: bytes) -> bytes:
    """One stream called Workbook in a compound file of 512-byte sectors."""
    sector, end, free, fat_mark = 512, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
    stream = stream.ljust(max(4096, -(-len(stream) // sector) * sector), b"\0")
    length = len(stream) // sector
    tables = 1
    while tables * 128 < length + tables + 1:
        tables += 1
    chain = [*range(1, length), end, end, *([fat_mark] * tables)]
    chain += [free] * (tables * 128 - len(chain))
    header = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(16)
    header += struct.pack("<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, tables, length, 0, 4096, end, 0, end, 0)
    header += struct.pack("<109I", *range(length + 1, length + 1 + tables), *([free] * (109 - tables)))
    folder = _entry("Root Entry", 5, 1, end, 0) + _entry("Workbook", 2, free, 0, len(stream))
    folder += _entry("", 0, free, 0, 0) * 2
    return header + stream + folder + struct.pack(f"<{len(chain)}I", *chain)


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    """One directory entry of 128 bytes."""
    text = name.encode("utf-16-le")
    length = len(text) + 2 if name else 0
    free = 0xFFFFFFFF
    return text.ljust(64, b"\0") + struct.pack("<HBBIII36xIQ", length, kind, 1, free, free, child, start, size)
