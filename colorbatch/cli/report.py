"""``colorbatch report``: write the before/after page of an output folder."""

import json
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colorbatch.cli import options, terminal
from colorbatch.environment import key_hidden
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.report import Report


@click.command("report")
@click.argument("output", type=options.PATH)
@click.option(
    "--source",
    type=options.PATH,
    metavar="DIR",
    help="Folder of the sources: the report shows them as the pictures before.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@options.jobs_option
@options.json_option
@options.quiet_option
def command(
    output: Path, source: Path | None, jobs: int | None, *, open_page: bool, as_json: bool, quiet: bool
) -> None:
    """Write OUTPUT/colorbatch-report/index.html: every picture before and after, with its row and what failed.

    OUTPUT is an output folder of colorbatch run, which may still be running. The page needs no network and no server.
    It shows which pictures to check first and keeps your marks, which you can save as decisions that every later run
    follows, or as lists for colorbatch run --only.

    \b
    Example:
      colorbatch report out/ --source old_photos/ --open
    """
    terminal.set_up_logging(verbose=False, quiet=quiet)
    written = write(output, source, jobs=jobs, quiet=quiet)
    if as_json:
        terminal.answer(json.dumps(asdict(written) | {"index": str(written.index)}))
    if open_page:
        with key_hidden():
            is_open = webbrowser.open(written.index.resolve().as_uri())
        if not is_open:
            terminal.say(f"No browser could be started. Open {printable(str(written.index))} in one.")


def write(
    output: Path, source: Path | None, *, jobs: int | None, memory_limit: int | None = None, quiet: bool
) -> "Report":
    """Write the report, show the progress, and print where the report is.

    Raises:
        ColorbatchError: as :func:`colorbatch.report.write_report`.

    """
    from colorbatch.cli.display import reporter
    from colorbatch.report import write_report

    with reporter(quiet=quiet) as progress:
        written = write_report(output, source, jobs=jobs, memory_limit=memory_limit, progress=progress)
    if not quiet:
        terminal.say(
            f"Report: {printable(str(written.index))} "
            f"({written.shown} of {written.sources} sources shown, {written.bytes / 1e6:.1f} MB)"
        )
    return written
