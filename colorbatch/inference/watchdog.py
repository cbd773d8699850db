"""Abort inferences at their deadlines. One thread does it for a whole session: a timer for each would cost more."""

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
    """Aborts what is not finished at its deadline. Its thread starts with the first deadline."""

    def __init__(self) -> None:
        self._deadlines: dict[Abortable, float] = {}
        self._changed = threading.Condition()
        self._next_look = -math.inf
        """When the thread looks again at the latest; not before it is started."""
        self._is_started = False
        self._is_closed = False

    @contextlib.contextmanager
    def aborting_at(self, deadline: float, options: Abortable) -> Iterator[None]:
        """Abort what runs with ``options`` if the context is not left before ``deadline``.

        Args:
            deadline: time of ``time.monotonic``, in seconds.
            options: those of the inference; they are not used for two at once.

        """
        try:
            with self._changed:
                self._deadlines[options] = deadline
                if not self._is_started:
                    threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
                    self._is_started = True
                elif deadline < self._next_look:  # else the thread need not be woken
                    self._changed.notify()
            yield
        finally:
            with self._changed:
                self._deadlines.pop(options, None)

    def close(self) -> None:
        """End the thread; no deadline is kept after that."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                for options, deadline in self._deadlines.items():
                    options.terminate = options.terminate or deadline <= now
                self._next_look = min((each for each in self._deadlines.values() if each > now), default=math.inf)
                self._changed.wait(min(self._next_look - now, threading.TIMEOUT_MAX))
