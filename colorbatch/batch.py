"""Colour a whole tree: one row for each source, and no picture stops the others."""

import errno
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from colorbatch import atomic, manifest
from colorbatch.colorizer import Colorizer
from colorbatch.discovery import PlannedPicture, plan_batch
from colorbatch.errors import OutputUnwritableError, PictureError, UnreadablePictureError, UnsafeOutputError, UsageError
from colorbatch.formats import decode, encode
from colorbatch.job import AlreadyColor, BatchJob, BatchSummary, Status
from colorbatch.manifest import Manifest, Row
from colorbatch.model_file import ModelFile, read_model_file
from colorbatch.progress import ProgressReporter, SilentProgress, printable
from colorbatch.session import Session
from colorbatch.toning import measure_tone
from colorbatch.version import __version__

logger = logging.getLogger(__name__)

NOT_REACHED = "not reached: the run was stopped before it"
IN_COLOUR = "it is in colour already"
_QUEUED_FOR_EACH_WORKER = 2
_ENDS_THE_RUN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""Write failures that the next picture would meet as well."""


@dataclass(frozen=True)
class _Work:
    """What every picture of a run shares."""

    output: Path
    colorizer: Colorizer
    model: ModelFile
    settings_sha256: str
    previous: Mapping[str, Row]
    already_color: AlreadyColor
    max_megapixels: float


def run_batch(
    job: BatchJob, progress: ProgressReporter | None = None, stop: threading.Event | None = None
) -> BatchSummary:
    """Colour every picture of ``job.source`` into ``job.output`` and write the manifest.

    A picture that fails becomes a ``failed`` row; the run goes on. Outputs of an earlier run stay when source, model
    and settings are unchanged. When ``stop`` is set, pictures in work are finished and the rest is left for the next
    run.

    Raises:
        UsageError: source or output cannot be used; nothing was written.
        ModelRefusedError: the model does not keep the contract; nothing was written.
        EnvironmentFailure: ONNX Runtime or the provider is missing, or the output cannot be written.

    """
    progress = progress or SilentProgress()
    stop = stop or threading.Event()
    if job.jobs is not None and job.jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {job.jobs}")
    started = time.perf_counter()
    plan = plan_batch(job.source, job.output, job.include, job.exclude)
    model = read_model_file(job.model)
    cores = os.cpu_count() or 1
    workers = job.jobs or cores
    session = Session(model, job.provider, threads=max(1, cores // workers))
    colorizer = Colorizer(session, job.options)
    summary = BatchSummary(provider=session.provider, model=model.contract.name)

    with Manifest(job.output) as record:
        work = _Work(
            job.output,
            colorizer,
            model,
            _settings_sha256(colorizer, job.already_color),
            record.previous,
            job.already_color,
            job.max_megapixels,
        )
        progress.begin(len(plan), "Colouring")
        try:
            for row, kept in _rows(plan, work, workers, stop):
                record.append(row)
                logger.info("%s: %s %s", printable(row.input), row.status, "(kept)" if kept else printable(row.reason))
                _count(summary, row, kept=kept)
                if row.status == "failed":
                    progress.message(f"Failed: {row.input}: {row.reason}")
                    if job.fail_fast:
                        stop.set()
                progress.advance()
        finally:
            progress.end()
            remaining = [_not_reached(each, record.previous) for each in plan if each.input not in record]
            record.finish(remaining)
    for row in remaining:
        _count(summary, row, kept=True)
    summary.not_reached = sum(row.reason == NOT_REACHED for row in remaining)
    summary.stopped = stop.is_set() and bool(remaining)
    summary.seconds = time.perf_counter() - started
    return summary


def _rows(
    plan: Sequence[PlannedPicture], work: _Work, workers: int, stop: threading.Event
) -> Iterator[tuple[Row, bool]]:
    """Yield the row of each picture as it is finished, and whether its output was there already.

    Raises:
        OutputUnwritableError: no further output can be written; raised after the pictures in work are finished.

    """
    upcoming = iter(plan)
    pending: set[Future[tuple[Row, bool]]] = set()
    failure: OutputUnwritableError | None = None
    with ThreadPoolExecutor(workers, thread_name_prefix="colour") as pool:
        while True:
            if stop.is_set() or failure is not None:
                pending -= {future for future in pending if future.cancel()}
            else:
                free = workers * _QUEUED_FOR_EACH_WORKER - len(pending)
                pending |= {pool.submit(_colour, planned, work) for planned in islice(upcoming, free)}
            if not pending:
                break
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                try:
                    yield future.result()
                except OutputUnwritableError as error:
                    failure = failure or error
    if failure is not None:
        raise failure


def _colour(planned: PlannedPicture, work: _Work) -> tuple[Row, bool]:
    """Make the output of one source; return its row, and whether the output was there already.

    Raises:
        OutputUnwritableError: for a reason that the next picture would meet as well.

    """
    if planned.verdict != "colour":
        return _row(planned, planned.verdict, planned.reason), False
    started = time.perf_counter()
    try:
        row, kept = _make_output(planned, work)
    except PictureError as error:
        return _failed(planned, work, f"{error}. {error.advice}" if error.advice else str(error)), False
    except OutputUnwritableError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _ENDS_THE_RUN:
            raise
        return _failed(planned, work, str(error)), False
    except MemoryError:
        return _failed(planned, work, "it needs more memory than there is"), False
    except Exception as error:
        logger.exception("A bug in colorbatch, met at %s", printable(planned.input))
        return _failed(planned, work, f"a bug in colorbatch: {type(error).__name__}: {error}"), False
    return (row if kept else replace(row, seconds=round(time.perf_counter() - started, 4))), kept


def _make_output(planned: PlannedPicture, work: _Work) -> tuple[Row, bool]:
    """Read, colour and write one picture."""
    try:
        data = planned.source.read_bytes()
    except OSError as error:
        raise UnreadablePictureError(f"cannot read the file: {error.strerror or error}") from error
    input_sha256 = hashlib.sha256(data).hexdigest()
    previous = work.previous.get(planned.input)
    made_from = (input_sha256, work.model.sha256, work.settings_sha256)
    if previous is not None and _is_current(previous, planned, made_from, work.output):
        return previous, True

    picture = decode(data, work.max_megapixels)
    facts = {
        "input_sha256": input_sha256,
        "input_bytes": len(data),
        "width": picture.first.width,
        "height": picture.first.height,
        "bits": picture.first.bits,
        "frames": len(picture.frames),
        "model": work.model.contract.name,
        "model_sha256": work.model.sha256,
        "settings_sha256": work.settings_sha256,
        "warnings": list(picture.warnings),
    }
    for warning in picture.warnings:
        logger.warning("%s: %s", printable(planned.input), warning)
    name, reason, encoded = planned.output_name, "", b""
    if work.already_color != "recolor" and any(measure_tone(frame.pixels).is_colour for frame in picture.frames):
        if work.already_color == "skip":
            return _row(planned, "skipped", IN_COLOUR, **facts), False
        name, reason, encoded = planned.input, f"{IN_COLOUR}, copied as it is", data
    else:
        encoded = encode(work.colorizer.colorize(picture))
        facts["provider"] = work.colorizer.session.provider
    output_sha256 = hashlib.sha256(encoded).hexdigest()
    made_by_us = previous is not None and previous.output == name
    _write(work.output / name, encoded, output_sha256, work.output, may_replace=made_by_us)
    return _row(planned, "done", reason, output=name, output_sha256=output_sha256, **facts), False


def _is_current(previous: Row, planned: PlannedPicture, made_from: tuple[str, str, str], folder: Path) -> bool:
    """Return whether a row still tells the truth: same source, model and settings, and its output as it was made."""
    if made_from != (previous.input_sha256, previous.model_sha256, previous.settings_sha256):
        return False
    if previous.status == "skipped":
        return previous.reason == IN_COLOUR
    return (
        previous.status == "done"
        and previous.output in (planned.output_name, planned.input)
        and previous.output_sha256 is not None
        and previous.output_sha256 == manifest.sha256_of(folder / str(previous.output))
    )


def _write(target: Path, encoded: bytes, sha256: str, folder: Path, *, may_replace: bool) -> None:
    """Write an output below ``folder``, over nothing that colorbatch did not make.

    A run that was killed between output and row leaves an output without a row: since equal sources give equal bytes,
    it is known by its sha256 and kept.
    """
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise UnsafeOutputError(f"a link in the output folder leads out of it, to {target.parent.resolve()}")
    if os.path.lexists(target) and not may_replace:
        if target.is_symlink() or manifest.sha256_of(target) != sha256:
            raise UnsafeOutputError("a file that colorbatch did not make stands where the output belongs")
        return
    atomic.write_bytes(target, encoded)


def _row(planned: PlannedPicture, status: Status, reason: str = "", **values: Any) -> Row:  # noqa: ANN401 (the fields of Row)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Row(input=planned.input, status=status, reason=reason, finished_at=now, version=__version__, **values)


def _failed(planned: PlannedPicture, work: _Work, reason: str) -> Row:
    """Return a failed row; an output of an earlier run that still stands stays on record as ours."""
    row = _row(planned, "failed", reason)
    earlier = work.previous.get(planned.input)
    if earlier is None or earlier.output is None or not planned.output(work.output).exists():
        return row
    return replace(row, output=earlier.output, output_sha256=earlier.output_sha256)


def _not_reached(planned: PlannedPicture, previous: Mapping[str, Row]) -> Row:
    """Return the row of a source that this run did not come to: that of an earlier run if there is one."""
    earlier = previous.get(planned.input)
    return earlier if earlier is not None and earlier.status == "done" else _row(planned, "skipped", NOT_REACHED)


def _count(summary: BatchSummary, row: Row, *, kept: bool) -> None:
    match row.status:
        case "done":
            summary.done += 1
            summary.kept += kept
            if not kept:
                summary.megapixels += (row.width or 0) * (row.height or 0) / 1e6
        case "skipped":
            summary.skipped += 1
        case "failed":
            summary.failed += 1
            summary.failures.append((row.input, row.reason))


def _settings_sha256(colorizer: Colorizer, already_color: AlreadyColor) -> str:
    """Return a hash of all options that decide what becomes of a source."""
    settings = {**asdict(colorizer.options), "already_color": already_color}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
