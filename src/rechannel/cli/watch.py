"""`rechannel watch`: which channel is dying, for people and for schedulers; exit code 3 when one is flagged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from rechannel.case import open_case
from rechannel.cli.terminal import aligned, columns, language, put_json, say, wrapped
from rechannel.cli.verb import Verb, argument, option
from rechannel.evidence.watch import HORIZON_DAYS, Drop, WatchedChannel, Watching, watching_json
from rechannel.vocabulary.channel import Channel, name_of
from rechannel.vocabulary.numbers import chance, day, percent, with_span
from rechannel.vocabulary.wording import LANGUAGES, Language, text

SCHEMA = "rechannel.watch/1"
FLAGGED = 3
"""Exit code when a channel is flagged; no other verb has it."""


def watch(case: Path, json_file: str | None) -> int:
    """Judge every channel by the last day of the case."""
    opened = open_case(case)
    found, channels = opened.watch(), opened.config.channels
    here = language()
    say(text("watch.title", here, day=day(found.last, here), start=day(found.start, here)))
    head = [
        text(f"watch.head_{part}", here, days=str(HORIZON_DAYS))
        for part in ("channel", "probability", "since", "lost", "cause", "stake")
    ]
    for line in aligned(head, [_row(one, channels, here) for one in _ordered(found)], numbers=(1, 3, 5)):
        say(line)
    say()
    for sentence in sentences(found, channels, here):
        for line in wrapped(sentence, columns()):
            say(line)
    if json_file:
        told = {language: sentences(found, channels, language) for language in LANGUAGES}
        put_json({"schema": SCHEMA, "case": opened.config.name, **watching_json(found), "text": told}, json_file)
    return FLAGGED if found.flagged else 0


def _ordered(found: Watching) -> list[WatchedChannel]:
    """Flagged channels, then by probability; all channels at once only when there is something to say."""
    told = [one for one in found.channels if one.channel is not None or one.drop is not None]
    return sorted(told, key=lambda one: (not one.flagged, -one.probability))


def _name(one: WatchedChannel, channels: Sequence[Channel], here: Language) -> str:
    return text("watch.all_channels", here) if one.channel is None else name_of(one.channel, channels, here)


def _row(one: WatchedChannel, channels: Sequence[Channel], here: Language) -> list[str]:
    name = _name(one, channels, here)
    if one.state == "known":
        return [name, "", "", "", text("watch.state_known", here), ""]
    if one.state == "not_measured":
        seen = one.last_measured
        if seen is None:
            return [name, "", "", "", text("watch.state_never_measured", here), ""]
        return [name, "", "", "", text("watch.state_not_measured", here, day=seen.isoformat()), ""]
    drop = one.drop
    if drop is None:
        return [name, chance(one.probability), "", "", "", ""]
    cause = text(f"watch.cause_{drop.verdict}", here)
    return [name, chance(one.probability), drop.since.isoformat(), percent(drop.lost), cause, _stake(drop, here)]


def _stake(drop: Drop, here: Language) -> str:
    stake = drop.stake
    return "" if stake is None else with_span(stake.median, stake.low, stake.high, here)


def sentences(found: Watching, channels: Sequence[Channel], here: Language) -> list[str]:
    """One paragraph for each flagged channel, or that there is none."""
    told = []
    for one in _ordered(found):
        drop = one.drop
        if not one.flagged or drop is None:
            continue
        parts = [
            text(
                "watch.flag",
                here,
                channel=_name(one, channels, here),
                lost=percent(drop.lost),
                since=day(drop.since, here),
                probability=chance(one.probability),
                cause=text(f"watch.cause_{drop.verdict}", here),
                p_tracking=chance(drop.counting),
            )
        ]
        if drop.stake is not None:
            parts.append(text("watch.flag_stake", here, days=str(HORIZON_DAYS), stake=_stake(drop, here)))
        if drop.reasons:
            joiner = "; " if here == "en" else "；"
            reasons = joiner.join(text(f"watch.reason_{key}", here) for key in drop.reasons)
            parts.append(text("watch.why", here, reasons=reasons))
        told.append(("" if here != "en" else " ").join(parts))
    return told or [text("watch.nothing", here)]


command = Verb(
    "watch", watch, [argument("case", type=click.Path(path_type=Path)), option("--json", "json_file", metavar="F")]
)
