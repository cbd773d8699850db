"""Gather what several threads ask of a model at the same time, and run it as one batch: what a GPU is fast at.

Who asks while the model is busy waits; who finds it free runs whatever waits and is alike. So batches grow with the
load by themselves, nobody waits for one to fill, and no thread is needed beyond those that ask.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from colorbatch.color import Plane
from colorbatch.errors import InferenceError

LARGEST = 16
"""Pictures in a batch: more are hardly faster, and take more of the GPU's memory."""

Run = Callable[[Plane, float | None, float | None], Plane]
"""Takes luma ``[N, 1, H, W]``, vividness and deadline, and returns chroma ``[N, 2, H, W]``."""


@dataclass(eq=False)
class _Request:
    """What one thread asks for, and what comes of it."""

    luma: Plane
    vividness: float | None
    deadline: float | None
    chroma: Plane | None = None
    error: InferenceError | MemoryError | None = None
    is_done: bool = False

    @property
    def kind(self) -> tuple[tuple[int, ...], float | None]:
        """Requests of the same kind fit into one batch."""
        return self.luma.shape[1:], self.vividness


class Batcher:
    """Runs a model for several threads. What one picture makes fail fails alone."""

    def __init__(self, run: Run, largest: int = LARGEST) -> None:
        """Call ``run`` for up to ``largest`` requests together, and never twice at the same time."""
        self._run = run
        self._largest = largest
        self._waiting: list[_Request] = []
        self._is_busy = False
        self._condition = threading.Condition()

    def __call__(self, luma: Plane, vividness: float | None, deadline: float | None) -> Plane:
        """Return what ``run`` gives for these arguments, computed beside what other threads ask for.

        Raises:
            InferenceError, MemoryError: ``run`` raised it for this request alone.

        """
        request = _Request(luma, vividness, deadline)
        with self._condition:
            self._waiting.append(request)
        while (batch := self._next_batch(request)) is not None:
            try:
                self._answer(batch)
            finally:
                with self._condition:
                    for each in batch:
                        each.is_done = True
                    self._is_busy = False
                    self._condition.notify_all()
        if request.error is not None:
            raise request.error
        assert request.chroma is not None, "whoever ran the batch met a bug"
        return request.chroma

    def _next_batch(self, request: _Request) -> Sequence[_Request] | None:
        """Return what to run next, once the model is free, or ``None`` once ``request`` has its answer."""
        with self._condition:
            self._condition.wait_for(lambda: request.is_done or not self._is_busy)
            if request.is_done:
                return None
            kind = self._waiting[0].kind
            batch = [each for each in self._waiting if each.kind == kind][: self._largest]
            self._waiting = [each for each in self._waiting if each not in batch]
            self._is_busy = True
            return batch

    def _answer(self, batch: Sequence[_Request]) -> None:
        deadlines = [each.deadline for each in batch if each.deadline is not None]
        deadline = max(deadlines) if len(deadlines) == len(batch) else None
        try:
            chroma = self._run(np.concatenate([each.luma for each in batch]), batch[0].vividness, deadline)
        except (InferenceError, MemoryError) as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                for each in batch:
                    self._answer([each])
            return
        ends = np.cumsum([len(each.luma) for each in batch])[:-1]
        for each, part in zip(batch, np.split(chroma, ends), strict=True):
            each.chroma = part
