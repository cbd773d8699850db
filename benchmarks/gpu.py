"""Whether a GPU is worth it: ``python benchmarks/gpu.py [--help]`` on a machine with one and colorbatch[cuda].

It prints a line of JSON for each figure; benchmarks/README.md has those of an H100. The memory of the GPU is sampled
every tenth of a second by nvidia-smi, which takes a little CPU time.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from run import SIDES, make_pictures

CASES = {"9 of 1 MP": (1, 9), "400 of 1 MP": (1, 400), "64 of 12 MP": (12, 64), "3000 of 0.1 MP": (0.1, 3000)}
"""Megapixels and number of pictures of each case."""
FEW_CORES = 4
SHAPES = 300
_SAMPLE_INTERVAL = 0.1


def main() -> None:
    """Run every case on the CPU and on the GPU, one after the other, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=1, help="of everything, interleaved; medians count")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of pictures, for a trial")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    found: dict[str, Any] = {}

    def note(name: str, figures: object) -> None:
        found[name] = figures
        print(f"{name}: {json.dumps(figures)}", flush=True)

    note("machine", {"gpu": _nvidia_smi("name"), "cores": len(cores)})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        note("start", _timed(_one(place), place / "start", "cuda", cores))
        note("agreement", _agreement(place, cores))
        for case in arguments.cases:
            size, count = CASES[case]
            source = place / case
            make_pictures(source, SIDES[size], max(1, round(count * arguments.scale)))
            for some in (cores, cores[:FEW_CORES]) if len(cores) > FEW_CORES else (cores,):
                note(f"{case}, {len(some)} cores", _compared(source, place / "out" / case, some, arguments.repeats))
            note(f"{case}, auto", _timed(source, place / f"auto {case}", "auto", cores))
        note(f"{SHAPES} shapes", _compared(_shapes(place), place / "shapes out", cores, 1))
        little = _timed(place / "shapes", place / "little", "cuda", cores, "--gpu-memory", "64MB")
        note("64 MB of the GPU's memory", little)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


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
        "GPU memory, MB": max(each["gpu_megabytes"] for each in runs["cuda"]),
        "failed": sum(each["failed"] for results in runs.values() for each in results),
    }


def _timed(source: Path, out: Path, provider: str, cores: list[int], *more: str) -> dict[str, Any]:
    """Run ``colorbatch run`` on some cores, timed from the outside, from its start to its end."""
    command = [sys.executable, "-m", "colorbatch", "run", "-q", "--json", "--provider", provider, *more]
    began = time.perf_counter()
    with _watched_memory() as peak:
        ended = subprocess.run(
            ["taskset", "--cpu-list", ",".join(map(str, cores)), *command, str(source), str(out)],
            capture_output=True,
            text=True,
            check=False,
        )
    seconds = time.perf_counter() - began
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {ended.stderr}")
    summary = json.loads(ended.stdout)
    return {
        "seconds": round(seconds, 2),
        "done": summary["done"],
        "failed": summary["failed"],
        "provider": summary["provider"],
        "gpu_megabytes": max(peak, default=0),
        "warnings": ended.stderr.splitlines()[:3],
    }


@contextlib.contextmanager
def _watched_memory() -> Iterator[list[int]]:
    """Yield a list to which samples of the GPU's memory in use are appended, in megabytes."""
    samples: list[int] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_SAMPLE_INTERVAL):
            samples.append(int(_nvidia_smi("memory.used") or 0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        is_over.set()
        watcher.join()


def _agreement(place: Path, cores: list[int]) -> dict[str, float]:
    """Return the difference of the outputs of the two providers in levels, over the samples of the repository."""
    samples = Path(__file__).parent.parent / "samples"
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
