"""How good answers about made markets were: coverage, score against opponents, grades, refusals, and the bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rechannel.lab.baselines import OPPONENTS, Opponent, climatology, point, prior_quantiles
from rechannel.lab.chance import stream
from rechannel.lab.said import Record
from rechannel.lab.scores import COVERAGES, Wis, covered, weighted_interval_score
from rechannel.lab.targets import FAMILIES, evidence_class
from rechannel.vocabulary.estimate import LEVELS, FloatArray

BootstrapWeights = NDArray[np.float64]
RESAMPLES = 1000
FEWEST_MARKETS = 100
"""Bars are read with at least so many markets, or placebo dates."""
FOUND_WITHIN, FEWEST_LOSSES = 30, 50
"""Days within which a large loss should be found, and how many of them make the share readable."""
MEDIAN_OF_NORMAL = 0.6745
"""Median distance of a standard normal from 0."""
EVIDENCE = ("strong", "middling", "weak", "none")


@dataclass(frozen=True, slots=True)
class Span:
    """A figure and its 90 % bootstrap interval over markets; nan when nothing tells."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slice:
    """One row of the scoreboard.

    Attributes
    ----------
    group, name
        all, identified, family, identified_family, elsewhere_family, evidence, metric, horizon, kind; and which.
    markets, targets, answered
        Counts; figures below are of the answered targets.
    coverage
        Share of truths inside, by nominal coverage.
    wis
        Mean over markets of their mean scaled score.
    dispersion, over, under
        Its parts: width, said too much, said too little.
    relative
        Geometric mean over markets of (mean score / opponent's mean score).
    """

    group: str
    name: str
    markets: int
    targets: int
    answered: int
    coverage: Mapping[float, Span]
    wis: Span
    dispersion: float
    over: float
    under: float
    relative: Mapping[Opponent, Span]


@dataclass(frozen=True, slots=True)
class GradeLine:
    """Answered targets of one grade, visits_removed aside."""

    grade: str
    targets: int
    identified: int
    wis: float
    relative: float
    coverage_90: float
    coverage_95: float


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """Dates on which nothing happened: how often the 90 % interval of the net loss of visits excluded 0."""

    horizon: int
    dates: int
    alarms: int


@dataclass(frozen=True, slots=True)
class NoiseLine:
    """How far the truth itself moves when only chance from D on differs: standard deviation over last touch.

    typical: from the median gap between two futures of a market; root_mean_square: small channels rule it.
    """

    metric: str
    horizon: int
    typical: float
    root_mean_square: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the protocol: the figure, the range it must lie in, and whether it does (None = cannot be read)."""

    name: str
    figure: float
    low: float
    high: float
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A market on which an error came instead of an answer."""

    kind: str
    seed: int
    message: str


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Everything the scoreboard says; `sheets` prints it.

    Attributes
    ----------
    question
        closure or impact.
    markets
        Scored markets.
    slices, grades, alarms, noise, bars, failures
        See their classes.
    refusals
        Code -> number of refused targets that the data allow (needless ones).
    seconds
        Median and largest time of an answer.
    """

    question: str
    markets: int
    slices: tuple[Slice, ...]
    grades: tuple[GradeLine, ...]
    alarms: tuple[AlarmLine, ...]
    noise: tuple[NoiseLine, ...]
    bars: tuple[Bar, ...]
    refusals: Mapping[str, int]
    failures: tuple[Failure, ...]
    seconds: tuple[float, float]

    def find(self, group: str, name: str = "all") -> Slice:
        """One row; KeyError when there is none."""
        for row in self.slices:
            if (row.group, row.name) == (group, name):
                return row
        raise KeyError(f"{group} {name}")


@dataclass(frozen=True, slots=True)
class Sheet:
    """All targets of all markets as arrays, shape [target]; values over the target's scale.

    market: index of the market; grade: A-D, empty = refused; opponents: score of each opponent, on the same targets.
    """

    market: NDArray[np.int64]
    kind: NDArray[np.str_]
    metric: NDArray[np.str_]
    family: NDArray[np.str_]
    horizon: NDArray[np.int64]
    identified: NDArray[np.bool_]
    evidence: NDArray[np.str_]
    allowed: NDArray[np.bool_]
    grade: NDArray[np.str_]
    refusal: NDArray[np.str_]
    inside: Mapping[float, NDArray[np.bool_]]
    wis: Wis
    opponents: Mapping[Opponent, FloatArray]

    @property
    def answered(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.wis.total)


def score(records: Sequence[Record], seed: int = 0) -> Scoreboard:
    """Score answers about made markets.

    Use it to steer a method: every figure is split by family of targets, metric, horizon, kind of market and evidence.

    Parameters
    ----------
    records
        From `said.record_of`, or from `play.play`.
    seed
        Of the bootstrap over markets.

    Returns
    -------
    Scoreboard
        Scores are over the closed channel's last-touch value of the same metric, shares over 1. Refused targets enter
        no score; they are counted. The climatology is made of the markets given, so scoring one kind alone compares
        with a climatology of that kind.

    Raises
    ------
    ValueError
        No records, or of more than one question.
    """
    questions = {record.facts.question for record in records}
    if len(questions) != 1:
        raise ValueError(f"records of one question wanted, found {sorted(questions) or 'none'}")
    question = questions.pop()
    sheet = sheet_of(records)
    draws = stream(seed, "bootstrap").multinomial(len(records), np.full(len(records), 1 / len(records)), size=RESAMPLES)
    weights = np.asarray(draws, dtype=np.float64)
    slices = tuple(_slice(sheet, group, name, mask, weights) for group, name, mask in _masks(sheet, records))
    grades = _grades(sheet, len(records))
    alarms = _alarms(records)
    needless = sheet.allowed & ~sheet.answered
    codes, counts = np.unique(sheet.refusal[needless], return_counts=True)
    seconds = np.array([record.seconds for record in records])
    return Scoreboard(
        question=question,
        markets=len(records),
        slices=slices,
        grades=grades,
        alarms=alarms,
        noise=_noise(records),
        bars=_bars(sheet, slices, grades, alarms, _losses_found(records), len(records), question),
        refusals={str(code): int(count) for code, count in zip(codes, counts, strict=True)},
        failures=tuple(Failure(r.facts.kind, r.facts.seed, r.failure) for r in records if r.failure),
        seconds=(float(np.median(seconds)), float(seconds.max())),
    )


def sheet_of(records: Sequence[Record]) -> Sheet:
    """All targets side by side."""
    markets = [record.facts for record in records]
    rows = [(index, record, target) for index, record in enumerate(records) for target in record.facts.targets]
    said = [record.said.get(target.key) for _, record, target in rows]
    scale = np.array([target.scale for _, _, target in rows])
    truth = np.array([target.truth for _, _, target in rows]) / scale
    nothing = (float("nan"),) * len(LEVELS)
    stated = np.array([(row.quantiles or nothing) if row else nothing for row in said]).reshape(-1, len(LEVELS))
    stated = stated / scale[:, None]
    priors = np.array([prior_quantiles(t, r.facts.recent) for _, r, t in rows]).reshape(-1, len(LEVELS))
    opponents: dict[Opponent, FloatArray] = {
        name: np.abs(np.array([point(t, r.facts.recent, name) for _, r, t in rows]) / scale - truth)
        for name in ("zero", "proportional", "half")
    }
    opponents["prior"] = weighted_interval_score(truth, priors / scale[:, None]).total
    usual = climatology(markets)
    opponents["climatology"] = weighted_interval_score(truth, np.concatenate(usual)).total
    return Sheet(
        market=np.array([index for index, _, _ in rows], dtype=np.int64),
        kind=np.array([r.facts.kind for _, r, _ in rows], dtype=np.str_),
        metric=np.array([t.metric for _, _, t in rows], dtype=np.str_),
        family=np.array([t.family for _, _, t in rows], dtype=np.str_),
        horizon=np.array([t.horizon for _, _, t in rows], dtype=np.int64),
        identified=np.array([r.facts.is_identified for _, r, _ in rows], dtype=bool),
        evidence=np.array([evidence_class(r.facts.expected_error) for _, r, _ in rows], dtype=np.str_),
        allowed=np.array([t.is_allowed for _, _, t in rows], dtype=bool),
        grade=np.array([(row.grade or "") if row else "" for row in said], dtype=np.str_),
        refusal=np.array(
            [
                (row.refusal or "") if row else ("failed" if r.failure else "absent")
                for row, (_, r, _) in zip(said, rows, strict=True)
            ],
            dtype=np.str_,
        ),
        inside={coverage: covered(truth, stated, coverage) for coverage in COVERAGES},
        wis=weighted_interval_score(truth, stated),
        opponents=opponents,
    )


def _masks(sheet: Sheet, records: Sequence[Record]) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Group, name and targets of every row of the scoreboard."""
    every = np.ones(len(sheet.market), dtype=bool)
    masks = [("all", "all", every)]
    masks += [
        ("identified", "identified", sheet.identified),
        ("identified", "elsewhere", ~sheet.identified),
    ]
    masks += [("family", name, sheet.family == name) for name in FAMILIES]
    masks += [("identified_family", name, sheet.identified & (sheet.family == name)) for name in FAMILIES]
    masks += [("elsewhere_family", name, ~sheet.identified & (sheet.family == name)) for name in FAMILIES]
    masks += [("evidence", f"{name}", sheet.evidence == name) for name in EVIDENCE]
    metrics = dict.fromkeys(str(name) for name in sheet.metric)
    masks += [("metric", name, sheet.metric == name) for name in metrics]
    masks += [("horizon", str(days), sheet.horizon == days) for days in sorted(set(sheet.horizon.tolist()))]
    kinds = dict.fromkeys(record.facts.kind for record in records)
    masks += [("kind", name, sheet.kind == name) for name in kinds]
    return [row for row in masks if row[2].any()]


def _by_market(sheet: Sheet, mask: NDArray[np.bool_], values: FloatArray | NDArray[np.bool_], size: int) -> FloatArray:
    """Sum of `values` over the masked targets of each market, shape [market]."""
    sums = np.bincount(sheet.market[mask], weights=values[mask].astype(np.float64), minlength=size)
    return np.asarray(sums, dtype=np.float64)


def _ratio(top: FloatArray, bottom: FloatArray, weights: BootstrapWeights) -> Span:
    """sum(top) / sum(bottom) with its bootstrap interval; both have shape [market]."""
    if bottom.sum() <= 0:
        return Span(float("nan"), float("nan"), float("nan"))
    above, below = weights @ top, weights @ bottom
    drawn = above[below > 0] / below[below > 0]
    low, high = np.quantile(drawn, (0.05, 0.95))
    return Span(float(top.sum() / bottom.sum()), float(low), float(high))


def relative_score(own: FloatArray, other: FloatArray, weights: BootstrapWeights) -> Span:
    """Geometric mean over markets of own / other mean scores, shape [market]; markets without either are left out.

    A market in which the opponent is exactly right has no ratio and is left out too.
    """
    good = (own > 0) & (other > 0)
    logs = np.where(good, np.log(np.where(good, own, 1.0)) - np.log(np.where(good, other, 1.0)), 0.0)
    mean = _ratio(logs, good.astype(np.float64), weights)
    return Span(float(np.exp(mean.value)), float(np.exp(mean.low)), float(np.exp(mean.high)))


def _slice(sheet: Sheet, group: str, name: str, mask: NDArray[np.bool_], weights: BootstrapWeights) -> Slice:
    """One row of the scoreboard."""
    size = weights.shape[1]
    told = mask & sheet.answered
    counts = _by_market(sheet, told, np.ones(len(mask)), size)
    some = (counts > 0).astype(np.float64)

    def means(values: FloatArray) -> FloatArray:
        return _by_market(sheet, told, values, size) / np.maximum(counts, 1)

    own = means(sheet.wis.total)
    relative = {}
    for opponent in OPPONENTS:
        other = means(sheet.opponents[opponent])
        relative[opponent] = relative_score(own, np.where(np.isnan(other), 0.0, other), weights)
    return Slice(
        group=group,
        name=name,
        markets=len(np.unique(sheet.market[mask])),
        targets=int(mask.sum()),
        answered=int(told.sum()),
        coverage={c: _ratio(_by_market(sheet, told, sheet.inside[c], size), counts, weights) for c in COVERAGES},
        wis=_ratio(own, some, weights),
        dispersion=_ratio(means(sheet.wis.dispersion), some, weights).value,
        over=_ratio(means(sheet.wis.over), some, weights).value,
        under=_ratio(means(sheet.wis.under), some, weights).value,
        relative=relative,
    )


def _grades(sheet: Sheet, size: int) -> tuple[GradeLine, ...]:
    """Score by grade, visits_removed aside: it needs no evidence of diversion."""
    aside = sheet.metric != "visits_removed"
    once = np.ones((1, size))
    lines = []
    for grade, members in (("A/B", ("A", "B")), ("C", ("C",)), ("D", ("D",))):
        mask = aside & np.isin(sheet.grade, members) & sheet.answered
        if not mask.any():
            continue
        row = _slice(sheet, "grade", grade, mask, once)
        lines.append(
            GradeLine(
                grade=grade,
                targets=row.answered,
                identified=int((mask & sheet.identified).sum()),
                wis=row.wis.value,
                relative=row.relative["prior"].value,
                coverage_90=row.coverage[0.9].value,
                coverage_95=row.coverage[0.95].value,
            )
        )
    return tuple(lines)


def _alarms(records: Sequence[Record]) -> tuple[AlarmLine, ...]:
    """False alarms on markets in which nothing happened."""
    counts: dict[int, list[bool]] = {}
    for record in records:
        if record.facts.is_placebo:
            for (metric, _, horizon), row in record.said.items():
                if metric == "net_loss_visits" and row.quantiles is not None:
                    low, high = row.quantiles[LEVELS.index(0.05)], row.quantiles[LEVELS.index(0.95)]
                    counts.setdefault(horizon, []).append(low > 0 or high < 0)
    return tuple(AlarmLine(days, len(counts[days]), sum(counts[days])) for days in sorted(counts))


def _losses_found(records: Sequence[Record]) -> NDArray[np.bool_]:
    """Whether the 90 % interval of the net loss lies above 0, of each large loss within `FOUND_WITHIN` days."""
    found = []
    for record in records:
        if FOUND_WITHIN in record.facts.large_losses:
            row = record.said.get(("net_loss_visits", None, FOUND_WITHIN))
            found.append(row is not None and row.quantiles is not None and row.quantiles[LEVELS.index(0.05)] > 0)
    return np.array(found, dtype=np.bool_)


def _noise(records: Sequence[Record]) -> tuple[NoiseLine, ...]:
    """Noise of the truth by metric and horizon, where two futures were lived."""
    gaps: dict[tuple[str, int], list[float]] = {}
    for record in records:
        for target in record.facts.targets:
            if np.isfinite(target.other):
                key = (target.metric, target.horizon)
                gaps.setdefault(key, []).append((target.truth - target.other) / target.scale)
    lines = []
    for (metric, horizon), found in gaps.items():
        values = np.array(found) / np.sqrt(2)
        typical = float(np.median(np.abs(values))) / MEDIAN_OF_NORMAL
        lines.append(NoiseLine(metric, horizon, typical, float(np.sqrt(np.mean(values**2)))))
    return tuple(lines)


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float((part & whole).sum() / whole.sum()) if whole.any() else float("nan")


def _bars(
    sheet: Sheet,
    slices: Sequence[Slice],
    grades: Sequence[GradeLine],
    alarms: Sequence[AlarmLine],
    losses_found: NDArray[np.bool_],
    markets: int,
    question: str,
) -> tuple[Bar, ...]:
    """The bars of the protocol (design, section 8)."""
    found = {(row.group, row.name): row for row in slices}
    none = float("nan")

    def relative(group: str, name: str, opponent: Opponent = "prior") -> float:
        row = found.get((group, name))
        return row.relative[opponent].value if row else none

    answered, high_grade = sheet.answered, np.isin(sheet.grade, ("A", "B"))
    aside = sheet.metric != "visits_removed"
    dates, alarmed = sum(line.dates for line in alarms), sum(line.alarms for line in alarms)
    order = [line.wis for line in grades]
    enough = markets >= FEWEST_MARKETS
    rows = [
        ("coverage_90", found["all", "all"].coverage[0.9].value, 0.84, 0.96),
        ("prior_all", relative("all", "all"), 0.0, 0.85),
        ("prior_identified", relative("identified", "identified"), 0.0, 0.72),
        ("prior_elsewhere", relative("identified", "elsewhere"), 0.0, 1.0),
        (
            "prior_family",
            max(
                (value for value in (relative("family", name) for name in FAMILIES) if np.isfinite(value)), default=none
            ),
            0.0,
            1.0,
        ),
        ("climatology", relative("all", "all", "climatology"), 0.0, 0.90),
        ("unidentified_d", _share(sheet.grade == "D", answered & ~sheet.identified & aside), 0.8, 1.0),
        ("needless_refusals", _share(~answered, sheet.allowed), 0.0, 0.10),
        ("high_grade_outside", _share(~sheet.inside[0.95], answered & high_grade), 0.0, 0.08),
        ("identified_high_grade", _share(high_grade, sheet.identified & sheet.allowed), 0.6, 1.0),
        (
            "grade_order",
            float(all(a < b for a, b in pairwise(order))) if len(order) > 1 else none,
            1.0,
            1.0,
        ),
    ]
    bars = [_bar(*row, readable=enough) for row in rows]
    if question == "impact":
        bars.append(
            _bar("false_alarms", alarmed / dates if dates else none, 0.04, 0.15, readable=dates >= FEWEST_MARKETS)
        )
        found_share = float(losses_found.mean()) if losses_found.size else none
        bars.append(_bar("losses_found", found_share, 0.9, 1.0, readable=losses_found.size >= FEWEST_LOSSES))
    return tuple(bars)


def _bar(name: str, figure: float, low: float, high: float, *, readable: bool) -> Bar:
    passed = bool(low <= figure <= high) if readable and np.isfinite(figure) else None
    return Bar(name, figure, low, high, passed)
