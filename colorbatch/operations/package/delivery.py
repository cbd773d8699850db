"""Bring files into a package: each is hashed while it is copied, and compared with what the manifest says."""

import errno
import hashlib
import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol

from typing_extensions import override

from colorbatch.errors import OutputUnwritableError, UsageError, reason_of
from colorbatch.operations.package.contents import Member
from colorbatch.store.holder import BESIDE_A_JOURNAL
from colorbatch.store.store import Store
from colorbatch.text import printable, to_locale

MARKER = "colorbatch-unfinished.jsonl"
"""File in the folder of a package that is not finished; it keeps a second process out."""
_SAME_NAME = "its name is taken: the file system of the package takes it for that of another file"
_TIME = (1980, 1, 1, 0, 0, 0)
"""Time of everything in a zip, the earliest that there can be: the same content gives the same bytes."""
_MODE = 0o100644 << 16
_UNIX = 3


def marker_files(marker: str) -> Sequence[str]:
    """Return the names of the files that a marker consists of in a local folder."""
    return (marker, *(marker + each for each in BESIDE_A_JOURNAL))


def is_marker(name: str, marker: str = MARKER) -> bool:
    """Return whether a name below a destination is the marker's: it, a part of it in a store, its lock or holder."""
    return name in marker_files(marker) or name.startswith(f"{marker}/")


class UnsoundError(Exception):
    """A file is not what the manifest says, or cannot be read."""


@dataclass(frozen=True)
class Delivered:
    """A file that is in a package."""

    path: str
    """In UTF-8, below the package."""
    size: int
    digests: tuple[str, ...]
    """In hexadecimal digits, one for each algorithm of the package."""
    is_linked: bool = False
    is_kept: bool = False


class Sink(Protocol):
    """A package while it is written."""

    workers: int
    """Number of files that may be delivered at the same time."""

    def deliver(self, member: Member, path: str) -> Delivered:
        """Bring a file to a path of the package.

        Raises:
            UnsoundError: it is not what the manifest says, or cannot be read.
            OutputUnwritableError, StoreUnavailableError: the package cannot be written.

        """

    def write(self, path: str, parts: Iterable[bytes]) -> Delivered:
        """Write a file of our own.

        Raises:
            OutputUnwritableError, StoreUnavailableError: the package cannot be written.

        """

    def refuse_strangers(self) -> None:
        """Raise if there are files that are not of this package.

        Raises:
            UsageError: there are.

        """


class FolderSink(Sink):
    """A package in a folder, which may hold sound files of a killed command."""

    workers = 8

    def __init__(
        self, store: Store, prefix: str, present: Iterable[str], last: str, algorithms: Iterable[str], *, link: bool
    ) -> None:
        """Take over what is there already.

        Args:
            store: of the destination.
            prefix: the folder below it, with a slash, or empty.
            present: the files in that folder, by their names in the store.
            last: the file that says that the package is whole: it is deleted until the package is.
            algorithms: how to hash, sha256 first.
            link: whether to make hard links where the file system can.

        Raises:
            OutputUnwritableError, StoreUnavailableError: the package cannot be read or written.

        """
        self._store = store
        self._prefix = prefix
        self._algorithms = tuple(algorithms)
        self._link = link
        self._present = set(present)
        self._written: set[str] = set()
        if (name := to_locale(prefix + last)) in self._present:
            self._delete(name)
            self._present.remove(name)

    @override
    def deliver(self, member: Member, path: str) -> Delivered:
        name = to_locale(self._prefix + path)
        self._written.add(name)
        if name in self._present:
            if (found := self._kept(member, name, path)) is not None:
                return found
            self._delete(name)
        if self._link and member.origin is not None and (found := self._linked(member, name, path)) is not None:
            return found
        try:
            with self._store.writer(name, may_replace=False) as file:
                return _copied(member, path, self._algorithms, file)
        except FileExistsError as error:
            raise UnsoundError(_SAME_NAME) from error

    @override
    def write(self, path: str, parts: Iterable[bytes]) -> Delivered:
        name = to_locale(self._prefix + path)
        self._written.add(name)
        with self._store.writer(name, may_replace=True) as file:
            return _hashed(parts, path, self._algorithms, file.write)

    @override
    def refuse_strangers(self) -> None:
        strangers = sorted(name for name in self._present - self._written if not is_marker(name))
        if strangers:
            raise UsageError(
                f"{self._store.shown} holds {len(strangers)} files that are not of this package, such as "
                f"{printable(strangers[0])}",
                advice="Delete them, or choose a new folder; then run the same command again.",
            )

    def _delete(self, name: str) -> None:
        try:
            self._store.delete(name)
        except OSError as error:
            raise OutputUnwritableError(f"cannot delete {self._store.shown}/{name}: {reason_of(error)}") from error

    def _kept(self, member: Member, name: str, path: str) -> Delivered | None:
        """Return a file that is there already, if it is what it should be."""
        state = self._store.state(name)
        if state is None or state.bytes != member.size:
            return None
        with suppress(OSError):
            found = _hashed(self._store.chunks(name), path, self._algorithms, is_kept=True)
            if found.digests[0] == (member.sha256 or _sha256_of(member)):
                return found
        return None

    def _linked(self, member: Member, name: str, path: str) -> Delivered | None:
        """Make a hard link; return ``None`` where there can be none.

        Raises:
            UnsoundError: it is not what the manifest says, or cannot be read.

        """
        assert member.origin is not None
        try:
            if not self._store.link(name, member.origin, member.key):
                return None
            found = _hashed(self._store.chunks(name), path, self._algorithms, is_linked=True)
            _refuse_unsound(member, found)
        except UnsoundError:
            self._delete(name)
            raise
        except FileExistsError as error:
            raise UnsoundError(_SAME_NAME) from error
        except OSError as error:
            raise UnsoundError(f"it cannot be read: {reason_of(error)}") from error
        return found


class ZipSink(Sink):
    """A package in a zip file, below a folder of its own."""

    workers = 1

    def __init__(self, file: BinaryIO, folder: str, algorithms: Iterable[str]) -> None:
        self._zip = zipfile.ZipFile(file, "w", allowZip64=True)
        self._folder = folder
        self._algorithms = tuple(algorithms)
        self._lock = threading.Lock()

    @override
    def deliver(self, member: Member, path: str) -> Delivered:
        with self._lock, self._entry(path, zipfile.ZIP_STORED) as file:
            return _copied(member, path, self._algorithms, file)

    @override
    def write(self, path: str, parts: Iterable[bytes]) -> Delivered:
        with self._lock, self._entry(path, _how_to_store(path)) as file:
            return _hashed(parts, path, self._algorithms, file.write)

    @override
    def refuse_strangers(self) -> None:
        pass

    def close(self) -> None:
        """Write the directory of the zip.

        Raises:
            OSError: it cannot be written.

        """
        self._zip.close()

    def _entry(self, path: str, how: int) -> IO[bytes]:
        entry = zipfile.ZipInfo(f"{self._folder}/{path}", _TIME)
        entry.compress_type, entry.create_system, entry.external_attr = how, _UNIX, _MODE
        return self._zip.open(entry, "w", force_zip64=True)  # a file may be larger than its row says


def _how_to_store(path: str) -> int:
    """Return how a zip holds a file of our own: JPEGs are compressed already."""
    return zipfile.ZIP_STORED if path.endswith(".jpg") else zipfile.ZIP_DEFLATED


def _copied(member: Member, path: str, algorithms: tuple[str, ...], file: IO[bytes]) -> Delivered:
    """Copy a file, and return what was copied.

    Raises:
        UnsoundError: it is not what the manifest says, or cannot be read.

    """
    found = _hashed(_chunks(member), path, algorithms, file.write)
    _refuse_unsound(member, found)
    return found


def _chunks(member: Member) -> Iterator[bytes]:
    """Yield the content of a file.

    Raises:
        UnsoundError: it cannot be read.

    """
    if member.origin is None:
        yield member.data
        return
    try:
        yield from member.origin.chunks(member.key)
    except OSError as error:
        raise UnsoundError(f"it cannot be read: {reason_of(error)}") from error


def _refuse_unsound(member: Member, found: Delivered) -> None:
    """Raise unless a file has the size and hash that the manifest says.

    Raises:
        UnsoundError: it has not.

    """
    if member.origin is None:
        return
    if found.size != member.size or member.sha256 not in (None, found.digests[0]):
        raise UnsoundError("it was altered after the manifest was written")


def _hashed(
    chunks: Iterable[bytes],
    path: str,
    algorithms: tuple[str, ...],
    write: Callable[[bytes], object] = len,
    *,
    is_linked: bool = False,
    is_kept: bool = False,
) -> Delivered:
    hashes = [hashlib.new(name) for name in algorithms]
    size = 0
    for chunk in chunks:
        for each in hashes:
            each.update(chunk)
        write(chunk)
        size += len(chunk)
    return Delivered(path, size, tuple(each.hexdigest() for each in hashes), is_linked, is_kept)


def _sha256_of(member: Member) -> str:
    """Return the hash of a file whose hash the manifest does not say.

    Raises:
        OSError: it cannot be read.

    """
    try:
        return _hashed(_chunks(member), "", ("sha256",)).digests[0]
    except UnsoundError as error:
        raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
