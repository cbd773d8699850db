"""Protocols of stores: access to a folder of sources or outputs, local or remote."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from colorbatch.errors import EnvironmentFailure
from colorbatch.store.file_state import FileState
from colorbatch.store.journal import Journal, JournalFile, Notes

CHUNK_BYTES = 4 * 2**20
"""Size of the parts in which large files are read."""


@dataclass(frozen=True)
class Entry:
    """A file found by a walk, or a folder or other entry that is skipped as a whole."""

    key: str
    """Name under which it is read."""
    name: str
    """Path as a source, POSIX style: the key if that can be a path."""
    state: FileState | None = None
    """State reported by the listing; ``None``: not reported."""
    problem: str = ""
    """Why it cannot be a source; empty if it can."""
    is_failure: bool = False
    """Whether the problem is a failure rather than a reason to skip it."""
    is_folder: bool = False
    """Whether it is a folder with all its content."""


@dataclass(frozen=True)
class Head:
    """The beginning of a file."""

    start: bytes
    size: int
    """Size of the whole file in bytes."""
    modified: float | None = None
    """Time of its last change, in seconds since 1970; ``None``: unknown."""


class Store(Protocol):
    """A folder, or a single file. Names are paths below it, POSIX style; the name ``""`` is that of the store itself.

    Opened once for each location of a run, and passed down. May be used from several threads at once.
    """

    is_remote: bool
    """Whether each request waits for an answer over a network, so that several should run at a time."""
    seconds_to_write: float
    """How long a stopped run waits for outputs that are being written, in seconds."""

    @property
    def shown(self) -> str:
        """Its location without secrets, for messages and logs."""

    @property
    def base_name(self) -> str:
        """Last part of its path."""

    def is_reachable(self) -> bool:
        """Return whether this machine can access it.

        Raises:
            StoreUnavailableError: the store does not respond, or refuses.

        """

    def remember_folder(self) -> None:
        """Note which folder this is now, if it exists, for :meth:`refuse_lost`."""

    def refuse_lost(self) -> None:
        """Raise if the remembered folder is gone: its disk was removed, or its share was unmounted.

        Raises:
            StoreUnavailableError: it is.

        """

    def is_itself_a_file(self) -> bool:
        """Return whether its path is that of something other than a folder.

        Raises:
            UsageError: it cannot be accessed.
            StoreUnavailableError: the same, of an object store or server.

        """

    def refuse_intersection(self, output: "Store") -> None:
        """Raise if this store, as a source, and that of the outputs are the same or nested.

        Raises:
            UsageError: they intersect, or cannot be accessed.

        """

    def refuse_within(self, output: "Store", folders: Iterable[str]) -> None:
        """Raise if a folder for outputs is this store or contains it, through a second mount.

        Args:
            output: the store of the outputs.
            folders: paths below it.

        Raises:
            UsageError: one is, or does.

        """

    def prefetch_listing(self) -> None:
        """List all files now, if the store keeps its listing; otherwise do nothing.

        Raises:
            StoreUnavailableError: they cannot be listed.

        """

    def walk(self, avoid: "Store") -> Iterator[Entry]:
        """Yield every file, in any order; entries that cannot be sources say why.

        Links to folders and links that lead out of the tree are not followed; pipes, sockets and devices are not
        opened. A hidden folder or a report of colorbatch is one entry.

        Args:
            avoid: the store of the outputs.

        Raises:
            UsageError: there is nothing to walk, or a folder is or contains ``avoid`` through a second mount.
            StoreUnavailableError: the files cannot be listed.

        """

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return the content of a file.

        Args:
            name: of the file.
            size: its number of bytes if known, which saves some stores a request.

        Raises:
            OSError: it cannot be read, or not completely.

        """

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in parts of a few megabytes, so that it is never in memory as a whole.

        Raises:
            OSError: it cannot be read, or not completely.

        """

    def head(self, name: str, count: int) -> Head:
        """Return at most ``count`` bytes from the start of a file, and its size.

        Raises:
            OSError: it cannot be read.

        """

    def list_beside(self) -> Iterator[Entry]:
        """Yield the files beside those of :meth:`walk`, if only some files of a folder are the source.

        Of a single file in a remote store, only those that may be its sidecars, since its folder may hold millions.

        Raises:
            StoreUnavailableError: the store does not respond.

        """
        yield from ()

    def start_beside(self, key: str, count: int) -> bytes:
        """Return at most ``count`` bytes from the start of a file of :meth:`walk` or :meth:`list_beside`.

        Raises:
            OSError: it cannot be read.

        """
        return self.head(key, count).start

    def state(self, name: str) -> FileState | None:
        """Return what is known about a file without reading it; ``None``: the name does not exist."""

    def is_file(self, name: str) -> bool:
        """Return whether a name is that of a file."""

    def is_link(self, name: str) -> bool:
        """Return whether a name is that of a link."""

    def sha256(self, name: str) -> str | None:
        """Return the sha256 of a file, or ``None`` if it cannot be read."""

    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        """Write a file atomically.

        Raises:
            FileExistsError: the name exists and may not be replaced.
            OutputUnwritableError: it cannot be written.
            StoreUnavailableError: the remembered folder is gone.
            UnsafeOutputError: a link leads out of the folder.

        """

    def writer(self, name: str, *, may_replace: bool) -> AbstractContextManager[BinaryIO]:
        """Return a context with a binary file that becomes ``name`` when the block succeeds, and vanishes otherwise.

        It may be of any size. Only one process may write the name at a time: what a killed one left is overwritten.

        Raises:
            FileExistsError, OutputUnwritableError, StoreUnavailableError, UnsafeOutputError: as :meth:`write`.

        """

    def link(self, name: str, origin: "Store", key: str) -> bool:
        """Make a hard link to a file of another store, if both are folders on the same file system.

        Returns:
            whether it was made.

        Raises:
            FileExistsError: the name exists.
            OSError: the file is not there.
            StoreUnavailableError, UnsafeOutputError: as :meth:`write`.

        """

    def set_modified(self, name: str, modified: float) -> None:
        """Set the time of the last change of a file, in seconds since 1970.

        Raises:
            OSError: the store cannot do that, or the name is that of a link.

        """

    def delete(self, name: str) -> None:
        """Delete a file if it exists.

        Raises:
            OSError: it cannot be deleted.

        """

    def cleanup(self) -> None:
        """Try again to remove what failed writes left; call it at the end of a run."""

    def remove_left_behind(self, is_ours: Callable[[str], bool]) -> None:
        """Remove incomplete files of killed processes; call it when no other process of colorbatch writes here.

        Args:
            is_ours: whether colorbatch writes a file of that name; uploads to other names are not touched.

        """

    def names(self, unreadable: list[OSError]) -> Iterator[str]:
        """Yield the names of all files; append the errors of inaccessible folders to the list."""

    def has_report(self) -> bool:
        """Return whether it contains a report of colorbatch."""

    def bytes_free(self) -> int | None:
        """Return the free space in bytes; ``None``: it cannot be determined."""

    def unavailable(self, error: OSError) -> EnvironmentFailure:
        """Return the error of a run that needs a request that was refused."""

    def open_journal(self, name: str, purpose: str = "a run") -> Journal:
        """Open a journal that no other process holds; it is created if necessary.

        Args:
            name: of the journal.
            purpose: what this process does with the folder, for others that find it held.

        Raises:
            OutputInUseError: another process holds it.
            OutputUnwritableError: it cannot be written.
            StoreUnavailableError: the same, of an object store or server.

        """

    def journal_files(self, folder: str) -> Sequence[JournalFile]:
        """Return the current journals and other files of lines in a folder; empty if there is none.

        Raises:
            OSError: they cannot be listed.

        """

    def notes(self, name: str) -> Notes | None:
        """Return the notes in which processes on other machines announce outputs; ``None``: none are needed."""
