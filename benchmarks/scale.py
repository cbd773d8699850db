"""Cost of shards and Ray compared with a run in one process: ``python benchmarks/scale.py [--help]``.

Each way is run with few and with many pictures: the difference gives the cost of one picture, the rest that of the
start. The ways are interleaved, and medians are compared. Ray is started before, as on a cluster.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from run import SIDES, make_pictures

PICTURES = {0.1: (4, 8), 1: (64, 320), 12: (16, 64)}
"""Small and large numbers of pictures, by megapixels."""
ADDRESS = "127.0.0.1:63790"
SHARDS = "2 shards at once, each kept to a core"
WAYS = {
    "1 job": ["--jobs", "1"],
    "2 jobs": ["--jobs", "2"],
    "1 shard of 2 jobs": ["--shard", "1/1", "--jobs", "2"],
    SHARDS: ["--jobs", "1"],
    "Ray, 1 worker": ["--engine", "ray", "--ray-address", ADDRESS, "--jobs", "1"],
    "Ray, 2 workers": ["--engine", "ray", "--ray-address", ADDRESS, "--jobs", "2"],
}
AGAINST = {
    "1 shard of 2 jobs": "2 jobs",
    SHARDS: "2 jobs",
    "Ray, 1 worker": "1 job",
    "Ray, 2 workers": "2 jobs",
}


def main() -> None:
    """Measure, print a table for each size, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", choices=PICTURES, default=[1, 12], help="megapixels")
    parser.add_argument("--repeats", type=int, default=3, help="of everything, interleaved; medians count")
    parser.add_argument("--without-ray", action="store_true", help="leave Ray out")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    ways = [way for way in WAYS if not (arguments.without_ray and "Ray" in way)]
    with nullcontext() if arguments.without_ray else ray_cluster():
        figures = {f"{size:g} MP": measured(size, ways, arguments.repeats) for size in arguments.sizes}
    for size, found in figures.items():
        show(size, found)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def ray_cluster() -> Iterator[None]:
    """Start a Ray cluster of two cores, and stop it at the end."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray = str(Path(sys.executable).with_name("ray"))
    options = ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats", "--port", ADDRESS[-5:]]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([ray, "start", "--head", "--block", *options], stdout=quiet, stderr=quiet) as process:
        for _ in range(100):
            with suppress(OSError), socket.create_connection((ADDRESS[:-6], int(ADDRESS[-5:]))):
                break
            time.sleep(0.2)
        try:
            time.sleep(3)  # until the node is registered at the head
            yield
        finally:
            process.terminate()


def measured(size: float, ways: list[str], repeats: int) -> dict[str, Any]:
    """Return the seconds per picture and of the start, for each way."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    few, many = PICTURES[size]
    with tempfile.TemporaryDirectory() as folder:
        for count in (few, many):
            make_pictures(Path(folder) / str(count), SIDES[size], count)
        for _ in range(repeats):
            for way in ways:
                short, long = (seconds(way, Path(folder) / str(count)) for count in (few, many))
                each = (long - short) / (many - few)
                found[way].append((each, short - few * each))
    return {
        way: {
            "s/picture": statistics.median(each for each, _ in values),
            "from, to": [min(each for each, _ in values), max(each for each, _ in values)],
            "start, s": statistics.median(start for _, start in values),
        }
        for way, values in found.items()
    }


def seconds(way: str, source: Path) -> float:
    """Return the seconds of a run, by its own clock; for concurrent shards, those of the slowest."""
    with tempfile.TemporaryDirectory() as out:
        shards = [["--shard", f"{index}/2"] for index in (1, 2)] if way == SHARDS else [[]]
        command = [sys.executable, "-m", "colorbatch", "run", "-q", "--json", *WAYS[way]]
        kept = [["taskset", "-c", str(core)] for core in (0, 1)] if way == SHARDS else [[]]  # like a SLURM task
        runs = [
            subprocess.Popen([*own, *command, *shard, str(source), out], stdout=subprocess.PIPE, text=True)
            for own, shard in zip(kept, shards, strict=True)
        ]
        answers = [run.communicate()[0] for run in runs]
        if any(run.returncode for run in runs):
            raise SystemExit(f"{way} failed")
        return max(float(json.loads(answer)["seconds"]) for answer in answers)


def show(size: str, found: dict[str, Any]) -> None:
    """Print the cost of one size in every way."""
    print(f"\n{size}, {os.cpu_count()} cores\n  way | ms a picture (from, to) | start, s | against")
    for way, values in found.items():
        low, high = (1000 * value for value in values["from, to"])
        line = f"  {way} | {1000 * values['s/picture']:.1f} ({low:.1f}, {high:.1f}) | {values['start, s']:.2f}"
        if way in AGAINST:
            line += f" | {values['s/picture'] / found[AGAINST[way]]['s/picture']:.3f} of {AGAINST[way]}"
        print(line)


if __name__ == "__main__":
    main()
