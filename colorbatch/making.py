"""Make the output of one source: read, colour, mark, write, and say in a row what came of it."""

import errno
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from colorbatch import xmp
from colorbatch.colouring import IN_COLOUR, Run, now, row_of
from colorbatch.discovery import Known, PlannedPicture, read_source
from colorbatch.errors import (
    EnvironmentFailure,
    InferenceStoppedError,
    OutputUnwritableError,
    PictureError,
    UnreadablePictureError,
    UnsafeOutputError,
)
from colorbatch.formats import decode, decoded_bytes
from colorbatch.job import BatchJob
from colorbatch.manifest import Row
from colorbatch.memory import MemoryBudget, physical_memory
from colorbatch.naming import in_utf_8
from colorbatch.progress import printable
from colorbatch.stages import StageTimer
from colorbatch.store.local import LocalStore
from colorbatch.store.store import Store

logger = logging.getLogger(__name__)

NOT_REACHED = "not reached: the run was stopped before it"
_COPIES = 3
"""How many times a picture in colour, decoded, a picture in work takes at most: as read, in colour, and encoded."""
_ENDS_THE_RUN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""Write failures that the next picture would meet as well."""


class Gate:
    """Lets outputs be written until it is closed: then nobody waits for pictures in work any more."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self.is_closed = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Write an output.

        Raises:
            InferenceStoppedError: the gate is closed.

        """
        with self._condition:
            if self.is_closed:
                raise InferenceStoppedError("the run was stopped")
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    def close(self, seconds: float) -> None:
        """Let nobody in any more, and wait for those inside, but not for ever."""
        with self._condition:
            self.is_closed = True
            self._condition.wait_for(lambda: self._inside == 0, seconds)


class Executor(Protocol):
    """Where pictures are computed with. May be used from several threads at once."""

    def colour(self, data: bytes, planned: PlannedPicture, run: Run, stages: StageTimer) -> tuple[Row, bytes]:
        """Wait until a core is free, and do what :func:`colorbatch.colouring.colour` does.

        Raises:
            PictureError: it cannot be coloured.
            InferenceStoppedError: :meth:`stop` was called.
            EnvironmentFailure: no picture can be computed with any more.

        """

    def stop(self) -> None:
        """Break off what is being computed, and refuse all that comes."""


@dataclass(frozen=True)
class Work:
    """A run, and what it is done with."""

    run: Run
    executor: Executor
    announce: Callable[[str, str], None]
    """Called with name and sha256 of an output before it is written."""
    gate: Gate = field(default_factory=Gate)
    """Through which outputs are written."""
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(physical_memory()))
    """For decoded pictures."""
    reading: MemoryBudget = field(default_factory=lambda: MemoryBudget(physical_memory()))
    """For files of a store that are read ahead: a budget of its own, since they wait for that of decoded pictures."""
    stages: StageTimer = field(default_factory=StageTimer)

    @property
    def job(self) -> BatchJob:
        """What the run is asked to do."""
        return self.run.job


def make(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    """Make the output of one source; return its row, and whether the output was there already.

    Raises:
        InferenceStoppedError: the run was stopped; nothing of this picture was written.
        EnvironmentFailure: for a reason that the next picture would meet as well.

    """
    if planned.verdict != "colour":
        return _settled_by_plan(planned, work)
    started = time.perf_counter()
    try:
        row, kept = _make_output(planned, work)
    except InferenceStoppedError:
        raise
    except OutputUnwritableError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _ENDS_THE_RUN:
            raise
        row, kept = failed(planned, work.run, str(error)), False
    except EnvironmentFailure:
        raise
    except PictureError as error:
        row, kept = failed(planned, work.run, error.in_full), False
    except MemoryError:
        row, kept = failed(planned, work.run, "it needs more memory than there is"), False
    except Exception as error:
        logger.exception("A bug in colorbatch, met at %s", printable(planned.input))
        row, kept = failed(planned, work.run, f"a bug in colorbatch: {type(error).__name__}: {error}"), False
    if kept:
        return row, True
    return replace(row, seconds=round(time.perf_counter() - started, 4), finished_at=now()), False


def _settled_by_plan(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    if planned.verdict == "failed":
        return failed(planned, work.run, planned.reason), False
    earlier = work.run.previous.get(planned.input)
    if earlier is not None and earlier.status == "done" and stands(earlier, work.run.folder):
        return earlier, True  # what was made of it before it was excluded
    return row_of(planned, "skipped", planned.reason), False


def stands(row: Row, folder: Store) -> bool:
    """Return whether the output that a row names is there, altered or not."""
    return row.output is not None and folder.state(row.output) is not None


def of_other_sources(plan: Mapping[str, str | None], previous: Mapping[str, Row], folder: Store) -> list[Row]:
    """Return the rows of earlier runs over sources that are not there any more, where their outputs still stand.

    Args:
        plan: the outputs of the sources that are there, by their inputs.
        previous: rows of earlier runs, by input.
        folder: of the outputs.

    """
    outputs = set(plan.values())
    return [
        row for row in previous.values() if row.input not in plan and row.output not in outputs and stands(row, folder)
    ]


def known_sources(rows: Iterable[Row]) -> Mapping[str, Known]:
    """Return what is known of the sources in a store, by their inputs, from rows of earlier runs."""
    return {
        row.input: Known(row.input_etag, row.output)
        for row in rows
        if row.status == "done" and row.input_etag is not None and row.output is not None
    }


def is_settled(previous: Row, planned: PlannedPicture, run: Run) -> bool:
    """Return whether an earlier row was made by the same model with the same settings, whatever became of the files."""
    if (previous.model_sha256, previous.settings_sha256) != (run.model.sha256, run.settings_sha256):
        return False
    if previous.is_salvaged and not run.job.salvage:
        return False
    if previous.status == "skipped":
        return previous.reason == IN_COLOUR
    has_output = previous.output in (planned.output_name, planned.input) and previous.output_sha256 is not None
    return previous.status == "done" and has_output


def _make_output(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    """Make one output, once there is memory for its source if that has to be fetched."""
    previous, run = work.run.previous.get(planned.input), work.run
    if previous is not None and planned.etag is not None and is_settled(previous, planned, run):
        is_same = (previous.input_etag, previous.input_bytes) == (planned.etag, planned.bytes)
        if is_same and (previous.output is None or _output_sha256(previous, run) == previous.output_sha256):
            return _with_etags(previous, planned, run), True
    if isinstance(planned.source, Path):
        return _read_and_made(planned, work)
    with work.reading.taken(planned.bytes):
        return _read_and_made(planned, work)


def _read_and_made(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    """Read, colour and write one picture."""
    try:
        with work.stages.timed("read") as cost:
            data = read_source(planned)
            cost.megabytes = len(data) / 1e6
    except OSError as error:
        advice = None if isinstance(planned.source, Path) else "Run the same command again"
        raise UnreadablePictureError(f"cannot read the file: {error.strerror or error}", advice=advice) from error
    run, folder = work.run, work.run.folder
    previous = run.previous.get(planned.input)
    is_altered = (
        previous is not None
        and previous.output is not None
        and _output_sha256(previous, run) not in (None, previous.output_sha256)
    )
    if (
        previous is not None
        and is_settled(previous, planned, run)
        and previous.input_sha256 == hashlib.sha256(data).hexdigest()
        and not is_altered
        and (previous.output is None or folder.is_file(previous.output))
    ):
        return _with_etags(previous, planned, run), True
    with work.memory.taken(decoded_bytes(data) * _COPIES):
        row, encoded = work.executor.colour(data, planned, run, work.stages)
    if not encoded:
        row = with_earlier_output(row, run)
    if encoded and is_altered and folder.sha256(str(row.output)) not in (None, row.output_sha256):
        row = replace(row, warnings=(*row.warnings, "the output had been altered, and was made again"))
    if encoded:
        name, sha256 = str(row.output), str(row.output_sha256)
        is_its_own = previous is not None and previous.output == name
        is_ours = is_its_own or (name in run.outputs and folder.sha256(name) in run.outputs[name])
        with work.gate.passed(), work.stages.timed("write") as cost:
            work.announce(name, sha256)
            cost.megabytes = len(encoded) / 1e6
            _write(folder, planned.input, name, encoded, may_replace=is_ours)
    return _with_etags(row, planned, run), False


def _output_sha256(row: Row, run: Run) -> str | None:
    """Return the sha256 of the output that a row names as it is now; where its ETag is the same, it is not read."""
    state = run.folder.state(str(row.output))
    if state is not None and state.etag is not None and state.etag == row.output_etag:
        return row.output_sha256
    return None if state is None else run.folder.sha256(str(row.output))


def _with_etags(row: Row, planned: PlannedPicture, run: Run) -> Row:
    """Return a row with what stores say of its source and its output now."""
    state = None if row.output is None else run.folder.state(row.output)
    return replace(row, input_etag=planned.etag, output_etag=None if state is None else state.etag)


def _write(folder: Store, source: str, name: str, encoded: bytes, *, may_replace: bool) -> None:
    """Write an output below ``folder``, over nothing that colorbatch did not make.

    A run that was killed between output and row leaves an output without a row: since equal sources give equal bytes,
    it is known by its sha256 and kept. In a store, where nothing is announced, one of another model or other settings
    is known by its mark.
    """
    try:
        folder.write(name, encoded, may_replace=may_replace)
    except FileExistsError as error:
        if folder.is_same(name, hashlib.sha256(encoded).hexdigest()):
            return
        if not isinstance(folder, LocalStore) and _is_made_of(source, folder, name):
            folder.write(name, encoded, may_replace=True)
            return
        raise UnsafeOutputError("a file that colorbatch did not make stands where the output belongs") from error


def _is_made_of(source: str, folder: Store, name: str) -> bool:
    """Return whether the mark of what stands in a folder says that colorbatch made it of that source."""
    try:
        picture = decode(folder.read(name))
        return all(xmp.is_made_of(frame.metadata.xmp, in_utf_8(source)) for frame in picture.frames)
    except (OSError, PictureError, ValueError):
        return False


def failed(planned: PlannedPicture, run: Run, reason: str) -> Row:
    """Return the row of a source that could not be coloured."""
    return with_earlier_output(row_of(planned, "failed", reason), run)


def with_earlier_output(row: Row, run: Run) -> Row:
    """Return a row without output; one of an earlier run that still stands stays on record as ours."""
    earlier = run.previous.get(row.input)
    if earlier is None or not stands(earlier, run.folder):
        return row
    return replace(
        row,
        output=earlier.output,
        output_sha256=earlier.output_sha256,
        output_etag=earlier.output_etag,
        input_sha256=row.input_sha256 or earlier.input_sha256,
        digital_source_type=earlier.digital_source_type,
    )
