"""Bags that are interrupted, or that something else changes meanwhile."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bags import is_valid
from finished import finished_folder
from helpers import CommandLine, wait_until

from colorbatch.errors import OutputInUseError, UsageError
from colorbatch.operations.package import PackageJob, package_batch
from colorbatch.operations.package.delivery import MARKER, FolderSink, ZipSink
from colorbatch.records.manifest import MANIFEST_NAME
from colorbatch.store.local import LocalStore


def test_a_bag_that_was_interrupted_is_unfinished_and_is_continued(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    whole, calls = FolderSink.deliver, []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FolderSink, "workers", 1)
        patch.setattr(FolderSink, "deliver", interrupted)
        with pytest.raises(KeyboardInterrupt):
            package_batch(job)
    assert not (tmp_path / "bag/bagit.txt").exists()
    assert (tmp_path / "bag" / MARKER).exists()
    (tmp_path / "bag/data/outputs/a.jpg").write_bytes(b"on")  # as a power failure may leave it
    found = package_batch(job)
    assert found.kept in (1, 2)  # the last may have been written while the third was interrupted
    assert is_valid(tmp_path / "bag")
    assert not (tmp_path / "bag" / MARKER).exists()


def test_a_bag_that_was_killed_as_it_was_finished_is_checked_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    package_batch(job)
    (tmp_path / "bag" / MARKER).write_text("{}\n")
    (tmp_path / "bag/data/outputs/a.jpg").write_bytes(b"ONE")
    assert package_batch(job).kept == 3
    assert is_valid(tmp_path / "bag")


def test_files_of_another_package_are_not_taken_over(folders: tuple[Path, Path], tmp_path: Path) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    (tmp_path / "bag/data").mkdir(parents=True)
    (tmp_path / "bag" / MARKER).write_text("{}\n")
    (tmp_path / "bag/data/other.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"1 files that are not of this package, such as data/other\.jpg"):
        package_batch(job)
    assert (tmp_path / "bag/data/other.jpg").read_bytes() == b"x"
    assert not (tmp_path / "bag/bagit.txt").exists()


def test_two_processes_do_not_write_one_bag(folders: tuple[Path, Path], tmp_path: Path) -> None:
    held = LocalStore(tmp_path / "bag").open_journal(MARKER)
    held.add(b"{}\n")
    with pytest.raises(OutputInUseError):
        package_batch(PackageJob(folders[1], tmp_path / "bag"))
    held.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["--bagit", "--zip"])
def test_a_killed_command_leaves_no_bag_and_can_be_repeated(tmp_path: Path, form: str) -> None:
    _, out = finished_folder(tmp_path, {f"{number:04}.jpg": bytes([number % 256]) * 50_000 for number in range(3000)})
    target = tmp_path / ("bag" if form == "--bagit" else "bag.zip")
    command = [sys.executable, "-m", "colorbatch", "package", "-q", str(out), str(target), form]
    process = subprocess.Popen(command)
    begun = (lambda: len(list(target.rglob("*.jpg"))) > 50) if form == "--bagit" else lambda: any(tmp_path.glob(".c*"))
    wait_until(begun)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (target / "bagit.txt").exists()
    assert not target.is_file()
    assert subprocess.run(command, check=False).returncode == 0
    if form == "--zip":
        shutil.unpack_archive(target, tmp_path / "unpacked")
        target = tmp_path / "unpacked" / "bag"
    assert is_valid(target)
    assert not list(tmp_path.glob(".c*"))
    assert not list(tmp_path.glob("*.unfinished*"))


def test_a_zip_that_appears_meanwhile_is_kept(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ZipSink.deliver

    def slow(*arguments: object) -> object:
        (tmp_path / "bag.zip").write_bytes(b"mine")
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ZipSink, "deliver", slow)
    with pytest.raises(UsageError, match="already exists"):
        package_batch(PackageJob(folders[1], tmp_path / "bag.zip", "zip"))
    assert (tmp_path / "bag.zip").read_bytes() == b"mine"


def test_a_bag_that_another_process_finishes_meanwhile_is_kept(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = PackageJob(folders[1], tmp_path / "bag")
    whole = LocalStore.open_journal

    def late(*arguments: object) -> object:
        monkeypatch.undo()
        package_batch(job)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStore, "open_journal", late)
    with pytest.raises(UsageError, match="not empty"):
        package_batch(job)
    assert is_valid(tmp_path / "bag")
    assert not (tmp_path / "bag" / MARKER).exists()


def test_a_run_that_changes_the_folder_meanwhile_is_noticed(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FolderSink.deliver

    def changed(*arguments: object) -> object:
        content = (folders[1] / MANIFEST_NAME).read_bytes()
        (folders[1] / MANIFEST_NAME).write_bytes(content.replace(b"2026", b"2027"))
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderSink, "deliver", changed)
    found = package_batch(PackageJob(folders[1], tmp_path / "bag"))
    assert [each.problem for each in found.findings] == ["a run changed it meanwhile: package again"]
    assert not (tmp_path / "bag/bagit.txt").exists()


def test_a_full_disk_is_an_error_of_the_environment_and_the_bag_is_continued(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command_line: CommandLine
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("colorbatch.store.atomic.flush", full)
        assert command_line("package", "-q", folders[1], tmp_path / "bag", "--bagit") == 4
        assert command_line("package", "-q", folders[1], tmp_path / "bag.zip", "--zip") == 4
    assert not (tmp_path / "bag/bagit.txt").exists()
    assert not (tmp_path / "bag.zip").exists()
    for name, form in (("bag", "--bagit"), ("bag.zip", "--zip")):
        assert command_line("package", "-q", folders[1], tmp_path / name, form) == 0
    assert is_valid(tmp_path / "bag")
