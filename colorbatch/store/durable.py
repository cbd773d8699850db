"""Durable files and folders: flushed to disk before anything depends on them."""

import errno
import functools
import logging
import os
from pathlib import Path

from colorbatch.store import platforms

logger = logging.getLogger(__name__)

_FSYNC_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of file systems that cannot flush a folder or a file, such as SMB, vboxsf and some FUSE ones. That is no
failure: nothing is lost, but recent writes may not survive a power failure."""


def make_folder(folder: Path, *, is_durable: bool = True, root: Path | None = None) -> None:
    """Create a folder and its missing parents; if they are durable, they survive a power failure.

    Args:
        folder: the folder.
        is_durable: whether it is flushed to disk.
        root: a folder that is not created, since it was there and its disk may be gone; ``None``: there is none.

    Raises:
        OSError: it cannot be created.

    """
    if folder.is_dir():
        return
    if folder == root:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not folder.parent.is_dir():
        make_folder(folder.parent, is_durable=is_durable, root=root)
    folder.mkdir(exist_ok=True)
    if is_durable:
        fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """Flush the directory entries of a folder to disk, if the platform can open folders.

    Raises:
        OSError: the disk is gone.

    """
    if platforms.IS_WINDOWS:  # which cannot open folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # the folder is writable but not readable
        return
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def flush(descriptor: int) -> None:
    """Flush an open file or folder to disk, if its file system supports that.

    Raises:
        OSError: the disk is gone or full.

    """
    try:
        platforms.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FSYNC_UNSUPPORTED:
            raise
        _note_once(os.strerror(error.errno or 0))


@functools.cache
def _note_once(what: str) -> None:
    logger.info("The file system cannot flush to disk (%s): a power failure may undo recent writes", what)
