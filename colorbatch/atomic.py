"""Write a file whole or not at all: temporary file in the same folder, fsync, rename, fsync of the folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from colorbatch.errors import OutputUnwritableError

TEMPORARY_PREFIX = ".colorbatch-"
TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends well, and leaves nothing when it does not.

    The folder of ``path`` is made if need be. An existing ``path`` is replaced.

    Raises:
        OutputUnwritableError: the folder or the file cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=path.parent)
    except OSError as error:
        raise OutputUnwritableError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            _give_ordinary_mode(temporary)
            os.fsync(file.fileno())
        temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        raise OutputUnwritableError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` as :func:`atomic_writer` does."""
    with atomic_writer(path) as file:
        file.write(data)


def _give_ordinary_mode(path: Path) -> None:
    """Replace the private mode of a temporary file by the one that an ordinary new file gets."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def _fsync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform lets a folder be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
