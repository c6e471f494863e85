"""Markets explained by other markets: level, AR(1), calendar and every donor's weight integrated out on one grid.

A market (or the sum of several) relative to the donors' common path is a structural series whose regression columns are
that path and every donor, under priors that shrink towards "moves as the donors do on average". The days asked about
are hidden: their open values are what the days before, and after when the event is over, say about them. Everything
that the regressions of one panel share - the Gram of all markets at each grid point, the hidden days eliminated - is
computed once: the treated markets, donors in their place and hundreds of candidate sets cost a few small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rechannel.evidence.channel import innovation_guess
from rechannel.evidence.design import Design
from rechannel.evidence.forecast import Forecast, matched_t
from rechannel.evidence.grid import Grid
from rechannel.evidence.joint import WindowSums
from rechannel.evidence.series import collapse, innovations
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
POOLED_AS = 5.0
"""The grid's prior counts as this many markets when the markets of a panel choose their noise together."""
ROUNDS = 30
MOST_SHOCK = 6.0
NEGLIGIBLE = 1e-3
"""Points of (reach, grid) with less than this share of the best one's posterior are dropped."""


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
    """Markets of one metric on one scale, collapsed over the training days with the hidden days eliminated.

    Attributes
    ----------
    relative
        Calendar columns, donors, targets side by side over all days, shape [day, column]: logs minus their mean over
        training, or values over it. A target's missing days are nan.
    calendar, donors
        How many of the columns are calendar, and how many are donors.
    mean
        Mean over training that was taken out of each target (log) or that it was divided by, shape [target].
    is_log
        Which of the two.
    training, hidden
        Days the Gram is over, shape [day]; day numbers that are asked about, shape [hidden].
    gram, log_det
        ``columns' V^-1 columns`` at each grid point, shape [point, column, column], and the log determinant of V.
    bridge
        What the hidden days' values are on the columns, with the sign turned, shape [point, hidden, column].
    bridge_covariance
        Covariance of the hidden days given the coefficients, in innovation variances, shape [point, hidden, hidden].
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
    hidden: NDArray[np.int64]
    gram: FloatArray
    log_det: FloatArray
    bridge: FloatArray
    bridge_covariance: FloatArray
    precision: FloatArray
    calendar_sd: FloatArray

    def only(self, points: NDArray[np.intp]) -> MarketPanel:
        """The same at some grid points."""
        return replace(
            self,
            gram=self.gram[points],
            log_det=self.log_det[points],
            bridge=self.bridge[points],
            bridge_covariance=self.bridge_covariance[points],
        )


def collapse_markets(
    targets: FloatArray,
    donors: FloatArray,
    design: Design,
    training: NDArray[np.bool_],
    hidden: NDArray[np.int64],
    *,
    is_log: bool,
) -> MarketPanel:
    """Collapse targets and donors together.

    Parameters
    ----------
    targets
        Raw values, shape [day, target]; measured on every training day. Nothing on hidden days is used.
    donors
        Raw values, shape [day, donor], complete.
    design
        Calendar columns over the same days.
    training
        Days to learn from, shape [day]; before the hidden days, and after them if there are any.
    hidden
        Consecutive day numbers that are predicted.
    is_log
        On logs (then every value must be above 0) or on levels.

    Notes
    -----
    Each hidden day has a coefficient of its own with a flat prior and a placeholder of 0 as its value; eliminating
    these from the Gram leaves the regressions of the training days, and `bridge` says what the eliminated ones are.
    """
    days = np.flatnonzero(training).astype(np.int64)
    raw = np.concatenate([donors, targets], axis=1)
    if is_log:
        with np.errstate(invalid="ignore", divide="ignore"):
            raw = np.log(raw)
    mean = raw[days].mean(axis=0)
    scaled = raw - mean if is_log else raw / mean
    relative = np.concatenate([design.columns, scaled], axis=1)
    n, k, h = donors.shape[1], design.columns.shape[1], hidden.size
    order = np.sort(np.concatenate([days, hidden]))
    own_day = (order[:, None] == hidden[None, :]).astype(float)
    used = relative[order].copy()
    used[own_day.any(axis=1), k + n :] = 0.0
    joined = np.concatenate([own_day, used], axis=1)
    collapsed = collapse(joined[:, -1], joined[:, :-1], order, market_grid())
    gram = (collapsed.gram + collapsed.gram.transpose(0, 2, 1)) / 2
    inside: FloatArray = np.linalg.inv(gram[:, :h, :h]).astype(float)
    bridge = inside @ gram[:, :h, h:]
    own = scaled[days, :n]
    noise = np.array([innovation_guess(column) ** 2 for column in (own - own.mean(axis=1, keepdims=True)).T])
    return MarketPanel(
        relative=relative,
        calendar=k,
        donors=n,
        mean=mean[n:],
        is_log=is_log,
        training=training,
        hidden=hidden,
        gram=gram[:, h:, h:] - gram[:, h:, :h] @ bridge,
        log_det=collapsed.log_det - np.linalg.slogdet(inside)[1],
        bridge=bridge,
        bridge_covariance=inside,
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
    evidence
        Log marginal likelihood without the prior of noise, shape [reach, point].
    root
        Cholesky factor of the Gram of columns and target with the prior's precision, shape [reach, point, own, own].
    prior_sd
        Prior sd of each column at each reach, shape [reach, own - 1].
    count
        Training days.
    """

    target: int
    columns: NDArray[np.intp]
    turn: FloatArray
    evidence: FloatArray
    root: FloatArray
    prior_sd: FloatArray
    count: int


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
    count = int(panel.training.sum())
    guess = innovation_guess(panel.relative[np.ix_(panel.training, columns)] @ turn[:, -1])
    spread = np.concatenate([panel.calendar_sd, [COMMON_SD]])
    prior_sd = np.array([np.concatenate([spread, reach * np.sqrt(weight)]) for reach in REACH])
    precision = (guess / prior_sd) ** 2
    added = np.concatenate([precision, np.full((len(REACH), 1), guess**2)], axis=1)  # the guess weighs as one day
    gram = turn.T @ panel.gram[:, columns[:, None], columns] @ turn
    root: FloatArray = np.linalg.cholesky(gram[None] + added[:, None, :, None] * np.eye(k + n + 2)).astype(float)
    logs = np.log(np.einsum("rpii->rpi", root))
    evidence = (
        -0.5 * panel.log_det[None, :]
        - logs[..., :-1].sum(axis=2)
        + 0.5 * np.log(precision).sum(axis=1)[:, None]
        - count * logs[..., -1]
    )
    return Regression(target, columns, turn, evidence, root, prior_sd, count)


def pooled_noise(regressions: Sequence[Regression]) -> FloatArray:
    """Log prior of (reach, grid point) that the markets of a panel choose together, shape [reach, point].

    The mixing distribution that maximises their joint likelihood, with the grid's prior worth `POOLED_AS` markets:
    where all markets have slow noise, one of them whose short history looks fast is not believed.
    Source: Laird (1978), Nonparametric maximum likelihood estimation of a mixing distribution, JASA 73(364).
    """
    start = np.exp(prior_of_noise())
    likelihoods = np.array([np.exp(one.evidence - one.evidence.max()) for one in regressions])
    mixing = start
    for _ in range(ROUNDS):
        each = mixing * likelihoods
        shares = (each / each.sum(axis=(1, 2), keepdims=True)).sum(axis=0)
        mixing = (shares + POOLED_AS * start) / (len(regressions) + POOLED_AS)
    return np.asarray(np.log(mixing))


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """A target's hidden days, ready to be summed.

    Attributes
    ----------
    weight, rate, df
        Posterior of the points kept, shape [point], their innovation variance and degrees of freedom.
    path
        Open values of the hidden days on the fit scale at each point, shape [point, hidden].
    loading, covariance
        Their covariance is ``rate (covariance + loading loading')``, shapes [point, hidden, column] and
        [point, hidden, hidden].
    mean, is_log
        How they turn into raw values: exp(path + mean), or path x mean.
    """

    weight: FloatArray
    rate: FloatArray
    df: float
    path: FloatArray
    loading: FloatArray
    covariance: FloatArray
    mean: float
    is_log: bool

    def open_days(self) -> FloatArray:
        """Middle of each hidden day in raw values, shape [hidden]."""
        middle = self.weight @ self.path
        return np.asarray(np.exp(middle + self.mean) if self.is_log else middle * self.mean)

    def sums(self, windows: FloatArray) -> WindowSums:
        """Predictive distribution of raw sums over the hidden days.

        Parameters
        ----------
        windows
            Weights of each day, shape [window, hidden]; 0 on days that are not measured.
        """
        if not self.is_log:
            found = self._functional(self.mean * windows)
            centre = found.location
            return WindowSums(centre, Forecast(np.zeros_like(centre), found.scale, found.df), False)
        level = self.open_days()
        total = windows @ level
        share = windows * level / np.maximum(total, 1e-300)[:, None]
        found = self._functional(share)
        daily = self.rate[:, None] * ((self.loading**2).sum(axis=2) + np.einsum("phh->ph", self.covariance))
        offset = self.path - self.weight @ self.path
        variance = self.weight @ (daily * self.df / (self.df - 2) + offset**2)
        curvature = 0.5 * (share @ variance - found.scale**2 * found.df / (found.df - 2))
        shift = found.location - share @ (self.weight @ self.path) + curvature
        return WindowSums(total, Forecast(shift, found.scale, found.df), True)

    def correlation(self, windows: FloatArray) -> FloatArray:
        """Correlation of the windows' errors, shape [window, window]; rows of `windows` without a day stand alone."""
        weights = windows * self.open_days() if self.is_log else windows
        offset = (self.path - self.weight @ self.path) @ weights.T
        loaded = weights @ self.loading
        each = loaded @ loaded.transpose(0, 2, 1) + weights @ self.covariance @ weights.T
        whole = np.einsum("p,pvw->vw", self.weight * self.rate * self.df / (self.df - 2), each)
        whole += np.einsum("p,pv,pw->vw", self.weight, offset, offset)
        spread = np.sqrt(np.diag(whole))
        bare = spread <= 0
        spread = np.where(bare, 1.0, spread)
        return np.asarray(whole / np.outer(spread, spread) + np.diag(bare.astype(float)))

    def _functional(self, windows: FloatArray) -> Forecast:
        """Weighted sums of the hidden days on the fit scale."""
        squared = ((windows @ self.loading) ** 2).sum(axis=2) + ((windows @ self.covariance) * windows).sum(axis=2)
        return matched_t(self.weight, self.path @ windows.T, self.rate[:, None] * squared, self.df)


def market_series(panel: MarketPanel, regression: Regression, log_prior: FloatArray) -> MarketSeries:
    """A regression's posterior under a prior of noise, and the hidden days as it predicts them."""
    posterior = regression.evidence + log_prior
    weight = np.exp(posterior - posterior.max())
    reach, point = np.nonzero(weight > NEGLIGIBLE)
    kept = weight[reach, point] / weight[reach, point].sum()
    k = regression.prior_sd.shape[1]
    root = regression.root[reach, point]
    factor: FloatArray = np.asarray(np.linalg.inv(root[:, :k, :k]).transpose(0, 2, 1), dtype=float)
    coefficients = (factor @ root[:, k, :k, None])[..., 0]
    rate, df = root[:, k, k] ** 2 / regression.count, float(regression.count)
    bridge = (panel.bridge[:, :, regression.columns] @ regression.turn)[point]
    return MarketSeries(
        weight=kept,
        rate=rate,
        df=df,
        path=(bridge[:, :, :-1] @ coefficients[:, :, None])[..., 0] - bridge[:, :, -1],
        loading=bridge[:, :, :-1] @ factor,
        covariance=panel.bridge_covariance[point],
        mean=float(panel.mean[regression.target]),
        is_log=panel.is_log,
    )


def shocks_of(panel: MarketPanel, regression: Regression, log_prior: FloatArray) -> FloatArray:
    """Standardised innovations of a target at its most probable point, shape [day]; nan off the training days.

    They carry the co-movement of series that share days.
    """
    posterior = regression.evidence + log_prior
    reach, point = np.unravel_index(int(np.argmax(posterior)), posterior.shape)
    k, root = regression.prior_sd.shape[1], regression.root[reach, point]
    coefficients = np.linalg.solve(root[:k, :k].T, root[k, :k])
    own = panel.relative[np.ix_(panel.training, regression.columns)] @ regression.turn
    shocks = np.full(panel.relative.shape[0], np.nan)
    shocks[panel.training] = innovations(
        own[:, -1] - own[:, :-1] @ coefficients,
        np.flatnonzero(panel.training).astype(np.int64),
        float(market_grid().phi[point]),
        float(market_grid().q[point]),
        float(root[k, k] ** 2 / regression.count),
    )
    return np.asarray(np.clip(shocks, -MOST_SHOCK, MOST_SHOCK))
