"""A folder of this machine."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from colorbatch import atomic
from colorbatch.errors import UnsafeOutputError
from colorbatch.reading import read_below
from colorbatch.report_folder import REPORT_FOLDER, is_report
from colorbatch.store.state import FileState


class LocalStore:
    """A :class:`~colorbatch.store.store.Store` of files, which may be links to others in it."""

    seconds_to_write = 1.0

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def shown(self) -> str:  # noqa: D102 (as Store says, here and below)
        return str(self.path)

    def look(self) -> None:
        """Do nothing: every file is looked at when that is needed."""

    def read(self, name: str) -> bytes:  # noqa: D102
        return read_below(self.path, name)

    def state(self, name: str) -> FileState | None:  # noqa: D102
        path = self.path / name
        try:
            found = path.stat()
        except OSError:
            return FileState(0) if os.path.lexists(path) else None
        return FileState(found.st_size, modified=found.st_mtime)

    def is_file(self, name: str) -> bool:  # noqa: D102
        return (self.path / name).is_file()

    def sha256(self, name: str) -> str | None:  # noqa: D102
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except OSError:
            return None

    def is_same(self, name: str, sha256: str) -> bool:  # noqa: D102
        return not (self.path / name).is_symlink() and self.sha256(name) == sha256

    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:  # noqa: D102
        target = self.path / name
        parent = Path(os.path.realpath(target.parent))  # unlike resolve, it bears a link that leads to itself
        if not parent.is_relative_to(self.path.resolve()):
            raise UnsafeOutputError(f"a link in the output folder leads out of it, to {parent}")
        atomic.write_bytes(target, data, may_replace=may_replace)
        return FileState(len(data))

    def tidy(self) -> None:
        """Do nothing: a failed write leaves nothing."""

    def names(self, unreadable: list[OSError]) -> Iterator[str]:  # noqa: D102
        for parent, folders, names in os.walk(self.path, onerror=unreadable.append):
            links = [name for name in folders if Path(parent, name).is_symlink()]
            for name in sorted([*names, *links]):
                yield Path(parent, name).relative_to(self.path).as_posix()

    def has_report(self) -> bool:  # noqa: D102
        return is_report(self.path / REPORT_FOLDER)
