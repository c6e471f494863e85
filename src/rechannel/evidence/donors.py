"""Markets explained by other markets: level, AR(1), calendar and every donor's weight integrated out on one grid.

A market (or the sum of several) relative to the donors' common path is a structural series whose regression columns are
that path and every donor, under priors that shrink towards "moves as the donors do on average". Everything that the
regressions of one panel share - the Gram of all markets at each grid point - is computed once, so that measuring the
treated market, every donor in its place and hundreds of candidate sets cost a few small matrices each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.design import Design
from rechannel.evidence.joint import ChannelSeries, WindowSums, innovation_guess, window_sums
from rechannel.evidence.series import Collapsed, Grid, SeriesFit, collapse
from rechannel.vocabulary.channel import Metric
from rechannel.vocabulary.estimate import FloatArray

PHI = (0.0, 0.3, 0.55, 0.75, 0.88, 0.96)
"""Grid of the AR coefficient: coarser than a single series', since the markets of a panel choose together."""
Q = (1e-6, 1e-3, 1e-2, 6e-2, 0.4)
Q_WEIGHT = (2.5, 1.5, 1.5, 1.5, 1.0)
"""Level innovation variance over AR innovation variance a day, and its prior; the first point is a level that stays."""
REACH = (0.1, 0.4, 1.6)
"""Prior sd of the donors' weights beside the common path, all together: equal weights, in between, one look-alike."""
COMMON_SD = 0.5
"""Prior sd of how much stronger or weaker than the common path a market reacts."""
CALENDAR_SHARE = 0.3
"""Prior sd of a market's own calendar effects, as a share of the effects that all markets have."""
NOISE_FLOOR = 0.2
"""A donor counts in the common path by 1 / (its noise variance + this share of the median one)."""
POOLED_AS = 2.0
"""The grid's prior counts as this many markets when the markets of a panel choose their noise together."""
ROUNDS = 30
NEGLIGIBLE = 1e-4


@cache
def market_grid() -> Grid:
    """Points (phi, q) with their prior; phi uniform over its cells."""
    phi, q = np.array(PHI), np.array(Q)
    edges = np.concatenate([[0.0], (phi[1:] + phi[:-1]) / 2, [1.0]])
    weight = np.outer(np.diff(edges), np.array(Q_WEIGHT) / sum(Q_WEIGHT)).ravel()
    return Grid(np.repeat(phi, q.size), np.tile(q, phi.size), np.log(weight))


def prior_of_noise() -> FloatArray:
    """Log prior of (reach, grid point), shape [reach, point]."""
    return np.asarray(market_grid().log_prior - np.log(len(REACH)) + np.zeros((len(REACH), 1)))


@dataclass(frozen=True, slots=True)
class MarketPanel:
    """Markets of one metric on one scale, collapsed over the training days.

    Attributes
    ----------
    relative
        Calendar columns, donors, targets side by side over all days, shape [day, column]: logs minus their mean over
        training, or values over it. Donors are complete; a target's missing days are nan.
    calendar, donors
        How many of the columns are calendar, and how many are donors.
    mean
        Mean over training that was taken out of each target (log) or that it was divided by, shape [target].
    is_log
        Which of the two.
    training
        Days the Gram is over, shape [day].
    collapsed
        The Gram of all columns at each grid point.
    precision
        What each donor counts in the common path, shape [donor]; any scale.
    calendar_sd
        Prior sd of the calendar columns, shape [calendar].
    """

    relative: FloatArray
    calendar: int
    donors: int
    mean: FloatArray
    is_log: bool
    training: NDArray[np.bool_]
    collapsed: Collapsed
    precision: FloatArray
    calendar_sd: FloatArray


def collapse_markets(
    targets: FloatArray, donors: FloatArray, design: Design, training: NDArray[np.bool_], *, is_log: bool
) -> MarketPanel:
    """Collapse targets and donors together.

    Parameters
    ----------
    targets
        Raw values, shape [day, target]; measured on every training day.
    donors
        Raw values, shape [day, donor], complete.
    design
        Calendar columns over the same days.
    training
        Days to learn from, shape [day].
    is_log
        On logs (then every value must be above 0) or on levels.
    """
    days = np.flatnonzero(training).astype(np.int64)
    raw = np.concatenate([donors, targets], axis=1)
    if is_log:
        with np.errstate(invalid="ignore", divide="ignore"):
            raw = np.log(raw)
        mean = raw[days].mean(axis=0)
        scaled = raw - mean
    else:
        mean = raw[days].mean(axis=0)
        scaled = raw / mean
    relative = np.concatenate([design.columns, scaled], axis=1)
    collapsed = collapse(relative[days, -1], relative[days, :-1], days, market_grid())
    n = donors.shape[1]
    own = scaled[days, :n]
    noise = np.array([innovation_guess(column) ** 2 for column in (own - own.mean(axis=1, keepdims=True)).T])
    return MarketPanel(
        relative=relative,
        calendar=design.columns.shape[1],
        donors=n,
        mean=mean[n:],
        is_log=is_log,
        training=training,
        collapsed=collapsed,
        precision=1.0 / (noise + NOISE_FLOOR * float(np.median(noise))),
        calendar_sd=CALENDAR_SHARE * design.prior_sd,
    )


@dataclass(frozen=True, slots=True)
class Regression:
    """One target on some donors, at every reach and grid point.

    Attributes
    ----------
    target
        Position among the panel's targets.
    columns
        The panel's columns it uses: calendar, its donors, the target.
    turn
        From those to (calendar, common path, donors, target minus common path), shape [column, own].
    collapsed
        Gram of those columns.
    evidence
        Log marginal likelihood without the prior of noise, shape [reach, point].
    root
        Cholesky factor of the Gram of columns and target with the prior's precision, shape [reach, point, own, own].
    prior_sd
        Prior sd of each column at each reach, shape [reach, own - 1].
    """

    target: int
    columns: NDArray[np.intp]
    turn: FloatArray
    collapsed: Collapsed
    evidence: FloatArray
    root: FloatArray
    prior_sd: FloatArray


def regress(panel: MarketPanel, target: int, donors: Sequence[int]) -> Regression:
    """Regress one target on some of the donors.

    Notes
    -----
    ``y - c = X b + c a + Z d + level + AR(1)`` with c = Z w the donors' common path (w fixed by their noise),
    a ~ N(0, .5^2) and d_j ~ N(0, reach^2 w_j): weights are uncertain and neither bounded nor forced to sum to one.
    """
    chosen = np.asarray(donors, dtype=np.intp)
    weight = panel.precision[chosen] / panel.precision[chosen].sum()
    k, n = panel.calendar, chosen.size
    columns = np.concatenate([np.arange(k), k + chosen, [k + panel.donors + target]])
    turn = np.zeros((k + n + 1, k + n + 2))
    turn[np.arange(k), np.arange(k)] = 1.0
    turn[k : k + n, k] = weight
    turn[k + np.arange(n), k + 1 + np.arange(n)] = 1.0
    turn[k + n, -1] = 1.0
    turn[k : k + n, -1] = -weight
    whole = panel.collapsed
    last = np.append(whole.last_x, whole.last_y)[columns] @ turn
    own = Collapsed(
        grid=whole.grid,
        gram=turn.T @ whole.gram[:, columns[:, None], columns] @ turn,
        log_det=whole.log_det,
        level_row=whole.level_row[:, columns] @ turn,
        level_variance=whole.level_variance,
        last_x=last[:-1],
        last_y=float(last[-1]),
        last_day=whole.last_day,
        count=whole.count,
    )
    guess = innovation_guess(panel.relative[np.ix_(panel.training, columns)] @ turn[:, -1])
    spread = np.concatenate([panel.calendar_sd, [COMMON_SD]])
    prior_sd = np.array([np.concatenate([spread, reach * np.sqrt(weight)]) for reach in REACH])
    precision = (guess / prior_sd) ** 2
    added = np.concatenate([precision, np.full((len(REACH), 1), guess**2)], axis=1)  # the guess weighs as one day
    symmetric = (own.gram + own.gram.transpose(0, 2, 1))[None] / 2
    root: FloatArray = np.linalg.cholesky(symmetric + added[:, None, :, None] * np.eye(k + n + 2)).astype(float)
    logs = np.log(np.einsum("rpii->rpi", root))
    evidence = (
        -0.5 * own.log_det[None, :]
        - logs[..., :-1].sum(axis=2)
        + 0.5 * np.log(precision).sum(axis=1)[:, None]
        - own.count * logs[..., -1]
    )
    return Regression(target, columns, turn, own, evidence, root, prior_sd)


def pooled_noise(regressions: Sequence[Regression]) -> FloatArray:
    """Log prior of (reach, grid point) that the markets of a panel choose together, shape [reach, point].

    The mixing distribution that maximises their joint likelihood, with the grid's prior worth `POOLED_AS` markets:
    where all markets have slow noise, one of them whose short history looks fast is not believed.
    Source: Laird (1978), Nonparametric maximum likelihood estimation of a mixing distribution, JASA 73(364).
    """
    start = np.exp(prior_of_noise())
    likelihoods = [np.exp(one.evidence - one.evidence.max()) for one in regressions]
    mixing = start
    for _ in range(ROUNDS):
        shares = sum((mixing * one / (mixing * one).sum() for one in likelihoods), start=np.zeros_like(start))
        mixing = (shares + POOLED_AS * start) / (len(likelihoods) + POOLED_AS)
    return np.asarray(np.log(mixing))


def mixture(regression: Regression, log_prior: FloatArray) -> SeriesFit:
    """The regression's posterior over reach and grid points as one fit."""
    own = regression.collapsed
    posterior = regression.evidence + log_prior
    top = float(posterior.max())
    weight = np.exp(posterior - top)
    log_evidence = top + float(np.log(weight.sum()))
    reach, point = np.nonzero(weight > NEGLIGIBLE)
    kept = weight[reach, point] / weight[reach, point].sum()
    k = regression.prior_sd.shape[1]
    root = regression.root[reach, point]
    factor: FloatArray = np.asarray(np.linalg.inv(root[:, :k, :k]).transpose(0, 2, 1), dtype=float)
    return SeriesFit(
        grid=own.grid.only(point),
        weight=kept,
        coefficients=(factor @ root[:, k, :k, None])[..., 0],
        factor=factor,
        rate=root[:, k, k] ** 2 / own.count,
        df=float(own.count),
        level_at=own.level_row[point, k],
        level_on=own.level_row[point, :k],
        level_variance=own.level_variance[point],
        last_x=own.last_x,
        last_y=own.last_y,
        last_day=own.last_day,
        log_evidence=log_evidence,
    )


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """A fitted target, ready to be predicted.

    Attributes
    ----------
    series
        The target over the donors' common path (log) or minus it (level), with its columns and posterior.
    scale
        What one unit of it is worth in raw values on each day, shape [day].
    shift
        What is added to the sum of a day, shape [day]; 0 on logs.
    """

    series: ChannelSeries
    scale: FloatArray
    shift: FloatArray

    def sums(self, days: NDArray[np.int64], windows: FloatArray) -> WindowSums:
        """Predictive distribution of raw sums over windows of coming days; arguments as in `joint.window_sums`."""
        found = window_sums(self.series, days, windows * self.scale[days])
        if self.series.is_log:
            return found
        return WindowSums(found.centre + windows @ self.shift[days], found.forecast, False)


def market_series(
    panel: MarketPanel,
    regression: Regression,
    log_prior: FloatArray,
    metric: Metric,
    channel: str | None,
    usable: NDArray[np.bool_],
) -> MarketSeries:
    """A regression under a prior of noise as a series that the joint machinery predicts and correlates."""
    own = panel.relative[:, regression.columns]
    columns = np.ascontiguousarray(own[:, :-1] @ regression.turn[:-1, :-1])  # complete where the target is not
    common, mean = columns[:, panel.calendar], float(panel.mean[regression.target])
    y = own[:, -1] - common
    design = Design(
        columns=columns,
        prior_sd=regression.prior_sd[1],
        instance=np.zeros(columns.shape[1], dtype=bool),
        usable=usable,
        families={},
    )
    values = np.exp(y) if panel.is_log else y
    series = ChannelSeries(
        metric, channel, values, design, panel.training, panel.is_log, mixture(regression, log_prior)
    )
    scale = np.exp(common + mean) if panel.is_log else np.full(y.size, mean)
    return MarketSeries(series, scale, np.zeros(y.size) if panel.is_log else common * mean)
