"""What the public record of a case can say, and what not: dates, terms, published shares; a loss or a fee never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from rechannel.answers.answer import Answer, EvidenceItem, Provenance
from rechannel.answers.declared import period_of, published_share
from rechannel.answers.hindsight import NEAR
from rechannel.answers.pictures import Timeline
from rechannel.tables.calendar import Event, announced, exits
from rechannel.tables.deals import Deal
from rechannel.tables.figures import Figure, as_money, as_share, find_figures
from rechannel.tables.public import PublicRecord
from rechannel.tables.rivals import SELF, RivalFigure
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import ALL_MARKETS
from rechannel.vocabulary.estimate import LEVELS, Estimate, Quantiles, Quantity, Refusal
from rechannel.vocabulary.grade import Grade
from rechannel.vocabulary.wording import LANGUAGES, Language, text

RELATED = "_from_related_party"
"""Ending of a metric of `figures`: the part of an expense that went to a related party."""
FEE_CLAIM = "yearly_fee"
UNNAMED = "diversion_unnamed"
SHOWN_FIRMS = 4


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of the record: what it says, the numbers behind it, where they come from.

    Attributes
    ----------
    key
        `record.can.<key>` or `record.cannot.<key>` is its sentence.
    figures
        Named parts of the sentence, and `source`.
    estimates
        The numbers; refused ones when the record cannot say it.
    """

    key: str
    grade: Grade
    figures: Mapping[str, float | str]
    estimates: tuple[Estimate, ...]

    @property
    def can(self) -> bool:
        return any(isinstance(row.value, Quantity) for row in self.estimates)

    def evidence(self) -> EvidenceItem:
        named = {"estimates": ";".join(row.estimate_id for row in self.estimates)}
        return EvidenceItem("can" if self.can else "cannot", self.key, self.grade, {**self.figures, **named})


def answer_record(record: PublicRecord, loss: Refusal | None, currency: str, provenance: Provenance) -> Answer:
    """What is public about an exit, line by line, and what is not.

    Question answered: what may be quoted about this case, from which source, and which numbers does nobody have?
    Use it for a case without `daily`, before any other question.

    Parameters
    ----------
    record
        The public record. Every statement is made only when its tables hold it; unverified figures and fields of
        agreements never enter one.
    loss
        Why the loss after the latest exit cannot be measured; None when there was none.
    currency
        Of the case, for the rows without a number.
    provenance
        Stamped on the answer.

    Returns
    -------
    Answer
        Estimates: answered ones are what can be said, refused ones what cannot; one evidence item per line (`can`,
        `cannot`) with its source, and the claims (`claim`) that stand beside. Refused as a whole (`empty_record`) when
        nothing can be said. Published facts have grade C at best: nothing public measures the channel itself; a share
        simulation has grade D.

    Notes
    -----
    Share simulation: when firm j is removed, the others take s_k / (1 - s_j) each (proportional to share). It says
    where an average order of that firm would go, not how many are lost. Two sources give a range, not a distribution:
    quantiles of the combined rows are uniform between them.
    """
    found = exits(record.events)
    exit_event = found[-1] if found else None
    channel = exit_event.channel if exit_event is not None else _channel_of_deals(record)
    statements = [
        *_timing(record, exit_event),
        *_terms(record, channel),
        *_new_customers(record, channel),
        *_related_party(record, channel),
        *_simulation(record, channel),
        *_loss(exit_event, loss, currency),
        *_fee(record, channel, currency),
    ]
    stated: dict[str, str] = {}
    timeline = None
    if channel is not None:
        stated["channel"] = channel
    if exit_event is not None:
        stated["on"] = exit_event.start.isoformat()
    if record.deals or record.events:
        on = None if exit_event is None else exit_event.start
        threats = () if on is None else record.shocks(on, within=NEAR)
        timeline = Timeline(on, channel, record.deals, record.events, threats)
    rows = tuple(row for statement in statements for row in statement.estimates)
    evidence = (*(statement.evidence() for statement in statements), *_claims(record))
    if not any(statement.can for statement in statements):
        why = Refusal("empty_record", {}, ("add_public_tables", "export_visits"))
        sentence = {language: why.message(language) for language in LANGUAGES}
        return Answer("record", stated, rows, (), evidence, (), sentence, provenance, refusal=why, timeline=timeline)
    return Answer(
        question="record",
        asked=stated,
        estimates=rows,
        daily=(),
        evidence=evidence,
        checks=(),
        text={language: _sentences(statements, language) for language in LANGUAGES},
        provenance=provenance,
        grade=Grade.C,
        timeline=timeline,
    )


def proportional(shares: Mapping[str, float], removed: str) -> dict[str, float]:
    """Where what the removed firm had goes when the others take it in proportion: s_k / (1 - s_j).

    Parameters
    ----------
    shares
        Share of each firm, 0..1; what is missing to 1 belongs to firms without a name.

    >>> proportional({"self": 0.2, "other": 0.4}, "self")
    {'other': 0.5}
    """
    rest = 1 - shares[removed]
    return {firm: share / rest for firm, share in shares.items() if firm != removed}


def _channel_of_deals(record: PublicRecord) -> str | None:
    named = sorted({deal.channel for deal in record.deals if deal.channel})
    return named[0] if named else None


def _fixed(
    metric: str,
    unit: str,
    value: float,
    grade: Grade,
    *,
    channel: str | None = None,
    period: str | None = None,
    method: str | None = None,
) -> Estimate:
    """A number that was published or follows from what was."""
    quantity = Quantity(Quantiles((value,) * len(LEVELS)), grade, value)
    return Estimate(metric, unit, quantity, channel, None, period, method)


def _timing(record: PublicRecord, exit_event: Event | None) -> list[Statement]:
    """Days from the end of the last agreement to the exit, and from its announcement."""
    if exit_event is None or exit_event.channel is None:
        return []
    on, channel, made = exit_event.start, exit_event.channel, []
    figures: dict[str, float | str]
    ending = "" if exit_event.kind == "closure" else f"_{exit_event.kind}"
    ended = [
        deal for deal in record.deals_of(channel) if deal.end is not None and deal.end <= on and deal.is_verified("end")
    ]
    if ended:
        last = max(ended, key=lambda deal: deal.end or date.min)
        assert last.end is not None
        days = float((on - last.end).days)
        figures = {"days": days, "from": last.end.isoformat(), "to": on.isoformat(), "deal": last.deal_id}
        row = _fixed("days_expiry_to_exit", "days", days, Grade.C, channel=channel)
        made.append(Statement(f"expiry{ending}", Grade.C, {**figures, "source": last.source or ""}, (row,)))
    told = announced(record.events, channel, on)
    if told is not None:
        days = float((on - told).days)
        figures = {"days": days, "from": told.isoformat(), "to": on.isoformat()}
        row = _fixed("notice_days", "days", days, Grade.C, channel=channel)
        made.append(Statement(f"notice{ending}", Grade.C, {**figures, "source": ""}, (row,)))
    return made


def _terms(record: PublicRecord, channel: str | None) -> list[Statement]:
    """How long each agreement ran, and in what it was paid."""
    about = () if channel is None else record.deals_of(channel)
    rows, made = [], []
    for deal in about:
        found = find_figures(record.figures, entity=deal.deal_id, metric="deal_term", verified_only=True)
        if found and found[-1].unit == "years":
            rows.append(_fixed("contract_term", "years", found[-1].value, Grade.C, period=deal.deal_id))
    if rows:
        terms = ", ".join(f"{row.value.quantiles.median:g}" for row in rows if isinstance(row.value, Quantity))
        with_source = [deal.source or "" for deal in about]
        figures = {"terms": terms, "deals": ", ".join(str(row.period) for row in rows)}
        made.append(
            Statement("terms", Grade.C, {**figures, "source": "; ".join(filter(None, with_source))}, tuple(rows))
        )
    first, last = (about[0], about[-1]) if len(about) > 1 else (None, None)
    bound = _share_bound(record, last)
    if first is not None and last is not None and bound is not None and _was_equity_then_cash(first, last):
        currency, amount = bound
        row = _fixed("share_consideration_at_most", currency, amount, Grade.C, period=last.deal_id)
        figures = {"first": first.equity_terms or "", "last": last.equity_terms or "", "cash": last.cash_terms or ""}
        sources = "; ".join(filter(None, (first.source, last.source)))
        made.append(Statement("payment", Grade.C, {**figures, "source": sources}, (row,)))
    return made


def _was_equity_then_cash(first: Deal, last: Deal) -> bool:
    """Whether the verified terms say that shares tied the first agreement and cash came into the last."""
    return bool(
        first.equity_terms
        and first.is_verified("equity_terms")
        and last.cash_terms
        and last.is_verified("cash_terms")
        and last.is_verified("equity_terms")
    )


def _share_bound(record: PublicRecord, deal: Deal | None) -> tuple[str, float] | None:
    """Currency and largest value of the shares given under an agreement, when it was published."""
    if deal is None:
        return None
    metric = "deal_share_consideration_upper_bound"
    found = find_figures(record.figures, entity=deal.deal_id, metric=metric, verified_only=True)
    return as_money(found[-1]) if found else None


def _new_customers(record: PublicRecord, channel: str | None) -> list[Statement]:
    """The published share of new customers that came over the host."""
    figure = None if channel is None else published_share(record, channel)
    share = None if figure is None else as_share(figure)
    if channel is None or figure is None or share is None:
        return []
    period, host = period_of(figure), record.host_of(channel) or ""
    row = _fixed("share_of_new_customers_from_host", "share", share, Grade.C, period=period)
    figures: dict[str, float | str] = {
        "share": share,
        "period": period,
        "host": host,
        "firm": figure.entity,
    }
    key = "new_customers" if host else "new_customers_unknown"
    return [Statement(key, Grade.C, {**figures, "source": figure.source}, (row,))]


def _related_party(record: PublicRecord, channel: str | None) -> list[Statement]:
    """The part of a firm's marketing that went to a related party, year by year."""
    made = []
    wanted = [f for f in record.figures if f.metric.endswith(RELATED) and "marketing" in f.metric and f.verified]
    for firm in sorted({figure.entity for figure in wanted}):
        rows, sources = [], []
        for part in find_figures(wanted, entity=firm):
            whole = _whole_of(record.figures, part)
            if whole is None:
                continue
            share = part.value / whole.value
            rows.append(_fixed("related_party_share", "share", share, Grade.C, channel=firm, period=period_of(part)))
            sources.append(part.source)
        if rows:
            values = " → ".join(
                numbers.percent(row.value.quantiles.median, width=0.01)
                for row in rows
                if isinstance(row.value, Quantity)
            )
            periods = ", ".join(str(row.period) for row in rows)
            host = (record.host_of(channel) or "") if channel else ""
            figures = {"firm": firm, "values": values, "periods": periods, "host": host}
            source = "; ".join(dict.fromkeys(sources))
            key = "related_party" if host else "related_party_unknown"
            made.append(Statement(key, Grade.C, {**figures, "source": source}, tuple(rows)))
    return made


def _whole_of(figures: Sequence[Figure], part: Figure) -> Figure | None:
    """The expense that a related party's part belongs to: same firm, period and unit."""
    base = part.metric.removesuffix(RELATED)
    for metric in (f"{base}_expenses", base):
        for figure in find_figures(figures, entity=part.entity, metric=metric, verified_only=True):
            same = (figure.period_start, figure.period_end, figure.unit)
            if same == (part.period_start, part.period_end, part.unit) and figure.value > 0:
                return figure
    return None


@dataclass(frozen=True, slots=True)
class ShareSource:
    """One published set of shares: its period, the metric it was published under, its source, share by firm."""

    period: str
    method: str
    source: str
    shares: Mapping[str, float]


def share_sources(record: PublicRecord, channel: str | None) -> tuple[ShareSource, ...]:
    """Every set of `rivals` that holds `self`, as shares; amounts become shares of the firms listed."""
    own = record.own_firm(channel) if channel is not None else None
    sets: dict[tuple[date, str], list[RivalFigure]] = {}
    for row in record.rivals:
        if row.metric in ("share", "gmv") and row.market == ALL_MARKETS:
            sets.setdefault((row.day, row.metric), []).append(row)
    found = []
    for (day, metric), rows in sorted(sets.items()):
        values = {row.firm: row.value for row in rows if row.value > 0}
        whole = 1.0 if metric == "share" else sum(values.values())
        if values.get(SELF, 0.0) <= 0 or len(values) < 2 or values[SELF] >= whole:
            continue
        shares = {firm: value / whole for firm, value in values.items()}
        origin = _origin(record.figures, own, day, values[SELF])
        method, source = (origin.metric, origin.source) if origin is not None else (metric, "rivals")
        found.append(ShareSource(str(day.year), method, source, shares))
    return tuple(found)


def _origin(figures: Sequence[Figure], own: str | None, day: date, value: float) -> Figure | None:
    """The verified figure that a value of `self` was taken from: same firm, first day and value."""
    for figure in find_figures(figures, entity=own, verified_only=True):
        money, share = as_money(figure), as_share(figure)
        known = money[1] if money is not None else share
        if figure.period_start == day and known is not None and abs(known - value) <= 1e-9 * value:
            return figure
    return None


def _simulation(record: PublicRecord, channel: str | None) -> list[Statement]:
    """Proportional removal of the own firm, per source and as a range."""
    sources = share_sources(record, channel)
    if not sources:
        return []
    rows: list[Estimate] = []
    by_firm: dict[str, list[float]] = {}
    for source in sources:
        gains = proportional(source.shares, SELF)
        for firm, share in gains.items():
            by_firm.setdefault(firm, []).append(share)
            rows.append(
                _fixed("diversion", "share", share, Grade.D, channel=firm, period=source.period, method=source.method)
            )
        unnamed = 1 - sum(gains.values())
        if unnamed > 1e-9:
            rows.append(_fixed(UNNAMED, "share", unnamed, Grade.D, period=source.period, method=source.method))
    ordered = sorted(by_firm, key=lambda firm: (-max(by_firm[firm]), firm))
    for firm in ordered:
        low, high = min(by_firm[firm]), max(by_firm[firm])
        quantiles = Quantiles(tuple(float(value) for value in low + (high - low) * np.asarray(LEVELS)))
        value = Quantity(quantiles, Grade.D, (low + high) / 2)
        rows.append(Estimate("diversion", "share", value, firm, None, None, "proportional"))
    shown = ", ".join(f"{firm} {_ends(by_firm[firm])}" for firm in ordered[:SHOWN_FIRMS])
    figures = {
        "ranges": shown,
        "count": str(len(sources)),
        "firm": (record.own_firm(channel) if channel else None) or SELF,
        "source": "; ".join(f"{source.method} {source.period}: {source.source}" for source in sources),
    }
    return [Statement("simulation", Grade.D, figures, tuple(rows))]


def _ends(values: Sequence[float]) -> str:
    """43%-49%, or one number when the ends print alike."""
    low, high = numbers.percent(min(values), width=0.01), numbers.percent(max(values), width=0.01)
    return low if low == high else f"{low}{numbers.RANGE}{high}"


def _loss(exit_event: Event | None, loss: Refusal | None, currency: str) -> list[Statement]:
    """What the exit took: not in the record."""
    if exit_event is None or loss is None:
        return []
    rows = tuple(
        Estimate(metric, unit, loss, exit_event.channel)
        for metric, unit in (("net_loss_new_customers", "customers"), ("net_loss_gmv", currency))
    )
    return [Statement("loss", Grade.D, {"on": exit_event.start.isoformat(), "source": ""}, rows)]


def _fee(record: PublicRecord, channel: str | None, currency: str) -> list[Statement]:
    """What the channel cost a year: not in the record, unless an agreement's fee is verified."""
    about = () if channel is None else record.deals_of(channel)
    if not about or any(deal.fixed_fee is not None and deal.is_verified("fixed_fee") for deal in about):
        return []
    last = about[-1]
    bound = _share_bound(record, last)
    term = find_figures(record.figures, entity=last.deal_id, metric="deal_term", verified_only=True)
    helps = ("give_deal", "ask_filing")
    if bound is None or not term:
        why = Refusal("fee_unknown", {"deal": last.deal_id}, helps)
    else:
        parts = {"deal": last.deal_id, "shares": f"{bound[0]} {bound[1]:,.0f}", "years": f"{term[-1].value:g}"}
        why = Refusal("fee_undisclosed", parts, helps)
    row = Estimate("yearly_fee", currency, why, channel)
    return [Statement("fee", Grade.D, {"deal": last.deal_id, "source": last.source or ""}, (row,))]


def _claims(record: PublicRecord) -> list[EvidenceItem]:
    """What people assert about the fee: beside the refusal, never an input."""
    return [
        EvidenceItem(
            "claim",
            claim.claim_id,
            Grade.D,
            {
                "about": FEE_CLAIM,
                "value": claim.value,
                "unit": claim.unit,
                "who": claim.who,
                "source": claim.source,
            },
        )
        for claim in record.claims
        if claim.metric == FEE_CLAIM and claim.value is not None
    ]


def _sentences(statements: Sequence[Statement], language: Language) -> str:
    """Two sentences a person would quote."""
    by_key = {statement.key: statement for statement in statements}
    joiner = " " if language == "en" else ""
    dated = {key.partition("_")[0]: key for key in by_key if key.startswith(("expiry", "notice"))}
    if len(dated) == 2:
        days = {name: f"{by_key[key].figures['days']:g}" for name, key in dated.items()}
        kind = dated["expiry"].partition("_")[2] or "closure"
        first = text(f"answer.record_dates_{kind}", language, **days)
    else:
        count = str(sum(statement.can for statement in statements))
        first = text("answer.record_plain", language, count=count)
    cannot = [key for key in ("loss", "fee") if key in by_key]
    if not cannot:
        return f"{first}{joiner}{text('answer.record_all', language)}"
    without = text(f"answer.record_without_{'_'.join(cannot)}", language)
    return f"{first}{joiner}{without}"
