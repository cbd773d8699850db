"""Sign the outputs of a finished folder, each together with its row."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from colorbatch.errors import UnsignableError, UsageError, reason_of
from colorbatch.formats.signer import UNSUPPORTED, Signer
from colorbatch.job import SignOptions
from colorbatch.location import LocationLike
from colorbatch.machine import usable_cores
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import Manifest, is_unmerged, refuse_without_rows
from colorbatch.records.retouch import Retouch, Retouches, retouches_of
from colorbatch.records.row import Row
from colorbatch.run.colorize import Encoded
from colorbatch.run.plan import plan_batch
from colorbatch.run.resume import earlier_outputs, is_same_time
from colorbatch.run.signing import NOT_SIGNED, completed_again, is_colored, is_unsigned, signed
from colorbatch.store import open_store
from colorbatch.store.store import Store
from colorbatch.text import printable, shell_quoted

_SIGNED_AT_ONCE = 64
"""Outputs submitted at a time, so that a stop leaves few behind it."""


@dataclass
class SignSummary:
    """The result of signing a folder."""

    signed: int = 0
    kept: int = 0
    """Outputs that were signed before."""
    unsupported: list[tuple[str, str]] = field(default_factory=list)
    """Outputs of formats that cannot be signed, each with the reason."""
    not_signed: list[tuple[str, str]] = field(default_factory=list)
    """Others that were not signed, likewise."""
    stopped: bool = False
    """Whether it was stopped before the last output."""


@dataclass(frozen=True)
class _Folder:
    """What the threads that sign share."""

    output: Store
    sources: "_Sources | None"
    retouches: Retouches
    signer: Signer
    record: Manifest
    stop: threading.Event


def sign_batch(
    folder: LocationLike,
    signing: SignOptions,
    source: LocationLike | None = None,
    *,
    jobs: int | None = None,
    progress: ProgressReporter | None = None,
    stop: threading.Event | None = None,
) -> SignSummary:
    """Sign every coloured output of a folder that is not signed yet, in place.

    Each output is replaced in one step, and its row is on disk directly after. If the process is killed between the
    two, the next one that opens the folder completes the row.

    Args:
        folder: folder of the outputs.
        signing: who signs.
        source: folder or file that they were made from: credentials of the sources become those of the parents;
            ``None``: the parents are stated by name and hash.
        jobs: number of outputs signed at the same time; ``None``: one per core.
        progress: receives updates.
        stop: no further output is signed once it is set.

    Raises:
        UsageError: a folder or the certificate cannot be used; nothing was written.
        EnvironmentFailure: a package is missing, the time-stamp authority does not answer, or the folder cannot be
            written.
        OutputInUseError: a run is using the folder.

    """
    progress, stop = progress or SilentProgress(), stop or threading.Event()
    signer = Signer(signing)
    output = open_store(folder)
    refuse_without_rows(output)
    if is_unmerged(output):
        raise UsageError(
            f"{output.shown} has shards that are not merged yet",
            advice=f"Run: colorbatch merge {shell_quoted(output.shown)}",
        )
    found = SignSummary()
    with Manifest(output, purpose="colorbatch sign") as record:
        rows = record.previous
        _refuse_unfinished(record, output)
        sources = None if source is None else _Sources(open_store(source), output, rows.values())
        work = _Folder(output, sources, retouches_of(output, None), signer, record, stop)
        found.kept = sum(is_colored(row) and row.c2pa is not None for row in rows.values())
        todo = [row for row in rows.values() if is_unsigned(row)]
        progress.begin(len(todo), "Signing")
        try:
            for row in _signed_rows(todo, work, jobs or usable_cores()):
                found.signed += row.c2pa is not None
                if row.c2pa is None:
                    warning = next(each for each in row.warnings if each.startswith(NOT_SIGNED))
                    reason = warning.removeprefix(NOT_SIGNED)
                    unsigned = found.unsupported if reason in UNSUPPORTED else found.not_signed
                    unsigned.append((str(row.output), reason))
                progress.advance()
        finally:
            progress.end()
            output.cleanup()
        record.finish(rows.values())  # after a failure, the journal stays: the next one completes it
    found.stopped = stop.is_set() and found.signed + len(found.unsupported) + len(found.not_signed) < len(todo)
    return found


class _Sources:
    """The sources of the outputs: a folder, or a single file."""

    def __init__(self, store: Store, output: Store, rows: Iterable[Row]) -> None:
        planned = plan_batch(store, output, earlier=earlier_outputs(rows))
        self._store = store
        self._keys = {each.input: each.key for each in planned}

    def read(self, row: Row) -> bytes:
        """Return the source of a row.

        Raises:
            UnsignableError: it cannot be read.

        """
        try:
            return self._store.read(self._keys.get(row.input, row.input))
        except OSError as error:
            raise UnsignableError(f"the source {printable(row.input)} cannot be read: {reason_of(error)}") from error


def _refuse_unfinished(record: Manifest, output: Store) -> None:
    """Check that no run was killed between an output and its row: only the same run knows what to do with it.

    Raises:
        UsageError: one was.

    """
    named = {name for row in record.previous.values() for name, _ in row.outputs}
    lost = [name for name in record.outputs if name not in named and output.state(name) is not None]
    if lost:
        raise UsageError(
            f"a run was killed in {output.shown} before it recorded {printable(lost[0])}",
            advice="Run it again first, to its end.",
        )


def _signed_rows(rows: Sequence[Row], work: _Folder, jobs: int) -> Iterator[Row]:
    """Yield the new row of each output that was signed, or was to be."""
    pool = ThreadPoolExecutor(jobs)
    try:
        for start in range(0, len(rows), _SIGNED_AT_ONCE):
            for row in pool.map(lambda row: _sign(row, work), rows[start : start + _SIGNED_AT_ONCE]):
                if row is not None:
                    yield row
    finally:
        pool.shutdown(cancel_futures=True)


def _sign(row: Row, work: _Folder) -> Row | None:
    """Sign one output, append its new row, and return that; ``None``: the stop came first."""
    if work.stop.is_set():
        return None
    new = _signed_row(row, work)
    work.record.append(new)
    return new


def _signed_row(row: Row, work: _Folder) -> Row:
    """Sign one output, and return its new row."""
    name = str(row.output)
    try:
        content = work.output.read(name)
        retouch = _retouch_of(row, work.retouches)
        source = None if work.sources is None else work.sources.read(row)
        encoded = signed(Encoded(row, content), work.signer, retouch, source)
    except OSError as error:
        return _unsigned(row, f"the output cannot be read: {reason_of(error)}")
    except UnsignableError as error:
        return _unsigned(row, str(error))
    if encoded.row.c2pa is None:
        return encoded.row
    size = None if row.output_bytes is None else len(encoded.content)
    new = replace(completed_again(encoded.row), output_etag=None, output_bytes=size)
    before = work.output.state(name)
    work.record.announce_row(new)
    state = work.output.write(name, encoded.content, may_replace=True)
    if before is not None and is_same_time(before.modified, row.input_modified):  # of --preserve-times
        with suppress(OSError):
            work.output.set_modified(name, float(before.modified or 0))
    return replace(new, output_etag=state.etag)


def _retouch_of(row: Row, retouches: Retouches) -> Retouch | None:
    """Return what a person said about the source of a row, which is part of what is signed.

    Raises:
        UnsignableError: the output was made when the record said something else.

    """
    retouch = retouches.get(row.input)
    if row.retouch_sha256 != (None if retouch is None else retouch.sha256):
        raise UnsignableError("it was not made as the retouch record says: run it again first")
    return retouch


def _unsigned(row: Row, reason: str) -> Row:
    others = (each for each in row.warnings if not each.startswith(NOT_SIGNED))
    return replace(row, warnings=(*others, f"{NOT_SIGNED}{reason}"))
