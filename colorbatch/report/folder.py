"""The folder of a report: created once, recognized by its marker, and locked while it is written."""

import os
import re
import secrets
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path

from colorbatch.errors import OutputInUseError, OutputUnwritableError, UsageError, reason_of
from colorbatch.store.atomic import remove_left_behind
from colorbatch.store.lock import Lock, open_appending
from colorbatch.store.regular_files import read_regular
from colorbatch.store.report_folder import (
    MARKER_NAME,
    MARKER_START,
    REPORT_FOLDER,
    REPORT_LOCK,
    is_part_of_report,
    is_report,
)

PREVIEWS = "previews"
_BATCH = re.compile(rb'"batch": "([0-9a-f]{32})"')


def refuse_foreign_folder(output: Path) -> None:
    """Check that the place of the report in an output folder holds nothing that no report made.

    Raises:
        UsageError: it does.

    """
    folder = output / REPORT_FOLDER
    if os.path.lexists(folder) and not is_report(folder) and not _is_empty(folder):
        raise UsageError(
            f"{folder} already exists and was not made by colorbatch report",
            advice="Move or rename it: a report never overwrites it.",
        )
    for link in _links_for_folders(folder / PREVIEWS):
        raise UsageError(f"{link} is a link", advice="Delete it: a report is written into its own folder.")


def _links_for_folders(previews: Path) -> Iterator[Path]:
    """Yield the folders of previews that are links, through which a report would write to another place."""
    if previews.is_symlink():
        yield previews
    with suppress(OSError):  # there are none yet, or they can be neither read nor written
        yield from (each for each in previews.iterdir() if each.is_symlink())


def _is_empty(folder: Path) -> bool:
    """Return whether a folder holds nothing, or only the lock of a report that was killed as it began."""
    try:
        if folder.is_symlink() or not folder.is_dir():
            return False
        return {f"{REPORT_FOLDER}/{path.name}" for path in folder.iterdir()} <= {REPORT_LOCK}
    except OSError:  # it cannot be read
        return False


@contextmanager
def held_folder(output: Path) -> Iterator[tuple[Path, str]]:
    """Lock the folder of the report; yield it and the name of the batch, under which the browser stores marks.

    The name is random, and kept as long as the folder exists: it survives later runs, and copies to other places.

    Raises:
        UsageError: something else exists in its place.
        OutputInUseError: another report is being written there.
        OutputUnwritableError: the folder cannot be written.

    """
    refuse_foreign_folder(output)
    folder = output / REPORT_FOLDER
    try:
        lock = Lock.take(folder / MARKER_NAME)
        if lock is None:
            raise OutputInUseError(
                f"another report is being written in {folder}", advice="Wait until it has finished, and try again."
            )
    except OSError as error:
        raise OutputUnwritableError(f"cannot write to {folder}: {reason_of(error)}") from error
    try:
        yield folder, _batch_of(folder / MARKER_NAME)
    finally:
        lock.release()


def _batch_of(path: Path) -> str:
    """Return the name in the marker; write one into a marker that is new, or was never completed.

    Raises:
        OutputUnwritableError: the marker cannot be read or written.

    """
    try:
        with open_appending(path) as marker:
            known = _BATCH.search(read_regular(path))
            if known:
                return known[1].decode()
            batch = secrets.token_hex(16)
            marker.truncate(0)
            marker.write(MARKER_START + f', "batch": "{batch}"}}\n'.encode())
    except OSError as error:
        raise OutputUnwritableError(f"cannot write to {path.parent}: {reason_of(error)}") from error
    return batch


def remove_all_but(folder: Path, kept: AbstractSet[str]) -> None:
    """Delete what earlier reports left in the folder, and nothing else.

    Args:
        folder: folder of the report.
        kept: paths below it of the previews that the page shows.

    """
    remove_left_behind(folder)
    for parent, _, names in os.walk(folder / PREVIEWS, topdown=False):
        for name in names:
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if path not in kept and is_part_of_report(f"{REPORT_FOLDER}/{path}"):
                with suppress(OSError):
                    (folder / path).unlink()
        with suppress(OSError):  # it is not empty
            Path(parent).rmdir()
