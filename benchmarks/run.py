"""Speed and memory of `colorbatch run`: ``python benchmarks/run.py [--help]``.

benchmarks/README.md describes each figure, and has the results.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SIDES = {0.1: (400, 300), 1: (1200, 900), 12: (4000, 3000), 50: (8160, 6120)}
"""Width and height by megapixels."""
PICTURES = {0.1: 8, 1: 960, 12: 240, 50: 64}
"""Number of pictures of each size: enough to make start and end negligible."""
_SAMPLE_INTERVAL = 0.2
"""Seconds between samples of the memory, each of which takes a few milliseconds."""
OF_PLAIN_LOOP = 24
"""Maximum number of pictures for the plain loop, whose start is negligible."""


def main() -> None:
    """Measure the given sizes, print a table, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", choices=SIDES, default=[1, 12, 50], help="megapixels")
    parser.add_argument("--repeats", type=int, default=5, help="of everything, interleaved; medians count")
    parser.add_argument("--pictures", type=int, help="of each size; by default enough for some seconds")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--skip-seed", action="store_true", help="leave out what needs PyTorch and scikit-image")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {_processor()}", "repeats": arguments.repeats}
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            source = Path(folder) / f"{size:g} MP"
            make_pictures(source, SIDES[size], arguments.pictures or PICTURES[size])
            figures[f"{size:g} MP"] = measure(source, arguments.repeats, with_seed=not arguments.skip_seed)
            show(f"{size:g} MP", figures[f"{size:g} MP"])
        figures["start"] = start(Path(folder), arguments.repeats)
        show("start", figures["start"])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def make_pictures(folder: Path, side: tuple[int, int], count: int) -> None:
    """Write grainy grey JPEGs of quality 90, similar to scans of prints."""
    folder.mkdir()
    width, height = side
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 120 + 60 * np.sin(x / width * 9) + 40 * np.cos(y / height * 7)
    for number in range(min(count, 4)):
        grain = np.random.default_rng(number).normal(0, 8, (height, width))
        Image.fromarray(np.clip(light + grain, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
    for number in range(4, count):  # copies, which take as long
        (folder / f"{number}.jpg").write_bytes((folder / f"{number % 4}.jpg").read_bytes())


def measure(source: Path, repeats: int, *, with_seed: bool) -> dict[str, Any]:
    """Measure one size: the stages alone, `run`, and the alternatives, all interleaved."""
    cores = os.cpu_count() or 1
    found: dict[str, list[Any]] = {"stages": [], "busy": [], "run": [], "plain": [], "memory": []}
    for _ in range(repeats):
        found["stages"] += of_scripts("stages.py", source)
        found["busy"] += of_scripts("stages.py", source, copies=cores)
        seconds, traffic, megabytes = of_run(source)
        found["run"].append(seconds)
        found["memory"].append(megabytes)
        found["plain"] += of_scripts("plain_loop.py", source, OF_PLAIN_LOOP)
    stages, busy = (
        {name: statistics.median(each[name] for each in found[when]) for name in found[when][0]}
        for when in ("stages", "busy")
    )
    run, plain = (statistics.median(found[name]) for name in ("run", "plain"))
    result = {
        "stages alone, CPU s/picture": stages,
        "the same on every core at once": busy,
        "run, s/picture": run,
        "run, spread": [min(found["run"]), max(found["run"])],
        "efficiency": sum(stages.values()) / cores / run,
        "efficiency that the hardware allows": sum(stages.values()) / sum(busy.values()),
        "plain loop, s/picture": plain,
        "run against the plain loop": plain / run,
        "peak memory of run, MB": max(found["memory"]),
        "read and written, MB/picture": traffic,
    }
    if with_seed:
        (seed,) = of_scripts("seed_way.py", source)  # so slow that one picture, once, is enough
        result |= {"the seed's way, s/picture": seed, "run against the seed's way": seed / run}
    return result


def of_run(source: Path) -> tuple[float, float, float]:
    """Return seconds and megabytes read and written per picture of `colorbatch run`, and its peak memory in MB.

    The time is that of its own clock, which starts after Python and stops when the manifest is closed.
    """
    with tempfile.TemporaryDirectory() as out:
        answer, peak = measured_command([sys.executable, "-m", "colorbatch", "run", "-q", "--json", str(source), out])
        summary, count = json.loads(answer), len(list(source.iterdir()))
        traffic = sum(summary["stages"][stage]["megabytes"] for stage in ("read", "write"))
        return summary["seconds"] / count, traffic / count, peak


def of_scripts(name: str, source: Path, *more: object, copies: int = 1) -> list[Any]:
    """Return the JSON that a script next to this one prints, from each of ``copies`` concurrent processes."""
    command = [sys.executable, str(HERE / name), str(source), *map(str, more)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(copies)]
    answers = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{' '.join(command)} failed")
    return [json.loads(answer) for answer in answers]


def start(folder: Path, repeats: int) -> dict[str, float]:
    """Return the seconds until the help is printed, and until the output of one small picture is written."""
    source = folder / "one"
    make_pictures(source, SIDES[0.1], 1)

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    command = [sys.executable, "-m", "colorbatch", "--help"]
    helps = [seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(repeats)]
    firsts = [seconds(lambda: of_run(source)) for _ in range(repeats)]
    return {"--help, s": statistics.median(helps), "one small picture, s": statistics.median(firsts)}


def show(title: str, figures: dict[str, Any]) -> None:
    """Print figures as a table."""
    print(f"\n{title}")
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"  {name}: " + ", ".join(f"{part} {seconds:.3f}" for part, seconds in value.items()))
        elif isinstance(value, list):
            print(f"  {name}: {' to '.join(f'{each:.3f}' for each in value)}")
        else:
            print(f"  {name}: {value:.3f}")


def measured_command(command: list[str]) -> tuple[bytes, float]:
    """Run a command; return its stdout, and the sampled peak memory of it and its children in MB."""
    peak, is_over = 0.0, threading.Event()

    def sample(process: int) -> None:
        nonlocal peak
        while not is_over.wait(_SAMPLE_INTERVAL):
            peak = max(peak, sum(map(_megabytes, (process, *_children(process)))))

    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        watcher = threading.Thread(target=sample, args=(process.pid,))
        watcher.start()
        answer, _ = process.communicate()
        is_over.set()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return answer, peak


def _children(process: int) -> list[int]:
    found: list[int] = []
    for each in Path(f"/proc/{process}/task").glob("*/children"):  # listed under the thread that started them
        with contextlib.suppress(OSError):  # the thread has just ended
            found += map(int, each.read_text().split())
    return found


def _megabytes(process: int) -> float:
    """Return the memory of a process in MB; memory shared with others is divided among them."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
