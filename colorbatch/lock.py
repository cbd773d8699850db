"""Hold a file so that no other process does: the lock ends with the process that holds it, however it dies."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    _FAR_OFF = 2**62
    """Windows locks bytes, also against reading: one that no file has."""

    def try_lock(file: BinaryIO, *, is_shared: bool = False) -> bool:  # noqa: ARG001 (Windows knows no shared ones)
        """Lock an open file; return whether that was possible, which it is not while another process holds it."""
        position = file.tell()
        try:
            file.seek(_FAR_OFF)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(position)
        return True

else:
    import fcntl

    _NO_LOCKS_HERE = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
    """What file systems say that know no locks: there, two runs into one folder are the user's care."""

    def try_lock(file: BinaryIO, *, is_shared: bool = False) -> bool:
        """Lock an open file; return whether that was possible, which it is not while another process holds it.

        Processes that take it shared do not keep each other out.
        """
        try:
            fcntl.flock(file.fileno(), (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
        return True


def open_locked(path: Path) -> BinaryIO | None:
    """Return a file opened for appending, unbuffered and locked; ``None``: another process holds it.

    Its folder is made if need be.

    Raises:
        OSError: it cannot be opened.

    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("ab", buffering=0)  # nothing is left to write when it is closed
        except FileNotFoundError:  # one that just finished took the folder away
            continue
        if not try_lock(file):
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # one that just finished deleted it after it was opened here


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
