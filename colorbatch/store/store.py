"""What is done with a folder of sources or outputs, wherever it lies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from colorbatch.location import Location
from colorbatch.store.local import LocalStore
from colorbatch.store.remote import RemoteStore
from colorbatch.store.state import FileState


class Store(Protocol):
    """A folder, or a single file, whose names are paths below it, POSIX style; the name ``""`` is that of itself."""

    seconds_to_write: float
    """For which a run that is stopped waits for what is just being written."""

    @property
    def shown(self) -> str:
        """Where it is, as may be shown and logged."""

    def look(self) -> None:
        """Look at what is there, where that is done once for all files; else when it is first asked for.

        Raises:
            StoreUnavailableError: that cannot be done.

        """

    def read(self, name: str) -> bytes:
        """Return a file, whole.

        Raises:
            OSError: it cannot be read, or not whole.

        """

    def state(self, name: str) -> FileState | None:
        """Return what is known of a file without reading it; ``None``: nothing of that name is there."""

    def is_file(self, name: str) -> bool:
        """Return whether a file of that name is there."""

    def sha256(self, name: str) -> str | None:
        """Return the sha256 of a file, or ``None`` when it cannot be read."""

    def is_same(self, name: str, sha256: str) -> bool:
        """Return whether a name is that of a file itself, no link to one, of that sha256."""

    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        """Write a file whole or not at all.

        Raises:
            FileExistsError: something of that name is there, which may not be replaced.
            OutputUnwritableError: it cannot be written.
            UnsafeOutputError: a link leads out of the folder.

        """

    def tidy(self) -> None:
        """Try once more to take away what failed writes left; call it at the end of a run."""

    def names(self, unreadable: list[OSError]) -> Iterator[str]:
        """Yield the names of all that is there; add what cannot be looked at to the list."""

    def has_report(self) -> bool:
        """Return whether a report of colorbatch is there."""


def open_store(location: Location) -> Store:
    """Return what to reach a location by; nothing is asked of it yet."""
    return LocalStore(location) if isinstance(location, Path) else RemoteStore(location)
