"""The command line: `limner VERB`, one file a verb.

Verbs import what they need when they run, so that `--help` is instant. A user's mistake is one line on
stderr and exit code 2; an interrupted run ends with 128 + the signal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from limner import __version__
from limner.cli.augment import augment
from limner.cli.baseline import baseline
from limner.cli.check import check
from limner.cli.compare import compare
from limner.cli.compress import compress, decompress
from limner.cli.directions import directions
from limner.cli.dream import dream
from limner.cli.edit import edit
from limner.cli.evaluate import evaluate
from limner.cli.invert import invert
from limner.cli.judge import judge
from limner.cli.listing import listing
from limner.cli.recognise import recognise
from limner.cli.restore import restore
from limner.cli.sample import sample
from limner.cli.train import train
from limner.cli.translate import translate
from limner.cli.tune import tune
from limner.cli.verify import verify
from limner.core.errors import UserError, unknown
from limner.core.memory import keep_freed_memory

__all__ = ["app", "main", "run"]

BROKEN_PIPE = 1
"""As click ends when it notices first."""


class Verbs(click.Group):
    """The verbs in the order of use; a mistyped one is answered with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb.name or "", verb.get_short_help_str(200)) for verb in verbs])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown("verb", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with: limner check FOLDER, then limner train FOLDER --out RUN. Each verb's --help has examples.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Train an image generator on your own pictures, and use it."""


SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Make a model": (check, train, tune),
    "Use it": (sample, dream, invert, directions, edit, restore, translate, augment, compress, decompress),
    "Know how good it is": (evaluate, compare, judge, recognise, baseline, verify, listing),
}
for _verb in (verb for verbs in SECTIONS.values() for verb in verbs):
    app.add_command(_verb)


def main() -> NoReturn:
    """The program `limner`."""
    keep_freed_memory()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    try:
        code = app.main(list(arguments) or ["--help"], prog_name="limner", standalone_mode=False, obj=list(arguments))
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # whoever read our output has left: point stdout elsewhere, or Python complains at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return 130
    except (click.ClickException, UserError, OSError, MemoryError, RuntimeError) as error:
        line = _one_line(error, arguments)
        if line is None:
            raise
        click.echo(f"limner: {line}", err=True)
        return 2


def _one_line(error: Exception, arguments: Sequence[str]) -> str | None:
    """What to say of a mistake or of the machine's refusal; None if it is a bug of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, click.ClickException):
        verb = f" {arguments[0]}" if arguments and arguments[0] in app.commands else ""
        return f"{error.format_message().rstrip('.')}; see limner{verb} --help"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; try a smaller --batch or --size"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'writing'}: {error.strerror.lower()}; free some space or choose another place"
    return None
