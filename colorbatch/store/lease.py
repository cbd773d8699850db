"""Keep other runs out of a folder of a store: a lease is an object that its holder rewrites regularly."""

import json
import logging
import secrets
import time
from contextlib import suppress
from datetime import datetime, timezone

from colorbatch.errors import OutputInUseError
from colorbatch.store.holder import described, is_dead, parsed, values_of_this_process
from colorbatch.store.remote_files import RemoteFiles

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_RENEWALS = 5.0
"""Interval at which the holder renews the lease."""
SECONDS_WATCHED = 60.0
"""Time without a renewal after which an unknown holder is considered dead. Timestamps are not compared, since the
clocks of machines differ."""
_SECONDS_BETWEEN_LOOKS = 1.0
"""Interval at which the lease of another process is checked for a renewal."""
_SECONDS_TO_SETTLE = 2.0
"""Time after which the last of several processes that took over from a dead holder at once has the lease."""


class Lease:
    """Right of one process to write to a folder, visible to others, from construction until it is released."""

    def __init__(self, store: RemoteFiles, name: str, purpose: str = "a run") -> None:
        """Acquire the lease.

        Args:
            store: that of the folder.
            name: of the object.
            purpose: what this process does with the folder.

        Raises:
            OutputInUseError: another process holds it.
            OSError: the store cannot be read or written.

        """
        self._store = store
        self._name = name
        self._run_id = secrets.token_hex(8)
        self._process = values_of_this_process(purpose)
        self._renewals = 0
        self.was_left = False
        """Whether it was left by a process that died."""
        while True:
            try:
                store.put(name, self._content(), may_replace=False)
            except FileExistsError:
                if self._is_ours():  # the answer to the first try was lost
                    break
                holder = active_holder(store, name)
                if holder:
                    raise OutputInUseError(f"another run is in progress in {store.shown}: {holder}") from None
                store.delete(name)
                self.was_left = True
            else:
                break
        if self.was_left or not store.can_create:
            time.sleep(_SECONDS_TO_SETTLE)
            self._raise_if_lost()

    def renew(self) -> None:
        """Show that the holder is alive.

        Raises:
            OutputInUseError: another process took it over, because it considered this one dead.
            OSError: the store cannot be read or written.

        """
        self._raise_if_lost()
        self._renewals += 1
        self._store.put(self._name, self._content(), may_replace=True)

    def release(self) -> None:
        """Release the lease; if that fails, others will find that it is no longer renewed."""
        with suppress(OSError):
            if self._is_ours():
                self._store.delete(self._name)

    def _raise_if_lost(self) -> None:
        if not self._is_ours():
            raise OutputInUseError(f"another run has taken over {self._store.shown}")

    def _is_ours(self) -> bool:
        content = _read(self._store, self._name)
        return content is not None and parsed(content).get("run") == self._run_id

    def _content(self) -> bytes:
        values = {
            **self._process,
            "run": self._run_id,
            "beat": self._renewals,
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        return json.dumps(values, sort_keys=True).encode() + b"\n"


def active_holder(store: RemoteFiles, name: str) -> str:
    """Return a description of the holder of a lease; empty if nobody holds it, or the holder is dead.

    Raises:
        OSError: the store cannot be read.

    """
    first = _read(store, name)
    if first is None:
        return ""
    values = parsed(first)
    if is_dead(values):
        return ""
    logger.info("Checking for %g s whether a run that holds %s is alive", SECONDS_WATCHED, store.shown)
    deadline = time.monotonic() + SECONDS_WATCHED
    while time.monotonic() < deadline:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        now = _read(store, name)
        if now is None:
            return ""
        if now != first:
            return described(values)
    return ""


def stated_holder(store: RemoteFiles, name: str) -> str:
    """Return what the holder of a lease says of itself; empty if there is none.

    Raises:
        OSError: the store cannot be read.

    """
    content = _read(store, name)
    return "" if content is None else described(parsed(content))


def _read(store: RemoteFiles, name: str) -> bytes | None:
    try:
        return store.read(name)
    except FileNotFoundError:
        return None
