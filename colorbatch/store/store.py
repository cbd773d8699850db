"""What is done with a folder of sources or outputs, wherever it lies."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from colorbatch.errors import EnvironmentFailure
from colorbatch.store.file_state import FileState


@dataclass(frozen=True)
class Entry:
    """A file that a walk found, or a folder or another thing that is left out as a whole."""

    key: str
    """The name to read it by."""
    name: str
    """Its path as a source, POSIX style: the key where that can be a path."""
    state: FileState | None = None
    """What the listing says of it; ``None``: nothing."""
    problem: str = ""
    """Why it can be no source; empty where it can."""
    is_failure: bool = False
    """Whether the problem is a failure, not a reason to skip it."""
    is_folder: bool = False
    """Whether it stands for a folder with all that is in it."""


@dataclass(frozen=True)
class Head:
    """The beginning of a file."""

    start: bytes
    size: int
    """Of the whole file, in bytes."""


class Journal(Protocol):
    """A file of lines, held by one process from when it is opened until it is closed."""

    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        """Add a line; one that is durable is on disk before this returns, or in an object store a few seconds later.

        Raises:
            OutputUnwritableError: the disk is full or gone.
            OutputInUseError: another process took the holder for dead.

        """

    def announce(self, line: bytes) -> None:
        """Add a line that says that an output is about to be written, where the store needs that.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """

    def hold(self) -> None:
        """Make sure that no other process has taken it.

        Raises:
            OutputInUseError: one has.

        """

    def delete(self) -> None:
        """Delete and close it; what cannot be deleted stays."""

    def close(self) -> None:
        """Release it; it stays with its lines, or is deleted if it has none."""


class JournalFile(Protocol):
    """A journal, or another file of lines, as it is found in a store."""

    name: str
    """Its path below the store."""
    modified: int
    """The time of the last write, in ns since 1970."""

    @property
    def is_held(self) -> bool:
        """Whether a process holds it.

        Raises:
            OSError: that cannot be determined.

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
    """A file of lines that one process adds to while others may read or delete it."""

    def create(self) -> None:
        """Create it, empty, unless it is there.

        Raises:
            OSError: it cannot be created.

        """

    def exists(self) -> bool:
        """Return whether it is there."""

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
        """Delete it if it is there.

        Raises:
            OSError: it cannot be deleted.

        """


class Store(Protocol):
    """A folder, or a single file. Names are paths below it, POSIX style; the name ``""`` is that of the store itself.

    Opened once for each place of a run, and handed down. May be used from several threads at once.
    """

    is_remote: bool
    """Whether each request waits for an answer over a network, so that several are better made at a time."""
    seconds_to_write: float
    """How long a run that is stopped waits for outputs that are just being written."""

    @property
    def shown(self) -> str:
        """Where it is, without secrets: for messages and logs."""

    @property
    def base_name(self) -> str:
        """The last part of its path."""

    def is_reachable(self) -> bool:
        """Return whether this machine sees it.

        Raises:
            StoreUnavailableError: the store does not answer, or refuses.

        """

    def is_itself_a_file(self) -> bool:
        """Return whether something other than a folder is at its place.

        Raises:
            UsageError: it cannot be looked at.
            StoreUnavailableError: the same, of an object store or server.

        """

    def refuse_intersection(self, output: "Store") -> None:
        """Raise when this store, as a source, and that of the outputs are one, or one lies in the other.

        Raises:
            UsageError: they intersect, or cannot be looked at.

        """

    def refuse_within(self, output: "Store", folders: Iterable[str]) -> None:
        """Raise where a folder that outputs go to is, by a second mount, this store or holds it.

        Args:
            output: the store of the outputs.
            folders: paths below it.

        Raises:
            UsageError: it does.

        """

    def prefetch_listing(self) -> None:
        """List all files now, where that is done once for all; else when a listing is first needed.

        Raises:
            StoreUnavailableError: they cannot be listed.

        """

    def walk(self, avoid: "Store") -> Iterator[Entry]:
        """Yield every file, in any order; what cannot be a source says so.

        Links to folders and links that lead out of the tree are not followed; pipes, sockets and devices are not
        opened. Hidden folders and reports of colorbatch are one entry each.

        Args:
            avoid: the store of the outputs.

        Raises:
            UsageError: there is nothing to walk; or a folder is that of ``avoid``, or holds it, by a second mount.
            StoreUnavailableError: the files cannot be listed.

        """

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return a file, whole.

        Args:
            name: of the file.
            size: its bytes, where they are known: that saves some stores a request.

        Raises:
            OSError: it cannot be read, or not whole.

        """

    def head(self, name: str, count: int) -> Head:
        """Return at most ``count`` bytes from the start of a file, and its size.

        Raises:
            OSError: it cannot be read.

        """

    def state(self, name: str) -> FileState | None:
        """Return what is known of a file without reading it; ``None``: nothing of that name is there."""

    def is_file(self, name: str) -> bool:
        """Return whether a file of that name is there."""

    def is_link(self, name: str) -> bool:
        """Return whether a name is that of a link."""

    def sha256(self, name: str) -> str | None:
        """Return the sha256 of a file, or ``None`` when it cannot be read."""

    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        """Write a file whole or not at all.

        Raises:
            FileExistsError: something of that name is there, which may not be replaced.
            OutputUnwritableError: it cannot be written.
            UnsafeOutputError: a link leads out of the folder.

        """

    def delete(self, name: str) -> None:
        """Delete a file if it is there.

        Raises:
            OSError: it cannot be deleted.

        """

    def cleanup(self) -> None:
        """Try once more to remove what failed writes left; call it at the end of a run."""

    def remove_left_behind(self, is_ours: Callable[[str], bool]) -> None:
        """Remove what killed processes left half written; call it when no other process of ours writes here.

        Args:
            is_ours: whether a file of that name is one that colorbatch writes; uploads to others are not touched.

        """

    def names(self, unreadable: list[OSError]) -> Iterator[str]:
        """Yield the names of all files; add what cannot be looked at to the list."""

    def has_report(self) -> bool:
        """Return whether a report of colorbatch is there."""

    def bytes_free(self) -> int | None:
        """Return the free space; ``None``: it cannot be determined."""

    def unavailable(self, error: OSError) -> EnvironmentFailure:
        """Return the failure of a run that cannot go on without what was refused."""

    def open_journal(self, name: str) -> Journal:
        """Open a journal that no other process holds; it is created if need be.

        Raises:
            OutputInUseError: another process holds it.
            OutputUnwritableError: it cannot be written.
            StoreUnavailableError: the same, of an object store or server.

        """

    def journal_files(self, folder: str) -> Sequence[JournalFile]:
        """Return the journals and other files of lines in a folder, as they are now; empty where there is none.

        Raises:
            OSError: they cannot be listed.

        """

    def notes(self, name: str) -> Notes | None:
        """Return notes that processes on other machines announce their outputs in; ``None``: it needs none."""
