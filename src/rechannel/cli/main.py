"""The `rechannel` command: finds the verb, speaks the reader's language, turns every ending into an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import click
from click.exceptions import Exit, NoArgsIsHelpError

from rechannel import __version__
from rechannel.cli.commands import COMMANDS
from rechannel.cli.terminal import choose_language, put, say, say_error
from rechannel.cli.verb import lang_option, words
from rechannel.vocabulary.errors import CallError, RechannelError, nearest

INTERRUPTED = 130


class Verbs(click.Group):
    """The group whose commands are imported only when they are called."""

    def __init__(self) -> None:
        version = click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help=words("option_version"),
        )
        super().__init__("rechannel", params=[version, lang_option()], no_args_is_help=True)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's own signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise CallError("RC301", verb=args[0], nearest=nearest(args[0], list(COMMANDS)))
        return super().resolve_command(ctx, args)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        found = super().get_help_option(ctx)
        if found is not None:
            found.help = words("option_help")
        return found

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("rechannel", words("usage_pieces"), prefix=words("usage"))
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(words("about"))
        with formatter.section(words("verbs")):
            formatter.write_dl([(verb, words(f"verb_{verb}")) for verb in COMMANDS])
        records = [record for record in (param.get_help_record(ctx) for param in self.get_params(ctx)) if record]
        with formatter.section(words("options")):
            formatter.write_dl(records)


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        put(f"rechannel {__version__}")
        ctx.exit()


def run(arguments: Sequence[str]) -> int:
    """Carry out one call and return its exit code: 0 answered, 2 bad input or call, 1 our fault, 130 interrupted."""
    choose_language(arguments)
    group = Verbs()
    try:
        code = group.main(args=list(arguments), prog_name="rechannel", standalone_mode=False)
        sys.stdout.flush()
    except NoArgsIsHelpError as asked:
        put(asked.ctx.get_help() if asked.ctx else "")
        return 0
    except click.UsageError as error:
        say_error(_call_error(error))
        return 2
    except Exit as done:
        return done.exit_code
    except RechannelError as error:
        say_error(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say(words("interrupted"))
        return INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe (`| head`): nothing is left to say, and the flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("RECHANNEL_DEBUG"):
            raise
        detail = (str(error).splitlines() or [""])[0][:300]
        say_error(RechannelError("RC001", kind=type(error).__name__, detail=detail))
        return 1
    return code if isinstance(code, int) else 0


def _call_error(error: click.UsageError) -> CallError:
    """A usage error of click as one of ours, in the reader's language."""
    verb = (error.ctx.info_name if error.ctx else None) or "rechannel"
    shown = "" if verb == "rechannel" else verb
    if isinstance(error, click.NoSuchOption):
        known = [name for param in (error.ctx.command.params if error.ctx else []) for name in param.opts]
        return CallError("RC302", verb=shown, option=error.option_name, nearest=nearest(error.option_name, known))
    if isinstance(error, click.MissingParameter):
        name = error.param.make_metavar(error.ctx) if error.param and error.ctx else ""
        if error.param and error.param.param_type_name == "option":
            name = error.param.opts[0]
        return CallError("RC303", verb=shown, name=name)
    if isinstance(error, click.BadParameter):
        name = error.param.opts[0] if error.param else ""
        return CallError("RC304", verb=shown, name=name, detail=error.message)
    return CallError("RC300", verb=shown, detail=error.format_message())


def main() -> None:
    """Entry point of the `rechannel` script.

    The matrices here are small: threads of the linear algebra only wait for each other, and their number would change
    the last digits, so there is one whatever the environment says. Python's own warnings speak to programmers, with
    paths of this machine, and the word warning is kept for faults of the data: tests turn each one into an error, the
    screen shows them with RECHANNEL_DEBUG=1 or `python -W`.
    """
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    if not sys.warnoptions and not os.environ.get("RECHANNEL_DEBUG"):
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes of `lab`
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: Ctrl-C while Python ends would say otherwise
    sys.exit(code)
