"""A tenth of `python -m benchmarks kills`: nothing acknowledged is lost, nothing is unreadable, whatever the instant.

The whole series kills 500 times.
"""

from __future__ import annotations

import pytest
from benchmarks import kills


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_acknowledged() -> None:
    told = kills.run(50, seed=2)
    for name in ("random", "steps"):
        series = told[name]
        assert isinstance(series, dict)
        assert (series["lost"], series["unreadable"]) == ([], [])
        # A series that never met a half-done write, or was never told of a whole one, would prove nothing.
        assert series["kills"] >= 50
        assert series["left_something"] > 5
    random = told["random"]
    assert isinstance(random, dict)
    assert random["acknowledged"] > 10
    assert random["by_kind"].keys() == kills.KINDS.keys()
    names = told["names"]
    assert isinstance(names, dict)
    for step in (
        "data file: written",
        "case.toml: renamed",
        "unnamed data file: removed",
        "run: renamed",
        "claim: locked",
    ):
        assert names[step] >= 1
    assert {f"end of {name}" for name in kills.OPERATIONS} <= names.keys()
