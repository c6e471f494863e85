"""The shipped example: found, accepted, and the same as what our notes give."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest

from rechannel.source.config import read_config
from rechannel.source.examples import example_folder, example_tables
from rechannel.vocabulary.errors import MissingPart
from rechannel.vocabulary.wording import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]


def converter():  # type: ignore[no-untyped-def]
    """scripts/jd_wechat.py as a module."""
    spec = importlib.util.spec_from_file_location("jd_wechat", ROOT / "scripts" / "jd_wechat.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_is_found_and_ships_with_the_package() -> None:
    folder = example_folder("jd_wechat")
    assert set(example_tables(folder)) == {"events", "rivals", "deals", "figures", "claims"}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert shipped == {"examples": "rechannel/examples"}
    with pytest.raises(MissingPart, match="RC502"):
        example_folder("nothing")


def test_its_channels_have_three_names_and_its_ranges_a_source() -> None:
    declared = read_config(example_folder("jd_wechat"))
    assert all(set(channel.names) == set(LANGUAGES) for channel in declared.channels)
    for name, stated in declared.assumptions.items():
        assert 0 < stated.low < stated.high < 1, name
        assert stated.source


def test_the_tables_are_those_of_our_notes() -> None:
    script = converter()
    reference = script.reference_folder()
    if not reference.is_dir():
        pytest.skip(f"{reference} is not here: examples/jd_wechat is not compared; set RECHANNEL_REFERENCE")
    for name, body in script.convert(reference).items():
        shipped = (example_folder("jd_wechat") / name).read_text(encoding="utf-8")
        assert shipped == body, name
