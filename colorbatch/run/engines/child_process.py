"""A child process as the parent sees it: started, asked through pipes, killed."""

import logging
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO

from colorbatch.environment import environment_of_children
from colorbatch.errors import InferenceError, reason_of
from colorbatch.inference.batching import Question
from colorbatch.inference.session import Session
from colorbatch.run.engines.child import Answer, Colored, Opening, picklable
from colorbatch.run.plan import PlannedPicture

_PIPE_BYTES = 2**18
"""Size of a pipe where it can be chosen: four times the default, for fewer switches between the processes."""
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from colorbatch.run.engines.child import main; main()"
"""The code that a child starts with: it imports from the same folders as the parent."""


class ChildDiedError(Exception):
    """A child process died, or could not be started."""


class _InChild(Exception):  # noqa: N818 (shown as the cause of an error, never raised)
    """The traceback of an error in a child."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class ChildProcess:
    """One process. After it has opened the model, it colours pictures."""

    def __init__(self) -> None:
        """Start the process, and do not wait for it.

        Raises:
            ChildDiedError: the process does not start.

        """
        flags = ["-B"] if sys.dont_write_bytecode else []
        if not sys.executable or getattr(sys, "frozen", False):  # a frozen executable would run the whole program again
            raise ChildDiedError("no child process can be started: no Python interpreter was found")
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own code)
                [sys.executable, *flags, "-c", _BOOT, *filter(None, sys.path)],  # without the working folder
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"OPENBLAS_NUM_THREADS": "1", **environment_of_children()},  # threads of several would compete
                start_new_session=True,  # Ctrl-C reaches only the parent
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
            )
        except OSError as error:
            raise ChildDiedError(f"no child process can be started: {reason_of(error)}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self._gpu: Session | None = None
        for pipe in (self._requests, self._answers):
            _enlarge(pipe)

    def open(self, opening: Opening, gpu: Session | None = None) -> None:
        """Open the model in the child. If that fails, the child is ended.

        Args:
            opening: the model and the settings.
            gpu: the model on the GPU of this process, which answers the questions of the child.

        Raises:
            ChildDiedError: the child died.
            ModelRefusedError, EnvironmentFailure: as :class:`colorbatch.inference.session.Session`.

        """
        self._gpu = gpu
        try:
            self._request(opening)
        except BaseException:
            self.close()
            raise

    def colorize(self, data: bytes, planned: PlannedPicture) -> Colored:
        """Run :func:`colorbatch.run.colorize.colorize_source` in the child.

        Raises:
            ChildDiedError: the child died, or was ended because communication with it failed.
            Exception: raised by the function.

        """
        result = self._request((data, planned))
        assert isinstance(result, Colored)
        return result

    def kill(self) -> None:
        """Kill the process, and do not wait for its end. May be called from any thread, also several times."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process, wait for its end and close the pipes."""
        self._process.kill()
        with suppress(OSError):
            self._requests.close()
        self._process.wait()
        self._answers.close()

    def _request(self, request: object) -> object:
        answer = self._exchange(request)
        for record in answer.records:
            logging.getLogger(record.name).handle(record)
        if answer.error is not None:
            raise answer.error from _InChild(answer.trace)
        return answer.value

    def _exchange(self, request: object) -> Answer:
        """Send a request, answer questions for the GPU, and return the answer.

        Raises:
            ChildDiedError: there is no answer. The child is ended, since its pipes may hold incomplete messages.

        """
        try:
            self._send(request)
            while isinstance(answer := pickle.load(self._answers), Question):  # noqa: S301 (sent by the child)
                self._send(self._predict(answer))
        except Exception as error:
            self.close()
            if isinstance(error, OSError | EOFError | pickle.UnpicklingError):  # the child ended, perhaps in a message
                raise ChildDiedError(f"a child process died ({_how_ended(self._process.returncode)})") from error
            reason = f"communication with it failed ({type(error).__name__}: {error})"
            raise ChildDiedError(f"a child process was ended: {reason}") from error
        assert isinstance(answer, Answer)
        return answer

    def _predict(self, question: Question) -> Answer:
        assert self._gpu is not None, "a child asks only if the parent has a GPU"
        try:
            return Answer(self._gpu.answer(question))
        except (InferenceError, MemoryError) as error:
            return Answer(error=picklable(error))

    def _send(self, message: object) -> None:
        pickle.dump(message, self._requests, pickle.HIGHEST_PROTOCOL)
        self._requests.flush()


def _how_ended(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


def _enlarge(pipe: IO[bytes]) -> None:
    """Set the size of a pipe to :data:`_PIPE_BYTES` where the system allows it."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the total of a user is limited
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
