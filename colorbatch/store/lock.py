"""File locks between processes: a lock is released when the process that holds it ends, however it dies."""

import errno
import os
import stat
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from colorbatch.store import platforms
from colorbatch.store.durable import fsync_folder, make_folder

_LOCKED_BYTE = 2**62
"""Position of the locked byte, beyond the end of any file: on Windows locked bytes cannot be read."""
_LOCKS_UNSUPPORTED = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of file systems without locks, where avoiding two runs into one folder is up to the user."""


def try_lock(file: BinaryIO, *, is_shared: bool = False) -> bool:
    """Lock an open file; return whether that succeeded: it fails while another process holds the lock.

    Shared locks do not exclude each other, except on Windows.

    Raises:
        OSError: it cannot be determined.

    """
    return _try_lock_on_windows(file) if platforms.IS_WINDOWS else _try_flock(file, is_shared=is_shared)


def _try_flock(file: BinaryIO, *, is_shared: bool) -> bool:
    import fcntl  # not available on Windows

    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _LOCKS_UNSUPPORTED:
            raise
    return True


def _try_lock_on_windows(file: BinaryIO) -> bool:
    msvcrt = import_module("msvcrt")  # available only on Windows
    position = file.tell()
    try:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        file.seek(position)
    return True


def open_locked(path: Path) -> BinaryIO | None:
    """Return a file opened for appending, unbuffered and locked; ``None``: another process holds it.

    Its folder is created if necessary.

    Raises:
        OSError: it cannot be opened.

    """
    while True:
        make_folder(path.parent)
        try:
            file = _open_without_links(path)
        except FileNotFoundError:  # a run that just finished deleted the folder
            continue
        if not try_lock(file):
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                fsync_folder(path.parent)
                return file
        file.close()  # a run that just finished deleted it after it was opened here


def _open_without_links(path: Path) -> BinaryIO:
    """Return a file opened for appending, without following links.

    Raises:
        OSError: it cannot be opened, it or its folder is a link, or it is not a regular file.

    """
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, f"{path.parent.name} is a link", str(path.parent))
    flags = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, 0o666), "ab", buffering=0)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file  # unbuffered: nothing remains to be written when it is closed
    file.close()
    raise OSError(errno.EINVAL, f"{path.name} is not a regular file", str(path))


def is_held(path: Path) -> bool:
    """Return whether a process holds a file that :func:`open_locked` opened.

    Raises:
        OSError: it cannot be opened.

    """
    try:
        with path.open("r+b", buffering=0) as file:
            return not try_lock(file, is_shared=True)
    except FileNotFoundError:
        return False
