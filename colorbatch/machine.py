"""Resources of this machine: cores, memory and disk space."""

import ctypes
import math
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
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


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
    """Return the memory limit of the container, the service or the job in bytes; ``None``: there is no limit."""
    limits = [
        limit
        for folder in _own_cgroups("memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        for limit in _numbers_in(folder / name)
        if limit < machine_memory()  # without a limit, cgroups v1 reports a huge number
    ]
    return min(limits, default=None)


def _own_cgroups(controller: str) -> Iterator[Path]:
    """Yield the folder of the cgroup of this process and those of all cgroups above it: the limits of all apply.

    Source: cgroups(7), "/proc/pid/cgroup". In a container, the folders above its own may be out of sight, and the path
    of its own one may be that outside of the container; then the limits of the container are those at the top.

    Args:
        controller: ``memory`` or ``cpu``; in version 1 each has a hierarchy of its own.

    """
    try:
        lines = _OWN_CGROUPS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        lines = []
    for line in ("0::/", f"1:{controller}:/", *lines):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for top in (_CGROUPS / controllers, _CGROUPS / (controller if controllers else "unified")):
            for depth in range(len(parts) + 1):
                yield top.joinpath(*parts[:depth])


def _numbers_in(path: Path) -> list[int]:
    """Return the numbers in a file of a cgroup; empty: there is no such file, or it says ``max``."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


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
    """Return how many cores this process may use, which may be fewer than the machine has.

    On Linux, these are the cores that it may run on, or those whose time its cgroups grant it, rounded up.
    """
    if sys.platform == "linux":
        return math.ceil(min(len(os.sched_getaffinity(0)), _granted_cores()))
    return os.cpu_count() or 1


def _granted_cores() -> float:
    """Return the processor time that the cgroups of this process grant per second; infinite: there is no limit."""
    granted = math.inf
    for folder in _own_cgroups("cpu"):
        quota = _numbers_in(folder / "cpu.max")
        quota = quota or [*_numbers_in(folder / "cpu.cfs_quota_us"), *_numbers_in(folder / "cpu.cfs_period_us")]
        if len(quota) == 2 and min(quota) > 0:  # in version 1, -1 is no limit
            granted = min(granted, quota[0] / quota[1])
    return granted


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
