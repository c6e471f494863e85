"""`rechannel compare`: what two runs of a case say about the same things, and whether forecasts held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from rechannel.answers.foreseen import Changed, Foreseen, changes, foreseen, pairs
from rechannel.answers.stored import StoredAnswer, find_run, read_answers
from rechannel.case import open_case
from rechannel.cli.terminal import aligned, language, put, put_json, say
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.report import phrases
from rechannel.source.config import CaseConfig
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import name_of
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Quantiles, Quantity, Refusal
from rechannel.vocabulary.wording import text

SCHEMA = "rechannel.comparison/1"


def compare(case: Path, older: str, newer: str, json_file: str | None) -> int:
    """Read both runs, pair their answers, and show rows that differ and forecasts beside what came."""
    opened = open_case(case)
    runs = opened.folder.runs()
    first, second = find_run(runs, older), find_run(runs, newer)
    if first == second:
        raise CallError("RC373", run=first.name)
    before, after = read_answers(first), read_answers(second)
    shared = [(old, new) for new in after for old in before if _key(old) == _key(new)]
    differing = [(new, [row for row in changes(old, new) if row.change != "same"]) for old, new in shared]
    held = [(after[k], foreseen(before[i], after[k])) for i, k in pairs(before, after)]
    if json_file:
        put_json(_as_json(first.name, second.name, differing, held), json_file)
    if json_file != "-":
        _show(first.name, second.name, opened.config, shared, differing, held)
    return 0


def _key(answer: StoredAnswer) -> tuple[object, ...]:
    """What makes two answers answers to one question: everything asked but the horizons."""
    return answer.question, *sorted((key, value) for key, value in answer.asked.items() if key != "horizons")


def _show(
    first: str,
    second: str,
    config: CaseConfig,
    shared: Sequence[tuple[StoredAnswer, StoredAnswer]],
    differing: Sequence[tuple[StoredAnswer, Sequence[Changed]]],
    held: Sequence[tuple[StoredAnswer, Sequence[Foreseen]]],
) -> None:
    """Questions that both answer, rows that differ, forecasts beside what came."""
    say(words("compare_shared", older=first, newer=second, count=str(len(shared))))
    moved = [(answer, rows) for answer, rows in differing if rows]
    if not moved:
        say(words("compare_same"))
    for answer, rows in moved:
        put()
        put(_title(answer, config))
        header = [words(f"compare_head_{name}") for name in ("metric", "when", "before", "after", "change")]
        for line in aligned(header, [_changed(row, config) for row in rows]):
            put(line)
    for answer, numbers_foreseen in held:
        if not numbers_foreseen:
            continue
        inside = sum(one.standing == "inside" for one in numbers_foreseen)
        put()
        put(_title(answer, config))
        put(words("compare_held", inside=str(inside), count=str(len(numbers_foreseen))))
        header = [words(f"compare_head_{name}") for name in ("metric", "when", "forecast", "came", "standing")]
        for line in aligned(header, [_foreseen(one, config) for one in numbers_foreseen]):
            put(line)


def _title(answer: StoredAnswer, config: CaseConfig) -> str:
    """Question, channel, market and day."""
    spoken = language()
    parts = [text(f"report.question.{answer.question}", spoken)]
    if channel := answer.asked.get("channel"):
        parts.append(name_of(channel, config.channels, spoken))
    parts += [answer.asked[key] for key in ("market", "on") if key in answer.asked]
    return " · ".join(parts)


def _changed(one: Changed, config: CaseConfig) -> list[str]:
    spoken, row = language(), one.row
    name = phrases.row_name(row, spoken)
    if row.channel:
        name = f"{name} → {name_of(row.channel, config.channels, spoken)}"
    grades = " → ".join(str(grade) if grade else "–" for grade in dict.fromkeys(one.grades))
    change = words(f"compare_{one.change}")
    return [
        name,
        _when(row.period, row.horizon_days),
        *(_value(value, row.unit) for value in (one.before, one.after)),
        f"{change} ({grades})" if spoken == "en" else f"{change}（{grades}）",
    ]


def _foreseen(one: Foreseen, config: CaseConfig) -> list[str]:  # noqa: ARG001 (rows of both tables are made alike)
    spoken = language()
    said = [_span(quantiles, one.unit) for quantiles in (one.forecast, one.measured)]
    name = phrases.metric_name(one.metric, spoken)
    return [name, _when(None, one.horizon_days), *said, words(f"compare_standing_{one.standing}")]


def _when(period: str | None, horizon: int | None) -> str:
    if period:
        return phrases.period_name(period, language())
    return text("report.horizon", language(), days=str(horizon)) if horizon else ""


def _value(value: Quantity | Refusal, unit: str) -> str:
    return _span(value.quantiles, unit) if isinstance(value, Quantity) else words("compare_none", code=value.code)


def _span(quantiles: Quantiles, unit: str) -> str:
    """The median with its 90 % interval."""
    low, high = quantiles.interval()
    if unit == "share":
        return f"{numbers.percent(quantiles.median, width=high - low)} ({numbers.percent_span(low, high)})"
    return numbers.with_span(quantiles.median, low, high, language())


def _as_json(
    first: str,
    second: str,
    differing: Sequence[tuple[StoredAnswer, Sequence[Changed]]],
    held: Sequence[tuple[StoredAnswer, Sequence[Foreseen]]],
) -> dict[str, object]:
    """Everything shown, as data."""
    return {
        "schema": SCHEMA,
        "older": first,
        "newer": second,
        "answers": [
            {
                "question": answer.question,
                "asked": dict(answer.asked),
                "changed": [
                    {
                        "id": one.row.estimate_id,
                        "change": one.change,
                        "before": _json_of(one.before),
                        "after": _json_of(one.after),
                    }
                    for one in rows
                ],
            }
            for answer, rows in differing
        ],
        "forecasts": [
            {
                "asked": dict(answer.asked),
                "inside": sum(one.standing == "inside" for one in rows),
                "numbers": [
                    {
                        "metric": one.metric,
                        "horizon_days": one.horizon_days,
                        "unit": one.unit,
                        "forecast": one.forecast.to_json(),
                        "measured": one.measured.to_json(),
                        "standing": one.standing,
                    }
                    for one in rows
                ],
            }
            for answer, rows in held
        ],
    }


def _json_of(value: Quantity | Refusal) -> dict[str, object]:
    if isinstance(value, Refusal):
        return {"refusal": value.code}
    return {"quantiles": value.quantiles.to_json(), "grade": value.grade.value}


command = Verb(
    "compare",
    compare,
    [
        argument("case", type=click.Path(path_type=Path)),
        argument("older", metavar="RUN"),
        argument("newer", metavar="RUN"),
        option("--json", "json_file", metavar="F"),
    ],
)
