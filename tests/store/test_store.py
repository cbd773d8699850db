"""What every store promises, whatever it is: the same tests for all three, that in memory included."""

import errno
import hashlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_store import MemoryStore
from upath import UPath

from colorbatch.errors import OutputInUseError, OutputUnwritableError, StoreUnavailableError, UsageError
from colorbatch.store import atomic
from colorbatch.store.local import LocalStore
from colorbatch.store.remote import RemoteStore
from colorbatch.store.report_folder import MARKER_NAME, MARKER_START, REPORT_FOLDER
from colorbatch.store.store import Head, Store

OpenStore = Callable[[str], Store]
"""Opens a store by the name of its folder; the same name is the same place."""


@pytest.fixture(params=["local", "remote", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenStore:
    monkeypatch.setattr("colorbatch.store.lease.SECONDS_WATCHED", 0.3)
    monkeypatch.setattr("colorbatch.store.lease._SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setattr("colorbatch.store.lease._SECONDS_TO_SETTLE", 0.0)
    monkeypatch.setattr("colorbatch.store.remote_journal.SECONDS_BETWEEN_RENEWALS", 0.05)
    if request.param == "local":
        return lambda name: LocalStore(tmp_path / name)
    if request.param == "remote":
        return lambda name: RemoteStore(UPath(f"memory://{tmp_path.name}/{name}"))
    stores: dict[str, MemoryStore] = {}
    return lambda name: stores.setdefault(name, MemoryStore(name=name))


def test_what_is_written_is_read_back_whole_and_known(opened: OpenStore) -> None:
    store = opened("out")
    assert store.state("sub/a.jpg") is None
    assert store.sha256("sub/a.jpg") is None
    assert not store.is_file("sub/a.jpg")
    assert store.write("sub/a.jpg", b"abc", may_replace=False).bytes == 3
    again = opened("out")
    assert again.read("sub/a.jpg") == again.read("sub/a.jpg", 3) == b"abc"
    state = again.state("sub/a.jpg")
    assert state is not None
    assert state.bytes == 3
    assert state.modified == pytest.approx(time.time(), abs=60)
    assert again.head("sub/a.jpg", 2) == Head(b"ab", 3, state.modified)
    assert again.is_file("sub/a.jpg")
    assert not again.is_link("sub/a.jpg")
    # FIPS 180-2, appendix B.1
    assert again.sha256("sub/a.jpg") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert list(again.names([])) == ["sub/a.jpg"]


def test_times_are_set_where_the_store_can_do_that(opened: OpenStore) -> None:
    store = opened("out")
    store.write("sub/a.jpg", b"abc", may_replace=False)
    if store.is_remote:
        with pytest.raises(OSError, match="sets the times of its files itself"):
            store.set_modified("sub/a.jpg", 1e9)
        return
    store.set_modified("sub/a.jpg", 1_234_567_890.5)
    state = store.state("sub/a.jpg")
    assert state is not None
    assert state.modified == 1_234_567_890.5


def test_nothing_is_replaced_but_what_may_be(opened: OpenStore) -> None:
    store = opened("out")
    store.write("a.jpg", b"first", may_replace=False)
    with pytest.raises(FileExistsError):
        store.write("a.jpg", b"second", may_replace=False)
    assert store.read("a.jpg") == b"first"
    store.write("a.jpg", b"second", may_replace=True)
    assert store.read("a.jpg") == b"second"


def test_what_is_not_there_is_not_read_and_may_be_deleted(opened: OpenStore) -> None:
    store = opened("out")
    store.write("a.jpg", b"abc", may_replace=False)
    with pytest.raises(FileNotFoundError):
        store.read("b.jpg")
    assert store.is_file("a.jpg")
    store.delete("b.jpg")
    store.delete("a.jpg")
    assert not store.is_file("a.jpg")
    assert store.state("a.jpg") is None
    with pytest.raises(FileNotFoundError):
        store.read("a.jpg")


def test_a_walk_finds_every_file_and_takes_hidden_folders_and_reports_as_one(opened: OpenStore) -> None:
    source = opened("in")
    report = f"{REPORT_FOLDER}/{MARKER_NAME}"
    system = ("sub/@eaDir/a.jpg/THUMB.jpg", "lost+found/f.jpg", "$recycle.bin/g.jpg", "@eaDirs/h.jpg")
    for name in ("a.jpg", "sub/b.txt", ".hidden/c.jpg", ".hidden/d.jpg", report, f"{REPORT_FOLDER}/e.jpg", *system):
        source.write(name, MARKER_START, may_replace=False)
    found = {each.name: (each.problem, each.is_folder, each.is_failure) for each in opened("in").walk(opened("out"))}
    assert found == {
        "a.jpg": ("", False, False),
        "sub/b.txt": ("", False, False),
        ".hidden": ("a hidden folder", True, False),
        "sub/@eaDir": ("a system folder", True, False),
        "lost+found": ("a system folder", True, False),
        "$recycle.bin": ("a system folder", True, False),
        "@eaDirs/h.jpg": ("", False, False),
        REPORT_FOLDER: ("a report of colorbatch", True, False),
    }
    assert source.has_report()
    assert not opened("out").has_report()


def test_there_is_nothing_to_walk_where_nothing_is(opened: OpenStore) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        list(opened("in").walk(opened("out")))


def test_a_store_intersects_itself_and_no_other(opened: OpenStore) -> None:
    opened("in").write("a.jpg", b"abc", may_replace=False)
    opened("in").refuse_intersection(opened("out"))
    with pytest.raises(UsageError):
        opened("in").refuse_intersection(opened("in"))


def test_a_journal_is_held_until_it_is_closed_and_keeps_its_lines(opened: OpenStore) -> None:
    store = opened("out")
    assert list(store.journal_files(".state")) == []
    journal = store.open_journal(".state/journal.jsonl")
    with pytest.raises(OutputInUseError):
        opened("out").open_journal(".state/journal.jsonl")
    journal.add(b"one\n")
    journal.add(b"two\n", is_durable=False)
    journal.hold()
    journal.close()
    (file,) = opened("out").journal_files(".state")
    assert file.name == ".state/journal.jsonl"
    assert not file.is_held
    assert file.read().split() == [b"one", b"two"]
    again = opened("out").open_journal(".state/journal.jsonl")
    again.add(b"three\n")
    again.close()
    (file,) = opened("out").journal_files(".state")
    assert file.read().split() == [b"one", b"two", b"three"]
    file.delete()
    assert list(opened("out").journal_files(".state")) == []


def test_a_journal_is_seen_to_be_held(opened: OpenStore) -> None:
    journal = opened("out").open_journal(".state/journal.jsonl")
    journal.add(b"one\n")
    (file,) = opened("out").journal_files(".state")
    assert file.is_held
    journal.delete()
    assert list(opened("out").journal_files(".state")) == []


def test_a_journal_without_lines_leaves_nothing(opened: OpenStore) -> None:
    opened("out").open_journal(".state/journal.jsonl").close()
    assert list(opened("out").journal_files(".state")) == []


def test_notes_are_added_to_until_somebody_deletes_them(opened: OpenStore) -> None:
    store = opened("out")
    notes = store.notes(".state/notes.jsonl")
    if notes is None:  # outputs there are known by their marks
        assert store.is_remote
        return
    store.write(".state/other", b"", may_replace=False)
    assert not notes.exists()
    notes.create()
    notes.add(b"one\n")
    notes.create()
    notes.add(b"two\n")
    assert notes.exists()
    assert notes.read() == b"one\ntwo\n"
    notes.delete()
    notes.delete()
    with pytest.raises(FileNotFoundError):
        notes.add(b"three\n")


def test_a_refusal_ends_a_run_as_a_failure_of_the_environment(opened: OpenStore) -> None:
    failure = opened("out").unavailable(PermissionError(13, "Permission denied"))
    assert isinstance(failure, OutputUnwritableError | StoreUnavailableError)
    assert "Permission denied" in str(failure)


def test_the_whole_of_a_large_file_is_hashed(opened: OpenStore) -> None:
    data = bytes(range(256)) * 5000
    store = opened("out")
    store.write("a.tif", data, may_replace=False)
    assert store.sha256("a.tif") == hashlib.sha256(data).hexdigest()


def test_a_folder_that_is_gone_is_refused_and_not_made_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "out")
    store.remember_folder()
    store.refuse_lost()  # it does not exist yet
    store.write("a.jpg", b"1", may_replace=False)
    store.remember_folder()
    store.refuse_lost()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError, match="out is gone: No such file or directory"):
        store.refuse_lost()
    with pytest.raises(StoreUnavailableError, match="out is gone"):
        store.write("b.jpg", b"2", may_replace=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["b.jpg", "sub/deeper/b.jpg"])
def test_a_folder_that_goes_while_a_file_is_written_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = LocalStore(tmp_path / "out")
    store.write("a.jpg", b"1", may_replace=False)
    store.remember_folder()
    temporary_path = atomic.temporary_path

    def unmounted(folder: Path) -> Path:
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        return temporary_path(folder)

    monkeypatch.setattr(atomic, "temporary_path", unmounted)  # after the last look at the folder
    with pytest.raises(OutputUnwritableError, match="No such file or directory"):
        store.write(name, b"2", may_replace=False)
    monkeypatch.undo()
    with pytest.raises(StoreUnavailableError, match="out is gone"):
        store.refuse_lost()
    assert not (tmp_path / "out").exists()


def test_a_folder_on_another_device_is_the_empty_mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    store.remember_folder()
    before = Path.stat

    def unmounted(path: Path) -> os.stat_result:
        found = list(before(path))
        found[2] += 1  # st_dev
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", unmounted)
    for act in (store.refuse_lost, lambda: store.write("b.jpg", b"2", may_replace=False)):
        with pytest.raises(StoreUnavailableError, match="is gone: another one is in its place"):
            act()
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "is_lost"), [(errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False)])
def test_a_folder_that_cannot_be_listed_is_gone_unless_it_is_only_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, is_lost: bool
) -> None:
    store = LocalStore(tmp_path)
    store.remember_folder()

    def refuse(_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", refuse)
    if is_lost:
        with pytest.raises(StoreUnavailableError, match=os.strerror(number)):
            store.refuse_lost()
    else:
        store.refuse_lost()


def test_a_journal_on_a_network_drive_that_is_gone_is_closed_without_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and FUSE report with close(2) what they could not write."""

    class Gone(io.FileIO):
        def close(self) -> None:
            was_closed = self.closed
            super().close()
            if not was_closed:
                raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def open_gone(path: Path) -> Gone:
        return Gone(path, "ab")

    for module in ("local_journal", "lock"):
        monkeypatch.setattr(f"colorbatch.store.{module}.open_appending", open_gone)
    journal = LocalStore(tmp_path).open_journal("state/journal")
    journal.add(b"line\n")
    journal.close()
    assert os.listdir(tmp_path / "state") == ["journal"], "its lock is released"
    LocalStore(tmp_path).open_journal("state/journal").delete()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_no_link(tmp_path: Path, name: str) -> None:
    assert not LocalStore(tmp_path).is_link(name)
