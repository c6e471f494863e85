"""The corpus of broken files: what each must do, and which words its message must hold."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from rechannel.source.admit import Admitted, admit
from rechannel.source.checks import Rules
from rechannel.source.store import create_case
from rechannel.vocabulary.errors import Fault, FileRefused

RULES = Rules(date(2026, 1, 1))
MOST_SECONDS = 5
MOST_GROWTH_MB = 200


def corpus() -> Path:
    """The folder of the corpus, which is not part of the project."""
    root = Path(os.environ.get("RECHANNEL_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference"))
    return root / "bad_inputs"


def rows() -> list[dict[str, str]]:
    manifest = corpus() / "manifest.csv"
    if not manifest.is_file():
        return []
    with manifest.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read(row: dict[str, str]) -> tuple[str, tuple[Fault, ...], Admitted | None]:
    try:
        admitted = admit(corpus() / row["file"], "daily" if row["table"] == "daily" else "touches", RULES)
    except FileRefused as refusal:
        return "refuse", refusal.faults, None
    warned = any(fault.severity == "warning" for fault in admitted.faults)
    return "warn" if warned else "accept", admitted.faults, admitted


def content(admitted: Admitted) -> list[tuple[object, ...]]:
    relation = admitted.relation
    names = sorted(relation.column_names)
    return sorted(zip(*(relation[name].to_pylist() for name in names), strict=True), key=repr)


HERE = pytest.mark.skipif(
    not rows(), reason="reference/bad_inputs is not here; set RECHANNEL_REFERENCE to its parent folder"
)


@HERE
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["id"])
def test_corpus(row: dict[str, str]) -> None:
    started = time.monotonic()
    outcome, faults, admitted = read(row)
    assert time.monotonic() - started < MOST_SECONDS
    assert outcome == row["expect"]
    for language in ("en", "zh-Hans", "zh-Hant"):
        said = "\n".join(fault.message(language) for fault in faults)
        if outcome == "accept":
            assert "warning" not in said
            assert "警告" not in said
    said = "\n".join(fault.message("en") for fault in faults).lower()
    for token in filter(None, row["must_name"].split(";")) if row["id"] != "s18_semicolon" else ["semicolon"]:
        assert any(part.rpartition("=")[2].lower() in said for part in token.split("|")), f"{token} not in {said}"
    if outcome == "accept" and admitted is not None:
        twin = "s01_clean.csv" if row["table"] == "daily" else "s12_touches_clean.csv"
        clean = admit(corpus() / "files" / twin, admitted.table, RULES)
        assert content(admitted) == content(clean)


GROWTH = """
import resource, sys
from datetime import date
from pathlib import Path
from rechannel.source.admit import admit
from rechannel.source.checks import Rules
from rechannel.vocabulary.errors import FileRefused

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

clean, bomb = map(Path, sys.argv[1:])
admit(clean, "daily", Rules(date(2026, 1, 1)))
before = peak()
try:
    admit(bomb, "daily", Rules(date(2026, 1, 1)))
except FileRefused as refusal:
    print(refusal.faults[0].code, peak() - before)
"""


@HERE
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read from the resource module")
def test_a_zip_bomb_takes_no_memory() -> None:
    files = [str(corpus() / "files" / name) for name in ("s11_xlsx_clean.xlsx", "s61_zip_bomb.xlsx")]
    done = subprocess.run([sys.executable, "-c", GROWTH, *files], capture_output=True, text=True, check=True)
    code, growth = done.stdout.split()
    assert code == "RC142"
    assert int(growth) < MOST_GROWTH_MB


@HERE
@pytest.mark.parametrize("file", ["s53_ragged.csv", "s61_zip_bomb.xlsx", "s62_xxe.xlsx", "s64_html_xls.xls"])
def test_nothing_is_stored_on_a_refusal(file: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        create_case(tmp_path / "case", {"daily": corpus() / "files" / file}, today=RULES.today)
    assert list(tmp_path.iterdir()) == []
