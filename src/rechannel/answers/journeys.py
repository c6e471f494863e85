"""Which channels stand on the paths to orders: `rechannel.journeys/1`, descriptive and never causal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rechannel.answers.answer import Provenance
from rechannel.evidence.attribution import METHODS, Credit, Method, attribute
from rechannel.evidence.repeat import repeat_curves
from rechannel.source.store import CaseFolder
from rechannel.tables.engines.choose import fold_case
from rechannel.tables.journeyrules import ALONE, KINDS, OVERLAP, PARTS, Bootstrap, JourneyRules
from rechannel.tables.journeys import JourneyTables, length_parts, members_of
from rechannel.tables.touches import Told
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import Channel, name_of
from rechannel.vocabulary.estimate import FloatArray, Quantiles
from rechannel.vocabulary.wording import LANGUAGES, Language, text

__all__ = ["REPLICATES", "JourneyRules", "Journeys", "Told", "answer_journeys", "dumps", "journeys_of", "schema"]

SCHEMA = "rechannel.journeys/1"
REPLICATES = 200
START, BOUGHT, LOST = "start", "order", "no_order"
"""Ends of paths in the table of transitions; channels stand in a field of their own, so one may have such a name."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the data and its bootstrap quantiles; None where it does not exist.

    Attributes
    ----------
    mean
        The figure of the data themselves; None when nothing converts.
    quantiles
        None without replicates, or when no replicate has it.
    """

    mean: float | None
    quantiles: Quantiles | None

    @classmethod
    def of(cls, draws: FloatArray) -> Figure:
        """From draws, shape [draw], the first being the data."""
        known = draws[1:][np.isfinite(draws[1:])]
        mean = float(draws[0]) if np.isfinite(draws[0]) else None
        return cls(mean, Quantiles.of(known) if known.size and mean is not None else None)

    def to_json(self) -> dict[str, object]:
        return {"mean": self.mean, "quantiles": self.quantiles.to_json() if self.quantiles else None}


@dataclass(frozen=True, slots=True)
class Journeys:
    """What comes back from `journeys`.

    Attributes
    ----------
    tables
        The five tables.
    dropped
        Exact repeats dropped before the touches were stored.
    credit
        Of orders, by every method, with draws.
    text
        Two sentences a person would quote, by language.
    provenance
        What made it.
    """

    tables: JourneyTables
    dropped: int
    credit: Credit
    text: dict[Language, str]
    provenance: Provenance

    def figure(self, method: Method, channel: str) -> Figure:
        """Credit of one channel by one method, orders."""
        return Figure.of(self.credit.by_method[method][:, self.credit.channels.index(channel)])

    def removal_effect(self, channel: str) -> Figure:
        """Share of the orders lost if nobody who met the channel found another way."""
        return Figure.of(self.credit.removal.effects[:, self.credit.channels.index(channel)])

    def to_json(self) -> dict[str, object]:
        """The answer as `rechannel.journeys/1`."""
        counts, channels = self.tables.counts, self.credit.channels
        conversion = Figure.of(self.credit.removal.p_conversion)
        return {
            "schema": SCHEMA,
            "kind": "descriptive",
            "rows": counts["rows"] + self.dropped,
            "duplicates_dropped": counts["duplicates"] + self.dropped,
            "customers": counts["customers"],
            "visits": counts["visits"],
            "sessions": counts["sessions"],
            "orders": counts["orders"],
            "attributed_orders": counts["attributed"],
            "unattributed_orders": counts["orders"] - counts["attributed"],
            "non_converting_paths": counts["lost"],
            "distinct_paths": self.tables.distinct_paths,
            "p_conversion": conversion.mean,
            "p_conversion_quantiles": conversion.quantiles.to_json() if conversion.quantiles else None,
            "credit": {
                method: {channel: self.figure(method, channel).to_json() for channel in channels} for method in METHODS
            },
            "removal_effect": {channel: self.removal_effect(channel).to_json() for channel in channels},
            "tables": tables_json(self.tables),
            "contract": contract_json(self.tables.rules),
            "replicates": self.tables.replicates.asked.replicates,
            "text": {language: self.text[language] for language in LANGUAGES},
            "provenance": self.provenance.to_json(),
        }


def journeys_of(
    case: CaseFolder, rules: JourneyRules | None, replicates: int, provenance: Provenance, tell: Told | None = None
) -> Journeys:
    """Fold the touches of a case and give credit; see `answer_journeys`.

    Parameters
    ----------
    case
        Its touches, or the engine that `case.toml` names.
    rules
        The contract; None = its defaults.
    replicates
        Of the bootstrap; 0 = no intervals.
    provenance
        Its seed is that of the bootstrap.
    tell
        Told how far the pass is.

    Raises
    ------
    CallError
        RC364: the case has no touches; RC355-RC360, RC362, RC363: see `tables.engines.choose.fold_case`.
    MissingPart
        RC361: the engine's client is not installed.
    """
    tables, dropped = fold_case(case, rules, Bootstrap(replicates, provenance.seed), tell)
    return answer_journeys(tables, dropped, provenance, case.config.channels)


def answer_journeys(
    tables: JourneyTables, dropped: int, provenance: Provenance, channels: Sequence[Channel] = ()
) -> Journeys:
    """Credit of orders by every method, side by side.

    Question answered: which channels stand on the paths to orders. It is what users have today, exact and with
    intervals; it does not say what a channel brings or what its closure would cost - `worth` and `closure` do.

    Parameters
    ----------
    tables
        Folded journeys with replicates of `transitions` and `credit`, or without any.
    dropped
        Exact repeats dropped before the touches were stored.
    provenance
        Stamped on the answer.
    channels
        Descriptions, for names.
    """
    credit = attribute(tables)
    return Journeys(tables, dropped, credit, _sentences(tables, credit, channels), provenance)


def dumps(journeys: Journeys) -> str:
    """The answer as text: same data, seed and version give the same bytes, `created` aside."""
    return json.dumps(journeys.to_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def schema() -> dict[str, object]:
    """The published JSON Schema of `rechannel.journeys/1`."""
    source = files("rechannel.answers").joinpath("journeys.schema.json")
    loaded = json.loads(source.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def contract_json(rules: JourneyRules) -> dict[str, object]:
    """The rules an answer was made by."""
    return {
        "gap_minutes": rules.gap_minutes,
        "lookback_days": rules.lookback_days,
        "half_life_days": rules.half_life_days,
        "first_share": rules.first_share,
        "last_share": rules.last_share,
        "order": rules.order,
        "age_days": rules.age_days,
    }


def tables_json(tables: JourneyTables) -> dict[str, object]:
    """The five tables as rows, entries of zero left out; all periods together."""
    names, layout = tables.log.channels, tables.layout
    unit = 10**tables.rules.decimals
    moves = tables.transitions.sum(axis=0)
    before = [*({"channel": name} for name in names), {"end": START}]
    after = [*({"channel": name} for name in names), {"end": BOUGHT}, {"end": LOST}]
    transitions = []
    for at in np.argwhere(moves):
        row: dict[str, object] = {"from": before[at[0]], "to": after[at[-1]], "count": int(moves[tuple(at)])}
        if layout.order == 2:
            row = {"before": before[at[0]], "from": before[at[1]]} | {key: row[key] for key in ("to", "count")}
        transitions.append(row)
    _, inside = members_of(tables.channel_sets.keys, layout.channels)
    sets: dict[tuple[bool, ...], list[int]] = {}
    for members, sums in zip(inside.tolist(), tables.channel_sets.sums.tolist(), strict=True):
        old = sets.setdefault(tuple(members), [0] * len(KINDS))
        sets[tuple(members)] = [a + b for a, b in zip(old, sums, strict=True)]
    touches = len(PARTS) * KINDS.index("orders") + PARTS.index("touches")
    lengths: dict[tuple[int, int], list[int]] = {}
    for _, channel, length, sums in zip(
        *length_parts(tables.by_length.keys), tables.by_length.sums[:, touches : touches + 3].tolist(), strict=True
    ):
        old = lengths.setdefault((int(channel), int(length)), [0] * 3)
        lengths[int(channel), int(length)] = [a + b for a, b in zip(old, sums, strict=True)]
    curves = repeat_curves(tables)
    return {
        "transitions": transitions,
        "channel_sets": [
            {
                "channels": [name for name, is_in in zip(names, members, strict=True) if is_in],
                "orders": sums[0],
                "value": sums[1] / unit,
                "first_orders": sums[2],
            }
            for members, sums in sorted(sets.items(), reverse=True)
        ],
        "by_length": [
            {"channel": names[channel], "sessions_in_path": length, "touches": a, "first": b, "last": c}
            for (channel, length), (a, b, c) in sorted(lengths.items())
        ],
        "overlap": [
            {"from": names[one], "to": names[other]}
            | {part: int(tables.overlap[OVERLAP.index(part), one, other]) for part in ("customers", "next")}
            for one, other in np.argwhere(tables.overlap[:2].any(axis=0))
        ],
        "channels": [
            {"channel": name} | {part: int(tables.alone[place, index]) for place, part in enumerate(ALONE)}
            for index, name in enumerate(names)
        ],
        "retention": [
            {
                "first_channel": names[channel],
                "age": int(age),
                "at_risk": int(curves.at_risk[0, channel, age]),
                "active": int(tables.retention[1, channel, age]),
                "orders": int(tables.retention[2, channel, age]),
                "value": int(tables.retention[3, channel, age]) / unit,
            }
            for channel, age in np.argwhere(curves.at_risk[0] > 0)
        ],
    }


def _sentences(tables: JourneyTables, credit: Credit, channels: Sequence[Channel]) -> dict[Language, str]:
    """How many orders have a path, who leads, and what that does not say."""
    counts = tables.counts
    found: dict[Language, str] = {}
    for language in LANGUAGES:
        parts = {
            "orders": numbers.number(counts["orders"], language),
            "attributed": numbers.number(counts["attributed"], language),
            "sessions": numbers.number(counts["sessions"], language),
        }
        if not counts["attributed"]:
            found[language] = text("answer.journeys_none", language, **parts)
            continue
        leader = int(np.argmax(credit.by_method["shapley"][0]))
        effect = Figure.of(credit.removal.effects[:, leader])
        assert effect.mean is not None
        share = float(credit.shares("shapley")[0, leader])
        last = float(credit.shares("last")[0, leader])
        found[language] = text(
            "answer.journeys",
            language,
            channel=name_of(credit.channels[leader], channels, language),
            share=numbers.percent(share),
            last=numbers.percent(last),
            effect=numbers.percent(effect.mean),
            **parts,
        )
    return found
