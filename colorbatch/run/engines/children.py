"""Child processes that compute: Python's lock is not shared with them, and a picture that kills one fails alone."""

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from typing_extensions import override

from colorbatch.errors import (
    ColorbatchError,
    EnvironmentFailure,
    InferenceError,
    InferenceStoppedError,
    PictureError,
    reason_of,
)
from colorbatch.inference.batching import Question
from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob
from colorbatch.run.colorize import Encoded, NoOutput, Recipe
from colorbatch.run.engines.child import Answer, Colored, GpuAnswer, Opened, Opening, picklable
from colorbatch.run.engines.local import OpenedExecutor, threads_of
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import StageTimer
from colorbatch.text import printable

logger = logging.getLogger(__name__)

MAX_DEATHS_OF_A_PICTURE = 2
"""Of child processes that computed with it, after which it is given up."""
_SECONDS_TO_END = 2.0
"""For which a child may take to end by itself."""
_PIPE_BYTES = 2**18
"""Of a picture that are on their way at a time, where that can be chosen: four times the usual, for fewer turns."""
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from colorbatch.run.engines.child import main; main()"
"""What a child is started with: it sees the modules that we see."""


class ChildDiedError(Exception):
    """A child process ended that was not told to, or could not be started."""


class _InChild(Exception):  # noqa: N818 (it is no failure of its own)
    """Shows where in the child an error was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Child:
    """One process, of use once it has opened the model."""

    def __init__(self, gpu: Session | None = None) -> None:
        """Start it.

        Args:
            gpu: the model on the GPU of this process, which the child asks.

        Raises:
            ChildDiedError: it does not start.

        """
        flags = ["-B"] if sys.dont_write_bytecode else []
        if not sys.executable or getattr(sys, "frozen", False):  # else it would be the whole program once more
            raise ChildDiedError("no child process can be started: no Python interpreter was found")
        try:
            self._process = subprocess.Popen(  # noqa: S603 (ourselves)
                [sys.executable, *flags, "-c", _BOOT, *filter(None, sys.path)],  # without the working folder
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"OPENBLAS_NUM_THREADS": "1", **os.environ},  # its threads would fight those of the others
                start_new_session=True,  # Ctrl-C is for us
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
            )
        except OSError as error:
            raise ChildDiedError(f"no child process can be started: {reason_of(error)}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self.opened: Opened | None = None
        self._gpu = gpu
        for pipe in (self._requests, self._answers):
            _widen(pipe)

    def open(self, opening: Opening) -> Opened:
        """Have it open the model; where it cannot, it is ended.

        Raises:
            ChildDiedError: it died at that.
            ModelRefusedError, EnvironmentFailure, UsageError: as :class:`colorbatch.inference.colorizer.Colorizer`.

        """
        try:
            opened = self._asked(opening)
        except BaseException:
            self.kill()
            self.close()
            raise
        assert isinstance(opened, Opened)
        self.opened = opened
        return opened

    def colorize(self, data: bytes, planned: PlannedPicture) -> Colored:
        """Do what :func:`colorbatch.run.colorize.colorize_source` does.

        Raises:
            ChildDiedError: it did not live to answer.
            Exception: whatever was raised there.

        """
        found = self._asked((data, planned))
        assert isinstance(found, Colored)
        return found

    def kill(self) -> None:
        """End it whatever it does. May be called from any thread, also several times."""
        self._process.kill()

    def dismiss(self) -> None:
        """Have it end by itself, or end it while it opens the model; the thread that asked it for more must be done."""
        if self.opened is None:
            self.kill()
            return
        with suppress(OSError):
            self._requests.close()

    def close(self) -> None:
        """Wait until it has ended."""
        with suppress(OSError):
            self._requests.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def _asked(self, request: object) -> Opened | Colored | None:
        answer = self._exchanged(request)
        for record in answer.messages:
            logging.getLogger(record.name).handle(record)
        if answer.error is not None:
            raise answer.error from _InChild(answer.trace)
        return answer.value

    def _exchanged(self, request: object) -> Answer:
        """Send a request, and return its answer.

        Raises:
            ChildDiedError: there is none; the child is of no use any more, since its pipes may hold parts of something.

        """
        try:
            self._send(request)
            while isinstance(answer := pickle.load(self._answers), Question):  # noqa: S301 (of our child)
                self._send(self._predicted(answer))
        except (OSError, EOFError, pickle.UnpicklingError) as error:  # it ended before it, or in the middle of it
            raise self._died() from error
        except Exception as error:  # no memory here, for one
            self._died()
            raise ChildDiedError(
                f"a child process was ended: communication with it failed ({type(error).__name__}: {error})"
            ) from error
        assert isinstance(answer, Answer)
        return answer

    def _predicted(self, question: Question) -> GpuAnswer:
        assert self._gpu is not None, "a child asks only where there is one"
        try:
            return GpuAnswer(self._gpu.answer(question))
        except (InferenceError, MemoryError) as error:
            return GpuAnswer(error=picklable(error))

    def _send(self, request: object) -> None:
        pickle.dump(request, self._requests, pickle.HIGHEST_PROTOCOL)
        self._requests.flush()

    def _died(self) -> ChildDiedError:
        """Return how it died, or end it."""
        self._process.kill()
        code = self._process.wait()
        self.close()
        try:
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        except ValueError:
            how = f"signal {-code}"
        return ChildDiedError(f"a child process died ({how})")


def _widen(pipe: IO[bytes]) -> None:
    """Have a pipe hold :data:`_PIPE_BYTES`, where the system lets us."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # a user may have so much of it, and no more
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class ChildProcesses(OpenedExecutor):
    """An :class:`~colorbatch.run.engines.local.OpenedExecutor` of child processes."""

    def __init__(self, job: BatchJob, count: int, gpu: Session | None = None) -> None:
        """Start ``count`` processes, and wait until one of them has opened the model.

        Args:
            job: what they are to do.
            count: of them.
            gpu: the model on a GPU, which they ask through this process; ``None``: each opens the model by itself.

        Raises:
            ChildDiedError: they do not start, or died at that.
            ModelRefusedError, EnvironmentFailure, UsageError: as :class:`colorbatch.inference.colorizer.Colorizer`.

        """
        self._gpu = gpu
        model = read_model_file(job.model) if gpu is None else gpu.model
        nowhere = replace(job, source=Path(), output=Path(), only=None)  # it reads and writes no files
        level = logging.getLogger().getEffectiveLevel()
        provider = None if gpu is None else gpu.provider
        self._opening = Opening(nowhere, model, threads_of(job), provider, level)
        self._living = set[Child]()
        self._is_stopped = False
        self._lock = threading.Lock()
        self._places = count
        self._free: queue.LifoQueue[Future[Child]] = queue.LifoQueue()
        """Those that no thread has, some still to open the model."""
        self._starters = ThreadPoolExecutor(count, thread_name_prefix="start")
        places = [self._begun() for _ in range(count)]
        for place in places:
            self._free.put(place)
        try:
            opened = _first_of(places).opened
        except BaseException:
            self.close()
            raise
        assert opened is not None
        self._provider = opened.provider
        self.recipe = Recipe(job, model, opened.options)

    @property
    @override
    def provider(self) -> str:
        return self._provider if self._gpu is None else self._gpu.provider

    @override
    def colorize(self, data: bytes, planned: PlannedPicture, stages: StageTimer) -> Encoded | NoOutput:
        for _ in range(MAX_DEATHS_OF_A_PICTURE):
            place = self._taken()
            child = place.result()
            try:
                found = child.colorize(data, planned)
            except ChildDiedError as error:
                death = str(error)
                self._living.discard(child)
                place = self._begun()
                if self._is_stopped:
                    raise InferenceStoppedError("the run was stopped") from error
                logger.warning("%s: %s while processing it", printable(planned.input), error)
            else:
                for stage, cost in found.stages.items():
                    stages.add(stage, cost)
                return self._with_provider(found.result)
            finally:
                self._free.put(place)
        raise PictureError(
            f"{death} while processing it, {MAX_DEATHS_OF_A_PICTURE} times", advice="It may need too much memory."
        )

    @override
    def stop(self) -> None:
        self._is_stopped = True
        for child in tuple(self._living):
            child.kill()
        if self._gpu is not None:
            self._gpu.stop()

    @override
    def close(self) -> None:
        with self._lock:
            self._is_stopped = True
        for child in tuple(self._living):
            child.dismiss()
        self._starters.shutdown()
        for child in tuple(self._living):
            child.close()

    def _with_provider(self, result: Encoded | NoOutput) -> Encoded | NoOutput:
        """Return what a child made, with the provider that is in use now: the parent's GPU may have failed since."""
        if result.row.provider is None:
            return result
        return replace(result, row=replace(result.row, provider=self.provider))

    def _taken(self) -> Future[Child]:
        """Return the place of a child that is open, and that no other thread has.

        Raises:
            InferenceStoppedError: :meth:`stop` was called.
            EnvironmentFailure: none can be started, and there is no other.

        """
        while True:
            place = self._free.get()
            failure = place.exception()  # once it is open, or is not
            if self._is_stopped:
                self._free.put(place)  # for the next one who waits
                raise InferenceStoppedError("the run was stopped")
            if failure is None:
                return place
            is_told = isinstance(failure, ChildDiedError | ColorbatchError)  # by itself; of others the class says more
            reason = str(failure) if is_told else f"{type(failure).__name__}: {failure}"
            with self._lock:
                is_last = self._places == 1
                self._places -= not is_last
            if is_last:
                self._free.put(self._begun())
                raise EnvironmentFailure(
                    reason, advice="Check that there is enough memory, then run the same command again to resume."
                ) from failure
            logger.warning("%s; the other child processes continue without it", reason)

    def _begun(self) -> Future[Child]:
        """Start one more, and do not wait until it is open."""
        with self._lock:
            if not self._is_stopped:
                return self._starters.submit(self._opened)
        never: Future[Child] = Future()
        never.set_exception(InferenceStoppedError("the run was stopped"))
        return never

    def _opened(self) -> Child:
        child = Child(self._gpu)
        self._living.add(child)
        if self._is_stopped:
            child.kill()
        try:
            child.open(self._opening)
        except BaseException:
            self._living.discard(child)
            raise
        return child


def _first_of(places: Sequence[Future[Child]]) -> Child:
    """Return the child that is open first; where none is, raise why."""
    for place in as_completed(places):
        if place.exception() is None:
            return place.result()
    return places[0].result()
