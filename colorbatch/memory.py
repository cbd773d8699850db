"""How much memory there is, and who may take some of it now."""

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SMALL_MACHINE = 8 * 2**30
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def physical_memory() -> int:
    """Return the bytes of memory that there are for us: of the machine, or of the container if that has less."""
    return min(machine_memory(), container_memory() or sys.maxsize)


def machine_memory() -> int:
    """Return the bytes of memory of this machine; of a small one where that cannot be told."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return _SMALL_MACHINE


def container_memory() -> int | None:
    """Return the bytes of memory that the container may take; ``None``: it is not limited, or this is none."""
    for path in _CGROUP_LIMITS:
        try:
            limit = int(path.read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        return limit if limit < machine_memory() else None  # without a limit, version 1 names a huge number
    return None


class MemoryBudget:
    """Lets work begin when there is memory for it, in the order in which it was asked for.

    What needs more than the whole budget is let in alone: it is refused nowhere else, and waiting would not end.
    """

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes."""
        self._limit = limit
        self._taken = 0
        self._waiting: deque[object] = deque()
        self._condition = threading.Condition()

    @contextmanager
    def taken(self, needed: int) -> Iterator[None]:
        """Hold ``needed`` bytes of the budget, once they are free."""
        ticket = object()
        with self._condition:
            self._waiting.append(ticket)
            try:
                self._condition.wait_for(
                    lambda: self._waiting[0] is ticket and (self._taken == 0 or self._taken + needed <= self._limit)
                )
                self._taken += needed
            finally:
                self._waiting.remove(ticket)
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._taken -= needed
                self._condition.notify_all()
