"""How long work reports on itself, without knowing who listens, and how fast it goes."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

_SECONDS_LOOKED_BACK = 60.0
"""Over which a rate is taken: what is small, or there already, at the start says little of the rest."""
_FEWEST_LOOKED_BACK = 20
"""Advances that a rate rests on, however long ago: large pictures take minutes."""


class ProgressReporter(Protocol):
    """Receives the progress of one job at a time; the command line shows it, a library caller may ignore it."""

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Start a job of ``total`` steps; ends the one before.

        ``weight`` is what all of them weigh, in a unit that says how much longer one takes than another; ``None``:
        they are alike, and weigh 1 each.
        """

    def working_on(self, name: str) -> AbstractContextManager[None]:
        """Say, for as long as the block lasts, what is being worked on; from any thread."""

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Say that ``steps`` more steps are done.

        Args:
            steps: how many.
            weight: what they weighed; 0: they were done before, and say nothing of how fast it goes; ``None``: 1 each.
            megapixels: that were worked through.

        """

    def message(self, text: str) -> None:
        """Show one line that stays."""

    def end(self) -> None:
        """Close the current job; safe to call more than once."""


class SilentProgress:
    """A reporter that tells nobody."""

    def begin(self, total: int, label: str, weight: float | None = None) -> None:
        """Ignore."""

    def working_on(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 (nobody is told)
        """Ignore."""
        return nullcontext()

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Ignore."""

    def message(self, text: str) -> None:
        """Ignore."""

    def end(self) -> None:
        """Ignore."""


@dataclass(frozen=True)
class _Mark:
    """What had been worked through at a moment."""

    time: float
    steps: int = 0
    weight: float = 0.0
    megapixels: float = 0.0


class Pace:
    """How fast a job goes of late, and when it will be done.

    The time left rests on weights, not on steps: a folder of small scans before one of masters would promise far too
    much. One thread advances it; others may ask.
    """

    def __init__(self, total: int, weight: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what :meth:`ProgressReporter.begin` takes; ``clock`` tells seconds."""
        self.total = total
        self.done = 0
        self._weight = float(total if weight is None else weight)
        self._clock = clock
        self._marks = deque([_Mark(clock())])

    def advance(self, steps: int = 1, *, weight: float | None = None, megapixels: float = 0.0) -> None:
        """Count what :meth:`ProgressReporter.advance` is told."""
        self.done += steps
        now, last = self._clock(), self._marks[-1]
        if weight == 0:
            if last.steps == 0:  # the work has not begun yet
                self._marks[0] = _Mark(now)
            return
        weight = float(steps if weight is None else weight)
        self._marks.append(_Mark(now, last.steps + steps, last.weight + weight, last.megapixels + megapixels))
        while len(self._marks) > _FEWEST_LOOKED_BACK and self._marks[0].time < now - _SECONDS_LOOKED_BACK:
            self._marks.popleft()

    @property
    def steps_per_second(self) -> float:
        """Of those that took time."""
        return (self._marks[-1].steps - self._marks[0].steps) / self._seconds

    @property
    def megapixels_per_second(self) -> float:
        """Worked through."""
        return (self._marks[-1].megapixels - self._marks[0].megapixels) / self._seconds

    @property
    def seconds_left(self) -> float | None:
        """Until all is done, at the pace of late; ``None``: nothing tells that yet."""
        first, last = self._marks[0], self._marks[-1]
        if last.weight == first.weight:
            return None
        left = max(0.0, self._weight - last.weight) if self.done < self.total else 0.0
        return left * self._seconds / (last.weight - first.weight)

    @property
    def _seconds(self) -> float:
        return max(self._clock() - self._marks[0].time, 1e-9)
