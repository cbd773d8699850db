"""An executor of child processes: they do not share Python's global lock, and a picture that kills one fails alone.

No existing pool can be used. In ``concurrent.futures`` and in loky, the death of one worker breaks the pool:
``BrokenProcessPool`` or ``TerminatedWorkerError`` ends all pending work, and the picture at fault is not known.
``multiprocessing.Pool`` waits forever for the result of a worker that died. pebble replaces a dead worker, but all its
workers share one pipe: in its issue 147, a stop hung for a minute because workers were sending results of megabytes.
Coloured pictures are as large.
"""

import logging
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from colorbatch.errors import ColorbatchError, EnvironmentFailure, InferenceStoppedError, PictureError
from colorbatch.inference.colorizer import resolved
from colorbatch.inference.model_file import ModelFile
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob
from colorbatch.machine import usable_cores
from colorbatch.run.colorize import Encoded, NoOutput, Recipe
from colorbatch.run.engines.child import Opening
from colorbatch.run.engines.child_process import ChildDiedError, ChildProcess
from colorbatch.run.engines.local import OpenedExecutor
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import StageTimer
from colorbatch.text import printable

logger = logging.getLogger(__name__)

MAX_DEATHS_OF_A_PICTURE = 2
"""Number of child processes that may die while they compute a picture; then it fails."""


class ChildExecutor(OpenedExecutor):
    """An :class:`~colorbatch.run.engines.local.OpenedExecutor` of child processes.

    It has a fixed number of places, each for one child. A child that dies is replaced; a place whose child cannot be
    started is given up, except the last one.
    """

    def __init__(
        self,
        job: BatchJob,
        count: int,
        model: ModelFile,
        gpu: Session | None = None,
        started: Sequence[ChildProcess] = (),
    ) -> None:
        """Start ``count`` processes, and wait until one of them has opened the model.

        A large model is opened by one after the other, and by all before the first picture, since that needs memory.

        Args:
            job: the job to compute for.
            count: number of processes.
            model: that of the job. If it is large, each process reads it from its file.
            gpu: the model on a GPU, which the children use through this process; ``None``: each opens it on the CPU.
            started: processes that were started before, and are taken first.

        Raises:
            ChildDiedError: the processes do not start, or died while they opened the model.
            ModelRefusedError, EnvironmentFailure, UsageError: as :class:`colorbatch.inference.colorizer.Colorizer`.

        """
        self._gpu = gpu
        model = model.released() if gpu is None else gpu.model
        self.workers = count
        self.models = count if gpu is None else 1
        self.recipe = Recipe(job, model, resolved(job.options, model.contract))
        without_files = replace(job, source=Path(), output=Path(), only=None)  # a child reads and writes no files
        self._opening = Opening(
            replace(self.recipe, job=without_files, model=model if gpu is None else replace(model, held=None)),
            max(1, usable_cores() // count),
            None if gpu is None else gpu.provider,
            logging.getLogger().getEffectiveLevel(),
        )
        self._children: list[ChildProcess] = [*started]
        """All that were started, dead ones too."""
        self._unopened = [*started]
        """Those that have not been asked to open the model."""
        self._is_stopped = False
        self._lock = threading.Lock()
        self._count = count
        """Number of places that are not given up."""
        self._free: queue.LifoQueue[Future[ChildProcess]] = queue.LifoQueue()
        """Places that no thread uses. The children of some may still be opening the model."""
        self._starters = ThreadPoolExecutor(1 if model.is_large else count, thread_name_prefix="start")
        try:
            places = [self._start() for _ in range(count)]
            for place in places:
                self._free.put(place)
            if model.is_large:
                wait(places)
            _wait_for_first(places)
        except BaseException:
            self._end_children()
            raise

    @property
    @override
    def provider(self) -> str:
        return "cpu" if self._gpu is None else self._gpu.provider

    @override
    def colorize(self, data: bytes, planned: PlannedPicture, stages: StageTimer) -> Encoded | NoOutput:
        for _ in range(MAX_DEATHS_OF_A_PICTURE):
            place = self._take_place()
            try:
                colored = place.result().colorize(data, planned)
            except ChildDiedError as error:
                death = str(error)
                place = self._start()
                logger.warning("%s: %s while processing it", printable(planned.input), death)
            else:
                for stage, cost in colored.stages.items():
                    stages.add(stage, cost)
                return self._with_provider(colored.result)
            finally:
                self._free.put(place)
        raise PictureError(
            f"{death} while processing it, {MAX_DEATHS_OF_A_PICTURE} times", advice="It may need too much memory."
        )

    @override
    def stop(self) -> None:
        self._kill_all()
        if self._gpu is not None:
            self._gpu.stop()

    @override
    def close(self) -> None:
        self._end_children()
        if self._gpu is not None:
            self._gpu.close()

    def _end_children(self) -> None:
        self._kill_all()
        self._starters.shutdown()
        for child in self._children:
            child.close()

    def _kill_all(self) -> None:
        with self._lock:
            self._is_stopped = True
        for child in self._children:
            child.kill()

    def _with_provider(self, result: Encoded | NoOutput) -> Encoded | NoOutput:
        """Return the result of a child with the provider now in use: the parent may have left the GPU since."""
        if result.row.provider is None:
            return result
        return replace(result, row=replace(result.row, provider=self.provider))

    def _take_place(self) -> Future[ChildProcess]:
        """Return a free place whose child has opened the model.

        Raises:
            InferenceStoppedError: :meth:`stop` was called.
            EnvironmentFailure: the child of the last place cannot be started.

        """
        while True:
            place = self._free.get()
            failure = place.exception()  # waits until the child has opened the model
            if self._is_stopped:
                self._free.put(place)  # for the next thread that waits
                raise InferenceStoppedError("the run was stopped")
            if failure is None:
                return place
            is_clear = isinstance(failure, ChildDiedError | ColorbatchError)  # else the class is needed too
            reason = str(failure) if is_clear else f"{type(failure).__name__}: {failure}"
            with self._lock:
                is_last = self._count == 1
                self._count -= not is_last
            if is_last:
                self._free.put(place)
                raise EnvironmentFailure(
                    reason, advice="Check that there is enough memory, then run the same command again to resume."
                ) from failure
            logger.warning("%s; the other child processes continue without it", reason)

    def _start(self) -> Future[ChildProcess]:
        """Start a child, and do not wait until it has opened the model.

        Raises:
            InferenceStoppedError: :meth:`stop` was called.

        """
        with self._lock:
            if self._is_stopped:
                raise InferenceStoppedError("the run was stopped")
            return self._starters.submit(self._open_child)

    def _open_child(self) -> ChildProcess:
        with self._lock:
            child = self._unopened.pop() if self._unopened else None
        if child is None:
            child = ChildProcess()
            self._children.append(child)
        if self._is_stopped:
            child.kill()
        child.open(self._opening, self._gpu)
        return child


def _wait_for_first(places: Sequence[Future[ChildProcess]]) -> None:
    """Wait until a child has opened the model; if none can, raise the failure of the first place."""
    if all(place.exception() is not None for place in as_completed(places)):
        places[0].result()
