"""``colorbatch run``: colour a folder tree."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from colorbatch.cli import one_file, options, run_summary, terminal
from colorbatch.cli.config import config_option, effective_config, effective_settings
from colorbatch.cli.help import GroupedCommand
from colorbatch.errors import ExitCode, UsageError
from colorbatch.job import (
    AlreadyColor,
    BatchJob,
    ColorOptions,
    DigitalSourceType,
    DoubtfulColor,
    EngineName,
    JpegLuma,
    RayOptions,
    Sidecars,
)
from colorbatch.location import Location, is_local, shown
from colorbatch.text import printable
from colorbatch.version import __version__

logger = logging.getLogger(__name__)

_GROUPS = {
    "Everyday options": (
        "--model",
        "--vividness",
        "--already-color",
        "--doubtful-color",
        "--report",
        "--dry-run",
        "--look",
        "--quiet",
        "--verbose",
    ),
    "Colour": ("--strength", "--working-size", "--tta"),
    "Files": (
        *("--include", "--exclude", "--only", "--strict-match", "--salvage", "--max-megapixels"),
        *("--jpeg-luma", "--convert-profile", "--sidecars", "--retouch", "--no-retouch"),
        *("--preserve-times", "--trust-times", "--fail-fast", "--overwrite"),
    ),
    "A watched folder": ("--watch", "--watch-settle", "--watch-poll"),
    "Speed, and many machines": (
        *("--jobs", "--provider", "--memory-limit", "--gpu-memory", "--timeout", "--shard", "--engine"),
        *("--ray-address", "--cpus-per-worker", "--num-gpus-per-worker"),
    ),
    "Record": (
        *("--mark", "--digital-source-type", "--sign-cert", "--sign-key", "--tsa", "--sign-strict"),
        *("--json", "--log-file", "--config"),
    ),
}
_STOPPING = "Stopping: pictures in progress are finished if that takes no longer than a few seconds."


@click.command("run", cls=GroupedCommand, groups=_GROUPS)
@click.argument("places", nargs=-1, type=options.PLACE, metavar="SOURCE... OUTPUT", callback=options.refuse_too_few)
@options.model_option
@options.provider_option
@options.color_options
@options.jobs_option
@click.option(
    "--memory-limit",
    type=options.ByteCount(),
    metavar="SIZE",
    help="Memory for pictures in progress, such as 4GB. [default: half of the machine's]",
)
@click.option(
    "--gpu-memory",
    type=options.ByteCount(),
    metavar="SIZE",
    help="Maximum GPU memory, such as 2GB. [default: as needed]",
)
@click.option(
    "--already-color",
    type=options.Choice(get_args(AlreadyColor)),
    default=BatchJob.already_color,
    show_default=True,
    help="What to do with pictures in colour; toned ones do not count.",
)
@click.option(
    "--doubtful-color",
    type=options.Choice(get_args(DoubtfulColor)),
    default=BatchJob.doubtful_color,
    show_default=True,
    help="What to do with pictures that might be in colour, or only toned.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Colour only files with a matching name, or path if GLOB has a slash; may be repeated.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave matching files out; may be repeated.")
@click.option(
    "--strict-match",
    is_flag=True,
    help="Exit with 2 if a pattern matches nothing, or there are no pictures.",
)
@click.option(
    "--only",
    "only_list",
    type=options.PATH,
    metavar="LIST",
    help="Process only the files in this list, one path below SOURCE per line.",
)
@click.option(
    "--retouch",
    type=options.PATH,
    metavar="FILE",
    help="Retouch record to use instead of OUTPUT/colorbatch-retouch.jsonl.",
)
@click.option("--no-retouch", "ignore_retouch", is_flag=True, help="Ignore the retouch record.")
@click.option(
    "--sidecars",
    type=options.Choice(get_args(Sidecars)),
    default=BatchJob.sidecars,
    show_default=True,
    help="What to do with XMP files beside pictures, which hold captions.",
)
@click.option(
    "--shard",
    type=options.ShardOfJob(),
    help="Process one of N shards, to be merged at the end. auto: the task of a SLURM array.",
)
@click.option(
    "--engine",
    type=options.Choice(get_args(EngineName)),
    default=BatchJob.engine,
    show_default=True,
    help="Where pictures are processed.",
)
@click.option("--ray-address", metavar="auto|ADDRESS", help="The Ray cluster. [default: start one here]")
@click.option(
    "--cpus-per-worker",
    type=click.IntRange(min=1),
    default=RayOptions.cpus_per_worker,
    show_default=True,
    metavar="N",
    help="Cores per Ray worker.",
)
@click.option(
    "--num-gpus-per-worker",
    type=options.FiniteRange(min=0),
    metavar="F",
    help="GPUs per Ray worker. [default: 1 with cuda, else 0]",
)
@click.option(
    "--preserve-times",
    is_flag=True,
    help="Give outputs the times of their sources; local folders only.",
)
@click.option(
    "--trust-times",
    is_flag=True,
    help="Do not read files again whose sizes and times are unchanged.",
)
@click.option("--fail-fast", is_flag=True, help="Stop after the first picture that fails.")
@click.option("--overwrite", is_flag=True, help="Write over an OUTPUT that is a file.")
@click.option(
    "--max-megapixels",
    type=options.FiniteRange(min=0, min_open=True),
    default=BatchJob.max_megapixels,
    show_default=True,
    metavar="N",
    help="Larger pictures fail before they are decoded.",
)
@click.option(
    "--timeout",
    type=options.FiniteRange(min=0, min_open=True),
    default=BatchJob.timeout,
    show_default=True,
    metavar="SECONDS",
    help="A page that takes the model longer fails.",
)
@click.option("--salvage", is_flag=True, help="Colour the readable part of truncated pictures.")
@click.option(
    "--jpeg-luma",
    type=options.Choice(get_args(JpegLuma)),
    default=BatchJob.jpeg_luma,
    show_default=True,
    help="Copy the luma of JPEGs bit for bit, or re-encode it.",
)
@click.option(
    "--convert-profile",
    is_flag=True,
    help="Convert JPEGs with another tone curve to sRGB.",
)
@click.option(
    "--digital-source-type",
    type=options.Choice(get_args(DigitalSourceType)),
    default=BatchJob.digital_source_type,
    metavar="TERM",
    help="IPTC term for how outputs were made: compositeWithTrainedAlgorithmicMedia (the default) or "
    "algorithmicallyEnhanced.",
)
@click.option(
    "--mark/--no-mark", default=True, show_default=True, help="State in outputs that a model made their colours."
)
@click.option("--report", is_flag=True, help="Write a page that shows each picture before and after.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and how long it would take; write nothing.")
@click.option(
    "--look", is_flag=True, help="With --dry-run: open every picture, to find those in colour and broken ones."
)
@click.option("--watch", is_flag=True, help="Stay, and colour what arrives in SOURCE, until stopped.")
@click.option(
    "--watch-settle",
    "settle",
    type=options.FiniteRange(min=0),
    metavar="SECONDS",
    help="With --watch: time for which a file must not have changed. [default: 5]",
)
@click.option(
    "--watch-poll",
    "poll",
    type=options.FiniteRange(min=0, min_open=True),
    metavar="SECONDS",
    help="With --watch: look this often, as network drives need. [default: when the system tells of changes]",
)
@options.sign_options
@options.log_file_option
@config_option
@options.json_option
@options.quiet_option
@options.verbose_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    places: tuple[options.Place, ...],
    color: ColorOptions,
    overwrite: bool,
    digital_source_type: DigitalSourceType,
    mark: bool,
    only_list: Path | None,
    ray_address: str | None,
    cpus_per_worker: int,
    num_gpus_per_worker: float | None,
    report: bool,
    dry_run: bool,
    look: bool,
    watch: bool,
    settle: float | None,
    poll: float | None,
    log_file: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **settings: Any,  # noqa: ANN401 (the fields of BatchJob)
) -> None:
    """Colour every picture below SOURCE, a folder or files. The outputs get the same paths below OUTPUT.

    SOURCE is never modified, and a damaged picture does not stop the run. OUTPUT/colorbatch-manifest.jsonl records
    what happened to every file; a second run does only what is left. Both may be URLs, such as s3://bucket/photos.

    One file with an OUTPUT such as coloured.jpg makes that file and nothing else; - is stdin or stdout.

    \b
    Example:
      colorbatch run old_photos/ out/            # colour everything
      colorbatch run photo.jpg coloured.jpg      # colour one file
      colorbatch run -n old_photos/ out/         # only say what would happen
      colorbatch run --report --vividness 0.5 old_photos/ out/
    """
    from colorbatch.cli import watching
    from colorbatch.cli.display import reporter
    from colorbatch.machine import keep_freed_memory
    from colorbatch.run.batch import run_batch
    from colorbatch.run.only_list import read_list

    keep_freed_memory()
    if settings["retouch"] is not None and settings["ignore_retouch"]:
        raise UsageError("--retouch and --no-retouch exclude each other", advice="Remove one of them.")
    asked = one_file.asked_for(places)
    one_file.refuse_unfit_options(ctx, asked)
    source, output, files = one_file.job_places(places, asked)
    job = BatchJob(
        source,
        output,
        files=files,
        options=color,
        digital_source_type=digital_source_type if mark else None,
        only=None if only_list is None else read_list(only_list),
        ray=RayOptions(ray_address, cpus_per_worker, num_gpus_per_worker) if _has_ray_options(ctx) else None,
        **settings,
    )
    if log_file is not None:
        _refuse_unsafe_log(log_file, job)
    if asked is not None:
        one_file.refuse_streams(asked, job, as_json=as_json)
        terminal.set_up_logging(verbose=verbose, quiet=quiet, log_file=log_file)
        _log_start(ctx, job, quiet=quiet)
        one_file.make(asked, job, overwrite=overwrite, as_json=as_json, quiet=quiet)
        return
    if report and job.shard is not None:
        raise UsageError("a single shard cannot have a report", advice="Run colorbatch report after colorbatch merge.")
    if report and not is_local(job.output):
        raise UsageError(
            "a report cannot be written to an object store",
            advice="Copy the output to a local folder, and run colorbatch report there.",
        )
    how = watching.asked_for(watch=watch, settle=settle, poll=poll, dry_run=dry_run)
    if look and not dry_run:
        raise UsageError("--look needs --dry-run", advice="A run looks at every picture anyway.")
    if dry_run:
        from colorbatch.cli.plan import show_plan

        terminal.set_up_logging(verbose=verbose, quiet=quiet)
        show_plan(job, effective_settings(ctx), look=look, as_json=as_json, quiet=quiet)
        return
    terminal.set_up_logging(verbose=verbose, quiet=quiet, log_file=log_file)
    if report and is_local(job.output):
        from colorbatch.report import refuse_foreign_folder

        refuse_foreign_folder(job.output)
    _log_start(ctx, job, quiet=quiet)
    with terminal.interruptible("" if quiet else _STOPPING) as interruption, reporter(quiet=quiet) as progress:
        holding = terminal.HoldingProgress(progress, interruption)
        run = run_batch if how is None else watching.follower(job, how, report=report, quiet=quiet)
        summary = run(job, holding, interruption.event)
    if as_json:
        terminal.answer(json.dumps(asdict(summary)))
    run_summary.show(summary, job, quiet=quiet, verbose=verbose, wants_report=report)
    if report and not interruption.exit_code and is_local(job.output):
        from colorbatch.cli.report import write

        folder = job.source if is_local(job.source) and job.files is None else None
        write(job.output, folder, jobs=job.jobs, memory_limit=job.memory_limit, quiet=quiet)
    if (summary.stopped or how is not None) and interruption.exit_code:
        ctx.exit(interruption.exit_code)
    ctx.exit(ExitCode.PICTURES_FAILED if summary.failed else ExitCode.OK)


def _log_start(ctx: click.Context, job: BatchJob, *, quiet: bool) -> None:
    """Log what is asked for, and where options come from."""
    config = effective_config(ctx)
    if config is not None and not quiet:
        terminal.say(f"Options from {printable(str(config))}")
    logger.info("colorbatch %s: %s to %s", __version__, printable(shown(job.source)), printable(shown(job.output)))
    for name, (value, origin) in effective_settings(ctx).items():
        logger.log(logging.INFO if origin != "default" else logging.DEBUG, "%s = %s (%s)", name, value, origin)


def _has_ray_options(ctx: click.Context) -> bool:
    """Return whether an option for Ray was given, even with its default value."""
    names = ("ray_address", "cpus_per_worker", "num_gpus_per_worker")
    return any(ctx.get_parameter_source(name) is not ParameterSource.DEFAULT for name in names)


def _sources(job: BatchJob) -> Sequence[Location]:
    """Return the folder or the files that a job reads."""
    return [job.source] if job.files is None else [job.source / name for name in sorted(job.files)]


def _refuse_unsafe_log(log_file: Path, job: BatchJob) -> None:
    """Check that a log is not written into the source, among the outputs, or into a file that is not a log.

    Raises:
        UsageError: it would be.

    """
    from colorbatch.store.intersect import contains

    for folder, name, reason in (
        *((source, "source", "The source is never written to.") for source in _sources(job)),
        (job.output, "output folder", "Choose another place: there, audit wants every file to be in the manifest."),
    ):
        if not is_local(folder):
            continue
        if contains(folder, log_file) or log_file.absolute().is_relative_to(folder.absolute()):
            raise UsageError(f"the log file {log_file} is inside the {name}", advice=reason)
    if log_file.is_file() and not terminal.is_log(log_file):
        raise UsageError(f"{log_file} already exists and is not a log", advice="Choose another name for the log file.")
