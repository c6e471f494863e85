"""Where the worked examples are: beside the package in a wheel, beside `src` in a checkout."""

from __future__ import annotations

from pathlib import Path

from rechannel.source.config import FILE_NAME
from rechannel.source.contract import TABLE_NAMES, TableName
from rechannel.vocabulary.errors import MissingPart


def example_folder(name: str) -> Path:
    """The folder of one example: canonical tables as CSV, and a `case.toml` that declares channels and ranges.

    Raises
    ------
    MissingPart
        RC502: it is neither in the installed package nor in the checkout.

    Examples
    --------
    >>> example_folder("jd_wechat").name
    'jd_wechat'
    """
    package = Path(__file__).resolve().parents[1]
    for root in (package / "examples", package.parents[1] / "examples"):
        if (root / name / FILE_NAME).is_file():
            return root / name
    raise MissingPart("RC502", name=name)


def example_tables(folder: Path) -> dict[TableName, Path]:
    """Canonical table -> CSV file, of those that the example has."""
    return {table: folder / f"{table}.csv" for table in TABLE_NAMES if (folder / f"{table}.csv").is_file()}
