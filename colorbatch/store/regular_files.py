"""Read files at untrusted paths, and nothing that blocks or never ends."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from colorbatch.store.platforms import long_path


def open_regular(path: Path) -> BinaryIO:
    """Return a regular file, opened for reading; it may have been replaced since it was found.

    Raises:
        OSError: it cannot be opened, or is a pipe, a device, a socket or a folder.

    """
    file = open(long_path(path), "rb", opener=_open_nonblocking)  # noqa: SIM115 (Path.open takes no opener)
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as :func:`open_regular`, or it cannot be read.

    """
    with open_regular(path) as file:
        return file.read()


def read_below(folder: Path, name: str) -> bytes:
    """Return the content of a regular file below a folder.

    Raises:
        OSError: as :func:`read_regular`, or a link on the way leads out of the folder.

    """
    return read_regular(path_below(folder, name))


def path_below(folder: Path, name: str) -> Path:
    """Return the path of a file below a folder, without links.

    Raises:
        OSError: a link on the way leads out of the folder.

    """
    path = Path(os.path.realpath(folder / name))
    if not path.is_relative_to(os.path.realpath(folder)):
        raise OSError(errno.ELOOP, "a link leads out of its folder", str(folder / name))
    return long_path(path)


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
