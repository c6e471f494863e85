"""ZIP archives of exports: their members are taken out one by one, after a look at what they claim to hold."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from rechannel.source.faultlist import FaultList

MOST_UNPACKED = 4 << 30
MOST_MEMBERS = 5000
LARGE, MOST_RATIO = 50 << 20, 100
_CHUNK = 1 << 20


def is_litter(name: str) -> bool:
    """Whether a file of this name is none of the user's: hidden, a lock of an open workbook, or a folder's settings."""
    return name.startswith((".", "~$")) or name.lower() in ("thumbs.db", "desktop.ini")


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP archive of files, and not a workbook, which is one too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as book:
        return "[Content_Types].xml" not in book.namelist()


@contextmanager
def unpacked(path: Path, faults: FaultList) -> Iterator[tuple[Path, ...]]:
    """The members of an archive as files of their own names, gone when the block ends; none when it is refused.

    Refused are archives that would unpack to more than 4 GiB or, above 50 MB, to more than a hundred times their
    size; encrypted and damaged members; names that leave the folder.
    """
    with TemporaryDirectory(prefix="rechannel-") as folder, zipfile.ZipFile(path) as book:
        members = [one for one in book.infolist() if not one.is_dir() and not _is_litter(one)]
        size = sum(one.file_size for one in members)
        if size > MOST_UNPACKED or (size > LARGE and size > MOST_RATIO * path.stat().st_size):
            faults.add("RC715", "refuse", size=f"{size >> 20:,}")
        elif len(members) > MOST_MEMBERS:
            faults.add("RC715", "refuse", size=f"{len(members):,}")
        found = []
        for place, one in enumerate(members):
            if faults.refusals:
                break
            parts = PurePosixPath(one.filename.replace("\\", "/")).parts
            if one.flag_bits & 1 or ".." in parts or one.filename.startswith(("/", "\\")):
                faults.add("RC716", "refuse", member=one.filename[:120])
                break
            target = Path(folder) / str(place) / _decoded(one)
            target.parent.mkdir()
            written = 0
            try:
                with book.open(one) as source, target.open("wb") as stream:
                    while chunk := source.read(_CHUNK):
                        written += len(chunk)
                        if written > one.file_size:
                            raise zipfile.BadZipFile
                        stream.write(chunk)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
                faults.add("RC716", "refuse", member=one.filename[:120])
                break
            found.append(target)
        yield () if faults.refusals else tuple(found)


def _is_litter(member: zipfile.ZipInfo) -> bool:
    """Whether a member is what a system or an open spreadsheet leaves beside the files."""
    name = PurePosixPath(member.filename.replace("\\", "/")).name
    return member.filename.startswith("__MACOSX/") or is_litter(name)


def _decoded(member: zipfile.ZipInfo) -> str:
    """The name of a member; names without the UTF-8 mark come from Chinese Windows more often than from 1981."""
    name = PurePosixPath(member.filename.replace("\\", "/")).name
    if not member.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("gb18030")
        except UnicodeError:
            return name
    return name.replace("\0", "") or "member"
