"""Write a file whole or not at all: temporary file in the same folder, fsync, rename, fsync of the folder."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from colorbatch.errors import OutputUnwritableError

_TEMPORARY = re.compile(r"\.colorbatch-[0-9a-f]{16}\.tmp")


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends well, and leaves nothing when it does not.

    The folder of ``path`` is made if need be. An existing ``path`` is replaced.

    Raises:
        OutputUnwritableError: the folder or the file cannot be written.

    """
    temporary = temporary_path(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        raise OutputUnwritableError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # it is gone when all went well, and was never there when its folder could not be made
            temporary.unlink()


def temporary_path(folder: Path) -> Path:
    """Return a new name in ``folder`` that :func:`remove_left_behind` knows."""
    return folder / f".colorbatch-{secrets.token_hex(8)}.tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` as :func:`atomic_writer` does."""
    with atomic_writer(path) as file:
        file.write(data)


def remove_left_behind(folder: Path) -> None:
    """Delete temporary files below ``folder`` that a killed process left; call it when no other one writes there."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                with suppress(OSError):
                    Path(parent, name).unlink()


def _fsync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform lets a folder be opened."""
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
