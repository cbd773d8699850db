"""What lies in ``OUT/.colorbatch`` while a job is not finished: the journal of each run, the record of each shard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colorbatch.errors import UsageError
from colorbatch.location import Location
from colorbatch.lock import is_held
from colorbatch.reading import read_regular
from colorbatch.shard import Shard
from colorbatch.store.lease import holder_at_work
from colorbatch.store.remote import RemoteStore

if TYPE_CHECKING:
    from upath import UPath

STATE_FOLDER = ".colorbatch"
LEASE_NAME = "lease"
"""Of the object in a store by which others see that the run of a journal is at work."""
_NAMES = re.compile(
    r"(?:(journal|shard(?=-))(?:-(\d{1,6})-of-(\d{1,6}))?|announced-[0-9a-f]{16}-\d{1,6})\.jsonl", re.ASCII
)


@dataclass(frozen=True)
class StateFile:
    """A journal, the record of a shard, or what a worker of a cluster has announced."""

    folder: Location
    """Of the outputs."""
    name: str
    """Below that."""
    shard: Shard | None
    """Whose it is; ``None``: a run over all sources."""
    is_journal: bool
    """Of a run that is at work, or was killed; not the record of a shard, which came to its end."""
    modified: int
    """When it was written to last, in ns since 1970."""
    parts: Sequence[str] = ()
    """In a store, where nothing can be added to a file, a journal is a folder: the names in it, in their order."""

    @property
    def is_held(self) -> bool:
        """Whether the run that it belongs to is at work.

        Raises:
            OSError: that cannot be told.

        """
        if not self.is_journal:
            return False
        if isinstance(self.folder, Path):
            return is_held(self.folder / self.name)
        return bool(holder_at_work(RemoteStore(self.folder), f"{self.name}/{LEASE_NAME}"))

    def read(self) -> bytes:
        """Return its lines.

        Raises:
            OSError: it cannot be read.

        """
        if isinstance(self.folder, Path):
            return read_regular(self.folder / self.name)
        store = RemoteStore(self.folder)
        return b"".join(store.read_all([part for part in self.parts if not part.endswith(f"/{LEASE_NAME}")]))

    def delete(self) -> None:
        """Delete it.

        Raises:
            OSError: it cannot be deleted.

        """
        if isinstance(self.folder, Path):
            (self.folder / self.name).unlink()
            return
        RemoteStore(self.folder).delete(*self.parts)


def journal_name(shard: Shard | None) -> str:
    """Return where the journal of a run belongs below the output folder."""
    return f"{STATE_FOLDER}/journal{'.jsonl' if shard is None else _ending(shard)}"


def record_name(shard: Shard) -> str:
    """Return where the rows of a shard belong once it has come to its end, until they are merged."""
    return f"{STATE_FOLDER}/shard{_ending(shard)}"


def announcements_path(folder: Path, run: str, worker: int) -> Path:
    """Return where a worker of a cluster notes the outputs that it is about to write.

    Args:
        folder: of the outputs.
        run: 16 hexadecimal digits that tell this run from others.
        worker: its number; 0 is nobody's, and shows the others that they see the same folder.

    """
    return folder / STATE_FOLDER / f"announced-{run}-{worker}.jsonl"


def state_files(folder: Location) -> Sequence[StateFile]:
    """Return what is there, the latest last.

    Raises:
        OSError: it cannot be looked at.

    """
    found = _files_here(folder) if isinstance(folder, Path) else _files_in_store(folder)
    return sorted(found, key=lambda each: (each.modified, each.is_journal))


def _ending(shard: Shard) -> str:
    width = len(str(shard.count))
    return f"-{shard.index:0{width}}-of-{shard.count}.jsonl"


def _files_here(folder: Path) -> list[StateFile]:
    try:
        paths = sorted((folder / STATE_FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for path in paths:
        try:
            each = _state_file(folder, path.name, path.stat().st_mtime_ns)
        except FileNotFoundError:  # its run has just come to its end
            continue
        if each is not None:
            found.append(each)
    return found


def _files_in_store(folder: "UPath") -> list[StateFile]:
    parts: dict[str, list[tuple[str, int]]] = {}
    for name, state in sorted(RemoteStore(folder).listed(STATE_FOLDER).items()):
        own = name.removeprefix(f"{STATE_FOLDER}/").partition("/")[0]
        parts.setdefault(own, []).append((name, round((state.modified or 0.0) * 1e9)))
    files = [
        _state_file(folder, own, max(modified for _, modified in each), tuple(name for name, _ in each))
        for own, each in parts.items()
    ]
    return [each for each in files if each is not None]


def _state_file(folder: Location, name: str, modified: int, parts: Sequence[str] = ()) -> StateFile | None:
    found = _NAMES.fullmatch(name)
    if found is None:
        return None
    try:
        shard = Shard(int(found[2]), int(found[3])) if found[2] else None
    except UsageError:  # named like one by somebody
        return None
    return StateFile(folder, f"{STATE_FOLDER}/{name}", shard, found[1] != "shard", modified, parts)
