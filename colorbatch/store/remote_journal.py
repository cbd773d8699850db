"""A journal in an object store, where files cannot be appended to: a folder of parts, and a lease."""

import logging
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress

from typing_extensions import override

from colorbatch.errors import ColorbatchError, OutputInUseError, OutputUnwritableError, reason_of
from colorbatch.store.journal import Journal, JournalFile
from colorbatch.store.lease import SECONDS_BETWEEN_RENEWALS, Lease, active_holder, stated_holder
from colorbatch.store.remote_files import RemoteFiles

logger = logging.getLogger(__name__)

LEASE_NAME = "lease"
"""Name of the object in the folder of a journal that shows others that its holder is active."""
LINES_AT_ONCE = 1000
"""Number of gathered lines that are written without waiting for the next renewal."""


class RemoteJournal(Journal):
    """A folder of a store, to which the lines gathered in a few seconds are written as an object, and a lease."""

    def __init__(self, store: RemoteFiles, name: str, purpose: str = "a run") -> None:
        self._store = store
        self._name = name
        self._run_id = secrets.token_hex(8)
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._failure: ColorbatchError | None = None
        self._is_closed = False
        self._wake_up = threading.Event()
        try:
            self._part_number = len(store.listed(name))
            self._lease = Lease(store, f"{name}/{LEASE_NAME}", purpose)
        except OSError as error:
            raise store.unavailable(error) from error
        self._thread = threading.Thread(target=self._write_and_renew, name="journal", daemon=True)
        self._thread.start()

    @override
    def add(self, line: bytes, *, is_durable: bool = True) -> None:
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._lines.append(line)
        if len(self._lines) >= LINES_AT_ONCE:
            self._wake_up.set()

    @override
    def announce(self, line: bytes) -> None:
        pass  # an output without a row is recognised by its bytes or its mark

    @override
    def hold(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._lease.renew()
        except OSError as error:
            raise OutputUnwritableError(f"cannot write the journal: {reason_of(error)}") from error

    @override
    def clear(self) -> None:
        with self._lock:
            self._lines.clear()
        with suppress(OSError):  # what remains is recorded elsewhere too
            parts = [each for each in self._store.listed(self._name) if not each.endswith(f"/{LEASE_NAME}")]
            self._store.delete_all(parts)

    @override
    def delete(self) -> None:
        self._stop_thread()
        self.clear()
        self._lease.release()

    @override
    def close(self) -> None:
        if self._is_closed:
            return
        self._stop_thread()
        try:
            if self._failure is None:
                self._write_part()
        except OSError as error:
            logger.warning("The last rows could not be written: %s", reason_of(error))
        self._lease.release()

    def _stop_thread(self) -> None:
        self._is_closed = True
        self._wake_up.set()
        self._thread.join()

    def _write_and_renew(self) -> None:
        """Write gathered lines and renew the lease until the journal is closed."""
        while not self._is_closed:
            self._wake_up.wait(SECONDS_BETWEEN_RENEWALS)
            self._wake_up.clear()
            if self._is_closed:
                return
            try:
                self._write_part()
                self._lease.renew()
            except OutputInUseError as error:
                self._failure = error
                return
            except OSError as error:  # the store may be available at the next renewal
                logger.warning("The journal could not be written: %s", reason_of(error))

    def _write_part(self) -> None:
        """Write the gathered lines as a new part.

        Raises:
            OSError: they cannot be written, and stay gathered.

        """
        with self._lock:
            lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._store.put(
                f"{self._name}/{self._part_number:08}-{self._run_id}.jsonl", b"".join(lines), may_replace=True
            )
        except OSError:
            with self._lock:
                self._lines = [*lines, *self._lines]
            raise
        self._part_number += 1


class RemoteJournalFile(JournalFile):
    """A :class:`~colorbatch.store.store.JournalFile` in an object store: a folder of parts, or a single file."""

    def __init__(self, store: RemoteFiles, name: str, modified: int, parts: Sequence[str]) -> None:
        self._store = store
        self._parts = parts
        self.name = name
        self.modified = modified

    @property
    @override
    def is_held(self) -> bool:
        return bool(active_holder(self._store, f"{self.name}/{LEASE_NAME}"))

    @property
    @override
    def holder(self) -> str:
        return stated_holder(self._store, f"{self.name}/{LEASE_NAME}")

    @override
    def read(self) -> bytes:
        return b"".join(self._store.read_all([part for part in self._parts if not part.endswith(f"/{LEASE_NAME}")]))

    @override
    def delete(self) -> None:
        self._store.delete_all(self._parts)


def journal_files(store: RemoteFiles, folder: str) -> Sequence[RemoteJournalFile]:
    """Return the current journals and other files of lines in a folder.

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
