"""A twelfth of `python -m benchmarks panels`: shops in which nothing happened, asked end to end.

90 shops (10 of each of 9 families): with 10 % false alarms a horizon has 9 +- 2.8 of them; the bar is 2.6 standard
errors above the .14 that 1,080 shops may reach.
"""

from __future__ import annotations

import pytest
from benchmarks import placebo_panels

PER_FAMILY = 10


@pytest.mark.slow
def test_few_false_alarms_over_every_family() -> None:
    alarms = [placebo_panels.ask(family, number) for family in placebo_panels.FAMILIES for number in range(PER_FAMILY)]
    for at, horizon in enumerate(placebo_panels.HORIZONS):
        told = [one for one in alarms if one.answered[at]]
        assert len(told) >= 0.9 * len(alarms), horizon
        false = sum(one.alarm[at] for one in told)
        bar = 0.14 + 2.6 * (0.14 * 0.86 / len(told)) ** 0.5
        assert false / len(told) <= bar, (horizon, false, len(told))
        assert false >= 1, "not one alarm in 90: the intervals are too wide"


def test_made_shops_repeat_and_differ() -> None:
    one, again, other = (placebo_panels.make_shop("plain", number) for number in (3, 3, 4))
    assert (one.panel.values["visits"] == again.panel.values["visits"]).all()
    assert one.events == again.events
    assert one.panel.values["visits"].shape != other.panel.values["visits"].shape or one.on != other.on
    for family in placebo_panels.FAMILIES:
        shop = placebo_panels.make_shop(family, 0)
        assert (shop.panel.last - shop.on).days >= 90
        assert (shop.on - shop.panel.first).days >= 500
