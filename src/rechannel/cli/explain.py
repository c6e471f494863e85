"""`rechannel explain`: what a code of a message means, and what to do."""

from __future__ import annotations

import re

from rechannel.cli.terminal import language, put
from rechannel.cli.verb import Verb, argument, words
from rechannel.vocabulary.errors import CallError, nearest
from rechannel.vocabulary.wording import catalogue, text

_ROOMS = ("fault", "error", "audit", "refusal", "grade", "grade_reason", "check")


def explain(code: str) -> int:
    """Print the sentence and the remedy of one code."""
    wanted = code.strip("[]")
    found = _entries(wanted) or _entries(wanted.upper()) or _entries(wanted.lower())
    if not found:
        known = [key for room in (*_ROOMS, "remedy") for key in catalogue(room, "en")]
        raise CallError(
            "RC308", value=code, nearest=nearest(wanted.lower() if "_" in wanted else wanted.upper(), known)
        )
    for line in found:
        put(line)
    return 0


def _entries(code: str) -> list[str]:
    """Lines about one code; the named parts of a sentence show as their names."""
    lines = []
    for room in _ROOMS:
        sentence = catalogue(room, language()).get(code)
        if sentence is not None:
            lines.append(f"{code}  {_with_blanks(sentence)}")
    means = catalogue("report", language()).get(f"grade_means.{code}")
    if means is not None:
        lines += [means, f"{words('remedy')}{text(f'report.change.{code}', language())}"]
    remedy = catalogue("remedy", language()).get(code)
    if remedy is not None:
        lines.append(f"{words('remedy')}{_with_blanks(remedy)}")
    return lines


def _with_blanks(sentence: str) -> str:
    return re.sub(r"\{(\w+)\}", r"<\1>", sentence)


command = Verb("explain", explain, [argument("code")])
