"""What this machine has for us: cores, memory and space on its disks."""

import ctypes
import os
import shutil
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of malloc.h."""
_LARGEST_KEPT = 32 * 2**20
"""Bytes of a block that is kept; the most that glibc takes."""
_KEPT = 128 * 2**20
"""Bytes that may lie free at the end of the heap."""
_SMALL_MACHINE = 8 * 2**30
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def keep_freed_memory() -> bool:
    """Have glibc keep what one picture gave back for the next one, in one heap for all threads.

    Else every thread has a heap of its own, and large blocks go back to the system, which clears each page anew. Other
    C libraries know nothing of this and are left alone; return whether this one does.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or not a POSIX system
        return False
    settings = {_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGEST_KEPT, _TRIM_THRESHOLD: _KEPT}
    taken = [adjust(parameter, value) for parameter, value in settings.items()]
    return taken == [1] * len(settings)


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


def usable_cores() -> int:
    """Return how many cores this process may run on: of a machine that others share, those it was given."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nearest_existing(folder: Path) -> Path:
    """Return ``folder``, or the first folder above it that is there.

    Raises:
        OSError: it cannot be looked at.

    """
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def bytes_free(folder: Path) -> int | None:
    """Return the free space of the file system where ``folder`` is or will be; ``None``: that cannot be told."""
    try:
        return shutil.disk_usage(nearest_existing(folder)).free
    except OSError:
        return None
