"""The public case that several rooms test: examples/jd_wechat made into a case folder once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rechannel.case import Case, new_case, open_case
from rechannel.source.config import read_config
from rechannel.source.examples import example_folder, example_tables


@pytest.fixture(scope="session")
def public_case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("public") / "jd_wechat"
    source = example_folder("jd_wechat")
    declared = read_config(source)
    new_case(
        folder,
        example_tables(source),
        name=declared.name,
        currency=declared.currency,
        timezone=declared.timezone,
        channels=declared.channels,
        assumptions=declared.assumptions,
    )
    return open_case(folder)


@pytest.fixture
def fresh_public_case(public_case: Case, tmp_path: Path) -> Case:
    """The same case in a folder of its own, to be changed or run."""
    shutil.copytree(public_case.folder.folder, tmp_path / "case")
    return open_case(tmp_path / "case")
