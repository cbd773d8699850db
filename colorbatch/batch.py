"""Colour a whole tree: one row for each source, and no picture stops the others."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from colorbatch.colorizer import Colorizer
from colorbatch.cores import usable_cores
from colorbatch.discovery import UNLISTED, PlannedPicture, plan_batch
from colorbatch.errors import InferenceStoppedError, OutputUnwritableError, UsageError
from colorbatch.job import WORKER_NAME, BatchJob, BatchSummary
from colorbatch.making import NOT_REACHED, Work, is_settled, make, of_other_sources, row_of, with_earlier_output
from colorbatch.manifest import Manifest, Row
from colorbatch.memory import MemoryBudget, physical_memory
from colorbatch.model_file import read_model_file
from colorbatch.progress import ProgressReporter, SilentProgress, printable
from colorbatch.session import Session

logger = logging.getLogger(__name__)

_READING_OR_WRITING = 2
"""Threads beyond those that compute, so that no core waits for a disk."""
_QUEUED_FOR_EACH_THREAD = 2
_BYTES_LIKE_THE_NETWORK = 1_000_000
"""Of a JPEG that take as long to decode, merge and encode as the network does, which sees all pictures at one size."""
_SECONDS_BETWEEN_LOOKS = 0.2
"""At whether the run is to stop."""
_SECONDS_TO_FINISH = 1.5
"""After which, once the run is to stop, inferences are broken off; after twice that, what goes on is abandoned."""
_SECONDS_TO_WRITE = 1.0
"""For which outputs that are just being written are waited for then."""


def run_batch(
    job: BatchJob, progress: ProgressReporter | None = None, stop: threading.Event | None = None
) -> BatchSummary:
    """Colour every picture of ``job.source`` into ``job.output`` and write the manifest.

    A picture that fails becomes a ``failed`` row; the run goes on. Outputs of an earlier run stay when source, model
    and settings are unchanged. When ``stop`` is set, pictures in work have a few seconds to be finished, and the rest
    is left for the next run.

    Raises:
        UsageError: source or output cannot be used; nothing was written.
        ModelRefusedError: the model does not keep the contract; nothing was written.
        EnvironmentFailure: ONNX Runtime or the provider is missing, or the output cannot be written.

    """
    progress = progress or SilentProgress()
    stop = stop or threading.Event()
    started = time.perf_counter()
    found = plan_batch(job.source, job.output, job.include, job.exclude, job.only, job.shard)
    plan = [each for each in found if each.reason != UNLISTED]
    workers = workers_of(job)
    colorizer = open_colorizer(job)
    session = colorizer.session
    summary = BatchSummary(provider=session.provider, model=session.contract.name)

    with Manifest(job.output, job.shard) as record:
        work = Work(
            job,
            colorizer,
            record.previous,
            record.outputs,
            record.announce,
            cores=threading.Semaphore(workers),
            memory=MemoryBudget(job.memory_limit or physical_memory() // 2),
        )
        weights = {each.input: _weight_of(each, work) for each in plan}
        progress.begin(len(plan), "Colouring", sum(weights.values()))
        try:
            for row, kept in _rows(plan, work, workers, stop, progress):
                record.append(row, is_durable=row.status == "done" and not kept)
                logger.info("%s: %s %s", printable(row.input), row.status, "(kept)" if kept else printable(row.reason))
                _count(summary, row, kept=kept)
                if row.status == "failed":
                    progress.message(f"Failed: {row.input}: {row.reason}")
                    if job.fail_fast:
                        stop.set()
                megapixels = 0.0 if kept else _megapixels_of(row)
                progress.advance(weight=weights[row.input], megapixels=megapixels)
        finally:
            progress.end()
            remaining = [_not_reached(each, work) for each in plan if each.input not in record]
            aside = [_left_aside(each, work) for each in found if each.reason == UNLISTED]
            others = (
                []
                if job.shard
                else of_other_sources({each.input: each.output_name for each in found}, work.previous, job.output)
            )
            record.finish([*others, *aside, *remaining])
    for row in remaining:
        _count(summary, row, kept=True)
    summary.stages = work.stages.costs
    summary.not_reached = sum(row.reason == NOT_REACHED for row in remaining)
    summary.stopped = stop.is_set() and bool(remaining)
    summary.seconds = time.perf_counter() - started
    return summary


def workers_of(job: BatchJob) -> int:
    """Return how many pictures are worked on at the same time.

    Raises:
        UsageError: less than one is asked for.

    """
    if job.jobs is not None and job.jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {job.jobs}")
    return job.jobs or usable_cores()


def open_colorizer(job: BatchJob) -> Colorizer:
    """Open the model of a job.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        EnvironmentFailure: ONNX Runtime or the provider is missing.
        UsageError: the options do not fit the model.

    """
    threads = max(1, usable_cores() // workers_of(job))
    session = Session(read_model_file(job.model), job.provider, threads=threads)
    return Colorizer(session, job.options, timeout=job.timeout)


def _weight_of(planned: PlannedPicture, work: Work) -> float:
    """Return how long a source is expected to take beside others: 0 for what is settled, or there already.

    Pixels are not known before a source is decoded, but its bytes are: they say more than a count of pictures does.
    """
    previous = work.previous.get(planned.input)
    is_there = previous is not None and previous.input_bytes == planned.bytes and is_settled(previous, planned, work)
    return 0.0 if planned.verdict != "colour" or is_there else planned.bytes + _BYTES_LIKE_THE_NETWORK


def _rows(
    plan: Sequence[PlannedPicture], work: Work, workers: int, stop: threading.Event, progress: ProgressReporter
) -> Iterator[tuple[Row, bool]]:
    """Yield the row of each picture as it is finished, and whether its output was there already.

    Raises:
        OutputUnwritableError: no further output can be written; raised after the pictures in work are finished.

    """
    upcoming = iter(plan)
    pending: set[Future[tuple[Row, bool]]] = set()
    failure: OutputUnwritableError | None = None
    patience = _Patience(work)
    threads = workers + _READING_OR_WRITING
    pool = ThreadPoolExecutor(threads, thread_name_prefix=WORKER_NAME)
    try:
        while True:
            if stop.is_set() or failure is not None:
                pending -= {future for future in pending if future.cancel()}
                patience.wane()
            else:
                free = threads * _QUEUED_FOR_EACH_THREAD - len(pending)
                pending |= {pool.submit(_make, planned, work, progress) for planned in islice(upcoming, free)}
            if not pending:
                break
            is_last_look = work.gate.is_closed
            finished, pending = wait(
                pending, _SECONDS_BETWEEN_LOOKS, ALL_COMPLETED if is_last_look else FIRST_COMPLETED
            )
            for future in finished:
                try:
                    yield future.result()
                except OutputUnwritableError as error:
                    failure = failure or error
                except InferenceStoppedError:  # the next run does this picture
                    pass
            if is_last_look:
                break
    finally:
        if pending:  # left early: nobody will take their rows
            work.colorizer.session.stop()
            work.gate.close(_SECONDS_TO_WRITE)
        pool.shutdown(wait=not pending, cancel_futures=True)
    if failure is not None:
        raise failure


def _make(planned: PlannedPicture, work: Work, progress: ProgressReporter) -> tuple[Row, bool]:
    with progress.working_on(planned.input):
        return make(planned, work)


class _Patience:
    """How long pictures in work are waited for once the run is to stop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._since: float | None = None

    def wane(self) -> None:
        """Break off what takes too long; call it again and again."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > _SECONDS_TO_FINISH:
            self._work.colorizer.session.stop()
        if now - self._since > 2 * _SECONDS_TO_FINISH:
            self._work.gate.close(_SECONDS_TO_WRITE)


def _left_aside(planned: PlannedPicture, work: Work) -> Row:
    """Return the row of a source that this run was not to touch: that of an earlier run, whatever it says."""
    return work.previous.get(planned.input) or row_of(planned, "skipped", planned.reason)


def _not_reached(planned: PlannedPicture, work: Work) -> Row:
    """Return the row of a source that this run did not come to: that of an earlier run if there is one."""
    earlier = work.previous.get(planned.input)
    if earlier is not None and earlier.status == "done":
        return earlier
    return with_earlier_output(row_of(planned, "skipped", NOT_REACHED), work)


def _count(summary: BatchSummary, row: Row, *, kept: bool) -> None:
    match row.status:
        case "done":
            summary.done += 1
            summary.kept += kept
            summary.copied += _is_copy(row) and not kept
            summary.megapixels += 0.0 if kept else _megapixels_of(row)
        case "skipped":
            summary.skipped += 1
        case "failed":
            summary.failed += 1
            summary.failures.append((row.input, row.reason))


def _is_copy(row: Row) -> bool:
    return row.output_sha256 == row.input_sha256


def _megapixels_of(row: Row) -> float:
    """Return how much was coloured for a row of this run."""
    is_coloured = row.status == "done" and not _is_copy(row)
    return (row.width or 0) * (row.height or 0) / 1e6 if is_coloured else 0.0
