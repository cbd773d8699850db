"""The bottleneck of a job on many workers: ``python benchmarks/scale_model.py FIGURES.json [--help]``.

A model of a few lines, and a simulation of every picture's way through store, cores and driver to check it. Both take
the CPU time of a picture from the results of benchmarks/run.py (--json); docs/design.md has the results.
"""

import argparse
import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WORKERS = (10, 100, 1000)
PICTURES_EACH = 60
"""Number of pictures per core in the simulation: more change nothing but the time that it takes."""
READING_OR_WRITING = 2
"""Pictures in progress besides those that are computed, as in a run."""


@dataclass(frozen=True)
class Scene:
    """One kind of picture on one kind of machines and store."""

    cpu_seconds: float
    """Time of one picture on one core."""
    gpu_seconds: float
    """Time of one picture's network on a GPU, one for each worker; 0: it runs on the cores."""
    megabytes: float
    """Megabytes read and written per picture, half each."""
    cores: int
    """Cores of a worker."""
    store_megabytes: float
    """Megabytes per second that the store reads and writes for all workers."""
    latency: float
    """Seconds of one request to the store."""
    driver_seconds: float
    """Time of one row at the driver that writes all rows; 0: each worker writes its own, like shards."""


def main() -> None:
    """Print a table for each size of picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path, help="what benchmarks/run.py --json wrote")
    parser.add_argument("--cores", type=int, default=8, help="of a worker")
    parser.add_argument("--store", type=float, default=10, help="gigabits a second that it gives and takes in all")
    parser.add_argument("--latency", type=float, default=5, help="milliseconds of a request to it")
    parser.add_argument("--driver", type=float, default=0, help="milliseconds that one driver takes for a row")
    parser.add_argument(
        "--gpu", type=float, default=0, help="milliseconds of the network on a GPU, one for each worker"
    )
    arguments = parser.parse_args()
    figures = json.loads(arguments.figures.read_text())
    print(f"{figures['machine']}; workers of {arguments.cores} cores, a store of {arguments.store:g} Gbit/s")
    print("pictures | workers | pictures/s: model | simulated | hours a million | bound by")
    for size in (name for name in figures if name.endswith(" MP")):
        scene = scene_of(figures[size], arguments)
        for workers in WORKERS:
            rate, bound = model(scene, workers)
            simulated = simulate(scene, workers)
            print(f"{size} | {workers} | {rate:.0f} | {simulated:.0f} | {1e6 / simulated / 3600:.2f} | {bound}")


def scene_of(figures: dict[str, Any], arguments: argparse.Namespace) -> Scene:
    """Return the scene described by measured figures and the options of the command line."""
    stages = figures["the same on every core at once"]  # with all cores busy
    cpu = sum(seconds for stage, seconds in stages.items() if not (arguments.gpu and stage == "network"))
    return Scene(
        cpu_seconds=cpu,
        gpu_seconds=arguments.gpu / 1000,
        megabytes=figures["read and written, MB/picture"],
        cores=arguments.cores,
        store_megabytes=arguments.store * 1000 / 8,
        latency=arguments.latency / 1000,
        driver_seconds=arguments.driver / 1000,
    )


def model(scene: Scene, workers: int) -> tuple[float, str]:
    """Return pictures per second, and the bottleneck: the slowest resource that all pictures pass through."""
    in_progress = scene.cores + READING_OR_WRITING
    alone = scene.cpu_seconds + scene.gpu_seconds + scene.megabytes / scene.store_megabytes + 2 * scene.latency
    rates = {
        "cores": workers * scene.cores / scene.cpu_seconds,
        "GPUs": workers / scene.gpu_seconds if scene.gpu_seconds else float("inf"),
        "store": scene.store_megabytes / scene.megabytes,
        "latency of the store": workers * in_progress / alone,
        "driver": 1 / scene.driver_seconds if scene.driver_seconds else float("inf"),
    }
    bound = min(rates, key=lambda name: rates[name])
    return rates[bound], bound


class Servers:
    """Identical servers with one queue, first come, first served."""

    def __init__(self, count: int = 1) -> None:
        self._free_at = [0.0] * count

    def serve(self, now: float, seconds: float) -> float:
        """Return the time at which a request that arrives at ``now`` and takes ``seconds`` is done."""
        done = max(now, heapq.heappop(self._free_at)) + seconds
        heapq.heappush(self._free_at, done)
        return done


def simulate(scene: Scene, workers: int) -> float:
    """Return pictures per second, with every picture read from the store, computed, written and recorded by itself.

    Times of computing are assumed to vary by a tenth (one standard deviation).
    """
    chance = np.random.default_rng(0)
    store, driver = Servers(), Servers()
    cores = [Servers(scene.cores) for _ in range(workers)]
    gpus = [Servers() for _ in range(workers)]
    transfer = scene.megabytes / 2 / scene.store_megabytes
    steps: list[Callable[[int, float], float]] = [
        lambda _, now: store.serve(now, transfer) + scene.latency,
        lambda worker, now: cores[worker].serve(now, scene.cpu_seconds * max(0.1, chance.normal(1, 0.1))),
        lambda worker, now: gpus[worker].serve(now, scene.gpu_seconds),
        lambda _, now: store.serve(now, transfer) + scene.latency,
        lambda _, now: driver.serve(now, scene.driver_seconds),
    ]
    left = [PICTURES_EACH * scene.cores] * workers
    pictures = sum(left)
    in_progress = range(scene.cores + READING_OR_WRITING)
    events = [(0.0, worker, slot, 0) for worker in range(workers) for slot in in_progress]  # in order, so a heap
    end = 0.0
    while events:
        now, worker, slot, step = heapq.heappop(events)
        if step == 0 and not left[worker]:
            continue
        left[worker] -= step == 0
        now = steps[step](worker, now)
        end = max(end, now)
        heapq.heappush(events, (now, worker, slot, (step + 1) % len(steps)))
    return pictures / end


if __name__ == "__main__":
    main()
