"""Every touch of the disk by the store, one named step each: a failure or a kill leaves the old state or the new."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from rechannel.vocabulary.errors import CaseError, StoreError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")
Kind = type[CaseError] | type[StoreError]

LOCK_FILE = ".lock"
"""In a case folder; whoever changes the case holds its lock. The file stays, and stays empty."""
PATIENCE_SECONDS = 60.0
"""How long a writer waits for another one on the same case."""
_BETWEEN_TRIES = 0.02
_BLOCK = 1 << 20
_BINARY: int = getattr(os, "O_BINARY", 0)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def act(step: str, do: Callable[[], T]) -> T:  # noqa: ARG001 (the name is for those who stand in its place)
    """Do one step of writing.

    Nothing in the store writes, syncs, locks, renames or removes but through here, so that a test can put itself in
    its place and fail, interrupt or kill the process before or after any step.
    """
    return do()


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is on the disk: SHA-256 of its bytes (hex), and how many they are."""

    sha256: str
    size: int


class Sink(io.RawIOBase):
    """A file being written: digest and size are known when it ends."""

    def __init__(self, descriptor: int, what: str) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._what = what
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    # pyarrow hands on bytes or a buffer; the signature of the base class is wider than what is used.
    def write(self, body: bytes) -> int:  # type: ignore[override]
        self._waiting += body
        if len(self._waiting) >= _BLOCK:
            self._drain()
        return len(body)

    def finish(self) -> Written:
        """Put everything on the disk."""
        self._drain()
        act(f"{self._what}: synced", lambda: os.fsync(self._descriptor))
        return Written(self._digest.hexdigest(), self._size)

    def _drain(self) -> None:
        body, self._waiting = bytes(self._waiting), bytearray()
        self._digest.update(body)
        self._size += len(body)
        while body:
            body = body[act(f"{self._what}: written", partial(os.write, self._descriptor, body)) :]


def write_parquet(relation: pa.Table, path: Path, what: str) -> Written:
    """A relation as a new Parquet file, on the disk when this returns."""
    return _write(path, what, lambda sink: pq.write_table(relation, sink, compression="zstd", write_statistics=True))


def write_bytes(body: bytes, path: Path, what: str) -> Written:
    """Bytes as a new file, on the disk when this returns."""
    return _write(path, what, lambda sink: sink.write(body))


def _write(path: Path, what: str, fill: Callable[[Sink], object]) -> Written:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    descriptor = act(f"{what}: opened", lambda: os.open(path, flags, 0o666))
    try:
        sink = Sink(descriptor, what)
        fill(sink)
        return sink.finish()
    finally:
        os.close(descriptor)


def make_folder(path: Path, what: str) -> None:
    """A new folder; one that is there already stays."""
    if not path.is_dir():
        act(f"{what}: made", lambda: path.mkdir(exist_ok=True))


def sync_file(path: Path, what: str) -> None:
    """Put a file that somebody else wrote on the disk."""
    descriptor = os.open(path, os.O_RDWR | _BINARY)
    try:
        act(f"{what}: synced", lambda: os.fsync(descriptor))
    finally:
        os.close(descriptor)


def sync_folder(path: Path, what: str) -> None:
    """Put the names in a folder on the disk (a system without that notion does it by itself)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        act(f"{what}: synced", lambda: os.fsync(descriptor))
    except OSError as error:
        if error.errno != errno.EINVAL:  # so a file system says that it has no such notion
            raise
    finally:
        os.close(descriptor)


def rename(old: Path, new: Path, what: str) -> None:
    """Give a file or folder its final name in one step; a file that had the name is replaced."""
    act(f"{what}: renamed", lambda: os.replace(old, new))


def remove(path: Path, what: str) -> None:
    """Remove a file; one that is gone already is no fault."""
    act(f"{what}: removed", lambda: path.unlink(missing_ok=True))


def remove_folder(path: Path, what: str) -> None:
    """Remove an empty folder; one that is gone already, or never came to be, is no fault."""
    if path.is_dir():
        act(f"{what}: removed", path.rmdir)


def remove_tree(folder: Path, what: str) -> None:
    """Remove a folder with all it holds; links are removed, never followed."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(place, name)
            if path.is_dir() and not path.is_symlink():
                act(f"{what}: removed", path.rmdir)
            else:
                remove(path, what)
    remove_folder(folder, what)


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file; False when another process or thread has it. It ends with the process."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _unlock(descriptor: int) -> None:
    """Give a lock back and close its file; a child that inherited the file loses it too."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextmanager
def only_writer(folder: Path, patience_seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of a case folder; only one process or thread is inside at a time, and it ends with its process.

    Raises
    ------
    TimeoutError
        Another one kept it for longer than `patience_seconds` (None = `PATIENCE_SECONDS`).
    OSError
        The file cannot be opened, or the file system knows no locks.
    """
    patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    flags = os.O_RDWR | os.O_CREAT | _BINARY
    descriptor = act("lock: opened", lambda: os.open(folder / LOCK_FILE, flags, 0o666))
    try:
        give_up = time.monotonic() + patience
        while not act("lock: taken", lambda: _try_lock(descriptor)):
            if time.monotonic() > give_up:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock")
            time.sleep(_BETWEEN_TRIES)
        yield
    finally:
        _unlock(descriptor)


class Claim:
    """A file that is locked as long as its maker lives, from the moment at which others can see it."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what
        unseen = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
        try:
            self._descriptor = act(f"{what}: opened", lambda: os.open(unseen, flags, 0o666))
            try:
                act(f"{what}: locked", lambda: _try_lock(self._descriptor))
                rename(unseen, path, what)
            except BaseException:
                os.close(self._descriptor)
                raise
        except BaseException:
            for name in (unseen, path):
                with suppress(OSError):
                    remove(name, what)
            raise

    def end(self) -> None:
        """Take the claim away."""
        try:
            remove(self.path, self._what)
        finally:
            _unlock(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether the maker of a claim lives: one that is gone is dead, one that may not be looked at is alive."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    if not _try_lock(descriptor, shared=True):
        os.close(descriptor)
        return True
    _unlock(descriptor)
    return False


def confirm(folder: Path, what: str, kind: Kind) -> None:
    """Put a name that is already in place on the disk.

    Raises
    ------
    CaseError, StoreError
        RC210, RC408: the disk does not confirm it. The new state is in place and must not be undone.
    """
    try:
        sync_folder(folder, what)
    except OSError as error:
        code = "RC210" if kind is CaseError else "RC408"
        raise kind(code, path=str(folder), reason=error.strerror or str(error)) from error


def refused(error: OSError, folder: Path, kind: Kind, *, was_there: bool = True) -> CaseError | StoreError:
    """What a failure of the disk means to the reader, as an error of the case or of its runs.

    Parameters
    ----------
    error
        What the system said.
    folder
        The case folder, as the reader named it.
    kind
        CaseError or StoreError.
    was_there
        Whether the folder was there before; a new one cannot be gone.

    Returns
    -------
    RC403: another process writes; RC404: no locks; else of a case (of its runs): RC211 (RC405) the disk is full, RC212
    (RC406) writing is not allowed, RC213 (RC407) the folder is gone, RC206 (RC402) anything else.
    """
    reason = error.strerror or str(error)
    if isinstance(error, TimeoutError):
        return StoreError("RC403", path=str(folder))
    if error.errno in _NO_LOCKS:
        return StoreError("RC404", path=str(folder), reason=reason)
    if error.errno in _FULL:
        code = "RC211" if kind is CaseError else "RC405"
    elif error.errno in _NOT_ALLOWED:
        code = "RC212" if kind is CaseError else "RC406"
    elif was_there and error.errno == errno.ENOENT and not folder.exists():
        code = "RC213" if kind is CaseError else "RC407"
    else:
        code = "RC206" if kind is CaseError else "RC402"
    return kind(code, path=str(folder), reason=reason)
