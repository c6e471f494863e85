"""Where a demo case is made: whole in a waiting folder first, so that an interruption leaves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rechannel.case import Run
from rechannel.vocabulary.errors import CallError


def check_free(target: Path, force: bool) -> None:
    """Refuse a target that must not be replaced.

    Raises
    ------
    CallError
        RC327: it is not empty and `force` is off; RC328: it holds something that is not a case.
    """
    if target.exists() and any(target.iterdir()):
        if not force:
            raise CallError("RC327", path=str(target))
        if not (target / "case.toml").is_file():
            raise CallError("RC328", path=str(target))


@contextmanager
def made_at(target: Path) -> Iterator[Path]:
    """A folder to make a case in; it becomes `target`, replacing what stood there, when the block ends well."""
    parent_is_new = not target.parent.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as waiting:
            made = Path(waiting) / target.name
            yield made
            if target.exists():
                shutil.rmtree(target)
            made.rename(target)
    finally:
        if parent_is_new and not any(target.parent.iterdir()):
            target.parent.rmdir()


def moved(run: Run, made: Path, target: Path) -> Run:
    """A run with its paths where its case stands now."""
    pages = tuple(target / page.relative_to(made) for page in run.pages)
    return replace(run, folder=target / run.folder.relative_to(made), pages=pages)
