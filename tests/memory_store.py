"""A store in memory, which keeps the promises of the protocol: for tests that need neither a disk nor a server."""

import errno
import hashlib
import io
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from typing_extensions import override

from colorbatch.errors import OutputInUseError, OutputUnwritableError, UsageError
from colorbatch.store.file_state import FileState
from colorbatch.store.journal import Journal, JournalFile, Notes
from colorbatch.store.keys import entries_of
from colorbatch.store.report_folder import MARKER_NAME, REPORT_FOLDER
from colorbatch.store.store import Entry, Head, Store


class MemoryStore(Store):
    """Files by their names; ``reads`` counts how often each was read, ``hashed`` how often it was hashed."""

    is_remote = False
    seconds_to_write = 0.0

    def __init__(self, files: dict[str, bytes] | None = None, name: str = "memory") -> None:
        self.files = dict(files or {})
        self.hashed: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.held: set[str] = set()
        self._name = name
        self._modified = {name: time.time() for name in self.files}
        self._ticks = itertools.count(time.time_ns(), 10_000)  # floats of seconds tell no less

    def put(self, name: str, data: bytes) -> None:
        """Add a file, or replace one, as somebody else would."""
        self.files[name] = data
        self._modified[name] = next(self._ticks) / 1e9

    @property
    @override
    def shown(self) -> str:
        return self._name

    @property
    @override
    def base_name(self) -> str:
        return self._name.rpartition("/")[2]

    @override
    def is_reachable(self) -> bool:
        return True

    @override
    def remember_folder(self) -> None:
        pass

    @override
    def refuse_lost(self) -> None:
        pass

    @override
    def is_itself_a_file(self) -> bool:
        return set(self.files) == {""}

    @override
    def refuse_intersection(self, output: Store) -> None:
        if output is self:
            raise UsageError(f"the output {output.shown} is the source")

    @override
    def refuse_within(self, output: Store, folders: Iterable[str]) -> None:
        pass

    @override
    def prefetch_listing(self) -> None:
        pass

    @override
    def walk(self, avoid: Store) -> Iterator[Entry]:
        if not self.files:
            raise UsageError(f"the source {self.shown} does not exist")
        if self.is_itself_a_file():
            yield Entry("", self.base_name)
            return
        yield from entries_of({name: FileState(len(data)) for name, data in self.files.items()})

    @override
    def read(self, name: str, size: int | None = None) -> bytes:
        self.reads[name] += 1
        try:
            return self.files[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None

    @override
    def chunks(self, name: str) -> Iterator[bytes]:
        yield self.read(name)

    @override
    def head(self, name: str, count: int) -> Head:
        return Head(self.files[name][:count], len(self.files[name]), self._modified[name])

    @override
    def state(self, name: str) -> FileState | None:
        return FileState(len(self.files[name]), modified=self._modified[name]) if name in self.files else None

    @override
    def is_file(self, name: str) -> bool:
        return name in self.files

    @override
    def is_link(self, name: str) -> bool:
        return False

    @override
    def sha256(self, name: str) -> str | None:
        if name not in self.files:
            return None
        self.hashed[name] += 1
        return hashlib.sha256(self.files[name]).hexdigest()

    @override
    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        if name in self.files and not may_replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        self.put(name, data)
        return FileState(len(data))

    @override
    @contextmanager
    def writer(self, name: str, *, may_replace: bool) -> Iterator[BinaryIO]:
        file = io.BytesIO()
        yield file
        self.write(name, file.getvalue(), may_replace=may_replace)

    @override
    def link(self, name: str, origin: Store, key: str) -> bool:
        return False

    @override
    def set_modified(self, name: str, modified: float) -> None:
        self._modified[name] = modified

    @override
    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    @override
    def cleanup(self) -> None:
        pass

    @override
    def remove_left_behind(self, is_ours: Callable[[str], bool]) -> None:
        pass

    @override
    def names(self, unreadable: list[OSError]) -> Iterator[str]:
        yield from sorted(self.files)

    @override
    def has_report(self) -> bool:
        return self.is_file(f"{REPORT_FOLDER}/{MARKER_NAME}")

    @override
    def bytes_free(self) -> int | None:
        return None

    @override
    def unavailable(self, error: OSError) -> OutputUnwritableError:
        return OutputUnwritableError(f"cannot read {self.shown}: {error.strerror or error}")

    @override
    def open_journal(self, name: str, purpose: str = "a run") -> "MemoryJournal":
        if name in self.held:
            raise OutputInUseError(f"another run is in progress in {self.shown}")
        return MemoryJournal(self, name)

    @override
    def journal_files(self, folder: str) -> Sequence["MemoryJournalFile"]:
        below = [name for name in sorted(self.files) if name.rpartition("/")[0] == folder]
        return [MemoryJournalFile(self, name, round(self._modified[name] * 1e9)) for name in below]

    @override
    def notes(self, name: str) -> "MemoryNotes":
        return MemoryNotes(self, name)


class MemoryJournal(Journal):
    """A file that lines are added to at once."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name
        store.held.add(name)
        if store.files.setdefault(name, b""):
            self.add(b"\n")
        store.put(name, store.files[name])

    @override
    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        self._store.put(self._name, self._store.files[self._name] + line)

    @override
    def announce(self, line: bytes) -> None:
        self.add(line)

    @override
    def hold(self) -> None:
        pass

    @override
    def clear(self) -> None:
        self._store.put(self._name, b"")

    @override
    def delete(self) -> None:
        self._store.delete(self._name)
        self._store.held.discard(self._name)

    @override
    def close(self) -> None:
        self._store.held.discard(self._name)
        if not self._store.files.get(self._name, b"kept"):
            self._store.delete(self._name)


class MemoryJournalFile(JournalFile):
    """One that was found."""

    def __init__(self, store: MemoryStore, name: str, modified: int) -> None:
        self._store = store
        self.name = name
        self.modified = modified

    @property
    @override
    def is_held(self) -> bool:
        return self.name in self._store.held

    @property
    @override
    def holder(self) -> str:
        return ""

    @override
    def read(self) -> bytes:
        return self._store.read(self.name)

    @override
    def delete(self) -> None:
        self._store.delete(self.name)


class MemoryNotes(Notes):
    """Notes that others may delete."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name

    @override
    def create(self) -> None:
        if not self.exists():
            self._store.put(self._name, b"")

    @override
    def exists(self) -> bool:
        return self._store.is_file(self._name)

    @override
    def add(self, line: bytes) -> None:
        self._store.put(self._name, self._store.read(self._name) + line)

    @override
    def read(self) -> bytes:
        return self._store.read(self._name)

    @override
    def delete(self) -> None:
        self._store.delete(self._name)
