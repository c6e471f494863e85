"""A bar on stderr for work over two seconds; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rechannel.cli.terminal import printable
from rechannel.cli.verb import words

PATIENCE = 2.0
"""Seconds without a bar."""


@contextmanager
def bar(step: str) -> Iterator[Callable[[int, int, str], None]]:
    """What to call with parts done, parts in all and the name of the next part.

    Parameters
    ----------
    step
        `step_<step>` of `cli.toml` stands before the bar.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    columns = (TextColumn(words(f"step_{step}")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(
        *columns, TextColumn("{task.fields[part]}", markup=False), console=Console(stderr=True), transient=True
    )
    task = shown.add_task("", total=None, part="")

    def tell(done: int, total: int, part: str) -> None:
        if time.monotonic() - started >= PATIENCE and not shown.live.is_started:
            shown.start()
        shown.update(task, completed=done, total=total, part=printable(part)[:40])

    try:
        yield tell
    finally:
        shown.stop()
