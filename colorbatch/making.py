"""Make the output of one source: read, colour, mark, write, and say in a row what came of it."""

import errno
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from colorbatch import atomic, manifest, xmp
from colorbatch.colorizer import Colorizer
from colorbatch.discovery import PlannedPicture
from colorbatch.errors import (
    InferenceStoppedError,
    OutputUnwritableError,
    PictureError,
    UnreadablePictureError,
    UnsafeOutputError,
)
from colorbatch.formats import decode, decoded_bytes, encode
from colorbatch.job import BatchJob, Status
from colorbatch.manifest import Row
from colorbatch.memory import MemoryBudget, physical_memory
from colorbatch.picture import Frame, Picture
from colorbatch.progress import printable
from colorbatch.reading import read_regular
from colorbatch.stages import StageTimer
from colorbatch.toning import measure_tone
from colorbatch.version import __version__

logger = logging.getLogger(__name__)

NOT_REACHED = "not reached: the run was stopped before it"
IN_COLOUR = "it is in colour already"
UNMARKED = "without the mark that its colours were made by a model, as asked"
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


@dataclass(frozen=True)
class Work:
    """What every picture of a run shares."""

    job: BatchJob
    colorizer: Colorizer
    previous: Mapping[str, Row]
    """Rows of earlier runs, by input."""
    outputs: Mapping[str, AbstractSet[str]]
    """The sha256 of what earlier runs wrote, by the names of the outputs."""
    announce: Callable[[str, str], None]
    """Called with name and sha256 of an output before it is written."""
    gate: Gate = field(default_factory=Gate)
    """Through which outputs are written."""
    cores: threading.Semaphore = field(default_factory=threading.Semaphore)
    """One for each picture that may be computed with at a time; others are read and written meanwhile."""
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(physical_memory()))
    """For decoded pictures."""
    stages: StageTimer = field(default_factory=StageTimer)

    @property
    def model_sha256(self) -> str:
        """Hash of the model file."""
        return self.colorizer.session.model.sha256

    @property
    def settings_sha256(self) -> str:
        """Hash of all options that decide what becomes of a source."""
        job = self.job
        settings = {
            **asdict(self.colorizer.options),
            "already_color": job.already_color,
            "jpeg_luma": job.jpeg_luma,
            "digital_source_type": job.digital_source_type,
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def make(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    """Make the output of one source; return its row, and whether the output was there already.

    Raises:
        InferenceStoppedError: the run was stopped; nothing of this picture was written.
        OutputUnwritableError: for a reason that the next picture would meet as well.

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
        row, kept = _failed(planned, work, str(error)), False
    except PictureError as error:
        row, kept = _failed(planned, work, error.in_full), False
    except MemoryError:
        row, kept = _failed(planned, work, "it needs more memory than there is"), False
    except Exception as error:
        logger.exception("A bug in colorbatch, met at %s", printable(planned.input))
        row, kept = _failed(planned, work, f"a bug in colorbatch: {type(error).__name__}: {error}"), False
    if kept:
        return row, True
    return replace(row, seconds=round(time.perf_counter() - started, 4), finished_at=_now()), False


def _settled_by_plan(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    if planned.verdict == "failed":
        return _failed(planned, work, planned.reason), False
    earlier = work.previous.get(planned.input)
    if earlier is not None and earlier.status == "done" and stands(earlier, work.job.output):
        return earlier, True  # what was made of it before it was excluded
    return row_of(planned, "skipped", planned.reason), False


def stands(row: Row, folder: Path) -> bool:
    """Return whether the output that a row names is there, altered or not."""
    return row.output is not None and os.path.lexists(folder / row.output)


def of_other_sources(plan: Mapping[str, str | None], previous: Mapping[str, Row], folder: Path) -> list[Row]:
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


def is_settled(previous: Row, planned: PlannedPicture, work: Work) -> bool:
    """Return whether an earlier row was made by the same model with the same settings, whatever became of the files."""
    if (previous.model_sha256, previous.settings_sha256) != (work.model_sha256, work.settings_sha256):
        return False
    if previous.is_salvaged and not work.job.salvage:
        return False
    if previous.status == "skipped":
        return previous.reason == IN_COLOUR
    has_output = previous.output in (planned.output_name, planned.input) and previous.output_sha256 is not None
    return previous.status == "done" and has_output


def colour(data: bytes, planned: PlannedPicture, work: Work) -> tuple[Row, bytes]:
    """Return the row of one source, and the output's bytes; empty when there is none. Nothing is written.

    Raises:
        PictureError: it cannot be coloured.

    """
    job, contract = work.job, work.colorizer.session.contract
    with work.stages.timed("decode") as cost:
        picture = decode(data, job.max_megapixels, salvage=job.salvage)
        cost.megabytes = sum(frame.pixels.nbytes for frame in picture.frames) / 1e6
    input_sha256 = hashlib.sha256(data).hexdigest()
    row = replace(
        row_of(planned, "done"),
        input_sha256=input_sha256,
        input_bytes=len(data),
        width=picture.first.width,
        height=picture.first.height,
        bits=picture.first.bits,
        frames=len(picture.frames),
        model=contract.name,
        model_sha256=work.model_sha256,
        settings_sha256=work.settings_sha256,
    )
    name, encoded = planned.output_name, b""
    in_colour = [job.already_color != "recolor" and measure_tone(frame.pixels).is_colour for frame in picture.frames]
    if all(in_colour):
        if job.already_color == "skip":
            skipped = replace(row, status="skipped", reason=IN_COLOUR, warnings=picture.warnings)
            return with_earlier_output(skipped, work), b""
        row = replace(row, reason=f"{IN_COLOUR}, copied as it is")
        name, encoded = planned.input, data
    else:
        with work.stages.timed("network") as cost:
            coloured = work.colorizer.predict(picture)
            cost.megabytes = sum(frame.chroma.nbytes for frame in coloured.frames if frame.chroma is not None) / 1e6
        picture = _but_for(in_colour, picture, coloured)
        row = replace(row, provider=work.colorizer.session.provider, digital_source_type=job.digital_source_type)
        if job.digital_source_type is None:
            row = replace(row, reason=UNMARKED)
        else:
            origin = xmp.Origin(
                manifest.in_utf_8(planned.input),
                input_sha256,
                contract.name,
                work.model_sha256,
                work.settings_sha256,
                job.digital_source_type,
            )
            picture = _marked(picture, origin)
        with work.stages.timed("encode") as cost:
            encoded = encode(picture, data if job.jpeg_luma == "exact" else b"")
            cost.megabytes = len(encoded) / 1e6
    sha256 = hashlib.sha256(encoded).hexdigest()
    return replace(row, output=name, output_sha256=sha256, warnings=picture.warnings), encoded


def _make_output(planned: PlannedPicture, work: Work) -> tuple[Row, bool]:
    """Read, colour and write one picture."""
    try:
        with work.stages.timed("read") as cost:
            data = read_regular(planned.source)
            cost.megabytes = len(data) / 1e6
    except OSError as error:
        raise UnreadablePictureError(f"cannot read the file: {error.strerror or error}") from error
    folder = work.job.output
    previous = work.previous.get(planned.input)
    is_altered = (
        previous is not None
        and previous.output is not None
        and manifest.sha256_of(folder / previous.output) not in (None, previous.output_sha256)
    )
    if (
        previous is not None
        and is_settled(previous, planned, work)
        and previous.input_sha256 == hashlib.sha256(data).hexdigest()
        and not is_altered
        and (previous.output is None or (folder / previous.output).is_file())
    ):
        return previous, True
    with work.memory.taken(decoded_bytes(data) * _COPIES), work.cores:
        row, encoded = colour(data, planned, work)
    if encoded and is_altered and manifest.sha256_of(folder / str(row.output)) not in (None, row.output_sha256):
        row = replace(row, warnings=(*row.warnings, "the output had been altered, and was made again"))
    for warning in row.warnings:
        logger.warning("%s: %s", printable(planned.input), printable(warning))
    if encoded:
        name, sha256 = str(row.output), str(row.output_sha256)
        is_its_own = previous is not None and previous.output == name
        is_ours = name in work.outputs and manifest.sha256_of(folder / name) in work.outputs[name]
        with work.gate.passed(), work.stages.timed("write") as cost:
            work.announce(name, sha256)
            cost.megabytes = len(encoded) / 1e6
            _write(folder / name, encoded, sha256, folder, may_replace=is_its_own or is_ours)
    return row, False


def _but_for(in_colour: Sequence[bool], source: Picture, coloured: Picture) -> Picture:
    """Return the coloured picture with those frames of the source that are in colour already."""
    if not any(in_colour):
        return coloured
    pairs = zip(in_colour, source.frames, coloured.frames, strict=True)
    pages = ", ".join(str(number) for number, is_in_colour in enumerate(in_colour, start=1) if is_in_colour)
    return replace(
        coloured,
        frames=tuple(before if is_in_colour else after for is_in_colour, before, after in pairs),
        warnings=(*coloured.warnings, f"in colour already and left as they were: page {pages}"),
    )


def _marked(picture: Picture, origin: xmp.Origin) -> Picture:
    """Return the picture with the mark in the XMP of every frame."""
    warnings = list(picture.warnings)

    def mark(frame: Frame) -> Frame:
        try:
            packet = xmp.marked(frame.metadata.xmp, origin)
        except ValueError as error:
            warnings.append(f"XMP is damaged and was left out: {error}")
            packet = xmp.marked(b"", origin)
        return replace(frame, metadata=replace(frame.metadata, xmp=packet))

    frames = tuple(map(mark, picture.frames))
    return replace(picture, frames=frames, warnings=tuple(warnings))


def _write(target: Path, encoded: bytes, sha256: str, folder: Path, *, may_replace: bool) -> None:
    """Write an output below ``folder``, over nothing that colorbatch did not make.

    A run that was killed between output and row leaves an output without a row: since equal sources give equal bytes,
    it is known by its sha256 and kept.
    """
    parent = Path(os.path.realpath(target.parent))  # unlike resolve, it bears a link that leads to itself
    if not parent.is_relative_to(folder.resolve()):
        raise UnsafeOutputError(f"a link in the output folder leads out of it, to {parent}")
    if os.path.lexists(target) and not may_replace:
        if target.is_symlink() or manifest.sha256_of(target) != sha256:
            raise UnsafeOutputError("a file that colorbatch did not make stands where the output belongs")
        return
    atomic.write_bytes(target, encoded, may_replace=may_replace)


def row_of(planned: PlannedPicture, status: Status, reason: str = "") -> Row:
    """Return a row of this moment."""
    return Row(input=planned.input, status=status, reason=reason, finished_at=_now(), version=__version__)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _failed(planned: PlannedPicture, work: Work, reason: str) -> Row:
    return with_earlier_output(row_of(planned, "failed", reason), work)


def with_earlier_output(row: Row, work: Work) -> Row:
    """Return a row without output; one of an earlier run that still stands stays on record as ours."""
    earlier = work.previous.get(row.input)
    if earlier is None or not stands(earlier, work.job.output):
        return row
    return replace(
        row,
        output=earlier.output,
        output_sha256=earlier.output_sha256,
        input_sha256=row.input_sha256 or earlier.input_sha256,
        digital_source_type=earlier.digital_source_type,
    )
