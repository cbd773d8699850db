"""Where the time of a run is spent: seconds and megabytes of each stage, over all threads and child processes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Stage = Literal["read", "decode", "network", "encode", "write"]
"""``network`` includes shrinking; ``encode`` includes enlarging and merging chroma, and hashing."""


@dataclass
class StageCost:
    """Cost of one stage, summed over pictures and threads."""

    seconds: float = 0.0
    """Elapsed seconds; stages of several threads that overlap in time each count in full."""
    cpu_seconds: float = 0.0
    """CPU seconds of the threads that ran it; threads that ONNX Runtime starts itself are not counted."""
    megabytes: float = 0.0
    """Output of the stage: file bytes read, decoded pixels, chroma, file bytes to write, file bytes written."""


class StageTimer:
    """Adds up the costs of stages. May be used from several threads at once."""

    def __init__(self) -> None:
        self.costs: dict[Stage, StageCost] = {}
        self._lock = threading.Lock()

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[StageCost]:
        """Time the block; the caller adds the output of the stage to ``megabytes`` of the cost yielded."""
        cost = StageCost()
        began, cpu_began = time.perf_counter(), time.thread_time()
        try:
            yield cost
        finally:
            cost.seconds = time.perf_counter() - began
            cost.cpu_seconds = time.thread_time() - cpu_began
            self.add(stage, cost)

    def add(self, stage: Stage, cost: StageCost) -> None:
        """Add a cost measured elsewhere."""
        with self._lock:
            total = self.costs.setdefault(stage, StageCost())
            total.seconds += cost.seconds
            total.cpu_seconds += cost.cpu_seconds
            total.megabytes += cost.megabytes
