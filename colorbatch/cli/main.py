"""The ``colorbatch`` command: imports its subcommands on demand, and maps failures to exit codes."""

import io
import logging
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from colorbatch.cli import terminal
from colorbatch.errors import ColorbatchError, ExitCode
from colorbatch.text import did_you_mean, printable, shell_quoted
from colorbatch.version import __version__

_SHORT_HELP = {
    "run": "Colour a folder of pictures.",
    "report": "Write a page that shows each picture before and after.",
    "retouch": "Open a page to correct colours in, by a few clicks.",
    "audit": "Prove that nothing is missing and only colour was added.",
    "models": "List the built-in models.",
    "preview": "Show one picture coloured in several ways, side by side.",
    "doctor": "Test what works on this machine.",
    "restore": "Restore grey JPEGs bit for bit from the coloured ones.",
    "sign": "Sign the outputs of a folder: Content Credentials (C2PA).",
    "package": "Write a finished folder as an archive takes it.",
    "merge": "Merge the shards of a job into one manifest.",
    "train": "Train a network on colour pictures.",
    "average": "Average several checkpoints.",
    "export": "Export a checkpoint as an ONNX model.",
    "adopt": "Make a model of a published network.",
    "verify": "Compare a model with its checkpoint.",
    "evaluate": "Measure a model on colour pictures.",
    "inspect": "Show the contract of a model file.",
}
"""What each command does; it stands here so that the list of commands imports none of them."""
COMMANDS = tuple(_SHORT_HELP)


_MEANT = {
    **dict.fromkeys(("color", "colour", "colorize", "colorise", "colourize", "colourise", "convert", "start"), "run"),
    **dict.fromkeys(("check", "compare"), "audit"),
    **dict.fromkeys(("help", "man", "usage"), "--help"),
    **dict.fromkeys(("list", "model"), "models"),
    **dict.fromkeys(("bag", "bagit", "zip"), "package"),
    **dict.fromkeys(("join", "combine"), "merge"),
    "version": "--version",
    "undo": "restore",
}
"""Words that are given instead of a command, which do not resemble it."""


class _Commands(click.Group):
    """A group that imports the module of a command only when that command is called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(f"No such command {printable(name)!r}. {_meant_by(name, args[1:])}".rstrip(), ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"colorbatch.cli.{cmd_name}").command
        command.short_help = _SHORT_HELP[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_SHORT_HELP.items()))


def _meant_by(name: str, others: Sequence[str]) -> str:
    """Return a question that names the command meant by an unknown one, with an example if that is a folder."""
    if name.lower() in ("help", "man", "usage") and others and others[0] in COMMANDS:
        return f"Did you mean colorbatch {others[0]} --help?"
    if meant := _MEANT.get(name.lower()):
        return f"Did you mean colorbatch {meant}?"
    if Path(name).exists():
        return f"Did you mean colorbatch run {shell_quoted(name)} OUTPUT?"
    return did_you_mean(name, COMMANDS)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="colorbatch")
def colorbatch() -> None:
    """Colour whole folders of black-and-white photographs.

    The photographs themselves are untouched: the outputs go into another folder, and only colour is added.

    Exit codes: 0 all done; 1 some pictures failed; 2 usage; 3 model refused; 4 environment; 5 output in use;
    6 parity failed; 70 a bug; 130 and 143 stopped by a signal.
    """


def main() -> None:
    """Run the command line and exit with one of the documented codes."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: its threads would compete with ours
    logging.captureWarnings(capture=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that a Windows code page lacks must not raise
            stream.reconfigure(errors="backslashreplace")
    try:
        code = colorbatch.main(prog_name="colorbatch", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort as abort:  # click's replacement for KeyboardInterrupt
        code = abort.__cause__.exit_code if isinstance(abort.__cause__, terminal.Interrupted) else ExitCode.SIGINT
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ColorbatchError as error:
        terminal.show_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = ExitCode.SIGINT
    except Exception as error:  # noqa: BLE001 (the last resort: a bug must not show its traceback)
        code = _report_bug(error)
    code = code if isinstance(code, int) else ExitCode.OK
    _close_streams()
    if _has_workers():
        os._exit(code)  # work that could not be aborted writes nothing any more, so do not wait for it
    sys.exit(code)


def _has_workers() -> bool:
    """Return whether threads that colour pictures are still running."""
    if "colorbatch.job" not in sys.modules:  # nothing was to be coloured; importing it would only delay the help
        return False
    from colorbatch.job import WORKER_NAME

    return any(thread.name.startswith(WORKER_NAME) for thread in threading.enumerate())


def _report_bug(error: Exception) -> ExitCode:
    """Write the traceback to a file and print its path in one line."""
    import tempfile
    import traceback

    where = "no file could be written for the traceback"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="colorbatch-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            traceback.print_exception(error, file=log)
            where = f"the traceback is in {log.name}"
    except OSError:
        pass
    message = f"colorbatch met a bug: {type(error).__name__}: {printable(str(error))}; {where}"
    terminal.say(message)
    return ExitCode.BUG


def _close_streams() -> None:
    """Flush stdout and stderr; if that fails, keep the interpreter from reporting it at exit."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is None:  # it was closed before the start
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
