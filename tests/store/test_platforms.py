"""What other operating systems need, with the operating system faked."""

import errno
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from colorbatch.store import lock, platforms
from colorbatch.store.atomic import write_bytes
from colorbatch.store.durable import fsync_folder
from colorbatch.store.keys import names_of, refusal
from colorbatch.store.lock import Lock
from colorbatch.store.platforms import problem_on_windows, verbatim


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "IS_WINDOWS", True)
    monkeypatch.setattr(platforms, "long_path", lambda path: path)  # paths of this machine have no drives


@pytest.mark.parametrize(
    "name", ["a.jpg", "sub/b.tif", "console.jpg", "com10.png", "COM.jpg", "ü/é.jpg", "a b.jpg", ".a"]
)
def test_these_can_be_paths_on_windows(name: str) -> None:
    assert problem_on_windows(name) == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a:b.jpg", "characters"),
        ("sub/a?.jpg", "characters"),
        ("a\tb.jpg", "characters"),
        ("CON", "device"),
        ("sub/nul.jpg", "device"),
        ("com1.tar.gz", "device"),
        ("Lpt9 .jpg", "device"),
        ("aux/a.jpg", "device"),
        ("folder./a.jpg", "dot"),
        ("a.jpg ", "space"),
    ],
)
def test_these_cannot(name: str, problem: str) -> None:
    assert problem in problem_on_windows(name)


@pytest.mark.usefixtures("windows")
def test_a_key_that_windows_cannot_have_is_no_source_there() -> None:
    assert refusal("photos/nul.jpg") == "its key has a name that Windows reserves for a device"
    assert refusal("photos/a.jpg") == ""
    assert names_of(["photos/a.jpg"]) == {"photos/a.jpg": "photos/a.jpg"}


def test_elsewhere_the_same_key_is_a_source() -> None:
    if os.name != "nt":
        assert refusal("photos/nul.jpg") == ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\photos\\a.jpg", "C:\\photos\\a.jpg"),
        ("C:\\" + "d" * 300 + "\\a.jpg", "\\\\?\\C:\\" + "d" * 300 + "\\a.jpg"),
        ("C:/" + "d" * 300 + "/../a.jpg", "C:/" + "d" * 300 + "/../a.jpg"),
        ("\\\\server\\share\\" + "d" * 300, "\\\\?\\UNC\\server\\share\\" + "d" * 300),
        ("\\\\?\\C:\\" + "d" * 300, "\\\\?\\C:\\" + "d" * 300),
    ],
)
def test_only_a_long_path_is_written_in_verbatim_form(path: str, expected: str) -> None:
    assert verbatim(path) == expected


@pytest.mark.usefixtures("windows")
def test_windows_opens_no_folder_to_flush_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    fsync_folder(tmp_path)


class FakeMsvcrt(ModuleType):
    """Locks files by their numbers, as the C library of Windows does."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.positions: list[int] = []
        self.locked: set[int] = set()

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        self.positions.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        inode = os.fstat(descriptor).st_ino
        if inode in self.locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.locked.add(inode)


@pytest.mark.usefixtures("windows")
def test_windows_locks_a_byte_that_no_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMsvcrt()
    monkeypatch.setattr(lock, "_LOCKED_BYTE", 2**40)  # as far as files here may be long
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    held = Lock.take(tmp_path / "journal")
    assert held is not None
    assert Lock.take(tmp_path / "journal") is None
    assert set(fake.positions) == {2**40}
    held.release()
    assert os.listdir(tmp_path) == []


def test_macos_flushes_through_the_cache_of_the_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name == "nt":
        pytest.skip("fcntl")
    import fcntl

    asked: list[int] = []
    real: Any = fcntl.fcntl

    def full(descriptor: int, command: int, *rest: Any) -> Any:  # noqa: ANN401 (as fcntl has it)
        if command == 51:
            asked.append(descriptor)
            return 0
        return real(descriptor, command, *rest)

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)  # of macOS's <sys/fcntl.h>
    monkeypatch.setattr(fcntl, "fcntl", full)
    monkeypatch.setattr(sys, "platform", "darwin")
    write_bytes(tmp_path / "a.jpg", b"abc")
    assert len(asked) == 2, "the file, and the folder"


def test_macos_flushes_as_usual_where_a_file_system_knows_no_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.name == "nt":
        pytest.skip("fcntl")
    import fcntl

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    synced: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(sys, "platform", "darwin")
    write_bytes(tmp_path / "a.jpg", b"abc")
    assert len(synced) == 2
