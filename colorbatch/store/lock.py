"""File locks between processes: a lock is released when the process that holds it ends, however it dies."""

import errno
import os
import stat
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from colorbatch.store import platforms
from colorbatch.store.durable import make_folder

LOCK_ENDING = ".lock"
"""End of the names of files that are locked."""
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
    except (BlockingIOError, PermissionError):  # the latter on SMB
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


class Lock:
    """A lock on a name, held by one process: the lock of a file beside it, ``NAME.lock``, which nobody reads.

    On SMB, a locked file cannot be read, not even by the process that holds it through another descriptor (flock(2),
    "CIFS details"). So no file with content is ever locked.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    @classmethod
    def take(cls, path: Path) -> "Lock | None":
        """Lock a name; its folder is created if necessary. ``None``: another process holds it.

        Raises:
            OSError: it cannot be locked.

        """
        path = _lock_path(path)
        while True:
            make_folder(path.parent)
            try:
                file = open_appending(path)
            except FileNotFoundError:  # a run that just finished deleted the folder
                continue
            if not try_lock(file):
                file.close()
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return cls(path, file)
            file.close()  # a run that just finished deleted it after it was opened here

    def release(self) -> None:
        """Delete the file and release the lock. May be called several times."""
        if self._file.closed:
            return
        with suppress(OSError):
            if platforms.IS_WINDOWS:  # which cannot delete an open file; elsewhere the lock is held until deletion
                self._file.close()
            self._path.unlink()
        with suppress(OSError):  # of a network drive that is gone
            self._file.close()


def open_appending(path: Path) -> BinaryIO:
    """Return a file opened for appending, unbuffered; it is created if necessary, and links are not followed.

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
    """Return whether a process holds the :class:`Lock` of a name.

    Raises:
        OSError: that cannot be determined.

    """
    try:
        with _lock_path(path).open("r+b", buffering=0) as file:
            return not try_lock(file, is_shared=True)
    except FileNotFoundError:
        return False


def remove_lock_left_behind(path: Path) -> None:
    """Delete the lock of a name that a killed process left; one that is held stays.

    Raises:
        OSError: it cannot be deleted.

    """
    if _lock_path(path).exists():
        lock = Lock.take(path)
        if lock is not None:
            lock.release()


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + LOCK_ENDING)
