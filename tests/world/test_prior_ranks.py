"""The diversion model finds again what it draws from its own prior; the long series is `python -m benchmarks ranks`."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks import world_ranks


@pytest.mark.slow
def test_ranks_of_prior_draws_stay_inside_the_band() -> None:
    quantities: Any = world_ranks.run(30)["quantities"]
    # four bands of 95 %: one of them is left by chance in about one run of five, two hardly ever
    assert sum(not row["inside_the_band"] for row in quantities.values()) <= 1
    assert set(quantities) == {"two findings", "one finding", "no finding", "one cell of the row"}
