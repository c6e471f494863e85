"""The corpus of broken files: what each must do, and which words its message must hold."""

from __future__ import annotations

import csv
import os
from datetime import date
from pathlib import Path

import pytest

from rechannel.source.admit import Admitted, admit
from rechannel.source.checks import Rules
from rechannel.vocabulary.errors import Fault, FileRefused

RULES = Rules(date(2026, 1, 1))


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


@pytest.mark.skipif(not rows(), reason="reference/bad_inputs is not here; set RECHANNEL_REFERENCE to its parent folder")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["id"])
def test_corpus(row: dict[str, str]) -> None:
    outcome, faults, admitted = read(row)
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
