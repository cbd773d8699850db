"""A file of a store, as a source is planned."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from colorbatch.store.remote import RemoteStore
from colorbatch.store.state import FileState


@dataclass(frozen=True)
class RemoteFile:
    """A file of a store, as it was when that was listed."""

    store: RemoteStore
    name: str
    state: FileState

    @property
    def suffix(self) -> str:
        """The ending of its name, as of a :class:`pathlib.Path`."""
        return PurePosixPath(self.name or self.store.location.path).suffix

    def read_bytes(self) -> bytes:
        """Return it, whole.

        Raises:
            OSError: it cannot be read, or not whole.

        """
        return self.store.read_of_size(self.name, self.state.bytes)

    def head(self, count: int) -> bytes:
        """Return at most ``count`` bytes from its start.

        Raises:
            OSError: it cannot be read.

        """
        return self.store.head(self.name, count) if self.state.bytes else b""  # of nothing there is no range
