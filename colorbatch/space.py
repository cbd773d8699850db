"""Where a folder is or will be, and how much room there is."""

import shutil
from pathlib import Path


def nearest_existing(folder: Path) -> Path:
    """Return ``folder``, or the first folder above it that is there.

    Raises:
        OSError: it cannot be looked at.

    """
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def bytes_free(folder: Path) -> int | None:
    """Return the free space of the file system where ``folder`` is or will be; ``None``: that cannot be told."""
    try:
        return shutil.disk_usage(nearest_existing(folder)).free
    except OSError:
        return None
