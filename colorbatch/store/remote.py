"""A store accessed through fsspec: an object store or a file server."""

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

from typing_extensions import override

from colorbatch.errors import OutputUnwritableError, UsageError, reason_of
from colorbatch.location import overlaps
from colorbatch.store.failures import with_retries
from colorbatch.store.file_state import FileState, state_of
from colorbatch.store.keys import entries_of
from colorbatch.store.remote_files import RemoteFiles
from colorbatch.store.remote_journal import RemoteJournal, RemoteJournalFile, journal_files
from colorbatch.store.report_folder import MARKER_NAME, REPORT_FOLDER
from colorbatch.store.store import CHUNK_BYTES, Entry, Head, Store

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)


class RemoteStore(RemoteFiles, Store):
    """A :class:`~colorbatch.store.store.Store` that is listed once, when first needed; it has no links."""

    is_remote = True
    seconds_to_write = 20.0

    def __init__(self, location: "UPath") -> None:
        super().__init__(location)
        self._lock = threading.Lock()
        self._states: dict[str, FileState] | None = None

    @property
    @override
    def base_name(self) -> str:
        return self.location.name

    @override
    def is_reachable(self) -> bool:
        self._root_info()
        return True

    @override
    def remember_folder(self) -> None:
        pass

    @override
    def refuse_lost(self) -> None:
        pass  # requests are retried, and say themselves what is wrong

    @override
    def is_itself_a_file(self) -> bool:
        info = self._root_info()
        return info is not None and info["type"] == "file"

    @override
    def refuse_intersection(self, output: Store) -> None:
        if not isinstance(output, RemoteStore):
            return
        if set(self.states()) == {""}:
            if overlaps(self.location.parent, output.location, is_same=True):
                raise UsageError(f"the output {output.shown} is the folder of the source {self.base_name}")
        elif overlaps(self.location, output.location):
            raise UsageError(
                f"the source {self.shown} and the output {output.shown} are the same, or one is inside the other",
                advice="Choose an output folder outside the source, and a source outside the output.",
            )

    @override
    def refuse_within(self, output: Store, folders: Iterable[str]) -> None:
        pass  # remote stores have no mounts

    @override
    def prefetch_listing(self) -> None:
        self.states()

    @override
    def walk(self, avoid: Store) -> Iterator[Entry]:
        states = self.states()
        if not states:
            raise UsageError(
                f"the source {self.shown} does not exist or is empty",
                advice="A store has no empty folders. Check the bucket and the path; case matters.",
            )
        if set(states) == {""}:
            yield Entry("", self.base_name, states[""])
            return
        yield from entries_of({key: state for key, state in states.items() if key})

    @override
    def chunks(self, name: str) -> Iterator[bytes]:
        return self.parts(name, CHUNK_BYTES)

    @override
    def head(self, name: str, count: int) -> Head:
        state = self.state(name)
        size = 0 if state is None else state.bytes
        start = self.start_of(name, count) if size else b""  # an empty file has no range to request
        return Head(start, size, None if state is None else state.modified)

    @override
    def list_beside(self) -> Iterator[Entry]:
        if set(self.states()) != {""}:
            return
        path = PurePosixPath(self.base_name)
        for name in (f"{path}.xmp", f"{path}.XMP", f"{path.with_suffix('.xmp')}", f"{path.with_suffix('.XMP')}"):
            beside = RemoteStore(self.location.parent / name)
            if (info := beside._root_info()) is not None and info["type"] == "file":
                yield Entry(name, name, state_of(info))

    @override
    def start_beside(self, key: str, count: int) -> bytes:
        if set(self.states()) != {""}:
            return self.head(key, count).start
        return RemoteStore(self.location.parent).start_of(key, count)

    @override
    def state(self, name: str) -> FileState | None:
        return self.states().get(name)

    @override
    def is_file(self, name: str) -> bool:
        state = self.state(name)
        return state is not None and state.is_file

    @override
    def sha256(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except OSError:
            return None

    @override
    def is_link(self, name: str) -> bool:
        return False

    @override
    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        try:
            state = self.put(name, data, may_replace=may_replace)
        except FileExistsError:
            raise
        except OSError as error:
            raise OutputUnwritableError(f"cannot write {self.shown}/{name}: {reason_of(error)}") from error
        with self._lock:
            if self._states is not None:
                self._states[name] = state
        return state

    @override
    @contextmanager
    def writer(self, name: str, *, may_replace: bool) -> Iterator[BinaryIO]:
        with TemporaryDirectory(prefix="colorbatch-") as folder:
            local = Path(folder, "upload")
            with local.open("w+b") as file:
                yield file
            if not may_replace and self.state(name) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            try:
                state = self.put_file(name, local)
            except OSError as error:
                raise OutputUnwritableError(f"cannot write {self.shown}/{name}: {reason_of(error)}") from error
        with self._lock:
            if self._states is not None:
                self._states[name] = state

    @override
    def link(self, name: str, origin: Store, key: str) -> bool:
        return False

    @override
    def set_modified(self, name: str, modified: float) -> None:
        raise OSError(errno.ENOTSUP, "a store sets the times of its files itself")

    @override
    def delete(self, name: str) -> None:
        super().delete(name)
        with self._lock:
            if self._states is not None:
                self._states.pop(name, None)

    @override
    def names(self, unreadable: list[OSError]) -> Iterator[str]:
        yield from sorted(self.states())

    @override
    def has_report(self) -> bool:
        return self.is_file(f"{REPORT_FOLDER}/{MARKER_NAME}")

    @override
    def bytes_free(self) -> int | None:
        return None

    @override
    def open_journal(self, name: str, purpose: str = "a run") -> RemoteJournal:
        return RemoteJournal(self, name, purpose)

    @override
    def journal_files(self, folder: str) -> Sequence[RemoteJournalFile]:
        return journal_files(self, folder)

    @override
    def notes(self, name: str) -> None:
        return None  # outputs are recognised by their marks

    def states(self) -> Mapping[str, FileState]:
        """Return the state of every file, by name, as of the first call and the writes since.

        Raises:
            StoreUnavailableError: the store cannot be listed.

        """
        with self._lock:
            if self._states is None:
                try:
                    self._states = self.listed()
                except OSError as error:
                    raise self.unavailable(error) from error
            return self._states

    def _root_info(self) -> Mapping[str, Any] | None:
        """Return the information of the library about the location; ``None``: nothing is there.

        Raises:
            StoreUnavailableError: the store does not respond, or refuses.

        """
        try:
            info: Mapping[str, Any] = with_retries(lambda: self._fs.info(self._path("")), f"accessing {self.shown}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.unavailable(error) from error
        return info
