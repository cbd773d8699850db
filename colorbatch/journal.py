"""The journal of a run: what it has done so far, kept where a run that comes after a crash finds it."""

import logging
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from colorbatch.durable import flush
from colorbatch.errors import ColorbatchError, OutputInUseError, OutputUnwritableError
from colorbatch.location import Location, shown
from colorbatch.lock import open_locked
from colorbatch.shard import Shard
from colorbatch.state import LEASE_NAME, StateFile, journal_name, state_files
from colorbatch.store.failures import of_the_run
from colorbatch.store.lease import SECONDS_BETWEEN_BEATS, Lease
from colorbatch.store.remote import RemoteStore

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

LINES_AT_ONCE = 1000
"""That are written to a store without waiting for the next beat."""


class Journal(Protocol):
    """Held by one run; keeps others away until it is closed."""

    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        """Add a row; one that is durable is on disk before this returns, or in a store a few seconds later.

        Raises:
            OutputUnwritableError: the disk is full or gone.
            OutputInUseError: another run took this one for dead.

        """

    def announce(self, line: bytes) -> None:
        """Note that an output is about to be written; a store knows it by its mark instead.

        Raises:
            OutputUnwritableError: the disk is full or gone.

        """

    def hold(self) -> None:
        """Make sure that no other run has taken it.

        Raises:
            OutputInUseError: one has.

        """

    def delete(self) -> None:
        """Delete it, whose rows are elsewhere now, and close it; one that stays tells the next run nothing new."""

    def close(self) -> None:
        """Let others have it, with its rows."""


def open_journal(folder: Location, shard: Shard | None) -> Journal:
    """Return the journal of a run, once it is sure that no other run is in the way.

    Raises:
        OutputInUseError: one is.
        OutputUnwritableError: the output folder cannot be written.
        StoreUnavailableError: the store of the output folder cannot be used.

    """
    return LocalJournal(folder, shard) if isinstance(folder, Path) else RemoteJournal(folder, shard)


def is_beside(other: StateFile, shard: Shard | None) -> bool:
    """Return whether a file is of another shard of the same split: it knows nothing of the sources of ``shard``."""
    return shard is not None and other.shard not in (None, shard) and other.shard.count == shard.count


def _refuse_others(folder: Location, shard: Shard | None) -> None:
    """Raise when a run over all, or a shard of another split, is at work.

    Each run takes its own journal before it looks at those of others: of two, at least one sees the other.

    Raises:
        OutputInUseError: it is.
        OSError: that cannot be told.

    """
    own = journal_name(shard)
    others = [each for each in state_files(folder) if each.name != own and not is_beside(each, shard)]
    in_the_way = next((each for each in others if each.is_held), None)
    if in_the_way is None:
        return
    if in_the_way.shard is None:
        raise OutputInUseError(f"a run over all sources is at work in {shown(folder)}")
    raise OutputInUseError(f"shard {in_the_way.shard} is at work in {shown(folder)}")


class LocalJournal:
    """A locked file that lines are added to."""

    def __init__(self, folder: Path, shard: Shard | None) -> None:
        self._path = folder / journal_name(shard)
        self._lock = threading.Lock()
        try:
            self._file = self._opened(folder, shard)
            if self._file.tell():
                self._file.write(b"\n")  # ends a line that a crash may have torn
        except OSError as error:
            raise OutputUnwritableError(f"cannot write to {folder}: {error.strerror or error}") from error

    def _opened(self, folder: Path, shard: Shard | None) -> BinaryIO:
        file = open_locked(self._path)
        if file is None:
            raise OutputInUseError(f"another run is at work in {folder}")
        try:
            _refuse_others(folder, shard)
        except OutputInUseError:
            self._file = file
            if not file.tell():
                self.delete()
            file.close()
            raise
        return file

    def add(self, line: bytes, *, is_durable: bool = True) -> None:  # noqa: D102 (as Journal says, here and below)
        self.announce(line)
        if not is_durable:
            return
        try:
            flush(self._file.fileno())
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error

    def announce(self, line: bytes) -> None:  # noqa: D102
        try:
            with self._lock:
                self._file.write(line)
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error

    def hold(self) -> None:
        """Do nothing: the lock of a process ends with it, and not before."""

    def delete(self) -> None:  # noqa: D102
        with suppress(OSError):
            if os.name == "nt":  # which cannot delete an open file; elsewhere the lock is held until it is gone
                self._file.close()
            self._path.unlink()
            self._path.parent.rmdir()
        self._file.close()

    def close(self) -> None:  # noqa: D102
        self._file.close()


class RemoteJournal:
    """A folder of a store, in which lines are gathered into a new object every few seconds, and a lease."""

    def __init__(self, folder: "UPath", shard: Shard | None) -> None:
        self._store = RemoteStore(folder)
        self._name = journal_name(shard)
        self._run = secrets.token_hex(8)
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._failure: ColorbatchError | None = None
        self._is_over = False
        self._is_due = threading.Event()
        try:
            own = next((each for each in state_files(folder) if each.name == self._name), None)
            parts = own.parts if own is not None else ()
            self._number = len(parts)
            self._lease = Lease(self._store, f"{self._name}/{LEASE_NAME}")
            try:
                _refuse_others(folder, shard)
            except BaseException:
                self._lease.release()
                raise
        except OSError as error:
            raise of_the_run(error, folder) from error
        self._thread = threading.Thread(target=self._keep, name="journal", daemon=True)
        self._thread.start()

    def add(self, line: bytes, *, is_durable: bool = True) -> None:  # noqa: ARG002, D102
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._lines.append(line)
        if len(self._lines) >= LINES_AT_ONCE:
            self._is_due.set()

    def announce(self, line: bytes) -> None:
        """Do nothing: an output that has no row is known by its bytes or its mark."""

    def hold(self) -> None:  # noqa: D102
        if self._failure is not None:
            raise self._failure
        try:
            self._lease.beat()
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error

    def delete(self) -> None:  # noqa: D102
        self._end()
        with self._lock:
            self._lines.clear()
        with suppress(OSError):
            parts = [each for each in self._store.listed(self._name) if not each.endswith(f"/{LEASE_NAME}")]
            self._store.delete(*parts)
        self._lease.release()

    def close(self) -> None:  # noqa: D102
        if self._is_over:
            return
        self._end()
        try:
            if self._failure is None:
                self._write()
        except OSError as error:
            logger.warning("The last rows could not be written: %s", error.strerror or error)
        self._lease.release()

    def _end(self) -> None:
        self._is_over = True
        self._is_due.set()
        self._thread.join()

    def _keep(self) -> None:
        """Write what was gathered, and show that this run is alive, until it is over."""
        while not self._is_over:
            self._is_due.wait(SECONDS_BETWEEN_BEATS)
            self._is_due.clear()
            if self._is_over:
                return
            try:
                self._write()
                self._lease.beat()
            except OutputInUseError as error:
                self._failure = error
                return
            except OSError as error:  # it may be back at the next beat
                logger.warning("The journal could not be written: %s", error.strerror or error)

    def _write(self) -> None:
        """Write what was gathered.

        Raises:
            OSError: that cannot be done; it stays gathered.

        """
        with self._lock:
            lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._store.put(f"{self._name}/{self._number:08}-{self._run}.jsonl", b"".join(lines), may_replace=True)
        except OSError:
            with self._lock:
                self._lines = [*lines, *self._lines]
            raise
        self._number += 1
