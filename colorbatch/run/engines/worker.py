"""A worker of a Ray cluster: one open model, used for several pictures at a time."""

import platform
import threading
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Literal

from colorbatch.errors import EnvironmentFailure, InferenceStoppedError, OutputUnwritableError, reason_of
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob, RayOptions
from colorbatch.machine import keep_freed_memory, usable_cores
from colorbatch.records.manifest import announcement
from colorbatch.records.row import Row
from colorbatch.records.state_folder import announcements
from colorbatch.run.engines.local import ThisProcess, budgets_of
from colorbatch.run.output import make
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Outcome, Run, Work
from colorbatch.stages import Stage, StageCost, StageTimer
from colorbatch.store import open_store
from colorbatch.store.journal import Notes
from colorbatch.store.store import Store
from colorbatch.version import __version__

_SECONDS_TO_SEE = 10.0
"""Time that a worker waits for the output folder to appear: network file systems show changes late."""
StopStep = Literal["beginning", "computing", "writing"]
"""What a worker is to stop, in this order."""


@dataclass(frozen=True)
class Task:
    """One picture, and what is known about it from earlier runs."""

    planned: PlannedPicture
    earlier: Row | None
    """Its row from an earlier run."""
    written: Mapping[str, AbstractSet[str]]
    """The sha256 of files that earlier runs wrote under the names of its output."""


@dataclass(frozen=True)
class Finished:
    """The result of a task that was completed."""

    outcome: Outcome
    stages: Mapping[Stage, StageCost] = field(default_factory=dict)


@dataclass(frozen=True)
class Stopped:
    """The result of a task that was abandoned, because the run stops or continues without this worker."""


@dataclass(frozen=True)
class Unwritable:
    """The result of a task that failed because no further output can be written."""

    reason: str


TaskResult = Finished | Stopped | Unwritable


class Worker:
    """The class of the Ray actors. Its methods may be called from several threads at once."""

    def __init__(self, job: BatchJob, model: ModelFile, number: int) -> None:
        """Store the arguments, and open nothing yet: Ray would hide an exception raised here."""
        self._job = job
        self._model = model
        self._number = number
        self._work: Work | None = None
        self._notes: Notes | None = None
        """Where the worker announces its outputs; ``None``: it does not need to."""
        self._lock = threading.Lock()
        self._is_stopped = False

    def open(self, version: str) -> str:
        """Open the model, and return the execution provider in use.

        Args:
            version: version of colorbatch on the driver.

        Raises:
            ColorbatchError: the model or the provider cannot be opened on this node.
            EnvironmentFailure: this node has another version of colorbatch.

        """
        if version != __version__:
            raise EnvironmentFailure(
                f"the node {platform.node()} has colorbatch {__version__}, and the driver {version}",
                advice="Install the same version on all nodes.",
            )
        keep_freed_memory()
        job = self._job
        session = Session(self._model, job.provider, threads=1, gpu_memory=job.gpu_memory)
        cores = (job.ray or RayOptions()).cpus_per_worker
        executor = ThisProcess(session, job, cores)
        share = min(1.0, cores / usable_cores())
        run = Run(executor.recipe, open_store(job.source), open_store(job.output))
        memory, reading = budgets_of(run, share)
        self._work = Work(run, executor, self._announce, memory=memory, reading=reading)
        return session.provider

    def begin(self, version: str, run: str) -> None:
        """Open the model if it is not open, and check that this node sees the source and the output folder of the run.

        Raises:
            ColorbatchError: the model cannot be opened.
            EnvironmentFailure: the node does not see them.
            OutputUnwritableError: the node cannot write to the output folder.

        """
        if self._work is None:
            self.open(version)
        node = platform.node()
        assert self._work is not None
        source, output = self._work.run.source, self._work.run.output
        output.prefetch_listing()  # raises if this node cannot reach the store
        if not source.is_reachable():
            raise _unseen(f"the node {node} does not see the source {source.shown}")
        self._notes = self._create_notes(output, run, node)
        for store in (source, output):
            store.remember_folder()

    def _create_notes(self, output: Store, run: str, node: str) -> Notes | None:
        """Return where this worker announces its outputs; ``None``: it does not need to.

        Raises:
            EnvironmentFailure: the node does not see the output folder.
            OutputUnwritableError: the node cannot write there.

        """
        notes, mark = announcements(output, run, self._number), announcements(output, run, 0)
        if notes is None or mark is None:
            return None
        deadline = time.monotonic() + _SECONDS_TO_SEE
        while not mark.exists():
            if time.monotonic() > deadline:
                raise _unseen(f"the node {node} does not see the output folder {output.shown}")
            time.sleep(0.1)
        try:
            notes.create()
        except OSError as error:
            raise OutputUnwritableError(
                f"the node {node} cannot write to {output.shown}: {reason_of(error)}"
            ) from error
        return notes

    def make(self, task: Task) -> TaskResult:
        """Make the output of one source."""
        if self._is_stopped or self._work is None:
            return Stopped()
        earlier = {} if task.earlier is None else {task.planned.input: task.earlier}
        run = replace(self._work.run, earlier=earlier, written=task.written)
        timer = StageTimer()
        try:
            outcome = make(task.planned, replace(self._work, run=run, stages=timer))
        except InferenceStoppedError:
            return Stopped()
        except EnvironmentFailure as error:
            return Unwritable(str(error))
        return Finished(outcome, timer.costs)

    def stop(self, step: StopStep) -> None:
        """Start no further picture, break off inferences, or write nothing more."""
        self._is_stopped = True
        if self._work is None:
            return
        if step == "computing":
            self._work.executor.stop()
        elif step == "writing":
            self._work.gate.close(self._work.run.output.seconds_to_write)
            self._work.run.output.cleanup()

    def _announce(self, output: str, sha256: str, row: Row | None) -> None:
        """Record that an output is about to be written. In an object store, its mark identifies it instead.

        Raises:
            InferenceStoppedError: the record was deleted: the run continues without this worker, or is over.
            OutputUnwritableError: the disk is full or gone.

        """
        if self._notes is None:
            return
        try:
            with self._lock:
                self._notes.add(announcement(output, sha256, row))
        except FileNotFoundError:
            raise InferenceStoppedError("the run continues without this worker") from None
        except OSError as error:
            raise OutputUnwritableError(f"cannot announce an output: {reason_of(error)}") from error


def _unseen(message: str) -> EnvironmentFailure:
    advice = "All nodes must see source and output under the same path, on a shared file system."
    return EnvironmentFailure(message, advice=advice)
