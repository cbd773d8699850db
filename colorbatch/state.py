"""What lies in ``OUT/.colorbatch`` while a job is not finished: the journal of each run, the record of each shard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colorbatch.errors import UsageError
from colorbatch.lock import is_held
from colorbatch.shard import Shard

STATE_FOLDER = ".colorbatch"
_NAMES = re.compile(
    r"(?:(journal|shard(?=-))(?:-(\d{1,6})-of-(\d{1,6}))?|announced-[0-9a-f]{16}-\d{1,6})\.jsonl", re.ASCII
)


@dataclass(frozen=True)
class StateFile:
    """A journal, the record of a shard, or what a worker of a cluster has announced."""

    path: Path
    shard: Shard | None
    """Whose it is; ``None``: a run over all sources."""
    is_journal: bool
    """Of a run that is at work, or was killed; not the record of a shard, which came to its end."""
    modified: int
    """When it was written to last, in ns since 1970."""

    @property
    def is_held(self) -> bool:
        """Whether the run that it belongs to is at work."""
        return self.is_journal and is_held(self.path)


def journal_path(folder: Path, shard: Shard | None) -> Path:
    """Return where the journal of a run belongs."""
    return folder / STATE_FOLDER / ("journal.jsonl" if shard is None else f"journal{_ending(shard)}")


def record_path(folder: Path, shard: Shard) -> Path:
    """Return where the rows of a shard belong once it has come to its end, until they are merged."""
    return folder / STATE_FOLDER / f"shard{_ending(shard)}"


def announcements_path(folder: Path, run: str, worker: int) -> Path:
    """Return where a worker of a cluster notes the outputs that it is about to write.

    Args:
        folder: of the outputs.
        run: 16 hexadecimal digits that tell this run from others.
        worker: its number; 0 is nobody's, and shows the others that they see the same folder.

    """
    return folder / STATE_FOLDER / f"announced-{run}-{worker}.jsonl"


def state_files(folder: Path) -> Sequence[StateFile]:
    """Return what is there, the latest last.

    Raises:
        OSError: it cannot be looked at.

    """
    try:
        paths = sorted((folder / STATE_FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [each for path in paths if (each := _state_file(path)) is not None]
    return sorted(found, key=lambda each: (each.modified, each.is_journal))


def _ending(shard: Shard) -> str:
    width = len(str(shard.count))
    return f"-{shard.index:0{width}}-of-{shard.count}.jsonl"


def _state_file(path: Path) -> StateFile | None:
    name = _NAMES.fullmatch(path.name)
    if name is None:
        return None
    try:
        shard = Shard(int(name[2]), int(name[3])) if name[2] else None
        return StateFile(path, shard, name[1] != "shard", path.stat().st_mtime_ns)
    except (UsageError, FileNotFoundError):  # named like one by somebody, or its run has just come to its end
        return None
