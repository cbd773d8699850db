"""The workers of a cluster: as many as there is room for, and new ones in place of those that die."""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from colorbatch.errors import ColorbatchError, EnvironmentFailure
from colorbatch.inference.model_file import ModelFile
from colorbatch.job import BatchJob, RayOptions
from colorbatch.run.engines.engine import SECONDS_BETWEEN_LOOKS
from colorbatch.run.engines.local import waiting_threads
from colorbatch.run.engines.worker import Stopped, StopStep, Task, TaskResult, Worker
from colorbatch.version import __version__

logger = logging.getLogger(__name__)

QUEUED = 2
"""Tasks that wait at a worker, so that it need not wait for the driver."""
MAX_DEATHS_AT_START = 5
"""Number of workers in a row that may die when they start; then the run gives up."""
SECONDS_WITHOUT_WORKERS = 120.0
"""Time without any worker after which the run gives up."""
_SECONDS_BETWEEN_COUNTS = 1.0
"""Interval at which the nodes of the cluster are counted."""
_SECONDS_TO_END = 5.0
"""Time that workers have to confirm that they write nothing more."""


@dataclass(frozen=True)
class TaskDone:
    """A worker has returned the result of a task."""

    task: Task
    result: TaskResult


@dataclass(frozen=True)
class WorkerLost:
    """A worker died, or was killed because it cannot continue."""

    number: int
    tasks: tuple[Task, ...]
    """The tasks it had not finished."""
    was_alone: bool
    """Whether it had been given one task and nothing else."""


class _WorkerDiedError(Exception):
    """Raised in place of the result that a worker did not live to return."""


@dataclass(eq=False)
class WorkerHandle:
    """A worker as the pool sees it."""

    actor: Any
    number: int
    starting: Any
    """The promise that the worker can make outputs; ``None`` once it can."""
    tasks: dict[Any, Task] = field(default_factory=dict)
    """Unfinished tasks by the promises of their results."""
    is_alone: bool = False
    """Whether it is given no second task."""


class Pool:
    """The workers of a run. Only the pool looks into their handles; others pass them back to it."""

    def __init__(self, ray: ModuleType, job: BatchJob, model: ModelFile, *, is_remote: bool) -> None:
        """Start the workers.

        Raises:
            EnvironmentFailure: there is no room for any.

        """
        self._ray = ray
        self._job = job
        self._model = ray.put(model.in_array())
        self._bytes_open = model.bytes_open
        options = job.ray or RayOptions()
        cpus, gpus = options.cpus_per_worker, options.gpus_per_worker
        at_a_time = cpus + waiting_threads(cpus, is_remote=is_remote)
        self._tasks_per_worker = at_a_time + QUEUED
        self._needs = {"CPU": cpus, "GPU": float(job.provider == "cuda") if gpus is None else gpus}
        self._actor_class = ray.remote(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs["GPU"],
            **({"memory": self._bytes_open} if self._bytes_open else {}),
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"pictures": at_a_time, "control": 1},
        )(Worker)
        self._workers: list[WorkerHandle] = []
        self._refused: list[WorkerHandle] = []
        """Workers that cannot make outputs, for example because their node does not see the folders."""
        self._reserved: WorkerHandle | None = None
        """A worker that gets no further task until it can have the one that is to be alone."""
        self._last_number = 0
        self._deaths_at_start = 0
        self._ready_at = time.monotonic()
        """When a worker was last ready."""
        self._run = ""
        self._provider = ""
        self._wanted = self._count_places()
        self._counted_at = time.monotonic()
        if not self._wanted:
            total = self._ray.cluster_resources()
            needs = " and ".join(f"{need:g} {name}s" for name, need in self._needs.items() if need)
            if self._bytes_open:
                needs += f" and {self._bytes_open / 1e9:.1f} GB of memory for the model"
            raise EnvironmentFailure(
                f"the cluster has no room for a worker: it needs {needs}; the cluster has "
                f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs in all",
                advice="Add nodes, or give fewer --cpus-per-worker or --num-gpus-per-worker.",
            )
        self.fill()

    def _count_places(self) -> int:
        """Return how many workers there is room for on all nodes."""
        places = 0
        for node in self._ray.nodes():
            resources = node["Resources"] if node["Alive"] else {}
            on_node = int(min(resources.get(name, 0) // need for name, need in self._needs.items() if need))
            places += min(on_node, self._models_that_fit(resources.get("memory", 0))) if self._bytes_open else on_node
        return min(places, self._job.jobs or places)

    def _models_that_fit(self, memory: float) -> int:
        """Return how many workers of a node may have a large model open: in half of its memory, but at least one.

        Args:
            memory: bytes that Ray lends on the node.

        """
        limit = min(memory, self._job.memory_limit or memory)
        return min(int(memory // self._bytes_open), max(1, int(limit // 2 // self._bytes_open)))

    def fill(self) -> None:
        """Start as many workers as there is room for, including on nodes that have joined.

        Raises:
            EnvironmentFailure: no worker has been ready for a long time.

        """
        now = time.monotonic()
        if now - self._counted_at > _SECONDS_BETWEEN_COUNTS:
            self._counted_at, self._wanted = now, self._count_places()
        while len(self._workers) + len(self._refused) < self._wanted:
            self._last_number += 1
            actor = self._actor_class.remote(self._job, self._model, self._last_number)
            self._workers.append(WorkerHandle(actor, self._last_number, self._prepare(actor)))
        if self._ready():
            self._ready_at = now
        if now - self._ready_at > SECONDS_WITHOUT_WORKERS:
            raise EnvironmentFailure(
                f"no worker has been running for {SECONDS_WITHOUT_WORKERS:.0f} s: the cluster has no node left for one",
                advice="Check the cluster with: ray status. Then run the same command again to resume.",
            )

    def first_provider(self) -> str:
        """Wait for a worker that has opened the model, and return its execution provider.

        Raises:
            ColorbatchError: no worker can open it.

        """
        while not self._provider:
            self.fill()
            for _ in self.results():
                pass
        return self._provider

    def begin(self, run: str) -> None:
        """Have all workers, present and future, check that they see the folders of a run."""
        self._run = run
        for worker in self._workers:
            worker.starting = self._prepare(worker.actor)

    def worker_with_room(self) -> WorkerHandle | None:
        """Return the worker with the fewest tasks, if it can take one more."""
        worker = min((each for each in self._available() if each is not self._reserved), key=_load, default=None)
        return None if worker is None or _load(worker) >= self._tasks_per_worker else worker

    def idle_worker(self) -> WorkerHandle | None:
        """Return a worker that has no task, and gets only the next one; ``None``: all have some.

        In the latter case, the worker with the fewest is reserved: it gets no more until the next call.
        """
        self._reserved = None
        worker = min(self._available(), key=_load, default=None)
        if worker is None or worker.tasks:
            self._reserved = worker
            return None
        worker.is_alone = True
        return worker

    def submit(self, worker: WorkerHandle, task: Task) -> None:
        """Submit a task to a worker."""
        worker.tasks[worker.actor.make.options(concurrency_group="pictures").remote(task)] = task

    def results(self, *, is_stopping: bool = False) -> Iterator[TaskDone | WorkerLost]:
        """Find out which workers have become ready, and yield results and lost workers; wait briefly if there are none.

        Args:
            is_stopping: whether workers may return :class:`~colorbatch.run.engines.worker.Stopped`, and those that
                are still starting are not needed. Otherwise, a worker that stopped cannot continue, and is killed.

        Raises:
            ColorbatchError: no worker can make outputs.
            EnvironmentFailure: too many workers in a row died when they started.

        """
        owners = {promise: worker for worker in self._workers for promise in worker.tasks}
        if not is_stopping:
            owners |= {worker.starting: worker for worker in self._workers if worker.starting is not None}
        if not owners:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return
        arrived, _ = self._ray.wait(list(owners), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
        if arrived:
            arrived, _ = self._ray.wait(list(owners), num_returns=len(owners), timeout=0)
        for promise in arrived:
            worker = owners[promise]
            if promise == worker.starting:
                self._finish_start(worker)
            elif promise in worker.tasks:  # else the worker was lost at an earlier promise
                yield self._finish_task(worker, promise, may_stop=is_stopping)

    def abandon_tasks(self) -> list[int]:
        """Forget all unfinished tasks; return the numbers of the workers that have any."""
        busy = [worker for worker in self._workers if worker.tasks]
        for worker in busy:
            worker.tasks.clear()
        return [worker.number for worker in busy]

    def stop(self, step: StopStep) -> None:
        """Have all workers stop something."""
        for worker in self._ready():
            self._call(worker.actor, "stop", step)

    def end(self, seconds_to_write: float = 0.0) -> None:
        """Kill all workers, after each has confirmed that it writes nothing more.

        Args:
            seconds_to_write: time that an output in progress may take.

        """
        promises = [self._call(worker.actor, "stop", "writing") for worker in self._ready()]
        if promises:
            self._ray.wait(promises, num_returns=len(promises), timeout=_SECONDS_TO_END + seconds_to_write)
        for worker in (*self._workers, *self._refused):
            self._kill(worker)
        self._workers, self._refused = [], []

    def _ready(self) -> list[WorkerHandle]:
        return [worker for worker in self._workers if worker.starting is None]

    def _available(self) -> list[WorkerHandle]:
        return [worker for worker in self._ready() if not worker.is_alone]

    def _finish_start(self, worker: WorkerHandle) -> None:
        try:
            provider = self._get(worker, worker.starting)
        except _WorkerDiedError:
            self._workers.remove(worker)
            self._deaths_at_start += 1
            if self._deaths_at_start >= MAX_DEATHS_AT_START:
                raise EnvironmentFailure(
                    f"{MAX_DEATHS_AT_START} workers in a row died when they started",
                    advice="Their logs are in the folder of the Ray session. Check that the nodes have enough memory.",
                ) from None
        except ColorbatchError as error:
            self._workers.remove(worker)
            if not self._workers:
                raise
            logger.warning("Continuing without worker %d: %s", worker.number, error)
            self._refused.append(worker)  # it keeps its place, so that no other is started there
        else:
            self._deaths_at_start = 0
            self._provider = self._provider or provider
            worker.starting = None

    def _finish_task(self, worker: WorkerHandle, promise: Any, *, may_stop: bool) -> TaskDone | WorkerLost:  # noqa: ANN401 (Ray's)
        try:
            result = self._get(worker, promise)
        except _WorkerDiedError:
            return self._lose(worker)
        if isinstance(result, Stopped) and not may_stop:
            logger.warning("worker %d is given up: the file in which it records its outputs is gone", worker.number)
            self._kill(worker)
            return self._lose(worker)
        worker.is_alone = False
        return TaskDone(worker.tasks.pop(promise), result)

    def _lose(self, worker: WorkerHandle) -> WorkerLost:
        self._workers.remove(worker)
        lost = WorkerLost(worker.number, tuple(worker.tasks.values()), worker.is_alone)
        worker.tasks.clear()
        return lost

    def _get(self, worker: WorkerHandle, promise: Any) -> Any:  # noqa: ANN401 (Ray's)
        """Return the result of a promise.

        Raises:
            _WorkerDiedError: the worker died before.
            ColorbatchError: raised by the worker.

        """
        try:
            return self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ColorbatchError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            logger.warning("worker %d is gone: %s", worker.number, first_line(error))
            self._kill(worker)
            raise _WorkerDiedError from error

    def _kill(self, worker: WorkerHandle) -> None:
        with suppress(Exception):  # it may be dead already, or out of reach
            self._ray.kill(worker.actor)

    def _prepare(self, actor: Any) -> Any:  # noqa: ANN401 (Ray's)
        """Have a worker open the model, and look for the folders once the run is known; return the promise."""
        if not self._run:
            return self._call(actor, "open", __version__)
        return self._call(actor, "begin", __version__, self._run)

    def _call(self, actor: Any, method: str, *arguments: object) -> Any:  # noqa: ANN401 (Ray's)
        return getattr(actor, method).options(concurrency_group="control").remote(*arguments)


def _load(worker: WorkerHandle) -> int:
    return len(worker.tasks)


def first_line(error: Exception) -> str:
    """Return the first line of a message, without the traceback that Ray adds."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
