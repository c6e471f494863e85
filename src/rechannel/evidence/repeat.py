"""How long customers come back: discrete curves by first channel, and the BG/NBD model of repeat orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

from rechannel.tables.journeyrules import MOST_AGES
from rechannel.tables.journeys import JourneyTables
from rechannel.vocabulary.estimate import FloatArray

FURTHEST = 7.0
"""Parameters of a BG/NBD model, in units of the mean age, are looked for within exp(+-7)."""


@dataclass(frozen=True, slots=True)
class RepeatCurves:
    """What customers do by age, by the channel of their first session.

    Draw 0 is the data, the rest are bootstrap replicates; nan where nobody was observed through a whole age.

    Attributes
    ----------
    channels
        Names, in the order of every array.
    age_days
        Width of an age; age 0 begins with the first session.
    at_risk
        Shape [draw, channel, age]: customers observed through the whole age.
    active
        Shape [draw, channel, age]: share of them with a session in it (1 at age 0).
    orders
        Shape [draw, channel, age]: orders per customer at risk.
    value
        Shape [channel, age]: order value per customer at risk, case currency; of the data.
    """

    channels: tuple[str, ...]
    age_days: int
    at_risk: FloatArray
    active: FloatArray
    orders: FloatArray
    value: FloatArray


def repeat_curves(tables: JourneyTables) -> RepeatCurves:
    """Discrete repeat curves, with draws when the replicates weigh `retention`.

    Each age is judged by the customers who were observed through all of it: young customers do not pull the curve down,
    and the curve is not smoothed or carried on. Customers who came before `Log.known_from` are left out.

    Parameters
    ----------
    tables
        Folded journeys.
    """
    drawn = tables.replicates
    sums = tables.retention[None, :3].astype(np.float64)
    if drawn.asked.weighs("retention"):
        sums = np.concatenate([sums, drawn.table("retention")])
    seen, active, orders = (sums[:, part] for part in range(3))
    beyond = np.cumsum(seen[:, :, ::-1], axis=2)[:, :, ::-1] - seen
    at_risk = beyond[:, :, :MOST_AGES]
    none = np.full(at_risk.shape, np.nan)
    scale = 10**tables.rules.decimals
    value = tables.retention[3, :, :MOST_AGES] / scale
    return RepeatCurves(
        channels=tables.log.channels,
        age_days=tables.rules.age_days,
        at_risk=at_risk,
        active=np.divide(active[:, :, :MOST_AGES], at_risk, out=none.copy(), where=at_risk > 0),
        orders=np.divide(orders[:, :, :MOST_AGES], at_risk, out=none.copy(), where=at_risk > 0),
        value=np.divide(value, at_risk[0], out=none[0].copy(), where=at_risk[0] > 0),
    )


@dataclass(frozen=True, slots=True)
class BgNbd:
    """A fitted BG/NBD model: customers order at a gamma-distributed rate until they drop out after an order.

    Attributes
    ----------
    r, alpha
        Shape and rate (in the time unit of the data) of the ordering rate.
    a, b
        Beta distribution of the chance to drop out after an order.
    log_likelihood
        At these values.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float


def fit_bg_nbd(
    frequency: FloatArray, recency: FloatArray, age: FloatArray, customers: FloatArray | None = None
) -> BgNbd:
    """Maximum likelihood fit of the BG/NBD model.

    Parameters
    ----------
    frequency
        Repeat orders of each row, shape [row].
    recency, age
        Time from the first order to the last one, and to the end of observation; one unit, recency <= age.
    customers
        How many customers a row stands for; one each when left out.

    Raises
    ------
    ValueError
        No repeat order at all, or recency beyond age: the model has no maximum.

    Notes
    -----
    Fader, Hardie and Lee (2005), equation 6, http://brucehardie.com/papers/018/. Assumes one unbroken life: customers
    who pause for good and come back are taken for slow ones.
    """
    x, t, T = (np.asarray(column, np.float64) for column in (frequency, recency, age))
    weight = np.ones_like(x) if customers is None else np.asarray(customers, np.float64)
    if not np.any(x[weight > 0] > 0) or np.any(t > T) or np.any(x < 0):
        raise ValueError("a BG/NBD model needs a repeat order, and recency within age")
    # The fit runs in units of the mean age, so that starting values fit weeks and days alike.
    unit = float(np.average(T, weights=weight))
    span, last = T / unit, t / unit

    likelihood = _Likelihood.of(x, last, span)

    def loss(logs: FloatArray) -> float:
        return -float(weight @ likelihood.rows(np.exp(logs))) / float(weight.sum())

    box = [(-FURTHEST, FURTHEST)] * 4
    starts = (np.log([0.5, 0.3, 0.8, 2.5]), np.zeros(4))
    rough = min(
        (minimize(loss, start, method="L-BFGS-B", bounds=box) for start in starts), key=lambda one: float(one.fun)
    )
    # Without drop-outs the optimum is a ridge along a bound: the polish ends there by count.
    best = minimize(
        loss,
        np.asarray(rough.x, np.float64),
        method="Nelder-Mead",
        bounds=box,
        options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 400},
    )
    r, alpha, a, b = (float(value) for value in np.exp(best.x))
    total = float(weight @ _Likelihood.of(x, t, T).rows(np.array([r, alpha * unit, a, b])))
    return BgNbd(r, alpha * unit, a, b, total)


@dataclass(frozen=True, slots=True)
class _Likelihood:
    """Log-likelihood of rows (equation 6, in the form that does not underflow); each distinct figure is worked once."""

    x: FloatArray
    t: FloatArray
    T: FloatArray
    at: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, x: FloatArray, t: FloatArray, T: FloatArray) -> _Likelihood:
        (x, at_x), (t, at_t), (T, at_end) = (np.unique(column, return_inverse=True) for column in (x, t, T))
        return cls(x, t, T, (at_x.reshape(-1), at_t.reshape(-1), at_end.reshape(-1)))

    def rows(self, parameters: FloatArray) -> FloatArray:
        """Shape [row]."""
        r, alpha, a, b = parameters
        x, (at_x, at_t, at_end) = self.x, self.at
        common = (gammaln(r + x) - gammaln(r) + r * np.log(alpha))[at_x]
        power = (r + x)[at_x]
        alive = (betaln(a, b + x) - betaln(a, b))[at_x] - power * np.log(alpha + self.T)[at_end]
        gone = (betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b))[at_x]
        gone -= power * np.log(alpha + self.t)[at_t]
        return np.asarray(common + np.where(x[at_x] > 0, np.logaddexp(alive, gone), alive), np.float64)


def expected_orders(
    model: BgNbd, horizon: float, frequency: FloatArray, recency: FloatArray, age: FloatArray
) -> FloatArray:
    """Repeat orders that customers with such histories are expected to make in the next `horizon`; shape [row].

    Notes
    -----
    Fader, Hardie and Lee (2005), equation 10. `horizon` is in the unit of the fit.
    """
    x, t, T = (np.asarray(column, np.float64) for column in (frequency, recency, age))
    r, alpha, a, b = model.r, model.alpha, _off_one(model.a), model.b
    z = horizon / (alpha + T + horizon)
    grown = ((alpha + T) / (alpha + T + horizon)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, z)
    gone = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + T) / (alpha + t)) ** (r + x), 0.0)
    return np.asarray((a + b + x - 1) / (a - 1) * (1 - grown) / (1 + gone), np.float64)


def orders_of_new_customers(model: BgNbd, horizon: FloatArray) -> FloatArray:
    """Repeat orders of a customer within `horizon` of the first one; shape of `horizon`.

    Notes
    -----
    Fader, Hardie and Lee (2005), equation 9.
    """
    t = np.asarray(horizon, np.float64)
    r, alpha, a, b = model.r, model.alpha, _off_one(model.a), model.b
    part = (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t))
    return np.asarray((a + b - 1) / (a - 1) * (1 - part), np.float64)


def _off_one(a: float) -> float:
    """`a` where both expectations are defined: at 1 they are 0 / 0, and smooth around it."""
    return a if abs(a - 1) > 1e-6 else 1 + 1e-6
