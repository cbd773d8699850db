"""Whether a GPU is worth it: ``python benchmarks/gpu.py [--help]`` on a machine with one and colorbatch[cuda].

It prints a line of JSON for each figure as soon as it is there, and a table in the end; benchmarks/README.md has that
of an H100. Before the cases it runs the tests that need a GPU, if pytest is installed. After ``--seconds`` it begins
nothing more. Ten times a second it samples the CPU time of the process that owns the GPU, and by nvidia-smi, which
takes a little CPU time itself, the memory in use on the GPU.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from run import SIDES, make_pictures

REPOSITORY = Path(__file__).parent.parent
CASES = {"9 of 1 MP": (1, 9), "400 of 1 MP": (1, 400), "64 of 12 MP": (12, 64), "3000 of 0.1 MP": (0.1, 3000)}
"""Megapixels and number of pictures of each case."""
FEW_CORES = 4
WITH_FEW_CORES = "400 of 1 MP", "64 of 12 MP"
"""Cases that are measured on few cores, too."""
SHAPES = 300
SECONDS = 225
SECONDS_FOR_TESTS = 90
_SAMPLE_INTERVAL = 0.1


def main() -> None:
    """Run every case on the CPU and on the GPU, one after the other, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=1, help="of everything, interleaved; medians count")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of pictures, for a trial")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which nothing more is begun")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    figures = Figures(time.monotonic() + arguments.seconds)
    figures.note("machine", lambda: {"gpu": _nvidia_smi("name"), "cores": len(cores)})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        figures.note("start", lambda: _timed(_one(place), place / "start", "cuda", cores))
        figures.note("agreement", lambda: _agreement(place, cores))
        figures.note("tests", _tests)
        for case in arguments.cases:
            size, count = CASES[case]
            source = place / case
            make_pictures(source, SIDES[size], max(1, round(count * arguments.scale)))
            _measure(figures, case, source, cores, arguments.repeats)
        _measure(figures, f"{SHAPES} shapes", _shapes(place), cores, 1)
        little = place / "shapes", place / "little", "cuda", cores, "--gpu-memory", "64MB"
        figures.note("64 MB of the GPU's memory", lambda: _timed(*little))
    Console(width=120).print(_table(figures.found))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures.found, indent=2) + "\n")


class CommandError(Exception):
    """A run failed as a whole; the message is what it printed."""


@dataclass
class Figures:
    """The figures found so far."""

    end: float
    """Time of ``time.monotonic`` at which no further one is taken."""
    found: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, figures_of: Callable[[], object]) -> None:
        """Take a figure and print it, or say why there is none."""
        if time.monotonic() > self.end:
            self.found[name] = {"error": "not reached in time"}
        else:
            try:
                self.found[name] = figures_of()
            except CommandError as error:
                self.found[name] = {"error": str(error)}
        print(f"{name}: {json.dumps(self.found[name])}", flush=True)


def _measure(figures: Figures, case: str, source: Path, cores: list[int], repeats: int) -> None:
    out = source.with_name(f"{case}, out")
    for some in (cores, cores[:FEW_CORES]) if case in WITH_FEW_CORES and len(cores) > FEW_CORES else (cores,):
        name = f"{case}, {len(some)} cores"
        figures.note(name, partial(_compared, source, out, some, repeats))
    figures.note(f"{case}, auto", lambda: _timed(source, out / "auto", "auto", cores))


def _tests() -> dict[str, Any]:
    """Return how the tests ended that need a GPU."""
    if importlib.util.find_spec("pytest") is None:
        return {"ended": "not run: pytest is not installed"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-n", "0", "-rs", "tests/inference"]
    try:
        ended = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=SECONDS_FOR_TESTS
        )
    except subprocess.TimeoutExpired:
        return {"ended": f"not within {SECONDS_FOR_TESTS} seconds"}
    lines = ended.stdout.strip().splitlines()
    return {"ended": lines[-1] if lines else ended.stderr[-200:], "output": lines[-40:] if ended.returncode else []}


def _table(found: dict[str, Any]) -> Table:
    """Return the cases that were measured with either provider, and what ``auto`` chose."""
    table = Table("pictures, cores", title="seconds from start to end")
    for heading in ("cpu", "cuda", "times as fast", "main process, ms per picture", "GPU memory, MB", "auto chose"):
        table.add_column(heading, justify="right")
    for name, figures in found.items():
        if "times as fast" in figures:
            auto = found.get(f"{name.rpartition(', ')[0]}, auto", {})
            names = ("cpu, s", "cuda, s", "times as fast", "main process, ms", "GPU memory, MB")
            table.add_row(name, *(str(figures[each]) for each in names), auto.get("provider", ""))
    return table


def _compared(source: Path, out: Path, cores: list[int], repeats: int) -> dict[str, Any]:
    """Return the seconds of a run on either provider, and their ratio."""
    runs: dict[str, list[dict[str, Any]]] = {"cpu": [], "cuda": []}
    for number in range(repeats):
        for provider, results in runs.items():
            results.append(_timed(source, out / f"{provider} {number} {len(cores)}", provider, cores))
    cpu, cuda = (statistics.median(each["seconds"] for each in runs[name]) for name in ("cpu", "cuda"))
    return {
        "cpu, s": cpu,
        "cuda, s": cuda,
        "times as fast": round(cpu / cuda, 2),
        "main process, ms": statistics.median(each["main_process_ms"] for each in runs["cuda"]),
        "GPU memory, MB": max(each["gpu_megabytes"] for each in runs["cuda"]),
        "failed": sum(each["failed"] for results in runs.values() for each in results),
    }


def _timed(source: Path, out: Path, provider: str, cores: list[int], *more: str) -> dict[str, Any]:
    """Run ``colorbatch run`` on some cores, timed from the outside, from its start to its end."""
    command = [sys.executable, "-m", "colorbatch", "run", "-q", "--json", "--provider", provider, *more]
    began = time.perf_counter()
    process = subprocess.Popen(  # taskset becomes the command: its process is that of the command
        ["taskset", "--cpu-list", ",".join(map(str, cores)), *command, str(source), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, _sampled(process.pid) as samples:
        printed, errors = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise CommandError(errors.strip() or f"exit code {process.returncode}")
    summary = json.loads(printed)
    return {
        "seconds": round(seconds, 2),
        "done": summary["done"],
        "failed": summary["failed"],
        "provider": summary["provider"],
        "gpu_megabytes": max((each.gpu_megabytes for each in samples), default=0),
        "main_process_ms": round(
            1000 * max((each.cpu_seconds for each in samples), default=0) / max(1, summary["done"]), 2
        ),
        "warnings": errors.splitlines()[:3],
    }


@dataclass(frozen=True)
class Sample:
    """What was in use at one moment."""

    gpu_megabytes: int
    cpu_seconds: float
    """CPU time of one process since its start."""


@contextlib.contextmanager
def _sampled(pid: int) -> Iterator[list[Sample]]:
    """Yield a list to which samples are appended."""
    samples: list[Sample] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_SAMPLE_INTERVAL):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):  # the process has ended, or nvidia-smi
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                cpu_seconds = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
                samples.append(Sample(int(_nvidia_smi("memory.used") or 0), cpu_seconds))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        is_over.set()
        watcher.join()


def _agreement(place: Path, cores: list[int]) -> dict[str, float]:
    """Return the difference of the outputs of the two providers in levels, over the samples of the repository."""
    samples = REPOSITORY / "samples"
    for provider in ("cpu", "cuda"):
        _timed(samples, place / f"samples {provider}", provider, cores)
    differences = []
    for path in sorted((place / "samples cpu").rglob("*.png")):
        twin = place / "samples cuda" / path.relative_to(place / "samples cpu")
        pixels = [np.asarray(Image.open(each).convert("RGB"), np.int16) for each in (path, twin)]
        differences.append(np.abs(pixels[0] - pixels[1]))
    return {
        "pictures": len(differences),
        "levels in the mean": round(float(np.mean([each.mean() for each in differences])), 4),
        "levels at most": int(max(each.max() for each in differences)),
    }


def _one(place: Path) -> Path:
    make_pictures(place / "one", SIDES[1], 1)
    return place / "one"


def _shapes(place: Path) -> Path:
    """Return a folder of small pictures, no two of the same shape, from 1:3 to 3:1."""
    folder = place / "shapes"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(SHAPES):
        size = (200 + number, 200) if number % 2 else (200, 200 + number)
        Image.fromarray(random.integers(0, 256, size, np.uint8)).save(folder / f"{number}.png")
    return folder


def _nvidia_smi(field: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()[0]


if __name__ == "__main__":
    main()
