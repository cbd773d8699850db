"""Who holds a folder: what a process says of itself to others, who find the folder held."""

import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from colorbatch.store import platforms
from colorbatch.store.lock import LOCK_ENDING, open_appending
from colorbatch.store.regular_files import read_regular
from colorbatch.text import printable

HOLDER_ENDING = ".holder"
"""End of the names of files in which the holder of a lock says who it is."""
BESIDE_A_JOURNAL = (LOCK_ENDING, HOLDER_ENDING)
"""Ends of the names of the files that a journal has beside it."""
_SECONDS_TO_SETTLE = 0.2
"""Time that a new holder has to replace what a killed one left, before that is believed."""
_LONGEST = 100


def values_of_this_process(purpose: str) -> Mapping[str, object]:
    """Return what this process says of itself, which holds a folder from now on.

    Args:
        purpose: what it does with it, such as ``a run``.

    """
    return {"host": host(), "pid": os.getpid(), "purpose": purpose, "since": time.time()}


def described(values: Mapping[str, object]) -> str:
    """Return what a holder has said of itself, in words."""
    node = str(values.get("host", "an unknown machine")).partition(" ")[0]
    parts = [f"process {values.get('pid')} on {node}"]
    if isinstance(values.get("purpose"), str):
        parts.append(str(values["purpose"]))
    with suppress(TypeError, ValueError, OverflowError, OSError):
        since = datetime.fromtimestamp(values["since"], timezone.utc)  # type: ignore[arg-type]
        parts.append(f"since {since:%Y-%m-%d %H:%M:%S} UTC")
    return ", ".join(printable(part[:_LONGEST]) for part in parts)


def parsed(content: bytes) -> Mapping[str, object]:
    """Return what a holder has said of itself; nothing if that is not valid."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def is_dead(values: Mapping[str, object]) -> bool:
    """Return whether a holder was certainly a process of this machine that has ended."""
    return values.get("host") == host() and _has_ended(values.get("pid"))


def host() -> str:
    """Return an identifier of the PID namespace: the machine, and on Linux the container."""
    try:
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _has_ended(pid: object) -> bool:
    """Return whether there is certainly no process with that number on this machine."""
    if platforms.IS_WINDOWS or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def write_holder(path: Path, purpose: str) -> None:
    """Say that this process holds the lock of a name, which it has just taken.

    If that cannot be written, nothing is said, and nothing that another one has said remains.
    """
    with suppress(OSError), open_appending(_holder_path(path)) as file:
        file.truncate(0)
        file.write(json.dumps(values_of_this_process(purpose)).encode("ascii"))
        return
    remove_holder(path)


def remove_holder(path: Path) -> None:
    """Say no longer who holds the lock of a name; call it before the lock is released."""
    with suppress(OSError):
        _holder_path(path).unlink()


def holder_of(path: Path) -> str:
    """Return who holds the lock of a name, which is held; empty if that is not known.

    What a killed process left is not believed: it is no longer there, or the new holder replaces it.
    """
    try:
        first = read_regular(_holder_path(path))
        time.sleep(_SECONDS_TO_SETTLE)
        again = read_regular(_holder_path(path))
    except OSError:
        return ""
    values = parsed(again)
    return described(values) if values and first == again and not is_dead(values) else ""


def _holder_path(path: Path) -> Path:
    return path.with_name(path.name + HOLDER_ENDING)
