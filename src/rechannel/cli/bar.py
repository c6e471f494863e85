"""A bar on a terminal's stderr for reads of more than two seconds; nothing anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from rechannel.cli.terminal import printable
from rechannel.cli.verb import words
from rechannel.source.progress import STEPS
from rechannel.source.progress import Progress as Tell

QUIET_SECONDS = 2.0
"""A read that ends sooner shows no bar."""
_WHOLE = 1000


class ReadingBar:
    """One bar for all files of one call."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
        )
        self._shown = console.is_terminal
        self._started = time.monotonic()
        self._lock = Lock()
        self._task = self._progress.add_task("", total=_WHOLE, start=True)

    def of(self, file: str, place: int, files: int) -> Tell:
        """Whom to tell about one file."""

        def tell(step: str, done: int, total: int) -> None:
            if not self._shown or time.monotonic() - self._started < QUIET_SECONDS:
                return
            with self._lock:
                if not self._progress.live.is_started:
                    self._progress.start()
            share = (place + (STEPS.index(step) + done / max(total, 1)) / len(STEPS)) / files
            # A name of the user's is text: never markup, never a control character.
            label = Text(f"{printable(file)}  {words(f'bar_{step}')}").markup.replace("\n", " ")
            self._progress.update(self._task, description=label, completed=share * _WHOLE)

        return tell

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress.live.is_started:
            self._progress.stop()


@contextmanager
def reading_bar() -> Iterator[ReadingBar]:
    """The bar of one call; it leaves no line behind."""
    bar = ReadingBar(Console(file=sys.stderr))
    try:
        yield bar
    finally:
        bar.stop()
