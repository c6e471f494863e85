"""What became of the files given to `new` and `add`: which export each is, what came from where, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rechannel.cli.terminal import aligned, language, say
from rechannel.cli.verb import words
from rechannel.source.assemble import Assembly, Lack
from rechannel.source.export import Export, Reason
from rechannel.source.join import Origin
from rechannel.source.placing import ReadFile
from rechannel.vocabulary.channel import METRICS, WHOLE_SHOP
from rechannel.vocabulary.wording import LANGUAGES, Language, text

NAMES_SHOWN = 4


def say_assembly(made: Assembly) -> None:
    """Files, origins of the metrics and what is missing, on stderr."""
    _say_files(made.files)
    if made.origins:
        _say_origins(made)
    for lack in made.lacks:
        say(_lack_line(lack, language()))


def _say_files(files: Sequence[ReadFile]) -> None:
    groups: dict[str, list[ReadFile]] = {}
    for file in files:
        if not file.unplaced:
            groups.setdefault(file.label, []).append(file)
    rows = []
    for alike in groups.values():
        first = alike[0]
        shown = first.file if len(alike) == 1 else text("intake.more_files", language(), count=str(len(alike)))
        read = ", ".join(f"{header} → {column}" for column, header in first.read.items())
        rows.append([_name_of(first, language()), shown, f"{sum(file.rows for file in alike):,}", read])
    header = [text(f"intake.head_{part}", language()) for part in ("export", "file", "rows", "read")]
    for line in aligned(header, rows, numbers=(2,)):
        say(line)
    for alike in groups.values():
        _say_left(alike)
    for file in files:
        if file.unplaced:
            args = {"file": file.file, "header": ", ".join(file.header[:10]), "exports": ", ".join(file.candidates)}
            say(f"{words('warning')} {text(f'intake.unplaced.{file.unplaced}', language(), **args)}")


def _say_left(alike: Sequence[ReadFile]) -> None:
    """Columns that look like a metric and are none, with the reason."""
    left: dict[Reason, list[str]] = {}
    for file in alike:
        for name, why in file.left.items():
            left.setdefault(why, []).append(name)
    parts = [
        f"{', '.join(dict.fromkeys(names))} ({text(f'intake.left.{why}', language())})" for why, names in left.items()
    ]
    if parts:
        export = _name_of(alike[0], language())
        say(f"  {text('intake.not_read', language(), export=export, names='; '.join(parts))}")


def _name_of(file: ReadFile, lang: Language) -> str:
    return file.names[lang] if file.names else file.label


def _say_origins(made: Assembly) -> None:
    names = {file.label: _name_of(file, language()) for file in made.files if file.label}
    rows = []
    for metric in METRICS:
        per_channel = _joined([o for o in made.origins if o.metric == metric and o.channels != (WHOLE_SHOP,)], names)
        whole = _joined([o for o in made.origins if o.metric == metric and WHOLE_SHOP in o.channels], names)
        if per_channel or whole:
            rows.append([metric, per_channel or "—", whole or "—"])
    if rows:
        say()
        header = [text(f"intake.head_{part}", language()) for part in ("metric", "per_channel", "whole_shop")]
        for line in aligned(header, rows):
            say(line)
    if made.counts:
        say(text("intake.counts", language(), counts=text(f"intake.count.{made.counts}", language())))


def _joined(origins: Sequence[Origin], names: Mapping[str, str]) -> str:
    parts = []
    for origin in origins:
        channels = [channel for channel in origin.channels if channel != WHOLE_SHOP]
        listed = ", ".join(channels[:NAMES_SHOWN]) + ("…" if len(channels) > NAMES_SHOWN else "")
        parts.append(f"{names.get(origin.label, origin.label)}" + (f" ({listed})" if channels else ""))
    return "; ".join(parts)


def _lack_line(lack: Lack, lang: Language) -> str:
    """What is missing, which questions it keeps from an answer, and the export that would supply it."""
    known = "whole_shop" if lack.whole_shop else "nowhere"
    exports = "; ".join(dict.fromkeys(_export_name(export, lang) for export in lack.exports))
    supply = text("intake.supplied", lang, exports=exports) if exports else text("intake.supply_column", lang)
    needs = text(f"intake.needs.{lack.metric}", lang)
    return text(f"intake.lack.{known}", lang, metric=lack.metric, needs=needs, supply=supply)


def _export_name(export: Export, lang: Language) -> str:
    return export.names.get(lang, export.label)


def assembly_json(made: Assembly) -> dict[str, object]:
    """The same as data."""
    return {
        "files": [
            {
                "file": file.file,
                "export": file.label or None,
                "rows": file.rows,
                "read": dict(file.read),
                "left": dict(file.left),
                "unplaced": file.unplaced or None,
                "candidates": list(file.candidates),
            }
            for file in made.files
        ],
        "origins": [
            {"metric": origin.metric, "export": origin.label, "channels": list(origin.channels)}
            for origin in made.origins
        ],
        "lacks": [
            {
                "metric": lack.metric,
                "whole_shop": lack.whole_shop,
                "exports": [export.label for export in lack.exports],
                "message": {lang: _lack_line(lack, lang) for lang in LANGUAGES},
            }
            for lack in made.lacks
        ],
        "visits_are": made.counts or None,
    }
