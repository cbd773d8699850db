"""What every engine does."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from colorbatch.discovery import PlannedPicture
from colorbatch.job import ColorOptions
from colorbatch.making import Run
from colorbatch.manifest import Row
from colorbatch.model_file import ModelFile
from colorbatch.progress import ProgressReporter
from colorbatch.stages import StageTimer

SECONDS_BETWEEN_LOOKS = 0.2
"""At whether the run is to stop."""
SECONDS_TO_FINISH = 1.5
"""After which, once the run is to stop, inferences are broken off; after twice that, what goes on is abandoned."""


class Engine(Protocol):
    """Opened before anything is written, so that what is refused is refused then."""

    model: ModelFile
    options: ColorOptions
    """Of the job, with the contract's values for what it leaves open."""
    provider: str
    """The execution provider that is really in use."""
    stages: StageTimer
    """Where the time went."""

    def rows(
        self,
        plan: Sequence[PlannedPicture],
        run: Run,
        announce: Callable[[str, str], None],
        stop: threading.Event,
        progress: ProgressReporter,
    ) -> Iterator[tuple[Row, bool]]:
        """Yield the row of each picture as it is finished, and whether its output was there already.

        Args:
            plan: the sources.
            run: what the rows are made by.
            announce: takes name and sha256 of an output before it is written.
            stop: set when no further picture is to be begun.
            progress: hears what is being worked on.

        Raises:
            EnvironmentFailure: no further output can be made; raised after the pictures in work are finished.

        """

    def close(self) -> None:
        """Give back what was opened."""
