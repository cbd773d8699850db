"""What runs in a worker of a cluster: one opened model, for several pictures at a time."""

import os
import platform
import threading
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from colorbatch.colouring import Run
from colorbatch.cores import usable_cores
from colorbatch.discovery import PlannedPicture
from colorbatch.engines.local import ThisProcess, budgets_of
from colorbatch.errors import EnvironmentFailure, InferenceStoppedError, OutputUnwritableError
from colorbatch.job import BatchJob
from colorbatch.making import Work, make
from colorbatch.manifest import Row, announcement
from colorbatch.memory import keep_freed_memory
from colorbatch.model_file import ModelFile
from colorbatch.session import Session
from colorbatch.stages import Stage, StageCost, StageTimer
from colorbatch.state import announcements_path
from colorbatch.store.remote import RemoteStore
from colorbatch.store.store import open_store
from colorbatch.version import __version__

_SECONDS_TO_SEE = 10.0
"""For which a worker looks for the output folder: file systems over the network are late."""
StopStep = Literal["beginning", "computing", "writing"]
"""What a worker is to stop, one after the other."""


@dataclass(frozen=True)
class Task:
    """One picture, and what a worker has to know of earlier runs to make its output."""

    planned: PlannedPicture
    previous: Row | None
    """The row of an earlier run."""
    outputs: Mapping[str, AbstractSet[str]]
    """The sha256 of what earlier runs wrote where its output belongs, by name."""


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    row: Row | None = None
    """``None``: the run was stopped before it was done."""
    kept: bool = False
    """Whether the output was there already."""
    stages: Mapping[Stage, StageCost] = field(default_factory=dict)
    unwritable: str = ""
    """Why no further output can be written."""


class Worker:
    """One of a cluster. Its methods may be called from several threads at once."""

    def __init__(self, job: BatchJob, model: ModelFile, number: int) -> None:
        """Open nothing yet: Ray would hide what is raised here."""
        self._job = job
        self._model = model
        self._number = number
        self._work: Work | None = None
        self._notes: Path | None = None
        """Where it announces its outputs."""
        self._lock = threading.Lock()
        self._is_stopped = False

    def open(self, version: str) -> str:
        """Open the model, and return the execution provider that is really in use.

        Args:
            version: of colorbatch at the driver.

        Raises:
            ColorbatchError: it, or its provider, cannot be opened on this node.
            EnvironmentFailure: there is another version of colorbatch here.

        """
        if version != __version__:
            raise EnvironmentFailure(
                f"the node {platform.node()} has colorbatch {__version__}, and the driver {version}",
                advice="Install the same version on all nodes.",
            )
        keep_freed_memory()
        job = self._job
        session = Session(self._model, job.provider, threads=1, gpu_memory=job.gpu_memory)
        executor = ThisProcess(session, job, job.cpus_per_worker)
        share = min(1.0, job.cpus_per_worker / usable_cores())
        memory, reading = budgets_of(job, share)
        self._work = Work(
            Run(job, self._model, executor.options, open_store(job.output)),
            executor,
            self._announce,
            memory=memory,
            reading=reading,
        )
        return session.provider

    def begin(self, version: str, run: str) -> None:
        """Open the model if need be, and make sure that this node sees the source, and the output folder of this run.

        Raises:
            ColorbatchError: the model cannot be opened.
            EnvironmentFailure: the node does not see them.
            OutputUnwritableError: it cannot write there.

        """
        if self._work is None:
            self.open(version)
        job, node = self._job, platform.node()
        assert self._work is not None
        self._work.run.folder.look()  # raises where this node cannot reach a store
        if not isinstance(job.source, Path):
            RemoteStore(job.source).is_itself_a_file()  # the same
        if isinstance(job.output, Path):
            self._notes = self._begun(job.output, run, node)
        if isinstance(job.source, Path) and not job.source.exists():
            raise _unseen(f"the node {node} does not see the source {job.source}")

    def _begun(self, folder: Path, run: str, node: str) -> Path:
        """Return where this worker announces its outputs.

        Raises:
            EnvironmentFailure: the node does not see the output folder.
            OutputUnwritableError: it cannot write there.

        """
        deadline = time.monotonic() + _SECONDS_TO_SEE
        while not announcements_path(folder, run, 0).exists():
            if time.monotonic() > deadline:
                raise _unseen(f"the node {node} does not see the output folder {folder}")
            time.sleep(0.1)
        notes = announcements_path(folder, run, self._number)
        try:
            notes.touch()
        except OSError as error:
            raise OutputUnwritableError(f"the node {node} cannot write {notes}: {error.strerror or error}") from error
        return notes

    def make(self, task: Task) -> Outcome:
        """Make the output of one source."""
        if self._is_stopped or self._work is None:
            return Outcome()
        previous = {} if task.previous is None else {task.planned.input: task.previous}
        run = replace(self._work.run, previous=previous, outputs=task.outputs)
        timer = StageTimer()
        try:
            row, kept = make(task.planned, replace(self._work, run=run, stages=timer))
        except InferenceStoppedError:
            return Outcome()
        except EnvironmentFailure as error:
            return Outcome(unwritable=str(error))
        return Outcome(row, kept, timer.costs)

    def stop(self, step: StopStep) -> None:
        """Begin no further picture; or break off inferences too; or write nothing any more."""
        self._is_stopped = True
        if self._work is None:
            return
        if step == "computing":
            self._work.executor.stop()
        elif step == "writing":
            self._work.gate.close(self._work.run.folder.seconds_to_write)
            self._work.run.folder.tidy()

    def _announce(self, output: str, sha256: str) -> None:
        """Note that an output is about to be written; a store knows it by its mark instead.

        Raises:
            InferenceStoppedError: the notes were taken away: the run goes on without this worker, or is over.
            OutputUnwritableError: the disk is full or gone.

        """
        if self._notes is None:
            return
        try:
            with self._lock, self._notes.open("r+b", buffering=0) as file:
                file.seek(0, os.SEEK_END)
                file.write(announcement(output, sha256))
        except FileNotFoundError:
            raise InferenceStoppedError("the run goes on without this worker") from None
        except OSError as error:
            raise OutputUnwritableError(f"cannot write {self._notes}: {error.strerror or error}") from error


def _unseen(message: str) -> EnvironmentFailure:
    advice = "All nodes need source and output under the same path, on a file system that they share."
    return EnvironmentFailure(message, advice=advice)
