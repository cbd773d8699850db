"""The workers of a cluster: as many as there is room for, and new ones for those that die."""

import logging
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from colorbatch.errors import ColorbatchError, EnvironmentFailure
from colorbatch.inference.model_file import ModelFile
from colorbatch.job import BatchJob
from colorbatch.run.engines.engine import SECONDS_BETWEEN_LOOKS
from colorbatch.run.engines.local import waiting_threads
from colorbatch.run.engines.worker import StopStep, Task, Worker
from colorbatch.run.plan import PlannedPicture
from colorbatch.version import __version__

logger = logging.getLogger(__name__)

QUEUED = 2
"""Pictures that wait at a worker, so that it need not wait for us."""
MAX_DEATHS_AT_START = 5
"""Of workers one after the other, none of which came to work: then none will."""
SECONDS_WITHOUT_WORKERS = 120.0
"""For which a run waits for a worker before it gives up."""
_SECONDS_BETWEEN_COUNTS = 1.0
"""Of the nodes."""
_SECONDS_TO_END = 5.0
"""For which workers are waited for that are to write nothing any more."""
DEAD = object()
"""What comes of a promise whose worker died."""


@dataclass
class Pending:
    """One that is still to be done."""

    planned: PlannedPicture
    deaths: int = 0
    """Of workers that had it in work."""
    deaths_alone: int = 0
    """Of these, workers that had nothing else."""


@dataclass
class WorkerHandle:
    """A worker as it is seen from here."""

    actor: Any
    number: int
    started: Any
    """The promise that it has opened the model; ``None`` once it is at work."""
    in_work: dict[Any, tuple[Pending, ExitStack]] = field(default_factory=dict)
    """By the promises of their outcomes."""
    is_alone: bool = False
    """Whether what it has in work is to be the only one."""


class Pool:
    """The workers: as many as there is room for, and new ones for those that die."""

    def __init__(self, ray: ModuleType, job: BatchJob, model: ModelFile, *, is_remote: bool) -> None:
        """Start the workers.

        Raises:
            EnvironmentFailure: there is no room for any.

        """
        self._ray = ray
        self._job = job
        self._model = ray.put(model)
        at_a_time = job.cpus_per_worker + waiting_threads(job.cpus_per_worker, is_remote=is_remote)
        self.room = at_a_time + QUEUED
        """Pictures that a worker is given at a time."""
        gpus = job.num_gpus_per_worker
        self._needs = {"CPU": job.cpus_per_worker, "GPU": float(job.provider == "cuda") if gpus is None else gpus}
        self._actor_of = ray.remote(
            num_cpus=self._needs["CPU"],
            num_gpus=self._needs["GPU"],
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"pictures": at_a_time, "control": 1},
        )(Worker)
        self.hands: list[WorkerHandle] = []
        self._refused: list[WorkerHandle] = []
        """Those that cannot work, as on a node that does not see the folders, while others can."""
        self._count = 0
        self._deaths_at_start = 0
        self._idle_since = time.monotonic()
        self._run = ""
        self._provider = ""
        self._wanted = self._places()
        self._looked_at = time.monotonic()
        if not self._wanted:
            there = self._ray.cluster_resources()
            needs = " and ".join(f"{need:g} {name}s" for name, need in self._needs.items() if need)
            raise EnvironmentFailure(
                f"the cluster has no room for a worker: it needs {needs}; the cluster has "
                f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs in all",
                advice="Add nodes, or give fewer --cpus-per-worker or --num-gpus-per-worker.",
            )
        self.fill()

    def _places(self) -> int:
        """Return how many workers there is room for on all nodes."""
        places = 0
        for node in self._ray.nodes():
            there = node["Resources"] if node["Alive"] else {}
            places += int(min(there.get(name, 0) // need for name, need in self._needs.items() if need))
        return min(places, self._job.jobs or places)

    def fill(self) -> None:
        """Start workers where there is room for more, as where nodes have joined.

        Raises:
            EnvironmentFailure: none is at work, and none comes.

        """
        now = time.monotonic()
        if now - self._looked_at > _SECONDS_BETWEEN_COUNTS:
            self._looked_at, self._wanted = now, self._places()
        while len(self.hands) + len(self._refused) < self._wanted:
            self._count += 1
            actor = self._actor_of.remote(self._job, self._model, self._count)
            started = self._called(actor, "begin" if self._run else "open", __version__, *filter(None, [self._run]))
            self.hands.append(WorkerHandle(actor, self._count, started))
        if any(hand.started is None for hand in self.hands):
            self._idle_since = now
        if now - self._idle_since > SECONDS_WITHOUT_WORKERS:
            raise EnvironmentFailure(
                f"no worker has been running for {SECONDS_WITHOUT_WORKERS:.0f} s: the cluster has no node left for one",
                advice="Check the cluster with: ray status. Then run the same command again to resume.",
            )

    def first_provider(self) -> str:
        """Return the execution provider of the first worker that has started.

        Raises:
            ColorbatchError: it did not start.

        """
        while True:
            self.fill()
            self.take_on()
            if self._provider:
                return self._provider

    def begin(self, run: str) -> None:
        """Have workers look for the folders of the run from now on."""
        self._run = run
        for hand in self.hands:
            hand.started = self._called(hand.actor, "begin", __version__, run)

    def take_on(self) -> None:
        """Note which workers have come to work since the last look; wait a moment for them if none is at work.

        Raises:
            ColorbatchError: none can work.

        """
        waiting = {hand.started: hand for hand in self.hands if hand.started is not None}
        if not self.hands:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if not waiting:
            return
        is_idle = len(waiting) == len(self.hands)
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS if is_idle else 0)
        for promise in ready:
            hand = waiting[promise]
            try:
                answer = self.outcome(hand, promise)
            except ColorbatchError as error:
                self.hands.remove(hand)
                if not self.hands:
                    raise
                logger.warning("Continuing without worker %d: %s", hand.number, error)
                self._refused.append(hand)  # it keeps its place, so that no other one is started there
                continue
            if answer is DEAD:
                self._deaths_at_start += 1
                self.hands.remove(hand)
                if self._deaths_at_start >= MAX_DEATHS_AT_START:
                    raise EnvironmentFailure(
                        f"{MAX_DEATHS_AT_START} workers in a row died when they started",
                        advice="Their logs are in the folder of the Ray session. Check that the nodes have "
                        "enough memory.",
                    )
            else:
                self._deaths_at_start = 0
                self._provider = self._provider or answer
                hand.started = None

    def submit(self, hand: WorkerHandle, task: Task) -> Any:  # noqa: ANN401 (Ray's)
        """Give a worker a picture; return the promise of its outcome."""
        return hand.actor.make.options(concurrency_group="pictures").remote(task)

    def outcome(self, hand: WorkerHandle, promise: Any) -> Any:  # noqa: ANN401 (Ray's)
        """Return what was promised by a worker, or ``DEAD``.

        Raises:
            ColorbatchError: as the worker did.

        """
        try:
            return self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ColorbatchError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            logger.warning("worker %d is gone: %s", hand.number, first_line(error))
            self.kill(hand)
            return DEAD

    def kill(self, hand: WorkerHandle) -> None:
        """Kill a worker, which may be dead already, or out of reach."""
        with suppress(Exception):
            self._ray.kill(hand.actor)

    def stop(self, step: StopStep) -> None:
        """Have every worker stop something."""
        for hand in self.hands:
            if hand.started is None:
                self._called(hand.actor, "stop", step)

    def end(self, seconds_to_write: float = 0.0) -> None:
        """Kill every worker, once it writes nothing any more.

        Args:
            seconds_to_write: that an output in work may take.

        """
        last = [self._called(hand.actor, "stop", "writing") for hand in self.hands if hand.started is None]
        if last:
            self._ray.wait(last, num_returns=len(last), timeout=_SECONDS_TO_END + seconds_to_write)
        for hand in (*self.hands, *self._refused):
            self._ray.kill(hand.actor)
        self.hands, self._refused = [], []

    def _called(self, actor: Any, method: str, *arguments: object) -> Any:  # noqa: ANN401 (Ray's)
        return getattr(actor, method).options(concurrency_group="control").remote(*arguments)


def first_line(error: Exception) -> str:
    """Return what an error says, without the trace that Ray adds."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
