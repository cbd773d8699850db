"""Protocols of the files of lines that a store keeps beside the outputs."""

from typing import Protocol


class Journal(Protocol):
    """A file of lines, held by one process from opening until closing it."""

    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        """Add a line; a durable one is on disk before this returns, or in an object store a few seconds later.

        Raises:
            OutputUnwritableError: the disk is full or gone.
            OutputInUseError: another process considered the holder dead and took over.

        """

    def announce(self, line: bytes) -> None:
        """Add a line saying that an output is about to be written, if the store needs that.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """

    def hold(self) -> None:
        """Make sure that no other process has taken over.

        Raises:
            OutputInUseError: one has.

        """

    def clear(self) -> None:
        """Remove its lines, which are recorded elsewhere now, and go on holding it.

        Raises:
            OutputUnwritableError: they cannot be removed.

        """

    def delete(self) -> None:
        """Delete and close it; files that cannot be deleted remain."""

    def close(self) -> None:
        """Close and release it; it is kept, or deleted if it has no lines."""


class JournalFile(Protocol):
    """A journal, or another file of lines, found in a store."""

    name: str
    """Path below the store."""
    modified: int
    """Time of the last write, in ns since 1970."""

    @property
    def is_held(self) -> bool:
        """Whether a process holds it.

        Raises:
            OSError: that cannot be determined.

        """

    @property
    def holder(self) -> str:
        """Description of the process that holds it; empty if that is not known.

        Raises:
            OSError: it cannot be read.

        """

    def read(self) -> bytes:
        """Return its lines.

        Raises:
            OSError: it cannot be read.

        """

    def delete(self) -> None:
        """Delete it.

        Raises:
            OSError: it cannot be deleted.

        """


class Notes(Protocol):
    """A file of lines to which one process appends while others may read or delete it."""

    def create(self) -> None:
        """Create it, empty, unless it exists.

        Raises:
            OSError: it cannot be created.

        """

    def exists(self) -> bool:
        """Return whether it exists."""

    def add(self, line: bytes) -> None:
        """Add a line.

        Raises:
            FileNotFoundError: it was deleted.
            OSError: it cannot be written.

        """

    def read(self) -> bytes:
        """Return its lines.

        Raises:
            OSError: it cannot be read.

        """

    def delete(self) -> None:
        """Delete it if it exists.

        Raises:
            OSError: it cannot be deleted.

        """
