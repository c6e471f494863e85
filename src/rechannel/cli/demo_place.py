"""Where a demo case is made: whole in a waiting folder first, so that an interruption leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        RC327: it is not empty and `force` is off; RC328: it holds something that is not a case; RC313: it may not be
        looked at.
    """
    try:
        is_file = target.exists() and not target.is_dir()
        taken = is_file or (target.exists() and any(target.iterdir()))
        is_case = (target / "case.toml").is_file()
    except OSError as error:
        raise CallError("RC313", path=str(target), reason=error.strerror or str(error)) from error
    if taken and not force:
        raise CallError("RC327", path=str(target))
    if taken and not is_case:
        raise CallError("RC328", path=str(target))


@contextmanager
def made_at(target: Path) -> Iterator[Path]:
    """A folder to make a case in; it becomes `target`, replacing what stood there, when the block ends well.

    Raises
    ------
    CallError
        RC311: the disk refuses, here or inside the block; what stood at `target` is still there.
    """
    above = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as waiting:
            made = Path(waiting) / target.name
            yield made
            earlier = Path(waiting) / "earlier"
            if target.exists():
                target.rename(earlier)
            try:
                made.rename(target)
            except BaseException:
                if earlier.exists():
                    earlier.rename(target)
                raise
    except BrokenPipeError:  # nobody reads what is told; that is no fault of the disk
        raise
    except OSError as error:
        raise CallError("RC311", path=str(target), reason=error.strerror or str(error)) from error
    finally:
        with suppress(OSError):  # not empty: the demo stands there
            for parent in above:
                parent.rmdir()


def moved(run: Run, made: Path, target: Path) -> Run:
    """A run with its paths where its case stands now."""
    pages = tuple(target / page.relative_to(made) for page in run.pages)
    return replace(run, folder=target / run.folder.relative_to(made), pages=pages)
