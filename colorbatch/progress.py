"""How long work reports its progress, without knowing who listens, and its rate."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

_RATE_PERIOD = 60.0
"""Period over which a rate is computed: small or finished pictures at the start say little about the rest."""
_MIN_ADVANCES = 20
"""Minimum number of advances that a rate is based on, however old: large pictures take minutes."""


class ProgressReporter(Protocol):
    """Receives the progress of one job at a time; the command line shows it, a library caller may ignore it."""

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Start a job of ``total`` steps; end the previous one.

        ``weight`` is their total weight, in a unit proportional to the time that a step takes; ``None``: all steps are
        alike, and weigh 1 each.
        """

    def working_on(self, name: str) -> AbstractContextManager[None]:
        """Report what is being worked on for as long as the block lasts; from any thread."""

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Report that ``steps`` more steps are done.

        Args:
            steps: how many.
            weight: their total weight; 0: they were done before, and do not count towards the rate; ``None``: 1 each.
            megapixels: how many were processed.

        """

    def message(self, text: str) -> None:
        """Show one line that remains visible."""

    def end(self) -> None:
        """End the current job; safe to call more than once."""


class SilentProgress:
    """A reporter that shows nothing."""

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Ignore."""

    def working_on(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 (nothing is shown)
        """Ignore."""
        return nullcontext()

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Ignore."""

    def message(self, text: str) -> None:
        """Ignore."""

    def end(self) -> None:
        """Ignore."""


@dataclass(frozen=True)
class _Sample:
    """What had been done at a point in time."""

    time: float
    steps: int = 0
    weight: float = 0.0
    megapixels: float = 0.0


class Pace:
    """Recent rate of a job, and the time left.

    The time left is based on weights, not on steps: after a folder of small scans, one of large masters would take far
    longer than estimated. One thread advances it; others may read it.
    """

    def __init__(self, total: int, weight: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the arguments of :meth:`ProgressReporter.begin`, and a clock in seconds."""
        self.total = total
        self.done = 0
        self._weight = float(total if weight is None else weight)
        self._clock = clock
        self._samples = deque([_Sample(clock())])

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Record what :meth:`ProgressReporter.advance` reports."""
        self.done += steps
        now, last = self._clock(), self._samples[-1]
        if weight == 0:
            if last.steps == 0:  # the work has not begun yet
                self._samples[0] = _Sample(now)
            return
        weight = float(steps if weight is None else weight)
        self._samples.append(_Sample(now, last.steps + steps, last.weight + weight, last.megapixels + megapixels))
        while len(self._samples) > _MIN_ADVANCES and self._samples[0].time < now - _RATE_PERIOD:
            self._samples.popleft()

    @property
    def steps_per_second(self) -> float:
        """Recent rate of the steps that took time."""
        return (self._samples[-1].steps - self._samples[0].steps) / self._seconds

    @property
    def megapixels_per_second(self) -> float:
        """Recent rate of the megapixels processed."""
        return (self._samples[-1].megapixels - self._samples[0].megapixels) / self._seconds

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done, at the recent rate; ``None``: not known yet."""
        first, last = self._samples[0], self._samples[-1]
        if last.weight == first.weight:
            return None
        left = max(0.0, self._weight - last.weight) if self.done < self.total else 0.0
        return left * self._seconds / (last.weight - first.weight)

    @property
    def _seconds(self) -> float:
        """Period over which the rates are computed; above 0."""
        return max(self._clock() - self._samples[0].time, 1e-9)
