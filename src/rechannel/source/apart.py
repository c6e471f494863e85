"""A process of its own for readers that a crafted file may crash or bloat: they end, the caller does not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import pyarrow as pa

from rechannel.source.faultlist import FaultList

_T = TypeVar("_T")


def read_apart(
    module: str, path: Path, part: str, kind: str, faults: FaultList, take: Callable[[IO[bytes]], _T]
) -> _T | None:
    """Run `python -m MODULE PATH PART` and give what it writes to `take`.

    Returns
    -------
    What `take` returned, or None when the other process did not end well; `faults` then says why (RC145: which tables
    there are, RC101: none, RC114: anything else).
    """
    taken = None
    with tempfile.TemporaryFile() as words:
        child = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", module, str(path.resolve()), part],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
        )
        assert child.stdout is not None
        try:
            with child.stdout:
                taken = take(child.stdout)
                if faults.refusals:
                    child.kill()
        except (pa.ArrowInvalid, json.JSONDecodeError):
            taken = None  # the other process says why on its way out
        except BaseException:
            child.kill()
            raise
        finally:
            code = child.wait()
        words.seek(0)
        said = words.read().decode("utf-8", "replace").strip().splitlines()
    # A stream that breaks off between two batches looks whole; only the exit code tells.
    if code == 0 and taken is not None:
        return taken
    if not faults.refusals:
        _say(said, code, path, kind, faults)
    return None


def _say(said: list[str], code: int, path: Path, kind: str, faults: FaultList) -> None:
    """Turn the last words of the other process into a fault."""
    try:
        told = json.loads(said[-1]) if said else {}
    except json.JSONDecodeError:
        told = {}
    if not isinstance(told, dict) or not told:
        told = {"reason": f"the reader ended with code {code}"}
    if told.get("tables"):
        faults.add("RC145", "refuse", names=", ".join(map(str, told["tables"]))[:300])
    elif "tables" in told:
        faults.add("RC101", "refuse")
    else:
        reason = str(told.get("reason", "")).replace(str(path.resolve()), path.name)
        faults.add("RC114", "refuse", kind=kind, reason=reason[:200])
