"""The engine of this machine: threads that compute, and more threads that read and write meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Protocol

from typing_extensions import override

from colorbatch.errors import EnvironmentFailure, InferenceStoppedError, UsageError
from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.inference.session import Session
from colorbatch.job import WORKER_NAME, BatchJob
from colorbatch.machine import MemoryBudget, physical_memory, usable_cores
from colorbatch.progress import ProgressReporter
from colorbatch.run.colorize import Encoded, NoOutput, Recipe, colorize_source
from colorbatch.run.engines.engine import SECONDS_BETWEEN_LOOKS, Engine, ShutdownSchedule, Task
from colorbatch.run.output import make
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Executor, Outcome, Run, Work
from colorbatch.stages import StageTimer

READING_OR_WRITING = 2
"""Number of threads in addition to those that compute, so that no core waits for a disk."""
WAITING_FOR_A_STORE = 8
"""The same for a store, at least: each picture needs several requests, and each takes a while."""
_SHARE_READ_AHEAD = 4
"""Divisor of the memory: this fraction is for files of a store that are read ahead."""
_QUEUED_FOR_EACH_THREAD = 2


class OpenedExecutor(Executor, Protocol):
    """An executor that has opened the model of a job."""

    recipe: Recipe
    """Model and settings of the outputs."""
    workers: int
    """Number of pictures that are computed at the same time."""
    models: int = 1
    """Number of processes that have the model open."""

    @property
    def provider(self) -> str:
        """The execution provider in use."""

    def close(self) -> None:
        """Release all resources. Nothing is computed after that."""


class ThisProcess(OpenedExecutor):
    """An :class:`OpenedExecutor` that computes in this process."""

    def __init__(self, session: Session, job: BatchJob, workers: int) -> None:
        """Compute up to ``workers`` pictures at the same time.

        Raises:
            UsageError: the options do not fit the model.

        """
        colorizer = Colorizer(session, job.options, timeout=job.timeout)
        self.recipe = Recipe(job, session.model, colorizer.options)
        self.session = session
        self._colorizer = colorizer
        self.workers = workers
        self._free = threading.Semaphore(workers)

    @property
    @override
    def provider(self) -> str:
        return self.session.provider

    @override
    def colorize(self, data: bytes, planned: PlannedPicture, stages: StageTimer) -> Encoded | NoOutput:
        with self._free:
            return colorize_source(data, planned, self.recipe, self._colorizer, stages)

    @override
    def stop(self) -> None:
        self.session.stop()

    @override
    def close(self) -> None:
        self.session.close()


class LocalEngine(Engine):
    """An :class:`~colorbatch.run.engines.engine.Engine` that runs on this machine."""

    def __init__(self, executor: OpenedExecutor, provider_reason: str = "", *, is_remote: bool = False) -> None:
        self._threads = executor.workers + waiting_threads(executor.workers, is_remote=is_remote)
        self._executor = executor
        self.recipe = executor.recipe
        self.provider_reason = provider_reason
        self.stages = StageTimer()

    @property
    @override
    def provider(self) -> str:
        return self._executor.provider

    @override
    def outcomes(self, task: Task) -> Iterator[Outcome]:
        memory, reading = budgets_of(task.run, models=self._executor.models)
        work = Work(task.run, self._executor, task.announce, memory=memory, reading=reading, stages=self.stages)
        return _outcomes(task.plan, work, self._threads, task.stop, task.progress)

    @override
    def close(self) -> None:
        self._executor.close()


def workers_of(job: BatchJob, *, on_gpu: bool = False) -> int:
    """Return how many pictures are computed at the same time.

    On a GPU there are more than cores, since each picture waits for the GPU, and meanwhile another one takes its core.
    3 of them on 2 cores were 11 % faster than 2, with a stand-in that took 4 ms for 8 pictures; 4 were no faster.

    Raises:
        UsageError: the number of jobs is less than 1.

    """
    if job.jobs is not None and job.jobs < 1:
        raise UsageError(f"jobs must be 1 or more, not {job.jobs}")
    cores = usable_cores()
    return job.jobs or (cores + (cores + 1) // 2 if on_gpu else cores)


def threads_of(job: BatchJob) -> int:
    """Return the number of ONNX Runtime threads per inference, such that few pictures use all cores too."""
    return max(1, usable_cores() // workers_of(job))


def open_session(job: BatchJob, model: ModelFile | None = None) -> Session:
    """Open the model of a job.

    Args:
        job: the job.
        model: its model, if it was read already.

    Raises:
        ModelRefusedError: the model does not keep the contract.
        EnvironmentFailure: ONNX Runtime or the provider is missing.

    """
    model = model or read_model_file(job.model)
    return Session(model, job.provider, threads=threads_of(job), gpu_memory=job.gpu_memory)


def memory_limit_of(job: BatchJob) -> int:
    """Return the bytes of memory for pictures being processed and for large models."""
    return job.memory_limit or physical_memory() // 2


def models_that_fit(job: BatchJob, model: ModelFile, wanted: int) -> int:
    """Return how many processes may have a model open, at least 1 and at most ``wanted``.

    A large model is opened by one process after the other. All together take at most half of the memory, so that the
    rest is for pictures, and at most all of it while the last one is opened.
    """
    if not model.is_large:
        return wanted
    limit = memory_limit_of(job)
    while_opening = (limit - model.bytes_opening + model.bytes_open) // model.bytes_open
    return max(1, min(wanted, limit // 2 // model.bytes_open, while_opening))


def budgets_of(run: Run, share: float = 1.0, models: int = 1) -> tuple[MemoryBudget, MemoryBudget]:
    """Return the memory for decoded pictures and the memory for files of a remote store that are read ahead.

    Args:
        run: the run whose job may limit the sum of both.
        share: fraction of the machine that may be used, 0..1.
        models: number of times that the model is open: what it needs is left to it if it is large.

    """
    limit = max(0, round(memory_limit_of(run.recipe.job) * share) - models * run.recipe.model.bytes_open)
    ahead = limit // _SHARE_READ_AHEAD if run.source.is_remote else 0
    return MemoryBudget(limit - ahead), MemoryBudget(ahead)


def waiting_threads(computing: int, *, is_remote: bool) -> int:
    """Return the number of threads in addition to those that compute."""
    return max(WAITING_FOR_A_STORE, computing) if is_remote else READING_OR_WRITING


def _outcomes(
    plan: Sequence[PlannedPicture], work: Work, threads: int, stop: threading.Event, progress: ProgressReporter
) -> Iterator[Outcome]:
    """Yield the outcome of each picture as soon as it is finished.

    Raises:
        EnvironmentFailure: no further output can be made; raised after the pictures in progress are finished.

    """
    upcoming = iter(plan)
    pending: set[Future[Outcome]] = set()
    failure: EnvironmentFailure | None = None
    shutdown = ShutdownSchedule(
        lambda: None,  # no further picture is started
        work.executor.stop,
        lambda: work.gate.close(work.run.output.seconds_to_write),
    )
    pool = ThreadPoolExecutor(threads, thread_name_prefix=WORKER_NAME)
    try:
        while True:
            if stop.is_set() or failure is not None:
                pending -= {future for future in pending if future.cancel()}
                shutdown.advance()
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
        if pending:  # the caller stopped early, or the pictures are abandoned: nobody takes their rows
            work.executor.stop()
            work.gate.close(work.run.output.seconds_to_write)
        pool.shutdown(wait=not pending, cancel_futures=True)
    if failure is not None:
        raise failure


def _make(planned: PlannedPicture, work: Work, progress: ProgressReporter) -> Outcome:
    with progress.working_on(planned.input):
        return make(planned, work)
