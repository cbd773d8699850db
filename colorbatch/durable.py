"""Folders whose names are on disk once they are made."""

import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there; what is made outlasts a power failure.

    Raises:
        OSError: it cannot be made.

    """
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk, where the platform lets a folder be opened.

    Raises:
        OSError: the disk is gone.

    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written but not read
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
