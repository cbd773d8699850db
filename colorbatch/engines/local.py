"""The threads of this process: as many as compute at a time, and some that read and write meanwhile."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Protocol

from colorbatch.colorizer import Colorizer
from colorbatch.colouring import Run, colour
from colorbatch.cores import usable_cores
from colorbatch.discovery import PlannedPicture
from colorbatch.engines.engine import SECONDS_BETWEEN_LOOKS, Patience
from colorbatch.errors import EnvironmentFailure, InferenceStoppedError, UsageError
from colorbatch.job import WORKER_NAME, BatchJob, ColorOptions
from colorbatch.making import Executor, Work, make
from colorbatch.manifest import Row
from colorbatch.memory import MemoryBudget, physical_memory
from colorbatch.model_file import ModelFile, read_model_file
from colorbatch.progress import ProgressReporter
from colorbatch.session import Session
from colorbatch.stages import StageTimer

READING_OR_WRITING = 2
"""Threads beyond those that compute, so that no core waits for a disk."""
WAITING_FOR_A_STORE = 8
"""The same for a store, at least: it answers each of several requests for a picture after a while."""
_SHARE_READ_AHEAD = 4
"""Of the memory, 1 in so many is for files of a store that are read ahead."""
_QUEUED_FOR_EACH_THREAD = 2


class OpenedExecutor(Executor, Protocol):
    """An executor that has opened the model of a job."""

    model: ModelFile
    options: ColorOptions
    """Of the job, with the contract's values for what it leaves open."""

    @property
    def provider(self) -> str:
        """The execution provider in use."""

    def close(self) -> None:
        """Give back what was opened; nothing is computed any more."""


class ThisProcess:
    """An :class:`OpenedExecutor`: this process computes."""

    def __init__(self, session: Session, job: BatchJob, cores: int) -> None:
        """Let as many pictures be computed with at a time as there are ``cores``.

        Raises:
            UsageError: the options do not fit the model.

        """
        colorizer = Colorizer(session, job.options, timeout=job.timeout)
        self.model = session.model
        self.options = colorizer.options
        self.session = session
        self._colorizer = colorizer
        self._cores = threading.Semaphore(cores)

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self.session.provider

    def colour(  # noqa: D102 (as Executor says)
        self, data: bytes, planned: PlannedPicture, run: Run, stages: StageTimer
    ) -> tuple[Row, bytes]:
        with self._cores:
            return colour(data, planned, run, self._colorizer, stages)

    def stop(self) -> None:  # noqa: D102
        self.session.stop()

    def close(self) -> None:
        """Do nothing: a session ends with its last user."""


class LocalEngine:
    """An :class:`~colorbatch.engines.engine.Engine` of this machine."""

    def __init__(self, job: BatchJob, executor: OpenedExecutor, provider_reason: str = "") -> None:
        self._workers = workers_of(job)
        self._executor = executor
        self.model = executor.model
        self.options = executor.options
        self.provider_reason = provider_reason
        self.stages = StageTimer()

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self._executor.provider

    def rows(  # noqa: D102 (as Engine says)
        self,
        plan: Sequence[PlannedPicture],
        run: Run,
        announce: Callable[[str, str], None],
        stop: threading.Event,
        progress: ProgressReporter,
    ) -> Iterator[tuple[Row, bool]]:
        memory, reading = budgets_of(run.job)
        work = Work(run, self._executor, announce, memory=memory, reading=reading, stages=self.stages)
        return _rows(plan, work, self._workers + waiting_threads(run.job, self._workers), stop, progress)

    def close(self) -> None:
        """End the executor."""
        self._executor.close()


def workers_of(job: BatchJob) -> int:
    """Return how many pictures are worked on at the same time.

    Raises:
        UsageError: less than one is asked for.

    """
    if job.jobs is not None and job.jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {job.jobs}")
    return job.jobs or usable_cores()


def threads_of(job: BatchJob) -> int:
    """Return the threads of ONNX Runtime within one inference: all cores are used, however few pictures are."""
    return max(1, usable_cores() // workers_of(job))


def open_session(job: BatchJob) -> Session:
    """Open the model of a job.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        EnvironmentFailure: ONNX Runtime or the provider is missing.

    """
    model = read_model_file(job.model)
    return Session(model, job.provider, threads=threads_of(job), gpu_memory=job.gpu_memory)


def budgets_of(job: BatchJob, share: float = 1.0) -> tuple[MemoryBudget, MemoryBudget]:
    """Return the memory for decoded pictures, and that for files of a store that are read ahead.

    Args:
        job: which may limit both together.
        share: that we have of the machine, 0..1.

    """
    limit = round((job.memory_limit or physical_memory() // 2) * share)
    ahead = 0 if isinstance(job.source, Path) else limit // _SHARE_READ_AHEAD
    return MemoryBudget(limit - ahead), MemoryBudget(ahead)


def waiting_threads(job: BatchJob, computing: int) -> int:
    """Return how many threads there are beyond those that compute."""
    is_local = isinstance(job.source, Path) and isinstance(job.output, Path)
    return READING_OR_WRITING if is_local else max(WAITING_FOR_A_STORE, computing)


def _rows(
    plan: Sequence[PlannedPicture], work: Work, threads: int, stop: threading.Event, progress: ProgressReporter
) -> Iterator[tuple[Row, bool]]:
    """Yield the row of each picture as it is finished, and whether its output was there already.

    Raises:
        EnvironmentFailure: no further output can be made; raised after the pictures in work are finished.

    """
    upcoming = iter(plan)
    pending: set[Future[tuple[Row, bool]]] = set()
    failure: EnvironmentFailure | None = None
    patience = Patience(
        lambda: None,  # no further one is begun
        work.executor.stop,
        lambda: work.gate.close(work.run.folder.seconds_to_write),
    )
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
            finished, pending = wait(pending, SECONDS_BETWEEN_LOOKS, ALL_COMPLETED if is_last_look else FIRST_COMPLETED)
            for future in finished:
                try:
                    yield future.result()
                except EnvironmentFailure as error:
                    failure = failure or error
                except InferenceStoppedError:  # the next run does this picture
                    pass
            if is_last_look:
                break
    finally:
        if pending:  # left early: nobody will take their rows
            work.executor.stop()
            work.gate.close(work.run.folder.seconds_to_write)
        pool.shutdown(wait=not pending, cancel_futures=True)
    if failure is not None:
        raise failure


def _make(planned: PlannedPicture, work: Work, progress: ProgressReporter) -> tuple[Row, bool]:
    with progress.working_on(planned.input):
        return make(planned, work)
