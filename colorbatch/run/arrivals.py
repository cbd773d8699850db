"""Wait until something changes in a folder: by events of the system, or by time alone."""

import logging
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles.main import FileChange

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5.0
"""Interval where there are no events."""
LONGEST_WAIT = 60.0
"""With events, a folder is looked at so often all the same: an event can be lost, and network drives have none."""
_STEP = 200
"""Milliseconds after which it is checked whether to stop."""
_NO_EVENTS = "the system does not tell of changes in the folder, which is looked at every 5 s instead"


class Arrivals:
    """Events of a folder and all below it, from the package ``watchfiles`` if it is installed."""

    def __init__(self, folder: Path, poll: float | None, stop: threading.Event) -> None:
        """Begin to listen.

        Args:
            folder: the folder.
            poll: seconds between looks, without events; ``None``: events, or else a default.
            stop: ends every wait.

        """
        self._stop = stop
        self._interval = SECONDS_BETWEEN_LOOKS if poll is None else poll
        self._events = _events_of(folder, stop) if poll is None else None
        if self._events is not None:
            self._interval = LONGEST_WAIT

    def wait(self, least: float, most: float | None = None) -> None:
        """Wait until something may have changed, or until it is to stop.

        Args:
            least: seconds to wait in any case.
            most: seconds to wait at most; ``None``: as long as usual.

        """
        self._stop.wait(min(least, LONGEST_WAIT))
        until = time.monotonic() + max(0.0, self._interval - least)
        if most is not None:
            until = min(until, time.monotonic() + most)
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._events is None:
                self._stop.wait(left)
            elif self._has_event():
                return

    def _has_event(self) -> bool:
        assert self._events is not None
        try:
            return bool(next(self._events, False))
        except (OSError, RuntimeError) as error:
            logger.warning("%s: %s", _NO_EVENTS, error)
            self._events, self._interval = None, SECONDS_BETWEEN_LOOKS
            return True

    def close(self) -> None:
        """Listen no more."""
        if self._events is not None:
            self._events.close()


def _events_of(folder: Path, stop: threading.Event) -> "Generator[set[FileChange], None, None] | None":
    """Return what waits a moment for changes and yields them; ``None``: the system tells of none."""
    try:
        import watchfiles
    except ImportError:
        logger.info("looking every %g s: with the extra watch, the system tells at once", SECONDS_BETWEEN_LOOKS)
        return None
    events = watchfiles.watch(
        folder,
        watch_filter=None,
        debounce=4 * _STEP,
        rust_timeout=_STEP,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    try:
        next(events, None)  # it listens from the first call on
    except (OSError, RuntimeError) as error:
        logger.warning("%s: %s", _NO_EVENTS, error)
        return None
    return events
