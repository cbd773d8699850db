"""Files and folders whose contents are on disk before anything is built on them."""

import errno
import functools
import logging
import os
from pathlib import Path

from colorbatch.store import platforms

logger = logging.getLogger(__name__)

_NO_FSYNC_HERE = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems say that cannot flush a folder or a file, as SMB, vboxsf and some of FUSE do. That is no failure:
nothing was lost, there is only no promise for a power failure."""


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
    """Flush the names in a folder to disk, where the platform lets a folder be opened.

    Raises:
        OSError: the disk is gone.

    """
    if platforms.IS_WINDOWS:  # which opens no folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written but not read
        return
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def flush(descriptor: int) -> None:
    """Flush an open file or folder to disk, where its file system can.

    Raises:
        OSError: the disk is gone or full.

    """
    try:
        platforms.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC_HERE:
            raise
        _note_once(os.strerror(error.errno or 0))


@functools.cache
def _note_once(what: str) -> None:
    logger.info("The file system cannot flush to disk (%s): a power failure may undo recent writes", what)
