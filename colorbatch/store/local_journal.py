"""A journal in a local folder: a file to which the holder of its lock appends lines."""

import os
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from typing_extensions import override

from colorbatch.errors import OutputInUseError, OutputUnwritableError, reason_of
from colorbatch.store.durable import flush, fsync_folder
from colorbatch.store.holder import holder_of, remove_holder, write_holder
from colorbatch.store.journal import Journal, JournalFile, Notes
from colorbatch.store.lock import Lock, is_held, open_appending, remove_lock_left_behind
from colorbatch.store.regular_files import read_regular


class LocalJournal(Journal):
    """A :class:`~colorbatch.store.store.Journal` that is held by a lock beside its file."""

    def __init__(self, folder: Path, name: str, purpose: str = "a run") -> None:
        self._path = folder / name
        self._writing = threading.Lock()
        try:
            lock = Lock.take(self._path)
            if lock is None:
                holder = holder_of(self._path)
                told = f": {holder}" if holder else ""
                raise OutputInUseError(f"another run is in progress in {folder}{told}")
            self._held, self._is_held = lock, True
            with ExitStack() as undo:
                undo.callback(self._release)
                write_holder(self._path, purpose)
                self._file = undo.enter_context(open_appending(self._path))
                fsync_folder(self._path.parent)
                if self._file.tell():
                    self._file.write(b"\n")  # ends a line that a crash may have truncated
                undo.pop_all()
        except OSError as error:
            raise OutputUnwritableError(f"cannot write to {folder}: {reason_of(error)}") from error

    @override
    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        self.announce(line)
        if not is_durable:
            return
        try:
            flush(self._file.fileno())
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {reason_of(error)}") from error

    @override
    def announce(self, line: bytes) -> None:
        try:
            with self._writing:
                self._file.write(line)
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {reason_of(error)}") from error

    @override
    def hold(self) -> None:
        pass  # a process keeps its lock until it ends

    @override
    def clear(self) -> None:
        try:
            with self._writing:
                self._file.truncate(0)
                self._file.seek(0)
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {reason_of(error)}") from error

    @override
    def delete(self) -> None:
        self._close_file()
        with suppress(OSError):
            self._path.unlink()
        self._release()
        with suppress(OSError):  # it holds other state
            self._path.parent.rmdir()

    @override
    def close(self) -> None:
        if not self._file.closed and not self._file.tell():
            self.delete()
        self._close_file()
        self._release()

    def _release(self) -> None:
        if self._is_held:
            self._is_held = False
            remove_holder(self._path)
            self._held.release()

    def _close_file(self) -> None:
        with suppress(OSError):  # of a network drive that is gone; durable lines have been flushed
            self._file.close()


class LocalJournalFile(JournalFile):
    """A :class:`~colorbatch.store.store.JournalFile` in a local folder."""

    def __init__(self, path: Path, name: str, modified: int) -> None:
        self._path = path
        self.name = name
        self.modified = modified

    @property
    @override
    def is_held(self) -> bool:
        return is_held(self._path)

    @property
    @override
    def holder(self) -> str:
        return holder_of(self._path)

    @override
    def read(self) -> bytes:
        return read_regular(self._path)

    @override
    def delete(self) -> None:
        self._path.unlink()
        remove_lock_left_behind(self._path)
        remove_holder(self._path)


class LocalNotes(Notes):
    """A file that is opened for each line, so that adding a line fails once it was deleted."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def create(self) -> None:
        self._path.touch()

    @override
    def exists(self) -> bool:
        return self._path.exists()

    @override
    def add(self, line: bytes) -> None:
        with self._path.open("r+b", buffering=0) as file:
            file.seek(0, os.SEEK_END)
            file.write(line)

    @override
    def read(self) -> bytes:
        return read_regular(self._path)

    @override
    def delete(self) -> None:
        self._path.unlink(missing_ok=True)
