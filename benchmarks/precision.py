"""Time of a network in each precision: ``python benchmarks/precision.py MODEL.onnx MODEL.onnx ...``.

All models run in turn in one thread; printed are medians of CPU and wall time, and the speed relative to the first.
"""

import argparse
import statistics
import time

import numpy as np

from colorbatch.inference.model_file import read_model_file
from colorbatch.inference.session import Session

SIZES = ((192, 256), (160, 224))


def main() -> None:
    """Time the models and print a line for each, at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="+", help="files or built-in names; the first is what the others are compared with"
    )
    parser.add_argument("--repeats", type=int, default=25, help="of every model, interleaved")
    arguments = parser.parse_args()
    sessions = {name: Session(read_model_file(name), "cpu", threads=1) for name in arguments.models}
    print("size, model, precision, CPU ms (tenth, ninetieth percentile), wall ms, times as fast by CPU")
    for height, width in SIZES:
        luma = np.random.default_rng(0).random((1, 1, height, width), dtype=np.float32)
        of_cpu: dict[str, list[float]] = {name: [] for name in sessions}
        of_wall: dict[str, list[float]] = {name: [] for name in sessions}
        for repeat in range(-2, arguments.repeats):  # the first ones warm up
            for name, session in sessions.items():
                cpu, wall = time.thread_time(), time.perf_counter()
                session.predict(luma)
                cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
                if repeat >= 0:
                    of_cpu[name].append(1e3 * cpu)
                    of_wall[name].append(1e3 * wall)
        first = statistics.median(of_cpu[arguments.models[0]])
        for name, session in sessions.items():
            median = statistics.median(of_cpu[name])
            low, high = np.percentile(of_cpu[name], [10, 90])
            print(
                f"{height} x {width}, {name}, {session.contract.precision}, {median:.1f} ({low:.1f}, {high:.1f}), "
                f"{statistics.median(of_wall[name]):.1f}, {first / median:.2f}"
            )


if __name__ == "__main__":
    main()
