"""A verb of the command line: its options, its help in three languages, and `--lang` on every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from rechannel.cli.terminal import language
from rechannel.vocabulary.wording import LANGUAGES, has_text, text


def words(key: str, /, **args: str) -> str:
    """A sentence of `cli.toml` in the language of this call."""
    return text(f"cli.{key}", language(), **args)


def lang_option() -> click.Option:
    """`--lang`, read before anything else by `terminal.choose_language`; here it is only checked and documented."""
    return click.Option(
        ["--lang"],
        type=click.Choice(LANGUAGES),
        expose_value=False,
        help=words("option_lang"),
        metavar="|".join(LANGUAGES),
    )


# click hands on whatever a parameter takes, so its own signature is Any.
def option(*names: str, **settings: Any) -> click.Option:
    """An option whose help is `option_<name>` of `cli.toml`."""
    if "help" not in settings:
        long = next(name for name in names if name.startswith("--"))
        settings["help"] = words(f"option_{long.removeprefix('--').replace('-', '_')}")
    return click.Option(list(names), **settings)


def argument(name: str, **settings: Any) -> click.Argument:
    """A positional argument; shown in capitals."""
    return click.Argument([name], **settings)


class Verb(click.Command):
    """One verb.

    Parameters
    ----------
    name
        The verb; `about_<name>` and `example_<name>` of `cli.toml` are its help.
    callback
        Called with the parameters by name; what it returns as int is the exit code, None is 0.
    params
        Made by `argument` and `option`; `--lang` is added.
    """

    def __init__(self, name: str, callback: Callable[..., int | None], params: Sequence[click.Parameter]) -> None:
        super().__init__(name, params=[*params, lang_option()], callback=callback, add_help_option=True)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        found = super().get_help_option(ctx)
        if found is not None:
            found.help = words("option_help")
        return found

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), prefix=words("usage"))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's own signature)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(words(f"about_{self.name}"))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [
            record for record in (param.get_help_record(ctx) for param in self.get_params(ctx)) if record and record[1]
        ]
        with formatter.section(words("options")):
            formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        if not has_text(f"cli.example_{self.name}"):
            return
        with formatter.section(words("examples")):
            for line in words(f"example_{self.name}").splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
