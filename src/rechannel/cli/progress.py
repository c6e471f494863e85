"""What a long call is doing: a line on stderr per question, before it is answered."""

from __future__ import annotations

from rechannel.answers.order import Progress
from rechannel.case import Case
from rechannel.cli.terminal import language, say
from rechannel.cli.verb import words
from rechannel.vocabulary.channel import name_of


def progress_of(case: Case) -> Progress | None:
    """Lines with the names of the case's channels; None for a case without `daily`, which takes no time."""
    if case.is_public:
        return None

    def tell(question: str, channel: str) -> None:
        say(words(f"progress_{question}", channel=name_of(channel, case.config.channels, language())))

    return tell
