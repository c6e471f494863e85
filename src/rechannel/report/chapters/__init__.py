"""The chapters of a report, in their order; a new chapter is a file with `build` and a row here."""

from __future__ import annotations

from rechannel.report.blocks import Build
from rechannel.report.chapters import data, declared, evidence, impact, overview, record

CHAPTERS: tuple[Build, ...] = (
    record.build,
    overview.build,
    declared.build,
    impact.build,
    evidence.build,
    data.build,
)
