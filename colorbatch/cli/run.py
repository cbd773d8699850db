"""``colorbatch run``: colour a folder tree."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from colorbatch.cli import options, terminal
from colorbatch.errors import ExitCode
from colorbatch.job import AlreadyColor, BatchJob, BatchSummary, ColorOptions, ProviderName
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
    source: Path,
    output: Path,
    model: str,
    provider: ProviderName,
    color: ColorOptions,
    jobs: int | None,
    already_color: AlreadyColor,
    max_megapixels: float,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool,
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
    job = BatchJob(source, output, model, provider, color, jobs, already_color, max_megapixels)
    with terminal.interruptible() as interruption, terminal.reporter(quiet=quiet) as progress:
        summary = run_batch(job, progress, interruption.event)
    if as_json:
        terminal.answer(json.dumps(asdict(summary)))
    if not quiet or summary.failed:
        _show(summary, output, with_failures=quiet)
    if summary.stopped:
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
