"""``colorbatch retouch``: a page on this machine on which a person says what the network cannot know."""

import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from colorbatch.cli import options, terminal
from colorbatch.environment import key_hidden
from colorbatch.errors import UsageError
from colorbatch.job import ColorOptions, ProviderName
from colorbatch.text import printable

_STOPPING = "Stopping: a picture that is being made is finished first."


@click.command("retouch")
@click.argument("folders", nargs=-1, required=True, type=options.PATH, metavar="[SOURCE] OUTPUT")
@click.option(
    "--source", type=options.PATH, metavar="DIR", help="Folder of the photographs, if it is not given before OUTPUT."
)
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the page. [default: a free one]")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@click.option("--model", type=options.MODEL, help="A built-in model, or an .onnx file. [default: that of the outputs]")
@options.provider_option
@options.color_options
@options.quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    folders: tuple[Path, ...],
    source: Path | None,
    port: int | None,
    no_open: bool,
    model: str | None,
    provider: ProviderName,
    color: ColorOptions,
    quiet: bool,
) -> None:
    """Open a page on which you say what the network cannot know: this coat is green, leave that one grey.

    OUTPUT is an output folder of colorbatch run, or a new one. Only this machine can open the page, by the address on
    stdout. What you save is written to OUTPUT/colorbatch-retouch.jsonl, and the picture is made again as colorbatch
    run makes it; later runs keep it so. Without SOURCE, only the record is written, and the next run makes the
    pictures. No run can use OUTPUT meanwhile. Ctrl-C ends it.

    Model and settings are those of the outputs, unless you give others.

    \b
    Example:
      colorbatch retouch old_photos/ out/
      colorbatch retouch out/ --source old_photos/ --no-open --port 8000
    """
    from colorbatch.machine import keep_freed_memory
    from colorbatch.retouch.server import refuse_without_extra

    terminal.set_up_logging(verbose=False, quiet=quiet)
    keep_freed_memory()
    source, output = _folders_of(folders, source)
    refuse_without_extra()
    from colorbatch.retouch.made_with import Choices

    chosen: dict[str, Any] = {
        name: getattr(color, name)
        for name in vars(color)
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    has_saved = _serve(
        source, output, Choices(model, provider=provider, **chosen), port, opens=not no_open, quiet=quiet
    )
    if has_saved and source is not None:
        _update_report(output, source, quiet=quiet)


def _folders_of(folders: tuple[Path, ...], source: Path | None) -> tuple[Path | None, Path]:
    """Return source and output.

    Raises:
        UsageError: there are more than two, or the source is given twice.

    """
    if len(folders) > 2:
        raise UsageError("expected OUTPUT, or SOURCE and OUTPUT", advice="Put names with spaces in quotes.")
    if len(folders) == 2 and source is not None:
        raise UsageError("the source is given twice", advice="Remove --source.")
    return (folders[0] if len(folders) == 2 else source), folders[-1]


def _serve(source: Path | None, output: Path, choices: Any, port: int | None, *, opens: bool, quiet: bool) -> bool:  # noqa: ANN401
    """Serve the page until the user stops it; return whether a picture was made.

    Raises:
        ColorbatchError: the folder, the model or the port cannot be used.

    """
    from colorbatch.retouch.opening import Opening
    from colorbatch.retouch.server import held_address, serve

    with terminal.interruptible("" if quiet else _STOPPING) as interruption, held_address(port) as address:
        stdout = sys.stdout  # opening a model hides it from what ONNX Runtime prints, in all threads
        opening = Opening(source, output, choices, failed=interruption.event)
        try:
            opening.wait()
            interruption.is_at_work = True
            terminal.answer(address.url, stdout)
            if opens:  # in a thread, since a browser in a terminal returns only when it is left
                threading.Thread(target=_open, args=(address.url,), daemon=True).start()
            if not quiet:
                terminal.say(f"The pictures of {printable(str(output))} are at this address. Ctrl-C ends it.")
            serve(opening, address, interruption.event)
            session = opening.session()
        finally:
            opening.close()
    return session.has_saved


def _open(url: str) -> None:
    with key_hidden():
        is_open = webbrowser.open(url)
    if not is_open:
        terminal.say("No browser could be started. Open this address in one.")


def _update_report(output: Path, source: Path, *, quiet: bool) -> None:
    """Write the report of a folder again, if it has one."""
    from colorbatch.cli.report import write
    from colorbatch.store.report_folder import REPORT_FOLDER, is_report

    if is_report(output / REPORT_FOLDER):
        write(output, source, jobs=None, quiet=quiet)
