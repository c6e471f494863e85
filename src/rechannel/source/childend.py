"""The end of a reader in a process of its own: little memory, and last words that the caller understands."""

from __future__ import annotations

import json
import sys
from typing import NoReturn


def limit_memory(most_bytes: int) -> None:
    """Let this process end rather than grow beyond `most_bytes` of address space; it leaves no core file."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def give_up(**told: object) -> NoReturn:
    """End with a reason: `tables=[...]` that there are, or `reason=...`."""
    print(json.dumps(told), file=sys.stderr)
    raise SystemExit(2)
