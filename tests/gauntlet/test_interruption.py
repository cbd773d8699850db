"""A run may be stopped or killed at any moment: nothing half done is ever seen, and the next run completes it."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gauntlet.arena import Arena, at_outputs, sent
from gauntlet.facts import decoded
from helpers import descendants, endless_model

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


def killed_after(seconds: float, process: "subprocess.Popen[bytes]") -> None:
    time.sleep(seconds)
    process.kill()


@pytest.mark.parametrize("jobs", [1, 4])
def test_killed_after_the_5th_output_and_resumed_it_is_as_if_nothing_had_been(arena: Arena, jobs: int) -> None:
    arena.fill(40)
    straight = arena.straight("--jobs", 1)
    kill = at_outputs(arena.output, 5, sent(signal.SIGKILL))
    killed = arena.run("--jobs", jobs, codes={0}, during=kill, is_killed=True)
    assert killed.code == -signal.SIGKILL
    arena.run("--jobs", jobs, codes={0})
    assert arena.outputs() == straight


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_five_random_moments_and_resumed_it_is_as_if_nothing_had_been(arena: Arena, seed: int) -> None:
    arena.fill(60)
    undisturbed = arena.root / "place" / "straight"
    whole = arena.run(codes={0}, output=undisturbed).seconds
    straight = arena.outputs(undisturbed)
    for moment in np.random.default_rng(seed).uniform(0.2, 0.9, 5):
        arena.run(codes={0}, during=partial(killed_after, moment * whole), is_killed=True)
    arena.run(codes={0})
    assert arena.outputs() == straight


def test_who_looks_into_the_output_folder_never_sees_a_part_of_a_file(arena: Arena) -> None:
    arena.fill(24, side=500)
    over, seen, broken = threading.Event(), set[str](), list[str]()

    def look() -> None:
        while not over.is_set():
            for path in arena.output.rglob("[!.]*.*"):
                if ".colorbatch" in path.parts or path.suffix == ".jsonl":
                    continue
                size = path.stat().st_size
                seen.add(path.name)
                try:
                    decoded(path)
                except Exception as error:  # noqa: BLE001 (decoders raise whatever they like)
                    broken.append(f"{path.name} of {size} bytes: {error}")

    reader = threading.Thread(target=look)
    reader.start()
    try:
        arena.run(codes={0})
    finally:
        over.set()
        reader.join()
    assert broken == []
    assert len(seen) > 5


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("jobs", [1, 4])
def test_a_signal_closes_the_manifest_and_the_next_run_goes_on(arena: Arena, number: signal.Signals, jobs: int) -> None:
    arena.fill(120)
    stop = at_outputs(arena.output, 5, sent(number))
    stopped = arena.run("--jobs", jobs, codes={CODES[number]}, during=stop)
    left = [name for name, row in stopped.rows.items() if row["reason"].startswith("not reached")]
    assert left, "the case needs more pictures"
    arena.run(codes={0})
    assert arena.outputs() == arena.straight()


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.5])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_command_starts(arena: Arena, number: signal.Signals, delay: float) -> None:
    """Before Python has got to our handler, a signal has its default effect."""
    arena.fill(5)

    def during(process: "subprocess.Popen[bytes]") -> None:
        time.sleep(delay)
        process.send_signal(number)

    ended = arena.command(
        *("run", "--model", arena.model, arena.source, arena.output),
        codes={0, CODES[number], -number},
        writes=(arena.output,),
        during=during,
        stderr=subprocess.DEVNULL,  # Python's own traceback, where its start itself was interrupted
    )
    if ended.code != 0:
        arena.run(codes={0})
    assert len(arena.outputs()) == 5


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ((signal.SIGINT,), {130}),
        ((signal.SIGTERM,), {143}),
        ((signal.SIGINT, signal.SIGINT), {130, -signal.SIGINT}),  # the second one has its default effect
        ((signal.SIGINT, signal.SIGTERM), {130, 143}),
    ],
    ids=lambda each: "-".join(str(one) for one in each),
)
def test_a_signal_in_the_middle_of_an_endless_inference(
    arena: Arena, tmp_path: Path, numbers: Sequence[signal.Signals], codes: set[int]
) -> None:
    arena.fill(5)
    straight, model = arena.straight(), arena.model
    arena.model = tmp_path / "endless.onnx"
    arena.model.write_bytes(endless_model().SerializeToString())
    sent_at: list[float] = []

    def during(process: "subprocess.Popen[bytes]") -> None:
        while not (arena.output / ".colorbatch" / "journal.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)
        sent_at.append(time.monotonic())
        sent(*numbers)(process)

    arena.run(codes=codes, during=during)
    assert time.monotonic() - sent_at[0] < 10, "promised are 5 seconds, on a machine that is not busy"
    assert arena.outputs() == {}
    arena.model = model
    arena.run(codes={0})
    assert arena.outputs() == straight


PICTURES = 60


@pytest.fixture
def of_ray() -> Iterator[Mapping[str, str]]:
    """Return the environment for a cluster of the command's own, which keeps its sockets and logs outside the arena."""
    pytest.importorskip("ray")
    place = tempfile.mkdtemp(prefix="ray-")  # a short path, as those of sockets must be
    yield {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": place}
    shutil.rmtree(place, ignore_errors=True)


def opened(processes: Sequence[int], beginning: bytes = b"") -> list[int]:
    """Return descriptors of those processes whose command lines begin so; they stand for no others ever."""
    found = []
    for each in processes:
        with suppress(OSError):  # it has just ended
            if Path(f"/proc/{each}/cmdline").read_bytes().startswith(beginning):
                found.append(os.pidfd_open(each))
    return found


def kill(processes: Sequence[int]) -> None:
    for each in processes:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(each, signal.SIGKILL)


def wait_for_the_end(processes: Sequence[int]) -> None:
    for each in processes:
        ended, _, _ = select.select([each], [], [], 60)
        os.close(each)
        assert ended, "a process does not end"


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_child_process_that_is_killed_costs_no_picture(arena: Arena, jobs: int) -> None:
    arena.fill(PICTURES, side=200)
    straight = arena.straight("--engine", "threads")
    killed: list[int] = []
    made_by_then: list[int] = []

    def kill_all(process: "subprocess.Popen[bytes]") -> None:
        killed.extend(opened(descendants(process.pid)))
        kill(killed)
        wait_for_the_end(killed)
        made_by_then.append(len(arena.outputs()))

    arena.run(*("--engine", "processes", "--jobs", jobs), codes={0}, during=at_outputs(arena.output, 5, kill_all))
    assert killed
    assert 5 <= made_by_then[0] < PICTURES, "the case needs more pictures"
    assert arena.outputs() == straight


def test_a_run_that_is_killed_takes_its_child_processes_with_it(arena: Arena) -> None:
    arena.fill(PICTURES, side=200)
    straight = arena.straight()
    children: list[int] = []

    def kill_it(process: "subprocess.Popen[bytes]") -> None:
        children.extend(opened(descendants(process.pid)))
        process.kill()
        wait_for_the_end(children)

    arena.run(*("--engine", "processes"), codes={0}, during=at_outputs(arena.output, 5, kill_it), is_killed=True)
    assert children
    arena.run(codes={0})
    assert arena.outputs() == straight


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_ray_actor_that_is_killed_costs_no_picture(arena: Arena, of_ray: Mapping[str, str], jobs: int) -> None:
    arena.fill(PICTURES, side=200)
    straight = arena.straight()
    killed: list[int] = []
    made_by_then: list[int] = []

    def kill_one(process: "subprocess.Popen[bytes]") -> None:
        first, *others = opened(descendants(process.pid), b"ray::Worker")
        killed.append(first)
        kill(killed)
        wait_for_the_end(killed)
        made_by_then.append(len(arena.outputs()))
        for each in others:
            os.close(each)

    arena.run(
        *("--engine", "ray", "--jobs", jobs),
        codes={0},
        environment=of_ray,
        during=at_outputs(arena.output, 5, kill_one),
    )
    assert killed
    assert 5 <= made_by_then[0] < PICTURES, "the case needs more pictures"
    assert arena.outputs() == straight


def test_a_driver_of_ray_that_is_killed_leaves_what_a_local_run_completes(
    arena: Arena, of_ray: Mapping[str, str]
) -> None:
    arena.fill(PICTURES, side=200)
    straight = arena.straight()
    actors: list[int] = []
    others: list[int] = []

    def kill_it(process: "subprocess.Popen[bytes]") -> None:
        actors.extend(opened(descendants(process.pid), b"ray::Worker"))
        others.extend(opened(descendants(process.pid)))
        process.kill()

    killed = arena.run(
        *("--engine", "ray"), codes={0}, environment=of_ray, during=at_outputs(arena.output, 5, kill_it), is_killed=True
    )
    assert killed.code == -signal.SIGKILL
    assert actors, "none was at work"
    wait_for_the_end(actors)  # by themselves
    kill(others)  # Ray's, some of which stay for a minute
    wait_for_the_end(others)
    assert 5 <= len(arena.outputs()) < PICTURES, "the case needs more pictures"
    arena.run(codes={0})
    assert arena.outputs() == straight
