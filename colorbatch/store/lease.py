"""Keep other runs out of a folder of a store: a lease is an object that its holder rewrites regularly."""

import json
import logging
import os
import platform
import secrets
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from colorbatch.errors import OutputInUseError
from colorbatch.store import platforms
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

    def __init__(self, store: RemoteFiles, name: str) -> None:
        """Acquire the lease.

        Raises:
            OutputInUseError: another process holds it.
            OSError: the store cannot be read or written.

        """
        self._store = store
        self._name = name
        self._run_id = secrets.token_hex(8)
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
        return content is not None and _values(content).get("run") == self._run_id

    def _content(self) -> bytes:
        values = {
            "host": _host(),
            "pid": os.getpid(),
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
    values = _values(first)
    if values.get("host") == _host() and _is_dead(values.get("pid")):
        return ""
    logger.info("Checking for %g s whether a run that holds %s is alive", SECONDS_WATCHED, store.shown)
    deadline = time.monotonic() + SECONDS_WATCHED
    while time.monotonic() < deadline:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        now = _read(store, name)
        if now is None:
            return ""
        if now != first:
            host = str(values.get("host", "an unknown machine")).partition(" ")[0]
            return f"process {values.get('pid')} on {host}"
    return ""


def _read(store: RemoteFiles, name: str) -> bytes | None:
    try:
        return store.read(name)
    except FileNotFoundError:
        return None


def _values(content: bytes) -> dict[str, object]:
    try:
        values = json.loads(content)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _host() -> str:
    """Return an identifier of the PID namespace: the machine, and on Linux the container."""
    try:
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _is_dead(pid: object) -> bool:
    """Return whether there is certainly no process with that number on this machine."""
    if platforms.IS_WINDOWS or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
