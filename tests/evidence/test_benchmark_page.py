"""The benchmark page shows the committed results, and nothing older."""

from __future__ import annotations

import pytest
from benchmarks import page


def test_page_shows_the_committed_results() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text) == text, "run `python -m benchmarks page`"


@pytest.mark.parametrize("name", list(page.PARTS))
def test_every_series_has_a_result_and_a_place(name: str) -> None:
    assert (page.RESULTS / f"{name}.json").exists()
    assert f"<!-- {name}: begin -->" in page.PAGE.read_text(encoding="utf-8")
