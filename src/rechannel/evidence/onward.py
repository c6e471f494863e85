"""Does a sum of channels go on as before? Its days are held against forecasts from the days before a change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from rechannel.evidence.contrast import BASE_STEPS
from rechannel.evidence.onestep import fit_noise, one_step
from rechannel.evidence.shifts import FEWEST_BEFORE, Evidence, Searched, evidence_of
from rechannel.evidence.watched import Span, watch_counts
from rechannel.vocabulary.channel import ALL_MARKETS
from rechannel.vocabulary.estimate import FloatArray

STEPS_AFTER = BASE_STEPS // 2
"""Steps of the sum that are looked at: a later change is another matter."""
WOBBLE = np.linspace(-0.1, 0.1, 9)
WOBBLE_WEIGHT = np.exp(-0.5 * (WOBBLE / 0.04) ** 2) / np.exp(-0.5 * (WOBBLE / 0.04) ** 2).sum()
"""Share by which a sum that goes on may still differ from its forecast for two weeks: levels wander by 4 %."""


def sum_from(
    searched: Searched,
    visits: FloatArray,
    span: Span,
    before: tuple[int, ...],
    more: tuple[int, ...],
    on: int,
    edge: int,
) -> Evidence | None:
    """What forecasts from before step `on` say about the sum of some channels after it.

    Parameters
    ----------
    searched
        The search over the channels, group 0: its common moves, and the steps that it left out, are kept.
    visits
        Shape [step, channel].
    span
        The time axis.
    before
        Channels that the sum consists of all along.
    more
        Channels that it takes in from `edge` steps before `on`.
    on
        First step of the change.

    Returns
    -------
    Evidence of the sum up to two weeks after `on`, its calendar and noise learned before; None when too little is
    measured before.
    """
    members, end, start = list(before), min(on + STEPS_AFTER, len(visits)), max(on - BASE_STEPS, 0)
    size = np.nan_to_num(visits[start:on, members]).sum(axis=0)
    if size.sum() <= 0:
        return None
    share = size / size.sum()
    total = np.nan_to_num(visits[:end, members]).sum(axis=1)
    total[on - edge :] += np.nan_to_num(visits[on - edge : end, list(more)]).sum(axis=1)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(searched.watched.left[:end, 0, members]).all(axis=1))
    known[on - edge :] = np.isfinite(visits[on - edge : end, [*members, *more]]).any(axis=1)
    if known[:on].sum() < FEWEST_BEFORE:
        return None
    until = Span(span.dates[:end], span.cadence, span.events, on)
    alone = watch_counts(np.where(known, total, np.nan)[:, None, None], [None], (ALL_MARKETS,), until)
    reset: NDArray[np.bool_] = np.asarray(searched.watched.reset[:end, 0, members].any(axis=1))[:, None, None]
    reset[on - 2 * edge :] = False
    together = (searched.together[:end, 0, members] @ share)[:, None, None]
    more_variance = (searched.together_variance[:end, 0, members] @ share)[:, None, None]
    alone = replace(alone, left=alone.left - together, extra=alone.extra + more_variance, reset=reset)
    noise = fit_noise(alone.left[:on], alone.extra[:on], alone.guess, alone.reset[:on])
    passed = one_step(alone.left, alone.extra, noise, reset=alone.reset)
    return evidence_of(passed, alone, noise, 0, 0, fitted_before=on)


def over_going_on(evidence: Evidence, on: int, lost: FloatArray) -> FloatArray:
    """Log likelihood ratio of a shift of the sum on step `on` by each share lost, over its going on as before."""
    span = evidence.steps - on
    still = logsumexp(evidence.while_on(on, WOBBLE, span)[-1], b=WOBBLE_WEIGHT)
    return np.asarray(evidence.while_on(on, lost, span)[-1] - still)
