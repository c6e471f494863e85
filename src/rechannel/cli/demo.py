"""`rechannel demo`: a made shop whose truth is known, measured and published beside what habit would have said."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rechannel.case import Run, new_case, open_case
from rechannel.cli.demo_place import check_free, made_at, moved
from rechannel.cli.demo_public import EXAMPLE, public_demo
from rechannel.cli.demo_screen import Told, show_twin
from rechannel.cli.progress import progress_of
from rechannel.cli.terminal import language, put, say
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.lab.kinds import Entry
from rechannel.lab.twin import twin_spec, write_twin
from rechannel.source.config import Assumption
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.wording import LANGUAGES, text

MARGIN = (0.08, 0.16)
"""90 % range of the twin's contribution margin as a share of GMV."""
OWN_HOST = "own"


def demo(folder: Path, seed: int, force: bool) -> int:
    """Make the twin, run it, and print one screen; then the public case."""
    for name in ("twin", EXAMPLE):
        check_free(folder / name, force)
    finished, told = make_twin_case(folder / "twin", seed)
    show_twin(finished, told)
    put()
    put(words("demo_reports"))
    for page in finished.pages:
        put(f"  {page}")
    public_demo(folder, force)
    say()
    say(words("demo_next", case=str(folder / "twin"), on=told.asked_on.isoformat()))
    return 0


def make_twin_case(target: Path, seed: int) -> tuple[Run, Told]:
    """Make the twin as a case at `target` and run it; what stood there is replaced once the new one is whole."""
    with made_at(target) as made:
        say(words("progress_make"))
        files = write_twin(made.parent / "files", seed)
        say(words("progress_read"))
        new_case(
            made,
            {
                "daily": files.daily,
                "events": files.events,
                "touches": files.touches,
                "rivals": files.rivals,
                "deals": files.deals,
            },
            name=words("demo_name"),
            channels=tuple(twin_channel(entry) for entry in twin_spec(seed).entries),
            margin=Assumption(*MARGIN, text("twin.margin_source", language())),
        )
        files.folder.rename(made / "files")
        case = open_case(made)
        finished = case.run(progress_of(case))
        truth = json.loads((made / "files" / "truth.json").read_text(encoding="utf-8"))
        told = Told(
            case.facts(), files.closed_channel, files.on, files.announced, truth["horizons"], truth["worth"], MARGIN
        )
    return moved(finished, made, target), told


def twin_channel(entry: Entry) -> Channel:
    """An entry of the twin as `case.toml` describes it."""
    names: dict[str, str] = {spoken: text(f"twin.{entry.name}", spoken) for spoken in LANGUAGES}
    return Channel(entry.name, names, host="" if entry.host == OWN_HOST else entry.host, kind=entry.kind)


command = Verb(
    "demo",
    demo,
    [
        argument("folder", type=click.Path(path_type=Path), default=Path("demo")),
        option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
        option("--force", is_flag=True),
    ],
)
