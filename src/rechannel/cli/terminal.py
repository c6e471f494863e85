"""What reaches the screen: words on stderr, data on stdout, never a control character of the user's data."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from rechannel.vocabulary.errors import CallError, Fault, RechannelError, Severity
from rechannel.vocabulary.wording import Language, as_language, language_of_environment, text

_COLOURS = {"error": "31", "warning": "33"}


class _Speech:
    """The language of this process, set once by `main` before a verb is loaded."""

    language: Language = "en"


def language() -> Language:
    """The language in which this call speaks."""
    return _Speech.language


def choose_language(arguments: Sequence[str]) -> Language:
    """Take the language from `--lang` wherever it stands, else from the environment.

    A word that is no language is left to the option parser, which refuses it.
    """
    chosen = language_of_environment()
    for position, argument in enumerate(arguments):
        value = argument.removeprefix("--lang=") if argument.startswith("--lang=") else ""
        if argument == "--lang" and position + 1 < len(arguments):
            value = arguments[position + 1]
        if value in ("zh-Hans", "zh-Hant", "en"):
            chosen = as_language(value)
    _Speech.language = chosen
    return chosen


def printable(line: str) -> str:
    """A line without control characters: names of the user's data cannot move the cursor or colour the screen."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "·" for letter in line)


def say(line: str = "") -> None:
    """One line of words, on stderr, after the data already put."""
    sys.stdout.flush()
    print(printable(line), file=sys.stderr)


def put(line: str = "") -> None:
    """One line of data, on stdout."""
    print(printable(line))


def put_json(value: object, target: str) -> None:
    """Data as JSON to a file, or to stdout when `target` is `-`.

    Raises
    ------
    CallError
        RC311: the file cannot be written.
    """
    put_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", target)


def put_text(body: str, target: str) -> None:
    """A text to a file, or to stdout when `target` is `-`; the file is there whole or not at all (CallError RC311)."""
    if target == "-":
        sys.stdout.write(body)
        return
    path = Path(target).resolve()
    pending = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # a device or a pipe is written to, never replaced
            path.write_text(body, encoding="utf-8")
            return
        pending.write_text(body, encoding="utf-8")
        pending.replace(path)
    except OSError as error:
        pending.unlink(missing_ok=True)
        raise CallError("RC311", path=target, reason=error.strerror or str(error)) from error


def _coloured(word: str, kind: str, stream: TextIO) -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return word
    return f"\x1b[{_COLOURS[kind]}m{word}\x1b[0m"


def _labelled(label: str, kind: str, body: str) -> None:
    print(f"{_coloured(label, kind, sys.stderr)} {printable(body)}", file=sys.stderr)


def say_error(error: RechannelError) -> None:
    """An error with its code, sentence and next step."""
    body = error.message(language())
    if not hasattr(error, "faults"):
        body = f"[{error.code}] {body}"
    _labelled(text("cli.error", language()), "error", body)


def say_faults(faults: Iterable[Fault], severities: Sequence[Severity] = ("refuse", "warning", "note")) -> None:
    """Faults, one line each: `warning ...` or `note: ...`."""
    for fault in faults:
        if fault.severity not in severities:
            continue
        body = fault.message(language())
        if fault.severity == "note":
            say(f"{text('cli.note', language())} {body}")
        else:
            kind = "error" if fault.severity == "refuse" else "warning"
            _labelled(text(f"cli.{kind}", language()), kind, body)


def width(cell: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in cell)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> list[str]:
    """A table as lines; columns in `numbers` stand to the right."""
    cells = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(width(row[index]) for row in cells) for index in range(len(header))]
    lines = []
    for row in cells:
        parts = []
        for index, cell in enumerate(row):
            gap = " " * (widths[index] - width(cell))
            parts.append(gap + cell if index in numbers else cell + gap)
        lines.append("  ".join(parts).rstrip())
    return lines


_NO_LINE_START = "，。；：、！？）》”’…%％"
_NO_LINE_END = "（《“‘"


def columns() -> int:
    """Columns of a line of words: those of the terminal, between 72 and 100."""
    return min(max(shutil.get_terminal_size((96, 24)).columns, 72), 100)


def wrapped(line: str, room: int, indent: str = "") -> list[str]:
    """A paragraph in lines of at most `room` columns; wide letters part anywhere but before closing marks."""
    words: list[str] = []
    for letter in printable(line):
        glued = words and (letter in _NO_LINE_START or words[-1][-1] in _NO_LINE_END)
        starts = width(letter) == 2 or not words or width(words[-1][-1]) == 2 or words[-1][-1] == " "
        if starts and letter != " " and not glued:
            words.append(letter)
        elif words:
            words[-1] += letter
    lines, current = [], ""
    for word in words:
        if current and width(indent + (current + word).rstrip()) > room:
            lines.append(indent + current.rstrip())
            current = ""
        current += word
    return [*lines, indent + current.rstrip()]
