"""What is known of a file without reading it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class FileState:
    """Of a file at one moment."""

    bytes: int
    etag: str | None = None
    """What a store says of it that changes with its content, without quotation marks: ETag or generation; ``None``:
    nothing."""
    is_file: bool = True
    """Not a link, a pipe or a device, as servers of files may have."""
    modified: float | None = None
    """When it was written to last, in seconds since 1970; ``None``: that is not known."""


def state_of(info: Mapping[str, Any]) -> FileState:
    """Return what fsspec tells of a file."""
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
    """Return what a store says of an object that changes with its content; ``None``: nothing."""
    found = info.get("ETag") or info.get("etag") or info.get("generation")
    return str(found).strip('"') or None if found else None
