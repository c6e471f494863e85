"""Evidence grades: how a number is identified, from A (randomised) to D (assumption)."""

from __future__ import annotations

from enum import StrEnum


class Grade(StrEnum):
    """How a number is identified.

    A randomised or geo test of this channel; B natural experiment on this channel that passes its checks;
    C indirect evidence; D assumption.
    """

    A = "A"
    B = "B"
    C = "C"
    D = "D"


SMALLEST_CONTRACTION = 0.2
"""Below this share of variance removed by data, a number is an assumption whatever evidence exists."""


def worst(*grades: Grade) -> Grade:
    """The lowest of the grades given; a cap is the worst of a grade and its cap.

    >>> worst(Grade.A, Grade.C)
    <Grade.C: 'C'>
    """
    return max(grades, key=lambda grade: grade.value)
