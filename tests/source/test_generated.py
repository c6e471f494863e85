"""A tenth of `python -m benchmarks door`: no value is ever another one, and most files as made are read."""

from __future__ import annotations

import pytest
from benchmarks import door_cases

PART = 250
PARTS = 4
FIRST = 100_000
"""Case numbers that the long run does not use."""
MOST_REFUSED = 0.15
"""Files as made that may be refused: numbers such as 1,234 beside semicolons, one odd sign in GB18030."""


def check(first: int, count: int) -> None:
    cases = door_cases.run_range(first, first + count)
    assert [case.detail for case in cases if case.outcome == "wrong"] == []
    made = [case for case in cases if not case.flipped]
    assert sum(case.outcome == "refused" for case in made) <= MOST_REFUSED * len(made)
    if count > 100:
        flipped = {case.outcome for case in cases if case.flipped}
        assert {"same", "refused", "as the oracle"} <= flipped


@pytest.mark.slow
def test_thirty_files() -> None:
    check(FIRST - 30, 30)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_files_as_made_and_with_one_byte_changed(part: int) -> None:
    check(FIRST + part * PART, PART)
