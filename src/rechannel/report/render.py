"""Draws an ECharts option as SVG that is safe to stand inside a page, with ECharts in QuickJS and no browser."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import TypeAlias, TypeVar

import quickjs

from rechannel.report.colours import ROLES
from rechannel.vocabulary.errors import MissingPart, RechannelError
from rechannel.vocabulary.wording import Language

Json: TypeAlias = "Mapping[str, Json] | list[Json] | tuple[Json, ...] | str | float | int | bool | None"
T = TypeVar("T")

_TAGS = {
    "svg",
    "g",
    "path",
    "polygon",
    "polyline",
    "rect",
    "circle",
    "line",
    "text",
    "tspan",
    "defs",
    "clippath",
    "pattern",
}
_SPELLED = {"clippath": "clipPath", "viewbox": "viewBox", "patternunits": "patternUnits"}
_DROPPED = {"class", "pointer-events", "baseprofile", "version", "xmlns:xlink", "width", "height", "xmlns"}
_KEPT = {
    *(
        "id",
        "d",
        "points",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "ry",
        "viewbox",
        "transform",
        "fill",
    ),
    *("fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-dashoffset", "opacity"),
    *("stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "paint-order", "clip-path", "clip-rule", "fill-rule"),
    *("text-anchor", "dominant-baseline", "style", "patternunits", "xml:space"),
}
_SIZED = {"rect", "pattern"}
_TEXT_STYLE = re.compile(r"(font-(size|weight|style|family):[\w .,\-]+;?\s*)*\Z")
_URL = re.compile(r"url\(#([\w-]+)\)\Z")
_MORE_DIGITS = re.compile(r"(\d+\.\d)\d+")
_LINES = re.compile(r"M[-\d. ]+(L[-\d. ]+)+\Z")


@dataclass(frozen=True, slots=True)
class Drawing:
    """An ECharts option (JSON, with `$bound` where charts.js binds a function) and its size in pixels."""

    option: Mapping[str, Json]
    width: int
    height: int


_worker: ThreadPoolExecutor | None = None
_worker_lock = threading.Lock()


def _on_worker(job: Callable[[], T]) -> T:
    """Run on the one thread that owns the JavaScript context: contexts cannot change threads."""
    global _worker
    with _worker_lock:
        if _worker is None:
            _worker = ThreadPoolExecutor(1, thread_name_prefix="charts")
    return _worker.submit(job).result()


@cache
def _context() -> quickjs.Context:
    """ECharts and charts.js, loaded once in the worker's thread."""
    library = files("rechannel.report").joinpath("vendor", "echarts.min.js")
    if not library.is_file():
        raise MissingPart("RC500")
    context = quickjs.Context()
    context.eval(
        "var self = globalThis, process = {env: {}};"
        "function setTimeout() { return 0 } function clearTimeout() {}"  # a still picture has no timers
    )
    context.eval(library.read_text(encoding="utf-8"))
    context.eval(files("rechannel.report").joinpath("charts.js").read_text(encoding="utf-8"))
    return context


def visible(text: str) -> str:
    """Text in which nothing hides: control, direction and unpaired characters appear as signs.

    >>> visible("a\\x00b\\u202ec")
    'a␀b[U+202E]c'
    """
    return "".join(_sign(character) for character in text)


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return " " if character in "\t\n\r" else chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    hidden = 0x80 <= code < 0xA0 or 0x200B <= code <= 0x200F or 0x2028 <= code <= 0x202E or 0x2060 <= code <= 0x206F
    if hidden or code in (0xFEFF, 0xFFFE, 0xFFFF) or 0xD800 <= code < 0xE000 or 0xE0000 <= code < 0xE0080:
        return f"[U+{code:04X}]"
    return character


def _shown(node: Json) -> Json:
    """The same option with every string visible."""
    if isinstance(node, str):
        return visible(node)
    if isinstance(node, Mapping):
        return {key: _shown(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_shown(value) for value in node]
    return node


_drawn: dict[str, str] = {}


def svg(drawing: Drawing, *, prefix: str, title: str, description: str, roles: bool = True) -> str:
    """One picture as SVG markup that may stand in a page.

    Parameters
    ----------
    drawing
        What to draw.
    prefix
        Makes ids unique where several pictures share a page; letters, digits and hyphens.
    title, description
        Read aloud in place of the picture; any text.
    roles
        Colours of a role become CSS variables, so that one picture serves light and dark; False keeps the light ones
        for a picture that stands alone.

    Raises
    ------
    MissingPart
        RC500: ECharts is not there; `make` brings it.
    RechannelError
        RC501: the drawing holds a tag or attribute that has no place in a page.
    """
    option = json.dumps(_shown(drawing.option), ensure_ascii=False, allow_nan=False, sort_keys=True)
    key = sha256(f"{drawing.width}x{drawing.height} {option}".encode()).hexdigest()
    if key not in _drawn:
        _drawn[key] = _on_worker(lambda: str(_context().get("draw")(option, drawing.width, drawing.height)))
    cleaner = _Cleaner(prefix, roles)
    cleaner.feed(_drawn[key])
    cleaner.close()
    title, description = escape(visible(title)), escape(visible(description))
    named = f'<title id="{prefix}-t">{title}</title><desc id="{prefix}-d">{description}</desc>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{prefix}-t {prefix}-d"'
    return head + "".join(cleaner.parts).removeprefix("<svg").replace(">", f">{named}", 1)


def number_in_js(value: float, language: Language, width: float) -> str:
    """The axis formatter's words for a number: the twin of `vocabulary.numbers.number`, held to it by tests."""
    return _on_worker(lambda: str(_context().get("numberFlat")(float(value), language, width)))


def _compact(path: str) -> str:
    """A path or a list of points to a tenth of a pixel; a plain line in steps from point to point, half as long."""
    if not _LINES.match(path):
        return _MORE_DIGITS.sub(r"\1", path)
    points = [[round(10 * float(part)) for part in point.split()] for point in path[1:].split("L")]
    steps = [points[0], *([b[0] - a[0], b[1] - a[1]] for a, b in pairwise(points))]
    words = [f"{_tenths(x)}{'' if y < 0 else ' '}{_tenths(y)}" for x, y in steps]
    return f"M{words[0]}l{' '.join(words[1:])}".replace(" -", "-")


def _as_path(points: str) -> str:
    """M x y L x y ... of a polygon's points; filling closes it."""
    numbers = points.replace(",", " ").split()
    return "M" + "L".join(f"{x} {y}" for x, y in zip(numbers[::2], numbers[1::2], strict=True))


def _tenths(count: int) -> str:
    """15 -> 1.5, -3 -> -.3, 20 -> 2."""
    whole, rest = divmod(abs(count), 10)
    sign = "-" if count < 0 else ""
    return f"{sign}{whole or '' if rest else whole}{f'.{rest}' if rest else ''}"


class _Cleaner(HTMLParser):
    """Rewrites ECharts' SVG with known tags and attributes only; anything else is our fault and stops."""

    def __init__(self, prefix: str, roles: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.prefix, self.roles = prefix, roles
        self.parts: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "style":  # hover rules of a live chart; a still picture needs none
            self._in_style = True
            return
        if tag not in _TAGS:
            raise RechannelError("RC501", found=tag)
        if tag == "polygon":  # the same as a closed path, which can be written shorter
            tag = "path"
            attrs = [("d", _as_path(value or "")) if name == "points" else (name, value) for name, value in attrs]
        kept = [self._attribute(tag, name, value or "") for name, value in attrs]
        self.parts.append(f"<{' '.join([_SPELLED.get(tag, tag), *filter(None, kept)])}>")

    def _attribute(self, tag: str, name: str, value: str) -> str:
        if (name in _DROPPED and not (tag in _SIZED and name in ("width", "height"))) or name.startswith("ecmeta_"):
            return ""
        if name not in _KEPT and name not in ("width", "height"):
            raise RechannelError("RC501", found=name)
        if name == "style":
            if not _TEXT_STYLE.match(value):
                raise RechannelError("RC501", found=value)
            value = value.replace("font-family:inherit;", "")
        elif "url(" in value:
            target = _URL.match(value)
            if not target:
                raise RechannelError("RC501", found=value)
            value = f"url(#{self._own(target[1])})"
        elif name == "id":
            value = self._own(value)
        elif name in ("fill", "stroke"):
            value = ROLES.get(value.lower(), value) if self.roles else value
        elif name in ("d", "points"):
            value = _compact(value)
        return f'{_SPELLED.get(name, name)}="{escape(value)}"'

    def _own(self, name: str) -> str:
        """An id of this picture: zr7-c0 -> <prefix>-c0."""
        return f"{self.prefix}-{name.partition('-')[2] or name}"

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._in_style = False
        else:
            self.parts.append(f"</{'path' if tag == 'polygon' else _SPELLED.get(tag, tag)}>")

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.parts.append(escape(data.replace("\n", "")))
