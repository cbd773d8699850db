"""Prove that in a finished output folder every file is accounted for and only colour was added."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from colorbatch.errors import reason_of
from colorbatch.formats.credentials import read_anchors
from colorbatch.location import LocationLike
from colorbatch.machine import usable_cores
from colorbatch.operations.output_check import Folder, Outcome, Signature, Sources, check
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import (
    MANIFEST_NAME,
    count_lines,
    holder_of,
    is_unfinished,
    is_unmerged,
    refuse_without_rows,
    rows_of,
)
from colorbatch.records.retouch import RETOUCH_NAME, Retouches, retouches_of
from colorbatch.records.row import MIGHT_BE_COLOR, NOT_REACHED, Row
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run.treatment import IN_COLOR
from colorbatch.store import open_store
from colorbatch.store.report_folder import REPORT_LOCK, is_part_of_report
from colorbatch.store.store import Store

_CHECKED_AT_ONCE = 256
_OUTDATED = "its source is skipped now, and this is the output of an earlier run: delete it"


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
    sources = None if source is None else Sources(open_store(source), output, rows)
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
            for row, outcome in _outcomes(outputs, Folder(output, retouches, anchors, has_signatures), sources, pool):
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
        holder = holder_of(output)
        told = f"in use by {holder}: wait until that has ended" if holder else "a run was killed: run it again first"
        found.append(Finding(MANIFEST_NAME, told))
    found += [Finding(row.input, "not coloured yet") for row in rows.values() if row.reason == NOT_REACHED]
    found += _unaccounted(output, rows)
    found += _links(output, rows)
    found += _without_retouch(rows, retouches)
    found += [Finding(str(row.output), _OUTDATED) for row in rows.values() if _is_outdated(row)]
    return found


def _outcomes(
    rows: Sequence[Row], folder: Folder, source: Sources | None, pool: ThreadPoolExecutor
) -> Iterator[tuple[Row, Outcome]]:
    """Yield the outcome of each check; a few hundred are submitted at a time, since each may hold a picture."""
    for start in range(0, len(rows), _CHECKED_AT_ONCE):
        some = rows[start : start + _CHECKED_AT_ONCE]
        yield from zip(some, pool.map(lambda row: check(row, folder, source), some), strict=True)


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


def _links(output: Store, rows: Mapping[str, Row]) -> Iterator[Finding]:
    """Yield a finding for each output and each copy of a sidecar that was replaced by a link, which no run makes."""
    for name in (name for row in rows.values() for name, _ in row.outputs):
        if output.is_link(name):
            yield Finding(name, "it is a link, not the file that the run wrote")


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
