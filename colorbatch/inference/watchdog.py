"""Abort inferences at their deadlines. One thread does it for the whole process: a timer for each would cost more."""

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from typing import Protocol


class Abortable(Protocol):
    """Options of one inference, such as ONNX Runtime's ``RunOptions``."""

    terminate: bool
    """Set to abort it."""


class Watchdog:
    """Aborts what is not finished at its deadline. Its thread starts with the first deadline, and ends never."""

    def __init__(self) -> None:
        self._deadlines: dict[Abortable, float] = {}
        self._changed = threading.Condition()
        self._next_look = -math.inf
        """When the thread looks again at the latest; not before it is started."""
        self._is_started = False

    @contextlib.contextmanager
    def aborting_at(self, deadline: float, options: Abortable) -> Iterator[None]:
        """Abort what runs with ``options`` if the context is not left before ``deadline``.

        Args:
            deadline: time of ``time.monotonic``, in seconds.
            options: those of the inference; they are not used for two at once.

        """
        with self._changed:
            self._deadlines[options] = deadline
            if not self._is_started:
                threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
                self._is_started = True
            elif deadline < self._next_look:  # else the thread need not be woken
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._deadlines[options]

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for options, deadline in self._deadlines.items():
                    options.terminate = options.terminate or deadline <= now
                self._next_look = min((each for each in self._deadlines.values() if each > now), default=math.inf)
                self._changed.wait(min(self._next_look - now, threading.TIMEOUT_MAX))


WATCHDOG = Watchdog()
"""The only one of this process."""
