"""A bar on a terminal's stderr for calls of more than two seconds; nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from rechannel.cli.terminal import printable
from rechannel.cli.verb import words
from rechannel.source.progress import STEPS
from rechannel.source.progress import Progress as Tell

QUIET_SECONDS = 2.0
"""A call that ends sooner shows no bar."""
_WHOLE = 1000


class LateBar:
    """A bar that appears once a call has taken `QUIET_SECONDS`, on a terminal only, and leaves no line behind."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
        )
        self._task = self._progress.add_task("", total=_WHOLE, start=True)
        self._lock = Lock()
        self._stopped = False
        self._waiting = Timer(QUIET_SECONDS, self._appear)
        self._waiting.daemon = True
        if console.is_terminal:
            self._waiting.start()

    def _appear(self) -> None:
        with self._lock:
            if not self._stopped:
                self._progress.start()

    def show(self, label: str, share: float) -> None:
        """Tell what is being done, and which share of all is done; from any thread."""
        # A name of the user's is text: never markup, never a control character.
        described = Text(printable(label)).markup.replace("\n", " ")
        self._progress.update(self._task, description=described, completed=share * _WHOLE)

    def stop(self) -> None:
        """Take the bar away."""
        self._waiting.cancel()
        with self._lock:
            self._stopped = True
            if self._progress.live.is_started:
                self._progress.stop()


class ReadingBar(LateBar):
    """One bar for all files of one call."""

    def of(self, file: str, place: int, files: int) -> Tell:
        """Whom to tell about one file."""

        def tell(step: str, done: int, total: int) -> None:
            share = (place + (STEPS.index(step) + done / max(total, 1)) / len(STEPS)) / files
            self.show(f"{file}  {words(f'bar_{step}')}", share)

        return tell


@contextmanager
def reading_bar() -> Iterator[ReadingBar]:
    """The bar of one call that reads files."""
    bar = ReadingBar(Console(file=sys.stderr))
    try:
        yield bar
    finally:
        bar.stop()


@contextmanager
def folding_bar() -> Iterator[Callable[[int, int], None]]:
    """The bar of a call that folds journeys: whom to tell about rows, or queries, done and all of them."""
    bar = LateBar(Console(file=sys.stderr))

    def tell(done: int, total: int) -> None:
        # Sorting comes before the first row and takes about half of the time.
        share = done / max(total, 1)
        bar.show(words("bar_fold" if done else "bar_sort"), 0.5 + share / 2 if done else 0.0)

    try:
        yield tell
    finally:
        bar.stop()
