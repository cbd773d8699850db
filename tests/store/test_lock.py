"""A lock is held by one process, and ends with it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colorbatch.store.lock import Lock, is_held, open_appending


def test_one_holds_it_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal"
    assert not is_held(path)
    lock = Lock.take(path)
    assert lock is not None
    assert is_held(path)
    assert Lock.take(path) is None
    lock.release()
    lock.release()
    assert not is_held(path)
    assert os.listdir(path.parent) == [], "it leaves nothing"
    again = Lock.take(path)
    assert again is not None
    again.release()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from colorbatch.store.lock import Lock;"
        "lock = Lock.take(Path(sys.argv[1])); print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "journal")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_held(tmp_path / "journal")
        assert Lock.take(tmp_path / "journal") is None
        process.kill()
    assert not is_held(tmp_path / "journal")
    heir = Lock.take(tmp_path / "journal")
    assert heir is not None, "what it left is taken over"
    heir.release()


def test_lines_are_added_to_what_exists(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"before\n")
    with open_appending(tmp_path / "journal") as file:
        assert file.tell() == len(b"before\n")
        file.write(b"after\n")
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
        lock = path.with_name("journal.lock")
        (lock.symlink_to(elsewhere / "file") if kind == "link" else os.mkfifo(lock))
    with pytest.raises(OSError, match=r"link|regular|symbolic|No such device"):
        Lock.take(path)
    assert os.listdir(elsewhere) == []


def test_a_file_system_without_locks_is_the_users_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name == "nt":
        pytest.skip("flock")
    import fcntl

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    first, second = Lock.take(tmp_path / "journal"), Lock.take(tmp_path / "journal")
    assert first is not None
    assert second is not None
    first.release()
    second.release()
