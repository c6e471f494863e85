"""The canonical tables a made shop would export (daily, events, touches, rivals, deals), and its host's slots."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from rechannel.lab.chance import normals, stream
from rechannel.lab.counts import Counts, Pair
from rechannel.lab.customers import Sample
from rechannel.lab.people import Array32
from rechannel.lab.specs import Happening, WorldSpec
from rechannel.lab.weather import Weather
from rechannel.vocabulary.channel import EventKind
from rechannel.vocabulary.estimate import FloatArray


def daily_table(spec: WorldSpec, counts: Counts) -> pa.Table:
    """One row per date, market and entry; the market column is absent in a shop with one market."""
    days, markets, channels = counts.visits.shape
    when = np.datetime64(spec.start, "D") + np.arange(days)
    columns: dict[str, pa.Array] = {"date": pa.array(np.repeat(when, markets * channels))}
    if markets > 1:
        columns["market"] = pa.array(np.tile(np.repeat(np.array(spec.markets), channels), days))
    columns["channel"] = pa.array(np.tile(np.array(spec.channels), days * markets))
    for name in ("visits", "new_customers", "orders", "gmv", "refunds", "cost", "volume"):
        columns[name] = pa.array(getattr(counts, name).ravel())
    if 0 < spec.knobs.severity < 1:
        exposure = np.ones((days, markets, channels))
        exposure[spec.history :, :, spec.closing_index] = 1 - spec.knobs.severity
        columns["exposure"] = pa.array(exposure.ravel())
    return pa.table(columns)


def event_rows(spec: WorldSpec) -> list[Happening]:
    """What the shop's events tell: logged happenings, the announcement and what happened on D."""
    rows = [row for row in spec.happenings if row.logged]
    if spec.knobs.severity > 0:
        if spec.announced is not None:
            before = spec.on - timedelta(days=1)
            rows.append(Happening("announcement", spec.announced, before, (spec.closing,), note="notice"))
        last = spec.start + timedelta(days=spec.days - 1)
        kind: EventKind = "closure" if spec.knobs.severity == 1 else "demotion"
        rows.append(Happening(kind, spec.on, last, (spec.closing,), severity=spec.knobs.severity))
    return sorted(rows, key=lambda row: (row.start, row.kind, row.channels))


def events_table(spec: WorldSpec) -> pa.Table:
    """Events; a happening on several entries or markets has a row for each."""
    lines = [
        (row, channel, market)
        for row in event_rows(spec)
        for channel in (row.channels or (None,))
        for market in (row.markets or (None,))
    ]
    blocking = {"outage", "closure", "demotion", "test"}
    return pa.table(
        {
            "start": pa.array([row.start for row, _, _ in lines], pa.date32()),
            "end": pa.array([row.end for row, _, _ in lines], pa.date32()),
            "kind": pa.array([row.kind for row, _, _ in lines], pa.string()),
            "channel": pa.array([channel for _, channel, _ in lines], pa.string()),
            "market": pa.array([market for _, _, market in lines], pa.string()),
            "severity": pa.array([row.severity if row.kind in blocking else None for row, _, _ in lines], pa.float64()),
            "note": pa.array([row.note for row, _, _ in lines], pa.string()),
        }
    )


def rivals_table(spec: WorldSpec, weather: Weather, pair: Pair) -> pa.Table:
    """Monthly visits and shares of all firms as a panel provider would estimate them, sampling error included."""
    own = pair.closed.visits.sum(axis=(1, 2)).astype(np.float64)
    rivals = weather.rival * np.array(spec.rival_sizes) * spec.visits_per_day + pair.rival_gain
    months = (np.datetime64(spec.start, "D") + np.arange(spec.days)).astype("datetime64[M]")
    firms = ("self", *spec.rivals)
    rng = stream(spec.seed, "panel")
    rows: list[tuple[date, str, str, float]] = []
    for month in np.unique(months):
        inside = months == month
        if inside.sum() < 28:
            continue
        amounts = np.concatenate([[own[inside].sum()], rivals[inside].sum(axis=0)])
        seen = amounts * np.exp(0.01 * rng.standard_normal(len(firms)))
        first = month.astype("datetime64[D]").item()
        rows += [(first, firm, "visits", float(np.round(value))) for firm, value in zip(firms, seen, strict=True)]
        shares = seen / seen.sum()
        rows += [(first, firm, "share", float(np.round(value, 5))) for firm, value in zip(firms, shares, strict=True)]
    return pa.table(
        {
            "date": pa.array([row[0] for row in rows], pa.date32()),
            "firm": pa.array([row[1] for row in rows], pa.string()),
            "metric": pa.array([row[2] for row in rows], pa.string()),
            "value": pa.array([row[3] for row in rows], pa.float64()),
        }
    )


def touches_table(spec: WorldSpec, sample: Sample, basket: Array32) -> pa.Table:
    """Visits and orders of the sampled people, in order of time; an order follows its visit within minutes."""
    rng = stream(spec.seed, "clock")
    day, place, person = (np.concatenate(rows) for rows in (sample.days, sample.places, sample.customers))
    channel, ordered = np.concatenate(sample.channels), np.concatenate(sample.ordered)
    second = np.minimum((86_400 * rng.beta(3.2, 2.0, len(day))).astype(np.int64), 84_000)
    value = np.round(basket[sample.classes[place]] * rng.gamma(1.4, 1 / 1.4, len(day)), 2)
    at = day * 86_400 + second
    later = at + 60 + (900 * rng.random(len(day))).astype(np.int64)
    times = np.concatenate([at, later[ordered]])
    people = np.concatenate([person, person[ordered]])
    channels = np.concatenate([channel, channel[ordered]])
    is_order = np.concatenate([np.zeros(len(at), dtype=bool), np.ones(int(ordered.sum()), dtype=bool)])
    values = np.concatenate([np.zeros(len(at)), value[ordered]])
    order = np.lexsort((is_order, people, times))
    names = np.array([customer_name(number) for number in range(int(sample.names.max()) + 1)])
    start = np.datetime64(spec.start, "s")
    return pa.table(
        {
            "customer": pa.array(names[people[order]]),
            "time": pa.array(start + times[order].astype("timedelta64[s]")),
            "channel": pa.array(np.array(spec.channels)[channels[order]]),
            "event": pa.array(np.where(is_order[order], "order", "visit")),
            "value": pa.array(values[order], mask=~is_order[order]),
        }
    )


def customer_name(number: int) -> str:
    """The customer of that number in `touches`."""
    return f"c{number:06d}"


def yearly_fee(spec: WorldSpec, counts: Counts) -> float:
    """A yearly fee of 3 to 7 % of the GMV that the entry would carry if its visits bought like all others."""
    per_day = counts.gmv[: spec.history].sum() / spec.history
    rate: FloatArray = np.asarray(0.1 * stream(spec.seed, "fee").uniform(0.3, 0.7))
    return float(np.round(365 * per_day * spec.shares[spec.closing_index] * float(rate), -3))


def deals_table(spec: WorldSpec, counts: Counts) -> pa.Table:
    """One fixed-fee deal on the closing entry, ending on the eve of D."""
    host = spec.entries[spec.closing_index].host
    end = spec.on - timedelta(days=1)
    start = end.replace(year=end.year - 1) if (end.month, end.day) != (2, 29) else end - timedelta(days=365)
    return pa.table(
        {
            "deal_id": pa.array(["entry-fee"]),
            "host": pa.array([host]),
            "tenant": pa.array(["shop"]),
            "channel": pa.array([spec.closing]),
            "signed": pa.array([start], pa.date32()),
            "start": pa.array([start + timedelta(days=1)], pa.date32()),
            "end": pa.array([end], pa.date32()),
            "access": pa.array(["first_level"]),
            "exclusive": pa.array(["y"]),
            "fixed_fee": pa.array([yearly_fee(spec, counts)]),
            "revenue_share": pa.array([0.0]),
            "form": pa.array(["yearly"]),
            "source": pa.array(["made market"]),
            "verified": pa.array(["y"]),
            "note": pa.array(["fixed fee for one year of the entry"]),
        }
    )


def slots_table(spec: WorldSpec, pair: Pair) -> pa.Table:
    """The host's own record, one row per date and slot of the host on which the closing entry stands.

    The shop occupies every slot; from D on the host uses the closed one itself. Impressions are what the slot shows
    whoever stands there; the shop pays its yearly fee by the day on the closing slot, and by impression on the others.
    """
    host, closing = spec.entries[spec.closing_index].host, spec.closing_index
    slots = [index for index, entry in enumerate(spec.entries) if entry.host == host]
    rng = stream(spec.seed, "slots")
    click_rate = rng.uniform(0.02, 0.08, len(slots))
    users_per_visit, cpm = rng.uniform(5, 40), rng.uniform(8, 30)
    own_clicks, own_value = rng.uniform(0.3, 1.2), spec.knobs.conversion * spec.knobs.basket * rng.uniform(0.2, 1.0)
    noise = normals(spec.seed, "slots", (spec.days, len(slots) + 2), from_day=spec.history, future=spec.future)
    after = np.arange(spec.days) >= spec.history
    seen = pair.open.visits[:, :, slots].sum(axis=1) / click_rate * np.exp(0.03 * noise[:, : len(slots)])
    impressions = np.round(seen).astype(np.int64)
    clicks = pair.closed.visits[:, :, slots].sum(axis=1)
    revenue = impressions * cpm / 1000
    occupant = np.full(seen.shape, "shop", dtype=object)
    at = slots.index(closing)
    fee_a_day = yearly_fee(spec, pair.closed) / 365
    revenue[:, at] = np.where(after, fee_a_day * (1 - spec.knobs.severity), fee_a_day)
    taken: FloatArray = np.zeros(spec.days)
    if spec.knobs.severity == 1:
        occupant[after, at] = "host"
        taken = np.where(after, np.floor(seen[:, at] * click_rate[at] * own_clicks), 0.0)
        clicks[:, at] += taken.astype(np.int64)
    users = spec.visits_per_day * users_per_visit * np.exp(0.02 * noise[:, -2])
    gmv = users * 0.02 * spec.knobs.basket * np.exp(0.05 * noise[:, -1]) + taken * own_value
    when = np.datetime64(spec.start, "D") + np.arange(spec.days)
    return pa.table(
        {
            "date": pa.array(np.repeat(when, len(slots))),
            "slot": pa.array(np.tile(np.array(spec.channels)[slots], spec.days)),
            "occupant": pa.array(occupant.ravel().tolist(), pa.string()),
            "impressions": pa.array(impressions.ravel()),
            "clicks": pa.array(clicks.ravel()),
            "revenue": pa.array(np.round(revenue, 2).ravel()),
            "host_gmv": pa.array(np.repeat(np.round(gmv, 2), len(slots))),
            "host_active_users": pa.array(np.repeat(np.round(users).astype(np.int64), len(slots))),
        }
    )
