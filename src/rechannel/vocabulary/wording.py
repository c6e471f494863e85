"""Sentences for readers: message files in three languages, one key one sentence."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

Language = Literal["zh-Hans", "zh-Hant", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@cache
def catalogue(room: str, language: Language) -> dict[str, str]:
    """Every sentence of one room (`messages/<language>/<room>.toml`), flattened to dotted keys."""
    source = files("rechannel.vocabulary").joinpath("messages", language, f"{room}.toml")
    return _flatten(tomllib.loads(source.read_text(encoding="utf-8")))


def _flatten(table: dict[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def text(key: str, language: Language, /, **args: str) -> str:
    """The sentence of `room.name` in `language` with its named parts filled in.

    Parameters
    ----------
    key
        `room.name`; the room is the message file.
    args
        Text ready to print. It is never parsed again, so names of the user's data are safe here.

    Examples
    --------
    >>> text("grade.B", "en")
    'natural experiment'
    """
    room, _, name = key.partition(".")
    return catalogue(room, language)[name].format(**args)


def has_text(key: str) -> bool:
    """Whether the message files know `room.name`."""
    room, _, name = key.partition(".")
    return name in catalogue(room, "en")


def language_of_environment() -> Language:
    """The reader's language from LC_ALL, LC_MESSAGES or LANG; English when none says otherwise."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            name = value.split(".")[0].replace("-", "_").lower()
            if name.startswith(("zh_tw", "zh_hk", "zh_mo", "zh_hant")):
                return "zh-Hant"
            return "zh-Hans" if name.startswith("zh") else "en"
    return "en"


def as_language(value: str) -> Language:
    """`value` as a language, or ValueError naming the three."""
    for language in LANGUAGES:
        if value == language:
            return language
    raise ValueError(f"language {value!r} is not one of {', '.join(LANGUAGES)}")
