"""A journal in an object store, where nothing can be added to a file: a folder of parts, and a lease."""

import logging
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress

from typing_extensions import override

from colorbatch.errors import ColorbatchError, OutputInUseError, OutputUnwritableError
from colorbatch.store.lease import SECONDS_BETWEEN_RENEWALS, Lease, active_holder
from colorbatch.store.remote_files import RemoteFiles
from colorbatch.store.store import Journal, JournalFile

logger = logging.getLogger(__name__)

LEASE_NAME = "lease"
"""Of the object in the folder of a journal by which others see that its holder is at work."""
LINES_AT_ONCE = 1000
"""That are written without waiting for the next beat."""


class RemoteJournal(Journal):
    """A folder of a store, in which lines are gathered into a new object every few seconds, and a lease."""

    def __init__(self, store: RemoteFiles, name: str) -> None:
        self._store = store
        self._name = name
        self._run = secrets.token_hex(8)
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._failure: ColorbatchError | None = None
        self._is_over = False
        self._is_due = threading.Event()
        try:
            self._number = len(store.listed(name))
            self._lease = Lease(store, f"{name}/{LEASE_NAME}")
        except OSError as error:
            raise store.unavailable(error) from error
        self._thread = threading.Thread(target=self._keep, name="journal", daemon=True)
        self._thread.start()

    @override
    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._lines.append(line)
        if len(self._lines) >= LINES_AT_ONCE:
            self._is_due.set()

    @override
    def announce(self, line: bytes) -> None:
        pass  # an output that has no row is known by its bytes or its mark

    @override
    def hold(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._lease.renew()
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {error.strerror or error}") from error

    @override
    def delete(self) -> None:
        self._end()
        with self._lock:
            self._lines.clear()
        with suppress(OSError):
            parts = [each for each in self._store.listed(self._name) if not each.endswith(f"/{LEASE_NAME}")]
            self._store.delete_all(parts)
        self._lease.release()

    @override
    def close(self) -> None:
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
            self._is_due.wait(SECONDS_BETWEEN_RENEWALS)
            self._is_due.clear()
            if self._is_over:
                return
            try:
                self._write()
                self._lease.renew()
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


class RemoteJournalFile(JournalFile):
    """A :class:`~colorbatch.store.store.JournalFile` of an object store, or a file beside such."""

    def __init__(self, store: RemoteFiles, name: str, modified: int, parts: Sequence[str]) -> None:
        self._store = store
        self._parts = parts
        self.name = name
        self.modified = modified

    @property
    @override
    def is_held(self) -> bool:
        return bool(active_holder(self._store, f"{self.name}/{LEASE_NAME}"))

    @override
    def read(self) -> bytes:
        return b"".join(self._store.read_all([part for part in self._parts if not part.endswith(f"/{LEASE_NAME}")]))

    @override
    def delete(self) -> None:
        self._store.delete_all(self._parts)


def journal_files(store: RemoteFiles, folder: str) -> Sequence[RemoteJournalFile]:
    """Return the journals and other files of lines in a folder, as they are now.

    Raises:
        OSError: they cannot be listed.

    """
    parts: dict[str, list[tuple[str, int]]] = {}
    for name, state in sorted(store.listed(folder).items()):
        own = name.removeprefix(f"{folder}/").partition("/")[0]
        parts.setdefault(own, []).append((name, round((state.modified or 0.0) * 1e9)))
    return [
        RemoteJournalFile(store, f"{folder}/{own}", max(time for _, time in each), tuple(name for name, _ in each))
        for own, each in parts.items()
    ]
