"""``colorbatch run`` with one file as its output: what it is asked for, and doing it."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from colorbatch.cli import terminal
from colorbatch.cli.options import Place
from colorbatch.errors import OutputUnwritableError, PictureError, UnreadablePictureError, UsageError, reason_of
from colorbatch.job import WORKER_NAME, BatchJob, BatchSummary
from colorbatch.location import Location, folder_of_all, is_local, shown
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.operations.one_file import SourceFile
    from colorbatch.records.row import Row

_T = TypeVar("_T")

logger = logging.getLogger(__name__)

_OF_FOLDERS = (
    *("include", "exclude", "strict_match", "only_list", "shard", "report", "dry_run", "trust_times", "fail_fast"),
    *("jobs", "memory_limit", "engine", "ray_address", "cpus_per_worker", "num_gpus_per_worker"),
    *("retouch", "ignore_retouch", "watch", "settle", "poll", "sign_cert", "sign_key", "tsa", "sign_strict"),
)
_OF_FILES = ("overwrite",)
"""Parameters that make sense only where the output is a folder, and only where it is a file. In a config file, they
are for other runs; but a dry run never writes."""
_STDIN, _STDOUT = Path("stdin"), Path("stdout")
_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class OneFile:
    """One file to be made from one."""

    source: Location | None
    """``None``: stdin."""
    output: Path | None
    """``None``: stdout."""

    @property
    def source_name(self) -> str:
        """Name of the source in messages."""
        return shown(self.source or _STDIN)


def asked_for(places: Sequence[Place]) -> OneFile | None:
    """Return what one file is to be made of; ``None``: the output is a folder.

    Raises:
        UsageError: the output is one file, but there are several sources, or it is in a store.

    """
    from colorbatch.formats import PICTURE_EXTENSIONS
    from colorbatch.store import open_store

    *sources, output = places
    has_dash = any(each.location is None for each in places)
    named = output.location
    looks_like_a_file = (
        named is not None
        and not output.is_folder
        and PurePosixPath(named.name).suffix.lower() in PICTURE_EXTENSIONS
        and not (is_local(named) and os.path.isdir(named))  # noqa: PTH112 (which raises no PermissionError)
    )
    if not has_dash and not looks_like_a_file:
        return None
    if len(sources) > 1:
        raise UsageError("several sources cannot become one file", advice="Give a folder as OUTPUT.")
    source = sources[0].location
    if not has_dash and source is not None and not open_store(source).is_itself_a_file():
        return None
    if named is not None and not is_local(named):
        raise UsageError(
            f"{shown(named)} is in a store, and a single file can only be written to this machine",
            advice="Give a folder of the store: the output gets the name of its source there.",
        )
    return OneFile(source, named)


def job_places(places: Sequence[Place], asked: OneFile | None) -> tuple[Location, Location, frozenset[str] | None]:
    """Return source and output of a job, and the files of the source if there are several.

    Raises:
        UsageError: several files cannot be the sources of one run.

    """
    if asked is not None:
        return asked.source or _STDIN, asked.output or _STDOUT, None
    *sources, output = (each.location for each in places)
    assert output is not None
    paths = [each for each in sources if is_local(each)]
    if len(sources) == 1:
        return sources[0] or _STDIN, output, None
    if len(paths) < len(sources):
        raise UsageError(
            "several sources must be files on this machine", advice="Give one folder of the store, and --only LIST."
        )
    folder, names = folder_of_all(paths)
    return folder, output, names


def refuse_unfit_options(ctx: click.Context, asked: OneFile | None) -> None:
    """Check that no option was given that makes no sense with one file, or with a folder; ``None``: that.

    Raises:
        UsageError: one was.

    """
    unfit, output, other = (_OF_FILES, "a folder", "a file") if asked is None else (_OF_FOLDERS, "a file", "a folder")
    for option in ctx.command.params:
        is_given = ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if option.name in unfit and (is_given or (option.name == "dry_run" and ctx.params["dry_run"])):
            raise UsageError(
                f"{max(option.opts, key=len)} cannot be used where the output is {output}",
                advice=f"Remove it, or give {other} as OUTPUT.",
            )


def refuse_streams(asked: OneFile, job: BatchJob, *, as_json: bool) -> None:
    """Check that stdin and stdout can be used as they are to be.

    Raises:
        UsageError: they cannot.

    """
    if asked.output is None and as_json:
        raise UsageError("--json and the picture cannot both be written to stdout", advice="Give OUTPUT a name.")
    if asked.output is None and job.sidecars == "copy":
        raise UsageError("--sidecars copy needs a file as OUTPUT", advice="Give OUTPUT a name, or --sidecars merge.")
    if job.preserve_times and (asked.source is None or asked.output is None):
        raise UsageError("--preserve-times needs a file as SOURCE and as OUTPUT: stdin and stdout have no times")
    for stream, is_used, name in ((sys.stdin, asked.source, "stdin"), (sys.stdout, asked.output, "stdout")):
        if is_used is None and stream is None:
            raise UsageError(f"{name} is closed", advice="Redirect it, or give the name of a file.")
        if is_used is None and stream.isatty():
            raise UsageError(f"{name} is a terminal, not a picture", advice="Redirect it, or give the name of a file.")


def make(asked: OneFile, job: BatchJob, *, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Make the file, and say what became of it.

    Raises:
        ColorbatchError: nothing was written.

    """
    from colorbatch.operations import one_file
    from colorbatch.run.batch import count
    from colorbatch.run.colorize import Encoded, row_of
    from colorbatch.run.plan import PlannedPicture
    from colorbatch.stages import StageTimer

    started = time.perf_counter()
    if asked.output is not None:
        one_file.refuse_output(asked.source, asked.output)
    summary, stages = BatchSummary(), StageTimer()
    try:
        with terminal.interruptible():
            colorizer = one_file.open_colorizer(job)
            summary.model, summary.provider = colorizer.session.contract.name, colorizer.session.provider
            with stages.timed("read") as cost:
                file = (
                    _from_stdin()
                    if asked.source is None
                    else one_file.read_source(asked.source, reads_sidecars=job.sidecars != "ignore")
                )
                cost.megabytes = len(file.content) / 1e6
            name = asked.output.name if asked.output is not None else ""
            result = _in_thread(lambda: one_file.colorize_one(file, name, job, colorizer, stages=stages))
            row = result.row
            if isinstance(result, Encoded):
                with stages.timed("write") as cost:
                    if asked.output is None:
                        _to_stdout(result.content)
                    else:
                        row = one_file.write(result, file, job, overwrite=overwrite)
                    cost.megabytes = len(result.content) / 1e6
        count(summary, row, kept=False)
    except PictureError as error:
        count(summary, row_of(PlannedPicture("", asked.source_name), "failed", error.in_full), kept=False)
        raise type(error)(f"{asked.source_name}: {error}", advice=error.advice) from error
    finally:
        summary.seconds, summary.stages = time.perf_counter() - started, stages.costs
        if as_json and (summary.done or summary.skipped or summary.failed):
            terminal.answer(json.dumps(asdict(summary)))
    for warning in row.warnings:
        logger.warning("%s: %s", printable(row.input), printable(warning))
    said = _said_of(row, asked)
    logger.info("%s", printable(said))
    if not quiet:
        terminal.say(printable(said))


def _said_of(row: "Row", asked: OneFile) -> str:
    """Return what became of the file, as a sentence."""
    if row.status == "skipped":
        return f"Skipped: {asked.source_name}: {row.reason}; nothing was written"
    made = "Copied" if row.output_sha256 == row.input_sha256 else "Coloured"
    return f"{made}: {shown(asked.output or _STDOUT)}, {row.width} x {row.height} pixels"


def _in_thread(work: Callable[[], _T]) -> _T:
    """Return the result of work in another thread, so that a signal ends the process while ONNX Runtime computes."""
    pool = ThreadPoolExecutor(1, thread_name_prefix=WORKER_NAME)
    future = pool.submit(work)
    try:
        while not wait([future], _SECONDS_BETWEEN_LOOKS).done:
            pass
    finally:
        pool.shutdown(wait=future.done())
    return future.result()


def _from_stdin() -> "SourceFile":
    """Return what is on stdin.

    Raises:
        UnreadablePictureError: it cannot be read.

    """
    from colorbatch.operations.one_file import SourceFile

    try:
        return SourceFile(_STDIN.name, sys.stdin.buffer.read())
    except (OSError, ValueError) as error:
        raise UnreadablePictureError(f"cannot read the file: {reason_of(error)}", advice="") from error


def _to_stdout(content: bytes) -> None:
    """Write a picture to stdout.

    Raises:
        OutputUnwritableError: it is closed or full.

    """
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:
        raise OutputUnwritableError(f"cannot write the picture to stdout: {reason_of(error)}", advice="") from error
