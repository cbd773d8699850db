"""What a run works with, and what comes of one source."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from colorbatch.formats.signer import Signer
from colorbatch.machine import MemoryBudget, physical_memory
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded, NoOutput, Recipe
from colorbatch.run.gate import Gate
from colorbatch.run.plan import PlannedPicture
from colorbatch.stages import StageTimer
from colorbatch.store.store import Store


@dataclass(frozen=True)
class Made:
    """An output was written: coloured, or a copy of a source in colour."""

    row: Row


@dataclass(frozen=True)
class Kept:
    """The result of an earlier run is kept: an output, or the decision not to make one."""

    row: Row
    was_signed: bool = False
    """Whether its output had no signature, and got one now."""


@dataclass(frozen=True)
class Skipped:
    """No output is made, for the reason in the row."""

    row: Row


@dataclass(frozen=True)
class Failed:
    """No output could be made, for the reason in the row."""

    row: Row


Outcome = Made | Kept | Skipped | Failed
"""The outcome of one source."""


def is_written(outcome: Outcome) -> bool:
    """Return whether an output was written now."""
    return isinstance(outcome, Made) or (isinstance(outcome, Kept) and outcome.was_signed)


Announce: TypeAlias = Callable[[str, str, Row | None], None]
"""Receives name and sha256 of a file that is about to be written, and the row that an output will have then."""


@dataclass(frozen=True)
class Run:
    """The recipe and the stores of a run, and what earlier runs left."""

    recipe: Recipe
    source: Store
    output: Store
    earlier: Mapping[str, Row] = field(default_factory=dict)
    """Rows of earlier runs, by input."""
    written: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    """Hashes (sha256) of what earlier runs wrote, by output name."""
    signer: Signer | None = None
    """Signs the outputs; ``None``: they are not signed."""


class Executor(Protocol):
    """The place where pictures are computed. Safe to use from several threads at once."""

    def colorize(self, data: bytes, planned: PlannedPicture, stages: StageTimer) -> Encoded | NoOutput:
        """Wait until a core is free, and do what :func:`colorbatch.run.colorize.colorize_source` does.

        Raises:
            PictureError: the source cannot be coloured.
            InferenceStoppedError: :meth:`stop` was called.
            EnvironmentFailure: no picture can be computed any more.

        """

    def stop(self) -> None:
        """Abort what is being computed, and refuse everything that follows."""


@dataclass(frozen=True)
class Work:
    """A run and its resources."""

    run: Run
    executor: Executor
    announce: Announce
    """Function that is called before an output is written."""
    gate: Gate = field(default_factory=Gate)
    """Gate through which outputs are written."""
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(physical_memory()))
    """Budget for decoded pictures."""
    reading: MemoryBudget = field(default_factory=lambda: MemoryBudget(physical_memory()))
    """Budget for files of a remote store that are read ahead: a separate one, since they wait for ``memory``."""
    stages: StageTimer = field(default_factory=StageTimer)
    announced: dict[str, str] = field(default_factory=dict)
    """Hashes (sha256) of the outputs that this process has begun to write, by their names."""
