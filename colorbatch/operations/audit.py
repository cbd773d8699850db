"""Prove that in a finished output folder every file is accounted for and only colour was added."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from colorbatch.errors import MissingExtraError, PictureError, reason_of
from colorbatch.formats import decode, mark
from colorbatch.formats.credentials import SignatureState, credentials_of, read_anchors
from colorbatch.location import LocationLike
from colorbatch.machine import usable_cores
from colorbatch.operations.comparison import compare, problem_of_second_reader
from colorbatch.operations.jpeg_luma import is_luma_copied
from colorbatch.pixels.picture import Picture
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import (
    MANIFEST_NAME,
    count_lines,
    is_unfinished,
    is_unmerged,
    refuse_without_rows,
    rows_of,
)
from colorbatch.records.retouch import RETOUCH_NAME, Retouch, Retouches, retouches_of
from colorbatch.records.row import MIGHT_BE_COLOR, NOT_REACHED, Row
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run.plan import plan_batch
from colorbatch.run.resume import earlier_outputs
from colorbatch.run.signing import is_colored
from colorbatch.run.treatment import IN_COLOR
from colorbatch.store import open_store
from colorbatch.store.report_folder import REPORT_LOCK, is_part_of_report
from colorbatch.store.store import Store

_CHECKED_AT_ONCE = 256
_OUTDATED = "its source is skipped now, and this is the output of an earlier run: delete it"


Signature = SignatureState | Literal["unchecked"]
"""``unchecked``: the package c2pa-python is not installed."""


@dataclass(frozen=True)
class Finding:
    """A fault that the audit found."""

    path: str
    """Path below the output folder, or, of a source, below the source."""
    problem: str


@dataclass
class Audit:
    """The result of an audit."""

    rows: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    marked: int = 0
    """Outputs whose metadata states that a model made their colours."""
    unmarked: int = 0
    """Outputs made with ``--no-mark``, and copies of pictures that were in colour."""
    luma_compared: int = 0
    """Outputs whose luma was compared with that of their sources."""
    luma_handed_on: int = 0
    """JPEGs among them that hold the coded luma of their sources, byte for byte."""
    largest_luma_difference: float = 0.0
    """Largest difference of the others, in levels of 255, or of 65,535 in 16-bit pictures."""
    signatures: dict[Signature, int] = field(default_factory=dict)
    """Number of coloured outputs by the state of their signature; empty if none is signed."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether there are no findings."""
        return not self.findings


def audit_batch(
    folder: LocationLike,
    source: LocationLike | None = None,
    *,
    jobs: int | None = None,
    retouch: Path | None = None,
    ignore_retouch: bool = False,
    trust_anchors: Path | None = None,
    progress: ProgressReporter | None = None,
) -> Audit:
    """Compare an output folder with its manifest and its retouch record, and with its source if that is given.

    Args:
        folder: folder of the outputs.
        source: folder or file that they were made from; ``None``: luma is not compared.
        retouch: file of the retouch record; ``None``: that in the output folder.
        ignore_retouch: whether the outputs were made without one.
        trust_anchors: file of the certificates in PEM to which those of signatures must lead; ``None``: whether they
            are to be trusted is not judged.
        jobs: number of pictures checked at the same time; ``None``: one per core.
        progress: receives updates.

    Raises:
        UsageError: a folder does not exist, or has no manifest, or the trust anchors cannot be read.
        MissingExtraError: trust anchors are given, and the package c2pa-python is not installed.
        StoreUnavailableError: the store of one does not respond, or denies access.

    """
    progress = progress or SilentProgress()
    output = open_store(folder)
    refuse_without_rows(output)
    rows = rows_of(output)
    sources = None if source is None else _Sources(open_store(source), output, rows)
    retouches = {} if ignore_retouch else retouches_of(output, retouch)
    anchors = None if trust_anchors is None else read_anchors(trust_anchors)
    has_signatures = anchors is not None or any(row.c2pa is not None for row in rows.values())
    found = Audit(rows=len(rows))
    found.findings += findings_of_folder(output, rows, retouches)
    counts = Counter(row.status for row in rows.values())
    found.done, found.skipped, found.failed = counts["done"], counts["skipped"], counts["failed"]
    if sources is not None:
        found.findings += _without_row(sources.inputs, rows)
    outputs = [row for row in rows.values() if row.output is not None and not _is_outdated(row)]
    progress.begin(len(outputs), "Auditing")
    try:
        with ThreadPoolExecutor(jobs or usable_cores()) as pool:
            for row, outcome in _outcomes(outputs, _Folder(output, retouches, anchors, has_signatures), sources, pool):
                found.findings += [Finding(str(row.output), problem) for problem in outcome.problems]
                found.marked += outcome.is_marked
                found.unmarked += not outcome.is_marked
                if outcome.signature is not None:
                    found.signatures[outcome.signature] = found.signatures.get(outcome.signature, 0) + 1
                if outcome.luma_difference is not None:
                    found.luma_compared += 1
                    found.luma_handed_on += outcome.is_luma_copied
                    found.largest_luma_difference = max(found.largest_luma_difference, outcome.luma_difference)
                progress.advance()
    finally:
        progress.end()
    return found


def findings_of_folder(output: Store, rows: Mapping[str, Row], retouches: Retouches) -> list[Finding]:
    """Return what is wrong with an output folder that shows without opening an output.

    Args:
        output: the store of the outputs.
        rows: its rows, by input.
        retouches: what a person said about the sources.

    Raises:
        OutputUnwritableError: it cannot be read.
        StoreUnavailableError: it cannot be read from a store.

    """
    has_shards = is_unmerged(output)
    found = []
    if len(rows) != count_lines(output) and not has_shards and not is_unfinished(output):
        found.append(Finding(MANIFEST_NAME, "some lines are not rows, or a source has several rows"))
    if has_shards:
        found.append(Finding(MANIFEST_NAME, "shards are running here or not merged: run colorbatch merge first"))
    elif is_unfinished(output):
        found.append(Finding(MANIFEST_NAME, "a run is in progress here or was killed: run it again first"))
    found += [Finding(row.input, "not coloured yet") for row in rows.values() if row.reason == NOT_REACHED]
    found += _unaccounted(output, rows)
    found += _without_retouch(rows, retouches)
    found += [Finding(str(row.output), _OUTDATED) for row in rows.values() if _is_outdated(row)]
    return found


@dataclass(frozen=True)
class _Folder:
    """The outputs, and what a person said about their sources."""

    output: Store
    retouches: Retouches
    anchors: str | None
    """Trusted certificates in PEM."""
    has_signatures: bool
    """Whether signatures are looked for."""


class _Sources:
    """The sources of the outputs: a folder, or a single file."""

    def __init__(self, store: Store, output: Store, rows: Mapping[str, Row]) -> None:
        """List the sources.

        Raises:
            UsageError: the folder or file does not exist, or intersects the outputs.
            StoreUnavailableError: its store does not respond, or denies access.

        """
        planned = plan_batch(store, output, earlier=earlier_outputs(rows.values()))
        self.inputs = {each.input for each in planned}
        self._store = store
        self._is_file = [each.key for each in planned] == [""]

    def read(self, row: Row) -> bytes:
        """Return the source of a row.

        Raises:
            OSError: it cannot be read.

        """
        return self._store.read("" if self._is_file else row.input)


def _outcomes(
    rows: Sequence[Row], folder: _Folder, source: _Sources | None, pool: ThreadPoolExecutor
) -> Iterator[tuple[Row, "_Outcome"]]:
    """Yield the outcome of each check; a few hundred are submitted at a time, since each may hold a picture."""
    for start in range(0, len(rows), _CHECKED_AT_ONCE):
        some = rows[start : start + _CHECKED_AT_ONCE]
        yield from zip(some, pool.map(lambda row: _check(row, folder, source), some), strict=True)


@dataclass
class _Outcome:
    """Outcome of the check of one output."""

    problems: list[str] = field(default_factory=list)
    is_marked: bool = False
    luma_difference: float | None = None
    is_luma_copied: bool = False
    signature: Signature | None = None


def _check(row: Row, folder: _Folder, source: _Sources | None) -> _Outcome:
    """Check one output against its row and its source."""
    outcome = _Outcome()
    try:
        output = folder.output.read(str(row.output))
    except OSError as error:
        outcome.problems.append(f"the output cannot be read: {reason_of(error)}")
        return outcome
    if folder.has_signatures and is_colored(row):
        _check_signature(row, output, folder.anchors, outcome)
    if hashlib.sha256(output).hexdigest() != row.output_sha256:
        outcome.problems.append("the output was altered after it was made")
        return outcome
    if row.sidecar_output is not None and folder.output.sha256(row.sidecar_output) != row.sidecar_output_sha256:
        outcome.problems.append(f"the copy of its sidecar, {row.sidecar_output}, is missing or was altered")
    original = None if source is None else _source_of(row, source, outcome)
    if row.is_copy:  # which the hashes prove
        return outcome
    try:
        picture = decode(output, max_megapixels=float("inf"))
        _check_mark(row, picture, folder.retouches.get(row.input), outcome)
        if original is None:
            return outcome
        outcome.is_luma_copied = picture.format == "JPEG" and is_luma_copied(original, output)
        if outcome.is_luma_copied:
            outcome.luma_difference = 0.0
        elif row.luma == "exact":
            outcome.problems.append("its coded luma is not the source's")
        else:
            _check_luma(decode(original, float("inf"), salvage=row.is_salvaged), picture, outcome)
            if not outcome.problems and (problem := problem_of_second_reader(original, output, picture.first.bits)):
                outcome.problems.append(problem)
    except PictureError as error:
        outcome.problems.append(f"it cannot be compared: {error}")
    except MemoryError:
        outcome.problems.append("it cannot be compared: not enough memory")
    return outcome


def _check_signature(row: Row, output: bytes, anchors: str | None, outcome: _Outcome) -> None:
    """Validate the signature of an output; one that never had any is counted as ``missing``, without a problem."""
    try:
        found = credentials_of(output, anchors)
    except MissingExtraError:
        outcome.signature = "unchecked"
        return
    outcome.signature = found.state
    match found.state:
        case "broken":
            outcome.problems.append(f"its signature is broken: {found.problem}")
        case "untrusted":
            outcome.problems.append(f"its signature is untrusted: {found.problem}")
        case "missing":
            if row.c2pa is not None:
                outcome.problems.append("its signature is missing")
        case _:
            if found.claim != row.c2pa:
                outcome.problems.append(f"its signed claim is {found.claim}, that of the manifest {row.c2pa}")


def _source_of(row: Row, source: _Sources, outcome: _Outcome) -> bytes | None:
    """Return the source of a row; ``None``: it cannot be read, or was altered, which is a problem of the outcome."""
    try:
        original = source.read(row)
    except OSError as error:
        outcome.problems.append(f"the source {row.input} cannot be read: {reason_of(error)}")
        return None
    if row.input_sha256 in (None, hashlib.sha256(original).hexdigest()):
        return original
    outcome.problems.append(f"the source {row.input} was altered after the output was made")
    return None


def _check_mark(row: Row, picture: Picture, retouch: Retouch | None, outcome: _Outcome) -> None:
    try:
        types = {mark.digital_source_type(frame.metadata.xmp) for frame in picture.frames}
        hints = {mark.given_hints(frame.metadata.xmp) for frame in picture.frames}
    except ValueError as error:
        outcome.problems.append(f"its XMP is damaged: {error}")
        return
    outcome.is_marked = row.digital_source_type is not None and types == {row.digital_source_type}
    if row.digital_source_type is not None and not outcome.is_marked:
        outcome.problems.append("its metadata does not state that a model made its colours")
    elif outcome.is_marked and retouch is not None and retouch.sha256 == row.retouch_sha256:
        given = sum(len(retouch.of_page(number).hints) for number, _ in enumerate(picture.frames, start=1))
        if hints != {given}:
            outcome.problems.append(f"its metadata does not state how many hints a person gave, which is {given}")


def _check_luma(source: Picture, output: Picture, outcome: _Outcome) -> None:
    found = compare(source, output)
    outcome.luma_difference = found.luma_difference
    outcome.problems += found.problems


def _unaccounted(folder: Store, rows: Mapping[str, Row]) -> Iterator[Finding]:
    outputs = {name for row in rows.values() for name in (row.output, row.sidecar_output)}
    known = outputs | {MANIFEST_NAME, RETOUCH_NAME}
    unreadable: list[OSError] = []
    names = [name for name in folder.names(unreadable) if not name.startswith(f"{STATE_FOLDER}/")]
    has_report = folder.has_report()
    for name in names:
        if name not in known and not (has_report and is_part_of_report(name)) and name != REPORT_LOCK:
            yield Finding(name, "it is not in the manifest")
    for error in unreadable:
        yield Finding(str(error.filename), f"the folder cannot be read: {reason_of(error)}")


def _is_outdated(row: Row) -> bool:
    """Return whether a source was skipped for its colours, and has an output of an earlier run."""
    return row.status == "skipped" and row.reason in (IN_COLOR, MIGHT_BE_COLOR) and row.output is not None


def _without_retouch(rows: Mapping[str, Row], retouches: Retouches) -> Iterator[Finding]:
    """Yield a finding for each output that was not made as the retouch record says now."""
    for row in rows.values():
        retouch = retouches.get(row.input)
        if row.output is not None and row.retouch_sha256 != (None if retouch is None else retouch.sha256):
            yield Finding(row.output, "it was not made as the retouch record says: run it again first")


def _without_row(inputs: AbstractSet[str], rows: Mapping[str, Row]) -> Iterator[Finding]:
    for name in sorted(inputs - set(rows)):
        yield Finding(name, "it is in the source, but not in the manifest")
    for name in sorted(set(rows) - inputs):
        yield Finding(name, "it is in the manifest, but not in the source")
