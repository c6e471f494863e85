"""Rechannel: what a traffic channel is really worth, what happens when it closes, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rechannel.case import Case as Case
    from rechannel.case import new_case as new_case
    from rechannel.case import open_case as open_case

__version__ = "0.1.0"

_EXPORTS = {"Case": "rechannel.case", "new_case": "rechannel.case", "open_case": "rechannel.case"}
__all__ = ["Case", "__version__", "new_case", "open_case"]


def __getattr__(name: str) -> object:
    """Hand public names on when they are first used: importing rechannel loads no numpy."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'rechannel' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_EXPORTS[name]), name)
