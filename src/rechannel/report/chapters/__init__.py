"""The chapters of a report, in their order; a new chapter is a file with `build` and a row here."""

from __future__ import annotations

from rechannel.report.blocks import Build
from rechannel.report.chapters import (
    closure,
    data,
    declared,
    evidence,
    exposure,
    hindsight,
    impact,
    overview,
    record,
    worth,
)

CHAPTERS: tuple[Build, ...] = (
    record.build,
    overview.build,
    exposure.build,
    closure.build,
    declared.build,
    worth.build,
    impact.build,
    hindsight.build,
    evidence.build,
    data.build,
)
