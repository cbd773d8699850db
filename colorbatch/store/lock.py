"""Hold a file so that no other process does: the lock ends with the process that holds it, however it dies."""

import errno
import os
import stat
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from colorbatch.store import platforms
from colorbatch.store.durable import fsync_folder, make_folder

_FAR_OFF = 2**62
"""A byte that no file has: Windows locks bytes, also against reading."""
_NO_LOCKS_HERE = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems without locks answer: there, it is up to the user to start no two runs into one folder."""


def try_lock(file: BinaryIO, *, is_shared: bool = False) -> bool:
    """Lock an open file; return whether that was possible, which it is not while another process holds it.

    Processes that take it shared do not keep each other out, but on Windows.

    Raises:
        OSError: it cannot be determined.

    """
    return _try_lock_on_windows(file) if platforms.IS_WINDOWS else _try_flock(file, is_shared=is_shared)


def _try_flock(file: BinaryIO, *, is_shared: bool) -> bool:
    import fcntl  # which Windows has not

    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
    return True


def _try_lock_on_windows(file: BinaryIO) -> bool:
    msvcrt = import_module("msvcrt")  # which only Windows has
    position = file.tell()
    try:
        file.seek(_FAR_OFF)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        file.seek(position)
    return True


def open_locked(path: Path) -> BinaryIO | None:
    """Return a file opened for appending, unbuffered and locked; ``None``: another process holds it.

    Its folder is made if need be.

    Raises:
        OSError: it cannot be opened.

    """
    while True:
        make_folder(path.parent)
        try:
            file = _open_own(path)
        except FileNotFoundError:  # one that just finished took the folder away
            continue
        if not try_lock(file):
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                fsync_folder(path.parent)
                return file
        file.close()  # one that just finished deleted it after it was opened here


def _open_own(path: Path) -> BinaryIO:
    """Return a file opened for appending; it is in its folder itself, not at the end of a link.

    Raises:
        OSError: it cannot be opened, or it or its folder is a link, or it is no regular file.

    """
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, f"{path.parent.name} is a link", str(path.parent))
    flags = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, 0o666), "ab", buffering=0)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file  # unbuffered: nothing is left to write when it is closed
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
