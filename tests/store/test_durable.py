import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from colorbatch.errors import OutputUnwritableError
from colorbatch.store import durable
from colorbatch.store.atomic import write_bytes
from colorbatch.store.durable import make_folder


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_the_name_of_each_folder_that_is_made_is_brought_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 3


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    durable._note_once.cache_clear()  # noqa: SLF001
    caplog.set_level("INFO")
    monkeypatch.setattr(os, "fsync", failing(number))
    make_folder(tmp_path / "a" / "b")
    write_bytes(tmp_path / "a" / "b" / "file", b"content")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"content"
    assert [each.getMessage() for each in caplog.records] == [
        f"The file system cannot flush to disk ({os.strerror(number)}): a power failure may undo recent writes"
    ]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(OutputUnwritableError, match=os.strerror(number)):
        write_bytes(tmp_path / "file", b"content")


def failing(number: int) -> Callable[[int], None]:
    def fsync(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file" / "below")
