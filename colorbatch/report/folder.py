"""The folder of a report: made once, known by its marker, and held while it is written."""

import os
import re
import secrets
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from colorbatch.errors import OutputInUseError, OutputUnwritableError, UsageError, reason_of
from colorbatch.store.atomic import remove_left_behind
from colorbatch.store.lock import open_locked
from colorbatch.store.report_folder import MARKER_NAME, MARKER_START, REPORT_FOLDER, is_part_of_report, is_report

PREVIEWS = "previews"
_BATCH = re.compile(rb'"batch": "([0-9a-f]{32})"')


def refuse_foreign_folder(output: Path) -> None:
    """Raise where the place of a report in an output folder is taken by something that no report made.

    Raises:
        UsageError: it is.

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
    """Yield the folders of previews that are links, through which a report would be written elsewhere."""
    if previews.is_symlink():
        yield previews
    with suppress(OSError):  # there are none yet, or they cannot be looked at, nor written
        yield from (each for each in previews.iterdir() if each.is_symlink())


def _is_empty(folder: Path) -> bool:
    try:
        return not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir())
    except OSError:  # it cannot even be looked at
        return False


@contextmanager
def held_folder(output: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder of the report and the name of the batch, which marks are kept under; nobody else writes there.

    The name is random, and stays for as long as the folder does: it outlives later runs, and copies to other places.

    Raises:
        UsageError: the place is taken.
        OutputInUseError: another report is being written there.
        OutputUnwritableError: it cannot be written.

    """
    refuse_foreign_folder(output)
    folder = output / REPORT_FOLDER
    try:
        marker = open_locked(folder / MARKER_NAME)
        if marker is None:
            raise OutputInUseError(
                f"another report is being written in {folder}", advice="Wait until it has finished, and try again."
            )
        batch = _batch_of(marker, folder / MARKER_NAME)
    except OSError as error:
        raise OutputUnwritableError(f"cannot write to {folder}: {reason_of(error)}") from error
    with marker:
        yield folder, batch


def _batch_of(marker: BinaryIO, path: Path) -> str:
    """Return the name in the marker; one that is new, or was killed before it was written, gets one.

    Raises:
        OSError: it can be neither read nor written.

    """
    known = _BATCH.search(path.read_bytes())
    if known:
        return known[1].decode()
    batch = secrets.token_hex(16)
    marker.truncate(0)
    marker.write(MARKER_START + f', "batch": "{batch}"}}\n'.encode())
    return batch


def remove_all_but(folder: Path, kept: AbstractSet[str]) -> None:
    """Delete what earlier reports left in the folder, and nothing that is not theirs.

    Args:
        folder: of the report.
        kept: paths below it of the previews that the page shows.

    """
    remove_left_behind(folder)
    for parent, _, names in os.walk(folder / PREVIEWS, topdown=False):
        for name in names:
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if path not in kept and is_part_of_report(f"{REPORT_FOLDER}/{path}"):
                with suppress(OSError):
                    (folder / path).unlink()
        with suppress(OSError):  # it holds others still
            Path(parent).rmdir()
