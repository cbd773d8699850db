"""Resources of this machine: cores, memory and disk space."""

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
"""Parameters of ``mallopt``, from malloc.h."""
_MAX_KEPT_BLOCK = 32 * 2**20
"""Size in bytes from which blocks are mapped rather than kept; the largest that glibc accepts."""
_MAX_FREE = 128 * 2**20
"""Maximum number of free bytes at the end of the heap."""
_GPU_DEVICE = Path("/dev/nvidia0")
"""Made by the driver of NVIDIA on Linux; a container may have it without the programs of the driver."""
_DEFAULT_MEMORY = 8 * 2**30
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def keep_freed_memory() -> bool:
    """Have glibc keep the memory freed by one picture for the next one, in one heap for all threads.

    Otherwise every thread has its own heap, and large blocks are returned to the system, which clears each page again.
    Return whether that was possible; other C libraries do not support it and are left unchanged.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or not a POSIX system
        return False
    settings = {_ARENA_MAX: 1, _MMAP_THRESHOLD: _MAX_KEPT_BLOCK, _TRIM_THRESHOLD: _MAX_FREE}
    results = [adjust(parameter, value) for parameter, value in settings.items()]
    return results == [1] * len(settings)


def physical_memory() -> int:
    """Return the bytes of memory available to us: of the machine, or of the container if it has less."""
    return min(machine_memory(), container_memory() or sys.maxsize)


def machine_memory() -> int:
    """Return the bytes of memory of this machine; those of a small one if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return _DEFAULT_MEMORY


def container_memory() -> int | None:
    """Return the memory limit of the container in bytes; ``None``: there is no limit, or no container."""
    for path in _CGROUP_LIMITS:
        try:
            limit = int(path.read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        return limit if limit < machine_memory() else None  # without a limit, cgroups v1 reports a huge number
    return None


def has_nvidia_gpu() -> bool:
    """Return whether the driver of an NVIDIA GPU is installed, which comes with ``nvidia-smi``."""
    return shutil.which("nvidia-smi") is not None or _GPU_DEVICE.exists()


class MemoryBudget:
    """Starts work when there is memory for it, in the order of the requests.

    Work that needs more than the whole budget runs alone: nothing else refuses it, and it would wait forever.
    """

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes."""
        self._limit = limit
        self._used = 0
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
                    lambda: self._waiting[0] is ticket and (self._used == 0 or self._used + needed <= self._limit)
                )
                self._used += needed
            finally:
                self._waiting.remove(ticket)
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._used -= needed
                self._condition.notify_all()


def usable_cores() -> int:
    """Return how many cores this process may run on, which may be fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nearest_existing(folder: Path) -> Path:
    """Return ``folder``, or the nearest folder above it that exists.

    Raises:
        OSError: it cannot be accessed.

    """
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def bytes_free(folder: Path) -> int | None:
    """Return the free bytes of the file system where ``folder`` is or will be; ``None``: unknown."""
    try:
        return shutil.disk_usage(nearest_existing(folder)).free
    except OSError:
        return None
