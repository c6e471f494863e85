"""The shape of the house: floors import downwards, public names and verbs are documented, the door stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rechannel
from rechannel.cli.commands import COMMANDS
from rechannel.vocabulary.wording import LANGUAGES, catalogue

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "rechannel"
FLOORS = ("vocabulary", "source", "tables", "evidence", "world", "scenario", "answers", "report", "case", "lab", "cli")
ROOMS = sorted(path.stem for path in (PACKAGE / "vocabulary" / "messages" / "en").glob("*.toml"))


def floor_of(module: str) -> int:
    name = module.split(".")[1] if module.count(".") else "vocabulary"
    return FLOORS.index(name) if name in FLOORS else 0


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.startswith("rechannel.")]


def test_floors_import_only_downwards() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if module == "rechannel.__init__":
            continue  # hands names on, lazily
        wrong += [f"{module} imports {name}" for name in imports(path) if floor_of(name) > floor_of(module)]
    assert not wrong


def test_lab_and_world_share_no_code() -> None:
    for path in (PACKAGE / "lab").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith(("rechannel.world", "rechannel.scenario"))]


def test_verbs_and_public_names_are_documented() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [verb for verb in COMMANDS if f"## rechannel {verb}" not in page] == []
    for name in rechannel.__all__:
        assert getattr(rechannel, name)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, rechannel, rechannel.cli.main; print([m for m in ('numpy','scipy','duckdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ROOMS)
def test_three_languages_hold_the_same_keys(room: str) -> None:
    english = catalogue(room, "en")
    for language in LANGUAGES:
        assert set(catalogue(room, language)) == set(english)


def test_locks_hold_no_host_names() -> None:
    for lock in (ROOT / "locks").glob("*.txt"):
        assert "://" not in lock.read_text(encoding="utf-8")
    assert "resolved" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")


def test_every_error_code_has_its_sentence_and_its_remedy() -> None:
    sentences, remedies = catalogue("error", "en"), catalogue("remedy", "en")
    raised = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                code = node.args[0].value
                called = node.func.id if isinstance(node.func, ast.Name) else ""
                if isinstance(code, str) and called.endswith(("Error", "MissingPart")) and code.startswith("RC"):
                    raised.add(code)
    assert len(raised) > 20
    assert sorted(raised - set(sentences)) == []
    assert sorted(raised - set(remedies)) == []
