"""Restore the grey pictures that coloured JPEGs hold bit for bit."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from colorbatch.errors import UsageError, reason_of
from colorbatch.formats import jpeg
from colorbatch.location import LocationLike, as_path
from colorbatch.progress import ProgressReporter, SilentProgress
from colorbatch.records.manifest import refuse_without_rows, rows_of
from colorbatch.records.row import Row
from colorbatch.store import atomic
from colorbatch.store.intersect import refuse_intersection
from colorbatch.store.local import LocalStore
from colorbatch.store.regular_files import read_regular


@dataclass
class Restored:
    """The result of a restoration."""

    restored: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Outputs that were not restored, each with the reason."""


def restore_batch(
    folder: LocationLike, destination: LocationLike, progress: ProgressReporter | None = None
) -> Restored:
    """Write a grey JPEG below ``destination`` for each output of a run that holds the coded luma of its source.

    Each is named like its source, and decodes to the same levels; the metadata of the source is in the coloured output,
    not here. Nothing is overwritten.

    Raises:
        UsageError: the folder has no manifest, it and the destination overlap, or the destination holds a source.
        OutputUnwritableError: the destination cannot be written.

    """
    progress = progress or SilentProgress()
    folder, destination = as_path(folder), as_path(destination)
    output = LocalStore(folder)
    refuse_without_rows(output)
    refuse_intersection(folder, destination)
    rows = rows_of(output)
    _refuse_folder_of_sources(rows.values(), output, destination)
    outputs = [row for row in rows.values() if row.status == "done" and row.output is not None]
    found = Restored()
    progress.begin(len(outputs), "Restoring")
    try:
        for row in outputs:
            reason = _restore(row, output, destination)
            if reason:
                found.left_out.append((str(row.output), reason))
            else:
                found.restored += 1
            progress.advance()
    finally:
        progress.end()
    return found


def _refuse_folder_of_sources(rows: Iterable[Row], output: LocalStore, destination: Path) -> None:
    """Check that no source of a run lies in the destination, at its own path or in a folder on it.

    The manifest does not record where the sources were, but their sizes and hashes.

    Raises:
        UsageError: one does.

    """
    for row in rows:
        parts = PurePosixPath(row.input).parts
        for start in range(len(parts)):
            path = destination.joinpath(*parts[start:])
            if _is_source(path, row, output):
                raise UsageError(
                    f"the destination {destination} holds the sources: {path} is one of them",
                    advice="Choose a new folder, outside that of the sources.",
                )


def _is_source(path: Path, row: Row, output: LocalStore) -> bool:
    """Return whether a file is the source of a row, and not what an earlier restoration wrote."""
    with suppress(OSError, ValueError):  # there is no such file
        if row.input_sha256 is None or path.stat().st_size != row.input_bytes:
            return False
        data = read_regular(path)
        return hashlib.sha256(data).hexdigest() == row.input_sha256 and data != _grey_of(row, output)
    return False


def _grey_of(row: Row, output: LocalStore) -> bytes | None:
    """Return the grey JPEG that the output of a row holds; ``None``: it holds none."""
    if row.output is None:
        return None
    with suppress(OSError, RuntimeError):  # RuntimeError: a link to itself
        return jpeg.to_grey(output.read(row.output))
    return None


def _restore(row: Row, output: LocalStore, destination: Path) -> str:
    """Write one grey picture; return the reason if that is impossible, otherwise an empty string."""
    target = destination / row.input
    try:
        data = output.read(str(row.output))
        is_inside = target.parent.resolve().is_relative_to(destination.resolve())
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        return f"cannot read it: {reason_of(error)}"
    if hashlib.sha256(data).hexdigest() != row.output_sha256:
        return "the output was altered after it was made"
    grey = jpeg.to_grey(data)
    if grey is None:
        return "it does not hold the coded luma of its source"
    if not is_inside:
        return f"a link in {destination} leads out of it"
    if os.path.lexists(target):
        return (
            f"{target} already exists, {'equal to' if _is_there(target, grey) else 'and differs from'} what is restored"
        )
    atomic.write_bytes(target, grey)
    return ""


def _is_there(target: Path, grey: bytes) -> bool:
    with suppress(OSError):
        return not target.is_symlink() and read_regular(target) == grey
    return False
