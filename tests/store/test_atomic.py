import errno
import os
from pathlib import Path

import pytest

from colorbatch.errors import OutputUnwritableError
from colorbatch.store import atomic


def test_a_file_appears_whole_with_an_ordinary_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file"
    with atomic.atomic_writer(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.stat().st_mode == ordinary.stat().st_mode
    assert os.listdir(path.parent) == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic.atomic_writer(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_has_come_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write() -> None:
        with atomic.atomic_writer(path, may_replace=False) as file:
            file.write(b"new")
            path.write_bytes(b"of the user's")

    with pytest.raises(FileExistsError):
        write()
    assert path.read_bytes() == b"of the user's"
    assert os.listdir(tmp_path) == ["file"]
    path.unlink()
    atomic.write_bytes(path, b"new", may_replace=False)
    assert path.read_bytes() == b"new"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputUnwritableError, match="No space left on device"):
        atomic.write_bytes(tmp_path / "file", b"data")
    assert os.listdir(tmp_path) == []


def test_a_file_where_a_folder_should_be_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritableError, match="cannot write"):
        atomic.write_bytes(tmp_path / "file" / "below", b"data")


def test_what_need_not_be_durable_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    atomic.write_bytes(tmp_path / "a", b"whole", is_durable=False)
    atomic.write_bytes(tmp_path / "new" / "folder" / "a", b"whole", is_durable=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "new" / "folder" / "a").read_bytes() == b"whole"
    assert synced == []
