"""In which encoding the bytes of a file are text; what cannot be told is refused, never read with replacements."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rechannel.source.faultlist import FaultList

_CHUNK = 1 << 20
_START = 1 << 14
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LETTERS = re.compile("[^\x00-\xbf\u2000-\u2bff\u3000-\u303f]+")
"""Signs and punctuation are much the same in every code and tell nothing."""
_UTF7 = re.compile(rb"\+([A-Za-z0-9+/]{3,})-?")
_CJK_IN_UTF8 = re.compile(rb"[\xe3-\xe9][\x80-\xbf]{2}")
_COMMON_GB = bytes((*range(0xA1, 0xA4), *range(0xB0, 0xF8)))
"""Lead bytes of GB2312: punctuation and both levels of characters."""
_COMMON_BIG5 = bytes(range(0xA1, 0xC7))
"""Lead bytes of Big5: punctuation and the 5,401 characters of the first level."""
_MOST_RARE = 0.1
"""Above this share of characters outside the common rows of a code, the text was written in another code ..."""
_ENOUGH_FREQUENT = 0.25
"""... unless so many of its characters are frequent ones (Traditional text saved by a Simplified Windows)."""
_SAMPLE = 2000
_FREQUENT = frozenset(
    "的一是在不了有和人中大上个国到为年以时要就出会可也你对生能地得里后自同日月行方成所小本来定发作用前入分机全公"
    "長現高當間還過說請對後來時個國會為開關門東車網數據報訂單費額量總銷買賣會員渠道來源頻號廣告搜尋點擊訪問"
    "长现高当间还过说请开关门东车网数据报订单费额量总销买卖员渠道源频号广告搜索点击访问客户店铺商品金期市场华京淘宝天猫"
    "微信抖音快手红书拼多直播公众视程序首页推荐活动优惠新老退款成交支付浏览会话曝光投放花费备注说明名称类型城北南西上海深圳"
)
"""Frequent characters and words of the trade in both scripts; they decide where two readings are both plausible."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file is decoded.

    Attributes
    ----------
    codec
        Python's name of the encoding.
    name
        Its name for readers; empty for UTF-8, which needs no word.
    mark
        Bytes of the byte order mark.
    """

    codec: str
    name: str
    mark: int


def find_encoding(path: Path, faults: FaultList) -> Encoding | None:
    """The encoding of a text file; None when it is refused, with the reason in `faults`.

    The order is: byte order mark, strict UTF-8, UTF-16 by its zero bytes, GB18030, and Big5 only where GB18030 gives
    characters nobody writes. A text that two encodings explain equally well is refused, as is a file that changes its
    encoding on the way.
    """
    with path.open("rb") as stream:
        start = stream.read(_START)
    for mark, codec in _MARKS:
        if start.startswith(mark):
            return _marked(path, codec, len(mark), faults)
    wrong = _first_wrong(path, "utf-8", 0)
    if b"\0" in start and (codec := _unmarked_utf16(start)) and _first_wrong(path, codec, 0) is None:
        return Encoding(codec, "UTF-16", 0)
    if wrong is None:
        if _is_utf7(start):
            faults.add("RC104", "refuse", line=1, encoding="UTF-7")
            return None
        return Encoding("utf-8", "", 0)
    nul = _first_nul(path)
    if nul:
        faults.add("RC103", "refuse", line=nul)
        return None
    return _chinese(path, wrong, faults)


def _marked(path: Path, codec: str, mark: int, faults: FaultList) -> Encoding | None:
    """The encoding that a byte order mark states, if all bytes keep to it."""
    name = {"utf-8": "UTF-8", "utf-32": "UTF-32"}.get(codec, "UTF-16")
    wrong = None if codec == "utf-32" else _first_wrong(path, codec, mark)
    if codec == "utf-32" or wrong is not None:
        faults.add("RC104", "refuse", line=wrong or 1, encoding=name if codec == "utf-32" else f"{name}, ?")
        return None
    return Encoding(codec, "" if codec == "utf-8" else name, mark)


def decoded(path: Path, codec: str, skip: int = 0) -> Iterator[str]:
    """The text of a file in pieces; UnicodeDecodeError where bytes do not fit the encoding."""
    decoder = codecs.getincrementaldecoder(codec)()
    with path.open("rb") as stream:
        stream.seek(skip)
        while chunk := stream.read(_CHUNK):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def _first_wrong(path: Path, codec: str, skip: int) -> int | None:
    """Line of the first byte that does not fit, or None."""
    lines = 1
    try:
        for piece in decoded(path, codec, skip):
            lines += piece.count("\n")
    except UnicodeDecodeError as error:
        return lines + error.object[: error.start].decode(codec, "ignore").count("\n")
    return None


def _first_nul(path: Path) -> int:
    """Line of the first NUL byte, 0 without one."""
    lines = 1
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            place = chunk.find(b"\0")
            if place >= 0:
                return lines + chunk.count(b"\n", 0, place)
            lines += chunk.count(b"\n")
    return 0


def _unmarked_utf16(start: bytes) -> str:
    """UTF-16 by its zero bytes: a twentieth of the bytes or more, on one side of the pairs (一 is U+4E00)."""
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if 10 * min(even, odd) > max(even, odd) or 20 * max(even, odd) < len(start):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_utf7(start: bytes) -> bool:
    """Whether the first line spells Chinese in UTF-7, which is plain ASCII to every other test."""
    for match in _UTF7.finditer(start.partition(b"\n")[0]):
        try:
            if any("\u3000" <= letter <= "\u9fff" for letter in match.group().decode("utf-7")):
                return True
        except UnicodeDecodeError:
            continue
    return False


@dataclass(slots=True)
class _Reading:
    """One encoding tried on a whole file: how many of its characters are common, and how many of a sample frequent."""

    common: int = 0
    characters: int = 0
    frequent: int = 0
    sampled: int = 0
    first: str = ""

    @property
    def is_plausible(self) -> bool:
        """Whether somebody may have written this."""
        usual = self.common >= (1 - _MOST_RARE) * self.characters
        return usual or self.frequent >= _ENOUGH_FREQUENT * self.sampled


def _read_as(path: Path, codec: str, table: str, common: bytes) -> _Reading | None:
    """Judge a whole file read in one encoding; None when some bytes do not fit."""
    reading = _Reading()
    try:
        for piece in decoded(path, codec):
            letters = "".join(_LETTERS.findall(piece))
            leads = letters.encode(table, "ignore")[0::2]
            reading.characters += len(letters)
            reading.common += len(leads) - len(leads.translate(None, common))
            reading.sampled += len(letters[:_SAMPLE])
            reading.frequent += sum(letter in _FREQUENT for letter in letters[:_SAMPLE])
            reading.first = reading.first or letters[:8]
    except UnicodeDecodeError:
        return None
    return reading


def _chinese(path: Path, wrong: int, faults: FaultList) -> Encoding | None:
    """GB18030 or Big5 of a file that is not UTF-8 from line `wrong` on."""
    mixed = _utf8_line(path)
    if mixed:
        faults.add("RC113", "refuse", line=wrong, first=f"UTF-8 ({mixed})", second=f"? ({wrong})")
        return None
    gb = _read_as(path, "gb18030", "gb2312", _COMMON_GB)
    big5 = _read_as(path, "big5", "big5", _COMMON_BIG5)
    simplified = gb is not None and gb.is_plausible
    traditional = big5 is not None and big5.is_plausible
    if simplified and traditional:
        assert gb is not None
        assert big5 is not None
        # Two readings equally rich in frequent characters: the reader must decide.
        if gb.frequent == big5.frequent:
            faults.add("RC113", "refuse", line=wrong, first=f"GB18030: {gb.first}", second=f"Big5: {big5.first}")
            return None
        simplified = gb.frequent > big5.frequent
    if simplified:
        return Encoding("gb18030", "GB18030", 0)
    if traditional:
        return Encoding("big5", "Big5", 0)
    faults.add("RC104", "refuse", line=wrong, encoding="?")
    return None


def _utf8_line(path: Path) -> int:
    """First line that is Chinese in UTF-8, in a file that as a whole is not UTF-8; 0 without one."""
    number = 1
    with path.open("rb") as stream:
        while line := stream.readline(_CHUNK):
            if _CJK_IN_UTF8.search(line):
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    text = ""
                if any("\u3400" <= letter <= "\u9fff" for letter in text):
                    return number
            number += line.endswith(b"\n")
    return 0
