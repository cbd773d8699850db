"""A week in a minute: a watched folder in which thousands of files come, go and change, and a watch that is killed."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gauntlet.soak import held_by
from helpers import small_model
from PIL import Image

from colorbatch.store.lock import is_held

ARRIVALS = 2_000
MANIFEST = "colorbatch-manifest.jsonl"
_PATIENCE = 300.0
_OF_A_MOMENT = ("seconds", "finished_at", "input_modified")
_MOST_GROWTH = 1.2
"""Of memory, from the second to the last third of a watch, in which as many files again have come."""
_MORE_FILES = 8


class Tree:
    """A folder in which things happen, each picture unlike all others."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)  # noqa: S311 (no secret)
        self.names: list[str] = []
        self.number = 0
        self.counts = dict.fromkeys(("whole", "moved in", "in parts", "stalled", "renamed", "deleted", "replaced"), 0)
        self._stalled: list[tuple[Path, bytes]] = []

    def picture(self, ending: str) -> bytes:
        self.number += 1
        levels = np.random.default_rng(self.number).integers(0, 256, (24, 32), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(levels).save(file, {"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[ending])
        return file.getvalue()

    def arrive(self) -> None:
        ending = self.chance.choice(("jpg", "png", "tif"))
        name = f"{self.chance.randrange(20):02}/{self.number:05}.{ending}"
        path, content = self.folder / name, self.picture(ending)
        path.parent.mkdir(exist_ok=True)
        how = self.chance.choices(("whole", "moved in", "in parts", "stalled"), (6, 2, 2, 1))[0]
        self.counts[how] += 1
        if how == "moved in":
            path.with_name(f".{path.name}.part").write_bytes(content)
            os.utime(path.with_name(f".{path.name}.part"), (1e9, 1e9))
            path.with_name(f".{path.name}.part").rename(path)
        elif how == "whole":
            path.write_bytes(content)
        else:
            path.write_bytes(content[: len(content) // 2])
            self._stalled.append((path, content))
            if how == "in parts":
                self.complete(self._stalled.pop())
        self.names.append(name)

    def complete(self, stalled: tuple[Path, bytes] | None = None) -> None:
        """Write the rest of a file that was left half written."""
        path, content = stalled or self._stalled.pop(0)
        if path.exists():
            with path.open("ab") as file:
                file.write(content[len(content) // 2 :])

    def change(self) -> None:
        """Rename, delete or replace a file."""
        taken = {path.relative_to(self.folder).as_posix() for path, _ in self._stalled}
        name = self.chance.choice([each for each in self.names[-200:] if each not in taken] or self.names[:1])
        path, how = self.folder / name, self.chance.choice(("renamed", "deleted", "replaced"))
        self.counts[how] += 1
        if how == "replaced":
            path.write_bytes(self.picture(path.suffix[1:]))
            return
        self.names.remove(name)
        if how == "deleted":
            path.unlink()
        else:
            path.rename(path.with_name(f"renamed-{path.name}"))
            self.names.append(path.with_name(f"renamed-{path.name}").relative_to(self.folder).as_posix())

    def live(self, arrivals: int, seconds: float) -> None:
        """Let things happen for a while."""
        start = time.monotonic()
        for number in range(arrivals):
            self.arrive()
            if number % 7 == 3:
                self.change()
            if len(self._stalled) > 20:
                self.complete()
            time.sleep(max(0.0, start + seconds * (number + 1) / arrivals - time.monotonic()))

    def settle(self) -> None:
        while self._stalled:
            self.complete()


class Looks:
    """What a process held, looked at twice a second."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []
        self.files: list[int] = []

    @contextmanager
    def at(self, process: int) -> Iterator[None]:
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.5):
                if (held := held_by(process)) is not None:
                    self.megabytes.append(held[0])
                    self.files.append(held[1])

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def thirds(self, values: list[float]) -> tuple[float, float]:
        third = len(values) // 3
        return float(np.median(values[third : 2 * third])), float(np.median(values[2 * third :]))


def rows(output: Path) -> dict[str, dict[str, object]]:
    if not (output / MANIFEST).exists():
        return {}
    read = [json.loads(line) for line in (output / MANIFEST).read_bytes().splitlines()]
    assert len({row["input"] for row in read}) == len(read)
    return {row["input"]: row for row in read}


def is_done(found: dict[str, dict[str, object]], names: list[str]) -> bool:
    return all(name in found and found[name]["status"] == "done" for name in names)


def lasting(found: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {name: {key: row[key] for key in row if key not in _OF_A_MOMENT} for name, row in found.items()}


def colorbatch(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "colorbatch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def is_what_a_plain_run_makes(names: list[str], source: Path, output: Path, model: Path) -> None:
    """Assert that a plain run changes nothing, and that another folder would get the same rows and bytes."""
    assert not (output / ".colorbatch").exists()
    watched, held = lasting(rows(output)), {path: path.read_bytes() for path in output.rglob("*.*") if path.is_file()}
    again = colorbatch("run", "--json", "--model", model, source, output)
    summary = json.loads(again.stdout)
    assert (again.returncode, summary["done"], summary["kept"]) == (0, len(names), len(names))
    assert lasting(rows(output)) == watched
    del held[output / MANIFEST]
    assert {path: path.read_bytes() for path in held} == held
    fresh = output.with_name("fresh")
    assert colorbatch("run", "-q", "--model", model, source, fresh).returncode == 0
    assert {name: watched[name] for name in rows(fresh)} == lasting(rows(fresh))
    assert sorted(rows(fresh)) == sorted(names)
    for name in names:
        assert (fresh / name).read_bytes() == (output / name).read_bytes()
    assert colorbatch("audit", output).returncode == 0
    assert colorbatch("audit", fresh, "--source", source).returncode == 0


@pytest.mark.parametrize("poll", [None, 0.5], ids=["events", "polling"])
def test_a_week_in_a_minute(tmp_path: Path, poll: float | None, request: pytest.FixtureRequest) -> None:
    source, output, model = tmp_path / "in", tmp_path / "out", tmp_path / "small.onnx"
    source.mkdir()
    model.write_bytes(small_model().SerializeToString())
    ways = [] if poll is None else ["--watch-poll", poll]
    command = ["run", "-q", "--watch", "--watch-settle", 0.5, *ways, "--model", model, source, output]
    tree, looks = Tree(source, seed=1), (Looks(), Looks())
    arrivals = ARRIVALS if poll is None else ARRIVALS // 4

    def watch() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "colorbatch", *map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        request.addfinalizer(process.kill)  # it would go on for ever after a failure
        return process

    first = watch()
    with looks[0].at(first.pid):
        tree.live(arrivals // 2, seconds=arrivals / 66)
    first.kill()
    assert first.communicate() == (b"", b"")
    tree.live(arrivals // 20, seconds=1.0)  # while nobody watches
    second = watch()
    with looks[1].at(second.pid):
        end = time.monotonic() + _PATIENCE
        while not is_held(output / ".colorbatch" / "journal.jsonl"):
            assert time.monotonic() < end
            assert second.poll() is None, second.communicate()
            time.sleep(0.1)
        tree.live(arrivals - arrivals // 2 - arrivals // 20, seconds=arrivals / 66)
        assert is_held(output / ".colorbatch" / "journal.jsonl")
        assert colorbatch("run", "-q", "--model", model, source, output).returncode == 5
        tree.settle()
        end = time.monotonic() + _PATIENCE
        while not is_done(rows(output), tree.names):
            assert time.monotonic() < end
            assert second.poll() is None
            time.sleep(0.5)
    # what was replaced last has its old row until the next round has read it
    time.sleep(5)
    second.send_signal(signal.SIGTERM)
    stdout, stderr = second.communicate(timeout=30)
    assert (second.returncode, stdout) == (143, b"")
    assert stderr == b""

    is_what_a_plain_run_makes(tree.names, source, output, model)
    for each in looks:
        (before, after), files = each.thirds(each.megabytes), each.thirds([*map(float, each.files)])
        print(f"{len(tree.names)} left, {tree.counts}, MB {before:.0f} then {after:.0f}, files {files}")  # noqa: T201
        assert after <= _MOST_GROWTH * before
        assert files[1] <= files[0] + _MORE_FILES


def test_a_file_that_is_written_slowly_is_never_tried_half(tmp_path: Path) -> None:
    source, output, model = tmp_path / "in", tmp_path / "out", tmp_path / "small.onnx"
    source.mkdir()
    model.write_bytes(small_model().SerializeToString())
    content = Tree(source, seed=2).picture("png")
    options = ["-q", "--watch", "--watch-settle", "1.5", "--watch-poll", "0.1", "--model", model]
    command = [sys.executable, "-m", "colorbatch", "run", *map(str, options), str(source), str(output)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (output / MANIFEST).exists():
            time.sleep(0.1)
        with (source / "a.png").open("wb", buffering=0) as file:
            for start in range(0, len(content), len(content) // 10):
                file.write(content[start : start + len(content) // 10])
                time.sleep(0.3)
        end = time.monotonic() + _PATIENCE
        while not is_done(rows(output), ["a.png"]):
            assert time.monotonic() < end
            time.sleep(0.1)
        process.terminate()
        assert process.communicate(timeout=30)[1] == ""  # nothing has failed
    assert process.returncode == 143
