"""``colorbatch run``: colour a folder tree."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import ExitCode
from colorbatch.job import AlreadyColor, BatchJob, BatchSummary, ColorOptions
from colorbatch.progress import printable

_FAILURES_SHOWN = 10


@click.command("run", short_help="Colour a folder of pictures.")
@click.argument("source", type=options.PATH)
@click.argument("output", type=options.PATH)
@options.model_option
@options.provider_option
@options.color_options
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Pictures at the same time. [default: cores]")
@click.option(
    "--already-color",
    type=click.Choice(get_args(AlreadyColor)),
    default=BatchJob.already_color,
    show_default=True,
    help="What becomes of pictures that are in colour; toned ones are not.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Colour only files of this name, or, with a slash in it, of this path; may be given several times.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave such files out, also of those included.")
@click.option("--fail-fast", is_flag=True, help="Stop after the first picture that fails.")
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    default=BatchJob.max_megapixels,
    show_default=True,
    help="A picture, or a page, of more pixels fails before it is decoded.",
)
@options.json_option
@options.quiet_option
@options.verbose_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    color: ColorOptions,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **settings: Any,  # noqa: ANN401 (the fields of BatchJob)
) -> None:
    """Colour every picture below SOURCE, a folder or one file, into the same place below OUTPUT.

    SOURCE is never written to. One broken picture does not stop the others. OUTPUT/colorbatch-manifest.jsonl says of
    every file what became of it, and a second run does only what is left to do.

    \b
    Example:
      colorbatch run old_photos/ out/
    """
    from colorbatch.batch import run_batch

    terminal.set_up_logging(verbose=verbose, quiet=quiet)
    job = BatchJob(options=color, **settings)
    with terminal.interruptible() as interruption, terminal.reporter(quiet=quiet) as progress:
        summary = run_batch(job, progress, interruption.event)
    if as_json:
        terminal.answer(json.dumps(asdict(summary)))
    if not quiet or summary.failed:
        _show(summary, job.output, with_failures=quiet)
    if summary.stopped and interruption.exit_code:
        ctx.exit(interruption.exit_code)
    ctx.exit(ExitCode.PICTURES_FAILED if summary.failed else ExitCode.OK)


def _show(summary: BatchSummary, output: Path, *, with_failures: bool) -> None:
    """Print the closing lines; the failures too when they were not shown as they came."""
    rate = summary.coloured / summary.seconds if summary.seconds else 0.0
    lines = [
        f"{summary.coloured} coloured, {summary.kept} already there, {summary.skipped} skipped, "
        f"{summary.failed} failed in {summary.seconds:.1f} s "
        f"({rate:.1f} pictures/s, {summary.megapixels:.1f} MP, model {summary.model} on {summary.provider})"
    ]
    if with_failures:
        shown = summary.failures[:_FAILURES_SHOWN]
        lines += [f"  failed: {printable(name)}: {printable(reason)}" for name, reason in shown]
        if summary.failed > len(shown):
            lines.append(f"  and {summary.failed - len(shown)} more, all in the manifest")
    if summary.stopped:
        lines.append(f"Stopped: {summary.not_reached} left. Run the same command again to go on.")
    lines.append(f"Manifest: {printable(str(output / 'colorbatch-manifest.jsonl'))}")
    terminal.say("\n".join(lines))
