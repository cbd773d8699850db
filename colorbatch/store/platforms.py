"""What differs between operating systems."""

import ntpath
import os
import sys
from pathlib import Path

IS_WINDOWS = os.name == "nt"
_NOT_ON_WINDOWS = frozenset('\\:*?"<>|') | {chr(number) for number in range(32)}
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{name}{digit}" for name in ("COM", "LPT") for digit in "123456789¹²³")}
)
"""Names that Windows takes for devices, whatever their extension. Source: "Naming Files, Paths, and Namespaces",
Microsoft."""
_LONGEST_PATH = 247
"""Characters of a path that Windows opens as it is: 260, less a file name of 12 for folders, and the final zero."""


def problem_on_windows(name: str) -> str:
    """Return why a path below a folder cannot be one on Windows; empty where it can."""
    for part in name.split("/"):
        if not _NOT_ON_WINDOWS.isdisjoint(part):
            return "characters that are not allowed in file names on Windows"
        if part.endswith((" ", ".")):
            return "a space or a dot at the end of a name, which Windows drops"
        if part.partition(".")[0].rstrip(" ").upper() in _DEVICES:
            return "a name that Windows takes for a device"
    return ""


def long_path(path: Path) -> Path:
    """Return a path that can be opened however long it is: on Windows, a long one in its verbatim form."""
    return Path(verbatim(str(path))) if IS_WINDOWS else path


def verbatim(path: str) -> str:
    r"""Return a path of Windows, in the form ``\\?\C:\...`` if it is too long to be opened as it is."""
    absolute = ntpath.abspath(path)
    if len(absolute) <= _LONGEST_PATH or absolute.startswith("\\\\?\\"):
        return path
    return f"\\\\?\\UNC{absolute[1:]}" if absolute.startswith("\\\\") else f"\\\\?\\{absolute}"


def fsync(descriptor: int) -> None:
    """Flush an open file or folder to disk, and on macOS through the cache of the drive, which fsync leaves out.

    Raises:
        OSError: the disk is gone or full, or cannot do it.

    """
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:  # a file system that knows only the usual way
            os.fsync(descriptor)
        return
    os.fsync(descriptor)
