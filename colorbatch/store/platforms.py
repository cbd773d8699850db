"""Differences between operating systems."""

import ntpath
import os
import sys
from pathlib import Path

IS_WINDOWS = os.name == "nt"
_INVALID_CHARACTERS = frozenset('\\:*?"<>|') | {chr(number) for number in range(32)}
"""Characters that file names on Windows cannot have."""
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{name}{digit}" for name in ("COM", "LPT") for digit in "123456789¹²³")}
)
"""Names that Windows treats as devices, whatever their extension. Source: "Naming Files, Paths, and Namespaces",
Microsoft."""
_MAX_PATH = 247
"""Maximum length of a path that Windows opens directly: 260 minus a file name of 12 for folders, and the final zero."""


def problem_on_windows(key: str) -> str:
    """Return why a key cannot be the path of a file on Windows; empty if it can."""
    for part in key.split("/"):
        if not _INVALID_CHARACTERS.isdisjoint(part):
            return "its key has characters that are not allowed in file names on Windows"
        if part.endswith((" ", ".")):
            return "its key has a name that ends with a space or a dot, which Windows drops"
        if part.partition(".")[0].rstrip(" ").upper() in _DEVICES:
            return "its key has a name that Windows reserves for a device"
    return ""


def long_path(path: Path) -> Path:
    """Return a path that can be opened whatever its length: on Windows, a long one in verbatim form."""
    return Path(verbatim(str(path))) if IS_WINDOWS else path


def verbatim(path: str) -> str:
    r"""Return a Windows path, in the form ``\\?\C:\...`` if it is too long to be opened directly."""
    absolute = ntpath.abspath(path)
    if len(absolute) <= _MAX_PATH or absolute.startswith("\\\\?\\"):
        return path
    return f"\\\\?\\UNC{absolute[1:]}" if absolute.startswith("\\\\") else f"\\\\?\\{absolute}"


def fsync(descriptor: int) -> None:
    """Flush an open file or folder to disk, on macOS including the cache of the drive, which fsync does not flush.

    Raises:
        OSError: the disk is gone or full, or does not support it.

    """
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:  # the file system supports only fsync
            os.fsync(descriptor)
        return
    os.fsync(descriptor)
