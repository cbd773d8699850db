"""Make the output of one source: read, colour, mark, write, and record the outcome in a row."""

import logging
import time
from contextlib import ExitStack
from dataclasses import replace

from colorbatch.errors import (
    EnvironmentFailure,
    InferenceStoppedError,
    OutputUnwritableError,
    PictureError,
    UnreadablePictureError,
    UnsignableError,
    UsageError,
    reason_of,
)
from colorbatch.formats import decoded_bytes, needs_transcoder
from colorbatch.job import BatchJob
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded, NoOutput, Recipe, now, row_of
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.resume import (
    MAX_CLOCK_SKEW,
    Hashes,
    Keep,
    decide,
    is_same_time,
    output_exists,
    with_earlier_output,
)
from colorbatch.run.sidecars import Sidecar, fingerprint_of_etags, read_sidecars
from colorbatch.run.signing import UNSIGNED_AGAIN, completed_again, is_unsigned, signed, was_signed
from colorbatch.run.work import Failed, Kept, Made, Outcome, Run, Skipped, Work
from colorbatch.run.writing import is_fatal, write_files, write_output
from colorbatch.store.store import Store
from colorbatch.text import printable

logger = logging.getLogger(__name__)

_COPIES = 3
"""Most memory that a picture in progress takes, in multiples of its decoded size in colour: read, coloured, encoded."""
_TRANSCODER_COPIES = 5
"""What separating the luma of a JPEG takes besides: the transcoder has taken up to 13 bytes per pixel."""
_NO_THREAD = "can't start new thread"
"""Message of the RuntimeError that Python raises if there is no memory for the stack of a thread."""
_TIME_NOT_SET = "the time of the source was not preserved"


def make(planned: PlannedPicture, work: Work) -> Outcome:
    """Make the output of one source.

    Raises:
        InferenceStoppedError: the run was stopped; nothing of this picture was written.
        EnvironmentFailure: a failure that the next picture would meet as well.

    """
    if planned.verdict != "colour":
        return _decided_by_plan(planned, work.run)
    started = time.perf_counter()
    try:
        outcome = _process(planned, work)
    except InferenceStoppedError:
        raise
    except OutputUnwritableError as error:
        work.run.output.refuse_lost()
        if is_fatal(error):
            raise
        outcome = failed(planned, work.run, str(error))
    except EnvironmentFailure:
        raise
    except PictureError as error:
        outcome = failed(planned, work.run, error.in_full)
    except MemoryError:
        outcome = failed(planned, work.run, "not enough memory")
    except Exception as error:  # noqa: BLE001 (logged there)
        outcome = _unexpected(error, planned, work.run)
    if isinstance(outcome, Kept):
        return outcome
    row = replace(outcome.row, seconds=round(time.perf_counter() - started, 4), finished_at=now())
    return replace(outcome, row=row)


def _unexpected(error: Exception, planned: PlannedPicture, run: Run) -> Failed:
    """Return the outcome of a source at which an error of no known kind was raised."""
    if isinstance(error, OSError):
        run.output.refuse_lost()
    if str(error) == _NO_THREAD:
        return failed(planned, run, "not enough memory")
    logger.error("A bug in colorbatch, met at %s", printable(planned.input), exc_info=error)
    return failed(planned, run, f"a bug in colorbatch: {type(error).__name__}: {error}")


def failed(planned: PlannedPicture, run: Run, reason: str) -> Failed:
    """Return the outcome of a source that could not be coloured."""
    return Failed(with_earlier_output(row_of(planned, "failed", reason), run.earlier.get(planned.input), run.output))


def _decided_by_plan(planned: PlannedPicture, run: Run) -> Outcome:
    if planned.verdict == "failed":
        return failed(planned, run, planned.reason)
    earlier = run.earlier.get(planned.input)
    if earlier is not None and earlier.status == "done" and output_exists(earlier, run.output):
        return Kept(earlier)  # made before the source was excluded
    return Skipped(with_earlier_output(row_of(planned, "skipped", planned.reason), earlier, run.output))


class _Source:
    """The file of a source, read on first use, once there is memory for it."""

    def __init__(self, planned: PlannedPicture, work: Work, open_until_done: ExitStack) -> None:
        self._planned = planned
        self._work = work
        self._open = open_until_done
        self._content: bytes | None = None
        self._sidecars: tuple[Sidecar, ...] | None = None

    def content(self) -> bytes:
        """Return the content of the file.

        Raises:
            UnreadablePictureError: it cannot be read.
            StoreUnavailableError: neither can any other.

        """
        if self._content is None:
            self._content = self._read()
        return self._content

    def sidecars(self) -> tuple[Sidecar, ...]:
        """Return the sidecars of the source, read.

        Raises:
            StoreUnavailableError: they cannot be read, nor can any other file.

        """
        if self._sidecars is None:
            self._sidecars = read_sidecars(self._planned.input, self._planned.sidecars, self._work.run.source)
        return self._sidecars

    def _read(self) -> bytes:
        store, planned = self._work.run.source, self._planned
        if store.is_remote:
            self._open.enter_context(self._work.reading.taken(planned.bytes))
        with self._work.stages.timed("read") as cost:
            content = read_source(planned, store)
            cost.megabytes = len(content) / 1e6
        return content


def read_source(planned: PlannedPicture, store: Store) -> bytes:
    """Return the content of a source.

    Raises:
        UnreadablePictureError: it cannot be read.
        StoreUnavailableError: neither can any other.

    """
    try:
        return store.read(planned.key, planned.bytes)
    except OSError as error:
        store.refuse_lost()
        advice = "Run the same command again" if store.is_remote else None
        raise UnreadablePictureError(f"cannot read the file: {reason_of(error)}", advice=advice) from error


def _process(planned: PlannedPicture, work: Work) -> Outcome:
    """Keep the output of an earlier run, or read, colour and write one picture."""
    run, earlier, job = work.run, work.run.earlier.get(planned.input), work.run.recipe.job
    started = time.time()
    with ExitStack() as open_until_done:
        source = _Source(planned, work, open_until_done)
        hashes = Hashes(planned, source.content, run.output, source.sidecars, trust_times=job.trust_times)
        decision = decide(planned, earlier, run.recipe, hashes)
        if isinstance(decision, Keep):
            row = with_time(_with_etags(decision.row, planned, run), planned, job, run.output)
            row = replace(row, is_input_trusted=hashes.is_source_trusted)
            if run.signer is not None and is_unsigned(row):
                return _sign_kept(row, planned, source.content(), work, hashes)
            return Kept(_with_sizes_and_time(row, planned, run, started) if job.trust_times else row)
        content = source.content()
        planned = replace(planned, sidecars=source.sidecars())
        was_altered = earlier is not None and earlier.output is not None and hashes.output_state(earlier) == "altered"
        with work.memory.taken(decoded_bytes(content) * _copies(content, run.recipe)):
            result = work.executor.colorize(content, planned, work.stages)
            if isinstance(result, Encoded) and run.signer is not None:
                with work.stages.timed("encode"):
                    result = signed(result, run.signer, planned.retouch, content)
        if isinstance(result, NoOutput):
            row = with_earlier_output(result.row, earlier, run.output)
            if row.output is not None:
                row = replace(row, warnings=(*row.warnings, "the output of an earlier run is still there"))
            return Skipped(_with_sizes_and_time(_with_etags(row, planned, run), planned, run, started))
        row = result.row
        if run.signer is None and earlier is not None and was_signed(earlier):
            row = replace(row, warnings=(*row.warnings, UNSIGNED_AGAIN))
        ours = {None, row.output_sha256, *run.written.get(str(row.output), ())}
        if was_altered and hashes.of_output(str(row.output)) not in ours:
            row = replace(row, warnings=(*row.warnings, "the output had been altered and was remade"))
        row = write_files(replace(result, row=row), planned, work, hashes)
        row = with_time(_with_etags(row, planned, run), planned, job, run.output)
        return Made(_with_sizes_and_time(row, planned, run, started))


def _sign_kept(row: Row, planned: PlannedPicture, source: bytes, work: Work, hashes: Hashes) -> Kept:
    """Sign the output of an earlier run, and return what became of it."""
    run, name = work.run, str(row.output)
    assert run.signer is not None
    with work.memory.taken(2 * (row.output_bytes or planned.bytes)):
        try:
            content = run.output.read(name)
        except OSError as error:
            raise UnsignableError(f"the output cannot be read: {reason_of(error)}") from error
        encoded = signed(Encoded(row, content), run.signer, planned.retouch, source)
    if encoded.row.c2pa is None:
        return Kept(encoded.row)
    started = time.time()
    encoded = replace(encoded, row=completed_again(encoded.row))
    write_output(encoded, planned.namesakes, work, hashes)
    row = with_time(_with_etags(encoded.row, planned, run), planned, run.recipe.job, run.output)
    return Kept(_with_sizes_and_time(row, planned, run, started), was_signed=True)


def _copies(content: bytes, recipe: Recipe) -> int:
    """Return how many times its decoded size in colour a source takes in memory."""
    is_transcoded = recipe.job.jpeg_luma == "exact" and needs_transcoder(content)
    return _COPIES + _TRANSCODER_COPIES * is_transcoded


def _with_etags(row: Row, planned: PlannedPicture, run: Run) -> Row:
    """Return a row with the current ETags of its source and its output."""
    state = None if row.output is None else run.output.state(row.output)
    output_etag, sidecars_etag = None if state is None else state.etag, fingerprint_of_etags(planned.sidecars)
    return replace(row, input_etag=planned.etag, output_etag=output_etag, sidecars_etag=sidecars_etag)


def _with_sizes_and_time(row: Row, planned: PlannedPicture, run: Run, started: float) -> Row:
    """Return a row with what ``--trust-times`` compares.

    The time of a source that was changed shortly before ``started``, in seconds since 1970, is left out: it could be
    changed again after it was read, and have the same time in a file system that rounds times.
    """
    state = None if row.output is None else run.output.state(row.output)
    is_settled = planned.modified is not None and planned.modified < started - MAX_CLOCK_SKEW
    return replace(
        row,
        input_modified=planned.modified if is_settled else None,
        output_bytes=None if state is None else state.bytes,
    )


def with_time(row: Row, planned: PlannedPicture, job: BatchJob, output: Store) -> Row:
    """Give the output of a row the time of its source, if requested; return the row, with a warning if that failed."""
    if not job.preserve_times or row.output is None or planned.modified is None:
        return row
    warnings = tuple(each for each in row.warnings if not each.startswith(_TIME_NOT_SET))
    state = output.state(row.output)
    if state is None or not is_same_time(state.modified, planned.modified):
        try:
            output.set_modified(row.output, planned.modified)
        except (OSError, OverflowError, ValueError) as error:
            warnings = (*warnings, f"{_TIME_NOT_SET}: {reason_of(error)}")
    return replace(row, warnings=warnings)


def refuse_unsupported_times(job: BatchJob, output: Store) -> None:
    """Check that times can be preserved in the store of the outputs, if that is requested.

    Raises:
        UsageError: they cannot.

    """
    if job.preserve_times and output.is_remote:
        raise UsageError(
            f"--preserve-times cannot be used with the output {output.shown}: a store sets the times of its files "
            "itself",
            advice="Remove --preserve-times, or choose a local folder.",
        )
