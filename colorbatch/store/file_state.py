"""What is known about a file without reading it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class FileState:
    """State of a file at one point in time."""

    bytes: int
    etag: str | None = None
    """A value that changes with the content, as the store reports it, without quotation marks: ETag or generation;
    ``None``: not reported."""
    is_file: bool = True
    """Whether it is a regular file, not a link, a pipe or a device, which file servers may have."""
    modified: float | None = None
    """Time of the last write, in seconds since 1970; ``None``: unknown."""


def state_of(info: Mapping[str, Any]) -> FileState:
    """Return the state of a file from the information that fsspec returns."""
    modified = info.get("LastModified") or info.get("mtime") or info.get("updated") or info.get("created")
    if isinstance(modified, datetime):
        modified = modified.timestamp()
    return FileState(
        int(info["size"] or 0),
        etag_of(info),
        is_file=info["type"] == "file",
        modified=float(modified) if isinstance(modified, int | float) else None,
    )


def etag_of(info: Mapping[str, Any]) -> str | None:
    """Return the ETag or generation of an object, which changes with its content; ``None``: not reported."""
    found = info.get("ETag") or info.get("etag") or info.get("generation")
    return str(found).strip('"') or None if found else None
