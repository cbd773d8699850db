"""A lock is held by one process, and ends with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from colorbatch.store.lock import is_held, open_locked


def test_one_holds_it_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal"
    assert not is_held(path)
    file = open_locked(path)
    assert file is not None
    assert is_held(path)
    assert open_locked(path) is None
    file.close()
    assert not is_held(path)
    again = open_locked(path)
    assert again is not None
    again.close()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from colorbatch.store.lock import open_locked;"
        "file = open_locked(Path(sys.argv[1])); print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "journal")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_held(tmp_path / "journal")
        assert open_locked(tmp_path / "journal") is None
        process.kill()
    assert not is_held(tmp_path / "journal")


def test_what_is_there_is_added_to(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"before\n")
    file = open_locked(tmp_path / "journal")
    assert file is not None
    assert file.tell() == len(b"before\n")
    file.write(b"after\n")
    file.close()
    assert (tmp_path / "journal").read_bytes() == b"before\nafter\n"


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_what_leads_elsewhere_is_refused(tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = tmp_path / "state" / "journal"
    if kind == "folder link":
        path.parent.symlink_to(elsewhere)
    else:
        path.parent.mkdir()
        (path.symlink_to(elsewhere / "file") if kind == "link" else os.mkfifo(path))
    with pytest.raises(OSError, match=r"link|regular|symbolic|No such device"):
        open_locked(path)
    assert os.listdir(elsewhere) == []


def test_a_file_system_without_locks_is_the_users_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name == "nt":
        pytest.skip("flock")
    import errno
    import fcntl

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    first, second = open_locked(tmp_path / "journal"), open_locked(tmp_path / "journal")
    assert first is not None
    assert second is not None
    first.close()
    second.close()
