"""Sheets of an XLSX workbook become rows of text, with their true row numbers and full values."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from xml.parsers import expat

import duckdb

from rechannel.source.faultlist import FaultList
from rechannel.source.intake import BLANKS, Header, take_records
from rechannel.source.layout import SAMPLE_ROWS, Record
from rechannel.source.package import is_too_large, open_package, pieces, say_too_large
from rechannel.source.progress import Progress, counted

LONGEST_CELL = 32_767
"""Characters of a cell; Excel writes no longer ones."""
_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 16_384
_LAST_SERIAL = 2_958_466
_DAY = 86_400_000
"""Milliseconds."""
_MAIN = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
_LOCAL = {f"{space} {name}": name for space in _MAIN for name in ("row", "c", "v", "t", "f", "rPh", "mergeCell")}
"""Elements of a sheet that matter, by their full name."""
_WORKSHEET = "/worksheet"
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_FOREIGN = re.compile(r"US\$|HK\$|NT\$|USD|HKD|TWD|EUR|GBP|[$€£]")
"""Money of formats that name it; ¥ and 元 are left, and the built-in formats show the sign of whoever looks."""
_EMPTY_CELL = re.compile(rb'<c r="[A-Z]+[0-9]+"[^<>]*/>')
_EMPTY_ROW = re.compile(rb'<row r="[0-9]+"[^<>]*(?:/>|></row>)')
_LONGEST_ROW = 1 << 24
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_BUILT_IN_DATES = {*range(14, 18), *range(27, 32), 36, *range(50, 59)}
_BUILT_IN_MOMENTS = {22}
_BUILT_IN_CLOCKS = {*range(18, 22), *range(32, 36), *range(45, 48)}
_BUILT_IN_PERCENTS = {9, 10}


class _BrokenWorkbookError(Exception):
    """The workbook says something that cannot be."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    name: str
    part: str
    is_visible: bool


@dataclass(slots=True)
class _Book:
    """What all sheets share: strings, what the style of a cell means, and the first day of the calendar."""

    package: zipfile.ZipFile
    sheets: tuple[_Sheet, ...] = ()
    strings: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    starts_1904: bool = False


@dataclass(slots=True)
class _Odd:
    """Cells of one sheet that hold no value of their own, and blocks of merged cells."""

    formulas: list[tuple[int, int, str]] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)


def load_workbook(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    faults: FaultList,
    part: str,
    block: int | None,
    preferred: Collection[str] = (),
    progress: Progress | None = None,
) -> Header | None:
    """Read one sheet into `raw`.

    Numbers keep their full value; a cell shown as a date or a time becomes ISO text, a percentage keeps its sign, an
    error keeps its name. A formula gives its stored value. The sheet is the one that holds a table; hidden sheets are
    read only when they are named.

    Parameters
    ----------
    part
        Name of the sheet; empty = the only visible one that holds a table.
    preferred
        Names of sheets; where several hold a table, the only one of these is read.
    """
    package = open_package(path, faults)
    if package is None:
        return None
    with package:
        try:
            book = _open_book(package)
            sheet = _chosen(book, part, faults, preferred)
            if sheet is None:
                return None
            odd = _Odd()
            packed = path.stat().st_size
            rows = _bounded(_rows(book, sheet.part, odd, progress), packed)
            header = take_records(connection, rows, faults, exact=False, block=block)
        except _TooLargeError as found:
            say_too_large(found.size, packed, faults)
            return None
        except (_BrokenWorkbookError, expat.ExpatError, KeyError, ValueError, IndexError, UnicodeDecodeError) as error:
            faults.add("RC114", "refuse", kind="XLSX", reason=f"{type(error).__name__}: {error}"[:200])
            return None
    return header if header is None or _has_own_values(odd, header, faults) else None


class _TooLargeError(Exception):
    """The cells hold far more text than the file."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def _bounded(rows: Iterator[Record], packed: int) -> Iterator[Record]:
    """The rows, as long as their text keeps to the rule of the archive: one string may fill a million cells."""
    size = 0
    for row in rows:
        size += sum(map(len, row.cells))
        if is_too_large(size, packed):
            raise _TooLargeError(size)
        yield row


def _has_own_values(odd: _Odd, header: Header, faults: FaultList) -> bool:
    """Refuse formulas without a stored value and merged cells within the table."""
    width = len(header.names)
    before = faults.refusals
    for row, place, formula in odd.formulas:
        column = place - header.left
        if row > header.line and 0 <= column < width:
            faults.add("RC147", "refuse", line=row, column=header.names[column], seen=f"={formula[:60]}")
    for block in odd.merged:
        ends = [_place(corner) for corner in block.split(":")]
        (top, left), (bottom, right) = ends[0], ends[-1]
        column = max(left - header.left, 0)
        if bottom > header.line and column < width and right >= header.left and len(ends) == 2:
            faults.add("RC147", "refuse", line=max(top, header.line + 1), column=header.names[column], seen=block[:40])
    return faults.refusals == before


def _place(reference: str) -> tuple[int, int]:
    """Row (from 1) and column (from 0) of a cell such as B12."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise _BrokenWorkbookError(f"cell {reference[:20]!r}")
    column = 0
    for letter in match.group(1):
        column = column * 26 + ord(letter) - 64
    return int(match.group(2)), column - 1


def _parse(parts: Iterable[bytes], parser: expat.XMLParserType) -> Iterator[None]:
    """Feed a text to a parser, piece by piece; declarations of entities end it."""
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def refuse(*_: object) -> None:
        raise _BrokenWorkbookError("DOCTYPE")

    parser.StartDoctypeDeclHandler = refuse
    for piece in parts:
        parser.Parse(piece, False)
        yield
    parser.Parse(b"", True)
    yield


def _elements(package: zipfile.ZipFile, part: str) -> list[tuple[str, dict[str, str]]]:
    """Local names and attributes of all elements of a small part, in order."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, attributes: dict[str, str]) -> None:
        found.append((_local(name), {_local(key): value for key, value in attributes.items()}))

    parser.StartElementHandler = start
    for _ in _parse(pieces(package, part), parser):
        pass
    return found


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _related(package: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """Relations of a part: id -> (kind, name of the other part)."""
    folder, name = posixpath.split(part)
    place = posixpath.join(folder, "_rels", f"{name}.rels")
    if place not in package.namelist():
        return {}
    related = {}
    for element, attributes in _elements(package, place):
        if element == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes["Target"])).lstrip("/")
            related[attributes["Id"]] = (attributes["Type"], target)
    return related


def _open_book(package: zipfile.ZipFile) -> _Book:
    """The list of sheets and what they share."""
    main = [target for kind, target in _related(package, "").values() if kind.endswith("/officeDocument")]
    if not main:
        raise _BrokenWorkbookError("no workbook inside")
    related = _related(package, main[0])
    book = _Book(package)
    sheets = []
    for element, attributes in _elements(package, main[0]):
        if element == "sheet":
            kind, target = related.get(attributes.get("id", ""), ("", ""))
            if kind.endswith(_WORKSHEET):
                sheets.append(_Sheet(attributes["name"], target, attributes.get("state", "visible") == "visible"))
        elif element == "workbookPr":
            book.starts_1904 = attributes.get("date1904", "0") in ("1", "true")
    book.sheets = tuple(sheets)
    for kind, target in related.values():
        if kind.endswith("/sharedStrings"):
            book.strings = _strings(package, target)
        elif kind.endswith("/styles"):
            book.styles = _styles(package, target)
    return book


def _strings(package: zipfile.ZipFile, part: str) -> list[str]:
    """The shared strings; pronunciation guides (`rPh`) are no part of a text."""
    strings: list[str] = []
    pieces_of_one: list[str] = []
    inside = {"t": 0, "rPh": 0}
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, _: dict[str, str]) -> None:
        local = _local(name)
        if local == "si":
            pieces_of_one.clear()
        elif local in inside:
            inside[local] += 1

    def end(name: str) -> None:
        local = _local(name)
        if local == "si":
            strings.append("".join(pieces_of_one))
        elif local in inside:
            inside[local] -= 1

    def text(data: str) -> None:
        if inside["t"] and not inside["rPh"]:
            pieces_of_one.append(data)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    for _ in _parse(pieces(package, part), parser):
        pass
    return strings


def _styles(package: zipfile.ZipFile, part: str) -> list[str]:
    """What the number format of each cell style shows: date, moment, clock, percent, a foreign sign of money, or ""."""
    formats: dict[int, str] = {}
    kinds: list[str] = []
    within = False
    for element, attributes in _elements(package, part):
        if element == "numFmt" and "formatCode" in attributes:
            formats[int(attributes["numFmtId"])] = attributes["formatCode"]
        elif element in ("cellXfs", "cellStyles", "dxfs"):
            within = element == "cellXfs"
        elif element == "xf" and within:
            number = int(attributes.get("numFmtId", "0"))
            kinds.append(_kind_of_format(number, formats.get(number, "")))
    return kinds


def _kind_of_format(number: int, code: str) -> str:
    if not code:
        for kind, numbers in (
            ("date", _BUILT_IN_DATES),
            ("moment", _BUILT_IN_MOMENTS),
            ("clock", _BUILT_IN_CLOCKS),
            ("percent", _BUILT_IN_PERCENTS),
        ):
            if number in numbers:
                return kind
        return ""
    first = code.split(";")[0]
    bare = _QUOTED.sub("", first).lower()
    if re.search(r"\[(h|hh|m|mm|s|ss)\]", code.lower()):
        return "clock"
    if "general" in bare:
        return ""
    day, clock = re.search(r"[yd]", bare), re.search(r"[hs]", bare)
    if day or (re.search("m", bare) and not clock):
        return "moment" if clock else "date"
    sign = _FOREIGN.search(_CURRENCY.sub(r"\1", first))
    return "clock" if clock else "percent" if "%" in bare else sign.group() if sign else ""


def _chosen(book: _Book, part: str, faults: FaultList, preferred: Collection[str]) -> _Sheet | None:
    """The sheet that is named, or the only visible one with a table, or the only preferred one of those."""
    if part:
        for sheet in book.sheets:
            if sheet.name == part:
                return sheet
    visible = [sheet for sheet in book.sheets if sheet.is_visible]
    tables = visible if len(visible) == 1 else [sheet for sheet in visible if _holds_table(book, sheet)]
    if len(tables) > 1:
        tables = [sheet for sheet in tables if sheet.name in preferred] or tables
    if part or len(tables) > 1:
        listed = [sheet.name for sheet in (book.sheets if part else tables)]
        faults.add("RC145", "refuse", names=", ".join(listed)[:300])
        return None
    if not tables:
        faults.add("RC101", "refuse")
        return None
    left = [sheet.name for sheet in book.sheets if sheet is not tables[0] and _holds_rows(book, sheet)]
    if left:
        faults.add("RC146", "warning", name=tables[0].name, others=", ".join(left)[:300])
    return tables[0]


def _first_rows(book: _Book, sheet: _Sheet) -> list[Record]:
    return list(islice(_rows(book, sheet.part, _Odd()), SAMPLE_ROWS))


def _holds_table(book: _Book, sheet: _Sheet) -> bool:
    """Whether two rows of a sheet have two cells or more; a sheet of remarks does not."""
    return sum(row.filled > 1 for row in _first_rows(book, sheet)) > 1


def _holds_rows(book: _Book, sheet: _Sheet) -> bool:
    return any(row.filled for row in _first_rows(book, sheet))


def _filled(parts: Iterator[bytes]) -> Iterator[bytes]:
    """A sheet without its cells that only have a style: a formatted sheet has millions of them.

    Only elements that state their place are left out, since others count the cells before them; a sheet with comments
    or quoted sections is left as it is from there on.
    """
    rest, plain = b"", True
    for part in parts:
        piece = rest + part
        plain = plain and b"<!" not in piece
        border = piece.rfind(b"<row ") if plain else len(piece)
        if border <= 0:
            border = len(piece) if len(piece) > _LONGEST_ROW else 0
        rest, piece = piece[border:], piece[:border]
        yield _EMPTY_ROW.sub(b"", _EMPTY_CELL.sub(b"", piece)) if plain else piece
    yield rest


def _rows(book: _Book, part: str, odd: _Odd, progress: Progress | None = None) -> Iterator[Record]:
    """Rows of one sheet that say something, in order."""
    reader = _SheetReader(book, odd)
    whole = counted(pieces(book.package, part), book.package.getinfo(part).file_size, progress)
    for _ in _parse(_filled(whole), reader.parser):
        yield from reader.done
        reader.done.clear()


class _SheetReader:
    """Handlers of the sheet's elements; finished rows wait in `done`."""

    def __init__(self, book: _Book, odd: _Odd) -> None:
        self.done: list[Record] = []
        self._book = book
        self._odd = odd
        self._row = 0
        self._row_text = "0"
        self._last_row = 0
        self._column = -1
        self._cells: list[str] = []
        self._kind = ""
        self._style = ""
        self._value: list[str] = []
        self._formula: list[str] | None = None
        self._into: list[str] | None = None
        self._phonetic = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._columns: dict[str, int] = {}

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = _LOCAL.get(name)
        if local == "c":
            self._start_cell(attributes)
        elif local == "v" or local == "t":
            self._into = None if self._phonetic else self._value
        elif local == "f":
            self._formula = []
            self._into = self._formula
        elif local == "row":
            self._row = int(attributes.get("r", self._last_row + 1))
            if not self._last_row < self._row <= _MOST_ROWS:
                raise _BrokenWorkbookError(f"row {self._row} behind row {self._last_row}")
            self._row_text = str(self._row)
            self._column, self._cells = -1, []
        elif local == "rPh":
            self._phonetic += 1
        elif local == "mergeCell":
            self._odd.merged.append(attributes.get("ref", ""))

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        column = self._column + 1
        if reference is not None:
            letters = reference.removesuffix(self._row_text)
            found = self._columns.get(letters)
            if found is None:
                if len(letters) == len(reference) or not letters.isalpha():
                    raise _BrokenWorkbookError(f"cell {reference[:20]} in row {self._row}")
                found = self._columns[letters] = _place(f"{letters}1")[1]
            column = found
        if not self._column < column < _MOST_COLUMNS:
            raise _BrokenWorkbookError(f"cell {str(reference)[:20]} out of order")
        self._column = column
        self._kind = attributes.get("t", "n")
        self._style = attributes.get("s", "0")
        self._value, self._formula = [], None

    def _text(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)

    def _end(self, name: str) -> None:
        local = _LOCAL.get(name)
        if local == "c":
            self._end_cell()
        elif local == "v" or local == "t" or local == "f":
            self._into = None
        elif local == "row":
            if self._cells:
                self.done.append(Record(self._row, self._row, tuple(self._cells)))
            self._last_row = self._row
        elif local == "rPh":
            self._phonetic -= 1

    def _end_cell(self) -> None:
        text = self._value[0] if len(self._value) == 1 else "".join(self._value)
        if not text:
            if self._formula is not None and self._kind != "str":
                self._odd.formulas.append((self._row, self._column, "".join(self._formula)))
            return
        cell = self._shown(text)
        if len(cell) > LONGEST_CELL:
            raise _BrokenWorkbookError(f"cell in row {self._row} with {len(cell):,} characters")
        cell = cell.strip(BLANKS)
        if cell:
            if self._column > len(self._cells):
                self._cells.extend([""] * (self._column - len(self._cells)))
            self._cells.append(cell)

    def _shown(self, text: str) -> str:
        """The text of a cell by its kind and style."""
        if self._kind == "s":
            place = int(text)
            if not 0 <= place < len(self._book.strings):
                raise _BrokenWorkbookError(f"shared string {place}")
            return self._book.strings[place]
        if self._kind == "b":
            return "TRUE" if text.strip() in ("1", "true") else "FALSE"
        if self._kind == "d":
            return text.removesuffix("T00:00:00")
        if self._kind != "n":
            return text
        style = int(self._style)
        shown = self._book.styles[style] if style < len(self._book.styles) else ""
        return _number_text(text.strip(), shown, starts_1904=self._book.starts_1904)


def _number_text(text: str, shown: str, *, starts_1904: bool) -> str:
    """A stored number as text: in full, without the noise of binary fractions, as a date where it is shown as one."""
    if not shown and _WHOLE.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise _BrokenWorkbookError(f"number {text[:40]!r}")
    number = float(text)
    if shown in ("date", "moment", "clock"):
        dated = _moment_text(number, shown, starts_1904=starts_1904)
        if dated:
            return dated
    if shown == "percent":
        return f"{(Decimal(repr(number)) * 100).normalize():f}%"
    sign = shown if _FOREIGN.fullmatch(shown) else ""
    if number.is_integer() and abs(number) < 1e15:
        return f"{sign}{int(number)}"
    return sign + (text if text.lstrip("-").isdigit() else repr(number))


def _moment_text(serial: float, shown: str, *, starts_1904: bool) -> str:
    """ISO text of a serial day number; empty when it is out of the calendar."""
    if not 0 <= serial < _LAST_SERIAL:
        return ""
    days, milliseconds = divmod(round(serial * _DAY), _DAY)
    clock = f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:{milliseconds // 1000 % 60:02}"
    if milliseconds % 1000:
        clock += f".{milliseconds % 1000:03}"
    if shown == "clock" and not days:
        return clock
    # 1900 counts a 29 February that never was; from 1 March on, days count from 30 December 1899.
    start = date(1904, 1, 1) if starts_1904 else date(1899, 12, 30 + (days < 60))
    day = (start + timedelta(days=days)).isoformat()
    return f"{day} {clock}" if milliseconds or shown == "moment" else day
