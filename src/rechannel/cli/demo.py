"""`rechannel demo`: a made shop whose truth is known, measured and published beside what habit would have said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from rechannel.answers.answer import Answer
from rechannel.case import Run, new_case, open_case
from rechannel.cli.demo_public import public_demo
from rechannel.cli.terminal import aligned, language, put, say
from rechannel.cli.verb import Verb, argument, option, words
from rechannel.lab.twin import TwinFiles, write_twin
from rechannel.vocabulary import numbers
from rechannel.vocabulary.channel import Channel
from rechannel.vocabulary.errors import CallError
from rechannel.vocabulary.estimate import Quantity

SHOWN_HORIZON = 90
TWIN_CHANNEL_NAMES = {
    "wechat_discover": {"zh-Hans": "微信发现-购物", "zh-Hant": "微信發現-購物", "en": "WeChat Discover entry"},
}


def demo(folder: Path, seed: int, force: bool) -> int:
    """Make the twin, run it, and print one screen."""
    target = folder / "twin"
    if target.exists() and any(target.iterdir()):
        if not force:
            raise CallError("RC327", path=str(target))
        if not (target / "case.toml").is_file():
            raise CallError("RC328", path=str(target))
        shutil.rmtree(target)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".twin-") as waiting:
        say(words("demo_making"))
        files = write_twin(Path(waiting) / "files", seed)
        say(words("demo_reading"))
        named = tuple(Channel(name, names) for name, names in TWIN_CHANNEL_NAMES.items())
        new_case(
            target,
            {
                "daily": files.daily,
                "events": files.events,
                "touches": files.touches,
                "rivals": files.rivals,
                "deals": files.deals,
            },
            name=words("demo_name"),
            channels=named,
        )
        shutil.move(Path(waiting) / "files", target / "files")
    say(words("demo_measuring"))
    finished = open_case(target).run()
    truth = json.loads((target / "files" / "truth.json").read_text(encoding="utf-8"))
    _screen(finished, files, truth)
    public_demo(folder, force)
    return 0


def _screen(finished: Run, files: TwinFiles, truth: dict[str, dict[str, dict[str, object]]]) -> None:
    """What happened, what was measured, what habit would have said, the truth, and where the pages are."""
    spoken = language()
    answer = next(item for item in finished.answers if item.question == "impact")
    row = answer.find("net_loss_visits", horizon=SHOWN_HORIZON)
    figures = truth["horizons"][str(SHOWN_HORIZON)]
    net_loss = figures["net_loss"]
    assert isinstance(net_loss, dict)
    say()
    say(
        words(
            "demo_happened",
            channel=files.closed_channel,
            on=numbers.day(files.on, spoken),
            announced=numbers.day(files.announced, spoken),
        )
    )
    lines: list[list[str]] = []
    if isinstance(row.value, Quantity):
        low, high = row.value.quantiles.interval()
        lines.append(
            [
                words("demo_measured"),
                numbers.number(row.value.quantiles.median, spoken, width=high - low),
                numbers.span(low, high, spoken),
                str(row.value.grade),
            ]
        )
    else:
        lines.append([words("demo_measured"), "", row.value.message(spoken), ""])
    for key, value in (
        ("truth", net_loss["visits"]),
        ("before_after", figures["before_after"]),
        ("last_touch", figures["last_touch"]),
    ):
        assert isinstance(value, int | float)
        lines.append([words(f"demo_{key}"), numbers.number(float(value), spoken), "", ""])
    header = [
        words("demo_head_what", days=str(SHOWN_HORIZON)),
        words("demo_head_visits"),
        words("ask_head_interval"),
        words("ask_head_grade"),
    ]
    for line in aligned(header, lines, numbers=(1,)):
        put(line)
    put()
    put(words("demo_verdict", verdict=_verdict(answer)))
    put(answer.text[spoken])
    put()
    for page in finished.pages:
        put(str(page))
    say()
    say(
        words(
            "demo_next", case=str(finished.folder.parent.parent), channel=files.closed_channel, on=files.on.isoformat()
        )
    )


def _verdict(answer: Answer) -> str:
    return words(f"verdict_{answer.verdict}") if answer.verdict else words("verdict_refused")


command = Verb(
    "demo",
    demo,
    [
        argument("folder", type=click.Path(path_type=Path), default=Path("demo")),
        option("--seed", type=int, default=0, show_default=True),
        option("--force", is_flag=True),
    ],
)
