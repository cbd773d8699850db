import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from colorbatch import machine
from colorbatch.machine import MemoryBudget, physical_memory


def entered(budget: MemoryBudget, needed: int, log: list[int], leave: threading.Event) -> threading.Thread:
    def work() -> None:
        with budget.taken(needed):
            log.append(needed)
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_work_waits_until_there_is_memory() -> None:
    budget, log, leave = MemoryBudget(100), list[int](), threading.Event()
    with ExitStack() as stack:
        stack.enter_context(budget.taken(60))
        thread = entered(budget, 50, log, leave)
        time.sleep(0.05)
        assert log == [], "60 and 50 are more than 100"
    assert until(lambda: log == [50])
    leave.set()
    thread.join(5)


def test_what_needs_more_than_all_goes_alone_and_is_not_passed_by() -> None:
    budget, log = MemoryBudget(100), list[int]()
    first, rest = threading.Event(), threading.Event()
    threads = [entered(budget, 10, log, first)]
    assert until(lambda: log == [10])
    threads.append(entered(budget, 1000, log, rest))
    time.sleep(0.05)
    threads.append(entered(budget, 20, log, rest))
    time.sleep(0.05)
    assert log == [10], "small work that came later would keep the large from ever beginning"
    first.set()
    assert until(lambda: log == [10, 1000])
    time.sleep(0.05)
    assert log == [10, 1000], "it is alone"
    rest.set()
    assert until(lambda: log == [10, 1000, 20])
    for thread in threads:
        thread.join(5)


def test_memory_is_given_back_after_an_error() -> None:
    budget = MemoryBudget(100)
    for _ in range(3):
        with pytest.raises(KeyError), budget.taken(100):
            raise KeyError
    log = list[int]()
    with budget.taken(100):
        log.append(1)
    assert log == [1]


def test_physical_memory_is_that_of_a_machine() -> None:
    assert 2**28 < physical_memory() < 2**50


@pytest.mark.parametrize(
    ("told", "limit"), [("1073741824\n", 2**30), ("max\n", None), (str(2**63 - 4096), None), (None, None)]
)
def test_a_container_s_limit_comes_before_the_machine_s_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, limit: int | None
) -> None:
    put_cgroups(tmp_path, monkeypatch, "0::/\n", {} if told is None else {"memory.max": told})
    assert machine.container_memory() == limit
    assert machine.physical_memory() == (limit or machine.machine_memory())


SLURM = "/slurm/uid_7/job_9/step_0"


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        pytest.param(
            "0::/user.slice/app.service\n",
            {"user.slice/memory.max": "max", "user.slice/app.service/memory.max": "536870912"},
            2**29,
            id="a service",
        ),
        pytest.param(
            "0::/a/b/c\n",
            {"a/memory.max": "1073741824", "a/b/memory.max": "268435456", "a/b/c/memory.max": "max"},
            2**28,
            id="the lowest of those above counts",
        ),
        pytest.param(
            f"11:cpu,cpuacct:/\n4:memory:{SLURM}\n0::/other\n",
            {f"memory{SLURM}/memory.limit_in_bytes": "134217728", "memory/memory.limit_in_bytes": str(2**63 - 4096)},
            2**27,
            id="version 1",
        ),
        pytest.param(
            "4:memory:/docker/0123\n",
            {"memory/memory.limit_in_bytes": "134217728"},
            2**27,
            id="version 1 in a container, which sees its own cgroup at the top",
        ),
        pytest.param("0::/../../b\n", {"memory.max": "134217728"}, 2**27, id="moved out of its namespace"),
        pytest.param("nonsense\n\n", {"memory.max": "134217728"}, 2**27, id="unknown format"),
        pytest.param(None, {"memory.max": "134217728"}, 2**27, id="no /proc"),
        pytest.param("0::/a\n", {"b/memory.max": "134217728"}, None, id="of others"),
    ],
)
def test_the_limits_of_all_cgroups_above_the_process_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, files: dict[str, str], limit: int | None
) -> None:
    put_cgroups(tmp_path, monkeypatch, own, files)
    assert machine.container_memory() == limit


@pytest.mark.skipif(sys.platform != "linux", reason="cgroups")
@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "250000 100000"}, 3),
        ("0::/a\n", {"a/cpu.max": "20000 100000"}, 1),
        ("0::/a\n", {"a/cpu.max": "max 100000"}, 8),
        ("0::/a\n", {"a/cpu.max": "9900000 100000"}, 8),
        (
            "3:cpu,cpuacct:/j\n",
            {"cpu,cpuacct/j/cpu.cfs_quota_us": "300000", "cpu,cpuacct/j/cpu.cfs_period_us": "1000"},
            8,
        ),
        ("3:cpu:/j\n", {"cpu/j/cpu.cfs_quota_us": "300000", "cpu/j/cpu.cfs_period_us": "100000"}, 3),
        ("3:cpu:/j\n", {"cpu/j/cpu.cfs_quota_us": "-1", "cpu/j/cpu.cfs_period_us": "100000"}, 8),
        ("3:cpuacct:/j\n", {"cpuacct/j/cpu.max": "100000 100000"}, 8),
    ],
)
def test_no_more_cores_are_used_than_cgroups_grant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, str], cores: int
) -> None:
    put_cgroups(tmp_path, monkeypatch, own, files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert machine.usable_cores() == cores


def put_cgroups(root: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, files: dict[str, str]) -> None:
    """Let the process be in cgroups with these files; ``own`` is the content of ``/proc/self/cgroup``."""
    for name, content in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if own is not None:
        (root / "own").write_text(own)
    monkeypatch.setattr(machine, "_CGROUPS", root / "cgroup")
    monkeypatch.setattr(machine, "_OWN_CGROUPS", root / "own")


@pytest.mark.parametrize(("device", "program", "expected"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_a_gpu_is_known_by_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: int, program: int, *, expected: bool
) -> None:
    monkeypatch.setattr(machine, "_GPU_DEVICE", tmp_path / "nvidia0")
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi" if program else None)
    if device:
        (tmp_path / "nvidia0").touch()
    assert machine.has_nvidia_gpu() == expected


def test_glibc_takes_every_setting() -> None:
    """In a process of its own: the heap of this one is left as it is."""
    command = "from colorbatch.machine import keep_freed_memory; print(keep_freed_memory())"
    answer = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True).stdout
    assert answer.strip() == str(platform.libc_ver()[0] == "glibc")
