"""No file with content is locked: on SMB, a locked file cannot be read, not even by the process that holds the lock."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import LocalJob
from PIL import Image

from colorbatch.operations.audit import audit_batch
from colorbatch.operations.merge import join_shards
from colorbatch.report import write_report
from colorbatch.run.batch import run_batch
from colorbatch.shard import Shard
from colorbatch.store.lock import Lock, is_held

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock")


class LockedFiles:
    """The files that were ever locked, by device and inode, and those of them that were opened to be read."""

    def __init__(self) -> None:
        self.is_watching = True
        self.count = 0
        self.locked: set[tuple[int, int]] = set()
        self.read: list[str] = []

    def on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.is_watching or event not in ("open", "os.remove"):
            return
        path, _, *flags = arguments
        if not isinstance(path, str):
            return
        try:
            found = os.stat(path)  # noqa: PTH116 (a hook should do little)
        except OSError:
            return
        file = found.st_dev, found.st_ino
        if event == "os.remove":
            self.locked.discard(file)  # another file may get its inode
        elif file in self.locked and isinstance(flags[0], int) and not flags[0] & (os.O_WRONLY | os.O_RDWR):
            self.read.append(path)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[LockedFiles]:
    files = LockedFiles()
    flock = fcntl.flock

    def noted(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        found = os.fstat(descriptor)
        files.locked.add((found.st_dev, found.st_ino))
        files.count += 1

    monkeypatch.setattr(fcntl, "flock", noted)
    sys.addaudithook(files.on_event)  # which cannot be removed
    yield files
    files.is_watching = False


def test_what_is_locked_is_never_read(files: LockedFiles, tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(4):
        Image.linear_gradient("L").resize((20 + number, 30)).save(tmp_path / "in" / f"{number}.png")
    job = LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", engine="threads")
    for index in (1, 2):
        run_batch(replace(job, shard=Shard(index, 2)))
    join_shards(job.output)
    assert run_batch(job).kept == 4
    for _ in range(2):
        write_report(job.output, job.source)
    assert audit_batch(job.output, job.source).is_sound
    assert files.count > 0
    assert files.read == []
    assert not list(tmp_path.rglob("*.lock"))


def test_a_conflict_may_be_reported_as_a_missing_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SMB does."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    first = Lock.take(tmp_path / "journal")
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        assert Lock.take(tmp_path / "journal") is None
        assert is_held(tmp_path / "journal")
    first.release()


def test_the_lock_of_a_killed_shard_is_removed_with_its_journal(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.linear_gradient("L").resize((20, 30)).save(tmp_path / "in" / "a.png")
    state = tmp_path / "out" / ".colorbatch"
    state.mkdir(parents=True)
    for name in ("journal-1-of-2.jsonl", "journal-1-of-2.jsonl.lock"):
        (state / name).touch()
    run_batch(LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", engine="threads"))
    assert not state.exists()
