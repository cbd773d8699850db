"""What is known of a file without reading it."""

from dataclasses import dataclass


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
