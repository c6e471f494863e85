"""The days of a made market: season, holidays, promotions, faults and shocks, drawn once and shared by both runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from rechannel.lab.chance import normals, stream
from rechannel.lab.specs import Happening, WorldSpec
from rechannel.vocabulary.estimate import FloatArray

RAMP_DAYS = 21
"""Days in which a lasting shock on an entry builds up."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What every customer meets on a day; the same in the open and the closed run.

    Attributes
    ----------
    need
        Factor of needs, shape [date]: season, trend, shocks, rivals' promotions, jumps.
    weekend, promo, holiday
        Intensities that customers react to each in their own way, shape [date].
    pull
        Factor by which an entry is at hand or seen, shape [date, channel].
    loudness
        Factor by which an entry makes itself used whatever the needs, shape [date, channel] (lasting shocks).
    blocked
        Share of prominence taken away by faults and tests, shape [date, market, channel].
    white
        Factor of counts nobody explains, shape [date, channel].
    counted
        Counted over real visits, shape [date, channel].
    rival
        Factor of each rival's own visits, shape [date, rival].
    sales
        Factor of conversion, shape [date].
    """

    need: FloatArray
    weekend: FloatArray
    promo: FloatArray
    holiday: FloatArray
    pull: FloatArray
    loudness: FloatArray
    blocked: FloatArray
    white: FloatArray
    counted: FloatArray
    rival: FloatArray
    sales: FloatArray


def autoregression(noise: FloatArray, memory: float, sd: float) -> FloatArray:
    """Stationary AR(1) along axis 0 with standard deviation `sd`."""
    out = np.empty_like(noise)
    step = np.sqrt(1 - memory**2)
    level = noise[0].copy() if noise.ndim > 1 else noise[0]
    out[0] = level
    for day in range(1, len(noise)):
        level = memory * level + step * noise[day]
        out[day] = level
    return sd * out


def make_weather(spec: WorldSpec) -> Weather:
    """Draw the days of a market.

    Parameters
    ----------
    spec
        The market.

    Returns
    -------
    Weather
        Drivers for every day of the market. Days from D on depend on `spec.future`, earlier ones never do.
    """
    knobs, days, entries = spec.knobs, spec.days, len(spec.entries)
    when = np.arange(days)
    weekday = (spec.start.weekday() + when) % 7

    def noise(purpose: str, *shape: int) -> FloatArray:
        return normals(spec.seed, purpose, (days, *shape), from_day=spec.history, future=spec.future)

    rng = stream(spec.seed, "weather")
    phase, year_trends = rng.uniform(0, 2 * np.pi), 0.5 * knobs.trend * rng.standard_normal(entries)
    years = (when - spec.history) / 365.25
    shock = autoregression(noise("demand"), knobs.demand_memory, knobs.demand_noise)
    walk = np.cumsum(knobs.demand_walk * noise("walk"))
    walk -= walk[spec.history - 1]
    season = knobs.season * np.sin(2 * np.pi * years + phase)
    need = np.exp(shock + walk + season) * (1 + knobs.trend) ** years
    apart = autoregression(noise("entries", entries), knobs.channel_memory, 1.0)
    together = autoregression(noise("together"), knobs.channel_memory, 1.0)[:, None]
    moods = knobs.channel_noise * (np.sqrt(1 - knobs.common) * apart + np.sqrt(knobs.common) * together)
    weekdays = np.array([entry.weekdays for entry in spec.entries]).T
    pull = np.exp(moods + np.clip(years[:, None] * year_trends, -0.7, 0.7)) * weekdays[weekday]
    blocked = np.zeros((days, len(spec.markets), entries))
    loudness, counted = np.ones((days, entries)), np.ones((days, entries))
    promo, holiday, rival_promo = np.zeros(days), np.zeros(days), np.zeros(days)
    tilt = np.array([entry.holiday for entry in spec.entries])
    for row in spec.happenings:
        first, last = max(0, spec.index_of(row.start)), min(days, spec.index_of(row.end) + 1)
        if last <= first and row.kind != "measurement_break":
            continue
        where = [spec.channels.index(name) for name in row.channels] or list(range(entries))
        if row.kind == "promo":
            promo[first:last] += (
                row.strength * _promo_shape(spec, row)[first - spec.index_of(row.start) :][: last - first]
            )
            promo[last : last + 10] -= 0.12 * row.strength * np.linspace(1, 0.1, len(promo[last : last + 10]))
        elif row.kind == "holiday":
            holiday[first:last] += row.strength
            pull[first:last] *= np.exp(0.5 * row.strength * (tilt - 1))
        elif row.kind in ("outage", "test", "demotion"):
            markets = [spec.markets.index(name) for name in row.markets] or list(range(len(spec.markets)))
            part = blocked[first:last][:, markets][:, :, where]
            blocked[np.ix_(range(first, last), markets, where)] = np.maximum(part, row.severity)
        elif row.kind == "measurement_break":
            counted[max(0, spec.index_of(row.start)) :, where] *= 1 + row.strength
        elif row.kind == "other" and row.channels:
            ramp = np.minimum(1.0, (np.arange(last - first) + 1) / (RAMP_DAYS if row.logged else 1))
            loudness[first:last, where] *= np.exp(np.log1p(row.strength) * ramp)[:, None]
        elif row.kind == "other":
            need[first:last] *= 1 + row.strength
            rival_promo[first:last] -= row.strength if row.note == "rival_promo" else 0.0
    rivals = len(spec.rivals)
    rival_mood = autoregression(noise("rivals", rivals), 0.9, 0.05)
    rival_trend = np.clip(0.15 * stream(spec.seed, "rival trend").standard_normal(rivals), -0.3, 0.3)
    rival = np.exp(rival_mood + years[:, None] * rival_trend + 0.6 * (season + walk)[:, None])
    rival *= (1 + 0.6 * holiday + 0.7 * promo + 2.0 * np.maximum(rival_promo, 0))[:, None]
    return Weather(
        need=need,
        weekend=(weekday >= 5).astype(np.float64),
        promo=promo,
        holiday=holiday,
        pull=pull,
        loudness=loudness,
        blocked=blocked,
        white=np.exp(knobs.white * noise("white", entries) - 0.5 * knobs.white**2),
        counted=counted,
        rival=np.maximum(rival, 0.05),
        sales=np.exp(autoregression(noise("sales"), 0.6, 0.02)) * (1 + 0.45 * np.maximum(promo, -0.2)),
    )


def _promo_shape(spec: WorldSpec, row: Happening) -> FloatArray:
    """Daily intensity of a promotion, 1 on its best day: a rush at the start, a lull, a rush at the end."""
    days = (row.end - row.start + timedelta(days=1)).days
    at = np.arange(days)
    rush = np.exp(-at / 1.5) * 0.7 + np.exp(-(days - 1 - at) / 1.8)
    mood = autoregression(stream(spec.seed, "promo", row.start.isoformat()).standard_normal(days), 0.5, 0.06)
    return np.asarray(np.maximum(0.05, 0.3 + 0.75 * rush + mood))
