"""The protocol of engines, and the schedule by which they shut down."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from colorbatch.progress import ProgressReporter
from colorbatch.run.colorize import Recipe
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Announce, Outcome, Run
from colorbatch.stages import StageTimer

SECONDS_BETWEEN_LOOKS = 0.2
"""Interval at which an engine checks whether the run is to stop."""
SECONDS_TO_FINISH = 1.5
"""Time after a stop until inferences are broken off; after twice that time, pictures in progress are abandoned."""


@dataclass(frozen=True)
class Task:
    """What an engine has to do in a run."""

    plan: Sequence[PlannedPicture]
    """The sources."""
    run: Run
    """Recipe, stores and records of earlier runs."""
    announce: Announce
    """Function that is called before an output is written."""
    stop: threading.Event
    """Set when no further picture is to be started."""
    progress: ProgressReporter
    """Receives updates on the pictures in progress."""


class Engine(Protocol):
    """Makes the outputs of a run. It is opened before anything is written, so that errors are found before then."""

    recipe: Recipe
    """Model and settings of the outputs."""
    provider_reason: str
    """Reason for the choice of the provider; empty if there was no choice."""
    stages: StageTimer
    """Time spent in each stage."""

    @property
    def provider(self) -> str:
        """The execution provider in use."""

    def outcomes(self, task: Task) -> Iterator[Outcome]:
        """Yield the outcome of each picture as soon as it is finished.

        Raises:
            EnvironmentFailure: no further output can be made; raised after the pictures in progress are finished.

        """

    def close(self) -> None:
        """Release all resources."""


class ShutdownSchedule:
    """The steps of stopping a run, each more drastic than the one before, at fixed intervals."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        """Schedule the first step at once, the second after :data:`SECONDS_TO_FINISH`, and so on."""
        self._steps = deque((number * SECONDS_TO_FINISH, step) for number, step in enumerate(steps))
        self._since: float | None = None

    def advance(self) -> float:
        """Run the steps that are due, and return the seconds since the first call. To be called repeatedly."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        while self._steps and now - self._since >= self._steps[0][0]:
            self._steps.popleft()[1]()
        return now - self._since
