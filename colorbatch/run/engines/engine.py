"""What every engine does."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from colorbatch.progress import ProgressReporter
from colorbatch.run.colorize import Recipe
from colorbatch.run.output import Outcome, Run
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import StageTimer

SECONDS_BETWEEN_LOOKS = 0.2
"""At whether the run is to stop."""
SECONDS_TO_FINISH = 1.5
"""After which, once the run is to stop, inferences are broken off; after twice that, what goes on is abandoned."""


class Engine(Protocol):
    """Opened before anything is written, so that what is refused is refused then."""

    recipe: Recipe
    """What it makes outputs by."""
    provider_reason: str
    """Why its provider was taken, where there was a choice."""
    stages: StageTimer
    """Where the time went."""

    @property
    def provider(self) -> str:
        """The execution provider that is really in use."""

    def outcomes(
        self,
        plan: Sequence[PlannedPicture],
        run: Run,
        announce: Callable[[str, str], None],
        stop: threading.Event,
        progress: ProgressReporter,
    ) -> Iterator[Outcome]:
        """Yield what became of each picture as it is finished.

        Args:
            plan: the sources.
            run: what the outputs are made by.
            announce: takes name and sha256 of an output before it is written.
            stop: set when no further picture is to be begun.
            progress: receives what is being worked on.

        Raises:
            EnvironmentFailure: no further output can be made; raised after the pictures in work are finished.

        """

    def close(self) -> None:
        """Give back what was opened."""


class ShutdownSchedule:
    """How long pictures in work are waited for once the run is to stop: then what takes too long is broken off."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        """Take what is to be done at once, after :data:`SECONDS_TO_FINISH`, after twice that, and so on."""
        self._steps = deque((number * SECONDS_TO_FINISH, step) for number, step in enumerate(steps))
        self._since: float | None = None

    def advance(self) -> float:
        """Take the steps whose time has come; return the seconds since the first call. Call it again and again."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        while self._steps and now - self._since >= self._steps[0][0]:
            self._steps.popleft()[1]()
        return now - self._since
