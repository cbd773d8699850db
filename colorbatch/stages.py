"""Where the time of a run goes: seconds and megabytes of each stage, over all threads and child processes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Stage = Literal["read", "decode", "network", "encode", "write"]
"""``network``: shrinking is part of it; ``encode``: enlarging chroma, merging it and hashing are part of it."""


@dataclass
class StageCost:
    """What one stage took, summed over the pictures and threads."""

    seconds: float = 0.0
    """Of the clock; what stages of other threads took at the same time is counted there too."""
    cpu_seconds: float = 0.0
    """Of the threads that did it; those of ONNX Runtime, where it has its own, are not counted."""
    megabytes: float = 0.0
    """That left it: file bytes read, decoded pixels, chroma, file bytes to write, file bytes written."""


class StageTimer:
    """Counts stages. May be used from several threads at once."""

    def __init__(self) -> None:
        self.costs: dict[Stage, StageCost] = {}
        self._lock = threading.Lock()

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[StageCost]:
        """Count what is done inside; add what leaves the stage to ``megabytes`` of what is yielded."""
        cost = StageCost()
        began, cpu_began = time.perf_counter(), time.thread_time()
        try:
            yield cost
        finally:
            cost.seconds = time.perf_counter() - began
            cost.cpu_seconds = time.thread_time() - cpu_began
            self.add(stage, cost)

    def add(self, stage: Stage, cost: StageCost) -> None:
        """Add what was counted elsewhere."""
        with self._lock:
            total = self.costs.setdefault(stage, StageCost())
            total.seconds += cost.seconds
            total.cpu_seconds += cost.cpu_seconds
            total.megabytes += cost.megabytes
