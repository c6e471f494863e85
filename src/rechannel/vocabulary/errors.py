"""The error tree; every error has a stable code, and its remedy lives beside its sentence.

RechannelError                exit 1   our fault: please report it
├── CallError                 exit 2   the call asks for something that cannot be: unknown channel, date, option
├── CaseError                 exit 2   the case folder or its case.toml is not usable
├── FileRefused               exit 2   a file breaks the contract; holds every fault found (to 100)
├── StoreError                exit 2   the run store is newer, damaged or in use
└── MissingPart               exit 2   an optional part is not installed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from rechannel.vocabulary.wording import Language, text

Severity = Literal["refuse", "warning", "note"]
MOST_FAULTS = 100
MOST_STEPS = 5


class RechannelError(Exception):
    """Something went wrong inside Rechannel.

    Remedy: this is our fault. Keep the command and the message and report them.

    Parameters
    ----------
    code
        Stable code such as `RC101`; `error.<code>` is the sentence, `remedy.<code>` the next step.
    args
        Named parts of both, ready to print.
    """

    exit_code = 1

    def __init__(self, code: str, **args: str) -> None:
        super().__init__(code)
        self.code = code
        self.parts = args

    def message(self, language: Language) -> str:
        """What was found, what was expected, and the next step."""
        sentence = text(f"error.{self.code}", language, **self.parts)
        return f"{sentence}\n{text('error.fix', language)}{text(f'remedy.{self.code}', language, **self.parts)}"

    def __str__(self) -> str:
        return f"{self.code} {self.message('en')}"


class CallError(RechannelError):
    """The call asks for something that cannot be: an unknown channel, a date outside the data, a wrong option.

    Remedy: the message names the nearest valid value.
    """

    exit_code = 2


class CaseError(RechannelError):
    """The case folder or its case.toml is not usable.

    Remedy: `rechannel new CASE FILE...` makes a case; the message names the line of case.toml at fault.
    """

    exit_code = 2


class StoreError(RechannelError):
    """The run store is newer than this version, damaged, or in use by another process.

    Remedy: the message says which; nothing was changed.
    """

    exit_code = 2


class MissingPart(RechannelError):
    """An optional part is not installed.

    Remedy: the message names the command that installs it.
    """

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing found in a file.

    Attributes
    ----------
    code
        Stable code; `fault.<code>` is its sentence.
    severity
        refuse = the file cannot be used; warning = an answer may be wrong; note = worth knowing.
    file
        Name of the file, without its folder.
    line
        Physical line of the file (header = 1), 0 when the fault is about the whole file.
    column
        Column name as the file prints it, empty when none.
    args
        Named parts of the sentence, ready to print.
    """

    code: str
    severity: Severity
    file: str
    line: int = 0
    column: str = ""
    args: dict[str, str] = field(default_factory=dict)

    def message(self, language: Language) -> str:
        """`file:line:column  sentence  CODE`."""
        place = ":".join(part for part in (self.file, str(self.line or ""), self.column) if part)
        sentence = text(f"fault.{self.code}", language, **self.args)
        return f"{place}  {sentence}  [{self.code}]"

    def remedy(self, language: Language) -> str:
        """What to do about it."""
        return text(f"remedy.{self.code}", language, **self.args)


class FileRefused(RechannelError):
    """A file breaks the contract of its table; nothing was stored.

    Remedy: every fault names file, line and column; mend the file or the export and run the same command again.
    """

    exit_code = 2

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("RC100", count=str(len(faults)))
        self.faults = tuple(faults[:MOST_FAULTS])

    def message(self, language: Language) -> str:
        """The faults, what became of the file, and the next step for each kind of fault (to five kinds)."""
        lines = [fault.message(language) for fault in self.faults]
        kinds: dict[str, Fault] = {}
        for fault in self.faults:
            kinds.setdefault(fault.code, fault)
        fix = text("error.fix", language)
        steps = [f"{fix}{fault.remedy(language)}  [{code}]" for code, fault in list(kinds.items())[:MOST_STEPS]]
        whole, then = super().message(language).split("\n", 1)
        return "\n".join([*lines, whole, *steps, then])


def nearest(name: str, names: Sequence[str]) -> str:
    """The known name most like `name`, or all of them when none is close (to twelve)."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.5)
    return close[0] if close else ", ".join(list(names)[:12])
