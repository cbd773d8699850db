"""Hold back writing outputs once a run is stopped."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from colorbatch.errors import InferenceStoppedError


class Gate:
    """A gate through which outputs are written until it is closed; then nobody waits for pictures in progress."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self.is_closed = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Hold the gate while an output is written.

        Raises:
            InferenceStoppedError: the gate is closed.

        """
        with self._condition:
            if self.is_closed:
                raise InferenceStoppedError("the run was stopped")
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    def close(self, seconds: float) -> None:
        """Let no further output be written, and wait up to ``seconds`` for those that are being written."""
        with self._condition:
            self.is_closed = True
            self._condition.wait_for(lambda: self._inside == 0, seconds)
