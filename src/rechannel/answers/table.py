"""All estimates of some answers as one table: a row is one metric, horizon and coordinate, answered or refused."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from rechannel.answers.answer import Answer
from rechannel.vocabulary.estimate import LEVELS, Estimate, Quantity, Refusal

QUANTILES = tuple(f"q{1000 * level:03.0f}" for level in LEVELS)
"""Names of the quantile columns: q025, q050, q100, ... for `LEVELS`."""

ESTIMATES = pa.schema(
    [
        ("file", pa.string()),
        ("question", pa.string()),
        *((name, pa.string()) for name in ("id", "metric", "channel", "market", "period", "method")),
        ("horizon_days", pa.int32()),
        *((name, pa.string()) for name in ("unit", "status", "grade")),
        *((name, pa.float64()) for name in ("contraction", "mean", *QUANTILES)),
        ("grade_reasons", pa.list_(pa.string())),
        ("refusal", pa.string()),
    ]
)
"""Columns; null = the estimate does not have it. `refusal` is the reason code, its sentence stands in the answer."""


def estimates_table(answers: Sequence[Answer], files: Sequence[str]) -> pa.Table:
    """The estimates of answers, in their order.

    Parameters
    ----------
    answers
        One or more answers of one case.
    files
        The name of each answer's file, the key back to all else it says.

    Returns
    -------
    Columns `ESTIMATES`; quantiles, mean and unit as in the answer.
    """
    rows = [
        {"file": file, "question": answer.question, **_row(estimate)}
        for answer, file in zip(answers, files, strict=True)
        for estimate in answer.estimates
    ]
    return pa.Table.from_pylist(rows, schema=ESTIMATES)


def _row(estimate: Estimate) -> dict[str, object]:
    row = estimate.to_json()
    value = estimate.value
    if isinstance(value, Quantity):
        row |= dict(zip(QUANTILES, value.quantiles.values, strict=True))
    row["refusal"] = value.code if isinstance(value, Refusal) else None
    return {name: row[name] for name in ESTIMATES.names if name in row}
