"""``colorbatch restore``: restore the grey pictures."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from colorbatch.cli import options, terminal
from colorbatch.text import printable


@click.command("restore")
@click.argument("output", type=options.PATH)
@click.argument("destination", type=options.PATH)
@options.json_option
@options.quiet_option
def command(output: Path, destination: Path, *, as_json: bool, quiet: bool) -> None:
    """Write the grey picture of each JPEG below OUTPUT, a folder that colorbatch run wrote to, below DESTINATION.

    A JPEG that was coloured with --jpeg-luma exact holds the coded luma of its source, so the restored file decodes to
    exactly the source's luma. EXIF and other metadata stay in the coloured output. Nothing is overwritten, and a
    DESTINATION that holds sources of the run is refused.

    \b
    Example:
      colorbatch restore out/ grey_again/
    """
    from colorbatch.cli.display import reporter
    from colorbatch.operations.restore import restore_batch

    terminal.set_up_logging(verbose=False, quiet=quiet)
    with reporter(quiet=quiet) as progress:
        found = restore_batch(output, destination, progress)
    if as_json:
        terminal.answer(json.dumps(asdict(found)))
    elif not quiet:
        for name, reason in found.left_out:
            terminal.say(f"Not restored: {printable(name)}: {printable(reason)}")
        terminal.say(f"{found.restored} restored, {len(found.left_out)} not restored")
