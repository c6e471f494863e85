"""Joint channels, calibration by placebo dates, and the awkward panels: zeros, gaps, equal values, short history."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from rechannel.evidence import placebo
from rechannel.evidence.baseline import fit_baseline
from rechannel.evidence.channel import ChannelSeries, fit_channel
from rechannel.evidence.design import build_design
from rechannel.evidence.impact import OpenPath, Window, open_path
from rechannel.evidence.joint import (
    _gap_errors,
    error_correlation,
    expected_path,
    gap_correlation,
    joint_scores,
    joint_sums,
    states,
    window_sums,
)
from rechannel.tables.calendar import Event
from rechannel.tables.panel import Panel
from rechannel.vocabulary.estimate import FloatArray

FIRST = date(2023, 1, 2)
CHANNELS = ("search", "app", "mini", "live")


def panel_of(visits: FloatArray, names: tuple[str, ...] = CHANNELS) -> Panel:
    dates = np.datetime64(FIRST, "D") + np.arange(visits.shape[0])
    return Panel(dates, ("all",), names[: visits.shape[1]], {"visits": visits[:, None, :]}, {})


def made_visits(n: int, seed: int, *, common: float = 0.05, channels: int = 4, size: float = 2000.0) -> FloatArray:
    """Channels of falling size with a weekly pattern and a shared demand of AR .6."""
    rng = np.random.default_rng(seed)
    demand = np.zeros(n)
    for day in range(1, n):
        demand[day] = 0.6 * demand[day - 1] + common * rng.standard_normal()
    weekly = rng.normal(0, 0.1, 7)[np.arange(n) % 7]
    own = rng.normal(0, 0.05, (n, channels))
    rate = size / (1 + np.arange(channels)) * np.exp(demand[:, None] + weekly[:, None] + own)
    return rng.poisson(rate).astype(float)


def fit_all(panel: Panel, before: int) -> list[ChannelSeries]:
    visits = panel.over_markets("visits")
    return [
        fit_channel("visits", name, visits[:, index], build_design(panel.dates, (), name), before)
        for index, name in enumerate(panel.channels)
    ]


def ask(
    panel: Panel,
    day: int,
    horizons: tuple[int, ...] = (14, 30),
    *,
    channel: str = "mini",
    events: tuple[Event, ...] = (),
) -> OpenPath:
    on = FIRST + timedelta(days=day)
    baseline = fit_baseline(panel, events, day, subject=(channel, on))
    calibration = placebo.calibrate(baseline.series, day, 0, (7, 30), baseline.correlation)
    return open_path(panel, baseline, calibration, Window(channel, None, on, None, horizons), draws=4096, seed=3)


@pytest.mark.parametrize(("common", "low", "high"), [(0.0, -0.1, 0.15), (0.05, 0.6, 0.95), (0.2, 0.9, 1.0)])
def test_gaps_share_the_demand(common: float, low: float, high: float) -> None:
    panel = panel_of(made_visits(500, 2, common=common))
    correlation = gap_correlation(fit_all(panel, 500), 14, slice(0, 7))
    off = correlation[~np.eye(4, dtype=bool)]
    assert correlation == pytest.approx(correlation.T)
    assert np.diag(correlation) == pytest.approx(1.0)
    assert np.linalg.eigvalsh(correlation).min() > -1e-9
    assert low <= off.mean() <= high
    assert gap_correlation(fit_all(panel, 500)[:1], 14, slice(0, 7)) == pytest.approx(np.ones((1, 1)))


def test_longer_gaps_hang_together_more() -> None:
    """Own noise is white and the shared demand is not: sums over more days are shared to a larger part."""
    fits = fit_all(panel_of(made_visits(700, 5, common=0.02)), 700)
    one, ten = (gap_correlation(fits, days, slice(None))[0, 1:].mean() for days in (1, 10))
    assert ten > one + 0.1


def test_a_gap_in_white_noise_is_filled_with_the_mean_around_it() -> None:
    """Kriging with an unknown mean: without level moves and AR every day around weighs the same."""
    values = np.exp(np.random.default_rng(3).normal(5, 0.1, 200))
    one = fit_all(panel_of(values[:, None]), 200)[0]
    at = int(np.argmin(one.fit.grid.q + np.abs(one.fit.grid.phi)))
    weight = np.zeros(one.fit.weight.size)
    weight[at] = 1.0
    one = replace(one, fit=replace(one.fit, weight=weight))
    y = np.log(values) - one.design.columns[:200] @ one.fit.coefficients[at]
    found = _gap_errors(one, 5, slice(0, 2))
    around = np.concatenate([y[72:100], y[105:133]])
    assert found[100] == pytest.approx(y[100:102].sum() - 2 * around.mean(), abs=0.02)


def test_joint_scores_have_the_correlation_asked_and_repeat() -> None:
    correlation = np.array([[1.0, 0.7, 0.2], [0.7, 1.0, -0.3], [0.2, -0.3, 1.0]])
    scores = joint_scores(correlation, 5)
    assert np.corrcoef(scores.T) == pytest.approx(correlation, abs=0.05)
    assert scores.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert scores.std(axis=0) == pytest.approx(1.0)
    assert (scores == joint_scores(correlation, 5)).all()
    assert not (scores == joint_scores(correlation, 6)).all()
    rounding = 1e-13 * np.random.default_rng(0).standard_normal((6, 6))
    nearly = joint_scores(np.eye(6) + rounding + rounding.T, 5)
    assert nearly == pytest.approx(joint_scores(np.eye(6), 5), abs=1e-9)


@pytest.mark.parametrize("truth", [0.6, 0.8, 1.0, 1.3, 1.8])
def test_scale_recovers_lambda(truth: float) -> None:
    """Forecasts too wide or too narrow by a known factor; 400 independent scores outweigh the prior."""
    rng = np.random.default_rng(int(100 * truth))
    z = truth * rng.standard_normal(400)
    horizon = np.tile([7.0, 14.0, 30.0, 90.0], 100)
    level, slope = placebo._scale(z, horizon, np.ones(400))
    assert np.exp(level) == pytest.approx(truth, rel=0.1)
    assert abs(slope) < 0.08


def test_scale_of_few_scores_stays_near_one_and_no_scores_is_one() -> None:
    assert placebo._scale(np.empty(0), np.empty(0), np.empty(0)) == (0.0, 0.0)
    level, _ = placebo._scale(np.array([3.0, -3.0]), np.array([30.0, 30.0]), np.ones(2))
    assert 1.0 < np.exp(level) < 1.5


def test_right_forecasts_get_a_lambda_near_one() -> None:
    """Normal scores of sd 1: the heavy-tailed likelihood must not shrink the intervals."""
    levels = []
    for seed in range(40):
        z = np.random.default_rng(seed).standard_normal(300)
        levels.append(placebo._scale(z, np.full(300, 30.0), np.ones(300))[0])
    assert np.exp(np.mean(levels)) == pytest.approx(1.0, abs=0.02)


def test_placebo_windows_say_which_series_missed_and_by_how_much() -> None:
    panel = panel_of(made_visits(500, 4))
    fits = fit_all(panel, 440)
    known = placebo.calibrate(fits, 440, 0, [30], error_correlation(fits))
    assert set(known.series.tolist()) == {placebo.TOTAL, 0, 1, 2, 3}
    apart = np.abs(known.scores) > 0.3  # a log forecast's median lies below its mean
    assert (np.sign(known.missed[apart]) == np.sign(known.scores[apart])).mean() > 0.98
    visits = panel.over_markets("visits")
    for place in np.flatnonzero((known.series == 1) & (known.horizons == 30)).tolist():
        first = int(known.origins[place])
        came = visits[first : first + 30, 1].sum()
        assert came / (1 + known.missed[place]) == pytest.approx(30 * visits[first - 60 : first, 1].mean(), rel=0.25)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_calibration_answers_forecasts_made_too_narrow_or_too_wide(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every placebo forecast's spread is multiplied; lambda must move the other way."""
    panel = panel_of(made_visits(500, 4))
    fits = fit_all(panel, 440)
    correlation = error_correlation(fits)
    plain = placebo.calibrate(fits, 440, 0, [30], correlation)
    honest = placebo.window_sums

    def spoiled(series, days, windows):  # type: ignore[no-untyped-def]
        sums = honest(series, days, windows)
        wrong = type(sums.forecast)(sums.forecast.location, factor * sums.forecast.scale, sums.forecast.df)
        return type(sums)(sums.centre, wrong, sums.is_log)

    monkeypatch.setattr(placebo, "window_sums", spoiled)
    wrong = placebo.calibrate(fits, 440, 0, [30], correlation)
    ratio = float(wrong.widen(30) / plain.widen(30))
    assert ratio * factor == pytest.approx(1.0, rel=0.45)
    assert (ratio < 0.85) if factor > 1 else (ratio > 1.2)
    assert plain.effective_folds[30] > plain.effective_folds[90] >= 1.0
    assert plain.is_extrapolated(365)
    assert 0.8 <= plain.held_out_coverage <= 1.0


@pytest.mark.parametrize(("days", "folds"), [(27, 0.0), (28, 4.0)])
def test_short_history_is_calibrated_by_extrapolation(days: int, folds: float) -> None:
    """27 days hold no placebo week after 21 days of training; 28 hold one, for four unrelated channels."""
    calibration = placebo.calibrate(fit_all(panel_of(made_visits(days, 1)), days), days, 0, [30], np.eye(4))
    assert calibration.folds_at(7) == pytest.approx(folds)
    assert calibration.is_extrapolated(30)
    assert float(calibration.widen(30)) == pytest.approx(1.0, abs=0.2)
    assert (calibration.scores.size == 0) == (folds == 0)


@pytest.mark.parametrize("how", ["zeros", "absent"])
def test_a_closed_channel_is_measured_as_gone(how: str) -> None:
    visits = made_visits(430, 6)
    open_sum = visits[400:430, 2].sum()
    visits[400:, 2] = 0.0 if how == "zeros" else np.nan
    opened = ask(panel_of(visits), 400)
    assert opened.absent_is_zero == (how == "absent")
    assert opened.channels[opened.closed] == "mini"
    assert opened.observed[opened.closed].tolist() == [0.0] * len(opened.stretches.ends)
    month = opened.draws[:, opened.closed] @ opened.stretches.sums()[1]
    assert np.median(month) == pytest.approx(open_sum, rel=0.15)
    assert np.isfinite(opened.draws).all()


def test_a_past_outage_is_masked_and_changes_little() -> None:
    visits = made_visits(430, 8)
    whole = ask(panel_of(visits), 400)
    out = visits.copy()
    out[200:206, 2] = 0.0
    outage = Event("outage", FIRST + timedelta(days=200), FIRST + timedelta(days=205), "mini")
    masked = ask(panel_of(out), 400, events=(outage,))
    a, b = (np.median(one.draws @ one.stretches.sums()[1], axis=0) for one in (whole, masked))
    assert b == pytest.approx(a, rel=0.05)


@pytest.mark.parametrize(
    "case", ["equal", "zeros_inside", "one_day", "shortest", "missing_days", "tiny", "one_channel"]
)
def test_awkward_panels_give_finite_ordered_sums(case: str) -> None:
    n, day, horizons = 400, 360, (1, 30)
    visits = made_visits(n, 9)
    if case == "equal":
        visits[:, 1] = 100.0
    elif case == "zeros_inside":
        visits[::9, 2] = 0.0
    elif case == "one_day":
        horizons = (1,)
    elif case == "shortest":
        visits, day, horizons = made_visits(60, 9), 28, (1, 30)
    elif case == "missing_days":
        visits[np.random.default_rng(0).random(visits.shape) < 0.15] = np.nan
    elif case == "tiny":
        visits[:, 2] = np.random.default_rng(1).poisson(0.2, n)
    elif case == "one_channel":
        visits = visits[:, :1]
    opened = ask(panel_of(visits), day, horizons, channel="search")
    assert np.isfinite(opened.draws).all()
    assert np.isfinite(opened.covariance).all()
    assert np.isfinite(opened.direct_total).all()
    assert (np.diff(opened.direct_total, axis=1) >= 0).all()
    month = opened.draws @ opened.stretches.sums()[-1]
    if case == "equal":
        flat = opened.draws[:, 1] @ opened.stretches.sums()[0]
        assert np.median(flat) == pytest.approx(100.0, rel=1e-3)
    if case == "tiny":
        assert abs(float(np.median(month[:, 2])) - 6.0) < 5.0


def test_a_channel_with_an_order_every_few_days_has_a_sober_forecast() -> None:
    rng = np.random.default_rng(4)
    rare = rng.poisson(0.2, (400, 2)).astype(float)
    holiday = Event("holiday", FIRST + timedelta(days=385), FIRST + timedelta(days=390))
    opened = ask(panel_of(rare), 370, (28,), channel="app", events=(holiday,))
    month = opened.draws @ opened.stretches.sums()[0]
    assert (np.abs(np.quantile(month, (0.025, 0.975), axis=0)) < 30).all()  # 5.6 are expected


def test_stretches_add_up_to_horizons_and_to_single_windows() -> None:
    """Sums over stretches, drawn jointly, spread as the whole window's own forecast does (2 %, 4,096 draws)."""
    opened = ask(panel_of(made_visits(430, 6)), 340, (30, 90))
    assert opened.stretches.ends == (7, 14, 30, 60, 90)
    cut = opened.stretches
    for at, one in enumerate(opened.series):
        for row, horizon in zip(cut.sums(), cut.horizons, strict=True):
            whole = (np.arange(cut.days.size) < horizon).astype(float)[None, :]
            sums = window_sums(one, cut.days, whole)
            widen = np.ones(1)
            drawn = np.std(opened.draws[:, at] @ row)
            apart = sums.sd(widen)[0]
            linked = np.sqrt(row @ joint_sums(one, cut.days, cut.windows(), len(cut.ends)).covariance @ row)
            assert linked == pytest.approx(apart, rel=0.03)
            assert drawn / apart == pytest.approx(1.0, abs=0.25)  # lambda lies between


@pytest.mark.parametrize(("phi", "q"), [(0.0, 1e-2), (0.5, 1e-2), (0.88, 4e-2), (0.45, 0.64)])
def test_states_are_those_of_the_kalman_filter(phi: float, q: float) -> None:
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 0.1, 400)) + rng.standard_normal(400)
    level, ar = np.array([path[0], 0.0]), 0.0
    mean, spread = np.array([path[0], 0.0]), np.array([[1.0, -1.0], [-1.0, 1.0]]) / (1 - phi**2)
    for value in path[1:]:
        step = np.diag([1.0, phi])
        mean, spread = step @ mean, step @ spread @ step + np.diag([q, 1.0])
        gain = spread.sum(axis=1) / spread.sum()
        mean = mean + gain * (value - mean.sum())
        spread = spread - np.outer(gain, spread.sum(axis=0))
    level, ar = states(path, phi, q)
    assert (level[-1], ar[-1]) == pytest.approx(tuple(mean), abs=1e-4)


@pytest.mark.parametrize(("common", "low", "high"), [(0.0, -0.05, 0.35), (0.05, 0.5, 0.95), (0.2, 0.8, 1.0)])
def test_errors_of_forecasts_share_the_demand(common: float, low: float, high: float) -> None:
    """A shared demand drowned in daily noise still moves four weeks together; without one the usual is not kept."""
    correlation = error_correlation(fit_all(panel_of(made_visits(700, 2, common=common)), 700))
    off = correlation[~np.eye(4, dtype=bool)]
    assert correlation == pytest.approx(correlation.T)
    assert np.linalg.eigvalsh(correlation).min() > 0
    assert low <= off.mean() <= high


def promotion(first: int, last: int, note: str = "618") -> Event:
    return Event("promo", FIRST + timedelta(days=first), FIRST + timedelta(days=last), None, None, None, note)


def test_what_a_promotion_is_unlike_those_before_is_common_to_all_channels() -> None:
    """Days of a coming promotion hang together more than others; where nothing is planned, as they always do."""
    panel = panel_of(made_visits(420, 3))
    past = tuple(promotion(first, first + 9) for first in (60, 200))
    plain, promoted = (
        ask(panel, 380, (7, 30), events=past),
        ask(panel, 380, (7, 30), events=(*past, promotion(380, 386))),
    )
    usual, first = plain.correlation[0][0, 1], promoted.correlation[0][0, 1]
    assert usual < first <= 1.0
    assert promoted.correlation[-1][0, 1] < first
    assert all(np.linalg.eigvalsh(one).min() > -1e-9 for one in promoted.correlation)
    spread = promoted.draws.sum(axis=1).std(axis=0) / plain.draws.sum(axis=1).std(axis=0)
    assert spread[0] > 1.0


def test_shapes_of_other_channels_are_for_those_that_were_not_there() -> None:
    """`late` opens after both promotions: its next one looks like that of the others. A channel that met them keeps to
    its own days: what the others saw does not change its fit."""
    names = ("search", "app", "mini", "late")
    rng = np.random.default_rng(5)
    n, lift = 420, 0.5
    days = np.arange(n)
    inside = np.isin(days, [*range(100, 110), *range(200, 210)])
    week = 0.4 * np.sin(2 * np.pi * days / 7)
    visits = 3000.0 * np.exp((lift * inside + week)[:, None] + 0.1 * rng.standard_normal((n, 4)))
    visits[:250, 3] = np.nan
    events = tuple(promotion(first, first + 9) for first in (100, 200, 390))
    panel = panel_of(visits, names)
    ahead = np.arange(390, 400, dtype=np.int64)
    fitted = {str(one.channel): one for one in fit_baseline(panel, events, 385).series}
    assert fitted["late"].is_log
    usual = expected_path(fitted["late"], ahead + 14)
    assert np.log(expected_path(fitted["late"], ahead) / usual).mean() == pytest.approx(lift, abs=0.15)
    unlike = visits.copy()
    unlike[inside, 1:3] /= np.exp(lift)
    other = {str(one.channel): one for one in fit_baseline(panel_of(unlike, names), events, 385).series}
    assert expected_path(other["search"], ahead) == pytest.approx(expected_path(fitted["search"], ahead), rel=0.01)
