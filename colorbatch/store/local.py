"""A store in a local folder."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from colorbatch.errors import OutputUnwritableError, StoreUnavailableError, UnsafeOutputError, UsageError, reason_of
from colorbatch.machine import bytes_free
from colorbatch.store import atomic, intersect
from colorbatch.store.durable import fsync_folder, make_folder
from colorbatch.store.file_state import FileState
from colorbatch.store.holder import BESIDE_A_JOURNAL
from colorbatch.store.local_journal import LocalJournal, LocalJournalFile, LocalNotes
from colorbatch.store.platforms import long_path
from colorbatch.store.regular_files import open_regular, path_below, read_below
from colorbatch.store.report_folder import REPORT_FOLDER, is_report
from colorbatch.store.skipped_folders import reason_to_skip
from colorbatch.store.store import CHUNK_BYTES, Entry, Head, Store


class LocalStore(Store):
    """A :class:`~colorbatch.store.store.Store` of local files, which may be symlinks to others in it."""

    is_remote = False
    seconds_to_write = 1.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._device: int | None = None
        """Device of the remembered folder: it is another one after an unmount. Inodes of network drives may change."""
        self._root: Path | None = None
        """The remembered folder, which is not created again."""

    @property
    @override
    def shown(self) -> str:
        return str(self.path)

    @property
    @override
    def base_name(self) -> str:
        return self.path.name

    @override
    def is_reachable(self) -> bool:
        return self.path.exists()

    @override
    def remember_folder(self) -> None:
        with suppress(OSError):
            if self.path.is_dir():
                self._device, self._root = self.path.stat().st_dev, self._at("")

    @override
    def refuse_lost(self) -> None:
        try:
            self._refuse_another()
            if self._device is not None:
                with os.scandir(self._at("")) as entries:  # the state of the folder itself may be cached
                    next(entries, None)
        except PermissionError:  # an output folder need not be readable
            pass
        except OSError as error:
            raise self._gone(reason_of(error)) from error

    @override
    def is_itself_a_file(self) -> bool:
        try:
            with suppress(FileNotFoundError):
                self.path.lstat()  # raises for a name that is too long or a symlink loop
            return self.path.exists() and not self.path.is_dir()
        except (OSError, RuntimeError) as error:
            raise self._access_error(error) from error

    @override
    def refuse_intersection(self, output: Store) -> None:
        if not isinstance(output, LocalStore):
            return
        try:
            if self.path.is_dir():
                intersect.refuse_intersection(self.path, output.path)
            elif self.path.is_file() and output.path.exists() and output.path.samefile(self.path.resolve().parent):
                raise UsageError(f"the output {output.path} is the folder of the source {self.path.name}")
        except (OSError, RuntimeError) as error:  # RuntimeError: a symlink loop
            raise UsageError(f"cannot access {self.path} and {output.path}: {error}") from error

    @override
    def refuse_within(self, output: Store, folders: Iterable[str]) -> None:
        if isinstance(output, LocalStore):
            intersect.refuse_source_among(folders, self.path, output.path)

    @override
    def prefetch_listing(self) -> None:
        pass

    @override
    def walk(self, avoid: Store) -> Iterator[Entry]:
        try:
            if not self.path.exists():
                raise UsageError(f"the source {self.path} does not exist")
            if self.path.is_file():
                yield Entry("", self.path.name)
                return
            if not self.path.is_dir():
                raise UsageError(f"the source {self.path} is neither a folder nor a regular file")
            output = avoid.path if isinstance(avoid, LocalStore) else None
            yield from self._walk_folders(output)
        except (OSError, RuntimeError) as error:
            raise self._access_error(error) from error

    @override
    def read(self, name: str, size: int | None = None) -> bytes:
        return read_below(self.path, name)

    @override
    def chunks(self, name: str) -> Iterator[bytes]:
        with open_regular(path_below(self.path, name)) as file:
            while part := file.read(CHUNK_BYTES):
                yield part

    @override
    def head(self, name: str, count: int) -> Head:
        with open_regular(self._at(name)) as file:
            found = os.fstat(file.fileno())
            return Head(file.read(count), found.st_size, found.st_mtime)

    @override
    def list_beside(self) -> Iterator[Entry]:
        if self.path.is_file():
            yield from _files_beside(self.path.parent, "", {self.path.name}, self.path.parent)

    @override
    def start_beside(self, key: str, count: int) -> bytes:
        folder = self.path.parent if self.path.is_file() else self.path
        with open_regular(long_path(folder / key)) as file:
            return file.read(count)

    @override
    def state(self, name: str) -> FileState | None:
        path = self._at(name)
        try:
            found = path.stat()
        except OSError:
            return FileState(0) if os.path.lexists(path) else None
        return FileState(found.st_size, modified=found.st_mtime)

    @override
    def is_file(self, name: str) -> bool:
        return self._at(name).is_file()

    @override
    def is_link(self, name: str) -> bool:
        try:
            return self._at(name).is_symlink()
        except (OSError, ValueError):  # no file can have such a name
            return False

    @override
    def sha256(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except OSError:
            return None

    @override
    def write(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        atomic.write_bytes(self._target(name), data, may_replace=may_replace, root=self._root)
        return FileState(len(data))

    @override
    def writer(self, name: str, *, may_replace: bool) -> AbstractContextManager[BinaryIO]:
        return atomic.atomic_writer(self._target(name), may_replace=may_replace, is_same_file=True, root=self._root)

    @override
    def link(self, name: str, origin: Store, key: str) -> bool:
        if not isinstance(origin, LocalStore):
            return False
        target = self._target(name)
        original = path_below(origin.path, key)
        try:
            make_folder(target.parent, root=self._root)
            os.link(original, target)
            fsync_folder(target.parent)
        except FileExistsError:
            raise
        except OSError:
            return False
        return True

    @override
    def set_modified(self, name: str, modified: float) -> None:
        path = self._at(name)
        if Path(os.path.realpath(path)) != self.path.resolve() / name:
            raise OSError(errno.ELOOP, "it is a link, or in a folder that is one")
        os.utime(path, ns=(path.stat().st_atime_ns, round(modified * 1e9)))

    @override
    def delete(self, name: str) -> None:
        self._at(name).unlink(missing_ok=True)

    @override
    def cleanup(self) -> None:
        pass  # a failed write leaves nothing behind

    @override
    def remove_left_behind(self, is_ours: Callable[[str], bool]) -> None:
        atomic.remove_left_behind(self.path, skipped=REPORT_FOLDER)

    @override
    def names(self, unreadable: list[OSError]) -> Iterator[str]:
        for parent, folders, names in os.walk(self.path, onerror=unreadable.append):
            links = [name for name in folders if Path(parent, name).is_symlink()]
            for name in sorted([*names, *links]):
                yield Path(parent, name).relative_to(self.path).as_posix()

    @override
    def has_report(self) -> bool:
        return is_report(self.path / REPORT_FOLDER)

    @override
    def bytes_free(self) -> int | None:
        return bytes_free(self.path)

    @override
    def unavailable(self, error: OSError) -> OutputUnwritableError:
        return OutputUnwritableError(f"cannot read {error.filename or self.path}: {reason_of(error)}")

    @override
    def open_journal(self, name: str, purpose: str = "a run") -> LocalJournal:
        return LocalJournal(self.path, name, purpose)

    @override
    def journal_files(self, folder: str) -> Sequence[LocalJournalFile]:
        try:
            paths = sorted(path for path in (self.path / folder).iterdir() if path.suffix not in BESIDE_A_JOURNAL)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for path in paths:
            with suppress(FileNotFoundError):  # its run has just finished
                found.append(LocalJournalFile(path, f"{folder}/{path.name}", path.stat().st_mtime_ns))
        return found

    @override
    def notes(self, name: str) -> LocalNotes:
        return LocalNotes(self._at(name))

    def _target(self, name: str) -> Path:
        """Return the path of a file to write.

        Raises:
            StoreUnavailableError: the remembered folder is gone.
            UnsafeOutputError: a link leads out of the folder.

        """
        try:
            self._refuse_another()
        except OSError as error:
            raise self._gone(reason_of(error)) from error
        target = self._at(name)
        parent = Path(os.path.realpath(target.parent))  # unlike resolve, it tolerates symlink loops
        if not parent.is_relative_to(self.path.resolve()):
            raise UnsafeOutputError(f"a link in the output folder leads out of it, to {parent}")
        return target

    def _refuse_another(self) -> None:
        """Raise if another folder is in the place of the remembered one.

        Raises:
            OSError: the folder cannot be accessed.
            StoreUnavailableError: it is another one.

        """
        if self._device is not None and self._at("").stat().st_dev != self._device:
            raise self._gone("another one is in its place")

    def _gone(self, reason: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the folder {self.path} is gone: {reason}",
            advice="Its disk may have been removed, or its share unmounted. Mount it again, then run the same command "
            "again.",
        )

    def _at(self, name: str) -> Path:
        return long_path(self.path / name)

    def _walk_folders(self, output: Path | None) -> Iterator[Entry]:
        """Yield the entries of the folder.

        Raises:
            UsageError: a folder in it is the output or contains it, through a second mount.

        """
        real_root = self.path.resolve()
        places = frozenset() if output is None else intersect.identities(output)
        folders = [self.path]
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                yield self._skipped_folder(folder, f"cannot read the folder: {reason_of(error)}", is_failure=True)
                continue
            for entry in entries:
                path = Path(entry.path)
                if not entry.is_dir(follow_symlinks=False):
                    name = path.relative_to(self.path).as_posix()
                    yield Entry(name, name, problem=_problem_of(real_root, path, entry))
                    continue
                if intersect.identity(os.lstat(path)) in places:
                    raise UsageError(
                        f"the output {output} is inside the source {self.path} through a second mount: it is {path}, "
                        "or inside it",
                        advice="Choose an output folder outside the source.",
                    )
                reason = reason_to_skip(path.name) or ("a report of colorbatch" if is_report(path) else "")
                if reason:
                    yield self._skipped_folder(path, reason)
                else:
                    folders.append(path)

    def _skipped_folder(self, folder: Path, problem: str, *, is_failure: bool = False) -> Entry:
        name = folder.relative_to(self.path).as_posix()
        return Entry(name, name, problem=problem, is_failure=is_failure, is_folder=True)

    def _access_error(self, error: Exception) -> UsageError:
        return UsageError(f"cannot access {self.path}: {error}")


class LocalFiles(LocalStore):
    """Some files below a local folder, which is not searched for others."""

    def __init__(self, path: Path, names: AbstractSet[str]) -> None:
        super().__init__(path)
        self._names = names

    @override
    def refuse_intersection(self, output: Store) -> None:
        if not isinstance(output, LocalStore):
            return
        try:
            folders = {output.path, *((output.path / name).parent for name in self._names)}
            found = {intersect.identity(each.stat()): each for each in sorted(folders) if each.exists()}
            for path in filter(Path.exists, map(self._at, sorted(self._names))):
                for folder in (path.parent, path.resolve().parent):
                    if (place := found.get(intersect.identity(folder.stat()))) is not None:
                        raise UsageError(f"the output {place} is the folder of the source {path.name}")
        except (OSError, RuntimeError) as error:  # RuntimeError: a symlink loop
            raise self._access_error(error) from error

    @override
    def walk(self, avoid: Store) -> Iterator[Entry]:
        try:
            real_root = self.path.resolve()
            for name in self._names:
                path = self._at(name)
                if not os.path.lexists(path):
                    raise UsageError(f"the source {path} does not exist", advice="Put names with spaces in quotes.")
                if path.is_dir():
                    raise UsageError(
                        f"the source {path} is a folder, and there are others",
                        advice="Give one folder alone, or files alone.",
                    )
                yield Entry(name, name, problem=_problem_of(real_root, path, path))
        except (OSError, RuntimeError) as error:
            raise self._access_error(error) from error

    @override
    def list_beside(self) -> Iterator[Entry]:
        for folder in sorted({name.rpartition("/")[0] for name in self._names}):
            own = {name.rpartition("/")[2] for name in self._names if name.rpartition("/")[0] == folder}
            yield from _files_beside(self._at(folder), f"{folder}/" if folder else "", own, self.path)


def _files_beside(folder: Path, prefix: str, own: AbstractSet[str], root: Path) -> Iterator[Entry]:
    """Yield the files of a folder that are not its own, named with a prefix; none if it cannot be listed."""
    with suppress(OSError):
        real_root = root.resolve()
        for entry in os.scandir(folder):
            if entry.name not in own and not entry.is_dir(follow_symlinks=False):
                name = prefix + entry.name
                yield Entry(name, name, problem=_problem_of(real_root, folder / entry.name, entry))


def _problem_of(real_root: Path, path: Path, entry: "os.DirEntry[str] | Path") -> str:
    """Return why an entry that is not a folder cannot be a source; empty if it can."""
    if entry.is_symlink():
        target = Path(os.path.realpath(path))  # unlike resolve, it tolerates symlink loops
        if not target.is_file():
            return "a link to a folder" if target.is_dir() else "a link to no file"
        return "" if target.is_relative_to(real_root) else "a link that leads out of the source"
    return "" if entry.is_file() else "not a regular file"
