"""Everything found in one file: gathered, grouped, capped at a hundred, worst first."""

from __future__ import annotations

from dataclasses import dataclass, field

from rechannel.vocabulary.errors import MOST_FAULTS, Fault, Severity

_ORDER: dict[Severity, int] = {"refuse": 0, "warning": 1, "note": 2}


@dataclass(slots=True)
class FaultList:
    """Faults of one file, in the order in which a reader wants them.

    Attributes
    ----------
    file
        Name of the file, without its folder.
    """

    file: str
    _faults: list[Fault] = field(default_factory=list)
    _seen: set[tuple[str, int, str, int]] = field(default_factory=set)

    def add(self, code: str, severity: Severity, *, line: int = 0, column: str = "", **args: str) -> None:
        """Note one fault; refusals beyond the hundredth and exact repeats are dropped."""
        key = (code, line, column, hash(tuple(sorted(args.items()))))
        if key in self._seen or (severity == "refuse" and self.refusals >= MOST_FAULTS):
            return
        self._seen.add(key)
        self._faults.append(Fault(code, severity, self.file, line, column, args))

    @property
    def refusals(self) -> int:
        """How many faults make the file unusable."""
        return sum(fault.severity == "refuse" for fault in self._faults)

    def ordered(self) -> tuple[Fault, ...]:
        """Refusals, then warnings, then notes, each by line; at most a hundred."""
        return tuple(sorted(self._faults, key=lambda fault: (_ORDER[fault.severity], fault.line)))[:MOST_FAULTS]

    def refused(self) -> tuple[Fault, ...]:
        """What makes the file unusable, by line; warnings wait until these are mended."""
        return tuple(fault for fault in self.ordered() if fault.severity == "refuse")
