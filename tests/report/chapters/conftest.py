"""Chapters of real answers speak with the real sentences."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def made_sentences() -> None:
    """Stands in the way of the made sentences one folder up."""
