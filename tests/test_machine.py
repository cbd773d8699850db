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
    path = tmp_path / "memory.max"
    if told is not None:
        path.write_text(told)
    monkeypatch.setattr(machine, "_CGROUP_LIMITS", (tmp_path / "no_such_file", path))
    assert machine.container_memory() == limit
    assert machine.physical_memory() == (limit or machine.machine_memory())


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
