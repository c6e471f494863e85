"""The zip archive around a workbook: looked through whole before any part of it is believed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from rechannel.source.faultlist import FaultList

LARGEST_UNPACKED = 50_000_000
"""Bytes; a workbook may unpack to more only when its ratio stays below `HIGHEST_RATIO`."""
HIGHEST_RATIO = 100
_MOST_PARTS = 10_000
_CHUNK = 1 << 18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")
_OVERLAP = 16


def is_too_large(unpacked: int, packed: int) -> bool:
    """The rule against archives that unpack without end."""
    return unpacked > LARGEST_UNPACKED and unpacked > HIGHEST_RATIO * max(packed, 1)


def open_package(path: Path, faults: FaultList) -> zipfile.ZipFile | None:
    """Open a workbook as an archive whose every part was unpacked once, in pieces, and found whole.

    Refused are: what is no archive or cut off (RC114), a password (RC144), parts that unpack beyond the limits
    (RC142), that leave the archive by name or stand there twice (RC114), fail their checksum (RC114) or declare a
    document type or an entity (RC143). Sizes are counted while unpacking; those stated in the archive are not trusted.
    """
    try:
        package = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        _damaged(faults, str(error))
        return None
    if _is_sound(package, path.stat().st_size, faults):
        return package
    package.close()
    return None


def _damaged(faults: FaultList, reason: str) -> None:
    faults.add("RC114", "refuse", kind="XLSX", reason=reason[:200])


def _is_sound(package: zipfile.ZipFile, packed: int, faults: FaultList) -> bool:
    parts = package.infolist()
    stated = sum(part.file_size for part in parts)
    names = [part.filename for part in parts]
    if any(part.flag_bits & 0x1 for part in parts):
        faults.add("RC144", "refuse")
    elif is_too_large(stated, packed) or len(parts) > _MOST_PARTS:
        say_too_large(stated, packed, faults)
    elif odd := next((name for name in names if _leaves(name)), ""):
        _damaged(faults, f"part name {odd[:80]!r}")
    elif len({name.lower() for name in names}) != len(names):
        _damaged(faults, "two parts of one name")
    elif any(part.compress_type not in _METHODS for part in parts):
        _damaged(faults, "compression method")
    else:
        return _unpacks(package, packed, faults)
    return False


def say_too_large(unpacked: int, packed: int, faults: FaultList) -> None:
    """Refuse what grows too large."""
    ratio = f"{unpacked / max(packed, 1):,.0f}"
    faults.add("RC142", "refuse", size=f"{unpacked:,}", packed=f"{packed:,}", ratio=ratio)


def _leaves(name: str) -> bool:
    """Whether a part's name points out of the archive."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or ".." in plain.split("/") or ":" in plain or "\0" in plain


def _unpacks(package: zipfile.ZipFile, packed: int, faults: FaultList) -> bool:
    """Unpack everything once: checksums, true sizes, declarations."""
    unpacked = 0
    for part in package.infolist():
        is_xml = part.filename.lower().endswith((".xml", ".rels", ".vml"))
        end = b""
        try:
            for chunk in pieces(package, part.filename):
                unpacked += len(chunk)
                if is_too_large(unpacked, packed):
                    say_too_large(unpacked, packed, faults)
                    return False
                # Without NULs, a declaration in UTF-16 reads like one in UTF-8.
                window = end + chunk.replace(b"\0", b"")
                if is_xml and any(word in window for word in _DECLARATIONS):
                    faults.add("RC143", "refuse", part=part.filename[:80])
                    return False
                end = window[-_OVERLAP:]
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            _damaged(faults, f"{part.filename[:80]}: {error}")
            return False
    return True


def pieces(package: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """One part, unpacked in pieces."""
    with package.open(name) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
