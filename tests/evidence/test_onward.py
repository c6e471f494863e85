"""Whether a sum of channels goes on as forecast: a name that was split, and a channel that is new indeed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.evidence.made_panels import arrays, as_panel, made_panel

from rechannel.evidence.onward import over_going_on, sum_from
from rechannel.evidence.shifts import find_shifts
from rechannel.evidence.watched import Span, watch_counts
from rechannel.vocabulary.channel import ALL_MARKETS

ON = 150


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("moved", [0.3, 0.8])
def test_a_split_name_goes_on_with_its_parts_and_a_new_channel_comes_on_top(seed: int, moved: float) -> None:
    """Against its whole size on top, the split's odds to go on are e^10 and more; those of a new channel as small."""
    visits, _, _ = arrays(made_panel(seed=seed))
    part = np.random.default_rng(seed).binomial(visits[ON:, 1].astype(int), moved).astype(float)
    born = np.concatenate([np.full(ON, np.nan), part])
    for taken, sign in ((part, -1.0), (np.zeros(part.size), 1.0)):
        changed = np.column_stack([visits, born])
        changed[ON:, 1] -= taken
        panel = as_panel(changed)
        span = Span(panel.dates, panel.cadence, ())
        searched = find_shifts(watch_counts(changed[:, None, :], panel.channels, (ALL_MARKETS,), span))
        seen = sum_from(searched, changed, span, (1,), (5,), ON, 1)
        assert seen is not None
        on_top = part[:14].sum() / (changed[ON : ON + 14, 1].sum())
        (odds,) = over_going_on(seen, ON, np.array([-on_top]))
        assert sign * odds > 10
    assert sum_from(searched, changed, span, (5,), (), ON, 1) is None
