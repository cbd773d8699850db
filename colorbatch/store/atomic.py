"""Write files atomically: temporary file in the same folder, fsync, rename, fsync of the folder."""

import errno
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from colorbatch.errors import OutputUnwritableError, reason_of
from colorbatch.store.durable import flush, fsync_folder, make_folder
from colorbatch.store.platforms import long_path

_RENAMING = threading.Lock()
"""Lock held from the check of a name to its use: a case-insensitive file system may treat two names as one."""
_TEMPORARY = re.compile(r"\.colorbatch-[0-9a-f]{16}\.tmp")


@contextmanager
def atomic_writer(
    path: Path,
    *,
    is_durable: bool = True,
    may_replace: bool = True,
    is_same_file: bool = False,
    root: Path | None = None,
) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block succeeds, and is removed when it fails.

    The folder of ``path`` is created if necessary, but ``root`` above it is not. An existing ``path`` is replaced if
    ``may_replace``. A file that is not durable may be lost or truncated by a power failure, and is written much faster.
    The temporary file has a new name, or if ``is_same_file`` always that of :func:`temporary_path_of`, and earlier
    content is overwritten.

    Raises:
        OutputUnwritableError: the folder or the file cannot be written.
        FileExistsError: ``path`` exists and may not be replaced.

    """
    path = long_path(path)
    mode = "w+b" if is_same_file else "xb"
    temporary = temporary_path_of(path) if is_same_file else temporary_path(path.parent)
    try:
        make_folder(path.parent, is_durable=is_durable, root=root)
        with cast("BinaryIO", temporary.open(mode)) as file:
            yield file
            if is_durable:
                file.flush()
                flush(file.fileno())
        with _RENAMING:
            already_exists = not may_replace and os.path.lexists(path)
            if not already_exists:
                temporary.replace(path)
        if is_durable:
            fsync_folder(path.parent)
    except OSError as error:
        raise OutputUnwritableError(f"cannot write {path}: {reason_of(error)}") from error
    finally:
        with suppress(OSError):  # it was renamed on success, and never existed if its folder could not be created
            temporary.unlink()
    if already_exists:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def temporary_path(folder: Path) -> Path:
    """Return a new path in ``folder`` that :func:`remove_left_behind` recognises."""
    return folder / temporary_name()


def temporary_name() -> str:
    """Return a new name that :func:`is_temporary` recognises."""
    return f".colorbatch-{secrets.token_hex(8)}.tmp"


def temporary_path_of(path: Path) -> Path:
    """Return the path in the same folder under which ``path`` is written by one process at a time."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.parent / f".colorbatch-{digest[:16]}.tmp"


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a temporary file."""
    return _TEMPORARY.fullmatch(name) is not None


def write_bytes(
    path: Path, data: bytes, *, is_durable: bool = True, may_replace: bool = True, root: Path | None = None
) -> None:
    """Write ``data`` to ``path`` with :func:`atomic_writer`."""
    with atomic_writer(path, is_durable=is_durable, may_replace=may_replace, root=root) as file:
        file.write(data)


def remove_left_behind(folder: Path, skipped: str = "") -> None:
    """Delete temporary files below ``folder`` that killed processes left; call it when no other one writes there.

    Args:
        folder: the folder to search, with all its subfolders.
        skipped: the name of a folder in it to skip, where another process may be writing.

    """
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder and skipped in folders:
            folders.remove(skipped)
        for name in names:
            if is_temporary(name):
                with suppress(OSError):
                    Path(parent, name).unlink()
